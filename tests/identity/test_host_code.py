"""Customers in the host's own code: bearer tokens, tokens to issue, ids."""

from __future__ import annotations

import datetime as dt
import typing as t
import uuid as uuidlib

import jwt
import pytest

from flask_eventtrack import identify, track
from flask_eventtrack.errors import ConfigError, InvalidEvent, InvalidToken, NotRegistered
from flask_eventtrack.identity.tokens import DeviceToken

from ..collector.senders import set_cookies
from ..conftest import MakeHost
from ..hosts import CHROME, Host
from .customers import (
    APP,
    CLICK,
    KEY,
    bearer,
    identity_of,
    profile_of,
    refusals,
    send,
    token_of,
    visit,
)

# In the host's own views


def test_bearer_token_is_heard_in_views(shop: Host) -> None:
    """A back end's API that takes the same tokens needs no ``identify()``."""
    shop.app.add_url_rule("/api", view_func=lambda: {"id": track("account.open")})
    client = shop.client()
    headers = bearer(token_of(shop, "7"))
    response = client.get("/api", headers=headers)
    assert "Vary" not in response.headers
    assert shop.events_of("account.open")[0]["uuid"] == profile_of("7")
    assert shop.actions()["customer.login"] == 0
    assert client.get("/me").get_json()["customer"] == "7"


@pytest.mark.parametrize("value", ["Bearer x", "Bearer", "Basic x", "Bearer {}x", ""])
def test_other_credentials_are_the_hosts(shop: Host, value: str) -> None:
    """Credentials that we cannot verify may be the host's own: they are ignored, not refused."""
    headers = {"Authorization": value.format(token_of(shop, "7"))}
    response = shop.client().get("/me", headers=headers)
    assert (response.status_code, response.get_json()["customer"]) == (200, None)
    assert refusals(shop) == {}


# Making tokens


def test_issued_token_is_taken(make: MakeHost) -> None:
    """By an app with the same settings."""
    settings = {
        "EVENTTRACK_JWT_KEYS": {"k1": KEY},
        "EVENTTRACK_JWT_AUDIENCE": "shop",
        "EVENTTRACK_JWT_ISSUER": "us",
        "EVENTTRACK_JWT_TYPE": "at+jwt",
    }
    one, two = make(settings), make(settings)
    with one.app.app_context():
        token = one.events.issue_token(7, expires_in=dt.timedelta(minutes=5))
    assert send(two.client(), "identify", token=token).status_code == 204
    claims = {"verify_signature": False, "verify_exp": False}
    found = jwt.decode(token, options=t.cast("t.Any", claims))
    assert found["exp"] - found["iat"] == 300


def test_errors_of_issuing(shop: Host, host: Host) -> None:
    """Each says what is wrong."""
    with pytest.raises(NotRegistered):
        shop.events.issue_token("7")
    with host.app.app_context(), pytest.raises(ConfigError, match="no key that can sign"):
        host.events.issue_token("7")
    with shop.app.app_context():
        with pytest.raises(InvalidEvent, match="a placeholder"):
            shop.events.issue_token("null")
        with pytest.raises(InvalidToken, match="expires_in"):
            shop.events.issue_token("7", 0)


def test_wrong_key_is_an_error_at_start_up(make: MakeHost) -> None:
    """And not with the first token."""
    with pytest.raises(ConfigError, match="HS256 needs 32"):
        make({"EVENTTRACK_JWT_KEYS": "short"})


# Placeholder ids


@pytest.mark.parametrize(
    "customer",
    [
        *("", " ", "null", "NULL", "undefined", "None", "nil", "nan", "NaN", "true", "False"),
        *("guest", " Guest ", "anonymous", "AnonymousUser", "unknown", "n/a", "0", 0, -1, "-1"),
        *("[object Object]", '"undefined"', "'null'", "00000000-0000-0000-0000-000000000000"),
    ],
)
def test_word_for_nobody_is_no_customer(shop: Host, customer: str | int) -> None:
    """It would merge all visitors without an id into one customer."""
    with shop.app.test_request_context(environ_base={"HTTP_USER_AGENT": CHROME}):
        for call in (identify, lambda who: track("account.open", customer=who), shop.events.feed):
            with pytest.raises(InvalidEvent) as caught:
                call(customer)
            assert caught.value.code == "invalid_customer"
    assert shop.rows("profile") == shop.rows("event") == []


@pytest.mark.parametrize("customer", [1, "00", "10", "nullable", "guest7", "O", -7, "none@x.org"])
def test_what_looks_like_a_word_for_nobody_may_be_a_customer(
    shop: Host, customer: str | int
) -> None:
    """Only the whole word counts."""
    with shop.app.test_request_context(environ_base={"HTTP_USER_AGENT": CHROME}):
        assert identify(customer) == profile_of(str(customer))


def test_nothing_of_this_makes_answers_vary(shop: Host) -> None:
    """A token, a log-out, a loader that reads no session: no ``Vary: Cookie``, no host session."""
    shop.events.customer_loader(lambda: "7")
    client = shop.client()
    answers = [
        visit(client),
        send(client, **CLICK, token=token_of(shop, "7")),
        send(client, "identify", token=token_of(shop, "7")),
        visit(client),
        send(client, "logout"),
        visit(client),
    ]
    assert [answer.headers.get("Vary") for answer in answers] == [None] * 6
    assert client.get_cookie("session") is None


def test_device_cookie_of_a_bot_is_none(shop: Host) -> None:
    """A bot's refused post is answered without cookies."""
    client = shop.client("Googlebot/2.1")
    for path in ("in", "identify", "logout"):
        response = send(client, path, token=token_of(shop, "7"), **CLICK)
        assert set_cookies(response) == identity_of(response) == {}


def test_device_of_a_token_is_a_device_token(shop: Host) -> None:
    """An app's header holds the same value as a browser's cookie."""
    response = send(shop.client(APP), "identify", bearer(token_of(shop, "7")))
    device = shop.state.tokens.read_device(response.headers["X-EventTrack-Device"])
    assert device is not None
    assert device == DeviceToken(device.device_id, profile_of("7"), 1)


def test_customer_without_our_cookies_is_not_the_stranger_of_the_page(shop: Host) -> None:
    """The token's claim outweighs the page's owner: nothing is merged or given away."""
    client = shop.app.test_client(use_cookies=False)
    client.environ_base["HTTP_USER_AGENT"] = CHROME
    page = visit(client).text
    tag = page.partition('data-visit="')[2].partition('"')[0]
    assert tag
    half = str(uuidlib.uuid4())
    event = {"action": "page.visit", "event_id": half, "page": half, "visit": tag}
    answer = send(
        client,
        token=token_of(shop, "carol"),
        events=[event | {"params": {"url": "http://localhost/"}}],
    )
    assert answer.status_code == 202
    hers = [row for row in shop.rows("event") if row["uuid"] == profile_of("carol")]
    assert {row["action"] for row in hers} == {"page.visit", "session.start", "customer.login"}
    strangers = [row for row in shop.rows("event") if row["uuid"] != profile_of("carol")]
    assert {row["action"] for row in strangers} == {"page.visit", "session.start"}
    assert all("customer_id" not in row["params"] for row in strangers)
