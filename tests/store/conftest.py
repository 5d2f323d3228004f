from __future__ import annotations

import pathlib

import pytest

from ..conftest import MakeHost
from ..hosts import Host
from .people import open_shop


@pytest.fixture
def shop(make: MakeHost, database_url: str, tmp_path: pathlib.Path) -> Host:
    """A host whose writer waits to be asked, with a log-in, on each kind of database."""
    return open_shop(make, database_url, tmp_path)
