"""What the counters of data quality tell: accepted, refused and lost events.

They are counted by hour in UTC, and have no site. Where a day begins within such an hour, the whole
hour belongs to it.
"""

from __future__ import annotations

import collections.abc as cabc
import dataclasses
import datetime as dt
import typing as t

import sqlalchemy as sa

from ...store.tables import Tables, cached_on_table
from ..period import Bucket, Period

#: Each outcome that says what became of events. Others mark parameters and the day's pruning.
OUTCOMES: t.Final = ("accepted", "duplicate", "rejected", "dropped")
#: These, and what marks orders and parameters.
ALL_OUTCOMES: t.Final = (*OUTCOMES, "left_out", "contradicted", "cut", "invalid", "undefined")


@dataclasses.dataclass(frozen=True, slots=True)
class QualityRow:
    """How many events of an action had an outcome, and why. ``reason`` may be empty."""

    outcome: str
    action: str
    reason: str
    count: int


@dataclasses.dataclass(frozen=True, slots=True)
class Counters:
    """All outcomes of a period, the most frequent first.

    ``totals`` has the sum of each outcome that there was.
    """

    period: Period
    totals: dict[str, int]
    rows: tuple[QualityRow, ...]


def read_all(connection: sa.Connection, tables: Tables, period: Period) -> Counters:
    """Return the counters of all outcomes."""
    rows = read_counters(connection, tables, period, ALL_OUTCOMES)
    totals = dict.fromkeys(ALL_OUTCOMES, 0)
    for row in rows:
        totals[row.outcome] += row.count
    return Counters(period, {name: total for name, total in totals.items() if total}, tuple(rows))


def read_counters(
    connection: sa.Connection,
    tables: Tables,
    period: Period,
    outcomes: cabc.Collection[str],
    action: str | None = None,
    *,
    most: int | None = None,
) -> list[QualityRow]:
    """Return the counters of a period, the largest first.

    :param action: the only action whose counters are wanted.
    :param most: how many of them are wanted; None for all.
    """
    row = tables.quality.c
    number = sa.func.sum(row.count)
    keys = (row.outcome, row.action, row.reason)
    query = sa.select(*keys, number).where(*_within(row, period), row.outcome.in_(outcomes))
    if action is not None:
        query = query.where(row.action == action)
    query = query.group_by(*keys).order_by(number.desc(), *keys).limit(most)
    found = connection.execute(query)
    return [
        QualityRow(outcome.strip(), name.strip(), reason.strip(), int(count))
        for outcome, name, reason, count in found
        if count
    ]


def read_outcomes(
    connection: sa.Connection, tables: Tables, period: Period, bucket: Bucket
) -> dict[str, list[int]]:
    """Return how many events each outcome had in each bucket of a period that has begun."""
    spans = period.spans(bucket)
    series = {outcome: [0] * len(spans) for outcome in OUTCOMES}
    # A statement for each bucket, and no group: to sort the hours takes ten times as long.
    for place, span in enumerate(spans):
        bounds = {"lower": _whole(span.start), "upper": _whole(span.end)}
        counts = connection.execute(_outcomes_query(tables.quality), bounds).one()
        for outcome, count in zip(OUTCOMES, counts, strict=True):
            series[outcome][place] = int(count or 0)
    return series


@cached_on_table
def _outcomes_query(table: sa.Table) -> sa.Select[t.Any]:
    row = table.c
    lower, upper = (sa.bindparam(name, type_=row.hour.type) for name in ("lower", "upper"))
    sums = (sa.func.sum(sa.case((row.outcome == each, row.count), else_=0)) for each in OUTCOMES)
    return sa.select(*sums).where(row.hour >= lower, row.hour < upper)


def _within(row: t.Any, period: Period) -> list[sa.ColumnElement[bool]]:
    return [row.hour >= _whole(period.start), row.hour < _whole(period.end)]


def _whole(moment: dt.datetime) -> dt.datetime:
    """Return the hour that a moment belongs to: days of some zones begin at half past one."""
    return moment.replace(minute=0, second=0, microsecond=0)
