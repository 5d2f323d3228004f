from __future__ import annotations

import pathlib

import pytest

from ..conftest import MakeHost
from ..hosts import Host
from ..pipeline.waiting import PATIENT
from ..store.copies import LOG

DAY = 86_400


def open_logging_host(make: MakeHost, url: str, folder: pathlib.Path, **config: object) -> Host:
    given = {"EVENTTRACK_RETENTION": 30 * DAY, "EVENTTRACK_JOURNAL_DIR": str(folder / "journals")}
    host = make({**PATIENT, **given, **config}, url=url)
    host.events.define("order.ship", label="Shipped")
    return host


@pytest.fixture
def logging_host(make: MakeHost, database_url: str, tmp_path: pathlib.Path) -> Host:
    """A host with the commit log and a retention of 30 days, on each kind of database."""
    return open_logging_host(make, database_url, tmp_path, **LOG)


@pytest.fixture
def plain_host(make: MakeHost, tmp_path: pathlib.Path) -> Host:
    """A host without the commit log."""
    return open_logging_host(make, f"sqlite:///{tmp_path}/plain.db", tmp_path)


@pytest.fixture
def log_host(make: MakeHost, tmp_path: pathlib.Path) -> Host:
    """A host with the commit log on SQLite, for what does not depend on the database."""
    return open_logging_host(make, f"sqlite:///{tmp_path}/log.db", tmp_path, **LOG)


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
    return tmp_path / "archive"
