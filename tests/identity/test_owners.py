"""Who owns the events of browsers and apps."""

from __future__ import annotations

import typing as t
import uuid as uuidlib

import pytest

from ..hosts import CHROME, SAME_ORIGIN, Host
from .customers import APP, CLICK, OPEN, bearer, identity_of, profile_of, send, token_of

# Whose events they are

Step = tuple[str, str, str]
#: Who does what: a browser's name, what it does, and as whom; then the profile of each click, and
#: in whose feed it is. "a", "b": browsers; a1: the profile that a has at first.
JOURNEYS: dict[str, tuple[list[Step], list[str], dict[str, list[int]], int]] = {
    "two devices of one customer": (
        [
            ("a", "click", ""),
            ("a", "identify", "7"),
            ("b", "click", ""),
            ("b", "identify", "7"),
            ("a", "click", ""),
            ("b", "click", ""),
        ],
        ["a1", "b1", "7", "7"],
        {"7": [0, 1, 2, 3]},
        2,
    ),
    "log-in in the middle of a session": (
        [("a", "click", ""), ("a", "identify", "7"), ("a", "click", "")],
        ["a1", "7"],
        {"7": [0, 1]},
        1,
    ),
    "log-in with the events themselves": (
        [("a", "click", ""), ("a", "click", "7"), ("a", "click", "")],
        ["a1", "7", "7"],
        {"7": [0, 1, 2]},
        1,
    ),
    "log-out and in as another": (
        [
            ("a", "identify", "7"),
            ("a", "click", ""),
            ("a", "logout", ""),
            ("a", "click", ""),
            ("a", "identify", "8"),
            ("a", "click", ""),
        ],
        ["7", "a2", "8"],
        {"7": [0], "8": [1, 2]},
        2,
    ),
    "shared computer": (
        [
            ("a", "click", "7"),
            ("a", "logout", ""),
            ("a", "click", ""),
            ("a", "gap", ""),
            ("a", "click", ""),
            ("a", "click", "7"),
        ],
        ["7", "a2", "a2", "7"],
        {"7": [0, 1, 2, 3]},
        3,
    ),
    "token of 7 in the browser of 8": (
        [
            ("a", "click", ""),
            ("a", "identify", "8"),
            ("a", "click", ""),
            ("a", "click", "7"),
            ("a", "click", ""),
        ],
        ["a1", "8", "7", "7"],
        {"8": [0, 1], "7": [2, 3]},
        2,
    ),
    "and 8 comes back": (
        [
            ("a", "identify", "8"),
            ("a", "click", ""),
            ("a", "identify", "7"),
            ("a", "click", ""),
            ("a", "identify", "8"),
            ("a", "click", ""),
        ],
        ["8", "7", "8"],
        {"8": [0, 2], "7": [1]},
        3,
    ),
    "the device of 8 after a gap": (
        [
            ("a", "click", "8"),
            ("a", "gap", ""),
            ("a", "click", ""),
            ("a", "identify", "7"),
            ("a", "click", ""),
        ],
        ["8", "8", "7"],
        {"8": [0, 1], "7": [2]},
        3,
    ),
}


@pytest.mark.parametrize("name", JOURNEYS)
@pytest.mark.parametrize("is_app", [False, True], ids=["browser", "app"])
def test_whose_events_they_are(shop: Host, name: str, *, is_app: bool) -> None:
    """Which uuid each event has, in which feed it is, and how many sessions there are: a log-in
    keeps a stranger's session, another customer begins one, and none is merged with another."""
    steps, owners, feeds, sessions = JOURNEYS[name]
    clients = {who: shop.client(APP if is_app else CHROME) for who in "ab"}
    known: dict[str, dict[str, str]] = {"a": {}, "b": {}}
    ids: list[str] = []
    for who, what, customer in steps:
        shop.clock.advance(**({"hours": 1} if what == "gap" else {"seconds": 1}))
        if what == "gap":
            continue
        headers = dict(known[who]) if is_app else SAME_ORIGIN
        token = {"token": token_of(shop, customer)} if customer else {}
        path, body = ("in", CLICK) if what == "click" else (what, {})
        response = send(clients[who], path, headers, **body, **token)
        assert response.status_code < 300
        known[who] |= identity_of(response)
        if what == "click":
            ids.append(response.get_json()["results"][0]["event_id"])
    rows = {str(row["id"]): row for row in shop.events_of("button.click")}
    found = [rows[event_id]["uuid"] for event_id in ids]
    names: dict[uuidlib.UUID, str] = {}
    for uuid, owner in zip(found, owners, strict=True):
        assert names.setdefault(uuid, owner) == owner
        assert (uuid == profile_of(owner)) == owner.isdigit()
    assert len(names) == len(set(owners))
    assert len(shop.rows("session")) == sessions
    with shop.app.app_context():
        for customer, expected in feeds.items():
            shown = {str(event.id) for event in shop.events.feed(customer)}
            assert [i for i, event_id in enumerate(ids) if event_id in shown] == expected
    between = {row["anonymous_uuid"].version for row in shop.rows("alias")}
    assert between <= {4}


def test_session_has_one_customer(shop: Host) -> None:
    """Another customer's token ends the earlier session."""
    client = shop.client()
    send(client, "identify", token=token_of(shop, "8"))
    shop.clock.advance(seconds=9)
    send(client, **CLICK, token=token_of(shop, "7"))
    first, second = shop.rows("session", "started_at")
    assert (first["uuid"], second["uuid"]) == (profile_of("8"), profile_of("7"))
    assert first["device_id"] == second["device_id"]
    [end] = shop.events_of("session.end")
    assert (end["session_id"], end["params"]["reason"]) == (first["id"], "logout")
    assert shop.actions()["customer.login"] == 2
    assert shop.actions()["customer.logout"] == 0


# Apps


def test_app_of_a_customer(shop: Host) -> None:
    """Case 4 of DESIGN §8: no cookies; headers carry the device, a bearer token the customer."""
    app, token = shop.client(APP), token_of(shop, "7", 600)
    screen: dict[str, t.Any] = {"action": "screen.view", "params": {"name": "Home"}}
    stranger = send(app, headers={}, **screen)
    assert "Set-Cookie" not in stranger.headers
    shop.clock.advance(seconds=1)
    known = send(app, headers={**identity_of(stranger), **bearer(token)}, **screen)
    assert send(app, headers=identity_of(known), **OPEN).status_code == 202
    screens = shop.events_of("screen.view")
    assert [row["source"] for row in screens] == ["app", "app"]
    assert screens[1]["uuid"] == profile_of("7")
    [session] = shop.rows("session")
    assert (session["pages"], session["entry"], session["exit"]) == (2, "Home", "Home")
    shop.clock.advance(minutes=12)
    assert send(app, headers=identity_of(known), **OPEN).status_code == 422
    with shop.app.app_context():
        assert [event.action for event in shop.events.feed("7")].count("screen.view") == 2


def test_app_logs_out_without_its_token(shop: Host) -> None:
    """One that has expired is left out: the device says who leaves."""
    app = shop.client(APP)
    known = identity_of(send(app, headers=bearer(token_of(shop, "7", 60)), **CLICK))
    shop.clock.advance(minutes=5)
    response = send(app, "logout", known)
    assert (response.status_code, set(identity_of(response))) == (204, {"X-EventTrack-Device"})
    assert shop.actions()["customer.logout"] == 1
    known |= identity_of(response)
    assert send(app, headers=known, **OPEN).status_code == 422
    send(app, headers=known, **CLICK)
    assert shop.events_of("button.click")[-1]["uuid"] != profile_of("7")
