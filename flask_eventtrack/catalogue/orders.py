"""Orders and cancellations: what a host's code or back end says of them, checked. Pure."""

from __future__ import annotations

import collections
import collections.abc as cabc
import dataclasses
import decimal
import hashlib
import operator
import re
import typing as t
import uuid as uuidlib

import msgspec

from ..errors import InvalidEvent
from ..ids import charge_id, derived_id
from ..money import (
    check_currency,
    from_minor,
    multiply,
    pad_money,
    parse_money,
    to_minor,
    write_money,
)
from ..records import Bought, Cancellation, Charge
from ..text import clean_text, clip_label, quantify, shorten, write_id
from .params import as_dict, check_size, normalise
from .plain import to_plain

MAX_ITEMS = 1000
MAX_QUANTITY = 1_000_000
MAX_ORDER_BYTES = 1024 * 1024
_ID_MAX_LENGTH = 255
# The text of an id that was not known yet: all such orders would be one.
_NO_ID = re.compile(r"none|null|nan|undefined|\[object object\]|", re.IGNORECASE)
_EXTRAS = ("discount", "tax", "shipping")
_TEXTS = ("payment_method", "coupon", "channel")

#: Writes the label of an item's event from its parameters.
WriteLabel = cabc.Callable[[cabc.Mapping[str, t.Any]], str | None]
_LeftOut = list[InvalidEvent] | None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """An order as ``track_transaction()`` or a back end has given it, unchecked."""

    order_id: object
    total: object
    currency: object
    items: object = ()
    params: object = None
    discount: object = None
    tax: object = None
    shipping: object = None
    payment_method: object = None
    coupon: object = None
    channel: object = None


class CheckedCharge(t.NamedTuple):
    """The content of a ``transaction.charge``."""

    id: uuidlib.UUID
    params: dict[str, t.Any]
    label: str
    charge: Charge


class CheckedCancellation(t.NamedTuple):
    """What a ``transaction.cancel`` takes back. Without an id, each call is a new one."""

    id: uuidlib.UUID | None
    cancellation: Cancellation


def check_charge(
    order: Order, salt: str, write_label: WriteLabel, left_out: _LeftOut = None
) -> CheckedCharge:
    """Check an order.

    :param salt: ``EVENTTRACK_PROFILE_SALT``.
    :param left_out: a list to which an error is added for each further parameter that cannot be
        stored. The parameter is left out. Without a list, the error is raised.
    :raises InvalidEvent: naming the argument, what was expected and what was given.
    """
    order_id = check_order_id(order.order_id)
    currency = check_currency(order.currency)
    total = parse_money(order.total, "total")
    minor = to_minor(total, currency, "total")
    params: dict[str, t.Any] = {
        "order_id": order_id,
        "total": pad_money(total, currency),
        "total_minor": minor,
        "currency": currency,
    }
    for name in _EXTRAS:
        if (value := getattr(order, name)) is not None:
            amount = parse_money(value, name)
            params[f"{name}_minor"] = to_minor(amount, currency, name)
            params[name] = pad_money(amount, currency)
    for name in _TEXTS:
        if (text := _read_text(getattr(order, name), name)) is not None:
            params[name] = text
    event_id = charge_id(salt, order_id)
    items = _Items(event_id, order_id, currency, left_out)
    items.read(order.items)
    bought = items.finish(write_label)
    params["quantity"] = quantity = sum(item.quantity for item in bought)
    charge = Charge(order_id, currency, minor, _digest(params, bought), bought)
    if order.params is not None:
        params = _add(params, order.params, left_out)
    ordered = f"Ordered {quantify(quantity, 'item')}" if quantity else "Ordered"
    label = f"{ordered} for {from_minor(minor, currency)} {currency}"
    return CheckedCharge(event_id, params, label, charge)


def check_cancellation(
    order_id: object,
    items: object,
    amount: object,
    cancellation_id: object,
    salt: str,
) -> CheckedCancellation:
    """Check a cancellation: of items, of an amount, or of all that is left.

    :param salt: ``EVENTTRACK_PROFILE_SALT``.
    :raises InvalidEvent: naming the argument, what was expected and what was given.
    """
    order_id = check_order_id(order_id)
    charge = charge_id(salt, order_id)
    if items is not None and amount is not None:
        raise _invalid("Give the items that are cancelled, or the amount, but not both.", "amount")
    quantities = None if items is None else _read_quantities(items)
    money = None if amount is None else parse_money(amount, "amount")
    if money == 0:
        raise _invalid("An amount of 0 cancels nothing.", "amount")
    event_id = None
    if cancellation_id is not None:
        text = check_order_id(cancellation_id, "cancellation_id")
        event_id = derived_id(charge, f"cancel:{text}")
    elif items is None and amount is None:
        event_id = derived_id(charge, "cancel")
    text_amount = None if money is None else write_money(money)
    return CheckedCancellation(event_id, Cancellation(charge, order_id, text_amount, quantities))


def check_order_id(value: object, param: str = "order_id") -> str:
    """Return an order's id as text.

    :raises InvalidEvent: it is no str, integer or UUID, is empty, has more than 255 characters, or
        is a placeholder such as "None".
    """
    if value is None or (isinstance(value, str) and _NO_ID.fullmatch(value.strip())):
        raise _invalid(
            f"{param} is {shorten(value)}, which is no id. If your database makes the id, flush or "
            "commit before this call.",
            param,
        )
    return _check_id(value, param)


def _check_id(value: object, param: str) -> str:
    text = write_id(value, _ID_MAX_LENGTH)
    if text and len(text) <= _ID_MAX_LENGTH and text.isprintable():
        return text
    rule = f"a str, integer or UUID of 1 to {_ID_MAX_LENGTH} printable characters"
    raise _invalid(f"{param} is {rule}; it was {shorten(value, 40)}.", param)


class _Line:
    """An item with all its copies."""

    def __init__(self, sku: str, price: decimal.Decimal, params: dict[str, t.Any]) -> None:
        self.sku = sku
        self.price = price
        self.params = params
        self.quantity = 0


class _Items:
    """The items of an order; copies of one are one."""

    def __init__(
        self, charge: uuidlib.UUID, order_id: str, currency: str, left_out: _LeftOut
    ) -> None:
        self._charge = charge
        self._order_id = order_id
        self._currency = currency
        self._left_out = left_out
        self._lines: dict[bytes, _Line] = {}
        self._size = 0

    def read(self, items: object) -> None:
        for at, item in enumerate(_iterate(items)):
            self._read(item, f"items[{at}]")

    def _read(self, item: object, place: str) -> None:
        fields = _read_item(item, place)
        sku = _read_sku(fields, place)
        quantity = _read_quantity(fields, place)
        price = parse_money(fields.pop("final_unit_price", None), f"{place}.final_unit_price")
        currency = fields.pop("currency", None)
        if currency is not None and currency != self._currency:
            raise _invalid(
                f"{place}.currency is {shorten(currency, 40)}, but an order has one currency, "
                f"{self._currency!r}.",
                f"{place}.currency",
            )
        params = {"order_id": self._order_id, "sku": sku}
        if (name := _read_text(fields.pop("name", None), f"{place}.name")) is not None:
            params["name"] = name
        params["final_unit_price"] = pad_money(price, self._currency)
        params["currency"] = self._currency
        if (category := _read_category(fields.pop("category", None), place)) is not None:
            fields["category"] = category
        if fields:
            params = _add(params, fields, self._left_out)
        self._add_copies(sku, price, params, quantity)

    def _add_copies(
        self, sku: str, price: decimal.Decimal, params: dict[str, t.Any], quantity: int
    ) -> None:
        key = msgspec.json.encode(params, order="deterministic")
        line = self._lines.get(key)
        if line is None:
            self._size += len(key)
            if len(self._lines) >= MAX_ITEMS:
                raise _invalid(f"An order has at most {MAX_ITEMS} different items.", "items")
            if self._size > MAX_ORDER_BYTES:
                problem = f"The items take more than {MAX_ORDER_BYTES:,} bytes."
                raise InvalidEvent("params_too_large", problem, "items")
            line = self._lines[key] = _Line(sku, price, params)
        line.quantity += quantity

    def finish(self, write_label: WriteLabel) -> tuple[Bought, ...]:
        of_sku: collections.Counter[str] = collections.Counter()
        bought = []
        for line in self._lines.values():
            sku, params, quantity = line.sku, line.params, line.quantity
            amount = multiply(line.price, quantity)
            params["quantity"] = quantity
            params["amount_minor"] = to_minor(amount, self._currency, f"the price of {sku!r}")
            number = of_sku[sku]
            of_sku[sku] += 1
            bought.append(
                Bought(
                    # Cancellations' ids are derived from the charge's as well.
                    id=derived_id(self._charge, f"buy:{sku}:{number}"),
                    sku=sku,
                    quantity=quantity,
                    unit_price=params["final_unit_price"],
                    params=params,
                    label=write_label({"name": sku, **params}),
                )
            )
        return tuple(bought)


def _read_item(item: object, place: str) -> dict[t.Any, t.Any]:
    fields = as_dict(item)
    if fields is None:
        kind = type(item).__name__
        raise _invalid(
            f"{place} is a dict, a dataclass or the like with 'sku', 'quantity' and "
            f"'final_unit_price', not {kind}.",
            place,
        )
    return fields


def _read_sku(fields: dict[t.Any, t.Any], place: str) -> str:
    return _check_id(fields.pop("sku", None), f"{place}.sku")


def _read_quantity(fields: dict[t.Any, t.Any], place: str) -> int:
    value = fields.pop("quantity", 1)
    try:
        quantity = 0 if isinstance(value, bool) else operator.index(value)
    except TypeError:
        quantity = 0
    if 1 <= quantity <= MAX_QUANTITY:
        return quantity
    rule = f"an integer from 1 to {MAX_QUANTITY:,}"
    param = f"{place}.quantity"
    raise _invalid(f"{param} is {rule}; it was {shorten(value, 40)}.", param)


def _read_category(value: object, place: str) -> str | list[str] | None:
    """Return a category, or a list of them."""
    if isinstance(value, list | tuple):
        read = (_read_text(each, f"{place}.category") for each in value)
        return [text for text in read if text is not None]
    return _read_text(value, f"{place}.category")


def _read_quantities(items: object) -> dict[str, int]:
    """Return how many are cancelled of each SKU."""
    quantities: collections.Counter[str] = collections.Counter()
    for at, item in enumerate(_iterate(items)):
        fields = _read_item(item, f"items[{at}]")
        sku = _read_sku(fields, f"items[{at}]")
        quantities[sku] += _read_quantity(fields, f"items[{at}]")
        if len(quantities) > MAX_ITEMS:
            raise _invalid(f"An order has at most {MAX_ITEMS} different items.", "items")
    if not quantities:
        raise _invalid("items is empty. To cancel the whole order, leave it out.", "items")
    return dict(quantities)


def _iterate(items: object) -> cabc.Iterable[object]:
    if isinstance(items, cabc.Iterable) and not isinstance(items, str | bytes | cabc.Mapping):
        return items
    raise _invalid(f"items is a list of items, not {type(items).__name__}.", "items")


def _read_text(value: object, param: str) -> str | None:
    """Return a text, at most 255 characters of it. Lazy translations and members of enumerations
    are text too, and so are integers."""
    if value is None:
        return None
    if type(value) is not str:
        try:
            plain = to_plain(value)
        except Exception:  # noqa: BLE001 - methods of the host's classes may raise anything
            plain = None
        value = str(plain) if type(plain) is int else plain
    if isinstance(value, str):
        return clip_label(clean_text(value))
    raise _invalid(f"{param} is text, not {type(value).__name__}.", param)


def _add(params: dict[str, t.Any], further: object, left_out: _LeftOut) -> dict[str, t.Any]:
    """Return parameters with further ones, which replace none of them."""
    clean = normalise(
        t.cast("cabc.Mapping[str, t.Any]", further), left_out=left_out, writes_decimals=True
    )
    added = {n: v for n, v in clean.items() if n not in params and v is not None}
    all_params = params | added
    check_size(all_params)
    return all_params


def _digest(params: dict[str, t.Any], items: cabc.Iterable[Bought]) -> str:
    """Return a hash of what an order says of money. What is left out counts as 0."""
    lines: collections.Counter[tuple[str, str]] = collections.Counter()
    for item in items:
        price = item.unit_price
        if "." in price:
            price = price.rstrip("0").rstrip(".")
        lines[item.sku, price] += item.quantity
    extras = [params.get(f"{name}_minor", 0) for name in _EXTRAS]
    content = [params["currency"], params["total_minor"], extras, sorted(lines.items())]
    return hashlib.sha256(msgspec.json.encode(content)).hexdigest()[:32]


def _invalid(problem: str, param: str) -> InvalidEvent:
    return InvalidEvent("invalid_order", problem, param)
