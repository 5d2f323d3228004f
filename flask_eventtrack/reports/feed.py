"""Events as people read them: a visitor's feed, and the latest of all."""

from __future__ import annotations

import datetime as dt
import typing as t
import uuid as uuidlib

import sqlalchemy as sa

if t.TYPE_CHECKING:
    from ..store import Database, Tables


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


def read_latest(
    database: Database, after: tuple[dt.datetime, uuidlib.UUID] | None, limit: int
) -> list[tuple[tuple[dt.datetime, uuidlib.UUID], FeedEvent]]:
    """Return the events written last, oldest first, each with a cursor that goes on behind it.

    :param after: a cursor; None starts with the newest ``limit`` events.
    """
    event = database.tables.event
    cursor = (event.c.stored_at, event.c.id)
    query = sa.select(*cursor, *_columns(database.tables)).limit(limit)
    if after is None:
        query = query.order_by(*(column.desc() for column in cursor))
    else:
        stored_at, event_id = after
        query = query.where(
            sa.or_(
                event.c.stored_at > stored_at,
                sa.and_(event.c.stored_at == stored_at, event.c.id > event_id),
            )
        ).order_by(*cursor)
    with database.read() as connection:
        rows = [((row[0], row[1]), FeedEvent(*row[2:])) for row in connection.execute(query)]
    return rows[::-1] if after is None else rows


def _columns(tables: Tables) -> list[sa.Column[t.Any]]:
    return [tables.event.c[name] for name in FeedEvent._fields]
