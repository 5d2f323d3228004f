"""The streams of one database in Redis: one for each partition of devices.

::

    eventtrack:<name>:<partition>   a stream of frames, from which workers delete what they have
                                    committed
    eventtrack:<name>:bad           entries that are no frames: the last 100
    eventtrack:<name>:workers       a hash: for each worker, when it last told of itself
    eventtrack:<name>:sent:<journal>
                                    how far a web process has sent its journal, for an hour: set
                                    together with the frames, so if Redis has the mark, it has
                                    the frames

There are no consumer groups: a worker holds its partition by a lock in the database, and all that
lies in a stream is still to be committed.
"""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import dataclasses
import time
import typing as t

from ..config import Config
from ..errors import ConfigError, EventTrackError, missing_package
from ..pipeline.queue import Mark, Progress, Sent
from ..pipeline.sink import Lost
from ..store.engine import Database

#: How many streams there are: the same for all processes, and a multiple of the writer's.
PARTITIONS = 16

_SETTING = "EVENTTRACK_STREAM_URL"
_FIELD = b"f"
_CONNECT_SECONDS = 2.0
_ANSWER_SECONDS = 5.0
_WAIT_MS = 1000
_BAD_MOST = 100
_BAD_SECONDS = 30 * 86400
_SIZE_INTERVAL = 1.0
# A connection that has rested for longer may be closed.
_REST_SECONDS = 5.0
_SENT_SECONDS = 3600
#: Workers that were silent for longer have died.
WORKER_SECONDS = 30


class StreamFull(EventTrackError):
    """The streams take as much memory as they may."""


class StreamRefused(EventTrackError):
    """Redis takes no frames."""


class Entry(t.NamedTuple):
    """What lies in a stream."""

    id: bytes
    data: bytes


@dataclasses.dataclass(frozen=True, slots=True)
class PartitionStatus:
    """A stream: how many frames wait, the bytes that they take, and for how many seconds the oldest
    has waited (None if there is none)."""

    partition: int
    frames: int
    bytes: int
    oldest: float | None


@dataclasses.dataclass(frozen=True, slots=True)
class ServerStatus:
    """What of Redis decides whether frames outlive it.

    ``has_aof`` says whether it appends all changes to a file; ``may_evict`` whether it removes keys
    when it is full. None is unknown, since the user of the URL may not ask.
    """

    version: str
    has_aof: bool | None
    may_evict: bool | None


class RedisStreams:
    """A connection to the streams.

    :param url: ``redis://…`` or ``rediss://…``.
    :param name: tells the streams of databases apart.
    :param max_bytes: how much memory they may take.
    :raises ConfigError: the package is missing, or the URL is none.
    """

    def __init__(self, url: str, name: str, max_bytes: int) -> None:
        try:
            import redis
            from redis.backoff import NoBackoff
            from redis.retry import Retry
        except ImportError as error:
            raise missing_package(_SETTING, "redis") from error
        self._max_bytes = max_bytes
        self._prefix = f"eventtrack:{name}"
        self._keys = [f"{self._prefix}:{number}" for number in range(PARTITIONS)]
        self._sized_at = 0.0
        self._own: t.Any = None
        self._rests_since = 0.0
        # The last entry that was seen of each stream, behind which to wait for others.
        self._seen: list[bytes | str] = ["0-0"] * PARTITIONS
        try:
            self._redis: t.Any = redis.Redis.from_url(
                url,
                socket_connect_timeout=_CONNECT_SECONDS,
                socket_timeout=_ANSWER_SECONDS,
                retry=Retry(NoBackoff(), 0),
            )
        except ValueError:
            # Without the error's text, which may quote a part of the password.
            raise ConfigError(
                f"{_SETTING} is not a Redis URL, such as redis://user:password@host:6379/0. "
                "Special characters of a password are written as %23 and so on."
            ) from None
        self.errors: tuple[type[Exception], ...] = (redis.RedisError, OSError)
        self._refusals: type[Exception] = redis.ResponseError
        self._breaks: type[Exception] = redis.ConnectionError

    # For web processes

    def add(
        self,
        frames: cabc.Iterable[tuple[int, bytes]],
        progress: cabc.Sequence[Progress] = (),
    ) -> None:
        """Append frames to the streams of their partitions: all or none, unless one of the keys
        holds something else than a stream.

        :param progress: how far each journal is sent with them.
        :raises StreamFull: there is no room for them.
        :raises Lost: Redis does not have what was sent of a journal before.
        :raises StreamRefused: Redis takes none, as when it is full itself.
        """
        self._require_room()
        commands: list[tuple[t.Any, ...]] = [
            ("XADD", self._keys[partition], "*", _FIELD, data) for partition, data in frames
        ]
        for each in progress:
            key, mark = self._sent_key(each.journal), _encode_mark(each.after)
            commands.append(("SET", key, mark, "EX", _SENT_SECONDS))
        try:
            if len(commands) == 1 and not progress:  # without MULTI, it takes half the time
                self._send(commands[0])
            elif commands:
                with self._redis.pipeline(transaction=True) as pipeline:
                    if progress:
                        self._require_kept(pipeline, progress)
                        pipeline.multi()
                    for command in commands:
                        pipeline.execute_command(*command)
                    answers = pipeline.execute(raise_on_error=False)
                if errors := [each for each in answers if isinstance(each, Exception)]:
                    # One of the keys is no stream. All other commands were run.
                    with contextlib.suppress(*self.errors):
                        self._redis.delete(*(self._sent_key(each.journal) for each in progress))
                    raise errors[0]
        except self._refusals as error:
            # The message has the frames in it, which are personal data.
            cause = str(error).rpartition("caused error: ")[2].removesuffix(".")
            self.reconnect()
            raise StreamRefused(f"Redis refuses events: {cause}.") from None

    def _send(self, command: tuple[t.Any, ...]) -> None:
        """Add a frame by a connection of its own: taking one from the pool takes as long again.

        A frame that is added twice is known by its id.
        """
        try:
            if self._own is None or self._rests_since < time.monotonic() - _REST_SECONDS:
                self._close_own()
                self._own = self._redis.client()
            self._own.connection.send_command(*command)
            self._own.connection.read_response()
        except self._breaks:
            self._redis.execute_command(*command)
        self._rests_since = time.monotonic()

    def _close_own(self) -> None:
        if self._own is not None:
            self._own.close()  # gives its connection back to the pool
            self._own = None

    def reconnect(self) -> None:
        """Use other connections from now on: behind the same name may be another primary.

        Those that another thread is using, such as that of a worker's numbers, stay.
        """
        self._close_own()
        self._redis.connection_pool.disconnect(inuse_connections=False)

    def _require_room(self) -> None:
        if self._sized_at <= time.monotonic() - _SIZE_INTERVAL:
            if (size := sum(self._sizes())) > self._max_bytes:
                raise StreamFull(
                    f"EVENTTRACK_STREAM_MAX_BYTES is reached: the streams in Redis take {size:,} "
                    "bytes. Start a worker, or another one"
                )
            self._sized_at = time.monotonic()

    def find_sent(self, journals: cabc.Iterable[str]) -> dict[str, Sent]:
        """Return how far journals were sent, of those whose frames Redis has."""
        names = list(journals)
        with self._redis.pipeline(transaction=False) as pipeline:
            pipeline.mget([self._sent_key(name) for name in names])
            for name in names:
                pipeline.pttl(self._sent_key(name))
            values, *answers = pipeline.execute()
        found = {}
        for name, value, left in zip(names, values, answers, strict=True):
            if (mark := _decode_mark(value)) is not None:
                found[name] = Sent(mark, max(0.0, _SENT_SECONDS - left / 1000))
        return found

    def _require_kept(self, pipeline: t.Any, progress: cabc.Sequence[Progress]) -> None:
        """Watch the marks, and check that Redis still has the previous ones.

        New marks would hide that it has lost frames. If it loses some now, the transaction fails.
        """
        keys = [self._sent_key(each.journal) for each in progress]
        pipeline.watch(*keys)
        for each, value in zip(progress, pipeline.mget(keys), strict=True):
            if each.before is not None and (_decode_mark(value) or (0, 0)) < each.before:
                raise Lost(
                    "Redis has come back without events that it had taken. They are sent again."
                )

    def _sent_key(self, journal: str) -> str:
        return f"{self._prefix}:sent:{journal}"

    # For workers

    def list_filled(self) -> list[int]:
        """Return the partitions in which frames wait."""
        return [number for number, length in enumerate(self._lengths()) if length]

    def read(self, partition: int, most: int) -> list[Entry]:
        """Return the first entries of a stream. They stay there."""
        found = self._redis.xrange(self._keys[partition], count=most)
        return [Entry(entry_id, fields.get(_FIELD, b"")) for entry_id, fields in found]

    def remove(self, partition: int, entries: cabc.Sequence[Entry]) -> None:
        """Delete entries that are committed."""
        self._redis.xdel(self._keys[partition], *(each.id for each in entries))

    def set_aside(self, entry: Entry) -> None:
        """Keep what is no frame where a person may look at it."""
        bad = f"{self._prefix}:bad"
        with self._redis.pipeline(transaction=True) as pipeline:
            pipeline.xadd(bad, {_FIELD: entry.data}, maxlen=_BAD_MOST, approximate=False)
            pipeline.expire(bad, _BAD_SECONDS)
            pipeline.execute()

    def wait(self) -> None:
        """Return once a frame has come that was not seen yet, or after a second."""
        seen = dict(zip(self._keys, self._seen, strict=True))
        found = self._redis.xread(seen, count=1, block=_WAIT_MS) or ()
        for key in found if isinstance(found, dict) else [key for key, _ in found]:
            newest = self._redis.xinfo_stream(key)["last-generated-id"]
            self._seen[self._keys.index(_text(key))] = newest

    def tell(self, worker: str) -> None:
        """Note that a worker lives."""
        self._redis.hset(f"{self._prefix}:workers", worker, str(self._now()))

    def leave(self, worker: str) -> None:
        """Note that a worker has ended."""
        self._redis.hdel(f"{self._prefix}:workers", worker)

    # For people

    def partitions(self) -> list[PartitionStatus]:
        """Return what waits."""
        now = self._now()
        with self._redis.pipeline(transaction=False) as pipeline:
            for key in self._keys:
                pipeline.xrange(key, count=1)
            firsts = pipeline.execute()
        return [
            PartitionStatus(
                number, length, size, max(0.0, now - _made_at(first[0][0])) if first else None
            )
            for number, (length, size, first) in enumerate(
                zip(self._lengths(), self._sizes(), firsts, strict=True)
            )
        ]

    def workers(self) -> list[str]:
        """Return the workers that live; forget those that have died."""
        now, key = self._now(), f"{self._prefix}:workers"
        found = {_text(name): float(at) for name, at in self._redis.hgetall(key).items()}
        if dead := [name for name, at in found.items() if at < now - WORKER_SECONDS]:
            self._redis.hdel(key, *dead)
        return sorted(found.keys() - set(dead))

    def server(self) -> ServerStatus:
        """Return what of the server decides whether frames outlive it."""
        version, has_aof, may_evict = "", None, None
        with contextlib.suppress(self._refusals):
            info = self._redis.info()
            version = str(info.get("redis_version", ""))
            has_aof = bool(info.get("aof_enabled"))
            evicts = info.get("maxmemory_policy") not in (None, "noeviction")
            may_evict = bool(info.get("maxmemory")) and evicts
        return ServerStatus(version, has_aof, may_evict)

    def close(self) -> None:
        """Close the connections."""
        self._close_own()
        self._redis.close()

    def _lengths(self) -> list[int]:
        with self._redis.pipeline(transaction=False) as pipeline:
            for key in self._keys:
                pipeline.xlen(key)
            return list(pipeline.execute())

    def _sizes(self) -> list[int]:
        with self._redis.pipeline(transaction=False) as pipeline:
            for key in self._keys:
                pipeline.memory_usage(key)
                pipeline.xlen(key)  # which fails if it is no stream
            return [size or 0 for size in pipeline.execute()[::2]]

    def _now(self) -> float:
        """Return the moment by Redis's clock, in seconds since the epoch."""
        seconds, microseconds = self._redis.time()
        return float(seconds + microseconds / 1e6)


def open_streams(config: Config, database: Database) -> RedisStreams:
    """Return the streams of an app.

    :raises ConfigError: it has none, or not of this kind.
    """
    if config.stream_url is None:
        raise ConfigError(f"{_SETTING} is not set: each process writes its own events.")
    name = config.stream_name or database.fingerprint
    return RedisStreams(config.stream_url, name, config.stream_max_bytes)


def _encode_mark(mark: Mark) -> str:
    return f"{mark.segment}-{mark.position}"


def _decode_mark(value: bytes | str | None) -> Mark | None:
    """Return a mark; None if there is none, or something else."""
    try:
        segment, _, position = _text(value or b"").partition("-")
        return Mark(int(segment), int(position))
    except ValueError:
        return None


def _made_at(entry_id: bytes) -> float:
    """Return when an entry was added, by Redis's clock."""
    return int(entry_id.partition(b"-")[0]) / 1000


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
