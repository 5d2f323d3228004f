"""Counters of a batch: hourly totals and data quality."""

from __future__ import annotations

import collections
import collections.abc as cabc
import datetime as dt
import functools
import typing as t

import sqlalchemy as sa

from ..text import ACTION_MAX_LENGTH
from .fast_rows import add_counts
from .rows import EventRow, HourlyRow, QualityRow, to_utc
from .tables import Tables

_REASON_MAX_LENGTH = 64

# The hour is the number of hours since the year 1: numbers hash and compare fast.
_Key = tuple[int, str, str, str]


class Totals:
    """What a batch adds to ``eventtrack_hourly`` and ``eventtrack_quality``."""

    def __init__(self) -> None:
        self._hourly: collections.Counter[_Key] = collections.Counter()
        self._quality: collections.Counter[_Key] = collections.Counter()

    def count_accepted(self, rows: cabc.Iterable[EventRow]) -> None:
        """Count new events in the hours in which they were received."""
        self._quality.update(
            [(_hour_of(row.received_at), "accepted", row.action, "") for row in rows]
        )

    def count_new(self, rows: cabc.Iterable[EventRow]) -> None:
        """Count new rows in the hours in which they happened."""
        self._hourly.update(_list_hourly(rows))

    def count_stored(self, row: EventRow, by: int) -> None:
        """Count a row that has changed; ``by=-1`` takes it out of what it was counted as."""
        for key in _list_hourly([row]):
            self._hourly[key] += by

    def count_outcome(
        self, at: dt.datetime, outcome: str, action: str, reason: str = "", by: int = 1
    ) -> None:
        hour = _hour_of(to_utc(at))
        key = (hour, outcome, action[:ACTION_MAX_LENGTH], reason[:_REASON_MAX_LENGTH])
        self._quality[key] += by

    def write(self, connection: sa.Connection, tables: Tables) -> None:
        """Add the counters in the order of their keys, so that two writers cannot deadlock."""
        hourly = [HourlyRow(*values) for values in _list(self._hourly)]
        quality = [QualityRow(*values) for values in _list(self._quality)]
        add_counts(connection, tables.hourly, hourly)
        add_counts(connection, tables.quality, quality)


def hourly_columns(event: sa.Table) -> list[sa.Column[t.Any]]:
    """Return the columns of an event by which totals are kept."""
    return [event.c.time, event.c.site, event.c.action, event.c.url_rule, event.c.source]


def subtract(connection: sa.Connection, tables: Tables, rows: cabc.Iterable[sa.Row[t.Any]]) -> None:
    """Take erased events, which have the :func:`hourly_columns`, out of the totals."""
    counted = _list(collections.Counter(_list_hourly(rows)))
    if counted:
        names = ("at_hour", "of_site", "of_action", "of_rule", "less")
        parameters = [dict(zip(names, values, strict=True)) for values in counted]
        connection.execute(_subtraction(tables.hourly), parameters)


@functools.lru_cache(maxsize=64)
def _subtraction(table: sa.Table) -> sa.Update:
    less = sa.bindparam("less", type_=sa.BigInteger())
    rest = sa.case((table.c.count > less, table.c.count - less), else_=0)
    return (
        table.update()
        .where(
            table.c.hour == sa.bindparam("at_hour"),
            table.c.site == sa.bindparam("of_site"),
            table.c.action == sa.bindparam("of_action"),
            table.c.url_rule == sa.bindparam("of_rule"),
        )
        .values(count=rest)
    )


def _list_hourly(rows: cabc.Iterable[EventRow | sa.Row[t.Any]]) -> list[_Key]:
    """Return which totals rows belong to; a bot's to none."""
    return [
        (_hour_of(row.time), row.site, row.action, row.url_rule)
        for row in rows
        if row.source != "bot"
    ]


def _hour_of(moment: dt.datetime) -> int:
    return moment.toordinal() * 24 + moment.hour


def _list(counter: collections.Counter[_Key]) -> list[tuple[dt.datetime, str, str, str, int]]:
    return [
        (_moment_of(hour), first, second, third, count)
        for (hour, first, second, third), count in sorted(counter.items())
        if count
    ]


def _moment_of(hour: int) -> dt.datetime:
    days, hours = divmod(hour, 24)
    return dt.datetime.fromordinal(days).replace(hour=hours, tzinfo=dt.UTC)
