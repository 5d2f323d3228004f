"""The device and session cookies: what they look like, and when they are sent."""

from __future__ import annotations

import datetime as dt
import uuid

import pytest
from werkzeug.middleware.proxy_fix import ProxyFix

from flask_eventtrack import track

from ..conftest import MakeHost
from ..hosts import NAVIGATION, SAME_ORIGIN, Host
from .cookie_jar import ALL, CSRF, DEVICE, SESSION, add_login, cookies_of, sessions_of, visit

TEN_YEARS = 315_360_000


# What the cookies look like


def test_first_visit_sets_the_three_cookies(host: Host) -> None:
    """DESIGN §5: their attributes, on plain HTTP."""
    cookies = cookies_of(host.client().get("/", headers=NAVIGATION))
    found = {
        name: (morsel["max-age"], morsel["path"], morsel["samesite"], morsel["httponly"])
        for name, morsel in cookies.items()
    }
    assert found == {
        DEVICE: (str(TEN_YEARS), "/", "Lax", True),
        SESSION: ("1800", "/", "Lax", True),
        CSRF: ("1800", "/", "Lax", ""),
    }
    assert {(morsel["secure"], morsel["domain"]) for morsel in cookies.values()} == {("", "")}


def test_device_is_a_uuid_version_4_and_the_profile_at_first(host: Host) -> None:
    """The session's id is uuid5(device, number of the session)."""
    visit(host.client())
    [session] = sessions_of(host)
    assert session["device_id"].version == 4
    assert session["uuid"] == session["device_id"]
    assert session["id"] == uuid.uuid5(session["device_id"], "1")


def test_two_visitors_are_two_devices(host: Host) -> None:
    """Nothing else tells them apart."""
    for client in (host.client(), host.client()):
        visit(client)
        visit(client)
    assert len({row["device_id"] for row in sessions_of(host)}) == 2
    assert host.actions() == {"page.visit": 4, "session.start": 2}


@pytest.mark.parametrize(
    ("setting", "scheme", "secure"),
    [
        ("auto", "http", False),
        ("auto", "https", True),
        (True, "http", True),
        (True, "https", True),
        (False, "http", False),
        (False, "https", False),
    ],
)
def test_secure_follows_the_request_or_the_setting(
    make: MakeHost, setting: object, scheme: str, *, secure: bool
) -> None:
    """EVENTTRACK_COOKIE_SECURE."""
    host = make({"EVENTTRACK_COOKIE_SECURE": setting})
    cookies = cookies_of(host.client().get("/", base_url=f"{scheme}://localhost"))
    assert {bool(morsel["secure"]) for morsel in cookies.values()} == {secure}


@pytest.mark.parametrize(
    ("settings", "scheme", "prefix"),
    [
        ({}, "https", "__Host-"),
        ({}, "http", ""),  # behind a proxy that does not tell, or a browser drops them
        ({"EVENTTRACK_COOKIE_DOMAIN": "shop.example"}, "https", ""),
    ],
)
def test_cookies_of_embedded_pages_are_partitioned(
    make: MakeHost, settings: dict[str, str], scheme: str, prefix: str
) -> None:
    """EVENTTRACK_FRAMES = "embed": all of them, a deletion too."""
    host = make({"EVENTTRACK_FRAMES": "embed", **settings})
    client, base = host.client(), f"{scheme}://shop.example"
    answer = client.get("/", base_url=base, headers=NAVIGATION)
    lines = answer.headers.getlist("Set-Cookie")
    choice = {"choice": "none"}
    refusal = client.post("/_et/consent", json=choice, base_url=base, headers=SAME_ORIGIN)
    lines += refusal.headers.getlist("Set-Cookie")
    assert len(lines) == 7
    for line in lines:
        assert {"Secure", "SameSite=None", "Partitioned"} <= set(line.split("; "))
    assert {line.partition("=")[0] for line in lines} == {
        *(prefix + name for name in ALL),
        "eventtrack_consent",
    }


def test_cookie_from_before_embedding_does_not_hide_the_partitioned_one(make: MakeHost) -> None:
    """Browsers keep both, and send the older one first."""
    host = make({"EVENTTRACK_FRAMES": "embed"})
    old, new = host.client(), host.client()
    for client in (old, new):
        visit(client)
    headers = [
        f"{name}={client.get_cookie(name).value}"  # type: ignore[union-attr]
        for name in (DEVICE, SESSION)
        for client in (old, new)
    ]
    client = host.app.test_client(use_cookies=False)
    client.get("/", headers={**NAVIGATION, "Cookie": "; ".join(headers)})
    assert sorted(row["pages"] for row in sessions_of(host)) == [1, 2]


@pytest.mark.parametrize(
    ("is_trusted", "said", "secure"),
    [(True, "https", True), (True, "http", False), (False, "https", False)],
)
def test_secure_behind_a_proxy_is_by_proxy_fix(
    host: Host, said: str, *, is_trusted: bool, secure: bool
) -> None:
    """X-Forwarded-Proto counts where the host says that a proxy sets it, and only there."""
    if is_trusted:
        host.app.wsgi_app = ProxyFix(host.app.wsgi_app, x_proto=1)  # type: ignore[method-assign]
    answer = host.client().get("/", headers={**NAVIGATION, "X-Forwarded-Proto": said})
    assert {bool(morsel["secure"]) for morsel in cookies_of(answer).values()} == {secure}


def test_domain_and_path_are_settings(make: MakeHost) -> None:
    """EVENTTRACK_COOKIE_DOMAIN and EVENTTRACK_COOKIE_PATH."""
    host = make({"EVENTTRACK_COOKIE_DOMAIN": "shop.example", "EVENTTRACK_COOKIE_PATH": "/products"})
    answer = host.client().get("/products/mug", base_url="http://www.shop.example")
    found = {(morsel["domain"], morsel["path"]) for morsel in cookies_of(answer).values()}
    assert found == {("shop.example", "/products")}


def test_lifetime_of_the_session_cookie_is_the_timeout(make: MakeHost) -> None:
    """EVENTTRACK_SESSION_TIMEOUT."""
    host = make({"EVENTTRACK_SESSION_TIMEOUT": dt.timedelta(hours=2)})
    cookies = cookies_of(host.client().get("/"))
    assert {name: morsel["max-age"] for name, morsel in cookies.items()} == {
        DEVICE: str(TEN_YEARS),
        SESSION: "7200",
        CSRF: "7200",
    }


# When they are sent


@pytest.mark.parametrize(
    ("seconds", "sent"),
    [(0, set()), (59.999, set()), (60, set()), (60.001, {SESSION, CSRF}), (1799, {SESSION, CSRF})],
)
def test_session_cookie_is_sent_again_when_over_a_minute_old(
    host: Host, seconds: float, sent: set[str]
) -> None:
    """Most answers carry no cookie."""
    client = host.client()
    assert visit(client) == ALL
    host.clock.advance(seconds=seconds)
    assert visit(client) == sent


def test_device_cookie_is_issued_again_with_each_session(host: Host) -> None:
    """Browsers cap ten years at 400 days: it is renewed while it is in use."""
    client = host.client()
    assert visit(client) == ALL
    host.clock.advance(days=399)
    assert visit(client) == ALL


@pytest.mark.parametrize("path", ["/data.json", "/away", "/missing", "/static/none.css"])
def test_answer_that_records_nothing_sets_no_cookie(host: Host, path: str) -> None:
    """Only a request that records an event does."""
    assert host.client().get(path, headers=NAVIGATION).headers.getlist("Set-Cookie") == []
    assert host.rows("session") == []


def test_json_answer_that_tracks_sets_the_cookies(host: Host) -> None:
    """The event has a session, and the session has to be known again."""
    host.events.define("a.b")
    host.app.add_url_rule("/api", "api", lambda: {"id": str(track("a.b"))})
    client = host.client()
    assert visit(client, "/api") == ALL
    assert visit(client, "/api") == set()
    assert host.actions() == {"a.b": 2, "session.start": 1}


@pytest.mark.parametrize(
    "header", ["public", "public, max-age=60", "s-maxage=60", "Public", "max-age=1, S-MaxAge=2"]
)
def test_answer_that_a_cache_shares_sets_no_cookie(host: Host, header: str) -> None:
    """A CDN would hand one visitor's device to all."""
    cached = ("<title>Cached</title>", 200, {"Cache-Control": header})
    host.app.add_url_rule("/cached", "cached", lambda: cached)
    client = host.client()
    assert visit(client, "/cached") == set()
    assert host.rows("event") == []
    visit(client)
    host.clock.advance(minutes=2)
    assert visit(client, "/cached") == set()
    assert host.actions() == {"page.visit": 2, "session.start": 1}


@pytest.mark.parametrize("header", ["private", "no-store", "max-age=0, must-revalidate"])
def test_answer_that_no_cache_shares_sets_the_cookies(host: Host, header: str) -> None:
    """A private cache is the visitor's own."""
    cached = ("<title>Private</title>", 200, {"Cache-Control": header})
    host.app.add_url_rule("/private", "private", lambda: cached)
    assert visit(host.client(), "/private") == ALL


def test_collector_sets_the_cookies_of_a_newcomer(host: Host) -> None:
    """A page from a cache cannot get them otherwise."""
    client = host.client()
    answer = client.post("/_et/in", json={"action": "button.click"}, headers=SAME_ORIGIN)
    assert set(cookies_of(answer)) == ALL
    assert visit(client) == set()
    assert len(sessions_of(host)) == 1


def test_current_visitor_sees_what_the_cookies_say(host: Host) -> None:
    """Reading it records nothing and sets nothing."""
    add_login(host.app)
    client = host.client()
    before = client.get("/me")
    assert (before.get_json()["is_new"], before.headers.getlist("Set-Cookie")) == (True, [])
    visit(client)
    seen, [session] = client.get("/me").get_json(), sessions_of(host)
    assert seen == {
        "device_id": str(session["device_id"]),
        "uuid": str(session["uuid"]),
        "session_id": str(session["id"]),
        "customer_id": None,
        "is_bot": False,
        "is_new": False,
    }
