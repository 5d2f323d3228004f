"""What closed days tell: their counts, and their distinct visitors."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses
import datetime as dt
import typing as t
import uuid as uuidlib

import sqlalchemy as sa

from ..store.closed_days import find_closed, find_marked_days, find_pending
from ..store.dialects import id_as_text, ids_parameter, is_among
from ..store.local_days import NEVER, day_of, iter_days, start_of
from ..store.session_counts import Counts, pack
from ..store.tables import COUNTS, Tables, cached_on_table
from ..store.visitor_days import Recount
from .scan import iter_ids
from .sums import Sums

# More marked days than these are not counted live: what was counted before stands meanwhile.
_MOST_MARKED = 31
_ARMS = 100
_DAY = dt.timedelta(days=1)


@dataclasses.dataclass(frozen=True, slots=True)
class ClosedDays:
    """Which days are closed, and what of it waits to be counted again.

    ``marked`` are the closed days that are counted live meanwhile, and ``waiting`` is how many more
    of them there are. ``pending`` is what the marked people will change; None if there are too many
    of them, so that what was counted before stands.
    """

    until: dt.date | None = None
    marked: frozenset[dt.date] = frozenset()
    waiting: int = 0
    pending: Recount | None = None

    def is_closed(self, day: dt.date) -> bool:
        """Whether a day's counts are stored."""
        return self.until is not None and day <= self.until


def read_closed(connection: sa.Connection, tables: Tables, zone: dt.tzinfo) -> ClosedDays:
    """Return which days are closed."""
    closed = find_closed(connection, tables)
    if closed is None:
        return ClosedDays()
    marked = find_marked_days(connection, tables, closed)
    pending = find_pending(connection, tables, zone, closed)
    waiting = len(marked[_MOST_MARKED:]) or int(pending is None)
    return ClosedDays(closed.until, frozenset(marked[:_MOST_MARKED]), waiting, pending)


def read_daily(
    connection: sa.Connection, tables: Tables, site: str, days: cabc.Sequence[dt.date], into: Sums
) -> None:
    """Add the closed rows of some days.

    :param site: one site, or an empty text for all of them.
    """
    daily = tables.daily.c
    sums = [sa.func.sum(daily[name]) for name in COUNTS]
    of_days = _of_days(daily, site, days)
    query = sa.select(daily.day, daily.dimension, *sums).where(
        *of_days, daily.dimension.in_(["", "page"])
    )
    rows = connection.execute(query.group_by(daily.day, daily.dimension)).all()
    for day, dimension, *counts in rows:
        bucket = into.bucket_of(day)
        if dimension:
            into.page_visits[bucket] += int(Counts(*counts).pages)
        else:
            into.counts[bucket] += _pack(counts)
    _read_values(connection, daily, of_days, into)


def _read_values(
    connection: sa.Connection,
    daily: t.Any,
    of_days: cabc.Iterable[sa.ColumnElement[bool]],
    into: Sums,
) -> None:
    if into.dimensions:
        sums = [sa.func.sum(daily[name]) for name in COUNTS]
        query = sa.select(daily.dimension, daily.value, *sums).where(
            *of_days, daily.dimension.in_(into.dimensions)
        )
        query = query.group_by(daily.dimension, daily.value)
        for dimension, value, *counts in connection.execute(query).all():
            into.values[dimension][value] += _pack(counts)


def read_heat(
    connection: sa.Connection, tables: Tables, site: str, days: cabc.Sequence[dt.date], into: Sums
) -> None:
    """Add the sessions of closed days by weekday and hour."""
    daily = tables.daily.c
    query = sa.select(daily.day, daily.value, daily.sessions).where(
        *_of_days(daily, site, days), daily.dimension == "hour"
    )
    for day, value, sessions in connection.execute(query).all():
        into.heat[day.weekday(), int(value)] += int(sessions)


def _of_days(table: t.Any, site: str, days: cabc.Sequence[dt.date]) -> list[sa.ColumnElement[bool]]:
    """Return the condition that rows are of a site and of some days, most of them in a row."""
    first, last = min(days), max(days)
    found = [table.site == site, table.day >= first, table.day <= last]
    left_out = set(iter_days(first, last)) - set(days)
    return [*found, table.day.not_in(sorted(left_out))] if left_out else found


def _pack(counts: cabc.Sequence[t.Any]) -> int:
    return pack(Counts(*map(int, counts)))


def read_visitors(
    connection: sa.Connection,
    tables: Tables,
    site: str,
    last: dt.date,
    pending: Recount | None,
    into: Sums,
) -> None:
    """Add the distinct visitors of the closed days up to a day, by bucket and in all.

    :param pending: what is to be added to what is stored.
    """
    ranges = [(-1, into.period.first, last)] if into.period.first <= last else []
    ranges += [
        (number, span.first, min(last, span.last))
        for number, span in enumerate(into.spans)
        if span.first <= last
    ]
    if into.bucket == "day":
        _read_days(connection, tables, site, last, into)
    else:
        _read_ranges(connection, tables, site, ranges, into)
    changes = pending.differences.items() if pending else ()
    for (place, day, previous), number in changes:
        if place == site:
            for bucket, first, end in ranges:
                if previous < first <= day <= end:
                    into.add_visitors(bucket, number, number * (previous == NEVER))


def _read_days(
    connection: sa.Connection, tables: Tables, site: str, last: dt.date, into: Sums
) -> None:
    """Add the visitors of each day, and those who were not here since the first day."""
    values = {"site": site, "first": into.period.first, "last": last}
    rows = connection.execute(_days_query(tables.returning), values).all()
    for day, visitors, new, of_period in rows:
        into.add_visitors(into.bucket_of(day), int(visitors), int(new))
        into.add_visitors(-1, int(of_period), int(new))


def _read_ranges(
    connection: sa.Connection,
    tables: Tables,
    site: str,
    ranges: cabc.Sequence[tuple[int, dt.date, dt.date]],
    into: Sums,
) -> None:
    for start in range(0, len(ranges), _ARMS):
        some = ranges[start : start + _ARMS]
        values: dict[str, object] = {"site": site}
        for place, (_, first, last) in enumerate(some):
            values |= {f"first{place}": first, f"last{place}": last}
        query = _ranges_query(tables.returning, len(some))
        for place, visitors, new in connection.execute(query, values).all():
            into.add_visitors(some[place][0], int(visitors or 0), int(new or 0))


@cached_on_table
def _days_query(table: sa.Table) -> sa.Select[t.Any]:
    matrix = table.c
    first = _day(table, "first")
    of_period = sa.func.sum(sa.case((matrix.previous < first, matrix.visitors), else_=0))
    query = sa.select(matrix.day, sa.func.sum(matrix.visitors), _sum_new(table), of_period)
    query = query.where(matrix.site == _site(table), matrix.day >= first)
    return query.where(matrix.day <= _day(table, "last")).group_by(matrix.day)


@cached_on_table
def _ranges_query(table: sa.Table, number: int) -> sa.CompoundSelect[t.Any]:
    # To make it takes longer than to run it.
    return sa.union_all(*(_distinct(table, place) for place in range(number)))


def _distinct(table: sa.Table, place: int) -> sa.Select[t.Any]:
    matrix, first = table.c, _day(table, f"first{place}")
    # As text in the statement: MariaDB gives parameters of some arms another type.
    key = sa.literal_column(str(place), sa.Integer())
    return sa.select(key, sa.func.sum(matrix.visitors), _sum_new(table)).where(
        matrix.site == _site(table),
        matrix.day >= first,
        matrix.day <= _day(table, f"last{place}"),
        matrix.previous < first,
    )


def _sum_new(table: sa.Table) -> sa.ColumnElement[t.Any]:
    is_new = table.c.previous == NEVER
    return sa.func.sum(sa.case((is_new, table.c.visitors), else_=0))


def _site(table: sa.Table) -> sa.BindParameter[str]:
    return sa.bindparam("site", type_=table.c.site.type)


def _day(table: sa.Table, name: str) -> sa.BindParameter[dt.date]:
    return sa.bindparam(name, type_=table.c.day.type)


def read_previous(
    connection: sa.Connection,
    tables: Tables,
    zone: dt.tzinfo,
    site: str,
    people: cabc.Collection[str],
    before: dt.date,
    closed: ClosedDays,
) -> dict[str, dt.date]:
    """Return the last day before a day on which people were here; without those who never were."""
    found: dict[str, dt.date] = {}
    if closed.until is not None:
        found = _previous_days(connection, tables, site, people, before)
        if closed.pending:
            marked = _read_marked(connection, tables, site, people, before, closed.pending)
            found = {each: day for each, day in (found | marked).items() if day > NEVER}
    after = NEVER if closed.until is None else closed.until + _DAY
    if after < before:
        found |= _previous_sessions(connection, tables, zone, site, people, after, before)
    return found


def _previous_days(
    connection: sa.Connection,
    tables: Tables,
    site: str,
    people: cabc.Collection[str],
    before: dt.date,
) -> dict[str, dt.date]:
    table, name = tables.person_day.c, connection.dialect.name
    query = sa.select(id_as_text(name, table.person), sa.func.max(table.day))
    query = query.where(is_among(name, table.person), table.site == site, table.day < before)
    found: dict[str, dt.date] = {}
    for ids in iter_ids(people):
        rows = connection.execute(query.group_by(table.person), ids_parameter(name, ids))
        found.update((row[0], row[1]) for row in rows)
    return found


def _read_marked(
    connection: sa.Connection,
    tables: Tables,
    site: str,
    people: cabc.Collection[str],
    before: dt.date,
    pending: Recount,
) -> dict[str, dt.date]:
    """Return the same of the marked people, as it is by their sessions; NEVER if they never were.

    A row that is both removed and added has another day before it, and the same day.
    """
    changed = {row[0] for row in pending.removed} | {row[0] for row in pending.added}
    texts = {uuidlib.UUID(each): each for each in people} if changed else {}
    days = {person: set[dt.date]() for person in changed & texts.keys()}
    if not days:
        return {}
    table, name = tables.person_day.c, connection.dialect.name
    query = sa.select(table.person, table.day).where(is_among(name, table.person))
    query = query.where(table.site == site, table.day < before)
    for person, day in connection.execute(query, ids_parameter(name, [each.int for each in days])):
        days[person].add(day)
    for person, place, day in pending.removed:
        if place == site and person in days:
            days[person].discard(day)
    for person, place, day, _ in pending.added:
        if place == site and person in days and day < before:
            days[person].add(day)
    return {texts[person]: max(theirs, default=NEVER) for person, theirs in days.items()}


def _previous_sessions(
    connection: sa.Connection,
    tables: Tables,
    zone: dt.tzinfo,
    site: str,
    people: cabc.Collection[str],
    after: dt.date,
    before: dt.date,
) -> dict[str, dt.date]:

    session = tables.session.c
    name = connection.dialect.name
    person = id_as_text(name, session.person)
    query = sa.select(person, sa.func.max(session.started_at)).group_by(session.person)
    query = query.where(is_among(name, session.person), session.started_at < start_of(before, zone))
    if after > NEVER:
        query = query.where(session.started_at >= start_of(after, zone))
    if site:
        query = query.where(session.site == site)
    found = {}
    for ids in iter_ids(people):
        for each, moment in connection.execute(query, ids_parameter(name, ids)):
            found[each] = day_of(moment, zone)
    return found
