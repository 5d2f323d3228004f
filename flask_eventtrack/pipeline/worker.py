"""The buffer between the requests of one process and its writer thread."""

from __future__ import annotations

import collections
import itertools
import logging
import random
import threading
import time
import typing as t

from ..errors import FlushTimeout

if t.TYPE_CHECKING:
    from ..event import Outcome, Record
    from .writer import Writer

logger = logging.getLogger("flask_eventtrack")

BATCH_SIZE = 500
SWEEP_INTERVAL = 60.0
_MAX_BACKOFF = 30.0
_MAX_OUTCOMES = 1000  # distinct ones that wait to be written


class Worker:
    """Holds records until its thread has written them; the thread starts with the first record.

    :param interval: seconds that a record waits for others.
    :param capacity: how many records may wait.
    """

    def __init__(self, writer: Writer, *, interval: float, capacity: int) -> None:
        self.writer = writer
        self._interval = interval
        self._capacity = capacity
        self._in_memory = writer.database.is_in_memory
        self._waiting: collections.deque[Record] = collections.deque()
        self._outcomes: collections.Counter[Outcome] = collections.Counter()
        self._changed = threading.Condition()
        self._writing = threading.Lock()
        self._thread: threading.Thread | None = None
        self._hurry = False
        self._closed = False
        self._put = 0
        self._written = 0
        self._failures = 0
        self._error: Exception | None = None

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, records: tuple[Record, ...]) -> bool:
        """Append all records or none: False where there is no room."""
        with self._changed:
            before = len(self._waiting)
            after = before + len(records)
            if after > self._capacity or self._closed:
                return False
            self._waiting.extend(records)
            self._put += len(records)
            if not before or before < BATCH_SIZE <= after:
                self._notify()
        return True

    def _notify(self) -> None:
        """Wake the thread, or start it: a fork leaves it behind, and it may not start at once."""
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

    def count(self, outcome: Outcome) -> None:
        """Count an event that came to nothing, beside the records and without their room."""
        with self._changed:
            if len(self._outcomes) >= _MAX_OUTCOMES and outcome not in self._outcomes:
                outcome = outcome._replace(action="", reason="others")
            self._outcomes[outcome] += 1
            self._put += 1
            self._notify()

    def flush(self, timeout: float | None) -> None:
        if self._in_memory:
            self._write_all()
            return
        with self._changed:
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
            f"{len(self)} records were not written within {timeout} seconds; they are kept."
        )

    def hurry(self) -> None:
        """Have the thread write now what waits."""
        with self._changed:
            self._hurry = True
            self._changed.notify_all()

    def drain(self, timeout: float) -> None:
        """Give the thread a last chance to write what waits."""
        with self._changed:
            if self._thread is not None and self._thread.is_alive():
                self._changed.wait_for(lambda: not self._waiting and not self._outcomes, timeout)

    def stop(self, timeout: float) -> None:
        """End the thread once it has finished the batch it is at."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout)

    def _run(self) -> None:
        next_sweep = time.monotonic() + SWEEP_INTERVAL
        failed = 0
        while not self._closed:
            self._wait(next_sweep, failed)
            if time.monotonic() >= next_sweep:
                self._sweep()
                next_sweep = time.monotonic() + SWEEP_INTERVAL
            failed = 0 if self._attempt() else failed + 1
        self.writer.database.close()

    def _wait(self, next_sweep: float, failed: int) -> None:
        """Wait until there is something to do: a batch, an old record, a flush or a sweep."""
        with self._changed:
            if failed:
                limit = min(_MAX_BACKOFF, self._interval * 2 ** min(failed, 10))
                backoff = limit * random.uniform(0.5, 1)  # noqa: S311 - it only spreads the load
                self._changed.wait_for(lambda: self._hurry or self._closed, backoff)
            else:
                self._changed.wait_for(
                    lambda: self._waiting or self._outcomes or self._hurry or self._closed,
                    max(0.0, next_sweep - time.monotonic()),
                )
                if self._waiting or self._outcomes:
                    self._changed.wait_for(
                        lambda: len(self) >= BATCH_SIZE or self._hurry or self._closed,
                        self._interval,
                    )
            self._hurry = False

    def _attempt(self) -> bool:
        try:
            self._write_all()
        except Exception as error:  # noqa: BLE001 - the thread outlives whatever the database does
            if type(error) is not type(self._error):
                logger.error("Events cannot be written, and wait: %s", error)
            with self._changed:
                self._failures += 1
                self._error = error
                self._changed.notify_all()
            return False
        if self._error is not None:
            logger.warning("Events are written again.")
            self._error = None
        return True

    def _write_all(self) -> None:
        with self._writing:
            while self._waiting or self._outcomes:
                with self._changed:
                    batch = list(itertools.islice(self._waiting, BATCH_SIZE))
                    outcomes, self._outcomes = self._outcomes, collections.Counter()
                self._write(batch, outcomes)

    def _write(self, batch: list[Record], outcomes: collections.Counter[Outcome]) -> None:
        try:
            self.writer.write(batch, outcomes)
        except BaseException:
            with self._changed:
                self._outcomes += outcomes
            raise
        with self._changed:
            for _ in batch:
                self._waiting.popleft()
            self._written += len(batch) + outcomes.total()
            self._changed.notify_all()

    def _sweep(self) -> None:
        try:
            while self.writer.sweep():
                pass
        except Exception as error:  # noqa: BLE001 - the next sweep finds what this one left
            logger.warning("Silent sessions could not be ended: %s", error)
