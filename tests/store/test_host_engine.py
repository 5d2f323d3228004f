"""What the host attached to its engine holds for our connection: tokens, roles, keys, creators."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import datetime as dt
import functools
import sqlite3
import typing as t

import psycopg
import pytest
import sqlalchemy as sa
from flask import current_app
from sqlalchemy.pool import QueuePool

from flask_eventtrack.store.engine import Database
from flask_eventtrack.store.tables import Tables

from ..commands import run
from ..conftest import MakeHost, create_tables
from ..hosts import NAVIGATION, Host
from ..servers import unique_name


def attach(host: Host, name: str, listener: cabc.Callable[..., t.Any]) -> None:
    with host.app.app_context():
        sa.event.listen(host.db.engine, name, listener)


def note_named(told: list[str], **arguments: object) -> None:
    told.append(" ".join(sorted(arguments)))


def visit(host: Host) -> None:
    """Have a visit written by a flush, which raises what the database says."""
    host.client().get("/", headers=NAVIGATION)
    host.flush()


def test_password_that_is_a_token_is_asked_for(make: MakeHost, database_url: str) -> None:
    """As with IAM: the URL has a wrong address, and ``do_connect`` the right one."""
    url = sa.make_url(database_url)
    if url.get_backend_name() == "sqlite":
        host = make(url="sqlite:////no/such/folder/file.db", create=False)
        right: dict[str, t.Any] = {"database": url.database}
    else:
        host = make(url=url.set(port=9).render_as_string(hide_password=False), create=False)
        right = {"port": url.port}
    asked = []

    def give_token(
        dialect: t.Any, record: object, args: list[t.Any], named: dict[str, t.Any]
    ) -> None:
        asked.append(current_app.name)  # a host may read the token's settings there
        if "database" in right:
            args[0] = right["database"]
        else:
            named.update(right)

    attach(host, "do_connect", give_token)
    create_tables(host)
    visit(host)
    assert len(asked) >= 2
    assert "ET002" not in run(host, "doctor").output


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_search_path_of_a_listener_holds(make: MakeHost, database_url: str) -> None:
    """The tables are in a schema that only a ``connect`` listener names."""
    host = make(url=database_url, create=False)

    def set_path(connection: psycopg.Connection[t.Any], record: object) -> None:
        connection.execute("CREATE SCHEMA IF NOT EXISTS tenant")
        connection.execute("SET search_path TO tenant")
        connection.commit()

    attach(host, "connect", set_path)
    create_tables(host)
    visit(host)
    with host.app.app_context(), host.db.engine.connect() as connection:
        query = "SELECT count(*) FROM tenant.eventtrack_event WHERE action = 'page.visit'"
        assert connection.exec_driver_sql(query).scalar() == 1
    assert "ET00" not in run(host, "doctor").output.replace("ET008", "")


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_role_of_a_listener_holds(make: MakeHost, database_url: str) -> None:
    """The user who logs in may nothing; the role that a listener sets may write."""
    host = make(url=database_url, create=False)
    role = unique_name()
    engine = sa.create_engine(database_url)
    with contextlib.closing(engine.connect()) as connection, connection.begin():
        connection.exec_driver_sql(f"CREATE ROLE {role}")
        connection.exec_driver_sql(f"GRANT ALL ON SCHEMA public TO {role}")
    attach(host, "checkout", lambda connection, *_: connection.execute(f"SET ROLE {role}"))
    create_tables(host)
    visit(host)
    with host.state.pipeline.database.look() as connection:
        assert connection.exec_driver_sql("SELECT current_user").scalar() == role
    host.close()
    with contextlib.closing(engine.connect()) as connection, connection.begin():
        connection.exec_driver_sql(f"DROP OWNED BY {role}")
        connection.exec_driver_sql(f"DROP ROLE {role}")
    engine.dispose()


def test_functions_of_a_listener_are_there(make: MakeHost) -> None:
    """A trigger of the host's may call one, as an encrypted file needs its key."""
    host = make()

    def add(connection: sqlite3.Connection, record: object) -> None:
        connection.create_function("tenant", 0, lambda: "acme")

    attach(host, "connect", add)
    with host.app.app_context(), host.db.engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE seen (tenant TEXT)")
        connection.exec_driver_sql(
            "CREATE TRIGGER note AFTER INSERT ON eventtrack_event "
            "BEGIN INSERT INTO seen VALUES (tenant()); END"
        )
    visit(host)
    assert "ET00" not in run(host, "doctor").output.replace("ET008", "")
    with host.app.app_context(), host.db.engine.connect() as connection:
        rows = connection.exec_driver_sql("SELECT DISTINCT tenant FROM seen").scalars().all()
    assert rows == ["acme"]


class Connector:
    """A function that connects, such as a cloud's; the URL of its host leads nowhere."""

    def __init__(self, url: str) -> None:
        self._real = sa.create_engine(url)
        self.calls = 0
        kind = self._real.url.drivername
        nowhere = "/nowhere" if kind == "sqlite" else "nobody@127.0.0.1:9/nowhere"
        self.url = f"{kind}://{nowhere}"

    def __call__(self) -> t.Any:
        self.calls += 1
        args, named = self._real.dialect.create_connect_args(self._real.url)
        return self._real.dialect.connect(*args, **named)


def test_function_of_the_hosts_that_connects_is_used(make: MakeHost, database_url: str) -> None:
    """``creator`` in the engine's options."""
    connect = Connector(database_url)
    host = make({"SQLALCHEMY_ENGINE_OPTIONS": {"creator": connect}}, url=connect.url)
    before = connect.calls
    visit(host)
    assert connect.calls > before
    assert "ET002" not in run(host, "doctor").output


def test_function_of_a_pool_that_the_host_has_made_is_used(database_url: str) -> None:
    """No option names it."""
    connect = Connector(database_url)
    engine = sa.create_engine(connect.url, pool=QueuePool(connect))
    database = Database(engine, Tables.for_metadata(sa.MetaData()), {}, wal=False)
    with database.begin() as connection, database.connect_for_changes() as other:
        assert connection.scalar(sa.select(1)) == other.scalar(sa.select(1)) == 1
    assert connect.calls == 2
    database.close()
    engine.dispose()


def test_each_event_of_a_pool_is_told(db_host: Host) -> None:
    """Of our connection too, whose pool is not the host's."""
    told: list[str] = []
    for name in ("connect", "checkout", "checkin", "close"):
        attach(db_host, name, lambda *_, name=name: told.append(name))
    with db_host.state.pipeline.database.begin() as connection:
        assert connection.scalar(sa.select(1)) == 1
        assert told == ["connect", "checkout"]
    assert told[2:] == ["checkin"]
    db_host.state.pipeline.database.close()
    assert told[3:] == ["close"]


def test_listeners_run_once_for_each_connection(make: MakeHost) -> None:
    """One of the class ``Engine`` is ours without being taken over; order and number stay."""
    told: list[str] = []

    def of_all(connection: object, record: object) -> None:
        told.append("all")

    sa.event.listen(sa.Engine, "connect", of_all)
    try:
        host = make()
        attach(host, "connect", lambda *_: told.append("first"))
        with host.app.app_context():
            named = functools.partial(note_named, told)
            sa.event.listen(host.db.engine, "connect", named, named=True)
        told.clear()
        with host.state.pipeline.database.begin():
            pass
    finally:
        sa.event.remove(sa.Engine, "connect", of_all)
    assert told == ["all", "first", "connection_record dbapi_connection"]


def test_commands_that_change_tables_connect_as_the_host_does(
    make: MakeHost, database_url: str
) -> None:
    """``init-db`` makes an engine of its own."""
    host = make(url=database_url, create=False)
    told: list[object] = []
    attach(host, "connect", lambda *_: told.append(1))
    assert run(host, "init-db").exit_code == 0
    assert run(host, "upgrade").exit_code == 0
    assert len(told) >= 2


@pytest.mark.parametrize("option", ["isolation_level", "execution_options"])
def test_our_transactions_are_whole_where_the_host_s_commit_each_statement(
    make: MakeHost, database_url: str, option: str
) -> None:
    """AUTOCOMMIT may stand in either option; the rest of the options holds."""
    value = {"isolation_level": "AUTOCOMMIT", "logging_token": "host"}
    options = {option: value.get(option, value)}
    host = make({"SQLALCHEMY_ENGINE_OPTIONS": options}, url=database_url)
    database = host.state.pipeline.database
    table = database.tables.salt
    with contextlib.suppress(ZeroDivisionError), database.begin() as connection:
        connection.execute(sa.insert(table).values(day=dt.date(2026, 11, 21), salt="x"))
        raise ZeroDivisionError
    assert host.rows("salt") == []
    visit(host)
    assert "ET004" not in run(host, "doctor").output
    assert host.rows("rejected") == []
    if option == "execution_options":
        with database.begin() as connection:
            assert connection.get_execution_options()["logging_token"] == "host"
