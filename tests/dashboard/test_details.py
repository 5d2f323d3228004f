"""Details: all rows and columns, to search, sort and turn over, and as files."""

from __future__ import annotations

import csv
import dataclasses
import datetime as dt
import io
import re
import uuid as uuidlib

import pytest

from flask_eventtrack import Money, track

from ..conftest import MakeHost
from ..hosts import FakeClock, Host
from .pages import (
    NOON,
    add_sessions,
    find_links,
    look,
    open_dashboard,
    read_headline,
    read_table,
)


def open_sources(make: MakeHost, clock: FakeClock) -> Host:
    host = open_dashboard(make, clock)
    again = uuidlib.uuid4()
    minute = dt.timedelta(minutes=1)
    add_sessions(
        host,
        {"source": "google", "person": again, "pages": 3, "events": 3, "visible_ms": 30_000},
        {"source": "google", "person": again, "last_seen_at": NOON + minute},
        {"source": "google.de"},
        {"source": "bing"},
    )
    return host


def test_every_number_has_its_column(make: MakeHost, clock: FakeClock) -> None:
    """Sessions, share, people, pages, bounces and times of each source."""
    page = look(open_sources(make, clock), "/details/source?period=7d&compare=none")
    assert read_table(page)[:2] == [
        [
            *("Source", "Sessions \u2193", "Share", "People", "Pages a session", "Bounce rate"),
            *("Visible time", "Duration"),
        ],
        ["google", "2", "50.0%", "1", "2.00", "50.0%", "15s", "30s"],
    ]


def test_rows_are_compared(make: MakeHost, clock: FakeClock) -> None:
    """With a comparison, each row has its change."""
    host = open_sources(make, clock)
    add_sessions(host, {"source": "google"}, at=NOON - dt.timedelta(8))
    table = read_table(look(host, "/details/source?period=7d"))
    assert [row[:4] for row in table[:3]] == [
        ["Source", "Sessions \u2193", "Share", "Before"],
        ["google", "2 +100%", "50.0%", "1"],
        ["bing", "1 new", "25.0%", "0"],
    ]


def test_rows_are_searched(make: MakeHost, clock: FakeClock) -> None:
    """A search keeps the rows that contain the text, and says so if none does."""
    host = open_sources(make, clock)
    page = look(host, "/details/source?period=7d&q=GOOGLE")
    assert [row[0] for row in read_table(page)[1:]] == ["google", "google.de"]
    assert "Nothing matches \u201cyahoo\u201d." in look(host, "/details/source?period=7d&q=yahoo")


def test_rows_are_sorted_by_any_column(make: MakeHost, clock: FakeClock) -> None:
    """A head's link sorts by it, and once more the other way round."""
    host = open_sources(make, clock)
    (by_name,) = find_links(look(host, "/details/source?period=7d"), "Source")
    assert by_name == "/_et/details/source?period=7d&sort=value"
    page = look(host, by_name.removeprefix("/_et"))
    assert [row[0] for row in read_table(page)[1:]] == ["bing", "google", "google.de"]
    assert 'aria-sort="ascending"' in page
    (back,) = find_links(page, "Source \u2191")
    assert back == "/_et/details/source?period=7d&sort=value&order=desc"
    page = look(host, "/details/source?period=7d&sort=visible_time")
    assert read_table(page)[1][0] == "google"


def test_many_rows_have_pages(make: MakeHost, clock: FakeClock) -> None:
    """A hundred rows a page; the links keep the search."""
    host = open_dashboard(make, clock)
    add_sessions(host, *({"source": f"s{number:03}.test"} for number in range(205)))
    page = look(host, "/details/source?period=7d&q=s&sort=value")
    assert "1 \u2013 100 of 205" in page
    (href,) = find_links(page, "Next")
    assert href == "/_et/details/source?period=7d&q=s&sort=value&offset=100"
    last = look(host, "/details/source?period=7d&q=s&sort=value&offset=200")
    assert [row[0] for row in read_table(last)[1:]] == [f"s{n}.test" for n in range(200, 205)]
    assert find_links(last, "Next") == []
    (back,) = find_links(last, "Previous")
    assert back.endswith("&offset=100")


def test_a_row_leads_back_as_a_filter(make: MakeHost, clock: FakeClock) -> None:
    """The value's link opens the overview of it."""
    page = look(open_sources(make, clock), "/details/source?period=7d")
    assert find_links(page, "bing") == ["/_et/?period=7d&f=is:source:bing"]


def test_the_file_has_all_rows_and_raw_numbers(make: MakeHost, clock: FakeClock) -> None:
    """A spreadsheet gets numbers without units, under a name that says the days."""
    answer = (
        open_sources(make, clock)
        .client()
        .get("/_et/details/source.csv?period=7d&compare=none&q=google")
    )
    assert answer.headers["Content-Disposition"] == (
        'attachment; filename="source-2026-11-15-2026-11-21.csv"'
    )
    assert answer.mimetype == "text/csv"
    rows = list(csv.reader(io.StringIO(answer.data.decode("utf-8-sig"))))
    assert rows[1] == ["google", "2", "0.5", "1", "2.0", "0.5", "15.0", "30.0"]
    assert [row[0] for row in rows] == ["Source", "google", "google.de"]


def test_the_json_has_the_same_rows(make: MakeHost, clock: FakeClock) -> None:
    """Programs choose how many rows they want."""
    host = open_sources(make, clock)
    found = host.client().get("/_et/details/source.json?period=7d&limit=1").get_json()
    assert (found["rows_in_all"], [row["value"] for row in found["rows"]]) == (3, ["google"])


def test_a_route_opens_its_paths(make: MakeHost, clock: FakeClock) -> None:
    """Pages are by route; each leads to its paths, and every link there keeps the route."""
    host = open_dashboard(make, clock)
    client = host.client()
    for path in ("/products/lamp", "/products/lamp", "/products/mug", "/"):
        client.get(path)
    page = look(host, "/details/page?period=today")
    assert [row[:2] for row in read_table(page)[1:]] == [
        ["/products/<slug> Paths", "3 new"],
        ["/ Paths", "1 new"],
    ]
    href = find_links(page, "Paths")[1]  # behind that of the navigation
    assert href == "/_et/details/path?period=today&route=/products/%3Cslug%3E"
    page = look(host, href.removeprefix("/_et"))
    assert read_headline(page) == "Paths of /products/<slug>"
    assert [row[:2] for row in read_table(page)[1:]] == [
        ["/products/lamp", "2 new"],
        ["/products/mug", "1 new"],
    ]
    assert all("route=" in link for link in find_links(page, "Last 7 days W"))


def test_an_event_opens_its_parameters(make: MakeHost, clock: FakeClock) -> None:
    """Defined parameters have their most frequent values, and numbers their sums."""
    host = open_dashboard(make, clock)
    client = host.client()
    client.get("/")
    for sku, price in (("lamp", 39.5), ("lamp", 39.5), ("mug", 8.0)):
        client.post(f"/cart/{sku}/{price}")
    page = look(host, "/details/action?period=today")
    href = next(link for link in find_links(page, "Parameters") if "cart.put" in link)
    page = look(host, href.removeprefix("/_et"))
    assert read_headline(page) == "Parameters of cart.put: 3 events of 1 person"
    assert "<dt>Sum</dt><dd>87</dd>" in page
    assert "<dt>Median</dt><dd>39.50</dd>" in page
    assert "No values in this period" not in page
    (lamp,) = find_links(page, "lamp")
    assert lamp == "/_et/?period=today&f=is:cart.put.sku:lamp"
    found = host.client().get(href.replace("parameters?", "parameters.json?")).get_json()
    assert (found["events"], found["people"]) == (3, 1)


@dataclasses.dataclass
class Offer:
    price: Money


def test_money_has_its_numbers_by_currency(make: MakeHost, clock: FakeClock) -> None:
    """Amounts of two currencies are never added up."""
    host = open_dashboard(make, clock)
    host.events.define("offer.view")(Offer)

    @host.app.post("/offer/<amount>/<currency>")
    def offer(amount: str, currency: str) -> str:
        track("offer.view", {"price": Money(amount, currency)})
        return ""

    client = host.client()
    client.get("/")
    for offered in ("1250/EUR", "7.50/EUR", "700/JPY"):
        client.post(f"/offer/{offered}")
    page = look(host, "/parameters?event=offer.view&period=today")
    facts = re.findall(r"<dt>([^<]*)</dt><dd>([^<]*)</dd>", page)
    assert ("Sum", "EUR 1,257.50") in facts
    assert ("Mean", "EUR 628.75") in facts
    assert ("Sum", "JPY 700") in facts
    (yen,) = find_links(page, "JPY 700")
    assert "1 visitor" in re.sub(r"<[^>]+>", "", look(host, yen.removeprefix("/_et")))


def test_parameters_without_values_are_only_named(make: MakeHost, clock: FakeClock) -> None:
    """They take no room of their own."""
    host = open_dashboard(make, clock)
    page = look(host, "/parameters?event=cart.put&period=today")
    words = re.sub(r"<[^>]+>", "", page)
    assert "No values in this period: sku, price." in words
    assert "<h2" not in page


def test_an_event_without_parameters_says_so(make: MakeHost, clock: FakeClock) -> None:
    """Undefined parameters are not reported."""
    host = open_dashboard(make, clock)
    host.client().get("/")
    page = look(host, "/parameters?event=session.end&period=today")
    assert read_headline(page).startswith("Parameters of session.end: 0 events of 0 people")


def test_revenue_is_by_touch(make: MakeHost, clock: FakeClock) -> None:
    """Orders by the last touch, by another dimension, by the first touch, and as a file."""
    host = open_dashboard(make, clock)
    client = host.client()
    client.get("/?utm_source=newsletter&utm_campaign=spring")
    client.post("/order/1/1250.00")
    client.post("/order/2/7.00?currency=USD")
    page = look(host, "/revenue?period=today")
    assert read_table(page) == [
        ["Source", "Orders", "Revenue"],
        ["newsletter", "2", "EUR 1,250.00USD 7.00"],
    ]
    (href,) = find_links(page, "Campaigns")
    page = look(host, href.removeprefix("/_et"))
    assert read_table(page)[1][0] == "spring"
    (first,) = find_links(page, "First touch")
    assert first == "/_et/revenue?period=today&by=utm_campaign&attribution=first"
    look(host, first.removeprefix("/_et"))
    rows = host.client().get("/_et/revenue.csv?period=today").data.decode("utf-8-sig").split()
    assert rows == [
        '"Source","Orders","Currency","Revenue"',
        '"newsletter","2","EUR","1250.00"',
        '"newsletter","2","USD","7.00"',
    ]
    found = host.client().get("/_et/revenue.json?period=today").get_json()
    assert found[0]["revenue"][0] == {"currency": "EUR", "amount": "1250.00"}


@pytest.mark.parametrize(
    "path", ["/details/colour", "/details/colour.json", "/details/colour.csv", "/details/hour"]
)
def test_other_dimensions_have_no_page(make: MakeHost, clock: FakeClock, path: str) -> None:
    """A dimension that does not exist is not found."""
    host = open_dashboard(make, clock)
    assert host.client().get(f"/_et{path}").status_code == 404
