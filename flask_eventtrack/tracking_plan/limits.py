"""The limits of parameters in words, read from the JSON Schema of a definition."""

from __future__ import annotations

import collections.abc as cabc
import typing as t

from ..catalogue.definitions import Definition
from ..catalogue.schema import describe_definition
from ..text import quantify

_RANGES = (
    ("minimum", "maximum", ""),
    ("minLength", "maxLength", "character"),
    ("minItems", "maxItems", "item"),
)


def read_limits(definition: Definition) -> dict[str, str]:
    """Return the limits of the parameters that have some, such as "1 to 28"."""
    schema = describe_definition(definition)["params"]
    if "$ref" in schema:
        schema = schema["$defs"][schema["$ref"].rpartition("/")[2]]
    found = {name: _write_limits(each) for name, each in schema.get("properties", {}).items()}
    return {name: text for name, text in found.items() if text}


def _write_limits(schema: dict[str, t.Any]) -> str:
    options = schema.get("anyOf", [schema])
    return ", ".join(dict.fromkeys(text for each in options for text in _iter_limits(each)))


def _iter_limits(schema: dict[str, t.Any]) -> cabc.Iterator[str]:
    for least, most, noun in _RANGES:
        if least in schema or most in schema:
            yield _write_range(schema.get(least), schema.get(most), noun)
    if "exclusiveMinimum" in schema:
        yield f"more than {_count(schema['exclusiveMinimum'])}"
    if "exclusiveMaximum" in schema:
        yield f"less than {_count(schema['exclusiveMaximum'])}"
    if "pattern" in schema:
        yield f"matching {schema['pattern']}"


def _write_range(least: float | None, most: float | None, noun: str) -> str:
    if most is None:
        return f"at least {_count(least, noun)}"
    if least is None:
        return f"at most {_count(most, noun)}"
    return _count(most, noun) if least == most else f"{_count(least)} to {_count(most, noun)}"


def _count(number: float | None, noun: str = "") -> str:
    if noun:
        return quantify(t.cast("int", number), noun)
    return str(number).removesuffix(".0")  # pydantic has 1.0 for the 1 of a decimal
