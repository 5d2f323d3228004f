"""Where the databases differ."""

from __future__ import annotations

import collections.abc as cabc
import itertools
import typing as t
import uuid as uuidlib

import sqlalchemy as sa
from sqlalchemy import exc
from sqlalchemy.dialects import mysql, postgresql, sqlite

from .types import UTCDateTime

#: Makes a statement about many rows, whose parameters are named for columns or ``KEY``.
Build = cabc.Callable[[str, sa.Table, tuple[str, ...]], sa.ClauseElement]
#: The parameter for the id under which a row is stored.
KEY = "key_id"
# Twice as many parameters are fewer than any database refuses: PostgreSQL's drivers take 32,767 or
# 65,535, SQLite 32,766, and 999 before version 3.32.
_CHUNK = 400
_IDS = "ids"
_PG_TIME_FORMAT = """'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'"""

_MYSQL = frozenset({"mysql", "mariadb"})
# MariaDB and MySQL report some refused values as operational errors: a failed CHECK such as that
# of a JSON column, a string that does not fit its column or character set, JSON that is none.
_MYSQL_DATA_ERRORS = frozenset({1264, 1366, 1406, 3140, 3819, 4025})

# Of SQLSTATE: data exceptions and violated constraints, which not every driver tells apart.
_PG_DATA_CLASSES = frozenset({"22", "23"})

# Serialization failure, deadlock, and a key that another has taken meanwhile; deadlock, and a
# record that has changed since it was read.
_PG_CONFLICTS = frozenset({"40001", "40P01", "23505"})
_MYSQL_CONFLICTS = frozenset({1213, 1020})

_Each = t.TypeVar("_Each")


def build_insert(dialect_name: str, table: sa.Table, names: tuple[str, ...]) -> sa.Insert:
    if dialect_name == "postgresql":
        record = _unnested(table, names)
        return table.insert().from_select(names, sa.select(*(record.c[name] for name in names)))
    return table.insert().values(_bind(names))


def build_update(
    dialect_name: str, table: sa.Table, names: tuple[str, ...]
) -> sa.Update | mysql.Insert:
    """Make the update of the named columns by ``id``."""
    if dialect_name == "postgresql":
        record = _unnested(table, ("id", *names))
        changes = {name: record.c[name] for name in names}
        return table.update().where(table.c.id == record.c.id).values(changes)
    if dialect_name in _MYSQL:
        return _build_mysql_update(table, names)
    return table.update().where(table.c.id == sa.bindparam(KEY)).values(_bind(names))


def _build_mysql_update(table: sa.Table, names: tuple[str, ...]) -> mysql.Insert:
    """Make an insert that always finds its row there: drivers send many of them as one."""
    needed = (column.name for column in table.columns if not column.nullable)
    insert = mysql.insert(table).values(_bind((*names, *needed)))
    return insert.on_duplicate_key_update({name: insert.inserted[name] for name in names})


def build_count(dialect_name: str, table: sa.Table, names: tuple[str, ...]) -> sa.Insert:
    """Make the insert of counters that adds to those under the same key."""
    if dialect_name in _MYSQL:
        into_mysql = mysql.insert(table).values(_bind(names))
        return into_mysql.on_duplicate_key_update(
            count=table.c.count + into_mysql.inserted["count"]
        )
    into: postgresql.Insert | sqlite.Insert
    if dialect_name == "postgresql":
        record = _unnested(table, names)
        into = postgresql.insert(table)
        into = into.from_select(names, sa.select(*(record.c[name] for name in names)))
    else:
        into = sqlite.insert(table).values(_bind(names))
    total = table.c.count + into.excluded["count"]
    key = list(table.primary_key.columns)
    return into.on_conflict_do_update(index_elements=key, set_={"count": total})


def _bind(names: cabc.Iterable[str]) -> dict[str, sa.BindParameter[t.Any]]:
    return {name: sa.bindparam(name) for name in names}


def _unnested(table: sa.Table, names: tuple[str, ...]) -> sa.TableValuedAlias:
    columns = [table.columns[name] for name in names]
    rows = sa.func.unnest(*map(_array_of, columns)).table_valued(*columns)
    return rows.render_derived(name="record")


def _array_of(column: sa.Column[t.Any]) -> sa.ColumnElement[t.Any]:
    """Return a parameter of many values, to which the driver gives no type of its own."""
    values: sa.ColumnElement[t.Any] = sa.bindparam(column.name)
    kind = column.type
    if isinstance(kind, sa.JSON):
        end, null = (sa.literal_column(text, sa.Text()) for text in (r"E'\n'", "'null'"))
        values = sa.func.string_to_array(values, end, null)
    elif isinstance(kind, sa.String):
        kind = sa.Text()  # a cast to a length would cut what is longer
    return sa.cast(values, postgresql.ARRAY(kind))


def is_among(dialect_name: str, column: sa.Column[uuidlib.UUID]) -> sa.ColumnElement[bool]:
    """Return the condition that an id is one of many, which :func:`ids_parameter` hands over."""
    if dialect_name == "postgresql":
        # A subquery, so that PostgreSQL reads the ids once and not for each row that it looks at.
        kind = postgresql.ARRAY(sa.Uuid())
        ids = sa.select(sa.func.unnest(sa.cast(sa.bindparam(_IDS, type_=sa.Text()), kind)))
        return column == sa.any_(sa.func.array(ids.scalar_subquery(), type_=kind))
    if dialect_name == "sqlite":
        ids_of_json = sa.func.json_each(sa.bindparam(_IDS, type_=sa.Text()))
        return column.in_(sa.select(ids_of_json.table_valued("value").c.value))
    return column.in_(sa.bindparam(_IDS, type_=sa.String(), expanding=True))


def ids_parameter(dialect_name: str, ids: cabc.Iterable[int]) -> dict[str, t.Any]:
    """Return the ids, given as numbers, for :func:`is_among`."""
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
    """Have whoever locks rows of a table from now on, be it shared, wait for this transaction.

    Where a row is shared, PostgreSQL lets others share it too while somebody waits to change it,
    who may so wait for ever. For a table there is a queue. MariaDB has one for each row.
    """
    if connection.dialect.name == "postgresql":
        lock = sa.DDL("LOCK TABLE %(fullname)s IN EXCLUSIVE MODE")  # type: ignore[no-untyped-call]
        connection.execute(lock.against(table))


def id_as_text(dialect_name: str, column: sa.Column[uuidlib.UUID]) -> sa.ColumnElement[str]:
    """Return an id in hexadecimal digits, with or without hyphens."""
    if dialect_name == "postgresql":
        return sa.cast(column, sa.Text())
    return sa.type_coerce(column, sa.Text())


def row_as_json(dialect_name: str, table: sa.Table) -> sa.ColumnElement[str]:
    """Return a row's values as the text of a JSON array: ids as text, times with their zone."""
    values = [_value_as_json(dialect_name, column) for column in table.columns]
    if dialect_name == "postgresql":
        return sa.cast(sa.func.json_build_array(*values), sa.Text())
    return sa.func.json_array(*values, type_=sa.Text())


def _value_as_json(dialect_name: str, column: sa.Column[t.Any]) -> sa.ColumnElement[t.Any]:
    if isinstance(column.type, UTCDateTime):
        if dialect_name == "postgresql":
            return sa.func.to_char(column, sa.literal_column(_PG_TIME_FORMAT))
        return sa.type_coerce(column, sa.Text()).concat(sa.literal_column("'Z'"))
    if isinstance(column.type, sa.JSON) and dialect_name != "postgresql":
        return sa.func.json_extract(column, sa.literal_column("'$'"), type_=sa.Text())
    return column


def is_data_error(error: Exception) -> bool:
    """Whether an error is the fault of a value, so that the same batch will fail for ever."""
    if isinstance(error, exc.DBAPIError):
        code = _code_of(error)
        return (
            isinstance(error, exc.DataError | exc.IntegrityError)
            or code in _MYSQL_DATA_ERRORS
            or (isinstance(code, str) and code[:2] in _PG_DATA_CLASSES)
        )
    # The last two are what encoding says of a number or a nesting without end.
    return isinstance(
        error, exc.StatementError | ValueError | TypeError | OverflowError | RecursionError
    )


def is_conflict(error: exc.DBAPIError) -> bool:
    """Whether another transaction was in the way, so that the same one may succeed at once."""
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


def isolation_level(dialect_name: str) -> str | None:
    """Return the isolation level that our transactions need, or None for the database's own.

    Under MariaDB's REPEATABLE READ a look-up would not see what another process has just
    committed, and locks gaps between rows.
    """
    return None if dialect_name == "sqlite" else "READ COMMITTED"
