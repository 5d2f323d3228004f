"""The real parts that tests run on: where they are, and what to start where one is absent."""

from __future__ import annotations

import atexit
import collections.abc as cabc
import contextlib
import functools
import os
import pathlib
import socket
import urllib.parse
import uuid

import pytest
import sqlalchemy as sa

from .made_tables import drop_kept, has_kept, keep_tables

REQUIRE = os.environ.get("EVENTTRACK_REQUIRE") == "all"
CHROMIUM = os.environ.get("EVENTTRACK_TEST_CHROMIUM", "/usr/bin/chromium")
POSTGRESQL = os.environ.get(
    "EVENTTRACK_TEST_POSTGRESQL", "postgresql+psycopg://postgres@127.0.0.1:5432/test"
)
# Without TLS, for which PyMySQL would read all certificates of the system at each connection.
MARIADB = os.environ.get(
    "EVENTTRACK_TEST_MARIADB", "mysql+pymysql://root@127.0.0.1:3306/test?ssl_disabled=true"
)
REDIS = os.environ.get("EVENTTRACK_TEST_REDIS", "redis://127.0.0.1:6379/0")
RABBITMQ = os.environ.get("EVENTTRACK_TEST_RABBITMQ", "amqp://guest:guest@127.0.0.1:5672//")
_DATABASES = {"postgresql": POSTGRESQL, "mariadb": MARIADB}
_HINTS = {
    "postgresql": "start PostgreSQL, or point EVENTTRACK_TEST_POSTGRESQL at one",
    "mariadb": "start MariaDB, or point EVENTTRACK_TEST_MARIADB at one",
    "chromium": "install Chromium, or point EVENTTRACK_TEST_CHROMIUM at one",
    "node_modules": "run npm ci",
    "chdb": "install chdb",
    "redis": "start Redis, or point EVENTTRACK_TEST_REDIS at one",
    "redis-server": "install redis-server",
    "rabbitmq": "start RabbitMQ, or point EVENTTRACK_TEST_RABBITMQ at one",
}


def skip_absent(part: str, why: str) -> None:
    """Skip with what to start; where everything is required, fail instead."""
    reason = f"{part} is absent ({why}): {_HINTS[part]}"
    if REQUIRE:
        pytest.fail(reason)
    pytest.skip(reason)


def unique_name() -> str:
    """Return a name for what a test makes on a server that other tests use at the same time."""
    return f"et_{uuid.uuid4().hex[:12]}"


# Databases

#: The empty PostgreSQL databases of this process that wait for a test. They are dropped at exit.
_emptied: list[str] = []
_EMPTY = """
DO $$ DECLARE name text; BEGIN
    FOR name IN SELECT nspname FROM pg_namespace
        WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'
    LOOP EXECUTE 'DROP SCHEMA ' || quote_ident(name) || ' CASCADE'; END LOOP;
    CREATE SCHEMA public;
    GRANT USAGE ON SCHEMA public TO public;
END $$
"""


def make_database(kind: str, folder: pathlib.Path) -> cabc.Iterator[str]:
    """Yield the URL of an empty database of its own, under a name that no other test had."""
    if kind == "sqlite":
        yield f"sqlite:///{folder / 'host.db'}"
        return
    if why := _why_unreachable(_DATABASES[kind]):
        skip_absent(kind, why)
    make, leave = {
        "postgresql": (_make_postgresql, _leave_postgresql),
        "mariadb": (_make_mariadb, _leave_mariadb),
    }[kind]
    name = unique_name()
    make(name)
    try:
        yield _url_of(kind, name).render_as_string(hide_password=False)
    finally:
        leave(name)


@atexit.register
def _drop_databases(creator: int = os.getpid()) -> None:
    if os.getpid() == creator:  # not in a fork
        for name in _emptied:
            _run("postgresql", f"DROP DATABASE {name} WITH (FORCE)")
        if has_kept():
            with _server(MARIADB).connect() as connection:
                drop_kept(connection)


@functools.cache
def _server(url: str) -> sa.Engine:
    return sa.create_engine(url, isolation_level="AUTOCOMMIT", pool_pre_ping=True)


@functools.cache
def _why_unreachable(url: str) -> str:
    try:
        _server(url).connect().close()
    except sa.exc.SQLAlchemyError as error:
        return str(error).splitlines()[0]
    return ""


def _url_of(kind: str, name: str) -> sa.URL:
    return sa.make_url(_DATABASES[kind]).set(database=name)


def _run(kind: str, *statements: str) -> None:
    with _server(_DATABASES[kind]).connect() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)


def _make_postgresql(name: str) -> None:
    """Rename a database that was used before: making one takes a quarter of a second."""
    make = f"ALTER DATABASE {_emptied.pop()} RENAME TO" if _emptied else "CREATE DATABASE"
    _run("postgresql", f"{make} {name}")


def _leave_postgresql(name: str) -> None:
    _run(
        "postgresql",
        f"ALTER DATABASE {name} WITH ALLOW_CONNECTIONS true CONNECTION LIMIT -1",
        f"ALTER DATABASE {name} RESET ALL",
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        f" WHERE datname = '{name}' AND backend_type = 'client backend'",
    )
    engine = sa.create_engine(_url_of("postgresql", name), poolclass=sa.NullPool)
    with engine.begin() as connection:
        connection.exec_driver_sql(_EMPTY)
    _emptied.append(name)


def _make_mariadb(name: str) -> None:
    _run("mariadb", f"CREATE DATABASE {name}")


def _leave_mariadb(name: str) -> None:
    left = f"SELECT id FROM information_schema.processlist WHERE db = '{name}'"
    with _server(MARIADB).connect() as connection:
        for number in connection.exec_driver_sql(left).scalars().all():
            with contextlib.suppress(sa.exc.OperationalError):  # it has gone meanwhile
                connection.exec_driver_sql(f"KILL {number}")
        keep_tables(connection, name)
    _run("mariadb", f"DROP DATABASE {name}")


# Other parts


def require_chromium() -> str:
    """Return the path of Chromium, or skip."""
    if not pathlib.Path(CHROMIUM).exists():
        skip_absent("chromium", f"no {CHROMIUM}")
    return CHROMIUM


def require_redis() -> str:
    """Return the URL of a Redis, or skip. Other tests use it too: see ``unique_name``."""
    return _require("redis", REDIS, 6379)


def require_rabbitmq() -> str:
    """Return the URL of a RabbitMQ, or skip. Other tests use it too: see ``unique_name``."""
    return _require("rabbitmq", RABBITMQ, 5672)


def _require(part: str, url: str, port: int) -> str:
    parsed = urllib.parse.urlsplit(url)
    if why := _why_closed(parsed.hostname or "127.0.0.1", parsed.port or port):
        skip_absent(part, why)
    return url


@functools.cache
def _why_closed(host: str, port: int) -> str:
    try:
        socket.create_connection((host, port), timeout=5).close()
    except OSError as error:
        return str(error)
    return ""
