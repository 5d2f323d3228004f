"""The small site of the browser tests: ``python -m tests.browser.site``."""

from __future__ import annotations

import os

from flask import Flask, Response, make_response, render_template_string, request
from markupsafe import Markup

from flask_eventtrack import EventTrack, identify, logout
from tests.browser.hostile import add_hostile_pages
from tests.browser.libraries import add_library_pages
from tests.browser.secrets import add_secret_pages
from tests.browser.tagged import add_tagged_pages
from tests.browser.workers import add_worker_pages
from tests.hosts import add_pages

PAGE = """<!doctype html><html lang="en"><head><title>{{ title }}</title>
{{ eventtrack_snippet() }}{{ more }}</head>
<body><a href="/other">other</a><a href="/conditional">conditional</a></body></html>"""


def create_app() -> Flask:
    """Make the site; the database and the key come from ``FLASK_*`` variables."""
    from flask_sqlalchemy import SQLAlchemy

    app = Flask("site")
    app.config.from_prefixed_env()
    db = SQLAlchemy(app)
    events = EventTrack()
    events.define("note.add", anonymous=True)
    events.define("note.keep")
    events.init_app(app, db)
    add_pages(app)
    add_awkward_pages(app)
    add_tagged_pages(app, events)
    add_hostile_pages(app)
    add_secret_pages(app)
    add_library_pages(app)
    add_worker_pages(app, events)
    with app.app_context():
        db.create_all()
    return app


def add_awkward_pages(app: Flask) -> None:  # noqa: C901 - a list of views
    """Add pages that caches keep, pages with errors, and pages with the tag twice."""

    def show(title: str, more: str = "") -> str:
        return render_template_string(PAGE, title=title, more=more)

    @app.get("/xhtml")
    def xhtml() -> Response:
        text = PAGE.replace("<!doctype html><html", '<html xmlns="http://www.w3.org/1999/xhtml"')
        text = render_template_string(text, title="XHTML", more="")
        return Response(text, mimetype="application/xhtml+xml")

    @app.get("/other")
    def other() -> str:
        return show("Other")

    @app.get("/cached")
    def cached() -> Response:
        response = make_response(show("Cached"))
        response.headers["Cache-Control"] = "private, max-age=600"
        return response

    @app.get("/public")
    def public() -> Response:
        response = make_response(show("Public"))
        response.headers["Cache-Control"] = "public, max-age=600"
        return response

    @app.get("/conditional")
    def conditional() -> Response:
        response = make_response(show("Conditional"))
        response.headers["Cache-Control"] = "private, no-cache"
        response.set_etag("fixed")
        response.make_conditional(request)
        return response

    @app.get("/gone")
    def gone() -> tuple[str, int]:
        return show("Gone"), 410

    reports: list[object] = []

    @app.get("/policy/<name>")
    def policy(name: str) -> Response:
        response = make_response(render_template_string(GUARDED, nonce=NONCES[name]))
        response.headers["Content-Security-Policy"] = POLICIES[name]
        return response

    @app.route("/reports", methods=["GET", "POST"])
    def report() -> list[object]:
        if request.method == "POST":
            reports.append(request.get_json(force=True)["csp-report"]["effective-directive"])
        return reports

    @app.get("/twice")
    def twice() -> str:
        return render_template_string(
            PAGE.replace("{{ more }}", "{{ eventtrack_snippet() }}"), title="Twice"
        )

    @app.get("/enter")
    @app.get("/enter/<customer>")
    def enter(customer: str = "42") -> str:
        identify(customer)
        return show("Entered")

    @app.get("/leave")
    def leave() -> str:
        logout()
        return show("Left")

    @app.get("/framed")
    def framed() -> str:
        return '<!doctype html><title>Framed</title><iframe sandbox="allow-scripts" src="/bare">'

    @app.get("/bare")
    def bare() -> str:
        return show("Bare")

    @app.get("/app")
    @app.get("/app/<path:path>")
    def single_page(path: str = "") -> str:
        spa = "hash" if path == "hash" else "path"
        return show("App").replace("<script", f'<script data-spa="{spa}" data-debug', 1)

    @app.get("/hostile")
    def hostile() -> str:
        return show("Hostile", HOSTILE)


GUARDED = """<!doctype html><html lang="en"><head><title>Guarded</title>
{{ eventtrack_snippet(nonce=nonce) }}</head><body>
<button id="add" data-eventtrack="note.add" data-eventtrack-view data-eventtrack-hover
data-eventtrack-dwell="0">Add</button>
<form data-eventtrack action="/other"><input id="go" type="submit"></form></body></html>"""
#: name → the nonce of the tag, and the policy
NONCES = {"self": None, "nonce": "r4nd0m"}
POLICIES = {
    name: f"default-src 'none'; script-src {source}; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'; require-trusted-types-for 'script'; trusted-types 'none'; report-uri /reports"
    for name, source in {"self": "'self'", "nonce": "'nonce-r4nd0m'"}.items()
}
#: A script that breaks what a page can break, once ours is there.
HOSTILE = Markup("""<script>addEventListener("eventtrack:ready", () => {
    const refuse = () => { throw Error("hostile") };
    for (const name of ["fetch", "setTimeout", "clearTimeout", "Promise", "CustomEvent"])
        window[name] = refuse;
    for (const name of ["localStorage", "crypto", "requestIdleCallback", "AbortSignal"])
        Object.defineProperty(window, name, { get: refuse });
    JSON.stringify = JSON.parse = Date.now = Math.random = refuse;
    navigator.sendBeacon = refuse;
    eventtrack.track("note.add");
})</script>""")


if __name__ == "__main__":
    certificate = "adhoc" if os.environ.get("SCHEME") == "https" else None
    create_app().run(port=int(os.environ["PORT"]), threaded=True, ssl_context=certificate)
