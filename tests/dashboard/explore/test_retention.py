"""The page of who came back: exact numbers, as a table, a chart, JSON and a file."""

from __future__ import annotations

import csv
import datetime as dt
import io
import re

import pytest
from flask import request

from ...conftest import MakeHost
from ...hosts import FakeClock, Host
from ...reports.explore.stories import Told, open_shop, tell
from ..pages import find_links, look, read_headline, read_table
from ..test_hostile import HOSTILE, check

#: Four people come in the week of the 3rd of November; two of them a week later, one two weeks
#: later. Another one comes first in the second week, and again in the running one.
STORY = [
    *(Told(60, who, who % 2, "it.view") for who in range(4)),
    *(Told(60 + 7 * 1440, who, 2, "/") for who in range(2)),
    Told(60 + 14 * 1440, 3, 3, "it.buy"),
    Told(60 + 8 * 1440, 4, 0, "/"),
    Told(60 + 21 * 1440, 4, 3, "/"),
]
NOW = dt.datetime(2026, 11, 25, 12, tzinfo=dt.UTC)
WEEKS = "period=custom&from=2026-11-02&to=2026-11-29&by=week"


@pytest.fixture
def shop(make: MakeHost, clock: FakeClock) -> Host:
    return open_told(make, clock)


def open_told(make: MakeHost, clock: FakeClock, **config: object) -> Host:
    host = open_shop(make, clock, config=config)
    clock.now = int(NOW.timestamp()) * 1_000_000_000
    tell(host, STORY)
    return host


def text_of(page: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", page).split())


def read_cells(page: str) -> list[list[str]]:
    start = page.index('<table class="full cohorts">')
    return read_table(page[start:].replace("full cohorts", "full", 1))


def test_the_table_says_who_came_back(shop: Host) -> None:
    """With the mean first, and the running week marked."""
    page = look(shop, f"/retention?{WEEKS}")
    assert read_headline(page) == "Retention"
    assert (
        "5 people first came in this period. 40.0% of them came back after 1 week, and 25.0% "
        "after 2 weeks." in text_of(page)
    )
    assert read_cells(page) == [
        ["Week from", "People", "Week 1", "Week 2", "Week 3"],
        ["Mean", "5", "40.0%2", "25.0%1", ""],
        ["2 Nov 2026", "4", "50.0%2", "25.0%1", "0%* so far0"],
        ["9 Nov 2026", "1", "0%0", "100%* so far1", ""],
        ["16 Nov 2026", "0", "", "", ""],
        ["23 Nov 2026", "0", "", "", ""],
    ]
    assert "This week is still running, so it is not in the mean." in page
    assert re.findall(r'<td class="(s\d[^"]*)">', page) == [
        *("s3", "s2", "s3", "s2", "s0 runs", "s0", "s6 runs")
    ]


def test_the_chart_is_the_mean(shop: Host) -> None:
    """A point for each week that is over, as in the table."""
    page = look(shop, f"/retention?{WEEKS}")
    (wide, _) = re.findall(r'data-places="([^"]+)"', page)
    assert len(wide.split(" ")) == 2
    assert "Share of all people who came back, by weeks after their first" in page


def test_rows_of_a_dimension_lead_to_it_alone(shop: Host) -> None:
    """The largest first."""
    page = look(shop, f"/retention?{WEEKS}&dimension=source")
    assert [row[:3] for row in read_cells(page)[1:]] == [
        ["Mean", "5", "40.0%2"],
        ["google", "3", "33.3%1"],
        ["Direct", "2", "50.0%1"],
    ]
    (href,) = find_links(page, "google")
    page = look(shop, href.removeprefix("/_et"))
    assert "3 people first came in this period." in text_of(page)


def test_steps_are_asked_for_by_a_form(shop: Host) -> None:
    """A path is taken for a page. What is typed stays, and links keep it."""
    page = look(shop, f"/retention?{WEEKS}&first=it.view&returning=/&dimension=")
    assert "4 people first came in this period. 50.0% of them came back after 1 week" in text_of(
        page
    )
    assert 'name="returning" list="steps" value="page:/"' in page
    (days,) = find_links(page, "Day")
    assert days.endswith("first=it.view&returning=page:/&by=day")


def test_the_page_opens_on_weeks(shop: Host) -> None:
    """Of three months; of a few days by days, of a year by months."""
    tell(shop, [Told(20 * 1440, 0, 0, "/")])
    for query, column in (("", "Week from"), ("?period=7d", "Day"), ("?period=12m", "Month")):
        assert f'class="name">{column}</th>' in look(shop, f"/retention{query}")
    page = look(shop, "/retention?period=12m")
    assert not find_links(page, "Day")
    assert find_links(page, "Week")


def test_an_empty_page_says_what_will_appear(shop: Host) -> None:
    """In a sentence; and where it is too early."""
    tell(shop, [])
    page = look(shop, "/retention")
    assert "Nobody came for the first time in this period." in page
    assert "How many people come back in later weeks will appear here." in page
    tell(shop, [Told(21 * 1440, 0, 0, "/")])
    page = look(shop, "/retention")
    assert "1 person first came in this period. It is too early to say who came back." in page
    assert "<figure" not in page


@pytest.mark.parametrize(
    ("query", "mistake"),
    [
        ("first=it.lose", "The event &#39;it.lose&#39; is not defined."),
        ("returning=page:", "is no step. Give an event such as"),
        ("dimension=hour", "There are no rows by &#39;hour&#39;"),
        ("period=12m&by=day", "The period has 360 days"),
    ],
)
def test_a_mistake_is_said_beside_the_form(shop: Host, query: str, mistake: str) -> None:
    """A program gets a problem document."""
    answer = shop.client().get(f"/_et/retention?{query}")
    assert (answer.status_code, mistake in answer.text) == (400, True)
    assert shop.client().get(f"/_et/retention.json?{query}").get_json()["code"] == "invalid_report"


def test_programs_read_the_same(shop: Host) -> None:
    """JSON with all numbers, and a file of cohorts or of values."""
    client = shop.client()
    found = client.get(f"/_et/retention.json?{WEEKS}").get_json()
    assert (found["by"], found["people"], found["rows"][0]["first"]) == ("week", 5, "2026-11-02")
    assert found["rows"][1]["cells"][1] == {
        "count": 1,
        "people": 1,
        "share": 1.0,
        "is_running": True,
    }
    assert read_file(shop, WEEKS)[:3] == [
        ["first_day", "last_day", "people", "week_1", "week_2", "week_3"],
        ["2026-11-02", "2026-11-08", "4", "2", "1", "0"],
        ["2026-11-09", "2026-11-15", "1", "0", "1", ""],
    ]
    assert read_file(shop, f"{WEEKS}&dimension=source")[:2] == [
        ["source", "people", "week_1", "week_1_of", "week_2", "week_2_of"],
        ["google", "3", "1", "3", "0", "2"],
    ]


def read_file(host: Host, query: str) -> list[list[str]]:
    data = host.client().get(f"/_et/retention.csv?{query}").data.decode("utf-8-sig")
    return list(csv.reader(io.StringIO(data)))


@pytest.mark.parametrize(("staff", "status"), [("", 404), ("numbers", 200), ("view", 200)])
def test_it_is_for_those_who_may_see_numbers(
    make: MakeHost, clock: FakeClock, staff: str, status: int
) -> None:
    """For everyone else, there is no such page."""
    permission = {"EVENTTRACK_DASHBOARD_PERMISSION": lambda: request.headers.get("X-Staff")}
    client = open_told(make, clock, **permission).client()
    for page in ("retention", "retention.json", "retention.csv"):
        answer = client.get(f"/_et/{page}", headers={"X-Staff": staff})
        assert answer.status_code == status


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_runs_in_it(shop: Host, text: str) -> None:
    """Steps, and what is typed into the form."""
    typed = [("first", text), ("returning", text), ("dimension", text)]
    answer = shop.client().get("/_et/retention", query_string=typed)
    assert answer.status_code == 400
    check(answer.text)
    answer = shop.client().get("/_et/retention", query_string=[("first", f"page:/{text}")])
    assert answer.status_code == (400 if "\0" in text else 200)
    check(answer.text)
