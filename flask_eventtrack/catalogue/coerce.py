"""Reads the parameters that clients post: text as a number and a number as text, by their types.

Attributes of a page hold text only, so the script cannot know which of the two is meant.
"""

from __future__ import annotations

import collections.abc as cabc
import re
import typing as t

import msgspec
from msgspec import inspect

from ..money import Money, split_money

_LEADING_ZEROS = re.compile(r"^(-?)0+(?=\d)")
_read_json_number = msgspec.json.Decoder(
    t.Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)] | float
).decode
_BOOLEANS = {"true": True, "1": True, 1: True, "false": False, "0": False, 0: False}
_NUMBERS = frozenset({inspect.IntType, inspect.FloatType})
_TAKE_NUMBERS = _NUMBERS | {inspect.AnyType, inspect.DecimalType}
_TAKE_TEXT = frozenset({inspect.AnyType, inspect.StrType})
_ANY = inspect.AnyType()


def coerce(value: t.Any, kind: inspect.Type) -> t.Any:
    """Return a JSON value with its parts converted to the types that ``kind`` accepts.

    Text becomes a number, a boolean, money or a list (of JSON) where text is not accepted. A number
    becomes text or a boolean where a number is not accepted. Anything else is returned as it is,
    even if it does not fit.
    """
    kinds = kind.types if isinstance(kind, inspect.UnionType) else (kind,)
    if isinstance(value, str):
        return _coerce_text(value, kinds)
    if isinstance(value, int | float):
        return _coerce_number(value, kinds)
    for kind in kinds:
        match value, kind:
            case list(), inspect.ListType() | inspect.SetType() | inspect.VarTupleType():
                return [coerce(item, kind.item_type) for item in value]
            case dict(), inspect.DictType():
                return {name: coerce(item, kind.value_type) for name, item in value.items()}
            case dict(), inspect.DataclassType() | inspect.StructType() | inspect.TypedDictType():
                types = {field.encode_name: field.type for field in kind.fields}
                return {name: coerce(item, types.get(name, _ANY)) for name, item in value.items()}
    return value


def _coerce_text(text: str, kinds: cabc.Iterable[inspect.Type]) -> t.Any:
    types = set(map(type, kinds))
    if types & _TAKE_TEXT:
        return text
    if types & _NUMBERS:
        try:
            return _read_json_number(_LEADING_ZEROS.sub(r"\1", text))
        except msgspec.DecodeError:
            return text
    if inspect.BoolType in types:
        return _BOOLEANS.get(text.lower(), text)
    if any(isinstance(kind, inspect.DataclassType) and kind.cls is Money for kind in kinds):
        return split_money(text) or text
    return _read_list(text, kinds) if text[:1] == "[" and inspect.ListType in types else text


def _read_list(text: str, kinds: cabc.Iterable[inspect.Type]) -> t.Any:
    try:
        values = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return text
    return coerce(values, next(kind for kind in kinds if isinstance(kind, inspect.ListType)))


def _coerce_number(number: float, kinds: cabc.Iterable[inspect.Type]) -> t.Any:
    types = set(map(type, kinds))
    if types & _TAKE_NUMBERS or (isinstance(number, bool) and inspect.BoolType in types):
        return number
    text = msgspec.json.encode(number).decode()
    choices = [choice for kind in kinds for choice in _choices_of(kind)]
    if inspect.StrType in types or (text in choices and number not in choices):
        return text
    return _BOOLEANS.get(number, number) if inspect.BoolType in types else number


def _choices_of(kind: inspect.Type) -> cabc.Iterable[t.Any]:
    match kind:
        case inspect.LiteralType():
            return kind.values
        case inspect.EnumType():
            return [member.value for member in kind.cls]
    return ()
