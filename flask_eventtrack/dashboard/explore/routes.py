"""Slow and broken routes, as visitors met them."""

from __future__ import annotations

import typing as t

from flask import Response

from ...reports.explore.routes import LATEST, CameFrom, RouteRow, Routes, read_routes
from ...request.access import Access
from ...state import State
from ..dimensions import name_value
from ..plain import respond_json
from ..query import Query
from ..render import render
from .asked import describe_asked, open_counter, read_asked

_MOST = 100
_SECOND = 1000


class DrawnRoute(t.NamedTuple):
    """A route with its times in words, its bar (a percentage), and the link to its paths."""

    label: str
    visits: int
    median: str
    p95: str
    longest: str
    bar: float
    href: str


def show_routes(state: State, access: Access) -> Response:
    """Show how long the server took for each route."""
    query, found = _read(state, access)
    rows, shown = found.rows[:_MOST], (found.errors or ())[:_MOST]
    return render(
        state,
        access,
        "routes",
        "Routes",
        **describe_asked(state, access, query, "routes"),
        found=found,
        said=_say(found),
        latest=LATEST,
        rows=[_draw(query, row, rows[0].p95) for row in rows],
        more=len(found.rows) - len(rows),
        errors=[(error, list(map(_name, error.came_from))) for error in shown],
    )


def send_routes(state: State, access: Access) -> Response:
    """Send the same as JSON."""
    return respond_json(_read(state, access)[1])


def write_ms(milliseconds: float) -> str:
    """Return a duration: "3.2 ms", "840 ms", "1.25 s"."""
    if milliseconds >= _SECOND:
        return f"{milliseconds / _SECOND:,.2f} s"
    return f"{milliseconds:.1f} ms" if milliseconds < 10 else f"{milliseconds:.0f} ms"


def _read(state: State, access: Access) -> tuple[Query, Routes]:
    query = read_asked(state, access)
    with open_counter(state) as counter:
        return query, read_routes(counter, query.period, query.sites)


def _draw(query: Query, row: RouteRow, most: float) -> DrawnRoute:
    return DrawnRoute(
        name_value("page", row.route),
        row.visits,
        write_ms(row.median),
        write_ms(row.p95),
        write_ms(row.longest),
        round(row.p95 / most * 100, 1) if most else 0,
        query.link("details/path", route=row.route),
    )


def _name(place: CameFrom) -> tuple[str, int]:
    named = {"page": "a page without a route", "site": "another site", "direct": "came directly"}
    return place.name or named[place.kind], place.answers


def _say(found: Routes) -> str:
    if not found.rows:
        return "No page visits of the server in this period"
    slowest = found.rows[0]
    return (
        f"The slowest route is {name_value('page', slowest.route)}: 95% of its pages were made "
        f"within {write_ms(slowest.p95)}."
    )
