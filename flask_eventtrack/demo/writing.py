"""Writes a made-up history in bulk."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import dataclasses
import datetime as dt
import functools
import typing as t

import sqlalchemy as sa

from ..records import SESSION_END, SESSION_START
from ..store.engine import Database
from ..store.fast_rows import add_counts, insert_rows
from ..store.rows import AgentRow, CountRow
from ..store.tables import Tables
from ..store.totals import Totals
from ..store.touches import columns_of
from .people import Person
from .site import Rows, from_us

_DERIVED = frozenset({SESSION_START, SESSION_END})
# How many rows a statement inserts: of more, the processor's cache holds too few.
_AT_ONCE = 500
# SQLite's page cache: ids that do not sort by time go to random places in the primary key.
_CACHE_KIB, _USUAL_CACHE_KIB = 200_000, 8000


def count_events(database: Database) -> int:
    """Return how many events are stored."""
    with database.read() as connection:
        query = sa.select(sa.func.count()).select_from(database.tables.event)
        return connection.scalar(query) or 0


def has_closed_days(database: Database) -> bool:
    """Whether reports have counted days already, of which made-up sessions may be."""
    with database.read() as connection:
        return connection.execute(sa.select(database.tables.closed.c.id)).first() is not None


@contextlib.contextmanager
def without_indexes(database: Database) -> cabc.Iterator[None]:
    """Remove the indexes of an empty SQLite file, and make them again at the end: the sooner each
    row is stored. If that is interrupted, ``flask eventtrack upgrade`` makes them."""
    if not database.is_file or count_events(database):
        yield
        return
    tables = database.tables
    indexes = [index for table in (tables.event, tables.session) for index in table.indexes]
    with database.begin() as connection:
        connection.exec_driver_sql(f"PRAGMA cache_size = -{_CACHE_KIB}")
        for index in indexes:
            index.drop(connection, checkfirst=True)
    try:
        yield
    finally:
        with database.begin() as connection:
            for index in indexes:
                index.create(connection, checkfirst=True)
            connection.exec_driver_sql(f"PRAGMA cache_size = -{_USUAL_CACHE_KIB}")


def write(database: Database, rows: Rows, now: dt.datetime) -> None:
    """Write some thousand rows in one transaction; others may write before and after it.

    :raises sqlalchemy.exc.IntegrityError: the same history was written before.
    """
    database.retry(functools.partial(_write, database.tables, rows, now))


def write_agents(database: Database, rows: cabc.Sequence[AgentRow]) -> None:
    """Add what agents have read to the counts."""
    table = database.tables.agent_daily
    database.retry(lambda connection: add_counts(connection, table, rows))


def write_mishaps(database: Database, rows: cabc.Sequence[CountRow]) -> None:
    """Add what went wrong to the counters of data quality."""
    table = database.tables.quality
    database.retry(lambda connection: add_counts(connection, table, rows))


def _write(tables: Tables, rows: Rows, now: dt.datetime, connection: sa.Connection) -> None:
    for table, some in ((tables.event, rows.events), (tables.session, rows.sessions)):
        for start in range(0, len(some), _AT_ONCE):
            insert_rows(connection, table, some[start : start + _AT_ONCE])
    insert_rows(connection, tables.transaction, rows.transactions)
    for table, values in (
        (tables.alias, [dataclasses.asdict(alias) for alias in rows.aliases]),
        (tables.profile, [_profile_of(person) for person in rows.profiles]),
        (tables.trait, [row for person in rows.profiles for row in _traits_of(person)]),
    ):
        if values:
            connection.execute(table.insert(), values)
    totals = Totals()
    totals.count_accepted(row for row in rows.events if row.action not in _DERIVED)
    totals.count_new(rows.events)
    totals.write(connection, tables, now)


def _profile_of(person: Person) -> dict[str, t.Any]:
    return {
        "uuid": person.uuid,
        "customer_id": person.customer_id,
        "traits": person.traits,
        "first_seen_at": from_us(person.first_known),
        "last_seen_at": from_us(person.last_known),
        **columns_of(person.first, person.latest_named),
    }


def _traits_of(person: Person) -> list[dict[str, t.Any]]:
    """Return the rows by which people are searched: each trait in lower case."""
    uuid = person.uuid
    return [
        {"uuid": uuid, "name": name, "value": str(value).lower()}
        for name, value in person.traits.items()
    ]
