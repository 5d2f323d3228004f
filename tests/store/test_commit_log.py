"""The commit log: what it costs while it is off, turning it on, reading it, cleaning it."""

from __future__ import annotations

import contextlib
import pathlib
import subprocess
import sys
import typing as t
import uuid as uuidlib

import pytest
import sqlalchemy as sa
from flask_sqlalchemy import SQLAlchemy

from flask_eventtrack import track
from flask_eventtrack.store.changes import SnapshotNeeded, newest_position, read_changes
from flask_eventtrack.store.commit_log import KEPT_FOR
from flask_eventtrack.store.tables import Tables

from ..commands import run
from ..conftest import MakeHost
from ..hosts import Host
from ..pipeline.waiting import PATIENT
from .copies import EQUAL, LOG, Copy, differences
from .halves import BROWSER, RELOADED, RESHOWN, SERVER
from .host_changes import refusing
from .people import ADA
from .records import DEVICE, a_page, an_event, at, session_of, write_records
from .test_tables import NAMES, Register, register, run_migrations
from .test_tables import differences as schema_differences

__all__ = ["register"]  # a fixture
LOG_NAMES = {"eventtrack_commit", "eventtrack_gone", "eventtrack_follower"}
ON = {**PATIENT, **LOG}


def define(host: Host) -> None:
    host.events.define("order.ship", label="Shipped")


def places(host: Host) -> list[tuple[int, int]]:
    return [(row["seq"], row["batch"]) for row in host.rows("commit", "seq")]


def read(host: Host, position: int, limit: int = 20) -> list[t.Any]:
    database = host.state.pipeline.database
    with database.read() as connection:
        return list(read_changes(connection, database.tables, position, limit))


def snapshot(host: Host) -> Copy:
    copy, database = Copy(), host.state.pipeline.database
    with database.read() as connection:
        copy.take_snapshot(connection, database.tables)
    return copy


@contextlib.contextmanager
def statements(host: Host) -> t.Iterator[list[str]]:
    """Gather the writer's statements."""
    found: list[str] = []

    def note(*arguments: t.Any) -> None:
        found.append(arguments[2])

    engine = host.state.pipeline.database._engine
    sa.event.listen(engine, "before_cursor_execute", note)
    yield found
    sa.event.remove(engine, "before_cursor_execute", note)


# Off


def test_off_there_is_no_table_and_no_column() -> None:
    """The tables for our statements and those of the host are as without the log."""
    metadata = sa.MetaData()
    tables = Tables.for_metadata(metadata)
    assert (tables.commit, tables.gone) == (None, None)
    assert {table.name for table in tables.all()} == set(metadata.tables) == NAMES
    columns = [column.name for table in tables.all() for column in table.columns]
    assert "batch" not in columns


def test_it_is_one_statement_or_two_at_the_end(make: MakeHost, database_url: str) -> None:
    """Of a transaction; without the log, the others are the same but for the column."""
    off, on = make(PATIENT, url=database_url), None
    write_records(off, SERVER, an_event())
    with statements(off) as plain:
        write_records(off, a_page("/2", 3), an_event(seconds=4))
    with off.app.app_context():
        off.db.drop_all()
    on = make(ON, url=database_url)
    write_records(on, SERVER, an_event())
    with statements(on) as logged:
        write_records(on, a_page("/2", 3), an_event(seconds=4))
    more = 1 if "postgresql" in database_url else 2
    assert len(logged) == len(plain) + more
    assert all("eventtrack_commit" in sql for sql in logged[-more:])
    assert not [sql for sql in plain if "batch" in sql or "eventtrack_commit" in sql]


def test_off_nothing_of_it_is_imported(tmp_path: pathlib.Path) -> None:
    """Neither what writes the log nor what reads it."""
    program = f"""
import sys
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from flask_eventtrack import EventTrack
app = Flask("host")
app.config.update(SECRET_KEY="secret", SQLALCHEMY_DATABASE_URI="sqlite:///{tmp_path}/off.db")
db = SQLAlchemy(app)
events = EventTrack(app, db)
with app.app_context():
    db.create_all()
    app.test_client().get("/")
    events.flush()
print([name for name in sys.modules if name.endswith((".commit_log", ".changes"))])
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "[]"


# The tables


def test_on_a_migration_finds_nothing_to_change(make: MakeHost, database_url: str) -> None:
    """With two tables more, and a column in three."""
    host = make(LOG, url=database_url)
    with host.app.app_context():
        assert set(sa.inspect(host.db.engine).get_table_names()) == NAMES | LOG_NAMES
        assert schema_differences(host.db.engine, host.db.metadata) == []


def test_flask_migrate_makes_one_revision_of_it(database_url: str, tmp_path: pathlib.Path) -> None:
    """A second one would be empty."""
    [revision] = run_migrations(tmp_path, database_url, **LOG)
    assert revision.count("op.create_table(") == len(NAMES | LOG_NAMES) + 1


def test_it_is_turned_on_later(make: MakeHost, database_url: str) -> None:
    """``flask eventtrack upgrade`` adds what is missing; a snapshot has the rows from before."""
    off = make(PATIENT, url=database_url)
    write_records(off, SERVER, an_event(seconds=3))
    on = make(ON, url=database_url, create=False)
    done = run(on, "upgrade")
    assert done.exit_code == 0, done.output
    for name in ("event", "session", "transaction"):
        assert f"Adding the column eventtrack_{name}.batch." in done.output
        assert f"Creating the index ix_eventtrack_{name}_batch." in done.output
    with on.app.app_context():
        assert schema_differences(on.db.engine, on.db.metadata) == []
    on.clock.advance(minutes=1)
    copy = snapshot(on)
    write_records(on, BROWSER)
    assert copy.follow(on) == 1
    assert differences(copy, on) == EQUAL
    assert {row["batch"] is None for row in on.rows("event")} == {True, False}
    assert run(on, "upgrade").output == run(off, "upgrade").output


def test_a_db_of_apps_with_and_without_it(register: Register, tmp_path: pathlib.Path) -> None:
    """The second app adds to the db what the first had not asked for."""
    db = SQLAlchemy()
    register(db, f"sqlite:///{tmp_path / 'off.db'}")
    assert set(db.metadata.tables) == NAMES
    site = register(db, f"sqlite:///{tmp_path / 'on.db'}", **LOG)
    assert set(db.metadata.tables) == NAMES | LOG_NAMES
    with site.app.app_context():
        db.create_all()
        assert schema_differences(db.engine, db.metadata) == []


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_the_log_is_in_the_host_s_schema(register: Register, database_url: str) -> None:
    """As the other tables are."""
    site = register(SQLAlchemy(metadata=sa.MetaData(schema="shop")), database_url, **LOG)
    with site.app.app_context():
        with site.db.engine.begin() as connection:
            connection.execute(sa.schema.CreateSchema("shop"))
        site.db.create_all()
        assert set(sa.inspect(site.db.engine).get_table_names("shop")) == NAMES | LOG_NAMES
        site.events.define("order.ship", label="Shipped")
        track("order.ship", customer=ADA)
        site.events.flush()
        tables = site.events.tables
        with site.db.engine.connect() as connection:
            [changes] = read_changes(connection, tables, 0)
        assert [row.action for row in changes.events] == ["order.ship"]


def test_in_memory_the_host_s_transaction_has_it_too(make: MakeHost) -> None:
    """What the host rolls back has no place."""
    host = make(ON, url="sqlite://")
    write_records(host, SERVER)
    with host.app.app_context():
        host.db.session.execute(host.events.tables.salt.delete())
        write_records(host, an_event(seconds=2))
        assert [seq for seq, _ in places(host)] == [0, 1, 2]
        host.db.session.rollback()
        assert [seq for seq, _ in places(host)] == [0, 1]


def test_the_doctor_warns_where_it_is_off(make: MakeHost, database_url: str) -> None:
    """In a process without the setting, beside those that log."""
    on = make(ON, url=database_url)
    off = make(PATIENT, url=database_url, create=False)
    assert "ET044" in run(off, "doctor").output
    found = run(on, "doctor").output
    assert [code for code in ("ET003", "ET020", "ET021", "ET022", "ET044") if code in found] == []


def test_a_log_that_takes_no_row_holds_up_events(make: MakeHost, database_url: str) -> None:
    """A host's constraint on the log is no fault of a record: all of them wait."""
    host = make(ON, url=database_url)
    write_records(host, SERVER)
    with refusing(host, "commit"), pytest.raises(sa.exc.DBAPIError):
        write_records(host, an_event(seconds=3))
    assert host.rows("rejected") == []
    write_records(host, an_event(seconds=3))
    assert [seq for seq, _ in places(host)] == [0, 1, 2]


# Reading


def test_a_session_that_moves_to_an_earlier_day_is_told_as_gone(
    make: MakeHost, database_url: str
) -> None:
    """From the day on which it began; then it is among the rows. Within a day it only changes."""
    host = make(ON, url=database_url)
    for seconds, start in enumerate((0, -1, -86_400)):
        write_records(host, an_event(seconds=seconds, session=session_of(DEVICE, start=start)))
    opened, changed, moved = read(host, 0)
    assert opened.gone == changed.gone == []
    [gone], [row] = moved.gone, moved.sessions
    assert (gone.kind, gone.id, gone.reason) == ("session", row.id, "moved")
    assert (gone.stored_at, row.started_at) == (at(-1), at(-86_400))


def test_each_transaction_has_a_place(make: MakeHost, database_url: str) -> None:
    """Its rows carry its number; a row that is changed carries the later one."""
    host = make(ON, url=database_url)
    write_records(host, SERVER, an_event(seconds=3))
    write_records(host, BROWSER)
    assert [seq for seq, _ in places(host)] == [0, 1, 2]
    (_, latest), (_, first), (_, second) = places(host)
    assert latest == 2
    batches = {row["action"]: row["batch"] for row in host.rows("event")}
    assert batches == {"page.visit": second, "order.ship": first, "session.start": first}
    one, two = read(host, 0)
    assert (one.position, {row.action for row in one.events}) == (
        1,
        {"order.ship", "session.start"},
    )
    assert (two.position, [row.params["title"] for row in two.events]) == (2, ["As shown"])
    assert one.at == two.at == host.clock.moment
    assert read(host, 1) == [two]
    assert read(host, 0, limit=1) == [one]
    assert read(host, 2) == []


def test_a_transaction_without_changes_has_no_place(make: MakeHost, database_url: str) -> None:
    """Such as one that only counts, or sets a tombstone."""
    host = make(ON, url=database_url)
    write_records(host)
    host.state.pipeline.sweep()
    host.state.pipeline.writer.opt_out([an_event().uuid])
    assert places(host) == []
    assert read(host, 0) == []


def test_what_a_host_writes_has_its_place_once_it_is_counted(
    make: MakeHost, database_url: str
) -> None:
    """Neither log nor snapshot has it before, and the host's transaction takes no lock."""
    host = make(ON, url=database_url)
    define(host)
    write_records(host, SERVER)
    copy = Copy()
    copy.follow(host)
    with host.app.app_context():
        track("order.ship", customer=ADA, in_transaction=True)
        host.db.session.commit()
    assert read(host, copy.position) == []
    assert snapshot(host).rows == copy.rows
    host.clock.advance(seconds=9)
    host.state.pipeline._count_uncounted()
    assert copy.follow(host) == 1
    assert differences(copy, host) == EQUAL


def test_an_open_transaction_of_the_host_holds_up_nobody(make: MakeHost, database_url: str) -> None:
    """It has written events, and others are committed meanwhile."""
    if "sqlite" in database_url:
        pytest.skip("a SQLite file has one writer at a time")
    host = make(ON, url=database_url)
    define(host)
    with host.app.app_context():
        track("order.ship", customer=ADA, in_transaction=True)
        host.db.session.flush()
        write_records(host, SERVER)
        assert [seq for seq, _ in places(host)] == [0, 1]
        host.db.session.commit()


def test_the_log_is_off_for_a_reader() -> None:
    """It is told so."""
    tables = Tables.for_metadata(sa.MetaData())
    with pytest.raises(SnapshotNeeded, match="EVENTTRACK_COMMIT_LOG is off"):
        newest_position(t.cast("sa.Connection", None), tables)


def test_a_reader_is_told_that_the_log_was_off(make: MakeHost, database_url: str) -> None:
    """Another snapshot is right again."""
    on = make(ON, url=database_url)
    write_records(on, SERVER)
    copy = Copy()
    copy.follow(on)
    off = make(PATIENT, url=database_url, create=False)
    off.clock.advance(minutes=1)
    write_records(off, an_event(seconds=50))
    on.clock.advance(minutes=1)
    write_records(on, an_event(seconds=70))
    with pytest.raises(
        SnapshotNeeded, match=r"stored without the commit log.*Set it in all of them"
    ):
        copy.follow(on)
    copy = snapshot(on)
    on.clock.advance(minutes=1)
    write_records(on, an_event(seconds=80))
    assert copy.follow(on) == 1
    assert differences(copy, on) == EQUAL


def test_a_reader_of_another_database_is_told(make: MakeHost, database_url: str) -> None:
    """A backup without the latest transactions was restored, for example."""
    host = make(ON, url=database_url)
    write_records(host, SERVER)
    with pytest.raises(SnapshotNeeded, match="ends at 1, before position 7"):
        read(host, 7)


@pytest.mark.parametrize("many", [False, True])
def test_a_deletion_with_parameters_is_told(make: MakeHost, database_url: str, many: bool) -> None:
    """Of one set of them or of several; and a row that is made anew and deleted again."""
    host = make(ON, url=database_url)
    write_records(host, *(an_event(seconds=n) for n in range(1, 6)))
    copy = Copy()
    copy.follow(host)
    database = host.state.pipeline.database
    event = database.tables.event
    ids = [row["id"] for row in host.events_of("order.ship")]
    delete = event.delete().where(event.c.id == sa.bindparam("key"))
    with database.begin() as connection:
        row = dict(connection.execute(sa.select(event)).mappings().first() or {})
        connection.execute(event.delete().where(event.c.id == row["id"]))
        connection.execute(event.insert().values({**row, "batch": None}))
        connection.execute(event.delete().where(event.c.id == row["id"]))
        parameters = [{"key": each} for each in ids if each != row["id"]]
        connection.execute(delete, parameters[:3] if many else parameters[0])
    assert len(host.rows("gone")) == (4 if many else 2)
    assert copy.follow(host) == 1
    assert differences(copy, host) == EQUAL


# Cleaning


def test_old_places_are_removed(make: MakeHost, database_url: str) -> None:
    """A reader that is further behind is told, and one that is not goes on."""
    host = make(ON, url=database_url)
    host.clock.advance(days=-90)  # so that the database's clock is not behind
    write_records(host, SERVER)
    write_records(host, BROWSER)
    write_records(host, RESHOWN)
    write_records(host, RELOADED)
    assert [row["id"] for row in host.rows("gone")] == [RESHOWN.id]
    behind = Copy()
    host.clock.advance(seconds=KEPT_FOR.total_seconds() + 60)
    write_records(host, an_event(seconds=2))
    newest = places(host)[-1][0]
    host.state.pipeline.sweep()
    assert [seq for seq, _ in places(host)][:2] == [0, newest]
    assert host.rows("gone") == []
    with pytest.raises(SnapshotNeeded, match=r"follows position 0: it is kept for 14 days"):
        behind.follow(host)
    assert read(host, newest - 1)[0].position == newest
    copy = snapshot(host)
    write_records(host, an_event(seconds=3))
    assert copy.follow(host) >= 1
    assert differences(copy, host) == EQUAL


def test_an_empty_log_still_knows_its_end(make: MakeHost, database_url: str) -> None:
    """A reader that has all of it is not behind, and the next place follows."""
    host = make(ON, url=database_url)
    host.clock.advance(days=-90)
    write_records(host, SERVER)
    copy = Copy()
    copy.follow(host)
    host.clock.advance(days=20)
    while host.state.pipeline.writer.clean_log():
        pass
    assert [seq for seq, _ in places(host)] == [0]
    assert copy.follow(host) == 0
    with pytest.raises(SnapshotNeeded):
        read(host, 0)
    write_records(host, an_event(seconds=2))
    assert copy.follow(host) == 1
    assert differences(copy, host) == EQUAL


def test_many_rows_are_copied_in_pages(make: MakeHost, database_url: str) -> None:
    """A snapshot is read by the id behind which it goes on."""
    host = make(ON, url=database_url)
    write_records(host, *(an_event(seconds=n) for n in range(1, 40)))
    copy = snapshot(host)
    assert differences(copy, host) == EQUAL
    assert len(copy.rows) == 39 + 2


def test_a_clock_that_was_ahead_does_not_keep_the_log(make: MakeHost) -> None:
    """Of a place by it, the next ones tell how old it is."""
    host = make(LOG)
    host.clock.advance(days=-90)  # so that the database's clock is not behind
    for days in (0, 365, -365, 0):
        host.clock.advance(days=days)
        write_records(host, an_event(id=uuidlib.uuid4()))
    host.clock.advance(days=40)
    write_records(host, an_event(id=uuidlib.uuid4()))
    assert host.state.pipeline.database.clean_log(host.clock.moment) >= 4


def test_a_clock_that_was_behind_passes_over_nothing(make: MakeHost) -> None:
    """Events from before the log are not taken for such that were stored without it."""
    host, copy = make(LOG), Copy()
    write_records(host, an_event(id=uuidlib.uuid4()))
    database = host.state.pipeline.database
    database.retry(lambda c: c.exec_driver_sql("UPDATE eventtrack_event SET batch = NULL"))
    host.clock.advance(days=30)
    write_records(host, an_event(id=uuidlib.uuid4()))
    for days in (-60, 60):
        host.clock.advance(days=days)
        write_records(host, an_event(id=uuidlib.uuid4()))
        copy.follow(host)
    assert copy.position == 4
