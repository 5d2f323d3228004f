"""Events for people to read: the feed of a visitor, and the latest events of all visitors."""

from __future__ import annotations

import collections.abc as cabc
import datetime as dt
import typing as t
import uuid as uuidlib

import sqlalchemy as sa

from ..store.engine import Database
from ..store.tables import Tables

_SLOWEST_COMMIT = dt.timedelta(seconds=30)


class FeedEvent(t.NamedTuple):
    """One event of a feed; ``time`` is aware UTC."""

    id: uuidlib.UUID
    action: str
    time: dt.datetime
    label: str | None
    uuid: uuidlib.UUID
    session_id: uuidlib.UUID | None
    site: str
    source: str
    params: dict[str, t.Any]


class Stored(t.NamedTuple):
    """An event, and when the writer stored it."""

    stored_at: dt.datetime
    event: FeedEvent


def read_feed(
    database: Database, profile: uuidlib.UUID, before: dt.datetime | None, limit: int
) -> list[FeedEvent]:
    """Return a profile's events and those of its aliases, newest first.

    :param before: only events earlier than this aware moment.
    """
    event, alias = database.tables.event, database.tables.alias
    aliases = sa.select(alias.c.anonymous_uuid).where(alias.c.customer_uuid == profile)
    query = (
        sa.select(*_columns(database.tables))
        .where(sa.or_(event.c.uuid == profile, event.c.uuid.in_(aliases)))
        .order_by(event.c.time.desc(), event.c.id.desc())
        .limit(limit)
    )
    if before is not None:
        query = query.where(event.c.time < before)
    with database.read() as connection:
        return [FeedEvent(*row) for row in connection.execute(query)]


def read_latest(database: Database, limit: int) -> list[Stored]:
    """Return the events written last: batch by batch, and in each as they happened."""
    event = database.tables.event.c
    query = _stored(database.tables).order_by(event.stored_at.desc(), event.time.desc())
    return _read(database, query.limit(limit))


def iter_new(database: Database, latest: list[Stored]) -> cabc.Iterator[list[Stored]]:
    """Yield, at each step, the events written since the last one; the first follows ``latest``.

    A row gets its time before its transaction commits, so each step looks back for the rows of
    slow transactions.
    """
    last = latest[-1].stored_at if latest else dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
    known: set[uuidlib.UUID] | None = None
    while True:
        query = _stored(database.tables)
        rows = _read(database, query.where(query.selected_columns[0] >= last - _SLOWEST_COMMIT))
        if known is None:
            known = {row.event.id for row in rows if row.stored_at <= last}
        yield [row for row in rows if row.event.id not in known]
        known = {row.event.id for row in rows}
        last = max(last, *(row.stored_at for row in rows)) if rows else last


def _read(database: Database, query: sa.Select[t.Any]) -> list[Stored]:
    with database.read() as connection:
        rows = [Stored(row[0], FeedEvent(*row[1:])) for row in connection.execute(query)]
    return sorted(rows, key=lambda row: (row.stored_at, row.event.time))


def _stored(tables: Tables) -> sa.Select[t.Any]:
    return sa.select(tables.event.c.stored_at, *_columns(tables))


def _columns(tables: Tables) -> list[sa.Column[t.Any]]:
    return [tables.event.c[name] for name in FeedEvent._fields]
