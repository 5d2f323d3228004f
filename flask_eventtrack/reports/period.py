"""Periods: half-open spans of days in the site's zone, and the ones they are compared with."""

from __future__ import annotations

import calendar
import collections.abc as cabc
import dataclasses
import datetime as dt
import re
import typing as t

from ..errors import ReportError
from ..store.local_days import day_of, iter_days, start_of

Comparison = t.Literal["previous", "year", "none"]
Bucket = t.Literal["hour", "day", "week", "month"]
COMPARISONS: tuple[Comparison, ...] = t.get_args(Comparison)
BUCKETS: tuple[Bucket, ...] = t.get_args(Bucket)

#: The names of periods, in the order of a menu.
PERIODS: t.Final = (
    "today",
    "yesterday",
    "7d",
    "28d",
    "30d",
    "90d",
    "month",
    "last_month",
    "year",
    "12m",
    "all",
    "custom",
)
# What a period is moved by to find the one before it, in months. Others are moved by their days.
_MONTHS = {"month": 1, "last_month": 1, "year": 12, "12m": 12}
_DAYS = re.compile(r"([1-9][0-9]{0,2})d", re.ASCII)
_DAY = dt.timedelta(days=1)
_HOUR = dt.timedelta(hours=1)
# The longest periods that hours and days are shown of, and the shortest of weeks and months.
_MOST_DAYS = {"hour": 7, "day": 366}
_LEAST_DAYS = {"week": 8, "month": 32}


@dataclasses.dataclass(frozen=True, slots=True)
class Span:
    """A bucket of a series: aware UTC moments, the last one not included, and its local days."""

    start: dt.datetime
    end: dt.datetime
    first: dt.date
    last: dt.date


@dataclasses.dataclass(frozen=True, slots=True)
class Period:
    """The days from ``first`` to ``last``, both included, in ``zone``.

    ``name`` is what it is called in URLs and menus (``"today"``, ``"30d"``, …, ``"custom"``).
    ``now`` is the moment at which it was asked for: a period that contains it is still running.
    ``until`` cuts it off at a moment, as the period compared with one that is still running is cut.
    """

    name: str
    first: dt.date
    last: dt.date
    zone: dt.tzinfo
    now: dt.datetime
    until: dt.datetime | None = None

    @property
    def start(self) -> dt.datetime:
        """The first moment, in UTC."""
        return start_of(self.first, self.zone)

    @property
    def end(self) -> dt.datetime:
        """The first moment that is not part of it, in UTC: also if that is still to come."""
        return self.until or start_of(self.last + _DAY, self.zone)

    @property
    def days(self) -> int:
        """How many days it has, including those that are still to come."""
        return (self.last - self.first).days + 1

    @property
    def is_running(self) -> bool:
        """Whether it has not ended yet."""
        return self.start <= self.now < self.end

    @property
    def last_begun(self) -> dt.date:
        """The last day of it that has begun; the day before it if none has."""
        latest = min(self.now, self.end - dt.timedelta(microseconds=1))
        return max(self.first - _DAY, min(self.last, day_of(latest, self.zone)))

    @property
    def buckets(self) -> tuple[Bucket, ...]:
        """What its numbers can be shown by."""
        return tuple(
            bucket
            for bucket in BUCKETS
            if _LEAST_DAYS.get(bucket, 0) <= self.days <= _MOST_DAYS.get(bucket, self.days)
        )

    @property
    def default_bucket(self) -> Bucket:
        """What its numbers are shown by if nothing else is asked for."""
        if self.days == 1:
            return "hour"
        return "day" if self.days <= 92 else "week" if self.days <= 184 else "month"

    def compared(self, comparison: Comparison = "previous") -> Period | None:
        """Return the period to compare with; None for ``"none"``, and for all time.

        If this one is still running, the other is cut at the same moment: the same time of day, as
        many days or months ago.

        :raises ReportError: there is no such comparison.
        """
        check_comparison(comparison)
        if comparison == "none" or self.name == "all":
            return None
        months = 12 if comparison == "year" else _MONTHS.get(self.name, 0)
        first, end = self._move(self.first, months), self._move(self.last + _DAY, months)
        until = self._move_now(months) if self.is_running else None
        other = Period("custom", first, end - _DAY, self.zone, self.now)
        cuts = until is not None and until < other.end
        return dataclasses.replace(other, until=until) if cuts else other

    def _move(self, day: dt.date, months: int) -> dt.date:
        try:
            return add_months(day, -months) if months else day - self.days * _DAY
        except (OverflowError, ValueError):
            raise ReportError(f"There is no period before {self.first}.") from None

    def _move_now(self, months: int) -> dt.datetime:
        local = self.now.astimezone(self.zone)
        day = self._move(local.date(), months)
        if months and day.day != local.day:  # the month is shorter: all of it
            return start_of(day + _DAY, self.zone)
        moved = dt.datetime.combine(day, local.time(), tzinfo=self.zone)
        return moved.astimezone(dt.UTC)

    def spans(self, bucket: Bucket) -> list[Span]:
        """Return the buckets that have begun. The first and the last may be parts of one.

        Hours are counted from midnight, so a day may have 23 or 25.
        """
        days = list(iter_days(self.first, self.last_begun))
        if bucket == "hour":
            return [span for day in days for span in self._hours_of(day)]
        return [self._span(each[0], each[-1]) for each in _group(days, _KEYS[bucket])]

    def _span(self, first: dt.date, last: dt.date) -> Span:
        end = min(self.end, start_of(last + _DAY, self.zone))
        return Span(start_of(first, self.zone), end, first, last)

    def _hours_of(self, day: dt.date) -> cabc.Iterator[Span]:
        whole = self._span(day, day)
        start, end = whole.start, min(whole.end, self.now + dt.timedelta(microseconds=1))
        while start < end:
            yield Span(start, min(start + _HOUR, whole.end), day, day)
            start += _HOUR


_KEYS: dict[str, cabc.Callable[[dt.date], object]] = {
    "day": lambda day: day,
    "week": lambda day: day.isocalendar()[:2],
    "month": lambda day: (day.year, day.month),
}


def _group(
    days: cabc.Iterable[dt.date], key: cabc.Callable[[dt.date], object]
) -> list[list[dt.date]]:
    groups: dict[object, list[dt.date]] = {}
    for day in days:
        groups.setdefault(key(day), []).append(day)
    return list(groups.values())


def make_period(
    name: str,
    zone: dt.tzinfo,
    now: dt.datetime,
    *,
    first: dt.date | None = None,
    last: dt.date | None = None,
) -> Period:
    """Return the period of a name. ``custom`` needs both days, ``all`` its first one.

    :raises ReportError: there is no such period, or it has no days.
    """
    today = day_of(now, zone)
    if name == "custom":
        if first is None or last is None:
            raise ReportError("A custom period needs its first and its last day.")
        if first > last:
            raise ReportError(f"The period begins on {first}, after its end on {last}.")
        if last.year > _LAST_YEAR:
            raise ReportError(f"The period ends after the year {_LAST_YEAR}.")
        return Period(name, first, last, zone, now)
    if name == "all":
        return Period(name, min(first or today, today), today, zone, now)
    return Period(name, *_days_of(name, today), zone, now)


_LAST_YEAR = 9000


def _days_of(name: str, today: dt.date) -> tuple[dt.date, dt.date]:
    month = today.replace(day=1)
    match name:
        case "today":
            return today, today
        case "yesterday":
            return today - _DAY, today - _DAY
        case "month":
            return month, add_months(month, 1) - _DAY
        case "last_month":
            return add_months(month, -1), month - _DAY
        case "year":
            return today.replace(month=1, day=1), today.replace(month=12, day=31)
        case "12m":
            return add_months(month, -11), add_months(month, 1) - _DAY
    if found := _DAYS.fullmatch(name):
        return today - (int(found[1]) - 1) * _DAY, today
    raise ReportError(f"There is no period {name!r}. The periods are: {', '.join(PERIODS)}.")


def add_months(day: dt.date, months: int) -> dt.date:
    """Return the same day some months later or, in a shorter month, its last day."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return dt.date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))


def check_comparison(comparison: str) -> None:
    """Refuse a comparison that does not exist.

    :raises ReportError: naming those that do.
    """
    if comparison not in COMPARISONS:
        raise ReportError(
            f"There is no comparison {comparison!r}. The comparisons are: {', '.join(COMPARISONS)}."
        )


def check_bucket(bucket: str, period: Period) -> None:
    """Refuse a bucket that does not exist, or that is too short or too long for the period.

    :raises ReportError: naming those that fit.
    """
    if bucket not in period.buckets:
        raise ReportError(
            f"A period of {period.days} days cannot be shown by {bucket!r}. It can be shown by: "
            f"{', '.join(period.buckets)}."
        )
