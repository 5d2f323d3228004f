"""A connection that stalls: bytes are taken, and no answer comes."""

from __future__ import annotations

import collections.abc as cabc
import pathlib
import typing as t

import pytest
import sqlalchemy as sa
from sqlalchemy import exc

from flask_eventtrack.store.stalls import connect_args

from ..commands import run
from ..conftest import MakeHost
from ..faults.proxy import Proxy
from ..hosts import Host
from ..servers import make_database
from .waiting import locked, visit, wait_until, waiting

HASTY = {"EVENTTRACK_STATEMENT_TIMEOUT": 0.8}


@pytest.fixture(params=["postgresql", "mariadb"])
def proxy(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> cabc.Iterator[Proxy]:
    for real in make_database(request.param, tmp_path):
        with Proxy(real) as between:
            yield between


@pytest.fixture
def far_host(make: MakeHost, proxy: Proxy) -> cabc.Iterator[Host]:
    """A host whose database is behind the proxy."""
    host = make(HASTY, url=proxy.url)
    yield host
    proxy.flow()
    host.close()


def test_a_stalled_connection_is_given_up(
    far_host: Host, proxy: Proxy, caplog: pytest.LogCaptureFixture
) -> None:
    """The log says that events wait, pages go on, and what waits arrives when bytes flow again."""
    visit(far_host)
    far_host.flush()
    proxy.stall()
    assert visit(far_host) < 1
    wait_until(lambda: "Events cannot be written, and wait" in caplog.text)
    assert waiting(far_host) == 1
    proxy.flow()
    wait_until(lambda: waiting(far_host) == 0, seconds=40)
    assert far_host.actions() == {"page.visit": 2, "session.start": 2}


def test_a_connection_that_stalls_in_a_transaction_is_given_up(
    far_host: Host, proxy: Proxy
) -> None:
    """Between two statements, where no pre-ping notices it."""
    database = far_host.state.pipeline.database
    with pytest.raises(exc.DBAPIError), database.begin() as connection:  # noqa: PT012 - as below
        connection.execute(sa.select(1))
        proxy.stall()
        connection.execute(sa.select(1))
    assert far_host.state.pipeline.writer.committed == 0


def test_another_process_goes_on(make: MakeHost, proxy: Proxy, far_host: Host) -> None:
    """The server ends the transaction of the stalled one, with its locks."""
    near = make(url=proxy.target, create=False)
    table = near.state.pipeline.database.tables.salt
    far = far_host.state.pipeline.database
    with far.begin() as connection:
        connection.execute(table.insert().values(day=far_host.clock.moment.date(), salt="x"))
    with pytest.raises(exc.DBAPIError), far.begin() as connection:  # noqa: PT012 - between statements
        connection.execute(table.update().values(salt="far"))
        proxy.stall()
        with near.state.pipeline.database.begin() as other:
            other.execute(table.update().values(salt="near"))
        connection.execute(sa.select(1))
    assert near.rows("salt")[0]["salt"] == "near"


def test_doctor_does_not_hang(far_host: Host, proxy: Proxy) -> None:
    """It says that the database cannot be reached."""
    proxy.stall()
    answer = run(far_host, "doctor")
    assert "ET002 error: The database cannot be reached" in answer.output
    assert answer.exit_code == 1


@pytest.mark.parametrize("database_url", ["postgresql", "mariadb"], indirect=True)
def test_a_lock_of_another_program_does_not_hold_a_connection_for_ever(
    make: MakeHost, database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The statement is ended, said once, and tried again."""
    host = make(HASTY, url=database_url)
    with locked(host):
        visit(host)
        wait_until(lambda: "Events cannot be written, and wait" in caplog.text)
    wait_until(lambda: waiting(host) == 0, seconds=40)
    assert host.actions()["page.visit"] == 1


def test_long_work_on_tables_has_no_limit(make: MakeHost, database_url: str) -> None:
    """To make an index may take longer than any statement of the writer."""
    host = make(HASTY, url=database_url)
    sleep = {"postgresql": "SELECT pg_sleep(1.5)", "mysql": "SELECT SLEEP(1.5)"}
    with host.state.pipeline.database.begin_patient() as connection:
        connection.exec_driver_sql(sleep.get(connection.dialect.name, "SELECT 1"))


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("postgresql+psycopg://h/d", "keepalives_idle"),
        ("mysql+pymysql://h/d", "read_timeout"),
    ],
)
def test_what_the_host_says_stays(make: MakeHost, url: str, name: str) -> None:
    """In its engine options, or in the URL."""
    engine = sa.create_engine(url)
    ours = connect_args(engine, 30)
    assert ours["connect_timeout"] == 10
    assert name in ours
    said = sa.create_engine(url + f"?connect_timeout=3&{name}=7")
    assert not {"connect_timeout", name} & connect_args(said, 30).keys()


@pytest.mark.parametrize("database_url", ["postgresql", "mariadb"], indirect=True)
def test_engine_options_of_the_host_come_first(make: MakeHost, database_url: str) -> None:
    """Ours fill in what they do not say."""
    seen: dict[str, t.Any] = {}
    config = {"SQLALCHEMY_ENGINE_OPTIONS": {"connect_args": {"connect_timeout": 4}}}
    host = make(config, url=database_url)

    def note(dialect: t.Any, record: t.Any, args: t.Any, params: dict[str, t.Any]) -> None:
        seen.update(params)

    sa.event.listen(host.state.pipeline.database._engine, "do_connect", note)
    visit(host)
    host.flush()
    assert seen["connect_timeout"] == 4
    assert {"read_timeout", "keepalives"} & seen.keys()


@pytest.mark.parametrize("database_url", ["postgresql", "mariadb"], indirect=True)
def test_a_limit_of_the_hosts_server_stays(make: MakeHost, database_url: str) -> None:
    """As one of the role or of the database."""
    options: dict[str, t.Any] = {
        "p": {"options": "-c statement_timeout=7s"},
        "m": {"init_command": "SET SESSION max_statement_time = 7"},
    }[database_url[0]]
    ask = {"p": "SHOW statement_timeout", "m": "SELECT @@max_statement_time"}[database_url[0]]
    for config, expected in (({"connect_args": options}, 7), ({}, 30)):
        host = make({"SQLALCHEMY_ENGINE_OPTIONS": config}, url=database_url, create=False)
        with host.state.pipeline.database.begin() as connection:
            said = connection.exec_driver_sql(ask).scalar()
        assert float(str(said).rstrip("s")) == expected
