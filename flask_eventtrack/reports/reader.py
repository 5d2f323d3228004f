"""Connections for reports: read-only, apart from the host's and the writer's, two at a time."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import threading

import sqlalchemy as sa

from ..store.engine import Database
from ..store.tables import Tables

_MOST = 2
_PATIENCE = 5.0


class TooBusy(Exception):
    """Two reports are running in this process already: ask again in a moment."""


class Reader:
    """Where reports read: at most two at a time in a process."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._room = threading.BoundedSemaphore(_MOST)

    @property
    def tables(self) -> Tables:
        return self._database.tables

    @contextlib.contextmanager
    def open(self) -> cabc.Iterator[sa.Connection]:
        """Open a connection whose queries all see the same moment.

        :raises TooBusy: there was no room for five seconds.
        """
        if not self._room.acquire(timeout=_PATIENCE):
            raise TooBusy
        try:
            with self._database.read() as connection:
                yield connection
        finally:
            self._room.release()
