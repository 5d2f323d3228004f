"""Our own connections to the host's database."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import datetime as dt
import hashlib
import os
import sqlite3
import time
import typing as t

import sqlalchemy as sa
from sqlalchemy import exc
from sqlalchemy.pool import NullPool, QueuePool, StaticPool

from ..records import Clock
from . import dialects, reading, stalls
from .adopt import adopt_listeners, find_creator
from .tables import Tables

if t.TYPE_CHECKING:
    from .commit_log import CommitLog

_R = t.TypeVar("_R")

# Another process may write the same event between our look-up and our insert, or deadlock with us.
# The next try finds what it wrote.
_TRIES = 5
_BUSY_TIMEOUT_MS = 10_000
# SQLite's page cache: new rows of many visitors go to random places in the indexes.
_CACHE_KIB = 8000
_PORTS = {"postgresql": 5432, "mysql": 3306}
# Options that name another place than the URL itself, such as PostgreSQL's socket.
_PLACES = ("dbname", "host", "hostaddr", "port", "service", "unix_socket")


class Database:
    """The host's database as we use it: one connection a process, and no session of the host's.

    :param host: the host's engine of the bind that holds the tables.
    :param options: the host's engine options, without those of its pool.
    :param wal: whether to switch a SQLite file to write-ahead logging.
    :param is_durable: whether a commit to a SQLite file waits for the disk in that mode too.
    :param timeout: how many seconds a statement on our own connection may take.
    :param clock: tells when transactions are committed, if the tables have a commit log.
    """

    def __init__(
        self,
        host: sa.Engine,
        tables: Tables,
        options: cabc.Mapping[str, t.Any],
        *,
        wal: bool,
        is_durable: bool = False,
        timeout: float = 30.0,
        clock: Clock = time.time_ns,
    ) -> None:
        self.tables = tables
        self._log = _open_log(tables, clock)
        self._host = host
        self._options = options
        self._wal = wal
        self._is_durable = is_durable
        self._timeout = timeout
        is_sqlite = host.dialect.name == "sqlite"
        self.is_in_memory: bool = is_sqlite and (
            isinstance(host.pool, StaticPool) or _is_in_memory(host.url)
        )
        self.is_file: bool = is_sqlite and not self.is_in_memory
        #: Whether several transactions may write to it at the same time.
        self.is_shared: bool = not is_sqlite

    # Not cached properties: until Python 3.12, all databases would share the lock of each, and a
    # fork would copy it while another thread holds it.

    @property
    def _engine(self) -> sa.Engine:
        """Made at its first use: not at start-up, and in a fork only after gevent's patches."""
        made: sa.Engine | None = self.__dict__.get("_own_engine")
        return made or self.__dict__.setdefault("_own_engine", self._make_engine())

    def _make_engine(self) -> sa.Engine:
        engine = self._make_bare_engine()
        if self._log is not None:
            self._log.watch_deletions(engine)
        return engine

    def _make_bare_engine(self) -> sa.Engine:
        if self.is_in_memory:
            return _borrowing_engine(self._host)
        engine = _own_engine(self._host, self._options, self._timeout)
        if self.is_file:
            _prepare_sqlite_engine(engine, wal=self._wal, is_durable=self._is_durable)
        else:
            stalls.limit_statements(engine, self._timeout)
        return engine

    @property
    def _watch(self) -> stalls.Watch:
        made: stalls.Watch | None = self.__dict__.get("_own_watch")
        if made is None:
            new = stalls.Watch(self._engine, self._timeout)
            made = self.__dict__.setdefault("_own_watch", new)
        return made

    @property
    def fingerprint(self) -> str:
        """A name for these tables in this database, the same in all processes that write there.

        It names the place, not the way in: user, password, driver and options may change.
        """
        return self._hash(" ".join(_place_of(self._host.url)))

    @property
    def former_fingerprint(self) -> str:
        """What release 0.1 computed from the same URL, in which user and driver were part of it."""
        return self._hash(str(self._host.url.set(password=None)))

    def _hash(self, place: str) -> str:
        table = self.tables.event
        target = f"{place} {table.metadata.info.get('bind_key')} {table.schema}"
        return hashlib.sha256(target.encode()).hexdigest()[:16]

    @contextlib.contextmanager
    def begin(self) -> cabc.Iterator[sa.Connection]:
        """Open a transaction that is committed at the end, or rolled back by an exception.

        Every change of ours passes here, and gets its place in the commit log, if that is on.

        :raises sqlalchemy.exc.OperationalError: a statement took too long, among other reasons;
            with pg8000, ``TimeoutError``.
        """
        with self._watch.guard(), self._engine.begin() as connection:
            if self._log is None:
                yield connection
            else:
                with self._log.follow(connection):
                    yield connection

    @contextlib.contextmanager
    def begin_patient(self) -> cabc.Iterator[sa.Connection]:
        """Open a transaction whose statements may take any time, such as to make an index."""
        if self.is_file or self.is_in_memory:
            with self.begin() as connection:
                yield connection
            return
        engine = _own_engine(self._host, self._options)
        try:
            with engine.begin() as connection:
                yield connection
        finally:
            engine.dispose()

    @contextlib.contextmanager
    def look(self) -> cabc.Iterator[sa.Connection]:
        """Open a connection for short queries that must not hang, such as the writer's.

        A SQLite file does not stall, and our own connection would lock out writers.
        """
        if self.is_file or self.is_in_memory:
            with self.read() as connection:
                yield connection
        else:
            with self._watch.guard(), self._engine.connect() as connection:
                yield connection

    @contextlib.contextmanager
    def look_as_writer(self) -> cabc.Iterator[sa.Connection]:
        """Open a connection for queries, made like the writer's, that does not block the writer."""
        if not self.is_file:
            with self.look() as connection:
                yield connection
            return
        engine = _own_engine(self._host, self._options)
        try:
            with engine.connect() as connection:
                yield connection
        finally:
            engine.dispose()

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

    def clean_log(self, now: dt.datetime) -> int:
        """Remove some of the oldest places of the commit log, if it is on; return how many."""
        log = self._log
        return 0 if log is None else self.retry(lambda connection: log.remove_old(connection, now))

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

    @contextlib.contextmanager
    def connect_for_changes(self) -> cabc.Iterator[sa.Connection]:
        """Open a connection whose statements are committed one by one, to change the tables."""
        if self.is_in_memory:
            with self.begin() as connection:
                yield connection
            return
        engine = _engine_like(self._host, self._options)
        try:
            with engine.connect() as connection:
                yield connection.execution_options(isolation_level="AUTOCOMMIT")
        finally:
            engine.dispose()

    def is_of(self, connection: sa.Connection) -> bool:
        """Whether a connection is one of the host's to this database."""
        return connection.engine.pool is self._host.pool

    def read(self) -> sa.Connection:
        """Open a connection for queries, from the host's pool, so that ours can go on writing."""
        return (self._engine if self.is_in_memory else self._host).connect()

    def make_reading_engine(self, size: int, seconds: float) -> sa.Engine | None:
        """Return a new engine for reports; None in memory, where only the host has a connection.

        :param size: how many connections it has at most.
        :param seconds: how long a statement may take.
        """
        if self.is_in_memory:
            return None
        engine = _own_engine(self._host, self._options, seconds, size=size)
        reading.prepare_engine(engine, seconds)
        return engine

    @contextlib.contextmanager
    def snapshot(self, engine: sa.Engine | None) -> cabc.Iterator[sa.Connection]:
        """Open a connection whose queries all see the same moment.

        :param engine: what :meth:`make_reading_engine` has returned.
        """
        if engine is None:
            with self.read() as connection:
                yield connection
        else:
            with engine.connect() as connection, connection.begin():
                yield connection

    def shrink_log(self, *, patient: bool = True) -> bool:
        """Empty the write-ahead log of a SQLite file, in which deleted rows can still be read.

        :param patient: whether to wait for other connections.
        :returns: False if another connection still reads from the log.
        """
        if not self.is_file:
            return True
        with contextlib.closing(self._engine.raw_connection()) as connection:
            cursor = connection.cursor()
            cursor.execute(f"PRAGMA busy_timeout = {_BUSY_TIMEOUT_MS if patient else 0}")
            try:
                cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                is_busy = bool(t.cast("tuple[int, ...]", cursor.fetchone())[0])
            finally:
                cursor.execute(f"PRAGMA busy_timeout = {_BUSY_TIMEOUT_MS}")
                cursor.close()
        return not is_busy

    def forget_connections(self) -> None:
        """Drop connections that a fork shares with its parent, without closing them."""
        self.__dict__.pop("_own_watch", None)
        if engine := self.__dict__.pop("_own_engine", None):
            engine.dispose(close=False)

    def close(self) -> None:
        if "_own_engine" in self.__dict__:
            self._engine.dispose()


def _open_log(tables: Tables, clock: Clock) -> CommitLog | None:
    if tables.commit is None or tables.gone is None:
        return None
    from .commit_log import CommitLog  # which an app without the log does not need

    return CommitLog(tables, tables.commit, tables.gone, clock)


def _is_in_memory(url: sa.URL) -> bool:
    """Whether a URL of SQLite names a database in memory, with or without a name."""
    return url.database in {None, "", ":memory:"} or url.query.get("mode") == "memory"


def _own_engine(
    host: sa.Engine,
    options: cabc.Mapping[str, t.Any],
    timeout: float | None = None,
    *,
    size: int = 1,
) -> sa.Engine:
    limits = {} if timeout is None else stalls.connect_args(host, timeout)
    args = {**limits, **options.get("connect_args", {})}
    return _engine_like(
        host,
        {**options, **dialects.own_options(host.dialect.name, options), "connect_args": args},
        size=size,
        hide_parameters=True,
        pool_pre_ping=True,
    )


def _engine_like(
    host: sa.Engine, options: cabc.Mapping[str, t.Any], *, size: int = 1, **own: t.Any
) -> sa.Engine:
    """Return an engine whose connections are made like the host's."""
    engine = sa.create_engine(
        host.url,
        **{**options, **find_creator(host), **own},
        poolclass=QueuePool,
        pool_size=size,
        max_overflow=0,
    )
    adopt_listeners(engine, host)
    return engine


def _place_of(url: sa.URL) -> list[str]:
    """Return what says where a database is: its kind, host, port and name, or a file's path."""
    kind = url.get_backend_name()
    if kind == "sqlite":
        path = (url.database or "").removeprefix("file:").partition("?")[0]
        return [kind, os.path.realpath(path)]
    kind = "mysql" if kind == "mariadb" else kind
    query = {name: str(url.query[name]) for name in _PLACES if name in url.query}
    host = (url.host or "").lower()
    port = url.port or _PORTS.get(kind)
    # A PostgreSQL database without a name has that of the user.
    name = url.database or url.username
    return [kind, host, str(port), str(name), *(f"{key}={query[key]}" for key in query)]


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
    """Return an engine on the host's own connection to an in-memory SQLite database.

    The host has one for all threads, or one for each thread. Another connection would have a
    database of its own or, with a shared cache, wait in vain for the host's locks.
    """

    def borrow() -> t.Any:
        if isinstance(host.pool, StaticPool):
            return _BorrowedConnection(host.pool.connection.driver_connection)
        lent = host.pool.connect()
        return _BorrowedConnection(lent.driver_connection, lent.close)

    engine = sa.create_engine("sqlite://", creator=borrow, poolclass=NullPool, hide_parameters=True)
    sa.event.listen(engine, "begin", lambda c: c.connection.dbapi_connection.begin())
    return engine


class _BorrowedConnection:
    """The host's connection, lent to SQLAlchemy's pool, which never closes it or rolls it back.

    Inside a transaction of the host, ours is a savepoint, and the host commits or rolls back.
    Otherwise it is a transaction of its own.
    """

    def __init__(
        self, connection: t.Any, give_back: cabc.Callable[[], object] = lambda: None
    ) -> None:
        self._connection = connection
        self._give_back = give_back
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
        self._give_back()

    def _end(self, statements: str) -> None:
        self._commit = self._rollback = ""
        for statement in filter(None, statements.split("; ")):
            self._connection.execute(statement)
