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
    times = [each[0] for each in events]
    fits = [each[1] for each in events]
    steps_at = [[at for at, bits in enumerate(fits) if bits & 1 << step] for step in range(steps)]
    most = next((step for step, places in enumerate(steps_at) if not places), steps)
    barred = [at for at, bits in zip(times, fits, strict=True) if bits >> steps]
    best: list[int] = []
    # Of those at one moment, the value decides.
    for first in sorted(steps_at[0], key=lambda place: (times[place], events[place][2])):
        go_on()
        found = _follow(first, times, steps_at[1:most], barred, within)
        if len(found) > len(best):
            best = found
        if len(best) == most:
            break
    return Attempt(tuple(times[i] for i in best), events[best[0]][2]) if best else None


def _follow(
    first: int,
    times: list[dt.datetime],
    later: list[list[int]],
    barred: list[dt.datetime],
    within: dt.timedelta,
) -> list[int]:
    """Return the places of the events of an attempt that begins with an event.

    :param times: of the events, in order.
    :param later: the places of the events that fit each later step, in order.
    """
    found, now = [first], times[first]
    last = now + within
    for places in later:
        place = _find_next(places, bisect.bisect_left(times, now), found)
        if place is None or times[place] > last:
            break
        if barred and _has_between(barred, now, times[place]):
            break
        found.append(place)
        now = times[place]
    return found


def _find_next(places: list[int], start: int, used: list[int]) -> int | None:
    """Return the first of the places that is not before another one, and not used yet."""
    number = bisect.bisect_left(places, start)
    candidates = places[number : number + len(used) + 1]
    return next((place for place in candidates if place not in used), None)


def _has_between(barred: list[dt.datetime], start: dt.datetime, end: dt.datetime) -> bool:
    place = bisect.bisect_right(barred, start)
    return place < len(barred) and barred[place] < end
