"""Runs the host's functions on new events, after the commit and off the request.

A function has a position in the commit log, in a row of ``eventtrack_follower``. One process at a
time has the row, by a lease that it renews; if it is killed, the lease runs out. The position moves
on once the function has returned for all events of a transaction, and ``told`` says for which of
the next one it has. So each event is told at least once, in the order of the commits, and in a
transaction by time.

:mod:`.held` says which events are new, without a look at any clock. An event comes twice only if a
process was killed, or lost its lease, before it noted that the event was told, which it does every
10 seconds and at its end; or while it was behind, as described there.
"""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import dataclasses
import datetime as dt
import functools
import logging
import os
import threading
import time
import typing as t
import uuid as uuidlib

import sqlalchemy as sa

from ..bounded import BoundedDict
from ..records import from_ns
from ..store.changes import SnapshotNeeded, newest_position
from ..store.engine import Database
from ..store.followers import (
    SOUND,
    change_follower,
    find_table,
    release_leases,
    renew_leases,
    take_followers,
)
from ..store.new_events import Place, StoredEvent, name_customers, read_news
from ..text import escape
from .functions import Function, Functions
from .held import Held

if t.TYPE_CHECKING:
    from .writer import Hooks

logger: logging.Logger = logging.getLogger("flask_eventtrack")

#: For how long a process has a function without renewing. After this, another one may take it.
LEASE: t.Final = dt.timedelta(seconds=30)
_MAX_BACKOFF = dt.timedelta(minutes=5)
_ERROR_LENGTH = 255
# How long the events of one function may keep the others waiting, and stay in memory.
_TURN = 10.0
# Without an event that fits, the position is noted this often only.
_NOTED_EVERY = 10.0
_AT_ONCE = 20
_MOST_TOLD = 20_000
_MAX_PAUSE = 30.0
# After so many seconds, a function that does not return is named in the app's log.
_LONG = 60


class Follower:
    """Runs the functions of one app in one process.

    :param find: returns the functions, or None once the app is gone.
    :param alone: a context in which the writer and a fork wait. The writer and this have the same
        one connection, so that the writer waits for no longer than it would anyway.
    :param interval: how often to look for new events.
    """

    def __init__(
        self,
        database: Database,
        hooks: Hooks,
        find: cabc.Callable[[], Functions | None],
        alone: cabc.Callable[[], contextlib.AbstractContextManager[object]],
        interval: float,
        lease: dt.timedelta | None = None,
    ) -> None:
        self._database = database
        self._hooks = hooks
        self._find = find
        self._alone = alone
        self._interval = interval
        self._lease = lease or LEASE
        self._owner = uuidlib.uuid4()
        self._pid = os.getpid()
        self._held: dict[str, Held] = {}
        self._told: dict[str, BoundedDict[uuidlib.UUID, None]] = {}
        self._take_at = self._safe_until = 0.0
        self._known_names: frozenset[str] = frozenset()
        self._calling: tuple[str, uuidlib.UUID, float] | None = None
        self._failed = 0
        self._error: type[Exception] | None = None
        self._stops = threading.Event()
        self._wakes = threading.Event()
        self._is_abandoned = self._is_running = False
        self._threads: list[threading.Thread] = []

    # The threads

    @property
    def _goes_on(self) -> bool:
        is_ours = not self._is_abandoned and self._pid == os.getpid()
        return is_ours and not self._stops.is_set()

    def ensure_threads(self) -> None:
        """Start the threads, unless they run.

        :raises RuntimeError: there are no more threads, or the interpreter is shutting down.
        """
        if not self._threads and self._goes_on:
            for name, run in (("functions", self._run), ("leases", self._keep_leases)):
                thread = threading.Thread(target=run, name=f"eventtrack-{name}", daemon=True)
                thread.start()
                self._threads.append(thread)

    def wake(self) -> None:
        """Have the thread look for new events now."""
        self._wakes.set()

    def stop(self, timeout: float) -> None:
        """End the threads after the present event, and leave the functions to other processes."""
        self._stops.set()
        self._wakes.set()
        deadline = time.monotonic() + timeout
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(max(0.0, deadline - time.monotonic()))

    def abandon(self) -> None:
        """In a fork's child: leave all to the parent, without a look at any lock."""
        self._is_abandoned = True

    def _run(self) -> None:
        try:
            while self._goes_on:
                pause = self._try_round()
                self._wakes.wait(pause)
                self._wakes.clear()
        finally:
            self._end(releases=True)

    def _end(self, *, releases: bool = False) -> None:
        if not self._is_abandoned and self._pid == os.getpid():
            if releases:
                self._release()
            with self._alone():
                self._database.close()  # the writer may have closed it already

    def _keep_leases(self) -> None:
        """Renew the leases also while a function takes long."""
        try:
            self._renew_in_time()
        finally:
            self._end()

    def _renew_in_time(self) -> None:
        while not self._stops.wait(self._lease.total_seconds() / 3) and self._goes_on:
            self._warn_of_hanging()
            if not self._held:
                continue
            began = time.monotonic()
            try:
                renew = functools.partial(renew_leases, owner=self._owner, lease=self._lease)
                has_all = self._change(renew) >= len(self._held)
            except Exception as error:  # noqa: BLE001 - the lease runs out if this goes on
                logger.warning("The lease of functions on events is not renewed: %s", error)
            else:
                self._safe_until = began + self._lease.total_seconds() if has_all else 0.0

    def _warn_of_hanging(self) -> None:
        calling = self._calling
        if calling is not None and time.monotonic() - calling[2] > _LONG:
            self._calling = None  # said once
            name, event_id, _ = calling
            logger.warning(
                "The function %s has not returned from the event %s for %d seconds. The other "
                "functions on events of this process wait for it.",
                escape(name),
                event_id,
                _LONG,
            )

    def _try_round(self) -> float:
        """Run what is to be run; return for how many seconds to wait."""
        try:
            self._run_round()
        except Exception as error:  # noqa: BLE001 - the thread outlives whatever the database does
            self._failed += 1
            if type(error) is not self._error:
                self._error = type(error)
                logger.error("Functions on events wait: %s", error)
            return min(_MAX_PAUSE, self._interval * 2.0 ** min(self._failed, 10))
        self._failed, self._error = 0, None
        return self._interval

    # Rounds

    def run_waiting(self) -> None:
        """Run the functions here, in the caller's thread, up to the end of the log.

        A new name begins at the beginning of the log. What has failed is tried at once.

        :raises Exception: what a function raises; it is called with the event again the next time.
        """
        if self._is_running:
            return  # a function asks for a flush
        self._is_running = True
        try:
            self._take(from_start=True)
            for held in self._held.values():
                held.retry_at = None
            self._safe_until = float("inf")
            while self._go_round(raises=True):
                pass
        finally:
            self._is_running = False
            self._release()

    def _run_round(self) -> None:
        if self._held and time.monotonic() >= self._safe_until:
            self._release()  # another process may have taken them
        names = frozenset(function.name for function in self._list())
        if names != self._known_names or time.monotonic() >= self._take_at:
            self._take()
            self._known_names = names
        while self._go_round() and self._goes_on:
            pass

    def _list(self) -> list[Function]:
        functions = self._find()
        return [] if functions is None else functions.list()

    def _take(self, *, from_start: bool = False) -> None:
        """Take the functions that no process has."""
        self._take_at = time.monotonic() + self._lease.total_seconds() / 3
        names = [each.name for each in self._list() if each.name not in self._held]
        if names:
            began = time.monotonic()
            take = functools.partial(
                take_followers,
                names=names,
                owner=self._owner,
                lease=self._lease,
                from_start=from_start,
            )
            taken = self._change(take)
            if taken and not self._held:
                self._safe_until = began + self._lease.total_seconds()
            for row in taken:
                told = self._told.setdefault(row.name, BoundedDict(_MOST_TOLD))
                self._held[row.name] = Held.of(row, told)

    def _go_round(self, *, raises: bool = False) -> bool:
        """Give each function a turn; return whether one of them has more to do at once."""
        if not self._held:
            return False
        with self._reading() as connection:
            newest = newest_position(connection, self._database.tables)
        has_more = False
        for function in self._list():
            held = self._held.get(function.name)
            if held is None:
                continue
            if held.position == newest:
                self._note_position(function, held, is_needed=False)
            elif self._is_due(held):
                has_more |= self._take_turn(function, held, raises=raises)
        return has_more

    def _is_due(self, held: Held) -> bool:
        """Whether a function may be called. A clock that was put back makes none wait for long."""
        if held.retry_at is None:
            return True
        return not dt.timedelta() < held.retry_at - self._now <= _MAX_BACKOFF

    def _take_turn(self, function: Function, held: Held, *, raises: bool) -> bool:
        """Tell a function what is new, for some seconds; return whether there is more."""
        ends_at = time.monotonic() + _TURN
        while self._goes_on and function.name in self._held:
            try:
                with self._reading() as connection:
                    told = self._read(connection, function, held)
            except SnapshotNeeded as error:
                self._skip(function, held, error)
                return False
            if not told.places:
                return False
            for place, events in told.places:
                for event in events:
                    if not self._may_go_on or time.monotonic() >= ends_at:
                        return self._may_go_on
                    if not self._tell(function, held, event, raises=raises):
                        return False
                    self._note_progress(function, held)
                held.pass_by(place, told.newest)
                is_needed = bool(events) or held.event_id is not None
                self._note_position(function, held, is_needed=is_needed)
        return False

    @property
    def _may_go_on(self) -> bool:
        return self._goes_on and time.monotonic() < self._safe_until

    def _read(self, connection: sa.Connection, function: Function, held: Held) -> _ToTell:
        tables = self._database.tables
        news = read_news(connection, tables, held.position, function.pattern, _AT_ONCE)
        read = {place.batch for place in news.places}
        chosen = {
            place.position: [
                found.event for found in place.events if held.is_new(found, place, read)
            ]
            for place in news.places
        }
        named = name_customers(connection, tables, (e for some in chosen.values() for e in some))
        pairs = [
            (place, [named[event.id] for event in chosen[place.position]]) for place in news.places
        ]
        return _ToTell(pairs, news.newest)

    # One event

    def _tell(self, function: Function, held: Held, event: StoredEvent, *, raises: bool) -> bool:
        """Call a function with an event; return whether the next one may follow."""
        fails = held.event_id == event.id
        if not (fails and held.tries >= function.tries):  # it was given up before a take-over
            self._calling = function.name, event.id, time.monotonic()
            try:
                with self._hooks.context():
                    function.call(event)
            except BaseException as error:  # such as SystemExit, or the Timeout of gevent
                if isinstance(error, KeyboardInterrupt) or type(error).__name__ == "GreenletExit":
                    raise
                goes_on = self._note_failure(function, held, event, error)
                if raises:
                    raise
                return goes_on
            finally:
                self._calling = None
            if held.tries:
                self._change_row(function, held, **SOUND)
                held.event_id, held.tries, held.retry_at = None, 0, None
        held.note_told(event.id)
        return True

    def _note_failure(
        self, function: Function, held: Held, event: StoredEvent, error: BaseException
    ) -> bool:
        """Note that an event is to be tried again, or is given up; return whether the latter."""
        tries = held.tries + 1 if held.event_id == event.id else 1
        held.event_id, held.tries = event.id, tries
        pause = min(_MAX_BACKOFF, dt.timedelta(seconds=2.0 ** min(tries - 1, 20)))
        held.retry_at = self._now + pause
        values: dict[str, t.Any] = {
            "event_id": event.id,
            "tries": tries,
            "error": self._describe(error),
            "retry_at": held.retry_at,
            **held.progress,
        }
        if tries == 1:
            values["failed_at"] = self._now
        is_given_up = tries >= function.tries
        if is_given_up:
            held.retry_at = values["retry_at"] = None
            values["given_up"] = find_table(self._database.tables).c.given_up + 1
            held.note_told(event.id)
            values |= held.progress
        if is_given_up or tries == 1:
            logger.error(
                "The function %s failed with the event %s (%s): %s.",
                escape(function.name),
                event.id,
                escape(event.action),
                "it is given up" if is_given_up else "it will be tried again",
                exc_info=error,
            )
        return self._change_row(function, held, **values) and is_given_up

    def _describe(self, error: BaseException) -> str:
        """Return what is kept of an error: its first line, masked."""
        try:
            words = str(error)
        except Exception:  # noqa: BLE001 - it is the host's class
            words = ""
        text = f"{type(error).__name__}: {words}".partition("\n")[0]
        masked: str = self._hooks.mask({"error": text})["error"]
        return escape(masked).encode("ascii", "backslashreplace").decode()[:_ERROR_LENGTH]

    def _skip(self, function: Function, held: Held, reason: SnapshotNeeded) -> None:
        """Go on from the end of the log, since it cannot tell what comes before."""
        logger.error(
            "The function %s misses events, and goes on with new ones: %s",
            escape(function.name),
            reason,
        )
        with self._reading() as connection:
            newest = newest_position(connection, self._database.tables)
        values = {
            "position": newest,
            "newest": newest,
            "told": None,
            "missed_at": self._now,
            **SOUND,
        }
        self._change_row(function, held, **values)
        if function.name in self._held:
            self._held[function.name] = dataclasses.replace(
                held,
                position=newest,
                newest=newest,
                noted=newest,
                unsure=0,
                event_id=None,
                tries=0,
                retry_at=None,
                begun=[],
                reached={},
            )

    def _note_position(self, function: Function, held: Held, *, is_needed: bool) -> None:
        now = time.monotonic()
        is_due = held.position != held.noted and now >= held.noted_at + _NOTED_EVERY
        if is_needed or is_due:
            held.noted_at = now
            values = held.progress
            if held.event_id is not None:
                held.event_id, held.tries, held.retry_at = None, 0, None
                values |= SOUND
            self._change_row(function, held, **values)

    def _note_progress(self, function: Function, held: Held) -> None:
        """Note now and then what was told of a transaction, for a process that takes over."""
        now = time.monotonic()
        if now >= held.noted_at + _NOTED_EVERY:
            held.noted_at = now
            self._change_row(function, held, **held.progress)

    # The database

    @property
    def _now(self) -> dt.datetime:
        return from_ns(self._hooks.clock())

    def _change_row(self, function: Function, held: Held, **values: t.Any) -> bool:
        """Change a row; False if another process has taken it meanwhile."""
        change = functools.partial(change_follower, name=function.name, owner=self._owner, **values)
        if self._change(change):
            held.noted = values.get("position", held.noted)
            return True
        self._held.pop(function.name, None)
        return False

    def _change(self, work: cabc.Callable[..., t.Any]) -> t.Any:
        tables = self._database.tables
        with self._alone():
            return self._database.retry(lambda connection: work(connection, tables))

    @contextlib.contextmanager
    def _reading(self) -> cabc.Iterator[sa.Connection]:
        with self._alone(), self._database.look() as connection:
            yield connection

    def _release(self) -> None:
        """Note how far this process has come, and leave its functions to others."""
        held, self._held = self._held, {}
        self._take_at = 0.0
        if not held:
            return
        try:
            for name, each in held.items():
                if each.position != each.noted or each.begun:
                    note = functools.partial(
                        change_follower, name=name, owner=self._owner, **each.progress
                    )
                    self._change(note)
            self._change(functools.partial(release_leases, owner=self._owner))
        except Exception as error:  # noqa: BLE001 - the leases run out
            logger.warning(
                "The leases of functions on events are not released, and run out: %s", error
            )


class _ToTell(t.NamedTuple):
    """The next transactions, each with the events to tell, and how far the log reached."""

    places: list[tuple[Place, list[StoredEvent]]]
    newest: int
