"""flask-sock, and streams: one request that lasts for hours, with the cookies that it came with."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import typing as t

import pytest
import simple_websocket
from flask import Response, stream_with_context
from flask_sock import Sock

from flask_eventtrack import current_visitor, identify, track

from ..conftest import MakeHost
from ..hosts import CHROME, NAVIGATION, Host
from ..identity.customers import add_views, jar_of, profile_of, visit
from .running import run


@pytest.fixture
def host(make: MakeHost) -> Host:
    host = make()
    host.events.define("chat.message")
    add_views(host.app)
    sock = Sock(host.app)

    @sock.route("/chat")  # type: ignore[untyped-decorator]
    def chat(socket: simple_websocket.Server) -> None:
        while True:
            text = socket.receive()
            if text.startswith("I am "):
                identify(text.removeprefix("I am "))
            track("chat.message", {"text": text})
            socket.send(str(current_visitor.session_id))

    @host.app.get("/news")
    def news() -> Response:
        def write() -> cabc.Iterator[str]:
            for number in range(100):
                track("chat.message", {"number": number})
                yield f"data: {number}\n\n"

        return Response(stream_with_context(write()), mimetype="text/event-stream")

    return host


class Chat:
    """A browser's websocket to a real server."""

    def __init__(self, host: Host, port: int) -> None:
        self._clock = host.clock
        self.browser = host.client()
        visit(self.browser)
        cookies = "; ".join(f"{name}={value}" for name, value in jar_of(self.browser).items())
        self._socket = simple_websocket.Client(
            f"ws://127.0.0.1:{port}/chat", headers={"Cookie": cookies, "User-Agent": CHROME}
        )

    def say(self, text: str, after: float) -> None:
        """Send a message after some minutes, and wait until it is recorded."""
        self._clock.advance(minutes=after)
        self._socket.send(text)
        assert self._socket.receive(timeout=10)

    def close(self) -> None:
        self._socket.close()


@contextlib.contextmanager
def connect(host: Host) -> cabc.Iterator[Chat]:
    """Open a chat on a server of the host's; afterwards its handler has come to its end."""
    with run(host.app) as port:
        chat = Chat(host, port)
        try:
            yield chat
        finally:
            chat.close()


def messages(host: Host) -> list[dict[str, t.Any]]:
    return host.events_of("chat.message")


def sessions(host: Host) -> list[dict[str, t.Any]]:
    return host.rows("session", "started_at")


def test_chat_for_hours_is_one_session(host: Host) -> None:
    """Each message has its own time; the end of the connection is no visit."""
    with connect(host) as chat:
        for _ in range(9):
            chat.say("hello", after=20)
    [row] = sessions(host)
    assert (row["pages"], row["events"]) == (1, 10)
    assert row["last_seen_at"] == host.clock.moment
    minutes = [event["time"].hour * 60 + event["time"].minute for event in messages(host)]
    assert minutes == [12 * 60 + 20 * number for number in range(1, 10)]
    assert host.actions() == {"session.start": 1, "page.visit": 1, "chat.message": 9}


def test_message_after_a_silence_begins_a_session(host: Host) -> None:
    """Hours after the handshake, and it ends the one before."""
    with connect(host) as chat:
        chat.say("hello", after=1)
        chat.say("hello", after=180)
        chat.say("hello", after=1)
    rows = sessions(host)
    assert [row["events"] for row in rows] == [2, 2]
    assert host.actions()["session.end"] == 1


def test_pages_beside_a_chat_are_in_its_session(host: Host) -> None:
    """Whichever of the two is silent for longer than the timeout."""
    with connect(host) as chat:
        for _ in range(4):
            chat.say("hello", after=20)
            host.clock.advance(minutes=20)
            visit(chat.browser)
    [row] = sessions(host)
    assert (row["pages"], row["events"]) == (5, 9)
    assert host.actions()["session.end"] == 0


def test_session_of_a_page_takes_messages_after_a_silence(host: Host) -> None:
    """The page began it; the handshake's cookies do not know of it."""
    with connect(host) as chat:
        for _ in range(3):
            host.clock.advance(minutes=90)
            visit(chat.browser)
            chat.say("hello", after=5)
    assert [(row["pages"], row["events"]) for row in sessions(host)] == [(1, 1)] + [(1, 2)] * 3


def test_customer_of_a_chat_is_not_vouched_for_for_ever(host: Host) -> None:
    """After a silence, the cookie of the handshake attributes only."""
    with connect(host) as chat:
        chat.say("I am 7", after=1)
        chat.say("hello", after=180)
    assert {row["uuid"] for row in messages(host)} == {profile_of("7")}
    assert [row["uuid"] for row in sessions(host)] == [profile_of("7")] * 2


@pytest.mark.parametrize("headers", [{}, NAVIGATION])
def test_handshake_is_no_visit(host: Host, headers: dict[str, str]) -> None:
    """Although it is answered with HTML at its end, in the host's own way too."""
    host.app.add_url_rule("/raw", view_func=lambda: "<title>Raw</title>")
    upgrade = {"Connection": "Upgrade", "Upgrade": "WebSocket"}
    host.client().get("/raw", headers={**headers, **upgrade})
    assert host.actions() == {}
    host.client().get("/raw", headers={**headers, "Upgrade": "h2c"})
    assert host.actions()["page.visit"] == 1


def test_stream_of_hours_is_one_session(host: Host) -> None:
    """Server-sent events, and pages beside them."""
    client = host.client()
    visit(client)
    stream = iter(client.get("/news", buffered=False).response)
    for _ in range(5):
        next(stream)
        host.clock.advance(minutes=20)
    visit(client)
    host.clock.advance(minutes=20)
    next(stream)
    [row] = sessions(host)
    assert (row["pages"], row["events"]) == (2, 8)
    assert row["last_seen_at"] == host.clock.moment
    t.cast("t.Any", stream).close()


def test_stream_after_a_silence_begins_a_session(host: Host) -> None:
    """As of then."""
    client = host.client()
    stream = iter(client.get("/news", buffered=False).response)
    next(stream)
    host.clock.advance(hours=2)
    next(stream)
    assert [row["events"] for row in sessions(host)] == [1, 1]
    assert sessions(host)[1]["started_at"] == host.clock.moment
    t.cast("t.Any", stream).close()
