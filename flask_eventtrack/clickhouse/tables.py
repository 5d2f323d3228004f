"""The tables in ClickHouse, made of the columns of ours.

A later version of a row replaces an earlier one of the same sort key. So nothing is in a key that
may change unseen, as ``time`` of an event may. Of a session that begins on an earlier day than
before, the log tells that it is gone from its former day. Orders have nothing but the id: the log
tells no more of a deleted one.
"""

from __future__ import annotations

import typing as t

import sqlalchemy as sa

from ..store.changes import Kind
from ..store.logged import own_columns
from ..store.tables import Tables
from ..store.types import UTCDateTime
from .problems import CopyProblem
from .server import Server

#: The version of the tables' layout. A release that changes a key or a type counts it up.
LAYOUT = 2
#: What is copied. Events come last: they are by far the most.
KINDS: t.Final[tuple[Kind, ...]] = ("transaction", "session", "event")
#: The columns that a row has there beside ours.
VERSION, IS_DELETED = "version", "is_deleted"

#: By its kind: the columns of ours that a sort key is made of, beside the id. The log tells those
#: of a deleted row.
KEYS: t.Final[dict[Kind, tuple[str, ...]]] = {
    "event": ("action", "stored_at"),
    "session": ("started_at",),
    "transaction": (),
}
_ORDERS: t.Final[dict[Kind, str]] = {
    "event": "PARTITION BY toYYYYMM(stored_at) ORDER BY (action, toDate(stored_at), stored_at, id)",
    "session": "ORDER BY (toDate(started_at), id)",
    "transaction": "ORDER BY id",
}
# Columns of few values.
_LOW = frozenset(
    {"action", "browser", "channel", "country", "currency", "device_type", "entry_rule"}
    | {"exit_rule", "language", "os", "site", "source", "url_rule", "first_channel"}
    | {"last_channel"}
)


def name_of(kind: Kind, *, is_new: bool = False) -> str:
    """Return the name of a table.

    :param is_new: of the one that is being filled, to take the place of the other.
    """
    return f"eventtrack_{kind}_new" if is_new else f"eventtrack_{kind}"


def columns_of(kind: Kind, tables: Tables) -> list[sa.Column[t.Any]]:
    """Return the columns of ours that are copied, in the order of a row."""
    table: sa.Table = getattr(tables, kind)
    return own_columns(table)


def create(kind: Kind, tables: Tables, *, is_new: bool = False) -> str:
    """Return the statement that makes a table, unless it is there."""
    types = types_of(kind, tables)
    packed = {c.name for c in columns_of(kind, tables) if isinstance(c.type, sa.JSON)}
    columns = ", ".join(
        f"{name} {kind_of}{' CODEC(ZSTD)' if name in packed else ''}"
        for name, kind_of in types.items()
    )
    return (
        f"CREATE TABLE IF NOT EXISTS {name_of(kind, is_new=is_new)} ({columns}) "
        f"ENGINE = ReplacingMergeTree({VERSION}, {IS_DELETED}) {_ORDERS[kind]} "
        "SETTINGS allow_experimental_replacing_merge_with_cleanup = 1"
    )


def types_of(kind: Kind, tables: Tables) -> dict[str, str]:
    """Return the columns of a table with their types."""
    types = {str(column.name): _type_of(column) for column in columns_of(kind, tables)}
    return types | {VERSION: "UInt64", IS_DELETED: "UInt8"}


def find_columns(server: Server, name: str) -> dict[str, str]:
    """Return the columns of a table with their types; none if there is no table."""
    query = (
        "SELECT name, type FROM system.columns "
        f"WHERE database = currentDatabase() AND table = '{name}'"
    )
    return {str(column): str(kind) for column, kind in server.read(query)}


def check(server: Server, kind: Kind, tables: Tables) -> None:
    """Check that a table of an earlier run has the columns that are copied now.

    :raises CopyProblem: it has not.
    """
    name = name_of(kind)
    found = find_columns(server, name)
    if not found:
        raise CopyProblem(f"The table {name} is gone. Make it anew with --anew.")
    for column, wanted in types_of(kind, tables).items():
        if column not in found:
            raise CopyProblem(
                f"The table {name} has no column '{column}', which this release copies. Run once "
                "with --anew: it makes the tables anew, and replaces the old ones at the end."
            )
        if found[column] != wanted:
            raise CopyProblem(
                f"The column '{column}' of {name} is a {found[column]}, not a {wanted}. Run once "
                "with --anew: it makes the tables anew."
            )


def _type_of(column: sa.Column[t.Any]) -> str:
    match column.type:
        case sa.Uuid():
            base = "UUID"
        case UTCDateTime():
            base = "DateTime64(6, 'UTC')"
        case sa.BigInteger():
            base = "Int64"
        case sa.Integer():
            base = "Int32"
        case _:
            base = "String"
    nullable = f"Nullable({base})" if column.nullable else base
    return f"LowCardinality({nullable})" if column.name in _LOW else nullable
