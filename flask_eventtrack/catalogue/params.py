"""Parameters as every database can store them, within limits."""

from __future__ import annotations

import collections.abc as cabc
import decimal
import math
import typing as t

import msgspec

from ..errors import InvalidEvent
from ..text import clean_text, shorten
from .plain import to_plain, write_decimal, write_digits, write_name

MAX_BYTES = 32 * 1024
MAX_DEPTH = 8
MAX_KEYS = 256
MAX_NAME_LENGTH = 64

_INT64 = range(-(2**63), 2**63)
_NESTED = (dict, list, tuple, set, frozenset)


def normalise(
    params: cabc.Mapping[str, t.Any],
    *,
    left_out: list[InvalidEvent] | None = None,
    keeps_decimals: bool = False,
    writes_decimals: bool = False,
) -> dict[str, t.Any]:
    """Return ``params`` as plain JSON values that SQLite, PostgreSQL and MariaDB can store.

    NUL and lone surrogates become U+FFFD, NaN and infinities None, integers beyond 64 bits text,
    decimals numbers if no digit is lost and text otherwise, dates ISO 8601 text, members of
    enumerations their value. :mod:`.plain` says what becomes of objects of other classes.

    :param left_out: a list to which an error is added for each value that cannot be stored. Such a
        value is left out; in a list, None takes its place. Without ``left_out`` the error is
        raised.
    :param keeps_decimals: whether decimals stay that would become text.
    :param writes_decimals: whether each decimal becomes text with all of its digits.
    :raises InvalidEvent: ``params`` is no mapping, or exceeds 32 KiB encoded, or 256 names at all
        levels together. A name that several dicts in a list have counts once. Without ``left_out``
        also: a value has no JSON form, or exceeds 8 levels, or 64 characters in a name.
    """
    given = as_dict(params)
    if given is None:
        kind = type(params).__name__
        raise InvalidEvent("invalid_params", f"params is a mapping of names to values, not {kind}.")
    cleaner = _Cleaner(left_out, keeps_decimals=keeps_decimals, writes_decimals=writes_decimals)
    clean = cleaner.clean_dict(given, 1, {})
    check_size(clean)
    return clean


def check_size(params: dict[str, t.Any]) -> int:
    """Return how many bytes clean parameters take.

    :raises InvalidEvent: it is more than 32 KiB.
    """
    size = len(msgspec.json.encode(params))
    if size > MAX_BYTES:
        raise InvalidEvent(
            "params_too_large",
            f"The parameters take {size} bytes; at most {MAX_BYTES} are allowed.",
        )
    return size


def as_dict(params: object) -> dict[t.Any, t.Any] | None:
    """Return a mapping, or an object that is written as one, as a dict with its values as given.

    None if it is neither.
    """
    if isinstance(params, cabc.Mapping):
        return dict(params)
    try:
        plain = to_plain(params)
    except Exception:  # noqa: BLE001 - methods of the host's classes may raise anything
        return None
    return plain if isinstance(plain, dict) else None


# The names seen at one place, each with those below it. The items of a list are one place.
_Names = dict[t.Any, t.Any]


class _Cleaner:
    """Replaces what a database cannot store, and counts the names of all levels.

    ``parameter`` is the name of the parameter whose value is cleaned, for errors.
    """

    def __init__(
        self, left_out: list[InvalidEvent] | None, *, keeps_decimals: bool, writes_decimals: bool
    ) -> None:
        self.names = 0
        self.parameter = ""
        self.left_out = left_out
        self.keeps_decimals = keeps_decimals
        self.writes_decimals = writes_decimals

    def clean(self, value: t.Any, depth: int, names: _Names) -> t.Any:
        kind = type(value)
        if kind is str:
            return clean_text(value)
        if kind is bool or value is None:
            return value
        if kind is int:
            return value if value in _INT64 else self.write_integer(value)
        if kind is float:
            return value if math.isfinite(value) else None
        if kind in _NESTED or issubclass(kind, _NESTED):
            return self.clean_nested(value, depth, names)
        if kind is decimal.Decimal:
            return self.write_decimal(value)
        return self.clean(self.write(value), depth, names)

    def clean_nested(self, value: t.Any, depth: int, names: _Names) -> t.Any:
        if depth >= MAX_DEPTH:
            raise self.too_deep()
        if isinstance(value, dict):
            return self.clean_dict(value, depth + 1, names)
        clean = []
        for item in value:
            try:
                clean.append(self.clean(item, depth + 1, names))
            except InvalidEvent as error:
                self.leave_out(error, depth + 1)
                clean.append(None)
        return clean

    def clean_dict(self, values: dict[t.Any, t.Any], depth: int, names: _Names) -> dict[str, t.Any]:
        self.names += len(values.keys() - names.keys())
        if self.names > MAX_KEYS:
            raise InvalidEvent(
                "too_many_params", f"An event has at most {MAX_KEYS} parameter names."
            )
        clean = {}
        for name, value in dict.items(values):
            try:
                text = self.clean_name(name, depth)
                clean[text] = self.clean(value, depth, names.setdefault(name, {}))
            except InvalidEvent as error:
                self.leave_out(error, depth)
        return clean

    def clean_name(self, name: object, depth: int) -> str:
        try:
            text = name if type(name) is str else write_name(name)
        except Exception as error:  # noqa: BLE001 - see `write`
            shown = self.parameter if depth > 1 else type(name).__name__
            raise self.no_json(shown, error) from None
        if depth == 1:
            self.parameter = clean_text(text[:MAX_NAME_LENGTH])
        if not 1 <= len(text) <= MAX_NAME_LENGTH:
            raise InvalidEvent(
                "invalid_param_name",
                f"Parameter {text[:MAX_NAME_LENGTH]!r}: a name has 1 to {MAX_NAME_LENGTH} "
                f"characters, this has {len(text)}.",
                clean_text(text[:MAX_NAME_LENGTH]),
            )
        return clean_text(text)

    def write(self, value: object) -> t.Any:
        try:
            return to_plain(value)
        except RecursionError:
            raise self.too_deep() from None
        except Exception as error:  # noqa: BLE001 - methods of the host's classes may raise anything
            raise self.no_json(self.parameter, error) from None

    def write_decimal(self, value: decimal.Decimal) -> t.Any:
        if self.writes_decimals:
            return write_digits(value)
        plain = write_decimal(value)
        return value if self.keeps_decimals and isinstance(plain, str) else plain

    def write_integer(self, value: int) -> str:
        try:
            return str(value)
        except ValueError:  # more digits than Python prints
            raise self.no_json(self.parameter, ValueError(shorten(value))) from None

    def leave_out(self, error: InvalidEvent, depth: int) -> None:
        """Add the error of a value that is left out to the list, or raise it again."""
        is_whole = error.code == "too_many_params"
        is_outer = error.code == "params_too_deep" and depth > 1  # the parameter is left out
        if self.left_out is None or is_whole or is_outer:
            raise error
        self.left_out.append(error)

    def no_json(self, name: str, error: Exception) -> InvalidEvent:
        message = f"The parameter {name!r} cannot be written as JSON: {_describe(error)}."
        return InvalidEvent("invalid_params", message, name)

    def too_deep(self) -> InvalidEvent:
        message = f"The parameters are nested deeper than {MAX_DEPTH} levels in {self.parameter!r}."
        return InvalidEvent("params_too_deep", message)


def _describe(error: Exception) -> str:
    """Return the message of a Python exception; of any other one, its type."""
    if type(error) in {TypeError, ValueError, OverflowError}:
        return str(error).rstrip(".")
    return f"its class raised {type(error).__name__}"
