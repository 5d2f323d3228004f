"""What was refused or lost, by the counters of data quality."""

from __future__ import annotations

import collections.abc as cabc
import datetime as dt
import typing as t

import sqlalchemy as sa

from ..store.engine import Database

#: The outcomes of events that were refused or lost, whole or in part.
OUTCOMES: t.Final = ("rejected", "dropped", "left_out", "contradicted", "cut")
_HOUR = dt.timedelta(hours=1)


class Refused(t.NamedTuple):
    """How many events of an action were refused or lost, and why."""

    outcome: str
    action: str
    reason: str
    number: int


class _Key(t.NamedTuple):
    hour: dt.datetime
    outcome: str
    action: str
    reason: str


def iter_refused(
    database: Database, now: cabc.Callable[[], dt.datetime]
) -> cabc.Iterator[list[Refused]]:
    """Yield, at each step, what was refused since the last one; at first, in this hour."""
    known: dict[_Key, int] | None = None
    while True:
        hour = now().replace(minute=0, second=0, microsecond=0)
        row = database.tables.quality.c
        query = sa.select(row.hour, row.outcome, row.action, row.reason, row.count)
        # The hour before is still counted for a moment.
        query = query.where(row.hour >= hour - _HOUR, row.outcome.in_(OUTCOMES))
        with database.read() as connection:
            rows = connection.execute(query).all()
        found = {_Key(*key): int(count) for *key, count in rows}
        if known is None:
            known = {key: count for key, count in found.items() if key.hour < hour}
        fresh = {key: count - known.get(key, 0) for key, count in sorted(found.items())}
        yield [
            Refused(key.outcome.strip(), key.action.strip(), key.reason.strip(), number)
            for key, number in fresh.items()
            if number > 0
        ]
        known = found
