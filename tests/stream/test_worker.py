"""Workers write what web processes have sent: all of it, once, whatever dies on the way."""

from __future__ import annotations

import collections.abc as cabc
import threading
import typing as t

import pytest
import sqlalchemy as sa

from flask_eventtrack.records import Outcome, SessionEnd
from flask_eventtrack.store import streams as places
from flask_eventtrack.stream.frames import Frame, encode_frame
from flask_eventtrack.stream.redis_streams import PARTITIONS, Entry
from flask_eventtrack.stream.worker import Worker

from ..hosts import NAVIGATION, SAME_ORIGIN, Host
from ..store.records import NAIVE, an_event, quality
from .conftest import MakeStreamed, Streamed


def visit(host: Host, visitors: int = 5, pages: int = 3) -> None:
    for _ in range(visitors):
        client = host.client()
        for _ in range(pages):
            assert client.get("/", headers=NAVIGATION).status_code == 200
    host.flush()


def hours(host: Host) -> int:
    return sum(row["count"] for row in host.rows("hourly") if row["action"] == "page.visit")


def mishaps(host: Host) -> dict[tuple[str, str, str], int]:
    """Return the counters of quality but for what was accepted, which are a recount."""
    counted = quality(host)
    accepted = {key[1]: counted.pop(key) for key in list(counted) if key[0] == "accepted"}
    sent = {name: number for name, number in host.actions().items() if "session." not in name}
    assert accepted == sent
    return dict(counted)


def test_what_was_sent_is_written_by_a_worker(db_streamed: Streamed) -> None:
    """Until then the database has nothing; afterwards Redis has nothing."""
    host = db_streamed.host
    visit(host)
    host.client().post("/_et/in", json={"action": "button.click"}, headers=SAME_ORIGIN)
    host.flush()
    assert host.actions() == {}
    assert db_streamed.frames() > 0
    worker = db_streamed.work()
    assert worker.records == 16
    assert host.actions() == {"page.visit": 15, "session.start": 6, "button.click": 1}
    assert hours(host) == 15
    assert db_streamed.frames() == 0
    assert mishaps(host) == {}


def test_doubled_frames_are_written_once(db_streamed: Streamed) -> None:
    """Their records and their counts, whether the second one is in the same transaction or not."""
    host = db_streamed.host
    visit(host)
    host.state.pipeline.count(Outcome("dropped", "page.visit", "no room"), 3)
    host.flush()
    db_streamed.double()
    lengths = [len(db_streamed.streams.read(n, 1000)) for n in db_streamed.streams.list_filled()]
    entries = {
        number: db_streamed.streams.read(number, 1)[0]
        for number in db_streamed.streams.list_filled()
    }
    assert set(lengths) <= {2, 4}
    db_streamed.work()
    for number, entry in entries.items():
        db_streamed.redis.xadd(db_streamed.key(number), {"f": entry.data})
    db_streamed.work()
    assert host.actions() == {"page.visit": 15, "session.start": 5}
    assert hours(host) == 15
    assert mishaps(host) == {("dropped", "page.visit", "no room"): 3}


def test_a_worker_that_dies_after_its_commit_doubles_nothing(
    db_streamed: Streamed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The frames still lie in the stream: the next worker knows that they are committed."""
    host = db_streamed.host
    visit(host)
    host.state.pipeline.count(Outcome("dropped", "page.visit", "no room"), 3)
    host.flush()

    def die(partition: int, entries: cabc.Sequence[Entry]) -> None:
        raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr(db_streamed.streams, "remove", die)
        for _ in db_streamed.streams.list_filled():
            with pytest.raises(SystemExit):
                db_streamed.work()
    assert db_streamed.frames() > 0
    db_streamed.work()
    assert host.actions() == {"page.visit": 15, "session.start": 5}
    assert hours(host) == 15
    assert mishaps(host) == {("dropped", "page.visit", "no room"): 3}
    assert db_streamed.frames() == 0


def test_frames_that_are_sent_again_are_no_duplicates(streamed: Streamed) -> None:
    """A true duplicate, which a client sends twice, is counted."""
    host = streamed.host
    first, second = an_event(seconds=1), an_event(seconds=2)
    host.state.pipeline.put(first, second)
    host.flush()
    streamed.work()
    host.state.pipeline.sink.commit([first], {}, is_replay=True)
    streamed.work()
    assert mishaps(host) == {}
    host.state.pipeline.put(first)
    host.flush()
    streamed.work()
    assert mishaps(host) == {("duplicate", first.action, ""): 1}
    assert host.actions()[first.action] == 2


@pytest.mark.parametrize("database_url", ["postgresql", "mariadb"], indirect=True)
def test_one_worker_at_a_time_works_on_a_partition(
    make_streamed: MakeStreamed, database_url: str
) -> None:
    """Another one passes it by, and takes it over once the first is gone.

    A SQLite file has one writer at a time anyway.
    """
    streamed = make_streamed(url=database_url)
    visit(streamed.host, visitors=1)
    database = streamed.host.state.pipeline.database
    streamed.work()
    visit(streamed.host, visitors=1)
    [number] = streamed.streams.list_filled()
    with database.read() as other, other.begin():
        assert places.hold(other, database.tables, number) is not None
        assert streamed.work().records == 0
        assert streamed.frames() > 0
    assert streamed.work().records == 3


def test_workers_share_the_work(make_streamed: MakeStreamed, database_url: str) -> None:
    """Three workers at once, with frames sent twice: everything is there once, in its order."""
    first = make_streamed(url=database_url)
    others = [make_streamed(url=database_url, create=False) for _ in range(2)]
    for _ in range(4):
        visit(first.host, visitors=20, pages=2)
    first.double()
    workers = [Worker(each.host.state.pipeline, each.streams) for each in (first, *others)]
    threads = [threading.Thread(target=worker.run) for worker in workers]
    for thread in threads:
        thread.start()
    while first.frames():
        pass
    for worker in workers:
        worker.stop()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()
    first.work()
    assert first.host.actions() == {"page.visit": 160, "session.start": 80}
    assert hours(first.host) == 160
    assert mishaps(first.host) == {}
    assert sum(worker.failures for worker in workers) == 0


def test_a_record_that_the_database_refuses_is_set_aside(db_streamed: Streamed) -> None:
    """Once, and its neighbours and counts are written once."""
    host = db_streamed.host
    good, bad = an_event(seconds=1), an_event(seconds=2, time=NAIVE)
    assert host.state.pipeline.put(good, bad, an_event(seconds=3))
    host.state.pipeline.count(Outcome("dropped", "page.visit", "no room"), 3)
    host.flush()
    db_streamed.work()
    assert host.actions()[good.action] == 2
    assert [row["id"] for row in host.rows("rejected")] == [bad.id]
    assert mishaps(host)[("dropped", "page.visit", "no room")] == 3
    assert db_streamed.frames() == 0


def test_foreign_entries_are_set_aside(
    streamed: Streamed, caplog: pytest.LogCaptureFixture
) -> None:
    """They are counted, and kept for a while; what comes behind them is written."""
    visit(streamed.host, visitors=1)
    [number] = streamed.streams.list_filled()
    cut = encode_frame(Frame(id="x", records=[b"abc"]))[:-4]
    foreign: list[t.Any] = [{"f": b"nonsense"}, {"other": b"field"}, {"f": cut}]
    for entry in foreign:
        streamed.redis.xadd(streamed.key(number), entry)
    visit(streamed.host, visitors=1)
    streamed.work()
    assert streamed.host.actions()["page.visit"] == 6
    assert mishaps(streamed.host) == {("dropped", "", "unreadable"): 3}
    assert "has an entry that is" in caplog.text
    name = streamed.host.app.config["EVENTTRACK_STREAM_NAME"]
    assert streamed.redis.xlen(f"eventtrack:{name}:bad") == 3
    assert streamed.frames() == 0


def test_frames_of_a_newer_release_wait(
    streamed: Streamed, caplog: pytest.LogCaptureFixture
) -> None:
    """Those in front of them are written, and so are other partitions."""
    visit(streamed.host, visitors=10)
    number = streamed.streams.list_filled()[0]
    newer = b"ETFRAM99" + encode_frame(Frame(id="x"))[8:]
    streamed.redis.xadd(streamed.key(number), {"f": newer})
    streamed.work()
    assert streamed.host.actions()["page.visit"] == 30
    assert streamed.streams.list_filled() == [number]
    assert streamed.streams.read(number, 10)[0].data == newer
    assert "waits for a worker of the newer release" in caplog.text


def test_records_that_cannot_be_read_are_counted(streamed: Streamed) -> None:
    frame = Frame(id="x", records=[b"\xc1 no record"])
    streamed.redis.xadd(streamed.key(3), {"f": encode_frame(frame)})
    streamed.work()
    assert mishaps(streamed.host) == {("dropped", "", "unreadable"): 1}


def test_erased_people_stay_erased(streamed: Streamed) -> None:
    """What was on its way when they were erased is dropped by the worker."""
    host = streamed.host
    client = host.client()
    client.get("/", headers=NAVIGATION)
    host.flush()
    streamed.work()
    [profile] = {row["uuid"] for row in host.rows("event")}
    client.get("/", headers=NAVIGATION)
    host.flush()
    with host.app.app_context():
        host.events.forget(profile)
    streamed.work()
    assert host.rows("event") == []
    assert quality(host)["dropped", "page.visit", "erased"] == 1


def test_ends_follow_their_sessions(streamed: Streamed) -> None:
    """A log-out is sent behind the session's events, in the same stream."""
    host = streamed.host
    event = an_event(seconds=1)
    assert event.session is not None
    end = SessionEnd(session_id=event.session.id, reason="logout", session=event.session)
    host.state.pipeline.put(event, end)
    host.flush()
    assert len(streamed.streams.list_filled()) == 1
    streamed.work()
    assert host.actions() == {event.action: 1, "session.start": 1, "session.end": 1}


def test_the_rows_of_partitions_come_back(streamed: Streamed) -> None:
    """Somebody who empties the table stops nothing."""
    visit(streamed.host, visitors=2)
    tables = streamed.host.state.pipeline.database.tables
    streamed.work()
    with streamed.host.state.pipeline.database.begin() as connection:
        connection.execute(sa.delete(places.find_table(tables)))
    visit(streamed.host, visitors=2)
    streamed.work()
    assert streamed.host.actions()["page.visit"] == 12
    assert len(streamed.host.rows("stream")) == PARTITIONS
