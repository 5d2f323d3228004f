"""Is it the row that the database refuses, or the table that refuses every row?

Another release may have added a column that must be filled, or the host app a constraint that no
row passes. Then each event is refused as if it were at fault itself. A row that is known to be good
tells the two cases apart: the latest that the table took, written again under a new key and rolled
back.
"""

from __future__ import annotations

import datetime as dt
import re
import typing as t
import uuid as uuidlib

import sqlalchemy as sa

from . import dialects
from .engine import Database
from .tables import Tables
from .types import UTCDateTime

# So that it is no hour that totals have.
_ODD_MICROSECOND = 987_654


class Probe:
    """Judges the refused rows of one batch.

    A table that took the good row is not asked again for the same batch.
    """

    def __init__(self, database: Database, now: dt.datetime) -> None:
        self._database = database
        self._now = now
        self._sound: set[str] = set()

    def is_tables_fault(self, error: Exception) -> bool:
        """Whether the table would have refused any other row for the same reason.

        :raises Exception: the database cannot be asked.
        """
        table = _find_table(self._database.tables, error)
        if table.name in self._sound:
            return False
        with self._database.begin() as connection:
            refusal = find_refusal(connection, table, self._now)
            connection.rollback()
        if refusal is None:
            self._sound.add(table.name)
            return False
        return dialects.is_same_complaint(error, refusal)


def find_refusal(connection: sa.Connection, table: sa.Table, now: dt.datetime) -> Exception | None:
    """Return why a table refuses a good row, or None. The caller rolls back.

    :raises sqlalchemy.exc.SQLAlchemyError: something else failed.
    """
    key = [column.name for column in table.primary_key]
    stored: dict[str, t.Any] = {}
    for latest in connection.execute(_latest(table)).mappings():
        stored = dict(latest)
    row = {column.name: _refresh(column, stored.get(column.name), now) for column in table.columns}
    same = {name: value for name, value in row.items() if name not in key}
    copy = sa.and_(*(table.c[name] == row[name] for name in key))
    try:
        connection.execute(table.insert().values(row))
        connection.execute(table.update().where(copy).values(same))
    except sa.exc.SQLAlchemyError as error:
        if not dialects.is_data_error(error):
            raise
        return error
    except Exception as error:  # noqa: BLE001 - as a host's listener raises
        return error
    return None


def _find_table(tables: Tables, error: Exception) -> sa.Table:
    """Return the table whose row was refused; the events' where the error does not tell."""
    names = re.findall(r"\beventtrack_\w+", getattr(error, "statement", None) or "")
    found = [table for table in tables.all() if table.name in names[:1]]
    return found[0] if found else tables.event


def _latest(table: sa.Table) -> sa.Select[t.Any]:
    query = sa.select(table).limit(1)
    # Without an index, any row will do.
    indexed = {index.columns[0].name for index in table.indexes}
    for name in ("stored_at", "rejected_at", "time"):
        if name in indexed:
            return query.order_by(table.c[name].desc())
    return query


def _refresh(column: sa.Column[t.Any], value: object, now: dt.datetime) -> object:
    """Return a value for the copy: its key is new and its times are now, the rest is the same."""
    if value is None and column.nullable:
        return None
    kind = column.type
    if isinstance(kind, UTCDateTime):
        return now.replace(microsecond=_ODD_MICROSECOND)
    is_whole_key = column.primary_key and len(column.table.primary_key) == 1
    if is_whole_key and kind.python_type is int:
        return -1  # which no row has
    if value is None or is_whole_key:
        return uuidlib.uuid4() if isinstance(kind, sa.Uuid) else _stand_in(kind)
    return value


def _stand_in(kind: sa.types.TypeEngine[t.Any]) -> object:
    if isinstance(kind, sa.JSON):
        return {}
    return {str: "-", int: 0, bytes: b"", dt.date: dt.date.max}[kind.python_type]
