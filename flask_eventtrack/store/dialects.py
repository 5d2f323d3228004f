"""Where the databases differ."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import datetime as dt
import itertools
import re
import typing as t
import uuid as uuidlib
import zlib

import sqlalchemy as sa
from sqlalchemy import exc
from sqlalchemy.dialects import mysql, postgresql, sqlite

from .logged import BATCH

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
# The key of the row that is locked for a partition of devices: no hash looks like it.
_PARTITION = "partition {}"
_BEGINNING = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)

_MYSQL = frozenset({"mysql", "mariadb"})
# MariaDB and MySQL report some refused values as operational errors: a failed CHECK (as of a JSON
# column), a string that does not fit its column or character set, invalid JSON, and what a host's
# trigger refuses (SIGNAL).
_MYSQL_DATA_ERRORS = frozenset({1264, 1366, 1406, 1644, 3140, 3819, 4025})

# Classes of SQLSTATE: data exceptions, violated constraints, and what a host's trigger refuses
# (RAISE). Not every driver tells them apart.
_PG_DATA_CLASSES = frozenset({"22", "23", "P0"})

# A right that is missing, and a database that can only be read.
_PG_DENIALS = frozenset({"42501", "25006"})
_MYSQL_DENIALS = frozenset({1044, 1142, 1143, 1227, 1290})
# A table, schema, column or named index that does not exist; a column that this release does not
# fill.
_PG_MISSING = frozenset({"3F000", "42P01", "42703"})
_MYSQL_MISSING = frozenset({1049, 1054, 1146, 1176, 1364})
_SQLITE_MISSING = ("no such table", "no such column", "has no column named")
_SQLITE_READONLY = 8
# Numbers and ids, which differ from row to row.
_VARIABLE = re.compile(r"\b[0-9a-f-]*[0-9][0-9a-f-]*\b")

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
    changed = (*names, BATCH) if BATCH in table.columns else names
    return insert.on_duplicate_key_update({name: insert.inserted[name] for name in changed})


def build_count(dialect_name: str, table: sa.Table, names: Names) -> sa.Insert:
    """Make the insert of counters that adds to stored ones of the same key."""
    if dialect_name == "postgresql":
        rows = sa.select(_unnested(table, names))
        return _adding(postgresql.insert(table).from_select(names, rows), table, "count")
    return build_sum(dialect_name, table, "count")


def build_sum(dialect_name: str, table: sa.Table, name: str) -> sa.Insert:
    """Make the insert of a row that adds the named column to that of a stored one."""
    return build_sums(dialect_name, table, (name,))


def build_sums(dialect_name: str, table: sa.Table, names: Names) -> sa.Insert:
    """Make the insert of a row that adds the named columns to those of a stored one."""
    values = _bind(table.columns.keys())
    if dialect_name in _MYSQL:
        insert = mysql.insert(table).values(values)
        totals = {name: table.c[name] + insert.inserted[name] for name in names}
        return insert.on_duplicate_key_update(totals)
    into = sqlite.insert if dialect_name == "sqlite" else postgresql.insert
    return _adding(into(table).values(values), table, *names)


def _adding(
    into: postgresql.Insert | sqlite.Insert, table: sa.Table, *names: str
) -> postgresql.Insert | sqlite.Insert:
    totals = {name: table.c[name] + into.excluded[name] for name in names}
    key = list(table.primary_key.columns)
    return into.on_conflict_do_update(index_elements=key, set_=totals)


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


def is_among(dialect_name: str, column: sa.ColumnElement[uuidlib.UUID]) -> sa.ColumnElement[bool]:
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


def is_one_of(dialect_name: str, value: sa.ColumnElement[uuidlib.UUID]) -> sa.ColumnElement[bool]:
    """Return the same condition on a value that no index has, of which there are many."""
    if dialect_name == "postgresql":
        # A list in a subquery is hashed, and an array is not.
        ids = sa.cast(sa.bindparam(_IDS, type_=sa.Text()), postgresql.ARRAY(sa.Uuid()))
        return value.in_(sa.select(sa.func.unnest(ids)))
    return is_among(dialect_name, value)


def by_index(query: sa.Select[t.Any], column: sa.Column[t.Any]) -> sa.Select[t.Any]:
    """Have MariaDB find rows that it locks by the index of a column.

    For some hundred ids it may read a table as a whole. It then waits for each row that another
    transaction has locked, until two wait for each other.
    """
    table = column.table
    names = [str(each.name) for each in table.indexes if each.columns[0] is column]
    for dialect in _MYSQL:
        query = query.with_hint(table, f"FORCE INDEX ({(names or ['PRIMARY'])[0]})", dialect)
    return query


def forbid_sorting(connection: sa.Connection) -> None:
    """Have PostgreSQL read pages of a table by their index, for the rest of the transaction.

    Otherwise it may sort all rows for each page of a small table.
    """
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("SET LOCAL enable_sort = off")


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


def lock_partitions(
    connection: sa.Connection, table: sa.Table, partitions: cabc.Sequence[int]
) -> None:
    """Wait for other transactions that hold one of these partitions; hold them until the end.

    The caller gives them in order, so that two transactions cannot deadlock, and holds no other
    lock yet that writers wait for. PostgreSQL has locks without rows for it. In MariaDB they are
    rows of the table of tombstones, which whoever misses one inserts. SQLite has one writer anyway.

    :raises sqlalchemy.exc.IntegrityError: another process inserts them at this moment; the next
        attempt finds them.
    """
    name = connection.dialect.name
    if name == "postgresql" and partitions:
        space = zlib.crc32(table.fullname.encode()) - 2**31  # of 32 bits with a sign
        locks = (f"pg_advisory_xact_lock({space}, {each})" for each in partitions)
        connection.exec_driver_sql(f"SELECT {', '.join(locks)}")
    elif name in _MYSQL and partitions:
        _lock_rows(connection, table, partitions)


def _lock_rows(
    connection: sa.Connection, table: sa.Table, partitions: cabc.Collection[int]
) -> None:
    key = table.c.uuid_hash
    query = sa.select(key).where(key.in_(map(_PARTITION.format, partitions))).order_by(key)
    query = by_index(query, key)
    found = connection.scalars(query.with_for_update()).all()
    if len(found) < len(partitions):
        missing = {_PARTITION.format(each) for each in partitions}.difference(found)
        row = {"erased_at": _BEGINNING}
        connection.execute(table.insert(), [{"uuid_hash": each, **row} for each in sorted(missing)])


def analyze_new(connection: sa.Connection, table: sa.Table) -> None:
    """Have PostgreSQL look at the values of a table, if it never has.

    Without that it plans by guesses, and keeps slow plans until its own look, minutes later. Where
    we may not, it only warns; who waits for a lock gives up.
    """
    if connection.dialect.name != "postgresql":
        return
    fullname = connection.dialect.identifier_preparer.format_table(table)
    never = sa.text(
        "SELECT last_analyze IS NULL AND last_autoanalyze IS NULL FROM pg_stat_all_tables "
        "WHERE relid = to_regclass(:fullname)"
    )
    if connection.scalar(never, {"fullname": fullname}):
        connection.execute(sa.text("SET LOCAL lock_timeout = '1s'"))
        analyze = sa.DDL("ANALYZE %(fullname)s")  # type: ignore[no-untyped-call]
        connection.execute(analyze.against(table))


@contextlib.contextmanager
def larger_cache(connection: sa.Connection, kib: int) -> cabc.Iterator[None]:
    """Let SQLite keep more pages for some statements. It frees them once they are committed."""
    if connection.dialect.name != "sqlite":
        yield
        return
    usual = connection.exec_driver_sql("PRAGMA cache_size").scalar()
    connection.exec_driver_sql(f"PRAGMA cache_size = -{kib}")
    try:
        yield
    finally:
        connection.exec_driver_sql(f"PRAGMA cache_size = {usual}")


def id_as_text(dialect_name: str, column: sa.Column[uuidlib.UUID]) -> sa.ColumnElement[str]:
    """Return an id in hexadecimal digits, with or without hyphens."""
    if dialect_name == "postgresql":
        return sa.cast(column, sa.Text())
    return sa.type_coerce(column, sa.Text())


def is_data_error(error: Exception) -> bool:
    """Whether a value caused the error, so that the same batch would fail each time."""
    if isinstance(error, exc.DBAPIError):
        code = code_of(error)
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
    return code_of(error) in _PG_CONFLICTS | _MYSQL_CONFLICTS


def is_denied(error: Exception) -> bool:
    """Whether the database user lacks a right, or the database can only be read."""
    if not isinstance(error, exc.DBAPIError):
        return False
    # The last eight bits are SQLite's primary code (https://sqlite.org/rescode.html).
    code = getattr(error.orig, "sqlite_errorcode", 0) & 0xFF
    return code == _SQLITE_READONLY or code_of(error) in _PG_DENIALS | _MYSQL_DENIALS


def is_missing(error: Exception) -> bool:
    """Whether a table or a column is not as this release needs it."""
    if not isinstance(error, exc.DBAPIError):
        return False
    message = str(error.orig)
    return code_of(error) in _PG_MISSING | _MYSQL_MISSING or any(
        text in message for text in _SQLITE_MISSING
    )


def is_lock_timeout(error: exc.DBAPIError) -> bool:
    """Whether a change gave up because another transaction holds the table."""
    return code_of(error) in {"55P03", 1205}


def family_of(connection: sa.Connection) -> str:
    """Return the kind of database: SQLAlchemy calls MariaDB by two names."""
    name = connection.dialect.name
    return "mysql" if name in _MYSQL else name


def complaint_of(error: Exception) -> str:
    """Return the first line of an error, which names constraint and column, not the whole row."""
    cause = (error.orig if isinstance(error, exc.DBAPIError) else None) or error
    # PyMySQL's first argument is the error's number.
    texts = [str(arg) for arg in cause.args if isinstance(arg, str)] or [str(cause)]
    return f"{type(cause).__name__}: {texts[0].strip().partition(chr(10))[0]}"


def is_same_complaint(one: Exception, other: Exception) -> bool:
    """Whether two rows were refused for the same reason."""
    first, second = (_VARIABLE.sub("", complaint_of(error)) for error in (one, other))
    return first == second


def code_of(error: exc.DBAPIError) -> object:
    """Return MySQL's error number or PostgreSQL's SQLSTATE, as each driver gives it, or None."""
    cause = error.orig
    first = cause.args[0] if cause is not None and cause.args else None
    if isinstance(first, int):  # PyMySQL's errors have an SQLSTATE as well, which is less exact
        return first
    if isinstance(first, dict):  # pg8000
        return first.get("C")
    for name in ("sqlstate", "pgcode"):  # psycopg, psycopg2
        if hasattr(cause, name):
            return getattr(cause, name)
    return None


def own_options(dialect_name: str, options: cabc.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """Return the options of an engine for the isolation level that our transactions need.

    Under MariaDB's default, REPEATABLE READ, a query would not see what another process has just
    committed, and would lock the gaps between rows. Under AUTOCOMMIT, which may be the host's level
    in either option, nothing could be rolled back, and locks would end with their statement.
    """
    level = None if dialect_name == "sqlite" else "READ COMMITTED"
    execution = {**options.get("execution_options", {})}
    execution.pop("isolation_level", None)
    return {"isolation_level": level, "execution_options": execution}
