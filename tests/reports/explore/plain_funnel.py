"""A funnel counted plainly, from its definition in the manual: slowly, and by other means."""

from __future__ import annotations

import collections
import dataclasses
import datetime as dt
import typing as t

from flask_eventtrack.reports.explore.plan import Plan
from flask_eventtrack.reports.explore.steps import Step

from .stories import DAY, SOURCES, Told


@dataclasses.dataclass(frozen=True)
class Plain:
    """What a funnel should say."""

    counts: list[int]
    medians: list[float | None]
    rows: dict[str, list[int]]
    lost: dict[int, list[int]]


def count_plainly(story: list[Told], plan: Plan, start: dt.datetime, end: dt.datetime) -> Plain:
    """Count a funnel in a period: the best of all attempts of each person or session."""
    among: dict[t.Any, list[Told]] = collections.defaultdict(list)
    for each in story:
        if start <= _time(each) < end and each.source != "bot":
            if plan.per == "person":
                among[each.who].append(each)
            elif each.session is not None:
                among[each.who, each.session].append(each)
    best = {}
    for unit, told in among.items():
        attempts = [_attempt(first, told, plan) for first in told if _can_begin(first, plan)]
        if attempts:
            # Of several, max() takes the first one.
            best[unit] = max(sorted(attempts, key=lambda each: _rank(each[0], plan)), key=len)
    return _sum_up(best, plan)


def _rank(first: Told, plan: Plan) -> tuple[float, str, list[int]]:
    return first.minute, source_of(first), _roles(first, plan)


def _sum_up(best: dict[t.Any, list[Told]], plan: Plan) -> Plain:
    size = len(plan.steps)
    counts = [sum(len(each) > place for each in best.values()) for place in range(size)]
    medians: list[float | None] = [None]
    for place in range(1, size):
        took = sorted(
            60 * (a[place].minute - a[place - 1].minute) for a in best.values() if len(a) > place
        )
        half = [each for each in took if 2 * sum(o <= each for o in took) >= len(took)]
        medians.append(half[0] if half else None)
    rows: dict[str, list[int]] = {}
    for attempt in best.values():
        row = rows.setdefault(source_of(attempt[0]), [0] * size)
        for place in range(len(attempt)):
            row[place] += 1
    lost: dict[int, list[int]] = {}
    for after in range(1, size):
        gone: dict[int, float] = {}
        for attempt in best.values():
            if len(attempt) == after:
                who = attempt[0].who
                gone[who] = max(gone.get(who, -1e9), attempt[-1].minute)
        lost[after] = sorted(gone, key=lambda who: -gone[who])
    return Plain(counts, medians, rows, lost)


def _attempt(first: Told, told: list[Told], plan: Plan) -> list[Told]:
    attempt = [first]
    for step in plan.steps[1:]:
        last = attempt[-1]
        fitting = [
            each
            for each in told
            if each.minute >= last.minute
            and fits(step, each)
            and not any(each is one for one in attempt)
            and _has_same(each, first, plan)
        ]
        following = min(fitting, key=lambda each: (each.minute, _roles(each, plan)), default=None)
        if following is None:
            return attempt
        if dt.timedelta(minutes=following.minute - first.minute) > plan.within:
            return attempt
        between = [e for e in told if last.minute < e.minute < following.minute]
        barred = [e for e in between if any(fits(step, e) for step in plan.excluded)]
        if any(_has_same(each, first, plan) for each in barred):
            return attempt
        attempt.append(following)
    return attempt


def _can_begin(told: Told, plan: Plan) -> bool:
    has_value = plan.same is None or told.params.get(plan.same) is not None
    return fits(plan.steps[0], told) and has_value


def _has_same(told: Told, first: Told, plan: Plan) -> bool:
    return plan.same is None or told.params.get(plan.same) == first.params[plan.same]


def _roles(told: Told, plan: Plan) -> list[int]:
    """Return the places of all that an event fits, the last one first."""
    places = [place for place, step in enumerate(plan.events) if fits(step, told)]
    return places[::-1]


def source_of(told: Told) -> str:
    return "" if told.session is None else SOURCES[told.session % len(SOURCES)] or ""


def fits(step: Step, told: Told) -> bool:
    if told.is_page:
        is_it = step.route == told.what or (step.route is None and step.action == "page.visit")
    else:
        is_it = step.action == told.what
    return is_it and all(_meets(text, told) for text in step.conditions)


def _meets(text: str, told: Told) -> bool:
    operator, name, value = text.split(":")
    given = told.params.get(name)
    if given is None:
        return False
    return str(given) == value if operator == "is" else given >= float(value)


def _time(told: Told) -> dt.datetime:
    return DAY + dt.timedelta(minutes=told.minute)
