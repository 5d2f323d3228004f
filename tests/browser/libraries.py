"""Pages of the browser tests' site whose links HTMX or Turbo Drive follows."""

from __future__ import annotations

import pathlib
import time

from flask import Flask, Response, render_template_string, request, send_from_directory

from tests.servers import skip_absent

MODULES = pathlib.Path(__file__).parents[2] / "node_modules"
#: name → the library's script
LIBRARIES = {
    "htmx": "htmx.org/dist/htmx.min.js",
    "htmx2": "htmx2/dist/htmx.min.js",
    "turbo": "@hotwired/turbo/dist/turbo.es2017-umd.js",
}
PAGE = """<!doctype html><html lang="en"><head><title>{{ name }}</title>
<link rel="icon" href="data:,"><script src="/modules/{{ script }}"></script>
{% if "body" not in request.args %}{{ eventtrack_snippet() }}{% endif %}</head>
<body>{% for other in ["one", "two", "three"] %}
<a id="{{ other }}" hx-boost="true"
  href="{{ other }}?{{ request.query_string.decode() }}">{{ other }}</a>
{% endfor %}
<button data-eventtrack="note.add" data-eventtrack-on="{{ name }}">Add</button>
{% if "body" in request.args %}{{ eventtrack_snippet() }}{% endif %}
</body></html>"""


def require_library(name: str) -> None:
    """Skip where the library is not installed."""
    if not (MODULES / LIBRARIES[name]).exists():
        skip_absent("node_modules", f"no {LIBRARIES[name]}")


def add_library_pages(app: Flask) -> None:
    """Add ``/with/<library>/<name>``. With ``?body`` the tag is in the body, and with
    ``?wait=<seconds>`` the library waits so long for its answers."""

    @app.get("/modules/<path:path>")
    def module(path: str) -> Response:
        return send_from_directory(MODULES, path)

    @app.get("/with/<library>/<name>")
    def page_with_library(library: str, name: str) -> str:
        if request.headers.get("Sec-Fetch-Dest") == "empty":
            time.sleep(float(request.args.get("wait", 0)))
        html = render_template_string(PAGE, name=name, script=LIBRARIES[library])
        return html.replace("<script async", '<script data-spa="path" async')
