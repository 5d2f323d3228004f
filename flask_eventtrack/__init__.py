"""Record every page visit, session and custom event of a Flask app in the app's own database."""

from __future__ import annotations

import importlib
import typing as t

if t.TYPE_CHECKING:
    from . import errors, signals
    from .api import CurrentVisitor, current_visitor, identify, logout, track
    from .digest.making import Digest
    from .extension import EventTrack
    from .money import Money
    from .pages.snippet import eventtrack_snippet
    from .pipeline.health import Health
    from .records import Event
    from .reports.explore.agents import Agents
    from .reports.explore.element_rows import ElementRow, Elements, FieldRow, FormRow
    from .reports.explore.path_rows import PathNode, Paths
    from .reports.explore.plan import Plan
    from .reports.explore.retention_rows import Retention, RetentionCell, RetentionRow
    from .reports.explore.rows import Funnel
    from .reports.explore.steps import Step
    from .reports.feed import FeedEvent
    from .reports.filters import Filter
    from .reports.library import Reports
    from .reports.period import Period
    from .reports.rows import Breakdown, Numbers, Overview, Parameters
    from .reports.sessions import Profile, TrackedSession
    from .stamps import TracksSession
    from .store.new_events import StoredEvent
    from .store.touches import Touch
    from .testing.tracked import Tracked
    from .transactions import cancel_transaction, track_transaction

__all__ = [
    "Agents",
    "Breakdown",
    "CurrentVisitor",
    "Digest",
    "ElementRow",
    "Elements",
    "Event",
    "EventTrack",
    "FeedEvent",
    "FieldRow",
    "Filter",
    "FormRow",
    "Funnel",
    "Health",
    "Money",
    "Numbers",
    "Overview",
    "Parameters",
    "PathNode",
    "Paths",
    "Period",
    "Plan",
    "Profile",
    "Reports",
    "Retention",
    "RetentionCell",
    "RetentionRow",
    "Step",
    "StoredEvent",
    "Touch",
    "Tracked",
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

# Imported when they are first used. pytest imports the testing kit's plugin whenever it starts, and
# all of this would take it a second.
_NAMES = {
    "api": "CurrentVisitor current_visitor identify logout track",
    "digest.making": "Digest",
    "extension": "EventTrack",
    "money": "Money",
    "pages.snippet": "eventtrack_snippet",
    "pipeline.health": "Health",
    "records": "Event",
    "reports.explore.agents": "Agents",
    "reports.explore.plan": "Plan",
    "reports.explore.rows": "Funnel",
    "reports.explore.steps": "Step",
    "reports.explore.element_rows": "ElementRow Elements FieldRow FormRow",
    "reports.explore.path_rows": "PathNode Paths",
    "reports.explore.retention_rows": "Retention RetentionCell RetentionRow",
    "reports.feed": "FeedEvent",
    "reports.filters": "Filter",
    "reports.library": "Reports",
    "reports.period": "Period",
    "reports.rows": "Breakdown Numbers Overview Parameters",
    "reports.sessions": "Profile TrackedSession",
    "stamps": "TracksSession",
    "store.new_events": "StoredEvent",
    "store.touches": "Touch",
    "testing.tracked": "Tracked",
    "transactions": "cancel_transaction track_transaction",
}
_MODULES = {name: module for module, names in _NAMES.items() for name in names.split()}
_MODULES |= {"errors": "errors", "signals": "signals"}

if not t.TYPE_CHECKING:  # which would otherwise take any name for one of ours

    def __getattr__(name: str) -> object:
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        module = importlib.import_module(f".{_MODULES[name]}", __name__)
        found = globals()[name] = module if name == _MODULES[name] else getattr(module, name)
        return found

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
