"""Retention: what it counts is what a plain count of the same events counts."""

from __future__ import annotations

import datetime as dt
import sys
import typing as t
import zoneinfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flask_eventtrack.errors import ReportError
from flask_eventtrack.reports import counting
from flask_eventtrack.reports.explore.cohorts import Cohorts
from flask_eventtrack.reports.explore.retention_rows import By, Retention
from flask_eventtrack.reports.explore.steps import Step
from flask_eventtrack.reports.filters import Filter
from flask_eventtrack.reports.period import Span

from ...conftest import MakeHost
from ...hosts import START, FakeClock, Host
from .plain_retention import PlainRetention
from .stories import Told, open_shop, tell

HOURS = 60
#: Around midnight of Berlin, and some days or weeks later.
MINUTES = (-23 * HOURS, -30, 0, 5, 22 * HOURS, 23 * HOURS, 30 * HOURS, 5 * 24 * HOURS)
LATER = (0, 0, 0, 7, 13, 21, 29)
THINGS = st.builds(
    lambda minute, days, **told: Told(minute + days * 24 * HOURS, **told),
    minute=st.sampled_from(MINUTES),
    days=st.sampled_from(LATER),
    who=st.integers(0, 3),
    session=st.sampled_from((0, 1, 2, 3, 4, None)),
    what=st.sampled_from(("it.view", "it.view", "it.buy", "/", "/checkout")),
    params=st.sampled_from(({}, {"sku": "a"})),
)
BOTS = st.builds(
    Told, st.sampled_from(MINUTES), st.just(0), st.none(), st.just("/"), source=st.just("bot")
)
STORIES = st.lists(st.one_of(THINGS, THINGS, THINGS, BOTS), max_size=16)
STEPS = st.sampled_from(
    (
        None,
        None,
        Step.parse("it.view"),
        Step.parse("it.buy"),
        Step.parse("it.view", ["is:sku:a"]),
        Step.parse("page:/"),
    )
)
BYS: st.SearchStrategy[By] = st.sampled_from(("day", "week", "month"))
BERLIN = "Europe/Berlin"
FIRST, LAST = dt.date(2026, 11, 4), dt.date(2026, 12, 9)


def open_in_berlin(make: MakeHost, clock: FakeClock, **options: t.Any) -> Host:
    config = {"EVENTTRACK_TIMEZONE": BERLIN, **options.pop("config", {})}
    host = open_shop(make, clock, config=config, **options)
    clock.now = int(dt.datetime(2026, 12, 8, 12, tzinfo=dt.UTC).timestamp()) * 1_000_000_000
    return host


def test_retention_is_what_a_plain_count_says(
    make: MakeHost, clock: FakeClock, database_url: str
) -> None:
    """Cohorts, values and means, of any history and question."""
    host = open_in_berlin(make, clock, url=database_url)

    @settings(max_examples=60, deadline=None)
    @given(
        story=STORIES,
        by=BYS,
        first=STEPS,
        returning=STEPS,
        source=st.sampled_from((None, "google")),
    )
    def check(
        story: list[Told], by: By, first: Step | None, returning: Step | None, source: str | None
    ) -> None:
        tell(host, story)
        plain = PlainRetention(story, by, first, returning, source, zoneinfo.ZoneInfo(BERLIN))
        compare(host, plain)

    check()


def compare(host: Host, plain: PlainRetention) -> None:
    reports = host.state.reports
    period = reports.period("custom", FIRST, LAST)
    limits = Filter.parse([] if plain.source is None else [f"is:source:{plain.source}"])
    asked: dict[str, t.Any] = {"by": plain.by, "first": plain.first, "returning": plain.returning}
    expected = plain.count(FIRST, LAST, period.now)
    found = reports.retention(period, limits, **asked)
    assert {
        row.first: [row.people, *(c.count for c in row.cells)] for row in found.rows
    } == expected
    check_means(found, expected)
    for place, row in enumerate(found.rows):
        runs = [cell.is_running for cell in row.cells]
        assert runs == [later == len(found.rows) - 1 for later in range(place + 1, len(found.rows))]
    by_source = reports.retention(period, limits, dimension="source", **asked)
    people = dict.fromkeys(("google", "direct", ""), 0)
    for source in people:
        people[source] = sum(len(plain.find_cohort(each, source)) for each in expected)
    assert {row.value: row.people for row in by_source.rows} == {
        s: n for s, n in people.items() if n
    }
    assert by_source.mean == found.mean
    for later, cell in enumerate(found.mean):
        assert sum(row.cells[later].count for row in by_source.rows) == cell.count


def check_means(found: Retention, expected: dict[dt.date, list[int]]) -> None:
    rows = list(expected.values())
    over = len(rows) - 1
    for later, cell in enumerate(found.mean, 1):
        whole = rows[: over - later]
        assert (cell.count, cell.people) == (sum(r[later] for r in whole), sum(r[0] for r in whole))
        assert cell.share == (cell.count / cell.people if cell.people else None)
    assert len(found.mean) == max(0, over - 1)
    assert found.people == sum(row[0] for row in rows)


@pytest.fixture
def shop(make: MakeHost, clock: FakeClock) -> Host:
    return open_in_berlin(make, clock)


def day(number: int, who: int, what: str = "/", session: int | None = None) -> Told:
    """Return something that happened at noon of a day, counted from the 3rd of November."""
    return Told((number * 24 + 12) * HOURS, who, number % 90 if session is None else session, what)


def ask(host: Host, *texts: str, **options: t.Any) -> Retention:
    period = host.state.reports.period("custom", dt.date(2026, 11, 2), dt.date(2026, 11, 29))
    return host.state.reports.retention(period, Filter.parse(texts), **options)


def test_shares_are_of_the_cohort(shop: Host) -> None:
    """Of four people of a week, two come in the next one, and one in each of the others."""
    later = [day(7, 0), day(8, 0), day(7, 1), day(14, 2), day(21, 2)]
    tell(shop, [*(day(0, who) for who in range(4)), *later, day(9, 9)])
    found = ask(shop)
    assert [(row.first, row.last, row.people) for row in found.rows[:2]] == [
        (dt.date(2026, 11, 2), dt.date(2026, 11, 8), 4),
        (dt.date(2026, 11, 9), dt.date(2026, 11, 15), 1),
    ]
    assert [(c.count, c.share) for c in found.rows[0].cells] == [(2, 0.5), (1, 0.25), (1, 0.25)]
    assert [(c.count, c.people) for c in found.mean] == [(2, 5), (1, 5), (1, 4)]
    assert (found.people, found.cut) == (5, None)


def test_the_period_is_widened_to_whole_weeks(shop: Host) -> None:
    """A period from Wednesday to Thursday has the people of Monday and Sunday."""
    tell(shop, [day(-1, 0), day(12, 1)])
    period = shop.state.reports.period("custom", dt.date(2026, 11, 4), dt.date(2026, 11, 12))
    found = shop.state.reports.retention(period)
    assert [row.people for row in found.rows] == [1, 1]
    found = shop.state.reports.retention(period, by="month")
    assert [(row.first, row.last) for row in found.rows] == [
        (dt.date(2026, 11, 1), dt.date(2026, 11, 30))
    ]


def test_only_the_first_of_all_makes_a_cohort(shop: Host) -> None:
    """Somebody who was here, or bought, before the period is in no cohort of it."""
    tell(
        shop, [day(-9, 0, "it.buy"), day(1, 0, "it.buy"), day(8, 0), day(1, 1), day(8, 1, "it.buy")]
    )
    assert [row.people for row in ask(shop).rows] == [1, 0, 0, 0]
    found = ask(shop, first="it.buy")
    assert [row.people for row in found.rows] == [0, 1, 0, 0]


def test_a_filter_limits_where_people_came_first(shop: Host) -> None:
    """They come back in sessions of any source."""
    tell(
        shop,
        [day(0, 0, session=0), day(7, 0, session=1), day(0, 1, session=1), day(7, 1, session=0)],
    )
    found = ask(shop, "is:source:google")
    assert [found.rows[0].people, found.rows[0].cells[0].count] == [1, 1]
    assert [row.people for row in found.rows[1:]] == [0, 0, 0]


def test_without_a_session_no_filter_matches(shop: Host) -> None:
    """Not even one that is met by what is not known."""
    tell(shop, [Told(0, 0, None, "it.view")])
    assert ask(shop, first="it.view").people == 1
    for text in ("is:source:", "is_not:source:google", "is_not:page:/"):
        assert ask(shop, text, first="it.view").people == 0


def test_values_have_means(shop: Host) -> None:
    """The largest first; "not known" is an empty value."""
    tell(shop, [*(day(0, who, session=who % 3) for who in range(4)), day(7, 0, session=5)])
    found = ask(shop, dimension="source")
    assert [(row.value, row.people, row.first) for row in found.rows] == [
        ("google", 2, None),
        ("", 1, None),
        ("direct", 1, None),
    ]
    assert [cell.count for cell in found.rows[0].cells] == [1, 0, 0]
    assert found.rows_in_all == 3


def test_many_values_take_no_longer_than_to_read_them() -> None:
    """Visitors choose the values of campaigns: the means of each would take minutes."""
    day = dt.timedelta(days=1)
    starts = [START + day * number for number in range(62)]
    spans = [Span(each, each + day, each.date(), each.date()) for each in starts]
    cohorts, number = Cohorts(spans, is_running=False), 1000
    for value in range(number):
        cohorts.add(value % 62, 0, 1, str(value))
    lines = 0

    def count(frame: t.Any, event: str, _: object) -> t.Any:
        nonlocal lines
        lines += event == "line"
        return count

    sys.settrace(count)
    try:
        found = cohorts.make("day", "utm_campaign", None)
    finally:
        sys.settrace(None)
    assert (found.people, found.rows_in_all, len(found.rows)) == (number, number, 10)
    assert lines < 200 * number


def test_nobody_has_no_share(shop: Host) -> None:
    """Of nobody there is no part."""
    tell(shop, [])
    found = ask(shop)
    assert [cell.share for cell in found.rows[0].cells] == [None, None, None]
    assert (found.people, [cell.share for cell in found.mean]) == (0, [None, None, None])


def test_a_limit_leaves_out_the_earlier_cohorts(
    shop: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that are shown are whole, or say from which day on they are."""
    tell(shop, [day(number, number) for number in range(26)])
    monkeypatch.setattr(counting, "SCAN_SECONDS", -1.0)
    found = ask(shop, first="page:/")
    assert (found.rows, found.people) == ((), 0)
    assert found.cut is not None
    assert found.cut.sentence == "of the last 0 of 28 days"


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"by": "year"}, "There is no retention by 'year'. Choose one of: day, week, month"),
        ({"first": "it.lose"}, r"The event 'it\.lose' is not defined"),
        ({"returning": "it.lose"}, r"The event 'it\.lose' is not defined"),
        ({"dimension": "hour"}, "There are no rows by 'hour'"),
    ],
)
def test_wrong_questions_are_refused(shop: Host, options: t.Any, problem: str) -> None:
    """The error says what there is."""
    with pytest.raises(ReportError, match=problem):
        ask(shop, **options)


def test_there_are_not_too_many_days(shop: Host) -> None:
    """A year of days would be a table that nobody reads."""
    period = shop.state.reports.period("12m")
    with pytest.raises(ReportError, match="has 342 days, and retention shows at most 62"):
        shop.state.reports.retention(period, by="day")
