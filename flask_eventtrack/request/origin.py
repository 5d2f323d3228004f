"""Who sends a post, to the collector or to a page of ours: a decision about its headers.

Sources: the OWASP cheat sheet on cross-site request forgery (fetch metadata first, then the origin,
then a signed token bound to the device), and the Fetch standard's ``Sec-Fetch-Site``.
"""

from __future__ import annotations

import enum
import typing as t

from flask import request

from ..origins import origin_of
from ..state import State


class PostOrigin(enum.Enum):
    """Who sends a request: one of the four that may post, or a stranger."""

    OWN_PAGE = "a page of this origin, as the browser says"
    OWN_PAGE_WITH_TOKEN = "a page of this origin, if it shows the device's token"  # noqa: S105
    OTHER_ORIGIN = "a page of an allowed origin"
    APP = "an app or another back end"
    STRANGER = "anything else"


class OriginHeaders(t.NamedTuple):
    """The headers that decide. An absent one is ""; ``sec_fetch``: if there is any Sec-Fetch-*."""

    sec_fetch_site: str = ""
    sec_fetch: bool | str = False
    origin: str = ""
    referer: str = ""
    cookie: str = ""


def judge_origin(
    headers: OriginHeaders, own_origin: str, allowed_origins: tuple[str, ...]
) -> PostOrigin:
    """Return who sends a request.

    :param own_origin: scheme, host and port that the request was sent to.
    :param allowed_origins: origins in lower case, compared as a whole.
    """
    if headers.sec_fetch_site == "same-origin":
        return PostOrigin.OWN_PAGE
    if headers.origin.lower() in allowed_origins:
        return PostOrigin.OTHER_ORIGIN
    if not headers.sec_fetch_site:
        stated = origin_of(headers.origin or headers.referer)
        if stated is not None and stated == origin_of(own_origin):
            return PostOrigin.OWN_PAGE_WITH_TOKEN
        if not (headers.origin or headers.cookie or headers.sec_fetch):
            return PostOrigin.APP
    return PostOrigin.STRANGER


def find_origin(state: State) -> PostOrigin:
    """Return who sends the current request."""
    headers = request.headers
    return judge_origin(
        OriginHeaders(
            headers.get("Sec-Fetch-Site", ""),
            any(name.lower().startswith("sec-fetch-") for name in headers.keys()),  # noqa: SIM118
            headers.get("Origin", ""),
            headers.get("Referer", ""),
            headers.get("Cookie", ""),
        ),
        f"{request.scheme}://{request.host}",
        state.config.allowed_origins,
    )
