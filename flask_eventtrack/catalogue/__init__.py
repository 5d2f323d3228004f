"""What may be tracked: definitions, validation, built-in events, and all that as JSON."""

from .access import Access
from .definitions import Catalogue, Definition
from .params import normalise
from .schema import describe_catalogue

__all__ = ["Access", "Catalogue", "Definition", "describe_catalogue", "normalise"]
