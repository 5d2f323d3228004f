"""The counts of a day as ``eventtrack_daily`` has them: for each site, and for all together."""

from __future__ import annotations

import collections
import collections.abc as cabc
import datetime as dt
import typing as t

import sqlalchemy as sa

from ..records import PAGE_VISIT
from .local_days import bounds_of
from .session_counts import DIMENSIONS, Counts, Tally, cut_values, tally_sites
from .tables import Tables

#: The ``site`` of the counts of all sites together.
ALL_SITES: t.Final = ""
#: The dimensions that count page visits by route, and events by action, at their own time.
EVENT_DIMENSIONS: t.Final = ("page", "action")
_HOUR = dt.timedelta(hours=1)
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)

#: Of one day and one site, by dimension and value. The totals have the dimension "".
DayCounts = dict[str, dict[str, Counts]]


def count_day(
    connection: sa.Connection, tables: Tables, zone: dt.tzinfo, day: dt.date
) -> dict[str, DayCounts]:
    """Return what a day's sessions and events add up to, by site."""
    lower, upper = bounds_of(day, zone)
    counts = count_events(connection, tables, lower, upper)
    tallies = tally_sites(connection, tables.session, zone, lower, upper)
    together = Tally(zone)
    for site, tally in tallies.items():
        together.merge(tally)
        if site != ALL_SITES:
            counts.setdefault(site, {}).update(_counts_of(tally))
    if tallies:
        counts.setdefault(ALL_SITES, {}).update(_counts_of(together))
    return counts


def _counts_of(tally: Tally) -> DayCounts:
    return {"": {"": tally.total}} | {name: tally.count(name) for name in DIMENSIONS}


def rows_of(day: dt.date, counts: cabc.Mapping[str, DayCounts]) -> list[dict[str, t.Any]]:
    """Return the rows of ``eventtrack_daily``, with the largest values of each dimension."""
    return [
        {"site": site, "day": day, "dimension": name, "value": value, **each._asdict()}
        for site, dimensions in counts.items()
        for name, values in dimensions.items()
        for value, each in cut_values(values, _unit_of(name)).items()
    ]


def _unit_of(dimension: str) -> t.Literal["sessions", "pages", "events"]:
    units: dict[str, t.Literal["pages", "events"]] = {"page": "pages", "action": "events"}
    return units.get(dimension, "sessions")


def count_events(
    connection: sa.Connection, tables: Tables, lower: dt.datetime, upper: dt.datetime
) -> dict[str, DayCounts]:
    """Return page visits by route and events by action, of a time, by site.

    They come from the hourly totals. Where the time begins or ends within an hour, as days do in
    some zones, events are counted for the rest.
    """
    numbers: collections.Counter[tuple[str, str, str]] = collections.Counter()
    for query in _event_queries(tables, lower, upper):
        for site, action, rule, count in connection.execute(query):
            for each in {ALL_SITES, site.strip()}:
                numbers[each, "action", action.strip()] += int(count)
                if action == PAGE_VISIT:
                    numbers[each, "page", rule.strip()] += int(count)
    counts: dict[str, DayCounts] = {}
    for (site, dimension, value), number in numbers.items():
        if number:
            sums = Counts(pages=number) if dimension == "page" else Counts(events=number)
            counts.setdefault(site, {}).setdefault(dimension, {})[value] = sums
    return counts


def _event_queries(
    tables: Tables, lower: dt.datetime, upper: dt.datetime
) -> cabc.Iterator[sa.Select[t.Any]]:
    first = lower + (_EPOCH - lower) % _HOUR
    last = upper - (upper - _EPOCH) % _HOUR
    if first < last:
        hourly = tables.hourly.c
        key = hourly.site, hourly.action, hourly.url_rule
        query = sa.select(*key, sa.func.sum(hourly.count)).group_by(*key)
        yield query.where(hourly.hour >= first, hourly.hour < last)
    rest = [(lower, first), (last, upper)] if first < last else [(lower, upper)]
    for start, end in rest:
        if start < end:
            event = tables.event.c
            key = event.site, event.action, event.url_rule
            query = sa.select(*key, sa.func.count()).group_by(*key)
            yield query.where(event.time >= start, event.time < end, event.source != "bot")
