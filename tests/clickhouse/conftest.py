from __future__ import annotations

import collections.abc as cabc
import importlib.util
import pathlib
import subprocess
import sys
import tempfile

import pytest

from ..archive.conftest import open_logging_host
from ..conftest import MakeHost
from ..hosts import FakeClock, Host
from ..servers import skip_absent, unique_name
from ..store.copies import LOG
from . import server
from .copies import ClickHouse
from .reported import open_visited


@pytest.fixture(scope="session")
def _clickhouse_port() -> cabc.Iterator[int]:
    """The port of a server that the tests of this process share."""
    if importlib.util.find_spec("chdb") is None:
        skip_absent("chdb", "no such package")
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, server.__file__, folder]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            try:
                yield int(process.stdout.readline())
            finally:
                process.kill()


@pytest.fixture
def clickhouse(_clickhouse_port: int) -> cabc.Iterator[ClickHouse]:
    """An empty database in ClickHouse."""
    found = ClickHouse(_clickhouse_port, unique_name())
    found.create()
    yield found
    found.drop()


@pytest.fixture
def logging_host(make: MakeHost, database_url: str, tmp_path: pathlib.Path) -> Host:
    """A host with the commit log and a retention of 30 days, on each kind of database."""
    return open_logging_host(make, database_url, tmp_path, **LOG)


@pytest.fixture
def log_host(make: MakeHost, tmp_path: pathlib.Path) -> Host:
    """A host with the commit log on SQLite, for what does not depend on the database."""
    return open_logging_host(make, f"sqlite:///{tmp_path}/log.db", tmp_path, **LOG)


@pytest.fixture
def small_shop(make: MakeHost, clock: FakeClock, clickhouse: ClickHouse) -> Host:
    """The shop on SQLite, for what does not depend on the database."""
    return open_visited(make, clock, clickhouse)
