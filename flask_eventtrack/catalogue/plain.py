"""Values of other libraries as text, numbers, lists and mappings."""

from __future__ import annotations

import collections.abc as cabc
import datetime as dt
import decimal
import numbers
import os
import typing as t
import uuid

import msgspec

from ..money import Digits

# More items than this do not fit into an event.
MAX_ITEMS = 32 * 1024
_DIGITS = 18  # 64 bits hold any integer with so many
_MANY_DIGITS = 100


def to_plain(value: t.Any) -> t.Any:
    """Return a value in its JSON form, except for decimals and integers that JSON does not hold.

    :raises Exception: it has no such form. A method of its class may raise anything.
    """
    return msgspec.to_builtins(
        value, str_keys=True, builtin_types=(decimal.Decimal,), enc_hook=_write
    )


def write_decimal(value: decimal.Decimal) -> int | float | str | None:
    """Return a decimal as the number that it is, or as text if JSON has no such number."""
    if not value.is_finite():
        return None
    if value.adjusted() < _DIGITS and value == value.to_integral_value():
        return int(value)
    number = float(value)
    return number if decimal.Decimal(repr(number)) == value else str(value)


def write_digits(value: decimal.Decimal) -> str | None:
    """Return a decimal as text with all of its digits; in exponents only if there are very many."""
    if not value.is_finite():
        return None
    return f"{value:f}" if abs(value.adjusted()) < _MANY_DIGITS else str(value)


def write_name(name: object) -> str:
    """Return the name of a parameter as text, written as in JSON.

    :raises TypeError: it cannot be written as text or a number.
    """
    plain = to_plain(to_plain(name))  # the value of an enumeration may be of any type
    if isinstance(plain, str):
        return plain
    if plain is None or isinstance(plain, bool | float):
        return msgspec.json.encode(plain).decode()
    if isinstance(plain, int | decimal.Decimal):
        return str(plain)
    raise TypeError(f"{type(name).__name__} cannot be a name")


def _write(value: t.Any) -> t.Any:
    """Turn a value that msgspec cannot write into one that it can, or whose parts it asks for next.

    :raises TypeError: its type is not known, and its class has no ``__str__`` of its own.
    """
    for name, write in _METHODS.items():
        if hasattr(type(value), name):
            return write(value)
    for kind, write in _WRITERS:
        if isinstance(value, kind):
            return write(value)
    # Lazy translations are collections of characters too.
    write_text: object = type(value).__str__
    if write_text is not object.__str__:
        return str(value)
    if isinstance(value, cabc.Collection):
        return _write_list(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


def _write_moment(value: dt.date | dt.time) -> str | None:
    # Pandas' NaT is a datetime, and not equal to itself.
    return value.isoformat() if value == value else None


def _write_duration(value: dt.timedelta) -> dt.timedelta:
    return dt.timedelta(value.days, value.seconds, value.microseconds)


def _write_array(value: t.Any) -> t.Any:
    """Write an array or a scalar of NumPy, pandas and others; times in microseconds."""
    if getattr(value, "size", 0) > MAX_ITEMS:
        raise ValueError(f"it has {value.size} items")
    kind = getattr(getattr(value, "dtype", None), "kind", "")
    return (value.astype(f"{kind}8[us]") if kind in {"m", "M"} else value).tolist()


def _write_number(value: t.Any) -> int | float | str:
    if isinstance(value, numbers.Integral):
        return int(value)
    return float(value) if isinstance(value, numbers.Real) else str(value)


def _write_list(value: cabc.Collection[t.Any]) -> list[t.Any]:
    if len(value) > MAX_ITEMS:
        raise ValueError(f"it has {len(value)} items")
    return list(value)


#: By method: Werkzeug's LocalProxy, pydantic's models, SQLAlchemy's rows, arrays and scalars.
_METHODS: dict[str, cabc.Callable[[t.Any], t.Any]] = {
    "_get_current_object": lambda value: value._get_current_object(),
    "model_dump": lambda value: value.model_dump(),
    "_mapping": lambda value: dict(value._mapping),
    "tolist": _write_array,
}
#: By type: subclasses of what msgspec writes, and what the standard library has.
_WRITERS: tuple[tuple[type, cabc.Callable[[t.Any], t.Any]], ...] = (
    (str, str),
    (int, int),
    (float, float),
    (Digits, write_digits),
    (decimal.Decimal, decimal.Decimal),
    (dt.date, _write_moment),
    (dt.time, _write_moment),
    (dt.timedelta, _write_duration),
    (uuid.UUID, str),
    (cabc.Mapping, dict),
    (os.PathLike, os.fsdecode),
    (numbers.Number, _write_number),
)
