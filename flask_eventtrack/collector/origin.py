"""Who may post to the collector. Pure: headers in, a decision out.

Sources: the OWASP sheet on cross-site request forgery (fetch metadata, then the origin, then a
signed token bound to the device), and the Fetch standard's ``Sec-Fetch-Site``.
"""

from __future__ import annotations

import enum
import typing as t
import urllib.parse

_DEFAULT_PORTS = {"http": 80, "https": 443}


class Sender(enum.Enum):
    """The four that are let in, and the rest."""

    OWN_PAGE = "a page of this origin, by the browser's word"
    OWN_PAGE_WITH_TOKEN = "a page of this origin, if it shows the device's token"  # noqa: S105
    OTHER_ORIGIN = "a page of an origin that is allowed"
    APP = "an app or another back end"
    STRANGER = "anything else"


class SenderHeaders(t.NamedTuple):
    """The headers that tell; "" where one is absent. ``sec_fetch``: whether any Sec-Fetch came."""

    sec_fetch_site: str = ""
    sec_fetch: bool | str = False
    origin: str = ""
    referer: str = ""
    cookie: str = ""


def judge_sender(
    headers: SenderHeaders, own_origin: str, allowed_origins: tuple[str, ...]
) -> Sender:
    """Return who sends a request.

    :param own_origin: scheme, host and port of the request itself.
    :param allowed_origins: origins that match exactly or not at all.
    """
    if headers.sec_fetch_site == "same-origin":
        return Sender.OWN_PAGE
    if headers.origin.lower() in allowed_origins:
        return Sender.OTHER_ORIGIN
    if not headers.sec_fetch_site:
        stated = headers.origin or headers.referer
        if stated and _is_same(stated, own_origin):
            return Sender.OWN_PAGE_WITH_TOKEN
        if not (headers.origin or headers.cookie or headers.sec_fetch):
            return Sender.APP
    return Sender.STRANGER


def _is_same(url: str, origin: str) -> bool:
    parts = _origin_of(url)
    return parts is not None and parts == _origin_of(origin)


def _origin_of(url: str) -> tuple[str, str, int | None] | None:
    try:
        parts = urllib.parse.urlsplit(url)
        if not parts.hostname:
            return None
        port = parts.port or _DEFAULT_PORTS.get(parts.scheme)
        return parts.scheme, parts.hostname, port
    except ValueError:
        return None
