"""What events hold: the parameters of an action, and the paths of a route."""

from __future__ import annotations

import bisect
import collections
import collections.abc as cabc
import dataclasses
import decimal
import itertools
import json
import time
import typing as t

import sqlalchemy as sa

from ..errors import ReportError
from ..money import show_money, split_money
from ..records import PAGE_VISIT
from ..store.reading import give_up
from ..store.tables import Tables
from ..text import shorten
from .conditions import Conditions
from .ranks import find_rank
from .rows import CurrencyRow, ParameterRow, ValueRow
from .scan import AT_ONCE, Bounds
from .sums import Sums

_ADD = decimal.Context(prec=60)


@dataclasses.dataclass
class Values:
    """The values of one parameter, as text, with how often each occurs."""

    counts: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    events: int = 0

    def add(self, value: object) -> None:
        """Add the value of an event; each item of a list counts."""
        self.events += 1
        for each in value if isinstance(value, list) else [value]:
            self.counts[_write(each)] += 1

    def merge(self, other: Values) -> None:
        """Add the values of other events."""
        self.counts.update(other.counts)
        self.events += other.events

    def row(self, name: str, kind: str, limit: int) -> ParameterRow:
        """Return what there is to say of the parameter.

        :param limit: how many values, the most frequent first.
        """
        total = self.counts.total()
        order = sorted(self.counts.items(), key=lambda each: (-each[1], each[0]))
        top = tuple(ValueRow(text, count, count / total) for text, count in order[:limit])
        row = ParameterRow(name, kind, self.events, top, len(order))
        if "Money" in kind:
            return dataclasses.replace(row, currencies=tuple(_iter_currencies(self.counts)))
        numbers = sorted(_iter_numbers(self.counts)) if _is_number(kind) else []
        return dataclasses.replace(row, **_measure(numbers)) if numbers else row


@dataclasses.dataclass
class Found:
    """What was read of an action: its events, its people, and the values of its parameters."""

    events: int = 0
    people: set[object] = dataclasses.field(default_factory=set)
    values: collections.defaultdict[str, Values] = dataclasses.field(
        default_factory=lambda: collections.defaultdict(Values)
    )

    def merge(self, other: Found) -> None:
        """Add what was read of other events."""
        self.events += other.events
        self.people |= other.people
        for name, values in other.values.items():
            self.values[name].merge(values)


def read_parameters(
    connection: sa.Connection,
    tables: Tables,
    action: str,
    names: cabc.Set[str],
    bounds: Bounds,
    conditions: Conditions,
    due: float,
) -> Found:
    """Read the parameters of an action's events between two moments.

    :raises TimeUp: it was too late.
    """
    event, session = tables.event.c, tables.session.c
    person = sa.func.coalesce(session.person, event.uuid)
    query = sa.select(person, event.params).where(event.action == action)
    query = _among(query, tables, bounds, conditions)
    found = Found()
    result = connection.execute(query, execution_options={"yield_per": AT_ONCE})
    with result:
        for rows in result.partitions():
            for row in rows:
                params: dict[str, t.Any] = row[1]
                found.events += 1
                found.people.add(row[0])
                for name in names & params.keys():
                    found.values[name].add(params[name])
            if time.monotonic() > due:
                give_up(connection)
    return found


def add_paths(
    connection: sa.Connection,
    tables: Tables,
    route: str,
    bounds: Bounds,
    conditions: Conditions,
    into: Sums,
) -> None:
    """Add the page visits of a route between two moments, by path."""
    event = tables.event.c
    path = sa.func.coalesce(event.params["path"].as_string(), "").label("path")
    query = sa.select(path, sa.func.count()).where(
        event.action == PAGE_VISIT, event.url_rule == route
    )
    rows = connection.execute(_among(query, tables, bounds, conditions).group_by(path))
    into.add_paths((value, int(count)) for value, count in rows)


def _among(
    query: sa.Select[t.Any], tables: Tables, bounds: Bounds, conditions: Conditions
) -> sa.Select[t.Any]:
    """Return a query of the events between two moments, or of the sessions that a filter wants."""
    event, session = tables.event.c, tables.session.c
    query = query.where(event.source != "bot")
    if conditions:
        query = query.join_from(tables.event, tables.session, event.session_id == session.id)
        query = query.where(session.started_at >= bounds[0], session.started_at < bounds[1])
        return query.where(*conditions.of(*bounds))
    query = query.outerjoin_from(tables.event, tables.session, event.session_id == session.id)
    query = query.where(event.time >= bounds[0], event.time < bounds[1])
    if conditions.sites is not None:
        query = query.where(event.site.in_(sorted(conditions.sites)))
    return query


def check_route(dimension: str, route: str | None) -> None:
    """Refuse paths of all routes together, and a route for other dimensions.

    :raises ReportError: saying what is missing.
    """
    if dimension == "path" and route is None:
        raise ReportError("Paths are shown of one route: give the route.")
    if dimension != "path" and route is not None:
        raise ReportError(f"A route is for 'path' alone, not for {shorten(dimension)}.")


def _write(value: object) -> str:
    if isinstance(value, str):
        return value
    if type(value) in {int, float}:  # as JSON has it, in a tenth of the time
        return str(value)
    return show_money(value) or json.dumps(value, ensure_ascii=False, sort_keys=True)


def _is_number(kind: str) -> bool:
    return any(name in kind for name in ("int", "float", "Decimal"))


def _iter_numbers(counts: cabc.Mapping[str, int]) -> cabc.Iterator[tuple[decimal.Decimal, int]]:
    """Yield the numbers among texts, with how often they occur. Decimals are stored as text."""
    for text, count in counts.items():
        try:
            number = decimal.Decimal(text)
        except decimal.InvalidOperation:
            continue
        if number.is_finite() and number.adjusted() < _ADD.prec:
            yield number, count


def _iter_currencies(counts: cabc.Mapping[str, int]) -> cabc.Iterator[CurrencyRow]:
    """Yield the numbers of each currency among texts such as "EUR 9.90"."""
    by_currency = collections.defaultdict[str, dict[str, int]](dict)
    for text, count in counts.items():
        if money := split_money(text):
            by_currency[money["currency"]][money["amount"]] = count
    for currency, amounts in sorted(by_currency.items()):
        if numbers := sorted(_iter_numbers(amounts)):
            total = sum(count for _, count in numbers)
            yield CurrencyRow(currency, total, **_measure(numbers))


def _measure(numbers: list[tuple[decimal.Decimal, int]]) -> dict[str, t.Any]:
    """Return the numbers of a row.

    :param numbers: sorted, with how often each occurs.
    """
    sum_ = decimal.Decimal(0)
    for number, count in numbers:
        sum_ = _ADD.add(sum_, _ADD.multiply(number, count))
    ends = list(itertools.accumulate(count for _, count in numbers))
    return {
        "sum": sum_,
        "mean": float(sum_) / ends[-1],
        "median": _find_percentile(numbers, ends, 50),
        "p90": _find_percentile(numbers, ends, 90),
        "least": float(numbers[0][0]),
        "most": float(numbers[-1][0]),
    }


def _find_percentile(
    numbers: list[tuple[decimal.Decimal, int]], ends: list[int], percent: int
) -> float:
    """Return a percentile of numbers with how often each occurs.

    :param ends: how many numbers there are up to each one.
    """
    return float(numbers[bisect.bisect_left(ends, find_rank(ends[-1], percent))][0])
