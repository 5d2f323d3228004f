"""Record every page visit, session and custom event of a Flask app in the app's own database."""

from __future__ import annotations

from . import errors, signals
from .event import Event
from .extension import EventTrack
from .reports import FeedEvent
from .sources.snippet import eventtrack_snippet
from .sources.views import CurrentVisitor, current_visitor, identify, logout, track

__all__ = [
    "CurrentVisitor",
    "Event",
    "EventTrack",
    "FeedEvent",
    "current_visitor",
    "errors",
    "eventtrack_snippet",
    "identify",
    "logout",
    "signals",
    "track",
]
