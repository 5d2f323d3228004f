"""Orders as records: what track_transaction() and cancel_transaction() put on their way."""

from __future__ import annotations

import collections
import datetime as dt
import decimal
import hashlib
import typing as t
import uuid as uuidlib

from flask_eventtrack.ids import charge_id, derived_id
from flask_eventtrack.money import from_minor
from flask_eventtrack.records import (
    CANCEL,
    CHARGE,
    Bought,
    Cancellation,
    Charge,
    Event,
)

from ..hosts import Host
from .records import DEVICE, SITE, an_id, at, session_of

SALT = "flask-eventtrack"
#: SKU, quantity and unit price.
Line = tuple[str, int, str]
MUGS: Line = ("mug", 2, "10.00")
TEA: Line = ("tea", 1, "4.50")


def id_of(order_id: str) -> uuidlib.UUID:
    return charge_id(SALT, order_id)


def a_charge(
    order_id: str = "A-1",
    total: int = 2450,
    *,
    seconds: float = 1,
    currency: str = "EUR",
    items: t.Sequence[Line] = (MUGS, TEA),
    device: uuidlib.UUID = DEVICE,
    visit_id: uuidlib.UUID | None = None,
    **fields: t.Any,
) -> Event:
    """Return the record of an order of a device's first session; ``total`` is in minor units."""
    charge = id_of(order_id)
    content = repr((total, currency, sorted(items)))
    before: collections.Counter[str] = collections.Counter()
    numbers = []
    for sku, _, _ in items:
        numbers.append(before[sku])
        before[sku] += 1
    bought = tuple(
        Bought(
            derived_id(charge, f"{sku}:{number}"),
            sku,
            quantity,
            price,
            {"order_id": order_id, "sku": sku, "quantity": quantity, "final_unit_price": price},
            f"Bought {sku}",
        )
        for number, (sku, quantity, price) in zip(numbers, items, strict=True)
    )
    digest = hashlib.sha256(content.encode()).hexdigest()[:32]
    given: dict[str, t.Any] = {
        "id": charge,
        "action": CHARGE,
        "time": at(seconds),
        "received_at": at(seconds),
        "uuid": device,
        "params": {"order_id": order_id, "total_minor": total, "currency": currency},
        "site": SITE,
        "session": session_of(device),
        "order": Charge(order_id, currency, total, digest, bought, visit_id),
    }
    return Event(**given | fields)


def a_cancellation(
    order_id: str = "A-1",
    *,
    amount: int | None = None,
    items: dict[str, int] | None = None,
    seconds: float = 100,
    name: str = "",
    currency: str = "EUR",
    **fields: t.Any,
) -> Event:
    """Return the record of a cancellation; a whole one, or one with a ``name``, has that id.

    ``amount`` is in minor units.
    """
    charge = id_of(order_id)
    is_whole = amount is None and items is None
    derived = derived_id(charge, f"cancel:{name}" if name else "cancel")
    given: dict[str, t.Any] = {
        "id": derived if is_whole or name else an_id(seconds),
        "action": CANCEL,
        "time": at(seconds),
        "received_at": at(seconds),
        "uuid": charge,
        "params": {},
        "order": Cancellation(
            charge, order_id, None if amount is None else from_minor(amount, currency), items
        ),
    }
    return Event(**given | fields)


def put(host: Host, *records: t.Any) -> None:
    """Record as requests do, and have the writer write it."""
    assert host.state.pipeline.put(*records)
    host.flush()


def rows_of(host: Host) -> dict[uuidlib.UUID, dict[str, t.Any]]:
    return {row["id"]: row for row in host.rows("transaction")}


def the_row(host: Host, order_id: str = "A-1") -> dict[str, t.Any]:
    return rows_of(host)[id_of(order_id)]


def amounts(host: Host) -> list[int]:
    return [row["amount"] for row in host.rows("transaction", "time", "amount")]


Revenue = dict[tuple[dt.date, str], int]


def revenue(host: Host) -> Revenue:
    """Return the sums of our rows by day and currency, in minor units."""
    found: collections.Counter[tuple[dt.date, str]] = collections.Counter()
    for row in host.rows("transaction"):
        assert isinstance(row["amount"], int)
        found[row["time"].date(), row["currency"]] += row["amount"]
    return dict(found)


def price_of(items: t.Iterable[Line]) -> int:
    """Return the price of items in cents."""
    return int(sum(decimal.Decimal(price) * number for _, number, price in items) * 100)
