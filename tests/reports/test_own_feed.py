"""What ``current_visitor.feed()`` shows: an id that attributes never reads."""

from __future__ import annotations

import typing as t

import pytest
from flask import Flask
from flask.testing import FlaskClient
from flask_login import LoginManager, UserMixin, current_user, login_user

from flask_eventtrack import current_visitor, track

from ..conftest import MakeHost
from ..hosts import CHROME, NAVIGATION, Host
from ..identity.customers import KEY, add_views, jar_of, profile_of, send, token_of
from ..request.cookie_jar import DEVICE, fill


@pytest.fixture
def shop(make: MakeHost, database_url: str) -> Host:
    host = make({"EVENTTRACK_JWT_KEYS": KEY}, url=database_url)
    add_views(host.app)
    add_feed(host.app)
    return host


def add_feed(app: Flask) -> None:
    @app.get("/feed.json")
    def feed() -> list[dict[str, t.Any]]:
        """Not a page, so that looking leaves nothing behind."""
        return [{"id": event.id, "label": event.label} for event in current_visitor.feed()]


def visit(host: Host, client: FlaskClient, path: str = "/") -> None:
    host.clock.advance(seconds=1)
    assert client.get(path, headers=NAVIGATION).status_code == 200


def seen_by(host: Host, client: FlaskClient) -> list[str]:
    """Return the labels that a visitor sees of themselves, oldest first, without sessions' own."""
    host.flush()
    host.clock.advance(seconds=1)
    labels = [event["label"] for event in client.get("/feed.json").get_json()]
    return [label for label in labels[::-1] if label not in ("Started session", "Session end")]


def copy_of(host: Host, client: FlaskClient, *names: str) -> FlaskClient:
    """Return another browser, with a copy of a client's cookies of these names, or of all."""
    jar = jar_of(client)
    return fill(host.client(), {name: jar[name] for name in names or jar})


MUG, PEN, TEA = (f"/products/{name}" for name in ("mug", "pen", "tea"))


# Who sees what


def test_customer_who_is_vouched_for_sees_everything(shop: Host) -> None:
    """On all devices, and what they did before the log-in."""
    phone, desk = shop.client(), shop.client()
    visit(shop, phone, MUG)
    visit(shop, phone, "/login/7")
    visit(shop, desk, "/login/7")
    seen = seen_by(shop, desk)
    assert sorted(seen) == [*["Logged in"] * 2, *["Visited page Hello"] * 2, "Visited page Mug"]
    assert seen_by(shop, phone) == seen


def test_device_of_no_customer_sees_its_own(shop: Host) -> None:
    """Those of earlier sessions too, and no others'."""
    one, other = shop.client(), shop.client()
    visit(shop, one, MUG)
    shop.clock.advance(days=3)
    visit(shop, one, PEN)
    visit(shop, other, TEA)
    assert seen_by(shop, one) == ["Visited page Mug", "Visited page Pen"]
    assert seen_by(shop, other) == ["Visited page Tea"]


def test_device_after_a_log_out_sees_what_came_since(shop: Host) -> None:
    """It is a device of no customer again."""
    client = shop.client()
    visit(shop, client, "/login/7")
    shop.clock.advance(seconds=1)
    client.get("/logout")
    assert seen_by(shop, client) == ["Visited page Bye"]
    visit(shop, client, MUG)
    assert seen_by(shop, client) == ["Visited page Bye", "Visited page Mug"]


def test_customer_s_device_without_a_log_in_sees_its_present_session(shop: Host) -> None:
    """As the next person at a browser that was only closed."""
    client = shop.client()
    visit(shop, client, "/login/7")
    visit(shop, client, MUG)
    shop.clock.advance(hours=1)
    assert seen_by(shop, client) == []
    visit(shop, client, PEN)
    visit(shop, client, TEA)
    assert {row["uuid"] for row in shop.events_of("page.visit")} == {profile_of("7")}
    assert seen_by(shop, client) == ["Visited page Pen", "Visited page Tea"]
    shop.clock.advance(hours=1)
    assert seen_by(shop, client) == []


def test_customer_s_session_shows_nothing_once_they_are_vouched_for_no_more(shop: Host) -> None:
    """The session goes on for someone else, who may have opened the closed browser at once."""
    client = shop.client()
    send(client, "identify", token=token_of(shop, "7", 60))
    visit(shop, client, MUG)
    assert "Visited page Mug" in seen_by(shop, client)
    shop.clock.advance(minutes=10)
    visit(shop, client, PEN)
    assert seen_by(shop, client) == []
    assert len(shop.rows("session")) == 1


def test_browser_closed_under_flask_login_shows_nothing(make: MakeHost) -> None:
    """The host's log-in ends with its cookie; ours lives for as long as the session."""
    shop = make()
    add_feed(shop.app)
    manager = LoginManager(shop.app)
    user = UserMixin()
    t.cast("t.Any", user).id = "7"
    manager.user_loader(lambda _: user)

    @shop.app.get("/enter")
    def enter() -> str:
        login_user(user)
        return "<title>Secret</title>"

    @shop.app.before_request
    def look() -> None:
        assert current_user.is_authenticated in (True, False)

    client = shop.client()
    visit(shop, client, "/enter")
    assert "Visited page Secret" in seen_by(shop, client)
    client.delete_cookie("session")
    assert seen_by(shop, client) == []
    visit(shop, client, MUG)
    assert seen_by(shop, client) == []


@pytest.mark.parametrize("headers", [{"Sec-GPC": "1"}, {"User-Agent": "Googlebot/2.1"}, {}])
def test_newcomers_bots_and_those_who_refuse_see_nothing(
    shop: Host, headers: dict[str, str]
) -> None:
    """Even if events of the same request are stored."""
    visit(shop, shop.client(), MUG)
    shop.flush()
    assert shop.client().get("/feed.json", headers=headers).get_json() == []


# Copied cookies


def test_device_cookie_from_before_a_log_out_reads_nothing_of_the_customer(shop: Host) -> None:
    """Neither what was, nor what the customer does later, on this device or on another one."""
    client, phone = shop.client(), shop.client()
    visit(shop, client, "/login/7")
    thief = copy_of(shop, client, DEVICE)
    shop.clock.advance(seconds=1)
    client.get("/logout")
    for other in (client, phone):
        visit(shop, other, "/login/7")
        visit(shop, other, MUG)
    assert seen_by(shop, thief) == []
    visit(shop, thief, PEN)
    assert seen_by(shop, thief) == []
    visit(shop, client, TEA)
    assert seen_by(shop, thief) == []


@pytest.mark.parametrize("is_thief_first", [True, False])
@pytest.mark.parametrize("comes_back", ["/login/7", TEA])
def test_copy_of_a_device_cookie_opens_the_device_s_session_and_does_not_read_it(
    shop: Host, comes_back: str, *, is_thief_first: bool
) -> None:
    """Both have the same number, so both sessions have one id: the copy sees its own visits."""
    client = shop.client()
    visit(shop, client, "/login/7")
    thief = copy_of(shop, client, DEVICE)
    shop.clock.advance(hours=2)
    for who in (thief, client)[:: 1 if is_thief_first else -1]:
        visit(shop, who, PEN if who is thief else comes_back)
        shop.flush()
        shop.clock.advance(minutes=2)
    visit(shop, client, MUG)
    assert len({row["id"] for row in shop.rows("session")}) == 2
    assert seen_by(shop, thief) == (["Visited page Pen"] if is_thief_first else [])
    for _ in range(3):
        shop.clock.advance(minutes=25)
        visit(shop, thief, TEA)
        visit(shop, client, MUG)
        assert "Visited page Mug" not in seen_by(shop, thief)


def test_copy_reads_nothing_while_its_own_visits_wait_to_be_written(
    make: MakeHost, shop: Host, database_url: str
) -> None:
    """Its process has not written yet that a second browser has opened the session."""
    other = make({"EVENTTRACK_FLUSH_INTERVAL": 3600}, url=database_url)
    add_feed(other.app)
    client = shop.client()
    visit(shop, client, "/login/7")
    thief = fill(other.client(), {DEVICE: jar_of(client)[DEVICE]})
    shop.clock.advance(hours=2)
    visit(shop, client, PEN)
    shop.clock.advance(minutes=2)
    visit(other, thief, TEA)
    visit(shop, client, MUG)
    shop.flush()
    assert thief.get("/feed.json").get_json() == []


def test_copy_does_not_see_what_came_just_before_it(shop: Host) -> None:
    """Sessions that open within seconds of each other pass for one browser's."""
    client = shop.client()
    visit(shop, client, "/login/7")
    thief = copy_of(shop, client, DEVICE)
    shop.clock.advance(hours=2)
    visit(shop, client, PEN)
    visit(shop, thief, TEA)
    assert seen_by(shop, thief) == ["Visited page Tea"]


def test_copy_of_an_unvouched_session_does_not_read_the_log_in_that_follows(shop: Host) -> None:
    """Not even all cookies of the device read more than it did until then."""
    client = shop.client()
    visit(shop, client, "/login/7")
    shop.clock.advance(hours=2)
    visit(shop, client, PEN)
    thief = copy_of(shop, client)
    assert seen_by(shop, thief) == ["Visited page Pen"]
    visit(shop, client, "/login/7")
    visit(shop, client, MUG)
    assert seen_by(shop, thief) == ["Visited page Pen"]


def test_copies_of_all_cookies_read_nothing_after_the_log_out(shop: Host) -> None:
    """They still vouch, since a request asks no database. Reading does ask it."""
    client = shop.client()
    visit(shop, client, "/login/7")
    thief = copy_of(shop, client)
    assert "Logged in" in seen_by(shop, thief)
    client.get("/logout")
    assert seen_by(shop, thief) == []
    visit(shop, client, "/login/7")
    assert seen_by(shop, thief) == []
    assert "Logged in" in seen_by(shop, client)


def test_anonymous_cookie_reads_nothing_once_its_profile_is_a_customer_s(shop: Host) -> None:
    """A copy from before the log-in names a profile that is the customer's history now."""
    client = shop.client()
    visit(shop, client, MUG)
    thief = copy_of(shop, client)
    assert seen_by(shop, thief) == ["Visited page Mug"]
    visit(shop, client, "/login/7")
    visit(shop, client, PEN)
    assert seen_by(shop, thief) == []


# The call itself


def test_feed_is_read_page_by_page(shop: Host) -> None:
    """As ``events.feed()``: newest first, ``before`` a moment, at most ``limit``."""
    client = shop.client()
    for path in (MUG, PEN, TEA):
        visit(shop, client, path)
    shop.flush()
    environ = {"HTTP_USER_AGENT": CHROME}
    headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in jar_of(client).items())}
    with shop.app.test_request_context(headers=headers, environ_base=environ):
        first = current_visitor.feed(limit=2)
        rest = current_visitor.feed(first[-1].time)
        assert [event.label for event in first] == ["Visited page Tea", "Visited page Pen"]
        assert [event.label for event in rest] == ["Visited page Mug", "Started session"]
        shop.events.define("a.b")
        assert track("a.b")
        assert current_visitor.feed(limit=1) == first[:1]


def test_feed_of_an_in_memory_database_is_complete(make: MakeHost) -> None:
    """There is no writer thread: it flushes."""
    shop = make(url="sqlite://")
    add_feed(shop.app)
    client = shop.client()
    visit(shop, client, MUG)
    assert [event["label"] for event in client.get("/feed.json").get_json()] == [
        "Visited page Mug",
        "Started session",
    ]


def test_host_s_user_reads_across_devices(make: MakeHost) -> None:
    """Whom the host names is vouched for, whatever our cookies say."""
    shop = make()
    add_views(shop.app)
    add_feed(shop.app)
    visit(shop, shop.client(), "/login/7")
    shop.events.customer_loader(lambda: "7")
    assert sorted(seen_by(shop, shop.client())) == ["Logged in", "Visited page Hello"]
