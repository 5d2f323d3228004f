"""A visitor who refused is recorded neither by the collector nor by server code."""

from __future__ import annotations

import re

import pytest
from flask import Response, jsonify, make_response, render_template_string
from flask_login import LoginManager, UserMixin, login_user

from flask_eventtrack import current_visitor, identify, logout, track
from flask_eventtrack.ids import uuid7

from ..conftest import MakeHost
from ..hosts import SAME_ORIGIN, Host
from .choices import CLICK, CONSENT, GPC, OLD_BROWSER, OURS, choose, cookies_of, held, post, visit

OPTED_OUT = {
    "code": "opted_out",
    "message": "The visitor has refused to be recorded.",
    "param": None,
}


# The collector


@pytest.mark.parametrize("choice", ["anonymous", "none"])
def test_events_of_who_refused_are_rejected(host: Host, choice: str) -> None:
    """Each is answered, so that the browser drops it; events are only counted."""
    client = host.client()
    choose(client, choice)
    response = post(client)
    assert response.status_code == 202
    assert response.get_json() == {
        "results": [{"event_id": None, "status": "rejected", "error": OPTED_OUT}]
    }
    single = client.post("/_et/in", json=CLICK, headers=SAME_ORIGIN)
    assert (single.status_code, single.get_json()["results"][0]["error"]) == (422, OPTED_OUT)
    assert host.rows("event") == []
    [row] = host.rows("quality")
    assert (row["outcome"], row["reason"], row["count"]) == ("rejected", "opted_out", 2)


def test_post_with_the_signal_takes_the_cookies_of_before(host: Host) -> None:
    """A page from a cache posts although the visitor has refused."""
    client = host.client()
    visit(client)
    response = post(client, SAME_ORIGIN | GPC)
    assert response.get_json()["results"][0]["error"]["code"] == "opted_out"
    assert set(cookies_of(response)) == OURS
    assert held(client) == set()


def test_old_browser_that_refuses_is_given_no_token(host: Host) -> None:
    """Nor a device, since no event is accepted."""
    response = post(host.client(), OLD_BROWSER | GPC)
    assert response.status_code == 202
    assert cookies_of(response) == {}


def test_app_asks_its_user_itself(make: MakeHost) -> None:
    """It has no cookie for a choice: consent mode does not refuse it."""
    host = make({"EVENTTRACK_DEFAULT_POLICY": "none"})
    response = post(host.client("app/1.0"), {})
    assert response.get_json()["results"][0]["status"] == "accepted"
    assert "X-EventTrack-Device" in response.headers
    assert host.actions() == {"button.click": 1, "session.start": 1}


# Server code


class User(UserMixin):  # type: ignore[misc]
    id = "42"


def add_calls(host: Host) -> None:
    """Add views that record, identify and log in."""
    host.events.define("order.pay")
    LoginManager(host.app).user_loader(lambda _: User())

    @host.app.get("/pay")
    def pay() -> Response:
        return jsonify(
            mine=track("order.pay"),
            in_transaction=track("order.pay", in_transaction=True),
            named=track("order.pay", customer="42"),
            token=current_visitor.token,
            by_token=track("order.pay", visitor=current_visitor.token),
            policy=current_visitor.policy,
        )

    @host.app.get("/identify")
    def call_identify() -> Response:
        return jsonify(uuid=identify("42", {"plan": "pro"}), customer=current_visitor.customer_id)

    @host.app.get("/login")
    def log_in() -> str:
        login_user(User())
        return f"{current_visitor.customer_id}"

    @host.app.get("/logout")
    def log_out() -> str:
        logout()
        return "bye"


@pytest.mark.parametrize("choice", ["anonymous", "none"])
def test_track_of_who_refused_is_none_unless_a_customer_is_named(host: Host, choice: str) -> None:
    """Server code decides itself what it records for a named customer."""
    add_calls(host)
    client = host.client()
    choose(client, choice)
    response = client.get("/pay")
    answer = response.get_json()
    assert answer.pop("named") is not None
    assert answer == {
        "mine": None,
        "in_transaction": None,
        "token": "",
        "by_token": None,
        "policy": choice,
    }
    assert cookies_of(response) == {}
    assert host.actions() == {"order.pay": 1}
    assert host.rows("session") == []


def test_nobody_is_identified_who_refused(host: Host) -> None:
    """Neither by a call nor by Flask-Login's log-in, whose cookie stays."""
    add_calls(host)
    client = host.client()
    choose(client, "anonymous")
    assert client.get("/identify").get_json() == {"uuid": None, "customer": None}
    assert client.get("/login").text == "None"
    visit(client)
    client.get("/logout")
    assert {row["uuid"].version for row in host.rows("event")} == {4}
    assert set(host.actions()) == {"page.visit"}
    assert host.rows("profile") == host.rows("alias") == []
    assert held(client) == {CONSENT}


@pytest.mark.parametrize(
    ("config", "filler"),
    [
        ({}, GPC),
        ({"EVENTTRACK_GPC": "none"}, GPC),
        ({}, {"Cookie": f"{CONSENT}=none"}),
        ({}, {"User-Agent": "Googlebot/2.1"}),
        ({"EVENTTRACK_BOTS": "tag"}, {"User-Agent": "Googlebot/2.1"}),
    ],
    ids=["anonymous", "none", "a choice", "a bot", "a tagged bot"],
)
@pytest.mark.parametrize("is_shared", [True, False])
def test_page_that_a_cache_has_of_who_refuses_is_for_others_as_ever(
    make: MakeHost, config: dict[str, str], filler: dict[str, str], *, is_shared: bool
) -> None:
    """Each reader is one visit, whose two halves are one where the server sees it: the cache of a
    proxy shows it to a newcomer, the app's own to somebody whom the server has seen."""
    host = make(config)
    kept: list[str] = []

    @host.app.get("/kept")
    def show() -> Response:
        if not kept:
            kept.append(render_template_string("<title>Kept</title>{{ eventtrack_snippet() }}"))
        response = make_response(kept[0])
        if is_shared:
            response.headers["Cache-Control"] = "public"
        return response

    tag = visit(host.client(), "/kept", **filler).text
    before = {row["id"] for row in host.rows("event")}
    found = re.search('data-visit="([^"]+)"', tag)
    assert found
    assert "data-policy" not in tag
    readers = [host.client() for _ in range(2)]
    for reader in readers:
        if not is_shared:
            visit(reader, "/kept")
        half = {
            "action": "page.visit",
            "visit": found[1],
            "event_id": str(uuid7(host.clock())),
            "params": {"url": "http://localhost/kept", "title": "As shown"},
        }
        answer = reader.post("/_et/in", json=half, headers=SAME_ORIGIN)
        assert answer.status_code == 202
    visits = [row for row in host.events_of("page.visit") if row["id"] not in before]
    assert len(visits) == 2
    assert len({row["uuid"] for row in visits}) == 2
    for row in visits:
        assert row["params"]["title"] == "As shown"
        assert row["source"] == ("browser" if is_shared else "server")
