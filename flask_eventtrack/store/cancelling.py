"""What a cancellation takes back of a charge: never more than is left of it."""

from __future__ import annotations

import decimal
import typing as t

from ..money import add, limit_minor, multiply, write_money
from ..records import Cancellation
from .rows import TransactionRow

_Items = list[dict[str, t.Any]]


class Taken(t.NamedTuple):
    """What a cancellation took: an amount (minor units) and items; ``is_cut`` if it was less than
    it asked for.
    """

    amount: int
    items: _Items
    is_cut: bool


def take_back(charge: TransactionRow, order: Cancellation) -> Taken | None:
    """Take an amount, items or all that is left off a charge; None if there is nothing to take."""
    left = charge.amount - charge.cancelled
    stored = charge.items or []
    wanted: dict[str, int] = {}
    if order.items is not None:
        wanted = dict(order.items)
    elif order.amount is None:
        for item in stored:
            wanted[item["sku"]] = wanted.get(item["sku"], 0) + _left_of(item)
    items, price, is_short = _take_items(stored, wanted)
    if order.items is not None:
        asked = limit_minor(write_money(price), charge.currency)
    else:
        asked = left if order.amount is None else limit_minor(order.amount, charge.currency)
    amount = min(asked, left)
    taken = _list_taken(stored, items)
    if left <= 0 or amount < 0 or not (amount or taken):
        return None
    charge.cancelled += amount
    if charge.items is not None:
        charge.items = items
    return Taken(amount, taken, is_short or amount < asked)


def _take_items(stored: _Items, wanted: dict[str, int]) -> tuple[_Items, decimal.Decimal, bool]:
    """Return the items after some of each SKU are cancelled, their price, and whether it was less
    than wanted.
    """
    rest, price = dict(wanted), decimal.Decimal(0)
    items = []
    for item in stored:
        number = max(0, min(rest.get(item["sku"], 0), _left_of(item)))
        if number:
            rest[item["sku"]] -= number
            price = add(price, multiply(decimal.Decimal(item["unit_price"]), number))
        items.append({**item, "cancelled": item["cancelled"] + number})
    return items, price, any(number > 0 for number in rest.values())


def _list_taken(before: _Items, after: _Items) -> _Items:
    pairs = zip(before, after, strict=True)
    found = ((new["sku"], new["cancelled"] - old["cancelled"]) for old, new in pairs)
    return [{"sku": sku, "quantity": number} for sku, number in found if number]


def _left_of(item: dict[str, t.Any]) -> int:
    left: int = item["quantity"] - item["cancelled"]
    return left
