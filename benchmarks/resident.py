"""A worker that tells how much memory it takes: ``python -m benchmarks.resident <kind> <number>``.

Prints the bytes at rest, after some requests, and after ``number`` more, of which nothing can be
written. ``kind`` is "nothing", or what we are called with a durability.
"""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import gc
import os
import pathlib
import sqlite3
import sys
import tempfile
import typing as t

from flask import Flask

from . import wsgi
from .hosts import HELLO, Place, make_app

NOTHING = "nothing"
_VISITORS = 50
_WARM_UP = 500


def resident() -> int:
    """Return the bytes of memory that this process holds."""
    gc.collect()
    pages = int(pathlib.Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def _environs(app: Flask) -> list[wsgi.Environ]:
    """Return the requests of visitors who were here just now."""
    cookies = [wsgi.visit(app, HELLO, wsgi.regular(at), at) for at in range(_VISITORS)]
    return [wsgi.make_environ(HELLO, line, at) for at, line in enumerate(cookies)]


def _call(app: Flask, environs: list[wsgi.Environ], number: int) -> None:
    for at in range(number):
        wsgi.call(app, environs[at % len(environs)])


@contextlib.contextmanager
def _locked(path: pathlib.Path) -> cabc.Iterator[None]:
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("PRAGMA busy_timeout = 10000")
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


def _make(kind: str, place: Place, url: str) -> tuple[Flask, cabc.Callable[[], object]]:
    settings: dict[str, t.Any] = {
        "SQLALCHEMY_BINDS": {"events": url},
        "EVENTTRACK_BIND_KEY": "events",
    }
    if kind == NOTHING:
        return make_app(place, "host", **settings)[0], lambda: None
    from . import us  # imports us, which the bare app must not

    app, _, events = us.make_tracked(place, **settings, **us.DURABILITIES[kind])
    return app, lambda: us.flush(app, events)


def main(kind: str, number: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        place = Place(pathlib.Path(folder))
        path = place.folder / "events.db"
        app, finish = _make(kind, place, f"sqlite:///{path}")
        environs = _environs(app)
        _call(app, environs, _WARM_UP)
        finish()
        at_rest = resident()
        with _locked(path):
            _call(app, environs, int(number))
            print(at_rest, resident(), flush=True)
        finish()


if __name__ == "__main__":
    main(*sys.argv[1:])
