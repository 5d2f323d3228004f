"""What further definitions cost a request: two apps in one process, which take turns."""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
import statistics
import tempfile
import time
import typing as t

from flask import Flask

from flask_eventtrack import EventTrack, track

from . import us, wsgi
from .hosts import HELLO, Place
from .report import Table, at_most, ratio, rounds

_MORE = 1000
_MOST = 1.02
_SIZE = 50  # requests or calls in a row
_FIELDS = {"sku": str, "name": str, "price": float | None, "quantity": int}
_PARAMS = {"sku": "A1", "name": "Mug", "price": 9.9, "quantity": 1}


class _Tracked:
    """An app that defines one event, and so many more."""

    def __init__(self, folder: pathlib.Path, more: int) -> None:
        self.app: Flask
        self.events: EventTrack
        settings = us.DURABILITIES[us.MEMORY]
        self.app, _, self.events = us.make_tracked(Place(folder), f"defined{more}", **settings)
        for n in range(more + 1):
            schema = dataclasses.make_dataclass(f"Event{n}", _FIELDS.items())
            self.events.define(f"thing.do{n}", label="Did {name}", anonymous=True)(schema)
        cookies = wsgi.visit(self.app, HELLO, wsgi.regular(0))
        self._environ = wsgi.make_environ(HELLO, cookies)

    def visit(self) -> float:
        """Return the CPU seconds of a page visit."""
        began = time.thread_time()
        for _ in range(_SIZE):
            wsgi.call(self.app, self._environ)
        return (time.thread_time() - began) / _SIZE

    def track(self) -> float:
        """Return the CPU seconds of a call in a request."""
        with self.app.request_context(self._environ):
            began = time.thread_time()
            for _ in range(_SIZE):
                track("thing.do0", _PARAMS)
            return (time.thread_time() - began) / _SIZE

    def rest(self) -> None:
        us.flush(self.app, self.events)

    def close(self) -> None:
        self.app.extensions["eventtrack"].pipeline.close()


_WORK: dict[str, t.Callable[[_Tracked], float]] = {
    "a visit of a bare page": _Tracked.visit,
    "`track()` of a defined event": _Tracked.track,
}


def compare(*, quick: bool) -> Table:
    number = 4 if quick else 200
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        apps = [_Tracked(pathlib.Path(name), more) for more in (0, _MORE)]
        for app in apps:
            stack.callback(app.close)
        figures = [_take_turn(apps, is_even=at % 2 == 0) for at in rounds(number, "definitions")]
    table = Table(
        f"What {_MORE:,} further definitions cost a request: CPU of its thread, in microseconds.",
        ("what", "one definition", f"{_MORE + 1:,}", "ratio", "target"),
    )
    for what in _WORK:
        pairs = [figure[what] for figure in figures]
        medians = [f"{statistics.median(each) * 1e6:.0f}" for each in zip(*pairs, strict=True)]
        table.add(what, *medians, ratio(many / few for few, many in pairs), at_most(_MOST))
    table.notes.append(
        f"{number} rounds of {_SIZE} of each, in which both apps take turns. With further "
        "definitions, both run exactly as many instructions of Python: a test counts them."
    )
    return table


def _take_turn(apps: list[_Tracked], *, is_even: bool) -> dict[str, list[float]]:
    """Measure all; return the seconds of each app, by what was measured."""
    order = apps if is_even else apps[::-1]
    figures = {}
    for what, work in _WORK.items():
        seconds = {app: work(app) for app in order}
        figures[what] = [seconds[app] for app in apps]
    for app in apps:
        app.rest()
    return figures
