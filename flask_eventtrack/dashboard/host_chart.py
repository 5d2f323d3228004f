"""``{{ eventtrack_chart("visitors") }}``: a number and its chart in the host's own pages."""

from __future__ import annotations

import collections.abc as cabc
import typing as t

from markupsafe import Markup

from ..reports.period import COMPARISONS, Bucket
from ..reports.rows import MEASURES, Measure, Numbers, Overview
from ..request.access import Access, find_access
from ..state import State, get_state
from .figures import MEASURE_WORDS, find_change, write
from .notes import Placed, place_notes, read_notes
from .overview import draw_charts
from .query import DEFAULT_PERIOD, choose
from .render import make_environment
from .wording import name_bucket, name_compared, name_period

_SIZES: t.Final = {"wide": (760, 200), "narrow": (360, 180)}


def eventtrack_chart(
    measure: str = "visitors",
    period: str = DEFAULT_PERIOD,
    compare: str = "none",
    site: str | None = None,
) -> Markup:
    """Return a number of the dashboard and its chart as HTML.

    It is empty if ``EVENTTRACK_DASHBOARD_PERMISSION`` does not let the request read numbers.

    :param measure: such as ``"visitors"``, ``"page_visits"``, ``"bounce_rate"``.
    :param period: as :meth:`Reports.period` takes it, such as ``"today"``, ``"30d"``, ``"month"``.
    :param compare: ``"previous"`` for the period before, ``"year"`` for the same days a year
        before, ``"none"``.
    :param site: the only one to count; None counts all that the request may see.
    """
    state = get_state()
    access = find_access(state) if state.config.enabled else None
    if access is None or not _may_see(access, site):
        return Markup()
    try:
        return _render(state, access, measure, period, compare, site)
    except Exception as error:  # noqa: BLE001 - the host's page goes on without it
        state.report_failure("rendering a chart", error)
        return Markup()


def _may_see(access: Access, site: str | None) -> bool:
    return site is None or access.sites is None or site in access.sites


def _render(
    state: State, access: Access, measure: str, period: str, compare: str, site: str | None
) -> Markup:
    chosen = choose("measure", measure, MEASURES)
    comparison = choose("compare", compare, COMPARISONS)
    sites = access.sites if site is None else frozenset({site})
    span = state.reports.period(period, sites=sites)
    overview = state.reports.overview(span, comparison=comparison, sites=sites, panels=())
    placed = place_notes(
        read_notes(state, access, overview.period), overview.series, span.default_bucket
    )
    named = name_period(span)
    value, before = overview.numbers.get(chosen), _find(chosen, overview.before)
    html = (
        make_environment()
        .get_template("host_chart.html")
        .render(
            words=MEASURE_WORDS[chosen],
            period=f"{named[:1].lower()}{named[1:]}",
            site=site,
            value=write(chosen, value),
            change=find_change(chosen, value, before),
            before=None if before is None else write(chosen, before),
            compared_with=name_compared(overview, comparison),
            charts=draw_charts(overview, chosen, span.default_bucket, _SIZES, placed),
            rows=list(_list_rows(overview, chosen, span.default_bucket, placed)),
            has_notes=bool(placed),
            cut=overview.cut,
        )
    )
    return Markup(html)  # noqa: S704 - it is escaped by its template


def _find(measure: Measure, numbers: Numbers | None) -> float | None:
    return None if numbers is None else numbers.get(measure)


def _list_rows(
    overview: Overview, measure: Measure, bucket: Bucket, placed: Placed
) -> cabc.Iterator[tuple[str, bool, str, str, list[str]]]:
    """Yield the rows of the table: a bucket, whether it still runs, its value, the one before it,
    and its notes."""
    for place, point in enumerate(overview.series):
        before = "" if point.before is None else write(measure, point.before.get(measure))
        value = write(measure, point.numbers.get(measure))
        name, notes = name_bucket(point.start, bucket), placed.get(place, [])
        yield name, point.is_running, value, before, notes
