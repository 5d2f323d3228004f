"""Front ends on other hosts than the collector: DESIGN §8's third case, in a browser.

To ``*.localhost`` browsers send ``Sec-Fetch-*`` as over HTTPS; to ``*.test`` they send none, as to
any plain HTTP, and as old browsers do. ``shop.…`` is one site, ``elsewhere.…`` another.
"""

from __future__ import annotations

import collections.abc as cabc
import itertools
import json
import pathlib
import re
import time
import typing as t
import urllib.parse
import urllib.request

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from ..conftest import MakeHost
from ..hosts import CHROME, SAME_ORIGIN
from ..servers import require_chromium
from .conftest import TIMEOUT, Site, open_fresh_page
from .test_snippet import settle

DEVICE = "X-EventTrack-Device"
COOKIES = ["eventtrack_csrf", "eventtrack_device", "eventtrack_session"]
with_metadata = pytest.mark.parametrize("tld", ["localhost"])
everywhere = pytest.mark.parametrize("tld", ["localhost", "test"])


class World:
    """The collector's site, and where its hosts are."""

    def __init__(self, site: Site, tld: str) -> None:
        self.site = site
        self._tld, self._port = tld, urllib.parse.urlsplit(site.url).port
        self.api, self.www = self.at("api.shop"), self.at("www.shop")
        self.elsewhere = self.at("www.elsewhere")

    def name(self, host: str) -> str:
        return f"{host}.{self._tld}"

    def at(self, host: str) -> str:
        return f"http://{self.name(host)}:{self._port}"

    def token(self, customer: str) -> str:
        with urllib.request.urlopen(f"{self.site.url}/token/{customer}") as answer:
            return str(answer.read().decode())

    def asked(self, request: str) -> list[int]:
        """Return the statuses of all requests so far that begin like this."""
        log = re.sub(r"\x1b\[\d+m", "", self.site.log())
        return [int(status) for status in re.findall(rf'"{request}.* HTTP/1.1" (\d+)', log)]

    def await_refused(self, request: str, count: int) -> list[int]:
        """Return the statuses once so many of them are refusals."""
        deadline = time.monotonic() + TIMEOUT
        while self.asked(request).count(403) < count and time.monotonic() < deadline:
            time.sleep(0.05)
        return self.asked(request)

    def await_asked(self, request: str, count: int) -> list[int]:
        deadline = time.monotonic() + TIMEOUT
        while len(self.asked(request)) < count and time.monotonic() < deadline:
            time.sleep(0.05)
        return self.asked(request)


@pytest.fixture
def world(
    tmp_path: pathlib.Path, tld: str, monkeypatch: pytest.MonkeyPatch, browser: Browser
) -> cabc.Iterator[World]:
    """The hosts, served afresh."""
    monkeypatch.setenv("FLASK_TLD", tld)
    site = Site("tests.browser.cross_site", tmp_path)
    yield World(site, tld)
    site.stop()


@pytest.fixture(scope="module")
def browser(chromium: Browser) -> cabc.Iterator[Browser]:
    """A browser that finds every host of the tests on this computer."""
    rules = ",".join(f"MAP *.{tld} 127.0.0.1" for tld in ("localhost", "test"))
    browser = chromium.browser_type.launch(
        executable_path=require_chromium(),
        args=["--no-sandbox", f"--host-resolver-rules={rules}"],
    )
    yield browser
    browser.close()


@pytest.fixture
def page(browser: Browser) -> cabc.Iterator[Page]:
    yield from open_fresh_page(browser)


def open_static(world: World, page: Page) -> None:
    """Open the front end's page on the other subdomain, and wait until its script is complete."""
    with page.expect_response("**/more.js"):
        page.goto(f"{world.www}/")
    settle(page)


def cookies_of(context: BrowserContext) -> dict[str, str]:
    return {cookie["name"]: cookie["value"] for cookie in context.cookies()}


def the_customer(world: World, customer: str) -> t.Any:
    [row] = [row for row in world.site.rows("profile") if row["customer_id"] == customer]
    return row["uuid"]


# Another subdomain


@everywhere
def test_a_subdomain_and_the_app_are_one_device(world: World, page: Page) -> None:
    """A static page counts once, by the script; the app's own page by both halves. The clicks, the
    files that the script loads and what is said as a page ends cross over; no post is refused."""
    loaded: list[str] = []
    page.on("response", lambda response: loaded.append(response.url))
    open_static(world, page)
    page.click("#add")
    page.wait_for_function(
        "() => performance.getEntriesByType('resource').some("
        "entry => entry.name.endsWith('/tagged.js'))"
    )
    settle(page)
    page.evaluate("url => { eventtrack.track('note.add'); location.href = url }", f"{world.api}/")
    page.wait_for_url(f"{world.api}/")
    settle(page)
    open_static(world, page)
    rows = world.site.await_actions(page_visit=3, session_start=1, note_add=2)
    visits = [(row["site"], row["source"]) for row in rows if row["action"] == "page.visit"]
    static = (world.name("www.shop"), "browser")
    assert visits == [static, (world.name("api.shop"), "server"), static]
    [session] = world.site.rows("session")
    assert (session["pages"], len({row["uuid"] for row in rows})) == (3, 1)
    scripts = {url for url in loaded if url.endswith(".js")}
    assert {url.rpartition("/")[2] for url in scripts} == {"et.js", "more.js", "tagged.js"}
    assert all(url.startswith(f"{world.api}/_et/") for url in scripts)
    assert set(world.asked("POST /_et/in")) == {202}


@everywhere
def test_a_subdomains_visitor_has_the_cookies_of_the_site(world: World, page: Page) -> None:
    """They are Lax, for all hosts of the site; the script there reads the CSRF token's."""
    open_static(world, page)
    found = {cookie["name"]: cookie for cookie in page.context.cookies()}
    assert sorted(found) == COOKIES
    assert {cookie["domain"] for cookie in found.values()} == {world.name(".shop")}
    assert {cookie["sameSite"] for cookie in found.values()} == {"Lax"}
    readable = page.evaluate("document.cookie")
    assert readable == f"eventtrack_csrf={found['eventtrack_csrf']['value']}"


@everywhere
def test_a_customer_of_the_app_is_one_on_the_subdomain(world: World, page: Page) -> None:
    """A log-in on one host vouches on the other, until the log-out."""
    page.goto(f"{world.api}/enter")
    settle(page)
    open_static(world, page)
    keep = "() => eventtrack.track('note.keep').then(({ status }) => status)"
    assert page.evaluate(keep) == "accepted"
    page.goto(f"{world.api}/leave")
    settle(page)
    open_static(world, page)
    assert page.evaluate(keep) == "rejected"
    [note] = [row for row in world.site.rows("event") if row["action"] == "note.keep"]
    assert note["uuid"] == the_customer(world, "42")


@everywhere
def test_a_customer_shows_a_token_on_a_subdomain(world: World, page: Page) -> None:
    """``identify`` and ``logout`` of the script change who the cookies name."""
    open_static(world, page)
    assert page.evaluate("token => eventtrack.identify(token)", world.token("42")) == {}
    keep = "() => eventtrack.track('note.keep').then(({ status }) => status)"
    assert page.evaluate(keep) == "accepted"
    assert page.evaluate("() => eventtrack.logout()") == {}
    assert page.evaluate(keep) == "rejected"


@everywhere
def test_a_choice_on_a_subdomain_holds_for_the_site(world: World, page: Page) -> None:
    """Who refuses on one host is not recorded on the other."""
    open_static(world, page)
    assert page.evaluate("() => eventtrack.optOut()") == {}
    assert cookies_of(page.context) == {"eventtrack_consent": "none"}
    page.goto(f"{world.api}/")
    assert cookies_of(page.context) == {"eventtrack_consent": "none"}
    world.site.await_actions(page_visit=1, session_start=1)


# Another site


@everywhere
def test_another_site_is_known_by_headers_and_token(world: World, page: Page) -> None:
    """The guide's code: one device over all posts, a customer's with a token, anonymous after the
    log-out; without a cookie. The preflight request is not asked for again."""
    page.goto(f"{world.elsewhere}/own")
    status = "() => track('{}').then(answer => answer.status)"
    add, keep = status.format("note.add"), status.format("note.keep")
    assert [page.evaluate(code) for code in (add, keep)] == [202, 422]
    assert page.evaluate("token => identify(token).then(a => a.status)", world.token("42")) == 204
    assert [page.evaluate(code) for code in (add, keep)] == [202, 202]
    device = page.evaluate(f"localStorage['{DEVICE}']")
    page.reload()
    assert page.evaluate(add) == 202
    assert page.evaluate(f"localStorage['{DEVICE}']") == device
    assert page.evaluate("() => logout().then(answer => answer.status)") == 204
    assert page.evaluate(keep) == 422
    ends = {"customer_login": 1, "customer_logout": 1, "session_start": 1, "session_end": 1}
    rows = world.site.await_actions(page_visit=2, note_add=3, note_keep=1, **ends)
    assert {row["site"] for row in rows if row["source"] == "browser"} == {
        world.name("www.elsewhere")
    }
    assert len({row["device_id"] for row in world.site.rows("session")}) == 1
    [note] = [row for row in rows if row["action"] == "note.keep"]
    assert note["uuid"] == the_customer(world, "42")
    assert page.context.cookies() == []
    assert world.asked("OPTIONS /_et/in") == [204]
    assert world.asked("OPTIONS") == [204, 204, 204]


@everywhere
def test_a_refused_token_can_be_read_elsewhere(world: World, page: Page) -> None:
    """The front end learns that it needs a fresh one."""
    page.goto(f"{world.elsewhere}/own")
    refused = "() => identify('x.y.z').then(async a => [a.status, (await a.json()).code])"
    assert page.evaluate(refused) == [401, "token_invalid"]


# Origins that are not listed

ATTEMPTS = """async url => {
    const body = '{"action": "note.add"}';
    const post = { method: "POST", credentials: "include", body };
    const attempt = options => fetch(url, { ...post, ...options })
        .then(({ type, status }) => `${type} ${status}`, ({ name }) => name);
    return [
        await attempt({}),
        await attempt({ headers: { "Content-Type": "application/json" } }),
        await attempt({ headers: { "X-EventTrack-Device": "x" } }),
        await attempt({ mode: "no-cors" }),
        navigator.sendBeacon(url, body),
    ];
}"""
STRANGERS = {
    "another port": "port.shop",
    "another scheme": "scheme.shop",
    "a suffix": "evilwww.shop",
    "a subdomain": "sub.www.shop",
    "the parent": "shop",
    "a prefix": "www.shop.evil",
    "another site": "evil",
    "no listed page of the app's": "www.elsewhere.shop",
}


@everywhere
def test_origins_that_are_nearly_listed_are_refused(world: World, page: Page) -> None:
    """The page reads no answer, and nothing is written, whatever way it sends."""
    page.goto(f"{world.api}/")  # a visitor whose cookies a page of the site would send
    settle(page)
    for host in STRANGERS.values():
        page.goto(f"{world.at(host)}/bare")
        assert_refused(page, world)
    posts = 3 * len(STRANGERS)
    own, *others = world.await_refused("POST /_et/in", posts)
    if others[0] == 202:  # the visitor's page was left after a second, and told that it was seen
        del others[0]
    assert (own, others) == (202, posts * [403])
    assert set(world.asked("OPTIONS")) == {403}
    assert_only(world, page)


@everywhere
def test_origins_without_a_name_are_refused(
    world: World, page: Page, tmp_path: pathlib.Path
) -> None:
    """A sandboxed frame on a listed page and a ``file:`` are ``null``."""
    page.goto(f"{world.www}/framed")
    assert_refused(page.frames[1], world)
    (tmp_path / "page.html").write_text("<title>File</title>")
    page.goto((tmp_path / "page.html").as_uri())
    assert_refused(page, world)
    assert world.await_asked("POST /_et/in", 6) == 6 * [403]
    assert_only(world, page)


def assert_refused(page: t.Any, world: World) -> None:
    found = page.evaluate(ATTEMPTS, f"{world.api}/_et/in")
    assert found == ["TypeError", "TypeError", "TypeError", "opaque 0", True]


def assert_only(world: World, page: Page) -> None:
    """Check that nothing was recorded before the next event, and that no cookies were set."""
    before = cookies_of(page.context)
    written = [row["action"] for row in world.site.rows("event")]
    page.goto(f"{world.elsewhere}/own")
    page.evaluate("() => last")
    visits = 1 + written.count("page.visit")
    rows = world.site.await_actions(page_visit=visits, session_start=visits)
    assert rows[-1]["site"] == world.name("www.elsewhere")
    assert cookies_of(page.context) == before


# What a listed origin learns and changes

SEND = """([url, headers, credentials]) => fetch(url, {
    method: "POST", headers, credentials, body: '{"action": "note.add"}',
}).then(
    ({ status, headers }) => ({ status, headers: Object.fromEntries(headers) }),
    ({ name }) => name,
)"""


def send_from(page: Page, world: World, credentials: str = "include", **headers: str) -> t.Any:
    headers = {"Content-Type": "application/json"} | headers
    return page.evaluate(SEND, [f"{world.api}/_et/in", headers, credentials])


@with_metadata
@pytest.mark.parametrize("is_new", [True, False])
def test_a_page_of_the_site_cannot_read_the_device(world: World, page: Page, is_new: bool) -> None:
    """It is in a cookie which scripts cannot read, the very first one too: no header shows it."""
    if not is_new:
        page.goto(f"{world.api}/")
        settle(page)
    page.goto(f"{world.www}/bare")
    answer = send_from(page, world)
    assert answer["status"] == 202
    assert [name for name in answer["headers"] if name.startswith("x-eventtrack")] == []
    assert "set-cookie" not in answer["headers"]
    cookies = cookies_of(page.context)
    assert sorted(cookies) == COOKIES
    assert cookies["eventtrack_device"] not in json.dumps(answer)


@with_metadata
def test_a_page_of_the_site_cannot_make_another_device_the_visitors(
    world: World, page: Page
) -> None:
    """The headers of a device that somebody else was given are not let through."""
    page.goto(f"{world.elsewhere}/own")
    page.evaluate("() => last")
    device = page.evaluate(f"localStorage['{DEVICE}']")
    page.goto(f"{world.www}/bare")
    assert send_from(page, world, **{DEVICE: device}) == "TypeError"
    assert page.context.cookies() == []


@with_metadata
def test_another_site_learns_and_changes_nothing_of_the_visitor(world: World, page: Page) -> None:
    """A listed page there is another visitor, even if it asks for the cookies to be sent."""
    page.goto(f"{world.api}/")
    settle(page)
    before = cookies_of(page.context)
    page.goto(f"{world.elsewhere}/bare")
    answer = send_from(page, world)
    assert answer["status"] == 202
    assert answer["headers"]["x-eventtrack-device"] != before["eventtrack_device"]
    world.site.await_actions(page_visit=1, note_add=1, session_start=2)
    assert len({row["device_id"] for row in world.site.rows("session")}) == 2
    assert cookies_of(page.context) == before


FORM = """([url, body]) => {
    const form = document.createElement("form");
    const [name, value] = body.split("=");
    Object.assign(form, { method: "post", action: url, enctype: "text/plain" });
    form.append(Object.assign(document.createElement("input"), { name, value }));
    document.body.append(form);
    form.submit();
}"""


@with_metadata
@pytest.mark.parametrize("path", ["in", "identify", "consent"])
def test_another_sites_form_changes_nothing_of_the_visitor(
    world: World, page: Page, path: str
) -> None:
    """An answer to a form may set Lax cookies: it would log the visitor in as somebody else."""
    page.goto(f"{world.api}/")
    settle(page)
    before = cookies_of(page.context)
    page.goto(f"{world.elsewhere}/bare")
    token = world.token("another")
    body = f'{{"action": "note.add", "choice": "none", "token": "{token}", "x": "=y"}}'
    with page.expect_response(f"**/_et/{path}"):
        page.evaluate(FORM, [f"{world.api}/_et/{path}", body])
    assert len(world.await_asked(f"POST /_et/{path}", 1)) >= 1
    assert cookies_of(page.context) == before


# Caches

ORIGIN = "https://www.shop.example"


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": ORIGIN},
        {"Origin": ORIGIN, "Sec-Fetch-Site": "same-site"},
        {"Origin": ORIGIN, "Sec-Fetch-Site": "cross-site"},
        {"Origin": "null"},
        {"Origin": f"{ORIGIN}.evil.example"},
        SAME_ORIGIN,
        {},
    ],
)
def test_an_answer_for_one_origin_is_no_others(make: MakeHost, headers: dict[str, str]) -> None:
    """An answer that lets an origin read names it, and varies by it; others are not cacheable."""
    client = make({"EVENTTRACK_ALLOWED_ORIGINS": [ORIGIN]}).client(CHROME)
    bodies = '{"action": "button.click", "choice": "full"}', "{", ""
    paths = "in", "identify", "logout", "consent"
    for method, path, body in itertools.product(("POST", "OPTIONS"), paths, bodies):
        found = client.open(
            f"/_et/{path}", method=method, headers=headers, data=body, content_type="text/plain"
        ).headers
        cors = ["Access-Control-Allow-Origin", "Access-Control-Allow-Credentials", "Vary"]
        if headers.get("Origin") == ORIGIN:
            assert [found[name] for name in cors] == [ORIGIN, "true", "Origin"]
        else:
            assert [name for name in cors if name in found] == []
            assert found["Cache-Control"] == "no-store"
