"""From the requests of one process to its writer thread, and the answer to callers that wait.

Names on the way down: the thread *drains* the queue batch by batch, the sink *commits* a batch: the
writer in one transaction or several, inside of which the store *writes* its rows.
"""

from __future__ import annotations

import collections
import collections.abc as cabc
import contextlib
import datetime as dt
import functools
import logging
import random
import threading
import time
import typing as t
import uuid as uuidlib

import msgspec
from sqlalchemy import orm

from ..errors import FlushTimeout
from ..records import (
    AgentRead,
    Counted,
    EndReason,
    Event,
    Outcome,
    Record,
    decode_record,
    encode_record,
)
from ..store.closed_days import DayStep
from ..store.engine import Database
from ..store.erasure import Erased
from ..store.erasure_file import Note
from ..store.retention import Pruned
from ..store.schema import explain
from .chores import Chores, note_failed_chores
from .journal_format import is_patched_by_gevent
from .queue import Claimed, FindSent, MemoryQueue, Queue
from .reads import Reads, Taken
from .schedule import BATCH_SIZE, NEVER, Status, Step, longest_pause, next_step
from .sink import Lost, Sink
from .writer import Hooks, Writer

if t.TYPE_CHECKING:
    from .following import Follower

logger: logging.Logger = logging.getLogger("flask_eventtrack")

CHORES_INTERVAL = 60.0
# How long events may keep one transaction of the chores waiting.
_TURN = 1.0
# How long to look for events that a host is about to commit in its own transaction.
_EXPECTATION = 10.0
_MAX_OUTCOMES = 1000  # distinct outcomes that wait to be written
# Longer than SQLite waits for a lock, so that the batch has ended. A child that inherits an open
# connection would lose what it commits.
_MAX_FORK_DELAY = 20.0
_CLOSE_TIMEOUT = 3.0
# How long a request waits for its turn to send.
_CONFIRM_SECONDS = 1.0
# How often to look whether the sink still has what the queue holds.
_LOOK_INTERVAL = 5.0
_MAX_DROP_DELAY = 1.0


class Pipeline:
    """Takes records from any thread of a process; a thread of its own writes them.

    The thread starts with the first record. With an in-memory database there is none, since it
    would share the host's one connection: there :meth:`flush` writes.

    Two locks: ``_lock`` guards the status and the queue's end, and is held for moments only.
    ``_writing`` is held by the thread that writes, through whole transactions.

    :param make_queue: returns the queue. It is called with the sink's ``find_sent``, or None if the
        sink loses nothing, and only when the queue is first used, since tests may set
        ``app.testing`` after the extension is set up.
    :param flush_interval: how long a record waits for others.
    :param sink: where records go; the database, unless another is given.
    :param sends_at_once: whether :meth:`confirm` waits until the sink has what was put.
    """

    def __init__(
        self,
        database: Database,
        hooks: Hooks,
        make_queue: cabc.Callable[[FindSent | None], Queue],
        flush_interval: dt.timedelta,
        *,
        sink: Sink | None = None,
        sends_at_once: bool = False,
    ) -> None:
        self.database = database
        self.writer: Writer = Writer(database, hooks)
        self.sink: Sink = sink or self.writer
        self._sends_at_once = sends_at_once
        #: Whether records become rows. Those that a test captures need not.
        self.writes: bool = True
        self._hooks = hooks
        self._make_queue = functools.partial(make_queue, sink.find_sent if sink else None)
        self._made: Queue | None = None
        self._interval = flush_interval.total_seconds()
        self._checked_at = 0.0
        self._status = Status()
        self._outcomes: collections.Counter[Outcome] = collections.Counter()
        self._reads = Reads()
        self.chores: Chores = Chores(self.writer, self.write_alone)
        self._thread: threading.Thread | None = None
        self._follower: Follower | None = None
        # Reentrant: a host's log handler may track what we log while we hold it.
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        # Reentrant: a receiver of our signals may sweep or fork.
        self._writing = threading.RLock()
        self._writing_thread: threading.Thread | None = None

    @property
    def _queue(self) -> Queue:
        # Not a cached_property: until Python 3.12, all pipelines would share its lock.
        queue = self._made
        if queue is None:
            with self._lock:
                queue = self._made = self._made or self._make_queue()
        return queue

    @property
    def has_journal(self) -> bool:
        """Whether records wait in files."""
        return not isinstance(self._queue, MemoryQueue)

    @property
    def waiting(self) -> int:
        """How many records and outcomes of this process have not been written yet."""
        return self._status.waiting

    @property
    def status(self) -> Status:
        """Where this pipeline stands; it is not to be changed."""
        return self._status

    @property
    def _uses_thread(self) -> bool:
        return not self.database.is_in_memory

    @property
    def has_thread(self) -> bool:
        """Whether the thread is running."""
        thread = self._thread
        return thread is not None and thread.is_alive()

    def peek(self) -> tuple[int, bytes | None]:
        """Return how many bytes wait in memory, and the first record there."""
        return self._queue.peek()

    def start(self) -> None:
        """Start the threads that may have something to do already: what dead processes have left,
        and events that the host's functions have not been called with."""
        with self._lock:
            self._start_follower()
        if self._queue.has_neighbours():
            with self._lock:
                self._notify()

    def put(self, *records: Record) -> bool:
        """Append records, all or none: False says that there is no room.

        True says that they survive what ``EVENTTRACK_DURABILITY`` promises.
        """
        payloads = list(map(encode_record, records))
        status, queue = self._status, self._made or self._queue
        with self._lock:
            position = 0 if status.life == "closed" else queue.put(payloads)
            if position:
                before = status.put - status.written
                status.put += len(payloads)
                is_full = before < BATCH_SIZE <= before + len(payloads)
                is_first = not before and status.due_at == NEVER
                if is_first or is_full or self._thread is None:
                    self._notify()
        if not position or queue.room.is_reported:
            queue.room.report()
        # Without the lock: it may wait for the disk.
        return bool(position) and queue.sync(position)

    def confirm(self) -> bool:
        """Send what this process has put so far, where that is promised before an answer.

        Threads that wait together share one attempt. While the sink is away only the thread tries,
        so that no request waits for it.

        :returns: False if it is not sent; it is kept, and sent later.
        """
        status, target = self._status, self._status.put
        if not self._sends_at_once or status.written >= target:
            return True
        # A log handler of the host's may track while this thread sends.
        is_nested = self._writing_thread is threading.current_thread()
        may_try = not is_nested and not self._is_pausing
        if may_try and self._writing.acquire(timeout=_CONFIRM_SECONDS):
            try:
                self._send_until(target)
            finally:
                self._writing.release()
        if status.written >= target:
            return True
        with self._lock:
            self._notify()
        return False

    def _send_until(self, target: int) -> None:
        status = self._status
        while status.written < target and status.life != "closed" and not self._is_pausing:
            self._attempt(self._drain)

    @property
    def _is_pausing(self) -> bool:
        return self._status.failed > 0 and time.monotonic() < self._status.due_at

    def count(self, outcome: Outcome, by: int = 1) -> None:
        """Count events that are not stored. These counts take no room in the queue."""
        with self._lock:
            if len(self._outcomes) >= _MAX_OUTCOMES and outcome not in self._outcomes:
                outcome = outcome._replace(action="", reason="others")
            self._outcomes[outcome] += by
            self._status.put += by
            self._notify()

    def count_read(self, read: AgentRead) -> None:
        """Count an answer to an agent.

        All that wait count as one record: however many agents come, they fill no batch.
        """
        with self._lock:
            if self._reads.add(read):
                self._status.put += 1
                self._notify()

    def expect_uncounted(self, event: Event, db_session: orm.Session) -> None:
        """Have the thread look for an event that a host is about to commit in its own transaction.

        :param db_session: the host's.
        """
        with self._lock:
            self._status.expecting_until = time.monotonic() + _EXPECTATION
            self._notify()

    def _notify(self) -> None:
        """Wake the thread, or start it: an earlier start may have failed."""
        if self._status.due_at == NEVER:
            self._status.due_at = time.monotonic() + self._interval
        self._changed.notify_all()
        self._start_follower()
        if not self._uses_thread or (self._thread is not None and self._thread.is_alive()):
            return
        thread = threading.Thread(target=self._run, name="eventtrack-writer", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:  # no more threads, or the interpreter is shutting down
            self._note_failure(error, "The writer cannot start, and events wait: %s")
        else:
            self._thread = thread

    def _start_follower(self) -> None:
        """Start the threads of the host's functions on events, if there are any."""
        hooks = self._hooks
        if not self._uses_thread or self._status.life != "running" or hooks.is_testing():
            return
        if (follower := self._find_follower()) is not None:
            try:
                follower.ensure_threads()
            except RuntimeError as error:
                logger.error("Functions on events cannot run: %s", error)

    def _find_follower(self) -> Follower | None:
        if self._follower is None and self._hooks.functions() is not None:
            from .following import Follower  # which an app without functions does not need

            find, alone, interval = self._hooks.functions, self.write_alone, self._interval
            self._follower = Follower(self.database, self._hooks, find, alone, interval)
        return self._follower

    def run_functions(self) -> None:
        """Run the host's functions on stored events here, in tests and in memory: no thread does.

        :raises Exception: what a function raises.
        """
        if self._uses_thread and not self._hooks.is_testing():
            return
        if self._writing_thread is threading.current_thread():
            return  # a receiver of our signals has asked for a flush
        if self.writes and (follower := self._find_follower()) is not None:
            follower.run_waiting()

    def _stop_follower(self, timeout: float) -> None:
        """Leave the functions to other processes. A later record starts them again."""
        follower, self._follower = self._follower, None
        if follower is not None:
            follower.stop(timeout)

    def flush(self, timeout: float | None = None) -> None:
        """Return once everything put so far is in the database.

        :param timeout: seconds to wait; None waits for as long as the attempt takes.
        :raises FlushTimeout: it took longer.
        :raises sqlalchemy.exc.SQLAlchemyError: the database refused. The records are kept, and the
            thread goes on trying.
        """
        this = threading.current_thread()
        if this is self._thread or this is self._writing_thread:
            return  # a log handler or a receiver of our signals asks: it would wait for itself
        if self._uses_thread:
            self._await_written(timeout)
        else:
            self._drain()
        if self._is_expecting:
            self._count_uncounted()

    def _await_written(self, timeout: float | None) -> None:
        status = self._status
        with self._lock:
            target, failures = status.put, status.failures
            status.is_hurried = True
            self._notify()
            self._changed.wait_for(
                lambda: (
                    status.written >= target
                    or status.failures > failures
                    or status.life == "closed"
                ),
                timeout,
            )
            if status.written >= target:
                return
            if status.failures > failures and status.error is not None:
                raise status.error
        raise FlushTimeout(
            f"Records still waiting after {timeout} s: {self.waiting}. They are kept."
        )

    def sweep(self) -> list[tuple[uuidlib.UUID, EndReason]]:
        """End every session that has been silent for long enough; return those ended here.

        Then close days, count again what is marked, and note the app's release.
        """
        ended: list[tuple[uuidlib.UUID, EndReason]] = []
        with self.write_alone():
            while self.writer.look_for_visits():
                pass
            while self.writer.apply_aliases():
                pass
            while self.writer.settle_touches():
                pass
            while self.writer.clean_log():
                pass
        while True:
            with self.write_alone():
                batch = self.writer.sweep()
            if not batch:
                break
            ended += batch
        for _ in self.close_days():
            pass
        with self.write_alone():
            self.writer.note_release()
        return ended

    def close_days(self) -> cabc.Iterator[DayStep]:
        """Close days, and count again what is marked; yield each step that was done."""
        steps = self.writer.close_days()
        while True:
            with self.write_alone():
                step = next(steps, None)
            if step is None:
                return
            yield step

    def prune(self, *, is_sure: bool = False) -> cabc.Iterator[Pruned]:
        """Remove what is past its retention period; yield what each batch has removed.

        :param is_sure: whether the clock is right, whatever speaks against it.
        """
        self.sweep()  # only sessions that are over are removed
        return self.writer.prune(is_sure=is_sure)

    def forget(
        self, profiles: cabc.Collection[uuidlib.UUID], customer_id: str | None = None
    ) -> cabc.Iterator[Erased]:
        """Erase the person who has these profiles; yield the totals removed so far.

        :raises sqlalchemy.exc.SQLAlchemyError: the database refused, perhaps half-way; try again.
        """
        self.settle()
        erasure = self.writer.erase(profiles)
        yield from erasure.run()
        known = {customer_id} if customer_id else set()
        self._discard(_needles_of(erasure.profiles, known | erasure.customer_ids))

    def replay(self, notes: cabc.Sequence[Note]) -> None:
        """Put tombstones and objections back, and write or drop what waits."""
        with self.write_alone():
            self.writer.restore(notes)
        self.settle()

    def erase_again(
        self, profiles: cabc.Collection[uuidlib.UUID], at: dt.datetime
    ) -> tuple[Erased, list[str]]:
        """Repeat an erasure of exactly these profiles; return the totals and the customers' ids.

        :raises sqlalchemy.exc.SQLAlchemyError: the database refused, perhaps half-way; try again.
        """
        erasure = self.writer.erase(profiles, at, is_replay=True)
        *_, erased = erasure.run()
        self._discard(_needles_of(erasure.profiles, erasure.customer_ids))
        return erased, sorted(erasure.customer_ids)

    def opt_out(self, profiles: cabc.Collection[uuidlib.UUID]) -> None:
        """Write what was recorded so far, and record nothing more of the person.

        :raises sqlalchemy.exc.SQLAlchemyError: the database refused; try again.
        """
        self.flush()
        with self.write_alone():
            self.writer.opt_out(profiles)

    def opt_in(self, profiles: cabc.Collection[uuidlib.UUID]) -> bool:
        """Drop what has come in since the objection, and record the person again.

        :returns: whether they had objected.
        :raises sqlalchemy.exc.SQLAlchemyError: the database refused; try again.
        """
        self.flush()
        with self.write_alone():
            return self.writer.opt_in(profiles)

    def settle(self) -> None:
        """Write waiting records, also those of dead processes, and keep none of them on the disk.

        :raises sqlalchemy.exc.SQLAlchemyError: the database refused; the records are kept.
        """
        self.flush()
        with self.write_alone():
            self._queue.adopt()
            while self._queue.is_behind() and self._status.life != "closed":
                self._drain()
        self._discard()

    def _discard(self, needles: cabc.Collection[bytes] = ()) -> None:
        with self.write_alone(), self._lock:
            self._queue.discard(needles)

    def drop_waiting(self) -> None:
        """Drop what waits in memory, unless it is being written now. A journal is kept."""
        # The writer may wait for a lock of the caller's own transaction, so we do not wait long.
        if self.has_journal or not self._writing.acquire(timeout=_MAX_DROP_DELAY):
            return
        try:
            with self._lock:
                self._made = self._make_queue()
                self._outcomes.clear()
                self._reads.take()
                self._status.written = self._status.put
                self._changed.notify_all()
        finally:
            self._writing.release()

    def hurry(self) -> None:
        """Have the thread write waiting records now."""
        with self._lock:
            self._status.is_hurried = True
            self._changed.notify_all()

    def leave(self, timeout: float) -> None:
        """At the end of the process: write waiting records, then end the thread; raises nothing.

        A later record starts another thread, or waits in the journal.

        :param timeout: seconds for both.
        """
        deadline = time.monotonic() + timeout
        with self._lock:
            thread = self._thread
            if thread is not None and thread.is_alive():
                self._changed.wait_for(lambda: not self.waiting, timeout)
                if self._status.life == "running":
                    self._status.life = "leaving"
                self._changed.notify_all()
        if thread is not None:
            thread.join(max(0.0, deadline - time.monotonic()))
        self._stop_follower(max(0.0, deadline - time.monotonic()))

    def stop(self, timeout: float) -> None:
        """End the thread for good after its current batch. Waiting records are not written."""
        if self._status.life == "abandoned":
            return
        with self._lock:
            self._status.life = "closed"
            self._changed.notify_all()
            thread = self._thread
            if thread is None or not thread.is_alive():
                self._queue.close()
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout)
        self._stop_follower(timeout)

    def close(self) -> None:
        """Stop, and give the connection back."""
        self.stop(_CLOSE_TIMEOUT)
        self.database.close()

    def pause(self) -> None:
        """Before a fork: finish the transaction, and close the connection to a SQLite file.

        SQLite's locks belong to the process: connections that a child inherits break its own for
        good (https://sqlite.org/howtocorrupt.html, section 2.6). Under gevent the child also has
        the parent's writer, a greenlet, which would go on with the parent's transaction. In all
        other cases the child inherits nothing that it uses, and the fork need not wait.
        """
        is_file = self.database.is_file
        patience = _MAX_FORK_DELAY if is_file or is_patched_by_gevent() else 0
        if self._writing.acquire(timeout=patience) and is_file:
            self.database.close()

    def resume(self) -> None:
        """After a fork, in the parent."""
        with contextlib.suppress(RuntimeError):  # pause() has not got the lock
            self._writing.release()

    def abandon(self) -> None:
        """In a fork's child: leave everything to the parent.

        No lock is taken: a thread of the parent may have held it, and does not exist here.
        """
        self._status.life = "abandoned"
        if self._made is not None:
            self._made.abandon()
        if self._follower is not None:
            self._follower.abandon()
        self.database.forget_connections()

    # The thread

    def _run(self) -> None:
        try:
            while (step := self._await_step()) != "end":
                written = self._status.written
                if step == "chores":
                    self._do_chores(is_first=not self._status.chores_at)
                    self._status.chores_at = time.monotonic() + CHORES_INTERVAL
                elif step == "chore":
                    self._do_chore()
                else:
                    self._attempt(self._write)
                self._plan(is_busy=self._status.written > written)
        finally:
            if self._status.life != "abandoned":
                self._end()

    def _await_step(self) -> Step:
        with self._lock:
            while True:
                now = time.monotonic()
                step = next_step(self._status, now)
                if step == "write":
                    self._status.is_hurried = False
                    self._status.due_at = self._status.look_at = NEVER
                if step != "wait":
                    return step
                self._changed.wait(self._status.wakes_at - now)

    def _end(self) -> None:
        with self._writing:  # a fork waits for it
            self.database.close()
        with self._lock:
            if self._status.life == "leaving":
                self._status.life = "running"
            self._status.chores_at, self._status.turn_at = 0.0, NEVER
            self.chores.stop()
            self._thread = None
            self._queue.close()

    def _plan(self, *, is_busy: bool) -> None:
        """Set the time to write waiting records, unless a failure has set it already.

        :param is_busy: whether records were just written. More of them will come, and the thread
            looks for them by itself: waking it takes as long as recording a visit.
        """
        status = self._status
        with self._lock:
            if status.failed and status.due_at < NEVER:
                return
            is_waiting = status.waiting > 0 or self._queue.is_behind()
            if is_waiting or is_busy or self._is_expecting:
                # Not later than before: chores must not put it off again and again.
                status.due_at = min(status.due_at, time.monotonic() + self._interval)
            else:
                status.due_at = NEVER
                if self._queue.is_holding():
                    status.look_at = min(status.look_at, time.monotonic() + _LOOK_INTERVAL)

    def _write(self) -> None:
        self._drain()
        if self._is_expecting and self._count_some() and self.sink is self.writer:
            self._begin_chores()  # which count the rest

    def _attempt(self, work: cabc.Callable[[], None]) -> None:
        before = self.sink.committed
        try:
            work()
        except Exception as error:  # noqa: BLE001 - the thread outlives whatever the database does
            self._note_failure(error, "Events cannot be written, and wait: %s")
            return
        # While events wait, only one that is written shows that the fault is over.
        is_written = self.sink.committed > before
        if self._status.failed and (is_written or not self.waiting):
            self._status.failed, self._status.error = 0, None
            logger.warning(
                "Events are written again." if is_written else "No events wait any more."
            )

    def _note_failure(self, error: Exception, message: str) -> None:
        status = self._status
        with self._lock:
            is_news = type(error) is not type(status.error)
            status.error = error
            status.failed += 1
            spread = random.uniform(0.5, 1)  # noqa: S311 - so that processes do not try at once
            pause = spread * longest_pause(status.failed, self._interval)
            status.due_at, status.look_at = time.monotonic() + pause, NEVER
        if is_news:  # noted already: a host's log handler may track, and so come back here
            logger.error(message, explain(self.database, error, self.writer.now) or error)
        with self._lock:
            status.failures += 1
            self._changed.notify_all()

    def _drain(self) -> None:
        """Write the records that wait now, and later ones only if they fill a batch."""
        with self._lock:
            target = self._status.put
        with self.write_alone():
            while self._status.life != "closed" and self._drain_batch():
                if self._uses_thread and self._may_rest(target):
                    break

    @contextlib.contextmanager
    def write_alone(self) -> t.Iterator[None]:
        """Hold up everything else in this process that writes."""
        with self._writing:
            before, self._writing_thread = self._writing_thread, threading.current_thread()
            try:
                yield
            finally:
                self._writing_thread = before

    def _may_rest(self, target: int) -> bool:
        if time.monotonic() >= min(self._status.chores_at, self._status.turn_at):
            self._status.is_hurried = True  # the rest comes right after the chores
            return True
        is_little = self.waiting < BATCH_SIZE and not self._queue.is_behind()
        return self._status.written >= target and is_little

    def _drain_batch(self) -> bool:
        """Bring what waits into the database, up to a limit; False if there is nothing."""
        with self._lock:
            put = self._status.put
            outcomes, self._outcomes = self._outcomes, collections.Counter()
            reads = self._reads.take()
        try:
            self._check_queue()
            claimed = self._queue.claim(self.sink.claim_size)
            if claimed is not None or outcomes or reads.counts:
                self._commit(claimed, outcomes, reads)
                return True
        except BaseException as error:
            with self._lock:
                self._outcomes += outcomes
                self._reads.put_back(reads)
            if not isinstance(error, Lost):
                raise
            self._queue.check()
            return True
        with self._lock:
            # Records that never came out again are lost, as when a journal's file is deleted.
            if self._status.put == put != self._status.written:
                self._status.written = put
                self._changed.notify_all()
        return False

    def _check_queue(self) -> None:
        """Find out from time to time whether the sink still has what is held."""
        now = time.monotonic()
        if now >= self._checked_at + _LOOK_INTERVAL and self._queue.is_holding():
            self._queue.check()
            self._checked_at = now

    def _commit(
        self,
        claimed: Claimed | None,
        outcomes: collections.Counter[Outcome],
        reads: Taken,
    ) -> None:
        """Write records and counts, and acknowledge the records only then."""
        batch = claimed or Claimed([])
        records, foreign = _decode(batch.payloads)
        counts = collections.Counter[Counted](outcomes)
        counts.update(reads.counts)
        unreadable = len(foreign) + batch.damaged
        if unreadable:
            counts[Outcome("dropped", "", "unreadable")] += unreadable
        self.sink.commit(
            records,
            counts,
            is_replay=batch.is_replay or self._status.failed > 0,
            progress=batch.progress,
        )
        if claimed is not None:
            self._queue.acknowledge(claimed, foreign)
        with self._lock:
            # Replayed records were put by another process.
            ours = 0 if batch.is_replay else len(batch.payloads)
            self._status.written += outcomes.total() + reads.records + ours
            self._changed.notify_all()
        self.wake_functions()

    def wake_functions(self) -> None:
        """Have the host's functions look for new events, if this process runs them."""
        if self._follower is not None:
            self._follower.wake()

    def _do_chores(self, *, is_first: bool) -> None:
        """Adopt dead processes' journals, and begin what else is done each minute."""
        try:
            with self.write_alone():
                has_orphans = self._queue.adopt()
            if has_orphans:
                self.hurry()
            if not is_first:  # at first, events wait already
                self._discard()
                if self.sink is self.writer:  # else the workers do them
                    self._begin_chores()
        except Exception as error:  # noqa: BLE001 - the next time finds what this one left
            note_failed_chores(error)

    def _begin_chores(self) -> None:
        if self.chores.begin():
            self._status.turn_at = time.monotonic()

    def _do_chore(self) -> None:
        """Do one transaction's worth of the chores; between two of them, events are written."""
        self.chores.do_one()
        has_more = self.chores.has_more
        self._status.turn_at = time.monotonic() + _TURN if has_more else NEVER

    @property
    def _is_expecting(self) -> bool:
        return time.monotonic() < self._status.expecting_until

    def _count_uncounted(self) -> None:
        while self._count_some():
            pass

    def _count_some(self) -> int:
        with self.write_alone():
            return self.writer.count_uncounted()


def _decode(payloads: cabc.Iterable[bytes]) -> tuple[list[Record], list[bytes]]:
    """Return the records, and the payloads that are not records."""
    records: list[Record] = []
    foreign: list[bytes] = []
    for payload in payloads:
        try:
            records.append(decode_record(payload))
        except (msgspec.DecodeError, ValueError):
            foreign.append(payload)
    return records, foreign


def _needles_of(profiles: set[uuidlib.UUID], customer_ids: set[str]) -> set[bytes]:
    """Return bytes that a person's records contain, by which to find them even if damaged."""
    needles = set(map(msgspec.msgpack.encode, customer_ids))
    for uuid in profiles:
        needles |= {uuid.bytes, uuid.hex.encode(), str(uuid).encode()}
    return needles
