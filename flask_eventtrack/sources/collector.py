"""The blueprint that takes events from browsers and apps, and serves the script."""

from __future__ import annotations

import collections.abc as cabc
import datetime as dt
import typing as t
import uuid as uuidlib

import msgspec
from flask import Blueprint, Response, request
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge
from werkzeug.routing.exceptions import RoutingException

from ..errors import InvalidEvent
from ..event import (
    PAGE_VISIT,
    Claim,
    Client,
    Event,
    Outcome,
    clean_action,
    from_ns,
    to_ns,
    uuid4,
    uuid7,
)
from ..state import State, get_state, this_app
from ..visitor import campaign_of
from ..visitor.urls import host_of, path_of
from .checking import Checked, check_content, find_definition, parse_time, refuse, settle_time
from .current import DEVICE_COOKIE, SESSION_COOKIE, Current, announce, get_current
from .origin import Sender, SenderHeaders, judge_sender
from .pages import BLUEPRINT
from .posted import (
    MAX_BYTES,
    Envelope,
    MalformedPost,
    PostedEvent,
    parse_event,
    parse_post,
)

DEVICE_HEADER = "X-EventTrack-Device"
SESSION_HEADER = "X-EventTrack-Session"
RETRY_AFTER = 5
_TYPES = frozenset({"application/json", "text/plain"})
_CORS_MAX_AGE = 3600
_ID_VERSIONS = (4, 7)
# A browser cannot say what only the server knows of a page visit.
_SERVER_ONLY = frozenset({"endpoint", "url_rule", "status", "duration_ms", "path"})


def make_blueprint(url_prefix: str) -> Blueprint:
    """Return the collector's blueprint; Flask wants one of its own for each app."""
    blueprint = Blueprint(BLUEPRINT, __name__, url_prefix=url_prefix)
    blueprint.add_url_rule(
        "/in", "collect", _collect, methods=["POST", "OPTIONS"], provide_automatic_options=False
    )
    blueprint.add_url_rule("/et.<digest>.js", "script", _script)
    # A host's own catch-all route must not answer below our prefix.
    blueprint.add_url_rule("/", "nothing", _nothing, defaults={"path": ""}, methods=_ALL_METHODS)
    blueprint.add_url_rule("/<path:path>", "nothing", _nothing, methods=_ALL_METHODS)
    return blueprint


_ALL_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]


def problem(status: int, code: str, detail: str, **headers: str) -> Response:
    """Return a problem document (RFC 9457). It is returned and never raised: the host's error
    handlers are for its own errors."""
    body = {"type": "about:blank", "status": status, "code": code, "detail": detail}
    response = Response(msgspec.json.encode(body), status, mimetype="application/problem+json")
    for name, value in headers.items():
        response.headers[name.replace("_", "-")] = value
    response.headers["Cache-Control"] = "no-store"
    return response


def _nothing(path: str) -> Response:
    if path == "in":
        return problem(405, "method_not_allowed", "Post events here.", Allow="POST, OPTIONS")
    return problem(404, "not_found", "There is nothing here.")


def _script(digest: str) -> Response:
    script = get_state().script
    if digest != script.digest:
        return problem(404, "not_found", "This is not the current script.")
    response = Response(mimetype="text/javascript")
    response.headers["Vary"] = "Accept-Encoding"
    response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
    response.headers["X-Content-Type-Options"] = "nosniff"
    if request.accept_encodings.quality("gzip"):
        response.headers["Content-Encoding"] = "gzip"
        response.set_data(script.compressed)
    else:
        response.set_data(script.source)
    return response


def _collect() -> Response:
    state = get_state()
    sender = _judge(state)
    if request.method == "OPTIONS":
        return _answer_preflight(sender)
    try:
        response = _take(state, sender)
    except Exception as error:  # noqa: BLE001 - the edge: never the host's error page
        state.report_failure("collecting events", error)
        response = problem(503, "unavailable", "Try again later.", Retry_After=str(RETRY_AFTER))
    if sender is Sender.OTHER_ORIGIN:
        _allow_origin(response)
    return response


def _judge(state: State) -> Sender:
    headers = request.headers
    return judge_sender(
        SenderHeaders(
            headers.get("Sec-Fetch-Site", ""),
            any(name.lower().startswith("sec-fetch-") for name in headers.keys()),  # noqa: SIM118
            headers.get("Origin", ""),
            headers.get("Referer", ""),
            headers.get("Cookie", ""),
        ),
        request.host_url,
        state.config.allowed_origins,
    )


def _answer_preflight(sender: Sender) -> Response:
    if sender is not Sender.OTHER_ORIGIN:
        return problem(403, "foreign_origin", "This origin may not post here.")
    response = Response(status=204)
    _allow_origin(response)
    response.headers["Access-Control-Allow-Methods"] = "POST"
    response.headers["Access-Control-Allow-Headers"] = (
        f"Content-Type, {DEVICE_HEADER}, {SESSION_HEADER}"
    )
    response.headers["Access-Control-Max-Age"] = str(_CORS_MAX_AGE)
    return response


def _allow_origin(response: Response) -> None:
    response.headers["Access-Control-Allow-Origin"] = request.headers["Origin"]
    response.headers["Access-Control-Allow-Credentials"] = "true"
    response.headers["Access-Control-Expose-Headers"] = f"{DEVICE_HEADER}, {SESSION_HEADER}"
    response.vary.add("Origin")


def _take(state: State, sender: Sender) -> Response:
    if sender is Sender.STRANGER:
        return problem(403, "foreign_origin", "Events are taken from this site's own pages.")
    body = _read_body()
    if isinstance(body, Response):
        return body
    try:
        envelope = parse_post(body)
    except MalformedPost as error:
        return problem(400, "malformed", str(error))
    if envelope.token is not None or "Authorization" in request.headers:
        return problem(401, "token_unsupported", "Customer tokens are not set up on this server.")
    if envelope.sent_at is not None:
        try:
            parse_time(envelope.sent_at)
        except InvalidEvent as error:
            return problem(400, "malformed", f'"sent_at": {error}')
    current = get_current(state)
    if sender is Sender.OWN_PAGE_WITH_TOKEN and not _shows_token(current, envelope):
        response = problem(403, "csrf", "The token is missing or not this device's: try again.")
        current.send_csrf(response)
        return response
    return _Post(state, current, sender, envelope).take()


def _read_body() -> bytes | Response:
    if request.headers.get("Content-Encoding", "identity") != "identity":
        return problem(415, "encoded", "The body must not be compressed.")
    if request.mimetype not in _TYPES:
        return problem(415, "unsupported_type", "Send application/json, or the same as text/plain.")
    # One more than allowed: a body without a length is cut there and would pass for a short one.
    request.max_content_length = MAX_BYTES + 1
    try:
        body = request.get_data(cache=False)
    except RequestEntityTooLarge:
        body = None
    except (HTTPException, OSError):
        return problem(400, "malformed", "The body did not arrive whole.")
    if body is None or len(body) > MAX_BYTES:
        return problem(413, "too_large", f"A post takes at most {MAX_BYTES} bytes.")
    return body


def _shows_token(current: Current, envelope: Envelope) -> bool:
    token = envelope.csrf_token
    return token is not None and current.is_own_csrf(token)


class _Good(t.NamedTuple):
    """An event of a post that may be stored."""

    id: uuidlib.UUID
    time: dt.datetime
    page: uuidlib.UUID | None
    visit: str | None
    url_rule: str
    checked: Checked


class _Post:
    """One post: its sender, its clock, and a result for each of its events."""

    def __init__(self, state: State, current: Current, sender: Sender, envelope: Envelope) -> None:
        self._state = state
        self._current = current
        self._envelope = envelope
        self._is_app = sender is Sender.APP
        self._is_elsewhere = sender in {Sender.APP, Sender.OTHER_ORIGIN}
        self._site = current.site
        if sender is Sender.OTHER_ORIGIN:
            self._site = host_of(request.headers["Origin"])
        self._received_at = from_ns(current.arrival)
        self._seen: set[uuidlib.UUID] = set()

    def take(self) -> Response:
        entries = [_try(parse_event, value) for value in self._envelope.events]
        self._resume_visitor(entries)
        outcomes = [self._check(entry) for entry in entries]
        good = [outcome for outcome in outcomes if isinstance(outcome, _Good)]
        if good and not self._put(good):
            return problem(503, "no_room", "Too many events wait.", Retry_After=str(RETRY_AFTER))
        results = [_result(*pair) for pair in zip(entries, outcomes, strict=True)]
        is_refused = not self._envelope.is_batch and results[0]["status"] == "rejected"
        response = Response(
            msgspec.json.encode({"results": results}),
            422 if is_refused else 202,
            mimetype="application/json",
        )
        response.headers["Cache-Control"] = "no-store"
        self._send_identity(response)
        return response

    def _resume_visitor(self, entries: cabc.Sequence[PostedEvent | InvalidEvent]) -> None:
        """Read the visitor off cookies, or off our headers where a client cannot send cookies."""
        if self._current.is_settled:  # a hook of the host's has identified the customer
            return
        cookies, headers = request.cookies, request.headers
        device, session = cookies.get(DEVICE_COOKIE), cookies.get(SESSION_COOKIE)
        if self._is_elsewhere and device is None:
            device, session = headers.get(DEVICE_HEADER), headers.get(SESSION_HEADER)
        pages = (_read_id(e.page) for e in entries if isinstance(e, PostedEvent) and e.page)
        page = next((page for page in pages if page is not None), None)
        tokens = self._state.tokens
        self._current.resume(
            device, session, uuid4 if page is None else lambda: tokens.device_of_page(page)
        )

    def _check(self, entry: PostedEvent | InvalidEvent) -> _Good | InvalidEvent | uuidlib.UUID:
        """Return the event, why it is rejected, or the id of which it is a duplicate."""
        try:
            if isinstance(entry, InvalidEvent):
                raise entry
            if self._current.bot and not self._is_app:
                raise InvalidEvent("bot", f"Taken for a bot's: {self._current.bot}.")
            event_id = self._check_id(entry.event_id)
            if event_id in self._seen or event_id in self._state.recent_ids:
                self._count_duplicate(entry.action)
                return event_id
            good = self._check_event(entry, event_id)
        except InvalidEvent as error:
            refuse(self._state, entry.action if isinstance(entry, PostedEvent) else "", error)
            return error
        self._seen.add(event_id)
        return good

    def _check_id(self, text: str | None) -> uuidlib.UUID:
        if text is None:
            return uuid7(self._state.clock())
        event_id = _read_id(text)
        if event_id is None:
            raise InvalidEvent("invalid_id", "An event_id is a UUID of version 4 or 7.")
        return event_id

    def _check_event(self, entry: PostedEvent, event_id: uuidlib.UUID) -> _Good:
        definition = find_definition(self._state, entry.action, self._site)
        if definition.server_only:
            raise InvalidEvent("server_only", f"{entry.action!r} is recorded by the server only.")
        if not definition.anonymous and self._current.visitor.customer_id is None:
            raise InvalidEvent("customer_required", f"{entry.action!r} needs a customer.")
        params, url_rule = self._clean_urls(entry.action, dict(entry.params or {}))
        checked = check_content(definition, params, entry.label)
        page = _read_id(entry.page) if entry.page else None
        if page is not None and entry.action != PAGE_VISIT:
            checked.params["visit"] = str(page)
        time = self._check_time(entry, checked.params)
        return _Good(event_id, time, page, entry.visit, url_rule, checked)

    def _clean_urls(self, action: str, params: dict[str, t.Any]) -> tuple[dict[str, t.Any], str]:
        clean = self._state.urls.clean
        for name in ("url", "referrer"):
            if isinstance(params.get(name), str):
                params[name] = clean(params[name]) or None
        if isinstance(params.get("href"), str):  # which may also be a mailto: or tel:
            params["href"] = clean(params["href"]) or params["href"]
        if action != PAGE_VISIT:
            return params, ""
        params = {name: value for name, value in params.items() if name not in _SERVER_ONLY}
        url = params.get("url")
        if not isinstance(url, str):
            return params, ""
        params.update(campaign_of(url), path=path_of(url))
        url_rule = find_url_rule(url) if host_of(url) == self._site else ""
        if url_rule:
            params["url_rule"] = url_rule
        return params, url_rule[:255]

    def _check_time(self, entry: PostedEvent, params: dict[str, t.Any]) -> dt.datetime:
        """Return when the event happened, by the server's clock."""
        if entry.time is None:
            return self._received_at
        given = parse_time(entry.time)
        corrected = given
        if self._envelope.sent_at is not None:
            try:
                corrected = self._received_at - (parse_time(self._envelope.sent_at) - given)
            except OverflowError:
                raise InvalidEvent("invalid_time", f"{entry.time!r} is no time.") from None
        if self._received_at - corrected > self._state.config.max_age:
            days = self._state.config.max_age.total_seconds() / 86400
            raise InvalidEvent("too_old", f"Events are taken for {days:g} days after they happen.")
        return settle_time(corrected, self._received_at, params, original=given)

    def _count_duplicate(self, action: str) -> None:
        self._state.pipeline.put(
            Outcome(time=self._received_at, outcome="duplicate", action=clean_action(action))
        )

    def _put(self, good: cabc.Sequence[_Good]) -> bool:
        earliest = self._received_at - self._state.config.session_timeout
        self._current.open_session(to_ns(max(earliest, min(entry.time for entry in good))))
        client = self._current.client() if self._current.visitor.opened else None
        events = [self._make_event(entry, client) for entry in good]
        if not self._current.put(*events):
            return False
        self._state.recent_ids.add(event.id for event in events)
        for event in events:
            announce(self._state, event)
        return True

    def _make_event(self, good: _Good, client: Client | None) -> Event:
        visitor, checked = self._current.visitor, good.checked
        is_half = checked.action == PAGE_VISIT and not self._is_app
        return Event(
            id=good.id,
            action=checked.action,
            time=good.time,
            received_at=self._received_at,
            uuid=visitor.uuid,
            params=checked.params,
            undefined=checked.undefined,
            label=checked.label,
            source="app" if self._is_app else "browser",
            site=self._site,
            url_rule=good.url_rule,
            session=visitor.session,
            client=client,
            half="browser" if is_half else "",
            page=good.page,
            claim=self._read_claim(good.visit),
        )

    def _read_claim(self, visit: str | None) -> Claim | None:
        """Return the server visit that the tag names, unless it is another device's."""
        token = self._state.tokens.read_visit(visit) if visit else None
        visitor = self._current.visitor
        if token is None or not (visitor.is_new or token.device_id == visitor.device_id):
            return None
        return Claim(token.visit_id, visitor.is_new)

    def _send_identity(self, response: Response) -> None:
        current = self._current
        if not self._is_app:
            current.send_cookies(response)
        if self._is_elsewhere:
            tokens, visitor = self._state.tokens, current.visitor
            response.headers[DEVICE_HEADER] = tokens.write_device(visitor.device_token())
            session = visitor.session_token(current.arrival)
            if session is not None:
                response.headers[SESSION_HEADER] = tokens.write_session(session)


def _try(parse: cabc.Callable[[object], PostedEvent], value: object) -> PostedEvent | InvalidEvent:
    try:
        return parse(value)
    except InvalidEvent as error:
        return error


def _result(
    entry: PostedEvent | InvalidEvent, outcome: _Good | InvalidEvent | uuidlib.UUID
) -> dict[str, t.Any]:
    if isinstance(outcome, InvalidEvent):
        error = {"code": outcome.code, "message": outcome.message, "param": outcome.param}
        event_id = entry.event_id if isinstance(entry, PostedEvent) else None
        return {"event_id": event_id, "status": "rejected", "error": error}
    if isinstance(outcome, _Good):
        return {"event_id": outcome.id, "status": "accepted", "error": None}
    return {"event_id": outcome, "status": "duplicate", "error": None}


def _read_id(text: str) -> uuidlib.UUID | None:
    """Return a client's id. Version 5 is ours: nobody can occupy an id that we derive."""
    try:
        value = uuidlib.UUID(text)
    except ValueError:
        return None
    return value if value.version in _ID_VERSIONS else None


def find_url_rule(url: str) -> str:
    """Return the host app's rule for a URL of its own, or ""."""
    adapter = this_app().create_url_adapter(request)
    path = path_of(url).removeprefix(request.script_root)
    if adapter is None:
        return ""
    try:
        rule, _ = adapter.match(path, method="GET", return_rule=True)
    except (HTTPException, RoutingException):
        return ""
    return "" if rule.endpoint.startswith(f"{BLUEPRINT}.") else rule.rule
