"""The road from a source to the database, as the rest of the extension sees it.

Each process has a worker of its own. Before a fork the parent's pauses, and goes on afterwards; the
child forgets it, without touching what is the parent's. Where a server forks without telling
Python, the child does so when it first asks for a worker.
"""

from __future__ import annotations

import atexit
import os
import time
import typing as t
import uuid as uuidlib
import weakref

import msgspec

from .worker import Worker
from .writer import Hooks, Writer

if t.TYPE_CHECKING:
    import collections.abc as cabc

    from ..records import EndReason, Outcome, Record
    from ..store import Database, Erased, Pruned
    from .queue import Queue

_EXIT_TIMEOUT = 3.0


class Pipeline:
    """Takes records from any thread; the process's writer thread brings them into the database.

    :param make_queue: returns where the records wait; called again in a fork's child.
    :param flush_interval: seconds that a record waits for others.
    """

    def __init__(
        self,
        database: Database,
        hooks: Hooks,
        make_queue: cabc.Callable[[], Queue],
        *,
        flush_interval: float,
    ) -> None:
        self.database = database
        self._writer = Writer(database, hooks)
        self._make_queue = make_queue
        self._flush_interval = flush_interval
        self._workers: dict[int, Worker] = {}
        _pipelines.add(self)

    @property
    def _worker(self) -> Worker:
        """This process's worker, made when it is first used: gevent may patch the locks that it
        makes after a fork, and a server may fork behind Python's back, as uWSGI does."""
        return self._workers.get(os.getpid()) or self._make_worker()

    def _make_worker(self) -> Worker:
        self.forget_others()
        made = Worker(self._writer, self._make_queue(), interval=self._flush_interval)
        worker = self._workers.setdefault(os.getpid(), made)  # another thread may be as far
        if worker is made:
            # The thread holds the worker, not the pipeline: a dropped app takes it along.
            weakref.finalize(self, worker.stop, 0.0).atexit = False
        return worker

    def put(self, *records: Record) -> bool:
        """Append records, or none of them: False says that there is no room.

        True says that they survive what ``EVENTTRACK_DURABILITY`` promises.
        """
        worker = self._workers.get(os.getpid()) or self._make_worker()
        return worker.put(records)

    @property
    def waiting(self) -> int:
        """How many records of this process have not been written yet."""
        return self._worker.waiting

    def start(self) -> None:
        """Start the writer, which first takes over what dead processes have left."""
        self._worker.start()

    def count(self, outcome: Outcome, by: int = 1) -> None:
        """Count events that came to nothing."""
        self._worker.count(outcome, by)

    def expect_uncounted(self) -> None:
        """Have the writer look for events that a host is about to commit in its own transaction."""
        self._worker.expect_uncounted()

    def flush(self, timeout: float | None = None) -> None:
        """Return once everything put so far is in the database.

        :param timeout: seconds to wait; None waits for as long as the attempt takes.
        :raises FlushTimeout: it took longer.
        :raises sqlalchemy.exc.SQLAlchemyError: the database refused. The records are kept, and the
            writer goes on trying.
        """
        self._worker.flush(timeout)

    def sweep(self) -> list[tuple[uuidlib.UUID, EndReason]]:
        """End every session that has been silent for long enough; return those ended here."""
        return self._worker.sweep()

    def forget(
        self, profiles: cabc.Collection[uuidlib.UUID], customer_id: str | None = None
    ) -> cabc.Iterator[Erased]:
        """Erase the person who has these profiles; yield now and then how much is removed so far.

        :raises sqlalchemy.exc.SQLAlchemyError: the database refused, perhaps half-way; try again.
        """
        self._worker.settle()
        erasure = self._writer.erase(profiles)
        yield from erasure.run()
        known = {customer_id} if customer_id else set()
        self._worker.discard(_needles_of(erasure.profiles, known.union(erasure.customer_ids)))

    def prune(self) -> cabc.Iterator[Pruned]:
        """Remove what is older than it is kept; yield what each batch has removed."""
        self._worker.sweep()
        return self._writer.prune()

    def count_old(self) -> Pruned:
        """Return how much :meth:`prune` would remove."""
        return self._writer.count_old()

    def hurry(self) -> None:
        """Have the writer write now what waits."""
        if worker := self._workers.get(os.getpid()):
            worker.hurry()

    def leave(self, timeout: float) -> None:
        """Give the writer up to ``timeout`` seconds to write what waits; raises nothing."""
        if worker := self._workers.get(os.getpid()):
            worker.leave(timeout)

    def close(self) -> None:
        """End the thread and give the connection back. What waits is not written."""
        self._worker.stop(_EXIT_TIMEOUT)
        self.database.close()

    def pause(self) -> None:
        """Before a fork."""
        if worker := self._workers.get(os.getpid()):
            worker.pause()

    def go_on(self) -> None:
        """After a fork, in the parent."""
        if worker := self._workers.get(os.getpid()):
            worker.go_on()

    def forget_others(self) -> None:
        """In a fork's child: forget what is the parent's."""
        for pid in list(self._workers):  # another thread may be at the same
            if pid != os.getpid() and (worker := self._workers.pop(pid, None)) is not None:
                worker.forget()
                self.database.forget_connections()


def _needles_of(profiles: set[uuidlib.UUID], customer_ids: set[str]) -> set[bytes]:
    """Return what records of a person contain, also where they cannot be read any more."""
    needles = set(map(msgspec.msgpack.encode, customer_ids))
    for uuid in profiles:
        needles |= {uuid.bytes, uuid.hex.encode(), str(uuid).encode()}
    return needles


_pipelines: weakref.WeakSet[Pipeline] = weakref.WeakSet()


def _leave_all() -> None:
    deadline = time.monotonic() + _EXIT_TIMEOUT
    pipelines = list(_pipelines)
    for pipeline in pipelines:
        pipeline.hurry()
    for pipeline in pipelines:
        pipeline.leave(max(0.0, deadline - time.monotonic()))


def _pause_workers() -> None:
    for pipeline in list(_pipelines):
        pipeline.pause()


def _go_on() -> None:
    for pipeline in list(_pipelines):
        pipeline.go_on()


def _forget_parents() -> None:
    for pipeline in list(_pipelines):
        pipeline.forget_others()


atexit.register(_leave_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_pause_workers, after_in_parent=_go_on, after_in_child=_forget_parents
    )
