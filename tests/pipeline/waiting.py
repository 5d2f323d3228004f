"""Hosts with something to write, and waiting until it is written."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import pathlib
import threading
import time

import sqlalchemy as sa

from ..hosts import NAVIGATION, Host

ROOT = pathlib.Path(__file__).parents[2]
#: Nothing is written before it is asked for.
PATIENT = {"EVENTTRACK_FLUSH_INTERVAL": 3600}


def wait_until(condition: cabc.Callable[[], bool], seconds: float = 30) -> None:
    """Wait for what another thread brings about; fail when it does not."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        threading.Event().wait(0.005)


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


@contextlib.contextmanager
def refused(host: Host, change: str) -> cabc.Iterator[None]:
    """Have a host's SQLite file refuse a change, such as "INSERT ON eventtrack_event"."""
    engine = sa.create_engine(host.state.pipeline.database._host.url, poolclass=sa.NullPool)
    with engine.begin() as connection:
        connection.exec_driver_sql(
            f"CREATE TRIGGER refusal BEFORE {change} BEGIN SELECT RAISE(ABORT, 'refused'); END"
        )
    try:
        yield
    finally:
        with engine.begin() as connection:
            connection.exec_driver_sql("DROP TRIGGER refusal")
