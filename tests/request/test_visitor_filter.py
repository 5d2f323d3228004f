"""``EVENTTRACK_VISITOR_FILTER``: people whom the app leaves out, such as its staff."""

from __future__ import annotations

import collections.abc as cabc
import typing as t

import pytest
from flask import Flask, session
from flask.testing import FlaskClient
from flask_login import LoginManager, UserMixin, current_user, login_user, logout_user

from flask_eventtrack import current_visitor, identify, track

from ..conftest import MakeHost
from ..hosts import NAVIGATION, Host
from ..identity.customers import APP, CLICK, OPEN, bearer, profile_of, refusals, send, token_of
from .cookie_jar import ALL, cookies_of, jar_of, visit

STAFF = "900"


class User(UserMixin):  # type: ignore[misc]
    def __init__(self, user_id: str) -> None:
        self.id = user_id


class Asked:
    """A filter that leaves out staff and those who act as a customer, and counts its calls."""

    def __init__(self) -> None:
        self._times = 0

    def __call__(self) -> bool:
        self._times += 1
        return current_user.get_id() != STAFF and "impersonator" not in session

    def count(self) -> int:
        """Return how often it was asked since the last time."""
        times, self._times = self._times, 0
        return times


@pytest.fixture
def asked() -> Asked:
    return Asked()


@pytest.fixture
def shop(make: MakeHost, asked: Asked) -> Host:
    host = make(
        {
            "EVENTTRACK_VISITOR_FILTER": asked,
            "EVENTTRACK_JWT_KEYS": "0123456789abcdef0123456789abcdef",
        }
    )
    host.events.define("account.open")
    LoginManager(host.app).user_loader(User)
    add_account(host.app)
    return host


def add_account(app: Flask) -> None:
    """Add log-ins, and views that track."""

    @app.post("/login/<who>")
    def log_in(who: str) -> tuple[str, int]:
        login_user(User(who))
        return "", 204

    @app.post("/impersonate/<who>")
    def impersonate(who: str) -> tuple[str, int]:
        session["impersonator"] = current_user.id
        login_user(User(who))
        return "", 204

    @app.post("/logout")
    def log_out() -> tuple[str, int]:
        logout_user()
        session.pop("impersonator", None)
        return "", 204

    @app.get("/account")
    def account() -> dict[str, t.Any]:
        return {
            "event": track("account.open"),
            "job": track("account.open", visitor=current_visitor.token),
        }


def log_in(host: Host, who: str) -> FlaskClient:
    client = host.client()
    assert client.post(f"/login/{who}").status_code == 204
    return client


def recorded(host: Host) -> list[dict[str, t.Any]]:
    """Return all rows about people."""
    return [row for name in ("event", "session", "profile", "alias") for row in host.rows(name)]


def test_nothing_of_staff_is_recorded(shop: Host) -> None:
    """No log-in, page, click, event, session or cookie."""
    client = log_in(shop, STAFF)
    assert visit(client) == set()
    assert visit(client) == set()
    assert client.get("/account").get_json() == {"event": None, "job": None}
    answer = send(client, **CLICK)
    assert (answer.status_code, answer.get_json()["results"][0]["error"]["code"]) == (
        422,
        "filtered",
    )
    assert cookies_of(answer).keys() & ALL == set()
    answer = send(client, events=[CLICK, OPEN, {"action": "page.visit"}])
    assert {result["status"] for result in answer.get_json()["results"]} == {"rejected"}
    for path in ("identify", "logout"):
        assert send(client, path, token=token_of(shop, STAFF)).status_code == 204
    client.post("/logout")
    assert recorded(shop) == []
    assert jar_of(client) == {}


def test_everybody_else_is_recorded(shop: Host) -> None:
    """With all of these."""
    client = log_in(shop, "7")
    visit(client)
    assert set(jar_of(client)) == ALL
    send(client, **CLICK)
    client.post("/logout")
    assert shop.actions() == {
        "session.start": 1,
        "page.visit": 1,
        "button.click": 1,
        "customer.login": 1,
        "customer.logout": 1,
        "session.end": 1,
    }


def test_filter_is_asked_once_and_only_if_something_would_be_recorded(
    shop: Host, asked: Asked
) -> None:
    """Not for answers that record nothing, nor for bots and refusals."""
    client = log_in(shop, "7")
    assert asked.count() == 1
    for ask in (
        lambda: visit(client),
        lambda: client.get("/account"),
        lambda: send(client, **CLICK),
    ):
        ask()
        assert asked.count() == 1
    send(client, events=[CLICK] * 5)
    assert asked.count() == 1
    for path in ("/data.json", "/away", "/missing", "/static/none.css", "/_et/openapi.json"):
        client.get(path, headers=NAVIGATION)
        assert asked.count() == 0, path
    other = shop.client()
    other.set_cookie("eventtrack_consent", "none")
    other.get("/", headers=NAVIGATION)
    shop.client("Googlebot/2.1").get("/", headers=NAVIGATION)
    send(shop.client("Googlebot/2.1"), **CLICK)
    send(client, headers={"Origin": "https://evil.example"}, **CLICK)
    client.post("/_et/in", data="{", headers={"Sec-Fetch-Site": "same-origin"})
    assert asked.count() == 0


def test_session_before_the_log_in_of_staff_ends_normally(shop: Host) -> None:
    """What happened before is kept, and its end is that of the last page."""
    client = shop.client()
    visit(client)
    jar = jar_of(client)
    shop.clock.advance(minutes=5)
    client.post(f"/login/{STAFF}")
    visit(client)
    send(client, **CLICK)
    assert jar_of(client) == jar
    shop.clock.advance(minutes=45)
    visit(client)
    shop.flush()
    shop.state.pipeline.sweep()
    [row] = shop.rows("session")
    assert (row["pages"], row["ended_at"]) == (1, row["started_at"])
    assert shop.actions() == {"session.start": 1, "page.visit": 1, "session.end": 1}


def test_device_goes_on_after_the_log_out_of_staff(shop: Host) -> None:
    """As the same anonymous visitor, with the same session if that is still open."""
    client = shop.client()
    visit(client)
    client.post(f"/login/{STAFF}")
    visit(client)
    client.post("/logout")
    shop.clock.advance(minutes=5)
    visit(client)
    [row] = shop.rows("session")
    assert row["pages"] == 2


def test_impersonation_leaves_no_trace_at_the_customer(shop: Host) -> None:
    """Neither its log-in nor its pages are the customer's."""
    client = log_in(shop, STAFF)
    client.post("/impersonate/7")
    visit(client)
    client.get("/account")
    client.post("/logout")
    assert recorded(shop) == []
    visit(log_in(shop, "7"))
    assert [row["customer_id"] for row in shop.rows("profile")] == ["7"]


def test_staff_who_log_in_in_the_middle_of_a_request_are_left_out(shop: Host, asked: Asked) -> None:
    """What was recorded before is the stranger's."""

    @shop.app.post("/enter/<who>")
    def enter(who: str) -> str:
        track("account.open")
        login_user(User(who))
        track("account.open")
        return "<title>Entered</title>"

    shop.client().post(f"/enter/{STAFF}")
    assert asked.count() == 2
    assert shop.actions() == {"session.start": 1, "account.open": 1}
    shop.client().post("/enter/7")
    assert shop.actions()["account.open"] == 3
    assert [row["customer_id"] for row in shop.rows("profile")] == ["7"]


def test_identify_asks_the_filter(make: MakeHost) -> None:
    """Where the app has a log-in of its own."""
    host = make({"EVENTTRACK_VISITOR_FILTER": lambda: session.get("user_id") != STAFF})

    @host.app.post("/enter/<who>")
    def enter(who: str) -> dict[str, t.Any]:
        session["user_id"] = who
        return {"uuid": identify(who)}

    host.events.customer_loader(lambda: session.get("user_id"))
    client = host.client()
    assert client.post(f"/enter/{STAFF}").get_json() == {"uuid": None}
    visit(client)
    assert recorded(host) == []
    assert host.client().post("/enter/7").get_json() == {"uuid": str(profile_of("7"))}


def test_posts_of_apps_are_filtered_too(shop: Host) -> None:
    """Staff whom the app's own token names."""
    manager = t.cast("t.Any", shop.app).login_manager
    manager.request_loader(lambda request: request.authorization and User(STAFF))
    answer = send(shop.client(APP), headers=bearer(token_of(shop, STAFF)), **CLICK)
    assert answer.get_json()["results"][0]["error"]["code"] == "filtered"
    assert "X-EventTrack-Device" not in answer.headers
    assert recorded(shop) == []


def test_old_browser_of_staff_gets_no_cookie(shop: Host) -> None:
    """Although it lacks the token that it would need."""
    client = log_in(shop, STAFF)
    headers = {"Origin": "http://localhost", "Referer": "http://localhost/"}
    answer = client.post("/_et/in", json=CLICK, headers=headers)
    assert answer.status_code in {403, 422}
    assert cookies_of(answer).keys() & ALL == set()


def test_what_an_app_says_of_a_named_customer_is_recorded(shop: Host) -> None:
    """Staff may ship an order: the event is the customer's."""
    shop.app.add_url_rule("/ship", view_func=lambda: str(track("account.open", customer="7")))
    log_in(shop, STAFF).get("/ship")
    assert [row["uuid"] for row in shop.rows("event")] == [profile_of("7")]


def test_filter_may_ask_for_the_visitor(make: MakeHost) -> None:
    """And its own events are not recorded."""
    seen: list[object] = []

    def ask() -> bool:
        seen.append((current_visitor.customer_id, current_visitor.policy, track("button.click")))
        return True

    host = make({"EVENTTRACK_VISITOR_FILTER": ask})
    visit(host.client())
    assert seen == [(None, "full", None)]
    assert host.actions() == {"session.start": 1, "page.visit": 1}


@pytest.mark.parametrize(
    "do", [visit, lambda client: send(client, **CLICK), lambda client: client.get("/tracked")]
)
def test_failing_filter_records_nothing_and_fails_no_request(
    make: MakeHost, caplog: pytest.LogCaptureFixture, do: cabc.Callable[[FlaskClient], object]
) -> None:
    """It is logged once in production, and raised in tests."""
    host = make({"TESTING": False, "EVENTTRACK_VISITOR_FILTER": lambda: 1 // 0})
    host.app.add_url_rule("/tracked", view_func=lambda: str(track("button.click")))
    client = host.client()
    do(client)
    do(client)
    assert caplog.messages == [
        "EventTrack failed while asking EVENTTRACK_VISITOR_FILTER; the request goes on."
    ]
    assert recorded(host) == []
    host.app.testing = True
    with pytest.raises(ZeroDivisionError):
        do(client)


def test_refused_people_are_counted_as_other_rejections(shop: Host) -> None:
    """For the developer who wonders where the clicks are."""
    send(log_in(shop, STAFF), **CLICK)
    assert refusals(shop) == {}
    [row] = shop.rows("quality")
    assert (row["outcome"], row["action"], row["reason"]) == (
        "rejected",
        "button.click",
        "filtered",
    )
