"""Registration, factories, several apps, and an app that is switched off."""

from __future__ import annotations

import collections.abc as cabc
import gc
import pathlib
import re
import typing as t
import weakref

import pytest
import sqlalchemy as sa
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.pool import NullPool

import flask_eventtrack
from flask_eventtrack import EventTrack, current_visitor, identify, logout, track
from flask_eventtrack.errors import ConfigError, NotRegistered

from ..conftest import MakeHost
from ..hosts import CHROME, NAVIGATION, SAME_ORIGIN, FakeClock, Host
from .apps import Build, add_page


def visit(app: Flask, path: str = "/") -> int:
    client = app.test_client()
    client.environ_base["HTTP_USER_AGENT"] = CHROME
    return client.get(path, headers=NAVIGATION).status_code


# Registration


def test_app_may_be_given_to_the_constructor(build: Build) -> None:
    """EventTrack(app, db) registers at once."""
    app, db = build()
    events = EventTrack(app, db)
    assert app.extensions["eventtrack"].catalogue is events.catalogue


def test_db_is_the_one_registered_on_the_app(build: Build) -> None:
    """The argument may be left out."""
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
    message = r"signs its cookies with SECRET_KEY, which is not set.*secrets\.token_hex"
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
    """The event would have no owner."""
    message = "There is no request: name a customer, or give a visitor's token"
    with host.app.app_context(), pytest.raises(NotRegistered, match=message):
        call()


def test_public_names_are_there() -> None:
    """The public names are those in __all__."""
    for name in flask_eventtrack.__all__:
        assert getattr(flask_eventtrack, name) is not None
    assert sorted(flask_eventtrack.__all__) == flask_eventtrack.__all__


def test_tables_are_visible_to_create_all(host: Host) -> None:
    """All of them, with their indexes."""
    with host.app.app_context():
        found = sa.inspect(host.db.engine).get_table_names()
    names = (
        "agent_daily alias audit closed cohort daily event hourly link objection "
        "person_day profile quality recount_day recount_person rejected returning salt "
        "saved schema session tombstone trait transaction uncounted"
    )
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
    """Except those of the pool: ours holds one connection."""
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
        db.session.remove()
        db.engine.dispose()


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
