"""``{{ eventtrack_snippet() }}``: the one tag that a template includes."""

from __future__ import annotations

import sys

from flask import has_request_context, request
from markupsafe import Markup
from werkzeug.exceptions import HTTPException

from ..state import find_state, this_app
from ..visitor.tokens import VisitToken
from .current import get_current
from .pages import is_page_request

_TAG = Markup('<script async src="{src}"{attributes}></script>')


def eventtrack_snippet(nonce: str | None = None) -> Markup:
    """Return the ``<script>`` tag of the browser's half, without inline code.

    On a page that is no visit (an error page, an answer to a form, an exempt view) the script
    takes events and counts no visit.

    :param nonce: the value for a Content-Security-Policy with ``script-src 'nonce-…'``.
    """
    state = find_state(this_app())
    if state is None or not state.config.enabled or not has_request_context():
        return Markup("")
    attributes = Markup("")
    try:
        current = get_current(state)
        if is_page_request(current) and not _is_error_page():
            token = VisitToken(current.visit_id, current.visitor.device_id)
            attributes += Markup(' data-visit="{}"').format(state.tokens.write_visit(token))
        else:
            attributes += Markup(' data-page="off"')
    except Exception as error:  # noqa: BLE001 - the edge: the page is rendered whatever we do
        state.report_failure("rendering the snippet", error)
    if nonce:
        attributes += Markup(' nonce="{}"').format(nonce)
    # Not by `url_for`: a host's url_defaults or caches must not change an immutable address.
    src = f"{request.script_root}{state.config.url_prefix}/et.{state.script.digest}.js"
    return _TAG.format(src=src, attributes=attributes)


def _is_error_page() -> bool:
    """Whether an error handler is rendering: Flask calls it inside its ``except`` block."""
    return isinstance(sys.exc_info()[1], HTTPException)
