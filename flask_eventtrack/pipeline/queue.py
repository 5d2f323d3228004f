"""Where records wait for the writer: in memory, or in a file that outlives the process."""

from __future__ import annotations

import collections
import collections.abc as cabc
import itertools
import typing as t


class Claimed(t.NamedTuple):
    """Records that the writer is at: each as :func:`..event.encode_record` made it.

    ``receipt`` is the queue's own. ``damaged`` counts the records between them that cannot be read;
    ``is_replay`` says that another process may have written some of them already.
    """

    payloads: list[bytes]
    receipt: object = None
    damaged: int = 0
    is_replay: bool = False


class Queue(t.Protocol):
    """The road from a process's requests to its writer.

    The writer claims records and acknowledges them once they are committed; until then a claim
    gives the same ones again. Only one thread does so, while others put.
    """

    def put(self, payloads: cabc.Sequence[bytes]) -> int:
        """Append all records, or none; return where they end, or 0 where there is no room.

        Never called twice at once.
        """

    def sync(self, position: int) -> bool:
        """Bring what ends there to where it is promised to be; False if that failed."""

    def claim(self, limit: int) -> Claimed | None:
        """Return the next ``limit`` records, or None."""

    def acknowledge(self, claimed: Claimed, foreign: cabc.Sequence[bytes] = ()) -> None:
        """Discard records that were claimed; those that nobody can read are set aside."""

    def has_neighbours(self) -> bool:
        """Whether there may be something to adopt."""

    def has_orphans(self) -> bool:
        """Whether something that was adopted has not been written yet."""

    def adopt(self) -> bool:
        """Take over what dead processes have left; whether there was anything."""

    def discard(self, needles: cabc.Collection[bytes] = ()) -> None:
        """Let nothing stay on the disk that is committed, nor what was set aside and contains one
        of the needles.

        Never called while another thread puts.
        """

    def close(self) -> None:
        """Let go of files and locks; what waits goes on waiting there."""

    def forget(self) -> None:
        """In a fork's child: let go of the parent's files without touching them."""


class MemoryQueue:
    """Records in memory: they die with the process.

    :param capacity: how many may wait.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._payloads: collections.deque[bytes] = collections.deque()

    def put(self, payloads: cabc.Sequence[bytes]) -> int:
        if len(self._payloads) + len(payloads) > self._capacity:
            return 0
        self._payloads.extend(payloads)
        return len(self._payloads)

    def sync(self, position: int) -> bool:
        return True

    def claim(self, limit: int) -> Claimed | None:
        count = min(limit, len(self._payloads))
        return Claimed(list(itertools.islice(self._payloads, count))) if count else None

    def acknowledge(self, claimed: Claimed, foreign: cabc.Sequence[bytes] = ()) -> None:
        for _ in claimed.payloads:
            self._payloads.popleft()

    def has_neighbours(self) -> bool:
        return False

    def has_orphans(self) -> bool:
        return False

    def adopt(self) -> bool:
        return False

    def discard(self, needles: cabc.Collection[bytes] = ()) -> None:
        pass

    def close(self) -> None:
        pass

    def forget(self) -> None:
        pass
