"""What arrived of one action: its counts, what was wrong with it, and its latest events."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses
import datetime as dt
import typing as t

import sqlalchemy as sa

from ...store.local_days import start_of
from ...store.tables import Tables
from ...store.undefined import UNDEFINED
from ..counting import Counter
from ..feed import FeedEvent, feed_columns, read_feed_event
from ..of_events import Values
from ..period import Bucket, Period
from ..rows import ValueRow
from .catalogue import Arrived, Sites, choose_bucket, read_arrived
from .counters import read_counters

#: So many of the latest events are read.
LATEST: t.Final = 100
# Each hour is a query of its own: the index begins with the time.
_MOST_HOURS = 6
_TOP = 3
_REJECTED, _INVALID = "rejected", "invalid"
_DAY, _HOUR = dt.timedelta(days=1), dt.timedelta(hours=1)

#: How many events there were by a name or a code, the most frequent first.
Counts = dict[str, int]


@dataclasses.dataclass(frozen=True, slots=True)
class ActionUse:
    """What arrived of an action in a period.

    ``series`` has a number for each bucket that has begun. ``undefined`` counts undefined
    parameters by name, with ``""`` for names that were not kept; ``invalid`` refused events by the
    parameter of the definition that was wrong, and ``rejected`` refused events by code. These three
    are None where only some sites are counted. ``values`` are the most frequent values of the
    parameters of the ``read`` latest events, also of those before the period.
    """

    action: str
    period: Period
    bucket: Bucket
    events: int
    series: tuple[int, ...]
    last_seen: dt.date | None
    undefined: Counts | None
    invalid: Counts | None
    rejected: Counts | None
    read: int
    values: dict[str, tuple[ValueRow, ...]]


def read_action_use(
    counter: Counter, action: str, period: Period, sites: Sites
) -> tuple[ActionUse, list[FeedEvent]]:
    """Read what arrived of an action, and its latest events, newest first.

    :param sites: the only sites to count; None counts all of them together.
    """
    bucket = choose_bucket(period)
    found = read_arrived(counter, period, bucket, sites, action).get(action)
    arrived = found or Arrived([0] * len(period.spans(bucket)))
    latest = _read_latest(counter, action, arrived.last_seen, period.zone, sites)
    counts = _count_faults(counter, action, period) if sites is None else {}
    use = ActionUse(
        action,
        period,
        bucket,
        sum(arrived.series),
        tuple(arrived.series),
        arrived.last_seen,
        counts.get(UNDEFINED),
        counts.get(_INVALID),
        counts.get(_REJECTED),
        len(latest),
        _count_values(latest),
    )
    return use, latest


def _count_faults(counter: Counter, action: str, period: Period) -> dict[str, Counts]:
    found: dict[str, Counts] = {UNDEFINED: {}, _INVALID: {}, _REJECTED: {}}
    for each in read_counters(counter.connection, counter.tables, period, found.keys(), action):
        found[each.outcome][each.reason] = each.count
    return found


def _count_values(events: cabc.Iterable[FeedEvent]) -> dict[str, tuple[ValueRow, ...]]:
    values: dict[str, Values] = {}
    for event in events:
        for name, value in event.params.items():
            values.setdefault(name, Values()).add(value)
    return {name: each.row(name, "", _TOP).values for name, each in sorted(values.items())}


def _read_latest(
    counter: Counter, action: str, day: dt.date | None, zone: dt.tzinfo, sites: Sites
) -> list[FeedEvent]:
    """Return the latest events of an action, of the last hours of a day; bots' are left out."""
    found: list[FeedEvent] = []
    if day is None:
        return found
    bounds = (start_of(day, zone), start_of(day + _DAY, zone))
    tables, event = counter.tables, counter.tables.event.c
    for hour in _read_hours(counter.connection, tables, action, bounds, sites):
        query = sa.select(*feed_columns(tables.event)).where(
            event.time >= hour,
            event.time < hour + _HOUR,
            event.action == action,
            event.source != "bot",
        )
        if sites is not None:
            query = query.where(event.site.in_(sorted(sites)))
        query = query.order_by(event.time.desc()).limit(LATEST - len(found))
        found += map(read_feed_event, counter.connection.execute(query))
        if len(found) >= LATEST:
            break
    return found


def _read_hours(
    connection: sa.Connection,
    tables: Tables,
    action: str,
    bounds: tuple[dt.datetime, dt.datetime],
    sites: Sites,
) -> cabc.Sequence[dt.datetime]:
    hourly = tables.hourly.c
    query = sa.select(hourly.hour).where(
        hourly.hour > bounds[0] - _HOUR,
        hourly.hour < bounds[1],
        hourly.action == action,
        hourly.count > 0,
    )
    if sites is not None:
        query = query.where(hourly.site.in_(sorted(sites)))
    hours = query.group_by(hourly.hour).order_by(hourly.hour.desc()).limit(_MOST_HOURS)
    return connection.scalars(hours).all()
