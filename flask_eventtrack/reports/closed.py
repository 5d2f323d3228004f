"""What closed days tell: their counts, and their distinct visitors."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses
import datetime as dt
import typing as t

import sqlalchemy as sa

from ..store.dialects import id_as_text, ids_parameter, is_among
from ..store.local_days import NEVER, day_of, iter_days, start_of
from ..store.session_counts import Counts, pack
from ..store.tables import COUNTS, Tables
from .scan import iter_ids
from .sums import Sums

# More marked days than these are not counted live: what was counted before stands meanwhile.
_MOST_MARKED = 31
_ARMS = 100
_DAY = dt.timedelta(days=1)


@dataclasses.dataclass(frozen=True, slots=True)
class Closed:
    """Which days are closed: up to ``until``, None if there are none.

    ``marked`` are the closed days that wait to be counted again, and are counted live meanwhile.
    ``waiting`` is how many more of them there are.
    """

    until: dt.date | None = None
    marked: frozenset[dt.date] = frozenset()
    waiting: int = 0

    def is_closed(self, day: dt.date) -> bool:
        """Whether a day's counts are stored."""
        return self.until is not None and day <= self.until


def read_closed(connection: sa.Connection, tables: Tables) -> Closed:
    """Return which days are closed."""
    row, marks = tables.closed.c, tables.recount_day.c
    until: dt.date | None = connection.scalar(sa.select(row.until).where(row.id == 1))
    if until is None:
        return Closed()
    query = sa.select(marks.day).where(marks.day <= until).order_by(marks.day.desc())
    marked = connection.scalars(query).all()
    return Closed(until, frozenset(marked[:_MOST_MARKED]), len(marked[_MOST_MARKED:]))


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
    for day, dimension, *counts in connection.execute(query.group_by(daily.day, daily.dimension)):
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
        for dimension, value, *counts in connection.execute(query):
            into.values[dimension][value] += _pack(counts)


def read_heat(
    connection: sa.Connection, tables: Tables, site: str, days: cabc.Sequence[dt.date], into: Sums
) -> None:
    """Add the sessions of closed days by weekday and hour."""
    daily = tables.daily.c
    query = sa.select(daily.day, daily.value, daily.sessions).where(
        *_of_days(daily, site, days), daily.dimension == "hour"
    )
    for day, value, sessions in connection.execute(query):
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
    connection: sa.Connection, tables: Tables, site: str, last: dt.date, into: Sums
) -> None:
    """Add the distinct visitors of the closed days up to a day, by bucket and in all."""
    first = into.period.first
    matrix = tables.returning.c
    if last < first:
        return
    arms = [_distinct(matrix, site, -1, first, last)]
    for number, span in enumerate(into.spans):
        if span.first <= last:
            arms.append(_distinct(matrix, site, number, span.first, min(last, span.last)))
    for start in range(0, len(arms), _ARMS):
        for number, visitors, new in connection.execute(sa.union_all(*arms[start : start + _ARMS])):
            if number < 0:
                into.all_visitors += int(visitors or 0)
                into.all_new += int(new or 0)
            else:
                into.visitors[number] += int(visitors or 0)
                into.new_visitors[number] += int(new or 0)


def _distinct(
    matrix: t.Any, site: str, number: int, first: dt.date, last: dt.date
) -> sa.Select[t.Any]:
    new = sa.func.sum(sa.case((matrix.previous == NEVER, matrix.visitors), else_=0))
    # As text in the statement: MariaDB gives parameters of some arms another type.
    key = sa.literal_column(str(number), sa.Integer())
    return sa.select(key, sa.func.sum(matrix.visitors), new).where(
        matrix.site == site,
        matrix.day >= first,
        matrix.day <= last,
        matrix.previous < first,
    )


def read_previous(
    connection: sa.Connection,
    tables: Tables,
    zone: dt.tzinfo,
    site: str,
    people: cabc.Collection[str],
    before: dt.date,
    until: dt.date | None,
) -> dict[str, dt.date]:
    """Return the last day before a day on which people were here; without those who never were.

    :param until: the last closed day. Later ones are looked for among the sessions.
    """
    found: dict[str, dt.date] = {}
    if until is not None:
        table = tables.person_day.c
        person = id_as_text(connection.dialect.name, table.person)
        query = sa.select(person, sa.func.max(table.day)).group_by(table.person)
        query = query.where(
            is_among(connection.dialect.name, table.person),
            table.site == site,
            table.day < before,
        )
        for ids in iter_ids(people):
            parameters = ids_parameter(connection.dialect.name, ids)
            found.update(row._tuple() for row in connection.execute(query, parameters))
    after = NEVER if until is None else until + _DAY
    if after < before:
        found |= _previous_sessions(connection, tables, zone, site, people, after, before)
    return found


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
