"""The catalogue as JSON: what may be tracked, and the JSON Schema of its parameters."""

from __future__ import annotations

import typing as t

import msgspec

from .definitions import Catalogue

_NO_PARAMETERS = {"type": "object", "properties": {}}


def describe_catalogue(catalogue: Catalogue) -> dict[str, t.Any]:
    """Return all definitions by action, in the order of their actions.

    Each has its ``label``, who may send it (``anonymous``, ``server_only``), whether it is
    ``builtin``, and its ``params``: a JSON Schema (2020-12), whose references lead to ``$defs``.
    Parameters beside these are stored too.
    """
    schemas = [definition.schema for definition in catalogue if definition.schema is not None]
    found, components = msgspec.json.schema_components(
        schemas, schema_hook=lambda kind: {}, ref_template="#/$defs/{name}"
    )
    params = dict(zip(schemas, found, strict=True))
    events = {
        definition.action: {
            "label": definition.label,
            "anonymous": definition.anonymous,
            "server_only": definition.server_only,
            "builtin": definition.builtin,
            "params": params[definition.schema] if definition.schema else _NO_PARAMETERS,
        }
        for definition in catalogue
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "events": events,
        "$defs": components,
    }
