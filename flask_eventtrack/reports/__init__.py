"""Questions asked of the store, answered as typed rows."""

from .feed import FeedEvent, read_feed, read_latest

__all__ = ["FeedEvent", "read_feed", "read_latest"]
