"""``{{ eventtrack_snippet() }}``: the one tag that a template includes."""

from __future__ import annotations

import re
import sys

from flask import has_request_context
from markupsafe import Markup, escape
from werkzeug.exceptions import HTTPException

from ..browser import CORE, Scripts
from ..config import Config
from ..identity.tokens import VisitToken
from ..request.context import Current, get_current
from ..state import find_state, this_app
from .hooks import is_later_page, is_page_request

_NAME = re.compile(r"[a-z][a-z0-9.-]*")
# The tag's own attributes: a second one of a name would make a page of XML ill-formed.
_OWN = frozenset(
    {
        *("async", "src", "integrity", "crossorigin", "nonce"),
        *("data-visit", "data-page", "data-spa", "data-policy", "data-gpc", "data-debug"),
    }
)


def make_tag(config: Config, scripts: Scripts) -> Markup:
    """Return what the tags of all pages have in common, from the prefix on."""
    integrity = scripts[CORE].integrity
    tag = f'{config.url_prefix}{scripts.path(CORE)}" integrity="{integrity}" crossorigin=""'
    if config.spa:
        tag += f' data-spa="{"path" if config.spa is True else config.spa}"'
    if config.default_policy != "full":
        tag += f' data-policy="{config.default_policy}"'
    if config.gpc != "anonymous":
        tag += f' data-gpc="{config.gpc}"'
    if config.debug_js:
        tag += ' data-debug=""'
    return Markup(tag)  # noqa: S704 - nothing in it needs escaping


def eventtrack_snippet(nonce: str | None = None, **attributes: str | bool | None) -> Markup:
    """Return the ``<script>`` tag of the browser's half, without inline code.

    On a page that is not a visit (an error page, an answer to a form, an exempt view) the script
    sends events but counts no visit.

    :param nonce: the value for a Content-Security-Policy with ``script-src 'nonce-…'``.
    :param attributes: more attributes of the tag, with ``_`` for ``-``:
        ``data_cfasync="false"``. With True the value is empty; with None or False there is no
        attribute.
    """
    state = find_state(this_app())
    if state is None or not state.config.enabled or not has_request_context():
        return Markup("")
    visit = more = ""
    current = get_current(state)
    try:
        visit = _describe_visit(current)
        more = _render(attributes) if attributes else ""
    except Exception as error:  # noqa: BLE001 - as in a guard, in less time
        state.report_failure("rendering the snippet", error)
    # Not by `url_for`: a host's url_defaults or caches must not change an immutable address.
    root = current.request.script_root
    src = escape(root) if root else ""
    nonce = f' nonce="{escape(nonce)}"' if nonce else ""
    # Each attribute has a value, as XML demands.
    return Markup(  # noqa: S704
        f'<script async="" src="{src}{state.tag}{visit}{nonce}{more}></script>'
    )


def _render(attributes: dict[str, str | bool | None]) -> str:
    """Return attributes as HTML.

    :raises ValueError: a name is one of the tag's own, or cannot be a name.
    """
    tag = ""
    for key, value in attributes.items():
        name = key.rstrip("_").replace("_", "-").lower()  # such as class_
        if name in _OWN or not _NAME.fullmatch(name):
            raise ValueError(f"eventtrack_snippet() takes no attribute {name!r}.")
        if value is not None and value is not False:
            tag += f' {name}="{"" if value is True else escape(value)}"'
    return tag


def _describe_visit(current: Current) -> str:
    """Return what a page's tag says of its visit.

    A cache may show the page to others. So the tag must not reveal a refusal or a bot: it then
    names a visit that is never stored.
    """
    # Flask calls an error handler, which may render this, inside its ``except`` block.
    is_error_page = isinstance(sys.exc_info()[1], HTTPException)
    if is_error_page or not (is_page_request(current) or is_later_page(current)):
        return ' data-page="off"'
    token = VisitToken(current.visit_id, current.visitor.device_id)
    return f' data-visit="{current.state.tokens.write_visit(token)}"'
