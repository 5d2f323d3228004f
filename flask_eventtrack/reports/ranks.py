"""Medians and other percentiles, by the nearest rank: each is a value that occurs."""

from __future__ import annotations

import collections.abc as cabc
import typing as t

_Value = t.TypeVar("_Value")


def find_rank(number: int, percent: int) -> int:
    """Return the place, from 1, of the smallest of sorted values that so many per cent do not
    exceed.

    :param number: how many values there are.
    """
    return -(-percent * number // 100)


def find_percentile(values: cabc.Sequence[_Value], percent: int) -> _Value:
    """Return the smallest of sorted values that so many per cent do not exceed."""
    return values[find_rank(len(values), percent) - 1]
