"""Flask-SocketIO: each event runs in a request of its own, with the cookies of the handshake."""

from __future__ import annotations

import typing as t

import pytest
import socketio
from flask import session
from flask.testing import FlaskClient
from flask_socketio import SocketIO, SocketIOTestClient

from flask_eventtrack import identify, track

from ..conftest import MakeHost
from ..hosts import CHROME, Host
from ..identity.customers import add_views, jar_of, profile_of, visit
from .running import run


class Chat(t.NamedTuple):
    """A host with a chat, whose messages are events."""

    host: Host
    sockets: SocketIO

    def connect(self, client: FlaskClient | None = None) -> SocketIOTestClient:
        headers = {"User-Agent": CHROME}
        return self.sockets.test_client(self.host.app, headers=headers, flask_test_client=client)

    def sessions(self) -> list[dict[str, t.Any]]:
        return self.host.rows("session", "started_at")

    def talk(self, socket: SocketIOTestClient, *minutes: float) -> None:
        """Send a message after each of these pauses."""
        for pause in minutes:
            self.host.clock.advance(minutes=pause)
            socket.emit("say", "hello")


@pytest.fixture
def chat(make: MakeHost) -> Chat:
    host = make()
    host.events.define("chat.message")
    add_views(host.app)
    sockets = SocketIO(host.app, async_mode="threading")

    @sockets.on("say")  # type: ignore[untyped-decorator]
    def say(text: str) -> None:
        track("chat.message", {"text": text})

    @sockets.on("log in")  # type: ignore[untyped-decorator]
    def log_in(who: str) -> None:
        identify(who)

    return Chat(host, sockets)


def ends(chat: Chat) -> int:
    return chat.host.actions()["session.end"]


def test_message_hours_later_is_in_the_session_that_goes_on(chat: Chat) -> None:
    """A chat for hours is one session, whose end is that of the last message."""
    client = chat.host.client()
    visit(client)
    socket = chat.connect(client)
    chat.talk(socket, *[20] * 9)
    [row] = chat.sessions()
    assert (row["pages"], row["events"], ends(chat)) == (1, 10, 0)
    assert row["last_seen_at"] == chat.host.clock.moment
    assert [event["time"] for event in chat.host.events_of("chat.message")][-1] == row[
        "last_seen_at"
    ]


def test_pages_beside_a_chat_are_one_session(chat: Chat) -> None:
    """The old cookies of the handshake neither end the session of the pages nor begin another."""
    client = chat.host.client()
    visit(client)
    socket = chat.connect(client)
    for _ in range(6):
        chat.host.clock.advance(minutes=20)
        visit(client)
        chat.talk(socket, 1)
    [row] = chat.sessions()
    assert (row["pages"], row["events"], ends(chat)) == (7, 13, 0)


def test_page_after_a_long_chat_is_in_its_session(chat: Chat) -> None:
    """The page's cookies are old, and the writer knows that the session goes on."""
    client = chat.host.client()
    visit(client)
    socket = chat.connect(client)
    chat.talk(socket, *[20] * 3)
    for pause in (5, 5, 20):
        chat.host.clock.advance(minutes=pause)
        visit(client)
    chat.talk(socket, 20)
    [row] = chat.sessions()
    assert (row["pages"], row["events"], ends(chat)) == (4, 8, 0)


def test_pages_and_messages_may_take_turns(chat: Chat) -> None:
    """Each is silent for longer than the timeout, and both together are not."""
    client = chat.host.client()
    visit(client)
    socket = chat.connect(client)
    for _ in range(6):
        chat.talk(socket, 20)
        chat.host.clock.advance(minutes=20)
        visit(client)
        chat.host.flush()
    [row] = chat.sessions()
    assert (row["pages"], row["events"], ends(chat)) == (7, 13, 0)


def test_message_after_a_silence_begins_a_session(chat: Chat) -> None:
    """At the time of the message. What comes next, on either way, is in it."""
    client = chat.host.client()
    visit(client)
    socket = chat.connect(client)
    for _ in range(3):
        chat.talk(socket, 45)
        chat.talk(socket, 5)
        visit(client)
    rows = chat.sessions()
    assert [row["events"] for row in rows] == [1, 3, 3, 3]
    assert [row["pages"] for row in rows] == [1, 1, 1, 1]
    assert ends(chat) == 3
    lengths = [row["last_seen_at"] - row["started_at"] for row in rows]
    assert [length.total_seconds() for length in lengths] == [0, 300, 300, 300]


def test_two_chats_and_pages_are_one_visitor(chat: Chat) -> None:
    """Tabs that were opened at different times, each with the cookies of its handshake."""
    client = chat.host.client()
    visit(client)
    first = chat.connect(client)
    chat.talk(first, 50)
    visit(client)
    second = chat.connect(client)
    chat.talk(second, 50)
    chat.talk(first, 1)
    chat.host.clock.advance(minutes=1)
    visit(client)
    chat.talk(second, 1)
    rows = chat.sessions()
    assert [row["events"] for row in rows] == [1, 2, 4]
    assert len({row["device_id"] for row in rows}) == 1


def test_chat_without_cookies_is_one_session(chat: Chat) -> None:
    """It belongs to the connection, not to each message."""
    chat.talk(chat.connect(), 1, 1, 20, 20, 20)
    [row] = chat.sessions()
    assert row["events"] == 5
    chat.talk(chat.connect(), 1)
    assert len(chat.sessions()) == 2


def test_log_in_beside_a_chat_is_not_undone_by_it(chat: Chat) -> None:
    """The handshake's cookies are those of a stranger; the session stays the customer's."""
    client = chat.host.client()
    visit(client)
    socket = chat.connect(client)
    chat.host.clock.advance(minutes=1)
    visit(client, "/login/7")
    chat.talk(socket, 1, 40)
    visit(client)
    rows = chat.sessions()
    assert {row["uuid"] for row in rows} == {profile_of("7")}
    with chat.host.app.app_context():
        feed = [event.action for event in chat.host.events.feed("7")]
    assert feed.count("chat.message") == 2


def test_chat_of_a_customer_who_has_left_is_refused(chat: Chat) -> None:
    """Only the old cookie vouches: the next person's session gets none of its messages."""
    client = chat.host.client()
    visit(client, "/login/7")
    socket = chat.connect(client)
    chat.talk(socket, 1)
    chat.host.clock.advance(minutes=1)
    visit(client, "/logout")
    chat.host.flush()
    chat.host.clock.advance(minutes=1)
    visit(client)
    chat.talk(socket, 1)
    assert chat.host.actions()["chat.message"] == 1
    assert [row["uuid"] == profile_of("7") for row in chat.sessions()] == [True, False]


def test_customer_identified_in_a_chat_stays_so_there(chat: Chat) -> None:
    """Although no cookie can be set."""
    client = chat.host.client()
    visit(client)
    socket = chat.connect(client)
    socket.emit("log in", "7")
    chat.talk(socket, 1, 20, 20)
    assert {row["uuid"] for row in chat.host.events_of("chat.message")} == {profile_of("7")}
    assert len(chat.sessions()) == chat.host.actions()["customer.login"] == 1


@pytest.mark.parametrize("transport", ["polling", "websocket"])
def test_real_server_and_client(chat: Chat, transport: str) -> None:
    """Handlers in threads of their own, and requests that poll, are of one visitor too."""
    browser = chat.host.client()
    visit(browser)
    cookies = "; ".join(f"{name}={value}" for name, value in jar_of(browser).items())
    with run(chat.host.app) as port, socketio.SimpleClient() as client:
        client.connect(
            f"http://127.0.0.1:{port}",
            headers={"Cookie": cookies, "User-Agent": CHROME},
            transports=[transport],
        )
        for _ in range(3):
            chat.host.clock.advance(minutes=20)
            client.call("say", "hello")
            chat.host.clock.advance(minutes=20)
            visit(browser)
    [row] = chat.sessions()
    assert (row["pages"], row["events"], ends(chat)) == (4, 7, 0)
    assert chat.host.actions()["page.visit"] == 4


def test_events_of_a_handler_that_fails_are_recorded(chat: Chat) -> None:
    """What was tracked before the error."""

    @chat.sockets.on("fail")  # type: ignore[untyped-decorator]
    def fail() -> None:
        session["seen"] = True
        track("chat.message", {"text": "before"})
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        chat.connect().emit("fail")
    assert chat.host.actions()["chat.message"] == 1
