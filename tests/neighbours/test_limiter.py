"""Flask-Limiter counts the host's own requests."""

from __future__ import annotations

from flask import Flask
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address

from ..hosts import NAVIGATION
from .conftest import MakeNeighbours, click, load_script


def limit(app: Flask) -> None:
    Limiter(
        get_remote_address,
        app=app,
        application_limits=["3 per hour"],
        storage_uri="memory://",
        headers_enabled=True,
    )


def test_what_a_page_sends_does_not_use_up_the_visitors_limit(beside: MakeNeighbours) -> None:
    """The script and the posts of a page leave all of an application's limit to its pages."""
    host = beside(limit)
    client = host.client()
    assert load_script(client).status_code == 200
    for _ in range(5):
        assert click(client).status_code == 202
    answers = [client.get("/", headers=NAVIGATION).status_code for _ in range(3)]
    assert answers == [200, 200, 429]
    assert click(client).status_code == 202
    assert host.actions()["button.click"] == 6


def test_asking_the_host_for_its_customer_counts_nothing(beside: MakeNeighbours) -> None:
    """Its hooks run for a customer_loader, but not those that count requests."""
    host = beside(limit)
    host.events.customer_loader(lambda: None)
    client = host.client()
    for _ in range(5):
        assert click(client).status_code == 202
    assert client.get("/", headers=NAVIGATION).status_code == 200
