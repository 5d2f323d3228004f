"""Apps, which are known by their headers."""

from __future__ import annotations

import pytest

from ..hosts import SAME_ORIGIN, FakeClock, Host
from .senders import EVENT, post


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
    """A browser is identified by its cookies, and gets no headers."""
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
