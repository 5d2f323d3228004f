"""Definitions of events, and the catalogue that holds them."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import dataclasses
import datetime as dt
import difflib
import functools
import string
import typing as t

from ..config import parse_duration
from ..errors import EventCode, InvalidDefinition, InvalidEvent, ReservedEvent, UndefinedEvent
from ..money import has_float, show_money
from ..records import CANCEL, CHARGE, PRODUCT_BUY
from ..text import check_action, clean_text, clip_label, shorten
from .classes import (
    TAKEN,
    Fields,
    Misfit,
    find_obstacle,
    make_dataclass,
    read_class,
    restored_if_refused,
)
from .descriptions import describe_class
from .params import normalise

#: Whether an action is still meant to be recorded. A deprecated one is, and that is said.
Status = t.Literal["active", "deprecated"]
#: Parameters that the snippet and the server add: never counted as undefined.
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
_RESERVED = {
    "session.start": "it is recorded with the first event of a session",
    "session.end": "it is recorded when a session is over",
    CHARGE: "track_transaction() records it, on the server",
    CANCEL: "cancel_transaction() records it, on the server",
}
# No events of a host's own look like revenue.
_TRANSACTIONS = "transaction."
_T = t.TypeVar("_T", bound=type)
_R = t.TypeVar("_R")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Definition:
    """The definition of an action.

    :param schema: the class whose fields are the parameters, or None if it has no parameters.
    :param label: a format string over the parameters.
    :param anonymous: whether an anonymous visitor may send it from a browser or app.
    :param server_only: whether it is never accepted over HTTP.
    :param keep: how long its events are kept; None for as long as ``EVENTTRACK_RETENTION`` says.
    :param unmasked: the parameters that are not masked.
    :param description: what the event means, in a sentence or two.
    :param owner: the person or team that answers questions about it.
    :param place: the file and line of the definition, for error messages.
    """

    action: str
    schema: type | None = dataclasses.field(default=None, compare=False)
    label: str | None = None
    anonymous: bool = False
    server_only: bool = False
    keep: dt.timedelta | None = None
    builtin: bool = False
    unmasked: tuple[str, ...] = ()
    status: Status = "active"
    description: str = dataclasses.field(default="", compare=False)
    owner: str = dataclasses.field(default="", compare=False)
    place: str = dataclasses.field(default="", compare=False)

    @functools.cached_property
    def fields(self) -> Fields | None:
        """The fields of the schema, or None if there is none.

        :raises TypeError: a type is not understood.
        :raises NameError: an annotation cannot be resolved.
        """
        return None if self.schema is None else read_class(self.schema)

    @property
    def types(self) -> cabc.Mapping[str, str]:
        """The parameters and their types, as written in Python."""
        return {} if self.fields is None else self.fields.types

    @property
    def parameters(self) -> cabc.Collection[str]:
        """The names of the parameters, in their order."""
        return () if self.fields is None else self.fields.parameters

    def check(
        self,
        params: dict[str, t.Any],
        *,
        lenient: bool = False,
        is_valid: bool = False,
        left_out: list[InvalidEvent] | None = None,
    ) -> tuple[dict[str, t.Any], tuple[str, ...]]:
        """Return ``params`` as the schema reads them, and the names that it does not define.

        Parameters that are None are left out.

        :param params: as ``normalise`` returns them, also with ``keeps_decimals``.
        :param lenient: whether text may stand for a number or a boolean, and a number for text.
        :param is_valid: whether the schema has validated them already, in an instance.
        :param left_out: a list to which the errors of values that are left out are added.
        :raises InvalidEvent: naming the parameter, what was expected and what was given.
        """
        names: cabc.Container[str] = ()
        if self.fields is not None:
            names = self.fields.names
            self._refuse_floats(self.fields, params)
            known = params if is_valid else self._read(self.fields, params, lenient=lenient)
            further = {n: v for n, v in params.items() if n not in names and n not in known}
            params = normalise({**known, **further}, left_out=left_out)
        params = _drop_none(params)
        undefined = (name for name in params if name not in names)
        return params, tuple(name for name in undefined if name not in CONTEXT_PARAMETERS)

    def _refuse_floats(self, fields: Fields, params: dict[str, t.Any]) -> None:
        for name, kind in fields.types.items():
            if "Money" in kind and has_float(params.get(name)):
                problem = (
                    f"{self.action!r}, parameter {name!r}: the amount is a float, which has no "
                    "exact cents (0.1 + 0.2 is not 0.3). Give it as text, such as '9.90'."
                )
                raise InvalidEvent("invalid_param", problem, name)

    def _read(
        self, fields: Fields, params: dict[str, t.Any], *, lenient: bool
    ) -> cabc.Mapping[str, t.Any]:
        # A model may forbid parameters that it does not define, except those that the snippet adds.
        names = fields.names
        own = {n: v for n, v in params.items() if n in names or n not in CONTEXT_PARAMETERS}
        return self._ask_class(fields.read, own, lenient=lenient)

    def dump(self, instance: object) -> cabc.Mapping[str, t.Any]:
        """Return the parameters of an instance of the schema.

        :raises InvalidEvent: a method of the class failed.
        """
        return self._ask_class(t.cast("Fields", self.fields).dump, instance)

    def _ask_class(self, ask: cabc.Callable[..., _R], *args: t.Any, **options: t.Any) -> _R:
        """Call a function of the schema, and turn its errors into errors of the event."""
        try:
            return ask(*args, **options)
        except Misfit as misfit:
            where = f", parameter {misfit.place!r}" if misfit.name else ""
            code: EventCode = "invalid_param" if misfit.name else "invalid_params"
            problem = f"{self.action!r}{where}: {misfit}."
            raise InvalidEvent(code, problem, misfit.name) from None
        except Exception as error:  # a class's own __post_init__ may raise anything
            problem = f"{self.action!r}: its class raised {type(error).__name__}."
            raise InvalidEvent("invalid_params", problem) from error

    def format_label(self, params: cabc.Mapping[str, t.Any]) -> str | None:
        """Return the label for ``params``, or None if there is none.

        A value that does not fit its format specification is written without the specification.
        """
        if self.label is None:
            return None
        try:
            label = self.label.format_map(_Shown(params))
        except (ValueError, TypeError):
            label = _PLAIN_FORMATTER.vformat(self.label, (), _Shown(params))
        return clip_label(clean_text(label))

    def check_label(self) -> None:
        """Refuse a label that is not a format string over the plain names of parameters.

        :raises InvalidDefinition: naming the part that is wrong.
        """
        problem = None if self.label is None else self._find_label_problem(self.label)
        if problem:
            raise InvalidDefinition(f"{self.action!r}: label {self.label!r}: {problem}.")

    def check_unmasked(self) -> None:
        """Refuse names of parameters that the class does not have.

        :raises InvalidDefinition: naming the first one.
        """
        for name in self.unmasked:
            if name not in self.parameters:
                raise InvalidDefinition(
                    f"{self.action!r}: unmasked: {name!r} is not a parameter; the parameters are: "
                    f"{', '.join(self.parameters) or 'none'}."
                )

    def _find_label_problem(self, label: str) -> str | None:
        try:
            parsed = list(string.Formatter().parse(label))
        except ValueError as error:
            return str(error)
        for _, name, spec, conversion in parsed:
            if name is None:
                continue
            if conversion not in {None, "r", "s", "a"}:
                return f"there is no conversion {conversion!r}"
            if not name.isidentifier() or "{" in (spec or ""):
                return (
                    f"{{{name}}} is not the plain name of a parameter; attributes, indexes and "
                    "nested fields are refused"
                )
            if self.schema is not None and name not in self.parameters:
                there = ", ".join(self.parameters) or "none"
                return f"{name!r} is not a parameter; the parameters are: {there}"
        return None


class _Shown(dict[str, t.Any]):
    """Parameters as labels show them: money as text, and an absent one as nothing."""

    def __getitem__(self, key: str) -> t.Any:
        value = super().__getitem__(key)
        return show_money(value) or value

    def __missing__(self, key: str) -> str:
        return ""


class _PlainFormatter(string.Formatter):
    def format_field(self, value: t.Any, format_spec: str) -> str:
        try:
            return format(value, format_spec)
        except (ValueError, TypeError):
            return str(value)


_PLAIN_FORMATTER = _PlainFormatter()


class Catalogue:
    """The definitions of one extension object; apps that share the object share them."""

    def __init__(self, builtin: cabc.Iterable[Definition] = ()) -> None:
        self._by_action = {definition.action: definition for definition in builtin}
        self._by_schema: dict[type, Definition] = {}

    def __iter__(self) -> cabc.Iterator[Definition]:
        return iter(sorted(self._by_action.values(), key=lambda definition: definition.action))

    def define(self, definition: Definition) -> cabc.Callable[[_T], _T]:
        """Define an action without parameters. The returned decorator adds a class of parameters.

        :raises InvalidEvent: the action is malformed.
        :raises InvalidDefinition: the action is defined already, or the label is wrong.
        """
        action = check_action(definition.action)
        if action == PRODUCT_BUY:  # it is revenue, which no browser may make up
            definition = dataclasses.replace(definition, anonymous=False, server_only=True)
        old = self._find_own(action)
        # A factory that runs for each app defines the same events on a shared object again.
        if old is not None and old != definition:
            raise InvalidDefinition(f"{_say_defined(old)}, with other options.")
        definition.check_label()
        if old is None:
            self._by_action[action] = definition

        def decorate(schema: _T) -> _T:
            with at_place(definition.place):
                self._add_schema(definition, schema, old)
            return schema

        return decorate

    def keeps(self) -> dict[str, dt.timedelta]:
        """Return how long the events of an action are kept, for definitions with a ``keep``."""
        return {d.action: d.keep for d in self._by_action.values() if d.keep is not None}

    def find(self, action: str) -> Definition | None:
        """Return the definition of ``action``, or None."""
        return self._by_action.get(action)

    def get(self, action: str, *, suggests: bool = True) -> Definition:
        """Return the definition of ``action``.

        :param suggests: whether the error names the nearest action that is defined. Finding it
            takes up to milliseconds, which a client could ask for again and again.
        :raises UndefinedEvent: the action is not defined.
        """
        definition = self._by_action.get(action)
        if definition is not None:
            return definition
        hint = self.suggest(action) if suggests else ""
        raise UndefinedEvent("undefined_event", f"{action!r} is not defined.{hint}")

    def suggest(self, action: str) -> str:
        """Return the question whether the nearest defined action was meant; "" if none is near."""
        nearest = self.find_nearest(action)
        return "" if nearest is None else f" Did you mean {nearest!r}?"

    def find_nearest(self, action: str) -> str | None:
        """Return the defined action that is most like ``action``, or None."""
        nearest = difflib.get_close_matches(action, self._by_action, n=1, cutoff=0.5)
        return nearest[0] if nearest else None

    def find_for(self, instance: object) -> Definition | None:
        """Return the definition with the class of ``instance``, or None."""
        return self._by_schema.get(type(instance))

    def find_schema(self, schema: type) -> Definition | None:
        """Return the definition with this class, or None."""
        return self._by_schema.get(schema)

    def _find_own(self, action: str) -> Definition | None:
        """Return the host app's own definition, if any; it may replace most built-in ones."""
        if action in _RESERVED or action == "page.visit" or action.startswith(_TRANSACTIONS):
            raise InvalidDefinition(f"{action!r} is built in and cannot be redefined.")
        old = self._by_action.get(action)
        return None if old is None or old.builtin else old

    def _add_schema(self, definition: Definition, schema: type, old: Definition | None) -> None:
        action, name = definition.action, getattr(schema, "__name__", repr(schema))
        if obstacle := find_obstacle(schema):
            raise InvalidDefinition(f"{action!r}: {name} {obstacle}. {TAKEN}.")
        with restored_if_refused(schema):
            try:
                description = definition.description or describe_class(schema)
                new = dataclasses.replace(
                    definition, schema=make_dataclass(schema), description=description
                )
                fields = new.fields
            except (AttributeError, NameError, TypeError, ValueError) as error:
                raise InvalidDefinition(
                    f"{action!r}: {name} cannot be read as parameters: {error}."
                ) from None
            if old is not None and old.schema and fields and old.types != fields.types:
                raise InvalidDefinition(f"{_say_defined(old)}, with other parameters.")
            taken = self._by_schema.get(schema)
            if taken is not None and taken.action != action:
                raise InvalidDefinition(
                    f"{name} is the class of {taken.action!r}: {action!r} needs its own."
                )
            new.check_label()
            new.check_unmasked()
        self._by_action[action] = self._by_schema[schema] = new


@contextlib.contextmanager
def at_place(place: str) -> cabc.Iterator[None]:
    """Begin the errors of a definition with its file and line."""
    try:
        yield
    except InvalidDefinition as error:
        raise InvalidDefinition(f"{place}: {error}" if place else f"{error}") from None
    except InvalidEvent as error:
        raise InvalidEvent(error.code, f"{place}: {error}" if place else f"{error}") from None


def _say_defined(old: Definition) -> str:
    place = f" in {old.place}" if old.place else ""
    return f"{old.action!r} is defined already{place}"


def refuse_reserved(action: str) -> None:
    """Refuse an action that neither ``track()`` nor a client may send.

    :raises ReservedEvent: saying what records it.
    """
    reason = _RESERVED.get(action)
    if reason is None and action.startswith(_TRANSACTIONS):
        reason = "such names are reserved for track_transaction() and cancel_transaction()"
    if reason is not None:
        raise ReservedEvent("reserved_event", f"{action!r} cannot be sent: {reason}.")


def read_keep(action: str, keep: dt.timedelta | float | None) -> dt.timedelta | None:
    duration = parse_duration(keep)
    if keep is not None and duration is None:
        raise InvalidDefinition(
            f"{action!r}: keep is a timedelta or a number of seconds, more than 0, not {keep!r}."
        )
    return duration


def read_status(action: str, status: str) -> Status:
    if status not in t.get_args(Status):
        raise InvalidDefinition(
            f"{action!r}: status is 'active' or 'deprecated', not {shorten(status)}."
        )
    return t.cast("Status", status)


def read_unmasked(action: str, names: object) -> tuple[str, ...]:
    if isinstance(names, list | tuple) and all(isinstance(name, str) for name in names):
        return tuple(names)
    raise InvalidDefinition(
        f"{action!r}: unmasked is a list of names of parameters, not {shorten(names)}."
    )


def _drop_none(params: dict[str, t.Any]) -> dict[str, t.Any]:
    return {name: value for name, value in params.items() if value is not None}
