"""A feed has a sentence for each event."""

from __future__ import annotations

import pytest

from flask_eventtrack import track
from flask_eventtrack.text import action_label

from ..hosts import Host


@pytest.mark.parametrize(
    ("action", "label"),
    [
        ("order.ship", "Order: ship"),
        ("product.addToCart", "Product: add to cart"),
        ("news-letter.sign_up", "News letter: sign up"),
        ("shop.order.ship", "Shop order: ship"),
        ("a.b.", "A: b"),
        ("a..", "A"),
    ],
)
def test_label_of_an_action(action: str, label: str) -> None:
    """The thing, then what happened to it."""
    assert action_label(action) == label


@pytest.mark.parametrize(
    ("template", "label"),
    [
        (None, "Order: ship"),
        ("{note}", "Order: ship"),
        ("Shipped {order}", "Shipped 17"),
        ("Shipped {order:.2f} {note:.2f}", "Shipped 17.00 "),
    ],
)
def test_every_event_of_a_feed_has_a_label(host: Host, template: str | None, label: str) -> None:
    """Also without a template, or where the template is blank; the row is stored as it is."""
    host.events.define("order.ship", label=template)
    with host.app.app_context():
        track("order.ship", {"order": 17}, customer=1)
        host.events.flush()
        [event] = host.events.feed(1)
    assert event.label == label
    listed = host.app.test_cli_runner().invoke(args=["eventtrack", "tail"]).output
    assert label.strip() in listed
