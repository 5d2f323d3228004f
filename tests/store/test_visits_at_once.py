"""Halves of a visit that several processes write at once."""

from __future__ import annotations

import threading
import typing as t
import uuid as uuidlib

import pytest
import sqlalchemy as sa

from flask_eventtrack.records import Event
from flask_eventtrack.store.batch import Batch, write_batch
from flask_eventtrack.store.sessions import Transaction

from ..forks import PROCESSES
from ..hosts import FakeClock, Host, make_host
from .halves import (
    BROWSER,
    RELOADED,
    RESHOWN,
    SERVER,
    TRACKED,
    browser_half,
    cookieless,
    server_half,
)
from .records import an_event, at, recount, session_of, the_session, totals, write


def _write_in_process(url: str, barrier: t.Any, events: list[Event], copies: int) -> None:
    clock = FakeClock()
    clock.advance(minutes=5)
    host = make_host(url, create=False, clock=clock)
    with host.state.pipeline.database.begin():
        pass
    barrier.wait(30)
    for event in events:
        host.state.pipeline.put(*[event] * copies)
        host.flush()
    host.close()


def run_processes(url: str, *parts: list[Event], copies: int = 1) -> None:
    """Write each part in a process of its own, all at once."""
    barrier = PROCESSES.Barrier(len(parts))
    processes = [
        PROCESSES.Process(target=_write_in_process, args=(url, barrier, part, copies))
        for part in parts
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0] * len(parts)


def test_two_processes_write_both_halves_at_once(db_host: Host, database_url: str) -> None:
    """Forty visits: one process has the servers' halves, two have the browsers', one clicks."""
    pages = [server_half(f"/{n}", n) for n in range(40)]
    shown = [browser_half(page, n + 0.5, f"/{n}") for n, page in enumerate(pages)]
    clicks = [an_event("button.click", n + 0.7) for n in range(40)]
    run_processes(database_url, pages, shown, shown[::-1], clicks, copies=2)
    rows = db_host.events_of("page.visit")
    assert [row["id"] for row in rows] == [page.id for page in pages]
    assert [row["claimed_by"] for row in rows] == [half.id for half in shown]
    assert {row["params"]["title"] for row in rows} == {"As shown"}
    assert {row["params"]["status"] for row in rows} == {200}
    assert db_host.actions() == {"page.visit": 40, "session.start": 1, "button.click": 40}
    session = the_session(db_host)
    assert (session["pages"], session["events"]) == (40, 80)
    assert (session["entry"], session["exit"]) == ("/0", "/39")
    assert totals(db_host) == recount(db_host)
    assert db_host.rows("rejected") == []


def test_two_processes_write_cookieless_halves_at_once(db_host: Host, database_url: str) -> None:
    """Thirty browsers without cookies: thirty sessions, and none of those opened for a while."""
    devices = [uuidlib.UUID(int=n, version=4) for n in range(60)]
    pages = [
        server_half(seconds=n, uuid=d, session=session_of(d, start=n))
        for n, d in enumerate(devices[:30])
    ]
    shown = [
        cookieless(browser_half(page, n + 0.5), page, device)
        for n, (page, device) in enumerate(zip(pages, devices[30:], strict=True))
    ]
    run_processes(database_url, pages, shown, pages[::-1], shown[::-1])
    assert db_host.actions() == {"page.visit": 30, "session.start": 30}
    assert {row["device_id"] for row in db_host.rows("session")} == set(devices[:30])
    assert {(row["pages"], row["events"]) for row in db_host.rows("session")} == {(1, 1)}
    assert totals(db_host) == recount(db_host)
    assert db_host.rows("rejected") == []


# The statement at which a second writer is known to wait, or to have made up its mind.
_WAITS_AT = {"sqlite": "IMMEDIATE", "postgresql": "FROM eventtrack_session", "mysql": "FOR UPDATE"}


def write_behind(host: Host, database_url: str, first: Event, second: Event) -> None:
    """Write ``second`` while ``first`` stands uncommitted: it waits for a lock, and goes on."""
    other = make_host(database_url, create=False, clock=host.clock)
    thread = threading.Thread(target=other.flush)
    is_waiting = threading.Event()
    database = host.state.pipeline.database
    with database.begin() as connection:
        sign = _WAITS_AT[connection.dialect.name]

        @sa.event.listens_for(other.state.pipeline.database._engine, "before_cursor_execute")
        def note(c: object, cursor: object, statement: str, *rest: object) -> None:
            if sign in statement:
                is_waiting.set()

        facts = host.state.pipeline.writer._hooks.facts
        transaction = Transaction(connection, database.tables, at(60), facts, lambda a, s: True)
        write_batch(transaction, Batch([first]))
        other.state.pipeline.put(second)
        thread.start()
        has_waited = is_waiting.wait(20)
    thread.join(20)
    other.close()
    assert has_waited
    assert not thread.is_alive()


@pytest.mark.parametrize("first", [0, 1])
def test_a_304_s_halves_that_are_written_at_once_are_one_visit(
    db_host: Host, database_url: str, first: int
) -> None:
    """The second writer must see the first one's half, although it was not committed yet."""
    halves = [RELOADED, RESHOWN]
    write(db_host, SERVER, BROWSER)
    write_behind(db_host, database_url, halves[first], halves[1 - first])
    assert [row["params"].get("status") for row in db_host.events_of("page.visit")] == [200, 304]
    assert [row["claimed_by"] for row in db_host.events_of("page.visit")] == [
        BROWSER.id,
        RESHOWN.id,
    ]
    assert (the_session(db_host)["pages"], the_session(db_host)["events"]) == (2, 2)


@pytest.mark.parametrize("first", [0, 1])
def test_halves_that_are_written_at_once_are_one_visit(
    db_host: Host, database_url: str, first: int
) -> None:
    """Both insert the same row: one of them finds it, and joins."""
    halves = [SERVER, BROWSER]
    write(db_host, TRACKED)
    write_behind(db_host, database_url, halves[first], halves[1 - first])
    [row] = db_host.events_of("page.visit")
    assert (row["id"], row["claimed_by"], row["time"]) == (SERVER.id, BROWSER.id, SERVER.time)
    assert (the_session(db_host)["pages"], the_session(db_host)["events"]) == (1, 2)
    assert totals(db_host) == recount(db_host)
    assert db_host.rows("rejected") == []
