"""The classes that ``define()`` takes, and how their fields become parameters.

msgspec reads dataclasses; pydantic's models and dataclasses read themselves. pydantic is not
imported: its classes have all methods that are needed.
"""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import dataclasses
import enum
import functools
import inspect as pyinspect
import ipaddress
import numbers
import pathlib
import re
import typing as t

import msgspec
from msgspec import inspect

from ..text import shorten
from .coerce import coerce

#: Which classes ``define()`` takes, for error messages.
TAKEN: t.Final = (
    "define() takes a dataclass, a plain class with annotations, or a model of pydantic 2"
)
_SQLALCHEMY = ("__mapper__", "_sa_registry")
_ANNOTATIONS = ("__annotations__", "__annotate_func__")  # the second since Python 3.14
_DATACLASS = "__dataclass_fields__"
# Types that are stored as text or as a number, and can be made from it again.
_REMADE = (
    pathlib.PurePath,
    ipaddress.IPv4Address,
    ipaddress.IPv6Address,
    ipaddress.IPv4Network,
    ipaddress.IPv6Network,
    numbers.Number,
)
_MONEY = "money such as {'amount': '9.90', 'currency': 'EUR'}"
# How pydantic begins the message of an exception that a validator has raised.
_PREFIX = re.compile(r"^(?:Value error|Assertion failed), ")


class Misfit(ValueError):
    """Parameters do not fit their class. ``name`` is the wrong parameter, if it is a single one."""

    def __init__(self, problem: str, name: str | None = None, place: str = "") -> None:
        super().__init__(problem)
        self.name = name
        self.place: str | None = place or name


class Fields(t.Protocol):
    """The fields of a class as parameters.

    ``parameters`` are their names, and ``types`` their types as written in Python; ``names`` has
    all names by which they may be given. ``validates`` says whether the class validates its
    instances.
    """

    parameters: tuple[str, ...]
    names: cabc.Set[str]
    validates: bool

    @property
    def types(self) -> cabc.Mapping[str, str]: ...

    def read(self, values: dict[str, t.Any], *, lenient: bool) -> cabc.Mapping[str, t.Any]:
        """Return plain values as the class reads them, with its defaults.

        :raises Misfit: they do not fit the class.
        """

    def dump(self, instance: t.Any) -> cabc.Mapping[str, t.Any]:
        """Return the fields of an instance."""

    def describe(self) -> t.Any:
        """Return the JSON Schema of the class."""


class DataclassFields:
    """The fields of a dataclass."""

    validates = False

    def __init__(self, schema: type) -> None:
        # It refuses types that are not understood, and looks at the class while one thread runs.
        msgspec.json.Decoder(schema, dec_hook=_remake)
        self._schema = schema
        self.parameters: tuple[str, ...] = tuple(each.name for each in dataclasses.fields(schema))
        self.names: cabc.Set[str] = frozenset(self.parameters)

    @functools.cached_property
    def types(self) -> dict[str, str]:
        hints = t.get_type_hints(self._schema)
        return {
            each.name: _name_type(hints[each.name]) for each in dataclasses.fields(self._schema)
        }

    @functools.cached_property
    def _kind(self) -> inspect.Type:
        kind = inspect.type_info(self._schema)
        _encode_names(kind)
        return kind

    def read(self, values: dict[str, t.Any], *, lenient: bool) -> cabc.Mapping[str, t.Any]:
        typed = self._convert(values, values, lenient=lenient)
        return t.cast("dict[str, t.Any]", _read_fields(typed))

    def dump(self, instance: t.Any) -> cabc.Mapping[str, t.Any]:
        return {name: getattr(instance, name) for name in self.parameters}

    def describe(self) -> t.Any:
        return msgspec.json.schema(self._schema)

    def _convert(self, values: t.Any, given: dict[str, t.Any], *, lenient: bool) -> t.Any:
        kind = self._kind
        try:
            return msgspec.convert(values, self._schema, str_keys=True, dec_hook=_remake)
        except msgspec.ValidationError as error:
            if not lenient:
                raise self._explain(error, given) from None
        return self._convert(coerce(values, kind), given, lenient=False)

    def _explain(self, error: msgspec.ValidationError, given: dict[str, t.Any]) -> Misfit:
        text = str(error)
        if missing := re.search(r"required field `([^`]*)`$", text):
            return _missing(missing[1], self.types)
        if path := re.search(r" - at `\$\.?([^`]*)`$", text):
            name = re.split(r"[.\[]", path[1])[0]
            expected = text[0].lower() + text[1 : path.start()].rstrip(".")
            if "Money" in self.types.get(name, ""):
                expected = expected.replace("`object`", _MONEY)
            value = shorten(given.get(name))
            if value == "None" and "float" in expected:
                value += ", which NaN and infinities become too"
            return Misfit(f"{expected}: {value}", name)
        return Misfit(text)


class ModelFields:
    """The fields of a pydantic model, version 2, or of a pydantic dataclass.

    A parameter has the name of its field; it may be given by the field's alias too. Computed fields
    are parameters as well, but cannot be given.
    """

    validates = True

    def __init__(self, schema: t.Any) -> None:
        self._schema = schema
        fields: dict[str, t.Any] = getattr(schema, "__pydantic_fields__", None) or getattr(
            schema, "model_fields", {}
        )
        computed = schema.__pydantic_decorators__.computed_fields
        self._hints = {name: field.annotation for name, field in fields.items()}
        results = {name: field.info.return_type for name, field in computed.items()}
        self.types: dict[str, str] = {
            n: _name_type(hint) for n, hint in (self._hints | results).items()
        }
        self.parameters: tuple[str, ...] = tuple(self.types)
        aliases = {name: _iter_aliases(field.validation_alias) for name, field in fields.items()}
        #: The field of each alias.
        self._by_alias = {alias: name for name, each in aliases.items() for alias in each}
        config = getattr(schema, "model_config", None) or getattr(schema, "__pydantic_config__", {})
        takes_aliases = (config or {}).get("validate_by_alias", True) is not False
        self._alias_of = {n: each[0] for n, each in aliases.items() if each and takes_aliases}
        self.names: cabc.Set[str] = self.types.keys() | self._by_alias.keys()

    def read(self, values: dict[str, t.Any], *, lenient: bool) -> cabc.Mapping[str, t.Any]:
        given = self._use_aliases(values)
        return self.dump(self._validate(given, given, lenient=lenient))

    def dump(self, instance: t.Any) -> cabc.Mapping[str, t.Any]:
        write = self._schema.__pydantic_serializer__.to_python
        values = write(instance, by_alias=False, warnings=False)
        if not isinstance(values, cabc.Mapping):
            raise Misfit(f"its serializer returns no dict: {shorten(values)}")
        return values

    def describe(self) -> t.Any:
        describe = getattr(self._schema, "model_json_schema", None)  # dataclasses have none
        return describe(by_alias=True) if describe else msgspec.json.schema(self._schema)

    def _use_aliases(self, values: dict[str, t.Any]) -> dict[str, t.Any]:
        """Return values under the fields' aliases, since a model may refuse the fields' names."""
        taken = {self._by_alias.get(name) for name in values}
        return {
            name if name in taken else self._alias_of.get(name, name): value
            for name, value in values.items()
        }

    def _validate(self, values: t.Any, given: dict[str, t.Any], *, lenient: bool) -> t.Any:
        try:
            # As JSON, so that a strict model takes times and sets in the form that JSON has.
            return self._schema.__pydantic_validator__.validate_json(msgspec.json.encode(values))
        except ValueError as error:
            if not hasattr(error, "errors"):
                raise
            if not lenient:
                raise self._explain(error.errors(include_url=False)[0], given) from None
        return self._validate(self._coerce(values), given, lenient=False)

    def _coerce(self, values: dict[str, t.Any]) -> dict[str, t.Any]:
        coerced = {}
        for name, value in values.items():
            coerced[name] = value
            with contextlib.suppress(Exception):  # a type that pydantic knows, and msgspec does not
                kind = inspect.type_info(self._hints[self._by_alias.get(name, name)])
                coerced[name] = coerce(value, kind)
        return coerced

    def _explain(self, error: dict[str, t.Any], given: dict[str, t.Any]) -> Misfit:
        text = _PREFIX.sub("", error["msg"])
        place = error["loc"]
        if not place:
            return Misfit(text)
        name = self._by_alias.get(place[0], place[0])
        if error["type"] == "missing" and len(place) == 1:
            return _missing(name, self.types)
        steps = [*_real_steps(given, place), *(place[-1:] if error["type"] == "missing" else ())]
        path = ".".join([name, *map(str, steps)])
        value = given.get(place[0]) if path == name else error["input"]
        return Misfit(f"{text[0].lower()}{text[1:]}: {shorten(value)}", name, path)


def _encode_names(kind: inspect.Type) -> None:
    """Have msgspec encode the names of all fields: of names that are not ASCII, it compares what it
    has encoded before, and misses all others."""
    todo: list[t.Any] = [kind]
    seen = set[int]()
    while todo:
        each = todo.pop()
        if isinstance(each, tuple | list):
            todo += each
        elif isinstance(each, inspect.Type | inspect.Field) and id(each) not in seen:
            seen.add(id(each))
            if isinstance(each, inspect.Field):
                msgspec.json.encode(each.name)
            todo += (getattr(each, name) for name in each.__struct_fields__)


def read_class(schema: type) -> Fields:
    """Return the fields of a class that :func:`find_obstacle` admits.

    :raises TypeError: it has a type that is not understood.
    :raises NameError: an annotation cannot be resolved.
    """
    return ModelFields(schema) if _is_pydantic(schema) else DataclassFields(schema)


def find_obstacle(schema: object) -> str:
    """Return why a class cannot define parameters, as the end of a sentence; "" if it can."""
    if not isinstance(schema, type):
        return f"is not a class, but of type {type(schema).__name__}"
    if any(hasattr(schema, mark) for mark in _SQLALCHEMY):
        return "is a SQLAlchemy model"
    if pyinspect.isabstract(schema) or getattr(schema, "_is_protocol", False):
        return "is abstract, so it has no instances"
    if _is_pydantic(schema):
        return _find_obstacle_of_model(schema)
    if _is_dataclass(schema):
        return ""
    return _name_foreign(schema) or _find_obstacle_of_plain(schema)


def make_dataclass(schema: type) -> type:
    """Make a plain class a dataclass; any other class is returned as it is."""
    if _is_pydantic(schema) or _is_dataclass(schema):
        return schema
    return dataclasses.dataclass(schema)


@contextlib.contextmanager
def restored_if_refused(schema: type) -> cabc.Iterator[None]:
    """Undo all changes of a class if an exception is raised."""
    before = vars(schema).copy()
    try:
        yield
    except BaseException:
        for name in vars(schema).keys() - before.keys():
            delattr(schema, name)
        for name, value in before.items():
            if vars(schema).get(name) is not value:
                setattr(schema, name, value)
        raise


def _is_pydantic(schema: type) -> bool:
    # Version 1 validates without it.
    return hasattr(schema, "__pydantic_validator__") and hasattr(schema, "__pydantic_serializer__")


def _is_dataclass(schema: type) -> bool:
    """Whether a class is a dataclass, or one's subclass without fields of its own."""
    is_own = _DATACLASS in vars(schema) or not _has_annotations(schema)
    return dataclasses.is_dataclass(schema) and is_own


def _has_annotations(schema: type) -> bool:
    return any(vars(schema).get(name) for name in _ANNOTATIONS)


def _find_obstacle_of_model(schema: t.Any) -> str:
    if getattr(schema, "__pydantic_root_model__", False):
        return "is a RootModel, whose value has no name"
    if not getattr(schema, "__pydantic_complete__", True):
        return "has types that are defined later: call its model_rebuild() before define()"
    return ""


def _name_foreign(schema: type) -> str:
    """Return the well-known kind of a class that cannot be a dataclass; "" for other classes."""
    if hasattr(schema, "__attrs_attrs__"):
        return "is an attrs class"
    if issubclass(schema, msgspec.Struct):
        return "is a msgspec.Struct"
    if issubclass(schema, tuple):
        return "is a NamedTuple" if hasattr(schema, "_fields") else "is a tuple"
    if t.is_typeddict(schema):
        return "is a TypedDict"
    if issubclass(schema, enum.Enum):
        return "is an enumeration"
    if hasattr(schema, "__fields__") and hasattr(schema, "__validators__"):
        return "is a model of pydantic version 1"
    return ""


def _find_obstacle_of_plain(schema: type) -> str:
    """Return what a class has that ``@dataclass`` would override or cannot use; "" if nothing."""
    if type(schema) is not type:
        return f"has the metaclass {type(schema).__name__}: write @dataclass below @events.define"
    if any("__new__" in vars(base) for base in schema.__mro__[:-1]):
        return "has its own way to make instances (__new__)"
    maker = next(base for base in schema.__mro__ if "__init__" in vars(base))
    if maker is schema and not _has_annotations(schema):
        return "has an __init__ and no annotations that name its parameters"
    if maker not in {schema, object} and _DATACLASS not in vars(maker):
        return f"inherits the __init__ of {maker.__name__}, which a dataclass would override"
    return ""


def _iter_aliases(alias: t.Any) -> list[str]:
    """Return the names of a pydantic alias: text, an ``AliasPath`` or ``AliasChoices``."""
    if isinstance(alias, str):
        return [alias]
    choices = getattr(alias, "choices", None) or [alias]
    return [choice for choice in choices if isinstance(choice, str)]


def _real_steps(values: t.Any, place: cabc.Sequence[t.Any]) -> cabc.Iterator[t.Any]:
    """Yield the keys from a parameter to the wrong value; pydantic puts type names between them."""
    value = values.get(place[0])
    for step in place[1:]:
        try:
            value = value[step]
        except (LookupError, TypeError):
            continue
        yield step


def _missing(name: str, types: dict[str, str]) -> Misfit:
    return Misfit(f"it is required ({types.get(name, 'any')}) and was not given", name)


def _remake(kind: type, value: t.Any) -> t.Any:
    """Return a value of a type that msgspec does not know, made from its stored form."""
    if isinstance(kind, type) and issubclass(kind, _REMADE):
        make: cabc.Callable[[t.Any], t.Any] = kind
        return make(value)
    return value


def _read_fields(value: t.Any) -> t.Any:
    """Return dataclasses as dicts with the defaults, which msgspec leaves to the class."""
    if dataclasses.is_dataclass(value):
        return {f.name: _read_fields(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, list | tuple | set | frozenset):
        return [_read_fields(item) for item in value]
    if isinstance(value, dict):
        return {name: _read_fields(item) for name, item in value.items()}
    return value


def _name_type(hint: t.Any) -> str:
    if isinstance(hint, type) and not t.get_args(hint):
        return hint.__name__
    return str(hint).replace("typing.", "").replace("flask_eventtrack.money.", "")
