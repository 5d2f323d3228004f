"""A site whose dashboard is open, and whose clock stands still.

``SEEDED`` in the environment says what there has been: with ``1`` visits of eight days, and with
``demo`` the history of a made-up shop.
"""

from __future__ import annotations

import datetime as dt
import os

from flask import Flask
from flask_sqlalchemy import SQLAlchemy

from flask_eventtrack import EventTrack
from flask_eventtrack.demo.filling import fill
from flask_eventtrack.state import get_state
from tests.dashboard.pages import DAY, NOON, add_hours, add_sessions
from tests.dashboard.test_hostile import HOSTILE
from tests.hosts import FakeClock, Host, add_pages

ROUTE = "/account/orders/<int:order_id>/<path:part>"


def create_app() -> Flask:
    """Make the site; the database and the key come from ``FLASK_*`` variables."""
    app = Flask("reported")
    app.config.from_prefixed_env()
    app.config["EVENTTRACK_DASHBOARD_PERMISSION"] = lambda: "manage"
    app.config["EVENTTRACK_DASHBOARD_NAME"] = "The Wobbly Shelf"
    db = SQLAlchemy(app)
    clock = FakeClock()
    events = EventTrack(clock=clock)
    events.init_app(app, db)
    add_pages(app)
    with app.app_context():
        db.create_all()
        if os.environ.get("SEEDED") == "demo":
            for _ in fill(get_state(), events=3000, days=40):
                pass
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


if __name__ == "__main__":
    create_app().run(port=int(os.environ["PORT"]), threaded=True)
