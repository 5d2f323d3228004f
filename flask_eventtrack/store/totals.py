"""Counters of a batch: hourly totals, data quality, and what agents have read."""

from __future__ import annotations

import collections
import collections.abc as cabc
import datetime as dt
import typing as t

import msgspec
import sqlalchemy as sa

from ..records import AgentRead
from ..text import ACTION_MAX_LENGTH, is_name
from .agent_days import AgentDays
from .fast_rows import add_counts
from .marks import Marks
from .rows import CountRow, EventRow
from .tables import Tables
from .types import to_utc
from .undefined import UNDEFINED, UndefinedNames, strip_name

_REASON_MAX_LENGTH = 64

# The first is the number of hours since the year 1: numbers hash and compare fast.
_Key = tuple[int, str, str, str]


class Totals:
    """The counts that a batch adds to ``eventtrack_hourly``, ``eventtrack_quality`` and
    ``eventtrack_agent_daily``.

    :param marks: what is to be counted again of closed days; written last.
    """

    def __init__(
        self,
        names: UndefinedNames | None = None,
        marks: Marks | None = None,
        agents: AgentDays | None = None,
    ) -> None:
        self._names = names or UndefinedNames()
        self._agents = agents or AgentDays()
        self._reads: cabc.Mapping[AgentRead, int] = {}
        self.marks: Marks = marks or Marks()
        self._hourly: collections.Counter[_Key] = collections.Counter()
        self._quality: collections.Counter[_Key] = collections.Counter()

    def count_accepted(self, rows: cabc.Iterable[EventRow]) -> None:
        """Count new events in the hours in which they were received."""
        self._quality.update(
            [(_hour_of(row.received_at), "accepted", row.action, "") for row in rows]
        )

    def count_new(self, rows: cabc.Iterable[EventRow]) -> None:
        """Count new rows in the hours in which they happened."""
        self._hourly.update(_list_keys(rows))

    def count_stored(self, row: EventRow, by: int) -> None:
        """Count a stored row that changes: before the change with ``by=-1``, after it with 1."""
        for key in _list_keys([row]):
            self._hourly[key] += by

    def count_outcome(
        self, at: dt.datetime, outcome: str, action: str, reason: str = "", by: int = 1
    ) -> None:
        hour = _hour_of(to_utc(at))
        key = (hour, outcome, action[:ACTION_MAX_LENGTH], reason[:_REASON_MAX_LENGTH])
        self._quality[key] += by

    def count_undefined(self, at: dt.datetime, action: str, name: str) -> None:
        """Count a parameter that is not in the definition; only what can be a name is a name."""
        self.count_outcome(at, UNDEFINED, action, name if is_name(name) else "")

    def count_reads(self, reads: cabc.Mapping[AgentRead, int]) -> None:
        """Count what agents have read."""
        self._reads = reads

    def write(self, connection: sa.Connection, tables: Tables, now: dt.datetime) -> None:
        """Add the counters in the order of their keys, so that two writers cannot deadlock."""
        add_counts(connection, tables.hourly, _list_rows(self._hourly))
        self._strip_names(connection, tables, now)
        add_counts(connection, tables.quality, _list_rows(self._quality))
        self._agents.add(connection, tables, self._reads)
        self.marks.note_hours({_moment_of(key[0]) for key, count in self._hourly.items() if count})
        self.marks.write(connection, tables)

    def _strip_names(self, connection: sa.Connection, tables: Tables, now: dt.datetime) -> None:
        """Count undefined names beyond the limit without their text."""
        find, counts = self._names.find_name, self._quality
        named = {key: name for key in counts if (name := find(*key[1:])) is not None}
        if named:
            kept = self._names.admit(connection, tables.quality, now, set(named.values()))
            for key, name in named.items():
                if name not in kept:
                    counts[key[0], *strip_name(*key[1:], name)] += counts.pop(key)


def hourly_columns(event: sa.Table) -> list[sa.Column[t.Any]]:
    """Return the columns by which an event is counted in the hourly totals."""
    return [event.c.time, event.c.site, event.c.action, event.c.url_rule, event.c.source]


def subtract(
    connection: sa.Connection,
    tables: Tables,
    rows: cabc.Iterable[EventRow | sa.Row[t.Any]],
    marks: Marks,
) -> None:
    """Take erased events, which have the :func:`hourly_columns`, out of the totals.

    The caller writes the marks.
    """
    counted = _list_rows(collections.Counter(_list_keys(rows)))
    marks.note_hours({row.hour for row in counted})
    if counted:
        table, less = tables.hourly, sa.bindparam("less", type_=sa.BigInteger())
        names = [f"of_{column.name}" for column in table.primary_key]
        is_same = (column == sa.bindparam(f"of_{column.name}") for column in table.primary_key)
        rest = sa.case((table.c.count > less, table.c.count - less), else_=0)
        values = map(msgspec.structs.astuple, counted)
        parameters = [dict(zip((*names, "less"), each, strict=True)) for each in values]
        connection.execute(table.update().where(*is_same).values(count=rest), parameters)


def _list_keys(rows: cabc.Iterable[EventRow | sa.Row[t.Any]]) -> list[_Key]:
    """Return the key under which each row is counted; bots' rows have none."""
    return [
        (_hour_of(row.time), row.site, row.action, row.url_rule)
        for row in rows
        if row.source != "bot"
    ]


def _hour_of(moment: dt.datetime) -> int:
    return moment.toordinal() * 24 + moment.hour


def _list_rows(counter: collections.Counter[_Key]) -> list[CountRow]:
    return [
        CountRow(_moment_of(hour), first, action, last, count)
        for (hour, first, action, last), count in sorted(counter.items())
        if count
    ]


def _moment_of(hour: int) -> dt.datetime:
    days, hours = divmod(hour, 24)
    return dt.datetime.fromordinal(days).replace(hour=hours, tzinfo=dt.UTC)
