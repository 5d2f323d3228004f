"""Pages of the shop are visits, recorded without a line of code in their views."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient

from example_app.tracking import events
from flask_eventtrack import Tracked

from .helpers import rows, story, submit


def test_an_opened_page_is_a_visit(client: FlaskClient) -> None:
    """The first page opens a session; the feed names the page by its title."""
    client.get("/about")
    assert story() == [
        "Started session",
        "Visited page About the shop, and what it tracks · The Wobbly Shelf",
    ]


def test_a_visit_says_where_the_visitor_came_from(client: FlaskClient, tracked: Tracked) -> None:
    """The campaign, the referrer and the rule of the URL, by which reports group products."""
    client.get(
        "/products/otto?utm_source=letter&utm_campaign=spring",
        headers={"Referer": "https://news.example/bowls"},
    )
    visit = tracked.assert_event("page.visit", times=1)
    assert visit.params.pop("duration_ms") > 0
    assert visit.params == {
        "url": "http://localhost/products/otto?utm_source=letter&utm_campaign=spring",
        "path": "/products/otto",
        "endpoint": "catalogue.product",
        "url_rule": "/products/<slug>",
        "referrer": "https://news.example/bowls",
        "title": "Otto, fruit bowl · The Wobbly Shelf",
        "status": 200,
        "utm_source": "letter",
        "utm_campaign": "spring",
    }


def test_pages_of_one_client_are_one_session(client: FlaskClient) -> None:
    """The session knows its first and its last page, and the campaign."""
    for path in ("/?utm_source=letter", "/lookbook", "/about"):
        client.get(path)
    [session] = rows(events.tables.session)
    assert (session["pages"], session["events"]) == (3, 3)
    assert (session["entry"], session["exit"]) == ("/", "/about")
    assert (session["utm_source"], session["ended_at"]) == ("letter", None)


@pytest.mark.parametrize("path", ["/products/nessie", "/static/shop.css", "/checkout"])
def test_what_is_not_a_page_is_no_visit(client: FlaskClient, tracked: Tracked, path: str) -> None:
    """A missing page, a file, and a redirect: an empty basket cannot be checked out."""
    client.get(path).close()
    tracked.assert_no_event()


def test_a_refused_form_is_no_visit(client: FlaskClient, tracked: Tracked) -> None:
    """A form without its token gets an error page, and nothing is recorded."""
    assert client.post("/newsletter", data={"email": "ada@example.com"}).status_code == 400
    submit(client, "/newsletter", email="not an address", topic="everything")
    tracked.assert_no_event()


@pytest.mark.tracked(filter_bots=True)
def test_a_bot_is_not_recorded(client: FlaskClient, tracked: Tracked) -> None:
    """A search engine that reads the shelf is not a visitor."""
    client.get("/products/otto", headers={"User-Agent": "Googlebot/2.1"})
    tracked.assert_no_event()
