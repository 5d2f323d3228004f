"""Forks and exits."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys
import time

import pytest

from ..conftest import MakeHost
from ..hosts import make_host
from ..store.records import quality
from .waiting import ROOT, locked, visit


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
def test_a_fork_waits_for_the_writer_of_a_dropped_app(tmp_path: pathlib.Path) -> None:
    """A child that copied a lock of SQLite's could never open a database."""
    script = """
import gc, threading
import sqlalchemy as sa
closing, fork_begins = threading.Event(), threading.Event()
is_closing = False

def close(*_):
    global is_closing
    is_closing = True
    closing.set()
    assert fork_begins.wait(30)
    is_closing = False

with host.app.app_context():
    sa.event.listen(host.db.engine, "close", close)
note("parent.test")
host.flush()
del host
gc.collect()
assert closing.wait(30)  # the thread ends, and gives its connection back
os.register_at_fork(before=fork_begins.set)  # runs before those that were registered earlier
child = os.fork()
if child == 0:
    os._exit(is_closing)
assert os.waitpid(child, 0)[1] == 0
"""
    make_host(f"sqlite:///{tmp_path / 'host.db'}").close()
    run_script(_SETUP + script, f"sqlite:///{tmp_path / 'host.db'}")


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
        script = 'note("parent.test")\nimport time\nprint(time.monotonic())'
        asked_to_end = float(run_script(_SETUP + script, database_url))
        assert 2.5 < time.monotonic() - asked_to_end < 20
    assert host.actions() == {}


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


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_fork_does_not_wait_for_a_thread_that_waits_for_the_fork(tmp_path: pathlib.Path) -> None:
    """The writer removes what it has adopted: filelock lets it, until the fork's own hooks run."""
    script = """
import filelock, threading, time
note("parent.test")
host.flush()
pipeline, begun = host.state.pipeline, threading.Event()
lock = filelock.FileLock(sys.argv[2], thread_local=False)
lock.acquire()

def write():
    with pipeline.write_alone():
        begun.set()
        time.sleep(0.3)
        lock.release()

threading.Thread(target=write).start()
begun.wait()
started = time.monotonic()
child = os.fork()
if child == 0:
    os._exit(0)
print(time.monotonic() - started)
os.waitpid(child, 0)
"""
    url = f"sqlite:///{tmp_path / 'host.db'}"
    make_host(url).close()
    assert float(run_script(_SETUP + script, url, str(tmp_path / "lock"))) < 10
