"""What is stored of a visitor beside events: their sessions and their profile.

The rules of who may read them are those of :mod:`.feed`.
"""

from __future__ import annotations

import datetime as dt
import typing as t
import uuid as uuidlib

import sqlalchemy as sa

from ..records import SessionRef
from ..store.engine import Database
from ..store.touches import Touch, read_profiles
from .feed import is_anonymous, is_theirs


class TrackedSession(t.NamedTuple):
    """A session of a visitor; times are aware UTC.

    ``ended_at`` is None while it is open. ``source`` is where the visitor came from: the source in
    the URL, the host name of another site, or ``direct``. ``channel`` is the kind of source:
    ``search``, ``social``, ``mail``, ``paid``, ``ai``, ``affiliate``, ``referral``, ``campaign`` or
    ``direct``. ``entry_rule`` and ``exit_rule`` are the URL rules of the first and the last page.
    ``visible_ms`` is how long its pages were in view; 0 if that is not known.
    """

    id: uuidlib.UUID
    uuid: uuidlib.UUID
    device_id: uuidlib.UUID
    started_at: dt.datetime
    last_seen_at: dt.datetime
    ended_at: dt.datetime | None
    pages: int
    events: int
    entry: str | None
    exit: str | None
    referrer: str | None
    source: str | None
    utm_source: str | None
    utm_medium: str | None
    utm_campaign: str | None
    utm_term: str | None
    utm_content: str | None
    browser: str | None
    os: str | None
    device_type: str | None
    language: str | None
    country: str | None
    site: str
    visible_ms: int
    channel: str | None
    entry_rule: str | None
    exit_rule: str | None


class Profile(t.NamedTuple):
    """What is stored of a customer; times are aware UTC.

    ``aliases`` are the profiles that became the customer's: anonymous ones, and that of a former
    customer id. ``first_touch`` is where the customer first came from, ``last_touch`` where they
    last came from if that was not directly; None where that is not known.
    """

    uuid: uuidlib.UUID
    customer_id: str
    traits: dict[str, t.Any]
    first_seen_at: dt.datetime
    last_seen_at: dt.datetime
    aliases: list[uuidlib.UUID]
    first_touch: Touch | None
    last_touch: Touch | None


def read_sessions(
    database: Database,
    profile: uuidlib.UUID,
    before: dt.datetime | None,
    limit: int,
    by_session: uuidlib.UUID | None = None,
) -> list[TrackedSession]:
    """Return a customer's sessions, newest first, without those that hold someone else's events.

    :param before: only sessions that started earlier than this aware moment.
    :param by_session: see :func:`.feed.read_feed`.
    """
    tables = database.tables
    event, session = tables.event.c, tables.session.c
    is_shared = _has_event(database, ~is_theirs(tables, event.uuid, [profile]))
    may_read = is_theirs(tables, session.uuid, [profile], by_session)
    return _read(database, sa.and_(may_read, ~is_shared), before, limit)


def read_anonymous_sessions(
    database: Database, profile: uuidlib.UUID, before: dt.datetime | None, limit: int
) -> list[TrackedSession]:
    """Return the sessions of an anonymous profile; none if it became a customer's."""
    tables = database.tables
    is_shared = _has_event(database, tables.event.c.uuid != profile)
    may_read = is_anonymous(tables, tables.session.c.uuid, profile)
    return _read(database, sa.and_(may_read, ~is_shared), before, limit)


def read_present_session(
    database: Database,
    profile: uuidlib.UUID,
    session: SessionRef,
    before: dt.datetime | None,
    limit: int,
) -> list[TrackedSession]:
    """Return the session of a device whose customer is not vouched for.

    Its row describes the whole session. So nothing is returned to a browser that did not open it,
    or after a customer is vouched for in it or a second browser has joined.
    """
    row = database.tables.session.c
    is_shared = _has_event(database, database.tables.event.c.uuid != profile)
    may_read = sa.and_(
        row.id == session.id,
        row.uuid == profile,
        row.started_at == session.started_at,
        row.private_at.is_(None),
    )
    return _read(database, sa.and_(may_read, ~is_shared), before, limit)


def find_profile(
    database: Database, profile: uuidlib.UUID, by_session: uuidlib.UUID | None = None
) -> Profile | None:
    """Return a customer's profile; None if none is stored.

    :param by_session: see :func:`.feed.read_feed`.
    """
    table, alias = database.tables.profile, database.tables.alias
    columns = [table.c[name] for name in Profile._fields if name in table.c]
    is_it = is_theirs(database.tables, table.c.uuid, [profile], by_session)
    aliases = sa.select(alias.c.anonymous_uuid).where(alias.c.customer_uuid == profile)
    with database.read() as connection:
        row = connection.execute(
            sa.select(*columns).where(table.c.uuid == profile, is_it)
        ).one_or_none()
        if row is None:
            return None
        found = connection.scalars(aliases.order_by(alias.c.created_at, alias.c.anonymous_uuid))
        touches = read_profiles(connection, table, [profile]).get(profile, (None, None))
        return Profile._make((*row, list(found), *touches))


def _has_event(database: Database, condition: sa.ColumnElement[bool]) -> sa.ColumnElement[bool]:
    event = database.tables.event.c
    return sa.exists().where(event.session_id == database.tables.session.c.id, condition)


def _read(
    database: Database,
    condition: sa.ColumnElement[bool],
    before: dt.datetime | None,
    limit: int,
) -> list[TrackedSession]:
    session = database.tables.session
    query = sa.select(*(session.c[name] for name in TrackedSession._fields)).where(condition)
    query = query.order_by(session.c.started_at.desc(), session.c.id.desc()).limit(limit)
    if before is not None:
        query = query.where(session.c.started_at < before)
    with database.read() as connection:
        return [TrackedSession(*row) for row in connection.execute(query)]
