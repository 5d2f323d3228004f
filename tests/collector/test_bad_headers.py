"""Bad headers and cookies: none with a 500."""

from __future__ import annotations

import collections.abc as cabc
import json

import pytest

from ..conftest import MakeHost
from ..hosts import CHROME, NAVIGATION, SAME_ORIGIN, Host
from .bad_input import CLICK, GOOD, JSON_TYPE, post


@pytest.mark.parametrize(
    "value",
    [
        "",
        "x",
        ".",
        "..",
        "a.b",
        "x" * 8000,
        "é",
        '"\\000"',
        "\x7f",
        "AQ.x",
        "eyJhIjoxfQ.Zm9v",
        "null",
        "' OR 1=1 --",
    ],
)
@pytest.mark.parametrize("name", ["eventtrack_device", "eventtrack_session", "eventtrack_csrf"])
def test_a_forged_cookie_is_a_fresh_start(host: Host, name: str, value: str) -> None:
    """A bad signature is a new visitor, never an error."""
    client = host.app.test_client(use_cookies=False)
    response = post(client, GOOD, Cookie=f"{name}={value}", User_Agent=CHROME)
    assert response.status_code == 202
    assert host.actions() == {"button.click": 1, "session.start": 1}


@pytest.mark.parametrize(
    "spoil",
    [
        lambda value: value[:-1],
        lambda value: value[1:],
        lambda value: value + "A",
        lambda value: value.swapcase(),
        lambda value: "B" + value[1:],
        lambda value: value.replace(".", "..", 1),
        lambda value: value[::-1],
    ],
)
@pytest.mark.parametrize("name", ["eventtrack_device", "eventtrack_session"])
def test_a_tampered_cookie_is_a_fresh_start(
    host: Host, name: str, spoil: cabc.Callable[[str], str]
) -> None:
    """One character is enough: a new device, or a new session of the device."""
    client = host.client()
    client.get("/", headers=NAVIGATION)
    cookie = client.get_cookie(name)
    assert cookie is not None
    client.set_cookie(name, spoil(cookie.value))
    assert post(client, GOOD).status_code == 202
    sessions = host.rows("session")
    assert len(sessions) == 2
    assert len({row["device_id"] for row in sessions}) == (1 if "session" in name else 2)


def test_cookies_cannot_be_swapped(host: Host) -> None:
    """A token of one kind is none of another, and another device's session is not taken."""
    first, second = host.client(), host.client()
    for client in (first, second):
        client.get("/", headers=NAVIGATION)
    session, device = first.get_cookie("eventtrack_session"), first.get_cookie("eventtrack_device")
    assert session is not None
    assert device is not None
    second.set_cookie("eventtrack_session", session.value)
    first.set_cookie("eventtrack_device", session.value)
    for client in (first, second):
        assert post(client, GOOD).status_code == 202
    assert [row["events"] for row in host.rows("session")] == [1, 1, 1, 1]


@pytest.mark.parametrize(
    "name",
    [
        "Origin",
        "Referer",
        "User-Agent",
        "Accept-Language",
        "X-EventTrack-Device",
        "Cookie",
        "Sec-Fetch-Site",
        "Content-Type",
        "Content-Encoding",
    ],
)
@pytest.mark.parametrize(
    "value",
    ["\r\nX-Injected: 1", "x\nSet-Cookie: a=b", "\0", "\xff\xfe", "é" * 2000, "=?utf-8?q?=00?="],
)
def test_a_header_cannot_inject_another(make: MakeHost, name: str, value: str) -> None:
    """Whatever a server lets through: no header of the answer is the client's, and no error."""
    host = make({"EVENTTRACK_ALLOWED_ORIGINS": ["https://shop.example.com"]})
    variable = name.upper().replace("-", "_")
    variable = variable if name == "Content-Type" else f"HTTP_{variable}"
    response = host.client().post(
        "/_et/in", data=GOOD, content_type=JSON_TYPE, environ_overrides={variable: value}
    )
    assert response.status_code in {202, 403, 415}
    assert not {"X-Injected", "Access-Control-Allow-Origin"} & set(response.headers.keys())
    assert not any("a=b" in line for line in response.headers.getlist("Set-Cookie"))
    host.flush()


@pytest.mark.parametrize("field", ["action", "event_id", "label", "visit", "page", "time"])
def test_a_field_cannot_inject_a_header(host: Host, field: str) -> None:
    """Line breaks of the body stay in the body."""
    event = {**CLICK, field: "x\r\nX-Injected: 1\r\n\r\n<script>"}
    response = post(host.client(), json.dumps(event))
    assert response.status_code in {202, 422}
    assert "X-Injected" not in response.headers
    assert response.mimetype == JSON_TYPE


@pytest.mark.parametrize(
    "name",
    ["", "[::1", "a b", "localhost:99999", "localhost:abc", "é", "a/b", "a@b", "a\\b", "x" * 255],
)
def test_a_strange_host_name_is_no_error(db_host: Host, name: str) -> None:
    """The site is what the client says; the databases take it."""
    response = post(db_host.client(), GOOD, Host=name)
    assert response.status_code in {202, 400}
    assert db_host.actions()["button.click"] == (response.status_code == 202)
    assert db_host.rows("rejected") == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("User_Agent", "Mozilla/5.0 " + "x" * 9000),
        ("User_Agent", "Mozilla/5.0 Chrome/\xff\xfe\x01"),
        ("Accept_Language", "x" * 9000),
        ("Accept_Language", "\xff\xfe, de;q=x"),
        ("X_Country", "\xff\xfe"),
        ("X_Country", "ß" * 100),
        ("X_Country", "xx\x00"),
    ],
)
def test_a_strange_client_is_stored(
    make: MakeHost, database_url: str, name: str, value: str
) -> None:
    """What a client says of itself fits its column, on each database."""
    host = make({"EVENTTRACK_COUNTRY_HEADER": "X-Country"}, url=database_url)
    overrides = {f"HTTP_{name.upper()}": value}
    client = host.app.test_client()
    response = client.post(
        "/_et/in",
        json=CLICK,
        headers={"User-Agent": CHROME, **SAME_ORIGIN},
        environ_overrides=overrides,
    )
    assert response.status_code == 202
    assert len(host.rows("session")) == 1
    assert host.rows("rejected") == []
