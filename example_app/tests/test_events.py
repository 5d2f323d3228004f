"""The shop's own events, from its views and from the browser, with their parameters."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient

from example_app.tracking import events

from .helpers import log_in, recorded, rows, story, submit, track_in_browser


def test_a_product_page_is_viewed(client: FlaskClient) -> None:
    """The view tracks the product, beside the visit of its page."""
    client.get("/products/otto")
    [visit] = [row["id"] for row in rows(events.tables.event) if row["action"] == "page.visit"]
    viewed = {"sku": "K-03", "name": "Otto", "price": 26.0, "visit": str(visit)}
    assert recorded("product.view") == [viewed]
    assert story()[-1] == "Viewed Otto"


def test_a_search_counts_its_results(client: FlaskClient) -> None:
    """Agatha is a teapot. An empty search box is no search."""
    client.get("/search?q=teapot")
    client.get("/search?q=")
    [search] = recorded("search.submit")
    assert (search["query"], search["results"]) == ("teapot", 1)


def test_the_newsletter_records_the_topic_only(client: FlaskClient) -> None:
    """A second sign-up changes nothing, and the e-mail address is in no event."""
    for _ in range(2):
        submit(client, "/newsletter", email="ada@example.com", topic="green things")
    assert recorded("newsletter.signup") == [{"topic": "green things"}]
    assert "ada@example.com" not in str(rows(events.tables.event))


@pytest.mark.parametrize(
    ("action", "params", "label"),
    [
        ("banner.click", {"id": "spring"}, "Clicked the spring banner"),
        ("lookbook.like", {"look": "slow-morning"}, "Liked the look slow-morning"),
    ],
)
def test_any_visitors_browser_may_send(
    client: FlaskClient, action: str, params: dict[str, str], label: str
) -> None:
    """Events of ``anonymous=True`` definitions."""
    client.get("/")
    assert track_in_browser(client, action, **params).status_code == 202
    assert recorded(action) == [params]
    assert story()[-1] == label


def test_a_wish_needs_a_customer(client: FlaskClient) -> None:
    """The same event is refused before the log-in, and taken after it."""
    wish = {"sku": "K-03", "name": "Otto"}
    refused = track_in_browser(client, "product.wish", **wish)
    assert refused.get_json()["results"][0]["error"]["code"] == "customer_required"
    log_in(client)
    assert track_in_browser(client, "product.wish", **wish).status_code == 202
    assert recorded("product.wish") == [wish]


def test_a_browser_cannot_place_an_order(client: FlaskClient) -> None:
    """Only the view that takes an order may record it."""
    log_in(client)
    refused = track_in_browser(client, "order.place", order=1, items=1, total=0.01)
    assert refused.get_json()["results"][0]["error"]["code"] == "server_only"
    assert recorded("order.place") == []


def test_a_browsers_mistake_is_answered(client: FlaskClient) -> None:
    """A missing parameter is named, and nothing is stored."""
    refused = track_in_browser(client, "banner.click")
    assert refused.status_code == 422
    assert refused.get_json()["results"][0]["error"]["param"] == "id"
    assert rows(events.tables.event) == []
