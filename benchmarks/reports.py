"""The reports and their pages, on a made-up history."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import dataclasses
import gc
import os
import pathlib
import re
import statistics
import tempfile
import time
import typing as t

import sqlalchemy as sa

from flask_eventtrack.demo.filling import fill
from flask_eventtrack.reports.filters import Filter
from flask_eventtrack.reports.rows import Overview

from . import peer_reports, us
from .databases import KINDS, database, version_of
from .hosts import Place
from .report import Table, Unavailable, at_least, at_most, progress, rounds, versions, whole

if t.TYPE_CHECKING:
    from flask_eventtrack.state import State

TITLE = "The reports"
_EVENTS, _QUICK_EVENTS = 1_000_000, 20_000
_DAYS, _YEAR, _YEARS_EVENTS = 35, 365, 10_000_000
_NARROW = Filter.parse(["is:country:DE", "is:source:google"])
_BROAD = Filter.parse(["is:device_type:desktop"])
_OVERVIEW = "overview, 30 days"
_PAGE = "page of the overview, 30 days"
_COMPRESSED = {"Accept-Encoding": "gzip"}
_WEIGHT = 30
_COLD_ROUNDS = 3


@dataclasses.dataclass(frozen=True)
class _Task:
    """Something to measure, and how many milliseconds it may take."""

    name: str
    run: cabc.Callable[[], t.Any]
    limit: float | None = None


@dataclasses.dataclass
class _Figures:
    """Milliseconds of each round, those of our process among them, and statements."""

    wall: list[float] = dataclasses.field(default_factory=list)
    cpu: list[float] = dataclasses.field(default_factory=list)
    statements: int = 0
    result: t.Any = None


class _Site:
    """An app whose database holds a history, with its days closed."""

    def __init__(self, place: Place, kind: str, url: str) -> None:
        self.kind = kind
        self.url = url
        settings: dict[str, t.Any] = {
            "SQLALCHEMY_BINDS": {"events": url},
            "EVENTTRACK_BIND_KEY": "events",
            "EVENTTRACK_TIMEZONE": "Europe/Berlin",
            "EVENTTRACK_DASHBOARD_PERMISSION": _may_manage,
            **us.DURABILITIES[us.MEMORY],
        }
        self.app, self.db, _ = us.make_tracked(place, **settings)
        self.state: State = self.app.extensions["eventtrack"]
        self.client = self.app.test_client()
        self.closing: list[float] = []
        self.filling = 0.0

    def fill(self, events: int, days: int) -> None:
        """Write the history, and close its days."""
        cpu, done = time.process_time(), 0
        for filled in fill(self.state, events, days):
            done += filled.events
            if done % 100_000 < filled.events:
                progress(f"{KINDS[self.kind]}: {done:,} of {events:,} events")
        self.filling = done / (time.process_time() - cpu)
        self._analyze()
        self.closing = self.close_days()

    def close_days(self, before: cabc.Callable[[], object] = lambda: None) -> list[float]:
        """Close what is to be closed; return the seconds that each day took.

        :param before: called before each of them.
        """
        steps, took = self.state.pipeline.writer.close_days(), list[float]()
        while True:
            before()
            began = time.perf_counter()
            step = next(steps, None)
            if step is None:
                return took
            if step.kind == "closed":
                took.append(time.perf_counter() - began)

    def _analyze(self) -> None:
        """Let PostgreSQL know what the tables hold, as its own daemon does after some time."""
        if self.kind == "postgresql":
            engine = sa.create_engine(self.url, isolation_level="AUTOCOMMIT")
            with engine.connect() as connection:
                connection.exec_driver_sql("VACUUM ANALYZE")
            engine.dispose()

    def scalar(self, query: sa.Executable) -> t.Any:
        with self.state.reports.reader.open() as connection:
            return connection.scalar(query)

    def get(self, path: str) -> bytes:
        response = self.client.get(f"{self.state.config.url_prefix}{path}", headers=_COMPRESSED)
        assert response.status_code == 200, response.status
        body: bytes = response.data
        return body

    def grow_cold(self) -> None:
        """Drop what is cached of a SQLite file."""
        self.state.reports.reader.close()
        path = pathlib.Path(sa.make_url(self.url).database or "")
        for name in (path, path.with_name(f"{path.name}-wal")):
            if name.exists():
                descriptor = os.open(name, os.O_RDONLY)
                os.fsync(descriptor)
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
                os.close(descriptor)

    def close(self) -> None:
        self.state.pipeline.close()
        self.state.reports.reader.close()
        for engine in self.db.engines.values():
            engine.dispose()


def _may_manage() -> str:
    return "manage"


@contextlib.contextmanager
def _open_site(kind: str, events: int, days: int) -> cabc.Iterator[_Site]:
    with tempfile.TemporaryDirectory() as folder, database(kind) as url:
        site = _Site(Place(pathlib.Path(folder)), kind, url)
        with site.app.app_context():
            try:
                site.fill(events, days)
                yield site
            finally:
                site.close()


def run(*, quick: bool) -> cabc.Iterator[Table]:
    events = int(os.environ.get("EVENTTRACK_BENCH_EVENTS", _QUICK_EVENTS if quick else _EVENTS))
    days = max(_DAYS, events * _YEAR // _YEARS_EVENTS)
    kinds = os.environ.get("EVENTTRACK_BENCH_DATABASES", ",".join(KINDS)).split(",")
    for kind in kinds:
        try:
            with _open_site(kind, events, days) as site:
                yield _measure(site, events, days, 2 if quick else 7)
        except Unavailable as error:
            yield Table(f"{KINDS[kind]} {error}", ("",))


def _measure(site: _Site, events: int, days: int, number: int) -> Table:
    tasks = _list_tasks(site, days)
    figures = {task.name: _Figures() for task in tasks}
    with _counted() as count:
        for _ in rounds(number, f"reports, {KINDS[site.kind]}"):
            for task in tasks:
                _play(task, figures[task.name], count)
    table = Table(
        f"{version_of(site.url)}: {events:,} events in {days} days, whose days are closed up to "
        "yesterday. Milliseconds until the answer, those of the processor in our process, and "
        "statements. Pages are compressed, and come through Flask's test client.",
        ("what", "ms", "our CPU, ms", "statements", "target"),
    )
    for task in tasks:
        each = figures[task.name]
        cells = [f"{statistics.median(each.wall):,.1f}", f"{statistics.median(each.cpu):,.1f}"]
        limit = at_most(task.limit, " ms") if task.limit else ""
        table.add(task.name, *cells, str(each.statements), limit)
    _add_peer(table, site, figures[_OVERVIEW], number)
    _add_cold(table, site)
    _add_closing(table, site)
    table.notes.append(_note(site, figures, number))
    return table


def _list_tasks(site: _Site, days: int) -> list[_Task]:
    reports = site.state.reports
    year = [
        _Task("overview, 365 days", lambda: reports.overview(reports.period("365d")), 300),
        _Task(
            "overview, 365 days, a country and a source",
            lambda: reports.overview(reports.period("365d"), _NARROW),
            500,
        ),
        _Task(
            "overview, 365 days, desktops only",
            lambda: reports.overview(reports.period("365d"), _BROAD),
        ),
    ]
    person = _find_person(site)
    traits = reports.reader.tables.trait.c
    address = site.scalar(sa.select(traits.value).where(traits.value.like("%@%")).limit(1))
    after = reports.now.isoformat().replace("+", "%2B")
    return [
        _Task(_OVERVIEW, lambda: reports.overview(reports.period("30d"))),
        _Task(_PAGE, lambda: site.get("/?period=30d&compare=previous"), 120),
        _Task(
            "overview, 30 days, a country and a source",
            lambda: reports.overview(reports.period("30d"), _NARROW),
            150,
        ),
        _Task(
            "overview, 30 days, desktops only",
            lambda: reports.overview(reports.period("30d"), _BROAD),
        ),
        *(year if days >= _YEAR else []),
        _Task("page of a person", lambda: site.get(f"/people/{person}"), 20),
        _Task("live, the first look", lambda: site.get("/live")),
        _Task("live, a poll", lambda: site.get(f"/live.json?after={after}"), 15),
        _Task("search", lambda: site.get(f"/people?q={address}"), 20),
    ]


def _find_person(site: _Site) -> str:
    """Return the customer with the most sessions."""
    tables = site.state.reports.reader.tables
    session, profile = tables.session.c, tables.profile.c
    query = sa.select(session.person).join(tables.profile, profile.uuid == session.person)
    query = query.group_by(session.person).order_by(sa.func.count().desc()).limit(1)
    return str(site.scalar(query))


@contextlib.contextmanager
def _counted() -> cabc.Iterator[list[int]]:
    """Count the statements of all engines."""
    count = [0]

    def note(*_: object) -> None:
        count[0] += 1

    sa.event.listen(sa.Engine, "after_cursor_execute", note)
    try:
        yield count
    finally:
        sa.event.remove(sa.Engine, "after_cursor_execute", note)


def _play(task: _Task, figures: _Figures, count: list[int]) -> None:
    gc.collect()
    count[0] = 0
    cpu, began = time.process_time(), time.perf_counter()
    figures.result = task.run()
    figures.wall.append(1000 * (time.perf_counter() - began))
    figures.cpu.append(1000 * (time.process_time() - cpu))
    figures.statements = count[0]


def _add_peer(table: Table, site: _Site, ours: _Figures, number: int) -> None:
    """Add seven of the overview's reports as anybody would write them, without comparison."""
    period = site.state.reports.period("30d")
    took, ratios = [], []
    for _ in rounds(min(3, number), f"GROUP BY, {KINDS[site.kind]}"):
        # On a connection of its own: reports are stopped after 20 seconds.
        with contextlib.closing(_connect(site.url)) as connection:
            began = time.perf_counter()
            peer_reports.read(connection, (period.start, period.end))
            took.append(1000 * (time.perf_counter() - began))
        began = time.perf_counter()
        site.state.reports.overview(period)
        ratios.append(took[-1] / (1000 * (time.perf_counter() - began)))
    name = "`GROUP BY` over the events, 7 reports of these"
    table.add(name, whole(statistics.median(took)), "", str(len(peer_reports.QUERIES)))
    table.add(
        "… as times of the overview", f"{statistics.median(ratios):.1f}", "", "", at_least(50)
    )


def _connect(url: str) -> sa.Connection:
    return sa.create_engine(url, poolclass=sa.NullPool).connect()


def _add_cold(table: Table, site: _Site) -> None:
    if site.kind != "sqlite":
        return
    took = []
    for _ in rounds(_COLD_ROUNDS, "cold"):
        site.grow_cold()
        began = time.perf_counter()
        site.get("/?period=30d&compare=previous")
        took.append(1000 * (time.perf_counter() - began))
    table.add(f"{_PAGE}, cold", f"{statistics.median(took):,.1f}", "", "", at_most(500, " ms"))


def _add_closing(table: Table, site: _Site) -> None:
    table.add("to close a day", f"{1000 * statistics.median(site.closing):,.1f}")
    if site.kind != "sqlite":
        return
    now = site.state.reports.now.date()
    site.state.pipeline.writer.recount_days(now.fromordinal(now.toordinal() - _COLD_ROUNDS))
    took = site.close_days(site.grow_cold)
    median = f"{1000 * statistics.median(took):,.1f}"
    table.add("to close a day, cold", median, "", "", at_most(1000, " ms"))


def _note(site: _Site, figures: cabc.Mapping[str, _Figures], number: int) -> str:
    parts = [
        f"{number} rounds, in which all take turns. The history was made at "
        f"{whole(site.filling)} events a second of processor time. The page of the overview with "
        f"its script and styles is {_weigh(site) / 1000:.1f} KB, compressed (target: "
        f"{at_most(_WEIGHT, ' KB')})."
    ]
    for name, each in figures.items():
        if isinstance(each.result, Overview) and each.result.cut:
            parts.append(f'"{name}" was cut: {each.result.cut.sentence}.')
    parts += [peer_reports.say_absent(), f"{versions('psycopg', 'PyMySQL')}."]
    return " ".join(filter(None, parts))


def _weigh(site: _Site) -> int:
    """Return how many bytes the overview is with all that it loads."""
    page = site.client.get(f"{site.state.config.url_prefix}/?period=30d").data.decode()
    links = set(re.findall(r'(?:href|src)="(/[^"]+/dashboard/[^"]+)"', page))
    parts = [site.client.get(link, headers=_COMPRESSED).data for link in links]
    return len(site.get("/?period=30d")) + sum(map(len, parts))
