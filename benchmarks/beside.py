"""Reports and a writer on one SQLite file at once, and what closed days cost the writer."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
import typing as t

import sqlalchemy as sa

from flask_eventtrack.store.marks import Marks

from .databases import version_of
from .history import Site
from .hosts import Place
from .report import Table, at_most, ratio, rounds
from .traffic import Traffic
from .writer import timed

_RATE = 1000
_SITE = "beside.example.com"
_ROWS = 5000
_OVERVIEW = "/?period=30d&compare=previous"


def measure(site: Site, *, quick: bool) -> cabc.Iterator[Table]:
    number, seconds = (1, 2) if quick else (5, 5)
    yield _measure_both(site, number, seconds)
    yield _measure_closed_days(site, number)


class _Writer:
    """A process that writes 1,000 events a second, for as many seconds as it is told."""

    def __init__(self, url: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.beside", url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> t.Self:
        self.ask(1)
        self.answer()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate(timeout=60)

    def ask(self, seconds: int) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{seconds}\n")
        self._process.stdin.flush()

    def answer(self) -> list[float]:
        """Return how long it took in each of the seconds until the events were rows."""
        assert self._process.stdout is not None
        took: list[float] = json.loads(self._process.stdout.readline())
        return took


def _write() -> None:
    traffic = Traffic()
    with tempfile.TemporaryDirectory() as folder:
        site = Site(Place(pathlib.Path(folder)), "sqlite", sys.argv[1])
        with site.app.app_context():
            for line in sys.stdin:
                took = [_write_for_a_second(site, traffic) for _ in range(int(line))]
                print(json.dumps(took), flush=True)
            site.close()


def _write_for_a_second(site: Site, traffic: Traffic) -> float:
    began = time.monotonic()
    happened = traffic.events(_RATE, _SITE)
    took = timed(lambda: site.insert(happened))
    time.sleep(max(0.0, began + 1 - time.monotonic()))
    return took


def _measure_both(site: Site, number: int, seconds: int) -> Table:
    """Take turns: the page alone, the writer alone, both."""
    alone, beside = list[tuple[float, float]](), list[tuple[float, float]]()
    with _Writer(site.url) as writer:
        for _ in rounds(number, "reports beside a writer"):
            writer.ask(seconds)
            written = statistics.median(writer.answer())
            alone.append((_look(site, seconds), written))
            writer.ask(seconds)
            beside.append((_look(site, seconds), statistics.median(writer.answer())))
    table = Table(
        f"{version_of(site.url)}: a process writes {_RATE:,} events a second, and another one "
        "shows the page of the overview (30 days, compared) again and again, each alone and both "
        "on the same file.",
        ("what", "alone, ms", "both, ms", "ratio", "target"),
    )
    for place, name, target in (
        (0, "page of the overview", at_most(2)),
        (1, f"{_RATE:,} events, until they are rows", at_most(1.11)),
    ):
        pairs = [(one[place], both[place]) for one, both in zip(alone, beside, strict=True)]
        medians = [1000 * statistics.median(each) for each in zip(*pairs, strict=True)]
        ratios = ratio(both / one for one, both in pairs)
        table.add(name, *(f"{each:,.1f}" for each in medians), ratios, target)
    table.notes.append(f"{number} rounds of {seconds} seconds.")
    return table


def _look(site: Site, seconds: int) -> float:
    """Show the page again and again; return the median of how many seconds it takes."""
    took, ends = list[float](), time.monotonic() + seconds
    while time.monotonic() < ends:
        took.append(timed(lambda: site.get(_OVERVIEW)))
    return statistics.median(took)


def _measure_closed_days(site: Site, number: int) -> Table:
    """Write with the marks that closed days need and without, in turns."""
    traffic, cpu = Traffic(), {True: list[float](), False: list[float]()}
    _time_rows(site, traffic)
    for at in rounds(2 * number, "closed days"):
        for has_marks in (True, False) if at % 2 else (False, True):
            with contextlib.nullcontext() if has_marks else _without_marks():
                cpu[has_marks].append(_time_rows(site, traffic))
    added = [marked / plain - 1 for marked, plain in zip(cpu[True], cpu[False], strict=True)]
    row = statistics.median(cpu[True])
    daily = site.state.reports.reader.tables.daily.c
    days = site.scalar(sa.select(sa.func.count(daily.day.distinct())))
    events = site.scalar(sa.select(sa.func.sum(daily.events)).where(daily.dimension == ""))
    closing = statistics.median(site.closing) / (row * events / days)
    table = Table(
        f"{version_of(site.url)}: what closed days cost the writer.",
        ("what", "% of its time", "target"),
    )
    table.add("marks, events of today", f"{100 * statistics.median(added):.1f}", at_most(5, " %"))
    table.add("to close a day, of the time to write its events", f"{100 * closing:.1f}")
    table.notes.append(f"{2 * number} rounds of {_ROWS:,} events; processor time.")
    return table


def _time_rows(site: Site, traffic: Traffic) -> float:
    """Return how many seconds of the processor the writer takes for an event."""
    happened = traffic.events(_ROWS, _SITE)
    began = time.process_time()
    site.insert(happened)
    return (time.process_time() - began) / _ROWS


@contextlib.contextmanager
def _without_marks() -> cabc.Iterator[None]:
    names = ("note_change", "note_gone", "note_person", "note_hours", "write")
    usual = {name: getattr(Marks, name) for name in names}
    for name in names:
        setattr(Marks, name, lambda *_: None)
    try:
        yield
    finally:
        for name, method in usual.items():
            setattr(Marks, name, method)


if __name__ == "__main__":
    _write()
