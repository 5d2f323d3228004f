"""Connections that only read, for reports: apart from the host's and the writer's.

All statements of a transaction see the same moment, on each database. None of them can change
anything.
"""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import sqlite3
import time
import typing as t

import sqlalchemy as sa
from sqlalchemy import exc

from .dialects import code_of, family_of

_BUSY_TIMEOUT_MS = 5000
# How many steps of its virtual machine SQLite takes between two looks at the clock.
_STEPS = 2000
# SQLSTATE and error numbers of statements that took too long.
_PG_STOPPED = frozenset({"57014"})
_MYSQL_STOPPED = frozenset({1969, 3024, 1317})
_DUE = "eventtrack_due"
_CLOSING_SECONDS = 5.0
# How a transaction begins; its limit is set behind the first statement. For PostgreSQL, compiling
# a query takes longer than that saves.
_BEGIN = {
    "postgresql": (
        "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY",
        "SET LOCAL jit = off",
    ),
    "mysql": (
        "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ",
        "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY",
    ),
    "sqlite": ("BEGIN",),
}


class TimeUp(Exception):
    """What was to be read in a given time was not."""


def prepare_engine(engine: sa.Engine, seconds: float) -> None:
    """Make the transactions of an engine snapshots that cannot change anything.

    :param seconds: how long a statement may take.
    """
    if engine.dialect.name == "sqlite":
        sa.event.listen(engine, "connect", _prepare_sqlite)

    def begin(connection: sa.Connection) -> None:
        first, *rest = _BEGIN[family_of(connection)]
        connection.exec_driver_sql(first)
        _limit(connection, seconds)
        for statement in rest:
            connection.exec_driver_sql(statement)

    sa.event.listen(engine, "begin", begin)


def _prepare_sqlite(connection: sqlite3.Connection, record: t.Any) -> None:
    connection.isolation_level = None
    connection.execute(f"PRAGMA busy_timeout = {_BUSY_TIMEOUT_MS}")
    connection.execute("PRAGMA query_only = ON")
    info = record.info

    def is_over() -> bool:
        due: float = info.get(_DUE, float("inf"))
        return time.monotonic() > due

    connection.set_progress_handler(is_over, _STEPS)


def _set_due(connection: sa.Connection, seconds: float) -> None:
    connection.info[_DUE] = time.monotonic() + seconds


@contextlib.contextmanager
def limited(connection: sa.Connection, seconds: float, usual: float) -> cabc.Iterator[None]:
    """Stop a statement that is not done in time. The snapshot stays, and others can follow.

    :param usual: how long statements may take afterwards.
    :raises TimeUp: it was stopped.
    """
    try:
        with connection.begin_nested():
            _limit(connection, max(0.001, seconds))
            yield
    except (exc.DBAPIError, TimeUp) as error:
        if isinstance(error, exc.DBAPIError) and not is_stopped(error):
            raise
        _limit(connection, usual)
        raise TimeUp from None
    _limit(connection, usual)


def give_up(connection: sa.Connection) -> t.NoReturn:
    """Stop reading a result whose time is over, with time to close its cursor.

    :raises TimeUp: always.
    """
    _limit(connection, _CLOSING_SECONDS)
    raise TimeUp


def _limit(connection: sa.Connection, seconds: float) -> None:
    match family_of(connection):
        case "postgresql":
            connection.exec_driver_sql(f"SET LOCAL statement_timeout = {_milliseconds(seconds)}")
        case "mysql":
            connection.exec_driver_sql(_limit_of_mysql(connection.dialect, seconds))
        case _:
            _set_due(connection, seconds)


def _limit_of_mysql(dialect: sa.Dialect, seconds: float) -> str:
    if getattr(dialect, "is_mariadb", False):
        return f"SET SESSION max_statement_time = {seconds:.3f}"
    return f"SET SESSION max_execution_time = {_milliseconds(seconds)}"


def _milliseconds(seconds: float) -> int:
    return max(1, round(seconds * 1000))


def is_stopped(error: exc.DBAPIError) -> bool:
    """Whether a statement was stopped because it took too long."""
    if isinstance(error.orig, sqlite3.OperationalError):
        return "interrupted" in str(error.orig)
    return code_of(error) in _PG_STOPPED | _MYSQL_STOPPED
