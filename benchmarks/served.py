"""CPU and latency added to a request, through gunicorn."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import pathlib
import statistics
import tempfile
import threading
import time
import typing as t

from . import peers, us, wsgi
from .client import Client, visit
from .hosts import HELLO, LISTED, Place
from .report import Table, Unavailable, at_most, percentile, progress, ratio, rounds, versions
from .servers import gunicorn
from .sink import sink

TITLE = "CPU and latency added to a request through gunicorn"
_CPU = "/bench/cpu"
_VISITORS = 50
_CLIENTS = 4
_PAGES = {"hello-world": HELLO, "template and query": LISTED}
_WORKERS = {
    "sync": ("a `sync` worker, which closes each connection; one client", ()),
    "gthread": (f"a `gthread` worker of 4 threads; {_CLIENTS} clients", ("--threads", "4")),
}


class Figure(t.NamedTuple):
    """Seconds a request: CPU of the worker until all is written, and what the client waited."""

    cpu: float
    median: float
    p99: float


def create(name: str, folder: str, url: str) -> t.Any:
    """Return a contestant's WSGI application, which tells what CPU its process has used."""
    try:
        contestant = peers.build(name, Place(pathlib.Path(folder), url))
    except Unavailable as error:
        pathlib.Path(folder, "excuse").write_text(str(error))
        raise

    def application(environ: dict[str, t.Any], start_response: t.Any) -> t.Any:
        if environ["PATH_INFO"] != _CPU:
            return contestant.app(environ, start_response)
        contestant.finish()
        body = repr(time.process_time()).encode()
        start_response("200 OK", [("Content-Length", str(len(body)))])
        return [body]

    return application


def run(*, quick: bool) -> cabc.Iterator[Table]:
    size, number = (50, 1) if quick else (400, 9)
    for worker, (description, options) in _WORKERS.items():
        with contextlib.ExitStack() as stack:
            servers = _start_all(stack, worker, options)
            figures = _compete(servers, worker, size, number)
        table = _tabulate(f"One worker process: {description}.", figures)
        missing = [name for name in peers.NAMES if (name, HELLO) not in figures]
        table.notes.extend(f"{name}: skipped, it does not start." for name in missing)
        if worker == list(_WORKERS)[-1]:
            table.notes.append(f"{number} rounds of {size} requests; {versions('gunicorn')}.")
        yield table


def _start_all(
    stack: contextlib.ExitStack, worker: str, options: tuple[str, ...]
) -> dict[str, int]:
    """Start a server for each contestant that there is; return their ports."""
    folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
    url = stack.enter_context(sink())
    ports = {}
    for at, name in enumerate([peers.BARE, *peers.NAMES]):
        progress(f"starting gunicorn -k {worker}: {name}")
        place = Place(folder / str(at), url)
        place.folder.mkdir()
        with contextlib.suppress(Unavailable):
            call = f"benchmarks.served:create({name!r}, {str(place.folder)!r}, {place.sink!r})"
            server = gunicorn(call, ("-k", worker, *options), _CPU)
            ports[name] = stack.enter_context(server)
    return ports


_Figures = dict[tuple[str, str], list[tuple[Figure, Figure]]]


def _compete(servers: cabc.Mapping[str, int], worker: str, size: int, number: int) -> _Figures:
    """Return each contestant's figures on each page, with the bare app's of the same round."""
    figures: _Figures = {}
    clients = _CLIENTS if worker == "gthread" else 1
    for _ in rounds(number, f"gunicorn -k {worker}"):
        for path in _PAGES.values():
            base = _measure(servers[peers.BARE], path, clients, size)
            for name, port in servers.items():
                figure = _measure(port, path, clients, size)
                figures.setdefault((name, path), []).append((figure, base))
    return figures


def _measure(port: int, path: str, clients: int, size: int) -> Figure:
    probe = Client(port)
    cookies = [visit(probe, path, wsgi.regular(number)) for number in range(_VISITORS)]
    before = float(probe.get(_CPU).body)
    waits: list[float] = []
    share = size // clients

    def ask(first: int) -> None:
        client = Client(port)
        waits.extend(
            client.get(path, cookies[(first + at) % _VISITORS]).seconds for at in range(share)
        )
        client.close()

    threads = [threading.Thread(target=ask, args=(number * share,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(waits) == share * clients, "a client has failed"
    cpu = float(probe.get(_CPU).body) - before
    probe.close()
    return Figure(cpu / len(waits), statistics.median(waits), percentile(waits, 99))


def _tabulate(explanation: str, figures: _Figures) -> Table:
    columns = [f"{page}: {what}" for page in _PAGES for what in ("CPU", "p50", "p99")]
    table = Table(
        f"{explanation} CPU of the worker until all is written, and latency as the client sees "
        "it; returning visitors, ratios to nothing added.",
        ("contestant", *columns, "target"),
    )
    for name in [*peers.NAMES, peers.BARE]:
        if (name, HELLO) in figures:
            cells = [cell for path in _PAGES.values() for cell in _cells(figures[name, path])]
            label = "nothing, measured again" if name == peers.BARE else name
            table.add(label, *cells, at_most(1.6, " CPU") if name == us.JOURNAL else "")
    base = [_base_of(figures[peers.BARE, path]) for path in _PAGES.values()]
    table.add("nothing, in µs", *(cell for cells in base for cell in cells))
    return table


def _cells(pairs: cabc.Sequence[tuple[Figure, Figure]]) -> tuple[str, ...]:
    return tuple(
        ratio(figure[at] / base[at] for figure, base in pairs) for at in range(len(Figure._fields))
    )


def _base_of(pairs: cabc.Sequence[tuple[Figure, Figure]]) -> tuple[str, ...]:
    columns = zip(*(base for _, base in pairs), strict=True)
    return tuple(f"{statistics.median(column) * 1e6:,.0f}" for column in columns)
