"""The overview: its sentence, its numbers, the chart, the panels, and the links between them."""

from __future__ import annotations

import datetime as dt
import html
import uuid as uuidlib

import pytest

from ..conftest import MakeHost
from ..hosts import FakeClock, Host
from .pages import (
    DAY,
    NOON,
    add_hours,
    add_sessions,
    find_links,
    look,
    open_dashboard,
    read_headline,
    read_numbers,
    read_rows,
    read_table,
)


def open_busy(make: MakeHost, clock: FakeClock) -> Host:
    """Return a host with sessions on three days: today, five days ago, and 40 days ago."""
    host = open_dashboard(make, clock)
    again = uuidlib.uuid4()
    add_sessions(
        host,
        {"source": "newsletter", "country": "DE", "person": again},
        {"source": "newsletter", "country": "DE", "pages": 5, "visible_ms": 60_000},
        {"source": "newsletter", "country": "PL", "browser": "Firefo"},
        {"source": "google", "country": "DE", "events": 3},
        at=NOON - dt.timedelta(hours=2),
    )
    add_sessions(
        host, {"source": "google", "person": again}, {"source": "direct"}, at=NOON - 5 * DAY
    )
    add_sessions(host, *({"source": "direct"} for _ in range(4)), at=NOON - 40 * DAY)
    add_hours(host, ("page.visit", "/products/<slug>", 12), ("cart.put", "", 3), at=NOON - DAY)
    return host


def test_the_headline_says_what_happened(make: MakeHost, clock: FakeClock) -> None:
    """A customer of two days is one person; the sentence has the change and the main source."""
    page = look(open_busy(make, clock), "/?period=30d")
    assert read_headline(page) == (
        "5 people visited, 25% more than in the 30 days before; "
        "50% of the sessions came from newsletter, more than from anywhere else."
    )


def test_the_numbers_have_their_changes(make: MakeHost, clock: FakeClock) -> None:
    """Each number is there with its change; orders are not, as there are none."""
    page = look(open_busy(make, clock), "/?period=30d")
    assert read_numbers(page) == {
        "Visitors": ("5", "+25%"),
        "New visitors": ("5", "+25%"),
        "Sessions": ("6", "+50%"),
        "Page visits": ("12", "0 before"),
        "Pages a session": ("1.67", "+67%"),
        "Bounce rate": ("66.7%", "\u221233.3 pts"),
        "Visible time": ("10s", "0s before"),
        "Duration": ("0s", "\u00b10%"),
    }


def test_without_a_comparison_there_are_no_changes(make: MakeHost, clock: FakeClock) -> None:
    """The sentence ends with the people, and the chart has one line."""
    page = look(open_busy(make, clock), "/?period=30d&compare=none")
    assert read_headline(page).startswith("5 people visited; ")
    assert {change for _, change in read_numbers(page).values()} == {""}
    assert 'class="before"' not in page


def test_a_number_switches_the_chart(make: MakeHost, clock: FakeClock) -> None:
    """The link of a number keeps the period, and draws the number day by day."""
    host = open_busy(make, clock)
    page = look(host, "/?period=7d&compare=none")
    (href,) = (h for h in find_links(page, "Sessions 6") if "measure" in h)
    assert href == "/_et/?period=7d&compare=none&measure=sessions"
    table = read_table(look(host, href.removeprefix("/_et")), "data")
    assert table[0] == ["Time", "Sessions"]
    assert [row[1] for row in table[1:]] == [
        *("0 sessions", "2 sessions", "0 sessions", "0 sessions", "0 sessions", "0 sessions"),
        "4 sessions",
    ]
    assert table[1][0] == "Sun 15 November 2026"
    assert table[-1][0] == "Sat 21 November 2026 (still running)"


def test_panels_have_their_rows(make: MakeHost, clock: FakeClock) -> None:
    """Rows say what they count, and are named as people say it."""
    page = look(open_busy(make, clock), "/?period=30d")
    assert read_rows(page, "sources") == [
        ("newsletter", "3", "50.0%"),
        ("google", "2", "33.3%"),
        ("Direct", "1", "16.7%"),
    ]
    assert read_rows(page, "locations") == [
        ("Germany", "3", "50.0%"),
        ("Not known", "2", "33.3%"),
        ("Poland", "1", "16.7%"),
    ]
    assert read_rows(page, "pages") == [("/products/<slug>", "12", "100%")]
    assert ("cart.put", "3", "20.0%") in read_rows(page, "events")


def test_a_tab_opens_another_dimension(make: MakeHost, clock: FakeClock) -> None:
    """The tab's link keeps what else the URL says, and leads back to its panel."""
    host = open_busy(make, clock)
    (href,) = find_links(look(host, "/?period=30d&devices=os"), "Channels")
    assert href == "/_et/?period=30d&devices=os&sources=channel#sources"
    page = look(host, href.removeprefix("/_et").partition("#")[0])
    assert read_rows(page, "sources") == [("None", "6", "100%")]
    assert 'aria-current="true">Channels</a>' in page


def test_a_row_is_a_filter(make: MakeHost, clock: FakeClock) -> None:
    """A row's link limits every number, shows a chip, and the chip's link takes it away."""
    host = open_busy(make, clock)
    (href,) = find_links(look(host, "/?period=30d"), "Germany")
    assert href == "/_et/?period=30d&f=is:country:DE"
    page = look(host, href.removeprefix("/_et"))
    assert read_numbers(page)["Visitors"] == ("3", "0 before")
    assert "Country is <b><bdi>Germany</bdi></b>" in page
    assert read_rows(page, "sources") == [("newsletter", "2", "66.7%"), ("google", "1", "33.3%")]
    assert find_links(page, "\u00d7") == ["/_et/?period=30d"]
    (more,) = find_links(page, "newsletter")
    assert more == "/_et/?period=30d&f=is:country:DE&f=is:source:newsletter"
    both = look(host, more.removeprefix("/_et"))
    assert read_headline(both) == "2 people visited, and nobody did in the 30 days before."
    assert find_links(both, "Clear") == ["/_et/?period=30d"]


def test_the_form_adds_a_filter(make: MakeHost, clock: FakeClock) -> None:
    """Without a script, the form leads to the URL that says the condition."""
    host = open_busy(make, clock)
    answer = host.client().get(
        "/_et/?period=7d&f=is:country:DE&field=source&operator=contains&value=news%26letter"
    )
    assert answer.status_code == 303
    assert answer.headers["Location"] == (
        "/_et/?period=7d&f=is:country:DE&f=contains:source:news%26letter"
    )


@pytest.mark.parametrize("page", ["details/source", "revenue", "details/%0d%0aX-Y%3A%20z"])
def test_the_form_stays_on_its_page(make: MakeHost, clock: FakeClock, page: str) -> None:
    host = open_busy(make, clock)
    answer = host.client().get(f"/_et/{page}?by=channel&field=country&operator=is&value=DE")
    assert answer.headers["Location"].lower() == f"/_et/{page}?by=channel&f=is:country:de".lower()
    assert "X-Y" not in answer.headers
    assert answer.headers["Cache-Control"] == "no-store"


def test_periods_can_be_turned(make: MakeHost, clock: FakeClock) -> None:
    """The menu offers each period, the arrows the days before and after."""
    host = open_busy(make, clock)
    page = look(host, "/?period=7d")
    before = html.unescape(page.partition('data-key="ArrowLeft"')[0].rpartition('href="')[2])[:-2]
    assert before == "/_et/?period=custom&from=2026-11-08&to=2026-11-14"
    assert "ArrowRight" not in page
    earlier = look(host, before.removeprefix("/_et"))
    assert "8 \u2013 14 November 2026" in earlier
    assert "ArrowRight" in earlier
    assert read_headline(earlier) == "Nobody visited."


def test_today_is_drawn_by_hours(make: MakeHost, clock: FakeClock) -> None:
    """The running hour is dashed, and those to come are not drawn."""
    page = look(open_busy(make, clock), "/?period=today")
    table = read_table(page, "data")
    assert [row[1] for row in table[1:]] == ["0 visitors"] * 10 + ["4 visitors"] + [
        "0 visitors"
    ] * 2
    assert table[-1][0] == "Sat 21 November 2026, 12:00 (still running)"
    assert page.count('class="line running"') == 2
    assert read_headline(page) == (
        "4 people visited, and nobody did by the same time yesterday; "
        "most sessions came from newsletter."
    )


def test_the_zone_is_shown(make: MakeHost, clock: FakeClock) -> None:
    """Hours are those of the site's zone: 10:00 in UTC is 19:00 in Tokyo."""
    host = open_dashboard(make, clock, EVENTTRACK_TIMEZONE="Asia/Tokyo")
    add_sessions(host, {}, at=NOON - dt.timedelta(hours=2))
    page = look(host, "/?period=today")
    assert "Days and hours in Asia/Tokyo." in page
    assert "Most began on Saturdays from 19:00 to 20:00: 1 session." in page
    assert 'title="Sat 19:00 \u00b7 1"' in page


def test_sites_can_be_chosen(make: MakeHost, clock: FakeClock) -> None:
    """There is a menu where there are several sites."""
    host = open_dashboard(make, clock)
    add_sessions(host, {"site": "a.test"}, {"site": "a.test"}, {"site": "b.test"})
    page = look(host, "/?period=7d")
    assert "All sites" in page
    (href,) = find_links(page, "a.test")
    assert read_numbers(look(host, href.removeprefix("/_et")))["Visitors"][0] == "2"


def test_one_site_needs_no_menu(make: MakeHost, clock: FakeClock) -> None:
    """With a single site there is nothing to choose."""
    host = open_dashboard(make, clock)
    add_sessions(host, {})
    assert "All sites" not in look(host, "/?period=7d")


def test_orders_have_their_revenue(make: MakeHost, clock: FakeClock) -> None:
    """Orders appear once there is one, with the amounts of each currency."""
    host = open_dashboard(make, clock)
    client = host.client()
    client.get("/?utm_source=newsletter")
    client.post("/order/1/12.50")
    client.post("/order/2/7.00?currency=USD")
    page = look(host, "/?period=7d")
    assert read_numbers(page)["Orders"] == ("2", "0 before")
    assert "EUR 12.50 + 1 more" in page
    assert read_rows(page, "revenue") == [("newsletter", "2", "EUR 12.50, USD 7.00")]


def test_every_empty_panel_says_what_will_appear(make: MakeHost, clock: FakeClock) -> None:
    """Where nothing was counted, a sentence stands in for the rows."""
    host = open_dashboard(make, clock)
    add_sessions(host, {}, at=NOON - 20 * DAY)
    page = look(host, "/?period=yesterday")
    assert read_headline(page) == "Nobody visited."
    assert page.count("will appear here") == 6
    assert page.count('class="rows"') == 0


def test_the_json_has_the_same_numbers(make: MakeHost, clock: FakeClock) -> None:
    """Programs read the page's numbers by the same URL."""
    host = open_busy(make, clock)
    answer = host.client().get("/_et/overview.json?period=30d&f=is:country:DE")
    assert answer.mimetype == "application/json"
    found = answer.get_json()
    assert found["numbers"]["visitors"] == 3
    assert found["period"]["zone"] == "UTC"
    assert [row["value"] for row in found["breakdowns"]["source"]["rows"]] == [
        "newsletter",
        "google",
    ]
