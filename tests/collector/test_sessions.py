"""The cookies that a post sets, and the sessions that it makes."""

from __future__ import annotations

import datetime as dt

from ..hosts import NAVIGATION, SAME_ORIGIN, START, FakeClock, Host
from .posts import CLICK, post, set_cookies

# Cookies


def test_a_new_browser_gets_its_cookies(host: Host) -> None:
    """Device for ten years, session and token for thirty minutes; only the token is readable."""
    response = post(host.client(), CLICK)
    found = {}
    for line in response.headers.getlist("Set-Cookie"):
        first, *attributes = line.split("; ")
        found[first.partition("=")[0]] = {a for a in attributes if not a.startswith("Expires=")}
    assert found == {
        "eventtrack_device": {"HttpOnly", "Max-Age=315360000", "Path=/", "SameSite=Lax"},
        "eventtrack_session": {"HttpOnly", "Max-Age=1800", "Path=/", "SameSite=Lax"},
        "eventtrack_csrf": {"Max-Age=1800", "Path=/", "SameSite=Lax"},
    }


def test_cookies_are_secure_over_https(host: Host) -> None:
    """By default as the request is."""
    client = host.client()
    response = client.post("/_et/in", json=CLICK, headers=SAME_ORIGIN, base_url="https://localhost")
    lines = response.headers.getlist("Set-Cookie")
    assert ["Secure" in line.split("; ") for line in lines] == [True] * 3


def test_cookies_are_not_sent_again_and_again(host: Host, clock: FakeClock) -> None:
    """Most answers carry none; the sliding ones come again when over a minute old."""
    client = host.client()
    assert len(set_cookies(post(client, CLICK))) == 3
    for _ in range(6):
        clock.advance(seconds=10)
        assert set_cookies(post(client, CLICK)) == []
    clock.advance(seconds=1)
    assert set_cookies(post(client, CLICK)) == ["eventtrack_session", "eventtrack_csrf"]
    assert set_cookies(post(client, CLICK)) == []


def test_a_rejected_event_opens_no_session(host: Host) -> None:
    """The visitor may get a device; a session needs an event."""
    client = host.client()
    assert "eventtrack_session" not in set_cookies(post(client, {"action": "no.such"}))
    assert host.rows("session") == []


def test_a_page_and_its_events_share_the_cookies(host: Host) -> None:
    """After a page view the collector has nothing to add."""
    client = host.client()
    client.get("/", headers=NAVIGATION)
    assert set_cookies(post(client, CLICK)) == []
    assert len({event["session_id"] for event in host.rows("event")}) == 1


# Sessions


def test_a_session_starts_with_its_first_event(db_host: Host) -> None:
    """``session.start`` comes one microsecond before it."""
    post(db_host.client(), CLICK, {"action": "screen.view", "params": {"name": "Home"}})
    events = db_host.rows("event", "time", "action")
    assert [event["action"] for event in events] == ["session.start", "button.click", "screen.view"]
    assert events[0]["time"] == START - dt.timedelta(microseconds=1)
    [session] = db_host.rows("session")
    assert (session["events"], session["pages"], session["entry"]) == (2, 1, "Home")
    assert (session["started_at"], session["last_seen_at"]) == (START, START)


def test_a_session_slides(host: Host, clock: FakeClock) -> None:
    """Twenty minutes between any two events are no gap."""
    client = host.client()
    for _ in range(4):
        post(client, CLICK)
        clock.advance(minutes=20)
    [session] = host.rows("session")
    assert session["events"] == 4
    assert session["last_seen_at"] - session["started_at"] == dt.timedelta(hours=1)


def test_a_gap_ends_the_session(db_host: Host, clock: FakeClock) -> None:
    """The device comes back after thirty minutes: one session ends, another starts."""
    client = db_host.client()
    post(client, CLICK)
    clock.advance(minutes=30)
    post(client, CLICK)
    assert db_host.actions() == {"button.click": 2, "session.start": 2, "session.end": 1}
    [end] = db_host.events_of("session.end")
    assert end["params"] == {"duration": 0.0, "pages": 0, "events": 1, "reason": "timeout"}
    assert end["time"] == START


def test_a_session_starts_with_its_earliest_event(host: Host) -> None:
    """What waited in the browser opens the session when it happened."""
    early = {**CLICK, "time": "2026-11-21T11:50:00Z"}
    post(host.client(), CLICK, early)
    [session] = host.rows("session")
    assert session["started_at"] == START - dt.timedelta(minutes=10)
    assert session["last_seen_at"] == START


def test_an_old_event_moves_no_session(host: Host) -> None:
    """It keeps its time and is counted; start and last activity stay."""
    client = host.client()
    post(client, CLICK)
    post(client, {**CLICK, "time": "2026-11-20T12:00:00Z"})
    [session] = host.rows("session")
    assert (session["started_at"], session["last_seen_at"]) == (START, START)
    assert session["events"] == 2
    assert host.rows("event", "time")[0]["time"] == START - dt.timedelta(days=1)
