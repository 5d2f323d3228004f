"""The values of a dimension and what was counted of each: sources, pages, countries, …"""

from __future__ import annotations

import collections.abc as cabc
import dataclasses
import typing as t

from ..errors import ReportError
from ..store.session_counts import DIMENSIONS, unpack
from ..text import shorten
from .counting import Answer, Counter, Question
from .explore.event_conditions import find_types
from .filters import Filter
from .of_events import Found, add_paths, check_route, read_parameters
from .period import Bucket, Comparison, Period
from .rows import Breakdown, Cut, Parameters, Row
from .scan import Bounds
from .sums import COUNTED, OF_EVENTS, Sums

#: The dimensions of breakdowns; ``path`` is one inside a route.
ALL_DIMENSIONS: t.Final = (*DIMENSIONS, *OF_EVENTS)
#: What rows can be sorted by.
SORTS: t.Final = (
    *("count", "value", "share", "pages", "bounces", "seconds", "visible_ms", "people", "before"),
    *("pages_per_session", "bounce_rate", "duration", "visible_time"),
)
_UNITS = {"pages": "page visits", "events": "events", "sessions": "sessions"}


@dataclasses.dataclass(frozen=True, slots=True)
class Listing:
    """Which rows of a dimension are shown, and in which order."""

    search: str = ""
    sort: str = "count"
    descending: bool = True
    limit: int = 100
    offset: int = 0


def read_breakdown(
    counter: Counter,
    dimension: str,
    period: Period,
    limits: Filter,
    listing: Listing,
    *,
    comparison: Comparison = "none",
    with_people: bool = False,
    route: str | None = None,
    sites: frozenset[str] | None = None,
) -> Breakdown:
    """Count the values of a dimension."""
    check_dimension(dimension)
    check_route(dimension, route)
    check_sort(listing.sort)
    bucket: Bucket = "day" if "day" in period.buckets else "month"
    question = Question(limits, sites, bucket, (dimension,), has_orders=False)
    answer = _count(counter, period, question, route)
    compared = period.compared(comparison)
    before = None
    if compared is not None and answer.since is None:
        other = _count(counter, compared, question, route)
        before = other.sums if other.since is None else None
    people = None
    if with_people and answer.since is None:
        people = counter.count_people(dimension, period, question)
    return make_breakdown(
        answer.sums,
        dimension,
        listing,
        before=before,
        people=people,
        cut=counter.make_cut(period, answer.since),
    )


def _count(counter: Counter, period: Period, question: Question, route: str | None) -> Answer:
    if route is None:
        return counter.count(period, question)
    conditions = counter.conditions(question.limits, question.sites)
    sums = Sums(period, question.bucket, question.dimensions)
    told = counter.ask_copy(period, question, lambda copy, asked: copy.count_paths(asked, route))
    if told is not None:
        sums.add_paths(told.items())
        return Answer(sums)

    def read(bounds: Bounds) -> Sums:
        part = sums.part()
        add_paths(counter.connection, counter.tables, route, bounds, conditions, part)
        return part

    return Answer(sums, counter.by_parts(period, read, sums.merge))


def read_action(
    counter: Counter,
    action: str,
    period: Period,
    limits: Filter,
    *,
    limit: int,
    sites: frozenset[str] | None,
) -> Parameters:
    """Read what the events of an action had in their parameters."""
    types, found = find_types(action, counter.catalogue), Found()
    conditions = counter.conditions(limits, sites)

    def read(bounds: Bounds) -> Found:
        return read_parameters(
            counter.connection,
            counter.tables,
            action,
            types.keys(),
            bounds,
            conditions,
            counter.due,
        )

    since = counter.by_parts(period, read, found.merge)
    cut = counter.make_cut(period, since)
    rows = tuple(found.values[name].row(name, kind, limit) for name, kind in types.items())
    return Parameters(action, found.events, len(found.people), rows, cut)


def check_dimension(dimension: str) -> None:
    """Refuse a dimension that does not exist.

    :raises ReportError: naming those that do.
    """
    if dimension not in ALL_DIMENSIONS:
        raise ReportError(
            f"There is no dimension {shorten(dimension)}. The dimensions are: "
            f"{', '.join(ALL_DIMENSIONS)}."
        )


def check_sort(sort: str) -> None:
    """Refuse an order that does not exist.

    :raises ReportError: naming those that do.
    """
    if sort not in SORTS:
        raise ReportError(
            f"Rows cannot be sorted by {shorten(sort)}. They can be by: {', '.join(SORTS)}."
        )


def make_breakdown(
    sums: Sums,
    dimension: str,
    listing: Listing,
    *,
    before: Sums | None = None,
    people: cabc.Mapping[str, int] | None = None,
    cut: Cut | None = None,
) -> Breakdown:
    """Return the rows of a dimension."""
    unit = COUNTED.get(dimension, "sessions")
    numbers = {value: getattr(unpack(each), unit) for value, each in sums.values[dimension].items()}
    total = sum(numbers.values())
    found = [
        _make_row(sums, dimension, value, number / total, before, people)
        for value, number in numbers.items()
        if number
    ]
    rows = find_rows(found, listing)
    shown = tuple(rows[listing.offset : listing.offset + listing.limit])
    return Breakdown(dimension, _UNITS[unit], shown, total, len(rows), cut)


def find_rows(rows: cabc.Iterable[Row], listing: Listing) -> list[Row]:
    """Return the rows that are looked for, in order; those without a value come last."""
    wanted = listing.search.casefold()
    found = sorted(
        (row for row in rows if wanted in row.value.casefold()), key=lambda row: row.value
    )
    if listing.sort == "value":
        return found[::-1] if listing.descending else found
    known = [row for row in found if getattr(row, listing.sort) is not None]
    known.sort(
        key=lambda row: t.cast("float", getattr(row, listing.sort)), reverse=listing.descending
    )
    return known + [row for row in found if getattr(row, listing.sort) is None]


def _make_row(
    sums: Sums,
    dimension: str,
    value: str,
    share: float,
    before: Sums | None,
    people: cabc.Mapping[str, int] | None,
) -> Row:
    counts = unpack(sums.values[dimension][value])
    unit = COUNTED.get(dimension, "sessions")
    of_sessions = unit == "sessions"
    return Row(
        value=value,
        count=getattr(counts, unit),
        share=share,
        pages=counts.pages if of_sessions else None,
        bounces=counts.bounces if of_sessions else None,
        seconds=counts.seconds if of_sessions else None,
        visible_ms=counts.visible_ms if of_sessions else None,
        people=None if people is None else people.get(value, 0),
        before=getattr(unpack(before.values[dimension][value]), unit) if before else None,
    )
