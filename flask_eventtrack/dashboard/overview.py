"""The overview: one page that says what happened."""

from __future__ import annotations

import collections.abc as cabc
import math
import typing as t

from flask import Response, request
from werkzeug.datastructures import MultiDict

from ..reports.library import Reports
from ..reports.notes import Note, list_notes
from ..reports.period import Bucket
from ..reports.rows import MEASURES, Measure, Numbers, Overview, Point
from ..request.access import Access
from ..state import State
from .chart import Chart, draw
from .dimensions import describe, list_fields, name_value
from .explore.saving import read_saved
from .figures import (
    MEASURE_WORDS,
    Change,
    MeasureWords,
    find_change,
    name_weekday,
    shorten,
    write,
    write_money,
    write_with_noun,
)
from .named_filters import Named, choose_named, draw_menu
from .notes import PAGE as NOTES
from .notes import Placed, add_notes, may_see_notes, place_notes, write_date
from .panels import draw_panels
from .plain import respond_json
from .query import Query, read_query
from .render import find_root, render
from .wording import (
    BUCKETS,
    COMPARISONS,
    PERIODS,
    label_bucket,
    name_bucket,
    name_compared,
    name_days,
    name_period,
    shift,
    write_busiest,
    write_headline,
)

_SIZES = {"wide": (1120, 260), "narrow": (360, 200)}
_SHADES = 8
_LONG = 8
_TOP = 10
_LABEL = 44


class Cell(t.NamedTuple):
    """A number of the head: a link that draws it."""

    measure: Measure
    words: MeasureWords
    value: str
    change: Change | None
    before: str | None
    href: str
    is_current: bool


class Entry(t.NamedTuple):
    """A row of the chart's table."""

    label: str
    value: str
    before: str | None
    before_label: str | None
    is_running: bool
    notes: list[str]


def show_overview(state: State, access: Access) -> Response:
    """Show the overview."""
    args, is_new = _open(state.reports, access, request.args)
    query = read_query(state.reports, access, find_root(state, access.link), args)
    overview = read_overview(state.reports, query)
    start = state.reports.find_start() if is_new else None
    if start is not None and not overview.numbers.sessions and not query.filter:
        return render(state, access, "overview", "Waiting", template="start", start=start)
    saved = [] if access.link is not None else read_saved(state, "filter", "note")
    notes = list_notes(saved, overview.period) if may_see_notes(access) else ()
    return render(
        state,
        access,
        "overview",
        "Overview",
        start=start,
        **describe_query(query, named=choose_named(access, saved)) | {"comparisons": COMPARISONS},
        **_describe(state, access, query, overview, notes),
    )


def send_overview(state: State, access: Access) -> Response:
    """Send the same as JSON."""
    query = read_query(state.reports, access, find_root(state, access.link), request.args)
    return respond_json(add_notes(state, access, read_overview(state.reports, query)))


def read_overview(reports: Reports, query: Query) -> Overview:
    """Read what a query asks for."""
    panels = {"source", "site", *query.tabs.values()}
    return reports.overview(
        query.period,
        query.filter,
        comparison=query.comparison,
        bucket=query.bucket,
        sites=query.sites,
        panels=tuple(sorted(panels)),
    )


def _open(
    reports: Reports, access: Access, args: MultiDict[str, str]
) -> tuple[MultiDict[str, str], bool]:
    """Return the arguments, and whether the app is new: then the overview opens on today.

    Whoever sees some sites only is not told about the others. Whoever has a shared link is not told
    how to set up the app.
    """
    if args.get("period") or access.sites is not None or access.link is not None:
        return args, False
    is_new = reports.period("all").first >= reports.now.astimezone(reports.zone).date()
    if not is_new:
        return args, False
    args = MultiDict(args)
    args["period"] = "today"
    args.setdefault("compare", "none")
    return args, True


def describe_query(
    query: Query, page: str = "", *, named: Named, **own: str | None
) -> dict[str, t.Any]:
    """Return what the bar above the numbers shows.

    :param named: the saved filters; without some, there is no menu of them.
    :param own: the arguments of the page, which its links to other periods keep; a query that is of
        the page already has them.
    """
    query = query if query.page == page else query.on(page, own)
    period = query.period
    before, after = shift(period, -1), shift(period, 1)
    return {
        "query": query,
        "periods": PERIODS,
        "comparisons": {},
        "period_name": name_period(period),
        "days": name_days(period.first, period.last),
        "earlier": before and query.link_days(*before, page),
        "later": after and query.link_days(*after, page),
        "chips": [(*describe(c), query.link_without(c, page)) for c in query.filter.conditions],
        "fields": list_fields(),
        "named": draw_menu(query, page, named),
        "zone": str(period.zone),
    }


def list_sites(
    state: State, access: Access, query: Query, counted: cabc.Iterable[str] = ()
) -> list[str]:
    """Return the sites to choose from in the bar; none if there is only one.

    :param counted: more sites that are known.
    """
    names = access.sites
    if names is None:
        names = frozenset(filter(None, [*state.sites.list_known(), *counted, query.site]))
    return sorted(names) if len(names) > 1 else []


def _describe(
    state: State, access: Access, query: Query, overview: Overview, notes: tuple[Note, ...]
) -> dict[str, t.Any]:
    measure, bucket = query.measure, query.bucket
    placed = place_notes(notes, overview.series, bucket)
    cells = _list_cells(query, overview)
    is_by_source = any(c.field in {"source", "channel"} for c in query.filter.conditions)
    return {
        "headline": write_headline(overview, query.comparison, is_by_source=is_by_source),
        "overview": overview,
        "cells": cells,
        "orders": list_orders(state.reports, query) if overview.numbers.orders else [],
        "has_long": any(len(cell.value) > _LONG for cell in cells),
        "revenue": [write_money(money) for money in overview.revenue],
        "measure": MEASURE_WORDS[measure],
        "charts": draw_charts(overview, measure, bucket, _SIZES, placed),
        "entries": [
            _describe_point(measure, point, bucket, placed.get(place, []))
            for place, point in enumerate(overview.series)
        ],
        "notes": [(write_date(note.day), note) for note in notes],
        "noting": query.link(NOTES) if access.may_manage else None,
        "bucket": bucket,
        "buckets": {each: BUCKETS[each] for each in query.period.buckets if query.period.days > 1},
        "compared_with": name_compared(overview, query.comparison),
        "compared_days": overview.compared
        and name_days(overview.compared.first, overview.compared.last),
        "panels": draw_panels(query, overview.breakdowns),
        "heat": _draw_heat(overview.heatmap),
        "busiest": write_busiest(overview.heatmap),
        "sites": list_sites(
            state, access, query, (row.value for row in overview.breakdowns["site"].rows)
        ),
    }


def _list_cells(query: Query, overview: Overview) -> list[Cell]:
    before = overview.before
    has_orders = overview.numbers.orders or (before is not None and before.orders)
    return [
        _describe_number(query, measure, overview.numbers, before)
        for measure in MEASURES
        if measure != "orders" or has_orders or query.measure == "orders"
    ]


def _describe_number(
    query: Query, measure: Measure, numbers: Numbers, before: Numbers | None
) -> Cell:
    value = numbers.get(measure)
    earlier = None if before is None else before.get(measure)
    return Cell(
        measure,
        MEASURE_WORDS[measure],
        write(measure, value),
        find_change(measure, value, earlier),
        None if earlier is None else write(measure, earlier),
        query.link(measure=None if measure == "visitors" else measure),
        measure == query.measure,
    )


def _describe_point(measure: Measure, point: Point, bucket: Bucket, notes: list[str]) -> Entry:
    before = point.before
    return Entry(
        name_bucket(point.start, bucket),
        write_with_noun(measure, point.numbers.get(measure)),
        None if before is None else write(measure, before.get(measure)),
        None if point.before_start is None else name_bucket(point.before_start, bucket),
        point.is_running,
        notes,
    )


def draw_charts(
    overview: Overview,
    measure: Measure,
    bucket: Bucket,
    sizes: dict[str, tuple[int, int]],
    notes: Placed,
) -> list[Chart]:
    """Draw a measure over time, once in each of the sizes: name, width and height."""
    period, points = overview.period, overview.series
    is_one_day = period.first == period.last
    labels = [label_bucket(point.start, bucket, is_one_day=is_one_day) for point in points]
    # A bucket that has not begun has no value yet.
    now = [p.numbers.get(measure) if p.start <= period.now else None for p in points]
    before = [point.before.get(measure) if point.before else None for point in points]
    return [
        draw(
            name,
            size,
            now,
            before if overview.before is not None else [],
            labels,
            kind=MEASURE_WORDS[measure].kind,
            runs=any(point.is_running for point in points),
            notes={place: len(texts) for place, texts in notes.items()},
        )
        for name, size in sizes.items()
    ]


def list_orders(reports: Reports, query: Query) -> list[tuple[str, int, str]]:
    """Return the sources with the most orders, with the revenue of each."""
    found = reports.revenue("source", query.period, query.filter, sites=query.sites)
    return [
        (
            shorten(name_value("source", row.value), _LABEL),
            row.orders,
            ", ".join(map(write_money, row.revenue)),
        )
        for row in found[:_TOP]
    ]


def _draw_heat(heatmap: tuple[tuple[int, ...], ...]) -> list[tuple[str, list[tuple[int, int]]]]:
    """Return the days with their hours: how many sessions, and how dark from 0 to 8."""
    most = max((max(row, default=0) for row in heatmap), default=0)
    return [
        (name_weekday(day), [(count, math.ceil(count / most * _SHADES)) for count in row])
        for day, row in enumerate(heatmap)
        if most
    ]
