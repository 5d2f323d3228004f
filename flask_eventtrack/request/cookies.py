"""Our cookies: their names and lifetimes, as requests bring them and answers set them."""

from __future__ import annotations

import collections.abc as cabc
import functools

from flask import Response
from werkzeug.datastructures import Headers
from werkzeug.http import dump_cookie
from werkzeug.sansio.http import parse_cookie

from ..config import Policy
from ..identity.tokens import (
    MAX_LENGTH,
    Cookies,
    DeviceToken,
    SessionToken,
    TokenCodec,
    match_session,
)
from ..privacy.policy import parse_choice
from .context import Current

DEVICE_COOKIE = "eventtrack_device"
SESSION_COOKIE = "eventtrack_session"
CSRF_COOKIE = "eventtrack_csrf"
CONSENT_COOKIE = "eventtrack_consent"
# In seconds. Session and CSRF token live for EVENTTRACK_SESSION_TIMEOUT.
DEVICE_MAX_AGE = 10 * 365 * 24 * 60 * 60
CONSENT_MAX_AGE = 400 * 24 * 60 * 60
# A longer header is not remembered: a client could fill the memory with such headers.
_LONG = 4096


def read_identity(
    tokens: TokenCodec, device: str | None, session: str | None
) -> tuple[DeviceToken | None, SessionToken | None]:
    """Return the identity in two cookies or headers; None for a value that is not ours."""
    ours = tokens.read_device(device) if device and len(device) <= MAX_LENGTH else None
    latest = tokens.read_session(session) if session and len(session) <= MAX_LENGTH else None
    return ours, match_session(ours, latest)


def cookie_reader(tokens: TokenCodec) -> cabc.Callable[[str], Cookies]:
    """Return a function that reads a ``Cookie`` header and remembers the last 1,024.

    A visitor's requests bring the same header again and again, and signatures are slow to verify.
    """

    @functools.lru_cache(maxsize=1024)
    def read(header: str) -> Cookies:
        cookies = parse_cookie(header)
        device, session = cookies.get(DEVICE_COOKIE), cookies.get(SESSION_COOKIE)
        choice = parse_choice(cookies.get(CONSENT_COOKIE))
        return *read_identity(tokens, device, session), choice

    return lambda header: (read if len(header) <= _LONG else read.__wrapped__)(header)


def takes_cookies(response: Response) -> bool:
    """Whether the headers are Werkzeug's: a host may put a plain dict in their place."""
    return isinstance(response.headers, Headers)


def send_cookies(current: Current, response: Response) -> None:
    """Set the visitor's cookies, if they have changed or are over a minute old."""
    visitor, state = current.visitor, current.state
    if not visitor.owes_cookies(current.arrival) or not takes_cookies(response):
        return
    if visitor.stale:
        _send_device(current, response)
    session = visitor.session_token(state.clock())
    if session is not None:
        max_age = int(state.config.session_timeout.total_seconds())
        _set(current, response, SESSION_COOKIE, state.tokens.write_session(session), max_age)
    elif SESSION_COOKIE in current.request.cookies:
        _set(current, response, SESSION_COOKIE, "", 0)
    else:
        return
    _send_csrf(current, response)


def send_device(current: Current, response: Response) -> None:
    """Set the device and a fresh CSRF token, so that a client may try again."""
    _send_device(current, response)
    _send_csrf(current, response)


def send_choice(current: Current, response: Response, choice: Policy) -> None:
    """Set what the visitor has chosen; a refusal deletes the other cookies."""
    _set(current, response, CONSENT_COOKIE, choice, CONSENT_MAX_AGE, readable=True)
    if choice != "full":
        _delete(current, response)


def drop_cookies(current: Current, response: Response) -> None:
    """Delete the cookies that a visitor now refuses, if there are any."""
    if DEVICE_COOKIE in current.request.environ.get("HTTP_COOKIE", "") and takes_cookies(response):
        _delete(current, response)


def _delete(current: Current, response: Response) -> None:
    for name in (DEVICE_COOKIE, SESSION_COOKIE, CSRF_COOKIE):
        _set(current, response, name, "", 0)


def _send_device(current: Current, response: Response) -> None:
    token = current.state.tokens.write_device(current.visitor.device_token())
    _set(current, response, DEVICE_COOKIE, token, DEVICE_MAX_AGE)


def _send_csrf(current: Current, response: Response) -> None:
    visitor, state = current.visitor, current.state
    expires = (current.arrival + state.session_timeout_ns) // 1000
    token = state.tokens.write_csrf(visitor.device_id, expires)
    value = f"{state.tokens.epoch_of(visitor.uuid)}.{token}"
    max_age = int(state.config.session_timeout.total_seconds())
    _set(current, response, CSRF_COOKIE, value, max_age, readable=True)


def _set(
    current: Current,
    response: Response,
    name: str,
    value: str,
    max_age: int,
    *,
    readable: bool = False,
) -> None:
    """Set a cookie whose value never needs quotes.

    :param max_age: in seconds; 0 deletes it.
    :param readable: whether scripts may read it.
    """
    config = current.state.config
    secure = config.cookie_secure
    if secure == "auto":
        secure = current.request.is_secure
    attributes = _attributes_of(
        name, max_age, config.cookie_path, config.cookie_domain, secure, readable
    )
    response.headers.add("Set-Cookie", f"{name}={value}{attributes}")


@functools.lru_cache(maxsize=64)
def _attributes_of(
    name: str, max_age: int, path: str, domain: str | None, secure: bool, readable: bool
) -> str:
    """Return the attributes that follow a cookie's value."""
    cookie = dump_cookie(
        name,
        max_age=max_age,
        path=path,
        domain=domain,
        secure=secure,
        httponly=not readable,
        sync_expires=False,
        samesite="Lax",
    )
    return cookie.removeprefix(f"{name}=")
