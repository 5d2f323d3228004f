"""Through HTTP: the page's tag, and the half that a browser sends for it."""

from __future__ import annotations

import datetime as dt
import html
import itertools
import re
import typing as t
import uuid as uuidlib

import pytest
from flask import Flask, Response, make_response, render_template_string, request
from flask.testing import FlaskClient

from flask_eventtrack import identify, logout
from flask_eventtrack.ids import uuid7

from ..conftest import MakeHost
from ..hosts import CHROME, NAVIGATION, SAME_ORIGIN, Host
from ..store.records import at, recount, the_session, totals

# Through HTTP: the page's tag, and what a browser makes of it


def add_cached_pages(app: Flask) -> None:
    page = "<title>Cached</title>{{ eventtrack_snippet() }}"

    @app.get("/tagged")
    def tagged() -> Response:
        response = make_response(render_template_string(page))
        response.set_etag("v1")
        return t.cast("Response", response.make_conditional(request))

    app.get("/login", endpoint="login")(lambda: f"{identify('42')}")

    @app.get("/logout")
    def leave() -> str:
        logout()
        return "bye"

    @app.get("/public")
    def public() -> Response:
        response = make_response(render_template_string(page))
        response.cache_control.public = True
        response.cache_control.max_age = 3600
        return response


@pytest.fixture
def pair(make: MakeHost, database_url: str) -> tuple[Host, Host]:
    """Two processes of one app, as far as the database can tell, on each kind of it."""
    first = make(url=database_url)
    second = make(url=database_url, create=False)
    for host in (first, second):
        add_cached_pages(host.app)
    return first, second


@pytest.fixture
def site(pair: tuple[Host, Host]) -> Host:
    return pair[0]


def read_tag(response: t.Any) -> str:
    found = re.search(r'data-visit="([^"]+)"', response.text)
    assert found is not None
    return html.unescape(found[1])


def load(client: FlaskClient, path: str = "/", **headers: str) -> str:
    """Open a page and return the ``data-visit`` of its tag."""
    return read_tag(client.get(path, headers={**NAVIGATION, **headers}))


def a_half(host: Host, visit: str | None, path: str = "/", **fields: t.Any) -> dict[str, t.Any]:
    """Return what the snippet posts of a page that it shows."""
    event_id = str(uuid7(host.clock()))
    params = {"url": f"http://localhost{path}", "title": "As shown"} | fields.pop("params", {})
    half = {"action": "page.visit", "event_id": event_id, "page": event_id, "params": params}
    return half | ({"visit": visit} if visit else {}) | fields


def post(client: FlaskClient, *events: dict[str, t.Any]) -> list[str]:
    """Post as the snippet does; return the status of each event."""
    answer = client.post("/_et/in", json={"events": events}, headers=SAME_ORIGIN)
    assert answer.status_code == 202
    return [result["status"] for result in answer.get_json()["results"]]


def show(client: FlaskClient, host: Host, visit: str | None, path: str = "/") -> dict[str, t.Any]:
    """Run the page's script."""
    half = a_half(host, visit, path)
    assert post(client, half) == ["accepted"]
    return half


def visits(host: Host) -> list[dict[str, t.Any]]:
    """Return the visits in order, and check the totals on the way."""
    assert totals(host) == recount(host)
    return host.events_of("page.visit")


def claims(host: Host) -> list[tuple[str, str | None]]:
    """Return path and ``claimed_by`` of each visit."""
    return [
        (row["params"]["path"], str(row["claimed_by"]) if row["claimed_by"] else None)
        for row in visits(host)
    ]


def with_cookies_of(host: Host, client: FlaskClient) -> FlaskClient:
    """Return a client of another process of the app, with the same browser's cookies."""
    other = host.client()
    other._cookies = client._cookies
    return other


def test_both_witnesses_are_one_row(site: Host) -> None:
    """The visit has what the server knows and what only the browser knows; it is counted once."""
    client = site.client()
    tag = load(client, "/", Referer="http://blog.example/")
    site.clock.advance(seconds=1)
    half = a_half(site, tag, params={"viewport": "800x600", "colour": "red"})
    assert post(client, half) == ["accepted"]
    [row] = visits(site)
    assert row["params"] == {
        "url": "http://localhost/",
        "path": "/",
        "endpoint": "home",
        "url_rule": "/",
        "referrer": "http://blog.example/",
        "title": "As shown",
        "status": 200,
        "duration_ms": 0.0,
        "viewport": "800x600",
        "colour": "red",
    }
    assert (row["label"], str(row["claimed_by"])) == ("Visited page As shown", half["event_id"])
    assert (row["url_rule"], row["source"], row["undefined"]) == ("/", "server", ["colour"])
    assert site.actions() == {"page.visit": 1, "session.start": 1}
    session = the_session(site)
    assert (session["pages"], session["events"]) == (1, 1)
    assert (session["source"], session["referrer"]) == ("blog.example", "http://blog.example/")


@pytest.mark.parametrize("server_first", [True, False])
def test_the_order_of_two_processes_does_not_matter(
    pair: tuple[Host, Host], *, server_first: bool
) -> None:
    """One process answers the page, another takes the post: whoever writes first, one row."""
    first, second = pair
    client = first.client()
    tag = load(client)
    first.clock.advance(seconds=1)
    half = show(with_cookies_of(second, client), second, tag)
    for host in (first, second) if server_first else (second, first):
        host.flush()
    [row] = visits(first)
    assert (str(row["claimed_by"]), row["params"]["status"]) == (half["event_id"], 200)
    assert (row["time"], row["source"]) == (at(0), "server")
    session = the_session(first)
    assert (session["pages"], session["events"], session["last_seen_at"]) == (1, 1, at(1))
    assert (session["entry"], session["entry_at"], session["started_at"]) == ("/", at(0), at(0))
    assert first.actions() == {"page.visit": 1, "session.start": 1}


def test_no_script_is_a_visit_all_the_same(site: Host) -> None:
    """A page without its script counts, seen by the server only."""
    load(site.client())
    assert claims(site) == [("/", None)]


def test_a_half_alone_is_a_visit_with_its_rule(site: Host) -> None:
    """Before the server's half is there, the totals know the host's rule for the URL already."""
    half = a_half(site, None, "/products/mug?utm_source=mail")
    assert post(site.client(), half) == ["accepted"]
    [row] = visits(site)
    assert (row["url_rule"], row["params"]["url_rule"]) == ("/products/<slug>",) * 2
    assert (row["params"]["path"], row["params"]["utm_source"]) == ("/products/mug", "mail")
    assert (row["source"], str(row["id"]), row["claimed_by"]) == ("browser", half["event_id"], None)


def test_a_browser_cannot_say_what_the_server_knows(site: Host) -> None:
    """Status, endpoint and rule are the server's; a browser's are not taken."""
    client = site.client()
    forged = {"status": 500, "endpoint": "x", "url_rule": "/x", "path": "/x", "duration_ms": 9.0}
    post(client, a_half(site, load(client), params=forged), a_half(site, None, params=forged))
    joined, alone = sorted(visits(site), key=lambda row: row["source"], reverse=True)
    assert (joined["params"]["status"], joined["params"]["path"]) == (200, "/")
    assert alone["params"]["path"] == alone["params"]["url_rule"] == "/"
    assert not {"status", "endpoint", "duration_ms"} & alone["params"].keys()


@pytest.mark.parametrize("flush_between", [True, False])
def test_a_doubled_post_is_one_visit(pair: tuple[Host, Host], *, flush_between: bool) -> None:
    """The same event again, to this process or another, is a duplicate."""
    first, second = pair
    client = first.client()
    half = show(client, first, load(client))
    if flush_between:
        first.flush()
    assert post(client, half, half) == ["duplicate", "duplicate"]
    assert post(with_cookies_of(second, client), half) == ["accepted"]
    second.flush()
    assert claims(first) == [("/", half["event_id"])]
    assert the_session(first)["pages"] == 1


@pytest.mark.parametrize("order", list(itertools.permutations(range(2))))
def test_a_304_is_a_visit_under_the_old_tag(
    pair: tuple[Host, Host], order: tuple[int, ...]
) -> None:
    """A revalidated page shows the tag of the first visit; the second joins its own server half."""
    first, second = pair
    client = first.client()
    tag = load(client, "/tagged")
    show(client, first, tag, "/tagged")
    first.flush()
    first.clock.advance(seconds=20)
    answer = client.get("/tagged", headers={**NAVIGATION, "If-None-Match": '"v1"'})
    assert answer.status_code == 304
    first.clock.advance(seconds=1)
    again = show(with_cookies_of(second, client), second, tag, "/tagged")
    for index in order:
        pair[index].flush()
    rows = visits(first)
    assert [row["params"].get("status") for row in rows] == [200, 304]
    assert str(rows[1]["claimed_by"]) == again["event_id"]
    assert [row["time"] for row in rows] == [at(0), at(20)]
    assert (the_session(first)["pages"], the_session(first)["events"]) == (2, 2)


def test_the_back_forward_cache_is_a_visit_of_its_own(site: Host) -> None:
    """A page shown again without a request is another visit, with an id of its own."""
    client = site.client()
    tag = load(client)
    halves = []
    for _ in range(3):
        halves.append(show(client, site, tag))
        site.clock.advance(seconds=30)
    assert claims(site) == [("/", half["event_id"]) for half in halves]
    assert [row["params"].get("status") for row in visits(site)] == [200, None, None]
    assert (the_session(site)["pages"], the_session(site)["events"]) == (3, 3)


def test_a_cdn_s_page_counts_for_each_browser(site: Host) -> None:
    """One tag shown by many newcomers: each is a visit, a device and a session; no server half."""
    origin = site.client().get("/public", headers=NAVIGATION)
    assert "Set-Cookie" not in origin.headers
    tag = read_tag(origin)
    halves = []
    for _ in range(5):
        site.clock.advance(seconds=1)
        halves.append(show(site.client(), site, tag, "/public"))
    assert claims(site) == [("/public", half["event_id"]) for half in halves]
    assert site.actions() == {"page.visit": 5, "session.start": 5}
    sessions = site.rows("session")
    assert len({row["device_id"] for row in sessions}) == 5
    assert [(row["pages"], row["events"]) for row in sessions] == [(1, 1)] * 5


def test_a_newcomer_to_a_public_page_stays_one_device(site: Host) -> None:
    """The collector's answer hands out what the page could not; clicks follow in that session."""
    client = site.client()
    half = show(client, site, load(client, "/public"), "/public")
    click = {"action": "button.click", "page": half["page"], "visit": half["visit"]}
    assert post(client, click) == ["accepted"]
    load(client)
    assert site.actions() == {"page.visit": 2, "session.start": 1, "button.click": 1}
    assert (the_session(site)["pages"], the_session(site)["events"]) == (2, 3)


def test_a_public_page_is_joined_for_who_has_been_here(site: Host) -> None:
    """A returning visitor's request is seen by the server too: still one visit."""
    client = site.client()
    load(client)
    site.clock.advance(seconds=5)
    tag = load(client, "/public")
    half = show(client, site, tag, "/public")
    assert claims(site) == [("/", None), ("/public", half["event_id"])]
    assert (the_session(site)["pages"], the_session(site)["events"]) == (2, 2)


@pytest.mark.parametrize("server_first", [True, False])
def test_a_browser_without_cookies_joins(pair: tuple[Host, Host], *, server_first: bool) -> None:
    """Refused cookies: the signed tag identifies the visit, in either order."""
    first, second = pair
    tag = read_tag(first.app.test_client(use_cookies=False).get("/", headers=NAVIGATION))
    browser = second.app.test_client(use_cookies=False)
    first.clock.advance(seconds=1)
    half = a_half(second, tag)
    click = {"action": "button.click", "page": half["page"], "visit": tag}
    assert post(browser, half, click) == ["accepted"] * 2
    for host in (first, second) if server_first else (second, first):
        host.flush()
    assert claims(first) == [("/", half["event_id"])]
    session = the_session(first)
    assert (session["pages"], session["events"]) == (1, 2)
    assert first.actions() == {"page.visit": 1, "session.start": 1, "button.click": 1}
    rows = [row for row in first.rows("event") if row["action"] != "session.start"]
    assert {(row["uuid"], row["session_id"]) for row in rows} == {(session["uuid"], session["id"])}


def test_another_device_s_tag_is_not_joined(site: Host) -> None:
    """A tag that was signed for another device claims nothing: this is a separate visit."""
    owner, thief = site.client(), site.client()
    tag = load(owner)
    site.clock.advance(seconds=1)
    thief.get("/products/mug", headers=NAVIGATION)
    site.clock.advance(seconds=1)
    half = show(thief, site, tag)
    assert claims(site) == [("/", None), ("/products/mug", None), ("/", None)]
    own = visits(site)[-1]
    assert (str(own["id"]), own["source"]) == (half["event_id"], "browser")
    assert [row["pages"] for row in sorted(site.rows("session"), key=lambda s: s["pages"])] == [
        1,
        2,
    ]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda tag: tag[:-9] + ("A" if tag[-9] != "A" else "B") + tag[-8:],
        lambda tag: tag[1:],
        lambda tag: "",
        lambda tag: "x" * 2000,
        lambda tag: "é\0" + tag,
        lambda tag: str(uuidlib.uuid4()),
    ],
    ids=["signature", "payload", "empty", "long", "unicode", "bare id"],
)
def test_a_forged_tag_is_not_joined(host: Host, spoil: t.Callable[[str], str]) -> None:
    """A tag that we did not sign claims nothing, and is no error."""
    client = host.client()
    tag = load(client)
    host.clock.advance(seconds=1)
    half = show(client, host, spoil(tag))
    assert claims(host) == [("/", None), ("/", None)]
    assert str(visits(host)[1]["id"]) == half["event_id"]


def test_a_tag_of_another_app_is_not_joined(make: MakeHost) -> None:
    """A tag is signed with the app's own key."""
    host, other = make(), make({"SECRET_KEY": "another secret for tests"})
    show(host.client(), host, load(other.client()))
    assert claims(host) == [("/", None)]


# What was kept for somebody who may not be here any more


def csrf_of(client: FlaskClient) -> str:
    cookie = client.get_cookie("eventtrack_csrf")
    return cookie.value if cookie else ""


def post_kept(host: Host, *events: dict[str, t.Any], csrf: str) -> list[str]:
    """Post as the snippet does what was kept for another profile than the present one."""
    body = {"events": events, "by_visit": True, "csrf_token": csrf}
    browser = host.app.test_client(use_cookies=False)
    answer = browser.post("/_et/in", json=body, headers={"User-Agent": CHROME, **SAME_ORIGIN})
    return [result["status"] for result in answer.get_json()["results"]]


def owners(host: Host, action: str) -> dict[str, tuple[uuidlib.UUID, uuidlib.UUID | None]]:
    """Return profile and session of the events of an action, by their ids."""
    return {str(row["id"]): (row["uuid"], row["session_id"]) for row in host.events_of(action)}


def a_click(page: dict[str, t.Any] | str, visit: str | None = None) -> dict[str, t.Any]:
    page = page if isinstance(page, str) else page["page"]
    click = {"action": "button.click", "event_id": str(uuidlib.uuid4()), "page": page}
    return click | ({"visit": visit} if visit else {})


@pytest.mark.parametrize("server_first", [True, False])
def test_a_customer_s_kept_visit_joins_after_the_log_out(
    pair: tuple[Host, Host], *, server_first: bool
) -> None:
    """It is one visit, the customer's, in their session, whoever writes first; so is its click."""
    first, second = pair
    client = first.client()
    client.get("/login", headers=NAVIGATION)
    first.clock.advance(seconds=5)
    tag = load(client)
    half = a_half(second, tag)
    first.clock.advance(seconds=5)
    client.get("/logout", headers=NAVIGATION)
    click = a_click(half, tag)
    for host in (second, first):  # and again, to a process that does not know
        assert post_kept(host, click, half, csrf=csrf_of(client)) == ["accepted"] * 2
    for host in (first, second) if server_first else (second, first):
        host.flush()
    assert claims(first) == [("/login", None), ("/", half["event_id"]), ("/logout", None)]
    rows = first.events_of("page.visit")
    assert rows[1]["uuid"].version == 5
    assert owners(first, "button.click")[click["event_id"]] == (
        rows[1]["uuid"],
        rows[1]["session_id"],
    )
    sessions = {row["id"]: (row["pages"], row["events"]) for row in first.rows("session")}
    assert sessions == {rows[0]["session_id"]: (2, 5), rows[2]["session_id"]: (1, 1)}


@pytest.mark.parametrize("shown", ["no token", "another device's token", "nonsense"])
def test_a_customer_s_visit_is_joined_by_its_own_device_only(site: Host, shown: str) -> None:
    """With a stolen tag, no one can add to the customer's history."""
    client, thief = site.client(), site.client()
    client.get("/login", headers=NAVIGATION)
    tag = load(client)
    load(thief, "/public")
    half = show(thief, site, None, "/public")
    tokens = {"no token": "", "another device's token": csrf_of(thief), "nonsense": "x.y"}
    half = a_half(site, tag)
    site.flush()
    assert post_kept(site, half, a_click(half, tag), csrf=tokens[shown]) == ["accepted"] * 2
    [customers] = [row for row in visits(site) if row["params"].get("endpoint") == "home"]
    assert (customers["uuid"].version, customers["claimed_by"]) == (5, None)
    [clicker] = owners(site, "button.click").values()
    assert clicker == owners(site, "page.visit")[half["event_id"]]
    assert clicker[0].version == 4


@pytest.mark.parametrize("together", [True, False])
def test_kept_events_of_a_soft_page_are_its_visitor_s(
    pair: tuple[Host, Host], *, together: bool
) -> None:
    """A page that only the browser has seen has no tag: its own id identifies its owner."""
    first, second = pair
    client = first.client()
    client.get("/login", headers=NAVIGATION)
    show(client, first, load(client))
    first.clock.advance(seconds=5)
    soft = a_half(first, None, "/products/mug")
    assert post(client, soft) == ["accepted"]
    if not together:
        first.flush()
    client.get("/logout", headers=NAVIGATION)
    known, lost = a_click(soft), a_click(str(uuid7(second.clock())))
    host = first if together else second
    assert post_kept(host, known, lost, csrf=csrf_of(client)) == ["accepted"] * 2
    host.flush()
    profile, session_id = owners(first, "page.visit")[soft["event_id"]]
    clickers = owners(first, "button.click")
    assert profile.version == 5
    assert clickers[known["event_id"]] == (profile, session_id)
    assert clickers[lost["event_id"]][0] not in {row["uuid"] for row in visits(first)}
    sessions = {row["id"]: (row["pages"], row["events"]) for row in first.rows("session")}
    assert sessions[session_id] == (3, 6)


@pytest.mark.parametrize("claimed", [True, False])
def test_a_visit_s_own_id_is_no_key_to_it(site: Host, *, claimed: bool) -> None:
    """It can be read in the page's tag; the key is the id that the browser has made."""
    client = site.client()
    tag = load(client)
    if claimed:
        show(client, site, tag)
    [row] = visits(site)
    click = a_click(str(row["id"]))
    post_kept(site, click, csrf="")
    assert owners(site, "button.click")[click["event_id"]][0] != row["uuid"]


def test_a_kept_event_of_an_old_page_moves_no_session(site: Host) -> None:
    """The soft visit arrived late itself, and is older than its session."""
    client = site.client()
    load(client)
    early = (site.clock.moment - dt.timedelta(hours=1)).isoformat()
    soft = a_half(site, None, "/products/mug", time=early)
    assert post(client, soft) == ["accepted"]
    site.flush()
    click = a_click(soft) | {"time": early}
    assert post_kept(site, click, csrf=csrf_of(client)) == ["accepted"]
    assert (
        owners(site, "button.click")[click["event_id"]]
        == (owners(site, "page.visit")[soft["event_id"]])
    )
    session = the_session(site)
    assert (session["started_at"], session["last_seen_at"], session["events"]) == (at(0), at(0), 3)


@pytest.mark.parametrize("server_first", [True, False])
def test_a_visit_keeps_the_route_that_only_the_browser_knows(
    make: MakeHost, database_url: str, *, server_first: bool
) -> None:
    """No browser sends a fragment with its request; the rest of the URL is the server's."""
    config = {"EVENTTRACK_SPA": "hash"}
    first = make(config, url=database_url)
    second = make(config, url=database_url, create=False)
    client = first.client()
    tag = load(client, "/?q=1")
    half = a_half(second, tag, params={"url": "http://localhost/?q=2#/inbox?token=x"})
    assert post(with_cookies_of(second, client), half) == ["accepted"]
    for host in (first, second) if server_first else (second, first):
        host.flush()
    [row] = visits(first)
    assert (row["params"]["url"], row["params"]["path"]) == ("http://localhost/?q=1#/inbox", "/")
