"""What the blueprint serves beside the collector: the scripts, and what describes it."""

from __future__ import annotations

import msgspec
from flask import Response, request
from werkzeug.exceptions import HTTPException

from ..catalogue import describe_catalogue
from ..state import State, get_state
from .problems import not_found, problem

_SCRIPT_HEADERS = {
    # A proxy that minifies would break the tag's `integrity`.
    "Cache-Control": "public, max-age=31536000, immutable, no-transform",
    "Vary": "Accept-Encoding",
    "X-Content-Type-Options": "nosniff",
    # Without secrets: pages of other subdomains, and isolated ones, may load it too.
    "Access-Control-Allow-Origin": "*",
    "Cross-Origin-Resource-Policy": "cross-origin",
}
_API_HEADERS = {
    "Cache-Control": "public, max-age=300",
    "X-Content-Type-Options": "nosniff",
    "Access-Control-Allow-Origin": "*",
}
_CATALOGUE_HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


def serve_script(digest: str, name: str) -> Response:
    scripts = get_state().scripts
    script = scripts.get(f"{name}.js")
    if script is None or digest != scripts.digest:
        return problem(404, "not_found", "This is no current script.")
    response = Response(mimetype="text/javascript")
    response.headers.update(_SCRIPT_HEADERS)
    accepted = request.accept_encodings
    if script.brotli and accepted.quality("br"):
        response.headers["Content-Encoding"] = "br"
        response.set_data(script.brotli)
    elif accepted.quality("gzip"):
        response.headers["Content-Encoding"] = "gzip"
        response.set_data(script.gzip)
    else:
        response.set_data(script.source)
    return response


def serve_openapi() -> Response:
    from .openapi import describe

    state, scripts = get_state(), get_state().scripts
    server = request.script_root + state.config.url_prefix
    document = describe(server, scripts.digest, tuple(sorted(scripts)))
    response = Response(document, mimetype="application/json")
    response.headers.update(_API_HEADERS)
    return response


def serve_catalogue() -> Response:
    state = get_state()
    if not _may_view(state):
        return not_found()
    document = msgspec.json.encode(describe_catalogue(state.catalogue))
    response = Response(document, mimetype="application/json")
    response.headers.update(_CATALOGUE_HEADERS)
    return response


def _may_view(state: State) -> bool:
    """Whether the host lets who asks see what is for its own people only."""
    ask = state.config.dashboard_permission
    try:
        return ask is not None and ask() in (True, "view", "manage")
    except HTTPException:  # as abort(403) raises it
        return False
    except Exception as error:  # noqa: BLE001 - the edge: what fails opens nothing
        state.report_failure("asking for EVENTTRACK_DASHBOARD_PERMISSION", error)
        return False
