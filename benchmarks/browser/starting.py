"""What loading and starting costs a page's main thread."""

from __future__ import annotations

import asyncio
import collections.abc as cabc
import json
import statistics
import typing as t

from playwright.async_api import Browser

from ..report import Table, at_most, ratio, rounds
from .addresses import PAGE, Origin
from .site import Site, chromium
from .trackers import NOTHING, OURS, PEERS, PLAUSIBLE, Tracker

_TARGET = 1.2
_UNTIL = 1.5  # s after the page's load event
_CATEGORIES = ["devtools.timeline", "toplevel"]
_TASK = {"ThreadControllerImpl::RunTask"}
_SCRIPT = {
    "EvaluateScript",
    "FunctionCall",
    "RunMicrotasks",
    "v8.compile",
    "v8.compileModule",
    "v8.evaluateModule",
}

_Slice = dict[str, t.Any]


class Cost(t.NamedTuple):
    """CPU milliseconds of the main thread."""

    evaluating: float
    script: float
    tasks: float

    def __sub__(self, other: Cost) -> Cost:
        return Cost(*(mine - less for mine, less in zip(self, other, strict=True)))


async def measure(site: Site, *, quick: bool) -> Table:
    number = 2 if quick else 25
    trackers = [NOTHING, OURS, *PEERS]
    costs: dict[Tracker, list[Cost]] = {tracker: [] for tracker in trackers}
    async with chromium() as browser:
        await _load(browser, site, NOTHING, number)  # the first page of a browser takes longer
        for at in rounds(number, "main thread"):
            for tracker in trackers:
                costs[tracker].append(await _load(browser, site, tracker, at))
    table = Table(
        "What a script takes of a page's main thread, from the navigation to "
        f"{_UNTIL:g} s after the load event, in ms of CPU: evaluating it, as it loads; all that is "
        "script, with compiling, callbacks and microtasks; all tasks, whoever runs them. Less what "
        "the same page takes without a script; in brackets, of Plausible's in the same round.",
        ("tracker", "evaluating", "all script", "all tasks", "target"),
    )
    bare = costs.pop(NOTHING)
    added = {
        tracker: [cost - base for cost, base in zip(found, bare, strict=True)]
        for tracker, found in costs.items()
    }
    for tracker, found in added.items():
        target = at_most(_TARGET, " (all script)") if tracker is OURS else ""
        table.add(tracker.label, *_cells(found, added[PLAUSIBLE]), target)
    base = [statistics.median(column) for column in zip(*bare, strict=True)]
    table.add("nothing, in all", *(f"{value:.1f}" for value in base))
    table.notes.append(
        f"{number} rounds, each with a fresh profile for each tracker. All of ours includes the "
        "second file. Umami publishes no package with its script, so that it is not here."
    )
    return table


def _cells(costs: list[Cost], others: list[Cost]) -> cabc.Iterator[str]:
    for mine, theirs in zip(zip(*costs, strict=True), zip(*others, strict=True), strict=True):
        times = ratio(value / other for value, other in zip(mine, theirs, strict=True))
        yield f"{statistics.median(mine):.1f} ({times}×)"  # noqa: RUF001 - a sign of times


async def _load(browser: Browser, site: Site, tracker: Tracker, number: int) -> Cost:
    """Load the page as a newcomer whose browser has nothing of it in its caches."""
    context = await browser.new_context()
    page = await context.new_page()
    origin = Origin(f"start{number}")
    await browser.start_tracing(page=page, categories=_CATEGORIES)
    await page.goto(site.url(tracker, PAGE, origin))
    await asyncio.sleep(_UNTIL)
    trace = json.loads(await browser.stop_tracing())
    await context.close()
    slices = _main_thread(trace["traceEvents"], f"{origin}.{tracker.slug}.localhost")
    loaded = [slice_ for slice_ in slices if _url(slice_).endswith(".js")]
    return Cost(_sum(loaded, {"EvaluateScript"}), _sum(slices, _SCRIPT), _sum(slices, _TASK))


def _url(event: _Slice) -> str:
    return str(event.get("args", {}).get("data", {}).get("url", ""))


def _main_thread(events: list[_Slice], host: str) -> list[_Slice]:
    """Return what the page's main thread did, outer slices before those within."""
    [process] = {
        event["pid"]
        for event in events
        if event["name"] == "EvaluateScript" and host in _url(event)
    }
    [thread] = {
        event["tid"]
        for event in events
        if event["pid"] == process
        and event["name"] == "thread_name"
        and event["args"]["name"] == "CrRendererMain"
    }
    found = [
        event
        for event in events
        if (event["pid"], event["tid"], event["ph"]) == (process, thread, "X")
    ]
    return sorted(found, key=lambda event: (event["ts"], -event["dur"]))


def _sum(slices: list[_Slice], names: set[str]) -> float:
    """Return the CPU milliseconds of slices of these names, none of them within another."""
    total, end = 0.0, 0.0
    for event in slices:
        if event["name"] in names and event["ts"] >= end:
            total += t.cast("float", event.get("tdur", event["dur"]))
            end = event["ts"] + event["dur"]
    return total / 1000
