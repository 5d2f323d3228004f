"""What may be tracked: definitions, validation, built-in events."""

from .access import Access
from .definitions import Catalogue, Definition
from .params import normalise

__all__ = ["Access", "Catalogue", "Definition", "normalise"]
