"""Databases go away, disks are full, clocks jump and clients repeat themselves."""

from __future__ import annotations

import pathlib

import pytest

from . import scenarios


@pytest.mark.parametrize("database", ["sqlite", "postgresql", "mariadb"])
def test_a_database_that_is_away(database: str, tmp_path: pathlib.Path) -> None:
    """All that was acknowledged meanwhile arrives, also what a killed process took."""
    figures = scenarios.outage(tmp_path, database, away=6, seed=database)
    assert figures["acknowledged"] > 100, figures


@pytest.mark.parametrize("killed", [False, True], ids=["running", "killed"])
def test_a_full_disk(killed: bool, tmp_path: pathlib.Path) -> None:
    """Posts are told to come back, pages are answered and their visits counted as dropped, what was
    acknowledged is kept; with room again all goes on."""
    figures = scenarios.disk_full(tmp_path, killed=killed)
    assert figures["refused"] > 0, figures


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_writes_that_fail_half_way(database: str, tmp_path: pathlib.Path) -> None:
    """A torn record costs no other record: neither those before it nor those after it."""
    figures = scenarios.torn_writes(tmp_path, database, rounds=12, seed=database)
    assert figures["refused"] > 0, figures


def test_a_journal_whose_folder_is_removed(tmp_path: pathlib.Path) -> None:
    """The server answers on, and what it acknowledges is stored."""
    scenarios.lost_folder(tmp_path)


def test_a_journal_that_cannot_be_written(tmp_path: pathlib.Path) -> None:
    """It is said at the start, and events wait in memory instead."""
    scenarios.read_only_folder(tmp_path)


@pytest.mark.parametrize("database", ["sqlite", "postgresql", "mariadb"])
def test_clients_that_send_everything_three_times(database: str, tmp_path: pathlib.Path) -> None:
    """Three posts of the same events, at once and to two processes, store each of them once."""
    scenarios.storm(tmp_path, database, requests=60, seed=database)


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_a_clock_that_jumps(database: str, tmp_path: pathlib.Path) -> None:
    """An hour back and a day forward: nothing is lost or doubled, and no session is odd."""
    scenarios.clock_steps(tmp_path, database, seed=database)
