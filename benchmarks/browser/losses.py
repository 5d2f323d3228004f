"""What is lost over many lives of a page, each with a fault."""

from __future__ import annotations

import asyncio
import collections
import collections.abc as cabc
import random
import re
import time
import typing as t

import playwright.async_api
from playwright.async_api import BrowserContext, Page

from ..report import Table, at_most, progress
from .addresses import DELAY, EMPTY, PAGE, RETRY_AFTER, SLOW, THROTTLED, UNAVAILABLE, WELL, Origin
from .site import Site, chromium, share
from .trackers import OURS, PEERS, Tracker

_LIVES = 1000
_SEED = 4
_LIVING, _RETURNING = 12, 24  # pages at a time
_RIPE = 12.0  # s until the first one returns: what is kept may be of a page that still lives
_PATIENCE = 6.0  # s without an event more
_POLL = 0.3  # s
_FAULTS = {
    "503": UNAVAILABLE,
    "429": THROTTLED,
    "slow": SLOW,
    "offline": WELL,
    "closed offline": WELL,
    "closed at once": WELL,
    "left at once": WELL,
}
#: Tracks the events, the last one without waiting after it, and then maybe leaves the page.
_TRACK = """async ([keys, pause, leaves]) => {
    for (const key of keys.slice(0, -1)) {
        bench(key);
        await new Promise(done => setTimeout(done, pause));
    }
    bench(keys[keys.length - 1]);
    if (leaves) location.href = leaves;
}"""
_KEY = re.compile(r"life-\d+-\d+")


class Life(t.NamedTuple):
    """A page's. Seconds: between events, without a network, and from the last event to the end."""

    number: int
    fault: str
    posts: int
    events: int
    pause: float
    away: float
    stay: float

    @property
    def origin(self) -> Origin:
        return Origin(f"life{self.number}", _FAULTS[self.fault], self.posts)

    @property
    def keys(self) -> list[str]:
        return [f"life-{self.number}-{at}" for at in range(self.events)]


def draw(number: int) -> Life:
    """Return the life that a number has, in each run the same."""
    chance = random.Random(f"{_SEED} {number}")
    fault = list(_FAULTS)[number % len(_FAULTS)]
    return Life(
        number=number,
        fault=fault,
        posts=chance.randint(1, 3) if _FAULTS[fault] != WELL else 0,
        events=chance.randint(1, 6),
        pause=chance.choice([0, 0.02, 0.2]),
        away=chance.uniform(0.2, 1),
        stay=chance.uniform(0.2, 2),
    )


async def measure(site: Site, *, quick: bool) -> Table:
    lives = [draw(number) for number in range(20 if quick else _LIVES)]
    trackers = (OURS, *PEERS)
    pairs = [(tracker, life) for life in lives for tracker in trackers]
    async with chromium() as browser:
        context = await browser.new_context()
        await share(_watched(pairs, "lives"), lambda left: _live(context, site, left), _LIVING)
        await asyncio.sleep(_RIPE)
        later = _watched(pairs, "later visits")
        await share(later, lambda left: _return(context, site, left), _RETURNING)
    table = Table(
        f"Events lost over {len(lives):,} lives of a page, the same ones for each tracker. In each "
        "a page loads, tracks 1 to 6 events through the tracker's own API and meets a fault; when "
        "all have ended, each is visited once more by the same browser, without a fault.",
        ("tracker", "tracked", *_FAULTS, "lost", "lost, %", "twice", "target"),
    )
    for tracker in trackers:
        table.add(*_row(tracker, lives, _arrived(site, tracker, lives)))
    table.notes.append(_describe())
    return table


def _describe() -> str:
    return (
        "A column of a fault has the events that were lost to it. 503, 429 (with `Retry-After: "
        f"{RETRY_AFTER}`) and slow (an answer after {DELAY:g} s): the first one to three posts "
        "meet it, and the page is closed 0.2 to 2 s after its last event. Offline: the network "
        "goes before the events are tracked and returns 0.2 to 1 s after, or the page is closed "
        "before it returns. Closed and left at once: the tab is closed, or another address set, "
        "right after the last event. Each life has an origin of its own, and so cookies, storage "
        "and visitor of its own. Ours arrive in a real app, and its rows in SQLite are counted; "
        "the peers' posts arrive in a server that logs what it answers with 200. Twice: events "
        "that are there more than once in the end; by the ids that ahoy.js and Snowplow send, "
        "their own servers may drop those."
    )


_Pair = tuple[Tracker, Life]


def _watched(pairs: cabc.Sequence[_Pair], what: str) -> cabc.Iterator[_Pair]:
    for at, pair in enumerate(pairs):
        if at % 400 == 0:
            progress(f"{what}: {at} of {len(pairs)}")
        yield pair


async def _live(context: BrowserContext, site: Site, pairs: cabc.Iterator[_Pair]) -> None:
    for tracker, life in pairs:
        page = await context.new_page()
        await page.goto(site.url(tracker, PAGE, life.origin))
        await _lead(page, life)
        await page.close()


async def _lead(page: Page, life: Life) -> None:
    leaves = EMPTY if life.fault == "left at once" else None
    arguments = [life.keys, life.pause * 1000, leaves]
    if "offline" in life.fault:
        await _set_offline(page, offline=True)
    try:
        await page.evaluate(_TRACK, arguments)
    except playwright.async_api.Error:  # the page may be left before it answers
        if not leaves:
            raise
    if leaves:
        await page.wait_for_url(f"**{leaves}", wait_until="commit")
    if life.fault == "offline":
        await asyncio.sleep(life.away)
        await _set_offline(page, offline=False)
    if _FAULTS[life.fault] != WELL or life.fault == "offline":
        await asyncio.sleep(life.stay)


async def _set_offline(page: Page, *, offline: bool) -> None:
    session = await page.context.new_cdp_session(page)
    await session.send("Network.enable")
    conditions = {"latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
    await session.send("Network.emulateNetworkConditions", {"offline": offline, **conditions})


async def _return(context: BrowserContext, site: Site, pairs: cabc.Iterator[_Pair]) -> None:
    page = await context.new_page()
    for tracker, life in pairs:
        await page.goto(site.url(tracker, PAGE, life.origin), wait_until="networkidle")
        await _await_rest(site, tracker, life)
    await page.close()


async def _await_rest(site: Site, tracker: Tracker, life: Life) -> None:
    found, deadline = -1, 0.0
    while True:
        counts = await asyncio.to_thread(_count, site, tracker, life.origin)
        if len(counts) > found:
            found, deadline = len(counts), time.monotonic() + _PATIENCE
        if found >= life.events or time.monotonic() > deadline:
            return
        await asyncio.sleep(_POLL)


def _count(site: Site, tracker: Tracker, origin: Origin) -> collections.Counter[str]:
    """Return how often each event has arrived."""
    if tracker is OURS:
        return collections.Counter(
            row.params["key"] for row in site.rows(origin) if row.action == "bench.click"
        )
    arrivals = site.arrivals(tracker, origin)
    return collections.Counter(
        key for arrival in arrivals if not arrival.spoilt for key in _KEY.findall(arrival.body)
    )


def _arrived(
    site: Site, tracker: Tracker, lives: list[Life]
) -> dict[int, collections.Counter[str]]:
    return {life.number: _count(site, tracker, life.origin) for life in lives}


def _row(
    tracker: Tracker, lives: list[Life], arrived: dict[int, collections.Counter[str]]
) -> tuple[str, ...]:
    lost: collections.Counter[str] = collections.Counter()
    for life in lives:
        lost[life.fault] += life.events - len(arrived[life.number])
    tracked = sum(life.events for life in lives)
    twice = sum(count > 1 for counts in arrived.values() for count in counts.values())
    return (
        tracker.label,
        f"{tracked:,}",
        *(f"{lost[fault]:,}" for fault in _FAULTS),
        f"{lost.total():,}",
        f"{lost.total() / tracked * 100:.1f}",
        f"{twice:,}",
        at_most(0, " lost, 0 twice") if tracker is OURS else "",
    )
