"""Makes our tables as ``create_all()`` does, but faster: thousands of tests have some.

On SQLite and PostgreSQL the statements are compiled once a process. On MariaDB, where making them
takes half a second, tables that a test has left unchanged are emptied and renamed into the next
test's database.
"""

from __future__ import annotations

import collections.abc as cabc
import uuid

import sqlalchemy as sa

_PREFIX = "eventtrack_"
_compiled: dict[tuple[str, str], list[str]] = {}
#: The MariaDB databases of this process whose tables wait for a test.
_waiting: list[str] = []
#: How MariaDB describes each table as it was made.
_made: dict[str, str] = {}


def create_tables(connection: sa.Connection, metadata: sa.MetaData) -> None:
    """Create the tables of a metadata that the database lacks."""
    ours = [table for table in metadata.sorted_tables if table.name.startswith(_PREFIX)]
    is_plain = metadata.schema is None and set(metadata.naming_convention) == {"ix"}
    # Few tests have the tables that settings ask for.
    is_plain &= not {f"{_PREFIX}commit", f"{_PREFIX}stream"} & set(metadata.tables)
    if is_plain and ours and not sa.inspect(connection).get_table_names():
        make = _MAKERS.get((connection.dialect.name, connection.dialect.driver), _make_all)
        make(connection, ours)
    metadata.create_all(connection)


def _make_all(connection: sa.Connection, tables: cabc.Sequence[sa.Table]) -> None:
    tables[0].metadata.create_all(connection, tables=tables)


def _make_one_by_one(connection: sa.Connection, tables: cabc.Sequence[sa.Table]) -> None:
    for statement in _compile(connection, tables):
        connection.exec_driver_sql(statement)


def _make_at_once(connection: sa.Connection, tables: cabc.Sequence[sa.Table]) -> None:
    connection.exec_driver_sql(";".join(_compile(connection, tables)))


def _compile(connection: sa.Connection, tables: cabc.Sequence[sa.Table]) -> list[str]:
    dialect = connection.dialect
    key = (dialect.name, dialect.driver)
    if key not in _compiled:
        _compiled[key] = [
            str(item.compile(dialect=dialect))  # type: ignore[attr-defined]
            for table in tables
            for item in (sa.schema.CreateTable(table), *map(sa.schema.CreateIndex, table.indexes))
        ]
    return _compiled[key]


# MariaDB


def _take(connection: sa.Connection, tables: cabc.Sequence[sa.Table]) -> None:
    name = connection.scalar(sa.select(sa.func.database()))
    if _waiting:
        source = _waiting.pop()
        _rename(connection, source, f"{name}", sorted(_made))
        connection.exec_driver_sql(f"DROP DATABASE {source}")
        return
    _make_all(connection, tables)
    _made.update(_describe(connection, f"{name}", [table.name for table in tables]))


def keep_tables(connection: sa.Connection, name: str) -> None:
    """Keep the tables of a MariaDB database that nobody uses any more, if they are as made."""
    try:
        connection.exec_driver_sql("SET lock_wait_timeout = 2")
        found = connection.exec_driver_sql(f"SHOW TABLES FROM {name}").scalars().all()
        ours = sorted(each for each in found if each.startswith(_PREFIX))
        if not _made or _describe(connection, name, ours) != _made:
            return
        for each in ours:
            connection.exec_driver_sql(f"DELETE FROM {name}.{each}")
        kept = f"et_{uuid.uuid4().hex[:12]}"
        connection.exec_driver_sql(f"CREATE DATABASE {kept}")
        _rename(connection, name, kept, ours)
        _waiting.append(kept)
    except sa.exc.DBAPIError:
        return  # a trigger, a lock: the database is dropped with its tables


def has_kept() -> bool:
    return bool(_waiting)


def drop_kept(connection: sa.Connection) -> None:
    """Drop the databases that wait."""
    while _waiting:
        connection.exec_driver_sql(f"DROP DATABASE {_waiting.pop()}")


def _describe(
    connection: sa.Connection, database: str, names: cabc.Iterable[str]
) -> dict[str, str]:
    described = {}
    for name in names:
        row = connection.exec_driver_sql(f"SHOW CREATE TABLE {database}.{name}").one()
        described[name] = f"{row[1]}"
    return described


def _rename(connection: sa.Connection, source: str, target: str, names: cabc.Iterable[str]) -> None:
    moves = ", ".join(f"{source}.{name} TO {target}.{name}" for name in names)
    connection.exec_driver_sql(f"RENAME TABLE {moves}")


_MAKERS = {
    ("sqlite", "pysqlite"): _make_one_by_one,
    ("postgresql", "psycopg"): _make_at_once,
    ("mysql", "pymysql"): _take,
    ("mariadb", "pymysql"): _take,
}
