"""Saved filters: their menu in the bar, and the page on which managers save and remove them."""

from __future__ import annotations

import collections.abc as cabc
import typing as t

from flask import Response, request

from ..errors import ReportError
from ..reports.conditions import check_events, check_goals
from ..reports.filters import Filter
from ..reports.named_filters import NamedFilter, as_definition, is_same, list_named
from ..request.access import Access
from ..state import State
from ..store.saved import Saved
from .dimensions import describe
from .explore.saving import (
    LONGEST_NAME,
    find_refusal,
    is_removal,
    make_save_token,
    read_saved,
    remove,
    save,
    see,
)
from .plain import respond_json
from .query import Query, read_query
from .render import find_root, render

PAGE: t.Final = "filters"


class Named(t.NamedTuple):
    """The saved filters that an access may choose from, and whether it may save others."""

    filters: list[NamedFilter]
    may_manage: bool = False


#: For pages that have no filters.
NONE: t.Final = Named([])


class Menu(t.NamedTuple):
    """The menu in the bar.

    ``current`` is the name of the filter that is shown; "" if that is not saved. ``links`` has the
    name of each filter, its link, and whether it is shown. ``save`` and ``manage`` are links for
    managers.
    """

    current: str
    links: list[tuple[str, str, bool]]
    save: str | None
    manage: str | None


def read_named(state: State, access: Access) -> Named:
    """Return the saved filters for the bar of a page."""
    rows = [] if access.link is not None else read_saved(state, "filter")
    return choose_named(access, rows)


def choose_named(access: Access, rows: cabc.Iterable[Saved]) -> Named:
    """Return what an access may choose from. Filters on sites may name one that it must not see."""
    filters = [
        each
        for each in list_named(rows)
        if access.sites is None or all(c.field != "site" for c in each.filter.conditions)
    ]
    return Named(filters, access.may_manage)


def draw_menu(query: Query, page: str, named: Named) -> Menu | None:
    """Return the menu of a page; None if it would be empty."""
    links = [
        (each.name, query.link_filtered(each.filter, page), is_same(each.filter, query.filter))
        for each in named.filters
    ]
    current = next((name for name, _, is_current in links if is_current), "")
    can_save = named.may_manage and bool(query.filter) and not current
    if not links and not can_save:
        return None
    save_link = query.link(PAGE) if can_save else None
    return Menu(current, links, save_link, query.link(PAGE) if named.may_manage else None)


def handle_filters(state: State, access: Access) -> Response:
    """Show the saved filters, save the one of the URL or remove one."""
    query = read_query(state.reports, access, find_root(state), request.args)
    if request.method != "POST":
        return _show(state, access, query)
    refusal = find_refusal(state, access, "filter")
    if isinstance(refusal, Response):
        return refusal
    if is_removal() and not refusal:
        remove(state, access, "filter", request.form["remove"])
        return see(query.link(PAGE))
    mistake = refusal or _save(state, access, query.filter)
    return _show(state, access, query, mistake) if mistake else see(query.link())


def send_filters(state: State, access: Access) -> Response:
    """Send the saved filters as JSON."""
    return respond_json(read_named(state, access).filters)


def _save(state: State, access: Access, limits: Filter) -> str:
    """Save a filter. Return what is wrong, or ""."""
    try:
        check_events(limits, state.catalogue)
        goals = {goal.name: goal for goal in state.reports.list_goals()}
        check_goals(limits, goals, state.catalogue)
        definition = as_definition(limits)
    except ReportError as error:
        return str(error)
    return save(state, access, "filter", request.form.get("name", ""), definition)


def _show(state: State, access: Access, query: Query, mistake: str = "") -> Response:
    rows = read_saved(state, "filter")
    known = {each.name: each for each in list_named(rows)}
    return render(
        state,
        access,
        "overview",
        "Saved filters",
        template="filters",
        status=400 if mistake else 200,
        compress=False,
        conditions=[describe(each) for each in query.filter.conditions],
        rows=[_draw(query, row, known.get(row.name)) for row in rows],
        mistake=mistake,
        asked_name=request.form.get("name", ""),
        longest=LONGEST_NAME,
        action=query.link(PAGE),
        back=query.link(),
        token=make_save_token(state, access, "filter"),
    )


def _draw(
    query: Query, row: Saved, named: NamedFilter | None
) -> tuple[str, str, str | None, list[tuple[str, str]]]:
    """Return the name of a filter, who saved it, its link and its conditions."""
    if named is None:
        return row.name, row.made_by, None, []
    conditions = [describe(each) for each in named.filter.conditions]
    return row.name, row.made_by, query.link_filtered(named.filter), conditions
