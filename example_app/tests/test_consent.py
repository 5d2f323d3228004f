"""What a visitor refuses is not recorded, whatever they do in the shop."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient

from example_app.models import Order, db
from example_app.tracking import events
from flask_eventtrack import current_visitor

from .helpers import FROM_OWN_PAGE, log_in, pay, recorded, rows, story, submit, track_in_browser


def choose(client: FlaskClient, choice: str) -> None:
    """Do what the buttons of a consent banner do."""
    answer = client.post("/_et/consent", json={"choice": choice}, headers=FROM_OWN_PAGE)
    assert answer.status_code == 204


def go_shopping(client: FlaskClient) -> None:
    """Look at a product, log in, order it, and press the heart of a look."""
    client.get("/products/otto")
    log_in(client)
    submit(client, "/basket/add", sku="K-03", quantity="1")
    submit(client, "/checkout", name="Ada", address="1 Test Street")
    pay(client)
    track_in_browser(client, "lookbook.like", look="slow-morning")


def test_a_refusal_records_nothing_but_the_revenue(client: FlaskClient) -> None:
    """No session or profile; the shop still takes the order, which tells nothing of its buyer."""
    choose(client, "none")
    go_shopping(client)
    tables = events.tables
    assert [rows(tables.session), rows(tables.profile)] == [[], []]
    assert {row["action"] for row in rows(tables.event)} == {"transaction.charge", "product.buy"}
    [revenue] = rows(tables.transaction)
    assert revenue["amount"] == 2600
    assert {row["uuid"] for row in rows(tables.event)} == {revenue["id"]}
    assert [revenue["session_id"], revenue["visit_id"], revenue["first_source"]] == [None] * 3
    assert db.session.query(Order).count() == 1


def test_a_refusal_removes_the_cookies(client: FlaskClient) -> None:
    """Only the choice itself is kept in the browser."""
    client.get("/")
    assert client.get_cookie("eventtrack_device")
    choose(client, "none")
    assert client.get_cookie("eventtrack_device") is None
    assert client.get_cookie("eventtrack_session") is None
    choice = client.get_cookie("eventtrack_consent")
    assert choice is not None
    assert choice.value == "none"


def test_a_refusal_can_be_taken_back(client: FlaskClient) -> None:
    """From then on the visitor is recorded, as a new person."""
    choose(client, "none")
    client.get("/products/otto")
    choose(client, "full")
    client.get("/about")
    assert story() == [
        "Started session",
        "Visited page About the shop, and what it tracks · The Wobbly Shelf",
    ]


def test_a_browsers_signal_makes_visits_anonymous(client: FlaskClient) -> None:
    """Global Privacy Control: the page counts, without cookies, session or custom events."""
    client.get("/products/otto", headers={"Sec-GPC": "1"})
    assert current_visitor.policy == "anonymous"
    [event] = rows(events.tables.event)
    assert (event["action"], event["session_id"]) == ("page.visit", None)
    assert client.get_cookie("eventtrack_device") is None


@pytest.mark.app(EVENTTRACK_DEFAULT_POLICY="none")
def test_the_shop_can_ask_first(client: FlaskClient) -> None:
    """With this setting nothing is recorded until the visitor has agreed."""
    client.get("/products/otto")
    assert recorded("page.visit") == []
    choose(client, "full")
    client.get("/products/otto")
    assert len(recorded("page.visit")) == 1
