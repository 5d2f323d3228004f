"""Latency of the host's pages while the events' database is well, locked, slow or down."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import dataclasses
import gc
import logging
import pathlib
import sqlite3
import statistics
import tempfile
import time
import typing as t

import sqlalchemy as sa
from flask import Flask

from . import us, wsgi
from .databases import KINDS, database, version_of
from .hosts import LISTED, Place, make_bare
from .proxy import DELAY, proxy
from .report import Table, Unavailable, at_most, percentile, ratio, rounds

TITLE = "Pages while the database is locked, slow or down"
_TARGET = 1.1
_VISITORS = 50
_PATIENCE = 120.0
_WELL, _BARE = "well", "nothing added"

_Trouble = cabc.Callable[[], contextlib.AbstractContextManager[object]]


@dataclasses.dataclass
class _Subject:
    """An app with us and one without, and what may happen to the database of the events."""

    name: str
    bare: Flask
    app: Flask
    drain: cabc.Callable[[], object]
    written: cabc.Callable[[], int]
    troubles: dict[str, _Trouble]
    visits: int = 0


class _Waits(t.NamedTuple):
    """Seconds that pages took."""

    p50: float
    p99: float


def run(*, quick: bool) -> cabc.Iterator[Table]:
    size, number = (200, 2) if quick else (2000, 7)
    table = Table(
        "A page of a template and one query on the host's own database, the events being in "
        f"another; slow means {DELAY * 1000:.0f} ms more for each packet. Latency in-process, one "
        "page after the other; ratios to the same pages while the database is well.",
        ("the events' database", "p50, ms", "p99, ms", "p50, ratio", "p99, ratio", "target"),
    )
    logger = logging.getLogger("flask_eventtrack")  # it reports each outage, as it should
    logger.disabled = True
    with contextlib.ExitStack() as stack:
        for kind, make in _SUBJECTS.items():
            try:
                subject = make(stack)
            except Unavailable as error:
                table.notes.append(f"{KINDS[kind]} {error}")
                continue
            _tabulate(table, subject, _compete(subject, size, number))
    logger.disabled = False
    table.notes.append(
        f"{number} rounds of {size} pages in each state; all visits were in the database at the "
        "end, once."
    )
    yield table


def _place(stack: contextlib.ExitStack) -> Place:
    return Place(pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory())))


def _make_sqlite(stack: contextlib.ExitStack) -> _Subject:
    url = stack.enter_context(database("sqlite"))
    path = sa.make_url(url).database or ""

    @contextlib.contextmanager
    def locked() -> cabc.Iterator[None]:
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("PRAGMA busy_timeout = 10000")
            other.execute("BEGIN IMMEDIATE")
            yield
            other.execute("ROLLBACK")

    troubles: dict[str, _Trouble] = {_WELL: contextlib.nullcontext, "locked": locked}
    return _make(stack, url, version_of(url), troubles)


def _make_postgresql(stack: contextlib.ExitStack) -> _Subject:
    url = stack.enter_context(database("postgresql"))
    line, through = stack.enter_context(proxy(url))

    @contextlib.contextmanager
    def spoilt(state: t.Literal["slow", "down"]) -> cabc.Iterator[None]:
        line.become(state)
        try:
            yield
        finally:
            line.become("well")

    troubles: dict[str, _Trouble] = {
        _WELL: contextlib.nullcontext,
        "slow": lambda: spoilt("slow"),
        "down": lambda: spoilt("down"),
    }
    return _make(stack, through, version_of(url), troubles)


def _make(
    stack: contextlib.ExitStack, url: str, name: str, troubles: dict[str, _Trouble]
) -> _Subject:
    settings: dict[str, t.Any] = {
        "SQLALCHEMY_BINDS": {"events": {"url": url, "pool_pre_ping": True}},
        "EVENTTRACK_BIND_KEY": "events",
    }
    app, db, events = us.make_tracked(_place(stack), **settings)

    def close() -> None:
        app.extensions["eventtrack"].pipeline.close()
        with app.app_context():
            for engine in db.engines.values():
                engine.dispose()

    stack.callback(close)
    return _Subject(
        name=name,
        bare=make_bare(_place(stack)).app,
        app=app,
        drain=lambda: _drain(lambda: us.flush(app, events)),
        written=lambda: us.count_events(app, "page.visit"),
        troubles=troubles,
    )


_SUBJECTS = {"sqlite": _make_sqlite, "postgresql": _make_postgresql}


def _drain(flush: cabc.Callable[[], object]) -> None:
    """Wait until all that waited has been written, once the database is well again."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            flush()
        except sa.exc.SQLAlchemyError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        else:
            return


def _compete(subject: _Subject, size: int, number: int) -> dict[str, list[_Waits]]:
    figures: dict[str, list[_Waits]] = {state: [] for state in [*subject.troubles, _BARE]}
    for _ in rounds(number, f"outages, {subject.name}"):
        figures[_BARE].append(_measure(subject.bare, _environs(subject.bare), size))
        for state, trouble in subject.troubles.items():
            environs = _environs(subject.app)
            subject.drain()
            with trouble():
                figures[state].append(_measure(subject.app, environs, size))
            subject.visits += size + len(environs)
            subject.drain()
    missing = subject.visits - subject.written()
    assert not missing, f"{missing} visits were not written"
    return figures


def _environs(app: Flask) -> list[wsgi.Environ]:
    cookies = [wsgi.visit(app, LISTED, wsgi.regular(number), number) for number in range(_VISITORS)]
    return [wsgi.make_environ(LISTED, line, number) for number, line in enumerate(cookies)]


def _measure(app: Flask, environs: cabc.Sequence[wsgi.Environ], size: int) -> _Waits:
    gc.collect()
    waits = []
    for number in range(size):
        began = time.perf_counter()
        wsgi.call(app, environs[number % len(environs)])
        waits.append(time.perf_counter() - began)
    return _Waits(statistics.median(waits), percentile(waits, 99))


def _tabulate(table: Table, subject: _Subject, figures: dict[str, list[_Waits]]) -> None:
    base = figures[_WELL]
    for state, waits in figures.items():
        p50, p99 = (statistics.median(column) * 1000 for column in zip(*waits, strict=True))
        cells = [f"{p50:.2f}", f"{p99:.2f}"]
        if waits is not base:
            pairs = list(zip(waits, base, strict=True))
            cells.append(ratio(here.p50 / well.p50 for here, well in pairs))
            cells.append(ratio(here.p99 / well.p99 for here, well in pairs))
            cells.append("" if state == _BARE else at_most(_TARGET, " (p99)"))
        table.add(f"{subject.name}: {state}", *cells)
