"""What recording a page visit costs: ``make bench``.

Every figure is a ratio to the same app without us, from one run in which the contestants take
turns; medians over the rounds. Writes its table into ``benchmarks/README.md``.
"""

from __future__ import annotations

import collections.abc as cabc
import dataclasses
import datetime as dt
import importlib.metadata
import pathlib
import platform
import statistics
import tempfile
import time
import typing as t

import sqlalchemy as sa
from flask import Flask, render_template_string
from flask_sqlalchemy import SQLAlchemy

from flask_eventtrack import EventTrack
from flask_eventtrack.state import find_state

ROUNDS = 15
REQUESTS = 400
README = pathlib.Path(__file__).with_name("README.md")
HEAD = """| page: contestant | CPU of the request's thread | CPU of the process, with the writer |
|---|---:|---:|"""
REPORT = f"""# Benchmarks

What recording a page visit costs, as a ratio to the same page of the same app with nothing added,
on SQLite. One run, contestants interleaved, medians of {ROUNDS} rounds of {REQUESTS} requests.

{{table}}

`make bench`, {{stamp}}, {{machine}}. Machines are noisy: read the ratios, and run it on yours.
"""
BROWSER = {
    "HTTP_USER_AGENT": "Mozilla/5.0 (X11; Linux x86_64) Chrome/156.0 Safari/537.36",
    "HTTP_ACCEPT_LANGUAGE": "de-AT,de;q=0.9",
    "HTTP_SEC_FETCH_DEST": "document",
}


@dataclasses.dataclass
class Contestant:
    """An app under test, the page it is asked for, and whether its visitor is known."""

    name: str
    app: Flask
    path: str = "/"
    returns: bool = True
    finish: cabc.Callable[[], object] = lambda: None

    def __post_init__(self) -> None:
        client = self.app.test_client()
        client.get(self.path, environ_overrides=BROWSER)
        names = ("eventtrack_device", "eventtrack_session", "eventtrack_csrf")
        cookies = [client.get_cookie(name) for name in names] if self.returns else []
        header = "; ".join(f"{cookie.key}={cookie.value}" for cookie in cookies if cookie)
        with self.app.test_request_context(self.path, environ_overrides=BROWSER) as context:
            self._environ = dict(context.request.environ)
        self._environ["HTTP_COOKIE"] = header or "theme=dark; other=cookie; of=the-host"

    def run(self) -> tuple[float, float]:
        """Return the CPU seconds a request, of its thread and of the whole process."""
        thread, process = time.thread_time(), time.process_time()
        for _ in range(REQUESTS):
            body = self.app.wsgi_app(dict(self._environ), lambda *_: lambda _: None)
            for _ in body:
                pass
            if hasattr(body, "close"):
                body.close()
        thread = time.thread_time() - thread
        self.finish()
        return thread / REQUESTS, (time.process_time() - process) / REQUESTS


def make_app(folder: str, name: str) -> tuple[Flask, SQLAlchemy]:
    app = Flask(name)
    app.config["SECRET_KEY"] = "of a benchmark"
    app.config["SQLALCHEMY_DATABASE_URI"] = f"sqlite:///{folder}/{name}.db"
    db = SQLAlchemy(app)
    items = [f"Item {number}" for number in range(20)]
    app.add_url_rule("/", "hello", lambda: "<title>Hello</title>Hello, world")

    @app.get("/list")
    def show_list() -> str:
        db.session.execute(sa.text("SELECT 1")).all()
        return render_template_string(
            "<title>List</title><ul>{% for item in items %}<li>{{ item }}</li>{% endfor %}</ul>",
            items=items,
        )

    return app, db


def tracked(folder: str, name: str) -> tuple[Flask, cabc.Callable[[], object]]:
    app, db = make_app(folder, name)
    EventTrack(app, db)
    with app.app_context():
        db.create_all()
    state = find_state(app)
    assert state is not None
    return app, state.pipeline.flush


def inserting(folder: str) -> Flask:
    """An app that adds a row to ``db.session`` and commits in each request, as many do."""
    app, db = make_app(folder, "inserting")

    class Visit(db.Model):  # type: ignore[name-defined,misc]
        id: t.Any = sa.Column(sa.Integer, primary_key=True)
        path: t.Any = sa.Column(sa.String(255))

    with app.app_context():
        db.create_all()
        with db.engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA journal_mode = WAL")

    @app.after_request
    def insert(response: t.Any) -> t.Any:
        db.session.add(Visit(path="/"))
        db.session.commit()
        return response

    return app


def contest(folder: str) -> list[Contestant]:
    bare, _ = make_app(folder, "bare")
    ours, flush = tracked(folder, "ours")
    new, flush_new = tracked(folder, "new")
    listed, flush_list = tracked(folder, "listed")
    return [
        Contestant("hello-world: nothing", bare),
        Contestant("hello-world: Flask-EventTrack, returning visitor", ours, finish=flush),
        Contestant("hello-world: Flask-EventTrack, new visitor", new, "/", False, flush_new),
        Contestant("hello-world: db.session.add and commit", inserting(folder)),
        Contestant("template and query: nothing", bare, "/list"),
        Contestant("template and query: Flask-EventTrack", listed, "/list", finish=flush_list),
    ]


def measure(contestants: list[Contestant]) -> list[str]:
    """Return the table's rows: ratios to the last "nothing" above."""
    figures: dict[str, list[tuple[float, float]]] = {c.name: [] for c in contestants}
    for _ in range(ROUNDS):
        base = (1.0, 1.0)
        for contestant in contestants:
            figure = contestant.run()
            if contestant.name.endswith("nothing"):
                base = figure
            figures[contestant.name].append((figure[0] / base[0], figure[1] / base[1]))
    rows = []
    for name, ratios in figures.items():
        thread, process = (statistics.median(column) for column in zip(*ratios, strict=True))
        rows.append(f"| {name} | {thread:.2f} | {process:.2f} |")
    return rows


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        rows = measure(contest(folder))
    versions = ", ".join(
        f"{name} {importlib.metadata.version(name)}" for name in ("Flask", "Werkzeug", "SQLAlchemy")
    )
    table = "\n".join([HEAD, *rows])
    stamp = f"{dt.datetime.now(dt.UTC):%Y-%m-%d}, Python {platform.python_version()}, {versions}"
    README.write_text(REPORT.format(table=table, stamp=stamp, machine=platform.machine()))
    print(table)


main()
