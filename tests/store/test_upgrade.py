"""``flask eventtrack upgrade``: the tables of earlier releases, while processes write to them."""

from __future__ import annotations

import concurrent.futures

import pytest
import sqlalchemy as sa

from flask_eventtrack.store import upgrade as upgrade_module
from flask_eventtrack.store.schema import find_missing
from flask_eventtrack.store.tables import VERSION, Tables
from flask_eventtrack.store.upgrade import DataStep, upgrade, upgrade_data

from ..commands import run
from ..conftest import MakeHost
from ..hosts import NAVIGATION, START, Host
from .first_tables import FIRST, insert_first_rows
from .host_changes import changing
from .test_tables import differences

#: What a later release might have added: statements that take it away again.
OLDER = (
    "ALTER TABLE eventtrack_event DROP COLUMN undefined",
    "ALTER TABLE eventtrack_session DROP COLUMN country",
    "ALTER TABLE eventtrack_session DROP COLUMN browser",
)
#: Indexes that the upgrade leaves: processes of the first release name one of them on MariaDB.
REPLACED = ("ix_eventtrack_event_session_id_time", "ix_eventtrack_event_time_action")
LATE_INDEXES = ("ix_eventtrack_event_stored_at", "ix_eventtrack_event_claimed_by")


@pytest.fixture
def first(make: MakeHost, database_url: str) -> Host:
    """A host on the tables of release 0.1, with a row in each, on each kind of database."""
    host = make(url=database_url, create=False)
    with changing(host) as connection:
        FIRST.create_all(connection)
        insert_first_rows(connection)
    return host


def take_away(host: Host) -> None:
    """Remove columns and indexes, as if they were new in this release."""
    with changing(host) as connection:
        on_table = " ON eventtrack_event" if connection.dialect.name == "mysql" else ""
        for name in LATE_INDEXES:
            connection.exec_driver_sql(f"DROP INDEX {name}{on_table}")
        for statement in OLDER:
            connection.exec_driver_sql(statement)


def add_columns(host: Host) -> None:
    """Add what is missing, and change no row, as a migration does."""
    list(upgrade(host.state.pipeline.database, START, []))
    with changing(host) as connection:
        connection.exec_driver_sql("DELETE FROM eventtrack_schema")


def missing(host: Host) -> set[str]:
    database = host.state.pipeline.database
    with database.read() as connection:
        return find_missing(connection, database.tables).names()


def test_the_first_release_s_tables_are_upgraded_and_written_to(first: Host) -> None:
    """What they hold stays, new events are added to it, and a migration finds nothing to do."""
    answer = run(first, "upgrade")
    assert answer.exit_code == 0, answer.output
    assert answer.output.splitlines()[-1] == f"The tables are up to date: version {VERSION}."
    assert missing(first) == set()
    first.client().get("/", headers=NAVIGATION)
    assert first.actions() == {"order.ship": 1, "page.visit": 1, "session.start": 1}
    with changing(first) as connection:
        on_table = " ON eventtrack_event" if connection.dialect.name == "mysql" else ""
        for name in REPLACED:
            connection.exec_driver_sql(f"DROP INDEX {name}{on_table}")
    with first.app.app_context():
        assert differences(first.db.engine, first.db.metadata) == []


def test_the_first_release_writes_to_the_upgraded_tables(first: Host) -> None:
    """During a rolling deploy its processes go on: no new column has to be filled."""
    run(first, "upgrade")
    with changing(first) as connection:
        rows = insert_first_rows(connection)
    found = [row for row in first.rows("event") if row["id"] == rows["event"]["id"]]
    assert found[0]["params"] == {"a": 1}


def test_missing_columns_and_indexes_are_added(first: Host) -> None:
    """On tables with rows; each change is announced, and a second run has none."""
    take_away(first)
    assert missing(first) >= {*LATE_INDEXES, "eventtrack_session.country"}
    output = run(first, "upgrade").output
    assert "Adding the column eventtrack_event.undefined.\n" in output
    assert "Creating the index ix_eventtrack_event_stored_at.\n" in output
    assert missing(first) == set()
    assert run(first, "upgrade").output == f"The tables are up to date: version {VERSION}.\n"
    first.client().get("/", headers=NAVIGATION)
    assert first.actions()["page.visit"] == 1


def test_a_column_that_must_be_filled_is_added_nullable(first: Host) -> None:
    """Stored rows have no value for it."""
    with changing(first) as connection:
        connection.exec_driver_sql("ALTER TABLE eventtrack_event DROP COLUMN url_rule")
    assert run(first, "upgrade").exit_code == 0
    assert [row["url_rule"] for row in first.rows("event")] == [None]


def test_events_wait_for_a_column(first: Host, caplog: pytest.LogCaptureFixture) -> None:
    """Pages are answered, log and doctor name the column, and after an upgrade all is there."""
    run(first, "upgrade")
    with changing(first) as connection:
        connection.exec_driver_sql("ALTER TABLE eventtrack_event DROP COLUMN label")
    assert first.client().get("/", headers=NAVIGATION).status_code == 200
    with pytest.raises(sa.exc.DBAPIError):
        first.flush()
    assert caplog.messages[0].startswith(
        "Events cannot be written, and wait: Columns are missing: eventtrack_event.label. "
        "Run 'flask eventtrack upgrade'"
    )
    assert (
        "ET020 error: Columns are missing: eventtrack_event.label." in run(first, "doctor").output
    )
    run(first, "upgrade")
    assert first.actions()["page.visit"] == 1
    assert [row["action"] for row in first.rows("rejected")] == ["a.b"]


def test_init_db_upgrades_too(first: Host) -> None:
    """It is the same command to whoever knows only that one."""
    take_away(first)
    assert run(first, "init-db").output == "All 25 tables exist.\n"
    assert missing(first) == set()


def test_two_upgrades_at_once_do_no_harm(first: Host) -> None:
    """Each ends well, and one of them has done the work."""
    take_away(first)
    database = first.state.pipeline.database
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        runs = [pool.submit(lambda: list(upgrade(database, START))) for _ in range(4)]
        said = [sentence for each in runs for sentence in each.result(30)]
    assert "Adding the column eventtrack_session.country." in said
    assert missing(first) == set()


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_what_someone_else_has_added_meanwhile_is_passed_over(first: Host) -> None:
    """Between the look and the change, another program makes the same change."""
    take_away(first)
    steps = upgrade(first.state.pipeline.database, START)
    for sentence in steps:
        if sentence == "Adding the column eventtrack_session.country.":
            with changing(first) as connection:
                statement = "ALTER TABLE eventtrack_session ADD COLUMN country VARCHAR(2)"
                connection.exec_driver_sql(statement)
    assert missing(first) == set()


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_indexes_are_made_while_processes_write(first: Host) -> None:
    """PostgreSQL locks no writer out of the table meanwhile."""
    take_away(first)
    database = first.state.pipeline.database
    steps = upgrade(database, START)
    sentence = ""
    while not sentence.startswith("Creating the index"):
        sentence = next(steps)
    statements: list[str] = []

    def note(_: object, __: object, statement: str, *___: object) -> None:
        statements.append(statement)

    sa.event.listen(sa.Engine, "before_cursor_execute", note)
    try:
        list(steps)
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", note)
    made = [text for text in statements if text.startswith("CREATE INDEX")]
    assert len(made) >= len(LATE_INDEXES)
    assert all(text.startswith("CREATE INDEX CONCURRENTLY") for text in made)


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_an_index_that_an_interrupted_upgrade_left_is_made_anew(first: Host) -> None:
    """PostgreSQL keeps it, but does not use it."""
    run(first, "upgrade")
    with changing(first) as connection:
        connection.exec_driver_sql(
            "UPDATE pg_index SET indisvalid = false"
            " WHERE indexrelid = 'ix_eventtrack_event_stored_at'::regclass"
        )
    assert missing(first) == {"ix_eventtrack_event_stored_at"}
    assert "ET023 warning: Indexes are missing" in run(first, "doctor").output
    run(first, "upgrade")
    assert missing(first) == set()


def test_a_long_transaction_holds_up_the_upgrade_and_nobody_else(
    first: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A change of a table that cannot be made at once lets others pass, and is tried again."""
    take_away(first)
    if first.state.pipeline.database.is_file:
        pytest.skip("SQLite has one writer at a time, and no change waits for readers")
    monkeypatch.setattr(upgrade_module, "_PATIENCE", 1)
    database = first.state.pipeline.database
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        with changing(first) as reader:
            query = sa.text("SELECT count(*) FROM eventtrack_session")
            assert reader.scalar(query) == 1
            done = pool.submit(lambda: list(upgrade(database, START)))
            with pytest.raises(concurrent.futures.TimeoutError):
                done.result(2.5)
        assert "Adding the column eventtrack_session.country." in done.result(30)
    assert missing(first) == set()


def test_data_steps_run_once_and_in_their_order(db_host: Host) -> None:
    """Those since the version that the database has; an interrupted one is run again."""
    database, ran = db_host.state.pipeline.database, list[int]()

    def make(version: int) -> DataStep:
        return DataStep(version, f"Step {version}.", lambda *_: ran.append(version))

    steps = [make(VERSION), make(VERSION + 1), make(VERSION + 2)]
    assert list(upgrade_data(database, START, steps[:1])) == [f"Step {VERSION}."]
    running = upgrade_data(database, START, steps)
    assert next(running) == f"Step {VERSION + 1}."
    del running
    list(upgrade_data(database, START, steps))
    list(upgrade_data(database, START, steps))
    assert ran == [VERSION, VERSION + 1, VERSION + 2]


def test_data_only_leaves_tables_alone(first: Host) -> None:
    """Beside migrations; before they have made the new tables it says what to do."""
    answer = run(first, "upgrade", "--data-only")
    assert answer.exit_code == 1
    assert (
        "Tables are missing: eventtrack_transaction, eventtrack_objection, eventtrack_daily"
        in answer.output
    )
    with first.app.app_context():
        first.db.create_all()
    answer = run(first, "upgrade", "--data-only")
    assert answer.exit_code == 1
    assert "Columns are missing: " in answer.output
    assert "eventtrack_session.person" in answer.output
    add_columns(first)
    assert run(first, "upgrade", "--data-only").exit_code == 0
    assert [row["version"] for row in first.rows("schema")] == [VERSION]


def test_new_columns_need_no_value() -> None:
    """A column that release 0.1 does not fill is nullable or has a default in the database."""
    for table in Tables.for_metadata(sa.MetaData()).all():
        if table.name in FIRST.tables:
            known = FIRST.tables[table.name].columns
            for column in table.columns:
                has_value = column.nullable or column.server_default is not None
                assert column.name in known or has_value, column


def test_an_upgrade_in_memory(make: MakeHost) -> None:
    """On the one connection that there is."""
    host = make(url="sqlite://", create=False)
    assert run(host, "upgrade").exit_code == 0
    assert run(host, "upgrade").output == f"The tables are up to date: version {VERSION}.\n"
    host.client().get("/", headers=NAVIGATION)
    assert host.actions() == {"page.visit": 1, "session.start": 1}
