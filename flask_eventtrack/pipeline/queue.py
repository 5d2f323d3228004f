"""Where records wait for the writer: in memory, or in a file that outlives the process."""

from __future__ import annotations

import collections
import collections.abc as cabc
import logging
import typing as t

logger: logging.Logger = logging.getLogger("flask_eventtrack")


class Mark(t.NamedTuple):
    """How far a journal is read: the number of a segment, and a position in it."""

    segment: int
    position: int


class Progress(t.NamedTuple):
    """How far a journal is read with a claim: from ``before`` to ``after``.

    ``before`` is the mark that its sink must still have, or None if nothing could be lost.
    """

    journal: str
    before: Mark | None
    after: Mark


class Sent(t.NamedTuple):
    """How far a sink has a journal, and how many seconds ago it was told so."""

    mark: Mark
    age: float


#: Returns how far the sink has journals, by their names; those that it knows nothing of are left
#: out. Raises what the sink raises while it is away.
FindSent = cabc.Callable[[cabc.Sequence[str]], cabc.Mapping[str, Sent]]


class Claimed(t.NamedTuple):
    """The records that the writer works on, each as :func:`..records.encode_record` made it.

    ``receipt`` is for the queue. ``damaged`` counts the records among them that cannot be read;
    ``is_replay`` says that another process may have written some of them already. ``progress`` says
    how far each journal is read with them, for a sink that may lose what it took.
    """

    payloads: list[bytes]
    receipt: object = None
    damaged: int = 0
    is_replay: bool = False
    progress: cabc.Sequence[Progress] = ()


class Room:
    """How much may wait in a queue. The log says once that it is full, and once that it is not.

    :param setting: the name of the limit.
    """

    def __init__(self, most: int, setting: str) -> None:
        self._most = most
        self._setting = setting
        self._is_full = False
        #: Whether the log has said last that it is full.
        self.is_reported: bool = False

    def admits(self, waiting: int, more: int = 0) -> bool:
        """Whether there is room for more. It is full until half of what may wait is written."""
        if waiting + more > self._most:
            self._is_full = True
            return False
        if waiting <= self._most // 2:
            self._is_full = False
        return True

    def report(self) -> None:
        """Log a change. The caller holds no lock: a host's log handler may track."""
        if self._is_full == self.is_reported:
            return
        self.is_reported = self._is_full
        if self._is_full:
            logger.error(
                "%s is reached: new events are refused until the database has taken some that "
                "wait. See 'flask eventtrack health'.",
                self._setting,
            )
        else:
            logger.warning("There is room for new events again.")


class Queue(t.Protocol):
    """Where a process's records wait between its requests and its writer.

    The writer claims records and acknowledges them once they are committed; until then a claim
    returns the same ones again. Only one thread does so, while others put. Methods about files have
    defaults, for queues without files.
    """

    room: Room

    def put(self, payloads: cabc.Sequence[bytes]) -> int:
        """Append records, all or none; return the position behind them, or 0 if there is no room.

        Never called twice at once.
        """

    def sync(self, position: int) -> bool:
        """Make everything before a position safe; False if that failed."""
        return True

    def claim(self, limit: int) -> Claimed | None:
        """Return the next ``limit`` records, or None."""

    def acknowledge(self, claimed: Claimed, foreign: cabc.Sequence[bytes] = ()) -> None:
        """Discard claimed records; set aside the foreign payloads, which are not records."""

    def is_holding(self) -> bool:
        """Whether acknowledged records are still held, since the sink may lose them."""
        return False

    def check(self) -> None:
        """Have :meth:`claim` return once more what is held and the sink has lost, as a replay;
        hold no longer what it has had for long enough.

        :raises Exception: what the sink raises while it is away.
        """
        return

    def peek(self) -> tuple[int, bytes | None]:
        """Return how many bytes wait in memory, and the first record; called from any thread."""
        return 0, None

    def has_neighbours(self) -> bool:
        """Whether there may be something to adopt."""
        return False

    def is_behind(self) -> bool:
        """Whether something is still to be written that was adopted, or is to be written again."""
        return False

    def adopt(self) -> bool:
        """Take over what dead processes have left; return whether there was anything."""
        return False

    def discard(self, needles: cabc.Collection[bytes] = ()) -> None:
        """Remove committed records from the disk, and set-aside ones that contain a needle.

        Never called while another thread puts.
        """
        return

    def close(self) -> None:
        """Release files and locks; waiting records stay there."""
        return

    def abandon(self) -> None:
        """In a fork's child: release the parent's files without touching them."""
        return


class MemoryQueue(Queue):
    """Records in memory: they die with the process.

    :param capacity: how many may wait.
    """

    def __init__(self, capacity: int) -> None:
        self.room: Room = Room(capacity, "EVENTTRACK_BUFFER_SIZE")
        self._payloads: collections.deque[bytes] = collections.deque()

    def put(self, payloads: cabc.Sequence[bytes]) -> int:
        if not self.room.admits(len(self._payloads), len(payloads)):
            return 0
        self._payloads.extend(payloads)
        return len(self._payloads)

    def claim(self, limit: int) -> Claimed | None:
        # One by one: an iterator of a deque fails if another thread puts something meanwhile.
        number = min(limit, len(self._payloads))
        return Claimed([self._payloads[n] for n in range(number)]) if number else None

    def acknowledge(self, claimed: Claimed, foreign: cabc.Sequence[bytes] = ()) -> None:
        for _ in claimed.payloads:
            self._payloads.popleft()

    def peek(self) -> tuple[int, bytes | None]:
        payloads = self._payloads.copy()
        return sum(map(len, payloads)), payloads[0] if payloads else None
