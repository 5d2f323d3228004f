"""A collector and front ends on hosts of their own: ``python -m tests.browser.cross_site``.

All are on one port. The host ``api.…`` is the app with the collector, set up by the blocks of the
how-to guide; every other host has the front end's pages. ``FLASK_TLD`` is what host names end with.
"""

from __future__ import annotations

import collections.abc as cabc
import os
import pathlib
import re
import typing as t

from flask import Flask, render_template_string
from werkzeug.serving import run_simple

from flask_eventtrack import EventTrack, identify, logout

GUIDE = pathlib.Path(__file__).parents[2] / "docs" / "howto" / "front-end-elsewhere.md"
PAGE = """<!doctype html><html lang="en"><head><title>{title}</title><link rel="icon" href="data:,">
{head}</head><body>{body}</body></html>"""


def read_guide(language: str, tld: str, port: str) -> list[str]:
    """Return the guide's blocks in a language, with the hosts of the test."""
    text = GUIDE.read_text()
    text = re.sub(r"https://([\w.]+)\.example", rf"http://\1.{tld}:{port}", text)
    text = text.replace(".shop.example", f".shop.{tld}")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def create_app(tld: str, port: str) -> tuple[Flask, str, str]:
    """Make the app as the guide does; return it with the guide's tag and policy."""
    from flask_sqlalchemy import SQLAlchemy

    first, tag, other = read_guide("python", tld, port)
    names: dict[str, t.Any] = {"__name__": __name__}
    exec(first, names)
    exec(other, names)
    app: Flask = names["app"]
    app.config.from_prefixed_env()
    near = [f"https://scheme.shop.{tld}:{port}", f"http://port.shop.{tld}:{int(port) - 1}"]
    app.config["EVENTTRACK_ALLOWED_ORIGINS"] += near
    db, events = SQLAlchemy(app), EventTrack()
    events.define("note.add", anonymous=True)
    events.define("note.keep")
    events.init_app(app, db)
    add_pages(app, events)
    with app.app_context():
        db.create_all()
    exec(tag, names)
    [policy] = read_guide("text", tld, port)
    return app, names["make_tag"](app, f"http://api.shop.{tld}:{port}"), policy


def add_pages(app: Flask, events: EventTrack) -> None:
    """Add a page that the app renders, the doors of a customer, and their tokens."""

    def show(title: str) -> str:
        page = PAGE.format(title=title, head="{{ eventtrack_snippet() }}", body="")
        return render_template_string(page)

    @app.get("/")
    def home() -> str:
        return show("Home")

    @app.get("/enter")
    def enter() -> str:
        identify("42")
        return show("Entered")

    @app.get("/leave")
    def leave() -> str:
        logout()
        return show("Left")

    @app.get("/token/<customer>")
    def token(customer: str) -> str:
        return events.issue_token(customer)


def create_front_end(tld: str, port: str, tag: str, policy: str) -> Flask:
    """Make the host of the pages, which knows nothing of EventTrack but the guide's blocks."""
    front = Flask("front", static_folder=None)
    name, _, value = policy.strip().partition(": ")
    [script] = read_guide("javascript", tld, port)
    button = '<button id="add" data-eventtrack="note.add">Add</button>'

    @front.get("/")
    def tagged() -> tuple[str, dict[str, str]]:
        page = PAGE.format(title="Static", head=tag, body=button)
        return page, {name: value}

    @front.get("/own")
    def own() -> str:
        return PAGE.format(title="Own", head=f"<script>{script}</script>", body="")

    @front.get("/bare")
    def bare() -> str:
        return PAGE.format(title="Bare", head="", body="")

    @front.get("/framed")
    def framed() -> str:
        frame = '<iframe sandbox="allow-scripts" src="/bare"></iframe>'
        return PAGE.format(title="Framed", head="", body=frame)

    return front


def main(tld: str, port: str) -> None:
    app, tag, policy = create_app(tld, port)
    front = create_front_end(tld, port, tag, policy)

    def route(environ: dict[str, t.Any], start_response: t.Any) -> cabc.Iterable[bytes]:
        is_api = environ["HTTP_HOST"].startswith(("api.", "127.0.0.1"))
        return (app if is_api else front)(environ, start_response)

    run_simple("127.0.0.1", int(port), route, threaded=True)


if __name__ == "__main__":
    main(os.environ["FLASK_TLD"], os.environ["PORT"])
