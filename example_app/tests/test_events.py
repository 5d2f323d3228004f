"""The shop's own events, from its views and from the browser, with their parameters."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient

from flask_eventtrack import Tracked

from .helpers import log_in, submit, track_in_browser


def test_a_product_page_is_viewed(client: FlaskClient, tracked: Tracked) -> None:
    """The view tracks the product, beside the visit of its page."""
    client.get("/products/otto")
    visit = tracked.assert_event("page.visit", times=1)
    viewed = tracked.assert_event("product.view", times=1)
    assert viewed.label == "Viewed Otto"
    assert viewed.params == {
        "sku": "K-03",
        "name": "Otto",
        "final_unit_price": "26.00",
        "currency": "EUR",
        "visit": str(visit.id),
    }


def test_a_search_counts_its_results(client: FlaskClient, tracked: Tracked) -> None:
    """Agatha is a teapot. An empty search box is no search."""
    client.get("/search?q=teapot")
    client.get("/search?q=")
    search = tracked.assert_event("search.query", times=1)
    assert (search.params["query"], search.params["results"]) == ("teapot", 1)


@pytest.mark.tracked(forbid_personal_data=True)
def test_the_newsletter_records_the_topic_only(client: FlaskClient, tracked: Tracked) -> None:
    """A second sign-up changes nothing, and the e-mail address is in no event."""
    for _ in range(2):
        submit(client, "/newsletter", email="ada@example.com", topic="green things")
    signup = tracked.assert_event("newsletter.signup", times=1)
    assert signup.params == {"topic": "green things"}


@pytest.mark.parametrize(
    ("action", "params", "label"),
    [
        ("element.hover", {"id": "spring", "dwell_ms": 900}, "Hovered over spring"),
        ("lookbook.like", {"look": "slow-morning"}, "Liked the look slow-morning"),
    ],
)
def test_any_visitors_browser_may_send(
    client: FlaskClient, tracked: Tracked, action: str, params: dict[str, str], label: str
) -> None:
    """Built-in events, and those of ``anonymous=True`` definitions."""
    client.get("/")
    assert track_in_browser(client, action, **params).status_code == 202
    assert tracked.assert_event(action, params, times=1).label == label


def test_a_wish_needs_a_customer(client: FlaskClient, tracked: Tracked) -> None:
    """The same event is refused before the log-in, and taken after it."""
    wish = {"sku": "K-03", "name": "Otto"}
    track_in_browser(client, "product.wish", **wish)
    tracked.assert_rejected("product.wish", "customer_required")
    log_in(client)
    assert track_in_browser(client, "product.wish", **wish).status_code == 202
    tracked.assert_event("product.wish", wish, times=1, visitor="1")


def test_a_browser_cannot_place_an_order(client: FlaskClient, tracked: Tracked) -> None:
    """Only the view that learns of a payment may record it."""
    log_in(client)
    codes = {"transaction.charge": "reserved_event", "transaction.cancel": "reserved_event"}
    for action, code in {**codes, "product.buy": "server_only"}.items():
        track_in_browser(client, action, order_id="1", sku="K-03", total="0.01")
        tracked.assert_rejected(action, code)
        tracked.assert_no_event(action)


def test_a_browsers_mistake_is_answered(client: FlaskClient, tracked: Tracked) -> None:
    """A missing parameter is named, and nothing is recorded."""
    refused = track_in_browser(client, "lookbook.like")
    assert refused.status_code == 422
    assert refused.get_json()["results"][0]["error"]["param"] == "look"
    tracked.assert_rejected("lookbook.like", "invalid_param")
    tracked.assert_no_event()
