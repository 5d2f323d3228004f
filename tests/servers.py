"""The real parts that tests run on: where they are, and what to start where one is absent."""

from __future__ import annotations

import collections.abc as cabc
import functools
import os
import pathlib
import uuid

import pytest
import sqlalchemy as sa

REQUIRE = os.environ.get("EVENTTRACK_REQUIRE") == "all"
CHROMIUM = os.environ.get("EVENTTRACK_TEST_CHROMIUM", "/usr/bin/chromium")
POSTGRESQL = os.environ.get(
    "EVENTTRACK_TEST_POSTGRESQL", "postgresql+psycopg://postgres@127.0.0.1:5432/test"
)
MARIADB = os.environ.get("EVENTTRACK_TEST_MARIADB", "mysql+pymysql://root@127.0.0.1:3306/test")
_HINTS = {
    "postgresql": "start PostgreSQL, or point EVENTTRACK_TEST_POSTGRESQL at one",
    "mariadb": "start MariaDB, or point EVENTTRACK_TEST_MARIADB at one",
    "chromium": "install Chromium, or point EVENTTRACK_TEST_CHROMIUM at one",
}


def skip_absent(part: str, why: str) -> None:
    """Skip with what to start; where everything is required, fail instead."""
    reason = f"{part} is absent ({why}): {_HINTS[part]}"
    if REQUIRE:
        pytest.fail(reason)
    pytest.skip(reason)


@functools.cache
def _why_unreachable(url: str) -> str:
    engine = sa.create_engine(url)
    try:
        engine.connect().close()
    except sa.exc.SQLAlchemyError as error:
        return str(error).splitlines()[0]
    finally:
        engine.dispose()
    return ""


def make_database(kind: str, folder: pathlib.Path) -> cabc.Iterator[str]:
    """Yield the URL of an empty database of its own, and drop it afterwards."""
    if kind == "sqlite":
        yield f"sqlite:///{folder / 'host.db'}"
        return
    url = {"postgresql": POSTGRESQL, "mariadb": MARIADB}[kind]
    if why := _why_unreachable(url):
        skip_absent(kind, why)
    name = f"et_{uuid.uuid4().hex[:12]}"
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    try:
        yield sa.make_url(url).set(database=name).render_as_string(hide_password=False)
    finally:
        force = " WITH (FORCE)" if kind == "postgresql" else ""
        with engine.connect() as connection:
            connection.exec_driver_sql(f"DROP DATABASE {name}{force}")
        engine.dispose()


def require_chromium() -> str:
    """Return the path of Chromium, or skip."""
    if not pathlib.Path(CHROMIUM).exists():
        skip_absent("chromium", f"no {CHROMIUM}")
    return CHROMIUM
