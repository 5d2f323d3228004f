"""The catalogue as JSON: what may be tracked, and the JSON Schema of its parameters."""

from __future__ import annotations

import contextlib
import typing as t

import msgspec

from .classes import Fields
from .definitions import Catalogue


def describe_catalogue(catalogue: Catalogue) -> dict[str, t.Any]:
    """Return all definitions by action, sorted.

    ``params`` is the JSON Schema (2020-12) of the parameters; others are stored too. The rest are
    fields of :class:`Definition`.
    """
    return {
        definition.action: {
            "label": definition.label,
            "anonymous": definition.anonymous,
            "server_only": definition.server_only,
            "builtin": definition.builtin,
            "params": _describe_params(definition.fields),
        }
        for definition in catalogue
    }


def _describe_params(fields: Fields | None) -> msgspec.Raw:
    """Return the JSON Schema of a class, or of any object if the class has none."""
    # It has none if a default is not JSON, there is no schema for a type, or two classes have the
    # same name. pydantic raises a RuntimeError.
    with contextlib.suppress(TypeError, ValueError, KeyError, RuntimeError):
        if fields is not None:
            return msgspec.Raw(msgspec.json.encode(fields.describe()))
    return msgspec.Raw(b'{"type":"object"}')
