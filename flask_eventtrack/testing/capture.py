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
import time
import types
import typing as t

from flask import Flask
from sqlalchemy import orm
from sqlalchemy.exc import SQLAlchemyError

from ..errors import InvalidEvent
from ..pipeline.pipeline import Pipeline
from ..pipeline.queue import MemoryQueue
from ..records import AgentRead, Event, Outcome, Record, from_ns
from ..signals import event_rejected
from ..state import State, find_state, registered, watchers
from .log import Log, Mistake
from .rollbacks import watch_rollback
from .servers import servers
from .stored import Source
from .tracked import Tracked

# Seconds for the app's own thread to write what waits, and to end.
_PATIENCE = 3.0
# Seconds that a server may take longer to write than its interval.
_DELAY = 0.5


class Options(t.NamedTuple):
    """What :meth:`.EventTrack.capture` takes."""

    write: bool = False
    stored: bool = False
    allow_mistakes: bool = False
    forbid_personal_data: bool = False
    filter_bots: bool = False


class CapturingPipeline(Pipeline):
    """Shows each record to a log. Writes it, if at all, in the thread that flushes.

    Captures may be nested: it shows records to the logs of the outer ones too, and the outermost
    one that writes does so for all.

    :param original: the app's own pipeline, which rests meanwhile, or that of an outer capture.
    """

    def __init__(self, original: Pipeline, state: State, log: Log, *, writes: bool) -> None:
        hooks = dataclasses.replace(original._hooks, erasures=None)  # which is a file
        super().__init__(
            original.database, hooks, lambda _: MemoryQueue(sys.maxsize), dt.timedelta()
        )
        outer = original if isinstance(original, CapturingPipeline) else None
        self.writes: bool = writes or (outer is not None and outer.writes)
        self._original = original
        self._state = state
        self._logs: list[Log] = [log, *(outer._logs if outer else ())]
        self._own: Pipeline = outer._own if outer else original
        self._writing_one: CapturingPipeline = (
            outer._writing_one if outer is not None and outer.writes else self
        )

    @property
    def _uses_thread(self) -> bool:
        return False

    def put(self, *records: Record) -> bool:
        self._show(records)
        return Pipeline.put(self._writing_one, *records) if self.writes else True

    def count(self, outcome: Outcome, by: int = 1) -> None:
        for log in self._logs:
            log.note(outcome, is_inner=log is not self._logs[0])
        if self.writes:
            Pipeline.count(self._writing_one, outcome, by)

    def count_read(self, read: AgentRead) -> None:
        if self.writes:
            super().count_read(read)

    def expect_uncounted(self, event: Event, db_session: orm.Session) -> None:
        self._show([event])
        watch_rollback(db_session, functools.partial(self._forget, event))
        if self.writes:
            Pipeline.expect_uncounted(self._writing_one, event, db_session)

    def flush(self, timeout: float | None = None) -> None:
        if self.writes:
            if self._own.has_thread:  # two may not write at once
                self._own.leave(_PATIENCE)
            Pipeline.flush(self._writing_one, timeout)

    def abandon(self) -> None:
        self._original.abandon()
        super().abandon()

    def _show(self, records: cabc.Sequence[Record]) -> None:
        for log in self._logs:
            log.take(self._state, records, is_inner=log is not self._logs[0])

    def _forget(self, event: Event) -> None:
        for log in self._logs:
            log.forget(event)


class Capture:
    """A context that captures events, and gives a :class:`.Tracked`.

    In a capture inside another, both see the events, and the inner one answers for mistakes: those
    that it fails for, expects or allows do not fail the outer one.

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
        self._forks = contextlib.ExitStack()
        self._pid = os.getpid()
        self.tracked: Tracked = Tracked(self._log, self._sources, waits=options.stored)

    def __enter__(self) -> Tracked:
        return self.open()

    def open(self) -> Tracked:
        """Begin to capture."""
        for outer in _open if self._options.stored else ():
            outer._log.mistakes += outer._read_stored()
        _open.append(self)
        watchers.append(self._join)
        if self._options.stored:
            self._forks.enter_context(servers.noted())
        event_rejected.connect(self._note_rejected)
        for state in list(registered):
            self._join(state)
        self.skip_stored()
        return self.tracked

    def skip_stored(self) -> None:
        """Leave out the mistakes that the database has counted before the test."""
        self._read_stored()

    def _read_stored(self) -> list[Mistake]:
        """Return the mistakes that servers have written since the last call."""
        found = list[Mistake]()
        if self._options.stored:
            servers.flush()
            for source in self._sources:
                with contextlib.suppress(SQLAlchemyError):  # there are no tables yet
                    found += source.find_mistakes(self._log.states)
        return found

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: types.TracebackType | None,
    ) -> None:
        self.close()
        try:
            if error is None:
                self.check()
        finally:
            for outer in _open if self._options.stored else ():
                outer._log.inner += outer._read_stored()

    def close(self) -> None:
        """Give the apps their own pipelines back."""
        if os.getpid() != self._pid:  # the child of a fork has done so already
            return
        _open.remove(self)
        watchers.remove(self._join)
        self._forks.close()
        event_rejected.disconnect(self._note_rejected)
        while self._restore:
            self._restore.pop()()

    def check(self) -> None:
        """Fail for mistakes that the test has not allowed, and for personal data if asked to.

        :raises AssertionError: there are some.
        """
        __tracebackhide__ = True
        if not self._options.allow_mistakes:
            self._await_servers()
            self.tracked.assert_no_mistakes()
        if self._options.forbid_personal_data:
            self.tracked.assert_no_personal_data()

    def _await_servers(self) -> None:
        """Wait for what servers have recorded to be written."""
        if self._options.stored and self._sources and not servers.flush():
            # A program of its own cannot be asked.
            intervals = (source.state.config.flush_interval for source in self._sources)
            time.sleep(max(intervals).total_seconds() + _DELAY)

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
        self._sources.append(Source(state, from_ns(state.clock()), collections.Counter(), set()))

    def _note_rejected(self, sender: Flask, action: str, error: InvalidEvent) -> None:
        state = find_state(sender)
        if any(source.state is state for source in self._sources):
            self._log.explain(action, error)


def _restore(state: State, original: Pipeline, before: tuple[bool, bool]) -> None:
    state.pipelines.replace(original)
    state.admits_bots, state.sites.writes = before


# The captures that are open, the outermost first.
_open: t.Final[list[Capture]] = []
