"""A site whose dashboard is open, and whose clock stands still.

``SEEDED`` in the environment says what there has been: with ``1`` visits of eight days, and with
``demo`` the history of a made-up shop.
"""

from __future__ import annotations

import datetime as dt
import os
import typing as t
import uuid as uuidlib

from flask import Flask
from flask_sqlalchemy import SQLAlchemy

from flask_eventtrack import EventTrack
from flask_eventtrack.demo.filling import fill
from flask_eventtrack.state import get_state
from flask_eventtrack.store.saved import Kind, Saved, add_saved
from tests.dashboard.pages import DAY, NOON, add_hours, add_sessions
from tests.dashboard.test_hostile import HOSTILE
from tests.explore.stored import add_counters, add_events, add_refused
from tests.hosts import FakeClock, Host, add_pages
from tests.store.records import an_event

ROUTE = "/account/orders/<int:order_id>/<path:part>"


def create_app() -> Flask:
    """Make the site; the database and the key come from ``FLASK_*`` variables."""
    app = Flask("reported")
    app.config.from_prefixed_env()
    app.config["EVENTTRACK_DASHBOARD_PERMISSION"] = lambda: "manage"
    app.config["EVENTTRACK_DASHBOARD_NAME"] = "The Wobbly Shelf"
    if os.environ.get("SEEDED") == "demo":
        app.config["EVENTTRACK_RELEASE"] = "1.4.2"
    db = SQLAlchemy(app)
    clock = FakeClock()
    events = EventTrack(clock=clock)
    events.goal("order", "transaction.charge", description="Somebody paid.")
    events.init_app(app, db)
    add_pages(app)
    with app.app_context():
        db.create_all()
        if os.environ.get("SEEDED") == "demo":
            for _ in fill(get_state(), events=3000, days=40):
                pass
            add_faults(Host(app, db, events, clock))
            add_kept(Host(app, db, events, clock))
        elif os.environ.get("SEEDED"):
            seed(Host(app, db, events, clock))
    return app


def seed(host: Host) -> None:
    """Store sessions: on each day one more than on the day before, from hostile sources too."""
    hour = dt.timedelta(hours=1)
    for day in range(8):
        sessions = (
            {"source": ("google", "newsletter", "direct")[n % 3], "country": "DE", "pages": n + 1}
            for n in range(day + 1)
        )
        add_sessions(host, *sessions, at=NOON - (7 - day) * DAY - 2 * hour)
    add_sessions(host, *({"source": text, "country": "PL"} for text in HOSTILE), at=NOON - hour)
    add_hours(host, ("page.visit", ROUTE, 9), ("page.visit", "/\u05e6\u05d5\u05e8", 4))


def add_faults(host: Host) -> None:
    """Store an event without a definition, refused events and records, and a lost event."""
    add_events(host, "wishlist.add", sku="LAMP")
    hour = NOON - dt.timedelta(hours=1)
    add_counters(
        host,
        (hour, "rejected", "product.view", "invalid_param", 3),
        (hour, "invalid", "product.view", "sku", 3),
        (hour, "undefined", "product.view", "colour", 2),
        (hour, "dropped", "page.visit", "no room", 1),
    )
    add_refused(host, an_event("order.ship", seconds=1), an_event("order.ship", seconds=2))


def add_kept(host: Host) -> None:
    """Store two notes on a day, that of a release, and a saved filter."""
    host.state.pipeline.sweep()
    definitions: dict[str, tuple[Kind, dict[str, t.Any]]] = {
        "2026-11-19 Sale": ("note", {"day": "2026-11-19", "text": "Sale"}),
        "2026-11-19 Outage": ("note", {"day": "2026-11-19", "text": "Outage"}),
        "Germany": ("filter", {"f": ["is:country:DE"]}),
    }
    database = host.state.pipeline.database
    with database.begin() as connection:
        for name, (kind, definition) in definitions.items():
            row = Saved(uuidlib.uuid4(), kind, name, definition, "ada", NOON)
            add_saved(connection, database.tables, row)


if __name__ == "__main__":
    create_app().run(port=int(os.environ["PORT"]), threaded=True)
