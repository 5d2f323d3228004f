"""The blueprint's routes: they take events from browsers and apps, and serve the script."""

from __future__ import annotations

import collections.abc as cabc
import typing as t

import msgspec
from flask import Blueprint, Flask, Response, request

from ..errors import InvalidToken
from ..identity.visitor import VerifiedCustomer
from ..records import Outcome
from ..request.context import get_current
from ..request.cookies import send_choice, send_device
from ..request.host_login import read_bearer
from ..request.origin import PostOrigin, find_origin
from ..request.places import ALL_METHODS, drop_place, find_places
from ..request.problems import PROBLEM_TYPE, Problem, Refused, not_found, problem
from ..state import BLUEPRINT, State, get_state, this_app
from .assets import serve_catalogue, serve_openapi, serve_script
from .body import TYPES, read_body
from .intake import Post
from .messages import Account, Choice, Envelope, MalformedPost, Results, parse_account, parse_post
from .post_limits import PostLimits
from .privacy_page import read_choice, serve_stylesheet, show_page
from .sender import DEVICE_HEADER, SESSION_HEADER, NoRoom, Sender
from .transactions import take_transactions

RETRY_AFTER = 5
_NO_STORE = {"Cache-Control": "no-store"}
_CORS_MAX_AGE = 3600


def make_blueprint(app: Flask, url_prefix: str) -> Blueprint:
    """Return the collector's blueprint; Flask needs a separate one for each app."""
    blueprint = Blueprint(BLUEPRINT, __name__, url_prefix=url_prefix, template_folder="templates")
    for place in find_places(app):
        for name in _POSTS:
            blueprint.add_url_rule(
                f"/{name}",
                name,
                _answer_post,
                methods=["POST", "OPTIONS"],
                provide_automatic_options=False,
                **place,
            )
        blueprint.add_url_rule(
            "/transactions",
            "transactions",
            _answer_transactions,
            methods=["POST"],
            provide_automatic_options=False,
            **place,
        )
        blueprint.add_url_rule("/<digest>/<name>.js", "script", serve_script, **place)
        blueprint.add_url_rule("/openapi.json", "openapi", serve_openapi, **place)
        blueprint.add_url_rule("/catalogue.json", "catalogue", serve_catalogue, **place)
        blueprint.add_url_rule(
            "/privacy", "privacy", _answer_privacy, methods=["GET", "POST"], **place
        )
        blueprint.add_url_rule("/privacy.css", "privacy_css", serve_stylesheet, **place)
        # A host's own catch-all route must not answer below our prefix.
        blueprint.add_url_rule("/<path:path>", "nothing", _nothing, methods=ALL_METHODS, **place)
    blueprint.url_value_preprocessor(drop_place)
    return blueprint


def _nothing(path: str = "") -> Response:
    if path in _POSTS:
        return problem(405, "method_not_allowed", "Use POST.", Allow="POST, OPTIONS")
    return not_found()


def _answer_post() -> Response:
    """Answer a post, or the preflight request before it."""
    take, doing = _POSTS[(request.endpoint or "").removeprefix(f"{BLUEPRINT}.")]
    state = get_state()
    origin = find_origin(state)
    if request.method == "OPTIONS":
        return _answer_preflight(origin)
    response = _take_safely(state, origin, take, doing)
    if origin is PostOrigin.OTHER_ORIGIN:
        _allow_origin(response)
    return response


def _answer_transactions() -> Response:
    """Answer a post of the host's own back ends. No page of any origin may read the answer."""
    state = get_state()
    origin = find_origin(state)
    return _take_safely(state, origin, take_transactions, "recording transactions")


_Take = cabc.Callable[[State, PostOrigin], Response]


def _take_safely(state: State, origin: PostOrigin, take: _Take, doing: str) -> Response:
    """Return the answer of ``take``, or a problem document if it refuses or fails."""
    try:
        response = take(state, origin)
    except Refused as refusal:
        response = refusal.response
    except NoRoom:
        response = problem(
            503, "no_room", "The journal is full. Try again later.", Retry_After=str(RETRY_AFTER)
        )
    except Exception as error:  # noqa: BLE001 - the edge: never the host's error page
        state.report_failure(doing, error)
        response = problem(503, "unavailable", "Try again later.", Retry_After=str(RETRY_AFTER))
    if this_app().debug and response.mimetype == PROBLEM_TYPE:
        _log_problem(state, response)
    return response


def _log_problem(state: State, response: Response) -> None:
    """Tell the developer in the log that a post failed."""
    answer = msgspec.json.decode(response.get_data(), type=Problem)
    state.warn_once(
        f"problem: {request.path} {answer.code}",
        "A post to %s was answered with %d (%s): %s",
        request.path,
        answer.status,
        answer.code,
        answer.detail,
    )


def _answer_preflight(origin: PostOrigin) -> Response:
    if origin is not PostOrigin.OTHER_ORIGIN:
        return problem(403, "foreign_origin", "This origin may not post here.")
    response = Response(status=204)
    _allow_origin(response)
    response.headers["Access-Control-Allow-Methods"] = "POST"
    encoded = ", Content-Encoding" if get_state().config.gzip_posts else ""
    response.headers["Access-Control-Allow-Headers"] = (
        f"Authorization, Content-Type{encoded}{_list_identity()}"
    )
    response.headers["Access-Control-Max-Age"] = str(_CORS_MAX_AGE)
    return response


def _allow_origin(response: Response) -> None:
    """Let a page of another origin read an answer.

    On our own site only cookies identify the sender, on another site only our headers. Otherwise
    the answer to another site's form could replace the visitor's cookies.
    """
    response.headers["Access-Control-Allow-Origin"] = request.headers["Origin"]
    response.headers["Access-Control-Allow-Credentials"] = "true"
    response.headers["Access-Control-Expose-Headers"] = f"Retry-After{_list_identity()}"
    if request.headers.get("Sec-Fetch-Site") == "cross-site":
        response.headers.remove("Set-Cookie")
    response.vary.add("Origin")


def _list_identity() -> str:
    """Return the headers of an identity; none where the browser says that the page is same-site."""
    is_same_site = request.headers.get("Sec-Fetch-Site") == "same-site"
    return "" if is_same_site else f", {DEVICE_HEADER}, {SESSION_HEADER}"


_Posted = t.TypeVar("_Posted", bound=Account)


def _admit(
    state: State,
    origin: PostOrigin,
    parse: cabc.Callable[[bytes], _Posted],
    types: cabc.Set[str] = TYPES,
) -> tuple[Sender, _Posted, VerifiedCustomer | None]:
    """Return the sender, the post, and the customer of the token if there is one.

    :raises Refused: the origin, the body or a token is not accepted, or a limit is reached.
    """
    if origin is PostOrigin.STRANGER:
        raise Refused(problem(403, "foreign_origin", "Only this site's own pages may post events."))
    bearer = read_bearer(request.environ)
    limits = PostLimits(state, origin, has_token=_is_valid(state, bearer))
    limits.take_post()
    body = read_body(types)
    try:
        posted = parse(body)
    except MalformedPost as error:
        raise Refused(problem(400, "malformed", str(error))) from None
    sender = Sender(get_current(state), origin)
    is_by_visit = isinstance(posted, Envelope) and posted.by_visit
    is_by_cookies = not (sender.is_refused or is_by_visit)
    if is_by_cookies and origin is PostOrigin.OWN_PAGE_WITH_TOKEN:
        _check_csrf(sender, posted.csrf_token)
    token = bearer if posted.token is None else posted.token
    customer = None if token is None else _verify(state, token)
    limits.take_bytes(posted.weigh(len(body)))
    return sender, posted, customer


def _check_csrf(sender: Sender, token: str | None) -> None:
    if not sender.is_csrf_of(token, sender.current.visitor.device_id):
        response = problem(
            403, "csrf", "The CSRF token is missing, or is another device's. Try again."
        )
        if not sender.current.verdict.is_filtered:
            send_device(sender.current, response)
        raise Refused(response)


def _is_valid(state: State, token: str | None) -> bool:
    try:
        return token is not None and bool(state.customer_tokens.verify(token, state.clock()))
    except InvalidToken:
        return False


def _verify(state: State, token: str) -> VerifiedCustomer:
    try:
        return state.customer_tokens.verify(token, state.clock())
    except InvalidToken as error:
        state.pipeline.count(Outcome("rejected", "", error.code))
        # RFC 6750, section 3.1: whatever is wrong with a token is one error.
        challenge = 'Bearer error="invalid_token"'
        raise Refused(problem(401, error.code, error.message, WWW_Authenticate=challenge)) from None


def _take(state: State, origin: PostOrigin) -> Response:
    sender, envelope, customer = _admit(state, origin, parse_post)
    post = Post(sender, origin, envelope, customer)
    results = post.take()
    is_refused = not envelope.is_batch and results[0].status == "rejected"
    response = Response(
        msgspec.json.encode(Results(results)),
        422 if is_refused else 202,
        _NO_STORE,
        mimetype="application/json",
    )
    post.send_identity(response)
    return response


def _take_login(state: State, origin: PostOrigin) -> Response:
    sender, _, customer = _admit(state, origin, parse_account, TYPES | {""})
    if customer is None:
        return problem(
            401, "token_missing", "Send the customer's token.", WWW_Authenticate="Bearer"
        )
    sender.resume()
    sender.log_in(customer)
    return _answer_done(sender)


def _take_logout(state: State, origin: PostOrigin) -> Response:
    sender, _, customer = _admit(state, origin, parse_account, TYPES | {""})
    sender.resume()
    sender.log_out(customer)
    return _answer_done(sender)


def _answer_done(sender: Sender) -> Response:
    response = Response(status=204, headers=_NO_STORE)
    sender.send_identity(response)
    return response


def _take_choice(state: State, origin: PostOrigin) -> Response:
    # The origin is enough: a visitor who has refused has no cookie that a token could be bound to.
    if origin in {PostOrigin.STRANGER, PostOrigin.APP}:
        return problem(403, "foreign_origin", "Only this site's own pages may post a choice.")
    PostLimits(state, origin).take_post()
    body = read_body()
    try:
        choice = msgspec.json.decode(body, type=Choice).choice
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return problem(400, "malformed", f"{error}.")
    response = Response(status=204, headers=_NO_STORE)
    send_choice(get_current(state), response, choice)
    return response


def _answer_privacy() -> Response:
    """Show the page on which visitors object, and take what they choose there."""
    state = get_state()
    try:
        choice = None
        if request.method == "POST":
            origin = find_origin(state)
            # The origin is enough, as for the route of scripts; but a form is of our own page only.
            if origin not in {PostOrigin.OWN_PAGE, PostOrigin.OWN_PAGE_WITH_TOKEN}:
                return problem(403, "foreign_origin", "Only this site's own page may post this.")
            PostLimits(state, origin).take_post()
            choice = read_choice()
        return show_page(get_current(state), choice)
    except Refused as refusal:
        return refusal.response
    except Exception as error:  # noqa: BLE001 - the edge: never the host's error page
        state.report_failure("showing the page of objections", error)
        return problem(503, "unavailable", "Try again later.", Retry_After=str(RETRY_AFTER))


# By path: what answers a post there, and what the log calls it if it fails.
_POSTS: dict[str, tuple[_Take, str]] = {
    "in": (_take, "collecting events"),
    "identify": (_take_login, "identifying a customer"),
    "logout": (_take_logout, "logging a customer out"),
    "consent": (_take_choice, "noting a visitor's choice"),
}
