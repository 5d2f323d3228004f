"""Parameters as every database can store them, within limits."""

from __future__ import annotations

import collections.abc as cabc
import decimal
import math
import typing as t

import msgspec

from ..errors import InvalidEvent
from ..text import clean_text, shorten

MAX_BYTES = 32 * 1024
MAX_DEPTH = 8
MAX_KEYS = 256
MAX_NAME_LENGTH = 64

_INT64 = range(-(2**63), 2**63)


def normalise(params: cabc.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """Return ``params`` as plain JSON values that SQLite, PostgreSQL and MariaDB can store.

    NUL and lone surrogates become U+FFFD, NaN and infinities None, integers beyond 64 bits text,
    decimals numbers, dates ISO 8601 text, and members of enumerations their value.

    :raises InvalidEvent: a value has no JSON form, or ``params`` exceed 32 KiB encoded, 8 levels,
        256 names at all levels together, or 64 characters in a name. A name that all dicts of a
        list have counts once.
    """
    try:
        plain = msgspec.to_builtins(
            params, str_keys=True, builtin_types=(decimal.Decimal,), enc_hook=_encode
        )
    except (TypeError, ValueError) as error:
        raise InvalidEvent(
            "invalid_params", f"The parameters cannot be written as JSON: {error}."
        ) from None
    except RecursionError:
        raise _too_deep() from None
    if not isinstance(plain, dict):
        raise InvalidEvent(
            "invalid_params",
            f"params is a mapping of names to values, not {type(params).__name__}.",
        )
    clean: dict[str, t.Any] = _Cleaner().clean_dict(plain, 1, {})
    size = len(msgspec.json.encode(clean))
    if size > MAX_BYTES:
        raise InvalidEvent(
            "params_too_large",
            f"The parameters take {size} bytes; at most {MAX_BYTES} are allowed.",
        )
    return clean


def _encode(value: object) -> object:
    """Return a subclass of a plain type, or another mapping, as a value that msgspec can write."""
    for kind in (str, int, float):
        if isinstance(value, kind):
            return kind(value)
    if isinstance(value, cabc.Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


def _too_deep() -> InvalidEvent:
    return InvalidEvent(
        "params_too_deep", f"The parameters are nested deeper than {MAX_DEPTH} levels."
    )


def _write_integer(value: int) -> str:
    try:
        return str(value)
    except ValueError:  # more digits than Python prints
        raise InvalidEvent("invalid_params", f"A parameter is {shorten(value)}.") from None


# The names seen at one place, each with those below it. The items of a list are one place.
_Names = dict[str, t.Any]


class _Cleaner:
    """Replaces what a database cannot store, and counts the names of all levels."""

    def __init__(self) -> None:
        self.names = 0

    def clean(self, value: t.Any, depth: int, names: _Names) -> t.Any:
        if isinstance(value, str):
            return clean_text(value)
        if isinstance(value, bool) or value is None:
            return value
        if isinstance(value, int):
            return value if value in _INT64 else _write_integer(value)
        if isinstance(value, float):
            return value if math.isfinite(value) else None
        if isinstance(value, decimal.Decimal):
            return self.clean(float(value), depth, names) if value.is_finite() else None
        if depth >= MAX_DEPTH:
            raise _too_deep()
        if isinstance(value, dict):
            return self.clean_dict(value, depth + 1, names)
        return [self.clean(item, depth + 1, names) for item in value]

    def clean_dict(self, values: dict[str, t.Any], depth: int, names: _Names) -> dict[str, t.Any]:
        self.names += len(values.keys() - names.keys())
        if self.names > MAX_KEYS:
            raise InvalidEvent(
                "too_many_params", f"An event has at most {MAX_KEYS} parameter names."
            )
        return {
            self.clean_name(name): self.clean(item, depth, names.setdefault(name, {}))
            for name, item in values.items()
        }

    def clean_name(self, name: str) -> str:
        if not 1 <= len(name) <= MAX_NAME_LENGTH:
            raise InvalidEvent(
                "invalid_param_name",
                f"Parameter {name[:MAX_NAME_LENGTH]!r}: a name has 1 to {MAX_NAME_LENGTH} "
                f"characters, this has {len(name)}.",
                clean_text(name[:MAX_NAME_LENGTH]),
            )
        return clean_text(name)
