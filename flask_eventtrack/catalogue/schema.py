"""The catalogue as JSON: what may be tracked, and the JSON Schema of its parameters."""

from __future__ import annotations

import contextlib
import typing as t

import msgspec

from .definitions import Catalogue


def describe_catalogue(catalogue: Catalogue) -> dict[str, t.Any]:
    """Return all definitions by action, in the order of their actions.

    Each has its ``label``, who may send it (``anonymous``, ``server_only``), whether it is
    ``builtin``, and its ``params``: a JSON Schema (2020-12). Parameters beside these are stored
    too.
    """
    return {
        definition.action: {
            "label": definition.label,
            "anonymous": definition.anonymous,
            "server_only": definition.server_only,
            "builtin": definition.builtin,
            "params": _describe_params(definition.schema),
        }
        for definition in catalogue
    }


def _describe_params(schema: type | None) -> msgspec.Raw:
    """Return the JSON Schema of a class; of one that JSON cannot describe, that it is an object."""
    # A default that is no JSON, a type that msgspec does not know, two classes of the same name.
    with contextlib.suppress(TypeError, ValueError, KeyError):
        if schema is not None:
            return msgspec.Raw(msgspec.json.encode(msgspec.json.schema(schema)))
    return msgspec.Raw(b'{"type":"object"}')
