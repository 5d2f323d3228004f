"""The writer thread: when it writes, and what it tells."""

from __future__ import annotations

import collections.abc as cabc
import gc
import logging
import pathlib
import threading
import time
import tracemalloc
import typing as t
import uuid as uuidlib
import weakref

import pytest
from flask import current_app, has_request_context
from werkzeug.test import create_environ, run_wsgi_app

from flask_eventtrack import EventTrack, signals, track

from ..conftest import MakeHost
from ..hosts import NAVIGATION, Host, make_host
from ..store.records import a_page, an_event, an_id, quality, recount, totals
from .waiting import PATIENT, refused, visit, wait_until, waiting

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
    """An app without references is freed, and its writer ends."""
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
    """The flush is under way already: it does not wait for itself."""
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
    assert (failures, host.actions()["page.visit"]) == (0, 4)


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


def test_chores_are_done_behind_a_backlog(make: MakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    """A minute's chores come when they are due, between two batches of what waits."""
    host = make(PATIENT)
    worker, done = host.state.pipeline, list[str]()
    commit = worker.writer.commit

    def commit_until_the_minute_is_over(*args: t.Any, **options: t.Any) -> None:
        commit(*args, **options)
        worker._status.chores_at = time.monotonic()

    monkeypatch.setattr(worker.writer, "commit", commit_until_the_minute_is_over)
    note_calls(monkeypatch, worker.writer, done, "commit", "sweep")
    host.state.pipeline.put(*(a_page(f"/{n}", n, id=an_id(n), session=None) for n in range(2750)))
    host.flush()
    assert done.count("commit") == 6
    first, last = done.index("commit"), len(done) - done[::-1].index("commit")
    assert "sweep" in done[first:last]


def note_calls(
    monkeypatch: pytest.MonkeyPatch, writer: object, done: list[str], *names: str
) -> None:
    """Note the calls of a writer's methods, which go on as before."""

    def noting(name: str, method: cabc.Callable[..., t.Any]) -> cabc.Callable[..., t.Any]:
        def call(*args: t.Any, **options: t.Any) -> t.Any:
            done.append(name)
            return method(*args, **options)

        return call

    for name in names:
        monkeypatch.setattr(writer, name, noting(name, getattr(writer, name)))


def test_chores_that_fail_are_tried_again(
    make: MakeHost, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What the database refuses in one minute is done in the next."""
    monkeypatch.setattr("flask_eventtrack.pipeline.pipeline.CHORES_INTERVAL", 0.05)
    host = make()
    visit(host)
    host.flush()
    with refused(host, "UPDATE ON eventtrack_session"):
        host.clock.advance(hours=1)
        wait_until(lambda: len(caplog.messages) > 1)
        assert host.actions() == {"page.visit": 1, "session.start": 1}
    wait_until(lambda: host.actions()["session.end"] == 1)
    assert {message.partition(":")[0] for message in caplog.messages} == {
        "The chores of this minute failed, and are tried again"
    }


def test_a_flood_of_made_up_names_is_counted_together(make: MakeHost) -> None:
    """Of those that wait, a thousand are counted by name and all further ones as one."""
    host = make({"TESTING": False, "EVENTTRACK_UNDEFINED_LIMIT": 5000}, url="sqlite://")
    with host.app.app_context():
        for number in range(1020):
            for _ in range(2):
                assert track(f"no.such{number}", customer="1") is None
    found = quality(host)
    assert len(found) == 202  # two hundred keep their name
    assert found["rejected", "", "undefined_event"] == 1600
    assert found["rejected", "no.such0", "undefined_event"] == 2
    assert found["rejected", "", "others"] == 40
