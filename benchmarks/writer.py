"""Our writer against the floor."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import gc
import itertools
import pathlib
import statistics
import tempfile
import time
import typing as t

import sqlalchemy as sa
from flask import Flask

from flask_eventtrack import EventTrack
from flask_eventtrack.pipeline.schedule import BATCH_SIZE

from . import floors, logged, us, writers
from .databases import KINDS, database, version_of
from .hosts import Place
from .report import Table, Unavailable, at_least, ratio, rounds, versions, whole
from .traffic import PARAMS_BYTES, Traffic

TITLE = "The writer against the floor"
_TARGET = 0.5
_PROCESSES = (1, 2, 4)
# Of the speed of one process, by database and number of processes.
_SEVERAL = {"postgresql": {2: 1.6, 4: 1.4}, "mariadb": {2: 1.0, 4: 1.0}}
_ROOM = 5000  # how many events to put at once: well below what may wait


class Ours:
    """Our pipeline on a database, fed without requests."""

    def __init__(self, app: Flask, events: EventTrack) -> None:
        self._app = app
        self._events = events
        self._pipeline = app.extensions["eventtrack"].pipeline

    @property
    def table(self) -> sa.Table:
        table: sa.Table = self._pipeline.database.tables.event
        return table

    def insert(self, happened: cabc.Sequence[t.Any]) -> None:
        """Put events on their way, and return once they are rows."""
        for start in range(0, len(happened), _ROOM):
            assert self._pipeline.put(*happened[start : start + _ROOM]), "no room"
            us.flush(self._app, self._events)

    def close(self) -> None:
        self._pipeline.close()


@contextlib.contextmanager
def open_ours(url: str, **config: t.Any) -> cabc.Iterator[Ours]:
    """Set us up on an empty database; waiting events stay in memory."""
    with tempfile.TemporaryDirectory() as folder:
        place = Place(pathlib.Path(folder))
        settings: dict[str, t.Any] = {
            "SQLALCHEMY_BINDS": {"events": url},
            "EVENTTRACK_BIND_KEY": "events",
            **us.DURABILITIES[us.MEMORY],
            **config,
        }
        app, db, events = us.make_tracked(place, **settings)
        ours = Ours(app, events)
        try:
            yield ours
        finally:
            ours.close()
            with app.app_context():
                for engine in db.engines.values():
                    engine.dispose()


class _Round(t.NamedTuple):
    ours: float
    floor: float
    cpu: float


def run(*, quick: bool) -> cabc.Iterator[Table]:
    size, number = (500, 2) if quick else (5000, 7)
    table = Table(
        "The same rows of events, made by our writer (which finds duplicates, and writes "
        "sessions, totals and counters in the same transaction) and inserted ready-made by the "
        f"bare driver, in transactions of {floors.BATCH}; same table, same indexes, "
        f"{PARAMS_BYTES} bytes of params.",
        ("database: floor", "floor, rows/s", "ours, rows/s", "ratio", "ours, CPU µs/row", "target"),
    )
    for kind, name in KINDS.items():
        try:
            floor, figures, version = _measure(kind, size, number)
        except Unavailable as error:
            table.notes.append(f"{name} {error}")
            continue
        table.add(
            f"{version}: {floor}",
            whole(statistics.median(figure.floor for figure in figures)),
            whole(statistics.median(figure.ours for figure in figures)),
            ratio(figure.ours / figure.floor for figure in figures),
            whole(statistics.median(figure.cpu for figure in figures)),
            at_least(_TARGET),
        )
    table.notes.append(f"{number} rounds of {size} events; {versions('psycopg', 'PyMySQL')}.")
    yield table
    yield _compare_numbers(*((6000, 1) if quick else (60_000, 5)))
    yield logged.compare(*((600, 2) if quick else (6000, 15)))


def _compare_numbers(size: int, number: int) -> Table:
    """Measure one, two and four processes in turns."""
    table = Table(
        "Processes that write to one database what has piled up in them: both halves of visits and "
        "their events, of any device in any process. One process after the other gets 500 records "
        "in a row; or one, and then two processes write each visit.",
        ("database: processes, in a row", "records/s", "ratio", "batches rolled back", "target"),
    )
    for kind, frame in itertools.product(_SEVERAL, (BATCH_SIZE, 1)):
        targets = _SEVERAL[kind] if frame > 1 else {}
        try:
            turns = [
                {each: writers.measure(kind, each, size, frame) for each in _PROCESSES}
                for _ in rounds(number, f"several writers, {KINDS[kind]}, {frame}")
            ]
        except Unavailable as error:
            table.notes.append(f"{KINDS[kind]} {error}")
            continue
        for each in _PROCESSES:
            table.add(
                f"{KINDS[kind]}: {each}, {frame}",
                whole(statistics.median(turn[each].speed for turn in turns)),
                ratio(turn[each].speed / turn[1].speed for turn in turns),
                whole(statistics.median(turn[each].rolled_back for turn in turns)),
                at_least(targets[each]) if each in targets else "",
            )
    table.notes.append(f"{number} rounds of {size:,} records; all were there once at the end.")
    return table


def _measure(kind: str, size: int, number: int) -> tuple[str, list[_Round], str]:
    traffic = Traffic()
    with contextlib.ExitStack() as stack:
        one, other = (stack.enter_context(database(kind)) for _ in range(2))
        ours, twin = (stack.enter_context(open_ours(url)) for url in (one, other))
        source, floor = floors.open_floor(one, ours.table), floors.open_floor(other, twin.table)
        stack.callback(source.close)
        stack.callback(floor.close)
        _play(ours, source, floor, traffic, size, "warm-up.example.com")
        figures = [
            _play(ours, source, floor, traffic, size, f"round{at}.example.com")
            for at in rounds(number, f"writer, {KINDS[kind]}")
        ]
        return floor.NAME, figures, version_of(one)


def _play(
    ours: Ours, source: floors.Floor, floor: floors.Floor, traffic: Traffic, size: int, site: str
) -> _Round:
    """Have us write events, and the floor the very rows that came of them."""
    happened = traffic.events(size, site)
    gc.collect()
    cpu = time.process_time()
    our_seconds = timed(lambda: ours.insert(happened))
    cpu = time.process_time() - cpu
    rows = source.read(site)
    assert len(rows) >= size, f"{len(rows)} of {size} events were written"
    gc.collect()
    seconds = timed(lambda: floor.insert(rows))
    return _Round(len(rows) / our_seconds, len(rows) / seconds, cpu / len(rows) * 1e6)


def timed(action: cabc.Callable[[], object]) -> float:
    """Return how many seconds something takes."""
    began = time.perf_counter()
    action()
    return time.perf_counter() - began
