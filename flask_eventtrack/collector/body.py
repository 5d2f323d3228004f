"""The body of a post, which is neither read nor decompressed beyond the limit."""

from __future__ import annotations

import collections.abc as cabc
import zlib

from flask import request
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge
from werkzeug.wsgi import get_input_stream

from ..request.problems import Refused, problem
from ..state import get_state
from .messages import MAX_BYTES

TYPES = frozenset({"application/json", "text/plain"})
_GZIP = 16 + zlib.MAX_WBITS


def read_body(types: cabc.Set[str] = TYPES) -> bytes:
    """Return the body of the request, decompressed.

    :param types: the content types to take.
    :raises Refused: by its type, encoding or size, or because it did not arrive whole.
    """
    encoding = request.headers.get("Content-Encoding", "identity").lower()
    _check_encoding(encoding)
    if request.mimetype not in types:
        names = " or ".join(sorted(types - {""}))
        raise Refused(problem(415, "unsupported_type", f"Send {names}."))
    body = _read_bytes()
    if encoding == "gzip" and len(body) <= MAX_BYTES:
        body = _inflate(body)
    if len(body) > MAX_BYTES:
        raise _too_large()
    return body


def _too_large() -> Refused:
    return Refused(problem(413, "too_large", f"A post has at most {MAX_BYTES:,} bytes."))


def _check_encoding(encoding: str) -> None:
    accepted = ["gzip", "identity"] if get_state().config.gzip_posts else ["identity"]
    if encoding not in accepted:
        names = ", ".join(accepted)
        # RFC 7694: the answer lists the encodings that are accepted.
        detail = f"These encodings are accepted: {names}."
        raise Refused(problem(415, "encoded", detail, Accept_Encoding=names))


def _read_bytes() -> bytes:
    """Return the body as it was sent; a body that is too large may be cut after the limit."""
    # One more than allowed: a body without a length is cut there and would pass for a short one.
    try:
        request.stream = get_input_stream(request.environ, max_content_length=MAX_BYTES + 1)
        return request.get_data(cache=False)  # which the host may have read before
    except RequestEntityTooLarge:
        raise _too_large() from None
    except (HTTPException, OSError):
        raise Refused(problem(400, "malformed", "The body did not arrive whole.")) from None


def _inflate(body: bytes) -> bytes:
    """Return what is in a gzip body, cut after the limit."""
    unzip = zlib.decompressobj(_GZIP)
    try:
        inflated = unzip.decompress(body, MAX_BYTES + 1)
    except zlib.error:
        inflated = b""
    is_cut = len(inflated) > MAX_BYTES
    if not is_cut and (not unzip.eof or unzip.unused_data):
        raise Refused(problem(400, "malformed", "The body is not one whole gzip stream."))
    return inflated
