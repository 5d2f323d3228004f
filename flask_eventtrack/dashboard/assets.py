"""The stylesheet and the script of the pages."""

from __future__ import annotations

import pathlib

from flask import Response

from ..request.access import Access
from ..state import State

_STATIC = pathlib.Path(__file__).with_name("static")
_HEADERS = {"Cache-Control": "private, max-age=300", "X-Content-Type-Options": "nosniff"}


def serve_stylesheet(state: State, access: Access) -> Response:
    """Serve the stylesheet, with the host's accent."""
    text = (_STATIC / "dashboard.css").read_text("utf-8")
    if state.config.dashboard_accent:
        text += f":root{{--accent:{state.config.dashboard_accent}}}\n"
    return Response(text, mimetype="text/css", headers=_HEADERS)


def serve_script(state: State, access: Access) -> Response:
    """Serve the script."""
    text = (_STATIC / "dashboard.js").read_text("utf-8")
    return Response(text, mimetype="text/javascript", headers=_HEADERS)
