"""The data step of version 3: rows of ``page.engage`` become part of their visits.

Release 0.1 stored engagement as events. Each transaction takes some of these rows, adds their
values to visits and sessions, and subtracts the rows from the sessions' counts and the totals. So
the next run continues an interrupted one. Events of ``session.end`` stay as they were written.
"""

from __future__ import annotations

import collections
import collections.abc as cabc
import datetime as dt
import functools
import typing as t
import uuid as uuidlib

import sqlalchemy as sa

from ..records import PAGE_ENGAGE, Event, SessionRef
from ..text import quantify
from .engagements import Engagements
from .engine import Database
from .fast_rows import read_rows_by_id
from .rows import EventRow
from .sessions import Facts, SessionBook, Transaction
from .tables import Tables
from .totals import subtract
from .visits import VisitBook, names_of_engaged

_CHUNK = 500
_CHUNKS_A_SENTENCE = 20
_BEGINNING = dt.datetime(1000, 1, 1, tzinfo=dt.UTC)  # the first that MariaDB knows


class _Folded(t.NamedTuple):
    """What a transaction has done: its rows, those without a visit, and where the next begins."""

    rows: int
    missing: int
    since: dt.datetime


def has_engagement_rows(connection: sa.Connection, tables: Tables) -> bool:
    """Whether there are rows of ``page.engage``. If the totals have none, no rows are searched."""
    hourly, event = tables.hourly.c, tables.event.c
    counted = sa.select(hourly.hour).where(hourly.action == PAGE_ENGAGE, hourly.count > 0).limit(1)
    if connection.scalar(counted) is None:
        return False
    return (
        connection.scalar(sa.select(event.id).where(event.action == PAGE_ENGAGE).limit(1))
        is not None
    )


def fold_engagement(database: Database) -> cabc.Iterator[str]:
    """Move engagement into its visits, and yield a sentence about the progress now and then."""
    since, rows, missing, chunks = _BEGINNING, 0, 0, 0
    while folded := database.take_turn(functools.partial(_fold_some, database.tables, since)):
        since, rows, missing = folded.since, rows + folded.rows, missing + folded.missing
        chunks += 1
        if chunks % _CHUNKS_A_SENTENCE == 0:
            yield f"{quantify(rows, 'row')} so far."
    database.shrink_log()
    yield f"{quantify(rows, 'row')} moved; {missing} of them had no visit, and were removed."


def _fold_some(tables: Tables, since: dt.datetime, connection: sa.Connection) -> _Folded | None:
    """Fold up to 500 rows. Locks are taken in the writer's order, and the totals come last."""
    event, now = tables.event, dt.datetime.now(dt.UTC)
    query = sa.select(event.c.id, event.c.time, event.c.session_id)
    query = query.where(event.c.action == PAGE_ENGAGE, event.c.time >= since)
    found = connection.execute(query.order_by(event.c.time, event.c.id).limit(_CHUNK)).all()
    if not found:
        return None
    # No session is opened here, so no facts about one are asked for.
    facts = t.cast("Facts", None)
    transaction = Transaction(connection, tables, now, facts, lambda action, site: False)
    sessions, visits = SessionBook(transaction), VisitBook(connection, event)
    sessions.load({row.session_id.int for row in found if row.session_id is not None})
    rows = read_rows_by_id(connection, EventRow, event, {row.id.int for row in found})
    told = [_engagement_of(row, sessions) for row in rows]
    visits.load([], set().union(*map(names_of_engaged, told)), told)
    engagements = Engagements(transaction, sessions, visits, [])
    sessions.load(engagements.find(told, [], set()))
    engagements.apply()
    engagements.settle()
    missing = engagements.give_up()
    uncounted = _take_notes(connection, tables, rows)
    counted = [row for row in rows if row.id not in uncounted]
    _lower_counts(sessions, counted)
    sessions.write()
    visits.update_changed()
    engagements.write()
    connection.execute(event.delete().where(event.c.id.in_([row.id for row in rows])))
    subtract(connection, tables, counted, transaction.totals.marks)
    transaction.totals.write(connection, tables, now)
    return _Folded(len(rows), missing, found[-1].time)


def _engagement_of(row: EventRow, sessions: SessionBook) -> Event:
    session = sessions.find(row.session_id) if row.session_id is not None else None
    ref = None
    if session is not None:
        ref = SessionRef(session.row.id, session.row.device_id, session.row.started_at)
    return Event(
        id=row.id,
        action=PAGE_ENGAGE,
        time=row.time,
        received_at=row.received_at,
        uuid=row.uuid,
        params=row.params,
        session=ref,
        page=_read_page(row.params.get("visit")),
    )


def _read_page(text: object) -> uuidlib.UUID | None:
    try:
        return uuidlib.UUID(text) if isinstance(text, str) else None
    except ValueError:
        return None


def _take_notes(
    connection: sa.Connection, tables: Tables, rows: cabc.Iterable[EventRow]
) -> set[uuidlib.UUID]:
    """Remove the notes of rows that a host's own transaction has written; return the rows' ids.

    Such a row is in no total yet.
    """
    note = tables.uncounted
    are_theirs = note.c.event_id.in_([row.id for row in rows])
    ids = set(connection.scalars(sa.select(note.c.event_id).where(are_theirs).with_for_update()))
    if ids:
        connection.execute(note.delete().where(note.c.event_id.in_(ids)))
    return ids


def _lower_counts(sessions: SessionBook, rows: cabc.Iterable[EventRow]) -> None:
    counts = collections.Counter(row.session_id for row in rows)
    for session_id, count in counts.items():
        session = sessions.find(session_id) if session_id is not None else None
        if session is not None:
            session.row.events = max(0, session.row.events - count)
