"""Web processes send what they record; while Redis is away, full or forgetful, nothing is lost."""

from __future__ import annotations

import pathlib
import shutil
import typing as t

import pytest

from flask_eventtrack.pipeline import journal, pipeline
from flask_eventtrack.pipeline.journal import Journal
from flask_eventtrack.pipeline.schedule import NEVER
from flask_eventtrack.records import AgentRead, Outcome
from flask_eventtrack.stream import forwarder, redis_streams
from flask_eventtrack.stream.frames import decode_frame

from ..conftest import MakeHost
from ..hosts import NAVIGATION, SAME_ORIGIN, Host
from ..pipeline.journals import home_of, leave, segments
from ..pipeline.waiting import wait_until
from ..servers import require_redis
from ..store.records import an_event, an_id, quality
from .conftest import MakeStreamed, Streamed
from .servers import OwnRedis

NO_ROOM = Outcome("dropped", "page.visit", "no room")


def visit(host: Host, pages: int = 3) -> None:
    client = host.client()
    for _ in range(pages):
        assert client.get("/", headers=NAVIGATION).status_code == 200


def visit_for_ever(host: Host) -> t.NoReturn:
    with host.app.app_context():
        while True:
            visit(host, 20)
            host.events.flush(timeout=10)


def test_events_wait_in_the_journal_while_redis_is_away(
    make_streamed: MakeStreamed, own_redis: OwnRedis, caplog: pytest.LogCaptureFixture
) -> None:
    """Pages and posts are answered; later all of it arrives, in its order, counts once."""
    streamed = make_streamed({"EVENTTRACK_STREAM_URL": own_redis.url})
    host = streamed.host
    own_redis.kill()
    visit(host)
    host.state.pipeline.count(NO_ROOM, 2)
    event = {"action": "button.click"}
    assert host.client().post("/_et/in", json=event, headers=SAME_ORIGIN).status_code == 202
    wait_until(lambda: host.state.pipeline.status.failed > 1)
    host.state.pipeline.count(NO_ROOM, 3)
    with host.app.app_context():
        assert not host.events.health().is_well
    own_redis.start()
    wait_until(lambda: not host.state.pipeline.waiting)
    streamed.work()
    assert host.actions() == {"page.visit": 3, "session.start": 2, "button.click": 1}
    assert quality(host)[NO_ROOM] == 5
    assert "Events cannot be written, and wait: Error 111" in caplog.text
    assert "Events are written again." in caplog.text


def test_counts_of_an_unanswered_attempt_are_sent_once(
    streamed: Streamed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Redis took the frames, and the answer was lost: the next attempt sends the same frame."""
    sink = streamed.host.state.pipeline.sink
    assert isinstance(sink, forwarder.Forwarder)
    day = streamed.host.clock.moment.date()
    read = AgentRead(day, "shop.example", "GPTBot", "training", "user-agent", "/", 200)
    event = an_event(seconds=1)
    add, answers = sink._streams.add, iter([False, False, True])

    def lose(frames: t.Iterable[tuple[int, bytes]], progress: t.Any) -> None:
        add(frames, progress)
        if not next(answers):
            raise ConnectionError("the answer is lost")

    monkeypatch.setattr(sink._streams, "add", lose)
    with pytest.raises(ConnectionError):
        sink.commit([event], {NO_ROOM: 1})
    with pytest.raises(ConnectionError):
        sink.commit([event], {NO_ROOM: 3, read: 2}, is_replay=True)
    sink.commit([event], {NO_ROOM: 4, read: 2}, is_replay=True)
    streamed.work()
    counted = quality(streamed.host)
    assert counted.pop(NO_ROOM) == 4
    assert counted == {("accepted", "order.ship", ""): 1}
    assert [row["count"] for row in streamed.host.rows("agent_daily")] == [2]


def test_frames_are_of_a_partition_and_bounded(streamed: Streamed) -> None:
    """A device's records stay in order, 500 in a frame, or about a megabyte."""
    sink = streamed.host.state.pipeline.sink
    events = [an_event(seconds=number) for number in range(1, 1202)]
    sink.commit(events, {})
    [number] = streamed.streams.list_filled()
    found = [decode_frame(entry.data) for entry in streamed.streams.read(number, 10)]
    assert [len(frame.records) for frame in found] == [500, 500, 201]
    large = [an_event(seconds=number, params={"text": "x" * 300_000}) for number in range(9)]
    sink.commit(large, {})
    found = [decode_frame(entry.data) for entry in streamed.streams.read(number, 10)]
    assert [len(frame.records) for frame in found[3:]] == [4, 4, 1]
    streamed.work()
    assert streamed.host.actions()["order.ship"] == 1210
    [row] = streamed.host.rows("session")
    assert row["events"] >= 1201


def test_full_streams_leave_events_in_the_journal(make_streamed: MakeStreamed) -> None:
    """They go on once a worker has made room."""
    streamed = make_streamed({"EVENTTRACK_STREAM_MAX_BYTES": 60_000})
    host = streamed.host
    with pytest.raises(redis_streams.StreamFull, match="Start a worker"):
        visit_for_ever(host)
    assert host.state.pipeline.waiting
    sent = host.state.pipeline.status.put
    streamed.work()
    wait_until(lambda: not host.state.pipeline.waiting)
    streamed.work()
    assert host.actions()["page.visit"] == sent


def test_a_redis_without_room_refuses_and_loses_nothing(
    make_streamed: MakeStreamed, tmp_path: pathlib.Path
) -> None:
    """``noeviction``: Redis answers OOM, and the events wait."""
    options = ("--maxmemory", "3mb", "--maxmemory-policy", "noeviction")
    with OwnRedis(tmp_path / "redis", *options, appends=False) as server:
        streamed = make_streamed({"EVENTTRACK_STREAM_URL": server.url})
        host = streamed.host
        host.state.pipeline.put(an_event(seconds=1))
        host.flush()
        streamed.redis.config_set("maxmemory", "1mb")
        host.state.pipeline.put(an_event(seconds=2))
        wait_until(lambda: host.state.pipeline.status.failed > 0)
        error = host.state.pipeline.status.error
        assert str(error) == (
            "Redis refuses events: command not allowed when used memory > 'maxmemory'."
        )
        streamed.redis.config_set("maxmemory", "0")
        wait_until(lambda: not host.state.pipeline.waiting)
        streamed.work()
        assert host.actions()["order.ship"] == 2


def test_what_a_restarted_redis_has_lost_is_sent_again(
    make_streamed: MakeStreamed, own_redis: OwnRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a request or an event that would show that it was restarted."""
    monkeypatch.setattr(pipeline, "_LOOK_INTERVAL", 0.1)
    streamed = make_streamed({"EVENTTRACK_STREAM_URL": own_redis.url})
    host = streamed.host
    visit(host, 2)
    host.flush()
    streamed.work()
    visit(host, 3)
    host.flush()
    assert streamed.frames() > 0
    own_redis.kill()
    own_redis.start()
    wait_until(lambda: streamed.frames() > 0)
    streamed.work()
    assert host.actions() == {"page.visit": 5, "session.start": 2}
    assert quality(host) == {("accepted", "page.visit", ""): 5}
    assert not host.state.pipeline.waiting


def test_a_journal_goes_once_its_time_is_over(
    streamed: Streamed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Redis has it, and stayed up for a minute."""
    visit(streamed.host)
    streamed.host.flush()
    queue = streamed.host.state.pipeline._queue
    assert isinstance(queue, Journal)
    queue.check()
    assert queue.is_holding()
    monkeypatch.setattr(queue._chain, "_hold", 0.0)
    queue.check()
    assert not queue.is_holding()
    for key in streamed.redis.scan_iter(f"{streamed.key(0)[:-1]}sent:*"):
        streamed.redis.delete(key)
    queue.check()
    assert queue.claim(10) is None


def test_another_process_sends_what_a_dead_one_has_left(
    make_streamed: MakeStreamed,
) -> None:
    """And no more than that, as long as Redis has the rest."""
    first = make_streamed()
    visit(first.host)
    first.host.flush()
    sent = first.frames()
    first.host.state.pipeline.stop(10)
    leave(first.host, an_event(session=None))
    second = make_streamed(url=first.host.app.config["SQLALCHEMY_DATABASE_URI"], create=False)
    second.host.state.pipeline.start()
    wait_until(lambda: second.frames() > sent)
    queue = second.host.state.pipeline._queue
    wait_until(lambda: not queue.is_behind())
    assert second.frames() == sent + 1
    second.work()
    assert second.host.actions() == {"order.ship": 1, "page.visit": 3, "session.start": 1}
    assert not {key for key in quality(second.host) if key[0] != "accepted"}


def test_what_is_sent_later_hides_no_loss(
    make_streamed: MakeStreamed, own_redis: OwnRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Redis was away for a moment, and comes back empty, between two looks at it."""
    monkeypatch.setattr(pipeline, "_LOOK_INTERVAL", 3600.0)
    streamed = make_streamed({"EVENTTRACK_STREAM_URL": own_redis.url})
    put(streamed.host, 1, 2, 3)
    streamed.host.flush()
    own_redis.kill()
    own_redis.start()
    put(streamed.host, 4)
    wait_until(lambda: not streamed.host.state.pipeline.waiting)
    streamed.work()
    assert streamed.host.actions()["order.ship"] == 4


def test_an_event_does_not_wait_for_the_next_look(
    make_streamed: MakeStreamed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thread that waits only to ask Redis whether it has lost anything is woken."""
    monkeypatch.setattr(pipeline, "_LOOK_INTERVAL", 3600.0)
    streamed = make_streamed()
    put(streamed.host, 1)
    status = streamed.host.state.pipeline.status
    wait_until(lambda: status.look_at < NEVER)
    put(streamed.host, 2)
    wait_until(lambda: not streamed.host.state.pipeline.waiting)
    streamed.work()
    assert streamed.host.actions()["order.ship"] == 2


def test_a_silent_process_is_well_once_redis_is_back(
    make_streamed: MakeStreamed, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With all that it had: nothing is sent again."""
    monkeypatch.setattr(pipeline, "_LOOK_INTERVAL", 0.1)
    with OwnRedis(tmp_path / "redis", "--appendfsync", "always") as own:
        streamed = make_streamed({"EVENTTRACK_STREAM_URL": own.url})
        host = streamed.host
        put(host, 1)
        host.flush()
        with host.app.app_context():
            own.kill()
            wait_until(lambda: not host.events.health().is_well)
            own.start()
            wait_until(lambda: host.events.health().is_well)
        assert streamed.frames() == 1


def test_what_a_silent_process_has_sent_is_sent_again(
    make_streamed: MakeStreamed, own_redis: OwnRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of its segments at once, after the chores of a minute, without another event."""
    monkeypatch.setattr(pipeline, "_LOOK_INTERVAL", 2.0)
    monkeypatch.setattr(journal, "_SEGMENT_BYTES", 500)
    streamed = make_streamed({"EVENTTRACK_STREAM_URL": own_redis.url})
    for number in range(40):
        put(streamed.host, number)
    streamed.host.flush()
    assert len(segments(home_of(streamed.host))) > 8
    streamed.host.state.pipeline._discard()
    own_redis.kill()
    own_redis.start()
    wait_until(lambda: streamed.frames() > 0)
    wait_until(lambda: not streamed.host.state.pipeline._queue.is_behind())
    streamed.work()
    assert streamed.host.actions()["order.ship"] == 40


def test_a_process_that_ends_leaves_what_redis_may_lose(
    make_streamed: MakeStreamed, own_redis: OwnRedis
) -> None:
    """It has seen that Redis is empty, and ends before it could send anything."""
    streamed = make_streamed({"EVENTTRACK_STREAM_URL": own_redis.url})
    put(streamed.host, 1, 2, 3)
    streamed.host.flush()
    streamed.host.state.pipeline._discard()
    own_redis.kill()
    own_redis.start()
    streamed.host.state.pipeline._queue.check()
    streamed.host.state.pipeline.stop(10)
    url = streamed.host.app.config["SQLALCHEMY_DATABASE_URI"]
    second = make_streamed({"EVENTTRACK_STREAM_URL": own_redis.url}, url=url, create=False)
    second.host.state.pipeline.start()
    wait_until(lambda: second.frames() > 0)
    second.work()
    assert second.host.actions()["order.ship"] == 3


def test_a_full_redis_has_nothing_sent_again(
    make_streamed: MakeStreamed, own_redis: OwnRedis
) -> None:
    streamed = make_streamed({"EVENTTRACK_STREAM_URL": own_redis.url})
    put(streamed.host, *range(20))
    streamed.host.flush()
    streamed.work()
    streamed.redis.config_set("maxmemory", "500kb")
    put(streamed.host, 20)
    status = streamed.host.state.pipeline.status
    wait_until(lambda: status.failed > 0)
    streamed.redis.config_set("maxmemory", "0")
    wait_until(lambda: not streamed.host.state.pipeline.waiting)
    entries = [
        entry
        for number in streamed.streams.list_filled()
        for entry in streamed.streams.read(number, 100)
    ]
    assert sum(len(decode_frame(entry.data).records) for entry in entries) == 1


@pytest.mark.parametrize("foreign", ["a text", "a hash"])
def test_a_mark_that_is_none_stops_nothing(
    make_streamed: MakeStreamed, own_redis: OwnRedis, foreign: str
) -> None:
    """What is held is sent again, and a mark takes its place, if Redis lets it."""
    streamed = make_streamed({"EVENTTRACK_STREAM_URL": own_redis.url})
    put(streamed.host, 1)
    streamed.host.flush()
    [key] = streamed.redis.scan_iter("eventtrack:*:sent:*")
    streamed.redis.delete(key)
    if foreign == "a hash":
        streamed.redis.hset(key, "a", "b")
    else:
        streamed.redis.set(key, foreign)
    put(streamed.host, 2)
    wait_until(lambda: not streamed.host.state.pipeline.waiting)
    streamed.work()
    assert streamed.host.actions()["order.ship"] == 2


@pytest.mark.parametrize("looks", [True, False], ids=["before", "just now"])
def test_a_key_that_is_no_stream_loses_nothing(
    make_streamed: MakeStreamed, own_redis: OwnRedis, monkeypatch: pytest.MonkeyPatch, looks: bool
) -> None:
    """It is noticed at the next look. Until then Redis takes the frames of other partitions, and
    notes how far the journal was sent."""
    monkeypatch.setattr(pipeline, "_LOOK_INTERVAL", 3600.0)
    streamed = make_streamed({"EVENTTRACK_STREAM_URL": own_redis.url})
    put(streamed.host, 40)
    streamed.host.flush()
    streamed.work()
    monkeypatch.setattr(redis_streams, "_SIZE_INTERVAL", 0.0 if looks else 3600.0)
    for number in range(redis_streams.PARTITIONS // 2):
        streamed.redis.set(streamed.key(number), "in the way")
    put(streamed.host, *range(40))
    status = streamed.host.state.pipeline.status
    wait_until(lambda: status.failed > 0)
    streamed.host.state.pipeline.stop(10)
    for number in range(redis_streams.PARTITIONS // 2):
        streamed.redis.delete(streamed.key(number))
    url = streamed.host.app.config["SQLALCHEMY_DATABASE_URI"]
    second = make_streamed({"EVENTTRACK_STREAM_URL": own_redis.url}, url=url, create=False)
    second.host.state.pipeline.start()
    wait_until(lambda: bool(second.streams.list_filled()))
    wait_until(lambda: not second.host.state.pipeline._queue.is_behind())
    second.work()
    assert second.host.actions()["order.ship"] == 41


def test_only_what_redis_has_lost_is_sent_again(
    make_streamed: MakeStreamed, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It comes back with an older file, as after a fail-over to a replica that was behind."""
    monkeypatch.setattr(pipeline, "_LOOK_INTERVAL", 0.1)
    folder = tmp_path / "redis"
    with OwnRedis(folder, "--appendfsync", "always") as own:
        streamed = make_streamed({"EVENTTRACK_STREAM_URL": own.url})
        put(streamed.host, *range(40))
        streamed.host.flush()
        sent = streamed.frames()
        shutil.copytree(folder, tmp_path / "older")
        put(streamed.host, 40)
        streamed.host.flush()
        assert streamed.frames() == sent + 1
        own.kill()
        shutil.rmtree(folder)
        shutil.copytree(tmp_path / "older", folder)
        own.start()
        assert streamed.frames() == sent
        wait_until(lambda: streamed.frames() > sent)
        streamed.work()
        assert streamed.host.actions()["order.ship"] == 41
        assert streamed.frames() == 0


def put(host: Host, *devices: int) -> None:
    """Record an event of each device."""
    host.state.pipeline.put(*(an_event(uuid=an_id(n), device=an_id(n)) for n in devices))


def test_what_many_dead_processes_have_left_comes_in_few_frames(
    make_streamed: MakeStreamed,
) -> None:
    """One of each partition, though each has left only a few events."""
    streamed = make_streamed()
    for seconds in range(12):
        leave(streamed.host, *(an_event(uuid=an_id(n), seconds=seconds) for n in range(20)))
    streamed.host.state.pipeline.start()
    wait_until(lambda: streamed.frames() > 0)
    assert streamed.frames() <= redis_streams.PARTITIONS
    streamed.work()
    assert streamed.host.actions()["order.ship"] == 240


def test_leaving_the_stream_loses_nothing(make_streamed: MakeStreamed, make: MakeHost) -> None:
    """What is in Redis, a worker writes; what is in the journal, the next process."""
    streamed = make_streamed()
    visit(streamed.host, 2)
    streamed.host.flush()
    url = streamed.host.app.config["SQLALCHEMY_DATABASE_URI"]
    direct = make(url=url, create=False)
    visit(direct, 3)
    assert direct.actions()["page.visit"] == 3
    streamed.work()
    assert direct.actions() == {"page.visit": 5, "session.start": 2}
    assert quality(direct) == {("accepted", "page.visit", ""): 5}


def test_tests_of_hosts_write_directly(make: MakeHost) -> None:
    """They have no worker."""
    config = {"EVENTTRACK_STREAM_URL": require_redis(), "EVENTTRACK_DURABILITY": None}
    host = make(config)
    visit(host)
    assert host.actions()["page.visit"] == 3
