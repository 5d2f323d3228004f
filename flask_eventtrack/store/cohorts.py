"""The cohorts of closed days: of the visitors of a day, how many first came on which other day.

``eventtrack_cohort`` also counts for how many of them the day is their first one of its week or
month. So the sum over a week's days is the number of its distinct visitors, by their first day.
"""

from __future__ import annotations

import collections
import collections.abc as cabc
import datetime as dt
import typing as t

import sqlalchemy as sa

from .dialects import build_sums
from .local_days import NEVER, start_of_unit
from .tables import Tables, cached_on_table

#: By site, the day, the first day of all, and the last day before the day.
Returns = collections.Counter[tuple[str, dt.date, dt.date, dt.date]]
_COUNTS = ("visitors", "of_week", "of_month")
_KEY = ("site", "day", "first_day")


def count_cohorts(connection: sa.Connection, tables: Tables, day: dt.date) -> None:
    """Count the cohorts of a day, whose visitors were added."""
    visit, start = tables.person_day.alias("visit"), tables.person_day.alias("start")
    is_start = sa.and_(
        start.c.person == visit.c.person, start.c.site == visit.c.site, start.c.previous == NEVER
    )
    columns = visit.c.site, start.c.day, visit.c.previous
    query = sa.select(*columns, sa.func.count()).join_from(visit, start, is_start)
    found: Returns = collections.Counter()
    for row in connection.execute(query.where(visit.c.day == day).group_by(*columns)):
        found[row[0], day, row[1], row[2]] = int(row[3])
    change_cohorts(connection, tables, found)


def change_cohorts(connection: sa.Connection, tables: Tables, differences: Returns) -> None:
    """Add differences to what is stored."""
    table = tables.cohort
    sums = collections.defaultdict[tuple[str, dt.date, dt.date], list[int]](lambda: [0, 0, 0])
    for (site, day, first, previous), number in differences.items():
        counts = sums[site, day, first]
        for place, is_counted in enumerate(iter_counted(day, previous)):
            counts[place] += number * is_counted
    rows: list[dict[str, t.Any]] = [
        dict(zip((*_KEY, *_COUNTS), (*key, *counts), strict=True))
        for key, counts in sorted(sums.items())
        if any(counts)
    ]
    if rows:
        connection.execute(_sums_of(table, connection.dialect.name), rows)
    fewer = [{f"old_{name}": row[name] for name in _KEY} for row in rows if row["visitors"] < 0]
    if fewer:
        is_it = (table.c[name] == sa.bindparam(f"old_{name}") for name in _KEY)
        connection.execute(table.delete().where(*is_it, table.c.visitors == 0), fewer)


def iter_counted(day: dt.date, previous: dt.date) -> cabc.Iterator[bool]:
    """Yield whether a visitor counts on a day, as new of its week, and as new of its month."""
    yield True
    yield previous < start_of_unit(day, "week")
    yield previous < start_of_unit(day, "month")


@cached_on_table
def _sums_of(table: sa.Table, dialect_name: str) -> sa.Insert:
    return build_sums(dialect_name, table, _COUNTS)
