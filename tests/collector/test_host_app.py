"""The collector beside what a host does to its routes: CSRF, CORS, handlers, catch-alls."""

from __future__ import annotations

import collections.abc as cabc
import pathlib
import re
import typing as t

import pytest
from flask import Flask, Response, request
from flask_sqlalchemy import SQLAlchemy
from flask_wtf import CSRFProtect

from flask_eventtrack import EventTrack

from ..conftest import MakeHost
from ..hosts import SAME_ORIGIN, FakeClock, Host
from .senders import EVENT, EVIL, OLD_BROWSER, post, problem_of, script_of


@pytest.fixture(params=["before", "after"])
def protected(
    request: pytest.FixtureRequest, tmp_path: pathlib.Path, clock: FakeClock
) -> cabc.Iterator[Host]:
    """A host with Flask-WTF's CSRFProtect, registered before or after us."""
    app = Flask("host")
    url = f"sqlite:///{tmp_path / 'host.db'}"
    app.config.update(SECRET_KEY="secret", SQLALCHEMY_DATABASE_URI=url, TESTING=True)
    db, protect, events = SQLAlchemy(app), CSRFProtect(), EventTrack(clock=clock)
    if request.param == "before":
        protect.init_app(app)
    events.init_app(app, db)
    if request.param == "after":
        protect.init_app(app)
    app.post("/buy", endpoint="buy")(lambda: "bought")
    with app.app_context():
        db.create_all()
    host = Host(app, db, events, clock)
    yield host
    host.close()


def test_csrf_protect_does_not_block_the_collector(protected: Host) -> None:
    """Flask-WTF's token is unknown to cached pages: our own checks stand instead."""
    assert post(protected.client(), SAME_ORIGIN).status_code == 202
    assert problem_of(post(protected.client(), OLD_BROWSER)) == (403, "csrf")
    assert problem_of(post(protected.client(), {"Origin": EVIL})) == (403, "foreign_origin")


def test_csrf_protect_still_guards_the_host(protected: Host) -> None:
    """The exemption is the collector's alone."""
    client = protected.client()
    assert post(client, SAME_ORIGIN).status_code == 202
    assert client.post("/buy").status_code == 400


def test_a_host_that_echoes_every_origin_opens_nothing(make: MakeHost) -> None:
    """What a Flask-CORS adds to our answers lets no stranger's event in."""
    host = make()

    @host.app.after_request
    def echo(response: Response) -> Response:
        response.headers["Access-Control-Allow-Origin"] = request.headers.get("Origin", "*")
        response.headers["Access-Control-Allow-Credentials"] = "true"
        return response

    headers = {"Origin": EVIL, "Sec-Fetch-Site": "cross-site"}
    assert host.client().options("/_et/in", headers=headers).status_code == 403
    assert post(host.client(), headers).status_code == 403
    assert host.rows("event") == []


REFUSALS: list[tuple[str, str, dict[str, t.Any], tuple[int, str]]] = [
    ("POST", "/_et/in", {"json": EVENT, "headers": {"Origin": EVIL}}, (403, "foreign_origin")),
    ("POST", "/_et/in", {"json": EVENT, "headers": OLD_BROWSER}, (403, "csrf")),
    ("POST", "/_et/in", {"json": [], "headers": SAME_ORIGIN}, (400, "malformed")),
    ("POST", "/_et/in", {"data": {"a": "b"}, "headers": SAME_ORIGIN}, (415, "unsupported_type")),
    ("POST", "/_et/in", {"json": "x" * 300_000, "headers": SAME_ORIGIN}, (413, "too_large")),
    (
        "POST",
        "/_et/in",
        {"json": {"token": "x"}, "headers": SAME_ORIGIN},
        (401, "token_unsupported"),
    ),
    ("GET", "/_et/in", {}, (405, "method_not_allowed")),
    ("HEAD", "/_et/in", {}, (405, "")),
    ("PUT", "/_et/in", {"json": EVENT, "headers": SAME_ORIGIN}, (405, "method_not_allowed")),
    ("DELETE", "/_et/in", {"headers": SAME_ORIGIN}, (405, "method_not_allowed")),
    ("GET", "/_et/", {}, (404, "not_found")),
    ("GET", "/_et/live", {}, (404, "not_found")),
    ("GET", "/_et/people/42", {}, (404, "not_found")),
    ("POST", "/_et/in/", {"json": EVENT, "headers": SAME_ORIGIN}, (404, "not_found")),
    ("POST", "/_et/elsewhere", {"json": EVENT, "headers": SAME_ORIGIN}, (404, "not_found")),
    ("GET", "/_et/0123456789abcdef/et.js", {}, (404, "not_found")),
    ("POST", "/_et/0123456789abcdef/et.js", {}, (404, "not_found")),
]


@pytest.mark.parametrize(("method", "path", "options", "expected"), REFUSALS)
def test_a_hosts_handlers_and_catch_alls_do_not_answer_for_us(
    make: MakeHost, method: str, path: str, options: dict[str, t.Any], expected: tuple[int, str]
) -> None:
    """Below the prefix, the problem documents are ours whatever the host has registered."""
    host = make()
    _answer_everything(host.app)
    response = host.client().open(path, method=method, **options)
    if method == "HEAD":
        assert (response.status_code, response.mimetype) == (405, "application/problem+json")
    else:
        assert problem_of(response) == expected
    if expected[0] == 405:
        assert response.headers["Allow"] == "POST, OPTIONS"
    assert host.client().get("/anything/else").data == b"the host's"


def _answer_everything(app: Flask) -> None:
    """Register a handler for every error, and routes that match every path."""

    def answer(*_: object, **__: object) -> str:
        return "the host's"

    for error in (400, 401, 403, 404, 405, 413, 415, Exception):
        app.register_error_handler(error, answer)
    methods = ["GET", "POST", "PUT", "DELETE", "PATCH"]
    for number, rule in enumerate(("/<path:everything>", "/<a>/<b>", "/<a>/in", "/<slug>")):
        app.add_url_rule(rule, f"catch{number}", answer, methods=methods)


def test_a_catch_all_does_not_swallow_a_post(make: MakeHost) -> None:
    """Events arrive beside a host's catch-all routes, which still serve what is theirs."""
    host = make()
    _answer_everything(host.app)
    assert post(host.client(), SAME_ORIGIN).status_code == 202
    assert host.client().get("/_etc/in").data == b"the host's"


def test_another_prefix_moves_everything(make: MakeHost) -> None:
    """Nothing of ours is left at the default prefix."""
    host = make({"EVENTTRACK_URL_PREFIX": "/a/b"})
    response = host.client().post("/a/b/in", json=EVENT, headers=SAME_ORIGIN)
    assert response.status_code == 202
    assert post(host.client(), SAME_ORIGIN).status_code == 404
    assert re.fullmatch("/a/b/[0-9a-f]{16}/et.js", script_of(host.client()))


def test_a_host_name_in_another_script_is_our_own_origin(host: Host) -> None:
    """Browsers send both in Punycode: an old one is asked for the token, and not called foreign."""
    headers = {"Host": "xn--bcher-kva.example", "Origin": "http://xn--bcher-kva.example"}
    response = host.client().post("/_et/in", json={"action": "button.click"}, headers=headers)
    assert (response.status_code, response.get_json()["code"]) == (403, "csrf")
