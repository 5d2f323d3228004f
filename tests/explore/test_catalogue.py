"""The catalogue says what each definition means, what arrived of it, and what was wrong."""

from __future__ import annotations

import collections
import datetime as dt
import random
import typing as t
import urllib.parse
import zoneinfo

import pytest
import sqlalchemy as sa

from ..conftest import MakeHost
from ..dashboard.pages import find_links, look
from ..dashboard.test_hostile import HOSTILE, check
from ..hosts import FakeClock, Host
from ..reports.visits import close_days, go_to
from .shop import JSON, do, open_shop, read_json, row_of

WEEK = "catalogue/usage.json?period=7d"


def fill(host: Host) -> None:
    """Have things happen on three days, of which two are closed."""
    for day, number in (("2026-11-17", 2), ("2026-11-19", 3), ("2026-11-21", 1)):
        go_to(host.clock, f"{day} 10:00")
        for price in range(number):
            do(host, "cart.put", sku="pen", price=price, colour="red")
        do(host, "cart.putt", sku="pen")
        close_days(host)
    do(host, "cart.put", "blog.test", sku="ink", price=5, customer_id="42")
    do(host, "cart.put", sku="ink", price="much")
    do(host, "cart.put", price=1)
    go_to(host.clock, "2026-11-21 12:00")
    host.flush()


def test_each_definition_has_its_numbers(
    make: MakeHost, clock: FakeClock, database_url: str
) -> None:
    """From closed days and from today's hours: events by day, when the last one was, and faults."""
    host = open_shop(make, clock, url=database_url)
    fill(host)
    found = read_json(host, WEEK)
    assert [row["action"] for row in found["defined"]] == ["cart.never", "cart.old", "cart.put"]
    row = row_of(found["defined"], "cart.put")
    assert (row["events"], row["series"]) == (7, [0, 0, 2, 0, 3, 0, 2])
    assert (row["last_seen"], row["owner"], row["status"]) == ("2026-11-21", "Team Shop", "active")
    assert row["description"] == "A basket got something."
    assert (row["undefined"], row["refused"]) == (6, 2)
    assert row_of(found["defined"], "cart.old")["status"] == "deprecated"
    never = row_of(found["defined"], "cart.never")
    assert (never["events"], never["last_seen"], never["series"]) == (0, None, [0] * 7)
    [other] = found["not_defined"]
    assert (other["action"], other["nearest"], other["events"]) == ("cart.putt", "cart.put", 3)
    assert found["unnamed"] == 0


def test_an_earlier_period_still_says_when_an_event_was_last_seen(
    make: MakeHost, clock: FakeClock
) -> None:
    """The last day may be after the period, and before it."""
    host = open_shop(make, clock)
    fill(host)
    days = "period=custom&from=2026-11-18&to=2026-11-18"
    row = row_of(read_json(host, f"catalogue/usage.json?{days}")["defined"], "cart.put")
    assert (row["events"], row["series"], row["last_seen"]) == (0, [0], "2026-11-21")


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Asia/Kolkata"])
def test_numbers_equal_a_plain_count(make: MakeHost, clock: FakeClock, zone: str) -> None:
    """Events at random moments of twelve days, as they are counted one by one in Python."""
    host = open_shop(make, clock, config={"EVENTTRACK_TIMEZONE": zone})
    rng = random.Random(zone)
    for hour in sorted(rng.sample(range(12 * 24), 60)):
        go_to(clock, "2026-11-10 00:00")
        clock.advance(hours=hour, minutes=rng.randrange(60))
        for action in rng.choices(["cart.put", "cart.old", "cart.odd"], k=rng.randrange(1, 4)):
            do(host, action, rng.choice(["localhost", "blog.test"]), sku="pen")
        if rng.random() < 0.2:
            close_days(host)
    found, of_blog = (read_json(host, f"{WEEK}{site}") for site in ("", "&site=blog.test"))
    for site, each in ((None, found), ("blog.test", of_blog)):
        plain = count_plainly(host, zone, site)
        rows = [*each["defined"], *each["builtin"], *each["not_defined"]]
        told = {row["action"]: row["series"] for row in rows if row["events"]}
        assert told == {action: days for action, days in plain.items() if sum(days)}
        assert "cart.put" in told


def count_plainly(host: Host, zone: str, site: str | None) -> dict[str, list[int]]:
    today = host.clock.moment.astimezone(zoneinfo.ZoneInfo(zone)).date()
    found = collections.defaultdict[str, list[int]](lambda: [0] * 7)
    for row in host.rows("event"):
        age = (today - row["time"].astimezone(zoneinfo.ZoneInfo(zone)).date()).days
        if age < 7 and site in (None, row["site"]):
            found[row["action"]][6 - age] += 1
    return found


def test_the_page_says_what_the_report_says(make: MakeHost, clock: FakeClock) -> None:
    """Rows with their numbers, links to their pages, and what is folded away."""
    host = open_shop(make, clock)
    fill(host)
    page = look(host, "/catalogue?period=7d")
    assert "The app defines 3 events, 2 of them without data in this period. 1 event" in page
    assert find_links(page, "cart.put") == ["/_et/catalogue/cart.put?period=7d"]
    assert "Owner: <bdi>Team Shop</bdi>" in page
    assert '<span class="badge">deprecated</span>' in page
    assert 'Nearest definition: <span class="code"><bdi>cart.put</bdi>' in page
    folded = page.partition('<details class="fold">')[2]
    assert "page.visit" in folded
    assert "cart.put" not in folded


def test_the_page_of_an_event_says_all_of_it(
    make: MakeHost, clock: FakeClock, database_url: str
) -> None:
    """Parameters in words, their frequent values, what was undefined, and what was refused."""
    host = open_shop(make, clock, url=database_url)
    fill(host)
    found = read_json(host, "catalogue/cart.put.json?period=7d")
    use = found["use"]
    assert (use["events"], use["series"]) == (7, [0, 0, 2, 0, 3, 0, 2])
    assert (use["undefined"], use["rejected"]) == ({"colour": 6}, {"invalid_param": 2})
    assert use["invalid"] == {"price": 1, "sku": 1}
    assert (use["read"], found["draft"]) == (2, None)
    assert [(each["value"], each["count"]) for each in use["values"]["sku"]] == [
        ("ink", 1),
        ("pen", 1),
    ]
    assert "colour" not in use["values"]
    page = look(host, "/catalogue/cart.put?period=7d")
    assert "the server, and the browser or app of any visitor" in page
    assert "the article&#39;s number." in page
    assert "The latest event" in page
    assert "<td>text</td><td>yes</td>" in page
    assert find_links(page, "All values of this period") == [
        "/_et/parameters?period=7d&event=cart.put"
    ]


def test_an_undefined_event_gets_a_definition_to_start_from(
    make: MakeHost, clock: FakeClock
) -> None:
    """The draft has the parameters of the stored events, line by line."""
    host = open_shop(make, clock)
    fill(host)
    source = read_json(host, "catalogue/cart.putt.json?period=7d")["draft"]
    assert '@events.define("cart.putt"' in source
    assert "    sku: str\n" in source
    page = look(host, "/catalogue/cart.putt?period=7d")
    assert "\nclass CartPutt:\n    sku: str\n</pre>" in page
    assert "This event has no definition." in page


def test_an_event_that_no_one_knows_has_no_page(make: MakeHost, clock: FakeClock) -> None:
    """Neither as a page nor as JSON."""
    host = open_shop(make, clock)
    for path in ("cart.nothing", "cart.nothing.json", "x"):
        assert host.client().get(f"/_et/catalogue/{path}").status_code == 404


def test_the_catalogue_as_json_stays_what_it_was(make: MakeHost, clock: FakeClock) -> None:
    """``catalogue.json`` are the definitions alone."""
    found = read_json(open_shop(make, clock), "catalogue.json")
    assert found["cart.put"]["owner"] == "Team Shop"
    assert "events" not in found["cart.put"]


@pytest.mark.parametrize(("permit", "query"), [({"blog.test"}, ""), ("manage", "&site=blog.test")])
def test_a_single_site_gets_no_counters_of_all(
    make: MakeHost, clock: FakeClock, permit: object, query: str
) -> None:
    """Refused events have no site, so they are not shown, and the page says so."""
    host = open_shop(make, clock, permit=permit)
    fill(host)
    found = read_json(host, WEEK + query)
    row = row_of(found["defined"], "cart.put")
    assert (row["events"], row["undefined"], row["refused"]) == (1, None, None)
    assert (found["not_defined"], found["unnamed"]) == ([], None)
    use = read_json(host, f"catalogue/cart.put.json?period=7d{query}")["use"]
    assert (use["undefined"], use["rejected"], use["invalid"]) == (None, None, None)
    assert [each["value"] for each in use["values"]["sku"]] == ["ink"]
    for path in ("catalogue", "catalogue/cart.put"):
        page = look(host, f"/{path}?period=7d{query}")
        assert "They are not shown for single sites." in page
        assert "invalid_param" not in page


def test_who_sees_numbers_alone_sees_no_one(make: MakeHost, clock: FakeClock) -> None:
    """Neither the latest event, nor the values of parameters that name a customer."""
    host = open_shop(make, clock, permit="numbers")
    fill(host)
    page = look(host, "/catalogue/cart.put?period=7d")
    assert "The latest event" not in page
    assert "ink" in page
    assert ">42<" not in page
    assert "customer_id" not in read_json(host, "catalogue/cart.put.json")["use"]["values"]


def test_a_filter_of_another_page_changes_nothing(make: MakeHost, clock: FakeClock) -> None:
    """The catalogue has no filters, so it does not keep one in its links either."""
    host = open_shop(make, clock)
    fill(host)
    page = look(host, "/catalogue?period=7d&f=is:country:DE&measure=sessions")
    assert find_links(page, "cart.put") == ["/_et/catalogue/cart.put?period=7d"]
    assert "+ Filter" not in page


def test_nothing_of_hostile_names_runs(make: MakeHost, clock: FakeClock) -> None:
    """Actions, parameters, reasons and values are shown as text."""
    host = open_shop(make, clock)
    add_hostile(host)
    check(look(host, "/catalogue?period=7d"))
    for text in HOSTILE:
        name = urllib.parse.quote(text[:32], safe="")
        answer = host.client().get(f"/_et/catalogue/{name}?period=7d")
        assert answer.status_code == (404 if {"/", "\0"} & set(text) else 200)
        if answer.status_code == 200:
            check(answer.text)
    for text in HOSTILE:
        do(host, "cart.put", sku=text, **{f"a{len(text)}": text})
    do(host, "cart.put", sku="{{7*7}}")
    page = look(host, "/catalogue/cart.put?period=7d")
    check(page)
    assert "<bdi>{{7*7}}</bdi> <small>\u00d72</small>" in page


def add_hostile(host: Host) -> None:
    tables, hour = host.state.pipeline.database.tables, dt.timedelta(hours=1)
    rows: list[JSON] = []
    for text in HOSTILE:
        row: dict[str, t.Any] = {"hour": host.clock.moment - hour, "action": text[:32], "count": 3}
        rows += [
            row | {"outcome": outcome, "reason": text[:64]}
            for outcome in ("rejected", "invalid", "undefined")
        ]
    with host.state.pipeline.database.begin() as connection:
        connection.execute(sa.insert(tables.quality), rows)
