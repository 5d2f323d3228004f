from __future__ import annotations

import datetime as dt
import html
import itertools
import multiprocessing
import re
import threading
import typing as t
import uuid as uuidlib

import hypothesis
import pytest
import sqlalchemy as sa
from flask import Flask, Response, make_response, render_template_string, request
from flask.testing import FlaskClient
from hypothesis import strategies as st

from flask_eventtrack import identify, logout
from flask_eventtrack.ids import uuid7
from flask_eventtrack.records import Claim, Event
from flask_eventtrack.store import Batch, write_batch

from .conftest import MakeHost
from .hosts import CHROME, NAVIGATION, SAME_ORIGIN, FakeClock, Host, make_host
from .test_store import (
    DEVICE,
    a_page,
    an_event,
    an_id,
    at,
    contents,
    quality,
    recount,
    session_of,
    the_session,
    totals,
    write,
)

STRANGER = uuidlib.UUID("22222222-2222-4222-8222-222222222222")
CUSTOMER = uuidlib.uuid5(DEVICE, "42")


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
    """Refused cookies: the signed tag tells whose visit it is, in either order."""
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
    """A tag that was signed for somebody else claims nothing: the visit is its own."""
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
    """Who has got hold of a customer's tag adds nothing to the customer's history by it."""
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
    """A page that the browser alone has seen has no tag: its own id says whose it was."""
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
    """The soft visit came late itself, and lies before its session."""
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


# In the store: the halves as the writer meets them


def server_half(path: str = "/", seconds: float = 0, **fields: t.Any) -> Event:
    return a_page(path, seconds, **fields)


def browser_half(
    claim: Event | None, seconds: float = 1, path: str = "/", **fields: t.Any
) -> Event:
    """Return the browser's half of a page; ``claim`` is the server's half that its tag names."""
    params = {"url": f"http://localhost{path}", "path": path, "title": "As shown", "url_rule": path}
    given: dict[str, t.Any] = {
        "id": an_id(seconds),
        "params": params | {"viewport": "800x600"},
        "half": "browser",
        "source": "browser",
        "url_rule": path,
        "claim": Claim(claim.id) if claim else None,
    }
    return an_event("page.visit", seconds, **given | fields)


def cookieless(event: Event, claim: Event, device: uuidlib.UUID = STRANGER) -> Event:
    """Return a browser's event as the collector makes it where the cookies were refused."""
    fields = {name: getattr(event, name) for name in event.__struct_fields__}
    fields |= {"uuid": device, "session": session_of(device, start=1)}
    return Event(**fields | {"claim": Claim(claim.id, cookieless=True)})


def kept(event: Event, claim: Event | None = None) -> Event:
    """Return an event as the collector makes it where another profile's page has kept it."""
    fields = {name: getattr(event, name) for name in event.__struct_fields__}
    fields |= {"uuid": STRANGER, "session": session_of(STRANGER, start=1)}
    named = claim.id if claim else event.page
    assert named is not None
    return Event(**fields | {"claim": Claim(named, cookieless=True, kept=True)})


def clear(host: Host) -> None:
    database = host.state.pipeline.database
    with database.begin() as connection:
        for table in database.tables.all():
            connection.execute(table.delete())


SERVER = server_half()
BROWSER = browser_half(SERVER)
CLICK = an_event("button.click", 2, source="browser", page=BROWSER.id, claim=Claim(SERVER.id))
TRACKED = an_event("order.ship", 3)
STORY = (SERVER, BROWSER, CLICK, TRACKED)


def in_batches(host: Host, *batches: t.Sequence[Event]) -> dict[str, t.Any]:
    """Write batches into empty tables; return what the tables then hold."""
    clear(host)
    for batch in batches:
        write(host, *batch)
    assert totals(host) == recount(host)
    return contents(host)


def test_every_order_and_split_of_a_visit_is_the_same(db_host: Host) -> None:
    """Halves and events in any order, in one batch or two, leave the very same tables."""
    expected = in_batches(db_host, STORY)
    assert db_host.actions()["page.visit"] == 1
    for order in list(itertools.permutations(STORY))[1:]:
        assert in_batches(db_host, order) == expected
        assert in_batches(db_host, order[:2], order[2:]) == expected


def test_replayed_halves_change_nothing(db_host: Host) -> None:
    """Each half doubled in its batch, and both batches replayed in either order."""
    expected = in_batches(db_host, [SERVER], [BROWSER])
    for first, second in itertools.permutations([SERVER, BROWSER]):
        assert in_batches(db_host, [first, first, second], [second, first]) == expected
        assert in_batches(db_host, [first], [first], [second], [second], [first]) == expected


def test_the_quality_of_a_visit_does_not_depend_on_the_order(db_host: Host) -> None:
    """An undefined parameter of the browser's half is counted, whichever half is first."""
    browser = browser_half(SERVER, undefined=("colour",))
    found = []
    for halves in itertools.permutations([SERVER, browser]):
        in_batches(db_host, *([half] for half in halves))
        found.append(quality(db_host))
    expected = {("accepted", "page.visit", ""): 1, ("undefined", "page.visit", "colour"): 1}
    assert found == [expected, expected]


@pytest.mark.parametrize("split", [False, True])
def test_refused_cookies_in_every_order_are_one_session(host: Host, *, split: bool) -> None:
    """Without cookies, halves and clicks end in the server's session, whichever comes first."""
    events = [SERVER, cookieless(BROWSER, SERVER), cookieless(CLICK, SERVER)]
    expected = in_batches(host, events)
    found = [(row["id"], row["device_id"], row["uuid"]) for row in expected["session"]]
    assert found == [(session_of(DEVICE).id, DEVICE, DEVICE)]
    wrong = []
    for order in itertools.permutations(events):
        batches = [[event] for event in order] if split else [list(order)]
        if in_batches(host, *batches) != expected:
            wrong.append([event.action + event.half for event in order])
    assert wrong == []


@pytest.mark.parametrize("split", [False, True])
def test_a_customer_s_kept_events_in_every_order_are_one_session(
    db_host: Host, *, split: bool
) -> None:
    """Sent without cookies, halves and clicks end in the customer's session all the same."""
    server = server_half(uuid=CUSTOMER)
    events = [server, kept(BROWSER, server), kept(CLICK)]
    expected = in_batches(db_host, events)
    assert [(row["uuid"], row["device_id"]) for row in expected["session"]] == [(CUSTOMER, DEVICE)]
    assert {row["uuid"] for row in expected["event"]} == {CUSTOMER}
    wrong = []
    for order in itertools.permutations(events):
        batches = [[event] for event in order] if split else [list(order)]
        if in_batches(db_host, *batches, *batches) != expected:
            wrong.append([event.action + event.half for event in order])
    assert wrong == []


def test_a_customer_s_page_out_of_a_cache_is_a_visit_of_its_own(db_host: Host) -> None:
    """A browser that has no cookies shows it: logging in would have taken some."""
    server = server_half(uuid=CUSTOMER)
    in_batches(db_host, [server, cookieless(BROWSER, server), cookieless(CLICK, server)])
    assert [(row["uuid"], row["claimed_by"]) for row in db_host.events_of("page.visit")] == [
        (CUSTOMER, None),
        (STRANGER, BROWSER.id),
    ]
    assert [row["uuid"] for row in db_host.events_of("button.click")] == [STRANGER]


def test_a_moved_visit_takes_its_session_along(db_host: Host) -> None:
    """The session that a browser half opened for a while leaves nothing behind."""
    in_batches(db_host, [cookieless(BROWSER, SERVER)])
    assert [row["device_id"] for row in db_host.rows("session")] == [STRANGER]
    write(db_host, SERVER)
    assert [row["device_id"] for row in db_host.rows("session")] == [DEVICE]
    assert db_host.actions() == {"page.visit": 1, "session.start": 1}
    assert {row["session_id"] for row in db_host.rows("event")} == {session_of(DEVICE).id}
    assert totals(db_host) == recount(db_host)


@pytest.mark.parametrize("split", [False, True])
@pytest.mark.parametrize(
    "later",
    [
        an_event("order.ship", 4, uuid=CUSTOMER, session=session_of(STRANGER, start=1)),
        an_event("order.ship", 1.2, uuid=CUSTOMER, session=session_of(STRANGER, start=1)),
        server_half("/next", 4, uuid=STRANGER, session=session_of(STRANGER, start=1)),
    ],
    ids=["a log-in", "an earlier log-in", "another page"],
)
def test_who_goes_on_with_cookies_is_nobody_else(
    db_host: Host, later: Event, *, split: bool
) -> None:
    """A page out of a cache names a visit of another's: what its reader does next is their own."""
    events = [SERVER, cookieless(CLICK, SERVER), cookieless(BROWSER, SERVER), later]
    for order in itertools.permutations(events):
        in_batches(db_host, *([[event] for event in order] if split else [list(order)]))
        [row] = [row for row in db_host.rows("event") if row["id"] == later.id]
        assert (row["uuid"], row["session_id"]) == (later.uuid, session_of(STRANGER).id)
        rows = [row for row in db_host.rows("event") if not row["action"].startswith("session.")]
        for session in db_host.rows("session"):
            own = [row for row in rows if row["session_id"] == session["id"]]
            pages = [row for row in own if row["action"] == "page.visit"]
            assert (session["events"], session["pages"]) == (len(own), len(pages))
        assert {row["session_id"] for row in rows} == {s["id"] for s in db_host.rows("session")}


def test_the_first_to_claim_wins(db_host: Host) -> None:
    """Of many browsers that show one tag, one joins the server; each other is its own visit."""
    others = [browser_half(SERVER, 10 + n, session=None) for n in range(4)]
    for order in ([SERVER, BROWSER, *others], [BROWSER, *others, SERVER]):
        in_batches(db_host, order[:3], order[3:], order)
        rows = db_host.events_of("page.visit")
        assert [row["id"] for row in rows] == [SERVER.id, *(other.id for other in others)]
        assert [row["claimed_by"] for row in rows] == [BROWSER.id, *(o.id for o in others)]
        assert ["status" in row["params"] for row in rows] == [True, *[False] * 4]


RELOADED = server_half(seconds=20, params={"status": 304})
RESHOWN = browser_half(SERVER, 21)


HALVES = {"page": SERVER, "shown": BROWSER, "304": RELOADED, "shown again": RESHOWN}
_ORDERS = [" < ".join(order) for order in itertools.permutations(HALVES)]


def visits_of_order(host: Host, order: str) -> list[tuple[int | None, uuidlib.UUID | None]]:
    in_batches(host, *([HALVES[name]] for name in order.split(" < ")))
    rows = host.events_of("page.visit")
    return [(row["params"].get("status"), row["claimed_by"]) for row in rows]


def test_every_order_of_a_304_is_two_visits(host: Host) -> None:
    """A page and its revalidation: two visits, each with both halves, whoever writes first."""
    found = {
        order: visits_of_order(host, order)
        for order in _ORDERS
        if order.split(" < ").index("shown") < order.split(" < ").index("shown again")
    }
    expected = [(200, BROWSER.id), (304, RESHOWN.id)]
    assert len(found) == 12
    assert {order: rows for order, rows in found.items() if rows != expected} == {}


def test_a_304_shown_before_the_page_was_is_two_visits(host: Host) -> None:
    """The reload's browser half is written before the first page's: there are two visits still."""
    found = {order: visits_of_order(host, order) for order in _ORDERS}
    counts = {order: len(rows) for order, rows in found.items()}
    assert {order: count for order, count in counts.items() if count != 2} == {}


@pytest.mark.parametrize(
    ("seconds", "joined"), [(59.999999, True), (60, True), (60.000001, False), (3000, False)]
)
@pytest.mark.parametrize("server_first", [True, False])
def test_an_old_tag_joins_what_the_server_did_within_a_minute(
    host: Host, seconds: float, *, joined: bool, server_first: bool
) -> None:
    """A 304 a minute ago is this page; after that the browser's visit is its own."""
    reshown = browser_half(SERVER, 20 + seconds)
    halves = [RELOADED, reshown] if server_first else [reshown, RELOADED]
    in_batches(host, [SERVER, BROWSER], *([half] for half in halves))
    assert len(host.events_of("page.visit")) == (2 if joined else 3)
    assert the_session(host)["pages"] == (2 if joined else 3)


@pytest.mark.parametrize(
    "other",
    [
        {"path": "/b"},
        {"session": session_of(STRANGER), "uuid": STRANGER},
        {"session": session_of(DEVICE, 2, 20)},
    ],
    ids=["path", "device", "session"],
)
def test_an_old_tag_joins_only_the_same_session_and_path(
    host: Host, other: dict[str, t.Any]
) -> None:
    """An unclaimed visit of another page, device or session is left alone."""
    path = other.pop("path", "/")
    reloaded = server_half(path, 20, params={"status": 304}, **other)
    for order in ([reloaded], [RESHOWN]), ([RESHOWN], [reloaded]):
        in_batches(host, [SERVER, BROWSER], *order)
        assert [row["claimed_by"] for row in host.events_of("page.visit")] == [
            BROWSER.id,
            None,
            RESHOWN.id,
        ]


@pytest.mark.parametrize("together", [(0,), (0, 1), (0, 2), (0, 1, 2)])
def test_pages_shown_again_join_in_any_split(db_host: Host, together: tuple[int, ...]) -> None:
    """Ten visitors reload a page: whichever halves are written together, each has two visits."""
    devices = [uuidlib.UUID(int=n, version=4) for n in range(10)]
    parts: list[list[Event]] = [[], [], []]
    for n, device in enumerate(devices):
        mine: dict[str, t.Any] = {"session": session_of(device), "uuid": device}
        first = server_half(seconds=n / 100, **mine)
        shown = browser_half(first, 1 + n / 100, **mine)
        reloaded = server_half(seconds=20 + n / 100, params={"status": 304}, **mine)
        reshown = browser_half(first, 21 + n / 100, **mine)
        for part, events in zip(parts, ([first, shown], [reloaded], [reshown]), strict=True):
            part.extend(events)
    in_batches(
        db_host,
        [event for index in together for event in parts[index]],
        *(parts[index] for index in range(3) if index not in together),
    )
    rows = db_host.events_of("page.visit")
    assert [row["params"].get("status") for row in rows] == [200] * 10 + [304] * 10
    assert all(row["claimed_by"] for row in rows)
    assert {row["pages"] for row in db_host.rows("session")} == {2}


def test_a_200_never_joins_a_page_shown_again(host: Host) -> None:
    """Only a 304 shows an old tag: a fresh page brings its own, and its own browser half."""
    fresh = server_half(seconds=20)
    expected = in_batches(host, [SERVER, BROWSER], [RESHOWN], [fresh], [browser_half(fresh, 22)])
    assert len([row for row in expected["event"] if row["action"] == "page.visit"]) == 3


# From several processes


def _write_in_process(url: str, barrier: t.Any, events: list[Event], copies: int) -> None:
    clock = FakeClock()
    clock.advance(minutes=5)
    host = make_host(url, create=False, clock=clock)
    with host.state.pipeline.database.begin():
        pass
    barrier.wait(30)
    for event in events:
        host.state.pipeline.put(*[event] * copies)
        host.flush()
    host.close()


def run_processes(url: str, *parts: list[Event], copies: int = 1) -> None:
    """Write each part in a process of its own, all at once."""
    spawn = multiprocessing.get_context("spawn")
    barrier = spawn.Barrier(len(parts))
    processes = [
        spawn.Process(target=_write_in_process, args=(url, barrier, part, copies)) for part in parts
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0] * len(parts)


def test_two_processes_write_both_halves_at_once(db_host: Host, database_url: str) -> None:
    """Forty visits: one process has the servers' halves, two have the browsers', one clicks."""
    pages = [server_half(f"/{n}", n) for n in range(40)]
    shown = [browser_half(page, n + 0.5, f"/{n}") for n, page in enumerate(pages)]
    clicks = [an_event("button.click", n + 0.7) for n in range(40)]
    run_processes(database_url, pages, shown, shown[::-1], clicks, copies=2)
    rows = db_host.events_of("page.visit")
    assert [row["id"] for row in rows] == [page.id for page in pages]
    assert [row["claimed_by"] for row in rows] == [half.id for half in shown]
    assert {row["params"]["title"] for row in rows} == {"As shown"}
    assert {row["params"]["status"] for row in rows} == {200}
    assert db_host.actions() == {"page.visit": 40, "session.start": 1, "button.click": 40}
    session = the_session(db_host)
    assert (session["pages"], session["events"]) == (40, 80)
    assert (session["entry"], session["exit"]) == ("/0", "/39")
    assert totals(db_host) == recount(db_host)
    assert db_host.rows("rejected") == []


def test_two_processes_write_cookieless_halves_at_once(db_host: Host, database_url: str) -> None:
    """Thirty browsers without cookies: thirty sessions, and none of those opened for a while."""
    devices = [uuidlib.UUID(int=n, version=4) for n in range(60)]
    pages = [
        server_half(seconds=n, uuid=d, session=session_of(d, start=n))
        for n, d in enumerate(devices[:30])
    ]
    shown = [
        cookieless(browser_half(page, n + 0.5), page, device)
        for n, (page, device) in enumerate(zip(pages, devices[30:], strict=True))
    ]
    run_processes(database_url, pages, shown, pages[::-1], shown[::-1])
    assert db_host.actions() == {"page.visit": 30, "session.start": 30}
    assert {row["device_id"] for row in db_host.rows("session")} == set(devices[:30])
    assert {(row["pages"], row["events"]) for row in db_host.rows("session")} == {(1, 1)}
    assert totals(db_host) == recount(db_host)
    assert db_host.rows("rejected") == []


# The statement at which a second writer is known to wait, or to have made up its mind.
_WAITS_AT = {"sqlite": "IMMEDIATE", "postgresql": "FROM eventtrack_session", "mysql": "FOR UPDATE"}


def write_behind(host: Host, database_url: str, first: Event, second: Event) -> None:
    """Write ``second`` while ``first`` stands uncommitted: it waits for a lock, and goes on."""
    other = make_host(database_url, create=False, clock=host.clock)
    thread = threading.Thread(target=other.flush)
    is_waiting = threading.Event()
    database = host.state.pipeline.database
    with database.begin() as connection:
        sign = _WAITS_AT[connection.dialect.name]

        @sa.event.listens_for(other.state.pipeline.database._engine, "before_cursor_execute")
        def note(c: object, cursor: object, statement: str, *rest: object) -> None:
            if sign in statement:
                is_waiting.set()

        facts = host.state.pipeline._worker.writer._hooks.facts
        write_batch(connection, database.tables, Batch([first]), at(60), facts, lambda a, s: True)
        other.state.pipeline.put(second)
        thread.start()
        has_waited = is_waiting.wait(20)
    thread.join(20)
    other.close()
    assert has_waited
    assert not thread.is_alive()


@pytest.mark.parametrize("first", [0, 1])
def test_a_304_s_halves_that_are_written_at_once_are_one_visit(
    db_host: Host, database_url: str, first: int
) -> None:
    """The second writer must see the first one's half, although it was not committed yet."""
    halves = [RELOADED, RESHOWN]
    write(db_host, SERVER, BROWSER)
    write_behind(db_host, database_url, halves[first], halves[1 - first])
    assert [row["params"].get("status") for row in db_host.events_of("page.visit")] == [200, 304]
    assert [row["claimed_by"] for row in db_host.events_of("page.visit")] == [
        BROWSER.id,
        RESHOWN.id,
    ]
    assert (the_session(db_host)["pages"], the_session(db_host)["events"]) == (2, 2)


@pytest.mark.parametrize("first", [0, 1])
def test_halves_that_are_written_at_once_are_one_visit(
    db_host: Host, database_url: str, first: int
) -> None:
    """Both insert the same row: one of them finds it, and joins."""
    halves = [SERVER, BROWSER]
    write(db_host, TRACKED)
    write_behind(db_host, database_url, halves[first], halves[1 - first])
    [row] = db_host.events_of("page.visit")
    assert (row["id"], row["claimed_by"], row["time"]) == (SERVER.id, BROWSER.id, SERVER.time)
    assert (the_session(db_host)["pages"], the_session(db_host)["events"]) == (1, 2)
    assert totals(db_host) == recount(db_host)
    assert db_host.rows("rejected") == []


# Any order


_SETTINGS = hypothesis.settings(
    max_examples=60,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture],
)
_SECOND_VISIT = server_half("/b", 5)
_STORIES = (*STORY, _SECOND_VISIT, browser_half(_SECOND_VISIT, 6, "/b"))
_TAGS = [browser_half(SERVER, 10 + n, session=None) for n in range(3)]


@_SETTINGS
@hypothesis.given(
    extra=st.lists(st.sampled_from(_STORIES), max_size=6),
    data=st.data(),
    cut=st.integers(0, 12),
)
def test_any_arrival_of_events_ends_in_the_same_tables(
    host: Host, extra: list[Event], data: st.DataObject, cut: int
) -> None:
    """Permuted, repeated and split over two batches: the tables do not tell."""
    arrivals = data.draw(st.permutations([*_STORIES, *extra]))
    expected = in_batches(host, _STORIES)
    assert in_batches(host, arrivals[:cut], arrivals[cut:]) == expected


@_SETTINGS
@hypothesis.given(
    extra=st.lists(st.sampled_from(_TAGS), max_size=3), data=st.data(), cut=st.integers(0, 8)
)
def test_any_arrival_of_claims_is_as_many_visits(
    host: Host, extra: list[Event], data: st.DataObject, cut: int
) -> None:
    """Browsers that show one tag: whoever wins, each is one visit and the totals agree."""
    arrivals = data.draw(st.permutations([SERVER, *_TAGS, *extra]))
    in_batches(host, arrivals[:cut], arrivals[cut:])
    rows = host.events_of("page.visit")
    assert {row["claimed_by"] for row in rows} == {event.id for event in _TAGS}
    assert len(rows) == 3
    assert [row["id"] for row in rows if "status" in row["params"]] == [SERVER.id]
