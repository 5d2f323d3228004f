"""How many sessions and people reached goals, and what they ordered."""

from __future__ import annotations

import collections
import dataclasses
import time

import sqlalchemy as sa

from ...errors import ReportError
from ...store.local_days import day_of
from ..amounts import Amounts
from ..breakdown import Listing, make_breakdown
from ..counting import Answer, Counter, Question
from ..filters import Condition, Filter
from ..period import Bucket, Period
from ..revenue import are_of, count_orders, made_in_session
from .funnel import check_by
from .goals import Goal
from .rows import GoalDetails, GoalRow, GoalValue

_ALL = Listing(limit=1_000_000)
_MOST_ROWS = 100


def read_goals(
    counter: Counter, period: Period, limits: Filter, sites: frozenset[str] | None
) -> tuple[GoalRow, ...]:
    """Count all goals. Each gets the same part of the time that is left."""
    goals = list(counter.read_goals().values())
    sessions = _Sessions(counter, limits, sites)
    sessions.count(period)
    end, rows = counter.due, []
    for place, goal in enumerate(goals):
        now = time.monotonic()
        counter.due = now + max(0.0, end - now) / (len(goals) - place)
        try:
            goal.step.check(counter.catalogue)
        except ReportError as error:
            rows.append(dataclasses.replace(_describe(goal), problem=str(error)))
        else:
            rows.append(_make_row(goal, _count(counter, goal, period, limits, sites), sessions))
    return tuple(rows)


def read_goal(
    counter: Counter,
    name: str,
    by: str,
    period: Period,
    limits: Filter,
    sites: frozenset[str] | None,
) -> GoalDetails:
    """Count a goal by a dimension of sessions, the values with the most conversions first."""
    check_by(by)
    reached = _add_goal(limits, name)
    counter.conditions(reached, sites)  # refuses a goal that there is not
    goal, sessions = counter.read_goals()[name], _Sessions(counter, limits, sites)
    answer = _count(counter, goal, period, limits, sites, by)
    part = _find_part(answer)
    if part is None:
        return GoalDetails(_make_row(goal, answer, sessions), by, (), 0)
    people = counter.count_people(by, part, Question(reached, sites, _choose_bucket(part), (by,)))
    amounts = _read_amounts(counter, by, part, reached, sites)
    everyone = sessions.count_values(part, by)
    rows = []
    for row in make_breakdown(answer.sums, by, _ALL, people=people).rows:
        number = None if everyone is None else everyone.get(row.value, row.count)
        orders = amounts[row.value]
        rows.append(
            GoalValue(
                row.value,
                number,
                row.count,
                row.count / number if number else None,
                row.people,
                orders.orders,
                orders.money(),
            )
        )
    total = _make_row(goal, answer, sessions)
    return GoalDetails(total, by, tuple(rows[:_MOST_ROWS]), len(rows))


def _add_goal(limits: Filter, name: str) -> Filter:
    """Return a filter with a goal that has to be reached beside any other."""
    return Filter((*limits.conditions, Condition("goal", "is", (name,))))


class _Sessions:
    """How many sessions there are of those among which a goal is counted."""

    def __init__(self, counter: Counter, limits: Filter, sites: frozenset[str] | None) -> None:
        self.counter = counter
        self._limits = limits
        self._sites = sites
        self._known: dict[Period, int | None] = {}

    def count(self, period: Period) -> int | None:
        """Return their number; None if there was not the time to count them all."""
        if period not in self._known:
            answer = self._ask(period)
            is_whole = answer.since is None
            self._known[period] = answer.sums.numbers().sessions if is_whole else None
        return self._known[period]

    def count_values(self, period: Period, by: str) -> dict[str, int] | None:
        """Return the number of each value of a dimension; None if there was not the time."""
        answer = self._ask(period, by)
        if answer.since is not None:
            return None
        self._known[period] = answer.sums.numbers().sessions
        return {row.value: row.count for row in make_breakdown(answer.sums, by, _ALL).rows}

    def _ask(self, period: Period, *by: str) -> Answer:
        question = Question(self._limits, self._sites, _choose_bucket(period), by, has_orders=False)
        return self.counter.count(period, question)


def _count(
    counter: Counter,
    goal: Goal,
    period: Period,
    limits: Filter,
    sites: frozenset[str] | None,
    *by: str,
) -> Answer:
    question = Question(_add_goal(limits, goal.name), sites, _choose_bucket(period), by)
    return counter.count(period, question)


def _find_part(answer: Answer) -> Period | None:
    """Return the part of a period that was read; None if none was."""
    period = answer.sums.period
    if answer.since is None:
        return period
    first = day_of(answer.since, period.zone)
    is_some = first <= period.last_begun
    return dataclasses.replace(period, name="custom", first=first) if is_some else None


def _make_row(goal: Goal, answer: Answer, sessions: _Sessions) -> GoalRow:
    numbers, part = answer.sums.numbers(), _find_part(answer)
    among = sessions.count(part) if part is not None else None
    return dataclasses.replace(
        _describe(goal),
        conversions=numbers.sessions,
        rate=numbers.sessions / among if among else None,
        people=numbers.visitors,
        orders=numbers.orders,
        revenue=answer.sums.all_amounts().money(),
        cut=sessions.counter.make_cut(answer.sums.period, answer.since),
    )


def _describe(goal: Goal) -> GoalRow:
    """Return the row of a goal that nobody has reached."""
    return GoalRow(goal.name, goal.description, goal.step.text, goal.step.conditions)


def _choose_bucket(period: Period) -> Bucket:
    return "day" if "day" in period.buckets else "month"


def _read_amounts(
    counter: Counter, by: str, period: Period, limits: Filter, sites: frozenset[str] | None
) -> collections.defaultdict[str, Amounts]:
    """Return what was ordered in sessions, by a dimension of theirs."""
    row, session = counter.tables.transaction.c, counter.tables.session.c
    value = sa.func.trim(sa.func.coalesce(session[by], "")).label("value")
    sums = (count_orders(counter.tables.transaction), sa.func.sum(row.amount))
    query = sa.select(value, row.currency, *sums).join_from(
        counter.tables.transaction,
        counter.tables.session,
        session.id == made_in_session(counter.tables),
    )
    bounds = (period.start, period.end)
    name, conditions = counter.connection.dialect.name, counter.conditions(limits, sites)
    query = query.where(*are_of(counter.tables, name, bounds, conditions))
    found = collections.defaultdict[str, Amounts](Amounts)
    for text, currency, orders, amount in counter.connection.execute(
        query.group_by("value", row.currency)
    ):
        found[text].add(int(orders), currency, int(amount))
    return found
