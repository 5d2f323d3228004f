"""How far people got through steps, one after the other. Pure, and the definition of a funnel."""

from __future__ import annotations

import bisect
import collections
import collections.abc as cabc
import datetime as dt
import typing as t

#: An event of a person or session: its time; a bit for each step that it fits, the first step's is
#: the lowest, and excluded events have bits beyond the steps; the value of a dimension, for rows by
#: where an attempt began; and the value of the parameter on which steps are joined.
Event = tuple[dt.datetime, int, str, str | None]


class Attempt(t.NamedTuple):
    """When an attempt reached each step, and the value of a dimension where it began."""

    times: tuple[dt.datetime, ...]
    value: str = ""


def find_furthest(
    events: cabc.Iterable[Event],
    steps: int,
    within: dt.timedelta,
    go_on: cabc.Callable[[], None] = lambda: None,
) -> Attempt | None:
    """Return the attempt of a person or session that got furthest, the first of several; None if
    there is none.

    :param events: in any order.
    :param steps: how many steps there are.
    :param within: how long an attempt may take.
    :param go_on: called for each attempt; it may raise if there is no more time.
    """
    by_value = collections.defaultdict[str | None, list[Event]](list)
    for each in events:
        by_value[each[3]].append(each)
    found = (_find_among(each, steps, within, go_on) for each in by_value.values())
    return choose(filter(None, found))


def choose(attempts: cabc.Iterable[Attempt]) -> Attempt | None:
    """Return the attempt that got furthest, the first of several.

    Of those that began at one moment, the value decides: so that it is always the same one.
    """

    def rank(attempt: Attempt) -> tuple[int, dt.datetime, str]:
        return -len(attempt.times), attempt.times[0], attempt.value

    return min(attempts, key=rank, default=None)


def _find_among(
    events: list[Event], steps: int, within: dt.timedelta, go_on: cabc.Callable[[], None]
) -> Attempt | None:
    """Find the furthest attempt among events that may all belong to one."""
    events.sort()
    fitting = [_Fitting(events, step) for step in range(steps)]
    most = next((step for step, each in enumerate(fitting) if not each.places), steps)
    barred = [at for at, fits, _, _ in events if fits >> steps]
    best: list[int] = []
    for first in sorted(fitting[0].places, key=lambda place: (events[place][0], events[place][2])):
        go_on()
        found = _follow(first, events, fitting, barred, within)
        if len(found) > len(best):
            best = found
        if len(best) == most:
            break
    return Attempt(tuple(events[i][0] for i in best), events[best[0]][2]) if best else None


class _Fitting:
    """The events that fit a step: their places among all events, and their times."""

    def __init__(self, events: list[Event], step: int) -> None:
        bit = 1 << step
        self.places = [place for place, (_, fits, _, _) in enumerate(events) if fits & bit]
        self.times = [events[place][0] for place in self.places]

    def find_next(self, now: dt.datetime, used: list[int]) -> int | None:
        """Return the place of the first event that is not before a moment, and not used yet."""
        start = bisect.bisect_left(self.times, now)
        candidates = self.places[start : start + len(used) + 1]
        return next((place for place in candidates if place not in used), None)


def _follow(
    first: int,
    events: list[Event],
    fitting: list[_Fitting],
    barred: list[dt.datetime],
    within: dt.timedelta,
) -> list[int]:
    """Return the places of the events of an attempt that begins with an event."""
    found, now = [first], events[first][0]
    last = now + within
    for step in fitting[1:]:
        place = step.find_next(now, found)
        if place is None or events[place][0] > last:
            break
        if barred and _has_between(barred, now, events[place][0]):
            break
        found.append(place)
        now = events[place][0]
    return found


def _has_between(barred: list[dt.datetime], start: dt.datetime, end: dt.datetime) -> bool:
    place = bisect.bisect_right(barred, start)
    return place < len(barred) and barred[place] < end
