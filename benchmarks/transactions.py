"""What ``track_transaction()`` costs in a request, beside ``track()``."""

from __future__ import annotations

import collections.abc as cabc
import decimal
import pathlib
import statistics
import tempfile
import time
import typing as t

from flask import Flask

from flask_eventtrack import EventTrack, track, track_transaction

from . import us
from .hosts import Place
from .report import Table, at_most, rounds, whole

TITLE = "An order in a request"
_ITEMS = 100
_AGENT = {"HTTP_USER_AGENT": "Mozilla/5.0 (X11; Linux x86_64) Chrome/156.0.0.0 Safari/537.36"}
_TARGET_US = 3000
_Times = dict[str, list[float]]


def run(*, quick: bool) -> cabc.Iterator[Table]:
    size, number = (10, 2) if quick else (50, 11)
    table = Table(
        "CPU of the request's thread in the call alone, in microseconds, and as a ratio to "
        "`track()` of one event with two parameters in the same round.",
        ("call", "µs", "ratio", "target"),
    )
    with tempfile.TemporaryDirectory() as folder:
        app, _, events = us.make_tracked(Place(pathlib.Path(folder), ""))
        try:
            times = _measure(app, events, size, number)
        finally:
            app.extensions["eventtrack"].pipeline.close()
    [base, *_] = times.values()
    for what, taken in times.items():
        ratios = [each / other for each, other in zip(taken, base, strict=True)]
        target = at_most(_TARGET_US, " µs") if str(_ITEMS) in what else ""
        median = statistics.median(taken)
        table.add(what, whole(median), f"{statistics.median(ratios):.1f}", target)
    table.notes.append(f"{number} rounds of {size} requests.")
    yield table


def _measure(app: Flask, events: EventTrack, size: int, number: int) -> _Times:
    """Return the microseconds of each call, by round."""
    events.define("order.ship")
    calls = {
        "`track()`": lambda at: track("order.ship", {"order": at, "carrier": "mail"}),
        "`track_transaction()` of 1 item": lambda at: _buy(f"one-{at}", 1),
        f"`track_transaction()` of {_ITEMS} items": lambda at: _buy(f"many-{at}", _ITEMS),
    }
    times: _Times = {name: [] for name in calls}
    for round_ in rounds(number, "orders"):
        for name, call in calls.items():
            taken = [_time(app, call, round_ * size + at) for at in range(size)]
            times[name].append(statistics.median(taken) * 1e6)
        us.flush(app, events)
    return times


def _time(app: Flask, call: cabc.Callable[[int], object], at: int) -> float:
    with app.test_request_context("/", environ_base=_AGENT):
        began = time.thread_time()
        call(at)
        return time.thread_time() - began


def _buy(order_id: str, number: int) -> object:
    return track_transaction(order_id, "1230.00", "EUR", _items(number), shipping="4.90")


def _items(number: int) -> list[dict[str, t.Any]]:
    price = decimal.Decimal("12.30")
    return [
        {"sku": f"A{at}", "name": f"Mug {at}", "quantity": 2, "final_unit_price": price, "size": 3}
        for at in range(number)
    ]
