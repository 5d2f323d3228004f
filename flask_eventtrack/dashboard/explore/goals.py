"""Goals: how many reached each, by what, and the form that makes one."""

from __future__ import annotations

import typing as t

from flask import Response, request

from ...errors import ReportError
from ...reports.explore.funnel import BY
from ...reports.explore.goals import Goal, as_definition
from ...reports.explore.rows import GoalDetails, GoalRow
from ...reports.explore.steps import Step
from ...request.access import Access
from ...state import State
from ...text import clean_text
from ..dimensions import DIMENSIONS, name_field, name_value
from ..figures import MISSING, count_people, shorten, write_money, write_percent
from ..named_filters import read_named
from ..overview import describe_query, list_sites
from ..plain import respond_csv, respond_json
from ..query import Query, choose, read_query
from ..render import find_root, render
from .composing import list_suggestions, name_page
from .funnel_words import name_step, write_where
from .saving import find_refusal, is_removal, make_save_token, read_saved, remove, save, see_list

_LABEL = 60
_HEAD = ("goal", "event", "conditions", "conversions", "rate", "people", "orders", "revenue")


class DrawnGoal(t.NamedTuple):
    """A goal as the table shows it. ``note`` says what its numbers are not."""

    name: str
    description: str
    step: str
    where: str
    conversions: int
    rate: str
    people: int
    revenue: tuple[str, ...]
    href: str | None
    note: str


class Asked(t.NamedTuple):
    """What the form of a new goal says."""

    name: str = ""
    event: str = ""
    parameter: str = ""
    operator: str = "is"
    value: str = ""
    description: str = ""


def handle_goals(state: State, access: Access) -> Response:
    """Show the goals, make one or remove one."""
    if request.method != "POST":
        return _show(state, access)
    refusal = find_refusal(state, access, "goal")
    if isinstance(refusal, Response):
        return refusal
    asked = Asked(*(clean_text(request.form.get(name, "")).strip() for name in Asked._fields))
    if is_removal() and not refusal:
        remove(state, access, "goal", request.form["remove"])
        return see_list(state, "goals")
    mistake = refusal or _make(state, access, asked)
    return _show(state, access, asked, mistake) if mistake else see_list(state, "goals")


def send_goals(state: State, access: Access) -> Response:
    """Send the goals as JSON."""
    return respond_json(_find(state, _read_query(state, access)))


def send_goals_file(state: State, access: Access) -> Response:
    """Send the goals as a file for spreadsheets."""
    query = _read_query(state, access)
    lines = (_make_line(goal) for goal in _find(state, query))
    return respond_csv(f"goals-{query.period.first}-{query.period.last}", [_HEAD, *lines])


def show_goal(state: State, access: Access, goal: str) -> Response:
    """Show a goal by a dimension."""
    query, found = _read_goal(state, access, goal)
    page = f"goals/{goal}"
    return render(
        state,
        access,
        "goals",
        goal,
        template="goal",
        **describe_query(
            query, page, by=None if found.by == BY[0] else found.by, named=read_named(state, access)
        ),
        sites=list_sites(state, access, query),
        goal=_draw(query, found.goal),
        said=_say(found.goal),
        is_code=found.by in DIMENSIONS and DIMENSIONS[found.by].is_code,
        rows=[(shorten(name_value(found.by, r.value), _LABEL), r) for r in found.rows],
        rows_in_all=found.rows_in_all,
        column=name_field(found.by),
        tabs=[(name_field(by), query.link(page, by=by), by == found.by) for by in BY],
        write_money=write_money,
        csv=query.on(f"{page}.csv", {"by": found.by}).link(f"{page}.csv"),
    )


def send_goal(state: State, access: Access, goal: str) -> Response:
    """Send a goal by a dimension as JSON."""
    return respond_json(_read_goal(state, access, goal)[1])


def send_goal_file(state: State, access: Access, goal: str) -> Response:
    """Send a goal by a dimension as a file for spreadsheets."""
    query, found = _read_goal(state, access, goal)
    head = (found.by, "sessions", "conversions", "rate", "people", "orders", "revenue")
    lines = (
        (
            *(row.value, row.sessions, row.conversions, _round(row.rate), row.people, row.orders),
            " ".join(map(write_money, row.revenue)),
        )
        for row in found.rows
    )
    return respond_csv(f"goal-{query.period.first}-{query.period.last}", [head, *lines])


def _show(state: State, access: Access, asked: Asked | None = None, mistake: str = "") -> Response:
    query = _read_query(state, access)
    return render(
        state,
        access,
        "goals",
        "Goals",
        status=400 if mistake else 200,
        compress=not access.may_manage,
        **describe_query(query, "goals", named=read_named(state, access)),
        sites=list_sites(state, access, query),
        goals=[_draw(query, goal) for goal in _find(state, query)],
        saved={each.name: each.made_by for each in read_saved(state, "goal")},
        asked=asked or Asked(),
        mistake=mistake,
        suggestions=list_suggestions(state),
        token=make_save_token(state, access, "goal"),
        csv=query.at("goals.csv").link("goals.csv"),
    )


def _make(state: State, access: Access, asked: Asked) -> str:
    """Save a goal. Return what is wrong, or ""."""
    where = [f"{asked.operator}:{asked.parameter}:{asked.value}"] if asked.parameter else []
    try:
        step = Step.parse(name_page(asked.event), where)
        step.check(state.catalogue)
        goal = Goal(asked.name, step, asked.description[:255])
        if any(row.name == goal.name for row in state.reports.list_goals()):
            return f"There is a goal {goal.name!r} already. Choose another name."
    except ReportError as error:
        return str(error)
    return save(state, access, "goal", goal.name, as_definition(goal))


def _read_query(state: State, access: Access) -> Query:
    return read_query(state.reports, access, find_root(state), request.args)


def _find(state: State, query: Query) -> tuple[GoalRow, ...]:
    return state.reports.goals(query.period, query.filter, sites=query.sites)


def _read_goal(state: State, access: Access, goal: str) -> tuple[Query, GoalDetails]:
    query = _read_query(state, access)
    by = choose("by", request.args.get("by", BY[0]), BY)
    return query, state.reports.goal(goal, by, query.period, query.filter, sites=query.sites)


def _draw(query: Query, goal: GoalRow) -> DrawnGoal:
    step = Step.parse(goal.step, goal.where)
    return DrawnGoal(
        goal.name,
        goal.description,
        name_step(step),
        write_where(step),
        goal.conversions,
        MISSING if goal.rate is None else write_percent(goal.rate),
        goal.people,
        tuple(map(write_money, goal.revenue)),
        None if goal.problem else query.link(f"goals/{goal.name}"),
        _write_note(goal),
    )


def _say(goal: GoalRow) -> str:
    people = count_people(goal.people)
    if goal.rate is None:
        return f"By {people}."
    return f"{write_percent(goal.rate)} of the sessions, by {people}."


def _write_note(goal: GoalRow) -> str:
    if goal.cut is None:
        return goal.problem
    return f"These numbers are {goal.cut.sentence}: counting them all would take too long."


def _round(rate: float | None) -> float | None:
    return None if rate is None else round(rate, 6)


def _make_line(goal: GoalRow) -> tuple[object, ...]:
    revenue = " ".join(map(write_money, goal.revenue))
    numbers = (goal.conversions, _round(goal.rate), goal.people, goal.orders, revenue)
    return goal.name, goal.step, " ".join(goal.where), *numbers
