"""The catalogue as TypeScript, so that editors complete actions and parameters.

It fills two interfaces of ``eventtrack.d.ts``: ``Events`` for ``eventtrack.track()``, and
``Attributes`` for the ``data-eventtrack-*`` attributes of elements.
"""

from __future__ import annotations

import collections.abc as cabc
import json
import re

from ..catalogue.definitions import Definition
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
// The events of this app, made by `flask eventtrack catalogue export --format typescript`.
// Give it to the compiler beside eventtrack.d.ts.
"""
_KINDS: dict[Kind, str] = {
    "any": "unknown",
    "text": "string",
    "integer": "number | bigint",
    "number": "number",
    "boolean": "boolean",
    "null": "null",
    "bytes": "string",
    "moment": "string | Date",
    "date": "string",
    "time": "string",
    "duration": "string",
    "decimal": "string | number",
    "amount": "string",
    "uuid": "string",
}
# Attributes are text. The script reads these words, and numbers, as what they look like.
_TEXTS: dict[Kind, str] = {
    "integer": "`${bigint}` | number | bigint",
    "number": "`${number}` | number",
    "boolean": '"true" | "false" | boolean',
}
_PLAIN = re.compile(r"[A-Za-z_$][A-Za-z0-9_$]*")
# A name that begins with one of these words is no parameter (docs/reference/attributes.md).
_NO_PARAMETERS = frozenset(
    {"label", "skip", "field", "outbound", "downloads", "view", "hover", "dwell"}
)


def write_typescript(definitions: cabc.Iterable[Definition]) -> str:
    """Return a file of declarations of the events that browsers may send."""
    found = [each for each in definitions if _is_for_browsers(each)]
    lines = [_HEAD, "declare namespace EventTrack {", "  interface Events {"]
    for each in found:
        lines += _comment(_describe(each), "    ")
        parts = read_params(each)
        params = _write_object(parts, 4) if parts else "Context"
        lines.append(f"    {_name(each.action)}: {params};")
    lines += ["  }", "", "  interface Attributes {"]
    for each in found:
        lines.append(f"    {_name(each.action)}: {_write_attributes(read_params(each))};")
    return "\n".join([*lines, "  }", "}", ""])


def _is_for_browsers(definition: Definition) -> bool:
    """Whether a browser may send an event by ``track()``."""
    return not definition.server_only and definition.action not in {"page.visit", "page.engage"}


def _describe(definition: Definition) -> list[str]:
    owner = [f"Owner: {definition.owner}"] if definition.owner else []
    deprecated = ["@deprecated"] if definition.status == "deprecated" else []
    return [text for text in (definition.description, *owner, *deprecated) if text]


def _comment(texts: list[str], indent: str) -> list[str]:
    if not texts:
        return []
    safe = [text.replace("*/", "*\\/") for text in texts]
    if len(safe) == 1:
        return [f"{indent}/** {safe[0]} */"]
    return [f"{indent}/**", *(f"{indent} * {text}" for text in safe), f"{indent} */"]


def _write_object(parts: cabc.Iterable[Part], depth: int) -> str:
    indent = " " * (depth + 2)
    lines = []
    for part in parts:
        lines += _comment([part.description] if part.description else [], indent)
        mark = "" if part.is_required else "?"
        lines.append(f"{indent}{_name(part.name)}{mark}: {_write(part.shape, depth + 2)};")
    return "\n".join(["{", *lines, f"{' ' * depth}}}"]) if lines else "{}"


def _write(shape: Shape, depth: int) -> str:
    match shape:
        case Scalar(kind):
            return _KINDS[kind]
        case Choice(values):
            return " | ".join(map(json.dumps, values)) or "never"
        case Items(of):
            return f"Array<{_write(of, depth)}>"
        case Names(of):
            return f"{{ [name: string]: {_write(of, depth)} }}"
        case Either(options):
            return " | ".join(dict.fromkeys(_write(option, depth) for option in options))
        case Object(_, parts):
            return _write_object(parts, depth)
        case Again():
            return "Params"


def _write_attributes(parts: cabc.Iterable[Part]) -> str:
    found = []
    for part in parts:
        name = part.name.replace("_", "-")
        if name.partition("-")[0] not in _NO_PARAMETERS and name == name.lower():
            found.append(f"{_name(f'data-eventtrack-{name}')}?: {_write_text(part.shape)}")
    return f"{{ {'; '.join(found)} }}" if found else "{}"


def _write_text(shape: Shape) -> str:
    """Return what an attribute with a value of a shape may have."""
    match shape:
        case Scalar(kind):
            return _TEXTS.get(kind, "string")
        case Choice(values):
            texts = {
                json.dumps(each if isinstance(each, str) else json.dumps(each)) for each in values
            }
            return " | ".join(sorted(texts)) or "never"
        case Either(options):
            own = [option for option in options if option != Scalar("null")]
            return " | ".join(dict.fromkeys(map(_write_text, own))) or "string"
    return "string"


def _name(name: str) -> str:
    return name if _PLAIN.fullmatch(name) else json.dumps(name)
