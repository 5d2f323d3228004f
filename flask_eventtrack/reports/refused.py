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


def iter_refused(
    database: Database, now: cabc.Callable[[], dt.datetime]
) -> cabc.Iterator[list[Refused]]:
    """Yield, at each step, what was refused since the last one; at first, in this hour."""
    known: dict[tuple[dt.datetime, str, str, str], int] = {}
    while True:
        moment = now()
        hour = moment.replace(minute=0, second=0, microsecond=0)
        row = database.tables.quality.c
        query = sa.select(row.hour, row.outcome, row.action, row.reason, row.count)
        # The hour before is still counted for a moment.
        first = hour - _HOUR if known else hour
        query = query.where(row.hour >= first, row.outcome.in_(OUTCOMES))
        with database.read() as connection:
            found = {tuple(key): int(count) for *key, count in connection.execute(query).all()}
        fresh = [
            Refused(outcome.strip(), action.strip(), reason.strip(), count - known.get(key, 0))
            for key, count in sorted(found.items())
            for _, outcome, action, reason in [key]
        ]
        yield [each for each in fresh if each.number > 0]
        known = t.cast("dict[tuple[dt.datetime, str, str, str], int]", found)
