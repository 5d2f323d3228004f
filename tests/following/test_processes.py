"""One process at a time runs a function; another one goes on where it was killed."""

from __future__ import annotations

import collections
import collections.abc as cabc
import datetime as dt
import os
import pathlib
import signal
import subprocess
import sys
import typing as t

import pytest

from ..conftest import MakeHost
from ..hosts import Host
from ..pipeline.test_forks import run_script
from ..pipeline.waiting import ROOT, wait_until
from .told import open_shop, read, row_of, ship

_SETUP = """
import datetime as dt, os, sys, threading, time
from flask_eventtrack import track
from flask_eventtrack.pipeline import following
from tests.hosts import make_host

following.LEASE = dt.timedelta(seconds=5)  # a busy machine lets a process wait for seconds
host = make_host(sys.argv[1], {
    "TESTING": False, "EVENTTRACK_COMMIT_LOG": True, "EVENTTRACK_FLUSH_INTERVAL": 0.02,
    "EVENTTRACK_DURABILITY": "memory",
}, create=False)
for action in ("order.ship", "other.thing"):
    host.events.define(action)
out = os.open(sys.argv[2], os.O_WRONLY | os.O_APPEND | os.O_CREAT)

@host.events.on("order.*", name="told")
def note(event):
    os.write(out, f"{os.getpid()} {event.params['number']}\\n".encode())
    while os.path.exists(sys.argv[2] + ".block"):
        time.sleep(0.005)

def ship(number):
    with host.app.app_context():
        track("order.ship", {"number": number}, customer="7")
"""
_WORKER = """
host.client().get("/")
print("ready", flush=True)
sys.stdin.read()
"""


def calls(path: pathlib.Path) -> list[tuple[int, int]]:
    """Return the process and the number of each call."""
    lines = path.read_text().splitlines() if path.exists() else []
    return [(int(pid), int(number)) for pid, number in map(str.split, lines)]


def numbers(path: pathlib.Path) -> list[int]:
    return [number for _, number in calls(path)]


class Worker(subprocess.Popen[str]):
    """A process of the app that runs its functions."""

    started: t.ClassVar[list[Worker]] = []

    def __init__(self, url: str, path: pathlib.Path) -> None:
        self.started.append(self)
        super().__init__(
            [sys.executable, "-c", _SETUP + _WORKER, url, str(path)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.stdout is not None
        assert self.stdout.readline() == "ready\n"

    def finish(self) -> None:
        self.communicate(timeout=30)
        assert self.returncode == 0


@pytest.fixture(autouse=True)
def _no_process_is_left() -> cabc.Iterator[None]:
    """Also if a test fails: the next one would be blamed for what it left."""
    yield
    while Worker.started:
        worker = Worker.started.pop()
        worker.kill()
        worker.communicate()


def url_of(host: Host) -> str:
    return str(host.app.config["SQLALCHEMY_DATABASE_URI"])


def test_another_process_goes_on_after_a_kill(
    make: MakeHost, database_url: str, tmp_path: pathlib.Path
) -> None:
    """Nothing is lost, and the two never take turns."""
    host, path = open_shop(make, url=database_url), tmp_path / "calls"
    first = Worker(url_of(host), path)
    wait_until(lambda: len(read(host)) == 1 and row_of(host)["owner"] is not None)
    second = Worker(url_of(host), path)
    for number in range(100):
        ship(host, number)
        host.state.pipeline.flush()
        if number == 50:
            wait_until(lambda: bool(calls(path)))
            first.send_signal(signal.SIGKILL)
            first.communicate(timeout=10)
    wait_until(lambda: set(numbers(path)) == set(range(100)), 60)
    pids = [pid for pid, _ in calls(path)]
    assert pids == sorted(pids, key=[first.pid, second.pid].index)
    found = collections.Counter(numbers(path))
    assert sum(found.values()) <= 101  # the one at which it was killed
    in_order = list(dict.fromkeys(numbers(path)))
    assert in_order == sorted(in_order)
    second.finish()
    assert row_of(host)["owner"] is None


def test_a_process_that_ends_leaves_its_functions_at_once(
    make: MakeHost, database_url: str, tmp_path: pathlib.Path
) -> None:
    """The next one need not wait for the end of the lease, and nothing comes twice."""
    host, path = open_shop(make, url=database_url), tmp_path / "calls"
    for start in (0, 10):
        worker = Worker(url_of(host), path)
        wait_until(lambda: len(read(host)) == 1 and row_of(host)["owner"] is not None)
        ship(host, *range(start, start + 10))
        host.state.pipeline.flush()
        wait_until(lambda start=start: len(calls(path)) == start + 10)  # type: ignore[misc]
        worker.finish()
        assert row_of(host)["owner"] is None
    assert numbers(path) == list(range(20))


def test_a_function_that_takes_long_keeps_its_lease(
    make: MakeHost, database_url: str, tmp_path: pathlib.Path
) -> None:
    """No other process calls it with the same event meanwhile."""
    host, path = open_shop(make, url=database_url), tmp_path / "calls"
    block = tmp_path / "calls.block"
    block.touch()
    first = Worker(url_of(host), path)
    wait_until(lambda: len(read(host)) == 1 and row_of(host)["owner"] is not None)
    second = Worker(url_of(host), path)
    ship(host, 1)
    host.state.pipeline.flush()
    wait_until(lambda: len(calls(path)) == 1)
    until = row_of(host)["leased_until"] + dt.timedelta(seconds=2)
    wait_until(lambda: row_of(host)["leased_until"] > until)
    assert calls(path) == [(first.pid, 1)]
    block.unlink()
    ship(host, 2)
    host.state.pipeline.flush()
    wait_until(lambda: len(calls(path)) == 2)
    assert calls(path) == [(first.pid, 1), (first.pid, 2)]
    first.finish()
    second.finish()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_forks_run_them_too(make: MakeHost, database_url: str, tmp_path: pathlib.Path) -> None:
    """A parent that has run functions forks; the child goes on once the parent has ended."""
    host, path = open_shop(make, url=database_url), tmp_path / "calls"
    script = """
host.client().get("/")
while following_row() is None:
    time.sleep(0.005)
ship(1)
host.flush()
assert threading.active_count() > 2
reader, writer = os.pipe()
child = os.fork()
if child == 0:
    assert threading.active_count() == 1
    ship(2)
    host.flush()
    os.read(reader, 1)
    ship(3)
    host.flush()
    while len(open(sys.argv[2]).readlines()) < 3:
        time.sleep(0.005)
    sys.exit(0)
while len(open(sys.argv[2]).readlines()) < 2:
    time.sleep(0.005)
host.state.pipeline.close()
os.write(writer, b"!")
assert os.waitpid(child, 0)[1] == 0
"""
    look = """
import sqlalchemy as sa
def following_row():
    engine = sa.create_engine(sys.argv[1])
    try:
        with engine.connect() as connection:
            query = sa.text("SELECT owner FROM eventtrack_follower WHERE owner IS NOT NULL")
            return connection.scalar(query)
    finally:
        engine.dispose()
"""
    run_script(_SETUP + look + script, url_of(host), str(path))
    assert numbers(path) == [1, 2, 3]
    assert len({pid for pid, _ in calls(path)}) == 2


def test_a_lost_lease_is_noticed(make: MakeHost, database_url: str) -> None:
    """A process that was stopped for long does not move the position of the one that went on."""
    host = open_shop(make, url=database_url)
    pipeline = host.state.pipeline
    taken: list[t.Any] = []

    def steal(event: t.Any) -> None:
        table = pipeline.database.tables.follower
        assert table is not None
        update = table.update().values(owner=event.id, position=1000)
        pipeline.database.retry(lambda connection: connection.execute(update))
        taken.append(event)

    host.events.on("order.*", steal, name="told")
    ship(host, 1, 2)
    host.flush()
    assert len(taken) == 2
    row = row_of(host)
    assert (row["owner"], row["position"]) == (taken[1].id, 1000)
