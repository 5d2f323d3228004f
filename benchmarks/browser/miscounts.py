"""Which visits are counted wrongly, where browsers make that easy."""

from __future__ import annotations

import asyncio
import collections.abc as cabc
import functools
import json
import re
import typing as t

from playwright.async_api import Browser, Page

from ..report import Table, Unavailable, at_most, progress
from .addresses import EMPTY, PAGE, PRERENDERING, TWICE, Arrival, Origin
from .site import Site, chromium, unwatched
from .trackers import AHOY, OURS, PEERS, PLAUSIBLE, SNOWPLOW, Tracker

_SETTLED = 1.5  # s after a step
_OVER = 3.0  # s after the last one
_PATIENCE = 15.0  # s
_LATE = 120  # ms
_TITLE = "Late"


class Visit(t.NamedTuple):
    """``seen``: by a browser, and not by the server alone."""

    title: str | None
    seen: bool = True


class _Scene(t.NamedTuple):
    """A browser, and a page that is new."""

    browser: Browser
    page: Page
    site: Site
    tracker: Tracker
    origin: Origin

    def url(self, path: str) -> str:
        return self.site.url(self.tracker, path, self.origin)

    async def open(self, path: str) -> None:
        await self.page.goto(self.url(path))
        await asyncio.sleep(_SETTLED)


async def _prerender(scene: _Scene) -> None:
    async with unwatched(scene.url(PRERENDERING)):
        for _ in range(int(_PATIENCE)):
            await asyncio.sleep(1)
            arrivals = await asyncio.to_thread(scene.site.arrivals, scene.tracker, scene.origin)
            if {arrival.path for arrival in arrivals} - {PRERENDERING, PAGE}:  # its script runs
                await asyncio.sleep(_OVER)
                return
    raise Unavailable("this browser prerenders nothing")


async def _hide(scene: _Scene) -> None:
    """Open it in the background: a second tab of a window whose first one stays in front."""
    session = await scene.browser.new_browser_cdp_session()
    targets = []
    for url, settings in (
        ("about:blank", {"newWindow": True}),
        (scene.url(PAGE), {"background": True}),
    ):
        target = await session.send("Target.createTarget", {"url": url, **settings})
        targets.append(target["targetId"])
    await asyncio.sleep(_OVER)
    for target in reversed(targets):
        await session.send("Target.closeTarget", {"targetId": target})


async def _come_back(scene: _Scene) -> None:
    await scene.open(PAGE)
    await scene.page.evaluate("kept = true")
    await scene.open(EMPTY)
    await scene.page.go_back(wait_until="commit")
    if not await scene.page.evaluate("window.kept"):
        raise Unavailable("this browser has no back/forward cache")


async def _go_back(scene: _Scene) -> None:
    await scene.open(PAGE)
    await scene.page.evaluate("history.pushState(null, '', '/pushed')")
    await asyncio.sleep(_SETTLED)
    await scene.page.evaluate("history.back()")


async def _replace_query(scene: _Scene) -> None:
    await scene.open(PAGE)
    await scene.page.evaluate(
        "for (let at = 0; at < 5; at++) history.replaceState(null, '', `?query=${at}`)"
    )


async def _tag_twice(scene: _Scene) -> None:
    await scene.open(TWICE)


async def _title_late(scene: _Scene) -> None:
    await scene.open(PAGE)
    await scene.page.evaluate(
        f"history.pushState(null, '', '/pushed');"
        f"setTimeout(() => document.title = {_TITLE!r}, {_LATE})"
    )


class _Case(t.NamedTuple):
    title: str
    play: cabc.Callable[[_Scene], cabc.Awaitable[None]]
    visits: int


_CASES = (
    _Case("prerendered, never shown", _prerender, 0),
    _Case("hidden tab", _hide, 0),
    _Case("back/forward cache", _come_back, 2),
    _Case("back inside the page", _go_back, 3),
    _Case("query replaced", _replace_query, 1),
    _Case("tag twice", _tag_twice, 1),
)
_LATE_CASE = _Case("late title", _title_late, 2)
#: What a tracker does not do by itself: then it cannot do it wrong.
_WITHOUT = {
    AHOY: {_go_back, _title_late},
    PLAUSIBLE: {_title_late},
    SNOWPLOW: {_go_back, _title_late},
}


async def measure(site: Site) -> Table:
    cases = (*_CASES, _LATE_CASE)
    table = Table(
        "Visits counted where browsers make it easy to count wrongly; in brackets, the right "
        "number.",
        (
            "tracker",
            *(f"{case.title} ({case.visits})" for case in _CASES),
            _LATE_CASE.title,
            f"wrong of {len(cases)}",
            "target",
        ),
    )
    async with chromium() as browser:
        for tracker in (OURS, *PEERS):
            progress(f"miscounts: {tracker.name}")
            found = await asyncio.gather(*(_try(browser, site, tracker, case) for case in cases))
            cells = [cell for cell, _ in found]
            wrong = sum(not is_right for _, is_right in found)
            table.add(tracker.label, *cells, str(wrong), at_most(0) if tracker is OURS else "")
    table.notes.append(
        "none: the tracker does nothing of the kind by itself, which is not held against it "
        "(ahoy.js and Snowplow leave navigation inside a page to its author, Plausible sends no "
        f"titles); skipped: the browser cannot. Late title: set {_LATE} ms after the address. "
        "Ours, with `EVENTTRACK_SPA`: visits that a browser has told of, + those that the server "
        "alone has seen and that are stored as such, which is right for a hidden tab only."
    )
    return table


async def _try(browser: Browser, site: Site, tracker: Tracker, case: _Case) -> tuple[str, bool]:
    """Return what was counted, and whether that is right."""
    if case.play in _WITHOUT.get(tracker, ()):
        return "none", True
    origin = Origin(case.play.__name__.strip("_").replace("_", ""))
    context = await browser.new_context()
    page = await context.new_page()
    try:
        await case.play(_Scene(browser, page, site, tracker, origin))
    except Unavailable:
        return "skipped", True
    else:
        await asyncio.sleep(_OVER)
    finally:
        await context.close()
    await asyncio.sleep(_SETTLED)
    visits = await asyncio.to_thread(_READERS[tracker], site, origin)
    alone = sum(not visit.seen for visit in visits)
    seen = len(visits) - alone
    is_right = seen == case.visits and (not alone or case.play is _hide)
    if case is _LATE_CASE:
        is_right = is_right and visits[-1].title == _TITLE
        return ("right" if is_right else "wrong"), is_right
    return (f"{seen} + {alone}" if alone else str(seen)), is_right


def _read_ours(site: Site, origin: Origin) -> list[Visit]:
    return [
        Visit(row.params.get("title"), row.seen)
        for row in site.rows(origin)
        if row.action == "page.visit"
    ]


def _read_posts(
    tracker: Tracker, read: cabc.Callable[[str], cabc.Iterator[Visit]], site: Site, origin: Origin
) -> list[Visit]:
    posts: list[Arrival] = [
        arrival for arrival in site.arrivals(tracker, origin) if arrival.method == "POST"
    ]
    return [visit for post in posts for visit in read(post.body)]


def _read_ahoy(body: str) -> cabc.Iterator[Visit]:
    for text in re.findall(r'name="events_json"\r\n\r\n(.*)\r\n', body):
        for event in json.loads(text):
            if event["name"] == "$view":
                yield Visit(event["properties"]["title"])


def _read_plausible(body: str) -> cabc.Iterator[Visit]:
    event = json.loads(body)
    if event["n"] == "pageview":
        yield Visit(None)


def _read_snowplow(body: str) -> cabc.Iterator[Visit]:
    for event in json.loads(body)["data"]:
        if event["e"] == "pv":
            yield Visit(event["page"])


_READERS: dict[Tracker, cabc.Callable[[Site, Origin], list[Visit]]] = {
    OURS: _read_ours,
    AHOY: functools.partial(_read_posts, AHOY, _read_ahoy),
    PLAUSIBLE: functools.partial(_read_posts, PLAUSIBLE, _read_plausible),
    SNOWPLOW: functools.partial(_read_posts, SNOWPLOW, _read_snowplow),
}
