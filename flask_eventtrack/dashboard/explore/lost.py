"""Who got to a step of a funnel, and no further."""

from __future__ import annotations

import dataclasses
import typing as t

from flask import Response, request

from ...reports.explore.lost import Lost
from ...reports.explore.plan import MOST_STEPS, Plan
from ...request.access import Access
from ...state import State
from ..feed_words import write_moment
from ..named_filters import read_named
from ..overview import describe_query, list_sites
from ..people import choose_veil, list_cells, name_person
from ..plain import respond_csv, respond_json
from ..query import Query, read_number, read_query
from ..render import find_root, render
from .composing import list_own
from .funnel_words import name_step, write_title
from .funnels import read_plan

PAGE: t.Final = "funnels/lost"
_AT_ONCE, _MOST = 50, 10_000


class Asked(t.NamedTuple):
    """The funnel, after which of its steps, and how many people are left out first."""

    query: Query
    plan: Plan
    after: int
    offset: int


def show_lost(state: State, access: Access) -> Response:
    """Show the people."""
    asked = _read(state, access)
    found = _find(state, asked, _AT_ONCE)
    own = list_own(request.args)
    query = asked.query.on(PAGE, {"after": str(asked.after)}, own)
    last = asked.offset + len(found.people)
    return render(
        state,
        access,
        "funnels",
        "Lost on the way",
        template="funnel_lost",
        **describe_query(query, PAGE, named=read_named(state, access)),
        sites=list_sites(state, access, query),
        found=found,
        funnel=write_title(asked.plan),
        steps=[name_step(step) for step in asked.plan.steps[asked.after - 1 : asked.after + 1]],
        offset=asked.offset,
        last=last,
        back=asked.query.on("funnels", {}, own).link("funnels"),
        csv=query.at(f"{PAGE}.csv").link(f"{PAGE}.csv"),
        earlier_rows=query.link(PAGE, offset=str(max(0, asked.offset - _AT_ONCE))),
        later_rows=query.link(PAGE, offset=str(last)),
        shown=choose_veil(access),
        name_person=name_person,
        write_moment=lambda moment: write_moment(moment, state.reports.zone),
    )


def send_lost(state: State, access: Access) -> Response:
    """Send them as JSON."""
    found, shown = _find(state, _read(state, access), _AT_ONCE), choose_veil(access)
    people = [shown(dataclasses.asdict(row)) for row in found.people]
    return respond_json({"people": people, "total": found.total, "cut": found.cut})


def send_lost_file(state: State, access: Access) -> Response:
    """Send all of them as a file for spreadsheets."""
    found = _find(state, _read(state, access), _MOST)
    return respond_csv("lost", list_cells(found.people, choose_veil(access)))


def _read(state: State, access: Access) -> Asked:
    query = read_query(state.reports, access, find_root(state), request.args)
    after = read_number("after", 1, MOST_STEPS)
    return Asked(query, read_plan(access), after, read_number("offset", 0, 1_000_000))


def _find(state: State, asked: Asked, limit: int) -> Lost:
    query = asked.query
    return state.reports.lost(
        asked.plan,
        asked.after,
        query.period,
        query.filter,
        sites=query.sites,
        limit=limit,
        offset=asked.offset,
    )
