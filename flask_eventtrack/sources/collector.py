"""The blueprint that takes events from browsers and apps, and serves the script."""

from __future__ import annotations

import collections.abc as cabc
import typing as t

import msgspec
from flask import Blueprint, Flask, Response, request
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from ..config import Policy
from ..state import State, get_state
from .current import Current, get_current
from .intake import DEVICE_HEADER, SESSION_HEADER, NoRoom, Post
from .origin import Sender, SenderHeaders, judge_sender
from .pages import BLUEPRINT
from .posted import MAX_BYTES, Envelope, MalformedPost, parse_post

RETRY_AFTER = 5
_TYPES = frozenset({"application/json", "text/plain"})
_CORS_MAX_AGE = 3600
_SCRIPT_HEADERS = {
    # A proxy that minifies would break the tag's `integrity`.
    "Cache-Control": "public, max-age=31536000, immutable, no-transform",
    "Vary": "Accept-Encoding",
    "X-Content-Type-Options": "nosniff",
    # Without secrets: pages of other subdomains, and isolated ones, may load it too.
    "Access-Control-Allow-Origin": "*",
    "Cross-Origin-Resource-Policy": "cross-origin",
}


def make_blueprint(app: Flask, url_prefix: str) -> Blueprint:
    """Return the collector's blueprint; Flask wants one of its own for each app."""
    blueprint = Blueprint(BLUEPRINT, __name__, url_prefix=url_prefix)
    for place in _places(app):
        for path, endpoint, view in (
            ("/in", "collect", _collect),
            ("/consent", "consent", _consent),
        ):
            blueprint.add_url_rule(
                path,
                endpoint,
                view,
                methods=["POST", "OPTIONS"],
                provide_automatic_options=False,
                **place,
            )
        blueprint.add_url_rule("/<digest>/<name>.js", "script", _script, **place)
        # A host's own catch-all route must not answer below our prefix.
        blueprint.add_url_rule("/", "nothing", _nothing, methods=_ALL_METHODS, **place)
        blueprint.add_url_rule("/<path:path>", "nothing", _nothing, methods=_ALL_METHODS, **place)
    blueprint.url_value_preprocessor(lambda _, values: values and values.pop(_PLACE, None))
    return blueprint


def _places(app: Flask) -> list[dict[str, t.Any]]:
    """Return the hosts or subdomains below which the collector is: wherever the app's pages are."""
    if app.url_map.host_matching:
        return [{"host": f"<{_PLACE}>"}]
    return [{}, {"subdomain": f"<{_PLACE}>"}] if app.subdomain_matching else [{}]


_PLACE = "eventtrack_place"
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


def _nothing(path: str = "") -> Response:
    if path in {"in", "consent"}:
        return problem(405, "method_not_allowed", "This takes POST.", Allow="POST, OPTIONS")
    return problem(404, "not_found", "There is nothing here.")


def _script(digest: str, name: str) -> Response:
    scripts = get_state().scripts
    script = scripts.get(f"{name}.js")
    if script is None or digest != scripts.digest:
        return problem(404, "not_found", "This is no current script.")
    response = Response(mimetype="text/javascript")
    response.headers.update(_SCRIPT_HEADERS)
    accepted = request.accept_encodings
    if script.brotli and accepted.quality("br"):
        response.headers["Content-Encoding"] = "br"
        response.set_data(script.brotli)
    elif accepted.quality("gzip"):
        response.headers["Content-Encoding"] = "gzip"
        response.set_data(script.gzip)
    else:
        response.set_data(script.source)
    return response


def _collect() -> Response:
    return _guard(_take, "collecting events")


def _consent() -> Response:
    return _guard(_take_choice, "noting a visitor's choice")


def _guard(take: cabc.Callable[[State, Sender], Response], doing: str) -> Response:
    """Answer a post, or the preflight request before it."""
    state = get_state()
    sender = _judge(state)
    if request.method == "OPTIONS":
        return _answer_preflight(sender)
    try:
        response = take(state, sender)
    except Exception as error:  # noqa: BLE001 - the edge: never the host's error page
        state.report_failure(doing, error)
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
    bearer = request.headers.get("Authorization", "").lower().startswith("bearer ")
    if envelope.token is not None or bearer:
        return problem(401, "token_unsupported", "Customer tokens are not set up on this server.")
    current = get_current(state)
    post = Post(state, current, sender, envelope)
    is_at_stake = post.is_by_cookies and sender is Sender.OWN_PAGE_WITH_TOKEN
    if is_at_stake and not _shows_token(current, envelope):
        response = problem(403, "csrf", "The token is missing or not this device's: try again.")
        current.send_csrf(response)
        return response
    return _answer(post)


def _answer(post: Post) -> Response:
    try:
        results = post.take()
    except NoRoom:
        return problem(503, "no_room", "Too many events wait.", Retry_After=str(RETRY_AFTER))
    is_refused = not post.is_batch and results[0]["status"] == "rejected"
    response = Response(
        msgspec.json.encode({"results": results}),
        422 if is_refused else 202,
        mimetype="application/json",
    )
    response.headers["Cache-Control"] = "no-store"
    post.send_identity(response)
    return response


class _Choice(msgspec.Struct):
    choice: Policy


def _take_choice(state: State, sender: Sender) -> Response:
    # The origin suffices: who has refused has no cookie to which a token could be bound.
    if sender in {Sender.STRANGER, Sender.APP}:
        return problem(403, "foreign_origin", "A visitor chooses on this site's own pages.")
    body = _read_body()
    if isinstance(body, Response):
        return body
    try:
        choice = msgspec.json.decode(body, type=_Choice).choice
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return problem(400, "malformed", f"{error}.")
    response = Response(status=204)
    response.headers["Cache-Control"] = "no-store"
    get_current(state).send_choice(response, choice)
    return response


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
