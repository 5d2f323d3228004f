"""Copied cookies: what only the writer can tell of them, since a request asks no database.

A browser with a copy of the device cookie opens sessions of the same ids as the device itself. A
copy of the session cookie still vouches for its customer after a log-out.
"""

from __future__ import annotations

import datetime as dt

import sqlalchemy as sa

from ..records import Event, SessionRef
from .rows import SessionRow
from .tables import Tables
from .types import to_utc

#: Requests of one browser that come at once may open the same session, this far apart.
OPENED_AT_ONCE = dt.timedelta(seconds=10)


def note_privacy(row: SessionRow, event: Event, ref: SessionRef) -> None:
    """Note from when on only a customer who is vouched for may read a session's events.

    That is when the host vouches for one, or when a second browser opens the session.
    """
    if ref.vouched:
        _bring_forward(row, event.received_at)
    # A visit that gives its session to another event may not know the device, nor the start.
    is_opening = ref.device_id == row.device_id
    if is_opening and abs(ref.started_at - row.started_at) > OPENED_AT_ONCE:
        _bring_forward(row, max(ref.started_at, row.started_at))


def _bring_forward(row: SessionRow, moment: dt.datetime) -> None:
    if row.private_at is None or moment < row.private_at:
        row.private_at = to_utc(moment)


def is_left_with(row: SessionRow, left: SessionRow, at: dt.datetime) -> bool:
    """Whether a customer who leaves one session leaves another with it: any on the same device.

    A copy of the cookies may keep an earlier one alive.
    """
    is_theirs = row.uuid == left.uuid and row.device_id == left.device_id
    return is_theirs and row.started_at <= at and row.logged_out_at is None


def find_left_sessions(
    connection: sa.Connection, tables: Tables, left: SessionRow, at: dt.datetime
) -> set[int]:
    """Return the stored sessions, as numbers, for which :func:`is_left_with` is true."""
    table = tables.session
    query = sa.select(table.c.id).where(
        table.c.uuid == left.uuid,
        table.c.device_id == left.device_id,
        table.c.started_at <= at,
        table.c.logged_out_at.is_(None),
    )
    return {session_id.int for session_id in connection.scalars(query)}
