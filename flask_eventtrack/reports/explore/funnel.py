"""Funnels: how many went through steps one after the other, and where the others stopped."""

from __future__ import annotations

import collections
import collections.abc as cabc
import time
import typing as t

from ...errors import ReportError, ReportUnavailable
from ...store.session_counts import DIMENSIONS
from ...text import shorten
from ..counting import SCAN_SECONDS, Counter
from ..filters import Filter
from ..period import Period
from ..ranks import find_percentile
from ..rows import Cut
from .attempts import Attempt, choose, find_furthest
from .plan import Plan
from .rows import Funnel, FunnelRow, FunnelStep
from .step_events import StepEvents

#: The dimensions of sessions by which a funnel has rows.
BY: t.Final = tuple(name for name in DIMENSIONS if name != "hour")
_MOST_ROWS = 10
# Joining what was read may take so many times as long as reading it.
_JOINING = 5


class Attempts(t.NamedTuple):
    """The attempt that counts of each person or session, and what the limit has cut."""

    of: dict[str, Attempt]
    cut: Cut | None


def read_attempts(
    counter: Counter,
    plan: Plan,
    period: Period,
    limits: Filter,
    sites: frozenset[str] | None,
    by: str | None = None,
) -> Attempts:
    """Return the attempts in a period, by the ids of people or sessions as text."""
    plan.check(counter.catalogue)
    found = StepEvents(counter, plan, counter.conditions(limits, sites), by)
    since = counter.by_parts(period, found.read, found.merge)
    attempts = {unit: Attempt((at,), value) for unit, (at, _, value, _) in found.firsts.items()}
    due = time.monotonic() + _JOINING * SCAN_SECONDS

    def go_on() -> None:
        if time.monotonic() > due:
            raise ReportUnavailable(
                "One person or session has too many events of these steps to join them in time. "
                "Choose a shorter period or fewer steps."
            )

    for unit, events in found.events.items():
        furthest = find_furthest(events, len(plan.steps), plan.within, go_on)
        if best := choose(filter(None, (furthest, attempts.get(unit)))):
            attempts[unit] = best
    return Attempts(attempts, counter.make_cut(period, since))


def read_funnel(
    counter: Counter,
    plan: Plan,
    period: Period,
    limits: Filter,
    sites: frozenset[str] | None,
    by: str | None = None,
) -> Funnel:
    """Count a funnel in a period."""
    check_by(by)
    attempts, cut = read_attempts(counter, plan, period, limits, sites, by)
    rows = _make_rows(attempts.values(), len(plan.steps)) if by is not None else []
    return Funnel(
        plan.per,
        plan.within.total_seconds(),
        tuple(_make_steps(plan, attempts.values())),
        by,
        tuple(rows[:_MOST_ROWS]),
        len(rows),
        cut,
    )


def check_by(by: str | None) -> None:
    """Refuse a dimension by which funnels, goals and retention have no rows.

    :raises ReportError: naming those by which they have.
    """
    if by is not None and by not in BY:
        raise ReportError(f"There are no rows by {shorten(by)}. Choose one of: {', '.join(BY)}.")


def _make_steps(plan: Plan, attempts: cabc.Collection[Attempt]) -> cabc.Iterator[FunnelStep]:
    counts = _count(attempts, len(plan.steps))
    for place, step in enumerate(plan.steps):
        count, before = counts[place], counts[place - 1] if place else 0
        yield FunnelStep(
            step.text,
            step.conditions,
            count,
            count / counts[0] if counts[0] else None,
            count / before if before else None,
            count - counts[place + 1] if place + 1 < len(counts) else 0,
            _find_median(attempts, place) if place else None,
        )


def _count(attempts: cabc.Iterable[Attempt], steps: int) -> list[int]:
    """Return how many attempts reached each step."""
    lengths = collections.Counter(len(each.times) for each in attempts)
    return [sum(n for length, n in lengths.items() if length > place) for place in range(steps)]


def _find_median(attempts: cabc.Iterable[Attempt], place: int) -> float | None:
    """Return the median of the seconds between a step and the one before."""
    times = sorted(a.times[place] - a.times[place - 1] for a in attempts if len(a.times) > place)
    return find_percentile(times, 50).total_seconds() if times else None


def _make_rows(attempts: cabc.Iterable[Attempt], steps: int) -> list[FunnelRow]:
    """Return the rows of the values of a dimension, the largest first."""
    by_value = collections.defaultdict[str, list[Attempt]](list)
    for each in attempts:
        by_value[each.value].append(each)
    rows = []
    for value, found in by_value.items():
        counts = _count(found, steps)
        rows.append(FunnelRow(value, tuple(counts), counts[-1] / counts[0]))
    return sorted(rows, key=lambda row: (-row.counts[0], row.value))
