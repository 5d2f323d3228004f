"""Where the databases differ."""

from __future__ import annotations

import collections.abc as cabc
import typing as t

import sqlalchemy as sa
from sqlalchemy import exc
from sqlalchemy.dialects import mysql, postgresql, sqlite

# MariaDB and MySQL report some refused values as operational errors: a failed CHECK such as that
# of a JSON column, a string that does not fit its column or character set, JSON that is none.
_MYSQL_DATA_ERRORS = frozenset({1264, 1366, 1406, 3140, 3819, 4025})

# Serialization failure and deadlock; deadlock, and a record that has changed since it was read.
_PG_CONFLICTS = frozenset({"40001", "40P01"})
_MYSQL_CONFLICTS = frozenset({1213, 1020})


def add_to_counts(
    connection: sa.Connection, table: sa.Table, rows: cabc.Sequence[dict[str, t.Any]]
) -> None:
    """Insert counters, or add each row's ``count`` to the one that stands under its key."""
    name = connection.dialect.name
    if name in {"mysql", "mariadb"}:
        into_mysql = mysql.insert(table)
        total = table.c.count + into_mysql.inserted.count
        connection.execute(into_mysql.on_duplicate_key_update(count=total), rows)
        return
    insert = postgresql.insert if name == "postgresql" else sqlite.insert
    into = insert(table)
    key = list(table.primary_key.columns)
    total = table.c.count + into.excluded.count
    connection.execute(into.on_conflict_do_update(index_elements=key, set_={"count": total}), rows)


def is_data_error(error: Exception) -> bool:
    """Whether an error is the fault of a value, so that the same batch will fail for ever."""
    if isinstance(error, exc.DBAPIError):
        if isinstance(error, exc.DataError | exc.IntegrityError):
            return True
        code = error.orig.args[0] if error.orig is not None and error.orig.args else None
        return code in _MYSQL_DATA_ERRORS and not _is_sqlite(error)
    return isinstance(error, exc.StatementError | ValueError | TypeError)


def is_conflict(error: exc.DBAPIError) -> bool:
    """Whether another transaction was in the way, so that the same one may succeed at once."""
    if isinstance(error, exc.IntegrityError):
        return True
    state = getattr(error.orig, "sqlstate", None)
    code = error.orig.args[0] if error.orig is not None and error.orig.args else None
    return state in _PG_CONFLICTS or (code in _MYSQL_CONFLICTS and not _is_sqlite(error))


def _is_sqlite(error: exc.DBAPIError) -> bool:
    return type(error.orig).__module__ == "sqlite3"


def isolation_level(dialect_name: str) -> str | None:
    """Return the isolation level that our transactions need, or None for the database's own.

    Under MariaDB's REPEATABLE READ a look-up would not see what another process has just
    committed, and locks gaps between rows.
    """
    return None if dialect_name == "sqlite" else "READ COMMITTED"
