"""Processes die at random instants; nothing that was acknowledged is lost or doubled."""

from __future__ import annotations

import os
import pathlib

import pytest

from . import scenarios

# A failure prints its seed; give it again to see the same kills.
SEED = os.environ.get("EVENTTRACK_TEST_SEED", "kill")


@pytest.mark.parametrize("database", ["sqlite", "postgresql", "mariadb"])
def test_kill_9_under_load(database: str, tmp_path: pathlib.Path) -> None:
    """20 rounds: each acknowledged event is stored exactly once, and all counters are a recount."""
    seed = f"{SEED}-{database}"
    print("seed", seed)
    figures = scenarios.kill_rounds(tmp_path, database, rounds=20, seed=seed)
    assert figures["acknowledged"] > 200, figures


@pytest.mark.parametrize("database", ["sqlite", "postgresql", "mariadb"])
def test_sweepers_that_are_killed(database: str, tmp_path: pathlib.Path) -> None:
    """Four processes end the same sessions, two die on the way: each session ends exactly once."""
    scenarios.sweepers(tmp_path, database, sessions=500, seed=f"{SEED}-{database}")
