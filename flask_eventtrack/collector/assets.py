"""The files that the blueprint serves: scripts, the collector's description, and the catalogue."""

from __future__ import annotations

import pathlib

import msgspec
from flask import Response, request

from ..catalogue.schema import describe_catalogue
from ..request.access import find_access
from ..request.problems import not_found, problem
from ..state import get_state

_OPENAPI = pathlib.Path(__file__).with_name("openapi.json")
_SCRIPT_HEADERS = {
    # A proxy that minified the script would break the `integrity` of the tag.
    "Cache-Control": "public, max-age=31536000, immutable, no-transform",
    "Vary": "Accept-Encoding",
    "X-Content-Type-Options": "nosniff",
    # Scripts hold no secrets: other subdomains and cross-origin isolated pages may load them.
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
    """Serve a script of the current version, compressed as the client accepts it."""
    scripts = get_state().scripts
    script = scripts.get(f"{name}.js")
    if script is None or digest != scripts.digest:
        return problem(404, "not_found", "This version has no such script.")
    response = Response(script.source, mimetype="text/javascript", headers=_SCRIPT_HEADERS)
    accepted = request.accept_encodings
    if script.brotli and accepted.quality("br"):
        response.headers["Content-Encoding"] = "br"
        response.set_data(script.brotli)
    elif accepted.quality("gzip"):
        response.headers["Content-Encoding"] = "gzip"
        response.set_data(script.gzip)
    return response


def serve_openapi() -> Response:
    """Serve the description, with the paths of the collector and of the scripts in this app."""
    state = get_state()
    document = msgspec.json.decode(_OPENAPI.read_bytes())
    document["servers"] = [{"url": request.script_root + state.config.url_prefix}]
    script = document["paths"]["/{digest}/{name}.js"]["get"]
    script["parameters"][0]["schema"]["const"] = state.scripts.digest
    return _json(document, _API_HEADERS)


def serve_catalogue() -> Response:
    """Serve the definitions, if the host app permits this request to see them."""
    state = get_state()
    if find_access(state, by_token=True) is None:
        return not_found()
    return _json(describe_catalogue(state.catalogue), _CATALOGUE_HEADERS)


def _json(document: object, headers: dict[str, str]) -> Response:
    return Response(msgspec.json.encode(document), mimetype="application/json", headers=headers)
