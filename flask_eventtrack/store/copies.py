"""Copied cookies: what only the writer can tell of them, since a request asks no database.

A browser with a copy of the device cookie opens sessions of the same ids as the device itself. A
copy of the session cookie still vouches for its customer after a log-out.
"""

from __future__ import annotations

import datetime as dt
import uuid as uuidlib

from ..ids import session_id_of
from ..records import VOUCHED_BY_COOKIE, Event, SessionRef
from .rows import SessionRow
from .types import to_utc

#: Requests of one browser that were under way at once come at most this far apart.
AT_ONCE = dt.timedelta(seconds=10)
_EARLIER_SESSIONS = 20


def note_privacy(row: SessionRow, event: Event, ref: SessionRef) -> None:
    """Note from when on only a customer who is vouched for may read a session's events.

    That is when the host vouches for one, or when a second browser opens the session.
    """
    if not ref.vouched and ref.started_at == row.started_at:
        return  # as nearly always
    if ref.vouched:
        _bring_forward(row, event.received_at)
    # A visit that gives its session to another event may not know the device, nor the start.
    is_opening = ref.device_id == row.device_id
    if is_opening and abs(ref.started_at - row.started_at) > AT_ONCE:
        _bring_forward(row, max(ref.started_at, row.started_at))


def _bring_forward(row: SessionRow, moment: dt.datetime) -> None:
    if row.private_at is None or moment < row.private_at:
        row.private_at = to_utc(moment)


def earlier_sessions(device_id: uuidlib.UUID, number: int) -> list[uuidlib.UUID]:
    """Return the sessions of a device before this one: copied cookies may keep one of them alive.

    :param number: counts the device's sessions; of very many, the last 20 are returned.
    """
    first = max(1, number - _EARLIER_SESSIONS)
    return [session_id_of(device_id, earlier) for earlier in range(first, number)]


def is_by_copy(event: Event, row: SessionRow) -> bool:
    """Whether only the cookie of a session vouches for an event, and its customer has left it."""
    if row.logged_out_at is None or event.session is None:
        return False
    is_later = event.received_at > row.logged_out_at + AT_ONCE
    return is_later and event.session.vouched == VOUCHED_BY_COOKIE
