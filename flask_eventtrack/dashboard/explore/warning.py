"""The line in the head of every page when something is wrong now."""

from __future__ import annotations

import contextlib
import datetime as dt
import typing as t

from sqlalchemy.exc import SQLAlchemyError

from ...errors import ReportUnavailable
from ...request.access import Access
from ...state import State
from ...store.rejected import has_rejected
from .upkeep import read_health

#: Refused records of this time are a warning.
_RECENT: t.Final = dt.timedelta(days=1)
_PATIENCE = 0.2


def find_warning(state: State, access: Access) -> str | None:
    """Return what is wrong now, for those who may manage; None if nothing is.

    Beside the journals' files, it costs one look at an index; with functions on events, three more.
    """
    if not access.may_manage:
        return None
    health = read_health(state)
    if health.last_error:
        return "Events cannot be written now. They are waiting."
    if not health.is_well:
        return "Events have waited too long to be written."
    if _has_rejected(state):
        return "The database refused records in the last 24 hours."
    return _find_function(state) if state.callbacks.functions is not None else None


def _find_function(state: State) -> str | None:
    """Return what is wrong with a function on events."""
    from ...reports.explore.functions import read_functions  # which an app without does not need

    reports, known = state.reports, state.callbacks.function_names
    with (
        contextlib.suppress(ReportUnavailable, SQLAlchemyError, TimeoutError),
        reports.reader.open(patience=_PATIENCE) as connection,
    ):
        for each in read_functions(connection, reports.reader.tables):
            if each.name in known and each.failing_since is not None:
                return "A function on events is failing. Later events wait."
            if each.name in known and each.is_late(reports.now):
                return "A function on events is over 5 minutes behind."
    return None


def _has_rejected(state: State) -> bool:
    reports = state.reports
    with (
        contextlib.suppress(ReportUnavailable, SQLAlchemyError, TimeoutError),
        reports.reader.open(patience=_PATIENCE) as connection,
    ):
        return has_rejected(connection, reports.reader.tables, reports.now - _RECENT)
    return False
