"""Who may post to the collector: DESIGN §8."""

from __future__ import annotations

import collections.abc as cabc
import uuid as uuidlib

import pytest
from flask.testing import FlaskClient

from flask_eventtrack.identity.tokens import Owner, TokenCodec
from flask_eventtrack.request.origin import OriginHeaders, PostOrigin, judge_origin

from ..conftest import MakeHost
from ..hosts import NAVIGATION, SAME_ORIGIN, FakeClock, Host
from .senders import EVENT, EVIL, FROM_SHOP, OLD_BROWSER, OWN, SHOP, post, problem_of, set_cookies


def csrf_of(client: FlaskClient) -> str:
    cookie = client.get_cookie("eventtrack_csrf")
    assert cookie is not None
    return cookie.value


@pytest.mark.parametrize(
    ("headers", "sender"),
    [
        (OriginHeaders("same-origin"), PostOrigin.OWN_PAGE),
        (OriginHeaders("same-origin", "cors", OWN, OWN, "a=b"), PostOrigin.OWN_PAGE),
        # Under `Referrer-Policy: no-referrer` a browser hides the origin from its own site too.
        (OriginHeaders("same-origin", "cors", "null"), PostOrigin.OWN_PAGE),
        (OriginHeaders("same-site", "cors", OWN), PostOrigin.STRANGER),
        (OriginHeaders("cross-site", "no-cors", EVIL), PostOrigin.STRANGER),
        (OriginHeaders("cross-site", "no-cors", "", OWN), PostOrigin.STRANGER),
        (OriginHeaders("none", "navigate"), PostOrigin.STRANGER),
        (OriginHeaders("nonsense"), PostOrigin.STRANGER),
        (OriginHeaders("same-origin, cross-site"), PostOrigin.STRANGER),
        (OriginHeaders("", "cors"), PostOrigin.STRANGER),
        (OriginHeaders(origin=OWN), PostOrigin.OWN_PAGE_WITH_TOKEN),
        (OriginHeaders(origin=OWN, cookie="a=b"), PostOrigin.OWN_PAGE_WITH_TOKEN),
        (OriginHeaders(origin="HTTP://LOCALHOST"), PostOrigin.OWN_PAGE_WITH_TOKEN),
        (OriginHeaders(origin="http://localhost:80"), PostOrigin.OWN_PAGE_WITH_TOKEN),
        (OriginHeaders(origin="http://localhost:8080"), PostOrigin.STRANGER),
        (OriginHeaders(origin="https://localhost"), PostOrigin.STRANGER),
        (OriginHeaders(origin="http://sub.localhost"), PostOrigin.STRANGER),
        (OriginHeaders(origin="http://localhost.evil.example"), PostOrigin.STRANGER),
        (OriginHeaders(origin="http://notlocalhost"), PostOrigin.STRANGER),
        (OriginHeaders(origin="http://localhost@evil.example"), PostOrigin.STRANGER),
        (OriginHeaders(origin="http://localhost:99999"), PostOrigin.STRANGER),
        (OriginHeaders(origin="http://[::1"), PostOrigin.STRANGER),
        (OriginHeaders(origin="localhost"), PostOrigin.STRANGER),
        (OriginHeaders(origin="null"), PostOrigin.STRANGER),
        (OriginHeaders(origin="null", referer=OWN), PostOrigin.STRANGER),
        (OriginHeaders(origin=EVIL, referer=OWN), PostOrigin.STRANGER),
        (OriginHeaders(referer=f"{OWN}/products/mug?a=b"), PostOrigin.OWN_PAGE_WITH_TOKEN),
        (OriginHeaders(referer=f"{EVIL}/?{OWN}", cookie="a=b"), PostOrigin.STRANGER),
        (OriginHeaders(cookie="a=b"), PostOrigin.STRANGER),
        (OriginHeaders(), PostOrigin.APP),
    ],
)
def test_the_headers_decide_who_sends(headers: OriginHeaders, sender: PostOrigin) -> None:
    """The four cases of DESIGN §8 and everything else, where no other origin is allowed."""
    assert judge_origin(headers, f"{OWN}/", ()) is sender


@pytest.mark.parametrize(
    ("origin", "sender"),
    [
        (SHOP, PostOrigin.OTHER_ORIGIN),
        ("https://SHOP.example.com", PostOrigin.OTHER_ORIGIN),
        ("http://shop.example.com", PostOrigin.STRANGER),
        ("https://shop.example.com:8443", PostOrigin.STRANGER),
        ("https://shop.example.com/", PostOrigin.STRANGER),
        ("https://shop.example.com.evil.example", PostOrigin.STRANGER),
        ("https://sub.shop.example.com", PostOrigin.STRANGER),
        ("https://shop.example.co", PostOrigin.STRANGER),
        ("null", PostOrigin.STRANGER),
        ("*", PostOrigin.STRANGER),
    ],
)
@pytest.mark.parametrize("site", ["", "cross-site", "same-site"])
def test_an_allowed_origin_matches_exactly(origin: str, site: str, sender: PostOrigin) -> None:
    """An allow list knows neither prefixes nor suffixes nor subdomains."""
    headers = OriginHeaders(site, "cors", origin, f"{SHOP}/page")
    assert judge_origin(headers, f"{OWN}/", (SHOP,)) is sender


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
    assert judge_origin(OriginHeaders(origin=origin), own, ()) is PostOrigin.OWN_PAGE_WITH_TOKEN


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
        lambda token: TokenCodec(["another secret"]).write_csrf(
            Owner(uuidlib.uuid4(), uuidlib.uuid4(), 1, 0), 2**62
        ),
    ],
)
def test_a_wrong_token_is_refused(host: Host, spoil: cabc.Callable[[str], str | None]) -> None:
    """The answer to any other token has a token of this device."""
    client = host.client()
    client.get("/", headers=NAVIGATION)
    response = post(client, OLD_BROWSER, csrf_token=spoil(csrf_of(client)))
    assert problem_of(response) == (403, "csrf")
    assert set_cookies(response)["eventtrack_csrf"] == csrf_of(client)
    assert host.actions()["button.click"] == 0


def test_another_devices_token_is_refused(host: Host) -> None:
    """A token is bound to its device: no other device can use it."""
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
    """Rotating ``SECRET_KEY`` refuses no token as long as the old key is a fallback."""
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
    """Whatever its path: only a page of this app has one of its rules."""
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
    """Nothing lets a foreign page read the answer."""
    client = make({"EVENTTRACK_ALLOWED_ORIGINS": [SHOP]}).client()
    response = post(client, {"Origin": EVIL, "Sec-Fetch-Site": "cross-site"})
    assert problem_of(response) == (403, "foreign_origin")
    assert not [name for name, _ in response.headers if name.startswith("Access-Control-")]
