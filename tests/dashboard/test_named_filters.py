"""Filters that managers save under a name: saved, chosen, shown and removed."""

from __future__ import annotations

import html
import re
import typing as t
import urllib.parse

import pytest
from werkzeug.test import TestResponse

from flask_eventtrack.reports.filters import Filter
from flask_eventtrack.store.saved import MOST

from ..commands import run
from ..conftest import MakeHost
from ..hosts import SAME_ORIGIN, FakeClock, Host
from ..test_security import HOSTILE as TEXTS
from .pages import add_sessions, find_links, read_headline
from .staff import CONFIG, counted, look, text_of, token_of
from .test_hostile import HOSTILE, check
from .test_links import share

FILTERS = "/_et/filters"
PHONES = "f=is:country:DE&f=is:device_type:mobile"
TOKEN = "n" * 40


@pytest.fixture
def shop(make: MakeHost, clock: FakeClock) -> Host:
    """A host with sessions of two countries, on two sites."""
    host = make({**CONFIG, "EVENTTRACK_REPORT_TOKENS": TOKEN})
    add_sessions(
        host,
        {"country": "DE", "device_type": "mobile"},
        {"country": "DE", "device_type": "desktop"},
        {"country": "FR", "device_type": "mobile", "site": "b.test"},
    )
    return host


def post(host: Host, query: str = "", staff: str = "manage", **fields: str) -> TestResponse:
    """Open the page of the saved filters and send a form of it."""
    data = {"token": token_of(look(host, f"{FILTERS}?f=is:country:DE").text), **fields}
    path = f"{FILTERS}?{query}"
    return look(host, path, staff, method="POST", data=data, headers=SAME_ORIGIN)


def read_menu(page: str) -> tuple[str, list[str]]:
    """Return what the menu of saved filters is called, and its entries; the current one marked."""
    part = page.partition('<details class="menu left"')[2].partition("</details>")[0]
    summary = re.sub("<[^>]+>", "", part.partition("<summary")[2].partition("</summary>")[0])
    links = re.findall(r"<a\b([^>]*)>(.*?)</a>", part)
    names = [
        ("* " if "aria-current" in attributes else "") + html.unescape(re.sub("<[^>]+>", "", text))
        for attributes, text in links
    ]
    return html.unescape(summary.partition(">")[2]), names


def test_a_filter_is_saved_chosen_and_removed(
    make: MakeHost, database_url: str, clock: FakeClock
) -> None:
    """From the bar of the overview, on each kind of database; the audit says who did what."""
    host = make(CONFIG, url=database_url)
    host.events.dashboard_user(lambda: "Ada")
    add_sessions(host, {"country": "DE", "device_type": "mobile"}, {"country": "FR"})
    page = look(host, f"/_et/?period=7d&{PHONES}").text
    assert read_menu(page) == ("Saved filters", ["Save this filter"])
    (href,) = find_links(page, "Save this filter")
    assert href == f"{FILTERS}?period=7d&{PHONES}"
    answer = post(host, href.partition("?")[2], name=" Phones in Germany ")
    assert (answer.status_code, answer.location) == (303, f"/_et/?period=7d&{PHONES}")
    host.clock.advance(seconds=1)
    page = look(host, "/_et/?period=7d", "numbers").text
    assert read_menu(page) == ("Saved filters", ["Phones in Germany"])
    (href,) = find_links(page, "Phones in Germany")
    assert href == f"/_et/?period=7d&{PHONES}"
    page = look(host, href, "numbers").text
    assert read_headline(page).startswith("1 person visited")
    assert read_menu(page) == ("Saved filter: Phones in Germany", ["* Phones in Germany"])
    with host.app.app_context():
        [found] = host.events.reports.list_filters()
    assert (found.name, found.made_by) == ("Phones in Germany", "Ada")
    assert found.filter == Filter.parse(["is:country:DE", "is:device_type:mobile"])
    assert post(host, remove="Phones in\0Germany").status_code == 303
    assert len(host.rows("saved")) == 1
    assert post(host, remove="Phones in Germany").status_code == 303
    assert host.rows("saved") == []
    audit = [(each["actor"], each["action"], each["subject"]) for each in host.rows("audit", "at")]
    subject = "filter Phones in Germany"
    assert audit == [("Ada", "save", subject), ("Ada", "remove", subject)]


def test_every_page_with_filters_has_the_menu(shop: Host) -> None:
    """Its links keep the page and what else its URL says."""
    post(shop, PHONES, name="Phones")
    shop.events.goal("order", "transaction.charge")
    for path in (
        *("details/source?q=a", "revenue?attribution=first", "goals?period=7d", "goals/order"),
        *("funnels?step=page.visit&step=transaction.charge", "retention?by=week", "paths"),
        *("parameters?event=page.visit", "?measure=sessions&site=b.test"),
        "funnels/lost?step=page.visit&step=transaction.charge&after=1",
    ):
        page = look(shop, f"/_et/{path}").text
        [href] = find_links(page, "Phones")
        asked = urllib.parse.parse_qsl(path.partition("?")[2])
        kept = urllib.parse.parse_qsl(href.partition("?")[2])
        assert href.startswith(f"/_et/{path.partition('?')[0]}?")
        assert set(kept) >= {
            *(pair for pair in asked if pair != ("q", "a")),
            *urllib.parse.parse_qsl(PHONES),
        }
        assert look(shop, href).status_code == 200
    for path in ("agents", "catalogue", "quality", "routes"):
        assert "Phones" not in look(shop, f"/_et/{path}").text


@pytest.mark.parametrize(
    ("query", "is_current"),
    [
        ("f=is:device_type:mobile&f=is:country:FR&f=is:country:DE", True),
        ("f=is:country:DE&f=is:country:FR", False),
        ("f=is:country:DE&f=is:device_type:mobile&f=is:country:FR&f=is:os:x", False),
        ("f=is_not:country:DE&f=is:device_type:mobile&f=is_not:country:FR", False),
        ("", False),
    ],
)
def test_a_filter_is_known_by_its_conditions(shop: Host, query: str, is_current: bool) -> None:
    """In whatever order they are; one more or one less is another filter."""
    post(shop, "f=is:country:DE&f=is:country:FR&f=is:device_type:mobile", name="Phones")
    name, entries = read_menu(look(shop, f"/_et/?{query}").text)
    assert name == ("Saved filter: Phones" if is_current else "Saved filters")
    assert entries[0] == ("* Phones" if is_current else "Phones")
    more = "Save this filter" if query and not is_current else "Remove saved filters"
    assert entries[1:] == [more]


@pytest.mark.parametrize(
    ("query", "fields", "mistake"),
    [
        (PHONES, {"name": " "}, "Enter a name of 1 to 64 characters."),
        (PHONES, {"name": "x" * 65}, "Enter a name of 1 to 64 characters."),
        (PHONES, {"name": "a", "token": "x"}, "The form was too old"),
        (PHONES, {"name": "known"}, "The filter &#39;known&#39; exists already"),
        ("", {"name": "a"}, "There is no filter to save: choose one first."),
        (
            "f=is:transaction.charge.order_id:7",
            {"name": "a"},
            "it has no condition on order_id.",
        ),
        ("f=is:goal:none", {"name": "a"}, "There is no goal &#39;none&#39;"),
        ("f=is:no.event.size:7", {"name": "a"}, "no.event"),
        (f"f=is:source:{'x' * 999}&f=is:source:{'y' * 999}", {"name": "a"}, "2,000 characters"),
        ("f=is:source:a%00", {"name": "a"}, "An argument has a NUL character."),
        ("f=is:planet:earth", {"name": "a"}, "There is no filter by"),
    ],
)
def test_what_cannot_be_saved_is_said(
    shop: Host, query: str, fields: dict[str, str], mistake: str
) -> None:
    """With the status 400, and nothing is stored."""
    post(shop, "f=is:country:FR", name="known")
    answer = post(shop, query, **fields)
    assert (answer.status_code, mistake in answer.text) == (400, True), answer.text
    assert [row["name"] for row in shop.rows("saved")] == ["known"]


def test_there_are_a_hundred_filters(shop: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next one is refused with a sentence."""
    assert MOST["filter"] == 100
    monkeypatch.setitem(t.cast("dict[str, int]", MOST), "filter", 2)
    answers = [post(shop, PHONES, name=name) for name in "abc"]
    assert [answer.status_code for answer in answers] == [303, 303, 400]
    assert "or there are 2, the most." in answers[2].text


@pytest.mark.parametrize("staff", ["", "numbers", "view", "sites"])
def test_only_managers_save(shop: Host, staff: str) -> None:
    """For others there is no such page, and the bar has no link to it."""
    post(shop, PHONES, name="Phones")
    answer = post(shop, "f=is:country:FR", staff, name="a")
    assert (answer.status_code, look(shop, FILTERS, staff).status_code) == (404, 404)
    assert '/_et/filters"' not in look(shop, f"/_et/?{PHONES}", staff).text
    assert "Save this filter" not in look(shop, "/_et/?f=is:country:FR", staff).text
    assert len(shop.rows("saved")) == 1


def test_who_chooses_from_them(shop: Host) -> None:
    """All who see numbers, but for filters by site; a shared link has none and asks for none."""
    post(shop, PHONES, name="Phones")
    post(shop, "f=is:site:b.test", name="Site B")
    known = {staff: read_menu(look(shop, "/_et/", staff).text)[1] for staff in ("numbers", "sites")}
    assert known == {"numbers": ["Phones", "Site B"], "sites": ["Phones"]}
    path = share(shop)
    with counted(shop) as statements:
        page = text_of(shop.client().get(f"{path}?{PHONES}"))
    assert "Saved filter" not in page
    assert "Phones" not in page
    assert [each for each in statements if "eventtrack_saved" in each] == []
    bearer = {"Authorization": f"Bearer {TOKEN}"}
    rows = shop.client().get("/_et/filters.json", headers=bearer).get_json()
    assert rows[0] == {
        "name": "Phones",
        "filter": {
            "conditions": [
                {"field": "country", "operator": "is", "values": ["DE"]},
                {"field": "device_type", "operator": "is", "values": ["mobile"]},
            ]
        },
        "made_by": "unknown",
        "made_at": "2026-11-21T12:00:00Z",
    }
    assert [row["name"] for row in rows] == ["Phones", "Site B"]
    assert [row["name"] for row in look(shop, "/_et/filters.json", "sites").get_json()] == [
        "Phones"
    ]
    assert look(shop, "/_et/filters.json", "").status_code == 404


@pytest.mark.parametrize("text", [*HOSTILE, *TEXTS.values()])
def test_nothing_runs_in_a_saved_filter(shop: Host, text: str) -> None:
    """Neither in its name nor in its values."""
    value = urllib.parse.quote(text[:255])
    answer = post(shop, f"f=is:source:{value}", name=text[:64])
    check(answer.text or "<script></script>")
    for path in ("/_et/", f"/_et/?f=is:source:{value}", FILTERS, "/_et/goals", "/_et/audit"):
        answer = look(shop, path)
        assert answer.status_code in {200, 400}
        check(answer.text)


def test_a_filter_of_another_release_is_left_out(shop: Host) -> None:
    """It stays on the page on which it can be removed."""
    post(shop, PHONES, name="Phones")
    table = shop.state.pipeline.database.tables.saved
    with shop.state.pipeline.database.begin() as connection:
        connection.execute(table.update().values(definition={"f": ["is:planet:earth"]}))
    assert read_menu(look(shop, "/_et/").text) == ("", [])
    assert "not understood by this release" in look(shop, FILTERS).text
    assert post(shop, remove="Phones").status_code == 303
    assert shop.rows("saved") == []


def test_commands_take_a_saved_filter(shop: Host) -> None:
    """By its name, beside other conditions."""
    post(shop, "f=is:country:DE", name="From Germany")

    def count(*filters: str) -> str:
        options = [part for each in filters for part in ("--filter", each)]
        return run(shop, "stats", "--period", "7d", "--format", "csv", *options).output

    assert '"sessions","2"' in count("saved:From Germany")
    assert '"sessions","1"' in count("saved:From Germany", "is:device_type:mobile")
    assert "There is no saved filter 'none'." in count("saved:none")
