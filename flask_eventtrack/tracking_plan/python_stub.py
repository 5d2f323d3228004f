"""The catalogue as a stub of this package: type checkers then know ``track("product.view", …)``.

The stub stands for ``flask_eventtrack/__init__.py`` alone. It has all names of that file, and of
``track()`` one form for each event.
"""

from __future__ import annotations

import collections.abc as cabc
import importlib
import json
import keyword
import sys
import typing as t

from ..catalogue.definitions import CONTEXT_PARAMETERS, Definition, refuse_reserved
from ..errors import ReservedEvent
from ..money import Money
from .shapes import (
    Again,
    Choice,
    Either,
    Items,
    Kind,
    Names,
    Object,
    Part,
    Scalar,
    Shape,
    read_params,
)

_HEAD = """\
# The events of this app, made by `flask eventtrack catalogue export --format python`.
# Type checkers find it as flask_eventtrack/__init__.pyi in a folder of stubs.
import datetime
import decimal
import typing
import uuid
from collections.abc import Mapping, Sequence
"""
_KINDS: dict[Kind, str] = {
    "any": "object",
    "text": "str",
    "integer": "int",
    "number": "float",
    "boolean": "bool",
    "null": "None",
    "bytes": "bytes | str",
    "moment": "datetime.datetime | str",
    "date": "datetime.date | str",
    "time": "datetime.time | str",
    "duration": "datetime.timedelta | str",
    "decimal": "decimal.Decimal | str | int",
    "amount": "decimal.Decimal | str | int",
    "uuid": "uuid.UUID | str",
}
# The typed dict of what the snippet and the server add, which every event may have.
_CONTEXT = "_Context"
_ANY = ("typing.NotRequired[object]", "")
_OPTIONS = """\
    *,
    label: str | None = None,
    time: datetime.datetime | str | float | None = None,
    customer: str | typing.SupportsIndex | uuid.UUID | None = None,
    visitor: str | None = None,
    in_transaction: bool = False,
) -> uuid.UUID | None: ..."""


def write_python(definitions: cabc.Iterable[Definition], *, takes_any: bool) -> str:
    """Return a stub of the package.

    :param takes_any: whether ``track()`` takes actions that are not defined as well.
    """
    stub = _Stub()
    forms = [stub.write_form(each) for each in definitions if _may_track(each)]
    if takes_any:
        forms.append(_form("str", "params: Mapping[str, object] | None = None,"))
    context = dict.fromkeys(sorted(CONTEXT_PARAMETERS), _ANY)
    records = [*_write_class(_CONTEXT, "typing.TypedDict", context), "", *stub.records]
    lines = [_HEAD, *stub.write_imports(), "", *records, *forms]
    return "\n".join([*lines, "", *_write_exports(), ""])


def _may_track(definition: Definition) -> bool:
    try:
        refuse_reserved(definition.action)
    except ReservedEvent:
        return False
    return True


class _Stub:
    """Collects what the forms of ``track()`` need: typed dicts, and the modules of classes."""

    def __init__(self) -> None:
        self.records: list[str] = []
        self.modules: set[str] = set()
        self._names: dict[type | str, str] = {}

    def write_form(self, definition: Definition) -> str:
        """Return the form of ``track()`` for an event; two if its class can be named."""
        parts = read_params(definition)
        name = self._add_record(definition.action, definition.action, parts, is_event=True)
        needs = any(part.is_required for part in parts)
        given = f"params: {name}," if needs else f"params: {name} | None = None,"
        form = _form(f"typing.Literal[{definition.action!r}]", given)
        own = self._name_class(definition.schema) if definition.schema else None
        return f"{form}\n{_form(own, 'params: None = None,')}" if own else form

    def write_imports(self) -> list[str]:
        return [f"import {module}" for module in sorted(self.modules)]

    def _add_record(
        self, key: type | str, title: str, parts: cabc.Iterable[Part], *, is_event: bool = False
    ) -> str:
        """Write a typed dict, once for each class or action, and return its name."""
        if key in self._names:
            return self._names[key]
        name = _make_name(title, {_CONTEXT, *self._names.values()})
        self._names[key] = name
        fields = {part.name: (self._write_part(part), part.description) for part in parts}
        base = "typing.TypedDict"
        if is_event and not CONTEXT_PARAMETERS & fields.keys():
            base = _CONTEXT
        elif is_event:
            fields |= dict.fromkeys(sorted(CONTEXT_PARAMETERS - fields.keys()), _ANY)
        self.records += [*_write_class(name, base, fields), ""]
        return name

    def _write_part(self, part: Part) -> str:
        text = self._write(part.shape)
        return text if part.is_required else f"typing.NotRequired[{text}]"

    def _write(self, shape: Shape) -> str:
        match shape:
            case Scalar(kind):
                return _KINDS[kind]
            case Choice(values, enumeration):
                own = self._name_class(enumeration) if enumeration else None
                return " | ".join(filter(None, (own, _write_literal(values))))
            case Items(of):
                return f"Sequence[{self._write(of)}]"
            case Names(of):
                return f"Mapping[str, {self._write(of)}]"
            case Either(options):
                return " | ".join(dict.fromkeys(map(self._write, options)))
            case Object(schema, parts):
                own = self._name_class(schema)
                record = self._add_record(schema, schema.__name__, parts)
                return " | ".join(filter(None, (own, record)))
            case Again():
                return "Mapping[str, object]"

    def _name_class(self, schema: type) -> str | None:
        """Return a class's name in the stub, and import its module; None if it cannot be named."""
        if schema is Money:  # the stub imports all names of the package
            return schema.__name__
        module, name = schema.__module__, schema.__qualname__
        found: t.Any = sys.modules.get(module)
        for step in name.split("."):
            found = getattr(found, step, None)
        is_name = all(map(_is_name, [*module.split("."), *name.split(".")]))
        is_ours = module == "__main__" or module.startswith("flask_eventtrack.")
        if found is not schema or is_ours or not is_name:
            return None
        self.modules.add(module)
        return f"{module}.{name}"


def _write_class(
    name: str, base: str, fields: cabc.Mapping[str, tuple[str, str]]
) -> cabc.Iterator[str]:
    """Yield the lines of a typed dict; each field has a type and a description."""
    if not all(map(_is_name, fields)):
        yield f"{name} = typing.TypedDict("
        yield f"    {name!r},"
        yield f"    {{{', '.join(f'{field!r}: {kind}' for field, (kind, _) in fields.items())}}},"
        yield ")"
        return
    yield f"class {name}({base}):"
    for field, (kind, text) in fields.items():
        yield f"    {field}: {kind}"
        if text:
            yield f"    {json.dumps(text, ensure_ascii=False)}"
    if not fields:
        yield "    pass"


def _is_name(text: str) -> bool:
    return text.isidentifier() and not keyword.iskeyword(text)


def _form(event: str, params: str) -> str:
    return f"@typing.overload\ndef track(\n    event: {event},\n    {params}\n{_OPTIONS}"


def _write_literal(values: tuple[t.Any, ...]) -> str:
    literals = [repr(each) for each in values if not isinstance(each, float)]
    found = [f"typing.Literal[{', '.join(literals)}]"] if literals else []
    if len(literals) < len(values):
        found.append("float")
    return " | ".join(found) or "typing.Never"


def _make_name(title: str, taken: cabc.Container[str]) -> str:
    """Return a private name of a class for an action or a class, which no other one has."""
    words = "".join(c if c.isalnum() and c.isascii() else " " for c in title).split()
    name = base = f"_{''.join(word[:1].upper() + word[1:] for word in words)}"
    number = 1
    while name in taken:
        number += 1
        name = f"{base}{number}"
    return name


def _write_exports() -> list[str]:
    """Return the imports of all that the package has beside ``track()``."""
    package = importlib.import_module("flask_eventtrack")
    lines = []
    for name in package.__all__:
        value = getattr(package, name)
        if name == "track":
            continue
        if isinstance(value, type(sys)):
            # pyright takes "from flask_eventtrack import …" for the stub itself.
            lines.append(f"import {value.__name__} as {name}")
            continue
        module = getattr(value, "__module__", "")
        if name == "current_visitor":  # a proxy, which has the module of what it stands for
            module = "flask_eventtrack.api"
        lines.append(f"from {module} import {name} as {name}")
    names = [f"    {name!r}," for name in package.__all__]
    return [*lines, "", "__all__ = [", *names, "]"]
