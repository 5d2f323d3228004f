"""Through streams and workers, too, nothing that was acknowledged is lost or doubled."""

from __future__ import annotations

import pathlib

import pytest

from . import streams
from .test_kill import SEED


@pytest.mark.parametrize(
    ("database", "appends", "durability"),
    [
        ("postgresql", True, "journal"),
        # What Redis forgets, the journal still holds.
        ("sqlite", False, "journal"),
    ],
)
def test_kills_on_the_way_to_the_workers(
    database: str, appends: bool, durability: str, tmp_path: pathlib.Path
) -> None:
    """20 rounds: each acknowledged event is stored exactly once, and all counters are a recount."""
    seed = f"{SEED}-{database}"
    print("seed", seed)
    figures = streams.stream_rounds(
        tmp_path, database, rounds=20, seed=seed, appends=appends, durability=durability
    )
    assert figures["acknowledged"] > 100, figures


@pytest.mark.parametrize("other", ["web", "redis"])
def test_kills_without_a_journal(other: str, tmp_path: pathlib.Path) -> None:
    """While Redis is away, pages wait in memory, so only one of both is killed."""
    kills = ("worker", "redis") if other == "redis" else ("worker", "web", "server")
    figures = streams.stream_rounds(
        tmp_path, "mariadb", rounds=20, seed=SEED, durability="stream", kills=kills
    )
    assert figures["acknowledged"] > 100, figures


def test_redis_is_away(tmp_path: pathlib.Path) -> None:
    """Events wait in the journals of processes that die meanwhile."""
    figures = streams.without_redis(tmp_path, "postgresql", away=4, seed=SEED)
    assert figures["acknowledged"] > 50, figures


def test_workers_end_in_order(tmp_path: pathlib.Path) -> None:
    streams.workers_end_in_order(tmp_path, "sqlite")


def test_hosts_apart(tmp_path: pathlib.Path) -> None:
    """What each of them has acknowledged is stored once, whatever its clock says."""
    figures = streams.hosts_apart(tmp_path, "postgresql")
    assert figures["acknowledged"] == 2 * 4 * 40
