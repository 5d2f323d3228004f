"""The examples of the how-to guides do what the guides say of them."""

from __future__ import annotations

import re
import typing as t

from playwright.sync_api import Page

from .conftest import Site
from .test_declarative import IMPORT, await_count

Params = dict[str, t.Any]


def open_example(site: Site, page: Page, name: str) -> None:
    with page.expect_response("**/more.js"):
        page.goto(f"{site.url}/howto/{name}")
    page.evaluate(IMPORT, "./more.js")
    page.evaluate(IMPORT, "./tagged.js")


def the_only(site: Site, action: str) -> Params:
    """Return the parameters of the one event of an action, without those of every event."""
    [params] = await_count(site, action, 1)
    return {k: v for k, v in params.items() if k not in {"url", "title", "visit"}}


def test_track_clicks(site: Site, page: Page) -> None:
    """A button with parameters, by its inner element, and a link."""
    open_example(site, page, "track-clicks")
    page.click("b")
    page.click("a")
    assert the_only(site, "button.click") == {"text": "Sign up", "plan": "pro", "seats": 3}
    link = the_only(site, "link.click")
    assert link == {"href": f"{site.url}/howto/track-clicks#prices", "text": "Prices"}


def test_track_a_form(site: Site, page: Page) -> None:
    """The tagged fields and no other."""
    open_example(site, page, "track-a-form")
    page.click("button")
    assert the_only(site, "form.submit") == {"form": "newsletter", "topic": "tea", "per_month": 2}


def test_track_a_banner(site: Site, page: Page) -> None:
    """Seen, rested on, clicked."""
    open_example(site, page, "track-a-banner")
    assert the_only(site, "element.view") == {"id": "spring"}
    page.hover("#spring")
    # The pointer rests: by the page's own clock, which the script reads.
    page.evaluate("() => new Promise((resolve) => setTimeout(resolve, 300))")
    page.click("#spring")
    hover = the_only(site, "element.hover")
    assert hover["id"] == "spring"
    assert hover["dwell_ms"] >= 200
    assert the_only(site, "link.click")["text"] == "Spring has reached the green shelf"


def test_single_page_apps(site: Site, page: Page) -> None:
    """The next page is a visit with a title of its own, and the page before as its referrer."""
    open_example(site, page, "single-page-apps")
    page.click("#next")
    first, second = await_count(site, "page.visit", 2)
    assert second["url"] == f"{site.url}/look/2"
    assert (second["title"], second["content_type"]) == ("Look 2", "look")
    assert second["referrer"] == first["url"]
    assert re.search(r"/howto/single-page-apps$", first["url"])


def test_track_a_shop(site: Site, page: Page) -> None:
    """Each example of products and baskets, as the guide has it."""
    mug = {"sku": "A1", "name": "Mug", "final_unit_price": "12.30", "currency": "EUR"}
    open_example(site, page, "track-a-shop")
    assert the_only(site, "product.view") == {**mug, "category": "Kitchen", "source": "shelf"}
    page.click("button")
    assert the_only(site, "product.addToCart") == {**mug, "quantity": 2}
    open_example(site, page, "track-a-shop/2")
    page.click("button")
    removed = the_only(site, "product.removeFromCart")
    assert removed == {"sku": "A1", "name": "Mug", "quantity": 1}


def test_track_a_basket(site: Site, page: Page) -> None:
    """What is in it, when it is seen; and that it is empty."""
    open_example(site, page, "track-a-shop/3")
    basket = {
        "products": [{"sku": "A1", "quantity": 2, "final_unit_price": "12.30"}],
        "total_amount": "24.60",
        "total_quantity": 2,
        "currency": "EUR",
    }
    assert the_only(site, "cart.status") == basket
    open_example(site, page, "track-a-shop/4")
    page.click("#empty")
    _, empty = await_count(site, "cart.status", 2)
    told = {name: empty[name] for name in ("products", "total_amount", "total_quantity")}
    assert told == {"products": [], "total_amount": "0", "total_quantity": 0}


def test_track_a_search(site: Site, page: Page) -> None:
    """With what was searched for, though the form leaves the page."""
    open_example(site, page, "track-a-shop/5")
    page.fill("input", "12 mugs")
    page.click("button")
    assert the_only(site, "search.query") == {"query": "12 mugs", "category": "Kitchen"}
    labels = [row["label"] for row in site.rows("event") if row["action"] == "search.query"]
    assert labels == ["Searched for 12 mugs"]
