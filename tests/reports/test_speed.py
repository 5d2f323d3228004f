"""What reports read does not grow with what is stored beside their period."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import typing as t

import pytest
import sqlalchemy as sa

from flask_eventtrack import cancel_transaction
from flask_eventtrack.money import Money
from flask_eventtrack.reports.filters import Filter
from flask_eventtrack.reports.rows import Overview

from ..conftest import MakeHost
from ..hosts import FakeClock, Host
from .visits import Visitor, close_days, go_to, open_shop

_MARKS = ("eventtrack_recount_day", "eventtrack_recount_person")


def open_sold(make: MakeHost, clock: FakeClock, **options: str) -> Host:
    """Return a shop with two orders from different sources, one of them cancelled in part."""
    host = open_shop(make, clock, **options)
    for number, source in enumerate(("news", "ads")):
        visitor = Visitor(host).see(f"/?utm_source={source}", "2026-11-03 09:00")
        visitor.do(f"/order/{number}/20.00", "2026-11-03 09:01")
    host.flush()
    go_to(clock, "2026-11-04 12:00")
    with host.app.app_context():
        cancel_transaction("0", amount="5.50")
    close_days(host)
    return host


def overview(host: Host, *texts: str, period: str = "7d") -> Overview:
    reports = host.state.reports
    return reports.overview(reports.period(period), Filter.parse(texts))


@contextlib.contextmanager
def statements() -> cabc.Iterator[list[tuple[str, t.Any]]]:
    found: list[tuple[str, t.Any]] = []

    def note(*args: t.Any) -> None:
        found.append((args[2], args[3]))

    sa.event.listen(sa.Engine, "before_cursor_execute", note)
    try:
        yield found
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", note)


def test_a_filter_takes_the_orders_of_its_sessions(
    make: MakeHost, clock: FakeClock, database_url: str
) -> None:
    """With their cancellations, which have no session."""
    host = open_sold(make, clock, url=database_url)
    found = [overview(host, f"is:utm_source:{name}") for name in ("news", "ads", "other")]
    assert [(each.numbers.orders, each.revenue) for each in found] == [
        (1, (Money("14.50", "EUR"),)),
        (1, (Money("20.00", "EUR"),)),
        (0, ()),
    ]


@pytest.mark.parametrize("first", ["2026-11-03", "2026-10-01"], ids=["most", "a part"])
def test_an_order_counts_on_its_own_day(
    make: MakeHost, clock: FakeClock, database_url: str, first: str
) -> None:
    """If its session began on the day before, whether the day is most of the time or not."""
    host = open_shop(make, clock, url=database_url)
    Visitor(host).see("/", f"{first} 22:00")
    for number, source in enumerate(("news", "ads")):
        visitor = Visitor(host).see(f"/?utm_source={source}", "2026-11-03 23:50")
        visitor.do(f"/order/{number}/20.00", "2026-11-04 00:10")
    host.flush()
    go_to(clock, "2026-11-04 18:00")
    found = overview(host, "is:utm_source:news", period="today")
    assert (found.numbers.sessions, found.numbers.orders) == (0, 1)
    reports, limits = host.state.reports, Filter.parse(["is:utm_source:news"])
    rows = reports.revenue("source", reports.period("today"), limits)
    assert [(row.value, row.orders) for row in rows] == [("news", 1)]


@pytest.mark.parametrize("text", ["", "is:utm_source:news", "is:page:/", "is:event:page.visit"])
def test_no_table_is_read_as_a_whole(make: MakeHost, clock: FakeClock, text: str) -> None:
    """Each statement of an overview finds its rows by an index, but for marks, which are few."""
    host = open_sold(make, clock)
    with statements() as found:
        overview(host, *filter(None, [text]))
    with host.state.pipeline.database.read() as connection:
        plans = [
            row[-1]
            for statement, parameters in found
            if statement.startswith("SELECT")
            for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
        ]
    scans = [plan for plan in plans if plan.startswith("SCAN eventtrack_")]
    assert len(plans) > 10
    assert [plan for plan in scans if plan.split()[1] not in _MARKS] == []


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_an_index_tells_which_sessions_match(
    make: MakeHost, clock: FakeClock, database_url: str
) -> None:
    """PostgreSQL's plan says which conditions are part of the search in the index."""
    host = open_sold(make, clock, url=database_url)
    with statements() as found:
        overview(host, "is:country:DE", "is:source:news")
    with host.state.pipeline.database.read() as connection:
        connection.exec_driver_sql("SET enable_seqscan = off")
        plans = [
            row[0]
            for statement, parameters in found
            if statement.startswith("SELECT eventtrack_session.started_at")
            for row in connection.exec_driver_sql(f"EXPLAIN {statement}", parameters)
        ]
    searches = [plan for plan in plans if "Index Cond" in plan]
    assert searches
    assert all("country" in each and "source" in each for each in searches)


def test_months_before_the_first_visit_cost_nothing(make: MakeHost, clock: FakeClock) -> None:
    """A filter reads no part of the period before it."""
    host = open_sold(make, clock)
    numbers = []
    for period in ("30d", "365d"):
        with statements() as found:
            overview(host, "is:utm_source:news", period=period)
        numbers.append(len(found))
    assert numbers[1] <= numbers[0]
