"""Our cookies: their names and lifetimes, as requests bring them and answers set them."""

from __future__ import annotations

import collections.abc as cabc
import functools

from flask import Request, Response
from werkzeug.datastructures import Headers
from werkzeug.http import dump_cookie
from werkzeug.sansio.http import parse_cookie

from ..config import Config, Policy
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
#: In front of the names of cookies that only this host can have set: browsers take one with this
#: prefix over HTTPS only, with the path "/" and without a domain (RFC 6265bis, section 4.1.3.2). A
#: page of a sibling subdomain cannot plant it. Releases before this prefix wrote the plain names.
HOST_PREFIX = "__Host-"
_IDENTITY = (DEVICE_COOKIE, SESSION_COOKIE, CSRF_COOKIE)
# In seconds. Session and CSRF token live for EVENTTRACK_SESSION_TIMEOUT.
DEVICE_MAX_AGE = 10 * 365 * 24 * 60 * 60
CONSENT_MAX_AGE = 400 * 24 * 60 * 60
#: Reads a ``Cookie`` header; the second argument says whether the answer's cookies have the prefix.
ReadCookies = cabc.Callable[[str, bool], Cookies]
# A longer header is not remembered: a client could fill the memory with such headers.
_LONG = 4096


def read_identity(
    tokens: TokenCodec, device: str | None, session: str | None
) -> tuple[DeviceToken | None, SessionToken | None]:
    """Return the identity in two cookies or headers; None for a value that is not ours."""
    ours = tokens.read_device(device) if device and len(device) <= MAX_LENGTH else None
    latest = tokens.read_session(session) if session and len(session) <= MAX_LENGTH else None
    return ours, match_session(ours, latest)


def may_prefix(config: Config) -> bool:
    """Whether the settings allow names with ``__Host-``, over HTTPS."""
    is_of_host = config.cookie_path == "/" and config.cookie_domain is None
    return is_of_host and config.cookie_secure is not False


def cookie_reader(tokens: TokenCodec, *, takes_last: bool = False) -> ReadCookies:
    """Return a function that reads a ``Cookie`` header and remembers the last 1,024.

    A visitor's requests bring the same header again and again, and signatures are slow to verify.
    A cookie is read under the name that the answer gives it, and only where that one is absent
    under its other name: it is from before an upgrade, or from a page without HTTPS.

    :param takes_last: whether the last of several cookies with one name counts. Browsers send the
        older one first (RFC 6265, section 5.4), which is from before ``EVENTTRACK_FRAMES`` was
        ``"embed"``: a partitioned cookie does not replace it.
    """

    @functools.lru_cache(maxsize=1024)
    def read(header: str, is_prefixed: bool) -> Cookies:
        cookies = dict(parse_cookie(header).items(multi=takes_last))
        names = [_names_of(name, is_prefixed=is_prefixed) for name in _IDENTITY]
        device, session = read_identity(
            tokens, *(cookies.get(name, cookies.get(other)) for name, other in names[:2])
        )
        is_renamed = any(name not in cookies and other in cookies for name, other in names[:2])
        others = tuple(other for _, other in names if other in cookies)
        choice = parse_choice(cookies.get(CONSENT_COOKIE))
        return Cookies(device, session, choice, is_renamed, others)

    def read_bounded(header: str, is_prefixed: bool) -> Cookies:
        return (read if len(header) <= _LONG else read.__wrapped__)(header, is_prefixed)

    return read_bounded


def _names_of(name: str, *, is_prefixed: bool) -> tuple[str, str]:
    """Return the name of one of our cookies, and its other one."""
    prefixed = f"{HOST_PREFIX}{name}"
    return (prefixed, name) if is_prefixed else (name, prefixed)


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
    elif f"{SESSION_COOKIE}=" in current.request.environ.get("HTTP_COOKIE", ""):
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
    if brings_device(current.request) and takes_cookies(response):
        _delete(current, response)


def brings_device(request: Request) -> bool:
    """Whether a request has a device cookie, valid or not."""
    return f"{DEVICE_COOKIE}=" in request.environ.get("HTTP_COOKIE", "")


def _delete(current: Current, response: Response) -> None:
    for name in _IDENTITY:
        _set(current, response, name, "", 0)


def _send_device(current: Current, response: Response) -> None:
    tokens, token = current.state.tokens, current.visitor.device_token()
    expires, max_age = tokens.expiry_of(token), DEVICE_MAX_AGE
    if expires:
        max_age = max(0, expires - current.arrival // 1_000_000_000)
    _set(current, response, DEVICE_COOKIE, tokens.write_device(token), max_age)


def _send_csrf(current: Current, response: Response) -> None:
    visitor, state = current.visitor, current.state
    expires = (current.arrival + state.lifetimes.session) // 1000
    value = state.tokens.write_csrf(visitor.owner(), expires)
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
    """Set a cookie whose value never needs quotes, and delete it under its other name.

    :param max_age: in seconds; 0 deletes it.
    :param readable: whether scripts may read it.
    """
    other = ""
    if name != CONSENT_COOKIE:  # which hosts and other tools read and write
        name, other = _names_of(name, is_prefixed=current.is_prefixed)
    _add(current, response, name, value, max_age, readable=readable)
    if other and other in current.cookies.others:
        _add(current, response, other, "", 0, readable=readable)


def _add(
    current: Current, response: Response, name: str, value: str, max_age: int, *, readable: bool
) -> None:
    config = current.state.config
    is_embedded = config.frames == "embed"
    place: tuple[str, str | None, bool] = "/", None, True
    if not name.startswith(HOST_PREFIX):
        secure = config.cookie_secure
        is_secure = current.request.is_secure if secure == "auto" else secure
        place = config.cookie_path, config.cookie_domain, is_secure or is_embedded
    attributes = _attributes_of(name, max_age, *place, readable, is_embedded)
    response.headers.add("Set-Cookie", f"{name}={value}{attributes}")


@functools.lru_cache(maxsize=64)
def _attributes_of(
    name: str,
    max_age: int,
    path: str,
    domain: str | None,
    secure: bool,
    readable: bool,
    is_embedded: bool,
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
        samesite="None" if is_embedded else "Lax",
    )
    # By hand, since older releases of Werkzeug do not know it.
    partitioned = "; Partitioned" if is_embedded else ""
    return cookie.removeprefix(f"{name}=") + partitioned
