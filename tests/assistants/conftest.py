from __future__ import annotations

import pathlib

import pytest

from ..conftest import MakeHost
from ..hosts import FakeClock, Host
from .asking import fill


@pytest.fixture
def db_shop(make: MakeHost, clock: FakeClock, database_url: str) -> Host:
    """The shop on each kind of database in turn."""
    return fill(make, clock, database_url)


@pytest.fixture
def shop(make: MakeHost, clock: FakeClock, tmp_path: pathlib.Path) -> Host:
    return fill(make, clock, f"sqlite:///{tmp_path / 'shop.db'}")
