"""The numbers of the overview, by hand."""

from __future__ import annotations

import datetime as dt

import pytest
import sqlalchemy as sa

from flask_eventtrack import cancel_transaction
from flask_eventtrack.errors import ReportError
from flask_eventtrack.money import Money
from flask_eventtrack.reports.rows import Numbers, Overview

from ..conftest import MakeHost
from ..hosts import FakeClock, Host
from .visits import Visitor, close_days, go_to, moment, open_shop


def overview(host: Host, name: str = "7d", **options: object) -> Overview:
    host.flush()
    reports = host.state.reports
    return reports.overview(reports.period(name), **options)  # type: ignore[arg-type]


def count_live(host: Host, name: str = "7d") -> Overview:
    """Return the overview as it is without closed days."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("flask_eventtrack.reports.closed.find_closed", _find_none)
        return overview(host, name)


def _find_none(*_: object) -> None:
    """Find no closed days."""


def values(found: Overview, dimension: str) -> dict[str, int]:
    return {row.value: row.count for row in found.breakdowns[dimension].rows}


def visit_two_days(host: Host) -> None:
    """Ann comes twice on Monday and once on Tuesday, Bob on Tuesday only, in a week with orders."""
    ann, bob = Visitor(host), Visitor(host)
    ann.see("/?utm_source=news", "2026-11-09 10:00").see("/products/pen", "2026-11-09 10:01:30")
    ann.see("/", "2026-11-09 15:10").do("/order/1/20.00", "2026-11-09 15:11")
    bob.see("/products/ink", "2026-11-10 11:59").do("/order/2/5.00", "2026-11-10 12:00")
    bob.do("/order/3/700?currency=JPY")
    ann.see("/products/pen", "2026-11-10 13:00")


EXPECTED = Numbers(
    visitors=2,
    new_visitors=2,
    sessions=4,
    page_visits=5,
    pages=5,
    bounces=1,
    seconds=90 + 60 + 60,
    orders=3,
)


def test_the_numbers_of_a_week(make: MakeHost, clock: FakeClock, database_url: str) -> None:
    """On each kind of database, live and from closed days: the same."""
    host = open_shop(make, clock, url=database_url)
    visit_two_days(host)
    go_to(clock, "2026-11-12 09:00")
    close_days(host)
    assert [str(row["until"]) for row in host.rows("closed")] == ["2026-11-11"]
    closed = overview(host)
    assert closed == count_live(host)
    assert closed.numbers == EXPECTED
    assert closed.before == Numbers()
    assert closed.revenue == (
        Money("25.00", "EUR"),
        Money(700, "JPY"),
    )
    assert [point.numbers.visitors for point in closed.series] == [0, 0, 0, 1, 2, 0, 0]
    assert [point.numbers.new_visitors for point in closed.series] == [0, 0, 0, 1, 1, 0, 0]
    assert [point.numbers.page_visits for point in closed.series] == [0, 0, 0, 3, 2, 0, 0]
    assert [point.numbers.orders for point in closed.series] == [0, 0, 0, 1, 2, 0, 0]
    assert values(closed, "page") == {"/products/<slug>": 3, "/": 2}
    assert values(closed, "source") == {"direct": 3, "news": 1}
    assert values(closed, "exit_rule") == {"/products/<slug>": 3, "/": 1}
    assert values(closed, "action")["transaction.charge"] == 3
    assert closed.heatmap[0][10] == closed.heatmap[0][15] == closed.heatmap[1][11] == 1
    assert sum(map(sum, closed.heatmap)) == 4


def test_ratios_are_means_of_sessions(make: MakeHost, clock: FakeClock) -> None:
    """Without a session there is none."""
    host = open_shop(make, clock)
    visit_two_days(host)
    numbers = overview(host).numbers
    assert (numbers.pages_per_session, numbers.bounce_rate, numbers.duration) == (1.25, 0.25, 52.5)
    assert Numbers().bounce_rate is None
    assert numbers.get("visible_time") == 0


def test_an_empty_database_has_zeros(host: Host) -> None:
    """All panels are there, without rows."""
    found = overview(host, "30d")
    assert (found.numbers, found.before) == (Numbers(), Numbers())
    assert len(found.series) == 30
    assert found.breakdowns["country"].rows == ()
    assert host.state.reports.period("all").first == dt.date(2026, 11, 21)


def test_the_running_day_is_compared_up_to_the_same_moment(
    make: MakeHost, clock: FakeClock, database_url: str
) -> None:
    """Sessions by their start, page visits by their own time, both within the running hour too."""
    host = open_shop(make, clock, url=database_url)
    ann = Visitor(host).see("/", "2026-11-09 10:10").see("/", "2026-11-09 10:20")
    Visitor(host).see("/", "2026-11-09 10:14")
    ann.see("/products/pen", "2026-11-10 10:14").see("/", "2026-11-10 10:16")
    Visitor(host).see("/", "2026-11-10 10:16")
    Visitor(host).see("/", "2026-11-10 23:00")
    for day in ("2026-11-11 09:00", "2026-11-11 10:15"):
        go_to(clock, day)
        close_days(host)
    found = overview(host, "today")
    before = found.before
    assert before is not None
    assert (before.sessions, before.visitors, before.new_visitors) == (1, 1, 0)
    assert (before.page_visits, before.pages, found.numbers) == (1, 2, Numbers())
    week = overview(host, "7d", comparison="previous").series[-2:]
    assert [(point.numbers.visitors, point.is_running) for point in week] == [(3, False), (0, True)]
    month = overview(host, "month", comparison="previous")
    assert (month.numbers.visitors, month.numbers.new_visitors) == (4, 4)


def test_hours_count_people_again_and_new_ones_once(make: MakeHost, clock: FakeClock) -> None:
    """A visitor of two hours is one of the day."""
    host = open_shop(make, clock)
    ann = Visitor(host).see("/", "2026-11-10 09:10")
    ann.see("/", "2026-11-10 11:05")
    Visitor(host).see("/", "2026-11-10 11:30")
    go_to(clock, "2026-11-11 12:00")
    close_days(host)
    found = overview(host, "yesterday")
    assert [point.numbers.visitors for point in found.series][9:12] == [1, 0, 2]
    assert [point.numbers.new_visitors for point in found.series][9:12] == [1, 0, 1]
    assert [point.numbers.page_visits for point in found.series][9:12] == [1, 0, 2]
    assert (found.numbers.visitors, found.numbers.new_visitors) == (2, 2)
    assert found == overview(host, "yesterday", bucket="hour")


def test_weeks_and_months_count_people_once(make: MakeHost, clock: FakeClock) -> None:
    """Whoever comes in each of three weeks is one visitor of each, and of all."""
    host = open_shop(make, clock)
    ann = Visitor(host)
    for day in ("2026-10-19", "2026-10-20", "2026-10-26", "2026-11-02"):
        ann.see("/", f"{day} 12:00")
    Visitor(host).see("/", "2026-11-02 13:00")
    go_to(clock, "2026-11-04 12:00")
    close_days(host)
    weeks = overview(host, "28d", bucket="week")
    assert [point.numbers.visitors for point in weeks.series] == [0, 0, 1, 1, 2]
    assert [point.numbers.new_visitors for point in weeks.series] == [0, 0, 1, 0, 1]
    assert weeks.numbers.visitors == 2
    months = overview(host, "90d", bucket="month")
    assert [point.numbers.visitors for point in months.series] == [0, 0, 1, 2]


@pytest.mark.parametrize("zone", ["Asia/Kolkata", "Australia/Lord_Howe", "Europe/Berlin"])
def test_days_and_hours_are_those_of_the_zone(make: MakeHost, clock: FakeClock, zone: str) -> None:
    """Also where they begin at half past an hour of UTC, or clocks change by half an hour."""
    host = open_shop(make, clock, config={"EVENTTRACK_TIMEZONE": zone})
    visitor = Visitor(host)
    local = host.state.config.timezone
    # Around the change of clocks in Lord Howe, and in Europe.
    for month, day in ((10, 3), (10, 4), (10, 24), (10, 25)):
        for hour, minute in ((0, 5), (23, 32)):
            at = dt.datetime(2026, month, day, hour, minute, tzinfo=local).astimezone(dt.UTC)
            visitor.see("/", f"{at:%Y-%m-%d %H:%M}")
    go_to(clock, "2026-11-01 12:00")
    close_days(host)
    closed = overview(host, "30d")
    assert closed == count_live(host, "30d")
    busy = {str(p.start.date()): p.numbers for p in closed.series if p.numbers.sessions}
    assert {day: (n.sessions, n.page_visits) for day, n in busy.items()} == dict.fromkeys(
        ("2026-10-03", "2026-10-04", "2026-10-24", "2026-10-25"), (2, 2)
    )
    assert [row[0] + row[23] for row in closed.heatmap] == [0, 0, 0, 0, 0, 4, 4]


def test_sites_are_counted_apart_and_together(make: MakeHost, clock: FakeClock) -> None:
    """A visitor of both is one; a set of sites sees no others, in no panel."""
    host = open_shop(make, clock)
    ann = Visitor(host, "shop.test").see("/", "2026-11-10 09:00")
    blog = Visitor(host, "blog.test").see("/products/ink", "2026-11-10 10:00")
    Visitor(host, "localhost").see("/data.json", "2026-11-10 11:00").see("/", "2026-11-10 11:01")
    ann.do("/login/7", "2026-11-10 11:02")
    blog.do("/login/7", "2026-11-10 11:03")
    go_to(clock, "2026-11-11 12:00")
    for _ in range(2):
        assert overview(host).numbers.visitors == 2
        assert overview(host, sites={"shop.test"}).numbers.visitors == 1
        both = overview(host, sites={"shop.test", "blog.test"})
        assert (both.numbers.visitors, both.numbers.sessions, both.numbers.page_visits) == (1, 4, 2)
        assert values(both, "page") == {"/": 1, "/products/<slug>": 1}
        assert values(overview(host, panels=["site"]), "site") == {
            "blog.test": 2,
            "localhost": 1,
            "shop.test": 2,
        }
        assert overview(host, sites=[]).numbers == overview(host, sites=[""]).numbers == Numbers()
        close_days(host)


def test_refunds_count_on_their_day(make: MakeHost, clock: FakeClock) -> None:
    """They take from revenue, and the order stays an order of its own day."""
    host = open_shop(make, clock)
    Visitor(host).see("/?utm_source=news", "2026-11-09 10:00").do("/order/1/20.00")
    host.flush()
    go_to(clock, "2026-11-10 09:00")
    with host.app.app_context():
        cancel_transaction("1", amount="5.50")
    host.flush()
    found = overview(host)
    assert (found.numbers.orders, found.revenue) == (1, (Money("14.50", "EUR"),))
    assert [point.revenue for point in found.series if point.revenue] == [
        (Money("20.00", "EUR"),),
        (Money("-5.50", "EUR"),),
    ]
    reports = host.state.reports
    [row] = reports.revenue("utm_source", reports.period("7d"))
    assert (row.value, row.orders, row.revenue) == ("news", 1, found.revenue)


def test_a_session_of_a_closed_day_that_changes_is_counted_at_once(
    make: MakeHost, clock: FakeClock
) -> None:
    """A log-in joins two people: right before their days are counted again, and after."""
    host = open_shop(make, clock)
    phone = Visitor(host).see("/", "2026-11-08 10:00")
    laptop = Visitor(host).see("/", "2026-11-09 10:00")
    phone.see("/", "2026-11-10 10:00")
    go_to(clock, "2026-11-11 12:00")
    close_days(host)
    assert overview(host).numbers.visitors == 2
    phone.do("/login/7", "2026-11-11 13:00")
    laptop.do("/login/7", "2026-11-11 13:05")
    host.flush()
    database = host.state.pipeline.database
    while host.state.pipeline.writer.apply_aliases():
        pass
    assert host.rows("recount_person")
    pending = overview(host)
    assert (pending.numbers.visitors, pending.numbers.new_visitors) == (1, 1)
    today = overview(host, "today")
    assert (today.numbers.visitors, today.numbers.new_visitors) == (1, 0)
    close_days(host)
    assert not host.rows("recount_person")
    assert overview(host) == pending
    with database.read() as connection:
        assert connection.scalar(sa.text("SELECT count(*) FROM eventtrack_recount_day")) == 0


def test_the_overview_takes_a_fixed_number_of_statements(make: MakeHost, clock: FakeClock) -> None:
    """Whatever the number of days, panels, visitors and rows."""
    host = open_shop(make, clock)
    visit_two_days(host)
    go_to(clock, "2026-11-12 09:00")
    close_days(host)
    Visitor(host).see("/", "2026-11-12 10:00")
    counts = [_count_statements(host, name) for name in ("30d", "12m")]
    assert counts == [17, 17]


def _count_statements(host: Host, name: str) -> int:
    overview(host, name)
    noted = list[str]()

    def note(_: object, __: object, statement: str, *___: object) -> None:
        noted.append(statement)

    engine = host.state.reports.reader._get_place().engine
    assert engine is not None
    sa.event.listen(engine, "before_cursor_execute", note)
    overview(host, name)
    return len(noted)


def test_wrong_questions_are_refused(host: Host) -> None:
    """Before anything is read."""
    reports = host.state.reports
    with pytest.raises(ReportError, match=r"no dimension 'planet'\. The dimensions are: channel"):
        overview(host, panels=["planet"])
    with pytest.raises(ReportError, match="cannot be shown by 'hour'"):
        overview(host, "30d", bucket="hour")
    with pytest.raises(ReportError, match="Revenue cannot be shown by 'planet'"):
        reports.revenue("planet", reports.period("7d"))
    with pytest.raises(ReportError, match="'first' or 'last', not 'best'"):
        reports.revenue("source", reports.period("7d"), attribution="best")  # type: ignore[arg-type]


def test_all_time_begins_with_the_first_session(make: MakeHost, clock: FakeClock) -> None:
    """And ends today."""
    host = open_shop(make, clock)
    visit_two_days(host)
    go_to(clock, "2026-11-12 09:00")
    host.flush()
    found = host.state.reports.period("all")
    assert (str(found.first), str(found.last)) == ("2026-11-09", "2026-11-12")
    assert found.now == moment("2026-11-12 09:00")
