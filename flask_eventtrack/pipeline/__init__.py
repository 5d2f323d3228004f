"""From a record to a committed row, off the request path."""

from .pipeline import Pipeline
from .writer import Hooks

__all__ = ["Hooks", "Pipeline"]
