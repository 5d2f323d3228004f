"""Hooks that hosts write themselves, in front of our routes and behind them."""

from __future__ import annotations

import collections.abc as cabc
import typing as t

import pytest
from flask import Flask, Response, abort, flash, g, redirect, request, session

from flask_eventtrack import identify

from ..hosts import NAVIGATION, SAME_ORIGIN
from .conftest import MakeNeighbours, click, load_script

Answer = cabc.Callable[[], t.Any]


def wall(app: Flask, answer: Answer) -> None:
    """Let only customers in."""
    app.add_url_rule("/login", view_func=lambda: "<title>Log in</title>")

    @app.before_request
    def ask() -> t.Any:
        g.seen = True
        return None if request.endpoint == "login" or "user" in session else answer()


@pytest.mark.parametrize("answer", [lambda: redirect("/login"), lambda: abort(401)])
def test_log_in_wall_stops_no_event(beside: MakeNeighbours, answer: Answer) -> None:
    """The page in front of the wall reports what visitors do there."""
    host = beside(lambda app: wall(app, answer))
    client = host.client()
    client.get("/login", headers=NAVIGATION)
    assert click(client).status_code == 202
    with client.session_transaction() as host_session:
        host_session["user"] = 7
    src = load_script(client).request.path
    assert host.client().get(src).status_code == 200
    assert host.client().options("/_et/in").status_code == 403
    assert host.client().post("/_et/consent").status_code == 403
    assert host.client().get("/_et/privacy.css").status_code == 200


def test_wall_leaves_nothing_of_an_answer_that_is_not_sent(beside: MakeNeighbours) -> None:
    """After the log-in, people come to the page that they wanted, and read no stale message."""

    def answer() -> t.Any:
        session["next"] = request.path
        flash("Please log in.")
        return redirect("/login")

    host = beside(lambda app: wall(app, answer))
    host.events.define("account.open")
    host.events.customer_loader(lambda: session.get("user"))
    client = host.client()
    client.get("/orders", headers=NAVIGATION)
    for _ in range(3):
        rejected = client.post("/_et/in", json={"action": "account.open"}, headers=SAME_ORIGIN)
        assert rejected.get_json()["results"][0]["error"]["code"] == "customer_required"
    with client.session_transaction() as host_session:
        assert host_session["next"] == "/orders"
        assert len(host_session["_flashes"]) == 1


def test_pages_of_ours_stay_behind_the_wall(beside: MakeNeighbours) -> None:
    """The host says who sees them."""
    host = beside(lambda app: wall(app, lambda: abort(401)))
    host.app.config["EVENTTRACK_DASHBOARD_PERMISSION"] = lambda: True
    for path in ("privacy", "openapi.json", "catalogue.json"):
        assert host.client().get(f"/_et/{path}").status_code == 401


def languages(app: Flask) -> None:
    """Take the language out of the path, as Flask's manual shows."""

    @app.url_value_preprocessor
    def pull(endpoint: str | None, values: dict[str, t.Any] | None) -> None:
        if endpoint not in {"home", "product"}:
            g.language = (values or {}).pop("language")

    @app.before_request
    def check() -> None:
        if request.endpoint not in {"home", "product"} and g.language != "en":
            abort(404)

    app.add_url_rule("/<language>/about", "about", lambda: "<title>About</title>")


def test_our_routes_have_no_language(beside: MakeNeighbours) -> None:
    host = beside(languages)
    client = host.client()
    assert click(client).status_code == 202  # also as the app's first request
    assert load_script(client).status_code == 200
    assert client.get("/en/about", headers=NAVIGATION).status_code == 200
    assert client.get("/xx/about", headers=NAVIGATION).status_code == 404


def stopwatch(app: Flask) -> None:
    """Hooks that rely on one another."""

    @app.before_request
    def start() -> None:
        g.start = 1

    @app.after_request
    def stop(response: Response) -> Response:
        response.headers["X-Time"] = str(2 - g.start)
        return response

    @app.teardown_request
    def forget(_: BaseException | None) -> None:
        del g.start


def test_hooks_that_rely_on_one_another_break_nothing(beside: MakeNeighbours) -> None:
    """What has not begun is not ended either; the host's pages have all of it."""
    client = beside(stopwatch).client()
    assert click(client).status_code == 202
    assert "X-Time" not in load_script(client).headers
    page = client.get("/", headers=NAVIGATION)
    assert page.headers["X-Time"] == "1"


def test_answers_are_not_rewritten(beside: MakeNeighbours) -> None:
    """A host may put all of its answers in an envelope."""

    def wrap(app: Flask) -> None:
        @app.after_request
        def envelope(response: Response) -> Response:
            response.set_data(b"[" + response.get_data() + b"]")
            response.headers["Cache-Control"] = "no-store"
            return response

    client = beside(wrap).client()
    assert click(client).get_json()["results"][0]["status"] == "accepted"
    assert "immutable" in load_script(client).headers["Cache-Control"]
    assert client.get("/data.json").text.startswith("[")


def test_hooks_that_clean_up_run_for_each_request(beside: MakeNeighbours) -> None:
    """A loader of the host's may have opened what they close."""
    closed = []

    def clean(app: Flask) -> None:
        app.teardown_request(lambda _: closed.append(request.path))

    host = beside(clean)
    click(host.client())
    assert closed == ["/_et/in"]


def know_by_key(app: Flask) -> None:
    @app.before_request
    def load() -> None:
        g.user = session.get("user")
        if request.headers.get("X-Key"):
            identify(request.headers["X-Key"])


def test_the_loader_finds_what_the_hosts_hooks_leave(beside: MakeNeighbours) -> None:
    """As in Flask's tutorial: ``g.user`` is set before each request."""
    host = beside(know_by_key)
    host.events.customer_loader(lambda: g.user)
    client = host.client()
    with client.session_transaction() as host_session:
        host_session["user"] = 7
    assert click(client).status_code == 202
    profile = host.state.profile_of(7)
    assert [row["uuid"] for row in host.events_of("button.click")] == [profile]


def test_the_filter_of_visitors_finds_it_too(beside: MakeNeighbours) -> None:
    """Staff are left out of what their pages send as well."""
    asked = []

    def is_visitor() -> bool:
        asked.append(request.path)
        return bool(g.user != "staff")

    host = beside(know_by_key, {"EVENTTRACK_VISITOR_FILTER": is_visitor})
    for user, status in (("staff", 422), ("customer", 202)):
        client = host.client()
        with client.session_transaction() as host_session:
            host_session["user"] = user
        assert click(client).status_code == status
    assert host.actions()["button.click"] == 1
    assert asked == ["/_et/in", "/_et/in"]


def test_an_app_is_known_by_its_key(beside: MakeNeighbours) -> None:
    """An app has no pages: only the host's hooks see its key."""
    host = beside(know_by_key)
    event = {"action": "button.click", "params": {"name": "buy"}}
    response = host.client().post("/_et/in", json=event, headers={"X-Key": "7"})
    assert response.status_code == 202
    assert host.events_of("button.click")[0]["uuid"] == host.state.profile_of(7)


def test_hooks_that_the_host_lists_are_all_there(beside: MakeNeighbours) -> None:
    """Flask's lists of hooks are what the host expects: they can be read and changed."""
    hook: t.Any = lambda: None  # noqa: E731
    host = beside(lambda app: app.before_request(hook))
    assert hook in host.app.before_request_funcs[None]
    host.client().get("/")
    assert hook in list(host.app.before_request_funcs[None])
    host.app.before_request_funcs[None].remove(hook)
    assert hook not in host.app.before_request_funcs[None]
