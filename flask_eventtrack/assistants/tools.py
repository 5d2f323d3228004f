"""The eight tools: each answers what a page of the dashboard shows."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses
import typing as t

import msgspec

from ..dashboard.audit import note_view
from ..dashboard.dimensions import DIMENSIONS
from ..dashboard.explore.action import find_action
from ..dashboard.explore.asked import NO_SITE, open_counter
from ..dashboard.explore.quality import list_values as list_quality
from ..dashboard.figures import MEASURE_WORDS, quantify
from ..dashboard.people import choose_veil, read_uuid
from ..dashboard.person import list_values as list_person
from ..dashboard.person import read_person
from ..dashboard.query import Query, check_parameters, choose
from ..errors import ReportError
from ..money import Money
from ..reports.definitions import DEFINITIONS
from ..reports.explore.catalogue import read_catalogue
from ..reports.explore.plan import Plan
from ..reports.explore.quality import read_quality
from ..reports.filters import FIELDS
from ..reports.period import PERIODS
from ..reports.rows import MEASURES, Numbers, Overview, Point
from ..request.access import Access, Need
from ..state import State
from .answers import Told, list_cuts
from .arguments import (
    BreakdownQuestion,
    CatalogueQuestion,
    Days,
    FunnelQuestion,
    NoQuestion,
    OverviewQuestion,
    PersonQuestion,
    SeriesQuestion,
    read_question,
)

_ALL: t.Final = (*MEASURES, "revenue")


class Asker(t.NamedTuple):
    """Who asks: an app, and what they may see of it."""

    state: State
    access: Access

    def read(self, asked: Days) -> Query:
        return read_question(self.state.reports, self.access, asked)


class Tool(t.NamedTuple):
    """A tool: its name and description, the arguments that it takes, and the function that answers.

    ``need`` is the permission that an asker needs.
    """

    name: str
    title: str
    description: str
    takes: type[msgspec.Struct]
    find: cabc.Callable[[Asker, t.Any], Told]
    need: Need = "numbers"


def _find_overview(asker: Asker, asked: OverviewQuestion) -> Told:
    query = asker.read(asked)
    found = _count(asker, query)
    report = {
        "compared": found.compared,
        "numbers": _name_numbers(found.numbers),
        "before": found.before and _name_numbers(found.before),
        "revenue": found.revenue,
        "revenue_before": found.revenue_before,
    }
    defined = (*_ALL, *(["before"] if found.compared else []))
    return Told(report, query, defined, list_cuts(found.cut, found.recounting))


def _find_series(asker: Asker, asked: SeriesQuestion) -> Told:
    query = asker.read(asked)
    measures = [choose("measures", each, _ALL) for each in asked.measures]
    found = _count(asker, query)
    report = {
        "bucket": query.bucket,
        "series": [_describe_point(point, measures) for point in found.series],
    }
    return Told(report, query, measures, list_cuts(found.cut, found.recounting))


def _count(asker: Asker, query: Query) -> Overview:
    return asker.state.reports.overview(
        query.period,
        query.filter,
        comparison=query.comparison,
        bucket=query.bucket,
        sites=query.sites,
        panels=(),
    )


def _name_numbers(numbers: Numbers) -> dict[str, float | None]:
    """Return the numbers and ratios, by the names that their definitions have."""
    return {each: numbers.get(each) for each in MEASURES}


def _describe_point(point: Point, measures: cabc.Sequence[str]) -> dict[str, t.Any]:
    now = _choose_numbers(point.numbers, point.revenue, measures)
    before = point.before and _choose_numbers(point.before, point.before_revenue, measures)
    return {
        "start": point.start,
        "is_running": point.is_running,
        **now,
        **({"before_start": point.before_start, "before": before} if before else {}),
    }


def _choose_numbers(
    numbers: Numbers, revenue: tuple[Money, ...], measures: cabc.Sequence[str]
) -> dict[str, t.Any]:
    return {each: revenue if each == "revenue" else numbers.get(each) for each in measures}


def _find_breakdown(asker: Asker, asked: BreakdownQuestion) -> Told:
    query = asker.read(asked)
    found = asker.state.reports.breakdown(
        asked.dimension,
        query.period,
        query.filter,
        comparison=query.comparison,
        search=asked.search.strip()[:255],
        sort=asked.sort,
        descending=asked.descending,
        limit=asked.limit,
        offset=asked.offset,
        with_people=True,
        route=asked.route or None,
        sites=query.sites,
    )
    limits = list_cuts(found.cut)
    if len(found.rows) < found.rows_in_all:
        limits.append(f"{len(found.rows):,} of {quantify(found.rows_in_all, 'row')}.")
    return Told(found, query, ("rows", "visitors"), limits, ("report.rows[].value",))


def _find_funnel(asker: Asker, asked: FunnelQuestion) -> Told:
    query = asker.read(asked)
    single = {"within": asked.within, "per": asked.per, "same": asked.same}
    several = {"step": asked.steps, "where": asked.where, "not": asked.excluded}
    pairs = [(name, value) for name, values in several.items() for value in values]
    plan = Plan.parse([*pairs, *single.items()])
    for step in plan.steps:
        check_parameters(step.where, asker.access)
    found = asker.state.reports.funnel_of(
        plan, query.period, query.filter, by=asked.by or None, sites=query.sites
    )
    limits = list_cuts(found.cut)
    if len(found.rows) < found.rows_in_all:
        limits.append(f"The {len(found.rows)} largest of {quantify(found.rows_in_all, 'row')}.")
    untrusted = ("report.rows[].value",) if found.by else ()
    return Told(found, query, ("funnel", "count", "within", "median"), limits, untrusted)


def _find_person(asker: Asker, asked: PersonQuestion) -> Told:
    state, access = asker
    shown, sought = choose_veil(access), asked.person.strip()
    uuid = read_uuid(sought)
    if uuid is None:
        rows = [dataclasses.asdict(row) for row in state.reports.search(sought)]
        limits = ["Call the tool again with the uuid of one of these people."]
        return Told({"people": shown(rows)}, limits=limits, untrusted=("report",))
    found = read_person(state, str(uuid), asked.before, asked.action)
    if found is None:
        raise ReportError("Nothing is stored of a person with this uuid.")
    note_view(state, access, found.known.person)
    report = list_person(found, shown)
    limits = (
        ["There are earlier events: call again with 'further' as 'before'."]
        if report["further"]
        else []
    )
    return Told(report, limits=limits, untrusted=("report",))


def _find_catalogue(asker: Asker, asked: CatalogueQuestion) -> Told:
    query = asker.read(asked)
    limits = [] if query.sites is None else [NO_SITE]
    defined = ("events", "last_seen", "refused")
    if asked.action:
        found = find_action(asker.state, asker.access, query, asked.action)
        if found is None:
            raise ReportError("There is no such event. Leave out 'action' to list all events.")
        report = {"use": found.use, "draft": found.draft}
        return Told(report, query, defined, limits, ("report.use", "report.draft"))
    with open_counter(asker.state) as counter:
        listed = read_catalogue(counter, query.period, query.sites)
    if listed.more:
        limits.append(f"{quantify(listed.more, 'event')} without a definition are not listed.")
    return Told(listed, query, defined, limits, ("report.not_defined[].action",))


def _find_quality(asker: Asker, asked: Days) -> Told:
    query = asker.read(asked)
    with open_counter(asker.state) as counter:
        found = read_quality(counter, query.period, query.sites)
    return Told(
        list_quality(asker.state, asker.access, found),
        query,
        ("totals", "silence"),
        [] if query.sites is None else [NO_SITE],
        (
            "report.quality.outcomes.reasons[].action",
            "report.quality.silence.by_browser[].value",
        ),
    )


def _find_definitions(asker: Asker, _: NoQuestion) -> Told:
    report = {
        "measures": {name: each.kind for name, each in MEASURE_WORDS.items()},
        "dimensions": {name: each.title for name, each in DIMENSIONS.items()},
        "filters": FIELDS,
        "periods": PERIODS,
    }
    return Told(report, asker.read(Days(period="today")), tuple(DEFINITIONS))


TOOLS: t.Final = (
    Tool(
        "overview",
        "Numbers of a period",
        "Visitors, sessions, page visits, bounce rate, visible time, orders and revenue of a "
        "period, and of the one before. Start here.",
        OverviewQuestion,
        _find_overview,
    ),
    Tool(
        "breakdown",
        "Numbers by a dimension",
        "The largest values of a dimension: where visitors came from, which pages they opened, "
        "which events happened, which countries, devices and campaigns.",
        BreakdownQuestion,
        _find_breakdown,
    ),
    Tool(
        "series",
        "Numbers over time",
        "How numbers changed by hour, day, week or month.",
        SeriesQuestion,
        _find_series,
    ),
    Tool(
        "funnel",
        "Steps one after the other",
        "How many people or sessions went through some steps, where they stopped, and how long it "
        "took.",
        FunnelQuestion,
        _find_funnel,
    ),
    Tool(
        "person",
        "One person",
        "What is known of one person, and what they did. Each look is noted in the audit.",
        PersonQuestion,
        _find_person,
        "manage",
    ),
    Tool(
        "catalogue",
        "Events of the app",
        "The events that the app defines, what they mean, and how often each arrived; and events "
        "that have no definition.",
        CatalogueQuestion,
        _find_catalogue,
    ),
    Tool(
        "quality",
        "Quality of the data",
        "How many events were stored, sent twice, refused or lost, and why: whether a number can "
        "be trusted.",
        Days,
        _find_quality,
    ),
    Tool(
        "definitions",
        "What the numbers mean",
        "What each number means, and which dimensions, filters and periods there are.",
        NoQuestion,
        _find_definitions,
    ),
)
