"""The worker: takes frames from the streams, and writes their records to the database."""

from __future__ import annotations

import collections
import collections.abc as cabc
import contextlib
import logging
import os
import platform
import random
import threading
import time
import typing as t

import msgspec
import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from ..pipeline import partitions as of_writer
from ..pipeline.chores import Chores
from ..pipeline.pipeline import CHORES_INTERVAL, Pipeline
from ..pipeline.schedule import longest_pause
from ..pipeline.writer import Work
from ..records import Counted, Outcome, Record, decode_record
from ..store import streams as places
from ..store.schema import explain
from ..text import escape
from .frames import Frame, NewerFrame, UnknownFrame, decode_frame
from .redis_streams import PARTITIONS, Entry, RedisStreams

logger: logging.Logger = logging.getLogger("flask_eventtrack")

# Frames of a transaction: it ends after the frame in which there are enough records.
_FRAMES = 100
_RECORDS = 1000
_FIRST_PAUSE = 0.1
_TELL_INTERVAL = 10.0
# How long frames may keep one transaction of the chores waiting.
_TURN = 1.0
_TRIES = 5
_UNREADABLE = Outcome("dropped", "", "unreadable")


class _Taken(t.NamedTuple):
    """What a transaction has taken from a stream: entries, those of them that are no frames, the
    frames that are new, and their records."""

    entries: list[Entry]
    bad: list[Entry]
    frames: list[Frame]
    records: list[Record]

    @property
    def is_again(self) -> bool:
        """Whether the records may have been written before."""
        return bool(self.frames) and self.frames[0].is_again


class Worker:
    """Writes what web processes have sent, until it is stopped. Any number of them may run.

    :param pipeline: this process's way to the database.
    :param tell: called every ten seconds while all is well.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        streams: RedisStreams,
        tell: cabc.Callable[[], None] = lambda: None,
    ) -> None:
        self.name: str = f"{platform.node()}:{os.getpid()}"
        #: How many records and frames were committed, and how many attempts have failed.
        self.records: int = 0
        self.frames: int = 0
        self.failures: int = 0
        self._pipeline = pipeline
        self._database, self._writer = pipeline.database, pipeline.writer
        self._streams = streams
        self._tell_others = tell
        self._chores = Chores(self._writer, pipeline.write_alone)
        self._chores_at = self._turn_at = 0.0
        self._told_at = -_TELL_INTERVAL
        self._stopping = threading.Event()
        self._error: Exception | None = None
        self._failed = 0
        self._taken: _Taken | None = None
        # Frames whose records were written one by one, since the database refused some.
        self._apart: set[str] = set()
        # Frames whose counts it refused.
        self._uncounted: set[str] = set()
        # How often in a row a partition has failed without a reason of the database's.
        self._tries: dict[int, int] = {}
        self._newer: set[int] = set()
        self._first = random.randrange(PARTITIONS)  # noqa: S311 - to meet other workers less often

    def stop(self) -> None:
        """End after the present transaction."""
        self._stopping.set()

    def run(self, *, once: bool = False) -> None:
        """Work until :meth:`stop`.

        :param once: whether to end when nothing waits that this worker could take.
        :raises Exception: with ``once``, what Redis or the database raised.
        """
        try:
            while not self._stopping.is_set():
                try:
                    is_busy = self._work_round()
                    self._note_success()
                    if once and not is_busy:
                        return
                    self._rest(is_busy=is_busy)
                except Exception as error:
                    if once:
                        raise
                    self._note_failure(error)
        finally:
            with contextlib.suppress(*self._streams.errors):
                self._streams.leave(self.name)

    def _rest(self, *, is_busy: bool) -> None:
        """Do one of the chores, if there is time or its turn has come; or wait for frames."""
        if self._chores.has_more and (not is_busy or time.monotonic() >= self._turn_at):
            self._chores.do_one()
            self._turn_at = time.monotonic() + _TURN
        elif not is_busy:
            self._streams.wait()

    def _work_round(self) -> bool:
        """Commit a transaction of each partition that has frames; whether there were any.

        One that fails keeps none of the others waiting: its error is raised at the end.
        """
        self._begin_minute()
        filled = self._streams.list_filled()
        filled.sort(key=lambda number: (number - self._first) % PARTITIONS)
        is_busy, errors = False, []
        for number in filled:
            if self._stopping.is_set():
                break
            try:
                is_busy |= self._work_on(number)
                self._tries.pop(number, None)
            except Exception as error:  # noqa: BLE001 - the others have their turn
                errors.append(error)
            self._tell()
        self._tell()
        if errors:
            raise errors[0]
        return is_busy

    def _begin_minute(self) -> None:
        if time.monotonic() < self._chores_at:
            return
        self._chores_at = time.monotonic() + CHORES_INTERVAL
        now, tables = self._writer.now, self._database.tables
        with self._pipeline.write_alone():
            self._database.retry(
                lambda connection: places.add_missing(connection, tables, PARTITIONS, now)
            )
        self._newer.clear()
        self._chores.begin()

    def _tell(self) -> None:
        """Tell from time to time that this worker lives. Work does not depend on it."""
        if time.monotonic() - self._told_at < _TELL_INTERVAL:
            return
        self._told_at = time.monotonic()
        try:
            self._tell_others()
            self._streams.tell(self.name)
        except Exception as error:  # noqa: BLE001 - a full disk or Redis, which work may empty
            logger.warning("The worker cannot tell that it lives: %s", escape(error))

    def _work_on(self, number: int) -> bool:
        """Commit the first frames of a partition; False if another worker does."""
        if number in self._newer:
            return False
        self._taken = None
        with self._pipeline.write_alone():
            try:
                self._writer.commit_taken(lambda connection: self._take(connection, number))
            except NewerFrame as error:
                self._newer.add(number)
                logger.error(
                    "Stream %d has %s: it waits for a worker of the newer release.", number, error
                )
                return False
            except Exception as error:
                if self._taken is None or not self._is_refusal(number, error):
                    raise
                self._write_apart(self._taken, error)
                return True
            if self._taken is None:
                return False
        self._finish(number, self._taken)
        return True

    def _take(self, connection: sa.Connection, number: int) -> Work | None:
        """Lock a partition, and read its first frames; None if there is nothing to do."""
        self._taken = None
        tables = self._database.tables
        place = places.hold(connection, tables, number)
        if place is None:
            return None
        taken, counts = self._read(number, place)
        if not taken.entries:
            return None
        self._taken = taken
        ids = [*place.frames, *(frame.id for frame in taken.frames)]
        last = max(place.last, _place_of(taken.entries[-1]))
        places.note(connection, tables, number, places.Place(ids, last), self._writer.now)
        return Work(
            taken.records, counts, [number % of_writer.PARTITIONS], is_replay=taken.is_again
        )

    def _read(
        self, number: int, place: places.Place
    ) -> tuple[_Taken, collections.Counter[Counted]]:
        taken = _Taken([], [], [], [])
        counts = collections.Counter[Counted]()
        known = set(place.frames)
        for entry in self._streams.read(number, _FRAMES):
            try:
                frame = self._open(entry, number, taken)
            except NewerFrame:
                if taken.entries:
                    break
                raise
            # Redis may have come back without its last deletions, or a replica has taken over.
            is_back = _place_of(entry) <= place.last
            frame = msgspec.structs.replace(frame, is_again=frame.is_again or is_back)
            if taken.frames and frame.is_again != taken.is_again:
                break
            taken.entries.append(entry)
            if frame.id not in known:
                known.add(frame.id)
                taken.frames.append(frame)
                self._add(frame, taken.records, counts, has_counts=not is_back)
            if len(taken.records) >= _RECORDS:
                break
        return taken, counts

    def _add(
        self,
        frame: Frame,
        records: list[Record],
        counts: collections.Counter[Counted],
        *,
        has_counts: bool,
    ) -> None:
        """Add what is to be written of a frame."""
        if has_counts and frame.id not in self._uncounted:
            counts.update(dict(frame.outcomes))
            counts.update(dict(frame.reads))
        if frame.id not in self._apart:
            _unpack(frame, records, counts)

    def _open(self, entry: Entry, number: int, taken: _Taken) -> Frame:
        """Return an entry's frame: a count, if it has none."""
        try:
            return decode_frame(entry.data)
        except UnknownFrame as error:
            logger.error(
                "Stream %d has an entry that is %s. It is set aside, for 30 days.",
                number,
                escape(error),
            )
            taken.bad.append(entry)
            return Frame(id=f"entry {entry.id.decode()}", outcomes=[(_UNREADABLE, 1)])

    def _is_refusal(self, number: int, error: Exception) -> bool:
        """Whether trying again is useless: after a few tries, also for errors of our own code."""
        if self._writer.is_refusal(error):
            return True
        if isinstance(error, (SQLAlchemyError, OSError, *self._streams.errors)):
            return False
        self._tries[number] = self._tries.get(number, 0) + 1
        return self._tries[number] > _TRIES

    def _write_apart(self, taken: _Taken, error: Exception) -> None:
        """Write records of which the database refuses some: those are set aside.

        If it has refused the counts alone, these are dropped.
        """
        if not taken.records:
            logger.error("The database refused counters: %s", escape(error))
            self._uncounted.update(frame.id for frame in taken.frames)
            return
        self._writer.commit_apart(taken.records)
        self._apart.update(frame.id for frame in taken.frames)

    def _finish(self, number: int, taken: _Taken) -> None:
        self._streams.remove(number, taken.entries)
        for entry in taken.bad:
            with contextlib.suppress(*self._streams.errors):  # it is full: there is room for none
                self._streams.set_aside(entry)
        ids = {frame.id for frame in taken.frames}
        self._apart -= ids
        self._uncounted -= ids
        self._pipeline.wake_functions()
        self.records += len(taken.records)
        self.frames += len(ids)

    def _note_failure(self, error: Exception) -> None:
        self.failures += 1
        self._failed += 1
        self._streams.reconnect()
        if type(error) is not type(self._error):
            cause = explain(self._database, error, self._writer.now) or error
            logger.error("The worker cannot work, and events wait: %s", escape(cause))
        self._error = error
        spread = random.uniform(0.5, 1)  # noqa: S311 - so that workers do not try at once
        self._stopping.wait(spread * longest_pause(self._failed, _FIRST_PAUSE))

    def _note_success(self) -> None:
        if self._error is not None:
            self._error, self._failed = None, 0
            logger.warning("The worker works again.")


def _unpack(frame: Frame, records: list[Record], counts: collections.Counter[Counted]) -> None:
    """Add a frame's records to others; count what is none."""
    for payload in frame.records:
        try:
            records.append(decode_record(payload))
        except (msgspec.DecodeError, ValueError) as error:
            logger.error("A record of a stream cannot be read: %s", escape(error))
            counts[_UNREADABLE] += 1


def _place_of(entry: Entry) -> places.EntryId:
    """Return an entry's id: when it was added, and which of that millisecond it is."""
    milliseconds, _, number = entry.id.partition(b"-")
    return int(milliseconds), int(number)
