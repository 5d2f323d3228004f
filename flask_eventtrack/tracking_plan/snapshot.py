"""The file with which the catalogue is compared: the app's own definitions, for its repository."""

from __future__ import annotations

import collections.abc as cabc
import json
import pathlib
import typing as t

from ..catalogue.definitions import Catalogue, Definition
from ..catalogue.schema import describe_definition
from ..errors import ConfigError
from .shapes import Either, Items, Kind, Names, Object, Scalar, Shape, read_params

#: The name of the file, in the folder from which the command is called.
FILE: t.Final = "eventtrack.catalogue.json"
_VERSION = 1
_NAMES = frozenset({"anonymous", "server_only", "label", "params"})
_FORMATS: dict[Kind, str] = {"moment": "date-time", "time": "time"}


def describe_own(catalogue: Catalogue) -> dict[str, dict[str, t.Any]]:
    """Return the app's own definitions by action. Built-in ones change with this package only."""
    return {each.action: _describe(each) for each in catalogue if not each.builtin}


def _describe(definition: Definition) -> dict[str, t.Any]:
    described = describe_definition(definition)
    del described["builtin"]
    params = described["params"]
    properties = _resolve(params, params).get("properties", {})
    for part in read_params(definition):
        if part.name in properties:
            _add_formats(properties[part.name], part.shape, params)
    return described


def _add_formats(schema: t.Any, shape: Shape, whole: dict[str, t.Any]) -> None:
    """Add the formats of dates and times, which JSON Schema has none for without a time zone."""
    if not isinstance(schema, dict):
        return
    schema = _resolve(schema, whole)
    if isinstance(shape, Scalar) and shape.kind in _FORMATS and schema.get("type") == "string":
        schema.setdefault("format", _FORMATS[shape.kind])
    for inner, part in _iter_inner(schema, shape):
        _add_formats(inner, part, whole)


def _iter_inner(schema: dict[str, t.Any], shape: Shape) -> cabc.Iterator[tuple[t.Any, Shape]]:
    match shape:
        case Either(options):
            texts = [each for each in schema.get("anyOf", ()) if each.get("type") == "string"]
            yield from zip(texts, filter(_is_text, options), strict=False)
        case Items(of):
            yield schema.get("items"), of
        case Names(of):
            yield schema.get("additionalProperties"), of
        case Object(_, parts):
            properties = schema.get("properties", {})
            yield from ((properties.get(part.name), part.shape) for part in parts)


def _is_text(shape: Shape) -> bool:
    return isinstance(shape, Scalar) and (shape.kind in _FORMATS or shape.kind == "text")


def _resolve(schema: dict[str, t.Any], whole: dict[str, t.Any]) -> dict[str, t.Any]:
    while "$ref" in schema:
        schema = whole["$defs"][schema["$ref"].rpartition("/")[2]]
    return schema


def write_snapshot(path: pathlib.Path, definitions: dict[str, dict[str, t.Any]]) -> None:
    """Write a file of definitions, with sorted names, so that a diff of it is short."""
    document = {"version": _VERSION, "definitions": definitions}
    text = json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False)
    path.write_text(f"{text}\n", encoding="utf-8")


def read_snapshot(path: pathlib.Path) -> dict[str, dict[str, t.Any]]:
    """Return the definitions in a file.

    :raises ConfigError: it is none of ours.
    :raises OSError: it cannot be read.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        version, definitions = document["version"], document["definitions"]
        is_ours = version == _VERSION and all(
            each.keys() >= _NAMES for each in definitions.values()
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        is_ours = False
    if not is_ours:
        raise ConfigError(
            f"{path} is no catalogue of this release: write it anew with "
            "'flask eventtrack catalogue check --update'."
        )
    found: dict[str, dict[str, t.Any]] = definitions
    return found
