"""The data step of version 4: sessions get their person, landing route and channel.

Each transaction takes some sessions of earlier releases, which have no person, and gives the
profiles of customers their first and last touch. So the next run continues an interrupted one.
"""

from __future__ import annotations

import collections.abc as cabc
import datetime as dt
import functools
import operator
import typing as t
import uuid as uuidlib

import sqlalchemy as sa

from ..ids import is_customer
from ..records import TOUCH
from ..text import quantify
from .dialects import by_index, ids_parameter, in_chunks, is_among
from .engine import Database
from .fast_rows import read_rows_by_id, update_rows
from .person import resolve_people
from .rows import SessionRow
from .tables import Tables, cached_on_table

_CHUNK = 500
_CHUNKS_A_SENTENCE = 20
_BEGINNING = dt.datetime(1000, 1, 1, tzinfo=dt.UTC)  # the first that MariaDB knows
_FILLED = ("person", "entry_rule", "channel")
_DIRECT = "direct"
_KEY = "key_uuid"
# The columns of a session that are its touch, in the order of TOUCH.
_touch_of = operator.attrgetter(
    "source",
    "utm_medium",
    "utm_campaign",
    "utm_term",
    "utm_content",
    "referrer",
    "entry_rule",
    "channel",
    "started_at",
)


class _Filled(t.NamedTuple):
    """What a transaction has done: its rows, and where the next begins."""

    rows: int
    since: dt.datetime


def has_sessions_without_person(connection: sa.Connection, tables: Tables) -> bool:
    """Whether there are such sessions: one look into the index of ``person``."""
    session = tables.session.c
    query = sa.select(session.id).where(session.person.is_(None)).limit(1)
    return connection.scalar(query) is not None


def fill_sessions(database: Database) -> cabc.Iterator[str]:
    """Fill the sessions, and yield a sentence about the progress now and then."""
    since, rows, chunks = _BEGINNING, 0, 0
    while filled := database.take_turn(functools.partial(_fill_some, database.tables, since)):
        since, rows, chunks = filled.since, rows + filled.rows, chunks + 1
        if chunks % _CHUNKS_A_SENTENCE == 0:
            yield f"{quantify(rows, 'session')} so far."
    yield f"{quantify(rows, 'session')} filled."


def _fill_some(tables: Tables, since: dt.datetime, connection: sa.Connection) -> _Filled | None:
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
    rules = _find_rules(connection, tables, rows)
    for row in rows:
        row.person = people[row.uuid]
        row.entry_rule = row.entry_rule or rules.get(row.id)
        row.channel = row.channel or _channel_of(row)
    update_rows(connection, tables.session, _FILLED, rows)
    _tell_profiles(connection, tables.profile, rows)
    return _Filled(len(rows), found[-1].started_at)


def _channel_of(row: SessionRow) -> str | None:
    """Return the channel of a stored session; None where it cannot be told."""
    return None


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


def _tell_profiles(
    connection: sa.Connection, profile: sa.Table, rows: cabc.Iterable[SessionRow]
) -> None:
    """Give customers' profiles their first touch, and their last that is not direct."""
    touches: dict[uuidlib.UUID, list[SessionRow]] = {}
    for row in sorted(rows, key=lambda row: row.started_at):
        if row.person is not None and is_customer(row.person) and row.source is not None:
            touches.setdefault(row.person, []).append(row)
    names = [f"{prefix}_{name}" for prefix in ("first", "last") for name in TOUCH]
    query = sa.select(profile.c.uuid.label(_KEY), *(profile.c[name] for name in names))
    query = by_index(query, profile.c.uuid).order_by(profile.c.uuid).with_for_update()
    changed: list[dict[str, t.Any]] = []
    for uuids in in_chunks(sorted(touches)):
        for stored in connection.execute(query.where(profile.c.uuid.in_(uuids))).all():
            known = stored._asdict()
            changed.append({**known, **_news_of(known, touches[known[_KEY]])})
    if changed:
        change = profile.update().where(profile.c.uuid == sa.bindparam(_KEY))
        connection.execute(change.values({name: sa.bindparam(name) for name in names}), changed)


def _news_of(
    profile: cabc.Mapping[str, t.Any], rows: cabc.Sequence[SessionRow]
) -> dict[str, t.Any]:
    """Return the columns of a profile that some of its sessions, the oldest first, change."""
    first, last = rows[0], next((row for row in reversed(rows) if row.source != _DIRECT), None)
    news: dict[str, t.Any] = {}
    if profile["first_at"] is None or first.started_at < profile["first_at"]:
        news |= _columns_of("first", first)
    if last and (profile["last_at"] is None or last.started_at > profile["last_at"]):
        news |= _columns_of("last", last)
    return news


def _columns_of(prefix: t.Literal["first", "last"], row: SessionRow) -> dict[str, t.Any]:
    names = (f"{prefix}_{name}" for name in TOUCH)
    return dict(zip(names, _touch_of(row), strict=True))
