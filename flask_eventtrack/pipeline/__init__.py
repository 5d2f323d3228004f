"""From a record to a committed row, off the request path."""

from .forks import Pipelines
from .homes import find_obstacle, list_bad, list_homes
from .journal import Journal
from .pipeline import Pipeline
from .queue import MemoryQueue, Queue
from .writer import Hooks

__all__ = [
    "Hooks",
    "Journal",
    "MemoryQueue",
    "Pipeline",
    "Pipelines",
    "Queue",
    "find_obstacle",
    "list_bad",
    "list_homes",
]
