"""Engagement through HTTP: from the script, from older scripts, from apps, and from strangers."""

from __future__ import annotations

import typing as t
import uuid as uuidlib

import pytest
from flask.testing import FlaskClient

from flask_eventtrack import current_visitor, track
from flask_eventtrack.errors import InvalidEvent
from flask_eventtrack.ids import uuid7
from flask_eventtrack.signals import event_accepted

from ..conftest import MakeHost
from ..hosts import NAVIGATION, SAME_ORIGIN, Host
from .posts import CLICK, error_of, post, post_one, quality, set_cookies, statuses
from .test_kept_events import open_page, post_kept, tag_of

MISSING = ("dropped", "page.engage", "no visit")


def engage(place: dict[str, str], **params: t.Any) -> dict[str, t.Any]:
    """Return what the script sends when a page is left."""
    given = params or {"visible_ms": 18_000, "scroll": 92}
    return {"action": "page.engage", "params": given, **place}


def seen(host: Host) -> list[tuple[int | None, int | None]]:
    rows = host.events_of("page.visit")
    return [(row["params"].get("visible_ms"), row["params"].get("scroll")) for row in rows]


def test_a_left_page_is_one_row(shop: Host) -> None:
    """The visit has it, and the session; a page that was only read is a bounce."""
    client = shop.client()
    place = open_page(client, shop)
    assert statuses(post(client, engage(place))) == ["accepted"]
    assert seen(shop) == [(18_000, 92)]
    [session] = shop.rows("session")
    assert (session["pages"], session["events"], session["visible_ms"]) == (1, 1, 18_000)
    assert shop.actions() == {"page.visit": 1, "session.start": 1}
    with shop.app.app_context():
        [event, _] = shop.events.feed(session["uuid"])
    assert event.label == "Visited page Home (18 s visible, 92 % read)"
    assert set(quality(shop)) == {("accepted", "page.visit", "")}


def test_a_visitor_sees_it_in_their_feed(shop: Host) -> None:
    """The row itself keeps its label."""
    shop.app.get("/mine", endpoint="mine")(lambda: [e.label for e in current_visitor.feed()])
    client = shop.client()
    post(client, engage(open_page(client, shop), visible_ms=75_000))
    shop.flush()
    assert client.get("/mine").get_json()[0] == "Visited page Home (1 min 15 s visible)"
    assert shop.events_of("page.visit")[0]["label"] == "Visited page Home"


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({"visible_s": 18.04, "scroll": 92}, (18_040, 92)),
        ({"visible_s": "18.04", "scroll": "92"}, (18_040, 92)),
        ({"visible_s": 18.04, "scroll": None}, (18_040, None)),
        ({"visible_ms": "18040", "url": "http://localhost/", "title": None}, (18_040, None)),
        ({"scroll": 40, "colour": "red"}, (None, 40)),
        ({"visible_ms": float("nan"), "scroll": 40}, (None, 40)),
        ({"visible_ms": 10**15, "scroll": 1e300}, (610_000, 100)),
    ],
)
def test_what_older_scripts_and_apps_send(
    shop: Host, params: dict[str, t.Any], expected: tuple[int | None, int | None]
) -> None:
    """Seconds become milliseconds; only these two values are kept, within bounds."""
    client = shop.client()
    place = open_page(client, shop)
    assert statuses(post(client, engage(place, **params))) == ["accepted"]
    assert seen(shop) == [expected]
    assert not {"colour", "visible_s"} & shop.events_of("page.visit")[0]["params"].keys()
    assert ("undefined", "page.engage", "colour") not in quality(shop)


@pytest.mark.parametrize(
    ("params", "name"),
    [
        ({"visible_ms": -1}, "visible_ms"),
        ({"visible_ms": 5, "scroll": -1}, "scroll"),
        ({"visible_s": -0.5}, "visible_s"),
        ({"visible_s": "NaN"}, "visible_s"),
        ({"visible_ms": {}}, "visible_ms"),
        ({"visible_ms": None, "scroll": None}, "visible_ms"),
        ({"visible_s": None}, "visible_s"),
        ({"url": "http://localhost/"}, "visible_ms"),
    ],
)
def test_what_tells_nothing_is_rejected(shop: Host, params: dict[str, t.Any], name: str) -> None:
    """And counted, as every rejected event; the visit stays as it is."""
    client = shop.client()
    place = open_page(client, shop)
    error = error_of(post_one(client, engage(place, **params)))
    assert (error["code"], error["param"]) == ("invalid_param", name)
    assert seen(shop) == [(None, None)]
    assert quality(shop)["rejected", "page.engage", "invalid_param"] == 1


def test_a_retry_is_no_duplicate_that_counts(shop: Host) -> None:
    """Its sender is told, and the counters are not."""
    client = shop.client()
    told = engage(open_page(client, shop)) | {"event_id": str(uuid7(shop.clock()))}
    assert statuses(post(client, told, told)) == ["accepted", "duplicate"]
    assert statuses(post(client, told)) == ["duplicate"]
    assert set(quality(shop)) == {("accepted", "page.visit", "")}


def test_a_page_that_is_left_late_opens_no_session(shop: Host) -> None:
    """After the timeout: no session, no cookie of one; the next page opens one as ever."""
    client = shop.client()
    place = open_page(client, shop)
    shop.clock.advance(hours=1)
    response = post(client, engage(place, visible_ms=3_000_000))
    assert client.get_cookie("eventtrack_session") is None or "eventtrack_session" not in (
        set_cookies(response)
    )
    assert seen(shop) == [(3_000_000, None)]
    assert [row["number"] for row in _sessions(shop)] == [1]
    client.get("/", headers=NAVIGATION)
    assert [row["number"] for row in _sessions(shop)] == [1, 2]
    [first, _] = shop.rows("session", "started_at")
    [end] = shop.events_of("session.end")
    assert (end["params"]["events"], first["visible_ms"]) == (1, 3_000_000)


def _sessions(host: Host) -> list[dict[str, t.Any]]:
    rows = host.rows("session", "started_at")
    return [row | {"number": number} for number, row in enumerate(rows, 1)]


def test_it_does_not_prolong_a_session(shop: Host) -> None:
    """Cookie and row agree: 28 minutes and another 28 without an event are two sessions."""
    client = shop.client()
    place = open_page(client, shop)
    shop.clock.advance(minutes=28)
    response = post(client, engage(place))
    assert set_cookies(response) == []
    shop.clock.advance(minutes=28)
    client.get("/", headers=NAVIGATION)
    assert len(shop.rows("session")) == 2
    [end] = shop.events_of("session.end")
    assert end["params"]["duration"] == 0


def test_with_an_event_in_the_post_a_session_goes_on(shop: Host) -> None:
    """The event is activity, whatever else is in the post."""
    client = shop.client()
    place = open_page(client, shop)
    shop.clock.advance(minutes=28)
    assert "eventtrack_session" in set_cookies(post(client, engage(place), {**CLICK, **place}))
    shop.clock.advance(minutes=28)
    client.get("/", headers=NAVIGATION)
    [session] = shop.rows("session")
    assert (session["events"], session["visible_ms"]) == (3, 18_000)


@pytest.mark.parametrize("path", ["/login", "/logout"])
@pytest.mark.parametrize("is_kept", [True, False])
def test_it_is_the_visit_s_whoever_the_visitor_is_now(
    shop: Host, path: str, *, is_kept: bool
) -> None:
    """After a log-in or log-out: sent with the new cookies, or without any as the script does."""
    client = shop.client()
    if path == "/logout":
        client.get("/login", headers=NAVIGATION)
    place = open_page(client, shop)
    client.get(path, headers=NAVIGATION)
    send = post_kept if is_kept else post
    assert statuses(send(client, engage(place))) == ["accepted"]
    found = {row["params"]["path"]: row["params"] for row in shop.events_of("page.visit")}
    assert (found["/"]["visible_ms"], found["/"]["scroll"]) == (18_000, 92)
    assert "visible_ms" not in found[path]


def forge(attacker: FlaskClient, place: dict[str, str]) -> dict[str, dict[str, t.Any]]:
    own = tag_of(attacker.get("/", headers=NAVIGATION))
    return {
        "page": engage({"page": place["page"]}),
        "tag": engage({"visit": place["visit"]}),
        "both": engage(place),
        "page and own tag": engage({"page": place["page"], "visit": own}),
        "made-up tag": engage({"page": place["page"], "visit": "x" * 90}),
    }


@pytest.mark.parametrize("kind", ["page", "tag", "both", "page and own tag", "made-up tag"])
def test_a_stranger_changes_nothing(shop: Host, kind: str) -> None:
    """Who knows the ids of somebody else's visit, and has cookies of their own."""
    place = open_page(shop.client(), shop)
    before = [row for row in shop.rows("event", "time") if row["action"] == "page.visit"]
    attacker = shop.client()
    forged = forge(attacker, place)[kind]
    assert statuses(post(attacker, forged)) == ["accepted"]
    after = {row["id"]: row for row in shop.events_of("page.visit")}
    assert after[before[0]["id"]] == before[0]
    assert [row["visible_ms"] for row in shop.rows("session")] == [0, 0]
    assert shop.rows("session", "started_at")[0]["events"] == 1
    assert quality(shop)[MISSING] == 1


def test_a_made_up_page_changes_nothing(shop: Host) -> None:
    """It is counted, and opens neither a session nor a profile."""
    client = shop.client()
    pages = [{"page": str(uuidlib.uuid4())}, {"page": "nonsense"}, {}]
    assert statuses(post(client, *map(engage, pages))) == ["accepted"] * 3
    assert (shop.rows("event"), shop.rows("session")) == ([], [])
    assert quality(shop) == {MISSING: 3}


def test_a_refusal_is_respected(shop: Host) -> None:
    """Who objects while a page is open is not measured any more, and an anonymous visit never."""
    client = shop.client()
    place = open_page(client, shop)
    client.post("/_et/consent", json={"choice": "anonymous"}, headers=SAME_ORIGIN)
    assert statuses(post(client, engage(place))) == ["rejected"]
    anonymous = tag_of(client.get("/", headers=NAVIGATION))
    assert statuses(post(client, engage({"visit": anonymous}))) == ["rejected"]
    client.post("/_et/consent", json={"choice": "full"}, headers=SAME_ORIGIN)
    assert statuses(post(client, engage({"visit": anonymous}))) == ["accepted"]
    assert seen(shop) == [(None, None), (None, None)]
    assert quality(shop)[MISSING] == 1


def test_a_client_cannot_write_it_into_a_visit(shop: Host) -> None:
    """In a page visit's own parameters it is ignored, as all that only the server knows."""
    client = shop.client()
    visit = tag_of(client.get("/", headers=NAVIGATION))
    page = str(uuid7(shop.clock()))
    params = {"url": "http://localhost/", "visible_ms": 10**15, "scroll": 10**15}
    half = {"action": "page.visit", "event_id": page, "page": page, "visit": visit}
    assert statuses(post(client, {**half, "params": params})) == ["accepted"]
    assert seen(shop) == [(None, None)]
    assert shop.rows("session")[0]["visible_ms"] == 0


def test_an_app_engages_with_a_screen(shop: Host) -> None:
    """By the screen's event id; release 0.1 said seconds."""
    client = shop.app.test_client(use_cookies=False)
    screen = str(uuid7(shop.clock()))
    view = {"action": "screen.view", "event_id": screen, "params": {"name": "Settings"}}
    answer = client.post("/_et/in", json=view)
    names = ("X-EventTrack-Device", "X-EventTrack-Session")
    headers = {name: answer.headers[name] for name in names}
    told = {"action": "page.engage", "page": screen, "params": {"visible_s": 12.5}}
    assert client.post("/_et/in", json=told, headers=headers).status_code == 202
    stranger = told | {"params": {"visible_ms": 500_000}}
    assert client.post("/_et/in", json=stranger).status_code == 202
    [row] = shop.events_of("screen.view")
    assert row["params"] == {"name": "Settings", "visible_ms": 12_500}
    [session] = shop.rows("session")
    assert (session["events"], session["visible_ms"]) == (1, 12_500)
    assert quality(shop)[MISSING] == 1
    with shop.app.app_context():
        [event, _] = shop.events.feed(row["uuid"])
    assert event.label == "Viewed screen Settings (12 s visible)"


def test_no_receiver_is_told(shop: Host) -> None:
    """It is no event."""
    told: list[str] = []

    def receive(app: object, **detail: t.Any) -> None:
        told.append(detail["event"].action)

    client = shop.client()
    with event_accepted.connected_to(receive):
        post(client, engage(open_page(client, shop)))
    assert told == ["page.visit", "page.visit"]


def test_code_of_the_app_has_no_page_to_name(shop: Host) -> None:
    """track() takes it, counts it and opens no session; in a transaction it is refused."""
    with shop.app.app_context():
        assert track("page.engage", {"visible_s": 3}, customer="7") is not None
        with pytest.raises(InvalidEvent, match="part of a visit"):
            track("page.engage", {"visible_ms": 3}, customer="7", in_transaction=True)
    shop.app.get("/data", endpoint="data2")(lambda: [track("page.engage", {"scroll": 3})])
    assert shop.client().get("/data").get_json() != [None]
    assert (shop.rows("event"), shop.rows("session")) == ([], [])
    assert quality(shop)[MISSING] == 2


def test_two_processes_and_any_order(make: MakeHost, database_url: str) -> None:
    """Each message is written by another process, on each kind of database."""
    first = make(url=database_url)
    second = make(url=database_url, create=False)
    client = first.client()
    visit = tag_of(client.get("/", headers=NAVIGATION))
    page = str(uuid7(first.clock()))
    half = {"action": "page.visit", "event_id": page, "params": {"url": "http://localhost/"}}
    place = {"page": page, "visit": visit}
    there = second.client()
    there._cookies = client._cookies
    statuses(post(there, engage(place)))
    second.flush()
    assert quality(second)[MISSING] == 1
    statuses(post(client, {**half, **place}))
    assert seen(first) == [(18_000, 92)]
    statuses(post(there, engage(place, visible_ms=20_000)))
    assert seen(second) == [(20_000, 92)]
    [session] = second.rows("session")
    assert (session["visible_ms"], session["events"]) == (20_000, 1)
    assert quality(second)[MISSING] == 0
