"""The host's own transactions, pragmas and engines stay as they were."""

from __future__ import annotations

import contextlib
import pathlib
import sqlite3
import typing as t

import pytest
import sqlalchemy as sa

from ..conftest import MakeHost
from ..hosts import START, Host
from .waiting import visit


def test_the_host_s_transaction_is_not_ours(db_host: Host) -> None:
    """Events are written while the host's session holds rows open; neither sees the other."""
    with db_host.app.app_context():
        session = db_host.db.session
        if session.get_bind().dialect.name == "sqlite":
            session.execute(sa.text("SELECT 1"))
        else:
            table = db_host.events.tables.tombstone
            session.execute(table.insert().values(uuid_hash="x", erased_at=START))
        visit(db_host)
        db_host.flush()
        session.rollback()
    assert db_host.actions() == {"page.visit": 1, "session.start": 1}
    assert "x" not in {row["uuid_hash"] for row in db_host.rows("tombstone")}


PRAGMAS = ("synchronous", "busy_timeout", "foreign_keys", "locking_mode", "cache_size")


def read_pragmas(host: Host) -> list[t.Any]:
    with host.app.app_context(), host.db.engine.connect() as connection:
        return [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in PRAGMAS]


@pytest.mark.parametrize(("wal", "mode"), [(True, "wal"), (False, "delete")])
def test_the_host_s_pragmas_stay(
    make: MakeHost, tmp_path: pathlib.Path, *, wal: bool, mode: str
) -> None:
    """The journal mode of the file is the one thing that we change, where we may."""
    host = make({"EVENTTRACK_SQLITE_WAL": wal})
    before = read_pragmas(host)
    visit(host)
    host.flush()
    assert read_pragmas(host) == before
    # A connection from before the switch learns of it when it reads the file again.
    with contextlib.closing(sqlite3.connect(tmp_path / "host0.db")) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == (mode,)


def test_the_host_s_engine_is_not_used_for_writing(db_host: Host) -> None:
    """No statement of the writer's runs on the host's engine, and its pool stays as it was."""
    statements: list[str] = []
    with db_host.app.app_context():
        engine = db_host.db.engine
    sa.event.listen(engine, "before_cursor_execute", lambda *args: statements.append(args[2]))
    visit(db_host, 3)
    db_host.flush()
    assert statements == []
    assert isinstance(engine.pool, sa.QueuePool)
    assert engine.pool.checkedout() == 0


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
@pytest.mark.parametrize(
    "options",
    [
        {"connect_args": {"application_name": "shop"}},
        {"connect_args": {"application_name": "shop"}, "isolation_level": "SERIALIZABLE"},
        {"connect_args": {"application_name": "shop"}, "poolclass": sa.NullPool},
        {"connect_args": {"application_name": "shop"}, "pool_size": 20, "max_overflow": 5},
    ],
    ids=["plain", "isolation", "null pool", "big pool"],
)
def test_the_host_s_engine_options_are_ours(
    make: MakeHost, database_url: str, options: dict[str, t.Any]
) -> None:
    """Our connection is made as the host's are; there is one, at our own isolation level."""
    host = make({"SQLALCHEMY_ENGINE_OPTIONS": options}, url=database_url)
    visit(host)
    assert host.actions()["page.visit"] == 1
    with host.state.pipeline.database.begin() as connection:
        name = connection.exec_driver_sql("SHOW application_name").scalar()
        level = connection.exec_driver_sql("SHOW transaction_isolation").scalar()
    assert (name, level) == ("shop", "read committed")
    pids = set()
    for _ in range(3):
        with host.state.pipeline.database.begin() as connection:
            pids.add(connection.exec_driver_sql("SELECT pg_backend_pid()").scalar())
    assert len(pids) == 1


def test_a_sqlite_host_may_listen_on_every_engine(make: MakeHost) -> None:
    """A pragma for all engines of the process, as many hosts set, does not disturb the writer."""

    def enforce(connection: t.Any, record: object) -> None:
        cursor = connection.cursor()
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.close()

    sa.event.listen(sa.Engine, "connect", enforce)
    try:
        host = make()
        visit(host)
        assert host.actions() == {"page.visit": 1, "session.start": 1}
    finally:
        sa.event.remove(sa.Engine, "connect", enforce)


def test_the_writer_s_connection_is_given_back(tmp_path: pathlib.Path, make: MakeHost) -> None:
    """After close, another program can lock the whole file."""
    host = make()
    visit(host)
    host.flush()
    host.close()
    with contextlib.closing(sqlite3.connect(tmp_path / "host0.db", timeout=0)) as connection:
        assert connection.execute("PRAGMA journal_mode = DELETE").fetchone() == ("delete",)
