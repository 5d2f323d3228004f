"""Memory added to a worker."""

from __future__ import annotations

import collections.abc as cabc
import pathlib
import statistics
import subprocess
import sys

from . import us
from .report import Table, at_most, rounds
from .resident import NOTHING

TITLE = "Memory added to a worker"
_WAITING = 10_000
_TARGETS = (15, 40)
_MIB = 1024 * 1024


def run(*, quick: bool) -> cabc.Iterator[Table]:
    waiting, number = (_WAITING // 10, 2) if quick else (_WAITING, 7)
    table = Table(
        f"Resident memory of a process with us less that of one without, after the same requests: "
        f"at rest, and with {waiting:,} page visits waiting for a database that is locked.",
        ("worker", "at rest, MiB", "target", f"{waiting:,} waiting, MiB", "target"),
    )
    if not pathlib.Path("/proc/self/statm").exists():
        table.notes.append("Skipped: this system does not tell through /proc.")
        yield table
        return
    figures: dict[str, list[tuple[int, int]]] = {}
    for _ in rounds(number, "memory"):
        for kind in (NOTHING, *us.DURABILITIES):
            figures.setdefault(kind, []).append(_measure(kind, waiting))
    for name in us.DURABILITIES:
        rest, wait = (_added(figures, name, at) for at in (0, 1))
        table.add(name, rest, at_most(_TARGETS[0]), wait, at_most(_TARGETS[1]))
    bare = (
        f"{statistics.median(pair[at] for pair in figures[NOTHING]) / _MIB:.0f}" for at in (0, 1)
    )
    table.add("nothing, in all", next(bare), "", next(bare))
    table.notes.append(f"{number} processes of each.")
    yield table


def _measure(kind: str, waiting: int) -> tuple[int, int]:
    command = [sys.executable, "-m", "benchmarks.resident", kind, str(waiting)]
    run = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    at_rest, later = map(int, run.stdout.split())
    return at_rest, later


def _added(figures: dict[str, list[tuple[int, int]]], kind: str, at: int) -> str:
    pairs = zip(figures[kind], figures[NOTHING], strict=True)
    return f"{statistics.median(ours[at] - bare[at] for ours, bare in pairs) / _MIB:.1f}"
