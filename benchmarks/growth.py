"""Our writer as the table grows."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import dataclasses
import gc
import statistics

from . import floors
from .databases import KINDS, database, version_of
from .report import Table, Unavailable, at_most, progress, rounds, whole
from .traffic import ACTION, PARAMS_BYTES, Row, Traffic
from .writer import Ours, open_ours, timed

TITLE = "The writer as the table grows"
_SIZES = (0, 250_000, 1_000_000, 2_500_000, 5_000_000)
_QUICK_SIZES = (0, 50_000)
_SIZES_OF = {"sqlite": _SIZES, "postgresql": _SIZES, "mariadb": _SIZES[:2]}  # for its bytes only
_BYTES = {"sqlite": 900, "postgresql": 800}
_FILL_BATCH = 10_000
_SITE = "growth.example.com"


@dataclasses.dataclass
class _Step:
    """Rows a second at a size of the table, and bytes an event."""

    size: int
    bytes_each: float
    ours: list[float] = dataclasses.field(default_factory=list)
    floor: list[float] = dataclasses.field(default_factory=list)


def run(*, quick: bool) -> cabc.Iterator[Table]:
    size, number = (1000, 2) if quick else (2000, 11)
    for kind, sizes in _SIZES_OF.items():
        try:
            with database(kind) as url:
                version = version_of(url)
                figures = _measure(url, _QUICK_SIZES if quick else sizes, size, number)
        except Unavailable as error:
            yield Table(f"{KINDS[kind]} {error}", ("",))
            continue
        table = _tabulate(version, kind, figures)
        table.notes.append(
            f"{number} rounds at each size, after a checkpoint, each of {size} events of ours and "
            "as many of the floor."
        )
        yield table


def _measure(url: str, sizes: cabc.Sequence[int], size: int, number: int) -> list[_Step]:
    with open_ours(url) as ours, contextlib.closing(floors.open_floor(url, ours.table)) as floor:
        traffic = Traffic()
        before = floor.size()
        ours.insert(traffic.events(size, _SITE))  # to warm up, and for a row to copy
        sample = _find_sample(floor)
        figures = []
        for goal in sizes:
            _fill(floor, traffic, sample, goal - floor.count())
            floor.settle()
            step = _Step(goal, (floor.size() - before) / floor.count())
            for _ in rounds(number, f"{floor.NAME}, {goal:,} rows"):
                _play(ours, floor, traffic, sample, size, step)
            figures.append(step)
        return figures


def _find_sample(floor: floors.Floor) -> Row:
    action = floor.columns.index("action")
    return next(row for row in floor.read(_SITE) if row[action] == ACTION)


def _fill(floor: floors.Floor, traffic: Traffic, sample: Row, number: int) -> None:
    done = 0
    while done < number:
        rows = traffic.rows(min(_FILL_BATCH, number - done), floor.columns, sample)
        floor.insert(rows, _FILL_BATCH)
        done += len(rows)
        if done % (25 * _FILL_BATCH) == 0:
            progress(f"{floor.NAME}: {done:,} of {number:,} rows filled in")


def _play(
    ours: Ours, floor: floors.Floor, traffic: Traffic, sample: Row, size: int, step: _Step
) -> None:
    happened = traffic.events(size, _SITE)
    written = size + sum(event.client is not None for event in happened)  # with session starts
    gc.collect()
    step.ours.append(written / timed(lambda: ours.insert(happened)))
    rows = traffic.rows(size, floor.columns, sample)
    gc.collect()
    step.floor.append(size / timed(lambda: floor.insert(rows)))


def _tabulate(version: str, kind: str, figures: list[_Step]) -> Table:
    table = Table(
        f"{version}: rows a second at each size, ours and the bare driver's on the same table, "
        "each also as a share of its own on the empty table; and bytes on disk an event, indexes "
        f"included, with {PARAMS_BYTES} bytes of params.",
        ("rows", "floor", "ours", "ratio", "floor, share", "ours, share", "bytes", "target"),
    )
    floor, ours = (statistics.median(figures[0].floor), statistics.median(figures[0].ours))
    limit = f"ours ≥ floor; bytes {at_most(_BYTES[kind])}" if kind in _BYTES else ""
    for step in figures:
        ratios = [mine / bare for mine, bare in zip(step.ours, step.floor, strict=True)]
        table.add(
            whole(step.size),
            whole(statistics.median(step.floor)),
            whole(statistics.median(step.ours)),
            f"{statistics.median(ratios):.2f}",
            f"{statistics.median(step.floor) / floor:.2f}",
            f"{statistics.median(step.ours) / ours:.2f}",
            whole(step.bytes_each) if step.size else "",
            limit if step is figures[-1] else "",
        )
    return table
