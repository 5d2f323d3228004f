"""Log-out, and values from before it that are replayed or swapped."""

from __future__ import annotations

import typing as t
import uuid as uuidlib

import pytest
from flask.testing import FlaskClient

from flask_eventtrack.identity.tokens import SessionToken, TokenCodec

from ..collector.senders import set_cookies
from ..conftest import MakeHost
from ..hosts import Host
from ..store.records import quality
from .customers import (
    APP,
    CLICK,
    KEY,
    OPEN,
    bearer,
    identity_of,
    jar_of,
    load_user,
    may_open,
    profile_of,
    send,
    token_of,
    visit,
)

# Log-out


def test_log_out_detaches_the_device(shop: Host) -> None:
    """A new profile, the session is over, and no customer is vouched for; the device stays."""
    client = shop.client()
    send(client, "identify", token=token_of(shop, "7"))
    shop.clock.advance(seconds=5)
    response = send(client, "logout")
    assert (response.status_code, response.data) == (204, b"")
    assert "eventtrack_session" in set_cookies(response)
    [end] = shop.events_of("session.end")
    assert (end["params"]["reason"], shop.actions()["customer.logout"]) == ("logout", 1)
    shop.clock.advance(seconds=5)
    assert not may_open(client)
    assert send(client, **CLICK).status_code == 202
    [click] = shop.events_of("button.click")
    first, second = shop.rows("session", "started_at")
    assert first["device_id"] == second["device_id"]
    assert click["uuid"] not in {profile_of("7"), first["device_id"]}
    assert len(shop.rows("alias")) == 1


def test_clock_that_goes_back_before_a_log_out_loses_no_event(
    make: MakeHost, database_url: str
) -> None:
    """What another process recorded before it, and writes later, is not taken for a copy's."""
    settings = {"EVENTTRACK_JWT_KEYS": KEY}
    host = make(settings, url=database_url)
    other = make(settings, url=database_url, create=False)
    client, beside = host.client(), other.client()
    send(client, "identify", token=token_of(host, "7"))
    host.clock.advance(minutes=5)
    move_cookies(client, beside)
    visit(beside)
    move_cookies(beside, client)
    host.clock.advance(seconds=-40)
    send(client, "logout")
    host.flush()
    assert other.actions()["page.visit"] == 1


def move_cookies(source: FlaskClient, target: FlaskClient) -> None:
    for name, value in jar_of(source).items():
        target.set_cookie(name, value)


def test_log_out_without_room_is_counted(make: MakeHost) -> None:
    """The session ends later, as one that has been silent."""
    settings = {"EVENTTRACK_DURABILITY": "memory", "EVENTTRACK_BUFFER_SIZE": 5}
    host = make({**settings, "EVENTTRACK_JWT_KEYS": KEY}, create=False)
    client = host.client()
    send(client, "identify", token=token_of(host, "7"))
    while send(client, **CLICK).status_code == 202:
        pass
    assert send(client, "logout").status_code == 204
    with host.app.app_context():
        host.db.create_all()
    assert quality(host)["dropped", "session.end", "no room"] == 1


def test_log_out_by_token_names_the_customer_after_the_session(shop: Host) -> None:
    """The device is still theirs then, and the token says who has left."""
    client = shop.client()
    send(client, "identify", token=token_of(shop, "7"))
    shop.clock.advance(hours=2)
    assert send(client, "logout", token=token_of(shop, "7")).status_code == 204
    [event] = shop.events_of("customer.logout")
    assert (event["uuid"], event["params"]) == (profile_of("7"), {"customer_id": "7"})


def test_log_out_holds_for_the_request_in_which_the_host_still_has_the_user(shop: Host) -> None:
    """A hook of the host's may have loaded its user: the post is not undone by that."""
    load_user(shop.app, "7")
    client = shop.client()
    visit(client)
    assert send(client, "logout").status_code == 204
    assert shop.actions()["customer.logout"] == 1
    cookie = client.get_cookie("eventtrack_device")
    assert cookie is not None
    device = shop.state.tokens.read_device(cookie.value)
    assert device is not None
    assert device.uuid.version == 4


# Replayed and swapped values


def test_session_of_before_the_log_out_vouches_no_more(shop: Host) -> None:
    """The device's cookie knows that the session was ended."""
    client = shop.client()
    send(client, "identify", token=token_of(shop, "7"))
    old = jar_of(client)["eventtrack_session"]
    send(client, "logout")
    client.set_cookie("eventtrack_session", old)
    assert not may_open(client)
    assert visit(client, "/me").get_json()["customer"] is None


def test_both_cookies_of_before_the_log_out_vouch_as_long_as_the_token(shop: Host) -> None:
    """A copy of both counts as the old browser, until the token expires or a gap; it reads nothing,
    and the session that has ended stays so."""
    client, thief = shop.client(), shop.client()
    send(client, "identify", token=token_of(shop, "7", 600))
    for name, value in jar_of(client).items():
        thief.set_cookie(name, value)
    send(client, "logout")
    assert may_open(thief)
    assert len(shop.events_of("session.end")) == 1
    shop.clock.advance(minutes=11)
    assert not may_open(thief)


def test_session_does_not_vouch_beside_a_device_cookie_of_before(shop: Host) -> None:
    """As a late answer may put it back: no event of a customer's is a stranger's."""
    client = shop.client()
    visit(client)
    before = jar_of(client)["eventtrack_device"]
    token = token_of(shop, "7")
    send(client, "identify", token=token)
    client.set_cookie("eventtrack_device", before)
    assert not may_open(client)
    assert send(client, token=token, **OPEN).status_code == 202
    assert may_open(client)
    assert {row["uuid"] for row in shop.events_of("account.open")} == {profile_of("7")}


def test_session_of_a_customer_does_not_vouch_on_another_device(shop: Host) -> None:
    """By cookies and by headers: it is bound to its device."""
    known, other = shop.client(), shop.client()
    send(known, "identify", token=token_of(shop, "7"))
    visit(other)
    other.set_cookie("eventtrack_session", jar_of(known)["eventtrack_session"])
    assert not may_open(other)
    app = shop.client(APP)
    customers = identity_of(send(app, headers=bearer(token_of(shop, "8")), **CLICK))
    strangers = identity_of(send(app, headers={}, **CLICK))
    swapped = {**strangers, "X-EventTrack-Session": customers["X-EventTrack-Session"]}
    assert send(app, headers=customers, **OPEN).status_code == 202
    assert send(app, headers=swapped, **OPEN).status_code == 422


@pytest.mark.parametrize("spoil", ["{}x", "x{}", "{:.20}", "", "\x00"])
def test_forged_headers_vouch_for_nobody(shop: Host, spoil: str) -> None:
    """A fresh start, never an error."""
    app = shop.client(APP)
    known = identity_of(send(app, headers=bearer(token_of(shop, "7")), **CLICK))
    shop.clock.advance(seconds=1)
    forged = {f"HTTP_{k.upper().replace('-', '_')}": spoil.format(v) for k, v in known.items()}
    response = app.post("/_et/in", json=OPEN, environ_overrides=forged)
    assert response.status_code == 422
    assert app.post("/_et/in", json=CLICK, environ_overrides=forged).status_code == 202
    assert shop.events_of("button.click")[-1]["uuid"] != profile_of("7")


@pytest.mark.parametrize(
    ("text", "voucher", "customer"),
    [
        (
            "AQucj25dOk4hnwCqu8zd7v8AAAADAAZgyBmhcAAABmDIHTT3AAA."
            "qqFaVwbDb2z5d3c8Xvv408T7vIQQmMoNK5dtKyAaMBw",
            "",
            None,
        ),
        (
            "AQucj25dOk4hnwCqu8zd7v8AAAADAAZgyBmhcAAABmDIHTT3AAE3."
            "nChO_KcFBQYrv3rQpPsTALgP5GtBrA9qQO_-4lv9Hlk",
            "login",
            "7",
        ),
        (
            "AQucj25dOk4hnwCqu8zd7v8AAAADAAZgyBmhcAAABmDIHTT3AALDqXTDqQ."
            "D76fsqQoIknUutU0uoh-rmw3XDleHkjyuuV5dm1Z7h8",
            "identify",
            "été",
        ),
    ],
)
def test_cookies_without_tokens_are_read_as_ever(
    text: str, voucher: t.Any, customer: str | None
) -> None:
    """Their layout is fixed, since browsers hold them."""
    device = uuidlib.UUID("0b9c8f6e-5d3a-4e21-9f00-aabbccddeeff")
    times = (1795262400000000, 1795262460000000)
    token = SessionToken(device, 3, *times, voucher, customer)
    codec = TokenCodec(["a secret for tests only"])
    assert codec.read_session(text) == token
    assert codec.write_session(token) == text


@pytest.mark.parametrize("customer", ["7", "x" * 255, "😀" * 255])
def test_cookie_of_a_token_comes_back(customer: str) -> None:
    """With the moment at which it vouches no more, in microseconds up to the year 9999."""
    codec = TokenCodec(["secret"])
    for until in (1, 253_402_300_859_000_000):
        token = SessionToken(uuidlib.uuid4(), 1, 2, 3, "token", customer, until)
        assert codec.read_session(codec.write_session(token)) == token
