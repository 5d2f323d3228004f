"""The overview: one page that says what happened."""

from __future__ import annotations

from flask import Response

from ..request.access import Access
from ..state import State
from .render import render


def show_overview(state: State, access: Access) -> Response:
    """Show the overview."""
    return render(state, access, "overview", "Overview")
