"""Our own connections to the host's database."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import functools
import hashlib
import sqlite3
import time
import typing as t

import sqlalchemy as sa
from sqlalchemy import exc
from sqlalchemy.pool import NullPool, QueuePool, StaticPool

from . import dialects
from .tables import Tables

_R = t.TypeVar("_R")

# Another process may write the same event between our look-up and our insert, or deadlock with us.
# The next try finds what it wrote.
_TRIES = 5
_BUSY_TIMEOUT_MS = 10_000
# SQLite's page cache: new rows of many visitors go to random places in the indexes.
_CACHE_KIB = 8000


class Database:
    """The host's database as we use it: one connection a process, and no session of the host's.

    :param host: the host's engine of the bind that holds the tables.
    :param options: the host's engine options, without those of its pool.
    :param wal: whether to switch a SQLite file to write-ahead logging.
    :param is_durable: whether a commit to a SQLite file waits for the disk in that mode too.
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
        self.is_in_memory: bool = is_sqlite and isinstance(host.pool, StaticPool)
        self.is_file: bool = is_sqlite and not self.is_in_memory

    @functools.cached_property
    def _engine(self) -> sa.Engine:
        """Made at its first use: not at start-up, and in a fork only after gevent's patches."""
        if self.is_in_memory:
            return _borrowing_engine(self._host)
        engine = _own_engine(self._host, self._options)
        if self.is_file:
            _prepare_sqlite_engine(engine, wal=self._wal, is_durable=self._is_durable)
        return engine

    @property
    def fingerprint(self) -> str:
        """A name for these tables in this database, the same in all processes that write there."""
        table = self.tables.event
        bind = table.metadata.info.get("bind_key")
        target = f"{self._host.url.set(password=None)} {bind} {table.schema}"
        return hashlib.sha256(target.encode()).hexdigest()[:16]

    def begin(self) -> contextlib.AbstractContextManager[sa.Connection]:
        """Open a transaction that is committed at the end, or rolled back by an exception."""
        return self._engine.begin()

    def retry(self, work: cabc.Callable[[sa.Connection], _R]) -> _R:
        """Run ``work`` in a transaction, and again if another transaction was in the way."""
        for attempt in range(1, _TRIES + 1):
            try:
                with self.begin() as connection:
                    return work(connection)
            except exc.DBAPIError as error:
                if attempt == _TRIES or not dialects.is_conflict(error):
                    raise
        raise AssertionError("unreachable")

    def take_turn(self, work: cabc.Callable[[sa.Connection], _R]) -> _R:
        """Do as :meth:`retry`; then let others write to a SQLite file for as long, up to 0.1 s.

        Long work comes in many such turns. SQLite's writers do not queue: without the pause, the
        same writer would mostly be the next as well.
        """
        began = time.monotonic()
        done = self.retry(work)
        if self.is_file:
            time.sleep(min(0.1, time.monotonic() - began))
        return done

    def read(self) -> sa.Connection:
        """Open a connection for queries, from the host's pool, so that ours can go on writing."""
        return (self._engine if self.is_in_memory else self._host).connect()

    def shrink_log(self) -> None:
        """Empty the write-ahead log of a SQLite file, in which deleted rows can still be read."""
        if self.is_file:
            with contextlib.closing(self._engine.raw_connection()) as connection:
                connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)").close()

    def forget_connections(self) -> None:
        """Drop connections that a fork shares with its parent, without closing them."""
        if engine := self.__dict__.pop("_engine", None):
            engine.dispose(close=False)

    def close(self) -> None:
        if "_engine" in self.__dict__:
            self._engine.dispose()


def _own_engine(host: sa.Engine, options: cabc.Mapping[str, t.Any]) -> sa.Engine:
    return sa.create_engine(
        host.url,
        **{**options, **dialects.own_options(host.dialect.name)},
        hide_parameters=True,
        poolclass=QueuePool,
        pool_size=1,
        max_overflow=0,
        pool_pre_ping=True,
    )


def _prepare_sqlite_engine(engine: sa.Engine, *, wal: bool, is_durable: bool) -> None:
    def prepare(connection: sqlite3.Connection, record: object) -> None:
        # The driver would begin a deferred transaction, whose read lock cannot become a write lock
        # while another process writes: it fails at once. BEGIN IMMEDIATE waits its turn.
        connection.isolation_level = None
        connection.execute(f"PRAGMA busy_timeout = {_BUSY_TIMEOUT_MS}")
        connection.execute("PRAGMA secure_delete = ON")  # else erased rows stay in free pages
        connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        if wal:
            # If another connection holds the file, a later connection of ours switches it.
            with contextlib.suppress(sqlite3.OperationalError):
                connection.execute("PRAGMA journal_mode = WAL")
            connection.execute(f"PRAGMA synchronous = {'FULL' if is_durable else 'NORMAL'}")

    sa.event.listen(engine, "connect", prepare)
    sa.event.listen(engine, "begin", lambda c: c.exec_driver_sql("BEGIN IMMEDIATE"))


def _borrowing_engine(host: sa.Engine) -> sa.Engine:
    """Return an engine on the one connection of an in-memory SQLite database."""

    def borrow() -> t.Any:
        return _BorrowedConnection(t.cast("StaticPool", host.pool).connection.driver_connection)

    engine = sa.create_engine("sqlite://", creator=borrow, poolclass=NullPool, hide_parameters=True)
    sa.event.listen(engine, "begin", lambda c: c.connection.dbapi_connection.begin())
    return engine


class _BorrowedConnection:
    """The host's connection, lent to SQLAlchemy's pool, which never closes it or rolls it back.

    Inside a transaction of the host, ours is a savepoint, and the host commits or rolls back.
    Otherwise it is a transaction of its own.
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
