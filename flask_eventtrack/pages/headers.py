"""What the headers of an answer say about its page."""

from __future__ import annotations

import functools
import typing as t

from flask import Response
from werkzeug.datastructures import Headers
from werkzeug.http import parse_options_header

_HTML_TYPES = frozenset({"text/html", "application/xhtml+xml"})


class AnswerHeaders(t.NamedTuple):
    """What an answer says about itself.

    ``is_shared``: ``Cache-Control`` lets a cache hand it to others.
    """

    is_document: bool = False
    charset: str = "utf-8"
    is_shared: bool = False
    is_encoded: bool = False


def read_headers(response: Response) -> AnswerHeaders:
    content_type = cache_control = encoding = ""
    headers = response.headers
    # A host may put a plain dict in their place.
    for name, value in headers if isinstance(headers, Headers) else headers.items():
        match name.lower():
            case "content-type":
                content_type = value
            case "cache-control":
                cache_control = value
            case "content-encoding":
                encoding = value
    return _judge_headers(content_type, cache_control, encoding)


@functools.lru_cache(maxsize=512)
def _judge_headers(content_type: str, cache_control: str, encoding: str) -> AnswerHeaders:
    mimetype, options = parse_options_header(content_type)
    directives = cache_control.lower()
    return AnswerHeaders(
        mimetype in _HTML_TYPES,
        options.get("charset", "utf-8"),
        "s-maxage" in directives or "public" in directives,
        encoding not in {"", "identity"},
    )
