"""The floor under any writer: ready rows, inserted by the bare driver, and nothing else."""

from __future__ import annotations

import abc
import collections.abc as cabc
import itertools
import typing as t

import sqlalchemy as sa

from .traffic import Row

BATCH = 500


class Floor(abc.ABC):
    """A connection of the bare driver to a database that has our tables.

    :param table: our table of events; its columns are inserted in their order.
    """

    NAME: t.ClassVar[str]
    _MARK = "%s"

    def __init__(self, url: str, table: sa.Table) -> None:
        self._engine = sa.create_engine(url)
        self._pooled = self._engine.raw_connection()
        self._driver: t.Any = self._pooled.driver_connection
        self._table = table.name
        self.columns = [column.name for column in table.columns]
        self._prepare()

    @abc.abstractmethod
    def _prepare(self) -> None:
        """Set the connection up."""

    def _quoted(self) -> str:
        quote = self._engine.dialect.identifier_preparer.quote
        return ", ".join(quote(name) for name in self.columns)

    def _insert_statement(self) -> str:
        marks = ", ".join([self._MARK] * len(self.columns))
        return f"INSERT INTO {self._table} ({self._quoted()}) VALUES ({marks})"

    def read(self, site: str) -> list[Row]:
        """Return all rows of a site as the driver has them."""
        cursor = self._driver.cursor()
        query = f"SELECT {self._quoted()} FROM {self._table} WHERE site = {self._MARK} ORDER BY id"
        cursor.execute(query, (site,))
        return [tuple(row) for row in cursor.fetchall()]

    def insert(self, rows: cabc.Sequence[Row], batch: int = BATCH) -> None:
        """Insert rows, one transaction a batch."""
        remaining = iter(rows)
        while some := list(itertools.islice(remaining, batch)):
            self._insert(some)

    @abc.abstractmethod
    def _insert(self, rows: cabc.Sequence[Row]) -> None:
        """Insert rows in one transaction."""

    def count(self) -> int:
        cursor = self._driver.cursor()
        cursor.execute(f"SELECT count(*) FROM {self._table}")
        return int(cursor.fetchone()[0])

    @abc.abstractmethod
    def settle(self) -> None:
        """Have the database do now what it puts off, which would slow down what comes next."""

    @abc.abstractmethod
    def size(self) -> int:
        """Return the bytes that the events take on disk, with their indexes."""

    def close(self) -> None:
        self._pooled.close()
        self._engine.dispose()


class _Sqlite(Floor):
    NAME = "sqlite3 executemany"
    _MARK = "?"

    def _prepare(self) -> None:
        self._driver.isolation_level = None
        self._driver.execute("PRAGMA journal_mode = WAL")
        self._driver.execute("PRAGMA synchronous = NORMAL")
        self._driver.execute("PRAGMA busy_timeout = 10000")
        self._driver.execute("PRAGMA cache_size = -8000")

    def _insert(self, rows: cabc.Sequence[Row]) -> None:
        self._driver.execute("BEGIN IMMEDIATE")
        self._driver.executemany(self._insert_statement(), rows)
        self._driver.execute("COMMIT")

    def settle(self) -> None:
        self._driver.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def size(self) -> int:
        query = "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size"
        return int(self._driver.execute(query).fetchone()[0])


class _PostgreSql(Floor):
    NAME = "psycopg COPY"

    def _prepare(self) -> None:
        from psycopg.types.string import TextLoader

        self._driver.autocommit = True
        for kind in ("json", "jsonb"):  # as text, as it is to go in again
            self._driver.adapters.register_loader(kind, TextLoader)

    def _insert(self, rows: cabc.Sequence[Row]) -> None:
        cursor = self._driver.cursor()
        statement = f"COPY {self._table} ({self._quoted()}) FROM STDIN"
        with self._driver.transaction(), cursor.copy(statement) as copy:
            for row in rows:
                copy.write_row(row)

    def settle(self) -> None:
        self._driver.execute(f"VACUUM ANALYZE {self._table}")
        self._driver.execute("CHECKPOINT")

    def size(self) -> int:
        query = "SELECT pg_total_relation_size(%s)"
        return int(self._driver.execute(query, (self._table,)).fetchone()[0])


class _MariaDb(Floor):
    NAME = "PyMySQL executemany"

    def _prepare(self) -> None:
        self._driver.autocommit(False)

    def _insert(self, rows: cabc.Sequence[Row]) -> None:
        cursor = self._driver.cursor()
        cursor.executemany(self._insert_statement(), rows)
        self._driver.commit()

    def settle(self) -> None:
        self._driver.cursor().execute(f"ANALYZE TABLE {self._table}")

    def size(self) -> int:
        cursor = self._driver.cursor()
        query = (
            "SELECT data_length + index_length FROM information_schema.tables"
            " WHERE table_schema = DATABASE() AND table_name = %s"
        )
        cursor.execute(query, (self._table,))
        return int(cursor.fetchone()[0])

    def read(self, site: str) -> list[Row]:
        self._driver.rollback()  # to see what others have committed since
        return super().read(site)


_FLOORS: dict[str, type[Floor]] = {
    "sqlite": _Sqlite,
    "postgresql": _PostgreSql,
    "mysql": _MariaDb,
}


def open_floor(url: str, table: sa.Table) -> Floor:
    return _FLOORS[sa.make_url(url).get_backend_name()](url, table)
