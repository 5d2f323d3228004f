"""For how long a token vouches."""

from __future__ import annotations

import json
import uuid as uuidlib

import pytest

from flask_eventtrack import identify, signals

from ..collector.senders import OLD_BROWSER, problem_of, set_cookies
from ..conftest import MakeHost
from ..hosts import Host
from .customers import (
    CLICK,
    KEY,
    OPEN,
    bearer,
    load_user,
    may_open,
    profile_of,
    send,
    token_of,
    visit,
)


def test_token_vouches_until_it_expires(shop: Host) -> None:
    """With a minute's leeway; then the cookies attribute, and vouch no more."""
    client = shop.client()
    visit(client)
    assert not may_open(client)
    assert send(client, "identify", token=token_of(shop, "7", 600)).status_code == 204
    shop.clock.advance(minutes=10, seconds=59)
    assert may_open(client)
    assert visit(client, "/me").get_json()["customer"] == "7"
    shop.clock.advance(seconds=1)
    assert not may_open(client)
    me = visit(client, "/me").get_json()
    assert me == {"customer": None, "uuid": str(profile_of("7"))}
    assert send(client, **CLICK).status_code == 202
    assert shop.events_of("button.click")[0]["uuid"] == profile_of("7")
    assert len(shop.rows("session")) == 1


def test_token_vouches_no_longer_than_the_session(shop: Host) -> None:
    """A browser that comes back a day later shows it again."""
    client = shop.client()
    send(client, "identify", token=token_of(shop, "7", 7 * 86_400))
    shop.clock.advance(minutes=31)
    assert not may_open(client)
    assert visit(client, "/me").get_json()["customer"] is None


@pytest.mark.parametrize("path", ["in", "identify"])
def test_fresh_token_vouches_on(shop: Host, path: str) -> None:
    """Before the old one expires or after: the customer has not logged in anew."""
    client, heard = shop.client(), []

    def hear(sender: object, customer_id: str, uuid: uuidlib.UUID) -> None:
        heard.append((customer_id, uuid))

    with signals.customer_identified.connected_to(hear, shop.app):
        for minutes in (0, 2, 20):
            shop.clock.advance(minutes=minutes)
            token = token_of(shop, "7", 600)
            response = send(client, path, token=token, **(CLICK if path == "in" else {}))
            assert response.status_code < 300
            shop.clock.advance(minutes=8)
            assert may_open(client)
    assert shop.actions()["customer.login"] == 1
    assert heard == [("7", profile_of("7"))] * 2  # again after the earlier token had expired
    assert len(shop.rows("session")) == 1


def test_shorter_word_takes_nothing_from_a_longer_one(shop: Host) -> None:
    """Neither an old token from a fresh one, nor any token from a log-in."""
    first, second = shop.client(), shop.client()
    send(first, "identify", token=token_of(shop, "7", 1200))
    visit(second, "/login/7")
    for client in (first, second):
        send(client, **CLICK, token=token_of(shop, "7", 60))
    shop.clock.advance(minutes=15)
    assert [may_open(client) for client in (first, second)] == [True, True]
    shop.clock.advance(minutes=15)
    assert [may_open(client) for client in (first, second)] == [False, True]


def test_identify_in_a_view_vouches_longer_than_the_token_before(shop: Host) -> None:
    """Until the session ends, with no second log-in."""
    client = shop.client()
    send(client, "identify", token=token_of(shop, "7", 60))
    visit(client, "/login/7")
    shop.clock.advance(minutes=15)
    assert may_open(client)
    assert shop.actions()["customer.login"] == 1


def test_log_in_by_token_is_an_event(shop: Host) -> None:
    """With the customer's id, in the session that goes on, and the history before it is theirs."""
    client = shop.client()
    visit(client)
    shop.clock.advance(seconds=1)
    send(client, "identify", token=token_of(shop, "7"))
    [login], [page] = shop.events_of("customer.login"), shop.events_of("page.visit")
    assert (login["params"], login["label"]) == ({"customer_id": "7"}, "Logged in")
    assert (login["uuid"], login["session_id"]) == (profile_of("7"), page["session_id"])
    [alias] = shop.rows("alias")
    assert (alias["anonymous_uuid"], alias["customer_uuid"]) == (page["uuid"], profile_of("7"))
    assert [row["customer_id"] for row in shop.rows("profile")] == ["7"]


def test_token_wins_over_whom_the_host_identifies(shop: Host) -> None:
    """DESIGN §5: a valid token comes first."""

    @shop.app.before_request
    def know() -> None:
        identify("8")

    client = shop.client()
    assert send(client, **OPEN, token=token_of(shop, "7")).status_code == 202
    assert shop.events_of("account.open")[0]["uuid"] == profile_of("7")


def test_token_wins_over_the_user_of_flask_login(shop: Host) -> None:
    """Also where a hook has loaded it, and in the host's views."""
    load_user(shop.app, "8")
    client = shop.client()
    assert send(client, **OPEN, token=token_of(shop, "7")).status_code == 202
    assert shop.events_of("account.open")[0]["uuid"] == profile_of("7")
    headers = bearer(token_of(shop, "7"))
    assert client.get("/me", headers=headers).get_json()["customer"] == "7"
    assert client.get("/me").get_json()["customer"] == "8"


def test_kept_events_are_not_the_tokens(shop: Host) -> None:
    """Their visit alone decides on the owner; a bad token is refused all the same."""
    client = shop.client()
    response = send(client, events=[OPEN, CLICK], by_visit=True, token=token_of(shop, "7"))
    assert [result["status"] for result in response.get_json()["results"]] == [
        "rejected",
        "accepted",
    ]
    assert shop.rows("profile") == []
    assert send(client, events=[CLICK], by_visit=True, token="x").status_code == 401


def test_old_browser_shows_its_csrf_token_to_log_in_and_out(shop: Host) -> None:
    """The script's posts: JSON as text, with the token of the readable cookie."""
    client = shop.client()
    visit(client)
    for path, token in (("identify", {"token": token_of(shop, "7")}), ("logout", {})):
        cookie = client.get_cookie("eventtrack_csrf")
        assert cookie is not None
        body = json.dumps({**token, "csrf_token": cookie.value})
        for content, status in (("{}", 403), (body, 204)):
            response = client.post(
                f"/_et/{path}", data=content, content_type="text/plain", headers=OLD_BROWSER
            )
            assert response.status_code == status
    assert shop.actions()["customer.logout"] == 1


def test_no_room_for_a_log_in_is_503(make: MakeHost) -> None:
    """The log-in is recorded, or the client is told to post again."""
    settings = {"EVENTTRACK_DURABILITY": "memory", "EVENTTRACK_BUFFER_SIZE": 1}
    host = make({**settings, "EVENTTRACK_JWT_KEYS": KEY}, create=False)
    client = host.client()
    send(client, **CLICK)
    for path in ("identify", "in"):
        response = send(client, path, token=token_of(host, "7"), **CLICK)
        assert problem_of(response) == (503, "no_room")
        assert set_cookies(response) == {}
