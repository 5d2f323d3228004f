"""What a visitor lets us record: their choice, their browser's signal, the app's default."""

from __future__ import annotations

import itertools
import typing as t

import pytest
from flask import Flask, Response, make_response, request_finished
from werkzeug.test import TestResponse

from flask_eventtrack import current_visitor, identify
from flask_eventtrack.records import Client, Event
from flask_eventtrack.signals import event_accepted

from ..conftest import MakeHost
from ..hosts import CHROME, NAVIGATION, SAME_ORIGIN, Host
from .choices import CONSENT, DNT, GPC, OLD_BROWSER, OURS, choose, cookies_of, held, post, visit


@pytest.fixture(autouse=True)
def _tell_policy() -> t.Iterator[None]:
    """Have each answer say which policy its request found."""

    def tell(_: Flask, response: Response) -> None:
        response.headers["X-Policy"] = current_visitor.policy

    with request_finished.connected_to(tell):
        yield


def policy_of(response: TestResponse) -> str:
    return response.headers["X-Policy"]


def problem_of(response: TestResponse) -> tuple[int, str]:
    assert response.mimetype == "application/problem+json"
    return response.status_code, response.get_json()["code"]


# The choice


@pytest.mark.parametrize("choice", ["full", "anonymous", "none"])
def test_choice_is_a_cookie_that_scripts_can_read(host: Host, choice: str) -> None:
    """It lasts 400 days, and is on the same terms as the others."""
    response = choose(host.client(), choice)
    assert (response.status_code, response.data) == (204, b"")
    assert response.headers["Cache-Control"] == "no-store"
    cookie = cookies_of(response)[CONSENT]
    assert (cookie.value, cookie["max-age"], cookie["path"]) == (choice, "34560000", "/")
    assert (cookie["samesite"], cookie["httponly"], cookie["secure"]) == ("Lax", "", "")


def test_choice_is_secure_over_https_and_on_the_domain_of_the_settings(make: MakeHost) -> None:
    """As all cookies are."""
    host = make({"EVENTTRACK_COOKIE_DOMAIN": "shop.example", "EVENTTRACK_COOKIE_PATH": "/a"})
    response = host.client().post(
        "/_et/consent",
        json={"choice": "none"},
        headers=SAME_ORIGIN,
        base_url="https://shop.example",
    )
    cookie = cookies_of(response)[CONSENT]
    assert (cookie["secure"], cookie["domain"], cookie["path"]) == (True, "shop.example", "/a")


@pytest.mark.parametrize("choice", ["anonymous", "none"])
def test_refusal_takes_the_other_cookies_away(host: Host, choice: str) -> None:
    """Only the choice itself is left, and no later page or post brings them back."""
    client = host.client()
    visit(client)
    assert held(client) == OURS
    choose(client, choice)
    for response in (visit(client), visit(client, "/products/mug"), post(client)):
        assert cookies_of(response) == {}
    assert held(client) == {CONSENT}


def test_nothing_is_recorded_of_who_chose_none(host: Host) -> None:
    """No visit, no event, no session."""
    client = host.client()
    choose(client, "none")
    assert policy_of(visit(client)) == "none"
    post(client)
    assert host.rows("event") == host.rows("session") == []


def test_anonymous_visit_counts_without_saying_whose_it_is(host: Host) -> None:
    """It is in the totals, and has no session and the profile of its day and browser."""
    client = host.client()
    choose(client, "anonymous")
    assert policy_of(visit(client, Referer="https://elsewhere.example/")) == "anonymous"
    host.clock.advance(seconds=1)
    visit(client, "/products/mug")
    assert host.rows("session") == []
    first, second = host.events_of("page.visit")
    assert (first["session_id"], second["session_id"]) == (None, None)
    assert first["uuid"] == second["uuid"]
    assert first["uuid"].version == 4
    assert [row["label"] for row in (first, second)] == ["Visited page Home", "Visited page Mug"]
    assert first["params"]["referrer"] == "https://elsewhere.example/"
    assert sum(row["count"] for row in host.rows("hourly")) == 2
    assert host.actions() == {"page.visit": 2}


ANOTHER_BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:150.0) Gecko/20100101 Firefox/150.0"


@pytest.mark.parametrize(
    ("change", "is_same"),
    [
        ({"REMOTE_ADDR": "203.0.113.99"}, True),  # of the same /24
        ({"HTTP_ACCEPT_LANGUAGE": "pl"}, True),
        ({"HTTP_COOKIE": "theme=dark"}, True),
        ({"REMOTE_ADDR": "203.0.114.7"}, False),
        ({"HTTP_USER_AGENT": ANOTHER_BROWSER}, False),
        ({"HTTP_HOST": "other.example"}, False),
    ],
)
def test_anonymous_visits_of_a_day_are_told_apart_by_address_and_agent(
    host: Host, change: dict[str, str], is_same: bool
) -> None:
    """On one site; headers that vary from request to request do not matter."""
    for differing in ({}, change):
        client = host.app.test_client(use_cookies=False)
        client.environ_base |= {"HTTP_USER_AGENT": CHROME, "REMOTE_ADDR": "203.0.113.7"}
        client.get("/", headers=NAVIGATION | GPC, environ_overrides=differing)
    first, second = host.events_of("page.visit")
    assert (first["uuid"] == second["uuid"]) is is_same


def test_anonymous_visits_of_two_days_have_nothing_in_common(host: Host) -> None:
    """Not even if one is written after midnight."""
    visit(host.client(), **GPC)
    host.clock.advance(hours=11, minutes=59, seconds=59)
    visit(host.client(), **GPC)
    host.clock.advance(seconds=1)
    visit(host.client(), **GPC)
    noon, night, morning = [row["uuid"] for row in host.events_of("page.visit")]
    assert noon == night != morning


def test_salt_of_a_day_is_shared_and_destroyed(make: MakeHost, database_url: str) -> None:
    """All processes derive the same profile; two days later the salt is gone."""
    hosts = [make(url=database_url), make(url=database_url, create=False)]
    clock = hosts[0].clock
    for host in hosts:
        visit(host.client(), **GPC)
        host.flush()
    first, second = hosts[0].events_of("page.visit")
    assert first["uuid"] == second["uuid"]
    for left in (1, 0):
        clock.advance(days=1)
        with hosts[1].app.app_context():
            hosts[1].state.pipeline.sweep()
        assert len(hosts[0].rows("salt")) == left


def test_anonymous_visit_is_announced(host: Host) -> None:
    """Receivers of ``event_accepted`` get the event that is written."""
    heard: list[Event] = []

    def hear(sender: object, event: Event) -> None:
        heard.append(event)

    with event_accepted.connected_to(hear, host.app):
        visit(host.client(), **GPC)
    [event] = heard
    assert event.session is None
    assert event.client is not None
    assert event.client == Client(CHROME, address="127.0.0.0")
    assert host.events_of("page.visit")[0]["id"] == event.id


def test_who_chooses_again_is_recorded_again(host: Host) -> None:
    """As a device that has not been here before."""
    client = host.client()
    visit(client)
    choose(client, "none")
    visit(client)
    assert held(client) == {CONSENT}
    choose(client, "full")
    assert held(client) == {CONSENT}
    assert policy_of(visit(client)) == "full"
    assert held(client) == OURS | {CONSENT}
    assert host.actions()["page.visit"] == 2
    assert len({row["device_id"] for row in host.rows("session")}) == 2


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[]",
        b"null",
        b'"none"',
        b"{",
        b'{"choice": null}',
        b'{"choice": "None"}',
        b'{"choice": "all"}',
        b'{"choice": ["none"]}',
        b'{"choice": "\xff"}',
        b'{"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ],
)
def test_nonsense_is_no_choice(host: Host, body: bytes) -> None:
    """It is refused, and sets nothing."""
    response = host.client().post(
        "/_et/consent", data=body, content_type="application/json", headers=SAME_ORIGIN
    )
    assert problem_of(response) == (400, "malformed")
    assert cookies_of(response) == {}


def test_choice_has_the_bounds_of_a_post(host: Host) -> None:
    """As ``/in``: its types, its size, its methods."""
    client = host.client()
    for content_type, expected in (("text/plain", 204), ("text/html", 415)):
        response = client.post(
            "/_et/consent",
            data=b'{"choice": "none"}',
            content_type=content_type,
            headers=SAME_ORIGIN,
        )
        assert response.status_code == expected
    assert problem_of(choose(client, "x" * 300_000)) == (413, "too_large")
    for method in ("GET", "PUT", "DELETE"):
        response = client.open("/_et/consent", method=method)
        assert problem_of(response) == (405, "method_not_allowed")
        assert response.headers["Allow"] == "POST, OPTIONS"


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://evil.example"},
        {},
    ],
)
def test_nobody_else_chooses(host: Host, headers: dict[str, str]) -> None:
    """Neither another site nor an app may post a choice."""
    response = choose(host.client(), "none", headers)
    assert problem_of(response) == (403, "foreign_origin")
    assert cookies_of(response) == {}


def test_old_browser_chooses_without_a_token(host: Host) -> None:
    """A visitor who has refused has no cookie that a token could be bound to."""
    client = host.client()
    for choice in ("none", "full"):
        assert choose(client, choice, OLD_BROWSER).status_code == 204
    assert policy_of(visit(client)) == "full"


def test_page_of_an_allowed_origin_chooses(make: MakeHost) -> None:
    """With the same CORS headers as for events, and a preflight request before."""
    client = make({"EVENTTRACK_ALLOWED_ORIGINS": ["https://www.shop.example"]}).client()
    headers = {"Origin": "https://www.shop.example", "Sec-Fetch-Site": "same-site"}
    preflight = client.options(
        "/_et/consent", headers={**headers, "Access-Control-Request-Method": "POST"}
    )
    for response in (preflight, choose(client, "none", headers)):
        assert response.status_code == 204
        assert response.headers["Access-Control-Allow-Origin"] == "https://www.shop.example"
        assert response.headers["Access-Control-Allow-Credentials"] == "true"


@pytest.mark.parametrize("value", ["", "None", "maybe", '"none', "none%20", "\xe9"])
def test_cookie_that_holds_no_choice_counts_for_nothing(host: Host, value: str) -> None:
    """It is not signed: anything may stand in it."""
    cookie = {"Cookie": f"{CONSENT}={value}"}
    assert policy_of(host.client().get("/", headers=NAVIGATION | cookie)) == "full"
    assert host.actions()["page.visit"] == 1


def test_choice_may_be_set_by_the_host(host: Host) -> None:
    """The host's own banner, with or without a script, sets a cookie."""
    client = host.client()
    client.set_cookie(CONSENT, "none")
    assert policy_of(visit(client)) == "none"


# The browser's signal, and the default

DEFAULTS = ["full", "anonymous", "none"]
STRICTER = dict(zip(DEFAULTS, range(3), strict=True))


@pytest.mark.parametrize(
    ("default", "setting", "signal"),
    [*itertools.product(DEFAULTS, ["anonymous", "none", "ignore"], [GPC, DNT])],
)
def test_signal_counts_as_the_setting_says(
    make: MakeHost, default: str, setting: str, signal: dict[str, str]
) -> None:
    """Never laxer than the default; "ignore" is the default."""
    host = make({"EVENTTRACK_DEFAULT_POLICY": default, "EVENTTRACK_GPC": setting})
    expected = max(default, setting.replace("ignore", "full"), key=STRICTER.__getitem__)
    client = host.client()
    response = visit(client, **signal)
    assert policy_of(response) == expected
    assert (f'data-policy="{default}"' in response.text) == (default != "full")
    assert held(client) == (OURS if expected == "full" else set())
    assert host.actions()["page.visit"] == (expected != "none")
    assert len(host.rows("session")) == (expected == "full")


@pytest.mark.parametrize("signal", [{"Sec-GPC": "0"}, {"DNT": "0"}, {"DNT": "null"}, {"DNT": ""}])
def test_signal_that_is_off_counts_for_nothing(host: Host, signal: dict[str, str]) -> None:
    """Only "1" is one (W3C, Global Privacy Control)."""
    assert policy_of(visit(host.client(), **signal)) == "full"


def test_signal_is_minded_without_a_setting(host: Host) -> None:
    """By default it makes visits anonymous."""
    assert policy_of(visit(host.client(), **GPC)) == "anonymous"
    assert host.actions() == {"page.visit": 1}


@pytest.mark.parametrize("default", DEFAULTS)
@pytest.mark.parametrize("choice", DEFAULTS)
def test_choice_counts_more_than_signal_and_default(
    make: MakeHost, default: str, choice: str
) -> None:
    """In both directions."""
    client = make({"EVENTTRACK_DEFAULT_POLICY": default, "EVENTTRACK_GPC": "none"}).client()
    choose(client, choice)
    assert policy_of(visit(client, **GPC)) == choice


def test_consent_mode_waits_for_the_choice(make: MakeHost) -> None:
    """Nothing before, everything after."""
    host = make({"EVENTTRACK_DEFAULT_POLICY": "none"})
    client = host.client()
    visit(client)
    assert (held(client), host.actions()) == (set(), {})
    choose(client, "full")
    visit(client)
    assert held(client) == OURS | {CONSENT}
    assert host.actions() == {"page.visit": 1, "session.start": 1}


def test_cookies_of_before_the_signal_are_not_read_and_go(host: Host) -> None:
    """A customer who switches the signal on is no longer identified."""
    host.app.get("/login", endpoint="login")(lambda: f"{identify('42')}")
    client = host.client()
    visit(client, "/login")
    before = len(host.rows("event"))
    host.clock.advance(seconds=1)
    response = visit(client, **GPC)
    assert {name: cookie["max-age"] for name, cookie in cookies_of(response).items()} == (
        dict.fromkeys(OURS, "0")
    )
    assert held(client) == set()
    [*_, seen] = host.events_of("page.visit")
    assert len(host.rows("event")) == before + 1
    assert (seen["session_id"], seen["uuid"].version) == (None, 4)


def test_cookies_are_not_taken_away_by_a_page_that_caches_share(host: Host) -> None:
    """A shared answer is for all; the visit counts all the same, as no browser will report it."""

    @host.app.get("/public")
    def public() -> Response:
        response = make_response("<title>Public</title>")
        response.headers["Cache-Control"] = "public, max-age=60"
        return response

    client = host.client()
    visit(client)
    assert cookies_of(visit(client, "/public", **GPC)) == {}
    assert [row["session_id"] is None for row in host.events_of("page.visit")].count(True) == 1


def test_headers_that_a_host_replaces_by_a_dict_are_survived(host: Host) -> None:
    """Its page goes out, with the cookies still there."""

    @host.app.get("/dict")
    def replaced() -> Response:
        response = make_response("<p>hello")
        response.headers = t.cast("t.Any", dict(response.headers))
        return response

    cookie = {"Cookie": "eventtrack_device=x"}
    with host.app.test_request_context("/dict", headers=NAVIGATION | GPC | cookie):
        assert host.app.full_dispatch_request().get_data() == b"<p>hello"
