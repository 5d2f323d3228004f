"""The collector: from a post to committed rows."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import dataclasses
import gc
import json
import pathlib
import statistics
import tempfile
import time
import typing as t
import uuid as uuidlib

from flask import Flask, Response, request

from flask_eventtrack import EventTrack
from flask_eventtrack.ids import uuid7

from . import us, wsgi
from .databases import KINDS, database, version_of
from .hosts import HELLO, Place, make_app
from .report import Table, Unavailable, at_least, rounds, whole

TITLE = "The collector, from post to commit"
_TARGETS = {1: 1500, 20: 6000, 100: 9000}
_VISITORS = 50
_PATH = "/_et/in"
_ACTION = "product.view"


@dataclasses.dataclass
class ProductView:
    sku: str
    name: str
    price: float


class _Host(t.NamedTuple):
    app: Flask
    finish: cabc.Callable[[], object]
    name: str
    written: cabc.Callable[[], int]


class _Figure(t.NamedTuple):
    """Events a second, a CPU-second, and a CPU-second less what a view that does nothing takes."""

    second: float
    cpu: float
    net: float


_Figures = dict[tuple[str, int], list[_Figure]]


def run(*, quick: bool) -> cabc.Iterator[Table]:
    posts, number = ({1: 50, 20: 10, 100: 5}, 2) if quick else ({1: 1000, 20: 150, 100: 50}, 7)
    table = Table(
        "Custom events of three parameters, posted by returning visitors, until committed: events "
        "a second on one connection, and a CPU-second of the whole process, Flask included; the "
        "last figure is without the CPU of a view that reads the body and answers 202.",
        ("database", "a post", "events/s", "events/CPU-s", "target", "less a bare view"),
    )
    with contextlib.ExitStack() as stack:
        folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
        bare = _make_bare(Place(folder))
        hosts = []
        for kind, name in KINDS.items():
            try:
                hosts.append(_make_host(stack, kind))
            except Unavailable as error:
                table.notes.append(f"{name} {error}")
        figures = _compete(bare, hosts, posts, number)
        sent = number * sum(events * times for events, times in posts.items())
        for host in hosts:
            assert host.written() == sent, f"{host.written()} of {sent} events were written"
    _tabulate(table, figures)
    table.notes.append(f"{number} rounds of {', '.join(map(str, posts.values()))} posts.")
    yield table


def _make_host(stack: contextlib.ExitStack, kind: str) -> _Host:
    url = stack.enter_context(database(kind))
    place = Place(pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory())))
    app, db, events = us.make_tracked(place, url=url)
    events.define(_ACTION, label="Viewed {name}", anonymous=True)(ProductView)
    stack.callback(_close, app, db, events)
    return _Host(
        app=app,
        finish=lambda: us.flush(app, events),
        name=version_of(url),
        written=lambda: us.count_events(app, _ACTION),
    )


def _close(app: Flask, db: t.Any, events: EventTrack) -> None:
    us.flush(app, events)
    app.extensions["eventtrack"].pipeline.close()
    with app.app_context():
        db.engine.dispose()


def _make_bare(place: Place) -> _Host:
    app, _ = make_app(place, "bare")

    @app.post(_PATH)
    def take() -> Response:
        request.get_data()
        return Response("{}", 202, mimetype="application/json")

    return _Host(app, lambda: None, "nothing", lambda: 0)


def _compete(
    bare: _Host, hosts: cabc.Sequence[_Host], posts: cabc.Mapping[int, int], number: int
) -> _Figures:
    figures: _Figures = {}
    for _ in rounds(number, "collector"):
        for events, times in posts.items():
            _, base = _post(bare, events, times)
            for host in hosts:
                seconds, cpu = _post(host, events, times)
                count = events * times
                figure = _Figure(count / seconds, count / cpu, count / max(cpu - base, 1e-9))
                figures.setdefault((host.name, events), []).append(figure)
    return figures


def _post(host: _Host, events: int, times: int) -> tuple[float, float]:
    """Return the seconds and the CPU seconds that some posts take."""
    cookies = [
        wsgi.visit(host.app, HELLO, wsgi.regular(number), number) for number in range(_VISITORS)
    ]
    bodies = [_make_body(events) for _ in range(times)]
    environs = [
        wsgi.make_post(_PATH, cookies[at % _VISITORS], body, at % _VISITORS)
        for at, body in enumerate(bodies)
    ]
    host.finish()
    gc.collect()
    statuses: list[str] = []
    began, cpu = time.perf_counter(), time.process_time()
    for environ in environs:
        wsgi.call(host.app, environ, lambda status, *_: statuses.append(status))
    host.finish()
    cpu, seconds = time.process_time() - cpu, time.perf_counter() - began
    assert {status[:3] for status in statuses} == {"202"}, f"answers {set(statuses)}"
    return seconds, cpu


def _make_body(number: int) -> bytes:
    """Return what the snippet posts: events that wait for each other, with the time of each."""
    page, now = str(uuidlib.uuid4()), time.time() * 1000
    events = [
        {
            "action": _ACTION,
            "event_id": str(uuid7(time.time_ns())),
            "params": {"sku": f"A{at}", "name": f"Mug {at}", "price": 12.5 + at},
            "time": now - number + at,
            "page": page,
        }
        for at in range(number)
    ]
    return json.dumps({"events": events, "sent_at": now}).encode()


def _tabulate(table: Table, figures: _Figures) -> None:
    for name in dict.fromkeys(name for name, _ in figures):
        for events, target in _TARGETS.items():
            second, cpu, net = (
                whole(statistics.median(column))
                for column in zip(*figures[name, events], strict=True)
            )
            is_target = not name.startswith(KINDS["mariadb"])
            table.add(name, str(events), second, cpu, at_least(target) if is_target else "", net)
