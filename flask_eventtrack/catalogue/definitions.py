"""Definitions of events and the catalogue that checks events against them."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses
import datetime as dt
import difflib
import functools
import re
import string
import typing as t

import msgspec
from msgspec import inspect

from ..config import parse_duration
from ..errors import InvalidDefinition, InvalidEvent, ReservedEvent, UndefinedEvent
from ..text import check_action, clean_text, clip_label, shorten
from .params import normalise

#: What a source adds to an event of its own accord: never counted as undefined.
CONTEXT_PARAMETERS = frozenset(
    {
        "url",
        "title",
        "visit",
        "content_type",
        "content_id",
        "publisher",
        "object_type",
        "object_id",
        "original_time",
    }
)
_T = t.TypeVar("_T", bound=type)
_FORMATTER = string.Formatter()
_LEADING_ZEROS = re.compile(r"^(-?)0+(?=\d)")
_read_json_number = msgspec.json.Decoder(
    t.Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)] | float
).decode
_BOOLEANS = {"true": True, "1": True, 1: True, "false": False, "0": False, 0: False}
_NUMBERS = frozenset({inspect.IntType, inspect.FloatType})
_TAKE_NUMBERS = _NUMBERS | {inspect.AnyType, inspect.DecimalType}
_ANY = inspect.AnyType()
_TAKE_TEXT = frozenset({inspect.AnyType, inspect.StrType})
_REASONS = {
    "session.start": "it is recorded with the first event of a session",
    "session.end": "it is recorded when a session is over",
    "transaction.charge": "nothing records it in this version",
}


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Definition:
    """What the catalogue knows of an action.

    :param schema: the class whose fields are the parameters, or None where it has none.
    :param label: a format string over the parameters.
    :param anonymous: whether a visitor who is no customer may send it from a browser or app.
    :param server_only: whether it is never accepted over HTTP.
    :param keep: how long its events are kept; None for as long as ``EVENTTRACK_RETENTION`` says.
    """

    action: str
    schema: type | None = None
    label: str | None = None
    anonymous: bool = False
    server_only: bool = False
    keep: dt.timedelta | None = None
    builtin: bool = False
    types: cabc.Mapping[str, str] = dataclasses.field(default_factory=dict)

    def check(
        self, params: dict[str, t.Any], *, lenient: bool = False
    ) -> tuple[dict[str, t.Any], tuple[str, ...]]:
        """Return normalised ``params`` as the schema reads them, and the names it does not know.

        A parameter that is None is not stored.

        :param lenient: whether text may stand for a number or a boolean, and a number for text.
        :raises InvalidEvent: naming the parameter, what was expected and what came.
        """
        given = {name: value for name, value in params.items() if value is not None}
        if self.schema is None:
            known: dict[str, t.Any] = {}
        else:
            typed = self._convert(params, lenient=lenient)
            known = {k: v for k, v in normalise(_read_fields(typed)).items() if v is not None}
        undefined = tuple(
            name for name in given if name not in self.types and name not in CONTEXT_PARAMETERS
        )
        return {**known, **{k: v for k, v in given.items() if k not in self.types}}, undefined

    def _convert(self, params: dict[str, t.Any], *, lenient: bool) -> t.Any:
        try:
            return msgspec.convert(params, self.schema, str_keys=True)
        except msgspec.ValidationError as error:
            if not lenient:
                raise self._explain(error, params) from None
        try:
            fitting = _fit(params, _kind_of(self.schema))
            return msgspec.convert(fitting, self.schema, str_keys=True)
        except msgspec.ValidationError as error:
            raise self._explain(error, params) from None

    def format_label(self, params: cabc.Mapping[str, t.Any]) -> str | None:
        """Return the label for ``params``, or None where there is no template for them."""
        if self.label is None:
            return None
        try:
            return clip_label(clean_text(self.label.format_map(_Blank(params))))
        except (ValueError, TypeError):  # a format specification that this value does not take
            return None

    def _explain(self, error: msgspec.ValidationError, params: dict[str, t.Any]) -> InvalidEvent:
        text = str(error)
        missing = re.search(r"required field `([^`]*)`", text)
        path = re.search(r" - at `\$\.?([^`]*)`$", text)
        if missing and path is None:
            name = missing[1]
            problem = f"it is required ({self.types.get(name, 'any')}) and was not given"
        elif path:
            name = re.split(r"[.\[]", path[1])[0]
            came = params.get(name)
            problem = f"{text[: path.start()]}: {shorten(came)} came"
            problem = problem[0].lower() + problem[1:]
        else:
            return InvalidEvent("invalid_params", f"{self.action!r}: {text}.")
        return InvalidEvent(
            "invalid_param", f"{self.action!r}, parameter {name!r}: {problem}.", name
        )


class _Blank(dict[str, t.Any]):
    """A parameter that is absent reads as nothing."""

    def __missing__(self, key: str) -> str:
        return ""


class Catalogue:
    """All definitions of one extension object; apps that share the object share them."""

    def __init__(self, definitions: cabc.Iterable[Definition] = ()) -> None:
        self._by_action = {definition.action: definition for definition in definitions}
        self._by_schema = {d.schema: d for d in self._by_action.values() if d.schema}

    def __iter__(self) -> cabc.Iterator[Definition]:
        return iter(sorted(self._by_action.values(), key=lambda definition: definition.action))

    def define(
        self,
        action: str,
        *,
        label: str | None = None,
        anonymous: bool = False,
        server_only: bool = False,
        keep: dt.timedelta | float | None = None,
    ) -> cabc.Callable[[_T], _T]:
        """Define an action without parameters; the returned decorator adds a class of them.

        :raises InvalidEvent: the action is malformed.
        :raises InvalidDefinition: it is defined already, or the label template or ``keep`` is
            refused.
        """
        definition = Definition(
            action=check_action(action),
            label=label,
            anonymous=anonymous,
            server_only=server_only,
            keep=_read_keep(action, keep),
        )
        old = self._by_action.get(action)
        self._refuse_conflict(old, definition)
        _check_label(definition)
        if old is None or old.builtin:
            self._by_action[action] = definition

        def decorate(schema: _T) -> _T:
            self._add_schema(definition, schema, old)
            return schema

        return decorate

    def keeps(self) -> dict[str, dt.timedelta]:
        """Return how long events are kept, of the actions whose definitions say it."""
        return {d.action: d.keep for d in self._by_action.values() if d.keep is not None}

    def find(self, action: str) -> Definition | None:
        """Return the definition of ``action``, or None."""
        return self._by_action.get(action)

    def get(self, action: str) -> Definition:
        """Return the definition of ``action``.

        :raises UndefinedEvent: naming the nearest action that is defined.
        """
        definition = self._by_action.get(action)
        if definition is not None:
            return definition
        nearest = difflib.get_close_matches(action, self._by_action, n=1, cutoff=0.5)
        hint = f" Did you mean {nearest[0]!r}?" if nearest else ""
        raise UndefinedEvent("undefined_event", f"{action!r} is not defined.{hint}")

    def find_for(self, instance: object) -> Definition | None:
        """Return the definition whose class ``instance`` is of, or None."""
        return self._by_schema.get(type(instance))

    def _refuse_conflict(self, old: Definition | None, new: Definition) -> None:
        if old is None:
            return
        if new.action in _REASONS or new.action == "page.visit":
            raise InvalidDefinition(f"{new.action!r} is built in and cannot be defined anew.")
        # A factory that runs once an app defines the same events on a shared object each time.
        if not old.builtin and _options_of(old) != _options_of(new):
            raise InvalidDefinition(f"{new.action!r} is defined already, with other options.")

    def _add_schema(self, definition: Definition, schema: type, old: Definition | None) -> None:
        action = definition.action
        try:
            if not dataclasses.is_dataclass(schema):
                schema = dataclasses.dataclass(schema)
            types = describe_fields(schema)
        except (AttributeError, NameError, TypeError, ValueError) as error:
            name = getattr(schema, "__name__", repr(schema))
            raise InvalidDefinition(
                f"{action!r}: {name} cannot be read as parameters: {error}."
            ) from None
        if old is not None and not old.builtin and old.schema and old.types != types:
            raise InvalidDefinition(f"{action!r} is defined already, with other parameters.")
        taken = self._by_schema.get(schema)
        if taken is not None and taken.action != action:
            raise InvalidDefinition(
                f"{schema.__name__} is the class of {taken.action!r}: {action!r} needs its own."
            )
        complete = dataclasses.replace(definition, schema=schema, types=types)
        _check_label(complete)
        self._by_action[action] = complete
        self._by_schema[schema] = complete


def describe_fields(schema: type) -> dict[str, str]:
    """Return the parameters of a dataclass and their types, as written in Python.

    :raises TypeError: a type that msgspec does not understand.
    :raises NameError: an annotation that cannot be resolved.
    """
    msgspec.inspect.type_info(schema)
    hints = t.get_type_hints(schema)
    return {
        field.name: hints[field.name].__name__
        if isinstance(hints[field.name], type) and not t.get_args(hints[field.name])
        else str(hints[field.name]).replace("typing.", "")
        for field in dataclasses.fields(schema)
    }


def refuse_reserved(action: str) -> None:
    """Refuse an action that neither ``track()`` nor a client may send.

    :raises ReservedEvent: saying which road it takes instead.
    """
    if action in _REASONS:
        raise ReservedEvent("reserved_event", f"{action!r} cannot be sent: {_REASONS[action]}.")


def _options_of(definition: Definition) -> tuple[object, ...]:
    return definition.label, definition.anonymous, definition.server_only, definition.keep


def _read_keep(action: str, keep: dt.timedelta | float | None) -> dt.timedelta | None:
    duration = parse_duration(keep)
    if keep is not None and duration is None:
        raise InvalidDefinition(
            f"{action!r}: keep is a timedelta or a number of seconds, more than 0, not {keep!r}."
        )
    return duration


def _check_label(definition: Definition) -> None:
    if definition.label is None:
        return
    try:
        parsed = list(_FORMATTER.parse(definition.label))
    except ValueError as error:
        raise InvalidDefinition(
            f"{definition.action!r}: label {definition.label!r}: {error}."
        ) from None
    for _, name, spec, conversion in parsed:
        if name is None:
            continue
        if conversion not in {None, "", "r", "s", "a"}:
            raise InvalidDefinition(
                f"{definition.action!r}: label {definition.label!r}: no conversion {conversion!r}."
            )
        if not name.isidentifier() or "{" in (spec or ""):
            raise InvalidDefinition(
                f"{definition.action!r}: label {definition.label!r}: {{{name}}} is not the plain "
                "name of a parameter; attributes, indexes and nested fields are refused."
            )
        if definition.schema is not None and name not in definition.types:
            raise InvalidDefinition(
                f"{definition.action!r}: label {definition.label!r}: {name!r} is not a parameter; "
                f"there are: {', '.join(definition.types) or 'none'}."
            )


def _read_fields(value: t.Any) -> t.Any:
    """Return dataclasses as dicts, with the defaults that msgspec leaves to the class."""
    if dataclasses.is_dataclass(value):
        return {f.name: _read_fields(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, list | tuple | set | frozenset):
        return [_read_fields(item) for item in value]
    if isinstance(value, dict):
        return {name: _read_fields(item) for name, item in value.items()}
    return value


_kind_of = functools.lru_cache(maxsize=512)(inspect.type_info)


def _fit(value: t.Any, kind: inspect.Type) -> t.Any:
    """Return a JSON value whose text is a number or a boolean where its type takes no text, and
    whose numbers are text, or booleans, where it takes no number."""
    kinds = kind.types if isinstance(kind, inspect.UnionType) else (kind,)
    if isinstance(value, str):
        return _fit_text(value, kinds)
    if isinstance(value, int | float):
        return _fit_number(value, kinds)
    for kind in kinds:
        match value, kind:
            case list(), inspect.ListType() | inspect.SetType() | inspect.VarTupleType():
                return [_fit(item, kind.item_type) for item in value]
            case dict(), inspect.DictType():
                return {name: _fit(item, kind.value_type) for name, item in value.items()}
            case dict(), inspect.DataclassType() | inspect.StructType() | inspect.TypedDictType():
                types = {field.encode_name: field.type for field in kind.fields}
                return {name: _fit(item, types.get(name, _ANY)) for name, item in value.items()}
    return value


def _fit_text(text: str, kinds: cabc.Iterable[inspect.Type]) -> t.Any:
    types = set(map(type, kinds))
    if types & _TAKE_TEXT:
        return text
    if types & _NUMBERS:
        try:
            return _read_json_number(_LEADING_ZEROS.sub(r"\1", text))
        except msgspec.DecodeError:
            return text
    return _BOOLEANS.get(text.lower(), text) if inspect.BoolType in types else text


def _fit_number(number: float, kinds: cabc.Iterable[inspect.Type]) -> t.Any:
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
