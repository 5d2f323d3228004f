"""Writes and searches Parquet files, with DuckDB (extra ``parquet``)."""

from __future__ import annotations

import collections.abc as cabc
import pathlib
import typing as t

import msgspec

from .folders import missing_extra
from .manifest import ArchiveProblem

_MEMORY = "256MB"
_ROWS = 50_000  # in a group, so that a search reads a part of a file
_FORM = f"(FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {_ROWS})"

Type = t.Literal["UUID", "TIMESTAMP", "VARCHAR", "INTEGER", "BIGINT"]
# What all that read Parquet understand: Spark has no UUID, and a time without a zone differs.
_AS_STORED = {"UUID": "CAST({} AS VARCHAR)", "TIMESTAMP": "make_timestamptz(epoch_us({}))"}


class Column(t.NamedTuple):
    """A column and its type in the lines that :meth:`Parquet.write` reads."""

    name: str
    type: Type


class Parquet:
    """DuckDB in memory, limited to 256 MB, whatever the size of the files.

    It has tables of ids: :meth:`remember` adds to them, and the others search files for them.

    :param work: the folder for what does not fit into memory.
    :param filesystem: fsspec's, for files that are not on this machine.
    :raises ArchiveProblem: the package is not installed.
    """

    def __init__(self, work: pathlib.Path, filesystem: t.Any) -> None:
        try:
            import duckdb
        except ImportError:
            raise missing_extra() from None
        self._error: type[Exception] = duckdb.Error
        config: dict[str, str | bool | int | float | list[str]] = {
            "memory_limit": _MEMORY,
            "threads": "2",
            "temp_directory": str(work / "spilled"),
            # It would ask its maker's server for them.
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            "preserve_insertion_order": "false",
        }
        self._connection: t.Any = duckdb.connect(":memory:", config=config)
        self._connection.execute("SET enable_progress_bar = false")
        if filesystem is not None:
            self._connection.register_filesystem(filesystem)
        for name in ("touched", "erased_sessions"):
            self._connection.execute(f"CREATE TABLE {name} (kind VARCHAR, id VARCHAR)")
        self._connection.execute("CREATE TABLE erased (uuid VARCHAR, until TIMESTAMPTZ)")

    def close(self) -> None:
        self._connection.close()

    def _run(self, sql: str, *parameters: object) -> t.Any:
        try:
            return self._connection.execute(sql, parameters)
        except self._error as error:
            raise ArchiveProblem(f"DuckDB says: {error}") from error

    def write(
        self,
        path: pathlib.Path,
        lines: pathlib.Path,
        columns: cabc.Sequence[Column],
        moment: str,
        kept_of: str | None = None,
        kind: str = "",
    ) -> int:
        """Write the rows of a file of JSON lines, in the order of their moments.

        :param path: the Parquet file to write.
        :param moment: the column of the moment.
        :param kept_of: the address of an earlier file, of which those rows are kept that are not
            among the lines, nor touched or erased.
        :param kind: ``"events"`` or ``"sessions"``, by which touched and erased ids are known.
        :returns: how many rows.
        """
        source = _read(lines, columns)
        if kept_of is not None:
            self._run(f"CREATE OR REPLACE TEMP TABLE fresh AS {source}")
            source = (
                f"SELECT * FROM fresh UNION ALL BY NAME SELECT kept.* FROM {_scan([kept_of])} kept "
                f"WHERE id NOT IN (SELECT id FROM fresh) AND NOT {self._is_lost(kind, moment)}"
            )
        query = f"SELECT * FROM ({source}) ORDER BY {_quote(moment)}, id"
        [(number,)] = self._run(f"COPY ({query}) TO {_text(str(path))} {_FORM}").fetchall()
        self._run("DROP TABLE IF EXISTS fresh")
        return int(number)

    def _is_lost(self, kind: str, moment: str) -> str:
        """Return the condition that a row of an earlier file is gone from the tables for good."""
        among = f"id IN (SELECT id FROM {{}} WHERE kind = {_text(kind)})"
        return (
            f"({among.format('touched')} OR {among.format('erased_sessions')} OR EXISTS (FROM "
            f"erased WHERE erased.uuid = kept.uuid AND kept.{_quote(moment)} <= erased.until))"
        )

    def remember(self, table: str, rows: cabc.Sequence[tuple[str, ...]]) -> None:
        """Add rows to one of the tables of ids."""
        if rows:
            width = ", ".join(f"row[{place}]" for place in range(1, len(rows[0]) + 1))
            self._run(
                f"INSERT INTO {table} SELECT {width} FROM "
                "(SELECT unnest(from_json($1, '[[\"VARCHAR\"]]')) AS row)",
                msgspec.json.encode(rows).decode(),
            )

    def find_touched(self, kind: str, files: cabc.Sequence[str]) -> set[str]:
        """Return those files that hold a touched row."""
        condition = f"id IN (SELECT id FROM touched WHERE kind = {_text(kind)})"
        return self._find_files(files, condition)

    def find_lost(self, kind: str, moment: str, files: cabc.Sequence[str]) -> set[str]:
        """Return those files that hold a row that is touched, or of an erased person."""
        return self._find_files(files, self._is_lost(kind, moment))

    def _find_files(self, files: cabc.Sequence[str], condition: str) -> set[str]:
        if not files:
            return set()
        query = f"SELECT DISTINCT kept.filename FROM {_scan(files, 'true')} kept WHERE {condition}"
        return {str(row[0]) for row in self._run(query).fetchall()}

    def iter_profiles(self, files: cabc.Sequence[str]) -> cabc.Iterator[list[str]]:
        """Yield all profiles that files name, some at a time."""
        if files:
            found = self._connection.cursor()
            found.execute(f"SELECT DISTINCT uuid FROM {_scan(files)}")
            while page := found.fetchmany(10_000):
                yield [row[0] for row in page]

    def note_erased_sessions(self, files: cabc.Sequence[str]) -> None:
        """Note the sessions of which erased people's events were a part."""
        if files:
            self._run(
                "INSERT INTO erased_sessions SELECT DISTINCT 'sessions', kept.session_id "
                f"FROM {_scan(files)} kept JOIN erased USING (uuid) "
                "WHERE kept.time <= erased.until AND kept.session_id IS NOT NULL"
            )


def _read(lines: pathlib.Path, columns: cabc.Sequence[Column]) -> str:
    """Return the query for the rows of a file of JSON lines."""
    types = ", ".join(f"{_text(each.name)}: {_text(each.type)}" for each in columns)
    shown = ", ".join(
        f"{_AS_STORED.get(each.type, '{}').format(_quote(each.name))} AS {_quote(each.name)}"
        for each in columns
    )
    file = f"{_exactly(str(lines))}, format='newline_delimited', columns={{{types}}}"
    return f"SELECT {shown} FROM read_json({file})"


def _scan(files: cabc.Sequence[str], names_file: str = "false") -> str:
    listed = ", ".join(map(_exactly, files))
    return (
        f"read_parquet([{listed}], filename={names_file}, hive_partitioning=false, "
        "union_by_name=true)"
    )


def _exactly(file: str) -> str:
    """Return a file's name as a pattern that no other name fits."""
    return _text("".join(f"[{each}]" if each in "*?[" else each for each in file))


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _quote(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
