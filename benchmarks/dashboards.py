"""Our dashboard and Runlight's over the same history, in a real Chromium."""

from __future__ import annotations

import asyncio
import collections.abc as cabc
import contextlib
import importlib.util
import pathlib
import shutil
import statistics
import tempfile
import time
import typing as t

from flask import Flask
from playwright.async_api import Browser, Page

from . import history, runlight_history
from .browser.site import CHROMIUM, chromium
from .hosts import Place
from .report import Table, Unavailable, ratio, rounds, versions, whole
from .servers import gunicorn

_OURS, _ROLLED, _PLAIN = "Flask-EventTrack", "Runlight", "Runlight, without its rollups"
_PERIODS = ("30d", "365d")
_SHOWN = "Germany"  # in a panel of both, as soon as there are answers
_QUIET, _STEP = 0.5, 0.02  # s
# When Chromium has shown what came last.
_NOTE_PAINTS = """
    const note = () => requestAnimationFrame(() => setTimeout(() => {
        window.paintedAt = performance.now()
    }));
    const seen = new PerformanceObserver(note);
    for (const type of ["navigation", "resource"]) seen.observe({type, buffered: true});
"""
_READ = """() => {
    const all = ["navigation", "resource"].flatMap((type) => performance.getEntriesByType(type));
    return [
        Math.max(...all.map((entry) => entry.responseEnd)),
        window.paintedAt,
        all.reduce((sum, entry) => sum + entry.transferSize, 0),
        all.length,
    ];
}"""


class Load(t.NamedTuple):
    """Milliseconds from the navigation until the last response, and until it is shown; bytes."""

    answered: float
    painted: float
    size: float
    requests: float


def serve_ours(folder: str, url: str) -> Flask:
    """Return an app with our dashboard."""
    app, _ = history.make_app(Place(pathlib.Path(folder)), url)
    return app


def serve_runlight(path: str, zone: str) -> Flask:
    """Return an app with Runlight's dashboard, open to everybody."""
    import runlight
    import runlight.flask

    app = Flask(__name__)
    made = runlight_history.make_runlight(pathlib.Path(path), zone)
    runlight.flask.init_app(app, made, token=runlight.OPEN)
    return app


def compare(site: history.Site, number: int) -> Table:
    """Measure both over the history of a site on SQLite."""
    table = Table(
        "The same history in Runlight's tables: what Chromium takes to open the dashboard of 30 or "
        "365 days, compared with those before. Milliseconds from the navigation until the last "
        "response has arrived, and until Chromium has painted after it (as times of ours in the "
        "same round), with an empty cache, and again in the same browser; KB and requests of the "
        "first time. Each app is served by one process of gunicorn with 4 threads.",
        (
            "dashboard",
            *("last response, ms", "painted, ms", "times of ours"),
            *("again: last response, ms", "painted, ms", "times of ours"),
            *("KB", "requests", "target"),
        ),
    )
    try:
        loads = _measure(site, number)
    except Unavailable as error:
        table.notes.append(f"Skipped: {error}.")
        return table
    for name, period in loads:
        label = f"{name}, {period.removesuffix('d')} days"
        _add(table, label, loads[name, period], loads[_OURS, period])
    table.notes.append(
        f"{number} rounds, in which all take turns; {versions('runlight', 'gunicorn')}. Both count "
        "the same sessions and page views. Runlight's rows are as its tracker and writer make "
        "them: a visitor is a device on one day, and each page view has one row for its time in "
        "view; regions, cities and versions of browsers are empty. Its scheduled command has added "
        "up all days before today, as ours are closed. It is kept from looking for the site's icon "
        "on another server. Its 365 days are a custom range: it has no period of that length."
    )
    return table


_Loads = dict[tuple[str, str], list[tuple[Load, Load]]]


def _add(
    table: Table,
    label: str,
    loads: cabc.Sequence[tuple[Load, Load]],
    ours: cabc.Sequence[tuple[Load, Load]],
) -> None:
    cells = []
    for at in (0, 1):
        cells += [whole(statistics.median(pair[at].answered for pair in loads))]
        cells += [whole(statistics.median(pair[at].painted for pair in loads))]
        cells += [ratio(a[at].painted / b[at].painted for a, b in zip(loads, ours, strict=True))]
    size = statistics.median(first.size for first, _ in loads) / 1000
    requests = statistics.median(first.requests for first, _ in loads)
    target = "faster than Runlight" if label.startswith(_OURS) else ""
    table.add(label, *cells, f"{size:,.1f}", whole(requests), target)


def _measure(site: history.Site, number: int) -> _Loads:
    if importlib.util.find_spec("runlight") is None:
        raise Unavailable("Runlight is not installed")
    if not pathlib.Path(CHROMIUM).exists():
        raise Unavailable(f"there is no {CHROMIUM}; EVENTTRACK_TEST_CHROMIUM may name another")
    with contextlib.ExitStack() as stack:
        folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
        urls = _serve(stack, site, folder)
        return asyncio.run(_open_all(urls, number))


def _serve(
    stack: contextlib.ExitStack, site: history.Site, folder: pathlib.Path
) -> dict[tuple[str, str], str]:
    """Start the servers; return the address of each dashboard and period."""
    zone = str(site.state.config.timezone)
    rolled, plain = folder / "rolled.db", folder / "plain.db"
    made = runlight_history.convert(site, plain)
    _check(site, made)
    made.store.close()
    shutil.copy(plain, rolled)
    made = runlight_history.make_runlight(rolled, zone)
    runlight_history.build_rollups(made)
    _check(site, made)
    made.store.close()
    calls = {
        _OURS: ("/_et/", f"serve_ours({str(folder)!r}, {site.url!r})"),
        _ROLLED: ("/runlight/", f"serve_runlight({str(rolled)!r}, {zone!r})"),
        _PLAIN: ("/runlight/", f"serve_runlight({str(plain)!r}, {zone!r})"),
    }
    urls = {}
    for name, (path, call) in calls.items():
        options = ("-k", "gthread", "--threads", "4")
        port = stack.enter_context(gunicorn(f"benchmarks.dashboards:{call}", options, path))
        for period in _PERIODS:
            urls[name, period] = f"http://127.0.0.1:{port}{path}?{_query_of(site, name, period)}"
    return urls


def _query_of(site: history.Site, name: str, period: str) -> str:
    """Return the query of a period: Runlight has none of 365 days."""
    found = site.state.reports.period(period)
    which = f"period={period}"
    if name != _OURS:
        which = f"period=custom&from={found.first}&to={found.last}"
    return f"{which}&compare=previous"


def _check(site: history.Site, runlight: t.Any) -> None:
    """See that both have counted the same sessions and page views."""
    for name in _PERIODS:
        period = site.state.reports.period(name)
        bounds = [int(moment.timestamp() * 1000) for moment in (period.start, period.end)]
        query = {"site": runlight_history.SITE, "filters": [], "from": bounds[0], "to": bounds[1]}
        stats, ours = runlight.store.stats(query), site.state.reports.overview(period).numbers
        assert (stats["visits"], stats["pageviews"]) == (ours.sessions, ours.pages), name


async def _open_all(urls: cabc.Mapping[tuple[str, str], str], number: int) -> _Loads:
    loads: _Loads = {key: [] for key in urls}
    async with chromium() as browser:
        for url in urls.values():  # a server's first page takes longer
            await _open_twice(browser, url)
        for _ in rounds(number, "dashboards"):
            for key, url in urls.items():
                loads[key].append(await _open_twice(browser, url))
    return loads


async def _open_twice(browser: Browser, url: str) -> tuple[Load, Load]:
    """Open a page with an empty cache, and again."""
    context = await browser.new_context()
    await context.add_init_script(_NOTE_PAINTS)
    page = await context.new_page()
    traffic = _Traffic(page)
    loads = await _open(page, traffic, url), await _open(page, traffic, url)
    await context.close()
    return loads


async def _open(page: Page, traffic: _Traffic, url: str) -> Load:
    await page.goto(url)
    await page.get_by_text(_SHOWN).first.wait_for(state="attached")
    await traffic.rest()
    load = Load(*await page.evaluate(_READ))
    while load.painted < load.answered:
        await asyncio.sleep(_STEP)
        load = Load(*await page.evaluate(_READ))
    return load


class _Traffic:
    """The requests of a page. Playwright's ``networkidle`` may end before a script has begun."""

    def __init__(self, page: Page) -> None:
        self._pending = 0
        self._changed_at = time.monotonic()
        page.on("request", lambda _: self._count(1))
        page.on("requestfinished", lambda _: self._count(-1))
        page.on("requestfailed", lambda _: self._count(-1))

    def _count(self, number: int) -> None:
        self._pending += number
        self._changed_at = time.monotonic()

    async def rest(self) -> None:
        """Wait until all requests are answered, and no more have followed for a while."""
        while self._pending > 0 or time.monotonic() < self._changed_at + _QUIET:
            await asyncio.sleep(_STEP)
