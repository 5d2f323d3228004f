"""The host apps with us on them."""

from __future__ import annotations

import typing as t

import sqlalchemy as sa
from flask import Flask
from flask_sqlalchemy import SQLAlchemy

from flask_eventtrack import EventTrack
from flask_eventtrack.request.cookies import cookie_reader

from .hosts import Contestant, Place, make_app

#: What we are called with each durability, and the settings that ask for it.
DURABILITIES: dict[str, dict[str, t.Any]] = {
    f"Flask-EventTrack, `{name}`": {"EVENTTRACK_DURABILITY": name}
    for name in ("memory", "journal", "durable")
}
MEMORY, JOURNAL, DURABLE = DURABILITIES


def make_tracked(
    place: Place, name: str = "ours", **options: t.Any
) -> tuple[Flask, SQLAlchemy, EventTrack]:
    """Return the same app with us on it; options are ``make_app``'s."""
    app, db = make_app(place, name, tag=True, **options)
    app.config.setdefault("EVENTTRACK_ADDRESS_LIMIT", None)  # all come from one address
    app.config.setdefault("EVENTTRACK_DEVICE_LIMIT", None)
    events = EventTrack(app, db)
    with app.app_context():
        db.create_all()
    return app, db, events


def flush(app: Flask, events: EventTrack) -> None:
    with app.app_context():
        events.flush()


def count_events(app: Flask, action: str) -> int:
    """Return how many events of an action are in the database."""
    database = app.extensions["eventtrack"].pipeline.database
    table = database.tables.event
    with app.app_context(), database.read() as connection:
        query = sa.select(sa.func.count()).where(table.c.action == action)
        return connection.scalar(query) or 0


def tracked(place: Place, **config: t.Any) -> Contestant:
    app, _, events = make_tracked(place, **config)
    state = app.extensions["eventtrack"]

    def forget() -> None:
        state.read_cookies = cookie_reader(state.tokens)
        state.tokens.read_device.cache_clear()
        state.tokens.read_session.cache_clear()

    return Contestant(
        app, lambda: flush(app, events), forget, lambda: count_events(app, "page.visit")
    )
