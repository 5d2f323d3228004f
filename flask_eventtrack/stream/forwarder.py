"""Sends the records of a web process to the streams, instead of writing them to the database."""

from __future__ import annotations

import collections
import collections.abc as cabc
import datetime as dt

from ..pipeline.partitions import find_partitions
from ..pipeline.queue import Progress, Sent
from ..pipeline.schedule import BATCH_SIZE
from ..pipeline.sink import Sink
from ..records import AgentRead, Clock, Counted, Outcome, Record, encode_record, from_ns
from .frames import Frame, encode_frame, make_ids
from .redis_streams import PARTITIONS, RedisStreams

_MAX_BYTES = 1024 * 1024


class Forwarder(Sink):
    """Sends records in frames, each to the stream of its partition.

    Redis may have taken frames of an attempt that failed. Records have ids, so they are sent again
    in other frames. Counts have none: the same frame is sent again, which workers know by its id.
    """

    def __init__(self, streams: RedisStreams, clock: Clock) -> None:
        self._streams = streams
        self._clock = clock
        self._ids = make_ids()
        self.committed: int = 0
        self.last_commit: dt.datetime | None = None
        # The frames of counts whose attempts have failed, and what is in each.
        self._owed: list[tuple[Frame, collections.Counter[Counted]]] = []

    @property
    def claim_size(self) -> int:
        return BATCH_SIZE * PARTITIONS

    def commit(
        self,
        records: cabc.Sequence[Record],
        outcomes: cabc.Mapping[Counted, int],
        *,
        is_replay: bool = False,
        progress: cabc.Sequence[Progress] = (),
    ) -> None:
        """Send records and counts, and how far the journals are sent with them.

        :raises Exception: one of ``RedisStreams.errors``, :exc:`.StreamFull` or
            :exc:`.Lost`.
        """
        self._owe(outcomes)
        frames = [(_home_of(frame), frame) for frame, _ in self._owed]
        frames += self._pack(records, is_again=is_replay)
        encoded = [(partition, encode_frame(frame)) for partition, frame in frames]
        self._streams.add(encoded, progress)
        self._owed.clear()
        if records:
            self.committed += len(records)
            self.last_commit = from_ns(self._clock())

    def _owe(self, outcomes: cabc.Mapping[Counted, int]) -> None:
        """Put counts that are in no frame yet into one."""
        new = collections.Counter(outcomes)
        for _, counts in self._owed:
            new.subtract(counts)
        new = +new
        if not new:
            return
        frame = Frame(
            id=next(self._ids),
            outcomes=[(each, by) for each, by in new.items() if isinstance(each, Outcome)],
            reads=[(each, by) for each, by in new.items() if isinstance(each, AgentRead)],
        )
        self._owed.append((frame, new))

    def find_sent(self, journals: cabc.Sequence[str]) -> cabc.Mapping[str, Sent]:
        return self._streams.find_sent(journals)

    def _pack(
        self, records: cabc.Sequence[Record], *, is_again: bool
    ) -> cabc.Iterator[tuple[int, Frame]]:
        """Yield frames of up to 500 records or about 1 MB each; those of a partition in order."""
        waiting: dict[int, list[bytes]] = collections.defaultdict(list)
        sizes: dict[int, int] = collections.defaultdict(int)

        def take(partition: int) -> tuple[int, Frame]:
            sizes[partition] = 0
            return partition, Frame(
                id=next(self._ids), records=waiting.pop(partition), is_again=is_again
            )

        for record, partition in zip(records, find_partitions(records, PARTITIONS), strict=True):
            payload = encode_record(record)
            waiting[partition].append(payload)
            sizes[partition] += len(payload)
            if len(waiting[partition]) >= BATCH_SIZE or sizes[partition] >= _MAX_BYTES:
                yield take(partition)
        for partition in list(waiting):
            yield take(partition)


def _home_of(frame: Frame) -> int:
    return sum(frame.id.encode()) % PARTITIONS
