"""Tables and SQL: how records become rows, each once, and how rows are erased again."""

from .batch import Batch, Written, write_batch
from .engine import Database
from .erasure import Erased, Erasure, count_rows, find_profiles
from .host_transaction import insert_uncounted, remove_rows, take_uncounted
from .profiles import remove_alias
from .rejected import add_rejected
from .retention import Pruned, Retention, claim_day, count_old, prune
from .salts import destroy_salts, name_anonymous
from .sessions import Facts, end_silent_sessions
from .tables import Tables
from .tombstones import Sifted, Tombstones

__all__ = [
    "Batch",
    "Database",
    "Erased",
    "Erasure",
    "Facts",
    "Pruned",
    "Retention",
    "Sifted",
    "Tables",
    "Tombstones",
    "Written",
    "add_rejected",
    "claim_day",
    "count_old",
    "count_rows",
    "destroy_salts",
    "end_silent_sessions",
    "find_profiles",
    "insert_uncounted",
    "name_anonymous",
    "prune",
    "remove_alias",
    "remove_rows",
    "take_uncounted",
    "write_batch",
]
