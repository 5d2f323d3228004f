"""Reports that are counted in the copy, beside those of the host's database."""

from __future__ import annotations

import typing as t

import pytest

from flask_eventtrack.reports import counting
from flask_eventtrack.reports.filters import Filter
from flask_eventtrack.reports.library import Reports

from ..conftest import MakeHost
from ..hosts import FakeClock, Host
from ..reports.visits import Visitor, go_to, open_shop
from ..store.copies import LOG
from .copies import ClickHouse, copy

_T = t.TypeVar("_T")
Ask = t.Callable[[Reports], _T]


def open_copied(
    make: MakeHost,
    clock: FakeClock,
    clickhouse: ClickHouse,
    url: str | None = None,
    **config: t.Any,
) -> Host:
    """Return a shop whose reports are counted in the copy, which is not made yet."""
    options = {} if url is None else {"url": url}
    given = {"EVENTTRACK_DASHBOARD_PERMISSION": lambda: "manage", **LOG, **config}
    given = {"EVENTTRACK_REPORTS_URL": clickhouse.url, **given}
    return open_shop(make, clock, config=given, **options)


def overview(*texts: str, period: str = "7d", **options: t.Any) -> Ask[t.Any]:
    limits = Filter.parse(texts)
    return lambda reports: reports.overview(reports.period(period), limits, **options)


def breakdown(dimension: str, *texts: str, **options: t.Any) -> Ask[t.Any]:
    limits = Filter.parse(texts)
    return lambda reports: reports.breakdown(dimension, reports.period("7d"), limits, **options)


def open_visited(
    make: MakeHost, clock: FakeClock, clickhouse: ClickHouse, url: str | None = None
) -> Host:
    """Return a shop of a few days, with its copy."""
    host = open_copied(make, clock, clickhouse, url, EVENTTRACK_TIMEZONE="Europe/Berlin")
    host.events.goal("gift", "cart.put", where=["is:gift:true"])
    ann, bob = Visitor(host), Visitor(host, "blog.test")
    ann.see("/", "2026-10-20 09:00")
    ann.see("/?utm_source=news&utm_medium=mail", "2026-11-03 09:00")
    ann.see("/products/pen", "2026-11-03 09:02").do("/cart/pen/12.50?gift")
    ann.do("/order/A-1/12.50")
    bob.see("/products/ink", "2026-11-03 10:00").do("/cart/ink/3.00")
    Visitor(host).see("/?utm_source=News", "2026-11-03 11:00").do("/cart/1e999/1.00")
    Visitor(host).see("/", "2026-11-03 23:00").do("/login/42", "2026-11-03 23:01").do(
        "/cart/7/1.00"
    )
    Visitor(host).see("/?utm_source=ÄRZTE%20straße", "2026-11-04 07:00")
    ann.see("/products/ink", "2026-11-04 08:00").do("/order/A-2/7.00?currency=USD")
    go_to(clock, "2026-11-04 12:00")
    copy(host, clickhouse)
    return host


def ask_copy(host: Host, ask: Ask[_T]) -> _T:
    """Ask where the database has no time at all, so that only the copy can have answered."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(counting, "SCAN_SECONDS", -1.0)
        return ask(host.state.reports)


def ask_host(host: Host, ask: Ask[_T]) -> _T:
    """Ask without the copy, and with time for all of it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(counting, "SCAN_SECONDS", 60.0)
        patch.setattr(host.state.reports.reader, "elsewhere", None)
        return ask(host.state.reports)


def assert_same(host: Host, ask: Ask[t.Any]) -> None:
    """Check that a report has the same numbers in both, and that nothing is cut."""
    assert ask_copy(host, ask) == ask_host(host, ask)
