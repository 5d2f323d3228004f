"""Funnels: composed by a form, and shown with where people are lost."""

from __future__ import annotations

import typing as t
import urllib.parse

from flask import Response, request

from ...errors import ReportError
from ...reports.explore.funnel import check_by
from ...reports.explore.plan import Plan
from ...reports.explore.rows import Funnel
from ...request.access import Access
from ...state import State
from ...store.saved import Saved
from ..dimensions import name_field
from ..named_filters import read_named
from ..overview import describe_query, list_sites
from ..plain import respond_csv, respond_json
from ..query import Pairs, Query, check_parameters, read_query
from ..render import find_root, render
from .composing import (
    COMPOSED,
    PERS,
    WITHINS,
    list_dimensions,
    list_own,
    list_suggestions,
    read_form,
    write_pairs,
)
from .funnel_words import draw_rows, draw_steps, list_lines, write_lead, write_title
from .saving import (
    LONGEST_NAME,
    find_refusal,
    is_removal,
    make_save_token,
    read_saved,
    remove,
    save,
    see_list,
)

PAGE: t.Final = "funnels"


def handle_funnels(state: State, access: Access) -> Response:
    """Show a funnel, lead to one that was composed, save one or remove one."""
    if COMPOSED in request.args:
        return _lead_to(write_pairs(request.args.copy()))
    if request.method != "POST":
        return _show(state, access)
    refusal = find_refusal(state, access, "funnel")
    if isinstance(refusal, Response):
        return refusal
    if is_removal() and not refusal:
        remove(state, access, "funnel", request.form["remove"])
        return see_list(state, PAGE)
    mistake = refusal or _save(state, access)
    return _show(state, access, mistake) if mistake else see_list(state, PAGE)


def _save(state: State, access: Access) -> str:
    """Save the funnel of the URL. Return what is wrong, or ""."""
    try:
        plan = read_plan(access)
        plan.check(state.catalogue)
        for step in plan.events:
            step.where.refuse_naming()
        by = request.args.get("by") or None
        check_by(by)
    except ReportError as error:
        return str(error)
    pairs = [*plan.to_query(), *([("by", by)] if by else [])]
    definition = {"query": pairs}
    return save(state, access, "funnel", request.form.get("name", ""), definition)


def _show(state: State, access: Access, mistake: str = "") -> Response:
    """Show a funnel and the form that composes it; without a funnel, the form alone."""
    query = _read_query(state, access)
    shown = dict[str, t.Any]()
    if request.args.getlist("step"):
        try:
            shown = _describe(access, query, *_read(state, access, query))
        except ReportError as error:
            mistake = str(error)
    plain = read_query(state.reports, access, find_root(state), request.args)
    return render(
        state,
        access,
        PAGE,
        shown.pop("title", "Funnels"),
        status=400 if mistake else 200,
        compress=not access.may_manage,
        **describe_query(query, PAGE, named=read_named(state, access)),
        sites=list_sites(state, access, query),
        mistake=mistake,
        form=read_form(request.args),
        suggestions=list_suggestions(state),
        withins=WITHINS,
        pers=PERS,
        dimensions=list_dimensions(),
        saved=[
            (row.name, row.made_by, plain.on(PAGE, {}, list_pairs(row)).link(PAGE))
            for row in read_saved(state, "funnel")
        ],
        token=make_save_token(state, access, "funnel"),
        here=query.link(PAGE),
        longest=LONGEST_NAME,
        **{"funnel": None, **shown},
    )


def send_funnel(state: State, access: Access) -> Response:
    """Send a funnel as JSON."""
    query = _read_query(state, access)
    return respond_json(_read(state, access, query)[1])


def send_funnel_file(state: State, access: Access) -> Response:
    """Send a funnel as a file for spreadsheets."""
    query = _read_query(state, access)
    lines = list_lines(*_read(state, access, query))
    return respond_csv(f"funnel-{query.period.first}-{query.period.last}", lines)


def read_plan(access: Access) -> Plan:
    """Return the funnel of the URL.

    :raises ReportError: it is wrong, or limited by what this access may not see.
    """
    plan = Plan.parse(request.args.items(multi=True))
    for step in plan.steps:
        check_parameters(step.where, access)
    return plan


def list_pairs(row: Saved) -> Pairs:
    """Return the arguments of the URL of a saved funnel."""
    return tuple((name, value) for name, value in row.definition["query"])


def _read_query(state: State, access: Access) -> Query:
    query = read_query(state.reports, access, find_root(state), request.args)
    return query.on(PAGE, {}, list_own(request.args))


def _read(state: State, access: Access, query: Query) -> tuple[Plan, Funnel]:
    plan, by = read_plan(access), request.args.get("by") or None
    found = state.reports.funnel_of(plan, query.period, query.filter, by=by, sites=query.sites)
    return plan, found


def _describe(access: Access, query: Query, plan: Plan, found: Funnel) -> dict[str, t.Any]:
    return {
        "title": write_title(plan),
        "funnel": found,
        "lead": write_lead(plan, found),
        "steps": draw_steps(query, plan, found, has_people=access.may_see_people),
        "rows": draw_rows(query, found),
        "by": name_field(found.by) if found.by else "",
        "counted": "People" if plan.per == "person" else "Sessions",
        "csv": query.at(f"{PAGE}.csv").link(f"{PAGE}.csv"),
    }


def _lead_to(pairs: list[tuple[str, str]]) -> Response:
    """Lead from what the form sends to the URL that says it."""
    page = urllib.parse.quote(request.script_root + request.path)
    headers = {"Location": page + Query.write_pairs(pairs), "Cache-Control": "no-store"}
    return Response("", 303, headers)
