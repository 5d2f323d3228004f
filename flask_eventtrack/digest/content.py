"""What a digest says, of the overview of its period."""

from __future__ import annotations

import typing as t

from ..dashboard.dimensions import DIMENSIONS, name_value
from ..dashboard.figures import (
    clean,
    name_month,
    quantify,
    shorten,
    write_count,
    write_day,
    write_percent,
)
from ..dashboard.numbers import Number, find_change_of, list_numbers, list_revenue
from ..dashboard.wording import name_days, write_headline
from ..records import PAGE_VISIT, SESSION_END, SESSION_START
from ..reports.period import Period
from ..reports.rows import Breakdown, Overview
from . import Every

#: The dimensions whose largest rows are listed.
LISTED: t.Final = ("source", "page", "country", "action")
_ROWS = 5
# Events that the numbers tell already.
_IN_NUMBERS = frozenset({PAGE_VISIT, SESSION_START, SESSION_END})
_LABEL = 60


class Listed(t.NamedTuple):
    """A row of a list: what it is called, how often it was, and its share."""

    label: str
    number: str
    share: str


class List(t.NamedTuple):
    """The largest rows of a dimension."""

    title: str
    column: str
    counted: str
    rows: list[Listed]


class Content(t.NamedTuple):
    """All that a digest says."""

    subject: str
    days: str
    zone: str
    headline: str
    notice: str
    numbers: list[Number]
    revenue: list[Number]
    lists: list[List]


def describe_overview(found: Overview, every: Every, name: str) -> Content:
    """Return what a digest says.

    :param name: the site's; perhaps empty.
    """
    period = found.period
    return Content(
        subject=_write_subject(found, every, name),
        days=name_days(period.first, period.last),
        zone=str(period.zone),
        headline=_clean(write_headline(found, "previous", is_by_source=False)),
        notice=_write_notice(found),
        numbers=list_numbers(found),
        revenue=list_revenue(found),
        lists=[_list_rows(found.breakdowns[each]) for each in LISTED if _is_known(found, each)],
    )


def _write_subject(found: Overview, every: Every, name: str) -> str:
    number = quantify(found.numbers.visitors, "visitor")
    change = find_change_of(found, "visitors")
    said = f"{number} {_name_period(found.period, every)}"
    said += f" ({change.text})" if change else ""
    return _clean(f"{name}: {said}" if name else said)


def _name_period(period: Period, every: Every) -> str:
    day = period.first
    match every:
        case "day":
            return f"on {write_day(day)}"
        case "week":
            return f"in the week of {day.day} {name_month(day)} {day.year}"
    return f"in {name_month(day)} {day.year}"


def _write_notice(found: Overview) -> str:
    if found.cut is not None:
        return f"These numbers are {found.cut.sentence}: counting them all would take too long."
    if found.recounting:
        return "Some days are being counted again, so the numbers may be slightly off."
    return ""


def _is_known(found: Overview, dimension: str) -> bool:
    """Whether a dimension has a value: countries have none without a database of them."""
    return any(row.value not in {"", *_IN_NUMBERS} for row in found.breakdowns[dimension].rows)


def _list_rows(found: Breakdown) -> List:
    words = DIMENSIONS[found.dimension]
    rows = [row for row in found.rows if row.value not in _IN_NUMBERS]
    listed = [
        Listed(
            _clean(shorten(name_value(found.dimension, row.value), _LABEL)),
            write_count(row.count),
            write_percent(row.share),
        )
        for row in rows[:_ROWS]
    ]
    return List(words.title, words.column, found.counted.capitalize(), listed)


def _clean(text: str) -> str:
    return str(clean(text))
