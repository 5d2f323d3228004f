"""One pipeline for each process of an app: through forks, and to the end of the process.

A pipeline has a thread, locks, open files and a connection. None of these may be used by a fork's
child. So the parent's pipeline pauses before a fork and resumes after it, and the child abandons it
without touching what belongs to the parent. Some servers fork without telling Python, as uWSGI
does: there the child abandons it when it first asks for a pipeline.
"""

from __future__ import annotations

import atexit
import logging
import os
import sys
import time
import typing as t
import weakref

# Imported before our hooks are registered, so that ours run first: once filelock's hook has run, no
# thread can release a lock until the fork is over, and our hook waits for such a thread.
import filelock  # noqa: F401

if t.TYPE_CHECKING:
    import collections.abc as cabc

    from .pipeline import Pipeline

logger: logging.Logger = logging.getLogger("flask_eventtrack")

_EXIT_TIMEOUT = 3.0


class Pipelines:
    """The pipelines of an app, by process.

    :param make: returns a new pipeline.
    """

    def __init__(self, make: cabc.Callable[[], Pipeline]) -> None:
        self._make = make
        self._by_pid: dict[int, Pipeline] = {}
        _all.add(self)

    def get(self) -> Pipeline:
        """Return this process's pipeline.

        It is made when it is first used, not at start-up: gevent may patch its locks until then.
        """
        return self._by_pid.get(os.getpid()) or self._begin()

    def find(self) -> Pipeline | None:
        """Return this process's pipeline, or None if it was not used yet."""
        return self._by_pid.get(os.getpid())

    def replace(self, pipeline: Pipeline) -> None:
        """Have this process use another pipeline, as a test does that captures events."""
        self._by_pid[os.getpid()] = pipeline
        _begun.add(pipeline)

    def _begin(self) -> Pipeline:
        self.abandon_others()
        made = self._make()
        ours = self._by_pid.setdefault(os.getpid(), made)  # another thread may have been faster
        if ours is made:
            _begun.add(ours)
            _warn_of_uwsgi()
            # A dropped app ends its thread, which refers to neither the app nor this object.
            weakref.finalize(self, ours.stop, 0.0).atexit = False
        return ours

    def abandon_others(self) -> None:
        """In a fork's child: let go of the parent's pipeline."""
        for pid in list(self._by_pid):  # another thread may do the same
            if pid != os.getpid() and (parents := self._by_pid.pop(pid, None)) is not None:
                parents.abandon()


def _warn_of_uwsgi() -> None:
    """Warn if uWSGI is about to fork a process that has our thread, without telling Python."""
    uwsgi = sys.modules.get("uwsgi")  # it exists inside uWSGI only
    if uwsgi is None or uwsgi.worker_id() or not uwsgi.masterpid():
        return
    if "py-call-uwsgi-fork-hooks" not in uwsgi.opt:
        # The child gets a copy of the interpreter's lock, perhaps with our thread waiting for it.
        logger.warning(
            "Events are tracked before uWSGI forks its workers, and a worker may hang. Start uWSGI "
            "with --py-call-uwsgi-fork-hooks or --lazy-apps."
        )


_all: weakref.WeakSet[Pipelines] = weakref.WeakSet()
# This process's pipelines, also those of dropped apps: their threads are ending, and a fork in the
# middle would copy a lock of SQLite's that no thread of the child releases.
_begun: weakref.WeakSet[Pipeline] = weakref.WeakSet()


def _ours() -> list[Pipeline]:
    return [found for pipelines in list(_all) if (found := pipelines.find())]


def _leave() -> None:
    """Write waiting records before the process ends: all pipelines within one time limit."""
    deadline = time.monotonic() + _EXIT_TIMEOUT
    for pipeline in _ours():
        pipeline.hurry()
    for pipeline in _ours():
        pipeline.leave(max(0.0, deadline - time.monotonic()))


def _pause() -> None:
    for pipeline in list(_begun):
        pipeline.pause()


def _resume() -> None:
    for pipeline in list(_begun):
        pipeline.resume()


def _abandon() -> None:
    _begun.clear()
    for pipelines in list(_all):
        pipelines.abandon_others()


atexit.register(_leave)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_pause, after_in_parent=_resume, after_in_child=_abandon)
