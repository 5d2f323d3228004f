"""People and a person: what their pages show, to whom."""

from __future__ import annotations

import json
import re

import pytest

from flask_eventtrack.dashboard.host_feed import eventtrack_feed
from flask_eventtrack.records import Identified

from ..hosts import Host
from ..store.people import ADA, ADA_UUID, BOB, BOB_UUID, NOBODY
from ..store.records import a_page, an_event, at, session_of, write_records
from .staff import ADA_PAGE, PAGES, PHONE, counted, look, text_of


def names(page: str) -> list[str]:
    """Return the people of a list, in its order."""
    return re.findall(r'<tr><td><a href="[^"]+"><bdi>([^<]+)', page)


def test_newest_customers_come_first(shop: Host) -> None:
    """By when they were first identified."""
    page = text_of(look(shop, f"{PAGES}/people"))
    assert names(page) == [f"Customer {BOB}", f"Customer {ADA}"]


def test_newest_customers_go_on_page_by_page(shop: Host) -> None:
    """Also where many were identified in one moment."""
    uuids = [session_of(NOBODY, number).id for number in range(60)]
    write_records(
        shop, *(Identified(uuid=each, customer_id=str(each), time=at(20)) for each in uuids)
    )
    first = text_of(look(shop, f"{PAGES}/people"))
    [link] = re.findall(r'href="(/_et/people\?before=[^"]+)">Earlier', first)
    second = text_of(look(shop, link.replace("&amp;", "&")))
    assert len(names(first)) == 50
    assert len({*names(first), *names(second)}) == 62
    assert "Earlier" not in second


def test_most_active_people(shop: Host) -> None:
    """Ada's session counts for her, though she began it as a stranger."""
    page = text_of(look(shop, f"{PAGES}/people?order=active"))
    assert names(page) == [f"Customer {ADA}"]


@pytest.mark.parametrize(
    ("sought", "by"),
    [
        (ADA, "customer id: customer-4711"),
        (str(ADA_UUID), f"uuid: {ADA_UUID}"),
        (str(PHONE), f"uuid: {PHONE}"),
        ("A-2207", "order: A-2207"),
        ("ada@example.COM", "email: ada@example.com"),
        ("ada love", "name: ada lovelace"),
        (" PRO ", "plan: pro"),
    ],
)
def test_a_search_finds_a_customer(shop: Host, sought: str, by: str) -> None:
    """By any id, the order's number, or a trait or its beginning, whatever the case."""
    response = look(shop, f"{PAGES}/people", query_string={"q": sought})
    page = text_of(response)
    assert names(page) == [f"Customer {ADA}"]
    assert f"<bdi>{by}</bdi>" in page


@pytest.mark.parametrize(
    "sought", ["nobody", "ad%", "ada_love", str(NOBODY), "A-2208", "\0", "%", "\ud7ff"]
)
def test_a_search_finds_nobody(shop: Host, sought: str) -> None:
    """Signs of patterns are none."""
    page = text_of(look(shop, f"{PAGES}/people", query_string={"q": sought}))
    assert names(page) == []
    assert "Nobody has this" in page


def test_who_may_only_view_finds_whole_addresses_only(shop: Host) -> None:
    """Otherwise an address could be found out letter by letter."""
    for sought, found in (("ada@", 0), ("ada@example.com", 1), ("ada l", 1)):
        page = text_of(look(shop, f"{PAGES}/people", "view", query_string={"q": sought}))
        assert len(names(page)) == found, sought


def test_who_did_an_event(shop: Host) -> None:
    """Each person once, with how often."""
    write_records(shop, an_event("order.ship", 8, uuid=BOB_UUID, session=None))
    write_records(shop, an_event("order.ship", 8.5, uuid=PHONE, session=None))
    page = text_of(look(shop, f"{PAGES}/people?event=order.ship"))
    assert names(page) == [f"Customer {ADA}", f"Customer {BOB}"]
    assert re.findall(r'<td class="n">(\d+)</td><td class="n">', page) == ["2", "1"]
    file = text_of(look(shop, f"{PAGES}/people.csv?event=order.ship"))
    assert [line.split(",")[1] for line in file.splitlines()] == [
        '"customer_id"',
        f'"{ADA}"',
        f'"{BOB}"',
    ]


def test_a_person_is_known_by_all_their_profiles(shop: Host) -> None:
    """What they did as a stranger, what it showed, and what they paid."""
    page = text_of(look(shop, ADA_PAGE))
    facts = dict(re.findall(r'<dt><bdi>([^<]+)</bdi></dt><dd dir="auto">([^<]*)', page))
    assert facts["email"] == "Ada@Example.com"
    assert facts["Orders"] == "1 · EUR 64.00"
    assert facts["Sessions"] == "1"
    assert facts["First seen"] == facts["Last seen"] == "21 Nov 2026, 12:00"
    assert re.findall(r'<b dir="auto">([^<]+)', page)[-3:] == [
        "Order: ship",
        "Visited page /",
        "Started session",
    ]
    assert "18 s visible, 92 % read" in page
    assert "Session of " in page


def test_an_alias_leads_to_its_person(shop: Host) -> None:
    """With the query of the link."""
    response = look(shop, f"{PAGES}/people/{PHONE}?action=order.ship")
    assert (response.status_code, response.location) == (302, f"{ADA_PAGE}?action=order.ship")
    assert response.headers["Cache-Control"] == "no-store"
    assert look(shop, f"{PAGES}/people/{PHONE}/erase").location == f"{ADA_PAGE}/erase"


@pytest.mark.parametrize("unknown", [str(NOBODY), "nonsense", "%F0%9F%98%80"])
def test_an_unknown_person_is_said_inside_the_frame(shop: Host, unknown: str) -> None:
    """Whether it looks like a uuid or not."""
    response = look(shop, f"{PAGES}/people/{unknown}")
    assert response.status_code == 404
    assert "<nav" in response.text
    assert "No such person" in response.text


def test_a_feed_goes_on_page_by_page(shop: Host) -> None:
    """No event is on two pages or on none, though many happened in one moment."""
    write_records(
        shop,
        *(
            an_event("order.ship", 30, uuid=ADA_UUID, session=None, id=session_of(PHONE, n).id)
            for n in range(120)
        ),
    )
    seen: list[str] = []
    path = f"{ADA_PAGE}.json"
    while path:
        answer = look(shop, path).json
        assert answer is not None
        seen += [event["id"] for event in answer["events"]]
        further = answer["further"]
        path = f"{ADA_PAGE}.json?before={further.replace('+', '%2B')}" if further else ""
    assert len(seen) == len(set(seen)) == 126


def test_a_feed_of_one_action_says_where_it_goes_on(
    shop: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It looks at so many events at a time, whether it finds some or not."""
    monkeypatch.setattr("flask_eventtrack.reports.person.DEPTH", 2)
    found, path, pages = [], f"{ADA_PAGE}.json?action=page.visit", 0
    while path:
        answer = look(shop, path).json
        assert answer is not None
        found += [event["action"] for event in answer["events"]]
        further, pages = answer["further"], pages + 1
        query = f"action=page.visit&before={further}".replace("+", "%2B") if further else ""
        path = f"{ADA_PAGE}.json?{query}" if further else ""
    assert (found, pages) == (["page.visit"], 3)


def test_a_person_of_many_sessions(shop: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where only the latest sessions are read, the first one and their number are read apart."""
    few = look(shop, f"{ADA_PAGE}.json").json
    monkeypatch.setattr("flask_eventtrack.reports.person.DEVICE_SESSIONS", 1)
    with counted(shop) as statements:
        assert look(shop, f"{ADA_PAGE}.json").json == few
    assert any("count(*) AS count_1 \nFROM eventtrack_session" in each for each in statements)


def test_who_may_only_view_sees_no_address_in_full(shop: Host) -> None:
    """Neither in traits nor in parameters, labels, lists, JSON and CSV."""
    mail, session = "bob@x.example", session_of(NOBODY, 2, 12)
    write_records(
        shop,
        Identified(uuid=BOB_UUID, customer_id=BOB, time=at(10), traits={"name": mail, mail: 1}),
        an_event("order.ship", 11, uuid=BOB_UUID, session=None, label=f"Sent to {mail}"),
        Identified(uuid=NOBODY, customer_id=mail, time=at(12), traits={}),
        a_page(f"/?utm_source={mail}", 12, uuid=NOBODY, session=session),
        an_event("order.ship", 13, uuid=NOBODY, session=session, params={mail: [mail]}),
    )
    shop.clock.advance(seconds=20)
    paths = [ADA_PAGE, f"{ADA_PAGE}.json", f"{PAGES}/people/{BOB_UUID}", f"{PAGES}/people"]
    paths += [f"{PAGES}/people.json", f"{PAGES}/people.csv?event=order.ship", f"{PAGES}/live"]
    paths += [f"{PAGES}/live.json", f"{PAGES}/people/{NOBODY}", f"{PAGES}/people/{NOBODY}.json"]
    paths += [f"{PAGES}/people/{NOBODY}/feed"]

    @shop.app.get(paths[-1])
    def feed() -> str:
        return eventtrack_feed(NOBODY)

    for path in paths:
        text = text_of(look(shop, path, "view"))
        assert not re.search("(?i)ada@|bob@", text), path
        assert re.search("(?i)(a|b)…@", text), path
    assert "A…@Example.com" in text_of(look(shop, ADA_PAGE, "view"))
    assert "bob@x.example" in text_of(look(shop, f"{PAGES}/people/{BOB_UUID}"))


def test_statements_of_each_page(shop: Host) -> None:
    """One more is a decision."""
    expected = {
        f"{PAGES}/live": 6,
        f"{PAGES}/live.json": 5,
        f"{PAGES}/people": 5,
        f"{PAGES}/people?order=active": 5,
        f"{PAGES}/people?q=ada": 9,
        f"{PAGES}/people?event=order.ship": 6,
        f"{PAGES}/audit": 3,
    }
    look(shop, ADA_PAGE)
    found = {}
    for path in (*expected, ADA_PAGE):
        with counted(shop) as statements:
            look(shop, path)
        found[path] = len(statements)
    assert found == {**expected, ADA_PAGE: 12}


def test_reports_as_json(shop: Host) -> None:
    """The same as the page."""
    answer = json.loads(text_of(look(shop, f"{PAGES}/people.json?q=A-2207")))
    [row] = answer["people"]
    assert (row["person"], row["customer_id"], row["found_by"]) == (
        str(ADA_UUID),
        ADA,
        ["order", "A-2207"],
    )
