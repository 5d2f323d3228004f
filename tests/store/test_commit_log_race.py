"""Writers that commit late, change and delete: what readers of the log and of ``stored_at`` get."""

from __future__ import annotations

import concurrent.futures
import datetime as dt
import functools
import random
import threading
import time
import typing as t
import uuid as uuidlib

import msgspec
import pytest
import sqlalchemy as sa

from flask_eventtrack.store.engine import Database
from flask_eventtrack.store.fast_rows import insert_rows, update_rows
from flask_eventtrack.store.rows import EventRow, row_of

from ..conftest import MakeHost
from .copies import EQUAL, LOG, Copy, Rows, compare, differences, dump
from .records import an_event

WRITERS = 6
TRANSACTIONS = 25


class Cursor:
    """The other way to follow a table: rows whose ``stored_at`` is later than the last one."""

    def __init__(self) -> None:
        self.last = dt.datetime(2000, 1, 1, tzinfo=dt.UTC)
        self.rows: Rows = {}

    def catch_up(self, connection: sa.Connection, table: sa.Table) -> None:
        query = sa.select(table).where(table.c.stored_at > self.last)
        for found in connection.execute(query.order_by(table.c.stored_at)).mappings():
            row = dict(found)
            del row["batch"], row["added_in"]
            self.rows["event", row["id"]] = row
            self.last = row["stored_at"]


def a_row(label: str) -> EventRow:
    event = an_event(id=uuidlib.uuid4(), label=label)
    return row_of(event, dt.datetime.now(dt.UTC))


class Writer:
    """Inserts, updates and deletes rows at random, and takes its time before each commit.

    :param is_read: half of it is done once the reader has read some.
    """

    def __init__(
        self,
        database: Database,
        seed: int,
        shared: list[uuidlib.UUID],
        is_read: threading.Event,
    ) -> None:
        self.database, self.table, self.is_read = database, database.tables.event, is_read
        self.random = random.Random(seed)
        self.shared = shared

    def run(self) -> None:
        for number in range(TRANSACTIONS):
            new = sorted((a_row(f"new {number}") for _ in range(3)), key=lambda row: row.id)
            self.database.retry(functools.partial(self._write, new))
            self.shared += [row.id for row in new]
            if number == TRANSACTIONS // 2:
                assert self.is_read.wait(60)

    def _write(self, new: list[EventRow], connection: sa.Connection) -> None:
        ids = sorted(self.random.sample(self.shared, min(6, len(self.shared))))
        locked = connection.execute(
            sa.select(self.table.c.id)
            .where(self.table.c.id.in_(ids))
            .order_by(self.table.c.id)
            .with_for_update()
        )
        known = list(locked.scalars())
        changed = [msgspec.structs.replace(a_row("changed"), id=each) for each in known[:3]]
        insert_rows(connection, self.table, new)
        update_rows(connection, self.table, ("label",), changed)
        is_gone = self.table.c.id.in_(known[3:5])
        connection.execute(self.table.delete().where(is_gone))
        # What makes a commit late in life: a slow disk, a large batch, a stopped process.
        time.sleep(self.random.choice((0, 0, 0.002, 0.02)))


def test_a_reader_beside_six_writers_misses_nothing(make: MakeHost, database_url: str) -> None:
    """Its copy equals the tables; that of a reader that goes by ``stored_at`` does not."""
    hosts = [make(LOG, url=database_url, create=not n) for n in range(WRITERS)]
    shared: list[uuidlib.UUID] = []
    is_read, done = threading.Event(), threading.Event()
    writers = [
        Writer(host.state.pipeline.database, seed, shared, is_read)
        for seed, host in enumerate(hosts)
    ]
    copy, cursor = Copy(), Cursor()
    database = hosts[0].state.pipeline.database

    def read() -> None:
        while not done.is_set():
            with database.read() as connection:
                number = copy.catch_up(connection, database.tables)
                cursor.catch_up(connection, database.tables.event)
            if number:
                is_read.set()

    with concurrent.futures.ThreadPoolExecutor(WRITERS + 1) as threads:
        reading = threads.submit(read)
        try:
            for each in [threads.submit(writer.run) for writer in writers]:
                each.result(60)
        finally:
            done.set()
        reading.result(60)
    with database.read() as connection:
        copy.catch_up(connection, database.tables)
        cursor.catch_up(connection, database.tables.event)
        stored = dump(connection, database.tables)
    assert compare(copy.rows, stored) == EQUAL
    assert copy.position == WRITERS * TRANSACTIONS
    assert any(compare(cursor.rows, stored))


@pytest.mark.parametrize("database_url", ["postgresql", "mariadb"], indirect=True)
def test_a_commit_that_comes_late_has_a_later_place(make: MakeHost, database_url: str) -> None:
    """It began first. A reader that goes by ``stored_at`` has passed it by then."""
    slow, fast = (make(LOG, url=database_url, create=not n) for n in range(2))
    database = slow.state.pipeline.database
    copy, cursor = Copy(), Cursor()
    first, second = a_row("first"), a_row("second")

    def catch_up() -> None:
        with database.read() as connection:
            copy.catch_up(connection, database.tables)
            cursor.catch_up(connection, database.tables.event)

    with database.begin() as connection:
        insert_rows(connection, database.tables.event, [first])
        with fast.state.pipeline.database.begin() as other:
            insert_rows(other, fast.state.pipeline.database.tables.event, [second])
        catch_up()
        assert list(copy.rows) == list(cursor.rows) == [("event", second.id)]
    catch_up()
    assert differences(copy, slow) == EQUAL
    assert copy.position == 2
    assert differences(t.cast("Copy", cursor), slow).missing == [("event", first.id)]


@pytest.mark.parametrize("database_url", ["postgresql", "mariadb"], indirect=True)
def test_a_rolled_back_transaction_leaves_no_hole(make: MakeHost, database_url: str) -> None:
    """Its place is the next one's."""
    host = make(LOG, url=database_url)
    database = host.state.pipeline.database
    copy = Copy()

    def write(connection: sa.Connection) -> None:
        insert_rows(connection, database.tables.event, [a_row("kept, or lost")])

    def fail(connection: object) -> None:
        raise ZeroDivisionError

    for _ in range(2):
        database.retry(write)
        sa.event.listen(database._engine, "commit", fail)
        with pytest.raises(ZeroDivisionError):
            database.retry(write)
        sa.event.remove(database._engine, "commit", fail)
    database.retry(write)
    copy.follow(host)
    assert (copy.position, len(copy.rows)) == (3, 3)
    assert differences(copy, host) == EQUAL
