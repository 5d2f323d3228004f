"""The reports and their pages, on a made-up history."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import dataclasses
import gc
import os
import re
import statistics
import time
import typing as t

import sqlalchemy as sa

from flask_eventtrack.reports.filters import Filter
from flask_eventtrack.reports.rows import Overview

from . import beside, dashboards, peer_reports
from .databases import KINDS, version_of
from .duck import STATEMENTS, Duck, answers_of, make_answers, open_duck
from .history import COMPRESSED, Site, open_site
from .report import Table, Unavailable, at_least, at_most, rounds, versions, whole

TITLE = "The reports"
_EVENTS, _QUICK_EVENTS = 1_000_000, 20_000
_DAYS, _YEAR, _YEARS_EVENTS = 35, 365, 10_000_000
# Of 0.5 % and of 2 % of the sessions.
_NARROW = Filter.parse(["is:country:CH", "is:source:google"])
_WIDER = Filter.parse(["is:country:DE", "is:source:google"])
_BROAD = Filter.parse(["is:device_type:desktop"])
_OVERVIEW = "overview, 30 days"
_PAGE = "page of the overview, 30 days"
_WEIGHT = 30
_DUCK = (
    "DuckDB has the same rows in a file of its own, in the order of their time and with their "
    "local time and day; the file stays open, and all processors are used. Its answers (numbers, "
    "series by day, heatmap, ten largest rows of each panel) equal ours in each round."
)
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


def run(*, quick: bool) -> cabc.Iterator[Table]:
    events = int(os.environ.get("EVENTTRACK_BENCH_EVENTS", _QUICK_EVENTS if quick else _EVENTS))
    days = max(_DAYS, events * _YEAR // _YEARS_EVENTS)
    kinds = os.environ.get("EVENTTRACK_BENCH_DATABASES", ",".join(KINDS)).split(",")
    for kind in kinds:
        try:
            with open_site(kind, events, days) as site:
                yield _measure(site, events, days, 2 if quick else 7)
                if kind == "sqlite":
                    yield from beside.measure(site, quick=quick)
        except Unavailable as error:
            yield Table(f"{KINDS[kind]} {error}", ("",))
    if "sqlite" in kinds:
        with open_site("sqlite", min(events, _EVENTS), _YEAR) as site:
            yield _measure_year(site, min(events, _EVENTS), 2 if quick else 7)
            yield dashboards.compare(site, 1 if quick else 5)


def _measure(site: Site, events: int, days: int, number: int) -> Table:
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
        limit = at_most(task.limit, " ms") if task.limit else ""
        table.add(task.name, *_cells(each), str(each.statements), limit)
    _add_peer(table, site, number)
    _add_duck(table, site, ["30d", *(["365d"] if days >= _YEAR else [])], number)
    _add_cold(table, site)
    _add_closing(table, site)
    table.notes.append(_note(site, figures, number))
    return table


def _measure_year(site: Site, events: int, number: int) -> Table:
    table = Table(
        f"{version_of(site.url)}: {events:,} events in a year, whose days are closed up to "
        "yesterday, and the same rows in DuckDB.",
        ("what", "ms", "our CPU, ms", "statements"),
    )
    _add_duck(table, site, ["30d", "365d"], number)
    return table


def _list_tasks(site: Site, days: int) -> list[_Task]:
    reports = site.state.reports
    year = [
        _Task("overview, 365 days", lambda: reports.overview(reports.period("365d")), 300),
        _Task(
            "overview, 365 days, a country and a source (0.5 % of the sessions)",
            lambda: reports.overview(reports.period("365d"), _NARROW),
            500,
        ),
        _Task(
            "overview, 365 days, a country and a source (2 %)",
            lambda: reports.overview(reports.period("365d"), _WIDER),
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
            "overview, 30 days, a country and a source (0.5 % of the sessions)",
            lambda: reports.overview(reports.period("30d"), _NARROW),
            150,
        ),
        _Task(
            "overview, 30 days, a country and a source (2 %)",
            lambda: reports.overview(reports.period("30d"), _WIDER),
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


def _find_person(site: Site) -> str:
    """Return the customer with the most sessions."""
    tables = site.state.reports.reader.tables
    session, profile = tables.session.c, tables.profile.c
    query = sa.select(session.person).join(tables.profile, profile.uuid == session.person)
    query = query.group_by(session.person).order_by(sa.func.count().desc()).limit(1)
    return str(site.scalar(query))


def _cells(figures: _Figures) -> tuple[str, str]:
    wall, cpu = statistics.median(figures.wall), statistics.median(figures.cpu)
    return f"{wall:,.1f}", f"{cpu:,.1f}"


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


def _add_peer(table: Table, site: Site, number: int) -> None:
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


def _add_duck(table: Table, site: Site, names: cabc.Sequence[str], number: int) -> None:
    """Add the same answers by DuckDB over the same rows, without comparison as ours."""
    try:
        with open_duck(site) as peer:
            for name in names:
                _add_answers(table, site, peer, name, min(5, number))
            table.notes.append(_DUCK)
    except Unavailable as error:
        table.notes.append(f"DuckDB: skipped: {error}.")


def _add_answers(table: Table, site: Site, peer: Duck, name: str, number: int) -> None:
    period = site.state.reports.period(name)
    theirs, ours = _Figures(), _Figures()
    read = _Task("", lambda: peer.read(period))
    count = _Task("", lambda: site.state.reports.overview(period, comparison="none", bucket="day"))
    for _ in rounds(number, f"DuckDB, {KINDS[site.kind]}, {period.days} days"):
        _play(read, theirs, [0])
        _play(count, ours, [0])
        assert make_answers(period, *theirs.result) == answers_of(ours.result), name
    ratios = [their / our for their, our in zip(theirs.wall, ours.wall, strict=True)]
    days = f"{period.days} days"
    table.add(f"overview, {days}, by day and without comparison", *_cells(ours))
    table.add(f"DuckDB over the same rows, {days}: the same answers", *_cells(theirs), STATEMENTS)
    table.add("… as times of ours", f"{statistics.median(ratios):.2f}")


def _connect(url: str) -> sa.Connection:
    return sa.create_engine(url, poolclass=sa.NullPool).connect()


def _add_cold(table: Table, site: Site) -> None:
    if site.kind != "sqlite":
        return
    took = []
    for _ in rounds(_COLD_ROUNDS, "cold"):
        site.grow_cold()
        began = time.perf_counter()
        site.get("/?period=30d&compare=previous")
        took.append(1000 * (time.perf_counter() - began))
    table.add(f"{_PAGE}, cold", f"{statistics.median(took):,.1f}", "", "", at_most(500, " ms"))


def _add_closing(table: Table, site: Site) -> None:
    table.add("to close a day", f"{1000 * statistics.median(site.closing):,.1f}")
    if site.kind != "sqlite":
        return
    now = site.state.reports.now.date()
    site.state.pipeline.writer.recount_days(now.fromordinal(now.toordinal() - _COLD_ROUNDS))
    took = site.close_days(site.grow_cold)
    median = f"{1000 * statistics.median(took):,.1f}"
    table.add("to close a day, cold", median, "", "", at_most(1000, " ms"))


def _note(site: Site, figures: cabc.Mapping[str, _Figures], number: int) -> str:
    parts = [
        f"{number} rounds, in which all take turns. The history was made at "
        f"{whole(site.filling)} events a second of processor time. The page of the overview with "
        f"its script and styles is {_weigh(site) / 1000:.1f} KB, compressed (target: "
        f"{at_most(_WEIGHT, ' KB')})."
    ]
    for name, each in figures.items():
        if isinstance(each.result, Overview) and each.result.cut:
            parts.append(f'"{name}" was cut: {each.result.cut.sentence}.')
    parts.append(f"{versions('psycopg', 'PyMySQL', 'duckdb')}.")
    return " ".join(parts)


def _weigh(site: Site) -> int:
    """Return how many bytes the overview is with all that it loads."""
    page = site.client.get(f"{site.state.config.url_prefix}/?period=30d").data.decode()
    links = set(re.findall(r'(?:href|src)="(/[^"]+/dashboard/[^"]+)"', page))
    parts = [site.client.get(link, headers=COMPRESSED).data for link in links]
    return len(site.get("/?period=30d")) + sum(map(len, parts))
