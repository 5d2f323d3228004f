"""Retention: who came back, by when they first came."""

from __future__ import annotations

import typing as t

from flask import Response, request
from werkzeug.datastructures import MultiDict

from ...errors import ReportError
from ...reports.explore.cohorts import BYS, widen
from ...reports.explore.retention_rows import By, Retention
from ...reports.period import Period
from ...request.access import Access
from ...state import State
from ..named_filters import read_named
from ..overview import describe_query, list_sites
from ..plain import respond_csv, respond_json
from ..query import Query, choose, read_query
from ..render import find_root, render
from .composing import list_dimensions, list_suggestions, name_page
from .retention_words import draw_curves, draw_rows, list_lines, name_column, write_lead

PAGE: t.Final = "retention"
_DEFAULT_PERIOD = "90d"
#: The longest periods that are shown by days and by weeks.
_MOST_DAYS: t.Final[dict[By, int]] = {"day": 14, "week": 184}


class Choice(t.NamedTuple):
    """What is asked, as the URL has it."""

    by: By
    first: str
    returning: str
    dimension: str

    @property
    def own(self) -> dict[str, str | None]:
        """The arguments of the URL."""
        return {name: value or None for name, value in self._asdict().items()}


def show_retention(state: State, access: Access) -> Response:
    """Show who came back, and the form that says what is counted."""
    query = _read_query(state, access)
    choice = _read_choice(query.period)
    mistake, found = "", None
    try:
        found = _find(state, query, choice)
    except ReportError as error:
        mistake = str(error)
    shown = query.on(PAGE, choice.own)
    return render(
        state,
        access,
        PAGE,
        "Retention",
        status=400 if mistake else 200,
        **describe_query(shown, PAGE, named=read_named(state, access)),
        sites=list_sites(state, access, query),
        mistake=mistake,
        choice=choice,
        units=[
            (each, shown.link(PAGE, by=each), each == choice.by)
            for each in BYS
            if _fits(query.period, each)
        ],
        suggestions=list_suggestions(state),
        dimensions=list_dimensions(),
        **_describe(shown, found),
    )


def send_retention(state: State, access: Access) -> Response:
    """Send the same as JSON."""
    query = _read_query(state, access)
    return respond_json(_find(state, query, _read_choice(query.period)))


def send_retention_file(state: State, access: Access) -> Response:
    """Send the same as a file for spreadsheets."""
    query = _read_query(state, access)
    lines = list_lines(_find(state, query, _read_choice(query.period)))
    return respond_csv(f"retention-{query.period.first}-{query.period.last}", lines)


def _read_query(state: State, access: Access) -> Query:
    args = MultiDict(request.args)
    args["period"] = args.get("period") or _DEFAULT_PERIOD
    return read_query(state.reports, access, find_root(state), args)


def _read_choice(period: Period) -> Choice:
    fitting = (by for by, most in _MOST_DAYS.items() if period.days <= most)
    by = request.args.get("by") or next(fitting, "month")
    first, returning = (name_page(request.args.get(name, "")) for name in ("first", "returning"))
    return Choice(choose("by", by, BYS), first, returning, request.args.get("dimension", ""))


def _fits(period: Period, by: By) -> bool:
    try:
        widen(period, by)
    except ReportError:
        return False
    return True


def _find(state: State, query: Query, choice: Choice) -> Retention:
    return state.reports.retention(
        query.period,
        query.filter,
        by=choice.by,
        first=choice.first or None,
        returning=choice.returning or None,
        dimension=choice.dimension or None,
        sites=query.sites,
    )


def _describe(query: Query, found: Retention | None) -> dict[str, t.Any]:
    if found is None:
        return {"found": None, "lead": ""}
    return {
        "found": found,
        "lead": write_lead(found),
        "rows": draw_rows(query, found),
        "column": name_column(found),
        "numbers": range(1, max([len(found.mean), *(len(row.cells) for row in found.rows)]) + 1),
        "charts": draw_curves(found),
        "has_running": any(cell.is_running for row in found.rows for cell in row.cells),
        "csv": query.at(f"{PAGE}.csv").link(f"{PAGE}.csv"),
    }
