"""The host app under test: ``tests.faults.app:create_app()``, configured by ``FLASK_*``.

``FAULTS_FOLDER`` is its folder, ``FAULTS_CLOCK`` a file that says by how many seconds its clock is
off, ``FAULTS_NOTES`` a file to which programs without clients note what ``track()`` took, and
``FAULTS_AT_LOAD`` says that the app itself tracks while it is made.
"""

from __future__ import annotations

import os
import pathlib
import time
import uuid as uuidlib

from flask import Flask, Response, json, render_template_string
from flask import session as flask_session
from flask_sqlalchemy import SQLAlchemy

from flask_eventtrack import EventTrack, current_visitor, identify, track

#: What a page tells its visitor, for the client to compare with what is stored.
PAGE = """<!doctype html><html><head><title>{{ title }}</title>{{ eventtrack_snippet() }}</head>
<body><pre>{{ facts|safe }}</pre></body></html>"""


def create_app() -> Flask:
    """Make the app; its tables are there already."""
    app = Flask("faults", instance_path=str(pathlib.Path(os.environ["FAULTS_FOLDER"], "instance")))
    app.config.from_prefixed_env()
    # All clients are one address.
    app.config.update(EVENTTRACK_DEVICE_LIMIT=None, EVENTTRACK_ADDRESS_LIMIT=None)
    db = SQLAlchemy(app)
    clock = os.environ.get("FAULTS_CLOCK")
    events = EventTrack(clock=SteppedClock(pathlib.Path(clock))) if clock else EventTrack()
    events.define("note.add", anonymous=True)
    events.define("job.done")
    # As hosts do: a customer whose log-out got no answer is still logged in.
    events.customer_loader(lambda: flask_session.get("customer"))
    events.init_app(app, db)
    _add_pages(app, events)
    if "FAULTS_AT_LOAD" in os.environ:
        with app.app_context():
            work()
    return app


def work() -> None:
    """Track an event of a customer, as a job does, and note it once that is acknowledged."""
    event_id = track("job.done", customer="42")
    assert event_id is not None
    with pathlib.Path(os.environ["FAULTS_NOTES"]).open("a") as notes:
        notes.write(f"{event_id}\n")


class SteppedClock:
    """The real clock, off by the seconds that stand in a file."""

    def __init__(self, path: pathlib.Path) -> None:
        self._path = path

    def __call__(self) -> int:
        return time.time_ns() + int(float(self._path.read_text()) * 1e9)


def _add_pages(app: Flask, events: EventTrack) -> None:
    @app.get("/up")
    def up() -> Response:
        return Response("up", mimetype="text/plain")

    @app.get("/page")
    def page() -> str:
        return _show("Page")

    @app.get("/login/<customer>")
    def login(customer: str) -> str:
        before = current_visitor.uuid
        flask_session["customer"] = customer
        identify(customer)
        return _show("Log-in", before=before)

    @app.get("/logout")
    def logout() -> str:
        before = current_visitor.uuid
        session = current_visitor.session_id
        flask_session.clear()
        events.logout()
        return _show("Log-out", before=before, ended=session)


def _show(title: str, **facts: uuidlib.UUID) -> str:
    facts["uuid"] = current_visitor.uuid
    return render_template_string(PAGE, title=title, facts=json.dumps(facts))
