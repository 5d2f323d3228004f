"""A funnel in words, and its columns."""

from __future__ import annotations

import datetime as dt
import typing as t

from ...reports.explore.plan import Plan
from ...reports.explore.rows import Funnel, FunnelStep
from ...reports.explore.steps import Step
from ..dimensions import describe_operator, name_value
from ..figures import MISSING, count_people, quantify, shorten, write_percent, write_seconds
from ..query import Query

_UNITS = {"day": 86_400, "hour": 3600, "minute": 60, "second": 1}
_LABEL = 60


class DrawnStep(t.NamedTuple):
    """A step as the page draws it. ``height`` and ``before`` are percentages of the first step.

    ``lost`` says how many went no further, if anybody did not; ``href`` leads to them, None for
    whoever may not see people.
    """

    name: str
    where: str
    number: int
    counted: str
    share: str
    of_before: str
    median: str
    height: float
    before: float
    lost: str
    href: str | None


class DrawnRow(t.NamedTuple):
    """A row of a dimension: its label, the counts of the steps, and the share of the last one."""

    label: str
    href: str
    counts: tuple[int, ...]
    share: float


def name_step(step: Step) -> str:
    """Return an event's action, or a page's route."""
    return shorten(step.action if step.route is None else step.route, _LABEL)


def write_where(step: Step) -> str:
    """Return the conditions of a step: "category is mugs, price is at least 20"."""
    words = []
    for each in step.where.conditions:
        name = each.field.removeprefix(f"{step.action}.")
        values = shorten(" or ".join(each.values), _LABEL)
        words.append(f"{name} {describe_operator(each.operator)} {values}")
    return ", ".join(words)


def write_title(plan: Plan) -> str:
    return f"From {name_step(plan.steps[0])} to {name_step(plan.steps[-1])}"


def write_lead(plan: Plan, found: Funnel) -> str:
    """Return what the funnel says, in a sentence or two."""
    first, last = found.steps[0].count, found.steps[-1].count
    if not first:
        who = "Nobody" if plan.per == "person" else "No session"
        return f"{who} reached the first step in this period."
    among = count_units(plan, first)
    within = write_duration(plan.within)
    if not last:
        said = f"None of {among} got to the last step within {within}."
    else:
        said = f"{write_percent(last / first)} of {among} got to the last step within {within}."
    most = max(found.steps, key=lambda step: step.lost)
    place = found.steps.index(most)
    if not most.lost or len(plan.steps) == 2:
        return said
    names = [name_step(step) for step in plan.steps[place : place + 2]]
    return f"{said} Most were lost between {names[0]} and {names[1]}."


def count_units(plan: Plan, number: int) -> str:
    """Return a number of what a funnel counts: "1 person", "1,204 sessions"."""
    return quantify(number, "session") if plan.per == "session" else count_people(number)


def write_duration(duration: dt.timedelta) -> str:
    """Return a duration in its largest whole unit: "7 days", "90 minutes"."""
    seconds = round(duration.total_seconds())
    name, size = next(each for each in _UNITS.items() if seconds % each[1] == 0)
    return quantify(seconds // size, name)


def draw_steps(query: Query, plan: Plan, found: Funnel, *, has_people: bool) -> list[DrawnStep]:
    """Return the columns.

    :param has_people: whether to lead to those who were lost.
    """
    drawn, before, lost = list[DrawnStep](), 1.0, query.at("funnels/lost")
    for number, (step, row) in enumerate(zip(plan.steps, found.steps, strict=True), 1):
        share = row.share or 0.0
        href = lost.link(lost.page, after=str(number)) if has_people and row.lost else None
        drawn.append(
            DrawnStep(
                name_step(step),
                write_where(step),
                row.count,
                count_units(plan, row.count),
                _write_share(row.share),
                _write_share(row.share_of_previous),
                MISSING if row.median is None else write_seconds(row.median),
                round(share * 100, 2),
                round(before * 100, 2),
                f"{row.lost:,} lost" if row.lost else "",
                href,
            )
        )
        before = share
    return drawn


def _write_share(share: float | None) -> str:
    return MISSING if share is None else write_percent(share)


def draw_rows(query: Query, found: Funnel) -> list[DrawnRow]:
    by = found.by or ""
    return [
        DrawnRow(
            shorten(name_value(by, row.value), _LABEL),
            query.link_filter(by, row.value, "funnels"),
            row.counts,
            row.share,
        )
        for row in found.rows
    ]


def list_lines(plan: Plan, found: Funnel) -> list[tuple[object, ...]]:
    """Return the lines of a file, with their head: of the steps, or of the rows by a dimension."""
    if found.by is not None:
        names = [f"{place}. {step.text}" for place, step in enumerate(plan.steps, 1)]
        head = (found.by, *names, "share")
        return [head, *((row.value, *row.counts, round(row.share, 6)) for row in found.rows)]
    head = ("step", "conditions", "count", "share", "share_of_previous", "lost", "median_seconds")
    return [head, *map(_make_line, found.steps)]


def _make_line(step: FunnelStep) -> tuple[object, ...]:
    shares = (step.share, step.share_of_previous)
    rounded = (None if share is None else round(share, 6) for share in shares)
    return step.step, " ".join(step.where), step.count, *rounded, step.lost, step.median
