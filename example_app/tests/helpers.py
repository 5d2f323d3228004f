"""What the tests do as a visitor, and how they read what was recorded."""

from __future__ import annotations

import re
import typing as t
import uuid

import sqlalchemy as sa
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from example_app.models import db
from example_app.tracking import events
from flask_eventtrack import current_visitor

#: What browsers say with a request that a script on the shop's own page makes.
FROM_OWN_PAGE = {"Sec-Fetch-Site": "same-origin"}
HOME_VISITED = "Visited page Useful things with a bit of a wobble · The Wobbly Shelf"


def submit(client: FlaskClient, path: str, **fields: str) -> TestResponse:
    """Send one of the shop's forms, with the token that its pages put into each."""
    with client.session_transaction() as session:
        token = session.setdefault("form_token", "a token for tests only")
    return client.post(path, data={"form_token": token, **fields})


def log_in(client: FlaskClient) -> TestResponse:
    """Log in as the demo customer, who is number 1."""
    return submit(client, "/login", email="demo@example.com", password="demo")


def order(client: FlaskClient, coupon: str = "", **quantities: int) -> TestResponse:
    """Put products into the basket, by SKU as in ``K_03=2``, and order them."""
    for sku, quantity in quantities.items():
        submit(client, "/basket/add", sku=sku.replace("_", "-"), quantity=str(quantity))
    return submit(client, "/checkout", name="Ada", address="1 Test Street", coupon=coupon)


def pay(client: FlaskClient, number: int = 1, choice: str = "pay") -> TestResponse:
    """Answer the bank's page for an order, and come back to the shop."""
    return client.get(ask_bank(client, number, choice))


def ask_bank(client: FlaskClient, number: int = 1, choice: str = "pay") -> str:
    """Answer the bank's page for an order; return the path to which it leads back.

    The client has its cookies at one host only, so it asks the bank there. To that page, the shop
    is at the other one.
    """
    [bank] = re.findall(
        r'href="http://127.0.0.1(/outside/bank/[^"]+)"', client.get(f"/orders/{number}").text
    )
    return submit(client, bank, choice=choice).location.removeprefix("http://127.0.0.1")


def track_in_browser(client: FlaskClient, action: str, **params: t.Any) -> TestResponse:
    """Send an event as Flask-EventTrack's script does."""
    return client.post("/_et/in", json={"action": action, "params": params}, headers=FROM_OWN_PAGE)


def story(who: str | uuid.UUID | None = None) -> list[str]:
    """Return the labels of a person's events, oldest first.

    :param who: a customer's id; without it, the visitor of the client's last request.
    """
    events.flush()
    feed = current_visitor.feed() if who is None else events.feed(who)
    return [event.label or event.action for event in reversed(feed)]


def recorded(action: str) -> list[dict[str, t.Any]]:
    """Return the parameters of all events of an action, oldest first."""
    events.flush()
    table = events.tables.event
    query = sa.select(table.c.params).where(table.c.action == action).order_by(table.c.time)
    return list(db.session.scalars(query))


def rows(table: sa.Table) -> list[dict[str, t.Any]]:
    """Return all rows of one of ``events.tables``."""
    events.flush()
    return [dict(row) for row in db.session.execute(sa.select(table)).mappings()]
