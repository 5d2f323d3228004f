"""The host's own loader of the customer who is logged in: ``@events.customer_loader``."""

from __future__ import annotations

import typing as t

import pytest
from flask import g, request
from flask_login import LoginManager, UserMixin

from flask_eventtrack import EventTrack, current_visitor
from flask_eventtrack.errors import InvalidEvent

from ..collector.senders import EVIL
from ..conftest import MakeHost
from ..hosts import NAVIGATION, Host
from ..identity.customers import CLICK, OPEN, add_views, may_open, profile_of, send, token_of, visit


@pytest.fixture
def loader(shop: Host) -> list[t.Any]:
    """What the host's loader answers in turn; the last for ever. ``"asked"`` counts the calls."""
    answers: list[t.Any] = [None]
    asked: list[int] = []

    @shop.events.customer_loader
    def load() -> t.Any:
        asked.append(1)
        answer = answers[0] if len(answers) == 1 else answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    t.cast("t.Any", shop.app).asked = asked
    return answers


def count_asked(host: Host) -> int:
    asked: list[int] = t.cast("t.Any", host.app).asked
    count = len(asked)
    asked.clear()
    return count


def test_loader_says_who_is_here(shop: Host, loader: list[t.Any]) -> None:
    """It is called once in each request that needs it, and vouches for events from the browser."""
    loader[:] = [7]
    client = shop.client()
    visit(client)
    assert count_asked(shop) == 1
    assert visit(client, "/me").get_json()["customer"] == "7"
    assert may_open(client)
    assert count_asked(shop) == 2
    assert shop.actions()["customer.login"] == 0  # nobody has logged in just now
    assert {row["uuid"] for row in shop.rows("event")} == {profile_of("7")}
    assert len(shop.rows("profile")) == 1


def test_loader_is_not_asked_where_nobody_needs_to_know(shop: Host, loader: list[t.Any]) -> None:
    """An answer that records nothing, the script, a refusal, a bot."""
    client = shop.client()
    for path in ("/data.json", "/away", "/missing", "/_et/nothing"):
        client.get(path, headers=NAVIGATION)
    client.get("/", headers={**NAVIGATION, "Sec-GPC": "1"})
    shop.client("Googlebot/2.1").get("/", headers=NAVIGATION)
    send(client, headers={"Origin": EVIL}, **CLICK)
    send(client, "consent", choice="full")
    assert count_asked(shop) == 0


def test_loader_is_the_last_to_be_asked(shop: Host, loader: list[t.Any]) -> None:
    """Not if a token or an ``identify()`` in this session names the customer."""
    loader[:] = ["8"]
    client = shop.client()
    assert send(client, **OPEN, token=token_of(shop, "7", 600)).status_code == 202
    assert visit(client, "/me").get_json()["customer"] == "7"
    assert count_asked(shop) == 0
    shop.clock.advance(minutes=12)
    assert visit(client, "/me").get_json()["customer"] == "8"
    assert count_asked(shop) == 1
    other = shop.client()
    visit(other, "/login/7")
    count_asked(shop)
    visit(other)
    assert count_asked(shop) == 0


def test_loaders_word_holds_for_the_request(shop: Host, loader: list[t.Any]) -> None:
    """A customer whom it no longer names is not vouched for; the cookies still attribute."""
    client = shop.client()
    loader[:] = ["7"]
    visit(client)
    loader[:] = [None]
    assert not may_open(client)
    assert visit(client, "/me").get_json() == {"customer": None, "uuid": str(profile_of("7"))}
    loader[:] = ["8"]
    assert visit(client, "/me").get_json()["customer"] == "8"
    assert len(shop.rows("alias")) == 1


def test_identify_after_the_loader_lasts(shop: Host, loader: list[t.Any]) -> None:
    """The stronger word of the two."""
    client = shop.client()
    loader[:] = ["7"]
    visit(client)
    visit(client, "/login/7")
    loader[:] = [None]
    assert may_open(client)


@pytest.mark.parametrize("answer", [RuntimeError("no user"), "guest", 0, "", object()])
def test_failing_loader_never_fails_the_page(
    make: MakeHost, caplog: pytest.LogCaptureFixture, answer: t.Any
) -> None:
    """It is logged once in production and raised in tests; no customer is vouched for."""
    host = make({"TESTING": False})
    add_views(host.app)

    @host.events.customer_loader
    def load() -> t.Any:
        if isinstance(answer, Exception):
            raise answer
        return answer

    client = host.client()
    for _ in range(2):
        assert visit(client, "/me").get_json()["customer"] is None
    visit(client)
    assert caplog.messages == [
        "EventTrack failed while asking the customer_loader; the request goes on."
    ]
    assert host.actions()["page.visit"] == 1
    host.app.testing = True
    with pytest.raises((RuntimeError, InvalidEvent)):
        client.get("/me")


def test_failing_loader_vouches_no_more(make: MakeHost) -> None:
    """Also for the customer whom it named before."""
    host = make({"TESTING": False})
    add_views(host.app)
    answers: list[t.Callable[[], str]] = [lambda: "7", lambda: str(1 // 0)]
    host.events.customer_loader(lambda: answers.pop(0)())
    client = host.client()
    visit(client)
    assert visit(client, "/me").get_json()["customer"] is None


def test_loader_may_ask_us(shop: Host) -> None:
    """Who the visitor is without it."""
    seen: list[str | None] = []

    @shop.events.customer_loader
    def load() -> str:
        seen.append(current_visitor.customer_id)
        return "7"

    assert visit(shop.client(), "/me").get_json()["customer"] == "7"
    assert seen == [None]


def test_loader_is_the_objects(make: MakeHost) -> None:
    """It may be given before ``init_app``, and serves every app of the object."""
    events = EventTrack()
    assert events.customer_loader(load_seven) is load_seven
    for _ in range(2):
        host = make(events=events)
        add_views(host.app)
        assert visit(host.client(), "/me").get_json()["customer"] == "7"


def load_seven() -> str:
    return "7"


@pytest.mark.parametrize("config", [{}, {"EVENTTRACK_BOTS": "tag"}])
def test_app_s_customer_is_known_whoever_asked_before(
    make: MakeHost, config: dict[str, t.Any]
) -> None:
    """An app's user agent may look like a bot's; only its post shows that it is an app."""
    host = make(config)
    host.events.define("account.open")
    host.events.customer_loader(lambda: request.headers.get("X-Api-Key"))

    @host.app.before_request
    def ask() -> None:
        assert current_visitor.uuid

    client = host.client("okhttp/5.0")
    assert send(client, "in", {"X-Api-Key": "7"}, **OPEN).status_code == 202
    [event] = host.events_of("account.open")
    assert (event["uuid"], event["source"]) == (profile_of("7"), "app")


def test_login_user_that_fails_never_fails_the_page(
    make: MakeHost, caplog: pytest.LogCaptureFixture
) -> None:
    """Such as one without an ``id``, which a request_loader may make."""
    host = make({"TESTING": False})
    LoginManager(host.app)
    add_views(host.app)

    @host.app.before_request
    def load() -> None:
        g._login_user = type("Nameless", (UserMixin,), {})()

    client = host.client()
    assert visit(client, "/me").get_json()["customer"] is None
    visit(client)
    assert caplog.messages == [
        "EventTrack failed while asking Flask-Login's user; the request goes on."
    ]
    assert host.actions()["page.visit"] == 1
