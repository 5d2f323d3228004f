"""Finding people: by what is known of them, the newest, the most active, and who did an event."""

from __future__ import annotations

import collections
import collections.abc as cabc
import contextlib
import datetime as dt
import typing as t
import uuid as uuidlib

import sqlalchemy as sa

from ..identity.visitor import customer_uuid
from ..ids import charge_id
from ..store.dialects import in_chunks
from ..store.person import resolve_people
from ..store.tables import Tables, cached_on_table
from ..store.traits import searchable_text
from ..text import clean_text
from .rows import PersonRow

#: The most people of a list.
MOST: t.Final = 50
# The most active people are those with the most sessions among so many latest ones.
RECENT_SESSIONS: t.Final = 5000
# Who did an event is read from so many of its latest events at a time.
EVENTS_AT_ONCE: t.Final = 500
_MOST_IN_FILE = 100_000

_Uuids = cabc.Collection[uuidlib.UUID]
FoundBy = dict[uuidlib.UUID, tuple[str, str]]


def search_people(
    connection: sa.Connection, tables: Tables, salt: str, text: str, *, whole: bool = False
) -> list[PersonRow]:
    """Return the people that a text names: by customer id, uuid, order number, or trait.

    A trait is found by its whole value or its beginning. Each is a look-up by an index.

    :param whole: e-mail addresses are found by the whole address only, so that nobody can find out
        an address letter by letter.
    """
    text = clean_text(text).strip()
    if not text:
        return []
    found: FoundBy = {}
    for find in (_find_by_id, _find_by_order):
        found |= find(connection, tables, salt, text)
    for uuid, by in _find_by_trait(connection, tables, text, whole=whole).items():
        found.setdefault(uuid, by)
    people = resolve_people(connection, tables, found)
    by_person: FoundBy = {}
    for uuid, by in found.items():
        by_person.setdefault(people[uuid], by)
    return describe_people(connection, tables, list(by_person)[:MOST], by_person)


def _find_by_id(connection: sa.Connection, tables: Tables, salt: str, text: str) -> FoundBy:
    """Find the customer with this id, and whoever has this uuid, if anything is stored of them."""
    candidates: FoundBy = {customer_uuid(salt, text): ("customer", text)}
    with contextlib.suppress(ValueError):
        candidates.setdefault(uuidlib.UUID(text), ("uuid", text))
    stored = find_stored(connection, tables, candidates)
    return {uuid: by for uuid, by in candidates.items() if uuid in stored}


def find_stored(connection: sa.Connection, tables: Tables, uuids: _Uuids) -> set[uuidlib.UUID]:
    """Return those of some profiles of which anything is stored."""
    if not uuids:
        return set()
    others = tables.alias, tables.session, tables.event, tables.transaction
    query = _stored_query(tables.profile, *others, len(uuids))
    return set(connection.scalars(query, {f"uuid{n}": uuid for n, uuid in enumerate(uuids)}))


@cached_on_table
def _stored_query(
    profile: sa.Table,
    alias: sa.Table,
    session: sa.Table,
    event: sa.Table,
    transaction: sa.Table,
    number: int,
) -> sa.CompoundSelect[tuple[uuidlib.UUID]]:
    columns = (
        *(profile.c.uuid, alias.c.anonymous_uuid, session.c.person),
        *(event.c.uuid, transaction.c.person),
    )
    # A limit for each, since a person may have a hundred thousand events.
    arms = (
        sa.select(sa.select(column).where(column == sa.bindparam(f"uuid{n}")).limit(1).subquery())
        for column in columns
        for n in range(number)
    )
    return sa.union_all(*arms)


def _find_by_order(connection: sa.Connection, tables: Tables, salt: str, text: str) -> FoundBy:
    """Find whose order it is: the id of a charge is derived from the order's number."""
    order = tables.transaction.c
    query = sa.select(sa.func.coalesce(order.person, order.uuid))
    person = connection.scalar(query.where(order.id == charge_id(salt, text)))
    return {} if person is None else {person: ("order", text)}


def _find_by_trait(connection: sa.Connection, tables: Tables, text: str, *, whole: bool) -> FoundBy:
    sought = searchable_text(text)
    if sought is None:
        return {}
    trait = tables.trait.c
    query = sa.select(trait.uuid, trait.name, trait.value)
    exact = query.where(trait.value == sought).limit(MOST)
    longer = query.where(_begins_with(connection.dialect.name, trait.value, sought))
    if whole:
        longer = longer.where(trait.value.not_like("%@%"))
    longer = longer.order_by(trait.value).limit(MOST)
    rows = [*connection.execute(exact), *connection.execute(longer)]
    return {row.uuid: (row.name, row.value) for row in reversed(rows)}


def _begins_with(dialect_name: str, column: sa.Column[str], text: str) -> sa.ColumnElement[bool]:
    """Return the condition that a value begins with a text, as a range of the index."""
    end = _after(text)
    if dialect_name == "postgresql":
        return sa.and_(column.op("~>=~")(text), column.op("~<~")(end))
    return sa.and_(column >= text, column < end)


def _after(text: str) -> str:
    """Return the first text behind all that begin with this one."""
    number = ord(text[-1]) + 1
    if 0xD800 <= number <= 0xDFFF:
        number = 0xE000
    return text[:-1] + chr(number) if number <= 0x10FFFF else text + text[-1]


def newest_people(
    connection: sa.Connection,
    tables: Tables,
    before: uuidlib.UUID | None = None,
    limit: int = MOST,
) -> list[PersonRow]:
    """Return the customers who were identified for the first time last.

    :param before: the last person of the page before.
    """
    profile = tables.profile.c
    query = sa.select(profile.uuid).order_by(profile.first_seen_at.desc(), profile.uuid.desc())
    last = sa.select(profile.first_seen_at).where(profile.uuid == before)
    moment = None if before is None else connection.scalar(last)
    if moment is not None:
        is_same = sa.and_(profile.first_seen_at == moment, profile.uuid < before)
        query = query.where(profile.first_seen_at <= moment)
        query = query.where(sa.or_(profile.first_seen_at < moment, is_same))
    return describe_people(connection, tables, connection.scalars(query.limit(limit)).all())


def most_active_people(
    connection: sa.Connection, tables: Tables, limit: int = MOST
) -> list[PersonRow]:
    """Return the people with the most sessions among the latest 5,000 sessions."""
    session = tables.session.c
    query = sa.select(session.person).order_by(session.started_at.desc()).limit(RECENT_SESSIONS)
    number = collections.Counter(filter(None, connection.scalars(query)))
    return describe_people(connection, tables, [uuid for uuid, _ in number.most_common(limit)])


class Doers(t.NamedTuple):
    """Who did an event, the latest first, and where the next page begins; None if at the end."""

    people: list[PersonRow]
    further: dt.datetime | None


def read_doers(
    connection: sa.Connection,
    tables: Tables,
    action: str,
    since: dt.datetime,
    before: dt.datetime | None = None,
) -> Doers:
    """Return the people of the latest 500 events of an action, with how many each has of them.

    :param since: events before this moment are not looked at.
    :param before: only events before this moment.
    """
    rows = _read_doings(connection, tables, action, since, before, EVENTS_AT_ONCE)
    number = _count_people(connection, tables, rows)
    found = describe_people(connection, tables, list(number), events=number)
    return Doers(found, rows[-1][1] if len(rows) == EVENTS_AT_ONCE else None)


def iter_doers(
    open_: cabc.Callable[[], t.ContextManager[sa.Connection]],
    tables: Tables,
    action: str,
    since: dt.datetime,
) -> cabc.Iterator[PersonRow]:
    """Yield everyone who did an event since a moment, once, the latest first; 100,000 at most.

    :param open_: opens a connection. Each page has its own, so that none is held while a client
        reads slowly.
    """
    known: set[uuidlib.UUID] = set()
    before: dt.datetime | None = None
    while len(known) < _MOST_IN_FILE:
        with open_() as connection:
            page = read_doers(connection, tables, action, since, before)
        for row in page.people:
            if row.person not in known:
                known.add(row.person)
                yield row
        if page.further is None:
            return
        before = page.further


def _read_doings(
    connection: sa.Connection,
    tables: Tables,
    action: str,
    since: dt.datetime,
    before: dt.datetime | None,
    limit: int,
) -> list[tuple[uuidlib.UUID, dt.datetime]]:
    event = tables.event.c
    query = sa.select(event.uuid, event.time).where(event.action == action, event.time >= since)
    if before is not None:
        query = query.where(event.time < before)
    rows = connection.execute(query.order_by(event.time.desc()).limit(limit))
    return [(row.uuid, row.time) for row in rows]


def _count_people(
    connection: sa.Connection,
    tables: Tables,
    rows: cabc.Iterable[tuple[uuidlib.UUID, dt.datetime]],
) -> dict[uuidlib.UUID, int]:
    """Return how many rows each person has, in the order in which they come."""
    number = collections.Counter(uuid for uuid, _ in rows)
    people: dict[uuidlib.UUID, uuidlib.UUID] = {}
    for uuids in in_chunks(number):
        people |= resolve_people(connection, tables, uuids)
    found: dict[uuidlib.UUID, int] = {}
    for uuid, count in number.items():
        found[people[uuid]] = found.get(people[uuid], 0) + count
    return found


class Named(t.NamedTuple):
    """The person of a profile, and the customer's id if it is one's."""

    person: uuidlib.UUID
    customer_id: str | None


def name_people(
    connection: sa.Connection, tables: Tables, uuids: _Uuids
) -> dict[uuidlib.UUID, Named]:
    """Return whose these profiles are."""
    people = resolve_people(connection, tables, uuids)
    profile, ids = tables.profile.c, dict[uuidlib.UUID, str]()
    for chunk in in_chunks(set(people.values())):
        query = sa.select(profile.uuid, profile.customer_id).where(profile.uuid.in_(chunk))
        ids |= {row.uuid: row.customer_id for row in connection.execute(query)}
    return {uuid: Named(person, ids.get(person)) for uuid, person in people.items()}


def describe_people(
    connection: sa.Connection,
    tables: Tables,
    people: cabc.Sequence[uuidlib.UUID],
    found_by: cabc.Mapping[uuidlib.UUID, tuple[str, str]] | None = None,
    events: cabc.Mapping[uuidlib.UUID, int] | None = None,
) -> list[PersonRow]:
    """Return the rows of some people, in the given order."""
    profile, session = tables.profile.c, tables.session.c
    names = (profile.customer_id, profile.traits, profile.first_seen_at, profile.last_seen_at)
    spans = (sa.func.count(), sa.func.min(session.started_at), sa.func.max(session.started_at))
    known, sessions = dict[uuidlib.UUID, t.Any](), dict[uuidlib.UUID, t.Any]()
    for uuids in in_chunks(people):
        query = sa.select(profile.uuid, *names).where(profile.uuid.in_(uuids))
        known |= {row.uuid: row for row in connection.execute(query)}
        counts = sa.select(session.person, *spans).where(session.person.in_(uuids))
        sessions |= {row[0]: row for row in connection.execute(counts.group_by(session.person))}
    rows = []
    for uuid in people:
        one, (_, number, first, last) = known.get(uuid), sessions.get(uuid, (uuid, 0, None, None))
        rows.append(
            PersonRow(
                person=uuid,
                customer_id=one and one.customer_id,
                name=one and name_of(one.traits),
                first_seen_at=_extreme(min, one and one.first_seen_at, first),
                last_seen_at=_extreme(max, one and one.last_seen_at, last),
                sessions=number,
                found_by=(found_by or {}).get(uuid),
                events=(events or {}).get(uuid),
            )
        )
    return rows


def name_of(traits: cabc.Mapping[str, t.Any]) -> str | None:
    """Return a customer's name, if a trait of that name says it."""
    name = traits.get("name")
    return name if isinstance(name, str) and name.strip() else None


def _extreme(
    choose: cabc.Callable[[list[dt.datetime]], dt.datetime], *moments: dt.datetime | None
) -> dt.datetime | None:
    known = [moment for moment in moments if moment is not None]
    return choose(known) if known else None
