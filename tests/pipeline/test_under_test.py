"""A host's own tests: no test gets the events of another one."""

from __future__ import annotations

import gc
import pathlib
import typing as t

import pytest
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.pool import QueuePool, SingletonThreadPool, StaticPool

from flask_eventtrack import EventTrack, track
from flask_eventtrack.pipeline.queue import MemoryQueue

from ..conftest import MakeHost
from ..hosts import Host
from .waiting import visit, waiting

AUTO: dict[str, t.Any] = {"EVENTTRACK_DURABILITY": None, "EVENTTRACK_FLUSH_INTERVAL": 3600}


def test_next_test_does_not_get_the_last_ones_visit(make: MakeHost, tmp_path: pathlib.Path) -> None:
    """Each with an app of its own, in front of the same database and journal."""
    settings = {
        **AUTO,
        "SQLALCHEMY_DATABASE_URI": f"sqlite:///{tmp_path / 'shop.db'}",
        "EVENTTRACK_JOURNAL_DIR": str(tmp_path / "journal"),
    }
    first = make(settings)
    visit(first)
    assert waiting(first) == 1
    with first.app.app_context():
        first.db.drop_all()
    first.close()
    second = make(settings)
    visit(second, 2)
    assert second.actions() == {"page.visit": 2, "session.start": 1}
    assert not list(tmp_path.glob("**/*.segment"))


@pytest.mark.parametrize("url", [None, "sqlite://"], ids=["file", "memory"])
def test_one_app_for_all_tests(make: MakeHost, url: str | None) -> None:
    """What waits for tables that are dropped is forgotten."""
    host = make(AUTO) if url is None else make(AUTO, url=url)
    for _ in range(2):
        visit(host, 2)
        assert waiting(host) == 2
        with host.app.app_context():
            host.db.drop_all()
            host.db.create_all()
        assert waiting(host) == 0
        assert host.rows("event") == []
    visit(host)
    assert host.actions()["page.visit"] == 1


def test_tables_of_another_app_are_another_matter(make: MakeHost) -> None:
    """Two apps of one ``db`` object may have databases of their own."""
    first, second = make(AUTO), make(AUTO)
    visit(first)
    with second.app.app_context():
        second.db.drop_all()
    assert first.actions()["page.visit"] == 1


def test_testing_may_be_set_after_init_app(tmp_path: pathlib.Path) -> None:
    """As pytest's fixtures do, even after the tables were looked at."""
    app = Flask("shop")
    app.config.update(
        SECRET_KEY="a secret for tests only",
        SQLALCHEMY_DATABASE_URI=f"sqlite:///{tmp_path / 'shop.db'}",
        EVENTTRACK_JOURNAL_DIR=str(tmp_path / "journal"),
    )
    db = SQLAlchemy(app)
    events = EventTrack(app, db)
    with app.app_context():
        assert events.tables.event.name == "eventtrack_event"
        db.create_all()
        app.testing = True
        track("button.click", customer="7")
        events.flush()
        assert not events.health().orphans
        db.engine.dispose()
    assert not list(tmp_path.glob("**/*.segment"))
    app.extensions["eventtrack"].pipeline.close()
    del app, db, events
    gc.collect()


@pytest.mark.parametrize(
    ("config", "is_memory"),
    [
        ({"EVENTTRACK_DURABILITY": None}, True),
        ({"EVENTTRACK_DURABILITY": None, "TESTING": False}, False),
        ({"EVENTTRACK_DURABILITY": None, "TESTING": False, "DEBUG": True}, False),
        ({"EVENTTRACK_DURABILITY": "journal"}, False),
        ({"EVENTTRACK_DURABILITY": "durable"}, False),
        ({"EVENTTRACK_DURABILITY": "memory", "TESTING": False}, True),
    ],
)
def test_queue_is_in_memory_under_test_unless_durability_is_set(
    make: MakeHost, config: dict[str, t.Any], *, is_memory: bool
) -> None:
    """In production it is a journal."""
    host = make(config)
    visit(host)
    assert isinstance(host.state.pipeline._queue, MemoryQueue) is is_memory
    assert host.state.pipeline.has_journal is not is_memory
    assert host.actions()["page.visit"] == 1


# In-memory SQLite with a name


@pytest.fixture(
    params=[
        ("cache=shared&", SingletonThreadPool),
        ("cache=shared&", StaticPool),
        ("", SingletonThreadPool),
        ("", StaticPool),
    ],
    ids=["shared", "shared, one for all", "of the thread", "one for all"],
)
def named(make: MakeHost, request: pytest.FixtureRequest) -> Host:
    """A host with a database in memory; SQLAlchemy's pool for these is changing."""
    sharing, pool = request.param
    url = f"sqlite:///file:{id(request)}?mode=memory&{sharing}uri=true"
    options = {"poolclass": pool, "connect_args": {"check_same_thread": False}}
    return make({"SQLALCHEMY_ENGINE_OPTIONS": options}, url=url)


def test_named_memory_with_a_pool_of_connections(make: MakeHost) -> None:
    """Of which ours is one, while the host's transaction is over."""
    options = {"SQLALCHEMY_ENGINE_OPTIONS": {"poolclass": QueuePool}}
    host = make(options, url="sqlite:///file:pool?mode=memory&cache=shared&uri=true")
    with host.app.app_context(), host.db.engine.connect():  # without any, it would be gone
        visit(host, 2)
        assert host.state.pipeline.database.is_in_memory
        assert host.actions() == {"page.visit": 2, "session.start": 1}


def test_named_memory_is_memory(named: Host) -> None:
    """Without thread and journal, in the host's own connection."""
    assert named.state.pipeline.database.is_in_memory
    assert named.state.journal is None
    visit(named, 3)
    assert (waiting(named), named.state.pipeline.has_thread) == (3, False)
    assert named.actions() == {"page.visit": 3, "session.start": 1}


def test_transaction_of_the_host_locks_nothing(named: Host) -> None:
    """The flush is within it, and its end is the host's to decide."""
    with named.app.app_context():
        named.db.session.execute(named.db.text("CREATE TABLE orders (id INTEGER PRIMARY KEY)"))
        named.db.session.commit()
        visit(named)
        named.db.session.execute(named.db.text("INSERT INTO orders VALUES (1)"))
        named.events.flush()
        query = named.db.text("SELECT count(*) FROM eventtrack_event")
        assert named.db.session.scalar(query) == 2
        named.db.session.rollback()
        assert named.db.session.scalar(named.db.text("SELECT count(*) FROM orders")) == 0


def test_flush_between_transactions_is_committed(named: Host) -> None:
    """A rollback of the host's afterwards takes nothing away."""
    visit(named)
    with named.app.app_context():
        named.events.flush()
        named.db.session.rollback()
        query = named.db.text("SELECT count(*) FROM eventtrack_event")
        assert named.db.session.scalar(query) == 2
        assert [event.action for event in named.events.feed("7")] == []
