"""Which requests may be page visits, by what is known of them before their answer."""

from __future__ import annotations

import re
import typing as t
import uuid as uuidlib

from flask import Request

from ..state import OWN_BLUEPRINTS, this_app
from .context import Current

#: The attribute that marks what is ``@events.exempt``.
EXEMPT = "eventtrack_exempt"

# The destinations of pages within pages, as the Fetch standard names them.
_FRAMES = frozenset({"iframe", "frame", "fencedframe", "embed", "object"})
# Android's WebViews send the name of their app's package in X-Requested-With.
_PACKAGE = re.compile(r"[a-z]\w*(?:\.[a-z]\w*)+", re.ASCII | re.IGNORECASE)

# Of libraries that put parts into a page: Unpoly, Inertia, pjax, Alpine AJAX, Datastar, Barba.
_OF_LIBRARIES = (
    *("HTTP_X_UP_VERSION", "HTTP_X_UP_TARGET", "HTTP_X_INERTIA", "HTTP_X_PJAX"),
    *("HTTP_X_ALPINE_REQUEST", "HTTP_DATASTAR_REQUEST", "HTTP_X_BARBA"),
)


def is_navigation(environ: t.Mapping[str, str], *, in_frames: bool = False) -> bool:
    """Whether a browser asks for a whole page to show it, and not a script for a part of one.

    :param in_frames: whether pages in frames count.
    """
    destination = environ.get("HTTP_SEC_FETCH_DEST")
    if destination != "document":
        mode = environ.get("HTTP_SEC_FETCH_MODE")
        if not destination:
            navigates = mode == "navigate" if mode else _looks_like_navigation(environ)
        elif destination == "empty":
            navigates = mode == "navigate" or _is_forwarded(environ, mode)
        else:
            navigates = in_frames and mode == "navigate" and destination in _FRAMES
        if not navigates:
            return False
    return not (
        environ.get("HTTP_HX_REQUEST")
        or environ.get("HTTP_TURBO_FRAME")
        or environ.get("HTTP_X_TURBO_REQUEST_ID")
        or ((sender := environ.get("HTTP_X_REQUESTED_WITH")) and not _PACKAGE.fullmatch(sender))
    )


def _looks_like_navigation(environ: t.Mapping[str, str]) -> bool:
    """Whether a request without ``Sec-Fetch`` headers may be for a page, not a script's for a part.

    Browsers send none over plain HTTP. A navigation accepts HTML by name, a ``fetch()`` anything.
    Programs such as curl accept anything too, but name no language.
    """
    is_fetch = "HTTP_ACCEPT_LANGUAGE" in environ and "html" not in environ.get(
        "HTTP_ACCEPT", "html"
    )
    return not (is_fetch or any(map(environ.get, _OF_LIBRARIES)))


def _is_forwarded(environ: t.Mapping[str, str], mode: str | None) -> bool:
    """Whether a service worker forwards a navigation as a new ``Request``.

    ``fetch(event.request)`` keeps the mode "navigate". A new ``Request`` made from it has another
    mode, and keeps the header that browsers send with navigations only.
    """
    has_mode = mode in {"same-origin", "cors"}
    return has_mode and environ.get("HTTP_UPGRADE_INSECURE_REQUESTS") == "1"


def may_be_page(current: Current) -> bool:
    """Whether the request navigates to a view that has pages.

    ``EVENTTRACK_PAGE_VISIT_FILTER`` is not asked: it may read what the view has yet to prepare.
    """
    may_be = current.may_be_page
    if may_be is None:
        request, in_frames = current.request, current.state.config.frames is not False
        may_be = current.may_be_page = (
            request.method == "GET"
            and is_navigation(request.environ, in_frames=in_frames)
            and has_page(current)
        )
    return may_be


def find_visit(current: Current) -> uuidlib.UUID | None:
    """Return the id of the page visit that a person's request may be."""
    is_visit = current.verdict.is_person and may_be_page(current)
    return current.visit_id if is_visit else None


def has_page(current: Current) -> bool:
    """Whether the answers of the request's view may be page visits."""
    request, state = current.request, current.state
    if request.url_rule is None or request.routing_exception:
        return False
    endpoint = request.url_rule.endpoint
    has_pages = state.has_pages.get(endpoint)
    if has_pages is None:
        has_pages = state.has_pages[endpoint] = _has_pages(request, endpoint)
    return has_pages


def _has_pages(request: Request, endpoint: str) -> bool:
    """Whether a view's answers may be page visits."""
    if getattr(request.url_rule, "websocket", False):
        return False
    if request.blueprint in OWN_BLUEPRINTS or endpoint == "static" or endpoint.endswith(".static"):
        return False
    return not _is_exempt(request)


def _is_exempt(request: Request) -> bool:
    """Whether the view, its class, its object or one of its blueprints is ``@events.exempt``."""
    app = this_app()
    view = app.view_functions.get(request.endpoint or "")
    view_class = getattr(view, "view_class", None)
    # The views of Flask-Admin and Flask-AppBuilder are methods of an object.
    owner = getattr(view, "__self__", None)
    blueprints = [app.blueprints.get(name) for name in request.blueprints]
    marked = (
        *(view, getattr(view, "func", None)),  # of a functools.partial
        *(view_class, getattr(view_class, "get", None)),
        *(getattr(view_class, "dispatch_request", None), owner, getattr(owner, "admin", None)),
    )
    return any(getattr(each, EXEMPT, False) for each in (*marked, *blueprints))
