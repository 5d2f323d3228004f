"""What agents have read, counted a day: a table of few rows, with nothing of people."""

from __future__ import annotations

import collections
import collections.abc as cabc
import datetime as dt

import sqlalchemy as sa

from ..records import AgentRead
from .fast_rows import add_counts
from .rows import AgentRow
from .tables import Tables

#: How many rows a day may have. Beyond them, reads are counted without their route and status.
MOST_ROWS = 500
# Of so many days it is known which rows they have.
_MOST_DAYS = 4

_Key = tuple[object, ...]


class AgentDays:
    """Adds to the counts, and remembers which rows of the last days there are."""

    def __init__(self) -> None:
        self._known: dict[dt.date, set[_Key]] = {}

    def add(
        self, connection: sa.Connection, tables: Tables, reads: cabc.Mapping[AgentRead, int]
    ) -> None:
        """Add reads to the rows of their days, in the order of the keys: then two writers cannot
        deadlock."""
        by_day: dict[dt.date, dict[AgentRead, int]] = {}
        for read, number in reads.items():
            by_day.setdefault(read.day, {})[read] = number
        counts: collections.Counter[AgentRead] = collections.Counter()
        for day, some in by_day.items():
            known = self._admit(connection, tables.agent_daily, day, some)
            for read, number in some.items():
                counts[read if _key_of(read) in known else read.without_route()] += number
        rows = [AgentRow(*read, number) for read, number in sorted(counts.items())]
        add_counts(connection, tables.agent_daily, rows)

    def _admit(
        self,
        connection: sa.Connection,
        table: sa.Table,
        day: dt.date,
        wanted: cabc.Iterable[AgentRead],
    ) -> set[_Key]:
        """Return the rows that a day has or may have. Only a new one costs a query, and none does
        while there is no room."""
        known = self._known.get(day, set())
        new = {_key_of(read) for read in wanted} - known
        if new and len(known) < MOST_ROWS:
            key = table.c.site, table.c.agent, table.c.claim, table.c.url_rule, table.c.status
            found = connection.execute(sa.select(*key).where(table.c.day == day))
            known = {tuple(row) for row in found}
            known |= set(sorted(new - known)[: max(0, MOST_ROWS - len(known))])
            if len(self._known) >= _MOST_DAYS:
                self._known.clear()
            self._known[day] = known
        return known


def _key_of(read: AgentRead) -> _Key:
    return read.site, read.agent, read.claim, read.rule, read.status


def count_days(tables: Tables, before: dt.date, connection: sa.Connection) -> int:
    """Return how many rows the days before another one have."""
    table = tables.agent_daily
    query = sa.select(sa.func.count()).select_from(table).where(table.c.day < before)
    return connection.scalar(query) or 0


def remove_day(tables: Tables, before: dt.date, connection: sa.Connection) -> int:
    """Remove the oldest day before another one; return the number of its rows, 0 at the end."""
    table = tables.agent_daily
    day = connection.scalar(sa.select(sa.func.min(table.c.day)).where(table.c.day < before))
    if day is None:
        return 0
    return connection.execute(table.delete().where(table.c.day == day)).rowcount
