"""Connections for reports: read-only, apart from the host's and the writer's, two at a time."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import os
import threading
import typing as t
import weakref

import sqlalchemy as sa
from sqlalchemy import exc

from ..errors import ReportUnavailable, TooBusy
from ..store import reading
from ..store.dialects import complaint_of, is_missing
from ..store.engine import Database
from ..store.tables import Tables

if t.TYPE_CHECKING:
    from .elsewhere import Elsewhere

_MOST = 2
_PATIENCE = 5.0
#: How many seconds a statement may take.
STATEMENT_SECONDS = 20.0


class _Place:
    """What a process has of its own: room for two reports, and their connections."""

    def __init__(self, database: Database) -> None:
        self.room = threading.BoundedSemaphore(_MOST)
        self.engine = database.make_reading_engine(_MOST, STATEMENT_SECONDS)


class Reader:
    """Where reports read: at most two at a time in a process.

    :param database: where the reports read.
    :param flush: writes what waits, so that reports of a database in memory see it. Such a database
        has no connection but the host's.
    :param elsewhere: a copy that answers what would take long here.
    """

    def __init__(
        self,
        database: Database,
        flush: cabc.Callable[[], object] = lambda: None,
        elsewhere: Elsewhere | None = None,
    ) -> None:
        self._database = database
        self.elsewhere: Elsewhere | None = elsewhere
        self._flush = flush
        self._places: dict[int, _Place] = {}
        _all.add(self)

    @property
    def tables(self) -> Tables:
        return self._database.tables

    @contextlib.contextmanager
    def open(self, patience: float = _PATIENCE) -> cabc.Iterator[sa.Connection]:
        """Open a connection whose queries all see the same moment, and can change nothing.

        :param patience: for how many seconds it waits for room.
        :raises TooBusy: there was no room in that time.
        :raises ReportUnavailable: the database has no tables, or took too long.
        """
        place = self._get_place()
        if not place.room.acquire(timeout=patience):
            raise TooBusy("Two reports are running already. Try again in a moment.")
        try:
            with _explained(), self._begin(place) as connection:
                yield connection
        finally:
            place.room.release()

    @contextlib.contextmanager
    def _begin(self, place: _Place) -> cabc.Iterator[sa.Connection]:
        if place.engine is None:
            self._flush()
        with self._database.snapshot(place.engine) as connection:
            yield connection

    @contextlib.contextmanager
    def limited(self, connection: sa.Connection, seconds: float) -> cabc.Iterator[None]:
        """Stop what is read meanwhile if it takes longer. The snapshot stays.

        :raises TimeUp: it was stopped.
        """
        with reading.limited(connection, seconds, STATEMENT_SECONDS):
            yield

    def _get_place(self) -> _Place:
        pid = os.getpid()
        if pid not in self._places:
            self.forget_connections()
            self._places.setdefault(pid, _Place(self._database))  # unless a thread was faster
        return self._places[pid]

    def forget_connections(self) -> None:
        """Drop a parent's connections in a fork's child, without closing them."""
        for pid in list(self._places):
            place = self._places.pop(pid, None)
            if place and place.engine:
                place.engine.dispose(close=pid == os.getpid())

    def close(self) -> None:
        """Close the connections. They open again when they are needed."""
        self.forget_connections()
        if self.elsewhere is not None:
            self.elsewhere.close()


@contextlib.contextmanager
def _explained() -> cabc.Iterator[None]:
    """Say in a sentence why the database does not answer."""
    try:
        yield
    except exc.DBAPIError as error:
        if is_missing(error):
            raise ReportUnavailable(
                "The tables of this release are missing: run 'flask eventtrack upgrade', or your "
                f"own migration ({complaint_of(error)})."
            ) from error
        if reading.is_stopped(error):
            raise ReportUnavailable(
                f"The database did not answer a report within {STATEMENT_SECONDS:g} seconds."
            ) from error
        if isinstance(error, exc.OperationalError):
            raise ReportUnavailable(
                f"The database does not answer: {complaint_of(error)}."
            ) from error
        raise


_all: weakref.WeakSet[Reader] = weakref.WeakSet()


def _forget_all() -> None:
    for reader in list(_all):
        reader.forget_connections()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)
