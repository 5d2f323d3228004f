"""Which days a period has, and with which ones it is compared."""

from __future__ import annotations

import datetime as dt
import zoneinfo

import pytest

from flask_eventtrack.errors import ReportError
from flask_eventtrack.reports.period import Bucket, Comparison, Period, check_bucket, make_period

from .visits import moment

BERLIN = zoneinfo.ZoneInfo("Europe/Berlin")
KOLKATA = zoneinfo.ZoneInfo("Asia/Kolkata")
NOW = moment("2026-11-27 14:20")


def period(name: str, now: dt.datetime = NOW, zone: dt.tzinfo = dt.UTC) -> Period:
    return make_period(name, zone, now)


def custom(first: str, last: str, now: dt.datetime = NOW) -> Period:
    days = dt.date.fromisoformat(first), dt.date.fromisoformat(last)
    return make_period("custom", dt.UTC, now, first=days[0], last=days[1])


def days(period: Period | None) -> tuple[str, str] | None:
    return (str(period.first), str(period.last)) if period else None


def starts(period: Period, bucket: Bucket) -> list[str]:
    return [f"{span.start:%m-%d %H:%M}" for span in period.spans(bucket)]


@pytest.mark.parametrize(
    ("name", "first", "last"),
    [
        ("today", "2026-11-27", "2026-11-27"),
        ("yesterday", "2026-11-26", "2026-11-26"),
        ("7d", "2026-11-21", "2026-11-27"),
        ("30d", "2026-10-29", "2026-11-27"),
        ("month", "2026-11-01", "2026-11-30"),
        ("last_month", "2026-10-01", "2026-10-31"),
        ("year", "2026-01-01", "2026-12-31"),
        ("12m", "2025-12-01", "2026-11-30"),
    ],
)
def test_a_name_stands_for_days(name: str, first: str, last: str) -> None:
    """Days of a number include today."""
    assert days(period(name)) == (first, last)


@pytest.mark.parametrize(
    ("name", "comparison", "first", "last", "until"),
    [
        ("today", "previous", "2026-11-26", "2026-11-26", "2026-11-26 14:20"),
        ("today", "year", "2025-11-27", "2025-11-27", "2025-11-27 14:20"),
        ("yesterday", "previous", "2026-11-25", "2026-11-25", None),
        ("30d", "previous", "2026-09-29", "2026-10-28", "2026-10-28 14:20"),
        ("month", "previous", "2026-10-01", "2026-10-31", "2026-10-27 14:20"),
        ("last_month", "previous", "2026-09-01", "2026-09-30", None),
        ("last_month", "year", "2025-10-01", "2025-10-31", None),
        ("year", "previous", "2025-01-01", "2025-12-31", "2025-11-27 14:20"),
        ("12m", "previous", "2024-12-01", "2025-11-30", "2025-11-27 14:20"),
    ],
)
def test_a_running_period_is_compared_up_to_the_same_moment(
    name: str, comparison: Comparison, first: str, last: str, until: str | None
) -> None:
    """One that has ended is compared with all of the one before."""
    other = period(name).compared(comparison)
    assert other is not None
    assert days(other) == (first, last)
    assert other.until == (until and moment(until))


def test_a_shorter_month_is_compared_as_a_whole() -> None:
    """On the 31st, there is no same moment a month before."""
    other = period("month", moment("2026-03-31 09:00")).compared()
    assert other is not None
    assert (days(other), other.until) == (("2026-02-01", "2026-02-28"), None)


def test_a_leap_day_is_compared_with_the_end_of_february() -> None:
    """Also in the middle of a year, where it cuts the other one at the end of that day."""
    other = period("year", moment("2028-02-29 09:00")).compared()
    assert other is not None
    assert other.until == moment("2027-03-01 00:00")


def test_a_custom_period_moves_by_its_length() -> None:
    """It is compared with as many days before it."""
    whole = custom("2026-11-01", "2026-11-10")
    assert days(whole.compared("previous")) == ("2026-10-22", "2026-10-31")
    assert days(whole.compared("year")) == ("2025-11-01", "2025-11-10")
    assert whole.compared("none") is None


def test_all_time_has_nothing_before_it() -> None:
    """It has no comparison of any kind."""
    assert make_period("all", dt.UTC, NOW, first=dt.date(2020, 1, 1)).compared("year") is None


def test_days_are_those_of_the_zone() -> None:
    """In Kolkata it is the next day already, which begins at half past an hour of UTC."""
    found = period("today", moment("2026-11-27 19:00"), KOLKATA)
    assert days(found) == ("2026-11-28", "2026-11-28")
    assert found.start == moment("2026-11-27 18:30")


def test_a_day_has_25_hours_when_clocks_go_back() -> None:
    """And 23 when they go forward; each hour is a bucket."""
    autumn = period("yesterday", moment("2026-10-26 12:00"), BERLIN)
    spring = period("yesterday", moment("2026-03-30 12:00"), BERLIN)
    assert [len(each.spans("hour")) for each in (autumn, spring)] == [25, 23]
    assert starts(autumn, "hour")[:4] == [
        "10-24 22:00",
        "10-24 23:00",
        "10-25 00:00",
        "10-25 01:00",
    ]


def test_today_ends_with_the_running_hour() -> None:
    """Hours that are still to come have no bucket."""
    assert starts(period("today"), "hour")[-1] == "11-27 14:00"


def test_weeks_begin_on_monday() -> None:
    """The first and the last week may be parts of one."""
    assert starts(custom("2026-11-05", "2026-11-17"), "week") == [
        "11-05 00:00",
        "11-09 00:00",
        "11-16 00:00",
    ]


def test_months_that_have_not_begun_have_no_bucket() -> None:
    """The year has eleven of them in November."""
    assert len(period("year").spans("month")) == 11


def test_a_period_to_come_has_no_buckets() -> None:
    """It has days, of which none has begun."""
    found = custom("2026-12-01", "2026-12-05")
    assert (found.spans("day"), found.days) == ([], 5)


@pytest.mark.parametrize(
    ("length", "buckets", "usual"),
    [
        (1, ("hour", "day"), "hour"),
        (7, ("hour", "day"), "day"),
        (30, ("day", "week"), "day"),
        (120, ("day", "week", "month"), "week"),
        (400, ("week", "month"), "month"),
    ],
)
def test_buckets_fit_the_length(length: int, buckets: tuple[Bucket, ...], usual: Bucket) -> None:
    """A year by the hour would be a chart of 8,760 points."""
    found = custom("2024-01-01", str(dt.date(2024, 1, 1) + dt.timedelta(length - 1)))
    assert (found.buckets, found.default_bucket) == (buckets, usual)


def test_wrong_periods_are_refused() -> None:
    """The error says which there are, or what is wrong."""
    with pytest.raises(
        ReportError, match=r"no period 'fortnight'\. The periods are: today, yester"
    ):
        period("fortnight")
    with pytest.raises(ReportError, match="needs its first and its last day"):
        period("custom")
    with pytest.raises(ReportError, match="begins on 2026-11-10, after its end on 2026-11-01"):
        custom("2026-11-10", "2026-11-01")
    with pytest.raises(ReportError, match="no period before 0001-01-01"):
        custom("0001-01-01", "0001-01-05").compared()
    with pytest.raises(ReportError, match="no comparison 'decade'"):
        period("7d").compared("decade")  # type: ignore[arg-type]
    with pytest.raises(
        ReportError, match=r"of 30 days cannot be shown by 'hour'\. It can be shown by: day, week"
    ):
        check_bucket("hour", period("30d"))
