"""Record every page visit, session and custom event of a Flask app in the app's own database."""

from __future__ import annotations

from . import errors, signals
from .api import CurrentVisitor, current_visitor, identify, logout, track
from .extension import EventTrack
from .pages.snippet import eventtrack_snippet
from .pipeline.health import Health
from .records import Event
from .reports.feed import FeedEvent
from .reports.filters import Filter
from .reports.library import Reports
from .reports.period import Period
from .reports.rows import Breakdown, Numbers, Overview, Parameters
from .reports.sessions import Profile, TrackedSession
from .stamps import TracksSession
from .store.touches import Touch
from .transactions import cancel_transaction, track_transaction

__all__ = [
    "Breakdown",
    "CurrentVisitor",
    "Event",
    "EventTrack",
    "FeedEvent",
    "Filter",
    "Health",
    "Numbers",
    "Overview",
    "Parameters",
    "Period",
    "Profile",
    "Reports",
    "Touch",
    "TrackedSession",
    "TracksSession",
    "cancel_transaction",
    "current_visitor",
    "errors",
    "eventtrack_snippet",
    "identify",
    "logout",
    "signals",
    "track",
    "track_transaction",
]
