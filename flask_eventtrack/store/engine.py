"""Connections of our own to the host's database."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import functools
import hashlib
import sqlite3
import typing as t

import sqlalchemy as sa
from sqlalchemy import exc
from sqlalchemy.pool import NullPool, QueuePool, StaticPool

from . import dialects
from .tables import Tables

_R = t.TypeVar("_R")

# Another process may write the same event between our look-up and our insert, or deadlock with us:
# the next try finds it done.
_TRIES = 5
_BUSY_TIMEOUT_MS = 10_000
# Of SQLite's pages, in KiB: new rows go to random places in the indexes of many visitors.
_CACHE_KIB = 8000


class Database:
    """The host's database as we use it: one connection a process, none of the host's sessions.

    :param host: the host's engine of the bind that holds the tables.
    :param options: the host's engine options, without those of its pool.
    :param wal: whether to switch a SQLite file to write-ahead logging.
    :param is_durable: whether a commit to a SQLite file waits for the disk, also in that mode.
    """

    def __init__(
        self,
        host: sa.Engine,
        tables: Tables,
        options: cabc.Mapping[str, t.Any],
        *,
        wal: bool,
        is_durable: bool = False,
    ) -> None:
        self.tables = tables
        self._host = host
        self._options = options
        self._wal = wal
        self._is_durable = is_durable
        is_sqlite = host.dialect.name == "sqlite"
        self.is_in_memory = is_sqlite and isinstance(host.pool, StaticPool)
        self.is_file = is_sqlite and not self.is_in_memory

    @functools.cached_property
    def _engine(self) -> sa.Engine:
        """Made with its first use: not at start-up, and in a fork after gevent's patches."""
        if self.is_in_memory:
            return _borrowing_engine(self._host)
        engine = _own_engine(self._host, self._options)
        if self.is_file:
            _prepare_sqlite_engine(engine, wal=self._wal, is_durable=self._is_durable)
        return engine

    @property
    def fingerprint(self) -> str:
        """A name for these tables in this database: the same in all processes that write there."""
        table = self.tables.event
        bind = table.metadata.info.get("bind_key")
        target = f"{self._host.url.set(password=None)} {bind} {table.schema}"
        return hashlib.sha256(target.encode()).hexdigest()[:16]

    @contextlib.contextmanager
    def begin(self) -> cabc.Iterator[sa.Connection]:
        """Open a transaction that is committed at the end, or rolled back by an exception."""
        with self._engine.begin() as connection:
            yield connection

    def retry(self, work: cabc.Callable[[sa.Connection], _R]) -> _R:
        """Return what ``work`` returns, run in a transaction: in another, if one was in the way."""
        for attempt in range(1, _TRIES + 1):
            try:
                with self.begin() as connection:
                    return work(connection)
            except exc.DBAPIError as error:
                if attempt == _TRIES or not dialects.is_conflict(error):
                    raise
        raise AssertionError("unreachable")

    @contextlib.contextmanager
    def read(self) -> cabc.Iterator[sa.Connection]:
        """Open a connection for questions: one of the host's pool, so that writing goes on."""
        with (self._engine if self.is_in_memory else self._host).connect() as connection:
            yield connection

    def shrink_log(self) -> None:
        """Empty the write-ahead log of a SQLite file, which keeps pages as they were."""
        if self.is_file:
            with contextlib.closing(self._engine.raw_connection()) as connection:
                connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)").close()

    def forget_connections(self) -> None:
        """Drop connections that a fork has shared with its parent, without closing them."""
        if engine := self.__dict__.pop("_engine", None):
            engine.dispose(close=False)

    def close(self) -> None:
        if "_engine" in self.__dict__:
            self._engine.dispose()


def _own_engine(host: sa.Engine, options: cabc.Mapping[str, t.Any]) -> sa.Engine:
    level = dialects.isolation_level(host.dialect.name)
    settings = dict(options)
    if level is not None:
        settings["isolation_level"] = level
    return sa.create_engine(
        host.url,
        **settings,
        hide_parameters=True,
        poolclass=QueuePool,
        pool_size=1,
        max_overflow=0,
        pool_pre_ping=True,
    )


def _prepare_sqlite_engine(engine: sa.Engine, *, wal: bool, is_durable: bool) -> None:
    def prepare(connection: sqlite3.Connection, record: object) -> None:
        # The driver's own transaction control would begin deferred, and upgrading a read lock fails
        # at once when another process writes: BEGIN IMMEDIATE waits its turn instead.
        connection.isolation_level = None
        connection.execute(f"PRAGMA busy_timeout = {_BUSY_TIMEOUT_MS}")
        connection.execute("PRAGMA secure_delete = ON")  # who is erased leaves no free pages
        connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        if wal:
            # Another connection may hold the file: a later connection of ours switches it then.
            with contextlib.suppress(sqlite3.OperationalError):
                connection.execute("PRAGMA journal_mode = WAL")
            connection.execute(f"PRAGMA synchronous = {'FULL' if is_durable else 'NORMAL'}")

    sa.event.listen(engine, "connect", prepare)
    sa.event.listen(engine, "begin", _begin_immediate)


def _begin_immediate(connection: sa.Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _borrowing_engine(host: sa.Engine) -> sa.Engine:
    """Return an engine on the one connection that an in-memory SQLite database consists of."""

    def borrow() -> t.Any:
        return _BorrowedConnection(t.cast("StaticPool", host.pool).connection.driver_connection)

    engine = sa.create_engine("sqlite://", creator=borrow, poolclass=NullPool, hide_parameters=True)
    sa.event.listen(engine, "begin", lambda c: c.connection.dbapi_connection.begin())
    return engine


class _BorrowedConnection:
    """The host's connection, in whose transaction ours only ever nests.

    Inside a transaction of the host's, ours is a savepoint and the host decides; otherwise it is a
    transaction. The rollbacks and the closing of SQLAlchemy's pool never reach the host.
    """

    def __init__(self, connection: t.Any) -> None:
        self._connection = connection
        self._commit = self._rollback = ""

    def __getattr__(self, name: str) -> t.Any:
        return getattr(self._connection, name)

    def begin(self) -> None:
        if self._connection.in_transaction:
            self._connection.execute("SAVEPOINT eventtrack")
            self._commit = "RELEASE eventtrack"
            self._rollback = "ROLLBACK TO eventtrack; RELEASE eventtrack"
        else:
            self._connection.execute("BEGIN")
            self._commit, self._rollback = "COMMIT", "ROLLBACK"

    def commit(self) -> None:
        self._end(self._commit)

    def rollback(self) -> None:
        self._end(self._rollback)

    def close(self) -> None:
        self.rollback()

    def _end(self, statements: str) -> None:
        self._commit = self._rollback = ""
        for statement in filter(None, statements.split("; ")):
            self._connection.execute(statement)
