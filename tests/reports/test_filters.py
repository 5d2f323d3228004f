"""Filters: from and to the URL, and which sessions they leave."""

from __future__ import annotations

import pytest

from flask_eventtrack.errors import ReportError
from flask_eventtrack.reports.filters import Condition, Filter

from ..conftest import MakeHost
from ..hosts import FakeClock, Host
from .visits import Visitor, go_to, open_shop


def test_a_filter_survives_the_url() -> None:
    """Values of the same field and operator are alternatives, and may hold colons."""
    texts = ["is:country:DE", "is:country:FR", "contains:source:a:b", "at_least:duration:60"]
    found = Filter.parse(texts)
    assert found.conditions == (
        Condition("country", "is", ("DE", "FR")),
        Condition("source", "contains", ("a:b",)),
        Condition("duration", "at_least", ("60",)),
    )
    assert found.to_query() == [("f", text) for text in texts]
    assert not Filter.parse([])


def test_conditions_are_added_and_removed() -> None:
    """The same one twice is one."""
    found = Filter().add("os", "is", "iOS").add("os", "is", "iOS").add("browser", "is_not", "")
    assert found.remove(found.conditions[0]) == Filter((Condition("browser", "is_not", ("",)),))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("country", "A filter is <operator>:<field>:<value>"),
        ("is:planet:Mars", "There is no filter by 'planet'. There are: channel, source"),
        ("at_least:country:DE", "'country' is filtered by 'is' or 'is_not' or 'contains'"),
        ("at_least:duration:long", "The value of 'duration' is a number. It was 'long'"),
        ("at_least:pages:inf", "The value of 'pages' is a number"),
        ("is:customer:maybe", "is 'yes' or 'no'"),
        ("is:headless:1", "is 'yes' or 'no'"),
        ("is:hour:24", "is from '00' to '23'"),
        ("contains:source:", "is not empty"),
        ("is:source:" + "x" * 1001, "is at most 1000 characters"),
    ],
)
def test_wrong_filters_are_refused(text: str, problem: str) -> None:
    """The error says what is wrong and what there is."""
    with pytest.raises(ReportError, match=problem):
        Filter.parse([text])


def test_a_filter_has_a_limit() -> None:
    """Whoever makes a longer one wants to keep the database busy."""
    with pytest.raises(ReportError, match="at most 20 conditions of 50 values each"):
        Filter.parse(f"is:source:{number}" for number in range(51))
    with pytest.raises(ReportError, match="at most 20 conditions of 50 values each"):
        Filter.parse(f"is:cart.put.field{number}:x" for number in range(21))


def open_visited(make: MakeHost, clock: FakeClock, **options: str) -> Host:
    """Return a shop with a day of four visitors."""
    host = open_shop(make, clock, **options)
    ann, bob = Visitor(host), Visitor(host, "blog.test")
    ann.see("/?utm_source=news&utm_medium=mail", "2026-11-03 09:00")
    ann.see("/products/pen", "2026-11-03 09:02").do("/cart/pen/12.50?gift")
    bob.see("/products/ink", "2026-11-03 10:00").do("/cart/ink/3.00")
    Visitor(host).see("/?utm_source=News", "2026-11-03 11:00")
    Visitor(host).see("/", "2026-11-03 23:00").do("/login/42", "2026-11-03 23:01")
    go_to(clock, "2026-11-04 12:00")
    host.flush()
    return host


@pytest.fixture
def shop(make: MakeHost, clock: FakeClock) -> Host:
    return open_visited(make, clock)


def sessions(host: Host, *texts: str) -> int:
    reports = host.state.reports
    found = reports.overview(reports.period("7d"), Filter.parse(texts), comparison="none")
    assert found.numbers.sessions == found.numbers.visitors
    return found.numbers.sessions


def test_each_field_filters_sessions(make: MakeHost, clock: FakeClock, database_url: str) -> None:
    """On each kind of database, by the same numbers."""
    shop = open_visited(make, clock, url=database_url)
    expected = {
        ("is:utm_source:news",): 1,
        ("is:utm_source:news", "is:utm_source:News"): 2,
        ("is_not:utm_source:news",): 3,
        ("is:utm_source:",): 2,
        ("contains:utm_source:EW",): 2,
        ("contains:utm_source:%",): 0,
        ("is:site:blog.test",): 1,
        ("contains:site:blog",): 1,
        ("is:entry_rule:/", "is_not:exit_rule:/"): 1,
        ("is:page:/products/<slug>",): 2,
        ("is_not:page:/products/<slug>",): 2,
        ("is:event:cart.put",): 2,
        ("is_not:event:cart.put",): 2,
        ("at_least:cart.put.price:3",): 2,
        ("at_least:cart.put.price:3.01",): 1,
        ("at_least:cart.put.price:3.01", "is:cart.put.sku:ink"): 0,
        ("is:cart.put.sku:ink",): 1,
        ("at_most:cart.put.sku:5",): 0,
        ("is:cart.put.price:12.5",): 1,
        ("is:cart.put.gift:true",): 1,
        ("is:cart.put.gift:false",): 1,
        ("at_least:duration:120",): 1,
        ("at_least:duration:121",): 0,
        ("at_most:duration:119",): 3,
        ("at_least:pages:2",): 1,
        ("at_most:pages:1",): 3,
        ("is:customer:yes",): 1,
        ("is:customer:no",): 3,
        ("is:hour:09", "is:hour:23"): 2,
        ("is_not:hour:09",): 3,
    }
    assert {texts: sessions(shop, *texts) for texts in expected} == expected
    # What a visitor sends is perhaps beyond what a database can take for a number.
    Visitor(shop).see("/", "2026-11-04 11:00").do("/cart/1e999/1.00").do("/cart/7/1.00")
    Visitor(shop).see("/", "2026-11-04 11:00").do(f"/cart/{'9' * 200}/1.00")
    shop.flush()
    assert sessions(shop, "at_least:cart.put.sku:5") == 1
    assert sessions(shop, "is:cart.put.sku:1e999", "is:cart.put.sku:7") == 1


def test_unknown_events_and_parameters_are_refused(shop: Host) -> None:
    """A parameter that is not defined is not reported, so it is no filter either."""
    with pytest.raises(
        ReportError, match=r"'cart\.put' has no parameter 'size'\. It has: sku, price, gif"
    ):
        sessions(shop, "is:cart.put.size:L")
    with pytest.raises(ReportError, match=r"The event 'cart\.take' is not defined"):
        sessions(shop, "is:event:cart.take")


def test_a_filter_counts_the_pages_of_its_sessions(shop: Host) -> None:
    """Breakdowns, too."""
    reports = shop.state.reports
    found = reports.overview(reports.period("7d"), Filter.parse(["is:event:cart.put"]))
    assert (found.numbers.page_visits, found.numbers.pages) == (3, 3)
    assert [(row.value, row.count) for row in found.breakdowns["page"].rows] == [
        ("/products/<slug>", 2),
        ("/", 1),
    ]
    assert [row.count for row in found.breakdowns["action"].rows if row.value == "cart.put"] == [2]
