"""From the shelf to the basket, and from the basket to an order."""

from __future__ import annotations

import html
import re
import typing as t

import pytest
import sqlalchemy as sa
from flask.testing import FlaskClient

from example_app.models import Order, OrderItem, db
from example_app.tracking import events
from flask_eventtrack import Tracked

from .helpers import ask_bank, order, pay, rows, story, submit

ADDRESS = {"name": "Ada", "address": "1 Test Street"}


def amounts() -> list[int]:
    """Return what was charged and paid back, in cents, in order."""
    return [row["amount"] for row in sorted(rows(events.tables.transaction), key=_by_time)]


def _by_time(row: dict[str, t.Any]) -> t.Any:
    return row["time"]


def test_the_basket_tracks_what_goes_in_and_out(client: FlaskClient, tracked: Tracked) -> None:
    """A smaller quantity is a removal of the difference."""
    submit(client, "/basket/add", sku="K-03", quantity="3")
    submit(client, "/basket/update", sku="K-03", quantity="1")
    submit(client, "/basket/remove", sku="K-03")
    otto = {"sku": "K-03", "name": "Otto"}
    added, *removed = tracked.assert_sequence(
        "product.addToCart", "product.removeFromCart", "product.removeFromCart"
    )
    assert added.params == {
        **otto,
        "quantity": 3,
        "final_unit_price": "26.00",
        "currency": "EUR",
    }
    assert [event.params for event in removed] == [{**otto, "quantity": 2}, {**otto, "quantity": 1}]
    assert len(tracked.events) == 3


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


def test_an_unchanged_basket_tracks_nothing(client: FlaskClient, tracked: Tracked) -> None:
    """The same quantity again, and more than fits in: 20 of each is the most."""
    submit(client, "/basket/add", sku="K-03", quantity="50")
    submit(client, "/basket/update", sku="K-03", quantity="20")
    submit(client, "/basket/add", sku="K-03", quantity="1")
    tracked.assert_event("product.addToCart", quantity=20)
    assert len(tracked.events) == 1


def test_a_paid_order_is_a_transaction(client: FlaskClient, tracked: Tracked) -> None:
    """Two of Otto and one of Bruno. Neither name nor address is in the events."""
    order(client, K_03=2, K_01=1)
    tracked.assert_no_event("transaction.charge")
    assert pay(client).location == "/orders/1"
    paid = {"total": "66.50", "total_minor": 6650, "currency": "EUR", "quantity": 3}
    tracked.assert_event("transaction.charge", paid, order_id="1", times=1)
    tracked.assert_event("product.buy", sku="K-03", quantity=2, amount_minor=5200)
    tracked.assert_event("product.buy", sku="K-01", quantity=1, amount_minor=1450)
    tracked.assert_event("product.buy", times=2)


def test_an_order_is_the_last_of_its_story(client: FlaskClient) -> None:
    """What led to an order can be read in the visitor's feed; the bank is another site."""
    client.get("/products/otto")
    order(client, K_03=1)
    pay(client)
    assert [each for each in story() if not each.startswith("Visited page Order")] == [
        "Started session",
        "Visited page Otto, fruit bowl · The Wobbly Shelf",
        "Viewed Otto",
        "Added Otto to the basket",
        *(["Ordered 1 item for 26.00 EUR", "Bought Otto"]),
    ]


@pytest.mark.tracked(write=True)
def test_the_bank_may_say_it_twice(client: FlaskClient, tracked: Tracked) -> None:
    """A reload of the page that the bank leads to is no second payment."""
    order(client, K_03=1)
    answer = ask_bank(client)
    client.get(answer)
    client.get(answer)
    tracked.assert_event("transaction.charge", times=1)
    assert amounts() == [2600]


def test_an_order_that_is_not_paid_is_no_revenue(client: FlaskClient) -> None:
    """The order waits, with a link to the bank."""
    order(client, K_03=1)
    answer = pay(client, choice="refuse")
    assert "Nothing was paid." in (page := client.get(answer.location).text)
    assert 'id="pay-link"' in page
    assert rows(events.tables.transaction) == []
    submit(client, "/orders/1/cancel")
    assert rows(events.tables.transaction) == []


@pytest.mark.parametrize("answer", ["", "x", "eyJvcmRlciI6MX0.made-up"])
def test_only_the_bank_says_that_an_order_is_paid(client: FlaskClient, answer: str) -> None:
    """What it says is signed."""
    order(client, K_03=1)
    assert client.get("/paid", query_string={"answer": answer}).status_code == 400
    assert rows(events.tables.transaction) == []


def test_a_coupon_is_a_discount(client: FlaskClient, tracked: Tracked) -> None:
    """A tenth of 66.50; small letters will do."""
    order(client, coupon="wobble10", K_03=2, K_01=1)
    pay(client)
    discount = {"total_minor": 5985, "discount_minor": 665, "coupon": "WOBBLE10"}
    tracked.assert_event("transaction.charge", discount, times=1)


def test_an_unknown_coupon_is_said(client: FlaskClient) -> None:
    """Nothing is ordered, and the basket stays."""
    answer = order(client, coupon="FREE", K_03=1)
    assert "We do not know the coupon FREE." in client.get(answer.location).text
    assert client.get("/orders/1").status_code == 404


def test_what_is_sent_back_is_negative_revenue(client: FlaskClient) -> None:
    """One of Otto, then all the rest: never more than was paid."""
    order(client, coupon="SECONDS25", K_03=2, K_01=1)
    pay(client)
    [otto] = [item for item in db.session.scalars(sa.select(OrderItem)) if item.quantity == 2]
    answer = submit(client, "/orders/1/cancel", item=str(otto.id))
    assert "Otto is back." in client.get(answer.location).text
    assert amounts() == [4988, -2600]
    submit(client, "/orders/1/cancel")
    assert amounts() == [4988, -2600, -2388]
    assert (
        "There is nothing to pay back."
        in client.get(submit(client, "/orders/1/cancel").location).text
    )
    assert amounts() == [4988, -2600, -2388]
    assert db.session.get_one(Order, 1).refunded_cents == 4988


def test_the_order_tells_where_its_buyer_came_from(client: FlaskClient) -> None:
    """The session's source is in the shop's own row, and both touches in the transaction."""
    client.get("/?utm_source=newsletter&utm_medium=email&utm_campaign=spring")
    order(client, K_03=1)
    events.flush()
    pay(client)
    [row] = rows(events.tables.transaction)
    assert (row["first_source"], row["last_source"]) == ("newsletter", "newsletter")
    assert (row["last_campaign"], row["last_channel"]) == ("spring", "mail")
    placed = db.session.get_one(Order, 1)
    assert placed.eventtrack_session_id == row["session_id"]


def test_ways_back_lead_to_the_shop(client: FlaskClient) -> None:
    """Each link of the page, which is on another host, names its source."""
    left = client.get("/outside/leave")
    assert left.location == "http://127.0.0.1/outside/ways-back"
    page = client.get("/outside/ways-back", base_url="http://127.0.0.1").text
    links = [html.unescape(link) for link in re.findall(r'<a href="http://localhost([^"]+)"', page)]
    for link in links:
        client.get("/outside/half-an-hour")
        client.get(link, headers={"Referer": "http://127.0.0.1/"}, follow_redirects=True)
    sources = [row["source"] for row in rows(events.tables.session)]
    assert sorted(sources) == sorted(
        ["newsletter", "google", "google", "chatgpt.com", "instagram", "ada", "postcard", "direct"]
    )
    assert not [row for row in rows(events.tables.event) if "outside" in row["url_rule"]]


def test_without_an_address_there_is_no_order(client: FlaskClient) -> None:
    """The visitor gets the form again, and no order is recorded."""
    submit(client, "/basket/add", sku="K-03", quantity="1")
    submit(client, "/checkout", name="Ada", address=" ")
    assert client.get("/orders/1").status_code == 404


def test_the_bank_leads_back_to_no_other_shop(client: FlaskClient) -> None:
    """Whatever host the one who fetched the bill has named."""
    order(client, K_03=1)
    name = client.application.config["SESSION_COOKIE_NAME"]
    cookie = client.get_cookie(name)
    assert cookie is not None
    named = {"Host": "evil.example", "Cookie": f"{name}={cookie.value}"}
    page = client.application.test_client(use_cookies=False).get("/orders/1", headers=named)
    [bank] = re.findall(r'href="http://[^/"]+(/outside/bank/[^"]+)"', page.text)
    assert submit(client, bank, choice="pay").location.startswith("http://127.0.0.1/paid?")


def test_no_order_has_a_number_beyond_64_bits(client: FlaskClient) -> None:
    """No database can look for it."""
    assert client.get(f"/orders/{2**63}").status_code == 404
    assert submit(client, f"/orders/{2**63}/cancel").status_code == 404
