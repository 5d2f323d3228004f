from __future__ import annotations

import collections.abc as cabc
import pathlib
import typing as t

import pytest
import redis

from flask_eventtrack.stream.redis_streams import RedisStreams, open_streams
from flask_eventtrack.stream.worker import Worker

from ..conftest import MakeHost
from ..hosts import Host
from ..servers import require_redis, unique_name
from .servers import OwnRedis


class Streamed(t.NamedTuple):
    """A host app whose events go through streams, and the streams."""

    host: Host
    streams: RedisStreams
    redis: redis.Redis

    @classmethod
    def of(cls, host: Host) -> Streamed:
        streams = open_streams(host.state.config, host.state.pipeline.database)
        return cls(host, streams, redis.Redis.from_url(host.app.config["EVENTTRACK_STREAM_URL"]))

    def work(self) -> Worker:
        """Have a worker commit what waits."""
        worker = Worker(self.host.state.pipeline, self.streams)
        worker.run(once=True)
        return worker

    def frames(self) -> int:
        return sum(each.frames for each in self.streams.partitions())

    def key(self, partition: int) -> str:
        return f"eventtrack:{self.host.app.config['EVENTTRACK_STREAM_NAME']}:{partition}"

    def double(self) -> None:
        """Put each frame into its stream once more, as a client does that got no answer."""
        for partition in self.streams.list_filled():
            for entry in self.streams.read(partition, 1000):
                self.redis.xadd(self.key(partition), {"f": entry.data})

    def close(self) -> None:
        self.streams.close()
        self.redis.close()


MakeStreamed = cabc.Callable[..., Streamed]


@pytest.fixture
def name() -> cabc.Iterator[str]:
    """A name for streams in the Redis that all tests share; they are removed afterwards."""
    made = unique_name()
    yield made
    with redis.Redis.from_url(require_redis()) as client:
        for key in client.scan_iter(f"eventtrack:{made}:*"):
            client.delete(key)


@pytest.fixture
def make_streamed(make: MakeHost, name: str, tmp_path: pathlib.Path) -> cabc.Iterator[MakeStreamed]:
    """Return what makes such apps. What they have sent stays in their journals for a minute."""
    made: list[Streamed] = []

    def build(config: dict[str, t.Any] | None = None, **options: t.Any) -> Streamed:
        given = {
            "EVENTTRACK_STREAM_URL": require_redis(),
            "EVENTTRACK_STREAM_NAME": name,
            **(config or {}),
        }
        given["EVENTTRACK_JOURNAL_DIR"] = str(tmp_path / "journal")
        made.append(Streamed.of(make(given, **options)))
        return made[-1]

    yield build
    for each in made:
        each.close()


@pytest.fixture
def streamed(make_streamed: MakeStreamed) -> Streamed:
    return make_streamed()


@pytest.fixture
def db_streamed(make_streamed: MakeStreamed, database_url: str) -> Streamed:
    """The same on each kind of database in turn."""
    return make_streamed(url=database_url)


@pytest.fixture
def own_redis(tmp_path: pathlib.Path) -> cabc.Iterator[OwnRedis]:
    """A Redis that keeps nothing on the disk."""
    with OwnRedis(tmp_path / "redis", appends=False) as server:
        yield server
