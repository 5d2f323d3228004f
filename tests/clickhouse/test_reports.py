"""Reports that are counted in the copy have the same numbers as those of the host's database."""

from __future__ import annotations

import collections
import pathlib
import urllib.parse

import pytest

from flask_eventtrack.demo.filling import fill
from flask_eventtrack.store.session_counts import DIMENSIONS

from ..archive.conftest import open_logging_host
from ..conftest import MakeHost
from ..hosts import FakeClock, Host
from ..reports.visits import Visitor
from ..store.copies import LOG
from ..store.halves import BROWSER, SERVER
from ..store.people import forget
from ..store.records import write_records
from .copies import ClickHouse, copy
from .reported import ask_copy, assert_same, breakdown, open_copied, open_visited, overview

pytestmark = pytest.mark.usefixtures("no_chores")

FILTERS = (
    ("is:utm_source:news",),
    ("is:utm_source:news", "is:utm_source:News"),
    ("is_not:utm_source:news",),
    ("is:utm_source:",),
    ("is_not:utm_source:",),
    ("contains:utm_source:EW",),
    ("contains:utm_source:%",),
    ("is:site:blog.test",),
    ("contains:site:blog",),
    ("is:entry_rule:/", "is_not:exit_rule:/"),
    ("is:page:/products/<slug>",),
    ("is_not:page:/products/<slug>",),
    ("is:event:cart.put",),
    ("is_not:event:cart.put",),
    ("at_least:cart.put.price:3",),
    ("at_least:cart.put.price:3.01",),
    ("at_least:cart.put.price:3.01", "is:cart.put.sku:ink"),
    ("is:cart.put.sku:ink",),
    ("at_most:cart.put.sku:5",),
    ("is:cart.put.sku:1e999", "is:cart.put.sku:7"),
    ("is:cart.put.price:12.5",),
    ("is:cart.put.price:12.50",),
    ("is:cart.put.gift:true",),
    ("is:cart.put.gift:false",),
    ("at_least:duration:120",),
    ("at_least:duration:121",),
    ("at_most:duration:119",),
    ("at_least:pages:2",),
    ("at_most:pages:1",),
    ("is:customer:yes",),
    ("is:customer:no",),
    ("is:headless:yes",),
    ("is:headless:no",),
    ("is:hour:09", "is:hour:23"),
    ("is_not:hour:09",),
    ("is:goal:gift",),
    ("is_not:goal:gift",),
    ("is_not:country:DE", "contains:browser:chrom", "at_least:pages:1", "is_not:event:cart.put"),
)


@pytest.fixture
def shop(make: MakeHost, clock: FakeClock, clickhouse: ClickHouse, database_url: str) -> Host:
    """The shop on each kind of database."""
    return open_visited(make, clock, clickhouse, database_url)


def test_each_filter(shop: Host, database_url: str) -> None:
    """SQLite, which folds ASCII letters only, is not asked for others."""
    folds = not database_url.startswith("sqlite")
    for texts in (*FILTERS, *([("contains:utm_source:ärzte",)] if folds else [])):
        assert_same(shop, overview(*texts))


def test_each_report(shop: Host) -> None:
    """Of other periods, sites and dimensions."""
    for bucket, period in (("hour", "7d"), ("week", "30d"), ("month", "12m"), ("hour", "today")):
        assert_same(shop, overview("is:browser:Chrome", period=period, bucket=bucket))
    for comparison in ("year", "none"):
        assert_same(shop, overview("at_least:pages:1", comparison=comparison))
    for sites in ({"blog.test"}, {"blog.test", "localhost"}, {"none.test"}):
        assert_same(shop, overview("is:browser:Chrome", sites=sites))
        assert_same(shop, breakdown("page", sites=sites, with_people=True))
    for dimension in (*DIMENSIONS, "page", "action"):
        assert_same(shop, breakdown(dimension, "is:browser:Chrome", with_people=True))
    for texts in ((), ("is:event:cart.put",)):
        assert_same(shop, breakdown("path", *texts, route="/products/<slug>"))
    assert_same(shop, lambda reports: reports.goals(reports.period("7d")))


@pytest.mark.parametrize("seed", [1, 2])
def test_made_up_histories(
    make: MakeHost, clickhouse: ClickHouse, database_url: str, tmp_path: pathlib.Path, seed: int
) -> None:
    """With logins, orders, cancellations, and then without a person who was erased."""
    config = {
        "EVENTTRACK_REPORTS_URL": clickhouse.url,
        **LOG,
        "EVENTTRACK_TIMEZONE": "Asia/Kolkata",
    }
    host = open_logging_host(make, database_url, tmp_path, **config)
    with host.app.app_context():
        collections.deque(fill(host.state, 3000, 25, seed), maxlen=0)
    customers = sorted(row["customer_id"] for row in host.rows("profile"))
    for who in (None, customers[0]):
        if who is not None:
            forget(host, who)
        copy(host, clickhouse)
        for texts in (
            ("is:device_type:desktop",),
            ("is_not:page:/",),
            ("is:customer:no",),
            ("is:customer:yes", "at_least:duration:30"),
            ("is:hour:09", "is:hour:17", "is:hour:20"),
            ("is:event:transaction.charge",),
            ("at_least:page.visit.status:200", "is_not:country:US"),
        ):
            assert_same(host, overview(*texts, period="30d", bucket="week"))
        assert_same(host, breakdown("country", "is:customer:yes", with_people=True))
        assert ask_copy(host, overview("is:event:transaction.charge", period="30d")).revenue


def test_what_changes_later(small_shop: Host, clickhouse: ClickHouse) -> None:
    """A session, a cancelled order, an anonymous visitor who logs in, a person who is erased."""
    host = small_shop
    visitor = Visitor(host).see("/?utm_source=news")
    copy(host, clickhouse)
    with host.app.app_context():
        host.events.cancel_transaction("A-2")
    visitor.see("/products/pen").do("/login/43").do("/order/A-3/5.00")
    copy(host, clickhouse)
    for texts in FILTERS[::5]:
        assert_same(host, overview(*texts))
    before = ask_copy(host, overview("is:customer:yes")).numbers.sessions
    forget(host, "43")
    copy(host, clickhouse)
    assert_same(host, overview("is:customer:yes"))
    assert ask_copy(host, overview("is:customer:yes")).numbers.sessions == before - 1


def test_a_cancellation_is_of_the_session_of_an_earlier_order(
    small_shop: Host, clickhouse: ClickHouse
) -> None:
    """Of one that was made before the period."""
    small_shop.clock.advance(days=20)
    with small_shop.app.app_context():
        small_shop.events.cancel_transaction("A-1")
    copy(small_shop, clickhouse)
    for texts, matches in ((("is:browser:Chrome",), True), (("is_not:browser:Chrome",), False)):
        assert bool(ask_copy(small_shop, overview(*texts)).revenue) is matches
        assert_same(small_shop, overview(*texts))


def test_a_visit_that_gets_its_other_half_is_one(
    make: MakeHost, clock: FakeClock, clickhouse: ClickHouse
) -> None:
    host = open_copied(make, clock, clickhouse)
    for half in (SERVER, BROWSER):
        write_records(host, half)
        copy(host, clickhouse)
    assert_same(host, overview("at_least:pages:0"))
    assert_same(host, breakdown("page", "at_least:pages:0", with_people=True))
    assert_same(host, breakdown("path", "at_least:pages:0", route=SERVER.url_rule))
    [page] = ask_copy(host, breakdown("page", "at_least:pages:0")).rows
    assert page.count == 1


HOSTILE = (
    *("'", "''", "\\", "\\'", "' OR 1=1 --", "') OR (1=1", "'; DROP TABLE eventtrack_session; --"),
    *(
        "%",
        "_",
        "{}",
        "{x:String}",
        "%s",
        "%(x)s",
        ":lower",
        "?",
        "`",
        '"',
        "/*",
        "\n",
        "\0'",
        "\t",
    ),
    *("\u2028", "\u202e", "\\0", "\\x27 OR 1=1", "ﬃ", "\ud7ff\U0010ffff"),
)


def test_hostile_values_stay_values(small_shop: Host, clickhouse: ClickHouse) -> None:
    """In each kind of condition. Those that are stored are found as such."""
    with small_shop.app.app_context():
        for text in HOSTILE:
            Visitor(small_shop).see("/?utm_source=" + urllib.parse.quote(text + "."))
    copy(small_shop, clickhouse)
    everything = ask_copy(small_shop, overview("at_least:pages:0")).numbers.sessions
    for text in HOSTILE:
        assert_same(small_shop, overview(f"is:source:{text}."))
    for operator in ("is_not:source", "is_not:page", "is_not:site", "is:cart.put.sku"):
        assert_same(small_shop, overview(*(f"{operator}:{text}" for text in HOSTILE)))
    # At a NUL, SQLite's LIKE ends, and PostgreSQL takes none.
    for text in (each for each in HOSTILE if "\0" not in each):
        assert_same(small_shop, breakdown("source", f"contains:utm_source:{text}"))
    assert_same(small_shop, breakdown("path", route="'\\\\' OR 1=1"))
    many = [f"is:source:{text}{'x' * 900}" for text in HOSTILE]
    assert ask_copy(small_shop, overview(*many)).numbers.sessions == 0
    assert ask_copy(small_shop, overview("at_least:pages:0")).numbers.sessions == everything
