"""From a record to a committed row, off the request path."""

from .chain import list_bad
from .journal import Journal, find_obstacle
from .pipeline import Pipeline
from .queue import MemoryQueue, Queue
from .writer import Hooks

__all__ = ["Hooks", "Journal", "MemoryQueue", "Pipeline", "Queue", "find_obstacle", "list_bad"]
