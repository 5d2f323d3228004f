"""Accounts: what visitors did before they logged in belongs to their account afterwards."""

from __future__ import annotations

import datetime as dt
import uuid

from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from example_app.tracking import events
from flask_eventtrack import current_visitor

from .helpers import HOME_VISITED, log_in, pay, recorded, rows, story, submit


def sign_up(client: FlaskClient) -> TestResponse:
    """Open an account. The first one of a test is customer number 2."""
    return submit(client, "/signup", name="Ada", email="ada@example.com", password="wobble")


def test_history_moves_to_the_customer_at_sign_up(client: FlaskClient) -> None:
    """The visit before is in the feed of the new customer, whose log-in follows the sign-up."""
    client.get("/")
    sign_up(client)
    assert story("2") == ["Started session", HOME_VISITED, "Opened an account", "Logged in"]


def test_who_signs_up_is_logged_in(client: FlaskClient) -> None:
    """The page says so, and neither form is shown again."""
    assert "You are logged in." in client.get(sign_up(client).location).text
    assert [client.get(path).location for path in ("/signup", "/login")] == ["/", "/"]


def test_a_sign_up_is_the_new_customers(client: FlaskClient) -> None:
    """Also on a device that still has another customer's cookie."""
    log_in(client)
    client.delete_cookie(client.application.config["SESSION_COOKIE_NAME"])
    client.delete_cookie("eventtrack_session")
    sign_up(client)
    assert "Opened an account" not in story("1")
    assert [label for label in story("2") if label != "Started session"] == [
        "Opened an account",
        "Logged in",
    ]


def test_the_shop_notes_traits_of_customers_only(client: FlaskClient) -> None:
    """Since when they are customers, their orders and the topic of their newsletter."""
    newsletter = {"email": "ada@example.com", "topic": "green things"}
    submit(client, "/newsletter", **newsletter | {"email": "bob@example.com"})
    assert rows(events.tables.profile) == []
    sign_up(client)
    submit(client, "/newsletter", **newsletter)
    submit(client, "/basket/add", sku="K-03", quantity="1")
    submit(client, "/checkout", name="Ada", address="1 Test Street")
    pay(client)
    [profile] = rows(events.tables.profile)
    since = profile["traits"].pop("customer_since")
    assert dt.date.fromisoformat(since) == profile["first_seen_at"].date()
    assert profile["traits"] == {"newsletter": "green things", "orders": 1}
    assert len(recorded("customer.login")) == 1


def test_history_moves_to_the_customer_at_log_in(client: FlaskClient) -> None:
    """The events keep the anonymous profile; one alias row links it to the customer."""
    client.get("/")
    anonymous = current_visitor.uuid
    log_in(client)
    assert story("1") == ["Started session", HOME_VISITED, "Logged in"]
    [alias] = rows(events.tables.alias)
    assert (alias["anonymous_uuid"], alias["customer_uuid"]) == (anonymous, current_visitor.uuid)


def test_a_wrong_password_identifies_no_one(client: FlaskClient) -> None:
    """The page says so, and the visitor stays anonymous."""
    answer = submit(client, "/login", email="demo@example.com", password="guess")
    assert answer.status_code == 422
    assert current_visitor.customer_id is None
    assert rows(events.tables.profile) == []


def test_log_out_ends_the_session(client: FlaskClient) -> None:
    """The next person at this browser has a story of their own."""
    log_in(client)
    submit(client, "/logout")
    client.get("/")
    # The end of a session has the time of its last event: which of both comes first is open.
    assert sorted(story("1")) == ["Logged in", "Logged out", "Session end", "Started session"]
    assert story() == ["Started session", HOME_VISITED]


def test_a_customer_is_the_same_person_on_each_device(app: Flask, client: FlaskClient) -> None:
    """A client is a device. A third one, on which no one logs in, has a story of its own."""
    phone, stranger = app.test_client(), app.test_client()
    log_in(client)
    log_in(phone)
    stranger.get("/about")
    assert story("1") == ["Started session", "Logged in"] * 2
    assert len(rows(events.tables.session)) == 3


def test_customers_keep_their_uuid(client: FlaskClient) -> None:
    """It is derived from the shop's salt. With another salt, every customer is another person."""
    log_in(client)
    [profile] = rows(events.tables.profile)
    assert profile["customer_id"] == "1"
    assert profile["uuid"] == uuid.UUID("a6cce8b0-216b-5c9c-a677-d5658b75076b")
