from __future__ import annotations

import collections.abc as cabc
import contextlib
import datetime as dt
import gc
import logging
import os
import pathlib
import sqlite3
import subprocess
import sys
import threading
import time
import tracemalloc
import typing as t
import uuid as uuidlib
import weakref

import msgspec
import pytest
import sqlalchemy as sa
from flask import current_app, has_request_context
from sqlalchemy import exc
from werkzeug.test import create_environ, run_wsgi_app

from flask_eventtrack import EventTrack, signals, track
from flask_eventtrack.errors import FlushTimeout
from flask_eventtrack.records import Outcome, Record

from .conftest import MakeHost
from .faults.proxy import Proxy
from .hosts import NAVIGATION, SAME_ORIGIN, START, Host, make_host
from .servers import make_database
from .test_store import a_page, an_event, quality, recount, totals

ROOT = pathlib.Path(__file__).parents[1]
#: Nothing is written before it is asked for.
PATIENT = {"EVENTTRACK_FLUSH_INTERVAL": 3600}


def wait_until(condition: cabc.Callable[[], bool], seconds: float = 10) -> None:
    """Wait for what another thread brings about; fail when it does not."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        threading.Event().wait(0.005)


# Seconds: far from what a page takes, and half of what it takes to wait for a locked database.
NO_WAIT = 5.0


def visit(host: Host, times: int = 1) -> float:
    """Open a page some times, each answered with 200; return the seconds of the slowest."""
    client, slowest = host.client(), 0.0
    for _ in range(times):
        started = time.monotonic()
        assert client.get("/", headers=NAVIGATION).status_code == 200
        slowest = max(slowest, time.monotonic() - started)
    return slowest


def waiting(host: Host) -> int:
    return host.state.pipeline.waiting


# The writer thread


def test_events_are_written_by_a_thread(db_host: Host) -> None:
    """Nobody waits for the database in a request: the writer's thread commits, by itself."""
    written: list[tuple[str, int]] = []

    def receive(app: object, count: int) -> None:
        written.append((threading.current_thread().name, count))

    with signals.events_written.connected_to(receive, db_host.app):
        visit(db_host)
        wait_until(lambda: bool(written))
    assert written == [("eventtrack-writer", 2)]
    wait_until(lambda: waiting(db_host) == 0)


def test_events_wait_for_one_another(make: MakeHost) -> None:
    """Within the interval nothing is written; the flush brings all of it in one batch."""
    host, counts = make(PATIENT), []

    def receive(app: object, count: int) -> None:
        counts.append(count)

    with signals.events_written.connected_to(receive, host.app):
        visit(host, 5)
        assert (waiting(host), counts) == (5, [])
        host.flush()
    assert (waiting(host), counts) == (0, [6])


def test_five_hundred_events_wait_no_longer(make: MakeHost) -> None:
    """A full batch is written at once, and batches hold 500 events at most."""
    host, counts = make(PATIENT), []

    def receive(app: object, count: int) -> None:
        counts.append(count)

    events = [an_event(seconds=n, session=None) for n in range(1200)]
    with signals.events_written.connected_to(receive, host.app):
        host.state.pipeline.put(*events)
        wait_until(lambda: waiting(host) == 0)
    assert counts == [500, 500, 200]


def test_no_thread_before_the_first_event(make: MakeHost) -> None:
    """Registering and answering what is not tracked starts nothing and opens no connection."""
    host = make(create=False)
    assert host.client().get("/data.json").status_code == 200
    assert host.state.pipeline._thread is None
    assert host.state.pipeline.database._engine.pool.status().count("Connections in pool: 0") == 1


def test_flush_brings_all_that_was_tracked_before_it(db_host: Host) -> None:
    """Rows of several threads stand in the database when flush returns."""
    threads = [threading.Thread(target=visit, args=(db_host, 20)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert db_host.actions() == {"page.visit": 80, "session.start": 4}
    assert totals(db_host) == recount(db_host)


def test_flush_with_nothing_to_do_returns(host: Host) -> None:
    """Before the first event, and again after the last one."""
    host.flush()
    visit(host)
    host.flush()
    host.flush()
    assert waiting(host) == 0


def test_the_thread_sweeps_silent_sessions(make: MakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sessions end by themselves while the process goes on writing."""
    monkeypatch.setattr("flask_eventtrack.pipeline.pipeline.CHORES_INTERVAL", 0.05)
    host = make()
    visit(host)
    host.flush()
    host.clock.advance(minutes=36)
    ended: list[str] = []

    def receive(app: object, session_id: uuidlib.UUID, reason: str) -> None:
        ended.append(reason)

    with signals.session_ended.connected_to(receive, host.app):
        wait_until(lambda: bool(ended))
    assert (ended, host.actions()["session.end"]) == (["timeout"], 1)


# The database is away


@contextlib.contextmanager
def locked(host: Host) -> cabc.Iterator[None]:
    """Hold a lock on the event table (on SQLite, the file) from a connection of another program."""
    engine = sa.create_engine(host.state.pipeline.database._host.url, isolation_level="AUTOCOMMIT")
    lock, unlock = {
        "sqlite": ("BEGIN EXCLUSIVE", "ROLLBACK"),
        "postgresql": (
            "BEGIN; LOCK TABLE eventtrack_event, eventtrack_session IN ACCESS EXCLUSIVE MODE",
            "ROLLBACK",
        ),
        "mysql": ("LOCK TABLES eventtrack_event WRITE", "UNLOCK TABLES"),
    }[engine.dialect.name]
    with engine.connect() as connection:
        connection.exec_driver_sql(lock)
        try:
            yield
        finally:
            connection.exec_driver_sql(unlock)
    engine.dispose()


def test_pages_do_not_notice_a_locked_database(db_host: Host) -> None:
    """While another program holds the lock, pages and posts are answered at once, and kept."""
    with locked(db_host):
        assert visit(db_host, 20) < NO_WAIT
        event = {"action": "button.click"}
        answer = db_host.client().post("/_et/in", json=event, headers=SAME_ORIGIN)
        assert answer.status_code == 202
        assert waiting(db_host) == 21
    assert db_host.actions() == {"page.visit": 20, "session.start": 2, "button.click": 1}


def test_flush_gives_up_after_its_timeout(db_host: Host) -> None:
    """A flush that cannot finish in time says so; the events are kept and arrive."""
    with locked(db_host):
        visit(db_host)
        with (
            db_host.app.app_context(),
            pytest.raises(
                FlushTimeout, match=r"^Records still waiting after 0.1 s: 1\. They are kept"
            ),
        ):
            db_host.events.flush(timeout=0.1)
        assert waiting(db_host) == 1
    assert db_host.actions() == {"page.visit": 1, "session.start": 1}


def test_events_wait_for_their_tables(make: MakeHost, database_url: str) -> None:
    """Without tables pages answer all the same; once they are made the events arrive."""
    host = make(url=database_url, create=False)
    assert visit(host, 5) < NO_WAIT
    with pytest.raises(exc.DBAPIError, match="eventtrack_"):
        host.flush()
    assert waiting(host) == 5
    with host.app.app_context():
        host.db.create_all()
    assert host.actions() == {"page.visit": 5, "session.start": 1}
    assert host.rows("rejected") == []


@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
def test_events_wait_for_a_server_that_is_down(
    make: MakeHost, kind: str, tmp_path: pathlib.Path
) -> None:
    """Where nothing listens pages answer at once; when the server is up the events arrive."""
    for real in make_database(kind, tmp_path):
        with sa.create_engine(real, poolclass=sa.NullPool).begin() as connection:
            make(url=real, create=False).db.metadata.create_all(connection)
        with Proxy(real) as proxy:
            proxy.down()
            host = make(url=proxy.url, create=False)
            assert visit(host, 10) < NO_WAIT
            with pytest.raises(exc.OperationalError):
                host.flush()
            assert waiting(host) == 10
            proxy.up()
            assert host.actions() == {"page.visit": 10, "session.start": 1}
            host.close()


def test_what_does_not_fit_is_dropped_and_counted(make: MakeHost) -> None:
    """Beyond the buffer pages still answer, posts are told to come back, and losses are counted."""
    host = make({**PATIENT, "EVENTTRACK_DURABILITY": "memory", "EVENTTRACK_BUFFER_SIZE": 3})
    visit(host, 7)
    host.events.define("order.ship")
    with host.app.app_context():
        assert track("order.ship", customer="1") is None
    answer = host.client().post("/_et/in", json={"action": "button.click"}, headers=SAME_ORIGIN)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert answer.mimetype == "application/problem+json"
    assert host.actions() == {"page.visit": 3, "session.start": 1}
    assert quality(host)["dropped", "page.visit", "no room"] == 4
    assert quality(host)["dropped", "order.ship", "no room"] == 1
    assert visit(host) < NO_WAIT
    assert host.actions()["page.visit"] == 4


def test_a_batch_fits_whole_or_not_at_all(make: MakeHost) -> None:
    """A post of which only a part would fit is refused as a whole, so that it may come again."""
    host = make({**PATIENT, "EVENTTRACK_DURABILITY": "memory", "EVENTTRACK_BUFFER_SIZE": 3})
    events = [{"action": "button.click"}] * 4
    answer = host.client().post("/_et/in", json={"events": events}, headers=SAME_ORIGIN)
    assert answer.status_code == 503
    assert host.actions() == {}


# Forks and exits


def run_script(script: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


# A transaction that is still open when `begun` is set.
_DAWDLE = """
import threading, time
import sqlalchemy as sa
begun = threading.Event()

def dawdle(connection):
    begun.set()
    time.sleep(0.3)
"""
_CHILD = """
child = os.fork()
if child == 0:
    note("child.test")
    host.flush()
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
"""
_SETUP = """
import os, sys
from flask_eventtrack import track
from tests.hosts import make_host

def note(action):
    with host.app.app_context():
        return track(action, customer="1")

host = make_host(sys.argv[1], {"EVENTTRACK_FLUSH_INTERVAL": 3600}, create=False)
for action in ("parent.test", "child.test"):
    host.events.define(action)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_fork_writes_its_own_events_only(database_url: str, make: MakeHost) -> None:
    """The child neither writes what waits in its parent, nor shares its thread or connection."""
    host = make(url=database_url)
    script = """
note("parent.test")
host.flush()
note("parent.test")
child = os.fork()
if child == 0:
    assert host.state.pipeline.waiting == 0
    note("child.test")
    host.flush()
    os._exit(0)
note("parent.test")
assert os.waitpid(child, 0)[1] == 0
assert host.actions() == {"parent.test": 3, "child.test": 1}, host.actions()
"""
    run_script(_SETUP + script, database_url)
    assert host.actions() == {"parent.test": 3, "child.test": 1}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_forks_of_an_untouched_parent_write_by_themselves(
    database_url: str, make: MakeHost
) -> None:
    """As under ``gunicorn --preload``: four children, each with a thread of its own."""
    host = make(url=database_url)
    script = """
children = []
for _ in range(4):
    child = os.fork()
    if child == 0:
        for _ in range(25):
            note("child.test")
        sys.exit(0)
    children.append(child)
assert [os.waitpid(child, 0)[1] for child in children] == [0] * 4
"""
    run_script(_SETUP + script, database_url)
    assert host.actions() == {"child.test": 100}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_fork_in_the_middle_of_a_batch(database_url: str, make: MakeHost) -> None:
    """SQLite's locks are the process's: a child that inherited one could never write."""
    host = make(url=database_url)
    script = (
        _DAWDLE
        + """
sa.event.listen(host.state.pipeline.database._engine, "commit", dawdle)
note("parent.test")
host.state.pipeline.hurry()
assert begun.wait(10)
"""
        + _CHILD
        + """
host.flush()
note("parent.test")
"""
    )
    run_script(_SETUP + script, database_url)
    assert host.actions() == {"parent.test": 2, "child.test": 1}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_fork_in_the_middle_of_a_sweep(tmp_path: pathlib.Path, make: MakeHost) -> None:
    """The end of a session is a transaction like any other."""
    host = make({"EVENTTRACK_FLUSH_INTERVAL": 3600})
    visit(host)
    host.flush()
    script = (
        _DAWDLE
        + """
host.clock.advance(hours=3)
note("parent.test")
host.flush()
sa.event.listen(host.state.pipeline.database._engine, "commit", dawdle)
sweeper = threading.Thread(target=host.state.pipeline.sweep)
sweeper.start()
assert begun.wait(10)
"""
        + _CHILD
        + "sweeper.join()"
    )
    run_script(_SETUP + script, f"sqlite:///{tmp_path / 'host0.db'}")
    actions = host.actions()
    assert (actions["parent.test"], actions["child.test"], actions["session.end"]) == (1, 1, 1)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_receiver_of_signals_may_fork(database_url: str, make: MakeHost) -> None:
    """In the writer's own thread: the batch is over, and the next one comes."""
    host = make(url=database_url)
    script = """
from flask_eventtrack import signals

def fork(app, count):
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)

with signals.events_written.connected_to(fork, host.app):
    for _ in range(3):
        note("parent.test")
        host.flush()
    with host.app.app_context():
        host.state.pipeline.sweep()
assert host.state.pipeline._status.failures == 0
"""
    run_script(_SETUP + script, database_url)
    assert host.actions() == {"parent.test": 3}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_fork_copies_no_writer_that_is_a_greenlet(database_url: str, make: MakeHost) -> None:
    """Under gevent the parent's writer is in the child as well: it ends there."""
    pytest.importorskip("gevent")
    host = make(url=database_url)
    script = """
note("parent.test")
host.flush()
note("parent.test")
child = os.fork()
if child == 0:
    gevent.sleep(0.1)
    note("child.test")
    host.flush()
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
host.flush()
"""
    patch = "import gevent.monkey\ngevent.monkey.patch_all()\n"
    run_script(patch + _SETUP.replace("3600", "0.02") + script, database_url)
    assert host.actions() == {"parent.test": 2, "child.test": 1}
    assert quality(host) == {
        ("accepted", "parent.test", ""): 2,
        ("accepted", "child.test", ""): 1,
    }


def test_a_script_that_ends_leaves_its_rows(database_url: str, make: MakeHost) -> None:
    """What waits is written on the way out, without a flush."""
    host = make(url=database_url)
    run_script(_SETUP + 'for _ in range(50): note("parent.test")', database_url)
    assert host.actions() == {"parent.test": 50}


@pytest.mark.parametrize("end", ["raise SystemExit(0)", "sys.exit()"])
def test_an_exit_leaves_its_rows(tmp_path: pathlib.Path, make: MakeHost, end: str) -> None:
    """Leaving early makes no difference."""
    host = make()
    run_script(_SETUP + f'note("parent.test")\n{end}', f"sqlite:///{tmp_path / 'host0.db'}")
    assert host.actions() == {"parent.test": 1}


def test_an_exit_does_not_wait_for_a_database_for_long(make: MakeHost, database_url: str) -> None:
    """The last flush is bounded to three seconds: a locked database does not hold the process."""
    host = make(url=database_url)
    with locked(host):
        started = time.monotonic()
        run_script(_SETUP + 'note("parent.test")', database_url)
        assert 2.5 < time.monotonic() - started < 20
    assert host.actions() == {}


# In-memory SQLite


@pytest.fixture
def memory(make: MakeHost) -> Host:
    """A host whose database is one shared connection, with a table of its own."""
    host = make(url="sqlite://")
    with host.app.app_context(), host.db.engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE orders (id INTEGER PRIMARY KEY)")
    return host


def add_order(host: Host, number: int) -> None:
    host.db.session.execute(sa.text("INSERT INTO orders VALUES (:id)"), {"id": number})


def orders(host: Host) -> list[int]:
    return list(host.db.session.scalars(sa.text("SELECT id FROM orders ORDER BY id")))


def test_in_memory_events_wait_for_a_flush(memory: Host) -> None:
    """There is no thread that could get into the host's way on the one connection."""
    visit(memory, 3)
    assert (waiting(memory), memory.state.pipeline._thread) == (3, None)
    assert memory.actions() == {"page.visit": 3, "session.start": 1}


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:"])
def test_both_spellings_are_in_memory(make: MakeHost, url: str) -> None:
    """Flask-SQLAlchemy takes either for one shared connection."""
    host = make(url=url)
    assert host.state.pipeline.database.is_in_memory
    visit(host)
    assert host.actions()["page.visit"] == 1


def test_a_flush_does_not_commit_for_the_host(memory: Host) -> None:
    """The host's uncommitted row is there after our flush, and gone after the host's rollback."""
    visit(memory)
    with memory.app.app_context():
        add_order(memory, 1)
        memory.events.flush()
        assert (orders(memory), waiting(memory)) == ([1], 0)
        memory.db.session.rollback()
        assert orders(memory) == []


def test_a_flush_does_not_roll_back_for_the_host(memory: Host) -> None:
    """The host commits afterwards: its row and our events both stay."""
    visit(memory)
    with memory.app.app_context():
        add_order(memory, 1)
        memory.events.flush()
        memory.db.session.commit()
        memory.db.session.rollback()
        assert orders(memory) == [1]
    assert memory.actions() == {"page.visit": 1, "session.start": 1}


def test_a_flush_outside_a_transaction_commits_its_own(memory: Host) -> None:
    """Without a transaction of the host's, a later rollback takes nothing of ours away."""
    visit(memory)
    with memory.app.app_context():
        memory.events.flush()
        add_order(memory, 1)
        memory.db.session.rollback()
        assert orders(memory) == []
    assert memory.actions() == {"page.visit": 1, "session.start": 1}


@pytest.mark.parametrize("is_open", [True, False])
def test_a_failing_flush_leaves_the_host_alone(memory: Host, *, is_open: bool) -> None:
    """Our tables are missing: the flush raises, the host's row stands, and ours wait."""
    visit(memory)
    with memory.app.app_context():
        memory.db.drop_all()
        if is_open:
            add_order(memory, 1)
        with pytest.raises(exc.OperationalError, match="no such table"):
            memory.events.flush()
        add_order(memory, 2)
        memory.db.session.commit()
        assert orders(memory) == ([1, 2] if is_open else [2])
        memory.db.create_all()
    assert memory.actions() == {"page.visit": 1, "session.start": 1}


def test_a_refused_event_leaves_the_host_alone(memory: Host) -> None:
    """Halving a batch around a value that SQLite refuses does not touch the host's rows."""
    bad = an_event("bad.value", 2, params={"when": START}, session=None)
    memory.state.pipeline.put(an_event(seconds=1, session=None), bad)
    with memory.app.app_context():
        add_order(memory, 1)
        memory.events.flush()
        assert orders(memory) == [1]
        memory.db.session.rollback()
        assert orders(memory) == []


def test_a_report_sees_what_waits_and_the_host_s_rows_stay_open(memory: Host) -> None:
    """The feed flushes first, within the host's transaction where one is open."""
    memory.events.define("order.ship")
    with memory.app.app_context():
        track("order.ship", customer="1")
        add_order(memory, 1)
        assert [event.action for event in memory.events.feed("1")] == ["order.ship"]
        memory.db.session.rollback()
        assert orders(memory) == []


# The host's own


def test_the_host_s_transaction_is_not_ours(db_host: Host) -> None:
    """Events are written while the host's session holds rows open; neither sees the other."""
    with db_host.app.app_context():
        session = db_host.db.session
        if session.get_bind().dialect.name == "sqlite":
            session.execute(sa.text("SELECT 1"))
        else:
            table = db_host.events.tables.tombstone
            session.execute(table.insert().values(uuid_hash="x", erased_at=START))
        visit(db_host)
        db_host.flush()
        session.rollback()
    assert db_host.actions() == {"page.visit": 1, "session.start": 1}
    assert "x" not in {row["uuid_hash"] for row in db_host.rows("tombstone")}


PRAGMAS = ("synchronous", "busy_timeout", "foreign_keys", "locking_mode", "cache_size")


def read_pragmas(host: Host) -> list[t.Any]:
    with host.app.app_context(), host.db.engine.connect() as connection:
        return [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in PRAGMAS]


@pytest.mark.parametrize(("wal", "mode"), [(True, "wal"), (False, "delete")])
def test_the_host_s_pragmas_stay(
    make: MakeHost, tmp_path: pathlib.Path, *, wal: bool, mode: str
) -> None:
    """The journal mode of the file is the one thing that we change, where we may."""
    host = make({"EVENTTRACK_SQLITE_WAL": wal})
    before = read_pragmas(host)
    visit(host)
    host.flush()
    assert read_pragmas(host) == before
    # A connection from before the switch learns of it when it reads the file again.
    with contextlib.closing(sqlite3.connect(tmp_path / "host0.db")) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == (mode,)


def test_the_host_s_engine_is_not_used_for_writing(db_host: Host) -> None:
    """No statement of the writer's runs on the host's engine, and its pool stays as it was."""
    statements: list[str] = []
    with db_host.app.app_context():
        engine = db_host.db.engine
    sa.event.listen(engine, "before_cursor_execute", lambda *args: statements.append(args[2]))
    visit(db_host, 3)
    db_host.flush()
    assert statements == []
    assert isinstance(engine.pool, sa.QueuePool)
    assert engine.pool.checkedout() == 0


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
@pytest.mark.parametrize(
    "options",
    [
        {"connect_args": {"application_name": "shop"}},
        {"connect_args": {"application_name": "shop"}, "isolation_level": "SERIALIZABLE"},
        {"connect_args": {"application_name": "shop"}, "poolclass": sa.NullPool},
        {"connect_args": {"application_name": "shop"}, "pool_size": 20, "max_overflow": 5},
    ],
    ids=["plain", "isolation", "null pool", "big pool"],
)
def test_the_host_s_engine_options_are_ours(
    make: MakeHost, database_url: str, options: dict[str, t.Any]
) -> None:
    """Our connection is made as the host's are; there is one, at our own isolation level."""
    host = make({"SQLALCHEMY_ENGINE_OPTIONS": options}, url=database_url)
    visit(host)
    assert host.actions()["page.visit"] == 1
    with host.state.pipeline.database.begin() as connection:
        name = connection.exec_driver_sql("SHOW application_name").scalar()
        level = connection.exec_driver_sql("SHOW transaction_isolation").scalar()
    assert (name, level) == ("shop", "read committed")
    count = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
    with host.state.pipeline.database.begin() as connection:
        ours = connection.exec_driver_sql(f"{count} AND query LIKE '%%eventtrack_hourly%%'")
        assert (ours.scalar() or 0) <= 2


def test_a_sqlite_host_may_listen_on_every_engine(make: MakeHost) -> None:
    """A pragma for all engines of the process, as many hosts set, does not disturb the writer."""

    def enforce(connection: t.Any, record: object) -> None:
        cursor = connection.cursor()
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.close()

    sa.event.listen(sa.Engine, "connect", enforce)
    try:
        host = make()
        visit(host)
        assert host.actions() == {"page.visit": 1, "session.start": 1}
    finally:
        sa.event.remove(sa.Engine, "connect", enforce)


# Signals


def test_signals_tell_of_each_commit(db_host: Host) -> None:
    """Written, started and ended: after the commit, inside an app context, outside a request."""
    told: list[tuple[t.Any, ...]] = []

    def note(kind: str) -> cabc.Callable[..., None]:
        def receive(app: object, **values: t.Any) -> None:
            assert current_app == app
            assert not has_request_context()
            told.append((kind, *values.values()))

        return receive

    receivers = {
        name: note(name) for name in ("events_written", "session_started", "session_ended")
    }
    for name, receiver in receivers.items():
        getattr(signals, name).connect(receiver, db_host.app)
    visit(db_host)
    [session] = db_host.rows("session")
    db_host.clock.advance(hours=1)
    db_host.state.pipeline.sweep()
    assert told == [
        ("events_written", 2),
        ("session_started", session["id"]),
        ("events_written", 1),
        ("session_ended", session["id"], "timeout"),
    ]


def test_a_receiver_that_fails_costs_nothing(
    db_host: Host, caplog: pytest.LogCaptureFixture
) -> None:
    """The rows are committed already; the failure is logged, and the writer goes on."""

    def fail(app: object, count: int) -> None:
        raise RuntimeError("a receiver's own fault")

    with signals.events_written.connected_to(fail, db_host.app):
        visit(db_host)
        db_host.flush()
        visit(db_host)
        db_host.flush()
    assert db_host.actions() == {"page.visit": 2, "session.start": 2}
    assert "A receiver of EventTrack's signals failed" in caplog.text


def test_an_outage_is_logged_once(make: MakeHost, caplog: pytest.LogCaptureFixture) -> None:
    """The log says that events wait, and that they are written again: not every try."""
    host = make(create=False)
    visit(host)
    for _ in range(3):
        with pytest.raises(exc.OperationalError):
            host.flush()
    with host.app.app_context():
        host.db.create_all()
    host.flush()
    wait_until(lambda: "Events are written again." in caplog.messages)
    assert [message.split(":")[0] for message in caplog.messages] == [
        "Events cannot be written, and wait",
        "Events are written again.",
    ]


# Several apps


def test_two_apps_write_to_their_own_databases(make: MakeHost) -> None:
    """One process may hold several apps: a flush of one is none of the other's."""
    first, second = make(PATIENT), make(PATIENT)
    visit(first, 2)
    visit(second, 3)
    first.flush()
    assert (waiting(first), waiting(second)) == (0, 3)
    assert first.actions() == {"page.visit": 2, "session.start": 1}
    assert second.actions() == {"page.visit": 3, "session.start": 1}


def test_one_object_on_two_apps_keeps_them_apart(make: MakeHost) -> None:
    """The pipelines belong to the apps, not to the object."""
    events = EventTrack()
    first, second = make(PATIENT, events=events), make(events=events)
    assert first.state.pipeline is not second.state.pipeline
    visit(first)
    visit(second, 2)
    second.flush()
    assert (waiting(first), waiting(second)) == (1, 0)


def writer_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "eventtrack-writer"]


def test_a_dropped_app_takes_its_thread_along(tmp_path: pathlib.Path) -> None:
    """An app that nobody holds any more is freed, and its writer ends."""
    host = make_host(f"sqlite:///{tmp_path / 'host.db'}")
    visit(host)
    host.flush()
    [thread] = writer_threads()
    app = weakref.ref(host.app)
    with host.app.app_context():
        host.db.engine.dispose()
    del host
    gc.collect()
    thread.join(5)
    assert (app(), thread.is_alive()) == (None, False)


def test_the_writer_s_connection_is_given_back(tmp_path: pathlib.Path, make: MakeHost) -> None:
    """After close the file is nobody's: another program can take it whole."""
    host = make()
    visit(host)
    host.flush()
    host.close()
    with contextlib.closing(sqlite3.connect(tmp_path / "host0.db", timeout=0)) as connection:
        assert connection.execute("PRAGMA journal_mode = DELETE").fetchone() == ("delete",)


def test_a_session_end_without_room_is_left_to_the_sweep(make: MakeHost) -> None:
    """With a full buffer a page's session end is lost, and the sweep ends the session instead."""
    host = make({**PATIENT, "EVENTTRACK_DURABILITY": "memory", "EVENTTRACK_BUFFER_SIZE": 1})
    client = host.client()
    client.get("/", headers=NAVIGATION)
    host.flush()
    host.state.pipeline.put(a_page("/other", uuid=uuidlib.uuid4(), session=None))
    host.clock.advance(hours=1)
    assert client.get("/", headers=NAVIGATION).status_code == 200
    host.flush()
    host.state.pipeline.sweep()
    assert host.actions()["session.end"] == 1
    assert quality(host)["dropped", "page.visit", "no room"] == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_fork_behind_pythons_back_writes_its_own_events(tmp_path: pathlib.Path) -> None:
    """uWSGI's: no hook runs, and still the child has ids, a journal and a thread of its own."""
    host = make_host(f"sqlite:///{tmp_path / 'host.db'}")
    script = """
import ctypes
from flask_eventtrack.ids import uuid4
note("parent.test")
host.flush()
uuid4()
child = ctypes.PyDLL(None).fork()
drawn = uuid4()
if child == 0:
    (pathlib := __import__("pathlib")).Path(sys.argv[2]).write_text(str(drawn))
    note("child.test")
    host.flush()
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
assert __import__("pathlib").Path(sys.argv[2]).read_text() != str(drawn)
note("parent.test")
"""
    run_script(
        _SETUP + script.replace("sys.argv[2]", repr(str(tmp_path / "drawn"))),
        f"sqlite:///{tmp_path / 'host.db'}",
    )
    assert host.actions() == {"parent.test": 2, "child.test": 1}
    host.close()


def test_a_log_handler_may_track(make: MakeHost, tmp_path: pathlib.Path) -> None:
    """A host that records its errors as events is not held up by ours."""
    host = make({"EVENTTRACK_JOURNAL_DIR": str(tmp_path / "journals")})
    host.events.define("error.log")
    tracked: list[object] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            tracked.append(track("error.log", customer="1"))

    handler, logger = Handler(), logging.getLogger("flask_eventtrack")
    (tmp_path / "journals").write_text("no folder")
    logger.addHandler(handler)
    try:
        visit(host)
    finally:
        logger.removeHandler(handler)
    assert tracked == [None]


@pytest.mark.parametrize("url", ["sqlite:///{}/host.db", "sqlite://"])
def test_a_receiver_of_signals_may_flush(make: MakeHost, tmp_path: pathlib.Path, url: str) -> None:
    """What it asks for is being done: it does not wait for itself."""
    host = make(url=url.format(tmp_path))
    flushed: list[int] = []

    def receive(app: object, count: int) -> None:
        host.events.flush()
        flushed.append(count)

    with signals.events_written.connected_to(receive, host.app):
        visit(host)
        host.flush()
        host.clock.advance(hours=1)
        host.state.pipeline.sweep()
    assert flushed == [2, 1]


def test_long_headers_are_not_remembered(host: Host) -> None:
    """A client could otherwise fill the memory of every process, a header at a time."""

    def send(number: int) -> None:
        long = f"{number:05}" + "x" * 60_000
        headers = {"Cookie": f"a={long}", "Referer": f"http://other.example/{long}"}
        environ = create_environ("/", query_string=f"q={long}", headers={**NAVIGATION, **headers})
        run_wsgi_app(host.app, environ, buffered=True)  # its client remembers addresses itself
        host.flush()

    send(0)
    tracemalloc.start()
    try:
        for number in range(1, 30):
            send(number)
        gc.collect()
        grown, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert grown < 29 * 60_000
    assert len(host.events_of("page.visit")) == 30


def test_an_outage_behind_a_refused_event_counts_nothing_twice(
    make: MakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch that was written in part is written again: no row, counter or dead letter more."""
    host = make({"EVENTTRACK_FLUSH_INTERVAL": 3600})
    worker = host.state.pipeline
    commit, calls = worker.writer._commit_once, 0

    def fail_once(records: t.Sequence[Record], outcomes: t.Any) -> t.Any:
        nonlocal calls
        calls += 1
        if calls == 6:  # all, a half, the refused one, what goes with it, its neighbour, the rest
            raise sa.exc.OperationalError("INSERT", {}, Exception("the database is away"))
        return commit(records, outcomes)

    monkeypatch.setattr(worker.writer, "_commit_once", fail_once)
    visits = [a_page(f"/{n}", uuid=uuidlib.uuid4(), session=None) for n in range(4)]
    broken = msgspec.structs.replace(visits[0], time=dt.datetime(2026, 1, 1))  # noqa: DTZ001
    host.state.pipeline.count(Outcome("dropped", "page.visit", "no room"))
    host.state.pipeline.put(broken, *visits[1:])
    with pytest.raises(sa.exc.OperationalError), host.app.app_context():
        host.events.flush()
    assert len(host.rows("rejected")) == 1
    assert host.actions() == {"page.visit": 3}
    assert quality(host) == {
        ("accepted", "page.visit", ""): 3,
        ("dropped", "page.visit", "no room"): 1,
    }
    assert calls > 6


def test_a_thread_that_could_not_start_is_tried_again(
    make: MakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the next record, not only when there is a batch of them."""
    host = make()
    start, failures = threading.Thread.start, 2

    def fail(thread: threading.Thread) -> None:
        nonlocal failures
        if thread.name == "eventtrack-writer" and failures:
            failures -= 1
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", fail)
    visit(host, 4)
    wait_until(lambda: waiting(host) == 0)


def test_chores_are_done_under_steady_traffic(
    make: MakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The writer comes to an end of what it began, however many events come meanwhile."""
    monkeypatch.setattr("flask_eventtrack.pipeline.pipeline.CHORES_INTERVAL", 0.05)
    host = make({"EVENTTRACK_FLUSH_INTERVAL": 0.01})
    worker = host.state.pipeline
    chores: list[bool] = []
    monkeypatch.setattr(worker, "_do_chores", lambda **_: chores.append(True))
    write = worker.writer.commit

    def write_while_others_come(*args: t.Any, **options: t.Any) -> None:
        write(*args, **options)
        host.state.pipeline.put(a_page("/more", uuid=uuidlib.uuid4(), session=None))

    monkeypatch.setattr(worker.writer, "commit", write_while_others_come)
    visit(host)
    wait_until(lambda: len(chores) > 2)
    monkeypatch.undo()
