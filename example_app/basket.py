"""The basket: product SKUs and quantities in the session cookie."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from flask import session
from sqlalchemy import select

from flask_eventtrack import track

from .models import Product, db

MAX_QUANTITY = 20


@dataclass(frozen=True)
class Line:
    """One product in the basket."""

    product: Product
    quantity: int

    @property
    def total_cents(self) -> int:
        """What this line costs."""
        return self.quantity * self.product.price_cents


@dataclass(frozen=True)
class Basket:
    """The products that this visitor wants to buy."""

    lines: tuple[Line, ...]

    @property
    def quantity(self) -> int:
        """How many things are in it."""
        return sum(line.quantity for line in self.lines)

    @property
    def total_cents(self) -> int:
        """What everything in it costs."""
        return sum(line.total_cents for line in self.lines)


def get_basket() -> Basket:
    """Read the basket, without products that the shop no longer sells."""
    wanted = _quantities()
    products = db.session.scalars(select(Product).where(Product.sku.in_(wanted)))
    by_sku = {product.sku: product for product in products}
    return Basket(tuple(Line(by_sku[sku], n) for sku, n in wanted.items() if sku in by_sku))


def count_items() -> int:
    """Return the number beside the basket in the header, without asking the database."""
    return sum(_quantities().values())


def quantity_of(product: Product) -> int:
    """Return how many of a product are in the basket."""
    return _quantities().get(product.sku, 0)


def add(product: Product, quantity: int) -> int:
    """Add this many of a product, and return how many there are now."""
    return _change(product, quantity_of(product) + max(0, quantity), None)


def set_quantity(product: Product, quantity: int) -> int:
    """Set how many of a product are in the basket: at most ``MAX_QUANTITY``; 0 removes it."""
    wanted = max(0, min(quantity, MAX_QUANTITY))
    label = f"Changed the quantity of {product.name} to {wanted}" if wanted else None
    return _change(product, wanted, label)


def empty() -> None:
    """Take everything out, because it was ordered."""
    session.pop("basket", None)


def _quantities() -> dict[str, int]:
    return dict(session.get("basket", {}))


def _change(product: Product, wanted: int, label: str | None) -> int:
    quantities = _quantities()
    before = quantities.pop(product.sku, 0)
    after = min(wanted, MAX_QUANTITY)
    if after:
        quantities[product.sku] = after
    session["basket"] = quantities
    _track_change(product, after - before, label)
    return after


def _track_change(product: Product, change: int, label: str | None) -> None:
    """Track what came or went; without a label, the event has its definition's."""
    params: dict[str, t.Any] = {"sku": product.sku, "name": product.name, "quantity": abs(change)}
    price = {"final_unit_price": product.price, "currency": "EUR"}
    if change > 0:
        track("product.addToCart", params | price, label=label)
    elif change < 0:
        track("product.removeFromCart", params, label=label)
