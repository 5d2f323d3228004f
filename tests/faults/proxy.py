"""What takes a database away and gives it back: a proxy before a server, a lock on a file."""

from __future__ import annotations

import contextlib
import socket
import sqlite3
import threading
import typing as t

import sqlalchemy as sa

from .ports import HOST, free_port

_PORTS = {"postgresql": 5432, "mysql": 3306}


class Lock:
    """Keeps everybody else from writing to a SQLite file while it is "down".

    :param url: the database.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._path = sa.make_url(url).database or ""
        self._connection: sqlite3.Connection | None = None

    def down(self) -> None:
        self._connection = sqlite3.connect(self._path, timeout=60, isolation_level=None)
        self._connection.execute("BEGIN EXCLUSIVE")

    def up(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def __enter__(self) -> t.Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.up()


class Proxy:
    """Forwards connections to a database server until it is down, when they die as well.

    :param target: the server's URL; ``url`` is the proxy's.
    """

    def __init__(self, target: str) -> None:
        url = sa.make_url(target)
        self._target = (url.host or HOST, url.port or _PORTS[url.get_backend_name()])
        self._lock = threading.Lock()
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._flows = threading.Event()
        self._flows.set()
        self.target = target
        self.port = free_port()
        self._listener = socket.create_server((HOST, self.port))
        self.url = url.set(host=HOST, port=self.port).render_as_string(hide_password=False)
        self._accepting = self._accept(self._listener)

    def down(self) -> None:
        """Refuse connections from now on, and break those that there are."""
        _break(self._listener)
        self._accepting.join(10)
        with self._lock:
            for pair in self._pairs:
                for end in pair:
                    _break(end)
            self._pairs = []

    def up(self) -> None:
        """Take connections again, on the same port."""
        self._listener = socket.create_server((HOST, self.port))
        self._accepting = self._accept(self._listener)

    def stall(self) -> None:
        """Take bytes and connections as before, but forward nothing."""
        self._flows.clear()

    def flow(self) -> None:
        """Forward again, also what was held back."""
        self._flows.set()

    def __enter__(self) -> t.Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._flows.set()
        self.down()

    def _accept(self, listener: socket.socket) -> threading.Thread:
        thread = threading.Thread(target=self._run, args=(listener,), daemon=True)
        thread.start()
        return thread

    def _run(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(self._target)
            except OSError:
                _break(client)
                continue
            with self._lock:
                self._pairs.append((client, server))
            for ends in ((client, server), (server, client)):
                threading.Thread(target=_pump, args=(*ends, self._flows), daemon=True).start()


def _pump(source: socket.socket, sink: socket.socket, flows: threading.Event) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            flows.wait()
            sink.sendall(data)
    for end in (source, sink):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


def _break(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()
