"""What the thread does each minute: between two of its transactions, events are written."""

from __future__ import annotations

import datetime as dt
import itertools
import threading
import typing as t
import uuid as uuidlib

import pytest
import sqlalchemy as sa

from flask_eventtrack.pipeline.schedule import NEVER

from ..conftest import MakeHost
from ..hosts import START, Host
from ..store.records import a_page, an_event, an_id
from .segments import home_at, segments
from .waiting import PATIENT, refused, visit, wait_until

CHUNK = 200


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flask_eventtrack.pipeline.pipeline.CHORES_INTERVAL", 0.5)


def add_sessions(host: Host, count: int, at: dt.datetime) -> None:
    """Store sessions that nothing was heard of since ``at``."""
    table = host.state.pipeline.database.tables.session
    row = {"started_at": at, "last_seen_at": at, "pages": 0, "events": 0, "site": "localhost"}
    ids = (uuidlib.uuid4() for _ in itertools.count())
    rows = [
        {**row, "id": next(ids), "uuid": next(ids), "device_id": next(ids)} for _ in range(count)
    ]
    with host.state.pipeline.database.begin() as connection:
        connection.execute(table.insert(), rows)


def count_open(host: Host) -> int:
    table = host.state.pipeline.database.tables.session
    query = sa.select(sa.func.count()).where(table.c.ended_at.is_(None))
    with host.state.pipeline.database.read() as connection:
        return connection.scalar(query) or 0


@pytest.mark.usefixtures("hasty")
def test_an_event_does_not_wait_for_a_long_sweep(
    db_host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After an outage: it is written after the transaction that runs, not after all of them."""
    add_sessions(db_host, 10 * CHUNK, START - dt.timedelta(hours=2))
    pipeline = db_host.state.pipeline
    sweep, commit, done = pipeline.writer.sweep, pipeline.writer.commit, list[str]()
    go_on = threading.Event()

    def wait_and_sweep() -> t.Any:
        done.append("sweep")
        assert done.count("sweep") != 2 or go_on.wait(10)
        return sweep()

    def note_and_commit(*args: t.Any, **options: t.Any) -> None:
        done.append("commit")
        commit(*args, **options)

    monkeypatch.setattr(pipeline.writer, "sweep", wait_and_sweep)
    visit(db_host)
    wait_until(lambda: done.count("sweep") == 2)
    monkeypatch.setattr(pipeline.writer, "commit", note_and_commit)
    visit(db_host)
    pipeline.hurry()
    go_on.set()
    wait_until(lambda: count_open(db_host) == 2, seconds=60)
    assert done.index("commit") == 2
    assert done.count("sweep") >= 10


@pytest.mark.usefixtures("hasty")
def test_a_backlog_does_not_keep_the_sweep_waiting(
    make: MakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where events never end, the chores have a transaction now and then."""
    monkeypatch.setattr("flask_eventtrack.pipeline.pipeline._TURN", 0.0)
    host = make()
    add_sessions(host, 3 * CHUNK, START - dt.timedelta(hours=2))
    numbers = itertools.count()

    def more() -> None:
        pages = [a_page("/", id=an_id(next(numbers)), session=None) for _ in range(1000)]
        assert host.state.pipeline.put(*pages)

    commit = host.state.pipeline.writer.commit

    def commit_and_get_more(*args: t.Any, **options: t.Any) -> None:
        commit(*args, **options)
        if next(numbers) < 100_000 and count_open(host):
            more()

    monkeypatch.setattr(host.state.pipeline.writer, "commit", commit_and_get_more)
    more()
    wait_until(lambda: count_open(host) == 0, seconds=30)


@pytest.mark.usefixtures("hasty")
def test_a_sweep_that_fails_is_tried_again(
    make: MakeHost, caplog: pytest.LogCaptureFixture
) -> None:
    """Each minute, and said each time; events are written all along."""
    host = make()
    add_sessions(host, 2 * CHUNK, START - dt.timedelta(hours=2))
    with refused(host, "UPDATE ON eventtrack_session"):
        visit(host)
        wait_until(lambda: "The chores of this minute failed" in caplog.text)
        host.flush()
    wait_until(lambda: count_open(host) == 1)


def test_it_is_not_said_that_events_are_written_while_they_are_not(
    make: MakeHost, caplog: pytest.LogCaptureFixture
) -> None:
    """Their journal was deleted during the outage: the next try writes nothing."""
    host = make(create=False)
    visit(host)
    with pytest.raises(sa.exc.OperationalError):
        host.flush()
    assert host.state.journal is not None
    for path in segments(home_at(host.state.journal)):
        path.write_bytes(b"")
    with host.app.app_context():
        host.db.create_all()
    host.flush()
    assert host.actions() == {}
    wait_until(lambda: "No events wait any more." in caplog.messages)
    assert "Events are written again." not in caplog.messages
    host.state.pipeline.put(an_event(session=None))
    host.flush()
    assert host.actions() == {"order.ship": 1}


def test_counters_alone_are_no_events_that_are_written_again(
    make: MakeHost, caplog: pytest.LogCaptureFixture
) -> None:
    """The failed events are gone, and only what was refused is counted."""
    host = make({"EVENTTRACK_DURABILITY": "memory"}, create=False)
    visit(host)
    with pytest.raises(sa.exc.OperationalError):
        host.flush()
    host.state.pipeline._queue._payloads.clear()  # type: ignore[attr-defined]
    host.client().post(
        "/_et/in", json={"action": "no.such"}, headers={"Sec-Fetch-Site": "same-origin"}
    )
    with host.app.app_context():
        host.db.create_all()
    host.flush()
    assert len(host.rows("quality")) == 1
    assert "Events are written again." not in caplog.messages


def test_after_a_batch_the_writer_looks_again_by_itself(make: MakeHost) -> None:
    """Once. If nothing has come by then, it sleeps, and the next record wakes it."""
    host = make(PATIENT)
    pipeline = host.state.pipeline
    for _ in range(2):
        visit(host)
        pipeline.hurry()
        wait_until(lambda: not pipeline.waiting and pipeline.status.due_at < NEVER)
        pipeline.hurry()
        wait_until(lambda: pipeline.status.due_at == NEVER)
        visit(host)
        assert pipeline.status.due_at < NEVER
