"""Events for people to read: the feed of a visitor, and the latest events of all visitors."""

from __future__ import annotations

import collections.abc as cabc
import datetime as dt
import itertools
import typing as t
import uuid as uuidlib

import sqlalchemy as sa

from ..records import SessionRef
from ..store.copies import AT_ONCE
from ..store.engine import Database
from ..store.in_view import in_view_of, say_in_view
from ..store.person import find_led
from ..store.tables import Tables, cached_on_table
from ..store.visits import VISITS
from ..text import action_label

#: For how long a transaction may have held rows back that it had given their time.
SLOWEST_COMMIT: t.Final = dt.timedelta(seconds=30)
# How many profiles a statement asks for. SQLite takes 500.
_PROFILES = 100
# So many of the latest rows are read to find those of an action.
_DEPTH = 2000
_NO_ONE = uuidlib.UUID(int=0)


class FeedEvent(t.NamedTuple):
    """One event of a feed; ``time`` is aware UTC.

    The label of a page visit has the time in view and how far the page was read, if these are
    known: "Visited page Pricing (18 s visible, 92 % read)". An event that was stored without a
    label has one made of its action.
    """

    id: uuidlib.UUID
    action: str
    time: dt.datetime
    label: str
    uuid: uuidlib.UUID
    session_id: uuidlib.UUID | None
    site: str
    source: str
    params: dict[str, t.Any]
    claimed_by: uuidlib.UUID | None = None


class Stored(t.NamedTuple):
    """An event, and when the writer stored it."""

    stored_at: dt.datetime
    event: FeedEvent


def read_feed(
    database: Database,
    profiles: cabc.Collection[uuidlib.UUID],
    before: dt.datetime | None,
    limit: int,
    by_session: uuidlib.UUID | None = None,
) -> list[FeedEvent]:
    """Return the events of some profiles and of those that became them, newest first.

    However old they are, and however many others there are, each profile's latest events are read
    by the index. In one condition, PostgreSQL would walk back through the events of all people.

    :param before: only events earlier than this aware moment.
    :param by_session: the session whose cookie alone vouches for the customer. There are no events
        for it once the customer has logged out.
    """
    tables = database.tables
    conditions = [] if before is None else [tables.event.c.time < before]
    with database.read() as connection:
        led = find_led(connection, tables.alias, profiles)
        return read_latest_of(connection, tables, led, limit, conditions, by_session)


def read_latest_of(
    connection: sa.Connection,
    tables: Tables,
    profiles: cabc.Iterable[uuidlib.UUID],
    limit: int,
    conditions: cabc.Sequence[sa.ColumnElement[bool]] = (),
    by_session: uuidlib.UUID | None = None,
    among: tuple[str, int] | None = None,
) -> list[FeedEvent]:
    """Return the latest events of exactly these profiles, newest first.

    :param among: an action, and among how many of each profile's latest events it is sought.
    """
    found, ordered = list[FeedEvent](), sorted(profiles)
    for start in range(0, len(ordered), _PROFILES):
        some = ordered[start : start + _PROFILES]
        # A power of two, so that few statements are kept; profiles of no one make up the number.
        number = 1 << (len(some) - 1).bit_length()
        if conditions or among:
            query = _latest_of(tables.event, number, conditions, among)
        else:
            query = _newest_of(tables.event, number)
        if by_session is not None:
            query = query.where(~_is_left(tables, by_session))
        uuids = itertools.chain(some, itertools.repeat(_NO_ONE))
        values = {f"uuid{n}": uuid for n, uuid in zip(range(number), uuids, strict=False)}
        found += map(read_feed_event, connection.execute(query, {**values, "most": limit}))
    return sorted(found, key=lambda event: event.time, reverse=True)[:limit]


@cached_on_table
def _newest_of(event: sa.Table, number: int) -> sa.Select[t.Any]:
    return _latest_of(event, number)


def _latest_of(
    event: sa.Table,
    number: int,
    conditions: cabc.Sequence[sa.ColumnElement[bool]] = (),
    among: tuple[str, int] | None = None,
) -> sa.Select[t.Any]:
    """Return the query of the latest events of so many profiles.

    An action is sought behind the limit of each profile: beside it, PostgreSQL would walk through
    the index of times and actions, over the events of all people.
    """
    row, most = event.c, sa.bindparam("most", type_=sa.Integer())
    latest = sa.select(*feed_columns(event)).order_by(row.time.desc(), row.id.desc())
    latest = latest.where(*conditions).limit(most if among is None else among[1])
    arms = (
        sa.select(latest.where(row.uuid == sa.bindparam(f"uuid{n}")).subquery())
        for n in range(number)
    )
    every = sa.union_all(*arms).subquery()
    found = sa.select(every).order_by(every.c.time.desc(), every.c.id.desc()).limit(most)
    return found if among is None else found.where(every.c.action == among[0])


def read_anonymous_feed(
    database: Database, profile: uuidlib.UUID, before: dt.datetime | None, limit: int
) -> list[FeedEvent]:
    """Return the events of an anonymous profile, newest first; none if it became a customer's."""
    tables = database.tables
    are_anonymous = is_anonymous(tables, tables.event.c.uuid, profile)
    return _read_page(database, are_anonymous, before, limit)


def read_session_feed(
    database: Database,
    profile: uuidlib.UUID,
    session: SessionRef,
    before: dt.datetime | None,
    limit: int,
) -> list[FeedEvent]:
    """Return a profile's events in a session, as far as anyone may read them, newest first.

    A browser with a copy of the device cookie opens a session of the same id. So these are the
    events since ``session`` was opened, and until the session's row says that a customer is vouched
    for or that a second browser has joined it.
    """
    event, row = database.tables.event, database.tables.session
    is_ours = sa.exists().where(
        row.c.id == session.id,
        row.c.started_at >= session.started_at - AT_ONCE,
        sa.or_(row.c.private_at.is_(None), row.c.private_at > event.c.received_at),
    )
    are_ours = sa.and_(
        event.c.session_id == session.id,
        event.c.uuid == profile,
        event.c.received_at >= session.started_at,
        is_ours,
    )
    return _read_page(database, are_ours, before, limit)


def is_theirs(
    tables: Tables,
    uuid: sa.Column[uuidlib.UUID],
    profiles: cabc.Collection[uuidlib.UUID],
    by_session: uuidlib.UUID | None = None,
) -> sa.ColumnElement[bool]:
    """Return the condition that a row's ``uuid`` is one of some profiles or of their aliases.

    :param by_session: see :func:`read_feed`.
    """
    alias = tables.alias
    aliases = sa.select(alias.c.anonymous_uuid).where(alias.c.customer_uuid.in_(profiles))
    theirs = sa.or_(uuid.in_(profiles), uuid.in_(aliases))
    return theirs if by_session is None else sa.and_(theirs, ~_is_left(tables, by_session))


def _is_left(tables: Tables, session_id: uuidlib.UUID) -> sa.ColumnElement[bool]:
    """Return the condition that the customer has left a session by a log-out."""
    session = sa.alias(tables.session).c
    return sa.exists().where(session.id == session_id, session.logged_out_at.is_not(None))


def is_anonymous(
    tables: Tables, uuid: sa.Column[uuidlib.UUID], profile: uuidlib.UUID
) -> sa.ColumnElement[bool]:
    """Return the condition that a row's ``uuid`` is a profile, and no alias of a customer."""
    return sa.and_(uuid == profile, ~sa.exists().where(tables.alias.c.anonymous_uuid == profile))


def _read_page(
    database: Database,
    condition: sa.ColumnElement[bool],
    before: dt.datetime | None,
    limit: int,
) -> list[FeedEvent]:
    event = database.tables.event
    query = sa.select(*feed_columns(database.tables.event)).where(condition)
    query = query.order_by(event.c.time.desc(), event.c.id.desc()).limit(limit)
    if before is not None:
        query = query.where(event.c.time < before)
    with database.read() as connection:
        return [read_feed_event(row) for row in connection.execute(query)]


class Wanted(t.NamedTuple):
    """Which events are wanted: of one of these patterns of actions, and of one of these profiles.

    A pattern such as ``product.*`` has ``*`` for any characters. Nothing given means all.
    """

    actions: tuple[str, ...] = ()
    profiles: cabc.Collection[uuidlib.UUID] | None = None

    def conditions(self, tables: Tables) -> cabc.Iterator[sa.ColumnElement[bool]]:
        event = tables.event.c
        if self.actions:
            patterns = (each.replace("/", "//").replace("%", "/%") for each in self.actions)
            likes = (each.replace("_", "/_").replace("*", "%") for each in patterns)
            yield sa.or_(*(event.action.like(each, escape="/") for each in likes))
        if self.profiles is not None:
            yield event.uuid.in_(self.profiles)


def read_latest(database: Database, limit: int, wanted: Wanted | None = None) -> list[Stored]:
    """Return the events written last: batch by batch, and in each as they happened."""
    event = database.tables.event.c
    query = _stored(database.tables).order_by(event.stored_at.desc(), event.time.desc())
    return _read(database, query.where(*_conditions(database, wanted)).limit(limit))


def read_since(
    connection: sa.Connection,
    tables: Tables,
    since: dt.datetime | None,
    limit: int,
    action: str = "",
) -> list[Stored]:
    """Return the events written last, newest first, at most ``limit``.

    :param since: only those that were stored at this moment or later.
    :param action: only those of this action, among the latest 2,000.
    """
    if since is None:
        # MariaDB would sort all events there are: no index has the order of equal moments.
        moment = tables.event.c.stored_at
        depth = _DEPTH if action else max(limit, 1)
        since = connection.scalar(
            sa.select(moment).order_by(moment.desc()).offset(depth - 1).limit(1)
        )
    query = query_since(tables, since, limit, action)
    return [Stored(row[0], read_feed_event(row[1:])) for row in connection.execute(query)]


def query_since(
    tables: Tables, since: dt.datetime | None, limit: int, action: str = ""
) -> sa.Select[t.Any]:
    """Return the query of :func:`read_since`."""
    event = tables.event.c
    order = event.stored_at.desc(), event.time.desc(), event.id.desc()
    query = _stored(tables).order_by(*order).limit(_DEPTH if action else limit)
    if since is not None:
        query = query.where(event.stored_at >= since)
    if action:
        latest = query.subquery()
        order = latest.c.stored_at.desc(), latest.c.time.desc(), latest.c.id.desc()
        query = sa.select(latest).where(latest.c.action == action).order_by(*order).limit(limit)
    return query


def _conditions(database: Database, wanted: Wanted | None) -> list[sa.ColumnElement[bool]]:
    return list(wanted.conditions(database.tables)) if wanted else []


def find_newest(database: Database) -> dt.datetime:
    """Return when an event was last written; long ago if none was."""
    with database.read() as connection:
        newest: dt.datetime | None = connection.scalar(
            sa.select(sa.func.max(database.tables.event.c.stored_at))
        )
    return newest or dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


class Start(t.NamedTuple):
    """Where following begins: when an event was last written, and the ids of the events there, as
    far back as a slow transaction may still add some."""

    moment: dt.datetime
    known: set[uuidlib.UUID]


def find_start(database: Database, wanted: Wanted | None = None) -> Start:
    """Return where following begins now."""
    moment = find_newest(database)
    return Start(moment, {row.event.id for row in _read_from(database, moment, wanted)})


def iter_new(
    database: Database,
    start: Start,
    told: cabc.Iterable[Stored],
    wanted: Wanted | None = None,
) -> cabc.Iterator[list[Stored]]:
    """Yield, at each step, the events written since the last one.

    :param start: where the first step begins.
    :param told: events that were read after that.

    A row gets its time before its transaction commits, so each step looks back for the rows of
    slow transactions.
    """
    last, known = start.moment, start.known | {row.event.id for row in told}
    while True:
        newest = find_newest(database)
        rows = _read_from(database, last, wanted)
        yield [row for row in rows if row.event.id not in known]
        known, last = {row.event.id for row in rows}, max(last, newest)


def _read_from(database: Database, moment: dt.datetime, wanted: Wanted | None) -> list[Stored]:
    query = _stored(database.tables).where(*_conditions(database, wanted))
    return _read(database, query.where(query.selected_columns[0] >= moment - SLOWEST_COMMIT))


def _read(database: Database, query: sa.Select[t.Any]) -> list[Stored]:
    with database.read() as connection:
        rows = [Stored(row[0], read_feed_event(row[1:])) for row in connection.execute(query)]
    return sorted(rows, key=lambda row: (row.stored_at, row.event.time))


def _stored(tables: Tables) -> sa.Select[t.Any]:
    return sa.select(tables.event.c.stored_at, *feed_columns(tables.event))


def feed_columns(event: sa.Table) -> list[sa.Column[t.Any]]:
    """Return what :func:`read_feed_event` reads."""
    return [event.c[name] for name in FeedEvent._fields]


def read_feed_event(row: cabc.Sequence[t.Any]) -> FeedEvent:
    """Return a row of :func:`feed_columns` as an event of a feed."""
    event = FeedEvent(*row)
    if not (event.label or "").strip():  # the column may be null
        event = event._replace(label=action_label(event.action))
    told = say_in_view(in_view_of(event.params)) if event.action in VISITS else ""
    return event._replace(label=f"{event.label} ({told})") if told else event
