"""Who may post to the collector, and what else its blueprint serves: DESIGN §8."""

from __future__ import annotations

import collections.abc as cabc
import gzip
import pathlib
import re
import typing as t
import uuid as uuidlib

import pytest
from flask import Flask, Response, request
from flask.testing import FlaskClient
from flask_sqlalchemy import SQLAlchemy
from flask_wtf import CSRFProtect
from werkzeug.test import TestResponse

from flask_eventtrack import EventTrack
from flask_eventtrack.browser import CORE
from flask_eventtrack.collector.origin import Sender, SenderHeaders, judge_sender
from flask_eventtrack.identity import TokenCodec

from .conftest import MakeHost
from .hosts import NAVIGATION, SAME_ORIGIN, FakeClock, Host

EVENT = {"action": "button.click"}
OWN = "http://localhost"
SHOP = "https://shop.example.com"
EVIL = "https://evil.example"
#: What an old browser says, which sends no ``Sec-Fetch-*``.
OLD_BROWSER = {"Origin": OWN}
#: What a browser says of a page on another site.
FROM_SHOP = {"Origin": SHOP, "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors"}


def post(client: FlaskClient, headers: cabc.Mapping[str, str], **body: t.Any) -> TestResponse:
    return client.post("/_et/in", json={"events": [EVENT], **body}, headers=dict(headers))


def problem_of(response: TestResponse) -> tuple[int, str]:
    """Return status and code of a problem document, which is never cached."""
    assert response.mimetype == "application/problem+json"
    assert response.headers["Cache-Control"] == "no-store"
    body = response.get_json()
    assert (body["type"], body["status"]) == ("about:blank", response.status_code)
    return response.status_code, body["code"]


def set_cookies(response: TestResponse) -> dict[str, str]:
    """Return the cookies that a response sets, by name."""
    pairs = (line.split(";")[0].partition("=") for line in response.headers.getlist("Set-Cookie"))
    return {name: value for name, _, value in pairs}


def csrf_of(client: FlaskClient) -> str:
    cookie = client.get_cookie("eventtrack_csrf")
    assert cookie is not None
    return cookie.value


@pytest.mark.parametrize(
    ("headers", "sender"),
    [
        (SenderHeaders("same-origin"), Sender.OWN_PAGE),
        (SenderHeaders("same-origin", "cors", OWN, OWN, "a=b"), Sender.OWN_PAGE),
        # Under `Referrer-Policy: no-referrer` a browser hides the origin from its own site too.
        (SenderHeaders("same-origin", "cors", "null"), Sender.OWN_PAGE),
        (SenderHeaders("same-site", "cors", OWN), Sender.STRANGER),
        (SenderHeaders("cross-site", "no-cors", EVIL), Sender.STRANGER),
        (SenderHeaders("cross-site", "no-cors", "", OWN), Sender.STRANGER),
        (SenderHeaders("none", "navigate"), Sender.STRANGER),
        (SenderHeaders("nonsense"), Sender.STRANGER),
        (SenderHeaders("same-origin, cross-site"), Sender.STRANGER),
        (SenderHeaders("", "cors"), Sender.STRANGER),
        (SenderHeaders(origin=OWN), Sender.OWN_PAGE_WITH_TOKEN),
        (SenderHeaders(origin=OWN, cookie="a=b"), Sender.OWN_PAGE_WITH_TOKEN),
        (SenderHeaders(origin="HTTP://LOCALHOST"), Sender.OWN_PAGE_WITH_TOKEN),
        (SenderHeaders(origin="http://localhost:80"), Sender.OWN_PAGE_WITH_TOKEN),
        (SenderHeaders(origin="http://localhost:8080"), Sender.STRANGER),
        (SenderHeaders(origin="https://localhost"), Sender.STRANGER),
        (SenderHeaders(origin="http://sub.localhost"), Sender.STRANGER),
        (SenderHeaders(origin="http://localhost.evil.example"), Sender.STRANGER),
        (SenderHeaders(origin="http://notlocalhost"), Sender.STRANGER),
        (SenderHeaders(origin="http://localhost@evil.example"), Sender.STRANGER),
        (SenderHeaders(origin="http://localhost:99999"), Sender.STRANGER),
        (SenderHeaders(origin="http://[::1"), Sender.STRANGER),
        (SenderHeaders(origin="localhost"), Sender.STRANGER),
        (SenderHeaders(origin="null"), Sender.STRANGER),
        (SenderHeaders(origin="null", referer=OWN), Sender.STRANGER),
        (SenderHeaders(origin=EVIL, referer=OWN), Sender.STRANGER),
        (SenderHeaders(referer=f"{OWN}/products/mug?a=b"), Sender.OWN_PAGE_WITH_TOKEN),
        (SenderHeaders(referer=f"{EVIL}/?{OWN}", cookie="a=b"), Sender.STRANGER),
        (SenderHeaders(cookie="a=b"), Sender.STRANGER),
        (SenderHeaders(), Sender.APP),
    ],
)
def test_the_headers_decide_who_sends(headers: SenderHeaders, sender: Sender) -> None:
    """The four cases of DESIGN §8 and everything else, where no other origin is allowed."""
    assert judge_sender(headers, f"{OWN}/", ()) is sender


@pytest.mark.parametrize(
    ("origin", "sender"),
    [
        (SHOP, Sender.OTHER_ORIGIN),
        ("https://SHOP.example.com", Sender.OTHER_ORIGIN),
        ("http://shop.example.com", Sender.STRANGER),
        ("https://shop.example.com:8443", Sender.STRANGER),
        ("https://shop.example.com/", Sender.STRANGER),
        ("https://shop.example.com.evil.example", Sender.STRANGER),
        ("https://sub.shop.example.com", Sender.STRANGER),
        ("https://shop.example.co", Sender.STRANGER),
        ("null", Sender.STRANGER),
        ("*", Sender.STRANGER),
    ],
)
@pytest.mark.parametrize("site", ["", "cross-site", "same-site"])
def test_an_allowed_origin_matches_exactly(origin: str, site: str, sender: Sender) -> None:
    """An allow list knows neither prefixes nor suffixes nor subdomains."""
    headers = SenderHeaders(site, "cors", origin, f"{SHOP}/page")
    assert judge_sender(headers, f"{OWN}/", (SHOP,)) is sender


@pytest.mark.parametrize(
    ("own", "origin"),
    [
        ("https://localhost/", "https://localhost:443"),
        ("https://localhost:443/", "https://localhost"),
        ("http://localhost:5000/", "http://localhost:5000"),
        ("http://[::1]:5000/", "http://[::1]:5000"),
        ("http://LOCALHOST/", "http://localhost"),
    ],
)
def test_an_origin_is_scheme_host_and_port(own: str, origin: str) -> None:
    """A default port may be written or not."""
    assert judge_sender(SenderHeaders(origin=origin), own, ()) is Sender.OWN_PAGE_WITH_TOKEN


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Sec-Fetch-Site": "same-origin"}, 202),
        ({"Sec-Fetch-Site": "same-origin", "Origin": OWN, "Cookie": "a=b"}, 202),
        ({"Sec-Fetch-Site": "same-site", "Origin": "http://sub.localhost"}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Origin": EVIL}, 403),
        ({"Sec-Fetch-Site": "none"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": EVIL}, 403),
        ({"Origin": "https://localhost"}, 403),
        ({"Origin": "http://localhost:8080"}, 403),
        ({"Referer": f"{EVIL}/page", "Cookie": "a=b"}, 403),
        ({"Cookie": "a=b"}, 403),
        ({"Sec-Fetch-Mode": "no-cors"}, 403),
        ({"Sec-Fetch-Dest": "empty"}, 403),
        ({"Sec-Fetch-User": "?1"}, 403),
        ({}, 202),
    ],
)
def test_a_post_is_taken_from_whom_the_design_names(
    host: Host, headers: dict[str, str], status: int
) -> None:
    """No ``Cookie``, no ``Origin`` and no ``Sec-Fetch-*`` is an app; a stranger leaves no trace."""
    client = host.app.test_client(use_cookies=False)
    response = post(client, {"User-Agent": "Mozilla/5.0 Firefox/140.0", **headers})
    assert response.status_code == status
    if status == 403:
        assert problem_of(response) == (403, "foreign_origin")
        assert "Set-Cookie" not in response.headers
    assert host.actions()["button.click"] == (status == 202)


def test_https_is_another_origin(host: Host) -> None:
    """Behind TLS the own origin is the https one."""
    client = host.client()
    response = client.post("/_et/in", json=EVENT, headers=OLD_BROWSER, base_url="https://localhost")
    assert problem_of(response) == (403, "foreign_origin")
    headers = {"Origin": "https://localhost"}
    response = client.post("/_et/in", json=EVENT, headers=headers, base_url="https://localhost")
    assert problem_of(response) == (403, "csrf")


@pytest.mark.parametrize("headers", [OLD_BROWSER, {"Referer": f"{OWN}/"}])
def test_an_old_browser_is_given_its_token_and_tries_again(
    host: Host, headers: dict[str, str]
) -> None:
    """The first post is refused with fresh cookies; the second shows the token and passes."""
    client = host.client()
    refused = post(client, headers)
    assert problem_of(refused) == (403, "csrf")
    assert set_cookies(refused).keys() == {"eventtrack_device", "eventtrack_csrf"}
    assert post(client, headers, csrf_token=csrf_of(client)).status_code == 202
    assert host.actions() == {"button.click": 1, "session.start": 1}


def test_a_page_gives_an_old_browser_its_token(host: Host) -> None:
    """The cookie that came with the page is shown at once."""
    client = host.client()
    client.get("/", headers=NAVIGATION)
    assert post(client, OLD_BROWSER, csrf_token=csrf_of(client)).status_code == 202
    assert len(host.rows("session")) == 1


def test_a_refused_token_keeps_the_device(host: Host) -> None:
    """The fresh cookies are those of the device that is known."""
    client = host.client()
    client.get("/", headers=NAVIGATION)
    before = host.rows("session")
    assert problem_of(post(client, OLD_BROWSER, csrf_token="wrong")) == (403, "csrf")
    assert post(client, OLD_BROWSER, csrf_token=csrf_of(client)).status_code == 202
    [session] = host.rows("session")
    assert session["device_id"] == before[0]["device_id"]
    assert session["events"] == 2


@pytest.mark.parametrize(
    "spoil",
    [
        lambda token: None,
        lambda token: "",
        lambda token: "x",
        lambda token: token[:-1],
        lambda token: token.upper(),
        lambda token: f"{token} ",
        lambda token: token.partition(".")[0],
        lambda token: "." + token.partition(".")[2],
        lambda token: "x" * 5000,
        lambda token: "\ud800",
        lambda token: "\0",
        lambda token: TokenCodec(["another secret"]).write_csrf(uuidlib.uuid4(), 2**62),
    ],
)
def test_a_wrong_token_is_refused(host: Host, spoil: cabc.Callable[[str], str | None]) -> None:
    """What is not the token of this device is answered with one that is."""
    client = host.client()
    client.get("/", headers=NAVIGATION)
    response = post(client, OLD_BROWSER, csrf_token=spoil(csrf_of(client)))
    assert problem_of(response) == (403, "csrf")
    assert set_cookies(response)["eventtrack_csrf"] == csrf_of(client)
    assert host.actions()["button.click"] == 0


def test_another_devices_token_is_refused(host: Host) -> None:
    """A token is bound to the device: one's own is no good for somebody else."""
    mine, theirs = host.client(), host.client()
    for client in (mine, theirs):
        client.get("/", headers=NAVIGATION)
    response = post(theirs, OLD_BROWSER, csrf_token=csrf_of(mine))
    assert problem_of(response) == (403, "csrf")
    assert post(theirs, OLD_BROWSER, csrf_token=csrf_of(theirs)).status_code == 202


@pytest.mark.parametrize("kind", ["eventtrack_device", "eventtrack_session"])
def test_another_kind_of_token_is_refused(host: Host, kind: str) -> None:
    """Each kind is signed under a salt of its own."""
    client = host.client()
    client.get("/", headers=NAVIGATION)
    cookie = client.get_cookie(kind)
    assert cookie is not None
    assert problem_of(post(client, OLD_BROWSER, csrf_token=cookie.value)) == (403, "csrf")


def test_an_expired_token_is_refused(host: Host, clock: FakeClock) -> None:
    """A token lives as long as its session (DESIGN §5); the answer brings a fresh one."""
    client = host.client()
    client.get("/", headers=NAVIGATION)
    token = csrf_of(client)
    clock.advance(minutes=31)
    response = post(client, OLD_BROWSER, csrf_token=token)
    assert problem_of(response) == (403, "csrf")
    assert post(client, OLD_BROWSER, csrf_token=csrf_of(client)).status_code == 202


def test_a_token_outlives_a_new_secret_key_by_the_fallbacks(make: MakeHost) -> None:
    """Rotating ``SECRET_KEY`` refuses nobody as long as the old key is a fallback."""
    old = make()
    url = old.app.config["SQLALCHEMY_DATABASE_URI"]
    keys = {"SECRET_KEY": "new", "SECRET_KEY_FALLBACKS": [old.app.config["SECRET_KEY"]]}
    new = make(keys, url=url)
    client = old.client()
    client.get("/", headers=NAVIGATION)
    client.application = new.app
    assert post(client, OLD_BROWSER, csrf_token=csrf_of(client)).status_code == 202


def test_a_preflight_admits_an_allowed_origin(make: MakeHost) -> None:
    """CORS with credentials: the exact origin, never a star."""
    client = make({"EVENTTRACK_ALLOWED_ORIGINS": [SHOP]}).client()
    headers = {**FROM_SHOP, "Access-Control-Request-Method": "POST"}
    response = client.options("/_et/in", headers=headers)
    assert (response.status_code, response.data) == (204, b"")
    found = {k: v for k, v in response.headers if k.startswith("Access-Control-")}
    assert found == {
        "Access-Control-Allow-Origin": SHOP,
        "Access-Control-Allow-Credentials": "true",
        "Access-Control-Allow-Methods": "POST",
        "Access-Control-Allow-Headers": (
            "Authorization, Content-Type, X-EventTrack-Device, X-EventTrack-Session"
        ),
        "Access-Control-Expose-Headers": ("Retry-After, X-EventTrack-Device, X-EventTrack-Session"),
        "Access-Control-Max-Age": "3600",
    }
    assert response.headers["Vary"] == "Origin"


@pytest.mark.parametrize("origin", [EVIL, "null", OWN, "https://shop.example.com.evil.example"])
def test_a_preflight_refuses_other_origins(make: MakeHost, origin: str) -> None:
    """A foreign page's preflight fails, so that its post is never sent."""
    client = make({"EVENTTRACK_ALLOWED_ORIGINS": [SHOP]}).client()
    headers = {"Origin": origin, "Access-Control-Request-Method": "POST"}
    response = client.options("/_et/in", headers=headers)
    assert problem_of(response) == (403, "foreign_origin")
    assert not [name for name, _ in response.headers if name.startswith("Access-Control-")]


def test_an_allowed_origin_posts_and_reads_the_answer(make: MakeHost) -> None:
    """The event belongs to the site that showed the page."""
    host = make({"EVENTTRACK_ALLOWED_ORIGINS": [SHOP]})
    response = post(host.client(), FROM_SHOP)
    assert response.status_code == 202
    assert response.headers["Access-Control-Allow-Origin"] == SHOP
    assert response.headers["Access-Control-Allow-Credentials"] == "true"
    assert response.headers["Vary"] == "Origin"
    [event] = host.events_of("button.click")
    assert (event["site"], event["source"]) == ("shop.example.com", "browser")


def test_page_of_another_origin_is_on_no_route_of_ours(make: MakeHost) -> None:
    """Whatever its path: only a page of this app is told by one of its rules."""
    host = make({"EVENTTRACK_ALLOWED_ORIGINS": [SHOP]})
    for headers, site in ((FROM_SHOP, SHOP), (SAME_ORIGIN, OWN)):
        event = {"action": "page.visit", "params": {"url": f"{site}/products/mug"}}
        answer = host.client().post("/_et/in", json=event, headers=headers)
        assert answer.status_code == 202
    rules = {row["site"]: row["url_rule"] for row in host.events_of("page.visit")}
    assert rules == {"shop.example.com": "", "localhost": "/products/<slug>"}


def test_allowed_origin_may_compress_where_posts_may_be(make: MakeHost) -> None:
    """The header is none of those that a page may always send."""
    for is_allowed in (False, True):
        host = make({"EVENTTRACK_ALLOWED_ORIGINS": [SHOP], "EVENTTRACK_GZIP_POSTS": is_allowed})
        response = host.client().options("/_et/in", headers=FROM_SHOP)
        allowed = response.headers["Access-Control-Allow-Headers"].split(", ")
        assert ("Content-Encoding" in allowed) is is_allowed


def test_an_allowed_origin_can_read_its_errors(make: MakeHost) -> None:
    """A refusal without CORS headers would look like a dead network to the script."""
    client = make({"EVENTTRACK_ALLOWED_ORIGINS": [SHOP]}).client()
    response = client.post("/_et/in", data="{", headers=FROM_SHOP, content_type="application/json")
    assert problem_of(response) == (400, "malformed")
    assert response.headers["Access-Control-Allow-Origin"] == SHOP


def test_an_allowed_origin_without_cookies_sends_the_headers_back(make: MakeHost) -> None:
    """Another site cannot send our Lax cookies: the headers say who it is."""
    host = make({"EVENTTRACK_ALLOWED_ORIGINS": [SHOP]})
    client = host.app.test_client(use_cookies=False)
    browser = {**FROM_SHOP, "User-Agent": "Mozilla/5.0 Firefox/140.0"}
    first = post(client, browser)
    names = ("X-EventTrack-Device", "X-EventTrack-Session")
    assert post(client, browser | {n: first.headers[n] for n in names}).status_code == 202
    [session] = host.rows("session")
    assert session["events"] == 2


def test_a_stranger_gets_no_cors_headers(make: MakeHost) -> None:
    """Nothing lets a foreign page read what it was told."""
    client = make({"EVENTTRACK_ALLOWED_ORIGINS": [SHOP]}).client()
    response = post(client, {"Origin": EVIL, "Sec-Fetch-Site": "cross-site"})
    assert problem_of(response) == (403, "foreign_origin")
    assert not [name for name, _ in response.headers if name.startswith("Access-Control-")]


def test_an_app_is_known_by_its_headers(host: Host) -> None:
    """An app gets signed values instead of cookies, and sends them back."""
    client = host.client("okhttp/5.0")
    first = post(client, {})
    assert first.status_code == 202
    assert "Set-Cookie" not in first.headers
    names = ("X-EventTrack-Device", "X-EventTrack-Session")
    second = post(client, {name: first.headers[name] for name in names})
    assert second.headers["X-EventTrack-Device"] == first.headers["X-EventTrack-Device"]
    assert {event["source"] for event in host.events_of("button.click")} == {"app"}
    [session] = host.rows("session")
    assert (session["events"], session["pages"]) == (2, 0)


def test_an_apps_session_ends_after_the_gap(host: Host, clock: FakeClock) -> None:
    """The device goes on, in a session of its own."""
    client = host.client("okhttp/5.0")
    first = post(client, {})
    clock.advance(minutes=31)
    names = ("X-EventTrack-Device", "X-EventTrack-Session")
    post(client, {name: first.headers[name] for name in names})
    assert host.actions() == {"button.click": 2, "session.start": 2, "session.end": 1}
    assert len({row["device_id"] for row in host.rows("session")}) == 1


@pytest.mark.parametrize("spoil", ["x{}", "{}x", "", "null", "\x00", "é{}"])
def test_an_app_with_forged_headers_is_a_new_device(host: Host, spoil: str) -> None:
    """A bad signature is a fresh start, never an error."""
    client = host.client("okhttp/5.0")
    first = post(client, {})
    headers = {
        f"HTTP_X_EVENTTRACK_{name.upper()}": spoil.format(first.headers[f"X-EventTrack-{name}"])
        for name in ("Device", "Session")
    }
    response = client.post("/_et/in", json=EVENT, environ_overrides=headers)
    assert response.status_code == 202
    assert len({row["device_id"] for row in host.rows("session")}) == 2


def test_an_app_cannot_take_another_devices_session(host: Host) -> None:
    """A session value counts for the device that it was made for."""
    client = host.client("okhttp/5.0")
    first, second = post(client, {}), post(client, {})
    headers = {
        "X-EventTrack-Device": first.headers["X-EventTrack-Device"],
        "X-EventTrack-Session": second.headers["X-EventTrack-Session"],
    }
    post(client, headers)
    sessions = host.rows("session")
    assert sorted(session["events"] for session in sessions) == [1, 1, 1]
    assert len({session["device_id"] for session in sessions}) == 2


def test_a_page_is_not_known_by_an_apps_headers(host: Host) -> None:
    """A browser's identity is its cookies, and it is given no headers."""
    app = post(host.client("okhttp/5.0"), {})
    device = {"X-EventTrack-Device": app.headers["X-EventTrack-Device"]}
    response = post(host.client(), SAME_ORIGIN | device)
    assert response.status_code == 202
    assert "X-EventTrack-Device" not in response.headers
    assert len({row["device_id"] for row in host.rows("session")}) == 2


def test_two_visitors_are_two_devices(host: Host) -> None:
    """Each browser has its own device, profile and session."""
    for client in (host.client(), host.client()):
        for _ in range(2):
            assert post(client, SAME_ORIGIN).status_code == 202
    sessions = host.rows("session")
    assert [session["events"] for session in sessions] == [2, 2]
    assert len({session["device_id"] for session in sessions}) == 2
    assert len({event["uuid"] for event in host.events_of("button.click")}) == 2


@pytest.fixture(params=["before", "after"])
def protected(
    request: pytest.FixtureRequest, tmp_path: pathlib.Path, clock: FakeClock
) -> cabc.Iterator[Host]:
    """A host with Flask-WTF's CSRFProtect, registered before or after us."""
    app = Flask("host")
    url = f"sqlite:///{tmp_path / 'host.db'}"
    app.config.update(SECRET_KEY="secret", SQLALCHEMY_DATABASE_URI=url, TESTING=True)
    db, protect, events = SQLAlchemy(app), CSRFProtect(), EventTrack(clock=clock)
    if request.param == "before":
        protect.init_app(app)
    events.init_app(app, db)
    if request.param == "after":
        protect.init_app(app)
    app.post("/buy", endpoint="buy")(lambda: "bought")
    with app.app_context():
        db.create_all()
    host = Host(app, db, events, clock)
    yield host
    host.close()


def test_csrf_protect_does_not_block_the_collector(protected: Host) -> None:
    """Flask-WTF's token is unknown to cached pages: our own checks stand instead."""
    assert post(protected.client(), SAME_ORIGIN).status_code == 202
    assert problem_of(post(protected.client(), OLD_BROWSER)) == (403, "csrf")
    assert problem_of(post(protected.client(), {"Origin": EVIL})) == (403, "foreign_origin")


def test_csrf_protect_still_guards_the_host(protected: Host) -> None:
    """The exemption is the collector's alone."""
    client = protected.client()
    assert post(client, SAME_ORIGIN).status_code == 202
    assert client.post("/buy").status_code == 400


def test_a_host_that_echoes_every_origin_opens_nothing(make: MakeHost) -> None:
    """What a Flask-CORS adds to our answers lets no stranger's event in."""
    host = make()

    @host.app.after_request
    def echo(response: Response) -> Response:
        response.headers["Access-Control-Allow-Origin"] = request.headers.get("Origin", "*")
        response.headers["Access-Control-Allow-Credentials"] = "true"
        return response

    headers = {"Origin": EVIL, "Sec-Fetch-Site": "cross-site"}
    assert host.client().options("/_et/in", headers=headers).status_code == 403
    assert post(host.client(), headers).status_code == 403
    assert host.rows("event") == []


REFUSALS: list[tuple[str, str, dict[str, t.Any], tuple[int, str]]] = [
    ("POST", "/_et/in", {"json": EVENT, "headers": {"Origin": EVIL}}, (403, "foreign_origin")),
    ("POST", "/_et/in", {"json": EVENT, "headers": OLD_BROWSER}, (403, "csrf")),
    ("POST", "/_et/in", {"json": [], "headers": SAME_ORIGIN}, (400, "malformed")),
    ("POST", "/_et/in", {"data": {"a": "b"}, "headers": SAME_ORIGIN}, (415, "unsupported_type")),
    ("POST", "/_et/in", {"json": "x" * 300_000, "headers": SAME_ORIGIN}, (413, "too_large")),
    (
        "POST",
        "/_et/in",
        {"json": {"token": "x"}, "headers": SAME_ORIGIN},
        (401, "token_unsupported"),
    ),
    ("GET", "/_et/in", {}, (405, "method_not_allowed")),
    ("HEAD", "/_et/in", {}, (405, "")),
    ("PUT", "/_et/in", {"json": EVENT, "headers": SAME_ORIGIN}, (405, "method_not_allowed")),
    ("DELETE", "/_et/in", {"headers": SAME_ORIGIN}, (405, "method_not_allowed")),
    ("GET", "/_et/", {}, (404, "not_found")),
    ("GET", "/_et/live", {}, (404, "not_found")),
    ("GET", "/_et/people/42", {}, (404, "not_found")),
    ("POST", "/_et/in/", {"json": EVENT, "headers": SAME_ORIGIN}, (404, "not_found")),
    ("POST", "/_et/elsewhere", {"json": EVENT, "headers": SAME_ORIGIN}, (404, "not_found")),
    ("GET", "/_et/0123456789abcdef/et.js", {}, (404, "not_found")),
    ("POST", "/_et/0123456789abcdef/et.js", {}, (404, "not_found")),
]


@pytest.mark.parametrize(("method", "path", "options", "expected"), REFUSALS)
def test_a_hosts_handlers_and_catch_alls_do_not_answer_for_us(
    make: MakeHost, method: str, path: str, options: dict[str, t.Any], expected: tuple[int, str]
) -> None:
    """Below the prefix, the problem documents are ours whatever the host has registered."""
    host = make()
    _answer_everything(host.app)
    response = host.client().open(path, method=method, **options)
    if method == "HEAD":
        assert (response.status_code, response.mimetype) == (405, "application/problem+json")
    else:
        assert problem_of(response) == expected
    if expected[0] == 405:
        assert response.headers["Allow"] == "POST, OPTIONS"
    assert host.client().get("/anything/else").data == b"the host's"


def _answer_everything(app: Flask) -> None:
    """Register a handler for every error, and routes that match every path."""

    def answer(*_: object, **__: object) -> str:
        return "the host's"

    for error in (400, 401, 403, 404, 405, 413, 415, Exception):
        app.register_error_handler(error, answer)
    methods = ["GET", "POST", "PUT", "DELETE", "PATCH"]
    for number, rule in enumerate(("/<path:everything>", "/<a>/<b>", "/<a>/in", "/<slug>")):
        app.add_url_rule(rule, f"catch{number}", answer, methods=methods)


def test_a_catch_all_does_not_swallow_a_post(make: MakeHost) -> None:
    """Events arrive beside a host's catch-all routes, which still serve what is theirs."""
    host = make()
    _answer_everything(host.app)
    assert post(host.client(), SAME_ORIGIN).status_code == 202
    assert host.client().get("/_etc/in").data == b"the host's"


def test_another_prefix_moves_everything(make: MakeHost) -> None:
    """Nothing of ours is left at the default prefix."""
    host = make({"EVENTTRACK_URL_PREFIX": "/a/b"})
    response = host.client().post("/a/b/in", json=EVENT, headers=SAME_ORIGIN)
    assert response.status_code == 202
    assert post(host.client(), SAME_ORIGIN).status_code == 404
    assert re.fullmatch("/a/b/[0-9a-f]{16}/et.js", script_of(host.client()))


def script_of(client: FlaskClient) -> str:
    """Return the address of the script in the home page's tag."""
    page = client.get("/", headers=NAVIGATION).text
    [address] = re.findall(r'<script async src="([^"]+)"', page)
    return str(address)


def test_the_script_is_served_for_ever(host: Host) -> None:
    """The address names the content, so caches keep it; no visitor is in it."""
    response = host.client().get(script_of(host.client()))
    assert (response.status_code, response.mimetype) == (200, "text/javascript")
    assert response.data == host.state.scripts[CORE].source
    assert response.headers["Cache-Control"] == (
        "public, max-age=31536000, immutable, no-transform"
    )
    assert response.headers["Vary"] == "Accept-Encoding"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert "Set-Cookie" not in response.headers


@pytest.mark.parametrize(
    ("accepted", "encoding"),
    [
        ("gzip", "gzip"),
        ("gzip, deflate, br, zstd", "br"),
        ("*", "br"),
        ("gzip;q=0", None),
        ("identity", None),
        ("gzip, br;q=0", "gzip"),
        ("br", "br"),
        ("", None),
        ("nonsense;;q=x", None),
    ],
)
def test_the_script_is_compressed_when_that_is_accepted(
    host: Host, accepted: str, encoding: str | None
) -> None:
    """All forms hold the same script; brotli's is the smallest."""
    response = host.client().get(script_of(host.client()), headers={"Accept-Encoding": accepted})
    assert response.headers.get("Content-Encoding") == encoding
    script = host.state.scripts[CORE]
    body = gzip.decompress(response.data) if encoding == "gzip" else response.data
    assert body == (script.brotli if encoding == "br" else script.source)


@pytest.mark.parametrize("digest", ["0123456789abcdef", "x", "../in", "%00", "é"])
def test_a_wrong_digest_is_not_found(host: Host, digest: str) -> None:
    """An address of another release must not be cached with this one's content."""
    assert problem_of(host.client().get(f"/_et/{digest}/et.js")) == (404, "not_found")


def test_two_visitors_load_the_same_script(host: Host) -> None:
    """The tag differs by visit, the script does not."""
    first, second = host.client(), host.client()
    assert script_of(first) == script_of(second)
    assert first.get(script_of(first)).data == second.get(script_of(second)).data
    tags = {client.get("/", headers=NAVIGATION).text for client in (first, second)}
    assert len(tags) == 2


def test_loading_the_script_is_no_visit(host: Host) -> None:
    """Our own addresses record nothing."""
    for path in (f"/_et{host.state.scripts.path(CORE)}", "/_et/in", "/_et/"):
        host.client().get(path, headers=NAVIGATION)
    assert host.rows("event") == []
