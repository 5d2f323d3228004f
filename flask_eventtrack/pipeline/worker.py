"""Between the requests of one process and its writer thread."""

from __future__ import annotations

import collections
import collections.abc as cabc
import contextlib
import logging
import random
import threading
import time
import typing as t
import uuid as uuidlib

import msgspec

from ..errors import FlushTimeout
from ..records import Outcome, Record, decode_record, encode_record
from .segment import is_patched_by_gevent

if t.TYPE_CHECKING:
    from ..records import EndReason
    from ..store import Pruned
    from .queue import Claimed, Queue
    from .writer import Writer

logger = logging.getLogger("flask_eventtrack")

BATCH_SIZE = 500
CHORES_INTERVAL = 60.0
_MAX_BACKOFF = 30.0
# How long to look for events that a host is about to commit in its own transaction.
_EXPECTATION = 10.0
_MAX_OUTCOMES = 1000  # distinct ones that wait to be written
_MAX_FORK_DELAY = 2.0


class Worker:
    """Holds records until its thread has written them; the thread starts with the first record.

    :param interval: seconds that a record waits for others.
    """

    def __init__(self, writer: Writer, queue: Queue, *, interval: float) -> None:
        self.writer = writer
        self._queue = queue
        self._interval = interval
        self._in_memory = writer.database.is_in_memory
        self._outcomes: collections.Counter[Outcome] = collections.Counter()
        self._lock = threading.RLock()  # a host's log handler may track what we log
        self._changed = threading.Condition(self._lock)
        self._writing = threading.RLock()
        self._writing_thread: threading.Thread | None = None
        self._next_chores = 0.0
        self._thread: threading.Thread | None = None
        self._expecting_until = 0.0
        self._pruning: cabc.Iterator[Pruned] | None = None
        self._hurry = False
        self._leaving = False
        self._closed = False
        self._forgotten = False
        self._put = 0
        self._written = 0
        self._failures = 0
        self._error: Exception | None = None

    @property
    def waiting(self) -> int:
        """How many records of this process wait, and how many outcomes."""
        return self._put - self._written

    def start(self) -> None:
        """Have the thread look for what dead processes may have left."""
        if self._queue.has_neighbours():
            with self._lock:
                self._notify()

    def put(self, records: cabc.Sequence[Record]) -> bool:
        """Append all records or none: False where there is no room."""
        payloads = list(map(encode_record, records))
        with self._lock:
            position = 0 if self._closed else self._queue.put(payloads)
            if not position:
                return False
            before = self._put - self._written
            self._put += len(payloads)
            is_new_batch = not before or before < BATCH_SIZE <= self._put - self._written
            if is_new_batch or self._thread is None:
                self._notify()
        return self._queue.sync(position)

    def _notify(self) -> None:
        """Wake the thread, or start it: it may not have started at once."""
        self._changed.notify_all()
        if self._in_memory or (self._thread is not None and self._thread.is_alive()):
            return
        thread = threading.Thread(target=self._run, name="eventtrack-writer", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:  # no more threads, or the interpreter is shutting down
            if self._error is None:
                logger.error("The writer cannot start, and events wait: %s", error)
            self._failures += 1
            self._error = error
        else:
            self._thread = thread

    def count(self, outcome: Outcome, by: int = 1) -> None:
        """Count events that came to nothing, beside the records and without their room."""
        with self._lock:
            if len(self._outcomes) >= _MAX_OUTCOMES and outcome not in self._outcomes:
                outcome = outcome._replace(action="", reason="others")
            self._outcomes[outcome] += by
            self._put += by
            self._notify()

    def expect_uncounted(self) -> None:
        """Look for events that are counted after they were written, at short intervals."""
        with self._lock:
            self._expecting_until = time.monotonic() + _EXPECTATION
            self._notify()

    def flush(self, timeout: float | None) -> None:
        this = threading.current_thread()
        if this is self._thread or this is self._writing_thread:  # a receiver of our signals asks
            return
        if self._in_memory:
            self._write_all()
        else:
            self._await_written(timeout)
        if self._is_expecting:
            self._count_uncounted()

    def _await_written(self, timeout: float | None) -> None:
        with self._lock:
            target, failures = self._put, self._failures
            self._hurry = True
            self._notify()
            self._changed.wait_for(
                lambda: self._written >= target or self._failures > failures or self._closed,
                timeout,
            )
            if self._written >= target:
                return
            if self._failures > failures and self._error is not None:
                raise self._error
        raise FlushTimeout(
            f"{self.waiting} records were not written within {timeout} seconds; they are kept."
        )

    def sweep(self) -> list[tuple[uuidlib.UUID, EndReason]]:
        """End every session that has been silent for long enough; return those ended here."""
        ended: list[tuple[uuidlib.UUID, EndReason]] = []
        batch = None
        while batch is None or batch:
            with self._write_alone():
                batch = self.writer.sweep()
            ended += batch
        return ended

    def settle(self) -> None:
        """Write what waits, here and in what the dead have left, and keep none of it on the disk.

        :raises sqlalchemy.exc.SQLAlchemyError: the database refused; the records are kept.
        """
        self.flush(None)
        with self._write_alone():
            self._queue.adopt()
            while self._queue.has_orphans() and not self._closed:
                self._write_all()
        self.discard()

    def discard(self, needles: cabc.Collection[bytes] = ()) -> None:
        """Remove from the disk what is written, and what was set aside with one of the needles."""
        with self._write_alone(), self._lock:
            self._queue.discard(needles)

    def hurry(self) -> None:
        """Have the thread write now what waits."""
        with self._lock:
            self._hurry = True
            self._changed.notify_all()

    def leave(self, timeout: float) -> None:
        """At the end of the process: write what waits, then end the thread.

        What is put later starts it again, or waits in the journal.
        """
        deadline = time.monotonic() + timeout
        with self._lock:
            thread = self._thread
            if thread is None or not thread.is_alive():
                return
            self._changed.wait_for(lambda: not self.waiting, timeout)
            self._leaving = True
            self._changed.notify_all()
        thread.join(max(0.0, deadline - time.monotonic()))

    def stop(self, timeout: float) -> None:
        """End the thread once it has finished the batch it is at."""
        if self._forgotten:
            return
        with self._lock:
            self._closed = True
            self._changed.notify_all()
            thread = self._thread
            if thread is None or not thread.is_alive():
                self._queue.close()
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout)

    def pause(self) -> None:
        """Before a fork: be at no batch, and have no connection to a SQLite file.

        What a child inherits of SQLite's hinders its own connections for ever
        (https://sqlite.org/howtocorrupt.html, section 2.6). A greenlet would go on in the child
        with the parent's batch and connection. Other children inherit nothing that they use.
        """
        is_file = self.writer.database.is_file
        patience = _MAX_FORK_DELAY if is_file or is_patched_by_gevent() else 0
        if self._writing.acquire(timeout=patience) and is_file:
            self.writer.database.close()

    def go_on(self) -> None:
        """After a fork, in the parent."""
        with contextlib.suppress(RuntimeError):  # another thread is at a batch, and was all along
            self._writing.release()

    def forget(self) -> None:
        """In a fork's child: what waits, the locks and the files are the parent's."""
        self._forgotten = True
        self._queue.forget()

    def _run(self) -> None:
        failed = 0
        try:
            while not (self._closed or self._leaving or self._forgotten):
                if time.monotonic() >= self._next_chores:
                    self._do_chores(is_first=not self._next_chores)
                    self._next_chores = time.monotonic() + CHORES_INTERVAL
                self._wait(self._next_chores, failed)
                failed = 0 if self._attempt() else failed + 1
                self._prune_some()
        finally:
            if not self._forgotten:
                self._end()

    def _end(self) -> None:
        self.writer.database.close()
        with self._lock:
            self._leaving = False
            self._thread = None
            self._next_chores = 0.0
            self._queue.close()

    def _wait(self, next_chores: float, failed: int) -> None:
        """Wait until there is something to do: a batch, an old record, a flush or a chore."""
        with self._lock:
            if failed:
                limit = min(_MAX_BACKOFF, self._interval * 2 ** min(failed, 10))
                backoff = limit * random.uniform(0.5, 1)  # noqa: S311 - it only spreads the load
                self._wait_for(lambda: False, backoff)
            else:
                self._wait_for(lambda: self._has_work, max(0.0, next_chores - time.monotonic()))
                if self._has_work:
                    self._wait_for(lambda: self.waiting >= BATCH_SIZE, self._interval)
            self._hurry = False

    def _wait_for(self, condition: t.Callable[[], bool], timeout: float) -> None:
        self._changed.wait_for(
            lambda: condition() or self._hurry or self._closed or self._leaving, timeout
        )

    def _attempt(self) -> bool:
        try:
            self._write_all()
            if self._is_expecting:
                self._count_uncounted()
        except Exception as error:  # noqa: BLE001 - the thread outlives whatever the database does
            if type(error) is not type(self._error):
                logger.error("Events cannot be written, and wait: %s", error)
            with self._lock:
                self._failures += 1
                self._error = error
                self._changed.notify_all()
            return False
        if self._error is not None:
            logger.warning("Events are written again.")
            self._error = None
        return True

    def _write_all(self) -> None:
        """Write what waits now, and full batches; the few that come meanwhile wait for others."""
        with self._lock:
            target = self._put
        with self._write_alone():
            while not self._closed and self._write_next():
                if not self._in_memory and self._may_rest(target):
                    break

    @contextlib.contextmanager
    def _write_alone(self) -> t.Iterator[None]:
        with self._writing:
            before, self._writing_thread = self._writing_thread, threading.current_thread()
            try:
                yield
            finally:
                self._writing_thread = before

    def _may_rest(self, target: int) -> bool:
        if time.monotonic() >= self._next_chores:
            self._hurry = True
            return True
        is_little = self.waiting < BATCH_SIZE and not self._queue.has_orphans()
        return self._written >= target and is_little

    def _prune_some(self) -> None:
        """Go on with the daily pruning for a moment; events come first."""
        until = time.monotonic() + self._interval
        try:
            while (
                self._pruning and time.monotonic() < until and not (self._closed or self._leaving)
            ):
                with self._write_alone():
                    if not self.writer.go_on_pruning(self._pruning):
                        self._pruning = None
        except Exception as error:  # noqa: BLE001 - tomorrow's run finds what this one left
            self._pruning = None
            logger.warning("What is older than it is kept was not all removed: %s", error)

    @property
    def _is_expecting(self) -> bool:
        return time.monotonic() < self._expecting_until

    @property
    def _has_work(self) -> bool:
        is_waiting = self.waiting > 0 or self._queue.has_orphans()
        return is_waiting or self._is_expecting or self._pruning is not None

    def _count_uncounted(self) -> None:
        with self._write_alone():
            while self.writer.count_uncounted():
                pass

    def _write_next(self) -> bool:
        """Write up to a batch; False if there is nothing."""
        with self._lock:
            put = self._put
        claimed = self._queue.claim(BATCH_SIZE)
        with self._lock:
            outcomes, self._outcomes = self._outcomes, collections.Counter()
        if claimed is None and not outcomes:
            self._note_all_written(put)
            return False
        try:
            self._write(claimed, outcomes)
        except BaseException:
            with self._lock:
                self._outcomes += outcomes
            raise
        return True

    def _note_all_written(self, put: int) -> None:
        """Forget records that never came out of the journal again: they are damaged."""
        with self._lock:
            if self._put == put != self._written:
                self._written = put
                self._changed.notify_all()

    def _write(self, claimed: Claimed | None, outcomes: collections.Counter[Outcome]) -> None:
        records, foreign = _decode(claimed)
        lost = len(foreign) + (claimed.damaged if claimed else 0)
        unread = {Outcome("dropped", "", "unreadable"): lost} if lost else {}
        is_replay = claimed is not None and claimed.is_replay
        self.writer.write(
            records,
            outcomes + collections.Counter(unread),
            is_replay=is_replay or self._error is not None,
        )
        if claimed is not None:
            self._queue.acknowledge(claimed, foreign)
        with self._lock:
            self._written += outcomes.total()
            if claimed is not None and not is_replay:
                self._written += len(claimed.payloads)
            self._changed.notify_all()

    def _do_chores(self, *, is_first: bool) -> None:
        """Take over from the dead, count what hosts have committed, end silent sessions, prune."""
        try:
            with self._write_alone():
                has_orphans = self._queue.adopt()
            if has_orphans:
                self.hurry()
            if not is_first:
                self.discard()
                self._count_uncounted()
                self.sweep()
                self._pruning = self._pruning or self.writer.prune_daily()
        except Exception as error:  # noqa: BLE001 - the next time finds what this one left
            logger.warning("What is done every minute was not done: %s", error)


def _decode(claimed: Claimed | None) -> tuple[list[Record], list[bytes]]:
    """Return the records of a claim, and what is none."""
    records: list[Record] = []
    foreign: list[bytes] = []
    for payload in claimed.payloads if claimed else ():
        try:
            records.append(decode_record(payload))
        except (msgspec.DecodeError, ValueError):
            foreign.append(payload)
    return records, foreign
