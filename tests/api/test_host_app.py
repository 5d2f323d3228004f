"""An app is otherwise left as it was: its answers, its database session, its errors."""

from __future__ import annotations

import pathlib
import typing as t

import pytest
import sqlalchemy as sa
from flask import (
    Blueprint,
    Flask,
    Response,
    abort,
    redirect,
    render_template_string,
    request,
    send_file,
    session,
    stream_with_context,
)

from flask_eventtrack import EventTrack, current_visitor, identify, track

from ..conftest import MakeHost
from ..hosts import CHROME, NAVIGATION, SAME_ORIGIN, Host
from .apps import Build, add_page


def add_everything(app: Flask, file: pathlib.Path) -> None:
    """Add a view of each kind of answer."""
    admin = Blueprint("admin", __name__, url_prefix="/admin")
    admin.add_url_rule("/", "home", lambda: "<h1>Admin</h1>")
    app.register_blueprint(admin)
    app.add_url_rule("/", "home", lambda: render_template_string("<title>{{ x }}</title>", x="é"))
    app.add_url_rule("/json", "json", lambda: {"a": [1, None]})
    app.add_url_rule("/empty", "empty", lambda: ("", 204))
    app.add_url_rule("/bytes", "bytes", lambda: Response(b"\xff\xfe<title>x", mimetype="text/html"))
    app.add_url_rule("/latin", "latin", lambda: Response(b"<title>\xe9", content_type="text/html"))
    app.add_url_rule("/away", "away", lambda: redirect("/"))
    app.add_url_rule("/folder/", "folder", lambda: "<p>x</p>")
    app.add_url_rule("/abort", "abort", lambda: abort(403))
    app.add_url_rule("/stream", "stream", lambda: stream_with_context(c for c in ("<title>", "x")))
    app.add_url_rule("/list", "list", lambda: Response(["<title>", "x", "</title>"]))
    app.add_url_rule("/file", "file", lambda: send_file(file))
    app.add_url_rule("/cached", "cached", _cached)
    app.add_url_rule("/tagged", "tagged", _tagged)
    app.add_url_rule("/session", "session", _session)
    app.add_url_rule("/post", "post", lambda: "<p>posted</p>", methods=["POST", "PUT", "DELETE"])


def _cached() -> Response:
    return Response("<title>x</title>", headers={"Cache-Control": "public, max-age=60"})


def _tagged() -> Response:
    response = Response("<title>x</title>")
    response.add_etag()
    response.make_conditional(request)
    return response


def _session() -> str:
    session["seen"] = True
    return "<title>x</title>"


GETS = (
    "/ /admin/ /json /empty /bytes /latin /away /folder /folder/ /abort /stream /list /file /cached"
    " /tagged /session /post /missing /static/none.css /%ff /admin /?utm_source=a&token=b"
)
REQUESTS = [
    *[("GET", path) for path in GETS.split(" ")],
    *[(method, "/") for method in ("HEAD", "OPTIONS")],
    *[("HEAD", path) for path in ("/json", "/stream", "/file", "/tagged")],
    *[(method, "/post") for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS")],
]


def answers_of(app: Flask, headers: dict[str, str]) -> list[t.Any]:
    """Return all that the app answers, without our cookies and the time of day."""
    answers: list[t.Any] = []
    for method, path in REQUESTS:
        client = app.test_client()
        with client.open(path, method=method, headers=headers) as answer:
            kept = [
                (name, value)
                for name, value in answer.headers
                if name not in {"Date", "Expires"} and not value.startswith("eventtrack_")
            ]
            answers.append((method, path, answer.status, kept, answer.get_data()))
    return answers


@pytest.mark.parametrize(
    "headers", [NAVIGATION, {}, {"If-None-Match": '"x"', "Range": "bytes=0-3"}], ids=str
)
def test_answers_are_the_same_byte_for_byte_but_for_our_cookies(
    build: Build,
    tmp_path: pathlib.Path,
    headers: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Status, headers in their order, and body, of answers of every kind."""
    # Flask's session cookie holds the second in which it was signed.
    monkeypatch.setattr("itsdangerous.TimestampSigner.get_timestamp", lambda _: 1_800_000_000)
    file = tmp_path / "page.html"
    file.write_text("<title>File</title>")
    apps = [build() for _ in range(2)]
    for app, _ in apps:
        add_everything(app, file)
    EventTrack(*apps[1])
    with apps[1][0].app_context():
        apps[1][1].create_all()
    without, with_us = (answers_of(app, {"User-Agent": CHROME, **headers}) for app, _ in apps)
    assert with_us == without


def test_page_is_not_made_to_vary_by_cookie(host: Host) -> None:
    """flask.session is never touched, by a page, a collector or an identification."""

    @host.app.get("/known")
    def known() -> str:
        identify("7")
        return f"<title>{current_visitor.customer_id}</title>"

    client = host.client()
    answers = [client.get("/"), client.get("/known"), client.get("/")]
    answers.append(client.post("/_et/in", json={"action": "button.click"}, headers=SAME_ORIGIN))
    assert [answer.headers.get("Vary") for answer in answers] == [None] * 4
    assert [answer.status_code for answer in answers] == [200, 200, 200, 202]


def test_hosts_db_session_is_untouched(host: Host) -> None:
    """Neither a query nor a flush, a commit or a rollback of ours runs on it."""
    used: list[str] = []

    @host.app.get("/track")
    def tracked() -> str:
        track("page.engage", {"visible_s": 1})
        used.extend(["made"] if host.db.session.registry.has() else [])
        return "<title>x</title>"

    for name in ("after_begin", "after_commit", "after_rollback", "before_flush", "after_flush"):
        sa.event.listen(host.db.session, name, lambda *_, name=name: used.append(name))
    client = host.client()
    client.get("/track", headers=NAVIGATION)
    client.post("/_et/in", json={"action": "button.click"}, headers=SAME_ORIGIN)
    assert host.actions()["button.click"] == 1
    assert used == []


def test_uncommitted_rows_of_the_host_stay_uncommitted(host: Host) -> None:
    """Rows that a view adds and does not commit are rolled back as ever."""
    things = sa.Table("things", host.db.metadata, sa.Column("id", sa.Integer, primary_key=True))

    @host.app.get("/add")
    def add() -> str:
        track("page.engage", {"visible_s": 1})
        host.db.session.execute(things.insert().values(id=1))
        return "<title>x</title>"

    with host.app.app_context():
        host.db.create_all()
    assert host.client().get("/add", headers=NAVIGATION).status_code == 200
    assert host.actions()["page.visit"] == 1
    with host.app.app_context():
        assert host.db.session.scalars(sa.select(things)).all() == []


def test_no_database_work_is_done_in_a_request(make: MakeHost) -> None:
    """The host's engine runs not one statement for us."""
    host = make({"EVENTTRACK_FLUSH_INTERVAL": 3600})
    statements: list[str] = []
    with host.app.app_context():
        engine = host.db.engine
    sa.event.listen(engine, "before_cursor_execute", lambda *given: statements.append(given[2]))
    client = host.client()
    for path in ("/", "/products/mug", "/data.json"):
        client.get(path, headers=NAVIGATION)
    client.post("/_et/in", json={"action": "button.click"}, headers=SAME_ORIGIN)
    assert statements == []
    assert host.state.pipeline.waiting == 3


@pytest.mark.parametrize("testing", [True, False])
@pytest.mark.parametrize("path", ["/", "/tracked"])
def test_headers_that_a_host_replaces_by_a_dict_are_survived(
    make: MakeHost, path: str, *, testing: bool
) -> None:
    """FACTS §6: real hosts do so; neither their users nor their test suites meet an error."""
    host = make({"TESTING": testing})
    host.events.define("a.b")

    @host.app.get("/tracked")
    def tracked() -> str:
        track("a.b")
        return "<title>Tracked</title>"

    @host.app.after_request
    def replace(response: Response) -> Response:
        response.headers = dict(response.headers)  # type: ignore[assignment]
        return response

    answer = host.client().get(path, headers=NAVIGATION)
    assert (answer.status_code, answer.content_type) == (200, "text/html; charset=utf-8")
    assert "<title>" in answer.text


@pytest.mark.parametrize(
    ("status", "actions"), [(401, {}), (503, {}), (200, {"page.visit": 1, "session.start": 1})]
)
def test_host_that_answers_before_the_view_is_survived(
    host: Host, status: int, actions: dict[str, int]
) -> None:
    """A refused request is not a visit; a maintenance page with status 200 is."""

    @host.app.before_request
    def stop() -> tuple[str, int]:
        return "<title>Stop</title>", status

    assert host.client().get("/", headers=NAVIGATION).status_code == status
    assert host.actions() == actions


def test_host_that_aborts_before_every_request_is_survived(build: Build) -> None:
    """Also where its hook was there before us."""
    app, db = build(TESTING=True)
    add_page(app)
    app.before_request(lambda: abort(403))
    EventTrack(app, db)
    client = app.test_client()
    for path in ("/", "/_et/in", "/_et/privacy", "/missing"):
        assert client.get(path, headers=NAVIGATION).status_code == 403
    # Whoever has a page may use its script, which posts.
    assert client.get("/_et/privacy.css").status_code == 200
    assert client.post("/_et/logout", headers=SAME_ORIGIN).status_code == 204


def test_url_value_preprocessor_that_raises_is_the_hosts_own_error(make: MakeHost) -> None:
    """Our after_request then runs without our before_request."""
    host = make({"TESTING": False})
    host.app.url_value_preprocessor(lambda *_: abort(410))
    assert host.client().get("/", headers=NAVIGATION).status_code == 410
    assert host.actions() == {}


def test_error_of_the_hosts_reaches_the_host(make: MakeHost) -> None:
    """Its handlers see its exceptions, and its users their pages."""
    host = make({"TESTING": False})

    @host.app.get("/broken")
    def broken() -> str:
        raise ZeroDivisionError

    host.app.errorhandler(ZeroDivisionError)(lambda error: ("<title>Oops</title>", 500))
    answer = host.client().get("/broken", headers=NAVIGATION)
    assert (answer.status_code, answer.text) == (500, "<title>Oops</title>")
    assert host.actions() == {}


def test_error_of_ours_is_raised_in_testing_and_logged_once_in_production(
    make: MakeHost, caplog: pytest.LogCaptureFixture
) -> None:
    """A filter that fails stands for any failure at the edge."""
    host = make({"EVENTTRACK_PAGE_VISIT_FILTER": lambda: 1 // 0})
    client = host.client()
    with pytest.raises(ZeroDivisionError):
        client.get("/products/mug", headers=NAVIGATION)
    host.app.testing = False
    assert [client.get("/products/mug").status_code for _ in range(3)] == [200, 200, 200]
    logged = [r for r in caplog.records if "failed while reading a title" in r.getMessage()]
    assert len(logged) == 1
    assert host.state.failures["reading a title: ZeroDivisionError"] == 3


def test_pages_answer_while_the_tables_are_missing(make: MakeHost) -> None:
    """The events wait, and are written once the tables are there."""
    host = make(create=False)
    client = host.client()
    assert client.get("/", headers=NAVIGATION).status_code == 200
    with host.app.app_context():
        with pytest.raises(sa.exc.OperationalError, match="no such table"):
            host.events.flush()
        host.db.create_all()
    assert host.actions() == {"page.visit": 1, "session.start": 1}


def test_route_of_the_hosts_that_catches_all_leaves_ours_alone(build: Build) -> None:
    """Whatever lies below our prefix is answered by us."""
    app, db = build(TESTING=True)
    app.add_url_rule("/<path:path>", "all", lambda path: f"<title>{path}</title>")
    EventTrack(app, db)
    client = app.test_client()
    assert client.get("/_et/x").mimetype == "application/problem+json"
    assert client.get("/other").text == "<title>other</title>"


def test_server_name_of_tests_is_no_obstacle(make: MakeHost) -> None:
    """With subdomain matching off, as Flask has it by default."""
    host = make({"SERVER_NAME": "shop.test"})
    assert host.client().get("/", headers=NAVIGATION).status_code == 200
    assert host.events_of("page.visit")[0]["url_rule"] == "/"


def test_request_context_without_a_client_is_enough(host: Host) -> None:
    """test_request_context() runs no hook, and track() works in it."""
    host.events.define("a.b")
    with host.app.test_request_context("/", headers={"User-Agent": CHROME}):
        assert track("a.b") is not None
        assert current_visitor.is_new is True
    assert host.actions() == {"a.b": 1, "session.start": 1}
