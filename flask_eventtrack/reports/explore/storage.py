"""How large the tables are, how they grow, and what a retention would free."""

from __future__ import annotations

import dataclasses
import datetime as dt
import typing as t

import sqlalchemy as sa

from ...store.local_days import day_of
from ...store.tables import Tables

#: The retentions that are tried, in days.
KEEPS: t.Final = (90, 180, 365, 730)
_GROWTH_DAYS = 30
_DAY = dt.timedelta(days=1)


@dataclasses.dataclass(frozen=True, slots=True)
class TableSize:
    """A table's bytes with its indexes, and about how many rows it has; None if not known."""

    name: str
    bytes: int
    rows: int | None


@dataclasses.dataclass(frozen=True, slots=True)
class Freed:
    """About how many events a retention of some days would remove, and their bytes."""

    days: int
    events: int
    bytes: int


@dataclasses.dataclass(frozen=True, slots=True)
class Storage:
    """How large the tables are.

    ``bytes`` is their size, and ``tables`` has each of them, the largest first. SQLite knows only
    the size of its file, which includes the host's tables: then ``tables`` is empty, and ``unused``
    is the free part of the file. ``since`` is the day of the oldest event. ``events`` is about how
    many events are stored, by the closed days; ``daily_events`` is the mean of the last 30 of these
    days, and ``daily_bytes`` about how much the tables grow a day. ``freed`` is what some
    retentions would remove.
    """

    bytes: int
    unused: int | None
    tables: tuple[TableSize, ...]
    since: dt.date | None
    events: int
    daily_events: int
    daily_bytes: int
    freed: tuple[Freed, ...]


def read_storage(
    connection: sa.Connection, tables: Tables, zone: dt.tzinfo, now: dt.datetime
) -> Storage:
    """Read how large the tables are."""
    if connection.dialect.name == "sqlite":
        pragmas = ("page_size", "page_count", "freelist_count")
        size, count, free = (_read_pragma(connection, name) for name in pragmas)
        total, unused, sizes = size * count, size * free, list[TableSize]()
    else:
        sizes, unused = _read_sizes(connection, tables), None
        total = sum(each.bytes for each in sizes)
    oldest: dt.datetime | None = connection.scalar(sa.select(sa.func.min(tables.event.c.time)))
    today = day_of(now, zone)
    since = oldest and day_of(oldest, zone)
    by_day = _read_days(connection, tables, since) if since else {}
    events = sum(by_day.values())
    recent = [n for day, n in by_day.items() if day >= today - _GROWTH_DAYS * _DAY]
    a_day = round(sum(recent) / len(recent)) if recent else 0
    each = (total - (unused or 0)) / events if events else 0
    freed = [_count_freed(by_day, today, days, each) for days in KEEPS]
    return Storage(
        total,
        unused,
        tuple(sorted(sizes, key=lambda size: -size.bytes)),
        since,
        events,
        a_day,
        round(a_day * each),
        tuple(found for found in freed if found.events),
    )


def _count_freed(by_day: dict[dt.date, int], today: dt.date, days: int, bytes_each: float) -> Freed:
    gone = sum(number for day, number in by_day.items() if day < today - days * _DAY)
    return Freed(days, gone, round(gone * bytes_each))


def _read_days(connection: sa.Connection, tables: Tables, since: dt.date) -> dict[dt.date, int]:
    """Return about how many events each closed day has: also the beginnings and ends of sessions,
    which are no events of a session."""
    daily = tables.daily.c
    query = sa.select(daily.day, daily.events, daily.sessions)
    query = query.where(daily.site == "", daily.dimension == "", daily.day >= since)
    return {day: int(events + 2 * sessions) for day, events, sessions in connection.execute(query)}


def _read_pragma(connection: sa.Connection, name: str) -> int:
    return int(connection.exec_driver_sql(f"PRAGMA {name}").scalar() or 0)


_POSTGRESQL = """
SELECT relation.relname, pg_total_relation_size(relation.oid), relation.reltuples
FROM pg_class AS relation JOIN pg_namespace AS place ON place.oid = relation.relnamespace
WHERE place.nspname = coalesce(:schema, current_schema()) AND relation.relkind IN ('r', 'p')
AND relation.relname IN :names
"""
_MYSQL = """
SELECT table_name, data_length + index_length, table_rows FROM information_schema.tables
WHERE table_schema = coalesce(:schema, database()) AND table_name IN :names
"""


def _read_sizes(connection: sa.Connection, tables: Tables) -> list[TableSize]:
    statement = _POSTGRESQL if connection.dialect.name == "postgresql" else _MYSQL
    query = sa.text(statement).bindparams(sa.bindparam("names", expanding=True))
    names = [table.name for table in tables.all()]
    values = {"schema": tables.event.schema, "names": names}
    return [
        # A table that was never analysed has -1 rows.
        TableSize(name, int(size or 0), None if rows is None or rows < 0 else int(rows))
        for name, size, rows in connection.execute(query, values)
    ]
