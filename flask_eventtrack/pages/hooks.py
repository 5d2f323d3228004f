"""Page visits: one for each HTML document that is answered to a person."""

from __future__ import annotations

import typing as t

from flask import Flask, Request, Response

from ..identity import Visitor
from ..privacy.urls import MAX_LENGTH as URL_MAX_LENGTH
from ..records import PAGE_VISIT, Event, Outcome, PageView
from ..request.context import Current, get_current
from ..signals import event_accepted
from ..state import BLUEPRINT, State, send, this_app
from .headers import AnswerHeaders, is_fetch, is_prefetch, read_headers
from .title import parse_title
from .visit import expand

EXEMPT = "eventtrack_exempt"


class PageHooks:
    """What runs around each request of an app: it notes the arrival, reads the title, records the
    visit and sends the cookies."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._is_alone = False  # no other hook sees an answer

    def register(self, app: Flask) -> None:
        """Take our places among the app's hooks: before all, in the usual order, and after all.

        Hooks that compress a body run after the one that reads its title; the visit is recorded
        when every other hook has had its say (Flask runs them in reverse). Where there is no other,
        the last of ours does both.
        """
        app.before_request_funcs.setdefault(None, []).insert(0, self.note_arrival)
        app.after_request(self.read_title)
        app.after_request_funcs.setdefault(None, []).insert(0, self.finish)

    def note_arrival(self) -> None:
        if not self._state.is_set_up:
            self._set_up()
        get_current(self._state)

    def _set_up(self) -> None:
        """Do what has to wait until the app is complete, with its first request."""
        app, state = this_app(), self._state
        state.is_set_up = True
        state.has_login = hasattr(app, "login_manager")
        hooks = app.after_request_funcs
        self._is_alone = sum(map(len, hooks.values())) == 2
        if self._is_alone:
            hooks[None].remove(self.read_title)
        try:
            _exempt_from_csrf_protect(app)
        except Exception as error:  # noqa: BLE001 - the edge: the host's own page goes on
            state.report_failure("exempting the collector from CSRFProtect", error)
        try:
            state.pipeline.start()
        except Exception as error:  # noqa: BLE001 - the edge: the host's own page goes on
            state.report_failure("starting the writer", error)

    def read_title(self, response: Response) -> Response:
        self._look(get_current(self._state), response)
        return response

    def _look(self, current: Current, response: Response) -> AnswerHeaders | None:
        """Find out whether this is a page, and its title; return what its headers say."""
        try:
            if is_page_request(current):
                headers = read_headers(response)
                current.title = find_title(response, headers)
                return headers
        except Exception as error:  # noqa: BLE001 - the edge: the page goes out whatever we do
            self._state.report_failure("reading a title", error)
        return None

    def finish(self, response: Response) -> Response:
        try:
            current = get_current(self._state)
            headers = self._look(current, response) if self._is_alone else None
            if current.is_page and _is_seen(current.request.environ, response.status_code):
                _record_visit(current, response, headers or read_headers(response))
            elif current.recorded:
                _send_cookies(current, response)
            del current.request  # which holds it: a cycle would wait for the garbage collector
        except Exception as error:  # noqa: BLE001 - the edge: the page goes out whatever we do
            self._state.report_failure("recording a page visit", error)
        return response


def _exempt_from_csrf_protect(app: Flask) -> None:
    """Flask-WTF's token is unknown to cached pages; the collector has checks of its own."""
    protect = app.extensions.get("csrf")
    if protect is not None and hasattr(protect, "exempt"):
        protect.exempt(app.blueprints[BLUEPRINT])


def _send_cookies(current: Current, response: Response) -> None:
    """Send the cookies of what is no visit but has recorded an event; the collector's are its."""
    if current.request.blueprint != BLUEPRINT and not read_headers(response).is_shared:
        current.send_cookies(response)


def _is_seen(environ: t.Mapping[str, str], status: int) -> bool:
    """Whether an answer is shown to somebody now, and is no error."""
    return (200 <= status < 300 or status == 304) and not is_prefetch(environ)


def _record_visit(current: Current, response: Response, headers: AnswerHeaders) -> None:
    if current.bot and current.state.config.bots == "drop":
        return
    if not headers.is_document and not current.recorded and current.policy == "full":
        return  # without asking the host who it is
    visitor = current.visitor
    if visitor.policy != "full":
        _heed_refusal(current, visitor, headers, response)
        return
    # A shared page cannot hand out a device; the browser reports a newcomer's visit itself.
    if headers.is_document and not (headers.is_shared and visitor.is_new):
        _put_visit(current, visitor, response.status_code)
    if current.recorded and not headers.is_shared and visitor.owes_cookies(current.arrival):
        current.send_cookies(response)


def _heed_refusal(
    current: Current, visitor: Visitor, headers: AnswerHeaders, response: Response
) -> None:
    """Record the visit of nobody, or none; take the cookies of before from who refuses them."""
    if headers.is_document and visitor.policy == "anonymous":
        _put_visit(current, visitor, response.status_code)
    if not headers.is_shared and not current.bot:
        current.drop_cookies(response)


def _put_visit(current: Current, visitor: Visitor, status: int) -> None:
    state, request, arrival = current.state, current.request, current.arrival
    if not (state.access.is_open or state.access.admits(PAGE_VISIT, current.site)):
        return
    if visitor.started is None or visitor.opened:
        current.open_session(arrival)
    environ, rule = t.cast("dict[str, str]", request.environ), request.url_rule
    query, referrer = environ.get("QUERY_STRING"), environ.get("HTTP_REFERER")
    view = PageView(
        current.visit_id,
        arrival,
        visitor.uuid,
        visitor.device_id,
        visitor.number,
        visitor.started or arrival,
        environ["wsgi.url_scheme"],
        environ.get("HTTP_HOST") or request.host,
        request.root_path,
        request.path[:URL_MAX_LENGTH],
        state.urls.clean_query(query)[:URL_MAX_LENGTH] if query else "",
        rule.endpoint if rule else "",
        rule.rule if rule else "",
        state.urls.clean(referrer) if referrer else "",
        current.title,
        status,
        max(0, state.clock() - arrival),
        current.client() if visitor.opened else None,
    )
    record: PageView | Event = view
    if visitor.policy != "full":
        record = current.as_nobodys(expand(view, state.urls))
    if state.pipeline.put(record):
        current.recorded = True
        if event_accepted.receivers:
            event = expand(view, state.urls) if isinstance(record, PageView) else record
            send(state, event_accepted, event=event)
    else:
        state.pipeline.count(Outcome("dropped", PAGE_VISIT, "no room"))


def is_page_request(current: Current) -> bool:
    """Whether the request may be a page visit, as far as the request tells."""
    is_page = current.is_page
    if is_page is None:
        is_page = current.is_page = _looks_like_page(current)
    return is_page


def _looks_like_page(current: Current) -> bool:
    request, state = current.request, current.state
    environ = request.environ
    if request.method != "GET" or request.url_rule is None or request.routing_exception:
        return False
    if environ.get("HTTP_SEC_FETCH_DEST", "document") != "document" or is_fetch(environ):
        return False
    endpoint = request.url_rule.endpoint
    has_pages = state.has_pages.get(endpoint)
    if has_pages is None:
        has_pages = state.has_pages[endpoint] = _has_pages(request, endpoint)
    if not has_pages:
        return False
    admits = state.config.page_visit_filter
    return admits is None or bool(admits())


def _has_pages(request: Request, endpoint: str) -> bool:
    """Whether a view's answers may be page visits."""
    if request.blueprint == BLUEPRINT or endpoint == "static" or endpoint.endswith(".static"):
        return False
    return not is_exempt(request)


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


def find_title(response: Response, headers: AnswerHeaders) -> str:
    """Return a document's title, or "" where there is none, or the body is streamed or encoded."""
    body = response.response
    if (
        not headers.is_document
        or headers.is_encoded
        or response.direct_passthrough
        or not isinstance(body, list | tuple)
    ):
        return ""
    is_whole = len(body) == 1 and type(body[0]) is bytes
    return parse_title(body[0] if is_whole else response.get_data(), headers.charset)
