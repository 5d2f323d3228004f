"""Whose sessions and transactions are: ``person``, kept right as aliases come and go.

A row's person is where the aliases lead from its ``uuid``: the customer's profile, else the profile
itself. So a profile that has an alias is no row's person, and the rows that a new alias concerns
are found by ``person``, also behind a chain of aliases.

A batch that is still open may not know of a new alias. So ``applied_at`` stays null until nothing
was left to rewrite a minute after the alias was stored.
"""

from __future__ import annotations

import collections.abc as cabc
import datetime as dt
import typing as t
import uuid as uuidlib

import sqlalchemy as sa

from .dialects import ids_parameter, in_chunks, is_among
from .engine import Database
from .marks import Marks
from .profile_touches import refill_profiles
from .tables import Tables, cached_on_table
from .tombstones import Tombstones

People = cabc.Mapping[uuidlib.UUID, uuidlib.UUID]

_CHUNK = 500
_ALIASES = 100
#: For how long a batch may be open that does not know of an alias.
_PAUSE = dt.timedelta(minutes=1)
# Each look follows two aliases. A chain of two is the longest that log-ins make.
_LOOKS = 4


def resolve_people(
    connection: sa.Connection, tables: Tables, uuids: cabc.Iterable[uuidlib.UUID]
) -> dict[uuidlib.UUID, uuidlib.UUID]:
    """Return the person of each profile: where its aliases lead, or the profile itself.

    That is one look-up, unless a chain has more than two aliases. It follows eight at most.
    """
    profiles = set(uuids)
    steps: dict[uuidlib.UUID, uuidlib.UUID] = {}
    unknown = profiles
    for _ in range(_LOOKS):
        ends = set[uuidlib.UUID]()
        for row in _read_aliases(connection, tables.alias, unknown):
            steps[row.anonymous_uuid] = row.customer_uuid
            if row.further is not None:
                steps[row.customer_uuid] = row.further
                ends.add(row.further)
        unknown = ends - steps.keys()
    return {uuid: _follow(steps, uuid) for uuid in profiles}


def _follow(steps: People, uuid: uuidlib.UUID) -> uuidlib.UUID:
    """Return the last profile of a chain. In a circle, the same one for all its members."""
    path = [uuid]
    while (after := steps.get(path[-1])) is not None:
        if after in path:
            return min(path[path.index(after) :])
        path.append(after)
    return path[-1]


def _read_aliases(
    connection: sa.Connection, alias: sa.Table, profiles: cabc.Collection[uuidlib.UUID]
) -> cabc.Sequence[sa.Row[tuple[uuidlib.UUID, uuidlib.UUID, uuidlib.UUID | None]]]:
    if not profiles:
        return []
    name = connection.dialect.name
    numbers = sorted(profile.int for profile in profiles)
    return connection.execute(_alias_query(alias, name), ids_parameter(name, numbers)).all()


@cached_on_table
def _alias_query(
    alias: sa.Table, dialect_name: str
) -> sa.Select[tuple[uuidlib.UUID, uuidlib.UUID, uuidlib.UUID | None]]:
    second = alias.alias("further")
    both = alias.outerjoin(second, second.c.anonymous_uuid == alias.c.customer_uuid)
    query = sa.select(
        alias.c.anonymous_uuid, alias.c.customer_uuid, second.c.customer_uuid.label("further")
    )
    return query.select_from(both).where(is_among(dialect_name, alias.c.anonymous_uuid))


def apply_new(
    connection: sa.Connection,
    tables: Tables,
    anonymous: cabc.Collection[uuidlib.UUID],
    marks: Marks,
) -> None:
    """Rewrite up to 500 rows of profiles whose aliases the batch has just written.

    Rows that another writer holds are left to :func:`apply_due`: to wait for them here could be a
    deadlock, since the batch holds the profiles already.
    """
    if anonymous:
        people = resolve_people(connection, tables, anonymous)
        _rewrite(connection, tables, "person", people, marks, waits=False)


def apply_due(tables: Tables, zone: dt.tzinfo, now: dt.datetime, connection: sa.Connection) -> int:
    """Do a step of a minute's chore: rewrite up to 500 rows of 100 aliases.

    :returns: how many rows and aliases it has done; 0 if the rest is for the next minute.
    """
    alias = tables.alias
    # Releases without ``stored_at`` may still write aliases.
    is_due = sa.func.coalesce(alias.c.stored_at, alias.c.created_at) <= now - _PAUSE
    query = sa.select(alias.c.anonymous_uuid).where(alias.c.applied_at.is_(None), is_due)
    query = query.limit(_ALIASES).with_for_update(skip_locked=True)
    anonymous = set(connection.scalars(query))
    if not anonymous:
        return 0
    people = resolve_people(connection, tables, anonymous)
    marks = Marks(zone, now)
    rows = _rewrite(connection, tables, "person", people, marks, waits=False)
    left = _find_left(connection, tables, people)
    done = sorted(anonymous - left)
    if done:
        change = alias.update().where(alias.c.anonymous_uuid.in_(done))
        connection.execute(change.values(applied_at=now))
    marks.write(connection, tables)
    return rows + len(done)


def _find_left(connection: sa.Connection, tables: Tables, people: People) -> set[uuidlib.UUID]:
    """Return the profiles that are still the person of a row, and should not be."""
    moved = [uuid for uuid, person in people.items() if uuid != person]
    left = set[uuidlib.UUID]()
    for table in (tables.session, tables.transaction):
        query = sa.select(table.c.person).where(table.c.person.in_(moved)).distinct()
        left.update(connection.scalars(query))
    return left


def unmerge(
    database: Database,
    tombstones: Tombstones,
    anonymous: uuidlib.UUID,
    zone: dt.tzinfo,
    clock: cabc.Callable[[], dt.datetime],
) -> uuidlib.UUID | None:
    """Undo the merge of an anonymous profile with a customer; return the customer's profile.

    Each transaction rewrites up to 500 rows, and the last one removes the alias. If this is
    interrupted, another call continues it; without one, the chores apply the alias again.
    """
    tables = database.tables
    while True:
        while database.take_turn(lambda each: _part_some(each, tables, anonymous, zone, clock())):
            pass
        customer, is_parted = database.retry(
            lambda each: _part(each, tables, tombstones, anonymous, zone, clock())
        )
        if is_parted:
            return customer


def _part_some(
    connection: sa.Connection,
    tables: Tables,
    anonymous: uuidlib.UUID,
    zone: dt.tzinfo,
    now: dt.datetime,
    *,
    waits: bool = False,
) -> int:
    """Rewrite up to 500 rows as if the alias were not there; return how many."""
    alias = tables.alias
    # A chore that applied the alias at the same time would undo this. It now waits for a minute.
    change = alias.update().where(alias.c.anonymous_uuid == anonymous)
    if not connection.execute(change.values(applied_at=None, stored_at=now)).rowcount:
        return 0
    led = find_led(connection, alias, [anonymous])
    people = dict.fromkeys(led, anonymous)
    marks = Marks(zone, now)
    number = _rewrite(connection, tables, "uuid", people, marks, waits=waits)
    marks.write(connection, tables)
    return number


def _part(
    connection: sa.Connection,
    tables: Tables,
    tombstones: Tombstones,
    anonymous: uuidlib.UUID,
    zone: dt.tzinfo,
    now: dt.datetime,
) -> tuple[uuidlib.UUID | None, bool]:
    """Rewrite what is left, and remove the alias, while no batch is open that knows of it.

    :returns: the customer, if there is an alias, and whether it is gone.
    """
    tombstones.wait_for_batches(connection)
    alias = tables.alias
    is_it = alias.c.anonymous_uuid == anonymous
    customer = connection.scalar(sa.select(alias.c.customer_uuid).where(is_it))
    if _part_some(connection, tables, anonymous, zone, now, waits=True) == _CHUNK:
        return customer, False
    connection.execute(alias.delete().where(is_it))
    if customer is not None:
        refill_profiles(connection, tables, [customer])
    return customer, True


def find_led(
    connection: sa.Connection, alias: sa.Table, ends: cabc.Iterable[uuidlib.UUID]
) -> cabc.Set[uuidlib.UUID]:
    """Return the profiles whose aliases lead to some profiles, and these themselves.

    Each look-up follows two aliases.
    """
    name = connection.dialect.name
    led, near = set[uuidlib.UUID](), set(ends)
    while near:
        led |= near
        further = set[uuidlib.UUID]()
        for uuids in in_chunks(near):
            ids = ids_parameter(name, [uuid.int for uuid in uuids])
            for row in connection.execute(_led_query(alias, name), ids):
                led.add(row.anonymous_uuid)
                further.add(row.further)
        near = further - led - {None}
    return led


@cached_on_table
def _led_query(
    alias: sa.Table, dialect_name: str
) -> sa.Select[tuple[uuidlib.UUID, uuidlib.UUID | None]]:
    second = alias.alias("further")
    both = alias.outerjoin(second, second.c.customer_uuid == alias.c.anonymous_uuid)
    query = sa.select(alias.c.anonymous_uuid, second.c.anonymous_uuid.label("further"))
    return query.select_from(both).where(is_among(dialect_name, alias.c.customer_uuid))


def correct_people(
    connection: sa.Connection,
    tables: Tables,
    profiles: cabc.Iterable[uuidlib.UUID],
    marks: Marks,
) -> None:
    """Rewrite what is left of these profiles after their aliases were deleted.

    The caller lets no batch be open meanwhile.
    """
    for chunk in in_chunks(profiles):
        concerned = set(chunk)
        for table in (tables.session, tables.transaction):
            theirs = sa.and_(table.c.person.in_(chunk), table.c.uuid.is_not(None))
            concerned.update(connection.scalars(sa.select(table.c.uuid).where(theirs).distinct()))
        people = resolve_people(connection, tables, concerned)
        while _rewrite(connection, tables, "uuid", people, marks, waits=True):
            pass


def _rewrite(
    connection: sa.Connection,
    tables: Tables,
    by: t.Literal["person", "uuid"],
    people: People,
    marks: Marks,
    *,
    waits: bool,
) -> int:
    """Give up to 500 rows the person that their present person, or their uuid, stands for.

    :param marks: where the people of sessions are noted; the caller writes them.
    :param waits: whether to wait for rows that another transaction holds, or to pass them over.
    :returns: how many rows were wrong.
    """
    number = 0
    for table in (tables.session, tables.transaction):
        key, person = table.c[by], table.c.person
        moved = {uuid: each for uuid, each in people.items() if uuid != each}
        target = sa.case(moved, value=key, else_=key) if moved else key
        began = tables.session.c.started_at if table is tables.session else sa.null()
        query = sa.select(table.c.id, key, table.c.uuid, person.label("was"), began.label("began"))
        query = query.where(key.in_(people), person.is_distinct_from(target))
        query = query.limit(_CHUNK - number).with_for_update(skip_locked=not waits)
        rows = connection.execute(query.order_by(table.c.id) if waits else query).all()
        for chunk in in_chunks(row.id for row in rows):
            change = table.update().where(table.c.id.in_(chunk))
            connection.execute(change.values(person=target))
        for row in rows:
            if row.began is not None:
                marks.note_person(row.began, row.was or row.uuid, people[row[1]])
        number += len(rows)
    return number
