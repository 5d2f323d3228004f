"""``EVENTTRACK_DURABILITY = "stream"``: an event is in Redis before it is acknowledged."""

from __future__ import annotations

import concurrent.futures
import pathlib

import pytest

from flask_eventtrack.errors import ConfigError
from flask_eventtrack.stream.frames import decode_frame

from ..conftest import MakeHost
from ..hosts import NAVIGATION, SAME_ORIGIN
from ..pipeline.waiting import wait_until
from ..servers import require_redis
from ..store.records import quality
from .conftest import MakeStreamed, Streamed
from .servers import OwnRedis

STREAM = {"EVENTTRACK_DURABILITY": "stream"}
CLICK = {"action": "button.click"}


def records(streamed: Streamed) -> int:
    return sum(
        len(decode_frame(entry.data).records)
        for number in streamed.streams.list_filled()
        for entry in streamed.streams.read(number, 1000)
    )


def test_an_event_is_in_redis_when_it_is_answered(
    make_streamed: MakeStreamed, tmp_path: pathlib.Path
) -> None:
    """No flush, no thread, and nothing on the disk."""
    folder = tmp_path / "journal"
    streamed = make_streamed(STREAM | {"EVENTTRACK_JOURNAL_DIR": folder})
    client = streamed.host.client()
    for number in range(1, 6):
        answer = client.post("/_et/in", json=CLICK, headers=SAME_ORIGIN)
        assert answer.status_code == 202
        assert records(streamed) == number
    client.get("/", headers=NAVIGATION)
    assert records(streamed) == 6
    assert not folder.exists()
    streamed.work()
    assert streamed.host.actions() == {"button.click": 5, "page.visit": 1, "session.start": 1}


def test_without_redis_posts_are_refused_at_once(
    make_streamed: MakeStreamed, own_redis: OwnRedis
) -> None:
    """503 tells the browser to try again. What was refused is kept, and sent once."""
    streamed = make_streamed(STREAM | {"EVENTTRACK_STREAM_URL": own_redis.url})
    host = streamed.host
    client = host.client()
    assert client.post("/_et/in", json=CLICK, headers=SAME_ORIGIN).status_code == 202
    own_redis.kill()
    event = CLICK | {"id": "019a1b2c-3d4e-7f00-8000-000000000001"}
    assert client.post("/_et/in", json=event, headers=SAME_ORIGIN).status_code == 503
    assert client.get("/", headers=NAVIGATION).status_code == 200
    own_redis.start()
    wait_until(lambda: not host.state.pipeline.waiting)
    assert client.post("/_et/in", json=event, headers=SAME_ORIGIN).status_code == 202
    streamed.work()
    assert host.actions()["button.click"] <= 2
    assert host.actions()["page.visit"] == 1


def test_threads_share_an_attempt(make_streamed: MakeStreamed) -> None:
    """None is answered before its own event is in Redis."""
    streamed = make_streamed(STREAM)

    def post(_: int) -> int:
        client = streamed.host.client()
        return client.post("/_et/in", json=CLICK, headers=SAME_ORIGIN).status_code

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        assert set(pool.map(post, range(200))) == {202}
    assert records(streamed) == 200
    streamed.work()
    assert streamed.host.actions()["button.click"] == 200
    assert quality(streamed.host)["accepted", "button.click", ""] == 200


def test_it_needs_a_stream(make: MakeHost) -> None:
    with pytest.raises(ConfigError, match="set EVENTTRACK_STREAM_URL"):
        make(STREAM)


@pytest.mark.parametrize("url", ["http://x", "redis", "amqp://guest@host"])
def test_a_url_of_something_else_is_refused(make: MakeHost, url: str) -> None:
    with pytest.raises(ConfigError, match="EVENTTRACK_STREAM_URL is not a Redis URL"):
        make({"EVENTTRACK_STREAM_URL": url})


def test_a_database_in_memory_has_no_workers(make: MakeHost) -> None:
    with pytest.raises(ConfigError, match="in memory"):
        make({"EVENTTRACK_STREAM_URL": require_redis()}, url="sqlite://", create=False)
