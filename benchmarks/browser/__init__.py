"""The script that pages load, beside those of the peers, in a real Chromium."""

from __future__ import annotations

import asyncio
import collections.abc as cabc
import pathlib

from ..report import Table, Unavailable
from . import losses, miscounts, posts, sizes, starting
from .site import CHROMIUM, open_site
from .trackers import ensure_packages

TITLE = "The script in the browser"


def run(*, quick: bool) -> cabc.Iterator[Table]:
    excuse = _prepare()
    table = sizes.tabulate(excuse)
    if not excuse and not pathlib.Path(CHROMIUM).exists():
        excuse = f"there is no {CHROMIUM}; EVENTTRACK_TEST_CHROMIUM may name another"
    if excuse:
        table.notes.append(f"All that takes a browser and the peers is skipped: {excuse}.")
        yield table
        return
    yield table
    with open_site() as site:
        yield asyncio.run(starting.measure(site, quick=quick))
        yield asyncio.run(posts.measure(site))
        yield asyncio.run(miscounts.measure(site))
        yield asyncio.run(losses.measure(site, quick=quick))


def _prepare() -> str | None:
    """Return why the peers are not there, if they are not."""
    try:
        ensure_packages()
    except Unavailable as error:
        return str(error)
    return None
