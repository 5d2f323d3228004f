"""Tables and SQL: what is written, how it is kept single, and how it is read back."""

from .batch import Batch, Written, write_batch
from .engine import Database
from .rejected import add_rejected
from .sessions import end_silent_sessions
from .tables import Tables
from .uncounted import insert_uncounted, take_uncounted

__all__ = [
    "Batch",
    "Database",
    "Tables",
    "Written",
    "add_rejected",
    "end_silent_sessions",
    "insert_uncounted",
    "take_uncounted",
    "write_batch",
]
