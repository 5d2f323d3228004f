"""Retention: of those who first came in a day, week or month, how many came back later."""

from __future__ import annotations

import bisect
import dataclasses
import datetime as dt

from ...store.local_days import day_of
from ..conditions import Conditions
from ..counting import Counter, Question
from ..filters import Filter
from ..period import Period
from ..scan import Bounds
from .cohorts import Cohorts, widen
from .counted_cohorts import read_counted
from .doings import Doing, Sessions, Steps
from .funnel import check_by
from .retention_rows import By, Retention
from .steps import Step


@dataclasses.dataclass(frozen=True, slots=True)
class RetentionPlan:
    """What is asked: who is in a cohort, and what it is to come back.

    ``first`` is the step whose first event counts, ``returning`` the one by which people come
    back; None for a session. ``dimension`` is that of the rows; None for cohorts.
    """

    by: By = "week"
    first: Step | None = None
    returning: Step | None = None
    dimension: str | None = None

    @property
    def needs_people(self) -> bool:
        """Whether closed days cannot tell."""
        return bool(self.first or self.returning or self.dimension)


def read_retention(
    counter: Counter,
    plan: RetentionPlan,
    period: Period,
    limits: Filter,
    sites: frozenset[str] | None,
) -> Retention:
    """Count how many people came back."""
    check_by(plan.dimension)
    for step in filter(None, (plan.first, plan.returning)):
        step.check(counter.catalogue)
    wide = widen(period, plan.by)
    conditions = counter.conditions(limits, sites)
    cohorts = Cohorts(wide.spans(plan.by), is_running=wide.is_running)
    if not (conditions or plan.needs_people) and read_counted(
        counter, plan.by, wide, conditions.sites, cohorts
    ):
        return cohorts.make(plan.by, None, None)
    if not cohorts.spans or _ask_copy(counter, plan, wide, limits, sites, cohorts):
        return cohorts.make(plan.by, plan.dimension, None)
    people = _People(counter, plan, conditions, cohorts)
    since = counter.by_parts(wide, people.read, people.merge)
    if since is None:
        return cohorts.make(plan.by, plan.dimension, None)
    cohorts.cut_before(since, day_of(since, wide.zone))
    return cohorts.make(plan.by, plan.dimension, counter.make_cut(wide, since))


def _ask_copy(
    counter: Counter,
    plan: RetentionPlan,
    period: Period,
    limits: Filter,
    sites: frozenset[str] | None,
    into: Cohorts,
) -> bool:
    """Add all people as the copy tells. Return False if it does not."""
    question = Question(limits, sites, plan.by, tuple(filter(None, [plan.dimension])))
    rows = counter.ask_copy(
        period,
        question,
        lambda copy, asked: copy.count_cohorts(asked, plan.first, plan.returning),
    )
    for row in rows or ():
        into.add(*row)
    return rows is not None


#: Of a part: the number of the span, how many spans later, and the value; one for each person.
_Part = list[tuple[int, int, str]]


class _People:
    """Reads cohorts person by person."""

    def __init__(
        self, counter: Counter, plan: RetentionPlan, conditions: Conditions, cohorts: Cohorts
    ) -> None:
        self._first = _make(counter, conditions, plan.first)
        self._returning = _make(counter, conditions, plan.returning)
        self._by = plan.dimension
        self._cohorts = cohorts
        self._starts = [span.start.replace(tzinfo=None) for span in cohorts.spans]

    def read(self, bounds: Bounds) -> _Part:
        """Return the people whose first lies between two moments, and when they came back."""
        found = self._first.find_first(bounds, self._by)
        ever = self._first.find_first_ever(found)
        new = {each: done for each, done in found.items() if ever.get(each) == done[0]}
        place_of = {each: self._find_place(at) for each, (at, _) in new.items()}
        until = self._cohorts.spans[-1].end
        back = {
            (person, self._find_place(at) - place_of[person])
            for person, at in self._returning.iter_times(new, (bounds[0], until))
        }
        return [
            *((place_of[each], 0, value) for each, (_, value) in new.items()),
            *((place_of[each], later, new[each][1]) for each, later in back if later > 0),
        ]

    def merge(self, part: _Part) -> None:
        """Add the people of a part."""
        for place, later, value in part:
            self._cohorts.add(place, later, 1, value)

    def _find_place(self, at: dt.datetime) -> int:
        return bisect.bisect_right(self._starts, at) - 1


def _make(counter: Counter, conditions: Conditions, step: Step | None) -> Doing:
    return Sessions(counter, conditions) if step is None else Steps(counter, conditions, step)
