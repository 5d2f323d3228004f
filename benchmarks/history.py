"""An app whose database holds a made-up history."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import os
import pathlib
import tempfile
import time
import typing as t

import sqlalchemy as sa
from flask import Flask
from flask_sqlalchemy import SQLAlchemy

from flask_eventtrack.demo.filling import fill

from . import us
from .databases import KINDS, database
from .hosts import Place
from .report import progress

if t.TYPE_CHECKING:
    from flask_eventtrack.records import Event
    from flask_eventtrack.state import State

#: The headers of a client that takes compressed pages.
COMPRESSED = {"Accept-Encoding": "gzip"}


def make_app(place: Place, url: str, **more: t.Any) -> tuple[Flask, SQLAlchemy]:
    """Return an app whose events are in a database of their own, with its dashboard open."""
    settings: dict[str, t.Any] = {
        "SQLALCHEMY_BINDS": {"events": url},
        "EVENTTRACK_BIND_KEY": "events",
        "EVENTTRACK_TIMEZONE": "Europe/Berlin",
        "EVENTTRACK_DASHBOARD_PERMISSION": _may_manage,
        **us.DURABILITIES[us.MEMORY],
        **more,
    }
    app, db, _ = us.make_tracked(place, **settings)
    return app, db


def _may_manage() -> str:
    return "manage"


class Site:
    """An app whose database holds a history, with its days closed."""

    def __init__(self, place: Place, kind: str, url: str, **settings: t.Any) -> None:
        self.kind = kind
        self.url = url
        self.app, self.db = make_app(place, url, **settings)
        self.state: State = self.app.extensions["eventtrack"]
        self.client = self.app.test_client()
        self.closing: list[float] = []
        self.filling = 0.0

    def fill(self, events: int, days: int) -> None:
        """Write the history, and close its days."""
        cpu, done = time.process_time(), 0
        for filled in fill(self.state, events, days):
            done += filled.events
            if done % 100_000 < filled.events:
                progress(f"{KINDS[self.kind]}: {done:,} of {events:,} events")
        self.filling = done / (time.process_time() - cpu)
        self._analyze()
        self.closing = self.close_days()

    def close_days(self, before: cabc.Callable[[], object] = lambda: None) -> list[float]:
        """Close what is to be closed; return the seconds that each day took.

        :param before: called before each of them.
        """
        steps, took = self.state.pipeline.writer.close_days(), list[float]()
        while True:
            before()
            began = time.perf_counter()
            step = next(steps, None)
            if step is None:
                return took
            if step.kind == "closed":
                took.append(time.perf_counter() - began)

    def _analyze(self) -> None:
        """Let PostgreSQL know what the tables hold, as its own daemon does after some time."""
        if self.kind == "postgresql":
            engine = sa.create_engine(self.url, isolation_level="AUTOCOMMIT")
            with engine.connect() as connection:
                connection.exec_driver_sql("VACUUM ANALYZE")
            engine.dispose()

    def scalar(self, query: sa.Executable) -> t.Any:
        with self.state.reports.reader.open() as connection:
            return connection.scalar(query)

    def insert(self, happened: cabc.Collection[Event]) -> None:
        """Put events on their way, and return once they are rows."""
        assert self.state.pipeline.put(*happened), "no room"
        self.state.pipeline.flush()

    def get(self, path: str) -> bytes:
        response = self.client.get(f"{self.state.config.url_prefix}{path}", headers=COMPRESSED)
        assert response.status_code == 200, response.status
        body: bytes = response.data
        return body

    def grow_cold(self) -> None:
        """Drop what is cached of a SQLite file."""
        self.state.reports.reader.close()
        path = pathlib.Path(sa.make_url(self.url).database or "")
        for name in (path, path.with_name(f"{path.name}-wal")):
            if name.exists():
                descriptor = os.open(name, os.O_RDONLY)
                os.fsync(descriptor)
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
                os.close(descriptor)

    def close(self) -> None:
        self.state.pipeline.close()
        self.state.reports.reader.close()
        for engine in self.db.engines.values():
            engine.dispose()


@contextlib.contextmanager
def open_site(kind: str, events: int, days: int, **settings: t.Any) -> cabc.Iterator[Site]:
    with tempfile.TemporaryDirectory() as folder, database(kind) as url:
        site = Site(Place(pathlib.Path(folder)), kind, url, **settings)
        with site.app.app_context():
            try:
                site.fill(events, days)
                yield site
            finally:
                site.close()
