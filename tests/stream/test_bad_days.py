"""Redis is full, gone for long, silent or another one; frames are poisoned; code of ours fails."""

from __future__ import annotations

import collections.abc as cabc
import os
import pathlib
import signal
import threading
import time
import typing as t
import uuid as uuidlib

import msgspec
import pytest

from flask_eventtrack import track
from flask_eventtrack.errors import ConfigError
from flask_eventtrack.pipeline import journal, pipeline
from flask_eventtrack.pipeline.queue import Mark, Sent
from flask_eventtrack.pipeline.writer import Writer
from flask_eventtrack.records import Counted, Outcome, Record
from flask_eventtrack.store.batch import Batch
from flask_eventtrack.stream import worker
from flask_eventtrack.stream.frames import Frame, encode_frame
from flask_eventtrack.stream.redis_streams import RedisStreams
from flask_eventtrack.stream.worker import Worker

from ..hosts import NAVIGATION, SAME_ORIGIN, Host
from ..pipeline.waiting import wait_until
from ..store.records import an_event, quality
from .conftest import MakeStreamed, Streamed
from .servers import OwnRedis

STREAM = {"EVENTTRACK_DURABILITY": "stream"}
CLICK = {"action": "button.click"}
# Far from what an answer takes, and far below the seconds after which Redis counts as silent.
NO_WAIT = 3.0


def put(streamed: Streamed, *numbers: int, action: str = "order.ship") -> None:
    """Send an event of each device."""
    for number in numbers:
        event = an_event(action, seconds=number, device=uuidlib.UUID(int=number))
        assert streamed.host.state.pipeline.put(event)
    streamed.host.flush()


def work_until(streamed: Streamed, condition: cabc.Callable[[], bool], made: Worker) -> None:
    """Have a worker run, as the command does, until something is so."""
    thread = threading.Thread(target=made.run)
    thread.start()
    try:
        wait_until(condition, 30)
    finally:
        made.stop()
        thread.join(30)


def work_until_empty(streamed: Streamed, made: Worker | None = None) -> Worker:
    made = made or Worker(streamed.host.state.pipeline, streamed.streams)
    work_until(streamed, lambda: not streamed.frames(), made)
    return made


def test_a_full_redis_is_emptied(make_streamed: MakeStreamed, own_redis: OwnRedis) -> None:
    """A worker can write nothing there, not even that it lives; it reads and deletes."""
    streamed = make_streamed({"EVENTTRACK_STREAM_URL": own_redis.url})
    put(streamed, *range(1, 30))
    streamed.redis.xadd(streamed.key(3), {"f": b"nonsense"})
    streamed.redis.config_set("maxmemory", "1mb")
    made = work_until_empty(streamed)
    assert made.failures == 0
    assert streamed.host.actions()["order.ship"] == 29


def test_a_health_file_that_cannot_be_written_stops_nothing(streamed: Streamed) -> None:
    def fail() -> None:
        raise OSError(30, "Read-only file system")

    put(streamed, 1)
    work_until_empty(streamed, Worker(streamed.host.state.pipeline, streamed.streams, fail))
    assert streamed.host.actions()["order.ship"] == 1


def test_what_is_held_outlives_a_long_outage(
    make_streamed: MakeStreamed, own_redis: OwnRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only time during which Redis was there counts."""
    monkeypatch.setattr(journal, "HELD_SECONDS", 1.0)
    monkeypatch.setattr(pipeline, "_LOOK_INTERVAL", 0.1)
    streamed = make_streamed({"EVENTTRACK_STREAM_URL": own_redis.url})
    put(streamed, 1)
    own_redis.kill()
    status = streamed.host.state.pipeline.status
    gone_at = time.monotonic()
    wait_until(lambda: status.failed > 0 and time.monotonic() > gone_at + 1.5)
    own_redis.start()
    wait_until(lambda: streamed.frames() > 0, 60)
    streamed.work()
    assert streamed.host.actions()["order.ship"] == 1


@pytest.mark.parametrize("again", [1, 2])
def test_a_journal_that_is_read_again_says_so(tmp_path: pathlib.Path, again: int) -> None:
    """All of it, also if it has to begin anew in the middle."""
    queue = a_journal(tmp_path, {})
    queue.put(RECORDS)
    for _ in range(again):
        claimed = queue.claim(5)
        assert claimed is not None
        queue.acknowledge(claimed)
        queue.check()
    replayed = []
    while (claimed := queue.claim(3)) is not None:
        replayed += [claimed.is_replay] * len(claimed.payloads)
        queue.acknowledge(claimed)
    assert replayed == [True] * 5 + [False] * 5
    assert queue._committed == queue._put
    queue.close()


@pytest.mark.parametrize("kept", range(5))
@pytest.mark.parametrize("segment_bytes", [1, 40, 10**6])
def test_a_journal_goes_back_to_what_the_sink_has(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, segment_bytes: int, kept: int
) -> None:
    """Over the borders of segments; and the next process goes on from there."""
    monkeypatch.setattr(journal, "_SEGMENT_BYTES", segment_bytes)
    sent: dict[str, Sent] = {}
    first, marks = a_journal(tmp_path, sent), list[tuple[str, Mark]]()
    for record in RECORDS:
        first.put([record])
    for _ in range(4):
        claimed = first.claim(1)
        assert claimed is not None
        first.acknowledge(claimed)
        marks += [(each.journal, each.after) for each in claimed.progress]
    sent.update((name, Sent(mark, 0.0)) for name, mark in marks[:kept])
    first.check()
    assert read_all(first) == RECORDS[kept:]
    first.close()
    second = a_journal(tmp_path, sent)
    second.adopt()
    assert read_all(second) == RECORDS[kept:]
    second.close()


def test_a_journal_is_held_no_longer_because_its_process_dies(tmp_path: pathlib.Path) -> None:
    """A minute after it was sent it goes, though no process has lived that long."""
    sent: dict[str, Sent] = {}
    first = a_journal(tmp_path, sent)
    first.put(RECORDS)
    claimed = first.claim(10)
    assert claimed is not None
    first.acknowledge(claimed)
    first.close()
    for age in (20.0, 40.0, 59.0, 61.0):
        sent.update((each.journal, Sent(each.after, age)) for each in claimed.progress)
        queue = a_journal(tmp_path, sent)
        queue.adopt()
        assert queue.claim(10) is None
        queue.check()
        assert bool(list(tmp_path.rglob("*.segment"))) == (age < 60)
        queue.close()


RECORDS = [f"record {number}".encode() for number in range(10)]


def a_journal(folder: pathlib.Path, sent: dict[str, Sent]) -> journal.Journal:
    """Return a journal in front of a sink that has what ``sent`` says."""
    return journal.Journal(
        folder / "a" / "b" / "c", 10**7, is_durable=False, find_sent=lambda names: sent
    )


def read_all(queue: journal.Journal) -> list[bytes]:
    """Claim and acknowledge until there is no more."""
    found: list[bytes] = []
    while (claimed := queue.claim(3)) is not None:
        found += claimed.payloads
        queue.acknowledge(claimed)
    return found


def test_a_partition_that_fails_keeps_no_other_waiting(
    streamed: Streamed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what fails again and again is set aside, though others succeed meanwhile."""
    sort = Writer._sort

    def fail(self: Writer, records: t.Sequence[Record], counts: t.Mapping[Counted, int]) -> Batch:
        if any(record.action == "bad.one" for record in records):
            raise KeyError("a fault of our own")
        return sort(self, records, counts)

    monkeypatch.setattr(Writer, "_sort", fail)
    monkeypatch.setattr(worker, "longest_pause", lambda *_: 0.01)
    put(streamed, 5, action="bad.one")
    put(streamed, 1, 9)
    made = Worker(streamed.host.state.pipeline, streamed.streams)
    made._first = 0
    with pytest.raises(KeyError):
        made.run(once=True)
    assert streamed.host.actions()["order.ship"] == 2
    put(streamed, *range(17, 160, 16))
    work_until_empty(streamed)
    assert streamed.host.actions()["order.ship"] == 11
    assert [row["action"] for row in streamed.host.rows("rejected")] == ["bad.one"]


@pytest.mark.parametrize(
    "change",
    [(b"\xa2id", b"\xa2\xff\xfe"), (b"\xa2id", b"\xa2\x00\n"), (b"\xa2id", b"\xa0")],
)
def test_frames_with_a_wrong_id_are_set_aside(
    streamed: Streamed, change: tuple[bytes, bytes]
) -> None:
    """Bytes that are no text, and what a database would refuse."""
    data = b"ETFRAM02-" + msgspec.msgpack.encode(["id", [], [], [], False]).replace(*change)
    streamed.redis.xadd(streamed.key(1), {"f": data})
    put(streamed, 1)
    assert work_until_empty(streamed).failures == 0
    assert streamed.host.actions()["order.ship"] == 1
    assert quality(streamed.host)["dropped", "", "unreadable"] == 1


def test_counts_that_a_database_refuses_are_dropped(db_streamed: Streamed) -> None:
    """The records of the frame are written."""
    refused = Outcome("dropped", "a\x00" + "b" * 3000, "c" * 3000)
    frame = encode_frame(Frame(id="x1", outcomes=[(refused, 1)]))
    db_streamed.redis.xadd(db_streamed.key(1), {"f": frame})
    put(db_streamed, 1)
    work_until_empty(db_streamed)
    assert db_streamed.host.actions()["order.ship"] == 1


def test_another_primary_is_found(
    make_streamed: MakeStreamed, own_redis: OwnRedis, tmp_path: pathlib.Path
) -> None:
    """A server that has become a replica refuses writes: its connection is not kept."""
    streamed = make_streamed({"EVENTTRACK_STREAM_URL": own_redis.url})
    put(streamed, 1)
    before = {client["id"] for client in streamed.redis.client_list()}
    with OwnRedis(tmp_path / "other", appends=False) as other:
        streamed.redis.replicaof("127.0.0.1", other.port)
        event = an_event(seconds=2)
        streamed.host.state.pipeline.put(event)
        status = streamed.host.state.pipeline.status
        wait_until(lambda: status.failed > 0)
        assert "read only replica" in str(status.error)
        mine = str(streamed.redis.client_id())
        assert {client["id"] for client in streamed.redis.client_list()} & before <= {mine}
        streamed.redis.replicaof("NO", "ONE")
        wait_until(lambda: not streamed.host.state.pipeline.waiting)


def test_many_frames_that_come_back_count_once(streamed: Streamed) -> None:
    """Redis was restored without its last deletions: more frames than ids are kept."""
    lost = Outcome("dropped", "a.b", "no room")
    for number in range(150):
        frame = Frame(id=f"f{number}", outcomes=[(lost, 1)])
        streamed.redis.xadd(streamed.key(2), {"f": encode_frame(frame)})
    entries = streamed.streams.read(2, 1000)
    streamed.work()
    streamed.redis.delete(streamed.key(2))
    for entry in entries:
        streamed.redis.xadd(streamed.key(2), {"f": entry.data}, id=entry.id)
    streamed.work()
    assert quality(streamed.host)[lost] == 150
    assert not streamed.frames()


def test_waiting_frames_are_not_fetched_to_wake_up(
    make_streamed: MakeStreamed, own_redis: OwnRedis
) -> None:
    """Those of a newer release may be many: the next wait is for others."""
    streamed = make_streamed({"EVENTTRACK_STREAM_URL": own_redis.url})
    for number in range(16):
        for _ in range(5):
            streamed.redis.xadd(streamed.key(number), {"f": b"ETFRAM99" + os.urandom(100_000)})
    made = Worker(streamed.host.state.pipeline, streamed.streams)
    made.run(once=True)
    sent = "total_net_output_bytes"
    streamed.streams.wait()
    before = streamed.redis.info("stats")[sent]
    streamed.streams.wait()
    assert streamed.redis.info("stats")[sent] - before < 100_000


# EVENTTRACK_DURABILITY = "stream"


def test_what_is_kept_is_not_counted_as_dropped(
    make_streamed: MakeStreamed, own_redis: OwnRedis
) -> None:
    """``track()`` has recorded it, and it comes once Redis does."""
    streamed = make_streamed(STREAM | {"EVENTTRACK_STREAM_URL": own_redis.url})
    host = streamed.host
    host.events.define("order.ship")
    own_redis.kill()
    assert host.client().get("/", headers=NAVIGATION).status_code == 200
    with host.app.app_context():
        assert track("order.ship", customer="7") is not None
    own_redis.start()
    wait_until(lambda: not host.state.pipeline.waiting, 30)
    streamed.work()
    assert host.actions() == {"page.visit": 1, "session.start": 1, "order.ship": 1}
    assert {key[0] for key in quality(host)} == {"accepted"}


def test_a_silent_redis_holds_up_few_requests(
    make_streamed: MakeStreamed, own_redis: OwnRedis
) -> None:
    """One waits for an answer, the others a second at most, and later ones not at all."""
    streamed = make_streamed(STREAM | {"EVENTTRACK_STREAM_URL": own_redis.url})
    client = streamed.host.client()
    client.get("/", headers=NAVIGATION)
    assert own_redis.pid is not None
    os.kill(own_redis.pid, signal.SIGSTOP)
    try:
        first = threading.Thread(target=lambda: client.get("/", headers=NAVIGATION))
        first.start()
        wait_until(lambda: streamed.host.state.pipeline._writing_thread is not None, 5)
        took = []
        for _ in range(5):
            began = time.monotonic()
            assert streamed.host.client().get("/", headers=NAVIGATION).status_code == 200
            took.append(time.monotonic() - began)
        first.join()
    finally:
        os.kill(own_redis.pid, signal.SIGCONT)
    assert max(took) < NO_WAIT
    wait_until(lambda: not streamed.host.state.pipeline.waiting, 30)


def test_a_request_does_no_work_of_the_database(
    make_streamed: MakeStreamed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While a host's own event is about to be committed, and while the database is away."""
    streamed = make_streamed(STREAM)
    host = streamed.host
    host.events.define("order.ship")
    with host.app.app_context():
        track("order.ship", customer="7", in_transaction=True)
        host.db.session.flush()
        began = time.monotonic()
        assert track("order.ship", customer="8") is not None
        assert time.monotonic() - began < NO_WAIT
        host.db.session.commit()

    def fail(_: Writer) -> int:
        raise OSError("the database is away")

    monkeypatch.setattr(Writer, "count_uncounted", fail)
    client = host.client()
    for _ in range(5):
        assert client.post("/_et/in", json=CLICK, headers=SAME_ORIGIN).status_code == 202


def test_what_is_tracked_while_something_is_sent_is_kept(
    make_streamed: MakeStreamed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the same thread, as a log handler does, and by another one."""
    streamed = make_streamed(STREAM)
    host = streamed.host
    ours = host.state.pipeline
    add, confirmed = ours.sink._streams.add, []  # type: ignore[attr-defined]

    def nest(self: RedisStreams, frames: cabc.Iterable[tuple[int, bytes]], progress: t.Any) -> None:
        monkeypatch.undo()
        ours.put(an_event(seconds=3))
        confirmed.append(ours.confirm())
        thread = threading.Thread(target=ours.put, args=(an_event(seconds=4),))
        thread.start()
        thread.join()
        add(frames, progress)

    monkeypatch.setattr(RedisStreams, "add", nest)
    ours.put(an_event(seconds=2))
    assert ours.confirm()
    assert confirmed == [False]
    host.flush()
    streamed.work()
    assert host.actions()["order.ship"] == 3


def test_an_erased_person_leaves_the_journal(
    make_streamed: MakeStreamed, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once it is held no longer, also where events never stop."""
    monkeypatch.setattr(journal, "HELD_SECONDS", 0.05)
    folder = tmp_path / "journal"
    streamed = make_streamed({"EVENTTRACK_JOURNAL_DIR": folder})
    device = uuidlib.UUID(int=77)
    put(streamed, 77)
    assert holds(folder, device)
    streamed.work()
    with streamed.host.app.app_context():
        streamed.host.events.forget(device)
    pipeline_of(streamed.host)._do_chores(is_first=False)
    wait_until(lambda: not _tick(streamed, folder, device))


def _tick(streamed: Streamed, folder: pathlib.Path, device: uuidlib.UUID) -> bool:
    put(streamed, 3)
    return holds(folder, device)


def pipeline_of(host: Host) -> pipeline.Pipeline:
    return host.state.pipeline


def holds(folder: pathlib.Path, device: uuidlib.UUID) -> bool:
    return any(device.bytes in path.read_bytes() for path in folder.rglob("*.segment"))


@pytest.mark.parametrize("url", ["redis://:sec#ret@host", "redis://:sec/ret@host:port/0"])
def test_a_wrong_url_does_not_tell_its_password(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        RedisStreams(url, "x", 1)
    assert "sec" not in str(caught.value)
    assert "ret" not in str(caught.value)
