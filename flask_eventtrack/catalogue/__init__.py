"""The events that may be recorded: definitions, validation, built-in events, allow lists."""

from .access import Access
from .definitions import Catalogue, Definition
from .params import normalise
from .schema import describe_catalogue

__all__ = ["Access", "Catalogue", "Definition", "describe_catalogue", "normalise"]
