"""Events that a browser kept, and those that it had no room for."""

from __future__ import annotations

import typing as t
import uuid as uuidlib

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from flask_eventtrack import identify
from flask_eventtrack.ids import uuid7

from ..hosts import NAVIGATION, SAME_ORIGIN, Host
from .posts import CLICK, post, quality, set_cookies, statuses

# Events that were kept, for somebody who may not be here any more


def tag_of(response: TestResponse) -> str:
    """Return the signed visit in a page's tag."""
    return response.text.partition('data-visit="')[2].partition('"')[0]


def open_page(client: FlaskClient, host: Host) -> dict[str, str]:
    """Open the home page and send its half of the visit; return what its events carry."""
    visit = tag_of(client.get("/", headers=NAVIGATION))
    page = str(uuid7(host.clock()))
    half = {"action": "page.visit", "event_id": page, "params": {"url": "http://localhost/"}}
    place = {"page": page, "visit": visit}
    assert statuses(post(client, {**half, **place})) == ["accepted"]
    host.clock.advance(seconds=10)
    return place


def post_kept(client: FlaskClient, *events: t.Any, **body: t.Any) -> TestResponse:
    """Post as the script does what another profile's page has kept: without credentials."""
    without = client.application.test_client(use_cookies=False)
    without.environ_base.update(client.environ_base)
    cookie = client.get_cookie("eventtrack_csrf")
    body = {"csrf_token": cookie.value if cookie else "", "by_visit": True} | body
    return post(without, *events, **body)


def owners_of(host: Host, action: str) -> list[tuple[uuidlib.UUID, uuidlib.UUID]]:
    return [(row["uuid"], row["session_id"]) for row in host.events_of(action)]


@pytest.mark.parametrize("path", ["/login", "/logout"])
def test_kept_events_are_whose_the_visit_was(shop: Host, path: str) -> None:
    """Somebody logs in or out between an event and its post: its owner stays the same."""
    client = shop.client()
    if path == "/logout":
        client.get("/login", headers=NAVIGATION)
        shop.clock.advance(seconds=10)
    place = open_page(client, shop)
    [*_, before] = owners_of(shop, "page.visit")
    client.get(path, headers=NAVIGATION)
    [*_, after] = owners_of(shop, "page.visit")
    assert after[0] != before[0]
    response = post_kept(client, {**CLICK, **place}, {**CLICK, **place})
    assert statuses(response) == ["accepted"] * 2
    assert owners_of(shop, "button.click") == [before] * 2


def test_kept_events_go_to_who_the_stranger_became(shop: Host) -> None:
    """And to none of the customers before and after."""
    shop.app.get("/login/8", endpoint="other")(lambda: f"{identify('8')}")
    client = shop.client()
    for path in ("/login", "/logout"):
        client.get(path, headers=NAVIGATION)
    place = open_page(client, shop)
    client.get("/login/8", headers=NAVIGATION)
    client.get("/logout", headers=NAVIGATION)
    client.get("/login", headers=NAVIGATION)
    post_kept(client, {**CLICK, **place})
    with shop.app.app_context():
        shop.flush()
        feeds = {who: [event.action for event in shop.events.feed(who)] for who in ("42", "8")}
    assert ["button.click" in feeds[who] for who in ("42", "8")] == [False, True]
    [visit] = [row for row in shop.events_of("page.visit") if row["params"]["path"] == "/"]
    assert owners_of(shop, "button.click") == [(visit["uuid"], visit["session_id"])]


def test_kept_visit_joins_its_servers_half(host: Host) -> None:
    """A page that was offline from the start: one visit, in the session that opened it."""
    client = host.client()
    visit, page = tag_of(client.get("/", headers=NAVIGATION)), str(uuid7(host.clock()))
    half = {"action": "page.visit", "event_id": page, "params": {"url": "http://localhost/"}}
    place = {"page": page, "visit": visit}
    assert statuses(post_kept(client, {**CLICK, **place}, {**half, **place})) == ["accepted"] * 2
    assert owners_of(host, "button.click") == owners_of(host, "page.visit")
    [session] = host.rows("session")
    assert (session["pages"], session["events"]) == (1, 2)


def test_kept_events_of_two_visitors_in_one_post_stay_apart(host: Host) -> None:
    """Each goes by its own visit; one without a visit goes to neither."""
    first, second = host.client(), host.client()
    places = [open_page(client, host) for client in (first, second)]
    lost = {"page": str(uuid7(host.clock()))}
    events = [{**CLICK, **place} for place in (places[0], lost, places[1], places[0])]
    response = post_kept(first, *events)
    assert statuses(response) == ["accepted"] * 4
    by_page = {row["params"]["visit"]: row["uuid"] for row in host.events_of("button.click")}
    owners = {str(row["claimed_by"]): row["uuid"] for row in host.events_of("page.visit")}
    assert {page: by_page[page] for page in owners} == owners
    assert by_page[lost["page"]] not in owners.values()
    ids = [result["event_id"] for result in response.get_json()["results"]]
    assert len(set(ids)) == 4


@pytest.mark.parametrize("headers", [SAME_ORIGIN, {"Origin": "http://localhost"}])
def test_kept_events_neither_read_nor_set_cookies(shop: Host, headers: dict[str, str]) -> None:
    """Not even those that come along, nor the customer's log-in; an old browser needs no token."""
    client = shop.client()
    place = open_page(client, shop)
    [before] = owners_of(shop, "page.visit")
    client.get("/login", headers=NAVIGATION)
    shop.clock.advance(minutes=5)
    body = {"events": [{**CLICK, **place}], "by_visit": True}
    response = client.post("/_et/in", json=body, headers=headers)
    assert statuses(response) == ["accepted"]
    assert set_cookies(response) == []
    assert owners_of(shop, "button.click") == [before]


def test_kept_events_need_somebody_who_is_vouched_for_as_all_do(shop: Host) -> None:
    """A page's tag does not vouch for a customer."""
    client = shop.client()
    client.get("/login", headers=NAVIGATION)
    place = open_page(client, shop)
    [result] = post_kept(client, {"action": "account.open", **place}).get_json()["results"]
    assert result["error"]["code"] == "customer_required"


@pytest.mark.parametrize("value", [False, None, 1, "true", [], {}])
def test_only_true_makes_events_kept_ones(host: Host, value: object) -> None:
    """With any other value, the events belong to the present visitor."""
    client = host.client()
    open_page(client, host)
    assert statuses(post(client, CLICK, by_visit=value)) == ["accepted"]
    assert owners_of(host, "button.click") == owners_of(host, "page.visit")


# What a browser had no room for


@pytest.mark.parametrize(
    ("count", "counted"), [(1, 1), (17, 17), (1000, 1000), (1001, 1000), (100_000, 1000)]
)
def test_events_without_room_in_the_browser_are_counted(
    host: Host, count: int, counted: int
) -> None:
    """The next post says how many there were, up to what a browser keeps."""
    assert statuses(post(host.client(), CLICK, dropped=count)) == ["accepted"]
    assert quality(host)["dropped", "", "browser"] == counted


@pytest.mark.parametrize("count", [0, -1, 100_001, 1e3, 2**70, True, "5", None, [], {}])
def test_count_that_cannot_be_is_ignored(host: Host, count: object) -> None:
    """The events of the post are taken all the same."""
    assert statuses(post(host.client(), CLICK, dropped=count)) == ["accepted"]
    assert ("dropped", "", "browser") not in quality(host)
