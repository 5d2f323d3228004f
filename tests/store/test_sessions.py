"""What a session counts, when it ends, and the sweep."""

from __future__ import annotations

import datetime as dt
import typing as t
import uuid as uuidlib

import pytest

from flask_eventtrack import signals
from flask_eventtrack.ids import session_end_id, session_start_id
from flask_eventtrack.records import Event, SessionEnd

from ..forks import PROCESSES
from ..hosts import NAVIGATION, START, FakeClock, Host, make_host
from .records import (
    DEVICE,
    SITE,
    a_page,
    an_event,
    at,
    recount,
    session_of,
    the_session,
    totals,
    write,
)

# Sessions


def test_a_session_counts_its_pages_and_events(db_host: Host) -> None:
    """``events`` are all rows but session.*, ``pages`` the visits and screens among them."""
    write(db_host, a_page("/", 0), an_event("button.click", 5), an_event("screen.view", 7))
    row = the_session(db_host)
    assert (row["pages"], row["events"]) == (2, 3)
    assert (row["started_at"], row["last_seen_at"], row["ended_at"]) == (at(0), at(7), None)
    assert (row["device_id"], row["uuid"], row["site"]) == (DEVICE, DEVICE, SITE)
    assert (row["browser"], row["device_type"], row["language"]) == ("Chrome", "desktop", "de-AT")


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2), (1, 2, 0)])
def test_entry_and_exit_go_by_time(db_host: Host, order: tuple[int, ...]) -> None:
    """The first and last page of a session do not depend on which is written when."""
    campaign = {"url": f"http://{SITE}/?utm_source=mail", "referrer": "http://blog.example/"}
    pages = [a_page("/", 0, params=campaign), a_page("/middle", 10), a_page("/end", 20)]
    for index in order:
        write(db_host, pages[index])
    row = the_session(db_host)
    assert (row["entry"], row["entry_at"]) == ("/", at(0))
    assert (row["exit"], row["exit_at"]) == ("/end", at(20))
    assert (row["source"], row["referrer"]) == ("mail", "http://blog.example/")
    assert (row["pages"], row["last_seen_at"]) == (3, at(20))


def test_a_session_starts_a_microsecond_before_its_first_event(db_host: Host) -> None:
    """``session.start`` sorts before what opened the session; its id is derived from it."""
    page = a_page("/", 0)
    write(db_host, page)
    [start] = db_host.events_of("session.start")
    assert page.time - start["time"] == dt.timedelta(microseconds=1)
    assert (start["id"], start["session_id"]) == (
        session_start_id(page_session(page)),
        page_session(page),
    )
    assert (start["uuid"], start["label"], start["params"]) == (DEVICE, "Started session", {})


def page_session(event: Event) -> uuidlib.UUID:
    assert event.session is not None
    return event.session.id


@pytest.mark.parametrize("first", [0, 1])
def test_of_two_openings_the_earlier_stands(db_host: Host, first: int) -> None:
    """Two requests at once after the gap open one session, which starts with the earlier one."""
    events = [a_page("/", 0), a_page("/b", -3600.5, session=session_of(DEVICE, 1, -3600.5))]
    write(db_host, events[first])
    write(db_host, events[1 - first])
    assert the_session(db_host)["started_at"] == at(-3600.5)
    [start] = db_host.events_of("session.start")
    assert start["time"] == at(-3600.5) - dt.timedelta(microseconds=1)
    assert totals(db_host) == recount(db_host)


def test_a_session_s_end_tells_what_it_was(db_host: Host) -> None:
    """``session.end`` is dated at the last activity and sums the session up."""
    write(db_host, a_page("/", 0), an_event("button.click", 90.25))
    session_id = session_of(DEVICE).id
    written = write(db_host, ends=[SessionEnd(session_id=session_id, reason="logout")])
    assert written.ended == [(session_id, "logout")]
    [end] = db_host.events_of("session.end")
    assert end["params"] == {"duration": 90.25, "pages": 1, "events": 2, "reason": "logout"}
    assert (end["id"], end["time"]) == (session_end_id(session_id), at(90.25))
    assert (end["label"], end["source"]) == ("Session end", "server")
    assert the_session(db_host)["ended_at"] == at(90.25)


def test_a_session_ends_once(db_host: Host) -> None:
    """The first reason stands; a second end, or one for an unknown session, has no effect."""
    session_id = session_of(DEVICE).id
    write(db_host, a_page(), ends=[SessionEnd(session_id=session_id, reason="logout")])
    write(db_host, ends=[SessionEnd(session_id=session_id, reason="timeout")])
    write(db_host, ends=[SessionEnd(session_id=uuidlib.uuid4(), reason="timeout")])
    [end] = db_host.events_of("session.end")
    assert end["params"]["reason"] == "logout"
    assert totals(db_host) == recount(db_host)


def test_a_late_event_counts_and_moves_nothing(db_host: Host) -> None:
    """An ended session takes late events, and is never reopened."""
    session_id = session_of(DEVICE).id
    write(db_host, a_page("/", 0), ends=[SessionEnd(session_id=session_id, reason="timeout")])
    [end] = db_host.events_of("session.end")
    write(db_host, a_page("/late", 30), an_event("button.click", 40))
    row = the_session(db_host)
    assert (row["pages"], row["events"]) == (2, 3)
    assert (row["last_seen_at"], row["ended_at"], row["exit"]) == (at(0), at(0), "/")
    assert db_host.events_of("session.end") == [end]
    assert {r["session_id"] for r in db_host.rows("event")} == {session_id}
    assert totals(db_host) == recount(db_host)


def test_an_event_from_before_its_session_keeps_its_time(db_host: Host) -> None:
    """A time given by the caller moves neither start, entry page nor last activity."""
    write(db_host, a_page("/", 0), a_page("/old", -500), an_event("order.ship", -86400))
    row = the_session(db_host)
    assert (row["started_at"], row["last_seen_at"]) == (at(0), at(0))
    assert (row["entry"], row["exit"], row["pages"], row["events"]) == ("/", "/", 2, 3)
    [old] = db_host.events_of("order.ship")
    assert old["time"] == at(-86400)


def test_a_site_may_refuse_session_events(db_host: Host) -> None:
    """Where ``session.*`` is denied, sessions are kept and their events are not written."""
    denied = frozenset({"session.start", "session.end"})
    end = SessionEnd(session_id=session_of(DEVICE).id, reason="timeout")
    write(db_host, a_page(), ends=[end], denied=denied)
    assert db_host.actions() == {"page.visit": 1}
    assert the_session(db_host)["ended_at"] == at(0)
    assert totals(db_host) == recount(db_host)


# The sweep


def test_a_sweep_ends_what_has_been_silent(db_host: Host) -> None:
    """Sessions end 35 minutes after their last activity, dated at it."""
    clients = [db_host.client() for _ in range(2)]
    clients[0].get("/", headers=NAVIGATION)
    db_host.clock.advance(minutes=1)
    clients[1].get("/", headers=NAVIGATION)
    db_host.flush()
    db_host.clock.advance(minutes=34, seconds=0.5)
    [(ended, reason)] = db_host.state.pipeline.sweep()
    assert reason == "timeout"
    [end] = db_host.events_of("session.end")
    assert (end["session_id"], end["time"]) == (ended, START)
    assert totals(db_host) == recount(db_host)


def test_a_sweep_leaves_who_is_still_there(db_host: Host) -> None:
    """However long ago a session started, only its silence ends it."""
    write(db_host, a_page("/", 0), a_page("/b", 7200))
    db_host.clock.advance(seconds=7200, minutes=34)
    assert db_host.state.pipeline.sweep() == []
    db_host.clock.advance(minutes=2)
    assert db_host.state.pipeline.sweep() == [(session_of(DEVICE).id, "timeout")]


def test_a_sweep_goes_on_until_nothing_is_left(db_host: Host) -> None:
    """More sessions than one transaction takes are all ended, and told of."""
    devices = [uuidlib.UUID(int=n, version=4) for n in range(450)]
    write(db_host, *(an_event(device=device) for device in devices))
    db_host.clock.advance(hours=1)
    told: list[uuidlib.UUID] = []

    def receive(app: object, session_id: uuidlib.UUID, reason: str) -> None:
        told.append(session_id)

    with signals.session_ended.connected_to(receive, db_host.app):
        ended = db_host.state.pipeline.sweep()
    assert len(set(told)) == len(told) == len(ended) == 450
    assert db_host.actions()["session.end"] == 450
    assert db_host.state.pipeline.sweep() == []


def _sweep_in_process(url: str, now: int, barrier: t.Any, results: t.Any) -> None:
    clock = FakeClock()
    clock.now = now
    host = make_host(url, create=False, clock=clock)
    host.state.pipeline.database.begin().__enter__().close()
    barrier.wait(30)
    results.put([str(session_id) for session_id, _ in host.state.pipeline.sweep()])
    host.close()


def test_four_processes_sweep_each_session_once(db_host: Host, database_url: str) -> None:
    """Sweepers that start together share the work: one end a session, told once."""
    devices = [uuidlib.UUID(int=n, version=4) for n in range(900)]
    write(db_host, *(an_event(device=device) for device in devices))
    db_host.clock.advance(hours=1)
    barrier, results = PROCESSES.Barrier(4), PROCESSES.Queue()
    sweepers = [
        PROCESSES.Process(
            target=_sweep_in_process, args=(database_url, db_host.clock.now, barrier, results)
        )
        for _ in range(4)
    ]
    for process in sweepers:
        process.start()
    ended = [session_id for _ in sweepers for session_id in results.get(timeout=60)]
    for process in sweepers:
        process.join(30)
    assert [process.exitcode for process in sweepers] == [0] * 4
    assert len(ended) == len(set(ended)) == 900
    assert db_host.actions() == {"order.ship": 900, "session.start": 900, "session.end": 900}
    assert totals(db_host) == recount(db_host)
