"""The data step of version 4: sessions get their person, landing route and channel.

Each transaction takes some sessions of earlier releases, which have no person, and gives the
profiles of customers their first and last touch. So the next run continues an interrupted one.
"""

from __future__ import annotations

import collections.abc as cabc
import datetime as dt
import functools
import typing as t
import uuid as uuidlib

import sqlalchemy as sa

from ..records import CAMPAIGN
from ..text import quantify
from .dialects import ids_parameter, is_among
from .engine import Database
from .fast_rows import read_rows_by_id, update_rows
from .marks import Marks
from .person import resolve_people
from .profile_touches import ProfileTouches
from .rows import SessionRow
from .tables import Tables, cached_on_table

_CHUNK = 500
_CHUNKS_A_SENTENCE = 20
_BEGINNING = dt.datetime(1000, 1, 1, tzinfo=dt.UTC)  # the first that MariaDB knows
_FILLED = ("person", "entry_rule", "channel")
#: Tells the channel of a session by its source, its medium, and whether it names a campaign.
FindChannel = cabc.Callable[[str, str, bool], str | None]


class _Filled(t.NamedTuple):
    """What a transaction has done: its rows, and where the next begins."""

    rows: int
    since: dt.datetime


def has_sessions_without_person(connection: sa.Connection, tables: Tables) -> bool:
    """Whether there are such sessions: one look into the index of ``person``."""
    session = tables.session.c
    query = sa.select(session.id).where(session.person.is_(None)).limit(1)
    return connection.scalar(query) is not None


def find_none(source: str, medium: str, has_campaign: bool) -> None:
    """Tell no channel."""


def fill_sessions(database: Database, find_channel: FindChannel) -> cabc.Iterator[str]:
    """Fill the sessions, and yield a sentence about the progress now and then."""
    since, rows, chunks = _BEGINNING, 0, 0
    while filled := database.take_turn(
        functools.partial(_fill_some, database.tables, find_channel, since)
    ):
        since, rows, chunks = filled.since, rows + filled.rows, chunks + 1
        if chunks % _CHUNKS_A_SENTENCE == 0:
            yield f"{quantify(rows, 'session')} so far."
    yield f"{quantify(rows, 'session')} filled."


def _fill_some(
    tables: Tables, find_channel: FindChannel, since: dt.datetime, connection: sa.Connection
) -> _Filled | None:
    """Fill up to 500 sessions. They are locked in the writer's order, and profiles after them."""
    session = tables.session.c
    query = sa.select(session.id, session.started_at)
    query = query.where(session.person.is_(None), session.started_at >= since)
    found = connection.execute(query.order_by(session.started_at).limit(_CHUNK)).all()
    if not found:
        return None
    ids = {row.id.int for row in found}
    locked = read_rows_by_id(connection, SessionRow, tables.session, ids)
    # Another run may have filled some of them meanwhile.
    rows = [row for row in locked if row.person is None]
    people = resolve_people(connection, tables, {row.uuid for row in rows})
    marks = Marks()
    marks.note_gone(rows)
    rules = _find_rules(connection, tables, rows)
    for row in rows:
        row.person = people[row.uuid]
        row.entry_rule = row.entry_rule or rules.get(row.id)
        if row.channel is None and row.source is not None:
            has_campaign = any(getattr(row, name) for name in CAMPAIGN)
            row.channel = find_channel(row.source, row.utm_medium or "", has_campaign)
    update_rows(connection, tables.session, _FILLED, rows)
    touches = ProfileTouches(connection, tables, rows, [])
    touches.lock()
    touches.write()
    marks.note_gone(rows)  # as they are now
    marks.write(connection, tables)
    return _Filled(len(rows), found[-1].started_at)


def _find_rules(
    connection: sa.Connection, tables: Tables, rows: cabc.Iterable[SessionRow]
) -> dict[uuidlib.UUID, str]:
    """Return the URL rules of the first pages of sessions, as far as these pages are stored."""
    ids = {row.id.int for row in rows if row.entry_at is not None}
    name = connection.dialect.name
    found = connection.execute(
        _rules_query(tables.session, tables.event, name), ids_parameter(name, ids)
    )
    return {row.id: row.url_rule for row in found}


@cached_on_table
def _rules_query(
    session: sa.Table, event: sa.Table, dialect_name: str
) -> sa.Select[tuple[uuidlib.UUID, str]]:
    is_entry = event.c.session_id == session.c.id, event.c.time == session.c.entry_at
    query = sa.select(session.c.id, event.c.url_rule).join_from(session, event, sa.and_(*is_entry))
    return query.where(is_among(dialect_name, session.c.id), event.c.url_rule != "")
