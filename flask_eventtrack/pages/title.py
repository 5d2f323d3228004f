"""The title of an HTML document."""

from __future__ import annotations

import functools
import html
import re

from ..text import TITLE_MAX_LENGTH

_HEAD_BYTES = 64 * 1024
_SHORT_HEAD_BYTES = 2 * 1024
# Elements that may hold another <title> are skipped; the end of the head ends the search.
_OPENING = re.compile(rb"<!--|<(?:script|style|template|svg|title|body)\b|</head\b", re.IGNORECASE)
_CLOSING = {
    b"<!--": re.compile(rb"-->"),
    **{
        b"<" + name: re.compile(rb"</" + name, re.IGNORECASE)
        for name in (b"script", b"style", b"template", b"svg", b"title")
    },
}


def parse_title(document: bytes, charset: str = "utf-8") -> str:
    """Return the text of the first ``<title>`` in a document's head, cut to 2,000 characters.

    The time it takes is at most linear in the document's length, whatever it contains.
    """
    end = document.find(b"</title", 0, _SHORT_HEAD_BYTES)
    title = "" if end < 0 else _parse_short_head(document[: end + 8], charset)
    return title or _parse_head(document, charset)


def _parse_head(document: bytes, charset: str) -> str:
    position = 0
    while found := _OPENING.search(document, position, _HEAD_BYTES):
        tag = found[0].lower()
        closing = _CLOSING.get(tag)
        start = found.end() if tag == b"<!--" else document.find(b">", found.end()) + 1
        end = closing.search(document, start, _HEAD_BYTES) if closing and start else None
        if end is None:
            return ""
        if tag == b"<title":
            return _read_text(document[start : end.start()], charset)
        position = end.start()
    return ""


# The same heads, up to the title, come again and again.
_parse_short_head = functools.lru_cache(maxsize=512)(_parse_head)


def _read_text(text: bytes, charset: str) -> str:
    try:
        decoded = text.decode(charset, "replace")
    except LookupError:
        decoded = text.decode("utf-8", "replace")
    if "&" in decoded:
        decoded = html.unescape(decoded)
    return " ".join(decoded.split())[:TITLE_MAX_LENGTH]
