"""Sentences and names for periods and what they are compared with."""

from __future__ import annotations

import calendar
import datetime as dt
import typing as t

from ..reports.period import Bucket, Comparison, Period
from ..reports.rows import Breakdown, Cut, Overview
from .dimensions import name_value
from .figures import (
    TIMES,
    count_people,
    name_month,
    name_weekday,
    quantify,
    write_day,
    write_growth,
)

#: name, what the menu calls it, and its key.
PERIODS: t.Final = (
    ("today", "Today", "d"),
    ("yesterday", "Yesterday", "e"),
    ("7d", "Last 7 days", "w"),
    ("28d", "Last 28 days", "f"),
    ("30d", "Last 30 days", "t"),
    ("90d", "Last 90 days", "n"),
    ("month", "This month", "m"),
    ("last_month", "Last month", "p"),
    ("year", "This year", "y"),
    ("12m", "Last 12 months", "l"),
    ("all", "All time", "a"),
)
COMPARISONS: t.Final[dict[Comparison, str]] = {
    "previous": "Previous period",
    "year": "Same days a year before",
    "none": "No comparison",
}
BUCKETS: t.Final[dict[Bucket, str]] = {
    "hour": "Hours",
    "day": "Days",
    "week": "Weeks",
    "month": "Months",
}
_PERIOD_NAMES = {name: title for name, title, _ in PERIODS}
_HALF = 0.5


def name_period(period: Period) -> str:
    return _PERIOD_NAMES.get(period.name) or name_days(period.first, period.last)


def name_days(first: dt.date, last: dt.date) -> str:
    """Return a span of days, as short as it can be: with the month and year once if they are the
    same."""
    if first == last:
        return f"{first.day} {name_month(first)} {first.year}"
    if (first.year, first.month) == (last.year, last.month):
        return f"{first.day} \u2013 {last.day} {name_month(last)} {last.year}"
    year = "" if first.year == last.year else f" {first.year}"
    return f"{first.day} {name_month(first)}{year} \u2013 {last.day} {name_month(last)} {last.year}"


def name_bucket(moment: dt.datetime, bucket: Bucket) -> str:
    """Return a bucket in words, for tooltips and tables."""
    if bucket == "hour":
        return f"{write_day(moment)}, {moment:%H:%M}"
    if bucket == "day":
        return write_day(moment)
    month = f"{name_month(moment)} {moment.year}"
    return f"Week of {moment.day} {month}" if bucket == "week" else month


def label_bucket(moment: dt.datetime, bucket: Bucket, *, is_one_day: bool) -> str:
    """Return a bucket's label on the axis."""
    if bucket == "hour":
        return (
            f"{moment:%H:%M}"
            if is_one_day
            else f"{name_weekday(moment.weekday())[:3]} {moment:%H:%M}"
        )
    month = name_month(moment)[:3]
    return f"{month} {moment.year}" if bucket == "month" else f"{moment.day} {month}"


def shift(period: Period, steps: int) -> tuple[dt.date, dt.date] | None:
    """Return the days of the period before or after; None if they are all in the future."""
    first, last = period.first, period.last
    if period.name in {"month", "last_month"} or _is_month(first, last):
        first = _add_months(first.replace(day=1), steps)
        last = first.replace(day=calendar.monthrange(first.year, first.month)[1])
    elif period.name == "year" or ((first.month, first.day) == (1, 1) and _is_year(first, last)):
        first = first.replace(year=first.year + steps, month=1, day=1)
        last = first.replace(month=12, day=31)
    else:
        days = dt.timedelta(period.days * steps)
        first, last = first + days, last + days
    today = period.now.astimezone(period.zone).date()
    return None if first > today else (first, min(last, today))


def _is_month(first: dt.date, last: dt.date) -> bool:
    end = calendar.monthrange(first.year, first.month)[1]
    return first.day == 1 and last == first.replace(day=end)


def _is_year(first: dt.date, last: dt.date) -> bool:
    return last == first.replace(month=12, day=31)


def _add_months(day: dt.date, months: int) -> dt.date:
    index = day.year * 12 + day.month - 1 + months
    return dt.date(index // 12, index % 12 + 1, 1)


def name_compared(overview: Overview, comparison: Comparison) -> str:
    """Return what the numbers are compared with: "in the 30 days before"."""
    period, compared = overview.period, overview.compared
    if compared is None:
        return ""
    days = period.days
    if comparison == "previous" and period.name == "today":
        return "by the same time yesterday"
    if comparison == "previous" and compared.days == days == 1:
        return "on the day before"
    if _is_month(compared.first, compared.last):
        return f"in {name_month(compared.first)} {compared.first.year}"
    is_just_before = compared.last == period.first - dt.timedelta(1)
    if comparison == "previous" and is_just_before and compared.days == days:
        return f"in the {days} days before"
    preposition = "on" if compared.first == compared.last else "in"
    return f"{preposition} {name_days(compared.first, compared.last)}"


def write_headline(overview: Overview, comparison: Comparison, *, is_by_source: bool) -> str:
    """Return one sentence that says what happened.

    :param is_by_source: whether a filter says already where the visitors came from.
    """
    parts = [_write_people(overview, comparison)]
    if not is_by_source and (source := _write_source(overview.breakdowns.get("source"))):
        parts.append(source)
    return f"{'; '.join(parts)}."


def _write_people(overview: Overview, comparison: Comparison) -> str:
    now = overview.numbers.visitors
    if not now and overview.cut is not None:
        said = "No visitors in the part that was counted"
    elif not now:
        said = "Nobody has visited yet" if overview.period.is_running else "Nobody visited"
    else:
        said = f"{count_people(now)} visited"
    if overview.before is None:
        return said
    with_what = name_compared(overview, comparison)
    before = overview.before.visitors
    if not before:
        return f"{said}, and nobody did {with_what}" if now else said
    if now == before:
        return f"{said}, as many as {with_what}"
    if not now:
        return f"{said}, and {count_people(before)} did {with_what}"
    growth = write_growth(now, before) or ""
    if growth.startswith(TIMES):
        return f"{said}, {growth[1:]} times as many as {with_what}"
    size = "slightly" if growth.startswith("\u00b1") else growth[1:]
    return f"{said}, {size} {'more' if now > before else 'fewer'} than {with_what}"


def _write_source(sources: Breakdown | None) -> str | None:
    """Say where most sessions came from; None if no source stands out."""
    if sources is None or not sources.rows or not sources.total:
        return None
    first = sources.rows[0]
    if not first.value or (len(sources.rows) > 1 and sources.rows[1].count == first.count):
        return None
    share = first.count / sources.total
    came = (
        "came directly"
        if first.value == "direct"
        else f"came from {name_value('source', first.value)}"
    )
    if share > _HALF:
        return f"{'all' if share == 1 else 'most'} sessions {came}"
    return f"{share * 100:.0f}% of the sessions {came}, more than from anywhere else"


def write_cut(cut: Cut) -> str:
    """Say of which part of the period the numbers are."""
    return (
        f"These numbers are {cut.sentence}: counting them all would take too long. "
        "A shorter period or fewer filters show everything."
        f"{cut.lacks_copy and ' ' + cut.lacks_copy}"
    )


def write_recounting(days: int) -> str:
    """Say that closed days are being counted again."""
    verb = "is" if days == 1 else "are"
    return (
        f"{quantify(days, 'day')} {verb} being counted again because earlier visits changed. "
        "Until then their numbers may be slightly off."
    )


def write_busiest(heatmap: tuple[tuple[int, ...], ...]) -> str:
    """Say when most sessions began."""
    most, day, hour = max(
        ((count, -day, -hour) for day, row in enumerate(heatmap) for hour, count in enumerate(row)),
        default=(0, 0, 0),
    )
    if not most:
        return "The hours in which sessions begin will appear here."
    name = name_weekday(-day)
    hours = f"from {-hour:02d}:00 to {1 - hour:02d}:00"
    return f"Most began on {name}s {hours}: {quantify(most, 'session')}."
