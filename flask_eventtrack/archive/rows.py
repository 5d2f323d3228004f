"""The rows of a day, read from the tables in a stream."""

from __future__ import annotations

import collections.abc as cabc
import datetime as dt
import typing as t

import msgspec
import sqlalchemy as sa

from ..reports.bulk import What, public_columns
from ..store.host_transaction import is_counted
from ..store.tables import Tables
from ..store.types import UTCDateTime
from .parquet import Column

#: By its kind: the column that says the day of a row.
MOMENTS: t.Final[dict[What, str]] = {"events": "time", "sessions": "started_at"}
#: What a kind is called in the commit log.
LOGGED_AS: t.Final[dict[str, What]] = {"event": "events", "session": "sessions"}

_PAGE = 2000
_DAY = dt.timedelta(days=1)
_STORED: t.Final = sa.types.NullType()


def list_columns(kind: What, tables: Tables) -> list[Column]:
    """Return the columns of a file: those of the table that are public."""
    return [Column(str(each.name), _type_of(each)) for each in public_columns(kind, tables)]


def _type_of(column: sa.Column[t.Any]) -> t.Any:
    match column.type:
        case sa.Uuid():
            return "UUID"
        case UTCDateTime():
            return "TIMESTAMP"
        case sa.BigInteger():
            return "BIGINT"
        case sa.Integer():
            return "INTEGER"
        case _:
            return "VARCHAR"


def iter_days(
    connection: sa.Connection, tables: Tables, kind: What, since: dt.date | None
) -> cabc.Iterator[dt.date]:
    """Yield the days, in UTC, of which there are rows; each is one look into the index."""
    moment = _moment(tables, kind)
    query = sa.select(sa.func.min(moment))
    start = None if since is None else _begin(since)
    while True:
        found: dt.datetime | None = connection.scalar(
            query if start is None else query.where(moment >= start)
        )
        if found is None:
            return
        yield found.date()
        start = _begin(found.date()) + _DAY


def read_day(
    connection: sa.Connection, tables: Tables, kind: What, day: dt.date, file: t.BinaryIO
) -> int:
    """Write the rows of a day to a file, as a line of JSON each; return how many.

    An event of a host's own transaction is left out until the writer has counted it.
    """
    columns = public_columns(kind, tables)
    # SQLite's values are taken as they are stored, which is much faster.
    is_stored = connection.dialect.name == "sqlite"
    texts = [] if is_stored else [c.name for c in columns if isinstance(c.type, sa.JSON)]
    query = sa.select(*(sa.type_coerce(c, _STORED) if is_stored else c for c in columns))
    moment = _moment(tables, kind)
    query = query.where(moment >= _begin(day), moment < _begin(day) + _DAY)
    if kind == "events":
        query = query.where(is_counted(tables))
    names, encoder, number = [str(column.name) for column in columns], msgspec.json.Encoder(), 0
    # All of it at once would be in memory.
    options: dict[str, t.Any] = {"stream_results": True, "yield_per": _PAGE}
    for page in connection.execute(query, execution_options=options).partitions():
        rows = [dict(zip(names, row, strict=True)) for row in page]
        for name in texts:
            for row in rows:
                row[name] = _encode(row[name])
        file.write(encoder.encode_lines(rows))
        number += len(rows)
    return number


def _encode(value: object) -> str | None:
    return None if value is None else msgspec.json.encode(value).decode()


def _moment(tables: Tables, kind: What) -> sa.Column[dt.datetime]:
    table = tables.event if kind == "events" else tables.session
    moment: sa.Column[dt.datetime] = table.c[MOMENTS[kind]]
    return moment


def _begin(day: dt.date) -> dt.datetime:
    return dt.datetime.combine(day, dt.time(), dt.UTC)
