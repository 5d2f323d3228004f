"""Tables to read, progress to watch, and the README that keeps the last run."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses
import datetime as dt
import importlib.metadata
import os
import pathlib
import platform
import re
import statistics
import sys
import time
import typing as t

README = pathlib.Path(__file__).with_name("README.md")
_INTRODUCTION = """\
# Benchmarks

What recording costs, beside what else people install for it. Figures of one table come from one
run in which the contestants take turns, and are medians over the rounds; a ratio is to the same
thing without us, in the same round. Machines differ and are noisy: read the ratios, and run
`make bench` on yours. `make bench ARGS="requests --quick"` measures one section, roughly, and
writes nothing.
"""
_PACKAGES = ("Flask", "Werkzeug", "SQLAlchemy")
_started = time.monotonic()


class Unavailable(Exception):
    """Something to measure is absent; the text says what and why."""


@dataclasses.dataclass
class Table:
    """A Markdown table; all columns but the first are numbers."""

    explanation: str
    head: tuple[str, ...]
    rows: list[tuple[str, ...]] = dataclasses.field(default_factory=list)
    notes: list[str] = dataclasses.field(default_factory=list)

    def add(self, *cells: str) -> None:
        self.rows.append(cells + ("",) * (len(self.head) - len(cells)))

    def __str__(self) -> str:
        rows = [self.head, *self.rows]
        widths = [max(3, *(len(row[at]) for row in rows)) for at in range(len(self.head))]
        rule = [
            "-" * width if not at else "-" * (width - 1) + ":" for at, width in enumerate(widths)
        ]
        lines = [
            "| " + " | ".join(_pad(row, widths)) + " |" for row in (self.head, rule, *self.rows)
        ]
        notes = [f"{note}" for note in self.notes]
        return "\n\n".join([self.explanation, "\n".join(lines), *notes])


def _pad(cells: cabc.Sequence[str], widths: cabc.Sequence[int]) -> cabc.Iterator[str]:
    for at, (cell, width) in enumerate(zip(cells, widths, strict=True)):
        yield cell.rjust(width) if at else cell.ljust(width)


class Section(t.Protocol):
    """A module of measurements."""

    TITLE: str

    def run(self, *, quick: bool) -> cabc.Iterable[Table]: ...


def progress(text: str) -> None:
    """Say how far a long measurement has come, beside the tables."""
    print(f"[{time.monotonic() - _started:6.0f} s] {text}", file=sys.stderr, flush=True)


def rounds(number: int, what: str) -> cabc.Iterator[int]:
    """Count the rounds, telling of each."""
    for at in range(number):
        progress(f"{what}: round {at + 1} of {number}")
        yield at


def ratio(values: cabc.Iterable[float]) -> str:
    return f"{statistics.median(values):.2f}"


def whole(value: float) -> str:
    return f"{value:,.0f}"


def at_most(limit: float, unit: str = "") -> str:
    return f"≤ {limit:,g}{unit}"


def at_least(limit: float, unit: str = "") -> str:
    return f"≥ {limit:,g}{unit}"


def percentile(values: cabc.Iterable[float], percent: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def versions(*names: str) -> str:
    """Return names with versions, less those that are not installed."""
    found = []
    for name in names:
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    return ", ".join(found)


def measure(section: Section, command: str, *, quick: bool) -> str:
    """Run a section and return its text."""
    progress(section.TITLE)
    began = time.monotonic()
    tables = [str(table) for table in section.run(quick=quick)]
    minutes, seconds = divmod(round(time.monotonic() - began), 60)
    stamp = (
        f"{dt.datetime.now(dt.UTC):%Y-%m-%d}, `{command}`, {minutes} min {seconds} s. "
        f"Python {platform.python_version()}, {versions(*_PACKAGES)}; {platform.system()} "
        f"{platform.machine()}, {os.cpu_count()} cores."
    )
    return "\n\n".join([f"## {section.TITLE}", *tables, stamp])


def write_readme(texts: cabc.Mapping[str, str], order: cabc.Sequence[str]) -> None:
    """Replace the sections that were measured, and keep the others of earlier runs.

    :param texts: section texts by title.
    :param order: all titles, as they should stand.
    """
    known = {**_read_sections(), **texts}
    parts = [known[title].strip() for title in order if title in known]
    README.write_text("\n\n".join([_INTRODUCTION.strip(), *parts]) + "\n")


def _read_sections() -> dict[str, str]:
    if not README.exists():
        return {}
    parts = re.split(r"^## (.+)$", README.read_text(), flags=re.MULTILINE)[1:]
    return {title: f"## {title}{text}" for title, text in zip(parts[::2], parts[1::2], strict=True)}
