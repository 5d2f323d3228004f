"""Elements and forms: which banner is seen, hovered over and clicked; where forms are left."""

from __future__ import annotations

import typing as t

from flask import Response, request

from ...reports.explore.element_rows import ElementRow, Elements, FormRow
from ...request.access import Access
from ...state import State
from ..figures import MISSING, shorten, write_percent, write_seconds
from ..named_filters import read_named
from ..overview import describe_query, list_sites
from ..plain import respond_csv, respond_json
from ..query import Query, choose, read_query
from ..render import find_root, render

PAGE: t.Final = "elements"
#: The tables that can be saved as a file.
TABLES: t.Final = ("elements", "forms")
_ELEMENTS = (
    *("id", "views", "seen", "hovered", "hover_rate", "median_dwell_ms", "clicked", "click_rate"),
    *("hovered_long", "hovered_long_clicked", "long_click_rate"),
)
_FORMS = (
    *("form", "opened", "begun", "begin_rate", "sent", "send_rate", "abandoned", "abandon_rate"),
    *("field", "abandoned_at_field"),
)
_LABEL = 60


class DrawnElement(t.NamedTuple):
    """An element as the table shows it."""

    label: str
    row: ElementRow
    hover_rate: str
    dwell: str
    click_rate: str
    long_click_rate: str
    bar: float


class DrawnForm(t.NamedTuple):
    """A form as the table shows it. ``more_fields`` is how many fields are not listed."""

    label: str
    row: FormRow
    begin_rate: str
    send_rate: str
    abandon_rate: str
    fields: list[tuple[str, int]]
    more_fields: int


def show_elements(state: State, access: Access) -> Response:
    """Show elements and forms, or what to tag."""
    query = _read_query(state, access)
    found = _find(state, query)
    return render(
        state,
        access,
        PAGE,
        "Elements",
        **describe_query(query, PAGE, named=read_named(state, access)),
        sites=list_sites(state, access, query),
        found=found,
        elements=[_draw_element(row) for row in found.elements],
        forms=[_draw_form(row) for row in found.forms],
        files={
            name: query.on(f"{PAGE}.csv", {"table": name}).link(f"{PAGE}.csv") for name in TABLES
        },
    )


def send_elements(state: State, access: Access) -> Response:
    """Send both tables as JSON."""
    return respond_json(_find(state, _read_query(state, access)))


def send_elements_file(state: State, access: Access) -> Response:
    """Send one of the tables as a file for spreadsheets."""
    query = _read_query(state, access)
    table = choose("table", request.args.get("table", TABLES[0]), TABLES)
    found = _find(state, query)
    lines = _list_elements(found) if table == TABLES[0] else _list_forms(found)
    return respond_csv(f"{table}-{query.period.first}-{query.period.last}", lines)


def _read_query(state: State, access: Access) -> Query:
    return read_query(state.reports, access, find_root(state), request.args)


def _find(state: State, query: Query) -> Elements:
    return state.reports.elements(query.period, query.filter, sites=query.sites)


def _draw_element(row: ElementRow) -> DrawnElement:
    return DrawnElement(
        shorten(row.id, _LABEL),
        row,
        _write_rate(row.hover_rate),
        MISSING if row.median_dwell_ms is None else _write_dwell(row.median_dwell_ms / 1000),
        _write_rate(row.click_rate),
        _write_rate(row.long_click_rate),
        round((row.click_rate or 0) * 100, 2),
    )


def _draw_form(row: FormRow) -> DrawnForm:
    return DrawnForm(
        shorten(row.form, _LABEL),
        row,
        _write_rate(row.begin_rate),
        _write_rate(row.send_rate),
        _write_rate(row.abandon_rate),
        [(shorten(each.field, _LABEL), each.sessions) for each in row.fields],
        row.fields_in_all - len(row.fields),
    )


def _write_rate(rate: float | None) -> str:
    return MISSING if rate is None else write_percent(rate)


def _write_dwell(seconds: float) -> str:
    """Return a dwell: "1.4s", "2m 48s"."""
    return f"{seconds:.1f}s" if seconds < 59.95 else write_seconds(seconds)


def _list_elements(found: Elements) -> list[tuple[object, ...]]:
    lines = (
        (
            *(row.id, row.views, row.seen, row.hovered, _round(row.hover_rate)),
            *(row.median_dwell_ms, row.clicked, _round(row.click_rate)),
            *(row.hovered_long, row.hovered_long_clicked, _round(row.long_click_rate)),
        )
        for row in found.elements
    )
    return [_ELEMENTS, *lines]


def _list_forms(found: Elements) -> list[tuple[object, ...]]:
    """Return a line for each form and field at which it was abandoned."""
    lines: list[tuple[object, ...]] = [_FORMS]
    for row in found.forms:
        numbers = (
            *(row.form, row.opened, row.begun, _round(row.begin_rate)),
            *(row.sent, _round(row.send_rate), row.abandoned, _round(row.abandon_rate)),
        )
        lines += ((*numbers, each.field, each.sessions) for each in row.fields)
        if not row.fields:
            lines.append((*numbers, None, None))
    return lines


def _round(rate: float | None) -> float | None:
    return None if rate is None else round(rate, 6)
