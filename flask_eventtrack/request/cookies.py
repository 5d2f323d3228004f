"""Our cookies as requests bring them and answers set them; what is in them is the visitor's."""

from __future__ import annotations

import collections.abc as cabc
import functools
import typing as t

from flask import Response
from werkzeug.datastructures import Headers
from werkzeug.http import dump_cookie
from werkzeug.sansio.http import parse_cookie

from ..identity.tokens import MAX_LENGTH, match_session
from ..privacy import parse_choice

if t.TYPE_CHECKING:
    from ..config import Config
    from ..identity import TokenCodec
    from ..identity.tokens import Cookies, DeviceToken, SessionToken

DEVICE_COOKIE = "eventtrack_device"
SESSION_COOKIE = "eventtrack_session"
CSRF_COOKIE = "eventtrack_csrf"
CONSENT_COOKIE = "eventtrack_consent"
DEVICE_MAX_AGE = 10 * 365 * 24 * 60 * 60
CONSENT_MAX_AGE = 400 * 24 * 60 * 60
# A longer header is read anew each time: a client could fill the memory with what is remembered.
_LONG = 4096


def read_identity(
    tokens: TokenCodec, device: str | None, session: str | None
) -> tuple[DeviceToken | None, SessionToken | None]:
    """Return what the two cookies, or the headers in their place, say: None what is not ours."""
    ours = tokens.read_device(device) if device and len(device) <= MAX_LENGTH else None
    latest = tokens.read_session(session) if session and len(session) <= MAX_LENGTH else None
    return ours, match_session(ours, latest)


def cookie_reader(tokens: TokenCodec) -> cabc.Callable[[str], Cookies]:
    """Return what reads a ``Cookie`` header: the same one comes back with each of a visitor's
    requests, so the last 1,024 are remembered."""

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


def set_cookie(
    response: Response,
    config: Config,
    name: str,
    value: str,
    max_age: int,
    *,
    secure: bool,
    readable: bool = False,
) -> None:
    """Set a cookie, whose value never needs quotes.

    :param max_age: in seconds; 0 deletes it.
    :param secure: whether the request was, which ``EVENTTRACK_COOKIE_SECURE = "auto"`` goes by.
    :param readable: whether scripts may read it.
    """
    if config.cookie_secure != "auto":
        secure = config.cookie_secure
    attributes = _describe(
        name, max_age, config.cookie_path, config.cookie_domain, secure, readable
    )
    response.headers.add("Set-Cookie", f"{name}={value}{attributes}")


@functools.lru_cache(maxsize=64)
def _describe(
    name: str, max_age: int, path: str, domain: str | None, secure: bool, readable: bool
) -> str:
    """Return what follows the value of a cookie."""
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
