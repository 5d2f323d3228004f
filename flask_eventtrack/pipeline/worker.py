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
    from ..event import Record
    from .writer import Writer

logger = logging.getLogger("flask_eventtrack")

BATCH_SIZE = 500
SWEEP_INTERVAL = 60.0
_MAX_BACKOFF = 30.0


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
        self._dropped: collections.Counter[str] = collections.Counter()
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
            if after > self._capacity:
                return False
            self._waiting.extend(records)
            self._put += len(records)
            if not before or before < BATCH_SIZE <= after:
                self._changed.notify_all()
            if self._thread is None and not self._in_memory:
                self._start()
        return True

    def drop(self, action: str) -> None:
        """Count an event for which there was no room."""
        with self._changed:
            self._dropped[action] += 1
            self._changed.notify_all()

    def flush(self, timeout: float | None) -> None:
        if self._in_memory:
            self._write_all()
            return
        with self._changed:
            target, failures = self._put, self._failures
            self._hurry = True
            self._changed.notify_all()
            self._changed.wait_for(
                lambda: (
                    (self._written >= target and not self._dropped)
                    or self._failures > failures
                    or self._closed
                ),
                timeout,
            )
            if self._written >= target and not self._dropped:
                return
            if self._failures > failures and self._error is not None:
                raise self._error
        raise FlushTimeout(
            f"{len(self)} records were not written within {timeout} seconds; they are kept."
        )

    def drain(self, timeout: float) -> None:
        """Give the thread a last chance to write what waits."""
        with self._changed:
            if self._thread is not None and self._thread.is_alive():
                self._hurry = True
                self._changed.notify_all()
                self._changed.wait_for(lambda: not self._waiting, timeout)

    def stop(self, timeout: float) -> None:
        """End the thread once it has finished the batch it is at."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout)

    def _start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="eventtrack-writer", daemon=True)
        self._thread.start()

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
                backoff = min(_MAX_BACKOFF, self._interval * 2**failed) * random.uniform(0.5, 1)  # noqa: S311
                self._changed.wait_for(lambda: self._hurry or self._closed, backoff)
            else:
                self._changed.wait_for(
                    lambda: self._waiting or self._dropped or self._hurry or self._closed,
                    max(0.0, next_sweep - time.monotonic()),
                )
                if self._waiting:
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
            while self._waiting or self._dropped:
                with self._changed:
                    batch = list(itertools.islice(self._waiting, BATCH_SIZE))
                    dropped, self._dropped = self._dropped, collections.Counter()
                self._write(batch, dropped)

    def _write(self, batch: list[Record], dropped: collections.Counter[str]) -> None:
        try:
            self.writer.write(batch, dropped)
        except BaseException:
            with self._changed:
                self._dropped += dropped
            raise
        with self._changed:
            for _ in batch:
                self._waiting.popleft()
            self._written += len(batch)
            self._changed.notify_all()

    def _sweep(self) -> None:
        try:
            while self.writer.sweep():
                pass
        except Exception as error:  # noqa: BLE001 - the next sweep finds what this one left
            logger.warning("Silent sessions could not be ended: %s", error)
