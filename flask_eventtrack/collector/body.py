"""The body of a post: read no further than its limit, and inflated no further."""

from __future__ import annotations

import collections.abc as cabc
import zlib

from flask import request
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from ..state import get_state
from .messages import MAX_BYTES
from .problems import Refused, problem

TYPES = frozenset({"application/json", "text/plain"})
_GZIP = 16 + zlib.MAX_WBITS


def read_body(types: cabc.Set[str] = TYPES) -> bytes:
    encoding = _check_encoding(request.headers.get("Content-Encoding", "identity").lower())
    if request.mimetype not in types:
        raise Refused(
            problem(415, "unsupported_type", "Send application/json, or the same as text/plain.")
        )
    body = _read_bytes()
    if body is not None and encoding == "gzip":
        body = _inflate(body)
    if body is None or len(body) > MAX_BYTES:
        raise Refused(problem(413, "too_large", f"A post takes at most {MAX_BYTES} bytes."))
    return body


def _check_encoding(encoding: str) -> str:
    """Return an encoding that bodies may have; another is told which those are (RFC 7694)."""
    accepted = ["gzip", "identity"] if get_state().config.gzip_posts else ["identity"]
    if encoding not in accepted:
        detail = f"The body may be encoded as: {', '.join(accepted)}."
        raise Refused(problem(415, "encoded", detail, Accept_Encoding=", ".join(accepted)))
    return encoding


def _inflate(body: bytes) -> bytes:
    """Return what is in a gzip body, or the first bytes of it where it is larger than allowed."""
    unzip = zlib.decompressobj(_GZIP)
    try:
        inflated = unzip.decompress(body, MAX_BYTES + 1)
    except zlib.error:
        inflated = b""
    is_cut = len(inflated) > MAX_BYTES
    if not is_cut and (not unzip.eof or unzip.unused_data):
        raise Refused(problem(400, "malformed", "The body is not one whole gzip stream."))
    return inflated


def _read_bytes() -> bytes | None:
    """Return the body as it came, or None where it is too large."""
    # One more than allowed: a body without a length is cut there and would pass for a short one.
    request.max_content_length = MAX_BYTES + 1
    try:
        body = request.get_data(cache=False)
    except RequestEntityTooLarge:
        return None
    except (HTTPException, OSError):
        raise Refused(problem(400, "malformed", "The body did not arrive whole.")) from None
    return body if len(body) <= MAX_BYTES else None
