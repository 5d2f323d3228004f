"""What is kept of a record that the database refuses: a reason and a payload, both masked."""

from __future__ import annotations

import collections.abc as cabc
import json
import typing as t

import msgspec
from sqlalchemy import exc

from ..privacy.masking import MASKED
from ..records import Charge, Event, Identified, PageView, Record, SessionEnd
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
    masked = mask(fields)
    if isinstance(record, Event) and isinstance(record.order, Charge):
        # It looks like a token, and tells whether the same order is charged again.
        masked = {**masked, "order": {**masked["order"], "digest": record.order.digest}}
    # json.dumps escapes to ASCII, so the refused bytes cannot be refused again.
    return json.dumps(masked)[:_PAYLOAD_MAX_LENGTH]


def read_described(payload: str) -> Record | None:
    """Return the record of a payload of :func:`describe_record`, masked as it is.

    None if the payload was cut, or what is masked was needed.
    """
    try:
        fields = json.loads(payload)
        kind = next((each for each in _KINDS if _may_be(each, fields)), None)
        return None if kind is None else t.cast("Record", _build(kind, fields))
    except (ValueError, TypeError, AttributeError, RecursionError, msgspec.ValidationError):
        return None


_KINDS: t.Final[tuple[type[msgspec.Struct], ...]] = (Event, PageView, SessionEnd, Identified)


def _may_be(kind: type[msgspec.Struct], fields: dict[str, t.Any]) -> bool:
    """Whether an object has all that a kind of record must have. What was None is left out."""
    needed = {each.name for each in msgspec.structs.fields(kind) if each.required}
    return needed - {"client"} <= fields.keys() <= set(kind.__struct_fields__)


def _build(kind: type[msgspec.Struct], fields: dict[str, t.Any]) -> msgspec.Struct:
    """Return a struct whose fields have names. Structs are stored as arrays, which have none."""
    values = {
        each.name: _build_value(each.type, fields.get(each.name))
        for each in msgspec.structs.fields(kind)
        if each.name in fields or each.required
    }
    return kind(**values)


def _build_value(type_: t.Any, value: t.Any) -> t.Any:
    """Return the value of a field: of structs the one whose names an object has."""
    options = t.get_args(type_) or (type_,)
    kinds = [
        each for each in options if isinstance(each, type) and issubclass(each, msgspec.Struct)
    ]
    if isinstance(value, dict) and kinds:
        kind = next((each for each in kinds if _may_be(each, value)), None)
        if kind is None:
            raise TypeError("The object is of none of these kinds.")
        return _build(kind, value)
    if isinstance(value, list) and kinds:
        return tuple(_build(kinds[0], each) for each in value)
    return msgspec.convert(value, type_)


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
