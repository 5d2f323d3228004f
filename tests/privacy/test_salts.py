"""A day's salt is gone with its day, also from the files of the database."""

from __future__ import annotations

import contextlib
import pathlib
import sqlite3
import typing as t

import pytest

from ..conftest import MakeHost
from ..hosts import NAVIGATION, Host

ANONYMOUS = {"EVENTTRACK_DEFAULT_POLICY": "anonymous"}


def make_salt(host: Host) -> bytes:
    """Count an anonymous visit, and return the salt of its day."""
    host.client().get("/", headers=NAVIGATION)
    [row] = host.rows("salt")
    return t.cast("str", row["salt"]).encode()


def file_of(host: Host) -> pathlib.Path:
    return pathlib.Path(str(host.state.pipeline.database._host.url.database))


def places_of(host: Host, salt: bytes) -> list[str]:
    """Return the files of a SQLite database in which a salt can be read."""
    path = file_of(host)
    return [each.name for each in path.parent.glob(f"{path.name}*") if salt in each.read_bytes()]


@pytest.mark.parametrize("wal", [True, False])
def test_a_destroyed_salt_is_in_no_file(make: MakeHost, *, wal: bool) -> None:
    """Neither in the database's free pages nor in its write-ahead log."""
    host = make({**ANONYMOUS, "EVENTTRACK_SQLITE_WAL": wal})
    salt = make_salt(host)
    assert places_of(host, salt) != []
    host.clock.advance(days=2)
    host.state.pipeline.sweep()
    assert host.rows("salt") == []
    assert places_of(host, salt) == []


def test_a_salt_that_a_reader_holds_in_the_log_goes_later(make: MakeHost) -> None:
    """The sweep does not wait for the reader; a later one empties the log."""
    host = make(ANONYMOUS)
    salt = make_salt(host)
    host.clock.advance(days=2)
    with contextlib.closing(sqlite3.connect(file_of(host), isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM eventtrack_salt").fetchall()
        host.state.pipeline.sweep()
        assert places_of(host, salt) != []
        reader.execute("COMMIT")
    host.state.pipeline.sweep()
    assert places_of(host, salt) == []


def test_a_process_empties_the_log_of_one_that_died(make: MakeHost) -> None:
    """The salt was deleted by a process that had no time for the log."""
    host = make(ANONYMOUS)
    salt = make_salt(host)
    host.state.pipeline.sweep()
    database = host.state.pipeline.database
    with contextlib.closing(sqlite3.connect(file_of(host), isolation_level=None)) as reader:
        reader.execute("SELECT count(*) FROM eventtrack_salt").fetchall()  # keeps the log's file
        with database.begin() as connection:
            connection.execute(database.tables.salt.delete())
        host.close()
        other = make(ANONYMOUS, url=f"sqlite:///{file_of(host)}", create=False)
        assert places_of(other, salt) != []
        other.state.pipeline.sweep()
        assert places_of(other, salt) == []
