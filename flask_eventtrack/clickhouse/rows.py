"""Rows of our tables as they go to ClickHouse: tuples of what JSON can hold."""

from __future__ import annotations

import typing as t
import uuid as uuidlib

import msgspec
import sqlalchemy as sa

from ..store.changes import Changes, Gone, Kind, LoggedRow
from ..store.dialects import forbid_sorting
from ..store.host_transaction import is_counted
from ..store.logged import own_columns
from ..store.tables import Tables, cached_on_table
from .tables import IS_DELETED, KEYS, VERSION, columns_of

Values = tuple[t.Any, ...]

_STORED: t.Final = sa.types.NullType()
_LIMIT, _VERSION = "copy_limit", "copy_version"
_encode = msgspec.json.Encoder().encode


def names_of(kind: Kind, tables: Tables) -> list[str]:
    """Return the names of a row's values; the last one is the row's version."""
    return [*(str(column.name) for column in columns_of(kind, tables)), VERSION]


def names_of_change(kind: Kind, tables: Tables) -> list[str]:
    """Return the names of the values of :func:`rows_of`."""
    return [*names_of(kind, tables), IS_DELETED]


def read_page(
    connection: sa.Connection,
    tables: Tables,
    kind: Kind,
    after: uuidlib.UUID | None,
    limit: int,
    version: int,
) -> list[Values]:
    """Return the next rows of a table, in the order of their ids; none at the end.

    The values are taken as they are stored, and the rows as the driver makes them, which is several
    times faster.

    :param after: the id behind which to go on.
    """
    forbid_sorting(connection)
    query = _page_query(getattr(tables, kind), connection.dialect.name)
    query = query.where(*conditions_of(kind, tables))
    if after is not None:
        query = query.where(getattr(tables, kind).c.id > after)
    with connection.execute(query, {_LIMIT: limit, _VERSION: version}) as result:
        return list(result.cursor.fetchall())


def conditions_of(kind: Kind, tables: Tables) -> list[sa.ColumnElement[bool]]:
    """Return the conditions that leave out what the log is yet to tell of: rows of a host's own
    transaction that the writer has not counted.
    """
    if kind == "session":
        return []
    if kind == "event":
        return [is_counted(tables)]
    notes = tables.uncounted.c
    waiting = sa.select(notes.event_id).where(notes.due_at.is_(None))
    return [tables.transaction.c.id.not_in(waiting)]


def id_of(row: Values) -> uuidlib.UUID:
    """Return the id of a row that was read as it is stored."""
    return uuidlib.UUID(str(row[0]))


@cached_on_table
def _page_query(table: sa.Table, dialect_name: str) -> sa.Select[t.Any]:
    values = [_as_stored(column, dialect_name) for column in own_columns(table)]
    version = sa.bindparam(_VERSION, type_=sa.BigInteger())
    limit = sa.bindparam(_LIMIT, type_=sa.Integer())
    return sa.select(*values, version).order_by(table.c.id).limit(limit)


def _as_stored(column: sa.Column[t.Any], dialect_name: str) -> sa.ColumnElement[t.Any]:
    if dialect_name == "postgresql" and isinstance(column.type, sa.JSON | sa.Uuid):
        return sa.cast(column, sa.Text())
    return sa.type_coerce(column, _STORED)


def rows_of(kind: Kind, changes: Changes) -> list[Values]:
    """Return the rows of a table that a transaction has changed."""
    return [(*_values_of(row), changes.position, 0) for row in changes.rows_of(kind)]


def _values_of(row: LoggedRow) -> Values:
    values = msgspec.structs.astuple(row)
    # Lists and objects are JSON in a text there.
    return tuple(
        _encode(value).decode() if isinstance(value, dict | list) else value for value in values
    )


def marks_of(kind: Kind, tables: Tables, changes: Changes) -> list[Values]:
    """Return the rows that say which ones a transaction has removed: what they are sorted by, and
    None for all else.

    One that the same transaction has made anew, in the same place, is there.
    """
    names = names_of_change(kind, tables)
    made = {_place_of(kind, row) for row in changes.rows_of(kind)}
    marks = []
    for gone in changes.gone:
        if gone.kind == kind and _place_of(kind, gone) not in made:
            key = dict(zip(KEYS[kind], _key_of(kind, gone), strict=True))
            known = {"id": gone.id, **key, VERSION: changes.position, IS_DELETED: 1}
            marks.append(tuple(map(known.get, names)))
    return marks


def _place_of(kind: Kind, row: LoggedRow | Gone) -> Values:
    """Return the values by which a row is sorted there."""
    key = _key_of(kind, row)
    return (row.id, key[0].date()) if kind == "session" else (row.id, *key)


def _key_of(kind: Kind, row: LoggedRow | Gone) -> Values:
    if isinstance(row, Gone) and kind == "session":
        return (row.stored_at,)
    return tuple(getattr(row, name) for name in KEYS[kind])
