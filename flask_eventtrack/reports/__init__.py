"""Queries of the store, answered with typed rows."""

from .export import iter_person
from .feed import FeedEvent, Stored, iter_new, read_feed, read_latest

__all__ = ["FeedEvent", "Stored", "iter_new", "iter_person", "read_feed", "read_latest"]
