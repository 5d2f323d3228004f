"""From the shelf to the basket, and from the basket to an order."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient

from .helpers import recorded, story, submit

ADDRESS = {"name": "Ada", "address": "1 Test Street"}


def test_the_basket_tracks_what_goes_in_and_out(client: FlaskClient) -> None:
    """A smaller quantity is a removal of the difference."""
    submit(client, "/basket/add", sku="K-03", quantity="3")
    submit(client, "/basket/update", sku="K-03", quantity="1")
    submit(client, "/basket/remove", sku="K-03")
    assert recorded("product.addToCart") == [
        {
            "sku": "K-03",
            "name": "Otto",
            "quantity": 3,
            "final_unit_price": "26.00",
            "currency": "EUR",
        }
    ]
    assert recorded("product.removeFromCart") == [
        {"sku": "K-03", "name": "Otto", "quantity": 2},
        {"sku": "K-03", "name": "Otto", "quantity": 1},
    ]


def test_a_change_of_the_quantity_says_so(client: FlaskClient) -> None:
    """The feed and the page both say to which number, up or down."""
    submit(client, "/basket/add", sku="K-03", quantity="1")
    for quantity, said in [("3", "from 1 to 3."), ("2", "from 3 to 2.")]:
        submit(client, "/basket/update", sku="K-03", quantity=quantity)
        assert f"Changed the quantity of Otto {said}" in client.get("/basket").text
    submit(client, "/basket/update", sku="K-03", quantity="0")
    assert [label for label in story() if "Otto" in label] == [
        "Added Otto to the basket",
        "Changed the quantity of Otto to 3",
        "Changed the quantity of Otto to 2",
        "Removed Otto from the basket",
    ]


@pytest.mark.parametrize(
    ("path", "quantity", "said"),
    [
        ("add", "1", "Changed the quantity of Otto from 2 to 3."),
        ("add", "30", "Changed the quantity of Otto from 2 to 20. 20 is the most"),
        ("add", "-1", "How many would you like?"),
        ("add", "lots", "How many would you like?"),
        ("update", "2", "The quantity of Otto is 2, as before."),
        ("update", "30", "Changed the quantity of Otto from 2 to 20. 20 is the most"),
        ("update", "0", "Otto went back to the shelf."),
        ("update", "-1", "How many would you like?"),
        ("update", "", "How many would you like?"),
        ("remove", "", "Otto went back to the shelf."),
    ],
)
def test_whatever_happens_to_the_basket_is_said(
    client: FlaskClient, path: str, quantity: str, said: str
) -> None:
    """What is no number changes nothing."""
    submit(client, "/basket/add", sku="K-03", quantity="2")
    assert "2 of Otto are in your basket." in client.get("/basket").text
    answer = submit(client, f"/basket/{path}", sku="K-03", quantity=quantity)
    assert said in client.get(answer.location).text


def test_an_unchanged_basket_tracks_nothing(client: FlaskClient) -> None:
    """The same quantity again, and more than fits in: 20 of each is the most."""
    submit(client, "/basket/add", sku="K-03", quantity="50")
    submit(client, "/basket/update", sku="K-03", quantity="20")
    submit(client, "/basket/add", sku="K-03", quantity="1")
    [added] = recorded("product.addToCart")
    assert added["quantity"] == 20
    assert recorded("product.removeFromCart") == []


def test_an_order_is_recorded_with_its_total(client: FlaskClient) -> None:
    """Two of Otto and one of Bruno. Neither name nor address is in the event."""
    submit(client, "/basket/add", sku="K-03", quantity="2")
    submit(client, "/basket/add", sku="K-01", quantity="1")
    answer = submit(client, "/checkout", **ADDRESS)
    assert answer.location == "/orders/1"
    assert recorded("order.place") == [{"order": 1, "items": 3, "total": 66.5, "currency": "EUR"}]


def test_an_order_is_the_last_of_its_story(client: FlaskClient) -> None:
    """What led to an order can be read in the visitor's feed."""
    client.get("/products/otto")
    submit(client, "/basket/add", sku="K-03", quantity="1")
    client.get("/checkout")
    submit(client, "/checkout", **ADDRESS)
    assert story() == [
        "Started session",
        "Visited page Otto, fruit bowl · The Wobbly Shelf",
        "Viewed Otto",
        "Added Otto to the basket",
        "Visited page Checkout · The Wobbly Shelf",
        "Placed order 1",
    ]


def test_without_an_address_there_is_no_order(client: FlaskClient) -> None:
    """The visitor gets the form again, and no order is recorded."""
    submit(client, "/basket/add", sku="K-03", quantity="1")
    submit(client, "/checkout", name="Ada", address=" ")
    assert recorded("order.place") == []
