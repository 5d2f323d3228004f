"""The types of parameters as shapes, which are written as TypeScript or as Python."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses
import datetime as dt
import decimal
import enum
import math
import types
import typing as t
import uuid

from ..catalogue.definitions import Definition
from ..catalogue.descriptions import describe_fields
from ..money import Money

Kind = t.Literal[
    "any",
    "text",
    "integer",
    "number",
    "boolean",
    "null",
    "bytes",
    "moment",
    "date",
    "time",
    "duration",
    "decimal",
    "amount",
    "uuid",
]
_KINDS: dict[t.Any, Kind] = {
    str: "text",
    int: "integer",
    float: "number",
    bool: "boolean",
    None: "null",
    types.NoneType: "null",
    bytes: "bytes",
    dt.datetime: "moment",
    dt.date: "date",
    dt.time: "time",
    dt.timedelta: "duration",
    decimal.Decimal: "decimal",
    uuid.UUID: "uuid",
}
_UNIONS = (t.Union, types.UnionType)


@dataclasses.dataclass(frozen=True, slots=True)
class Scalar:
    """A value without parts."""

    kind: Kind


@dataclasses.dataclass(frozen=True, slots=True)
class Choice:
    """One of some values; ``enumeration`` is the class whose values they are, if there is one."""

    values: tuple[t.Any, ...]
    enumeration: type[enum.Enum] | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Items:
    """A list."""

    of: Shape


@dataclasses.dataclass(frozen=True, slots=True)
class Names:
    """An object with any names."""

    of: Shape


@dataclasses.dataclass(frozen=True, slots=True)
class Either:
    """A value of one of some shapes."""

    options: tuple[Shape, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Part:
    """A name of an object."""

    name: str
    shape: Shape
    is_required: bool
    description: str


@dataclasses.dataclass(frozen=True, slots=True)
class Object:
    """An object with these names, which a class defines."""

    schema: type
    parts: tuple[Part, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Again:
    """The object of a class that contains this value."""

    schema: type


Shape = Scalar | Choice | Items | Names | Either | Object | Again


def read_params(definition: Definition) -> tuple[Part, ...]:
    """Return the parameters of an event."""
    return () if definition.schema is None else _read_parts(definition.schema, ())


def read_shape(hint: t.Any, inside: tuple[type, ...] = ()) -> Shape:
    """Return the shape of a type annotation; of one that is not understood, any value's.

    :param inside: the classes that contain it.
    """
    if t.get_origin(hint) is t.Annotated:
        return read_shape(t.get_args(hint)[0], inside)
    if hasattr(hint, "__supertype__"):  # NewType
        return read_shape(hint.__supertype__, inside)
    if isinstance(hint, t.TypeVar) or not isinstance(hint, cabc.Hashable):
        return Scalar("any")
    if hint in _KINDS:
        return Scalar(_KINDS[hint])
    origin, arguments = t.get_origin(hint) or hint, t.get_args(hint)
    if origin in _UNIONS:
        return _join([read_shape(each, inside) for each in arguments])
    if origin is t.Literal:
        return _choose(arguments)
    if isinstance(origin, type):
        return _read_class(origin, arguments, inside)
    return Scalar("any")


def _join(options: cabc.Iterable[Shape]) -> Shape:
    """Return one shape for some, each once."""
    found = tuple(dict.fromkeys(options))
    return found[0] if len(found) == 1 else Either(found)


def _choose(values: tuple[t.Any, ...], enumeration: type[enum.Enum] | None = None) -> Shape:
    """Return the shape of one of some values; those that JSON does not have may be anything."""
    plain = [each.value if isinstance(each, enum.Enum) else each for each in values]
    known = tuple(each for each in plain if _is_plain(each))
    choice = Choice(known, enumeration)
    return choice if len(known) == len(plain) else Either((choice, Scalar("any")))


def _is_plain(value: object) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, str | int | None)


def _read_class(kind: type, arguments: tuple[t.Any, ...], inside: tuple[type, ...]) -> Shape:
    if issubclass(kind, enum.Enum):
        return _choose(tuple(kind), kind)
    if issubclass(kind, cabc.Mapping):
        return Names(read_shape(arguments[1], inside) if len(arguments) == 2 else Scalar("any"))
    if issubclass(kind, cabc.Collection) and not issubclass(kind, str | bytes):
        items = [read_shape(each, inside) for each in arguments if each is not Ellipsis]
        return Items(_join(items) if items else Scalar("any"))
    if kind is Money:
        amount, currency = _read_parts(kind, inside)
        return Object(kind, (dataclasses.replace(amount, shape=Scalar("amount")), currency))
    if dataclasses.is_dataclass(kind) or _fields_of_model(kind):
        return Again(kind) if kind in inside else Object(kind, _read_parts(kind, inside))
    return Scalar(next((_KINDS[base] for base in kind.__mro__ if base in _KINDS), "any"))


def _read_parts(schema: type, inside: tuple[type, ...]) -> tuple[Part, ...]:
    texts, within = describe_fields(schema), (*inside, schema)
    return tuple(
        Part(name, read_shape(hint, within), is_required, texts.get(name, ""))
        for name, hint, is_required in _iter_fields(schema)
    )


def _iter_fields(schema: type) -> cabc.Iterator[tuple[str, t.Any, bool]]:
    """Yield the name, the annotation, and whether it is required, of the fields of a class."""
    model = _fields_of_model(schema)
    if model:
        for name, field in model.items():
            yield name, field.annotation, field.is_required()
        return
    hints = t.get_type_hints(schema)
    for each in dataclasses.fields(schema):
        has_default = (
            each.default is not dataclasses.MISSING
            or each.default_factory is not dataclasses.MISSING
        )
        yield each.name, hints[each.name], not has_default


def _fields_of_model(schema: t.Any) -> dict[str, t.Any]:
    """Return the fields of a model of pydantic; none of another class."""
    fields: dict[str, t.Any] = getattr(schema, "__pydantic_fields__", None) or {}
    return fields
