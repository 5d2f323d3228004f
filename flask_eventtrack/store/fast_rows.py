"""Rows written and read in bulk, past SQLAlchemy's own handling of each value.

That handling takes longer than SQLite does to store a row, and five times as long to read one.

A statement that writes is compiled once; its rows go to the driver as the column types of
:mod:`.types` would have stored them: to PostgreSQL a column in one parameter, as the text of an
array, to the others as tuples. To read, the database makes one JSON array of a row, and msgspec
makes its values of that.
"""

from __future__ import annotations

import collections.abc as cabc
import datetime as dt
import functools
import operator
import typing as t
import uuid as uuidlib

import msgspec
import sqlalchemy as sa
from sqlalchemy.sql.compiler import SQLCompiler

from . import dialects
from .dialects import id_as_text, ids_parameter, is_among, row_as_json
from .rows import EventRow, Row, SessionRow
from .types import UTCDateTime

_Rows = cabc.Sequence[Row]
_Column = cabc.Sequence[t.Any]
_Converter = cabc.Callable[[_Column], t.Any]

_encoder = msgspec.json.Encoder()
# A UTC time in JSON, as msgspec writes it unless there are no microseconds.
_TIME = '"2026-11-21T12:00:00.000001Z",'


def insert_rows(connection: sa.Connection, table: sa.Table, rows: _Rows) -> None:
    """Insert rows of one kind.

    :raises ValueError: no database stores one of the values.
    """
    _run(dialects.build_insert, connection, table, tuple(table.columns.keys()), rows)


def update_rows(
    connection: sa.Connection, table: sa.Table, names: tuple[str, ...], rows: _Rows
) -> None:
    """Write the named columns of stored rows of one kind, which the caller has locked."""
    _run(dialects.build_update, connection, table, names, rows)


def add_counts(connection: sa.Connection, table: sa.Table, rows: _Rows) -> None:
    """Insert counters, or add each row's ``count`` to the one that stands under its key."""
    _run(dialects.build_count, connection, table, tuple(table.columns.keys()), rows)


def _run(
    build: dialects.Build,
    connection: sa.Connection,
    table: sa.Table,
    names: tuple[str, ...],
    rows: _Rows,
) -> None:
    if rows:
        schemas = connection.get_execution_options().get("schema_translate_map") or {}
        bulk = _prepare(build, connection.dialect, table, names, tuple(schemas.items()))
        connection.exec_driver_sql(bulk.sql, bulk.parameters_of(rows))


class _Bulk(t.NamedTuple):
    """A statement as the driver takes it, and what makes its parameters of rows."""

    sql: str
    parameters_of: cabc.Callable[[_Rows], t.Any]


@functools.lru_cache(maxsize=64)
def _prepare(
    build: dialects.Build,
    dialect: sa.Dialect,
    table: sa.Table,
    names: tuple[str, ...],
    schemas: tuple[tuple[str | None, str | None], ...],
) -> _Bulk:
    options: dict[str, t.Any] = {}
    if schemas:
        options = {"schema_translate_map": dict(schemas), "render_schema_translate": True}
    statement = build(dialect.name, table, names)
    compiled = t.cast("SQLCompiler", statement.compile(dialect=dialect, **options))
    places = tuple(compiled.positiontup or compiled.params)
    as_arrays = dialect.name == "postgresql"
    make = _ParameterMaker(table, places, is_named=not compiled.positional, as_arrays=as_arrays)
    return _Bulk(str(compiled), make)


class _ParameterMaker:
    """Makes parameters of rows a column at a time: msgspec then does most of it."""

    def __init__(
        self, table: sa.Table, places: tuple[str, ...], *, is_named: bool, as_arrays: bool
    ) -> None:
        names = ["id" if place == dialects.KEY else place for place in places]
        find = _find_array_converter if as_arrays else _find_converter
        self._keys = places if is_named else None
        self._as_arrays = as_arrays
        is_whole = names == table.columns.keys()
        self._values_of = msgspec.structs.astuple if is_whole else operator.attrgetter(*names)
        self._converters = [find(table.columns[name].type) for name in names]

    def __call__(self, rows: _Rows) -> t.Any:
        columns = zip(*map(self._values_of, rows), strict=True)
        stored = [
            convert(column) if convert else column
            for convert, column in zip(self._converters, columns, strict=True)
        ]
        tuples = [tuple(stored)] if self._as_arrays else list(zip(*stored, strict=True))
        if self._keys is None:
            return tuples
        return [dict(zip(self._keys, values, strict=True)) for values in tuples]


def _find_array_converter(kind: sa.types.TypeEngine[t.Any]) -> _Converter | None:
    return _to_lines if isinstance(kind, sa.JSON) else _to_array


def _to_lines(values: _Column) -> str:
    return _encoder.encode_lines(values).decode().removesuffix("\n")


def _to_array(values: _Column) -> str:
    array = _encoder.encode(values).decode()
    if "\\" in array:
        array = f"[{','.join(map(_quote, values))}]"
    return "{" + array[1:-1] + "}"


def _quote(text: str | None) -> str:
    """Quote a string in an array, where a backslash stands for what follows it, as it is."""
    if text is None:
        return "null"
    return '"' + text.replace("\\", r"\\").replace('"', r"\"") + '"'


def _find_converter(kind: sa.types.TypeEngine[t.Any]) -> _Converter | None:
    if isinstance(kind, sa.Uuid):
        return _to_hex
    if isinstance(kind, UTCDateTime):
        return _to_times
    return _to_json if isinstance(kind, sa.JSON) else None


def _to_hex(ids: cabc.Sequence[uuidlib.UUID | None]) -> list[str | None]:
    return [None if each is None else "%032x" % each.int for each in ids]  # noqa: UP031 - faster


def _to_times(moments: cabc.Sequence[dt.datetime | None]) -> list[str | None] | list[str]:
    texts = _encoder.encode(moments).decode().replace("T", " ")
    if len(texts) == len("[]") - len(",") + len(moments) * len(_TIME):
        return texts[len('["') : -len('Z"]')].split('Z","')
    return [None if moment is None else _to_time(moment) for moment in moments]


def _to_time(moment: dt.datetime) -> str:
    return moment.replace(tzinfo=None).isoformat(" ", "microseconds")


def _to_json(values: _Column) -> list[str | None]:
    return [None if value is None else _encoder.encode(value).decode() for value in values]


_Stored = t.TypeVar("_Stored", EventRow, SessionRow)
_Values = tuple[t.Any, ...]


def read_rows(
    connection: sa.Connection,
    kind: type[_Stored],
    query: sa.Select[t.Any],
    parameters: cabc.Mapping[str, t.Any] | None = None,
) -> list[_Stored]:
    """Return the rows of a query of :func:`select_rows`."""
    decode = _decoder_of(kind).decode
    return [kind(*decode(text)) for (text,) in connection.execute(query, parameters).all()]


def read_rows_by_id(
    connection: sa.Connection, kind: type[_Stored], table: sa.Table, ids: set[int]
) -> list[_Stored]:
    """Return the rows with the ids, given as numbers, in the ids' order; they are locked."""
    if not ids:
        return []
    name = connection.dialect.name
    return read_rows(connection, kind, _query_by_id(name, table), ids_parameter(name, sorted(ids)))


@functools.lru_cache(maxsize=64)
def _query_by_id(dialect_name: str, table: sa.Table) -> sa.Select[t.Any]:
    query = select_rows(dialect_name, table).where(is_among(dialect_name, table.c.id))
    return query.order_by(table.c.id).with_for_update()


def find_known(connection: sa.Connection, table: sa.Table, ids: set[int]) -> set[int]:
    """Return those of the ids, all given as numbers, that stand in the table."""
    if not ids:
        return set()
    name = connection.dialect.name
    found = connection.execute(_known_query(name, table), ids_parameter(name, sorted(ids))).all()
    return {int(text.replace("-", ""), 16) for (text,) in found}


@functools.lru_cache(maxsize=64)
def _known_query(dialect_name: str, table: sa.Table) -> sa.Select[t.Any]:
    return sa.select(id_as_text(dialect_name, table.c.id)).where(is_among(dialect_name, table.c.id))


def select_rows(dialect_name: str, table: sa.Table) -> sa.Select[t.Any]:
    """Return a query for rows of a table, to be narrowed."""
    return sa.select(row_as_json(dialect_name, table))


@functools.cache
def _decoder_of(kind: type[EventRow | SessionRow]) -> msgspec.json.Decoder[_Values]:
    types = [field.type for field in msgspec.structs.fields(kind)]
    return msgspec.json.Decoder(tuple.__class_getitem__(tuple(types)))
