"""Host apps for tests, and how to look into their databases."""

from __future__ import annotations

import collections
import datetime as dt
import typing as t

import sqlalchemy as sa
from flask import Flask, redirect, render_template_string
from flask.testing import FlaskClient
from flask_sqlalchemy import SQLAlchemy

from flask_eventtrack import EventTrack
from flask_eventtrack.state import State, find_state

from . import JOURNALS

#: What a browser says with a click on a link of the same site.
NAVIGATION = {
    "Sec-Fetch-Site": "same-origin",
    "Sec-Fetch-Mode": "navigate",
    "Sec-Fetch-Dest": "document",
}
#: What a browser says with a fetch of the snippet's.
SAME_ORIGIN = {"Sec-Fetch-Site": "same-origin"}
CHROME = (
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/156.0.0.0 Safari/537.36"
)
START = dt.datetime(2026, 11, 21, 12, 0, tzinfo=dt.UTC)


class FakeClock:
    """A clock that goes when it is told to. Nanoseconds since the epoch."""

    def __init__(self, start: dt.datetime = START) -> None:
        self.now = int(start.timestamp()) * 1_000_000_000

    def __call__(self) -> int:
        return self.now

    def advance(self, **duration: float) -> None:
        """Move on (or back) by a timedelta's keywords."""
        self.now += int(dt.timedelta(**duration).total_seconds() * 1_000_000) * 1000

    @property
    def moment(self) -> dt.datetime:
        return dt.datetime.fromtimestamp(self.now / 1e9, dt.UTC)


class Host(t.NamedTuple):
    """A host app with the extension registered, and its parts."""

    app: Flask
    db: SQLAlchemy
    events: EventTrack
    clock: FakeClock

    @property
    def state(self) -> State:
        state = find_state(self.app)
        assert state is not None
        return state

    def client(self, user_agent: str = CHROME) -> FlaskClient:
        client = self.app.test_client()
        client.environ_base["HTTP_USER_AGENT"] = user_agent
        return client

    def flush(self) -> None:
        with self.app.app_context():
            self.events.flush(timeout=30)

    def rows(self, table: str, *order: str) -> list[dict[str, t.Any]]:
        """Return all rows of one of our tables ("event", "session", …), after a flush."""
        self.flush()
        found = getattr(self.state.pipeline.database.tables, table)
        query = sa.select(found).order_by(*(found.c[name] for name in order))
        with self.state.pipeline.database.read() as connection:
            return [dict(row) for row in connection.execute(query).mappings()]

    def events_of(self, action: str) -> list[dict[str, t.Any]]:
        return [row for row in self.rows("event", "time", "id") if row["action"] == action]

    def actions(self) -> collections.Counter[str]:
        return collections.Counter(row["action"] for row in self.rows("event"))

    def close(self) -> None:
        self.state.pipeline.close()
        self.state.reports.reader.close()
        with self.app.app_context():
            for engine in self.db.engines.values():
                engine.dispose()


def make_host(
    url: str,
    config: dict[str, t.Any] | None = None,
    *,
    events: EventTrack | None = None,
    clock: FakeClock | None = None,
    create: bool = True,
) -> Host:
    """Return a small host app with pages of every kind, tracked."""
    clock = clock or FakeClock()
    app = Flask("host")
    app.config.update(
        SECRET_KEY="a secret for tests only",
        SQLALCHEMY_DATABASE_URI=url,
        TESTING=True,
        EVENTTRACK_JOURNAL_DIR=JOURNALS,
        EVENTTRACK_DURABILITY="journal",
        # The clock stands still.
        EVENTTRACK_DEVICE_LIMIT=None,
        EVENTTRACK_ADDRESS_LIMIT=None,
    )
    app.config.update(config or {})
    db = SQLAlchemy(app)
    events = events or EventTrack(clock=clock)
    events.init_app(app, db)
    add_pages(app)
    if create:
        with app.app_context():
            db.create_all()
    return Host(app, db, events, clock)


def add_pages(app: Flask) -> None:
    """Add the views that most tests visit."""

    @app.get("/")
    def home() -> str:
        return render_template_string(
            "<!doctype html><html><head><title>Home</title>{{ eventtrack_snippet() }}</head>"
            "<body>Welcome</body></html>"
        )

    @app.get("/products/<slug>")
    def product(slug: str) -> str:
        return f"<title>{slug.title()}</title><p>{slug}</p>"

    @app.get("/data.json")
    def data() -> dict[str, int]:
        return {"answer": 42}

    @app.get("/away")
    def away() -> t.Any:
        return redirect("/")
