"""Record every page visit, session and custom event of a Flask app in the app's own database."""

from __future__ import annotations

from . import errors, signals
from .api import CurrentVisitor, current_visitor, identify, logout, track
from .extension import EventTrack
from .pages.snippet import eventtrack_snippet
from .pipeline.health import Health
from .records import Event
from .reports.feed import FeedEvent
from .reports.sessions import Profile, TrackedSession
from .store.touches import Touch

__all__ = [
    "CurrentVisitor",
    "Event",
    "EventTrack",
    "FeedEvent",
    "Health",
    "Profile",
    "Touch",
    "TrackedSession",
    "current_visitor",
    "errors",
    "eventtrack_snippet",
    "identify",
    "logout",
    "signals",
    "track",
]
