"""What the commit log costs the writer."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import gc
import itertools
import statistics
import time
import typing as t

from flask_eventtrack.records import Record

from . import writer, writers
from .databases import KINDS, database, version_of
from .report import Table, Unavailable, at_most, ratio, rounds, whole

_TARGET = 1.05


class _Cost(t.NamedTuple):
    """Seconds for a round's records: by the clock, and of this process's processor time."""

    wall: float
    cpu: float


def compare(size: int, number: int) -> Table:
    """Write the same records with and without the log, in turns, on two databases of a kind."""
    table = Table(
        "The commit log (`EVENTTRACK_COMMIT_LOG`): both halves of visits and their events, written "
        "with it and without it.",
        ("database", "without, records/s", "with, records/s", "time", "ours, CPU", "target"),
    )
    for kind, name in KINDS.items():
        try:
            version, turns = _measure(kind, size, number)
        except Unavailable as error:
            table.notes.append(f"{name} {error}")
            continue
        off, on = zip(*turns, strict=True)
        table.add(
            version,
            whole(size / statistics.median(each.wall for each in off)),
            whole(size / statistics.median(each.wall for each in on)),
            ratio(with_log.wall / plain.wall for plain, with_log in turns),
            ratio(with_log.cpu / plain.cpu for plain, with_log in turns),
            at_most(_TARGET),
        )
    table.notes.append(f"{number} rounds of {size:,} records, in which both take turns.")
    return table


def _measure(kind: str, size: int, number: int) -> tuple[str, list[tuple[_Cost, _Cost]]]:
    with contextlib.ExitStack() as stack:
        urls = [stack.enter_context(database(kind)) for _ in range(2)]
        off = stack.enter_context(writer.open_ours(urls[0]))
        on = stack.enter_context(writer.open_ours(urls[1], EVENTTRACK_COMMIT_LOG=True))
        records = writers.make_records(size * (number + 1))
        _play(off, on, list(itertools.islice(records, size)))
        turns = []
        for at in rounds(number, f"commit log, {KINDS[kind]}"):
            these = list(itertools.islice(records, size))
            if at % 2:
                with_log, plain = _play(on, off, these)
            else:
                plain, with_log = _play(off, on, these)
            turns.append((plain, with_log))
        return version_of(urls[0]), turns


def _play(
    first: writer.Ours, second: writer.Ours, records: cabc.Sequence[Record]
) -> tuple[_Cost, _Cost]:
    return _write(first, records), _write(second, records)


def _write(ours: writer.Ours, records: cabc.Sequence[Record]) -> _Cost:
    gc.collect()
    cpu, began = time.process_time(), time.perf_counter()
    ours.insert(records)
    return _Cost(time.perf_counter() - began, time.process_time() - cpu)
