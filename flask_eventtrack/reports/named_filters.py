"""Filters that managers have saved under a name."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import dataclasses
import datetime as dt
import typing as t

from ..errors import ReportError
from ..store.saved import Saved
from .filters import Filter

_LONGEST = 2000


@dataclasses.dataclass(frozen=True, slots=True)
class NamedFilter:
    """A filter, its name, who saved it, and when."""

    name: str
    filter: Filter
    made_by: str
    made_at: dt.datetime


def list_named(rows: cabc.Iterable[Saved]) -> list[NamedFilter]:
    """Return the saved filters, without those that this release does not understand."""
    found = list[NamedFilter]()
    for row in rows:
        if row.kind == "filter":
            with contextlib.suppress(ReportError):
                limits = Filter.parse(row.definition["f"])
                found.append(NamedFilter(row.name, limits, row.made_by, row.made_at))
    return found


def as_definition(limits: Filter) -> dict[str, t.Any]:
    """Return a filter as it is saved.

    :raises ReportError: it is empty or too long, or names a person or an order.
    """
    if not limits:
        raise ReportError("There is no filter to save: choose one first.")
    limits.refuse_naming()
    texts = [value for _, value in limits.to_query()]
    if sum(map(len, texts)) > _LONGEST:
        raise ReportError(f"A saved filter has at most {_LONGEST:,} characters.")
    return {"f": texts}


def is_same(one: Filter, other: Filter) -> bool:
    """Whether two filters have the same conditions, in whatever order."""
    return _as_set(one) == _as_set(other)


def _as_set(limits: Filter) -> frozenset[tuple[str, str, str]]:
    return frozenset(
        (each.field, each.operator, value) for each in limits.conditions for value in each.values
    )
