"""A copy of the tables, as a reader of the commit log makes it."""

from __future__ import annotations

import typing as t
import uuid as uuidlib

import msgspec
import sqlalchemy as sa

from flask_eventtrack.store.changes import (
    Changes,
    Kind,
    newest_position,
    read_changes,
    read_snapshot,
)
from flask_eventtrack.store.logged import LOGGED
from flask_eventtrack.store.tables import Tables

from ..hosts import Host

LOG = {"EVENTTRACK_COMMIT_LOG": True}

Rows = dict[tuple[str, uuidlib.UUID], dict[str, t.Any]]


class Copy:
    """Rows by table and id, with the position of the last change that was applied."""

    def __init__(self) -> None:
        self.position = 0
        self.rows: Rows = {}

    def take_snapshot(self, connection: sa.Connection, tables: Tables) -> None:
        self.position = newest_position(connection, tables)
        for kind in t.get_args(Kind):
            after = None
            while found := read_snapshot(connection, tables, kind, after, limit=7):
                self._put(kind, found)
                after = found[-1].id

    def catch_up(self, connection: sa.Connection, tables: Tables, limit: int = 5) -> int:
        """Apply what is new; return how many transactions it were."""
        number = 0
        while found := list(read_changes(connection, tables, self.position, limit)):
            for changes in found:
                assert changes.position == self.position + 1
                self._apply(changes)
            number += len(found)
        return number

    def follow(self, host: Host) -> int:
        """Apply what is new in a host's database, after a flush."""
        host.flush()
        database = host.state.pipeline.database
        with database.read() as connection:
            return self.catch_up(connection, database.tables)

    def _apply(self, changes: Changes) -> None:
        for gone in changes.gone:
            self.rows.pop((gone.kind, gone.id), None)
        for kind in t.get_args(Kind):
            self._put(kind, changes.rows_of(kind))
        self.position = changes.position

    def _put(self, kind: str, rows: list[t.Any]) -> None:
        self.rows |= {(kind, row.id): msgspec.structs.asdict(row) for row in rows}


class Differences(t.NamedTuple):
    """What a copy lacks, has as it was before, and has although it is deleted."""

    missing: list[t.Any]
    stale: list[t.Any]
    ghosts: list[t.Any]


EQUAL = Differences([], [], [])


def dump(connection: sa.Connection, tables: Tables, *, logged_only: bool = False) -> Rows:
    """Return all rows of the tables that the log tells of."""
    rows: Rows = {}
    for kind in LOGGED:
        for found in connection.execute(sa.select(getattr(tables, kind))).mappings():
            row = dict(found)
            row.pop("added_in", None)
            if row.pop("batch", None) is not None or not logged_only:
                rows[kind, row["id"]] = row
    return rows


def compare(rows: Rows, stored: Rows) -> Differences:
    both = rows.keys() & stored.keys()
    return Differences(
        sorted(stored.keys() - rows.keys()),
        sorted(key for key in both if rows[key] != stored[key]),
        sorted(rows.keys() - stored.keys()),
    )


def differences(copy: Copy, host: Host) -> Differences:
    """Compare a copy with a plain dump of the tables."""
    database = host.state.pipeline.database
    with database.read() as connection:
        return compare(copy.rows, dump(connection, database.tables))
