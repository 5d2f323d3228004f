"""Numbers as people read them."""

from __future__ import annotations

import collections.abc as cabc
import datetime as dt
import re
import typing as t

from ..money import Money
from ..reports.definitions import DEFINITIONS
from ..reports.rows import MEASURES, Measure

MISSING: t.Final = "\u2013"
TIMES: t.Final = "\u00d7"
_MINUS = "\u2212"
_SAME = "\u00b10"
# Control characters, marks that turn the direction of the text around them, and letters that no
# font shows but programs read.
_UNSEEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\U000e0000-\U000e007f]"
)

_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip

Kind = t.Literal["count", "ratio", "percent", "seconds"]


class MeasureWords(t.NamedTuple):
    """What a measure is called, how it is written, and how it is counted.

    ``noun`` follows a count, in the singular; None of a ratio. ``falls_well`` if less is better.
    """

    name: str
    kind: Kind
    meaning: str
    noun: str | None = None
    falls_well: bool = False


MEASURE_WORDS: t.Final[dict[Measure, MeasureWords]] = {
    "visitors": MeasureWords("Visitors", "count", DEFINITIONS["visitors"], "visitor"),
    "new_visitors": MeasureWords(
        "New visitors", "count", DEFINITIONS["new_visitors"], "new visitor"
    ),
    "sessions": MeasureWords("Sessions", "count", DEFINITIONS["sessions"], "session"),
    "page_visits": MeasureWords("Page visits", "count", DEFINITIONS["page_visits"], "page visit"),
    "pages_per_session": MeasureWords("Pages a session", "ratio", DEFINITIONS["pages_per_session"]),
    "bounce_rate": MeasureWords(
        "Bounce rate", "percent", DEFINITIONS["bounce_rate"], falls_well=True
    ),
    "visible_time": MeasureWords("Visible time", "seconds", DEFINITIONS["visible_time"]),
    "duration": MeasureWords("Duration", "seconds", DEFINITIONS["duration"]),
    "orders": MeasureWords("Orders", "count", DEFINITIONS["orders"], "order"),
}
assert tuple(MEASURE_WORDS) == MEASURES  # noqa: S101 - a mistake of ours, found at import


class Change(t.NamedTuple):
    """A change in words. ``is_good`` is None if it is neither good nor bad."""

    text: str
    is_good: bool | None = None


def clean(value: object) -> object:
    """Return a text without characters that cannot be seen; anything else as it is."""
    if type(value) is str and not value.isprintable():
        return _UNSEEN.sub("\ufffd", value)
    return value


def shorten(text: str, length: int = 80) -> str:
    """Return a text that is cut in the middle if it is long: both ends of a path say something."""
    if len(text) <= length:
        return text
    tail = length // 3
    return f"{text[: length - tail - 1]}…{text[-tail:]}"


def write_count(number: float) -> str:
    return f"{number:,.0f}"


def count_people(number: int) -> str:
    """Return a number of people: "1 person", "1,204 people"."""
    return f"{number:,} {'person' if number == 1 else 'people'}"


def quantify(number: int, noun: str) -> str:
    """Return a number with its noun: "1 session", "48,291 sessions"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def write_percent(part: float) -> str:
    """Return a share of 0 to 1. Nothing but 0 itself is written 0%, and only all is 100%."""
    if 0 < part < 0.0005:
        return "<0.1%"
    if 0.9995 <= part < 1:
        return ">99.9%"
    return f"{part * 100:.1f}%" if 0 < part < 1 else f"{part * 100:.0f}%"


def write_seconds(seconds: float) -> str:
    """Return a duration: "48s", "2m 48s", "3h 12m"."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m {whole % 60:02d}s"
    return f"{whole // 3600:,}h {whole % 3600 // 60:02d}m"


def write_money(money: Money) -> str:
    return f"{money.currency} {money.amount:,}"


def write(measure: Measure, value: float | None) -> str:
    """Return a value of a measure."""
    if value is None:
        return MISSING
    return _WRITERS[MEASURE_WORDS[measure].kind](value)


def write_with_noun(measure: Measure, value: float | None) -> str:
    """Return a value of a measure for a tooltip: "2,098 visitors", "41.2% bounce rate"."""
    words = MEASURE_WORDS[measure]
    if words.noun and value is not None:
        return quantify(round(value), words.noun)
    return f"{write(measure, value)} {words.name.lower()}"


def find_change(measure: Measure, now: float | None, before: float | None) -> Change | None:
    """Return how a measure changed; None if either value is missing.

    Rates change by points: a percentage of a percentage would be read wrong.
    """
    if now is None or before is None:
        return None
    words = MEASURE_WORDS[measure]
    text = write_points(now, before) if words.kind == "percent" else write_growth(now, before)
    if text is None:
        return None
    return Change(text, None if text.startswith(_SAME) else (now > before) != words.falls_well)


def write_points(now: float, before: float) -> str:
    """Return a change between two shares: "+1.2 pts"."""
    points = (now - before) * 100
    if abs(points) < 0.05:
        return _SAME + " pts"
    return f"{_sign(points)}{abs(points):.1f} pts"


def write_growth(now: float, before: float) -> str | None:
    """Return a relative change, such as "+12%", or how many times as much it is.

    None if there was nothing before.
    """
    if now == before:
        return _SAME + "%"
    if before <= 0:
        return None
    growth = (now - before) / before
    if growth >= 10:
        return f"{TIMES}{now / before:,.0f}"
    size = abs(growth) * 100
    if size < 0.05:
        return _SAME + "%"
    shown = f"{size:.0f}" if size >= 9.95 else f"{size:.1f}"
    if growth < 0 and shown == "100" and now > 0:
        shown = ">99"
    return f"{_sign(growth)}{shown}%"


# Not strftime(), which follows the locale of the host's process.


def name_weekday(day: int) -> str:
    """Return a day's name, of 0 for Monday to 6."""
    return _WEEKDAYS[day]


def name_month(day: dt.date) -> str:
    return _MONTHS[day.month - 1]


def write_day(day: dt.date) -> str:
    """Return a day: "Wed 18 November 2026"."""
    return f"{_WEEKDAYS[day.weekday()][:3]} {day.day} {name_month(day)} {day.year}"


def _sign(number: float) -> str:
    return "+" if number > 0 else _MINUS


def write_ratio(value: float) -> str:
    return f"{value:,.2f}"


_WRITERS: t.Final[dict[Kind, cabc.Callable[[float], str]]] = {
    "count": write_count,
    "ratio": write_ratio,
    "percent": write_percent,
    "seconds": write_seconds,
}
