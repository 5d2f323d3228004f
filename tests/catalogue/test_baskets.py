"""Products, baskets and searches: built in, and the host's where the host defines them."""

from __future__ import annotations

import dataclasses
import decimal
import typing as t

import pytest

from flask_eventtrack.errors import InvalidEvent

from ..collector.posts import error_of, post, post_one, statuses
from ..conftest import MakeHost
from ..hosts import Host
from .events import send

MUG = {
    "sku": "A1",
    "name": "Mug",
    "final_unit_price": "12.30",
    "regular_unit_price": "15.00",
    "discounted_unit_price": "12.30",
    "currency": "EUR",
    "category": "Kitchen",
    "categories": ["Kitchen", "Tea"],
    "url": "https://shop.example/mug",
    "producer": "Otto",
    "offline": False,
}
VIEW = MUG | {"from_recommendation": True, "source": "shelf", "campaign": "spring"}
BASKET = {
    "products": [{"sku": "A1", "quantity": 2, "final_unit_price": "12.30", "colour": "red"}],
    "total_amount": "24.60",
    "total_quantity": 2,
    "currency": "EUR",
}
EVENTS: list[tuple[str, dict[str, t.Any], str]] = [
    ("product.view", VIEW, "Viewed Mug"),
    ("product.addToCart", MUG | {"quantity": 2}, "Added Mug to the basket"),
    ("product.removeFromCart", MUG | {"quantity": 1}, "Removed Mug from the basket"),
    ("cart.status", BASKET, "Items in the basket: 2"),
    (
        "cart.status",
        {"products": [], "total_amount": "0", "total_quantity": 0},
        "Items in the basket: 0",
    ),
    ("search.query", {"query": "mug", "results": 3, "category": "Tea"}, "Searched for mug"),
]


@pytest.mark.parametrize(("action", "params", "label"), EVENTS)
def test_anybody_may_send_it(host: Host, action: str, params: dict[str, t.Any], label: str) -> None:
    """From a browser without a log-in, and from server code: the same event."""
    assert statuses(post(host.client(), {"action": action, "params": params})) == ["accepted"]
    send(host, action, params)
    for row in host.events_of(action):
        assert (row["params"], row["label"], row["undefined"]) == (params, label, None)


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        ("12.30", "12.30"),
        (decimal.Decimal("12.30"), "12.3"),
        (decimal.Decimal("0.12345678901234567890"), "0.12345678901234567890"),
        (12, "12"),
        (12.3, "12.3"),
        (0, "0"),
    ],
    ids=repr,
)
def test_price_is_stored_as_text(host: Host, given: t.Any, stored: str) -> None:
    """No float is made of it, whatever it was; also within the products of a basket."""
    view = send(host, "product.view", {"sku": "A1", "final_unit_price": given})
    assert view["params"]["final_unit_price"] == stored
    product = {"sku": "A1", "final_unit_price": given}
    basket = {"products": [product], "total_amount": given, "total_quantity": 1}
    [params] = [send(host, "cart.status", basket)["params"]]
    assert (params["total_amount"], params["products"][0]["final_unit_price"]) == (stored, stored)


@pytest.mark.parametrize("price", ["12,30", "-1", -1, "NaN", 1e300, "1" * 40, True, []])
def test_price_that_is_none_is_refused(host: Host, price: t.Any) -> None:
    """The error names the parameter."""
    params = {"sku": "A1", "regular_unit_price": price}
    error = error_of(post_one(host.client(), {"action": "product.view", "params": params}))
    assert "regular_unit_price" in error["message"]
    basket = {"products": [params], "total_amount": "0", "total_quantity": 1}
    error = error_of(post_one(host.client(), {"action": "cart.status", "params": basket}))
    assert "regular_unit_price" in error["message"]
    assert host.rows("event") == []


def test_numbers_that_browsers_send_are_taken(host: Host) -> None:
    """A page's attributes have text, or numbers by their looks; a list is JSON."""
    params = {
        "sku": 7,
        "quantity": "2",
        "final_unit_price": 24.5,
        "from_recommendation": "true",
        "categories": "Tea",
    }
    basket = {
        "products": '[{"sku": "A1", "final_unit_price": 12.3}]',
        "total_amount": 12.3,
        "total_quantity": "1",
    }
    sent = [{"action": "product.addToCart", "params": params}]
    sent += [{"action": "cart.status", "params": basket}]
    assert statuses(post(host.client(), *sent)) == ["accepted"] * 2
    [added] = host.events_of("product.addToCart")
    read = {"sku": "7", "quantity": 2, "final_unit_price": "24.5", "categories": "Tea"}
    assert {name: added["params"][name] for name in read} == read
    [status] = host.events_of("cart.status")
    assert status["params"] == {
        "products": [{"sku": "A1", "final_unit_price": "12.3"}],
        "total_amount": "12.3",
        "total_quantity": 1,
    }


@pytest.mark.parametrize("text", ["[", "[1", "[" * 20_000, "[1]", "{}", "nothing"])
def test_products_that_are_no_list_of_objects_are_refused(host: Host, text: str) -> None:
    """Text that looks like a list is no way around the checks."""
    params = {"products": text, "total_amount": 0, "total_quantity": 0}
    error = error_of(post_one(host.client(), {"action": "cart.status", "params": params}))
    assert (error["code"], error["param"]) == ("invalid_param", "products")


@pytest.mark.parametrize("action", ["product.addToCart", "product.removeFromCart"])
@pytest.mark.parametrize("price", [26.5, decimal.Decimal("26.5")])
def test_price_of_release_0_1_is_taken_as_before(host: Host, action: str, price: t.Any) -> None:
    """A number stays one, and is a parameter of the definition."""
    row = send(host, action, {"sku": "A1", "name": "Mug", "quantity": 2, "price": price})
    stored = {"sku": "A1", "name": "Mug", "quantity": 2, "price": 26.5}
    assert (row["params"], row["undefined"]) == (stored, None)


# The host's own


@dataclasses.dataclass
class Own:
    id: int
    price: float


@pytest.mark.parametrize(
    "action",
    [
        "product.view",
        "product.addToCart",
        "product.removeFromCart",
        "product.buy",
        "cart.status",
        "search.query",
    ],
)
def test_definition_of_the_hosts_wins(host: Host, action: str) -> None:
    """Its class, its label, who may send it: all as if nothing were built in."""
    host.events.define(action, label="Own {id}")(Own)
    row = send(host, action, {"id": 7, "price": 1.5})
    assert (row["params"], row["label"]) == ({"id": 7, "price": 1.5}, "Own 7")
    assert send(host, Own(7, 1.5))["action"] == action
    with pytest.raises(InvalidEvent, match="'id': it is required"):
        send(host, action, {"sku": "A1"})
    error = error_of(post_one(host.client(), {"action": action, "params": {"id": 7, "price": 1}}))
    assert error["code"] == ("server_only" if action == "product.buy" else "customer_required")


def test_list_of_a_hosts_own_event_is_read_from_an_attribute(make: MakeHost) -> None:
    """Where text is taken, it stays text."""
    host = make()
    either = dataclasses.make_dataclass("Tagged", [("tags", list[int]), ("more", str | list[str])])
    host.events.define("note.tag", anonymous=True)(either)
    params = {"tags": '["1", 2]', "more": "[1]"}
    assert statuses(post(host.client(), {"action": "note.tag", "params": params})) == ["accepted"]
    [row] = host.events_of("note.tag")
    assert row["params"] == {"tags": [1, 2], "more": "[1]"}
