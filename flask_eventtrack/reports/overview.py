"""The overview: the numbers of a period, their series, and the top rows of each panel."""

from __future__ import annotations

import collections.abc as cabc
import itertools
import typing as t

from .breakdown import Listing, check_dimension, make_breakdown
from .counting import Answer, Counter, Question
from .filters import Filter
from .period import Bucket, Comparison, Period, check_bucket
from .rows import Overview, Point
from .sums import Sums

#: The dimensions of the overview's panels.
PANELS: t.Final = (
    *("channel", "source", "utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content"),
    *("page", "entry_rule", "exit_rule"),
    *("country", "language", "browser", "os", "device_type", "action"),
)
_TOP = Listing(limit=10)


def read_overview(
    counter: Counter,
    period: Period,
    limits: Filter,
    *,
    comparison: Comparison,
    bucket: Bucket | None,
    sites: frozenset[str] | None,
    panels: cabc.Sequence[str],
) -> Overview:
    """Count the overview of a period."""
    for dimension in panels:
        check_dimension(dimension)
    bucket = bucket or period.default_bucket
    check_bucket(bucket, period)
    question = Question(limits, sites, bucket, tuple(panels), has_heat=True)
    answer = counter.count(period, question)
    compared = period.compared(comparison)
    before = None
    if compared is not None and answer.since is None:
        before = _count_before(counter, compared, Question(limits, sites, bucket, ()))
    return _make_overview(answer, compared, before, counter)


def _count_before(counter: Counter, period: Period, question: Question) -> Sums | None:
    answer = counter.count(period, question)
    return answer.sums if answer.since is None else None


def _make_overview(
    answer: Answer, compared: Period | None, before: Sums | None, counter: Counter
) -> Overview:
    sums = answer.sums
    period = sums.period
    return Overview(
        period=period,
        compared=compared,
        numbers=sums.numbers(),
        before=before.numbers() if before else None,
        revenue=sums.all_amounts().money(),
        revenue_before=before.all_amounts().money() if before else (),
        series=tuple(_iter_points(sums, before)),
        breakdowns={name: make_breakdown(sums, name, _TOP) for name in sums.dimensions},
        heatmap=tuple(tuple(sums.heat[day, hour] for hour in range(24)) for day in range(7)),
        cut=counter.make_cut(period, answer.since),
        recounting=counter.closed.waiting,
    )


def _iter_points(sums: Sums, before: Sums | None) -> cabc.Iterator[Point]:
    """Yield the points of a series, each with the one of the same place in the period before."""
    zone, now = sums.period.zone, sums.period.now
    spans = before.spans if before else []
    for place, (span, other) in enumerate(itertools.zip_longest(sums.spans, spans)):
        if span is None:  # the period before has more days
            return
        yield Point(
            start=span.start.astimezone(zone),
            numbers=sums.numbers_of(place),
            is_running=span.start <= now < span.end,
            before_start=other.start.astimezone(zone) if other else None,
            before=before.numbers_of(place) if before and other else None,
            revenue=sums.amounts[place].money(),
            before_revenue=before.amounts[place].money() if before and other else (),
        )
