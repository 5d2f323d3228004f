"""``POST /_et/mcp``: assistants ask over HTTP, with a report token."""

from __future__ import annotations

from flask import Blueprint, Flask, Response, request

from ..collector.body import read_body
from ..dashboard.render import respond
from ..request.access import find_token_access
from ..request.places import ALL_METHODS, find_places
from ..request.problems import Refused, not_found, problem
from ..state import get_state
from .protocol import Headers, answer
from .toolbox import Toolbox

_TYPES = frozenset({"application/json"})


def add_endpoint(app: Flask, blueprint: Blueprint) -> None:
    """Add the route to the dashboard's blueprint."""
    for place in find_places(app):
        # The names of all endpoints that report tokens open end with "_json" or "_csv".
        blueprint.add_url_rule(
            "/mcp",
            "mcp_json",
            _answer,
            methods=ALL_METHODS,
            provide_automatic_options=False,
            **place,
        )


def _answer() -> Response:
    state = get_state()
    access = find_token_access(state)
    if access is None:
        return not_found()
    if request.method != "POST":
        return problem(405, "method_not_allowed", "Use POST.", Allow="POST")
    # Browsers send it with each post. Our own origin is refused, too: by "DNS rebinding", the page
    # of another site can have a host name that leads to us.
    if "Origin" in request.headers:
        return problem(403, "foreign_origin", "Browsers may not ask here.")
    try:
        body = read_body(_TYPES)
    except Refused as refusal:
        return refusal.response
    names = ("MCP-Protocol-Version", "Mcp-Method", "Mcp-Name")
    said = answer(body, Toolbox(state, access), Headers(*map(request.headers.get, names)))
    if said is None:
        return Response(status=202)
    response = respond(said.body, "application/json")
    response.status_code = said.status
    return response
