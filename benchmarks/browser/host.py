"""The site that the trackers are on, with the faults that it is asked for.

``python -m benchmarks.browser.host <folder>`` prints its port and runs until its standard input
ends. A page's host name says what is on it: ``slow-2-life17.ahoy.localhost`` is one with
ahoy.js, whose first two posts are answered slowly. The address ``127.0.0.1`` tells what came.
"""

from __future__ import annotations

import collections
import collections.abc as cabc
import dataclasses
import io
import json
import logging
import pathlib
import sys
import threading
import time
import typing as t

from flask import Flask, render_template_string
from flask_sqlalchemy import SQLAlchemy
from werkzeug import Request, Response
from werkzeug.serving import make_server

from flask_eventtrack import EventTrack

from .addresses import (
    DATABASE,
    DELAY,
    EMPTY,
    PAGE,
    PRERENDERING,
    RETRY_AFTER,
    SLOW,
    THROTTLED,
    TWICE,
    UNAVAILABLE,
    WELL,
    Arrival,
    Origin,
)
from .trackers import NOTHING, OURS, PEERS, Tracker

_HTML = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<link rel="icon" href="data:,">{head}</head><body><h1>{title}</h1></body></html>"""
_RULES = """<script type="speculationrules">
{"prerender": [{"source": "list", "urls": ["/page"], "eagerness": "immediate"}]}
</script>"""
_BARE = {
    EMPTY: _HTML.format(title="Empty", head=""),
    PRERENDERING: _HTML.format(title="Prerendering", head=_RULES),
}


def _pages(tracker: Tracker) -> dict[str, str]:
    return {
        PAGE: _HTML.format(title="Page", head=tracker.tag + tracker.start),
        TWICE: _HTML.format(title="Twice", head=tracker.tag * 2 + tracker.start),
    }


def _make_ours(folder: pathlib.Path) -> Flask:
    app = Flask("ours", instance_path=str(folder))
    app.config["SECRET_KEY"] = "of a benchmark"
    app.config["SQLALCHEMY_DATABASE_URI"] = f"sqlite:///{folder / DATABASE}"
    app.config["EVENTTRACK_SPA"] = True
    db = SQLAlchemy(app)
    events = EventTrack()

    @events.define("bench.click", anonymous=True)
    @dataclasses.dataclass
    class Click:
        key: str

    events.init_app(app, db)
    with app.app_context():
        db.create_all()
    for path, html in _pages(OURS).items():
        app.add_url_rule(path, path[1:], lambda html=html: render_template_string(html))
    return app


def _make_others() -> cabc.Callable[..., t.Any]:
    """Return an app that has the peers' pages, and takes what they send."""
    scripts = {f"/scripts/{peer.slug}.js": peer.read() for peer in PEERS}
    pages = {tracker.slug: _pages(tracker) for tracker in (*PEERS, NOTHING)}

    @Request.application
    def application(request: Request) -> Response:
        if request.method != "GET":
            return Response("{}", mimetype="application/json")
        if script := scripts.get(request.path):
            return Response(script, mimetype="text/javascript")
        page = pages.get(_slug_of(request), {}).get(request.path) or _BARE.get(request.path)
        return Response(page or "", 200 if page else 404, mimetype="text/html")

    return application


def _slug_of(request: Request) -> str:
    return request.host.split(".")[1]


class _Site:
    def __init__(self, folder: pathlib.Path) -> None:
        self._ours = _make_ours(folder)
        self._others = _make_others()
        self._lock = threading.Lock()
        self._arrivals: dict[str, list[Arrival]] = collections.defaultdict(list)

    def __call__(self, environ: dict[str, t.Any], start_response: t.Any) -> cabc.Iterable[bytes]:
        request = Request(environ)
        name = request.host.partition(":")[0]
        answer = self._tell if name == "127.0.0.1" else self._answer
        return answer(request, name)(environ, start_response)

    def _tell(self, request: Request, name: str) -> Response:
        arrivals = self._arrivals[request.path[1:]]
        return Response(json.dumps(arrivals), mimetype="application/json")

    def _answer(self, request: Request, name: str) -> cabc.Callable[..., t.Any]:
        body = request.get_data()
        fault = self._note(request, name, body)
        if fault == UNAVAILABLE:
            return Response("Try again.", 503)
        if fault == THROTTLED:
            return Response("Later.", 429, {"Retry-After": str(RETRY_AFTER)})
        environ = {**request.environ, "wsgi.input": io.BytesIO(body)}
        is_ours = _slug_of(request) == OURS.slug and request.path not in _BARE
        response = Response.from_app(
            self._ours if is_ours else self._others, environ, buffered=True
        )
        if fault == SLOW:
            time.sleep(DELAY)
        return response

    def _note(self, request: Request, name: str, body: bytes) -> str:
        """Return the fault that meets the request."""
        origin = Origin.parse(name.partition(".")[0])
        with self._lock:
            arrivals = self._arrivals[name]
            posts = sum(arrival.method == "POST" for arrival in arrivals)
            is_met = request.method == "POST" and posts < origin.posts
            fault = origin.fault if is_met else WELL
            text = body.decode("latin-1")
            spoilt = fault in (UNAVAILABLE, THROTTLED)
            arrivals.append(Arrival(request.method, request.path, spoilt, text))
        return fault


def main(folder: str) -> None:
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = make_server("127.0.0.1", 0, _Site(pathlib.Path(folder)), threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_port, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main(sys.argv[1])
