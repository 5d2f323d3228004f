"""The catalogue with what arrived of each definition, and what arrived without one."""

from __future__ import annotations

import bisect
import collections
import collections.abc as cabc
import dataclasses
import datetime as dt
import typing as t

import sqlalchemy as sa

from ...catalogue.definitions import Catalogue
from ...records import PAGE_ENGAGE
from ...store.local_days import day_of, iter_days, start_of
from ...store.session_counts import OTHERS
from ...store.undefined import UNDEFINED
from .. import scan
from ..counting import Counter
from ..period import Bucket, Period
from .counters import read_counters

#: How many undefined actions are told, the most frequent first.
MOST_UNDEFINED: t.Final = 200
#: How many days after the last closed one are looked through for the last event of an action.
_MOST_LIVE = 31
_DAY = dt.timedelta(days=1)
_REJECTED = "rejected"
#: Rejections of events whose action was not kept, as it may be no name.
_OF_ACTION = frozenset({"invalid_action", "undefined_event", "too_many_undefined"})

Sites = frozenset[str] | None
#: A defined action, a deprecated one, or one without a definition.
Status = t.Literal["active", "deprecated", "undefined"]


@dataclasses.dataclass(frozen=True, slots=True)
class ActionRow:
    """What arrived of an action in a period.

    ``series`` has a number for each bucket that has begun. ``last_seen`` is the last day with an
    event, also before or after the period. ``undefined`` is how many undefined parameters events
    had, and ``refused`` how many events were refused: both are None where only some sites are
    counted, as these counters have no site. ``nearest`` is the defined action that is most like an
    undefined one.
    """

    action: str
    status: Status
    builtin: bool
    description: str
    owner: str
    events: int
    series: tuple[int, ...]
    last_seen: dt.date | None
    undefined: int | None
    refused: int | None
    nearest: str | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class CatalogueUse:
    """The definitions of an app, each with what arrived of it in a period.

    ``unnamed`` is how many events were refused whose action was not kept, and ``more`` how many
    undefined actions there are besides those of ``not_defined``.
    """

    period: Period
    bucket: Bucket
    defined: tuple[ActionRow, ...]
    builtin: tuple[ActionRow, ...]
    not_defined: tuple[ActionRow, ...]
    more: int
    unnamed: int | None


@dataclasses.dataclass(slots=True)
class Arrived:
    """How many events of an action there were: in each bucket, and when the last one was."""

    series: list[int]
    last_seen: dt.date | None = None

    def see(self, day: dt.date) -> None:
        """Note that there was an event on a day."""
        self.last_seen = day if self.last_seen is None else max(self.last_seen, day)


def read_catalogue(counter: Counter, period: Period, sites: Sites) -> CatalogueUse:
    """Read how the definitions were used in a period.

    :param sites: the only sites to count; None counts all of them together.
    """
    catalogue, bucket = counter.catalogue, choose_bucket(period)
    arrived = read_arrived(counter, period, bucket, sites)
    refused, undefined, unnamed = _read_quality(counter, period) if sites is None else ({}, {}, 0)
    actions = {each.action for each in catalogue} | arrived.keys() | refused.keys()
    actions -= {PAGE_ENGAGE, OTHERS}  # engagement is stored with its page's visit
    rows = [
        _make_row(
            catalogue,
            action,
            arrived.get(action) or Arrived([0] * len(period.spans(bucket))),
            None if sites is not None else (undefined.get(action, 0), refused.get(action, 0)),
        )
        for action in sorted(actions)
    ]
    others = [row for row in rows if row.status == "undefined" and (row.events or row.refused)]
    others.sort(key=lambda row: (-row.events - (row.refused or 0), row.action))
    known = [row for row in rows if row.status != "undefined"]
    return CatalogueUse(
        period,
        bucket,
        tuple(row for row in known if not row.builtin),
        tuple(row for row in known if row.builtin),
        tuple(_find_nearest(catalogue, row) for row in others[:MOST_UNDEFINED]),
        len(others[MOST_UNDEFINED:]),
        unnamed if sites is None else None,
    )


def choose_bucket(period: Period) -> Bucket:
    """Return what a series is by: days, or longer buckets of a long period."""
    return "day" if period.default_bucket == "hour" else period.default_bucket


def _make_row(
    catalogue: Catalogue, action: str, arrived: Arrived, counters: tuple[int, int] | None
) -> ActionRow:
    definition = catalogue.find(action)
    return ActionRow(
        action=action,
        status=definition.status if definition else "undefined",
        builtin=bool(definition and definition.builtin),
        description=definition.description if definition else "",
        owner=definition.owner if definition else "",
        events=sum(arrived.series),
        series=tuple(arrived.series),
        last_seen=arrived.last_seen,
        undefined=counters and counters[0],
        refused=counters and counters[1],
    )


def _find_nearest(catalogue: Catalogue, row: ActionRow) -> ActionRow:
    return dataclasses.replace(row, nearest=catalogue.find_nearest(row.action))


def _read_quality(counter: Counter, period: Period) -> tuple[dict[str, int], dict[str, int], int]:
    """Return refused events and undefined parameters by action, and refusals without an action."""
    refused, undefined = collections.Counter[str](), collections.Counter[str]()
    unnamed = 0
    outcomes = (_REJECTED, UNDEFINED)
    for each in read_counters(counter.connection, counter.tables, period, outcomes):
        if each.action:
            (refused if each.outcome == _REJECTED else undefined)[each.action] += each.count
        elif each.reason in _OF_ACTION:
            unnamed += each.count
    return refused, undefined, unnamed


# Events by day: closed days tell it, and the hours of the days after them


def read_arrived(
    counter: Counter,
    period: Period,
    bucket: Bucket,
    sites: Sites,
    action: str | None = None,
) -> dict[str, Arrived]:
    """Return what arrived of each action.

    :param action: the only action that is wanted.
    """
    spans = period.spans(bucket)
    lasts = [span.last for span in spans]
    found = collections.defaultdict[str, Arrived](lambda: Arrived([0] * len(spans)))
    live = counter.live_days(period, "day")
    counted = set(live)
    stored = [day for day in iter_days(period.first, period.last_begun) if day not in counted]
    for day, name, number in _read_closed(counter, stored, sites, action):
        found[name].series[bisect.bisect_left(lasts, day)] += number
    for name, day in _read_last_days(counter, sites, action):
        found[name].see(day)
    recent = _list_recent(counter, period)
    for day in sorted({*live, *recent}):
        start, end = start_of(day, period.zone), start_of(day + _DAY, period.zone)
        if day in counted:
            end = min(end, period.end)
        for happened in scan.read_events(counter.connection, counter.tables, (start, end), sites):
            if not happened.number or action not in (None, happened.action):
                continue
            found[happened.action].see(day)
            if day in counted:
                place = bisect.bisect_left(lasts, day)
                found[happened.action].series[place] += happened.number
    return found


def _list_recent(counter: Counter, period: Period) -> list[dt.date]:
    """Return the days that are not closed yet, whatever the period."""
    today = day_of(period.now, period.zone)
    until = counter.closed.until
    first = today if until is None else max(until + _DAY, today - _MOST_LIVE * _DAY)
    return list(iter_days(first, today))


def _read_closed(
    counter: Counter, days: cabc.Sequence[dt.date], sites: Sites, action: str | None
) -> cabc.Iterator[tuple[dt.date, str, int]]:
    if not days:
        return
    daily, left_out = counter.tables.daily.c, set(iter_days(days[0], days[-1])) - set(days)
    query = sa.select(daily.day, daily.value, daily.events).where(
        *_of_actions(daily, sites, action), daily.day >= days[0], daily.day <= days[-1]
    )
    for day, value, events in counter.connection.execute(query).all():
        if day not in left_out:
            yield day, value.strip(), int(events)


def _read_last_days(
    counter: Counter, sites: Sites, action: str | None
) -> cabc.Iterator[tuple[str, dt.date]]:
    daily = counter.tables.daily.c
    query = sa.select(daily.value, sa.func.max(daily.day))
    query = query.where(*_of_actions(daily, sites, action)).group_by(daily.value)
    for value, day in counter.connection.execute(query).all():
        yield value.strip(), day


def _of_actions(daily: t.Any, sites: Sites, action: str | None) -> list[sa.ColumnElement[bool]]:
    """Return the condition of rows that count events; an empty site stands for all of them."""
    found = [daily.site.in_([""] if sites is None else sorted(sites)), daily.dimension == "action"]
    return found if action is None else [*found, daily.value == action]
