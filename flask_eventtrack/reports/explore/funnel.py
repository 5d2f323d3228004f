"""Funnels: how many went through steps one after the other, and where the others stopped."""

from __future__ import annotations

import array
import collections
import collections.abc as cabc
import datetime as dt
import itertools
import time
import typing as t

from ...errors import ReportError, ReportUnavailable
from ...store.session_counts import DIMENSIONS
from ...text import shorten
from ..counting import SCAN_SECONDS, Counter, Question
from ..filters import Filter
from ..period import Period
from ..ranks import find_percentile
from ..rows import Cut
from .attempts import Attempt, Event, choose, find_furthest
from .plan import Plan
from .rows import Funnel, FunnelRow, FunnelStep
from .step_events import StepEvents

#: The dimensions of sessions by which a funnel has rows.
BY: t.Final = tuple(name for name in DIMENSIONS if name != "hour")
_MOST_ROWS = 10
# Joining what was read may take so many times as long as reading it.
_JOINING = 5
_MICROSECOND = dt.timedelta(microseconds=1)


class Begun(t.NamedTuple):
    """People or sessions that took the first step alone, in columns."""

    units: cabc.Collection[str]
    times: list[dt.datetime]
    values: list[str]


class Attempts(t.NamedTuple):
    """The attempt that counts of each person or session, and what the limit has cut.

    ``of`` has those with an event of a later step, and ``begun`` all others.
    """

    of: dict[str, Attempt]
    begun: Begun
    cut: Cut | None


class Tally:
    """How far attempts got, and how long they took, without the attempts themselves: a copy may
    have very many."""

    def __init__(self, steps: int) -> None:
        # By the value with which they began: how many reached each step.
        self.reached: dict[str, list[int]] = collections.defaultdict(lambda: [0] * steps)
        self._times = [array.array("q") for _ in range(steps)]

    def add(self, attempt: Attempt, number: int = 1) -> None:
        """Add so many attempts that are all the same."""
        reached = self.reached[attempt.value]
        for place in range(len(attempt.times)):
            reached[place] += number
        for place, (start, end) in enumerate(itertools.pairwise(attempt.times), 1):
            self._times[place].extend([(end - start) // _MICROSECOND] * number)

    def add_begun(self, values: cabc.Iterable[str]) -> None:
        """Add attempts that got no further than the first step, by the values there."""
        for value, number in collections.Counter(values).items():
            self.reached[value][0] += number

    def count(self) -> list[int]:
        """Return how many reached each step."""
        return [
            sum(each[place] for each in self.reached.values()) for place in range(len(self._times))
        ]

    def find_median(self, place: int) -> float | None:
        """Return the median of the seconds between a step and the one before."""
        times = sorted(self._times[place])
        return find_percentile(times, 50) / 1_000_000 if times else None


def join_in_time(plan: Plan) -> cabc.Callable[[list[Event]], Attempt | None]:
    """Return what finds the attempt that counts among the events of a person or session.

    It raises :class:`.ReportUnavailable` when all that it was called for has taken too long.
    """
    # Of its own time: a busy machine is no reason to refuse.
    due = time.thread_time() + _JOINING * SCAN_SECONDS

    def go_on() -> None:
        if time.thread_time() > due:
            raise ReportUnavailable(
                "There are too many events of these steps to join them in time. Choose a shorter "
                "period or fewer steps."
            )

    return lambda events: find_furthest(events, len(plan.steps), plan.within, go_on)


def read_attempts(
    counter: Counter,
    plan: Plan,
    period: Period,
    limits: Filter,
    sites: frozenset[str] | None,
    by: str | None = None,
) -> Attempts:
    """Return the attempts in a period, by the ids of people or sessions as text."""
    found = StepEvents(counter, plan, counter.conditions(limits, sites), by)
    since = counter.by_parts(period, found.read, found.merge)
    attempts, join = dict[str, Attempt](), join_in_time(plan)
    for unit, places in found.events.items():
        best = join(found.pick(places))
        first = found.firsts.pop(unit, None)
        if first is not None:  # of a later part of the period
            [(at, _, value, _)] = found.pick([first])
            best = choose(filter(None, (best, Attempt((at,), value))))
        if best is not None:
            attempts[unit] = best
    times, _, values, _ = found.columns
    firsts = found.firsts.values()
    begun = Begun(found.firsts.keys(), [times[at] for at in firsts], [values[at] for at in firsts])
    return Attempts(attempts, begun, counter.make_cut(period, since))


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
    plan.check(counter.catalogue)
    tally, cut = Tally(len(plan.steps)), None
    begun = counter.ask_copy(
        period, Question(limits, sites), lambda copy, asked: copy.read_begun(asked, plan, by)
    )
    if begun is None:
        attempts = read_attempts(counter, plan, period, limits, sites, by)
        cut = attempts.cut
        tally.add_begun(attempts.begun.values)
        for attempt in attempts.of.values():
            tally.add(attempt)
    else:
        join = join_in_time(plan)
        for number, events in begun:
            if furthest := join(events):
                tally.add(furthest, number)
    rows = [] if by is None else _make_rows(tally)
    return Funnel(
        plan.per,
        plan.within.total_seconds(),
        tuple(_make_steps(plan, tally)),
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


def _make_steps(plan: Plan, tally: Tally) -> cabc.Iterator[FunnelStep]:
    counts = tally.count()
    for place, step in enumerate(plan.steps):
        count, before = counts[place], counts[place - 1] if place else 0
        yield FunnelStep(
            step.text,
            step.conditions,
            count,
            count / counts[0] if counts[0] else None,
            count / before if before else None,
            count - counts[place + 1] if place + 1 < len(counts) else 0,
            tally.find_median(place) if place else None,
        )


def _make_rows(tally: Tally) -> list[FunnelRow]:
    """Return the rows of the values of a dimension, the largest first."""
    rows = [
        FunnelRow(value, tuple(counts), counts[-1] / counts[0])
        for value, counts in tally.reached.items()
    ]
    return sorted(rows, key=lambda row: (-row.counts[0], row.value))
