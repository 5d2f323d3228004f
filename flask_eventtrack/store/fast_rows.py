"""Rows written in bulk, past SQLAlchemy's handling of each value; and rows read by their ids.

That handling takes longer than SQLite needs to store a row. So a statement is compiled once, and
its rows go to the driver as the column types of :mod:`.types` would have stored them: to PostgreSQL
each column as one parameter, the text of an array; to the others as tuples.
"""

from __future__ import annotations

import collections.abc as cabc
import datetime as dt
import operator
import typing as t
import uuid as uuidlib
import weakref

import msgspec
import sqlalchemy as sa
from sqlalchemy.sql.compiler import SQLCompiler

from . import dialects
from .dialects import Build, Names, by_index, id_as_text, ids_parameter, is_among
from .logged import INNER, number_of, own_columns
from .rows import EventRow, Row, SessionRow, TransactionRow
from .tables import cached_on_table
from .types import UTCDateTime

_Rows = cabc.Sequence[Row]
_Column = cabc.Sequence[t.Any]
_Schemas = tuple[tuple[str | None, str | None], ...]
_Key = tuple[sa.Table, Build, Names, _Schemas]
_Converter = cabc.Callable[[_Column], t.Any]

_encoder = msgspec.json.Encoder()
# A UTC time in JSON as msgspec writes it, unless its microseconds are 0.
_TIME = '"2026-11-21T12:00:00.000001Z",'


def insert_rows(connection: sa.Connection, table: sa.Table, rows: _Rows) -> None:
    """Insert rows of one kind.

    :raises ValueError: no database stores one of the values.
    """
    _run(dialects.build_insert, connection, table, _own_names(table), rows)


def update_rows(connection: sa.Connection, table: sa.Table, names: Names, rows: _Rows) -> None:
    """Write the named columns of stored rows of one kind, which the caller has locked."""
    _run(dialects.build_update, connection, table, names, rows)


def add_counts(connection: sa.Connection, table: sa.Table, rows: _Rows) -> None:
    """Insert counters; if a row's key is stored, add its ``count`` to the stored one."""
    _run(dialects.build_count, connection, table, tuple(table.columns.keys()), rows)


@cached_on_table
def _own_names(table: sa.Table) -> Names:
    return tuple(str(column.name) for column in own_columns(table))


def _run(
    build: Build, connection: sa.Connection, table: sa.Table, names: Names, rows: _Rows
) -> None:
    if rows:
        schemas = connection.get_execution_options().get("schema_translate_map") or {}
        bulk = _find_bulk(connection.dialect, table, build, names, tuple(schemas.items()))
        batch = number_of(connection) if bulk.is_logged else None
        connection.exec_driver_sql(bulk.sql, bulk.parameters_of(rows, batch))


class _Bulk(t.NamedTuple):
    """A statement as the driver takes it, and a function that turns rows into its parameters.

    ``is_logged``: the function needs the number of the transaction's batch.
    """

    sql: str
    is_logged: bool
    parameters_of: cabc.Callable[[_Rows, int | None], t.Any]


# By dialect: each engine has its own, and the statements depend on its server.
_bulks: weakref.WeakKeyDictionary[sa.Dialect, dict[_Key, _Bulk]] = weakref.WeakKeyDictionary()


def _find_bulk(dialect: sa.Dialect, *key: *_Key) -> _Bulk:
    known = _bulks.setdefault(dialect, {})
    if key not in known:
        known[key] = _prepare(dialect, *key)
    return known[key]


def _prepare(
    dialect: sa.Dialect, table: sa.Table, build: Build, names: Names, schemas: _Schemas
) -> _Bulk:
    options: dict[str, t.Any] = {}
    if schemas:
        options = {"schema_translate_map": dict(schemas), "render_schema_translate": True}
    statement = build(dialect.name, table, names)
    compiled = t.cast("SQLCompiler", statement.compile(dialect=dialect, **options))
    places = tuple(compiled.positiontup or compiled.params)
    # SQLAlchemy has added the batch, which no row has; to an event's insert, in two columns.
    batches = [number for number, place in enumerate(places) if place in INNER]
    own = [place for place in places if place not in INNER]
    columns = ["id" if place == dialects.KEY else place for place in own]
    as_arrays = dialect.name == "postgresql"
    find = _find_array_converter if as_arrays else _find_converter
    converters = [find(table.columns[name].type) for name in columns]
    is_whole = tuple(columns) == _own_names(table)
    values_of = msgspec.structs.astuple if is_whole else operator.attrgetter(*columns)
    is_positional = compiled.positional  # a closure over `compiled` would keep the dialect

    def parameters_of(rows: _Rows, batch: int | None) -> t.Any:
        # A whole column at a time: msgspec then does most of the work.
        values = zip(*map(values_of, rows), strict=True)
        pairs = zip(converters, values, strict=True)
        stored = [convert(column) if convert else column for convert, column in pairs]
        for number in batches:
            stored.insert(number, batch if as_arrays else [batch] * len(rows))
        tuples = [tuple(stored)] if as_arrays else list(zip(*stored, strict=True))
        if is_positional:
            return tuples
        return [dict(zip(places, values, strict=True)) for values in tuples]

    return _Bulk(str(compiled), bool(batches), parameters_of)


def _find_array_converter(kind: sa.types.TypeEngine[t.Any]) -> _Converter | None:
    return _to_lines if isinstance(kind, sa.JSON) else _to_array


def _to_lines(values: _Column) -> str:
    return _encoder.encode_lines(values).decode().removesuffix("\n")


def _to_array(values: _Column) -> str:
    # A JSON array is a PostgreSQL array but for its brackets, and for what a backslash means.
    array = _encoder.encode(values).decode()
    if "\\" in array:
        array = f"[{','.join(map(_quote, values))}]"
    return "{" + array[1:-1] + "}"


def _quote(text: str | None) -> str:
    """Quote a string for an array, in which a backslash only says: take the next character."""
    if text is None:
        return "null"
    return '"' + text.replace("\\", r"\\").replace('"', r"\"") + '"'


def _find_converter(kind: sa.types.TypeEngine[t.Any]) -> _Converter | None:
    if isinstance(kind, sa.Uuid):
        return _to_hex
    if isinstance(kind, UTCDateTime):
        return _to_times
    if isinstance(kind, sa.Date):
        return _to_days
    return _to_json if isinstance(kind, sa.JSON) else None


def _to_days(days: cabc.Sequence[dt.date]) -> list[str]:
    return [day.isoformat() for day in days]


def _to_hex(ids: cabc.Sequence[uuidlib.UUID | None]) -> list[str | None]:
    return [None if each is None else "%032x" % each.int for each in ids]  # noqa: UP031 - faster


def _to_times(moments: cabc.Sequence[dt.datetime | None]) -> list[str | None] | list[str]:
    texts = _encoder.encode(moments).decode().replace("T", " ")
    # With this length, each moment has microseconds, and none is None.
    if len(texts) == len("[]") - len(",") + len(moments) * len(_TIME):
        return texts[len('["') : -len('Z"]')].split('Z","')
    return [None if moment is None else _to_time(moment) for moment in moments]


def _to_time(moment: dt.datetime) -> str:
    return moment.replace(tzinfo=None).isoformat(" ", "microseconds")


def _to_json(values: _Column) -> list[str | None]:
    return [None if value is None else _encoder.encode(value).decode() for value in values]


_Stored = t.TypeVar("_Stored", EventRow, SessionRow, TransactionRow)


def read_rows(
    connection: sa.Connection,
    kind: type[_Stored],
    query: sa.Select[t.Any],
    parameters: cabc.Mapping[str, t.Any] | None = None,
) -> list[_Stored]:
    """Return the rows of a query for the :func:`.own_columns` of a table."""
    return [kind(*row) for row in connection.execute(query, parameters)]


def read_rows_by_id(
    connection: sa.Connection, kind: type[_Stored], table: sa.Table, ids: set[int]
) -> list[_Stored]:
    """Lock and return the rows with the ids, given as numbers, in the order of the ids."""
    if not ids:
        return []
    name = connection.dialect.name
    return read_rows(connection, kind, _query_by_id(table, name), ids_parameter(name, sorted(ids)))


@cached_on_table
def _query_by_id(table: sa.Table, dialect_name: str) -> sa.Select[t.Any]:
    query = sa.select(*own_columns(table)).where(is_among(dialect_name, table.c.id))
    return by_index(query, table.c.id).order_by(table.c.id).with_for_update()


def find_known(connection: sa.Connection, table: sa.Table, ids: set[int]) -> set[int]:
    """Return which of the ids are in the table; all are numbers."""
    if not ids:
        return set()
    name = connection.dialect.name
    found = connection.scalars(_known_query(table, name), ids_parameter(name, sorted(ids)))
    return {int(text.replace("-", ""), 16) for text in found}


@cached_on_table
def _known_query(table: sa.Table, dialect_name: str) -> sa.Select[t.Any]:
    # As text: making UUIDs of the ids would take longer than the rest.
    return sa.select(id_as_text(dialect_name, table.c.id)).where(is_among(dialect_name, table.c.id))
