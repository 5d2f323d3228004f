"""Paths: what people saw after a page or an event, or before it."""

from __future__ import annotations

import typing as t

from flask import Response, request
from werkzeug.datastructures import MultiDict

from ...errors import ReportError
from ...reports.explore.path_rows import Direction, Paths
from ...reports.explore.paths import DIRECTIONS
from ...reports.explore.trails import DEPTH
from ...request.access import Access
from ...state import State
from ..named_filters import read_named
from ..overview import describe_query, list_sites
from ..plain import respond_csv, respond_json
from ..query import Pairs, Query, choose, read_query
from ..render import find_root, render
from .composing import list_suggestions, name_page
from .path_words import draw_columns, list_lines, write_lead, write_title

PAGE: t.Final = "paths"
_DEFAULT_START = "page:/"


class Asked(t.NamedTuple):
    """What is asked, as the URL has it. ``via`` are the places that are opened, one a column."""

    query: Query
    start: str
    direction: Direction
    via: list[str]

    @property
    def own(self) -> Pairs:
        """The arguments of the URL."""
        pairs = [("start", self.start), *(("via", each) for each in self.via)]
        if self.direction != DIRECTIONS[0]:
            pairs.append(("direction", self.direction))
        return tuple(pairs)


def show_paths(state: State, access: Access) -> Response:
    """Show the paths, a column for each page, and the form that says where they start."""
    asked = _read(state, access)
    mistake, shown = "", dict[str, t.Any]()
    try:
        shown = _describe(asked, _find(state, asked))
    except ReportError as error:
        mistake = str(error)
    return render(
        state,
        access,
        PAGE,
        shown.pop("title", "Paths"),
        status=400 if mistake else 200,
        **describe_query(
            asked.query.on(PAGE, {}, asked.own), PAGE, named=read_named(state, access)
        ),
        sites=list_sites(state, access, asked.query),
        mistake=mistake,
        start=asked.start,
        direction=asked.direction,
        suggestions=list_suggestions(state),
        **{"found": None, **shown},
    )


def send_paths(state: State, access: Access) -> Response:
    """Send the tree as JSON."""
    return respond_json(_find(state, _read(state, access)))


def send_paths_file(state: State, access: Access) -> Response:
    """Send all paths of the tree as a file for spreadsheets."""
    asked = _read(state, access)
    period = asked.query.period
    return respond_csv(f"paths-{period.first}-{period.last}", list_lines(_find(state, asked)))


def _read(state: State, access: Access) -> Asked:
    query = read_query(state.reports, access, find_root(state), MultiDict(request.args))
    direction = choose("direction", request.args.get("direction") or "next", DIRECTIONS)
    start = name_page(request.args.get("start") or _DEFAULT_START)
    return Asked(query, start, direction, request.args.getlist("via")[: DEPTH - 1])


def _find(state: State, asked: Asked) -> Paths:
    query = asked.query
    return state.reports.paths(
        asked.start, query.period, query.filter, direction=asked.direction, sites=query.sites
    )


def _describe(asked: Asked, found: Paths) -> dict[str, t.Any]:
    query = asked.query.on(PAGE, {}, asked.own)
    return {
        "title": write_title(found),
        "found": found,
        "lead": write_lead(found),
        "columns": draw_columns(query, found, asked.via),
        "directions": [
            (label, query.link(PAGE, direction=value, via=None), each == asked.direction)
            for each, label, value in (
                ("next", "What came next", None),
                ("before", "What came before", "before"),
            )
        ],
        "csv": query.at(f"{PAGE}.csv").link(f"{PAGE}.csv", via=None),
    }
