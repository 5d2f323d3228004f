"""Where the databases differ."""

from __future__ import annotations

import collections.abc as cabc
import itertools
import typing as t
import uuid as uuidlib

import sqlalchemy as sa
from sqlalchemy import exc
from sqlalchemy.dialects import mysql, postgresql, sqlite

#: Names of columns.
Names = tuple[str, ...]
#: Makes a statement about many rows. Its parameters have the names of columns, or ``KEY``.
Build = cabc.Callable[[str, sa.Table, Names], sa.ClauseElement]
#: The parameter for the id of a stored row.
KEY = "key_id"
# A statement may have twice as many parameters. PostgreSQL's drivers take 32,767 or 65,535, SQLite
# 32,766, and 999 before version 3.32.
_CHUNK = 400
_IDS = "ids"

_MYSQL = frozenset({"mysql", "mariadb"})
# MariaDB and MySQL report some refused values as operational errors: a failed CHECK (as of a JSON
# column), a string that does not fit its column or character set, invalid JSON.
_MYSQL_DATA_ERRORS = frozenset({1264, 1366, 1406, 3140, 3819, 4025})

# Classes of SQLSTATE: data exceptions and violated constraints. Not every driver tells them apart.
_PG_DATA_CLASSES = frozenset({"22", "23"})

# Serialization failure, deadlock, and a key that another transaction has taken meanwhile.
_PG_CONFLICTS = frozenset({"40001", "40P01", "23505"})
# Deadlock, and a record that has changed since it was read.
_MYSQL_CONFLICTS = frozenset({1213, 1020})

_Each = t.TypeVar("_Each")


def build_insert(dialect_name: str, table: sa.Table, names: Names) -> sa.Insert:
    if dialect_name == "postgresql":
        return table.insert().from_select(names, sa.select(_unnested(table, names)))
    return table.insert().values(_bind(names))


def build_update(dialect_name: str, table: sa.Table, names: Names) -> sa.Update | mysql.Insert:
    """Make the update of the named columns by ``id``."""
    if dialect_name == "postgresql":
        record = _unnested(table, ("id", *names))
        changes = {name: record.c[name] for name in names}
        return table.update().where(table.c.id == record.c.id).values(changes)
    if dialect_name in _MYSQL:
        return _build_mysql_update(table, names)
    return table.update().where(table.c.id == sa.bindparam(KEY)).values(_bind(names))


def _build_mysql_update(table: sa.Table, names: Names) -> mysql.Insert:
    """Make an insert that always updates a stored row: drivers combine inserts, not updates."""
    needed = (column.name for column in table.columns if not column.nullable)
    insert = mysql.insert(table).values(_bind((*names, *needed)))
    return insert.on_duplicate_key_update({name: insert.inserted[name] for name in names})


def build_count(dialect_name: str, table: sa.Table, names: Names) -> sa.Insert:
    """Make the insert of counters that adds to stored ones of the same key."""
    if dialect_name in _MYSQL:
        insert = mysql.insert(table).values(_bind(names))
        return insert.on_duplicate_key_update(count=table.c.count + insert.inserted["count"])
    into: postgresql.Insert | sqlite.Insert
    if dialect_name == "postgresql":
        rows = sa.select(_unnested(table, names))
        into = postgresql.insert(table).from_select(names, rows)
    else:
        into = sqlite.insert(table).values(_bind(names))
    total = table.c.count + into.excluded["count"]
    key = list(table.primary_key.columns)
    return into.on_conflict_do_update(index_elements=key, set_={"count": total})


def _bind(names: cabc.Iterable[str]) -> dict[str, sa.BindParameter[t.Any]]:
    return {name: sa.bindparam(name) for name in names}


def _unnested(table: sa.Table, names: Names) -> sa.TableValuedAlias:
    columns = [table.columns[name] for name in names]
    rows = sa.func.unnest(*map(_array_of, columns)).table_valued(*columns)
    return rows.render_derived(name="record")


def _array_of(column: sa.Column[t.Any]) -> sa.ColumnElement[t.Any]:
    """Return a parameter for many values, with the type that the driver does not give it."""
    values: sa.ColumnElement[t.Any] = sa.bindparam(column.name)
    kind = column.type
    if isinstance(kind, sa.JSON):
        end, null = (sa.literal_column(text, sa.Text()) for text in (r"E'\n'", "'null'"))
        values = sa.func.string_to_array(values, end, null)
    elif isinstance(kind, sa.String):
        kind = sa.Text()  # a cast to a length would cut longer texts
    return sa.cast(values, postgresql.ARRAY(kind))


def is_among(dialect_name: str, column: sa.Column[uuidlib.UUID]) -> sa.ColumnElement[bool]:
    """Return the condition that an id is one of those that :func:`ids_parameter` passes."""
    if dialect_name == "postgresql":
        # A subquery: PostgreSQL reads the ids once, and not for each row that it looks at.
        kind = postgresql.ARRAY(sa.Uuid())
        ids = sa.select(sa.func.unnest(sa.cast(sa.bindparam(_IDS, type_=sa.Text()), kind)))
        return column == sa.any_(sa.func.array(ids.scalar_subquery(), type_=kind))
    if dialect_name == "sqlite":
        ids_of_json = sa.func.json_each(sa.bindparam(_IDS, type_=sa.Text()))
        return column.in_(sa.select(ids_of_json.table_valued("value").c.value))
    return column.in_(sa.bindparam(_IDS, type_=sa.String(), expanding=True))


def ids_parameter(dialect_name: str, ids: cabc.Iterable[int]) -> dict[str, t.Any]:
    """Return the parameter with ids, given as numbers, for :func:`is_among`."""
    texts = ["%032x" % number for number in ids]  # noqa: UP031 - the fastest
    if dialect_name == "postgresql":
        return {_IDS: "{" + ",".join(texts) + "}"}
    if dialect_name == "sqlite":
        return {_IDS: '["' + '","'.join(texts) + '"]'}
    return {_IDS: texts}


def in_chunks(items: cabc.Iterable[_Each]) -> cabc.Iterator[list[_Each]]:
    """Yield the items, as many at a time as a statement may have parameters."""
    rest = iter(items)
    while chunk := list(itertools.islice(rest, _CHUNK)):
        yield chunk


def queue_for(connection: sa.Connection, table: sa.Table) -> None:
    """Make all transactions that lock rows of a table from now on wait for this one.

    While a row is locked as shared, PostgreSQL lets more transactions share it, so that one that
    wants to change the row may wait forever. Locks of a table queue, in MariaDB also locks of rows.
    """
    if connection.dialect.name == "postgresql":
        lock = sa.DDL("LOCK TABLE %(fullname)s IN EXCLUSIVE MODE")  # type: ignore[no-untyped-call]
        connection.execute(lock.against(table))


def id_as_text(dialect_name: str, column: sa.Column[uuidlib.UUID]) -> sa.ColumnElement[str]:
    """Return an id in hexadecimal digits, with or without hyphens."""
    if dialect_name == "postgresql":
        return sa.cast(column, sa.Text())
    return sa.type_coerce(column, sa.Text())


def is_data_error(error: Exception) -> bool:
    """Whether a value caused the error, so that the same batch would fail each time."""
    if isinstance(error, exc.DBAPIError):
        code = _code_of(error)
        return (
            isinstance(error, exc.DataError | exc.IntegrityError)
            or code in _MYSQL_DATA_ERRORS
            or (isinstance(code, str) and code[:2] in _PG_DATA_CLASSES)
        )
    # The last two: encoding met a number that is too large, or values nested too deeply.
    return isinstance(
        error, exc.StatementError | ValueError | TypeError | OverflowError | RecursionError
    )


def is_conflict(error: exc.DBAPIError) -> bool:
    """Whether another transaction was in the way, so that a second try may succeed at once."""
    if isinstance(error, exc.IntegrityError):
        return True
    return _code_of(error) in _PG_CONFLICTS | _MYSQL_CONFLICTS


def _code_of(error: exc.DBAPIError) -> object:
    """Return MySQL's error number or PostgreSQL's SQLSTATE, as each driver gives it, or None."""
    cause = error.orig
    for name in ("sqlstate", "pgcode", "sqlite_errorcode"):  # psycopg, psycopg2, sqlite3
        if hasattr(cause, name):
            return None if name == "sqlite_errorcode" else getattr(cause, name)
    first = cause.args[0] if cause is not None and cause.args else None
    if isinstance(first, dict):  # pg8000
        return first.get("C")
    return first if isinstance(first, int) else None


def own_options(dialect_name: str) -> dict[str, str]:
    """Return the options of an engine for the isolation level that our transactions need.

    Under MariaDB's default, REPEATABLE READ, a query would not see what another process has just
    committed, and would lock the gaps between rows.
    """
    return {} if dialect_name == "sqlite" else {"isolation_level": "READ COMMITTED"}
