"""The hooks around each request: they note the arrival, read the title, record the visit."""

from __future__ import annotations

from flask import Flask, Response

from ..identity.visitor import Visitor
from ..neighbours import package_of
from ..privacy.urls import find_campaign, query_of
from ..records import PAGE_VISIT, Event, Outcome, PageView
from ..request.context import Current, get_current
from ..request.cookies import drop_cookies, send_cookies
from ..request.debug_log import follow_events, tell_browser
from ..request.host_hooks import (
    HookList,
    close_idle,
    exempt_from_csrf,
    open_bypass,
    run_last,
)
from ..request.host_login import resolve
from ..request.navigation import has_page, is_navigation, may_be_page
from ..request.recording import make_anonymous, open_session, put
from ..state import OWN_BLUEPRINTS, State, this_app, warn_of_memory
from .agents import count_read
from .failures import Failures
from .headers import AnswerHeaders, read_headers
from .tag_check import TagCheck
from .title import parse_title
from .visit import is_for_later, is_shown, may_name_campaign

# Packages whose hooks compress pages.
_COMPRESSORS = frozenset({"flask_compress", "flask_gzip", "flask_squeeze"})


class PageHooks:
    """The hooks of one app."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._has_title_hook = True
        self._counts_agents = state.config.agents
        self._failures = Failures(state)

    def register(self, app: Flask) -> None:
        """Take our places among the app's hooks: before all, in the usual order, and after all.

        Flask runs ``after_request`` hooks in reverse. So the title is read before hooks that were
        registered earlier change the body, and the visit is recorded after every other hook.
        """
        app.before_request_funcs.setdefault(None, []).insert(0, self.note_arrival)
        app.after_request(self.read_title)
        app.after_request_funcs.setdefault(None, []).insert(0, self.finish)
        open_bypass(app, self.note_arrival, [self.finish, self.read_title])

    def note_arrival(self) -> None:
        if not self._state.is_set_up:
            self._set_up()
        get_current(self._state)

    def _set_up(self) -> None:
        """Do what has to wait until the app is complete, with its first request."""
        app, state = this_app(), self._state
        self._join_hooks(app)
        if app.debug:
            app.after_request_funcs[None].append(TagCheck(state))
            follow_events(app)
            run_last(app, tell_browser)
        close_idle(app)
        state.is_set_up = True
        state.has_login = hasattr(app, "login_manager")
        with state.guard("exempting our routes from the host's CSRF tokens"):
            exempt_from_csrf(app)
        with state.guard("starting the writer"):
            state.pipeline.start()
        if app.debug and state.pipeline.database.is_in_memory:  # app.run(debug=True) is late
            warn_of_memory(state)

    def _join_hooks(self, app: Flask) -> None:
        """Where no hook comes between ours, one of them does all, which makes requests cheaper.

        The list is replaced: requests of other threads may be going through the old one.
        """
        hooks = app.after_request_funcs[None][:]
        if any(package_of(hook) in _COMPRESSORS for hook in hooks):
            self._read_title_first(app)
        elif hooks[:2] == [self.finish, self.read_title]:
            self._has_title_hook = False
            app.after_request_funcs[None] = HookList([self.finish, *hooks[2:]], [self.finish])

    def _read_title_first(self, app: Flask) -> None:
        """Read titles before all other hooks, one of which compresses the body."""
        hooks = app.after_request_funcs[None][:]
        if hooks[-1] != self.read_title:
            others = [hook for hook in hooks if hook != self.read_title]
            app.after_request_funcs[None] = HookList([*others, self.read_title], [self.finish])
            self._has_title_hook = True

    def read_title(self, response: Response) -> Response:
        self._read_title(get_current(self._state), response)
        return response

    def _read_title(self, current: Current, response: Response) -> AnswerHeaders | None:
        """Read the title of what may be a page, whose headers are returned."""
        try:
            if is_page_request(current):
                headers = read_headers(response)
                current.title = _find_title(response, headers)
                if headers.is_encoded and headers.is_document:
                    self._read_title_first(this_app())
                return headers
        except Exception as error:  # noqa: BLE001 - as in a guard, in less time
            self._state.report_failure("reading a title", error)
        return None

    def finish(self, response: Response) -> Response:
        try:
            current = get_current(self._state)
            headers = None if self._has_title_hook else self._read_title(current, response)
            environ = current.request.environ
            is_person = False
            if current.is_page and is_shown(environ, response.status_code):
                is_person = _record_page(current, response, headers or read_headers(response))
            elif current.recorded or response.status_code >= 300:
                self._end_other(current, response)
            # An agent that looks like a person's browser has this header.
            if self._counts_agents and (not is_person or "HTTP_SIGNATURE_AGENT" in environ):
                count_read(current, response.status_code)
            del current.request  # the two hold each other, until the garbage collector comes
        except Exception as error:  # noqa: BLE001 - as in a guard, in less time
            self._state.report_failure("recording a page visit", error)
        return response

    def _end_other(self, current: Current, response: Response) -> None:
        """After a request that is no visit: keep its campaign, and send changed cookies."""
        if current.request.blueprint in OWN_BLUEPRINTS:
            return
        if response.status_code >= 400 and _is_failed_page(current):
            self._failures.count(current, response.status_code)
        environ = current.request.environ
        if may_name_campaign(environ, response.status_code) and current.verdict.is_person:
            campaign = find_campaign(current.state.urls.clean_query(environ["QUERY_STRING"]))
            # A redirect that passes its query on keeps the campaign by itself.
            place = response.headers.get("Location", "")
            if campaign and campaign != find_campaign(query_of(place)):
                resolve(current).keep_campaign(campaign)
                current.recorded = True
        if current.recorded:
            _send_cookies(current, response, read_headers(response))


def _record_page(current: Current, response: Response, headers: AnswerHeaders) -> bool:
    """Record the visit of a document, as far as the verdict allows, and send the cookies.

    :returns: whether it is a person's.
    """
    # The app's filter is asked only if there is something to record.
    verdict = current.verdict if headers.is_document or current.recorded else current.judged
    if verdict.is_person:
        if headers.is_document or current.recorded:
            visitor = resolve(current)
            # A shared page hands out no device: the browser reports a newcomer's visit itself.
            if headers.is_document and not (headers.is_shared and visitor.is_new):
                _put_visit(current, visitor, response.status_code)
            if current.recorded and not headers.is_shared:
                send_cookies(current, response)
        return True
    if headers.is_document and verdict.kind == "anonymous":
        _put_visit(current, current.visitor, response.status_code)
    if verdict.bot is None and not (verdict.is_filtered or headers.is_shared):
        drop_cookies(current, response)
    return False


def _send_cookies(current: Current, response: Response, headers: AnswerHeaders) -> None:
    """Send a person's cookies, unless a cache may hand the answer to others."""
    if current.verdict.is_person and not headers.is_shared:
        resolve(current)
        send_cookies(current, response)


def _is_failed_page(current: Current) -> bool:
    """Whether a person asked for a page, and no bot or script, which now gets an error."""
    request, state = current.request, current.state
    if request.url_rule is not None:
        is_page = is_page_request(current)
    else:
        is_ours = f"{request.path}/".startswith(f"{state.config.url_prefix}/")
        is_page = request.method == "GET" and is_navigation(request.environ) and not is_ours
    if not (is_page and is_shown(request.environ, 200)):
        return False
    verdict = current.judged  # the app's filter is about what is recorded of somebody
    return verdict.kind != "nothing" and verdict.bot is None


def _put_visit(current: Current, visitor: Visitor, status: int) -> None:
    state, request, arrival = current.state, current.request, current.arrival
    if not (state.access.is_open or state.access.admits(PAGE_VISIT, current.site)):
        return
    known = None if visitor.is_new else visitor.device_id
    if not state.visit_limiter.admits(known, request.environ.get("REMOTE_ADDR", ""), arrival):
        state.pipeline.count(Outcome("dropped", PAGE_VISIT, "too many"))
        return
    if visitor.started is None or visitor.opened:
        open_session(current, arrival)
    environ, rule = request.environ, request.url_rule
    # What is secret must not lie in the journal. The cleaner remembers what it has cleaned.
    urls, title = state.urls, current.title
    campaign = visitor.take_campaign() if visitor.campaign else ""
    query, referrer = environ.get("QUERY_STRING"), environ.get("HTTP_REFERER")
    record: PageView | Event = PageView(
        current.visit_id,
        arrival,
        visitor.uuid,
        visitor.device_id,
        visitor.number,
        visitor.started or arrival,
        environ["wsgi.url_scheme"],
        environ.get("HTTP_HOST") or request.host,
        request.root_path,
        urls.clean_path(request.path),
        urls.clean_query(query) if query else "",
        rule.endpoint if rule else "",
        rule.rule if rule else "",
        urls.clean_referrer(referrer) if referrer else "",
        urls.clean_title(title) if title else "",
        status,
        max(0, state.clock() - arrival),
        current.client() if visitor.opened else None,
        visitor.vouched,
        campaign,
        visitor.follows,
    )
    if not current.verdict.is_person:
        record = make_anonymous(current, state.expand(record))
    put(state, current, record)


def is_page_request(current: Current) -> bool:
    """Whether the request may be a page visit, by what is known before its answer."""
    is_page = current.is_page
    if is_page is None:
        admits = current.state.config.page_visit_filter
        is_page = current.is_page = may_be_page(current) and (admits is None or bool(admits()))
    return is_page


def is_later_page(current: Current) -> bool:
    """Whether the answer is no page visit, but may be shown as one later."""
    environ, admits = current.request.environ, current.state.config.page_visit_filter
    is_fetched = current.request.method == "GET" and is_for_later(environ)
    is_later = is_fetched and not is_navigation(environ) and has_page(current)
    return is_later and (admits is None or bool(admits()))


def _find_title(response: Response, headers: AnswerHeaders) -> str:
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
