"""One person: what is known of them, and the feed of all they did."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses
import datetime as dt
import typing as t
import uuid as uuidlib

import sqlalchemy as sa

from ..money import Money, from_minor
from ..store.dialects import ids_parameter, in_chunks, is_among
from ..store.person import find_led, resolve_people
from ..store.tables import Tables, cached_on_table
from ..store.touches import TOUCH_COLUMNS, Touch, read_touches
from .feed import FeedEvent, read_latest_of
from .people import find_stored, name_of

#: The devices of a person are those of so many latest sessions.
DEVICE_SESSIONS: t.Final = 200
#: The events of an action are sought in so many events of each profile at a time.
DEPTH: t.Final = 2000


@dataclasses.dataclass(frozen=True, slots=True)
class Device:
    """A kind of device that a person uses; None for what is not known."""

    browser: str | None
    os: str | None
    device_type: str | None


@dataclasses.dataclass(frozen=True, slots=True)
class Person:
    """What is known of a person.

    ``customer_id`` is None for an anonymous one. ``profiles`` are all of theirs: the person's own,
    and those whose aliases lead to it. ``devices`` are those of the latest 200 sessions. ``orders``
    counts charges, and ``revenue`` sums what was not cancelled of them. An anonymous person's
    touches are those of their first and latest session.
    """

    person: uuidlib.UUID
    customer_id: str | None
    name: str | None
    traits: dict[str, t.Any]
    first_seen_at: dt.datetime | None
    last_seen_at: dt.datetime | None
    first_touch: Touch | None
    last_touch: Touch | None
    sessions: int
    devices: tuple[Device, ...]
    number_of_devices: int
    country: str | None
    orders: int
    revenue: tuple[Money, ...]
    profiles: tuple[uuidlib.UUID, ...]


class Cursor(t.NamedTuple):
    """A place in a feed: a moment, and the event of that moment. Without one, before all of it."""

    time: dt.datetime
    id: uuidlib.UUID | None = None


class PersonFeed(t.NamedTuple):
    """Events, newest first; the sessions in which they happened; where the next page begins."""

    events: list[FeedEvent]
    sessions: dict[uuidlib.UUID, FeedSession]
    further: Cursor | None


class FeedSession(t.NamedTuple):
    """The session of some events of a feed; ``seconds`` is from its first event to its last."""

    id: uuidlib.UUID
    started_at: dt.datetime
    last_seen_at: dt.datetime
    ended_at: dt.datetime | None
    pages: int
    source: str | None
    utm_campaign: str | None
    browser: str | None
    os: str | None
    country: str | None

    @property
    def seconds(self) -> float:
        return (self.last_seen_at - self.started_at).total_seconds()


def find_owner(
    connection: sa.Connection, tables: Tables, uuid: uuidlib.UUID
) -> uuidlib.UUID | None:
    """Return the person of a profile: where its aliases lead. None if nothing is stored of it."""
    person = resolve_people(connection, tables, [uuid])[uuid]
    if person != uuid:
        return person
    return uuid if uuid in find_stored(connection, tables, [uuid]) else None


def describe_person(connection: sa.Connection, tables: Tables, person: uuidlib.UUID) -> Person:
    """Return what is known of a person.

    :param person: the uuid of their profile; not that of an alias.
    """
    known = connection.execute(_profile_query(tables.profile), {"person": person}).one_or_none()
    first, last = read_touches(known[-len(TOUCH_COLUMNS) :]) if known else (None, None)
    recent, earliest, number = _read_sessions_of(connection, tables.session, person)
    seen = [
        *([earliest.started_at] if earliest else []),
        *(row.last_seen_at for row in recent),
        *([known.first_seen_at, known.last_seen_at] if known else []),
    ]
    if known is None and recent and earliest:
        first, last = _touch_of(earliest), _touch_of(recent[0])
    devices = {Device(row.browser, row.os, row.device_type): None for row in recent}
    orders, revenue = _read_orders(connection, tables, person)
    return Person(
        person=person,
        customer_id=known.customer_id if known else None,
        name=name_of(known.traits) if known else None,
        traits=known.traits if known else {},
        first_seen_at=min(seen, default=None),
        last_seen_at=max(seen, default=None),
        first_touch=first,
        last_touch=last,
        sessions=number,
        devices=tuple(devices),
        number_of_devices=len({row.device_id for row in recent}),
        country=next((row.country for row in recent if row.country), None),
        orders=orders,
        revenue=revenue,
        profiles=tuple(sorted(find_led(connection, tables.alias, [person]))),
    )


_TOUCH = ("source", "utm_medium", "utm_campaign", "utm_term", "utm_content", "referrer")
_SESSION = (*_TOUCH, "entry_rule", "channel", "started_at", "last_seen_at")


@cached_on_table
def _profile_query(profile: sa.Table) -> sa.Select[t.Any]:
    names = ("customer_id", "traits", "first_seen_at", "last_seen_at", *TOUCH_COLUMNS)
    query = sa.select(*(profile.c[name] for name in names))
    return query.where(profile.c.uuid == sa.bindparam("person"))


def _read_sessions_of(
    connection: sa.Connection, session: sa.Table, person: uuidlib.UUID
) -> tuple[cabc.Sequence[sa.Row[t.Any]], sa.Row[t.Any] | None, int]:
    """Return a person's latest sessions, the earliest one, and how many there are."""
    values = {"person": person}
    recent = connection.execute(_recent_query(session), values).all()
    if len(recent) < DEVICE_SESSIONS:
        return recent, recent[-1] if recent else None, len(recent)
    earliest = connection.execute(_earliest_query(session), values).one_or_none()
    return recent, earliest, connection.scalar(_number_query(session), values) or 0


@cached_on_table
def _recent_query(session: sa.Table) -> sa.Select[t.Any]:
    names = (*_SESSION, "device_id", "browser", "os", "device_type", "country")
    query = sa.select(*(session.c[name] for name in names)).where(_is_of(session))
    return query.order_by(session.c.started_at.desc()).limit(DEVICE_SESSIONS)


@cached_on_table
def _earliest_query(session: sa.Table) -> sa.Select[t.Any]:
    query = sa.select(*(session.c[name] for name in _SESSION)).where(_is_of(session))
    return query.order_by(session.c.started_at).limit(1)


@cached_on_table
def _number_query(session: sa.Table) -> sa.Select[t.Any]:
    return sa.select(sa.func.count()).where(_is_of(session))


def _is_of(table: sa.Table) -> sa.ColumnElement[bool]:
    return table.c.person == sa.bindparam("person")


def _touch_of(session: sa.Row[t.Any]) -> Touch:
    values = (getattr(session, name) for name in (*_TOUCH, "entry_rule", "channel", "started_at"))
    return Touch(*values)


def _read_orders(
    connection: sa.Connection, tables: Tables, person: uuidlib.UUID
) -> tuple[int, tuple[Money, ...]]:
    """Return the number of charges, and what was not cancelled of them by currency."""
    rows = connection.execute(_orders_query(tables.transaction), {"person": person}).all()
    revenue = (Money(from_minor(int(amount), currency), currency) for currency, _, amount in rows)
    return sum(number for _, number, _ in rows), tuple(revenue)


@cached_on_table
def _orders_query(order: sa.Table) -> sa.Select[t.Any]:
    currency, amount = order.c.currency, sa.func.sum(order.c.amount - order.c.cancelled)
    query = sa.select(currency, sa.func.count(), amount)
    query = query.where(_is_of(order), order.c.charge_id.is_(None))
    return query.group_by(currency).order_by(currency)


def read_person_feed(
    connection: sa.Connection,
    tables: Tables,
    profiles: cabc.Collection[uuidlib.UUID],
    before: Cursor | None = None,
    limit: int = 50,
    action: str = "",
) -> PersonFeed:
    """Return a page of the feed of some profiles, newest first.

    :param action: only events of this action, among the 2,000 latest events of each profile. The
        next page goes on where these end, so a page may have fewer events than the limit.
    """
    event = tables.event.c
    conditions, floor = _before(tables, before), None
    if action:
        floor = _find_floor(connection, tables, profiles, conditions)
        if floor is not None:
            conditions.append(event.time >= floor)
    # Events of the moment at which the look ends may be more than so many.
    among = (action, 2 * DEPTH) if action else None
    events = read_latest_of(connection, tables, profiles, limit, conditions, among=among)
    further = None
    if len(events) == limit:
        further = Cursor(events[-1].time, events[-1].id)
    elif floor is not None:
        further = Cursor(floor)
    return PersonFeed(events, _read_sessions(connection, tables, events), further)


def _before(tables: Tables, cursor: Cursor | None) -> list[sa.ColumnElement[bool]]:
    event = tables.event.c
    if cursor is None:
        return []
    if cursor.id is None:
        return [event.time < cursor.time]
    is_same = sa.and_(event.time == cursor.time, event.id < cursor.id)
    return [event.time <= cursor.time, sa.or_(event.time < cursor.time, is_same)]


def _find_floor(
    connection: sa.Connection,
    tables: Tables,
    profiles: cabc.Iterable[uuidlib.UUID],
    conditions: cabc.Sequence[sa.ColumnElement[bool]],
) -> dt.datetime | None:
    """Return how far back a look for an action goes; None if that is to the first event."""
    event = tables.event.c
    moments: list[dt.datetime] = []
    for uuids in in_chunks(profiles):
        last = sa.select(event.time).where(*conditions).order_by(event.time.desc())
        last = last.offset(DEPTH - 1).limit(1)
        arms = (sa.select(last.where(event.uuid == each).subquery()) for each in uuids)
        moments += connection.scalars(sa.union_all(*arms))
    return max(moments, default=None)


def _read_sessions(
    connection: sa.Connection, tables: Tables, events: cabc.Iterable[FeedEvent]
) -> dict[uuidlib.UUID, FeedSession]:
    numbers = sorted({event.session_id.int for event in events if event.session_id})
    if not numbers:
        return {}
    name = connection.dialect.name
    query = _sessions_query(tables.session, name)
    rows = connection.execute(query, ids_parameter(name, numbers))
    return {row.id: FeedSession(*row) for row in rows}


@cached_on_table
def _sessions_query(session: sa.Table, dialect_name: str) -> sa.Select[t.Any]:
    query = sa.select(*(session.c[name] for name in FeedSession._fields))
    return query.where(is_among(dialect_name, session.c.id))
