"""Marks for what is to be counted again: closed days, and visitors whose days have changed.

A transaction that changes sessions of earlier days sets them, and sets them last. ``number`` counts
up, so that a mark is a changed row even if it was there: the sweeper, which removes marks before it
counts, then waits for the transaction or leaves the mark.
"""

from __future__ import annotations

import collections.abc as cabc
import datetime as dt
import operator
import typing as t
import uuid as uuidlib

import sqlalchemy as sa

from .dialects import build_sum
from .local_days import day_of, start_of
from .rows import SessionRow
from .session_counts import COUNTED
from .tables import Tables, cached_on_table

_DAY = dt.timedelta(days=1)
_LATEST = dt.datetime.max.replace(tzinfo=dt.UTC)
_counted_of = operator.attrgetter("person", "uuid", *COUNTED)


class _Visit(t.Protocol):
    """A stored session, as far as it says who was here when."""

    @property
    def person(self) -> uuidlib.UUID | None: ...
    @property
    def uuid(self) -> uuidlib.UUID: ...
    @property
    def started_at(self) -> dt.datetime: ...


class Marks:
    """The marks of one transaction.

    Without a zone, the days around each session are marked too: the one of every zone is among
    them.

    :param now: sessions of its day need no marks, since the day is not closed yet.
    """

    def __init__(self, zone: dt.tzinfo | None = None, now: dt.datetime = _LATEST) -> None:
        self._zone = zone
        #: The first moment of today: what began then or later needs no mark.
        self.today: dt.datetime = now if zone is None else start_of(day_of(now, zone), zone)
        self._days: set[dt.date] = set()
        self._people: set[uuidlib.UUID] = set()

    def note_change(self, before: SessionRow | None, after: SessionRow | None) -> None:
        """Note what a session was, and what it is now; None if there is none."""
        rows = [row for row in (before, after) if row is not None and row.started_at < self.today]
        if not rows:
            return
        if before is not None and after is not None and _counted_of(before) == _counted_of(after):
            return
        visits = {(row.person or row.uuid, row.site, self._days_of(row.started_at)) for row in rows}
        for person, _, days in visits:
            self._days.update(days)
            if len(rows) == 1 or len(visits) > 1:
                self._people.add(person)

    def note_gone(self, rows: cabc.Iterable[_Visit]) -> None:
        """Note sessions that are deleted."""
        for row in rows:
            if row.started_at < self.today:
                self._days.update(self._days_of(row.started_at))
                self._people.add(row.person or row.uuid)

    def note_person(self, began: dt.datetime, *people: uuidlib.UUID) -> None:
        """Note that a session that began then has gone from one of the people to another."""
        if began < self.today:
            self._people.update(people)

    def note_hours(self, hours: cabc.Iterable[dt.datetime]) -> None:
        """Note hours whose totals change. In some zones, an hour belongs to two days."""
        for hour in hours:
            if hour < self.today:
                self._days.update(self._days_of(hour))
                self._days.update(self._days_of(hour.replace(minute=59, second=59)))

    def write(self, connection: sa.Connection, tables: Tables) -> None:
        """Write the marks in the order of their keys, so that two writers cannot deadlock."""
        _write(connection, tables.recount_day, "day", sorted(self._days))
        _write(connection, tables.recount_person, "person", sorted(self._people))

    def _days_of(self, moment: dt.datetime) -> tuple[dt.date, ...]:
        try:
            if self._zone is not None:
                return (day_of(moment, self._zone),)
            day = moment.date()
            return day - _DAY, day, day + _DAY
        except OverflowError:  # at the ends of the calendar, where no day is ever closed
            return ()


def _write(
    connection: sa.Connection, table: sa.Table, key: str, values: cabc.Sequence[object]
) -> None:
    if values:
        rows = [{key: value, "number": 1} for value in values]
        connection.execute(_sum_of(table, connection.dialect.name, "number"), rows)


@cached_on_table
def _sum_of(table: sa.Table, dialect_name: str, name: str) -> sa.Insert:
    return build_sum(dialect_name, table, name)
