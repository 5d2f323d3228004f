"""Rows of a dimension, paths inside a route, and the parameters of events."""

from __future__ import annotations

import dataclasses
import decimal
import fractions
import random
import typing as t

import pytest

from flask_eventtrack import EventTrack, Money, track
from flask_eventtrack.errors import ReportError
from flask_eventtrack.reports.filters import Filter
from flask_eventtrack.reports.rows import Breakdown, ValueRow

from ..conftest import MakeHost
from ..hosts import FakeClock, Host
from ..store.records import an_event, write_records
from .visits import Visitor, close_days, go_to, open_shop


@pytest.fixture
def shop(make: MakeHost, clock: FakeClock) -> Host:
    """Three visitors from two newsletters, on a day that is closed and on today."""
    host = open_shop(make, clock)
    ann = Visitor(host).see("/?utm_campaign=spring", "2026-11-09 10:00")
    ann.see("/products/pen", "2026-11-09 10:05")
    ann.see("/products/ink?utm_campaign=spring", "2026-11-10 10:00")
    Visitor(host).see("/?utm_campaign=autumn", "2026-11-10 11:00")
    go_to(clock, "2026-11-11 09:00")
    close_days(host)
    Visitor(host).see("/products/pen?utm_campaign=autumn")
    host.flush()
    return host


def breakdown(host: Host, dimension: str = "utm_campaign", **options: object) -> Breakdown:
    host.flush()
    reports = host.state.reports
    return reports.breakdown(dimension, reports.period("7d"), **options)  # type: ignore[arg-type]


def names(found: Breakdown) -> list[str]:
    return [row.value for row in found.rows]


def test_rows_count_sessions(shop: Host) -> None:
    """With all that the sessions add up to; equal ones are in the order of their values."""
    found = breakdown(shop, with_people=True)
    assert (found.counted, found.total, found.rows_in_all) == ("sessions", 4, 2)
    autumn, spring = found.rows
    assert (autumn.value, autumn.count, autumn.share, autumn.people) == ("autumn", 2, 0.5, 2)
    assert (spring.value, spring.count, spring.share, spring.people) == ("spring", 2, 0.5, 1)
    assert (spring.pages, spring.bounces, spring.seconds) == (3, 1, 300)
    assert (spring.pages_per_session, spring.bounce_rate, spring.duration) == (1.5, 0.5, 150)


def test_rows_are_searched_sorted_and_paged(shop: Host) -> None:
    """The total stays that of all rows."""
    assert names(breakdown(shop, sort="value", descending=False)) == ["autumn", "spring"]
    assert names(breakdown(shop, sort="duration")) == ["spring", "autumn"]
    assert names(breakdown(shop, sort="bounce_rate")) == ["autumn", "spring"]
    assert names(breakdown(shop, limit=1, offset=1)) == ["spring"]
    found = breakdown(shop, search="SPR")
    assert (names(found), found.total, found.rows_in_all) == (["spring"], 4, 1)
    with pytest.raises(ReportError, match="cannot be sorted by 'luck'"):
        breakdown(shop, sort="luck")


def test_rows_are_compared(shop: Host) -> None:
    """With the same value in the period before."""
    reports = shop.state.reports
    found = reports.breakdown("utm_campaign", reports.period("today"), comparison="previous")
    assert [(row.value, row.count, row.before) for row in found.rows] == [("autumn", 1, 0)]
    assert breakdown(shop).rows[0].before is None


def test_pages_and_events_count_themselves(shop: Host) -> None:
    """Their rows have no numbers of sessions."""
    pages = breakdown(shop, "page", with_people=True)
    assert pages.counted == "page visits"
    assert [(row.value, row.count, row.people) for row in pages.rows] == [
        ("/products/<slug>", 3, 2),
        ("/", 2, 2),
    ]
    assert pages.rows[0].bounce_rate is None
    events = breakdown(shop, "action")
    assert (events.counted, {row.value: row.count for row in events.rows}["page.visit"]) == (
        "events",
        5,
    )


def test_a_route_opens_its_paths(shop: Host) -> None:
    """With a filter, those of its sessions."""
    found = breakdown(shop, "path", route="/products/<slug>")
    assert [(row.value, row.count) for row in found.rows] == [
        ("/products/pen", 2),
        ("/products/ink", 1),
    ]
    spring = Filter.parse(["is:utm_campaign:spring"])
    found = breakdown(shop, "path", route="/products/<slug>", filter=spring)
    assert [(row.value, row.count) for row in found.rows] == [
        ("/products/ink", 1),
        ("/products/pen", 1),
    ]
    with pytest.raises(ReportError, match="give the route"):
        breakdown(shop, "path")
    with pytest.raises(ReportError, match="for 'path' alone, not for 'page'"):
        breakdown(shop, "page", route="/")


def test_parameters_of_an_event(make: MakeHost, clock: FakeClock, database_url: str) -> None:
    """Top values, and what numbers add up to, exactly; on each kind of database."""
    host = open_shop(make, clock, url=database_url)
    ann = Visitor(host).do("/cart/ink/3.0?gift", "2026-10-20 10:00")
    ann.do("/cart/pen/0.1", "2026-11-10 10:00").do("/cart/pen/0.2")
    Visitor(host, "shop.test").do("/cart/pen/10.7", "2026-11-11 10:00")
    host.flush()
    reports = host.state.reports
    found = reports.parameters("cart.put", reports.period("30d"))
    assert (found.events, found.people) == (4, 2)
    sku, price, gift = found.parameters
    assert sku.values == (ValueRow("pen", 3, 0.75), ValueRow("ink", 1, 0.25))
    assert (sku.type, sku.sum) == ("str", None)
    assert price.sum == decimal.Decimal("14.0")
    assert (price.mean, price.median, price.p90) == (3.5, 0.2, 10.7)
    assert (price.least, price.most, price.events) == (0.1, 10.7, 4)
    assert [row.value for row in gift.values] == ["false", "true"]
    of_site = reports.parameters("cart.put", reports.period("30d"), sites={"shop.test"}, limit=1)
    assert (of_site.events, of_site.parameters[0].values_in_all) == (1, 1)
    gifts = Filter.parse(["is:cart.put.gift:true"])
    assert reports.parameters("cart.put", reports.period("30d"), gifts).events == 1


@dataclasses.dataclass
class OfferView:
    price: Money | None = None


def test_parameters_of_money(make: MakeHost, clock: FakeClock, database_url: str) -> None:
    """Each currency has its own numbers; a value is a filter, and an amount compares."""
    events = EventTrack(clock=clock)
    events.define("offer.view")(OfferView)
    host = make(events=events, url=database_url)

    @host.app.post("/offer")
    def offer() -> str:
        for amount, currency in [("9.9", "EUR"), ("9.90", "EUR"), ("0.1", "EUR"), ("700", "JPY")]:
            track("offer.view", {"price": Money(amount, currency)})
        return ""

    host.client().post("/offer")
    host.flush()
    reports = host.state.reports
    today = reports.period("today")
    [price] = reports.parameters("offer.view", today).parameters
    assert (price.type, price.events, price.sum) == ("Money | None", 4, None)
    assert [(row.value, row.count) for row in price.values] == [
        ("EUR 9.90", 2),
        ("EUR 0.10", 1),
        ("JPY 700", 1),
    ]
    euros, yen = price.currencies
    assert (euros.currency, euros.amounts, euros.sum) == ("EUR", 3, decimal.Decimal("19.90"))
    assert (euros.median, euros.p90, euros.least, euros.most) == (9.9, 9.9, 0.1, 9.9)
    assert (yen.currency, yen.sum, yen.mean) == ("JPY", decimal.Decimal(700), 700.0)
    for text, count in [
        ("is:offer.view.price:EUR 9.90", 4),
        ("is:offer.view.price:EUR 9.91", 0),
        ("is:offer.view.price:USD 9.90", 0),
        ("at_least:offer.view.price:700", 4),
        ("at_least:offer.view.price:701", 0),
    ]:
        found = reports.parameters("offer.view", today, Filter.parse([text]))
        assert found.events == count, text


@dataclasses.dataclass
class Reading:
    one: int | None = None
    even: int | None = None
    odd: float | None = None
    money: decimal.Decimal | None = None
    several: list[int] | None = None


def pick_readings() -> dict[str, list[t.Any]]:
    """Return the values of each parameter: negative ones and equal ones are among them."""
    draw = random.Random(16)
    money = [decimal.Decimal(draw.randrange(-9999, 99_999)) / 100 for _ in range(25)]
    return {
        "one": [-7],
        "even": [draw.randrange(-5, 30) for _ in range(40)],
        "odd": [draw.uniform(-1, 1) for _ in range(31)] + [1e21, -1e-9],
        "money": money + money[:5],
        "several": [[draw.randrange(9) for _ in range(index)] for index in range(6)],
    }


def rank(values: list[t.Any], percent: int) -> float:
    """Return the percentile by its definition: no more than that part of all values is less."""
    return float(
        min(v for v in values if sum(w <= v for w in values) * 100 >= percent * len(values))
    )


def test_percentiles_are_those_of_a_plain_count(
    make: MakeHost, clock: FakeClock, database_url: str
) -> None:
    """Of one value, of even and odd numbers of values, decimals and lists; on each database."""
    events = EventTrack(clock=clock)
    events.define("meter.read", anonymous=True)(Reading)
    host = make(events=events, url=database_url)
    values = pick_readings()
    stored = [
        an_event(
            "meter.read",
            index,
            params={
                name: str(each[index]) if name == "money" else each[index]
                for name, each in values.items()
                if index < len(each)
            },
        )
        for index in range(max(map(len, values.values())))
    ]
    write_records(host, *stored)
    reports = host.state.reports
    found = reports.parameters("meter.read", reports.period("7d"))
    assert found.events == len(stored)
    for row in found.parameters:
        plain = values[row.name]
        plain = [each for list_ in plain for each in list_] if row.name == "several" else plain
        assert (row.median, row.p90) == (rank(plain, 50), rank(plain, 90)), row.name
        exact = sum(fractions.Fraction(str(each)) for each in plain)
        assert row.sum is not None
        assert fractions.Fraction(row.sum) == exact, row.name
        assert row.mean == float(exact) / len(plain), row.name
        assert (row.least, row.most) == (float(min(plain)), float(max(plain))), row.name


def test_undefined_events_are_not_reported(shop: Host) -> None:
    """Nor are their parameters."""
    with pytest.raises(ReportError, match=r"'cart\.take' is not defined"):
        shop.state.reports.parameters("cart.take", shop.state.reports.period("7d"))
