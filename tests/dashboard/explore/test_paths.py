"""The page of paths: columns that open further, with exact numbers."""

from __future__ import annotations

import csv
import html
import io
import re

import pytest
from flask import request

from ...conftest import MakeHost
from ...hosts import FakeClock, Host
from ...reports.explore.stories import Told, open_shop, tell
from ..pages import find_links, look, read_headline
from ..test_hostile import HOSTILE, check


def walk(who: int, *places: str) -> list[Told]:
    return [Told(minute, who, who % 2, place) for minute, place in enumerate(places)]


STORY = [
    *walk(0, "/", "/a", "/b", "/c"),
    *walk(1, "/", "/a", "/b"),
    *walk(2, "/", "/a"),
    *walk(3, "/", "/b", "it.buy", "/a"),
    *walk(4, "/"),
]


@pytest.fixture
def shop(make: MakeHost, clock: FakeClock) -> Host:
    host = open_shop(make, clock)
    tell(host, STORY)
    return host


def read_columns(page: str) -> dict[str, list[tuple[str, ...]]]:
    """Return the rows of each column by its title."""
    columns = {}
    for part in re.findall(r'<h2 id="step-.*?</table>', page, re.DOTALL):
        title = _strip(part.partition("</h2>")[0])
        rows = re.findall(r"<tr>(.*?)</tr>", part.partition("<tbody>")[2], re.DOTALL)
        columns[title] = [
            tuple(map(_strip, re.findall(r"<td[^>]*>(.*?)</td>", row, re.DOTALL))) for row in rows
        ]
    return columns


def _strip(text: str) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]+>", "", text)).split())


def test_columns_say_what_came_next(shop: Host) -> None:
    """The most frequent page is open in each; "left" is a place."""
    page = look(shop, "/paths?period=7d")
    assert read_headline(page) == "After /"
    assert "5 sessions had this start. Most often, the next page was /a (60.0%)." in page
    assert read_columns(page) == {
        "1. After /": [
            ("/a \u2192", "3", "60.0%"),
            ("Left", "1", "20.0%"),
            ("/b", "1", "20.0%"),
        ],
        "2. After /a": [("/b \u2192", "2", "66.7%"), ("Left", "1", "33.3%")],
        "3. After /b": [("Left", "1", "50.0%"), ("/c", "1", "50.0%")],
    }
    assert re.findall(r'<rect width="([\d.]+)%"', page)[:3] == ["60.0", "20.0", "20.0"]


def test_each_place_opens_further(shop: Host) -> None:
    """In the next column; from the last one on, paths start there."""
    page = look(shop, "/paths?period=7d&f=is:source:direct")
    (href,) = find_links(page, "/b")
    assert href == "/_et/paths?period=7d&f=is:source:direct&start=page:/&via=/b"
    page = look(shop, href.removeprefix("/_et"))
    assert list(read_columns(page)) == ["1. After /", "2. After /b", "3. After /a"]
    page = look(shop, "/paths?period=7d")
    (href,) = find_links(page, "/c")
    assert href == "/_et/paths?period=7d&start=page:/c"
    page = look(shop, href.removeprefix("/_et"))
    assert "1 session had this start. Most often, it was the end of the session (100%)." in page
    assert list(read_columns(page)) == ["1. After /c"]


def test_what_came_before_is_asked_by_a_link(shop: Host) -> None:
    """Of an event, too."""
    page = look(shop, "/paths?period=7d&start=it.buy")
    (href,) = find_links(page, "What came before")
    page = look(shop, href.removeprefix("/_et"))
    assert read_headline(page) == "Before it.buy"
    assert read_columns(page) == {
        "1. Before it.buy": [("/b \u2192", "1", "100%")],
        "2. Before /b": [("/ \u2192", "1", "100%")],
        "3. Before /": [("Came in", "1", "100%")],
    }
    (back,) = find_links(page, "What came next")
    assert back == "/_et/paths?period=7d&start=it.buy"


def test_other_pages_are_together(shop: Host) -> None:
    """A row without a link says how many they are."""
    tell(shop, [told for who in range(24) for told in walk(who, "/", f"/{who % 12:02}")])
    page = look(shop, "/paths?period=7d")
    assert read_columns(page)["1. After /"][-1] == ("2 other pages", "4", "16.7%")


def test_an_empty_page_says_what_will_appear(shop: Host) -> None:
    """In a sentence."""
    page = look(shop, "/paths?start=/nowhere")
    assert "No session has this start in this period." in page
    assert "What people see after this start will appear here once a session has it." in page
    assert 'value="page:/nowhere"' in page


def test_a_mistake_is_said_beside_the_form(shop: Host) -> None:
    """What was typed stays. A program gets a problem document."""
    answer = shop.client().get("/_et/paths?start=it.lose")
    assert answer.status_code == 400
    assert "The event &#39;it.lose&#39; is not defined." in answer.text
    assert 'value="it.lose"' in answer.text
    assert shop.client().get("/_et/paths.json?start=it.lose").get_json()["code"] == "invalid_report"
    assert shop.client().get("/_et/paths?direction=up").status_code == 400


def test_programs_read_the_tree(shop: Host) -> None:
    """As JSON, and as a file with a line for each path."""
    found = shop.client().get("/_et/paths.json?period=7d").get_json()
    assert (found["sessions"], found["direction"], found["start"]) == (5, "next", "page:/")
    node = found["nodes"][0]
    assert (node["page"], node["sessions"], node["share"]) == ("/a", 3, 0.6)
    assert [each["page"] for each in node["nodes"]] == ["/b", None]
    data = shop.client().get("/_et/paths.csv?period=7d").data.decode("utf-8-sig")
    assert list(csv.reader(io.StringIO(data))) == [
        ["page_1", "page_2", "page_3", "sessions"],
        ["/a", "/b", "(left)", "1"],
        ["/a", "/b", "/c", "1"],
        ["/a", "(left)", "", "1"],
        ["(left)", "", "", "1"],
        ["/b", "/a", "(left)", "1"],
    ]


@pytest.mark.parametrize(("staff", "status"), [("", 404), ("numbers", 200), ("view", 200)])
def test_it_is_for_those_who_may_see_numbers(
    make: MakeHost, clock: FakeClock, staff: str, status: int
) -> None:
    """For everyone else, there is no such page."""
    permission = {"EVENTTRACK_DASHBOARD_PERMISSION": lambda: request.headers.get("X-Staff")}
    client = open_shop(make, clock, config=permission).client()
    for page in ("paths", "paths.json", "paths.csv"):
        assert client.get(f"/_et/{page}", headers={"X-Staff": staff}).status_code == status


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_runs_in_a_path(shop: Host, text: str) -> None:
    """Starts, places and routes."""
    answer = shop.client().get("/_et/paths", query_string=[("start", text), ("via", text)])
    assert answer.status_code in {200, 400}
    check(answer.text)
    if "\0" not in text:
        tell(shop, walk(0, "/", f"/{text}"[:255], "/b"))
        page = look(shop, "/paths?period=7d")
        check(page)
        assert len(read_columns(page)) == 3
