"""The whole of it: ``make soak``, or parts of it: ``make soak ARGS="kill outage --rounds 50"``."""

from __future__ import annotations

import argparse
import collections.abc as cabc
import functools
import pathlib
import sys
import tempfile
import traceback

from _pytest.outcomes import OutcomeException

from . import scenarios, streams
from .scenarios import Figures

DATABASES = ("sqlite", "postgresql", "mariadb")
Run = cabc.Callable[[pathlib.Path], Figures]


def _parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("tests.faults", description=__doc__)
    parser.add_argument("parts", nargs="*", help="the parts to run; all by default")
    parser.add_argument("--databases", nargs="+", default=DATABASES, choices=DATABASES)
    parser.add_argument("--rounds", type=int, default=200, help="how often to kill")
    parser.add_argument("--away", type=float, default=60, help="seconds without a database")
    parser.add_argument("--sessions", type=int, default=3600, help="how many to sweep")
    parser.add_argument("--requests", type=int, default=1000, help="how many to send three times")
    parser.add_argument("--steady", type=float, default=600, help="seconds of steady load")
    parser.add_argument("--seed", default="soak")
    return parser.parse_args(arguments)


def _parts(given: argparse.Namespace) -> dict[str, Run]:
    """Return what there is to run, each by its name."""
    seed, one = given.seed, scenarios
    on_each = {
        "kill": functools.partial(one.kill_rounds, rounds=given.rounds, seed=seed),
        "stream": functools.partial(streams.stream_rounds, rounds=given.rounds, seed=seed),
        "outage": functools.partial(one.outage, away=given.away, seed=seed),
        "torn": functools.partial(one.torn_writes, rounds=max(1, given.rounds // 4), seed=seed),
        "storm": functools.partial(one.storm, requests=given.requests, seed=seed),
        "sweep": functools.partial(one.sweepers, sessions=given.sessions, seed=seed),
        "clock": functools.partial(one.clock_steps, seed=seed),
    }
    parts: dict[str, Run] = {
        f"{name}-{database}": functools.partial(run, database=database)
        for name, run in on_each.items()
        for database in given.databases
    }
    parts["disk-full"] = functools.partial(one.disk_full, killed=False)
    parts["disk-full-killed"] = functools.partial(one.disk_full, killed=True)
    parts["orphans"] = one.orphans_by_the_minute
    parts["folder-lost"] = one.lost_folder
    parts["folder-read-only"] = one.read_only_folder
    parts["steady-sqlite"] = functools.partial(
        one.steady, database="sqlite", seconds=given.steady, seed=seed
    )
    return parts


def _run(run: Run) -> tuple[Figures, str]:
    """Run one part in a folder of its own; return its figures, and why it failed."""
    with tempfile.TemporaryDirectory(prefix="faults-", ignore_cleanup_errors=True) as folder:
        try:
            return run(pathlib.Path(folder)), ""
        except (Exception, OutcomeException) as error:  # noqa: BLE001 - the other parts go on
            traceback.print_exc()
            return {}, str(error).partition("\n")[0] or type(error).__name__


def main(arguments: list[str] | None = None) -> int:
    """Run the parts that are asked for, print a table, and return 1 if any of them failed."""
    given = _parse(arguments)
    parts = {
        name: run
        for name, run in _parts(given).items()
        if not given.parts or any(name.startswith(part) for part in given.parts)
    }
    results: dict[str, tuple[Figures, str]] = {}
    for name, run in parts.items():
        print(f"== {name}", flush=True)
        results[name] = _run(run)
    print()
    for name, (figures, failure) in results.items():
        shown = "  ".join(f"{key} {value}" for key, value in figures.items())
        print(f"{name:20} {'FAILED: ' + failure if failure else 'ok      ' + shown}")
    return int(any(failure for _, failure in results.values()))


if __name__ == "__main__":
    sys.exit(main())
