"""Registration, factories, several apps, and an app that is otherwise left as it was."""

from __future__ import annotations

import collections.abc as cabc
import gc
import pathlib
import re
import typing as t
import weakref

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
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.pool import NullPool

import flask_eventtrack
from flask_eventtrack import EventTrack, current_visitor, identify, logout, track
from flask_eventtrack.errors import ConfigError, NotRegistered
from flask_eventtrack.state import find_state

from .conftest import MakeHost
from .hosts import CHROME, NAVIGATION, SAME_ORIGIN, FakeClock, Host

Build = cabc.Callable[..., tuple[Flask, SQLAlchemy]]


@pytest.fixture
def build(tmp_path: pathlib.Path) -> cabc.Iterator[Build]:
    """Return what makes apps with Flask-SQLAlchemy and nothing of ours; closed afterwards."""
    made: list[weakref.ref[Flask]] = []

    def build(db: SQLAlchemy | None = None, **config: t.Any) -> tuple[Flask, SQLAlchemy]:
        app = Flask(f"app{len(made)}")
        url = f"sqlite:///{tmp_path / f'app{len(made)}.db'}"
        app.config.update(SECRET_KEY="a secret for tests only", SQLALCHEMY_DATABASE_URI=url)
        app.config.update(config)
        db = db or SQLAlchemy()
        db.init_app(app)
        made.append(weakref.ref(app))
        return app, db

    yield build
    for reference in made:
        close(reference())


def close(app: Flask | None) -> None:
    if app is not None and (state := find_state(app)) is not None:
        state.pipeline.close()
        with app.app_context():
            for engine in app.extensions["sqlalchemy"].engines.values():
                engine.dispose()


def visit(app: Flask, path: str = "/") -> int:
    client = app.test_client()
    client.environ_base["HTTP_USER_AGENT"] = CHROME
    return client.get(path, headers=NAVIGATION).status_code


def add_page(app: Flask, path: str = "/") -> None:
    app.add_url_rule(path, path, lambda: "<title>Page</title>")


# Registration


def test_app_may_be_given_to_the_constructor(build: Build) -> None:
    """EventTrack(app, db) registers at once."""
    app, db = build()
    events = EventTrack(app, db)
    assert app.extensions["eventtrack"].catalogue is events.catalogue


def test_db_is_the_one_registered_on_the_app(build: Build) -> None:
    """It need not be given."""
    app, db = build()
    EventTrack(app)
    assert "eventtrack_event" in db.metadata.tables


def test_second_registration_is_refused(build: Build) -> None:
    """By the same object or by another, with what to do."""
    app, db = build()
    events = EventTrack(app, db)
    message = r"EventTrack is already registered on 'app0'\. Call init_app once for each app"
    with pytest.raises(ConfigError, match=message):
        events.init_app(app, db)
    with pytest.raises(ConfigError, match=message):
        EventTrack(app)


@pytest.mark.parametrize("key", [None, "", b""])
def test_missing_secret_key_says_what_to_set(build: Build, key: str | bytes | None) -> None:
    """With a command that makes one."""
    app, db = build(SECRET_KEY=key)
    message = r"signs its cookies with SECRET_KEY, and it is not set.*secrets\.token_hex"
    with pytest.raises(ConfigError, match=message):
        EventTrack(app, db)
    assert "eventtrack" not in app.extensions


def test_missing_flask_sqlalchemy_says_what_to_call() -> None:
    """Also where it is installed and another wrapper is in use."""
    app = Flask("bare")
    app.config["SECRET_KEY"] = "a secret for tests only"
    message = r"Flask-SQLAlchemy is not registered on 'bare': call db\.init_app\(app\) before"
    with pytest.raises(ConfigError, match=message):
        EventTrack(app)
    with pytest.raises(ConfigError, match=message):
        EventTrack(app, SQLAlchemy())


def test_another_db_is_refused(build: Build) -> None:
    """The tables would stand where the app does not look."""
    app, _ = build()
    with pytest.raises(
        ConfigError, match="given to EventTrack is not the one registered on 'app0'"
    ):
        EventTrack(app, SQLAlchemy())


def test_failed_registration_can_be_repeated(build: Build) -> None:
    """Nothing of it is left behind."""
    app, db = build(EVENTTRACK_ENABLED="yes")
    with pytest.raises(ConfigError, match="EVENTTRACK_ENABLED"):
        EventTrack(app, db)
    app.config["EVENTTRACK_ENABLED"] = True
    EventTrack(app, db)
    assert "eventtrack" in app.extensions


def test_without_an_app_context_the_error_says_what_to_do() -> None:
    """As Flask's own."""
    with pytest.raises(NotRegistered, match=r"no app context: use 'with app\.app_context\(\):'"):
        track("page.visit", {"url": "http://localhost/"}, customer=1)


def test_without_a_registration_the_error_says_what_to_do(build: Build) -> None:
    """It names the app."""
    app, _ = build()
    with app.app_context(), pytest.raises(NotRegistered, match="not registered on 'app0': call"):
        EventTrack().flush()


@pytest.mark.parametrize(
    "call",
    [
        lambda: track("page.visit", {"url": "http://localhost/"}),
        logout,
        lambda: current_visitor.uuid,
    ],
    ids=["track", "logout", "current_visitor"],
)
def test_without_a_request_somebody_has_to_be_named(
    host: Host, call: cabc.Callable[[], object]
) -> None:
    """There is no visitor whose event it could be."""
    message = "There is no request: name a customer, or give a visitor's token"
    with host.app.app_context(), pytest.raises(NotRegistered, match=message):
        call()


def test_public_names_are_there() -> None:
    """Public is what __all__ says."""
    for name in flask_eventtrack.__all__:
        assert getattr(flask_eventtrack, name) is not None
    assert sorted(flask_eventtrack.__all__) == flask_eventtrack.__all__


def test_tables_are_visible_to_create_all(host: Host) -> None:
    """All ten, with their indexes."""
    with host.app.app_context():
        found = sa.inspect(host.db.engine).get_table_names()
    names = "alias event hourly profile quality rejected salt session tombstone uncounted"
    assert sorted(found) == [f"eventtrack_{name}" for name in names.split(" ")]


def test_tables_can_be_joined_with_the_hosts_own(host: Host) -> None:
    """events.tables are the current app's."""
    host.client().get("/")
    host.flush()
    with host.app.app_context():
        table = host.events.tables.event
        query = sa.select(table.c.label).where(table.c.action == "page.visit")
        assert host.db.session.scalars(query).all() == ["Visited page Home"]


@pytest.mark.parametrize(
    "options",
    [
        {"pool_size": 5, "max_overflow": 2, "pool_timeout": 3, "pool_recycle": 60},
        {"poolclass": NullPool},
        {"pool_pre_ping": True, "pool_use_lifo": True, "pool_reset_on_return": "commit"},
        {"isolation_level": "SERIALIZABLE"},
        {"isolation_level": "AUTOCOMMIT"},
        {"connect_args": {"timeout": 1}, "hide_parameters": True},
        {"execution_options": {"compiled_cache": None}},
        {"echo": False, "echo_pool": False, "logging_name": "host", "pool_logging_name": "host"},
    ],
    ids=lambda options: "+".join(options),
)
def test_hosts_engine_options_are_taken_along(make: MakeHost, options: dict[str, t.Any]) -> None:
    """Those of its pool are its own; ours holds one connection."""
    host = make({"SQLALCHEMY_ENGINE_OPTIONS": options})
    client = host.client()
    for _ in range(3):
        assert client.get("/").status_code == 200
        host.flush()
    assert host.actions() == {"page.visit": 3, "session.start": 1}


def test_bind_with_options_of_its_own_is_taken(make: MakeHost, tmp_path: pathlib.Path) -> None:
    """SQLALCHEMY_BINDS may hold a dict: its url, and its options."""
    bind = {"url": f"sqlite:///{tmp_path / 'events.db'}", "pool_size": 3, "pool_recycle": 60}
    host = make({"SQLALCHEMY_BINDS": {"events": bind}, "EVENTTRACK_BIND_KEY": "events"})
    host.client().get("/")
    assert host.actions() == {"page.visit": 1, "session.start": 1}


def test_naming_convention_of_the_host_is_respected(build: Build) -> None:
    """A second app on the same metadata finds the tables."""
    convention = {"pk": "pk_%(table_name)s", "ix": "ix_%(table_name)s_%(column_0_N_name)s"}
    db = SQLAlchemy(metadata=sa.MetaData(naming_convention=convention))
    events = EventTrack()
    for _ in range(2):
        app, _ = build(db)
        events.init_app(app, db)
        with app.app_context():
            db.create_all()
    assert db.metadata.tables["eventtrack_event"].primary_key.name == "pk_eventtrack_event"


# Several apps


def test_one_object_serves_two_apps_with_different_settings(make: MakeHost) -> None:
    """Definitions are shared, settings and rows are not."""
    events = EventTrack(clock=FakeClock())
    first = make({"EVENTTRACK_DENY": ["a.*"]}, events=events)
    second = make({"EVENTTRACK_URL_PREFIX": "/second"}, events=events)
    events.define("a.b", anonymous=True)
    for host, prefix in ((first, "/_et"), (second, "/second")):
        client = host.client()
        assert re.search(f'src="{prefix}/[0-9a-f]{{16}}/et.js"', client.get("/").text)
        client.post(f"{prefix}/in", json={"action": "a.b"}, headers=SAME_ORIGIN)
    assert first.actions() == {"page.visit": 1, "session.start": 1}
    assert second.actions() == {"page.visit": 1, "session.start": 1, "a.b": 1}


def test_two_objects_do_not_share_definitions(make: MakeHost) -> None:
    """Each app knows what its own object defines."""
    first, second = make(), make()
    first.events.define("a.b")
    assert first.state.catalogue.find("a.b") is not None
    assert second.state.catalogue.find("a.b") is None


def test_cookies_of_one_app_are_unknown_to_another(make: MakeHost) -> None:
    """They are signed with the app's own key."""
    first, second = make({"SECRET_KEY": "one secret key"}), make({"SECRET_KEY": "another key"})
    clients = first.client(), second.client()
    clients[0].get("/")
    for name in ("eventtrack_device", "eventtrack_session"):
        cookie = clients[0].get_cookie(name)
        assert cookie is not None
        clients[1].set_cookie(name, cookie.value)
    clients[1].get("/")
    devices = {host.rows("session")[0]["device_id"] for host in (first, second)}
    assert len(devices) == 2


def test_track_goes_to_the_app_whose_context_is_innermost(make: MakeHost) -> None:
    """As Flask's current_app."""
    events = EventTrack(clock=FakeClock())
    events.define("a.b")
    first, second = make(events=events), make(events=events)
    with first.app.app_context(), second.app.app_context():
        track("a.b", customer=1)
    assert (first.actions(), second.actions()) == ({}, {"a.b": 1})


def test_hundreds_of_apps_share_a_global_db_and_a_global_object(build: Build) -> None:
    """A factory's test run: no warning, no error, and each app has rows of its own."""
    db, events = SQLAlchemy(), EventTrack()
    for _ in range(300):
        app, _ = build(db)
        events.init_app(app, db)
        events.define("signup.click", label="Signed up", anonymous=True)
    add_page(app)
    with app.app_context():
        db.create_all()
        assert visit(app) == 200
        events.flush()
        table = events.tables.event
        assert db.session.scalar(sa.select(sa.func.count()).select_from(table)) == 2


def test_app_that_is_dropped_is_collected_with_its_thread(build: Build) -> None:
    """Its writer does not keep it alive."""
    app, db = build()
    events = EventTrack(app, db)
    add_page(app)
    with app.app_context():
        db.create_all()
        visit(app)
        events.flush()
        db.engine.dispose()
    dropped = weakref.ref(app)
    del app, db, events
    gc.collect()
    assert dropped() is None


# Switched off


def test_switched_off_nothing_is_recorded(make: MakeHost) -> None:
    """No hook, no cookie, no route; the calls return None and the snippet is empty."""
    host = make({"EVENTTRACK_ENABLED": False})

    @host.app.get("/calls")
    def calls() -> dict[str, t.Any]:
        return {"calls": [track("no.such"), identify("7"), logout()]}  # type: ignore[func-returns-value]

    client = host.client()
    answer = client.get("/", headers=NAVIGATION)
    assert answer.text == (
        "<!doctype html><html><head><title>Home</title></head><body>Welcome</body></html>"
    )
    assert answer.headers.getlist("Set-Cookie") == []
    assert client.get("/calls").get_json() == {"calls": [None, None, None]}
    assert client.post("/_et/in", json={}, headers=SAME_ORIGIN).status_code == 404
    assert (host.rows("event"), host.rows("quality")) == ([], [])
    assert not any(
        (host.app.before_request_funcs, host.app.after_request_funcs, host.app.blueprints)
    )


def test_switched_off_track_outside_a_request_returns_none(make: MakeHost) -> None:
    """Also where it would be an error otherwise."""
    host = make({"EVENTTRACK_ENABLED": False})
    with host.app.app_context():
        assert track("no.such") is None
        assert identify("") is None
        host.events.flush()


# Nothing else about the app changes


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
    """What a view adds and does not commit is rolled back as ever."""
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
    """A refusal is no visit; a maintenance page that says 200 is one."""

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
    for path in ("/", "/_et/in", "/missing"):
        assert client.get(path, headers=NAVIGATION).status_code == 403


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
