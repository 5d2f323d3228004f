"""The visitors of closed days: who was here on which day, and on which day before that.

``eventtrack_person_day`` has a row for each person, site and day, with the person's day before it.
``eventtrack_returning`` counts these rows by their two days. So the distinct visitors of any range
of days are the rows in it whose day before is not: one sum, exact.

``eventtrack_cohort`` counts them by the first day of all: see :mod:`.cohorts`.

When the sessions of a person change, their rows are made anew from the sessions, and the counts
change by the differences.
"""

from __future__ import annotations

import collections
import collections.abc as cabc
import dataclasses
import datetime as dt
import typing as t
import uuid as uuidlib

import sqlalchemy as sa

from .cohorts import Returns, change_cohorts, count_cohorts
from .day_counts import ALL_SITES
from .dialects import build_sum, ids_parameter, in_chunks, is_among
from .local_days import NEVER, bounds_of, day_of, start_of
from .tables import Tables, cached_on_table

#: A person on a site, or on all of them.
Visitor = tuple[uuidlib.UUID, str]
#: A visitor's days, and for each one the day before.
Chain = cabc.Mapping[dt.date, dt.date]
#: Changes of ``eventtrack_returning``, by site, day and the day before.
Differences = collections.Counter[tuple[str, dt.date, dt.date]]

_DAY = dt.timedelta(days=1)
_KEY = ("person", "site", "day")


class Closed(t.NamedTuple):
    """Which days are closed: those until ``until``, in ``zone``.

    Days before ``since`` stay as they were counted: some of their sessions are pruned.
    """

    zone: str
    since: dt.date
    until: dt.date


@dataclasses.dataclass(frozen=True, slots=True)
class Recount:
    """What is to change about some people: rows to remove and to add, and the counts.

    ``returns`` are the changes of ``eventtrack_cohort``.
    """

    removed: cabc.Sequence[tuple[uuidlib.UUID, str, dt.date]]
    added: cabc.Sequence[tuple[uuidlib.UUID, str, dt.date, dt.date]]
    differences: Differences
    returns: Returns
    #: The last closed day of each visitor, as it is by their sessions.
    last: cabc.Mapping[Visitor, dt.date]


def add_day(connection: sa.Connection, tables: Tables, zone: dt.tzinfo, day: dt.date) -> None:
    """Add the visitors of a day that is later than all closed ones."""
    session, person_day = tables.session, tables.person_day
    lower, upper = bounds_of(day, zone)
    person = sa.func.coalesce(session.c.person, session.c.uuid)
    is_then = sa.and_(session.c.started_at >= lower, session.c.started_at < upper)
    here = sa.select(person.label("person"), session.c.site).where(is_then).distinct()
    everywhere = sa.select(person.label("person"), sa.literal(ALL_SITES).label("site"))
    visits = everywhere.where(is_then).distinct().union_all(here.where(session.c.site != ALL_SITES))
    visit, before = visits.subquery("visit"), person_day.alias("earlier")
    last = sa.select(sa.func.max(before.c.day)).where(
        before.c.person == visit.c.person, before.c.site == visit.c.site, before.c.day < day
    )
    never, this = sa.literal(NEVER, sa.Date()), sa.literal(day, sa.Date())
    previous = sa.func.coalesce(last.scalar_subquery(), never)
    rows = sa.select(visit.c.person, visit.c.site, this, previous)
    # In the order of the key, so that neighbours are written together.
    rows = rows.order_by(visit.c.person, visit.c.site)
    # A failure ends the transaction, so SQLite need not keep the pages as they were before.
    insert = person_day.insert().prefix_with("OR FAIL", dialect="sqlite")
    connection.execute(insert.from_select([*_KEY, "previous"], rows))
    counted = person_day.c.site, person_day.c.day, person_day.c.previous
    counts = sa.select(*counted, sa.func.count()).where(person_day.c.day == day).group_by(*counted)
    into = ["site", "day", "previous", "visitors"]
    connection.execute(tables.returning.insert().from_select(into, counts))
    count_cohorts(connection, tables, day)


def find_recount(
    connection: sa.Connection,
    tables: Tables,
    zone: dt.tzinfo,
    closed: Closed,
    people: cabc.Collection[uuidlib.UUID],
) -> Recount:
    """Compare the stored days of some people with their sessions."""
    stored = _read_chains(connection, tables, people)
    true = _read_days(connection, tables, zone, closed, people)
    removed, added, last = [], [], {}
    differences: Differences = collections.Counter()
    returns: Returns = collections.Counter()
    for visitor in sorted(stored.keys() | true.keys()):
        before = stored.get(visitor, {})
        after = _chain_of(before, true.get(visitor, set()), closed.since)
        last[visitor] = max(after, default=NEVER)
        for day, previous in before.items() - after.items():
            removed.append((*visitor, day))
            if day >= closed.since:
                differences[visitor[1], day, previous] -= 1
        for day, previous in after.items() - before.items():
            added.append((*visitor, day, previous))
            differences[visitor[1], day, previous] += 1
        returns.subtract(_iter_returns(visitor[1], before, closed.since))
        returns.update(_iter_returns(visitor[1], after, closed.since))
    return Recount(removed, added, differences, returns, last)


def _iter_returns(
    site: str, chain: Chain, since: dt.date
) -> cabc.Iterator[tuple[str, dt.date, dt.date, dt.date]]:
    """Yield the days of a visitor with their first one, if that is known."""
    first = next((day for day, previous in chain.items() if previous == NEVER), None)
    if first is not None:
        for day, previous in chain.items():
            if day >= since:
                yield site, day, first, previous


def _chain_of(stored: Chain, days: cabc.Set[dt.date], since: dt.date) -> Chain:
    """Return what a visitor's rows should be.

    Rows before ``since`` stay as long as there are sessions. The first row after them keeps the day
    before it, although that one's sessions may be pruned.
    """
    early = {day: previous for day, previous in stored.items() if day < since}
    chain = {day: previous for day, previous in early.items() if day in days}
    first = min((day for day in stored if day >= since), default=None)
    previous = max(early, default=NEVER) if first is None else stored[first]
    for day in sorted(day for day in days if day >= since):
        chain[day], previous = previous, day
    return chain


def recount(
    connection: sa.Connection,
    tables: Tables,
    zone: dt.tzinfo,
    closed: Closed,
    people: cabc.Collection[uuidlib.UUID],
) -> None:
    """Bring the rows of some people, and the counts, in line with their sessions.

    The caller holds the row of ``eventtrack_closed``.
    """
    change = find_recount(connection, tables, zone, closed, people)
    table = tables.person_day
    if change.removed:
        is_it = (table.c[name] == sa.bindparam(f"old_{name}") for name in _KEY)
        names = [f"old_{name}" for name in _KEY]
        rows = [dict(zip(names, row, strict=True)) for row in sorted(change.removed)]
        connection.execute(table.delete().where(*is_it), rows)
    if change.added:
        names = table.columns.keys()
        added = [dict(zip(names, row, strict=True)) for row in sorted(change.added)]
        connection.execute(table.insert(), added)
    _apply(connection, tables.returning, change.differences)
    change_cohorts(connection, tables, change.returns)


def _apply(connection: sa.Connection, table: sa.Table, differences: Differences) -> None:
    changes: list[dict[str, t.Any]] = [
        {"site": site, "day": day, "previous": previous, "visitors": number}
        for (site, day, previous), number in sorted(differences.items())
        if number
    ]
    if changes:
        connection.execute(_sum_of(table, connection.dialect.name), changes)
    fewer = [row for row in changes if row["visitors"] < 0]
    if fewer:
        is_it = (
            table.c[name] == sa.bindparam(f"old_{name}") for name in ("site", "day", "previous")
        )
        keys = [{f"old_{name}": value for name, value in row.items()} for row in fewer]
        connection.execute(table.delete().where(*is_it, table.c.visitors == 0), keys)


@cached_on_table
def _sum_of(table: sa.Table, dialect_name: str) -> sa.Insert:
    return build_sum(dialect_name, table, "visitors")


def _read_chains(
    connection: sa.Connection, tables: Tables, people: cabc.Collection[uuidlib.UUID]
) -> dict[Visitor, dict[dt.date, dt.date]]:
    chains: dict[Visitor, dict[dt.date, dt.date]] = {}
    table, name = tables.person_day, connection.dialect.name
    query = sa.select(table).where(is_among(name, table.c.person))
    ids = ids_parameter(name, [person.int for person in people])
    for person, site, day, previous in connection.execute(query, ids):
        chains.setdefault((person, site), {})[day] = previous
    return chains


def _read_days(
    connection: sa.Connection,
    tables: Tables,
    zone: dt.tzinfo,
    closed: Closed,
    people: cabc.Collection[uuidlib.UUID],
) -> dict[Visitor, set[dt.date]]:
    """Return the closed days on which these people have sessions."""
    days: dict[Visitor, set[dt.date]] = {}
    session, name = tables.session.c, connection.dialect.name
    ids = ids_parameter(name, [person.int for person in people])
    end = start_of(closed.until + _DAY, zone)
    # A session of an earlier release has no person until the upgrade has filled it.
    is_unfilled = session.person.is_(None)
    for person, is_theirs in ((session.person, sa.true()), (session.uuid, is_unfilled)):
        query = sa.select(person, session.site, session.started_at)
        query = query.where(is_among(name, person), is_theirs, session.started_at < end)
        for uuid, site, began in connection.execute(query, ids):
            day = day_of(began, zone)
            for each in {ALL_SITES, site}:
                days.setdefault((uuid, each), set()).add(day)
    return days


def forget_days(
    connection: sa.Connection,
    tables: Tables,
    people: cabc.Iterable[uuidlib.UUID],
    before: dt.date,
) -> None:
    """Delete rows of days that are never counted again; their counts stay."""
    table = tables.person_day
    for chunk in in_chunks(sorted(people)):
        is_old = sa.and_(table.c.person.in_(chunk), table.c.day < before)
        connection.execute(table.delete().where(is_old))
