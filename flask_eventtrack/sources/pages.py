"""Page visits: one for each HTML document that is answered to a person."""

from __future__ import annotations

import html
import re
import typing as t

from flask import Flask, Request, Response

from ..event import PAGE_VISIT, Event, Outcome, PageView, clean_text, from_ns
from ..signals import event_accepted
from ..state import State, send, this_app
from ..visitor import UrlCleaner, campaign_of
from .current import Current, get_current, site_of

EXEMPT = "eventtrack_exempt"
BLUEPRINT = "eventtrack"
TITLE_MAX_LENGTH = 255
_HTML_TYPES = frozenset({"text/html", "application/xhtml+xml"})
_HEAD_BYTES = 64 * 1024
_CLOSING = {
    b"<!--": b"-->",
    b"<script": b"</script",
    b"<style": b"</style",
    b"<template": b"</template",
    b"<svg": b"</svg",
    b"<title": b"</title",
}
# What may hold a <title> that is not the document's is skipped; the head's end ends the search.
_OPENING = re.compile(rb"<!--|<(?:script|style|template|svg|title|body)\b|</head\b")


class PageHooks:
    """What runs around each request of an app: it notes the arrival, reads the title, records the
    visit and sends the cookies."""

    def __init__(self, state: State) -> None:
        self._state = state

    def register(self, app: Flask) -> None:
        """Take our places among the app's hooks: before all, in the usual order, and after all.

        Hooks that compress a body run after the one that reads its title; the visit is recorded
        when every other hook has had its say (Flask runs them in reverse).
        """
        app.before_request_funcs.setdefault(None, []).insert(0, self.note_arrival)
        app.after_request(self.read_title)
        app.after_request_funcs.setdefault(None, []).insert(0, self.finish)

    def note_arrival(self) -> None:
        if not self._state.is_set_up:
            try:
                _exempt_from_csrf_protect(this_app(), self._state)
            except Exception as error:  # noqa: BLE001 - the edge: the host's own page goes on
                self._state.report_failure("exempting the collector from CSRFProtect", error)
        get_current(self._state)

    def read_title(self, response: Response) -> Response:
        try:
            current = get_current(self._state)
            if is_page_request(current) and _is_page_response(current, response):
                current.title = find_title(response)
        except Exception as error:  # noqa: BLE001 - the edge: the page goes out whatever we do
            self._state.report_failure("reading a title", error)
        return response

    def finish(self, response: Response) -> Response:
        try:
            current = get_current(self._state)
            if current.request.blueprint != BLUEPRINT:
                _finish(current, response)
        except Exception as error:  # noqa: BLE001 - the edge: the page goes out whatever we do
            self._state.report_failure("recording a page visit", error)
        return response


def _exempt_from_csrf_protect(app: Flask, state: State) -> None:
    """Flask-WTF's token is unknown to cached pages; the collector has checks of its own."""
    state.is_set_up = True
    protect = app.extensions.get("csrf")
    if protect is not None and hasattr(protect, "exempt"):
        protect.exempt(app.blueprints[BLUEPRINT])


def _finish(current: Current, response: Response) -> None:
    is_shared = _is_shared(response)
    is_visit = is_page_request(current) and _is_page_response(current, response)
    # A shared page cannot hand out a device; the browser reports a newcomer's visit itself.
    if is_visit and not (is_shared and current.visitor.is_new):
        _record_visit(current, response)
    if current.recorded and not is_shared:
        current.send_cookies(response)


def _record_visit(current: Current, response: Response) -> None:
    state, request, arrival = current.state, current.request, current.arrival
    if not state.access.admits(PAGE_VISIT, current.site):
        return
    current.open_session(arrival)
    environ, visitor, rule = request.environ, current.visitor, request.url_rule
    view = PageView(
        id=current.visit_id,
        time=from_ns(arrival),
        uuid=visitor.uuid,
        session=visitor.session,
        scheme=environ["wsgi.url_scheme"],
        host=request.host,
        script_root=environ.get("SCRIPT_NAME", ""),
        path=request.path,
        query=environ.get("QUERY_STRING", ""),
        endpoint=request.endpoint or "",
        url_rule=rule.rule if rule else "",
        referrer=environ.get("HTTP_REFERER", ""),
        title=current.title,
        status=response.status_code,
        duration_ns=max(0, state.clock() - arrival),
        client=current.client(),
    )
    if not current.put(view):
        state.pipeline.count(Outcome("dropped", PAGE_VISIT, "no room"))
    elif event_accepted.receivers:
        send(state, event_accepted, event=expand(view, state.urls))


def expand(view: PageView, urls: UrlCleaner) -> Event:
    """Return the event of a page view: the writer does what the request did not wait for."""
    path = view.script_root + view.path
    url = urls.compose(view.scheme, view.host, path, view.query)
    params: dict[str, t.Any] = {
        "url": url,
        "path": path,
        "endpoint": view.endpoint,
        "url_rule": view.url_rule,
        "referrer": urls.clean(view.referrer),
        "title": view.title,
        "status": view.status,
        "duration_ms": view.duration_ns / 1e6,
        **campaign_of(url),
    }
    return Event(
        id=view.id,
        action=PAGE_VISIT,
        time=view.time,
        received_at=view.time,
        uuid=view.uuid,
        params={
            name: clean_text(value) if isinstance(value, str) else value
            for name, value in params.items()
            if value != ""
        },
        session=view.session,
        site=site_of(view.host),
        url_rule=clean_text(view.url_rule)[:255],
        client=view.client,
        half="server",
    )


def is_page_request(current: Current) -> bool:
    """Whether the request may be a page visit, as far as the request tells."""
    if current.is_page is None:
        current.is_page = _looks_like_page(current)
    return current.is_page


def _looks_like_page(current: Current) -> bool:
    request = current.request
    environ = request.environ
    if request.method != "GET" or request.url_rule is None or request.routing_exception:
        return False
    if environ.get("HTTP_SEC_FETCH_DEST", "document") != "document":
        return False
    if any(
        environ.get(name)
        for name in ("HTTP_HX_REQUEST", "HTTP_TURBO_FRAME", "HTTP_X_REQUESTED_WITH")
    ):
        return False
    endpoint = request.endpoint or ""
    if request.blueprint == BLUEPRINT or endpoint == "static" or endpoint.endswith(".static"):
        return False
    if is_exempt(request) or current.bot:
        return False
    admits = current.state.config.page_visit_filter
    return admits is None or bool(admits())


def is_prefetch(environ: t.Mapping[str, str]) -> bool:
    """Whether a browser asks for the page without showing it yet, or ever."""
    purpose = environ.get("HTTP_SEC_PURPOSE") or environ.get("HTTP_PURPOSE", "")
    return "prefetch" in purpose or "prerender" in purpose


def is_exempt(request: Request) -> bool:
    """Whether the view, its class or one of its blueprints is ``@events.exempt``."""
    app = this_app()
    view = app.view_functions.get(request.endpoint or "")
    view_class = getattr(view, "view_class", None)
    return (
        getattr(view, EXEMPT, False)
        or getattr(view_class, EXEMPT, False)
        or getattr(getattr(view_class, "get", None), EXEMPT, False)
        or any(getattr(app.blueprints.get(name), EXEMPT, False) for name in request.blueprints)
    )


def _is_page_response(current: Current, response: Response) -> bool:
    status = response.status_code
    if not (200 <= status < 300 or status == 304) or is_prefetch(current.request.environ):
        return False
    return response.mimetype in _HTML_TYPES


def _is_shared(response: Response) -> bool:
    """Whether a cache may hand the answer to others, as ``Cache-Control`` has it."""
    directives = response.headers.get("Cache-Control", "").lower()
    return "s-maxage" in directives or "public" in directives


def find_title(response: Response) -> str:
    """Return the document's title, or "" where the body is streamed, encoded or has none."""
    if response.direct_passthrough or not response.is_sequence:
        return ""
    if response.headers.get("Content-Encoding", "identity") != "identity":
        return ""
    charset = response.mimetype_params.get("charset", "utf-8")
    return parse_title(response.get_data()[:_HEAD_BYTES], charset)


def parse_title(document: bytes, charset: str = "utf-8") -> str:
    """Return the text of the first ``<title>`` in a document's head, cut to 255 characters.

    The time it takes grows with the document's length and no faster, whatever is in it.
    """
    lower = document.lower()
    if b"<title" not in lower:
        return ""
    position = 0
    while found := _OPENING.search(lower, position):
        closing = _CLOSING.get(found[0])
        start = found.end() if found[0] == b"<!--" else lower.find(b">", found.end()) + 1
        end = lower.find(closing, start) if closing and start else -1
        if end < 0:
            return ""
        if found[0] == b"<title":
            return _read_text(document[start:end], charset)
        position = end
    return ""


def _read_text(text: bytes, charset: str) -> str:
    try:
        decoded = text.decode(charset, "replace")
    except LookupError:
        decoded = text.decode("utf-8", "replace")
    return " ".join(html.unescape(decoded).split())[:TITLE_MAX_LENGTH]
