"""Orders and cancellations are checked: what is taken, what is refused, what is the same."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses
import decimal
import enum
import typing as t
import uuid

import msgspec
import pytest

from flask_eventtrack.catalogue.builtin import builtin_catalogue
from flask_eventtrack.catalogue.orders import (
    MAX_ITEMS,
    CheckedCharge,
    Order,
    check_cancellation,
    check_charge,
)
from flask_eventtrack.catalogue.params import MAX_BYTES
from flask_eventtrack.errors import InvalidEvent
from flask_eventtrack.ids import charge_id, derived_id

D = decimal.Decimal
MUG: dict[str, t.Any] = {"sku": "A1", "name": "Mug", "quantity": 2, "final_unit_price": "12.30"}
TEA: dict[str, t.Any] = {"sku": "B2", "final_unit_price": D("4.5")}


class Colour(enum.Enum):
    RED = "red"


@dataclasses.dataclass
class Line:
    sku: str
    final_unit_price: decimal.Decimal
    quantity: int = 1


def check(items: object = (), left_out: list[InvalidEvent] | None = None, **order: t.Any) -> t.Any:
    definition = builtin_catalogue().find("product.buy")
    assert definition is not None
    fields = {"order_id": 17, "total": "29.10", "currency": "EUR", "items": items, **order}
    return check_charge(Order(**fields), "salt", definition.format_label, left_out)


def digest(items: object = (), **order: t.Any) -> str:
    charge: CheckedCharge = check(items, **order)
    return charge.charge.digest


def test_order_has_its_money_as_text_and_in_minor_units() -> None:
    """And no more than was given."""
    checked = check(
        [MUG, TEA], shipping=5, tax=D("4.646"), payment_method="card", coupon=Colour.RED
    )
    assert checked.params == {
        "order_id": "17",
        "total": "29.10",
        "total_minor": 2910,
        "currency": "EUR",
        "quantity": 3,
        "shipping": "5.00",
        "shipping_minor": 500,
        "tax": "4.646",
        "tax_minor": 465,
        "payment_method": "card",
        "coupon": "red",
    }
    assert checked.label == "Ordered 3 items for 29.10 EUR"
    assert (checked.charge.amount, checked.charge.currency) == (2910, "EUR")
    assert checked.id == charge_id("salt", "17")


def test_items_are_events_of_their_own() -> None:
    """With the amount of the line, a label, and an id that is derived from the order's."""
    first, second = check([MUG, TEA]).charge.items
    assert first.params == {
        "order_id": "17",
        "sku": "A1",
        "name": "Mug",
        "final_unit_price": "12.30",
        "currency": "EUR",
        "quantity": 2,
        "amount_minor": 2460,
    }
    assert (first.sku, first.quantity, first.unit_price) == ("A1", 2, "12.30")
    assert (first.label, second.label) == ("Bought Mug", "Bought B2")
    assert first.id == derived_id(charge_id("salt", "17"), "buy:A1:0")
    assert (second.quantity, second.unit_price) == (1, "4.50")


@pytest.mark.parametrize(
    ("items", "label"),
    [
        ((), "Ordered for 29.10 EUR"),
        ([TEA], "Ordered 1 item for 29.10 EUR"),
        ([TEA, TEA], "Ordered 2 items for 29.10 EUR"),
    ],
)
def test_label_counts_the_pieces(items: object, label: str) -> None:
    """An order without items has none."""
    assert check(items).label == label


def test_copies_of_an_item_are_added_up() -> None:
    """Only what is the same in everything but its quantity is a copy."""
    red, blue = MUG | {"colour": "red"}, MUG | {"colour": "blue"}
    items = check([red, MUG, blue, red | {"quantity": 1}, MUG]).charge.items
    assert [(item.params.get("colour"), item.quantity) for item in items] == [
        ("red", 3),
        (None, 4),
        ("blue", 2),
    ]
    assert len({item.id for item in items}) == 3
    assert [item.params["amount_minor"] for item in items] == [3690, 4920, 2460]


def test_items_may_be_objects_that_are_written_as_mappings() -> None:
    """As the values that ``track()`` takes; in any iterable."""
    lines = (line for line in [Line("A1", D("12.30"), 2)])
    [item] = check(lines).charge.items
    assert (item.sku, item.quantity, item.unit_price) == ("A1", 2, "12.30")


def test_further_parameters_are_kept_with_all_digits() -> None:
    """They replace none of ours, and a decimal becomes no float."""
    item = MUG | {"list_price": D("15.10"), "size": None, "order_id": 5, "tags": {"x"}, "n": [D(1)]}
    checked = check([item], params={"gift": True, "total": "0", "rate": D("0.10")})
    [bought] = checked.charge.items
    further = {"list_price": "15.10", "tags": ["x"], "n": ["1"]}
    assert {name: bought.params[name] for name in further} == further
    assert bought.params["order_id"] == "17"
    assert "size" not in bought.params
    assert (checked.params["gift"], checked.params["rate"]) == (True, "0.10")
    assert checked.params["total"] == "29.10"


@pytest.mark.parametrize(
    ("order_id", "text"),
    [(17, "17"), (0, "0"), ("A-17", "A-17"), (uuid.UUID(int=5), str(uuid.UUID(int=5)))],
)
def test_order_ids(order_id: t.Any, text: str) -> None:
    """Text, integers and UUIDs, as of customers."""
    assert check(order_id=order_id).params["order_id"] == text


BAD_ITEMS: dict[str, tuple[object, str]] = {
    "items[0]": ([5], "is a dict, a dataclass or the like with"),
    "items[1]": ([MUG, ["sku"]], "is a dict, a dataclass or the like with"),
    "items[0].sku": ([MUG | {"sku": None}], "is a str, integer or UUID"),
    "items[1].sku": ([MUG, TEA | {"sku": "x" * 256}], "is a str, integer or UUID"),
    "items[0].quantity": ([MUG | {"quantity": 0}], "is an integer from 1 to 1,000,000"),
    "items[1].quantity": ([MUG, MUG | {"quantity": 1.5}], "it was 1.5"),
    "items[2].quantity": ([MUG, MUG, MUG | {"quantity": True}], "it was True"),
    "items[0].currency": ([MUG | {"currency": "USD"}], "an order has one currency, 'EUR'"),
    "items[0].name": ([MUG | {"name": ["Mug"]}], "is text, not list"),
    "items[0].category": ([MUG | {"category": ["a", 1.5]}], "is text, not float"),
    "items": (MUG, "is a list of items, not dict"),
}


@pytest.mark.parametrize("param", BAD_ITEMS)
def test_bad_item_is_named(param: str) -> None:
    """With its place in the list."""
    items, message = BAD_ITEMS[param]
    with pytest.raises(InvalidEvent) as caught:
        check(items)
    assert str(caught.value).startswith(param)
    assert message in str(caught.value)
    assert (caught.value.code, caught.value.param) == ("invalid_order", param)


@pytest.mark.parametrize(
    ("order", "code", "message"),
    [
        ({"order_id": None}, "invalid_order", "order_id is None, which is no id"),
        ({"order_id": ""}, "invalid_order", "order_id is '', which is no id"),
        ({"order_id": "x" * 256}, "invalid_order", "order_id is a str, integer or UUID of 1"),
        ({"order_id": 10**5000}, "invalid_order", "order_id is a str"),
        ({"order_id": "a\x00"}, "invalid_order", "order_id is a str"),
        ({"order_id": 1.5}, "invalid_order", "order_id is a str"),
        ({"order_id": True}, "invalid_order", "order_id is a str"),
        ({"order_id": "None"}, "invalid_order", "flush or commit before this call"),
        ({"total": 29.1}, "invalid_money", "total is the float 29.1. A float has no exact cents"),
        ({"total": None}, "invalid_money", "total is a Decimal, .*; it was None"),
        ({"tax": 0.1}, "invalid_money", "tax is the float"),
        ({"discount": -1}, "invalid_money", "discount is below 0"),
        ({"currency": "eur"}, "invalid_money", "currency is a code of ISO 4217"),
        ({"items": [MUG | {"final_unit_price": 12.3}]}, "invalid_money", r"items\[0\].final_unit_"),
        ({"items": [{"sku": "A1"}]}, "invalid_money", r"items\[0\].final_unit_price is a Decimal"),
        ({"items": "A1"}, "invalid_order", "items is a list of items, not str"),
        ({"items": None}, "invalid_order", "items is a list of items, not NoneType"),
        ({"coupon": ["a"]}, "invalid_order", "coupon is text, not list"),
        ({"params": [1]}, "invalid_params", "params is a mapping"),
        ({"params": {"a": object()}}, "invalid_params", "cannot be written as JSON"),
        ({"params": {"a": "x" * MAX_BYTES}}, "params_too_large", "at most 32768"),
        ({"items": [MUG | {"a": "x" * MAX_BYTES}]}, "params_too_large", "at most 32768"),
    ],
)
def test_wrong_argument_is_refused(order: dict[str, t.Any], code: str, message: str) -> None:
    """The error says which, what is taken and what was given."""
    with pytest.raises(InvalidEvent, match=message) as caught:
        check(**order)
    assert caught.value.code == code


def many(number: int, **more: t.Any) -> cabc.Iterator[dict[str, t.Any]]:
    return (MUG | {"sku": str(at), **more} for at in range(number))


def test_an_order_has_a_limit_of_items() -> None:
    """Of different ones, and of bytes in all."""
    assert len(check(many(MAX_ITEMS)).charge.items) == MAX_ITEMS
    assert len(check([MUG] * (MAX_ITEMS + 5)).charge.items) == 1
    with pytest.raises(InvalidEvent, match="at most 1000 different items"):
        check(many(MAX_ITEMS + 1))
    with pytest.raises(InvalidEvent, match="more than 1,048,576 bytes"):
        check(many(100, note="x" * 20_000))
    for item in check(many(3, note="x" * 20_000)).charge.items:
        assert len(msgspec.json.encode(item.params)) <= MAX_BYTES


def test_values_that_cannot_be_stored_may_be_left_out() -> None:
    """Further ones only: the rest is the order."""
    left_out: list[InvalidEvent] = []
    checked = check([MUG | {"a": object()}], left_out, params={"b": object(), "c": 1})
    assert [error.param for error in left_out] == ["a", "b"]
    assert checked.params["c"] == 1
    assert "a" not in checked.charge.items[0].params


SAME: list[tuple[dict[str, t.Any], dict[str, t.Any]]] = [
    ({"total": "29.1"}, {"total": D("29.10")}),
    ({"total": 29}, {"total": "29.00"}),
    ({"items": [MUG, TEA]}, {"items": [TEA, MUG]}),
    ({"items": [MUG]}, {"items": [MUG | {"quantity": 1}, MUG | {"quantity": 1, "size": "L"}]}),
    ({"items": [TEA]}, {"items": [TEA | {"final_unit_price": "4.500"}]}),
    ({"coupon": "A"}, {"coupon": "B", "params": {"x": 1, "tax_minor": 5}}),
    ({}, {"tax": 0}),
]
OTHER: list[tuple[dict[str, t.Any], dict[str, t.Any]]] = [
    ({}, {"total": "29.11"}),
    ({}, {"currency": "USD"}),
    ({}, {"tax": "0.01"}),
    ({"tax": "0.01"}, {"discount": "0.01"}),
    ({"items": [MUG]}, {"items": [MUG, MUG]}),
    ({"items": [MUG]}, {"items": [MUG | {"sku": "A2"}]}),
    ({"items": [MUG]}, {"items": [MUG | {"final_unit_price": "12.31"}]}),
    ({"items": [MUG]}, {}),
]


@pytest.mark.parametrize(("first", "second"), SAME)
def test_same_order_has_one_digest(first: dict[str, t.Any], second: dict[str, t.Any]) -> None:
    """However it is written."""
    assert digest(**first) == digest(**second)
    assert len(digest()) == 32


@pytest.mark.parametrize(("first", "second"), OTHER)
def test_other_money_is_another_digest(first: dict[str, t.Any], second: dict[str, t.Any]) -> None:
    """Whatever amount, currency or item differs."""
    assert digest(**first) != digest(**second)


def cancel(**given: t.Any) -> t.Any:
    fields: dict[str, t.Any] = dict.fromkeys(("items", "amount", "cancellation_id"))
    return check_cancellation(17, salt="salt", **{**fields, **given})


def test_cancellation_of_all_that_is_left_is_one() -> None:
    """Its id is derived from the order's."""
    charge = charge_id("salt", "17")
    event_id, cancellation = cancel()
    assert event_id == derived_id(charge, "cancel")
    assert (cancellation.charge_id, cancellation.order_id) == (charge, "17")
    assert (cancellation.amount, cancellation.items) == (None, None)


def test_cancellation_of_a_part_is_one_by_its_id() -> None:
    """Without an id, each call is another one; an id of "0" is no item's."""
    charge = charge_id("salt", "17")
    event_id, cancellation = cancel(amount=D("5.0"), cancellation_id=3)
    assert (event_id, cancellation.amount) == (derived_id(charge, "cancel:3"), "5.0")
    assert cancel(amount=5)[0] is None
    [item] = check([MUG | {"sku": "cancel"}]).charge.items
    assert item.id != cancel(amount=5, cancellation_id="0")[0]


def test_cancelled_items_are_counted_by_sku() -> None:
    """They may have other fields, such as those of the order's items."""
    cancellation = cancel(items=[MUG, {"sku": "B2"}, MUG])[1]
    assert cancellation.items == {"A1": 4, "B2": 1}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"items": []}, "items is empty. To cancel the whole order"),
        ({"items": [MUG], "amount": 5}, "but not both"),
        ({"items": {"A1": 2}}, "items is a list of items"),
        ({"items": [{"quantity": 2}]}, r"items\[0\].sku is"),
        ({"amount": 0}, "cancels nothing"),
        ({"amount": 0.5}, "A float has no exact cents"),
        ({"amount": -1}, "amount is below 0"),
        ({"cancellation_id": "None"}, "cancellation_id is 'None', which is no id"),
    ],
)
def test_wrong_cancellation_is_refused(given: dict[str, t.Any], message: str) -> None:
    """Above all one that would cancel everything by mistake."""
    with pytest.raises(InvalidEvent, match=message):
        cancel(**given)
