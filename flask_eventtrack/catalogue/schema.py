"""The catalogue as JSON: what may be tracked, and the JSON Schema of its parameters."""

from __future__ import annotations

import contextlib
import typing as t

import msgspec

from .definitions import Catalogue, Definition
from .descriptions import describe_fields, first_paragraph


def describe_catalogue(catalogue: Catalogue) -> dict[str, t.Any]:
    """Return all definitions by action, sorted.

    ``params`` is the JSON Schema (2020-12) of the parameters; others are stored too. The rest are
    fields of :class:`Definition`.
    """
    return {definition.action: describe_definition(definition) for definition in catalogue}


def describe_definition(definition: Definition) -> dict[str, t.Any]:
    """Return a definition as JSON values, with the JSON Schema of its parameters."""
    return {
        "description": definition.description,
        "owner": definition.owner,
        "status": definition.status,
        "label": definition.label,
        "anonymous": definition.anonymous,
        "server_only": definition.server_only,
        "builtin": definition.builtin,
        "params": _describe_params(definition),
    }


def _describe_params(definition: Definition) -> dict[str, t.Any]:
    """Return the JSON Schema of the parameters, or of any object if there is none."""
    # There is none if a default is not JSON, there is no schema for a type, or two classes have the
    # same name. pydantic raises a RuntimeError.
    with contextlib.suppress(TypeError, ValueError, KeyError, RuntimeError):
        if definition.fields is not None and definition.schema is not None:
            described = msgspec.json.encode(definition.fields.describe())
            schema: dict[str, t.Any] = msgspec.json.decode(described)
            _add_descriptions(schema, describe_fields(definition.schema))
            _cut_descriptions(schema)
            return schema
    return {"type": "object"}


def _add_descriptions(schema: dict[str, t.Any], texts: dict[str, str]) -> None:
    """Add the descriptions of fields that have none."""
    main = schema
    if "$ref" in schema:
        main = schema["$defs"][schema["$ref"].rpartition("/")[2]]
    for name, text in texts.items():
        if name in main.get("properties", {}):
            main["properties"][name].setdefault("description", text)


def _cut_descriptions(schema: dict[str, t.Any]) -> None:
    """Cut the descriptions of classes, which are whole docstrings, to what they say first."""
    for each in (schema, *schema.get("$defs", {}).values()):
        if "description" in each:
            each["description"] = first_paragraph(each["description"])
