"""What the database lacks is named: tables and rights, in the log, by doctor and by commands."""

from __future__ import annotations

import collections.abc as cabc
import contextlib

import pytest
import sqlalchemy as sa

from flask_eventtrack.records import Claim

from ..commands import run
from ..conftest import MakeHost
from ..hosts import NAVIGATION, Host
from ..pipeline.waiting import PATIENT, waiting
from ..servers import unique_name
from .host_changes import changing
from .records import a_page, an_id

ALL = ("SELECT", "INSERT", "UPDATE", "DELETE")


@contextlib.contextmanager
def limited_user(owner: Host, table: str, *rights: str) -> cabc.Iterator[str]:
    """Yield the URL for a user who has only these rights on a table, and all on the others."""
    name, url = unique_name(), owner.state.pipeline.database._host.url
    is_mysql = url.get_backend_name() == "mysql"
    user = f"'{name}'@'%%'" if is_mysql else name
    with changing(owner) as connection:
        connection.exec_driver_sql(f"CREATE USER {user}")
        for each in owner.state.pipeline.database.tables.all():
            granted = ", ".join(rights if each.name == f"eventtrack_{table}" else ALL)
            if granted:
                connection.exec_driver_sql(f"GRANT {granted} ON {each.name} TO {user}")
    try:
        yield url.set(username=name, password=None).render_as_string()
    finally:
        with changing(owner) as connection:
            if not is_mysql:
                connection.exec_driver_sql(f"DROP OWNED BY {user}")
            connection.exec_driver_sql(f"DROP USER {user}")


@pytest.mark.parametrize("database_url", ["postgresql", "mariadb"], indirect=True)
@pytest.mark.parametrize(
    ("table", "rights", "denied"),
    [
        ("event", ("SELECT", "UPDATE", "DELETE"), "INSERT on eventtrack_event is denied"),
        ("hourly", ("SELECT", "INSERT"), "UPDATE on eventtrack_hourly is denied"),
        ("tombstone", (), "SELECT on eventtrack_tombstone is denied"),
    ],
)
def test_a_right_that_is_missing_is_named(
    make: MakeHost,
    database_url: str,
    caplog: pytest.LogCaptureFixture,
    table: str,
    rights: tuple[str, ...],
    denied: str,
) -> None:
    """By the log and by doctor; events wait until it is granted."""
    owner = make(PATIENT, url=database_url)
    with limited_user(owner, table, *rights) as url:
        host = make(PATIENT, url=url, create=False)
        assert host.client().get("/", headers=NAVIGATION).status_code == 200
        with pytest.raises(sa.exc.DBAPIError):
            host.flush()
        assert denied in caplog.text
        assert f"ET021 error: {denied}" in run(host, "doctor").output
        assert waiting(host) == 1
        with changing(owner) as connection:
            name = host.state.pipeline.database._host.url.username
            user = f"'{name}'@'%%'" if connection.dialect.name == "mysql" else name
            granted = ", ".join(ALL)
            connection.exec_driver_sql(f"GRANT {granted} ON eventtrack_{table} TO {user}")
        assert host.actions() == {"page.visit": 1, "session.start": 1}
        assert "ET021" not in run(host, "doctor").output
        host.close()


@pytest.mark.parametrize("database_url", ["postgresql", "mariadb"], indirect=True)
def test_what_is_not_needed_may_be_denied(make: MakeHost, database_url: str) -> None:
    """Nothing is ever deleted from the hourly totals."""
    owner = make(PATIENT, url=database_url)
    with limited_user(owner, "hourly", "SELECT", "INSERT", "UPDATE") as url:
        host = make(PATIENT, url=url, create=False)
        assert "ET021" not in run(host, "doctor").output
        host.close()


def test_a_newcomer_is_told_to_create_the_tables(
    make: MakeHost, database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Where nothing was created at all, by the log, by doctor and by a command."""
    host = make(PATIENT, url=database_url, create=False)
    host.client().get("/", headers=NAVIGATION)
    with pytest.raises(sa.exc.DBAPIError):
        host.flush()
    what = "Tables are missing: eventtrack_event, eventtrack_session, "
    hint = "Run 'flask eventtrack init-db', or make a migration: 'flask db migrate' sees them"
    [message] = caplog.messages
    assert message.startswith(f"Events cannot be written, and wait: {what}")
    for said in (message, run(host, "doctor").output, run(host, "tail").output):
        assert what in said
        assert hint in said
    assert run(host, "init-db").exit_code == 0
    assert host.actions() == {"page.visit": 1, "session.start": 1}


def test_a_table_that_is_missing_is_named(db_host: Host, caplog: pytest.LogCaptureFixture) -> None:
    """Among others, so it is an upgrade that is missing."""
    with changing(db_host) as connection:
        db_host.state.pipeline.database.tables.quality.drop(connection)
    db_host.client().get("/", headers=NAVIGATION)
    with pytest.raises(sa.exc.DBAPIError):
        db_host.flush()
    said = "Tables are missing: eventtrack_quality. Run 'flask eventtrack upgrade'"
    assert said in caplog.text
    run(db_host, "upgrade")
    assert db_host.actions() == {"page.visit": 1, "session.start": 1}


@pytest.mark.parametrize("database_url", ["mariadb"], indirect=True)
def test_an_index_that_the_writer_names_and_misses_is_named(
    db_host: Host, caplog: pytest.LogCaptureFixture
) -> None:
    """Somebody has given it another name."""
    [index] = (
        index
        for index in db_host.state.pipeline.database.tables.event.indexes
        if index.columns.keys()[0] == "claimed_by"
    )
    with changing(db_host) as connection:
        rename = f"ALTER TABLE eventtrack_event RENAME INDEX {index.name} TO theirs"
        connection.exec_driver_sql(rename)
    half = a_page("/", half="browser", claim=Claim(an_id()))
    db_host.state.pipeline.put(half)
    with pytest.raises(sa.exc.DBAPIError):
        db_host.flush()
    assert f"Indexes are missing: {index.name}. Run 'flask eventtrack upgrade'" in caplog.text
    assert f"ET020 error: Indexes are missing: {index.name}." in run(db_host, "doctor").output
    run(db_host, "upgrade")
    assert db_host.actions()["page.visit"] == 1


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_schema_that_the_host_translates_is_looked_into(
    make: MakeHost, database_url: str
) -> None:
    """As of an app with a schema for each tenant."""
    options = {"execution_options": {"schema_translate_map": {None: "tenant"}}}
    engine = sa.create_engine(database_url)
    with engine.begin() as connection:
        connection.execute(sa.schema.CreateSchema("tenant"))
    engine.dispose()
    host = make({"SQLALCHEMY_ENGINE_OPTIONS": options}, url=database_url, create=False)
    assert run(host, "init-db").exit_code == 0
    assert "error" not in run(host, "doctor").output
    with changing(host) as connection:
        connection.exec_driver_sql("ALTER TABLE tenant.eventtrack_event DROP COLUMN label")
        connection.exec_driver_sql("DROP INDEX tenant.ix_eventtrack_event_stored_at")
    assert "Columns are missing: eventtrack_event.label." in run(host, "doctor").output
    answer = run(host, "upgrade")
    assert answer.exit_code == 0, answer.output
    host.client().get("/", headers=NAVIGATION)
    assert host.actions() == {"page.visit": 1, "session.start": 1}
