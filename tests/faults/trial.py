"""A program, its database and the ledger of its clients: what every scenario starts from."""

from __future__ import annotations

import contextlib
import pathlib
import typing as t
import uuid as uuidlib

import pytest

from ..servers import REQUIRE, make_database
from .books import Books, Stored
from .load import Crowd, Ledger, send_some
from .process import Program, Server, wait_until
from .proxy import Lock, Proxy

open_database = contextlib.contextmanager(make_database)


class Trial:
    """A server under test. As a context manager it ends the server and drops the database.

    :param kind: a key of ``process.SERVERS``.
    :param database: ``"sqlite"``, ``"postgresql"`` or ``"mariadb"``.
    :param settings: more environment variables for the server.

    ``switch`` takes the database away from the server (``down()``) and gives it back (``up()``).
    """

    def __init__(
        self, kind: str, folder: pathlib.Path, database: str = "sqlite", **settings: str
    ) -> None:
        self._kind = kind
        self._folder = folder
        self._database = database
        self._settings = settings
        self.ledger = Ledger()
        self.switch: Lock | Proxy

    def __enter__(self) -> t.Self:
        with contextlib.ExitStack() as stack:
            url = stack.enter_context(open_database(self._database, self._folder))
            self.books = Books(url)
            self.switch = Lock(url) if self._database == "sqlite" else Proxy(url)
            stack.enter_context(self.switch)
            self.server = Server(self._kind, self._folder, self.switch.url, **self._settings)
            stack.enter_context(self.server)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error: t.Any) -> None:
        self._stack.__exit__(*error)

    def send(self) -> None:
        """Send some pages and posts, each of which must be acknowledged."""
        send_some(self.server.port, self.ledger)

    def crowd(self, seed: str, **options: t.Any) -> Crowd:
        """Return visitors who keep the server busy."""
        return Crowd(self.server.port, self.ledger, seed=seed, **options)

    def settle(self, seconds: float = 30, *, dropping: bool = False) -> Stored:
        """Return what is stored once all that was acknowledged is, exactly once."""
        return self.books.await_settled(self.ledger, seconds, dropping=dropping)

    def settle_for_good(self, seconds: float = 30, *, dropping: bool = False) -> Stored:
        """Settle, and again after an orderly end and another start, which finds nothing to do."""
        self.settle(seconds, dropping=dropping)
        self.server.stop()
        self.server.start()
        self.send()
        return self.settle(seconds, dropping=dropping)


def await_noted(program: Program, books: Books, count: int, seconds: float = 30) -> None:
    """Wait until a program has noted so many events, and then until exactly those are stored."""
    wait_until(lambda: len(noted(program)) >= count, seconds, f"{count} events are acknowledged")
    wanted = noted(program)
    wait_until(lambda: books.ids("job.done") >= wanted, seconds, f"{len(wanted)} are stored")
    assert books.ids("job.done") == wanted
    assert books.count_hourly("job.done") == len(wanted)


def noted(program: Program) -> set[uuidlib.UUID]:
    """Return the ids of the events that a program without clients has noted as acknowledged."""
    path = program.folder / "notes.txt"
    return set(map(uuidlib.UUID, path.read_text().split())) if path.exists() else set()


def give_up(reason: str) -> t.NoReturn:
    """Skip a test with what it needs; where everything is required, fail."""
    if REQUIRE:
        pytest.fail(reason)
    pytest.skip(reason)
