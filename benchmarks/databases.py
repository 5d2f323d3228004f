"""Databases to measure on: the ones that the tests use."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import pathlib
import tempfile

import pytest
import sqlalchemy as sa

from tests.servers import make_database

from .report import Unavailable

KINDS = {"sqlite": "SQLite", "postgresql": "PostgreSQL", "mariadb": "MariaDB"}


@contextlib.contextmanager
def database(kind: str) -> cabc.Iterator[str]:
    """Make an empty database for the while; yields its URL.

    :raises Unavailable: there is no server of that kind.
    """
    with tempfile.TemporaryDirectory() as folder:
        make = contextlib.contextmanager(make_database)
        try:
            with make(kind, pathlib.Path(folder)) as url:
                yield url
        except pytest.skip.Exception as absent:
            raise Unavailable(f"skipped: {absent}") from None


def version_of(url: str) -> str:
    """Return the name and version of a database server."""
    engine = sa.create_engine(url)
    try:
        with engine.connect() as connection:
            found = connection.dialect.server_version_info or ()
            name = KINDS["mariadb" if engine.dialect.name == "mysql" else engine.dialect.name]
    finally:
        engine.dispose()
    numbers = [str(part) for part in found if isinstance(part, int)]
    return f"{name} {'.'.join(numbers[:3])}"
