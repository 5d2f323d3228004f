"""Captures events: while one is open, its apps use pipelines that show it each record."""

from __future__ import annotations

import collections
import collections.abc as cabc
import contextlib
import dataclasses
import datetime as dt
import functools
import os
import sys
import types
import typing as t

from flask import Flask
from sqlalchemy import orm
from sqlalchemy.exc import SQLAlchemyError

from ..errors import InvalidEvent
from ..pipeline.pipeline import Pipeline
from ..pipeline.queue import MemoryQueue
from ..records import Event, Outcome, Record, from_ns
from ..signals import event_rejected
from ..state import State, find_state, registered, watchers
from .log import Log
from .rollbacks import watch_rollback
from .tracked import Source, Tracked

# Seconds for the app's own thread to write what waits, and to end.
_PATIENCE = 3.0


class Options(t.NamedTuple):
    """What :meth:`.EventTrack.capture` takes."""

    write: bool = False
    stored: bool = False
    allow_mistakes: bool = False
    forbid_personal_data: bool = False
    filter_bots: bool = False


class CapturingPipeline(Pipeline):
    """Shows each record to a log. Writes it, if at all, in the thread that flushes.

    :param original: the app's own pipeline, which rests meanwhile.
    """

    def __init__(self, original: Pipeline, state: State, log: Log, *, writes: bool) -> None:
        hooks = dataclasses.replace(original._hooks, erasures=None)  # which is a file
        super().__init__(original.database, hooks, lambda: MemoryQueue(sys.maxsize), dt.timedelta())
        self.writes = writes
        self._original = original
        self._state = state
        self._log = log

    @property
    def _uses_thread(self) -> bool:
        return False

    def put(self, *records: Record) -> bool:
        self._log.take(self._state, records)
        return super().put(*records) if self.writes else True

    def count(self, outcome: Outcome, by: int = 1) -> None:
        self._log.note(outcome)
        if self.writes:
            super().count(outcome, by)

    def expect_uncounted(self, event: Event, db_session: orm.Session) -> None:
        self._log.take(self._state, [event])
        watch_rollback(db_session, functools.partial(self._log.forget, event))
        if self.writes:
            super().expect_uncounted(event, db_session)

    def flush(self, timeout: float | None = None) -> None:
        if self.writes:
            if self._original.has_thread:  # two may not write at once
                self._original.leave(_PATIENCE)
            super().flush(timeout)

    def abandon(self) -> None:
        self._original.abandon()
        super().abandon()


class Capture:
    """A context that captures events, and gives a :class:`.Tracked`.

    :param belongs: tells whether it captures an app's events.
    """

    def __init__(
        self, options: Options, belongs: cabc.Callable[[State], bool] = lambda _: True
    ) -> None:
        self._options = options
        self._belongs = belongs
        self._log = Log()
        self._sources: list[Source] = []
        self._restore: list[cabc.Callable[[], None]] = []
        self._pid = os.getpid()
        self.tracked: Tracked = Tracked(self._log, self._sources, waits=options.stored)

    def __enter__(self) -> Tracked:
        return self.open()

    def open(self) -> Tracked:
        """Begin to capture."""
        watchers.append(self._join)
        event_rejected.connect(self._note_rejected)
        for state in list(registered):
            self._join(state)
        self.skip_stored()
        return self.tracked

    def skip_stored(self) -> None:
        """Leave out the mistakes that the database has counted before the test."""
        for source in self._sources if self._options.stored else ():
            with contextlib.suppress(SQLAlchemyError):  # there are no tables yet
                source.count_new()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: types.TracebackType | None,
    ) -> None:
        self.close()
        if error is None:
            self.check()

    def close(self) -> None:
        """Give the apps their own pipelines back."""
        if os.getpid() != self._pid:  # the child of a fork has done so already
            return
        watchers.remove(self._join)
        event_rejected.disconnect(self._note_rejected)
        while self._restore:
            self._restore.pop()()

    def check(self) -> None:
        """Fail for mistakes that the test has not allowed, and for personal data if asked to.

        :raises AssertionError: there are some.
        """
        __tracebackhide__ = True
        if not self._options.allow_mistakes:
            self.tracked.assert_no_mistakes()
        if self._options.forbid_personal_data:
            self.tracked.assert_no_personal_data()

    def _join(self, state: State) -> None:
        if not self._belongs(state):
            return
        original = state.pipelines.get()
        made = CapturingPipeline(original, state, self._log, writes=self._options.write)
        before = state.admits_bots, state.sites.writes
        self._restore.append(functools.partial(_restore, state, original, before))
        state.pipelines.replace(made)
        state.admits_bots = not self._options.filter_bots
        state.sites.writes = False
        self._sources.append(Source(state, from_ns(state.clock()), collections.Counter()))

    def _note_rejected(self, sender: Flask, action: str, error: InvalidEvent) -> None:
        state = find_state(sender)
        if any(source.state is state for source in self._sources):
            self._log.explain(action, error)


def _restore(state: State, original: Pipeline, before: tuple[bool, bool]) -> None:
    state.pipelines.replace(original)
    state.admits_bots, state.sites.writes = before
