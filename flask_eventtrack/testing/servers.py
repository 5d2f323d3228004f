"""Servers that a test forks, such as pytest-flask's: they write at once when the test looks.

A server writes what it has recorded half a second later, in its own process. So each process that
is forked while they are noted has a thread that writes whenever the test asks.
"""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import os
import socket
import threading

from sqlalchemy.exc import SQLAlchemyError

from ..errors import FlushTimeout
from ..state import registered

# Seconds for a server to write.
_PATIENCE = 5.0
_ASK = b"?"


class _Forking(threading.local):
    """The two ends of the connection to the child that this thread is about to fork."""

    ends: tuple[socket.socket, socket.socket] | None = None


class Servers:
    """The forks of this process that can be asked to write."""

    def __init__(self) -> None:
        self._noting = 0
        self._connections: list[socket.socket] = []
        self._forking = _Forking()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(
                before=self._connect, after_in_parent=self._keep, after_in_child=self._serve
            )

    @contextlib.contextmanager
    def noted(self) -> cabc.Iterator[None]:
        """A context in which forks are noted."""
        self._noting += 1
        try:
            yield
        finally:
            self._noting -= 1

    def flush(self) -> bool:
        """Return once all of them have written what they have recorded; False if there is none.

        One that does not answer in time has ended, or will not be asked again.
        """
        for connection in list(self._connections):
            try:
                connection.settimeout(_PATIENCE)
                connection.sendall(_ASK)
                is_there = connection.recv(1) == _ASK
            except OSError:
                is_there = False
            if not is_there:
                connection.close()
                self._connections.remove(connection)
        return bool(self._connections)

    def _connect(self) -> None:
        self._forking.ends = socket.socketpair() if self._noting else None

    def _keep(self) -> None:
        if self._forking.ends is not None:
            ours, theirs = self._forking.ends
            theirs.close()
            self._connections.append(ours)

    def _serve(self) -> None:
        self._noting = 0
        while self._connections:  # the parent's, to other children
            self._connections.pop().close()
        if self._forking.ends is not None:
            theirs, ours = self._forking.ends
            theirs.close()
            threading.Thread(target=_answer, args=(ours,), daemon=True).start()


def _answer(connection: socket.socket) -> None:
    with connection, contextlib.suppress(OSError):  # the test's process has ended
        while connection.recv(1):
            _flush_all()
            connection.sendall(_ASK)


def _flush_all() -> None:
    for state in list(registered):
        pipeline = state.pipelines.find()
        if pipeline is not None and not pipeline.database.is_in_memory:
            with contextlib.suppress(FlushTimeout, SQLAlchemyError):  # such as without tables
                pipeline.flush(_PATIENCE)


servers: Servers = Servers()
