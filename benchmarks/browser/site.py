"""The site as those who visit it see it, and the Chromium that they use."""

from __future__ import annotations

import asyncio
import collections.abc as cabc
import contextlib
import json
import os
import pathlib
import subprocess
import tempfile
import typing as t
import urllib.request

import sqlalchemy as sa
from playwright.async_api import Browser, async_playwright

from flask_eventtrack.store.tables import Tables

from ..sink import child
from .addresses import DATABASE, Arrival, Origin
from .trackers import OURS, Tracker

CHROMIUM = os.environ.get("EVENTTRACK_TEST_CHROMIUM", "/usr/bin/chromium")
_ARGUMENTS = (
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-blink-features=AutomationControlled",  # Plausible counts no robots
    "--host-resolver-rules=MAP *.localhost 127.0.0.1",
)


class Row(t.NamedTuple):
    """An event of ours in the database; seen: by a browser, and not by the server alone."""

    action: str
    params: dict[str, t.Any]
    seen: bool


class Site:
    """The host's process and its database."""

    def __init__(self, port: int, engine: sa.Engine) -> None:
        self._port = port
        self._engine = engine
        self._event = Tables.for_metadata(sa.MetaData()).event

    def url(self, tracker: Tracker, path: str, origin: Origin) -> str:
        return f"http://{origin}.{tracker.slug}.localhost:{self._port}{path}"

    def arrivals(self, tracker: Tracker, origin: Origin) -> list[Arrival]:
        """Return the requests to an origin, in their order."""
        url = f"http://127.0.0.1:{self._port}/{origin}.{tracker.slug}.localhost"
        with urllib.request.urlopen(url, timeout=30) as response:
            return [Arrival(*arrival) for arrival in json.load(response)]

    def rows(self, origin: Origin) -> list[Row]:
        """Return the events of an origin of ours in the order of their time."""
        event = self._event
        query = sa.select(event).order_by(event.c.time, event.c.id)
        query = query.where(event.c.site == f"{origin}.{OURS.slug}.localhost")
        with self._engine.connect() as connection:
            found = connection.execute(query).mappings().all()
        return [
            Row(row["action"], row["params"], row["source"] != "server" or bool(row["claimed_by"]))
            for row in found
        ]


@contextlib.contextmanager
def open_site() -> cabc.Iterator[Site]:
    with (
        tempfile.TemporaryDirectory() as folder,
        child("benchmarks.browser.host", folder) as process,
    ):
        assert process.stdout is not None
        port = int(process.stdout.readline())
        engine = sa.create_engine(f"sqlite:///{pathlib.Path(folder) / DATABASE}")
        yield Site(port, engine)
        engine.dispose()


@contextlib.asynccontextmanager
async def chromium() -> cabc.AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=_ARGUMENTS,
            ignore_default_args=["--disable-back-forward-cache"],
        )
        yield browser
        await browser.close()


@contextlib.asynccontextmanager
async def unwatched(url: str) -> cabc.AsyncIterator[None]:
    """Show a page in a Chromium that nobody steers: with Playwright on it, none prerenders."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        process = await asyncio.create_subprocess_exec(
            CHROMIUM,
            "--headless",
            "--no-first-run",
            f"--user-data-dir={profile}",
            *_ARGUMENTS,
            url,
            stderr=subprocess.DEVNULL,
        )
        try:
            yield
        finally:
            process.terminate()
            await process.wait()


_T = t.TypeVar("_T")


async def share(
    tasks: cabc.Iterable[_T],
    worker: cabc.Callable[[cabc.Iterator[_T]], cabc.Awaitable[None]],
    workers: int,
) -> None:
    """Have workers take the tasks, each the next one that is left."""
    left = iter(tasks)
    await asyncio.gather(*(worker(left) for _ in range(workers)))
