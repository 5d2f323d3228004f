"""How many requests a page makes in its life."""

from __future__ import annotations

import asyncio
import statistics

from playwright.async_api import Browser

from ..report import Table, at_most, progress
from .addresses import EMPTY, PAGE, Origin
from .site import Site, chromium
from .trackers import OURS, PEERS, Tracker

_TARGET = 3
_PAGES = 5
_EVENTS = 5
_PAUSE = 0.5  # s
_TRACK = """async ([number, pause]) => {
    for (let at = 0; at < number; at++) {
        bench(`event-${at}`);
        await new Promise(done => setTimeout(done, pause));
    }
}"""


async def measure(site: Site) -> Table:
    table = Table(
        f"Requests of a newcomer's page with a visit and {_EVENTS} events, {_PAUSE:g} s apart, "
        f"that is then left: of {_PAGES} such pages, the median and the most.",
        ("tracker", "scripts", "posts", "at most", "target"),
    )
    async with chromium() as browser:
        for tracker in (OURS, *PEERS):
            progress(f"requests: {tracker.name}")
            found = [await _live(browser, site, tracker, number) for number in range(_PAGES)]
            scripts, posts = zip(*found, strict=True)
            table.add(
                tracker.label,
                f"{statistics.median(scripts):g}",
                f"{statistics.median(posts):g}",
                f"{max(posts)}",
                at_most(_TARGET, " posts") if tracker is OURS else "",
            )
    return table


async def _live(browser: Browser, site: Site, tracker: Tracker, number: int) -> tuple[int, int]:
    """Return how many scripts and how many posts a page has asked for."""
    origin = Origin(f"posts{number}")
    context = await browser.new_context()
    page = await context.new_page()
    await page.goto(site.url(tracker, PAGE, origin))
    await page.evaluate(_TRACK, [_EVENTS, _PAUSE * 1000])
    await page.goto(site.url(tracker, EMPTY, origin), wait_until="networkidle")
    await context.close()
    arrivals = await asyncio.to_thread(site.arrivals, tracker, origin)
    methods = [arrival.method for arrival in arrivals if arrival.path not in (PAGE, EMPTY)]
    return methods.count("GET"), methods.count("POST")
