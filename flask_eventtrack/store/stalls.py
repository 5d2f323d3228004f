"""Ends the wait for a database that no longer answers, for instance behind a broken proxy.

Four limits, since none sees every stall. Connecting has one. The server ends statements that take
too long, and transactions of a client that has gone, so that other processes need not wait for its
locks. Most drivers stop reading. Those that use libpq, such as psycopg, cannot, so a thread watches
them.
"""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import logging
import math
import socket
import threading
import time
import typing as t

import sqlalchemy as sa

logger: logging.Logger = logging.getLogger("flask_eventtrack")

_CONNECT_SECONDS = 10
_LIBPQ = frozenset({"psycopg", "psycopg2", "psycopg2cffi"})
_KEEPALIVES = {"keepalives": 1, "keepalives_idle": 30, "keepalives_interval": 10}
_LIBPQ_WITH_USER_TIMEOUT = 12_00_00
# A client waits longer than the server lets a statement run, so that the server's error arrives.
_CLIENT_FACTOR = 1.25

# For a transaction, not the session: a pooler may lend the session to others. What the host has
# set for its role or connection stays.
_POSTGRESQL = "SELECT " + ", ".join(
    f"CASE current_setting('{name}') WHEN '0' THEN set_config('{name}', '{{0}}', true) END"
    for name in ("statement_timeout", "idle_in_transaction_session_timeout")
)
_MARIADB = "SET SESSION " + ", ".join(
    f"{name} = IF(@@{name} = 0, {{0}}, @@{name})"
    for name in ("max_statement_time", "idle_transaction_timeout")
)
# MySQL knows no limit of either kind.
_MYSQL = "SET SESSION wait_timeout = LEAST(@@wait_timeout, 600)"


def connect_args(host: sa.Engine, seconds: float) -> dict[str, t.Any]:
    """Return the driver's arguments for a limit, without those that the host's URL has."""
    client = math.ceil(seconds * _CLIENT_FACTOR)
    connect = min(_CONNECT_SECONDS, client)
    args: dict[str, t.Any] = {}
    match host.dialect.driver:
        case "psycopg" | "psycopg2" | "psycopg2cffi":
            args = {"connect_timeout": connect, **_KEEPALIVES}
            if _libpq_version(host.dialect.dbapi) >= _LIBPQ_WITH_USER_TIMEOUT:
                args["tcp_user_timeout"] = client * 1000
        case "pg8000":
            args = {"timeout": client}
        case "pymysql" | "mysqldb" | "mariadbconnector":
            args = dict.fromkeys(("read_timeout", "write_timeout"), client)
            args["connect_timeout"] = connect
        case "mysqlconnector":
            args = {"connection_timeout": connect}
            driver: t.Any = host.dialect.dbapi
            known = driver.constants.DEFAULT_CONFIGURATION  # since version 9.2 they are there
            args |= dict.fromkeys({"read_timeout", "write_timeout"} & known.keys(), client)
    return {name: value for name, value in args.items() if name not in host.url.query}


def _libpq_version(driver: t.Any) -> int:
    own = getattr(driver, "__libpq_version__", None)  # psycopg2's; psycopg has a module
    return int(own if own is not None else driver.pq.version())


def limit_statements(engine: sa.Engine, seconds: float) -> None:
    """Have the server end statements, and idle transactions, that take too long."""
    if engine.dialect.name == "postgresql":
        statement = _POSTGRESQL.format(math.ceil(seconds * 1000))
        sa.event.listen(engine, "begin", lambda c: c.exec_driver_sql(statement))
    elif engine.dialect.name in {"mysql", "mariadb"}:
        sa.event.listen(engine, "connect", _limiter_of_mysql(engine, math.ceil(seconds)))


def _limiter_of_mysql(engine: sa.Engine, seconds: int) -> cabc.Callable[[t.Any, object], None]:
    def limit(connection: t.Any, record: object) -> None:
        statement = _MARIADB if getattr(engine.dialect, "is_mariadb", False) else _MYSQL
        with contextlib.closing(connection.cursor()) as cursor:
            cursor.execute(statement.format(seconds))

    return limit


class Watch:
    """Breaks the one connection of an engine if an answer takes too long.

    Other limits do not see a proxy that still takes bytes but forwards none: the system believes
    that they have arrived.
    """

    def __init__(self, engine: sa.Engine, seconds: float) -> None:
        self._seconds = seconds * _CLIENT_FACTOR
        self._is_needed = engine.dialect.driver in _LIBPQ
        self._connection: t.Any = None
        self._due = math.inf
        self._has_broken = False
        if self._is_needed:
            # First of all listeners: SQLAlchemy's own already ask the server.
            sa.event.listen(engine, "connect", self._attach, insert=True)
            for name in ("before_cursor_execute", "commit"):
                sa.event.listen(engine, name, self._renew)

    def _attach(self, connection: t.Any, record: object) -> None:
        self._connection = connection
        self._renew()

    def _renew(self, *_: object) -> None:
        self._due = time.monotonic() + self._seconds

    @contextlib.contextmanager
    def guard(self) -> cabc.Iterator[None]:
        """Watch what the connection does meanwhile."""
        if not self._is_needed:
            yield
            return
        self._renew()
        is_over = threading.Event()
        thread = threading.Thread(
            target=self._watch, args=(is_over,), name="eventtrack-watch", daemon=True
        )
        with contextlib.suppress(RuntimeError):  # no more threads, or the interpreter shuts down
            thread.start()
        try:
            yield
            self._has_broken = False
        finally:
            is_over.set()

    def _watch(self, is_over: threading.Event) -> None:
        while not is_over.wait(min(threading.TIMEOUT_MAX, max(0.0, self._due - time.monotonic()))):
            if time.monotonic() >= self._due:
                self._due = math.inf  # until another connection is made, which has its own limit
                self._break()

    def _break(self) -> None:
        if not self._has_broken:  # else it was said already
            self._has_broken = True
            logger.error(
                "No answer from the database in %g s: the connection is closed.", self._seconds
            )
        with contextlib.suppress(Exception):  # each driver has its own for a closed connection
            end = socket.socket(fileno=socket.dup(self._connection.fileno()))
            with contextlib.closing(end):
                end.shutdown(socket.SHUT_RDWR)
