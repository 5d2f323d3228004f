"""Days of the site's zone: on which one a moment is, and when a day begins in UTC."""

from __future__ import annotations

import collections.abc as cabc
import datetime as dt
import typing as t

from .types import to_utc

#: What people who come back are counted by.
Unit = t.Literal["day", "week", "month"]
#: The previous day of somebody who was not here before.
NEVER: t.Final = dt.date.min
_DAY = dt.timedelta(days=1)


def start_of(day: dt.date, zone: dt.tzinfo) -> dt.datetime:
    """Return the first moment of a day, in UTC.

    A day has 23 or 25 hours when clocks change, and may begin at half past an hour of UTC.
    """
    return dt.datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(dt.UTC)


def bounds_of(day: dt.date, zone: dt.tzinfo) -> tuple[dt.datetime, dt.datetime]:
    """Return the first moment of a day, and that of the day after it."""
    return start_of(day, zone), start_of(day + _DAY, zone)


def day_of(moment: dt.datetime, zone: dt.tzinfo) -> dt.date:
    """Return the day on which a moment is: the one within whose bounds it lies."""
    day = moment.astimezone(zone).date()
    # Where clocks go back over midnight, the date does too: the day has begun already.
    after = day + _DAY
    return after if to_utc(moment) >= start_of(after, zone) else day


def start_of_unit(day: dt.date, unit: Unit) -> dt.date:
    """Return the first day of the week or month in which a day is. Weeks begin on Monday."""
    if unit == "week":
        return dt.date.fromordinal(max(1, day.toordinal() - day.weekday()))
    return day.replace(day=1) if unit == "month" else day


def end_of_unit(day: dt.date, unit: Unit) -> dt.date:
    """Return the last day of the week or month in which a day is."""
    if unit == "week":
        return day + (6 - day.weekday()) * _DAY
    return start_of_unit(day.replace(day=1) + 31 * _DAY, unit) - _DAY if unit == "month" else day


def iter_days(first: dt.date, last: dt.date) -> cabc.Iterator[dt.date]:
    """Yield the days from the first to the last, both included."""
    for number in range(first.toordinal(), last.toordinal() + 1):
        yield dt.date.fromordinal(number)
