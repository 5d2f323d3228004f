"""The overview's numbers and revenue with their changes, as people read them."""

from __future__ import annotations

import typing as t

from ..money import Money
from ..reports.rows import MEASURES, Measure, Overview
from .figures import MEASURE_WORDS, Change, find_change, write, write_growth, write_money


class Number(t.NamedTuple):
    """A number with its change; ``before`` is "" without a comparison."""

    name: str
    value: str
    change: Change | None
    before: str


def list_numbers(found: Overview) -> list[Number]:
    """Return the numbers, without orders if there are none."""
    before = found.before
    has_orders = found.numbers.orders or (before is not None and before.orders)
    return [_describe(found, each) for each in MEASURES if each != "orders" or has_orders]


def list_revenue(found: Overview) -> list[Number]:
    """Return the revenue in each currency."""
    return [_describe_revenue(now, before) for now, before in pair_revenue(found)]


def find_change_of(found: Overview, measure: Measure) -> Change | None:
    """Return how a number has changed; None without a comparison."""
    earlier = None if found.before is None else found.before.get(measure)
    return find_change(measure, found.numbers.get(measure), earlier)


def pair_revenue(found: Overview) -> list[tuple[Money, Money | None]]:
    """Return the revenue in each currency, and what it was before; None without a comparison."""
    now = {each.currency: each for each in found.revenue}
    before = {each.currency: each for each in found.revenue_before}
    return [
        (
            now.get(currency, Money(0, currency)),
            None if found.before is None else before.get(currency, Money(0, currency)),
        )
        for currency in sorted({*now, *before})
    ]


def _describe(found: Overview, measure: Measure) -> Number:
    before = found.before
    return Number(
        MEASURE_WORDS[measure].name,
        write(measure, found.numbers.get(measure)),
        find_change_of(found, measure),
        "" if before is None else write(measure, before.get(measure)),
    )


def _describe_revenue(now: Money, before: Money | None) -> Number:
    if before is None:
        return Number("Revenue", write_money(now), None, "")
    growth = write_growth(float(now.amount), float(before.amount))
    is_good = None if now.amount == before.amount else now.amount > before.amount
    change = None if growth is None else Change(growth, is_good)
    return Number("Revenue", write_money(now), change, write_money(before))
