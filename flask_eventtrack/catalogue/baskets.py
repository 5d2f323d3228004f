"""The built-in events of a shop before its orders: products, baskets, searches.

Their prices are no revenue. Browsers send them as numbers or text, and they are stored as decimal
text.
"""

from __future__ import annotations

import dataclasses
import decimal
import typing as t

from ..errors import InvalidEvent
from ..money import parse_money, write_money
from ..text import shorten

#: A price for one piece. It is read from a number or text; it becomes text in the instance.
Price = decimal.Decimal
_PRICES = ("final_unit_price", "regular_unit_price", "discounted_unit_price")


@dataclasses.dataclass
class _Product:
    """``final_unit_price``: what one piece costs in the end. ``regular_unit_price`` and
    ``discounted_unit_price``: before and after a discount. ``price``: the final price as release
    0.1 has it, a number. ``offline``: whether it happened outside of the website and the app.
    """

    sku: str
    name: str | None = None
    final_unit_price: Price | None = None
    regular_unit_price: Price | None = None
    discounted_unit_price: Price | None = None
    price: float | None = None
    currency: str | None = None
    category: str | None = None
    categories: str | list[str] | None = None
    url: str | None = None
    producer: str | None = None
    offline: bool | None = None

    def __post_init__(self) -> None:
        for name in _PRICES:
            setattr(self, name, _write_price(getattr(self, name), name))


@dataclasses.dataclass
class ProductView(_Product):
    """``source``: the list, page or shelf in which the product was found. ``campaign``: the
    campaign that led to it."""

    from_recommendation: bool | None = None
    source: str | None = None
    campaign: str | None = None


@dataclasses.dataclass
class _BasketChange(_Product):
    quantity: int = 1


@dataclasses.dataclass
class AddToCart(_BasketChange):
    pass


@dataclasses.dataclass
class RemoveFromCart(_BasketChange):
    pass


@dataclasses.dataclass
class CartStatus:
    """What is in the basket. An empty one has no products, and 0 as amount and quantity.

    ``products``: each with parameters of ``product.addToCart``, and any others.
    """

    products: list[dict[str, t.Any]]
    total_amount: Price
    total_quantity: int
    currency: str | None = None

    def __post_init__(self) -> None:
        self.total_amount = t.cast("Price", _write_price(self.total_amount, "total_amount"))
        for product in self.products:
            for name in _PRICES:
                if name in product:
                    product[name] = _write_price(product[name], name)


@dataclasses.dataclass
class SearchQuery:
    """``results``: how many there were."""

    query: str
    results: int | None = None
    category: str | None = None


def _write_price(price: object, name: str) -> str | None:
    """Return a price as decimal text.

    :raises ValueError: it is no amount of 0 or more.
    """
    if price is None:
        return None
    number = decimal.Decimal(repr(price)) if isinstance(price, float) else price
    try:
        return write_money(parse_money(number, name))
    except InvalidEvent:
        problem = f"{name}: expected an amount of 0 or more: {shorten(str(price))}"
        raise ValueError(problem) from None
