"""What is kept of a record that the database refuses: a reason and a payload, both masked."""

from __future__ import annotations

import collections.abc as cabc
import json
import typing as t

import msgspec
from sqlalchemy import exc

from ..privacy.masking import MASKED
from ..records import Record
from ..text import escape

_PAYLOAD_MAX_LENGTH = 32 * 1024
_REASON_MAX_LENGTH = 255
# Shorter texts are part of the database's own words.
_QUOTED_MIN_LENGTH = 4

_CONTENT = (
    *("label", "params", "title", "path", "query", "referrer", "customer_id", "traits"),
    "order",
)

Mask = cabc.Callable[[dict[str, t.Any]], dict[str, t.Any]]


def describe_reason(error: Exception, record: Record, mask: Mask) -> str:
    """Return why a record is refused, without what the database quotes of it."""
    cause = (error.orig if isinstance(error, exc.DBAPIError) else None) or error
    # PostgreSQL quotes the whole row in the second line.
    reason = f"{type(cause).__name__}: {str(cause).partition(chr(10))[0]}"
    texts = {text for name in _CONTENT for text in _iter_texts(getattr(record, name, None))}
    for text in sorted(texts, key=len, reverse=True):
        if len(text) >= _QUOTED_MIN_LENGTH:
            reason = reason.replace(text, MASKED)
    masked: str = mask({"reason": reason})["reason"]
    return escape(masked).encode("ascii", "backslashreplace").decode()[:_REASON_MAX_LENGTH]


def describe_record(record: Record, mask: Mask) -> str:
    """Return a record as JSON, with the names of its fields, masked."""
    fields = msgspec.to_builtins(_name_fields(record), str_keys=True)
    # json.dumps escapes to ASCII, so the refused bytes cannot be refused again.
    return json.dumps(mask(fields))[:_PAYLOAD_MAX_LENGTH]


def _iter_texts(value: object) -> cabc.Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _iter_texts(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _iter_texts(item)
    elif isinstance(value, msgspec.Struct):
        yield from _iter_texts(msgspec.structs.astuple(value))


def _name_fields(value: object) -> object:
    """Return a record with the names of its fields, for people; as an array it has none."""
    if isinstance(value, tuple):
        return [_name_fields(item) for item in value]
    if not isinstance(value, msgspec.Struct):
        return value
    fields = msgspec.structs.asdict(value)
    return {name: _name_fields(field) for name, field in fields.items() if field is not None}
