"""All rows of a dimension, with every number of them: to search, to sort, and as a file."""

from __future__ import annotations

import typing as t

from flask import Response, request

from ..errors import ReportError
from ..reports.rows import Breakdown
from ..request.access import Access
from ..request.problems import not_found
from ..state import State
from .columns import get_growth, list_cells, list_columns
from .dimensions import DIMENSIONS
from .named_filters import read_named
from .overview import describe_query
from .panels import PanelRow, draw_rows
from .plain import respond_csv, respond_json
from .query import Query, read_number, read_query
from .render import find_root, render
from .wording import COMPARISONS

_PAGE, _MOST = 100, 10_000
_LABEL = 120


class Choice(t.NamedTuple):
    """Which rows are shown, in which order."""

    dimension: str
    search: str
    sort: str
    is_descending: bool
    offset: int
    route: str | None

    @property
    def own(self) -> dict[str, str | None]:
        """The arguments that say so, as far as they are not the usual ones."""
        is_usual = self.is_descending != (self.sort == "value")
        return {
            "route": self.route,
            "q": self.search or None,
            "sort": None if self.sort == "count" else self.sort,
            "order": None if is_usual else "desc" if self.is_descending else "asc",
        }

    def link(self, query: Query, ending: str = "", **changes: t.Any) -> str:
        """Return the URL of other rows, or of these in another form."""
        new = self._replace(**changes)
        offset = str(new.offset) if new.offset else None
        return query.link(f"details/{new.dimension}{ending}", **new.own, offset=offset)


class Head(t.NamedTuple):
    """The head of a column: a link that sorts by it, and how it is sorted now."""

    title: str
    meaning: str
    href: str | None
    order: str | None


class FullRow(t.NamedTuple):
    """A row with all its columns. ``more`` is a link into it, and its text."""

    shape: PanelRow
    cells: list[str]
    growth: str
    more: tuple[str, str] | None


def show_details(state: State, access: Access, dimension: str) -> Response:
    """Show the rows of a dimension."""
    if dimension not in DIMENSIONS:
        return not_found()
    query, choice = _read(state, access, dimension)
    found = _find(state, query, choice, _PAGE)
    words = DIMENSIONS[dimension]
    page = f"details/{dimension}"
    return render(
        state,
        access,
        "overview",
        words.title if choice.route is None else f"Paths of {choice.route}",
        template="details",
        **describe_query(query, page, **choice.own, named=read_named(state, access))
        | {"comparisons": COMPARISONS},
        words=words,
        choice=choice,
        found=found,
        heads=_list_heads(query, choice, found),
        rows=_write_rows(query, found),
        csv=choice.link(query, ".csv", offset=0),
        earlier_rows=choice.link(query, offset=max(0, choice.offset - _PAGE)),
        later_rows=choice.link(query, offset=choice.offset + _PAGE),
        last=min(choice.offset + _PAGE, found.rows_in_all),
        sites=[],
        own=[("route", choice.route)] if choice.route is not None else [],
    )


def send_details(state: State, access: Access, dimension: str) -> Response:
    """Send the same as JSON."""
    if dimension not in DIMENSIONS:
        return not_found()
    query, choice = _read(state, access, dimension)
    return respond_json(_find(state, query, choice, read_number("limit", _PAGE, _MOST)))


def send_file(state: State, access: Access, dimension: str) -> Response:
    """Send all rows as a file for spreadsheets."""
    if dimension not in DIMENSIONS:
        return not_found()
    query, choice = _read(state, access, dimension)
    found = _find(state, query, choice, _MOST)
    period = query.period
    return respond_csv(f"{dimension}-{period.first}-{period.last}", list_cells(found))


def _read(state: State, access: Access, dimension: str) -> tuple[Query, Choice]:
    args = request.args
    query = read_query(state.reports, access, find_root(state), args)
    sort = args.get("sort") or "count"
    order = args.get("order") or ("asc" if sort == "value" else "desc")
    if order not in {"asc", "desc"}:
        raise ReportError(f"'order' is one of asc, desc, not {order[:40]!r}.")
    search = args.get("q", "").strip()[:255]
    offset = read_number("offset", 0, 1_000_000)
    route = args.get("route") if dimension == "path" else None
    return query, Choice(dimension, search, sort, order == "desc", offset, route)


def _find(state: State, query: Query, choice: Choice, limit: int) -> Breakdown:
    return state.reports.breakdown(
        choice.dimension,
        query.period,
        query.filter,
        comparison=query.comparison,
        search=choice.search,
        sort=choice.sort,
        descending=choice.is_descending,
        limit=limit,
        offset=choice.offset,
        with_people=True,
        route=choice.route,
        sites=query.sites,
    )


def _list_heads(query: Query, choice: Choice, found: Breakdown) -> list[Head]:
    """Return the heads of all columns, the values' first."""
    own = ("value", DIMENSIONS[choice.dimension].column, "")
    others = [(column.sort, column.title, column.meaning) for column in list_columns(found)]
    return [_make_head(query, choice, *each) for each in (own, *others)]


def _make_head(query: Query, choice: Choice, sort: str | None, title: str, meaning: str) -> Head:
    if sort is None:
        return Head(title, meaning, None, None)
    is_current = sort == choice.sort
    down = not choice.is_descending if is_current else sort != "value"
    href = choice.link(query, sort=sort, is_descending=down, offset=0)
    order = ("descending" if choice.is_descending else "ascending") if is_current else None
    return Head(title, meaning, href, order)


def _write_rows(query: Query, found: Breakdown) -> list[FullRow]:
    columns = list_columns(found)
    drawn = draw_rows(query, found, _LABEL)
    return [
        FullRow(
            shape,
            [column.show(row) for column in columns],
            get_growth(row),
            _link_more(query, found.dimension, row.value),
        )
        for shape, row in zip(drawn, found.rows, strict=True)
    ]


def _link_more(query: Query, dimension: str, value: str) -> tuple[str, str] | None:
    if dimension == "page":
        return query.link("details/path", route=value), "Paths"
    if dimension == "action":
        return query.link("parameters", event=value), "Parameters"
    return None
