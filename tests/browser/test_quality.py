"""The catalogue and the quality page in Chromium, on the history of a shop with faults."""

from __future__ import annotations

import collections.abc as cabc
import pathlib

import pytest
from playwright.sync_api import Browser, Page, expect

from .conftest import Site, run
from .test_dashboard import watch


@pytest.fixture
def shop(
    tmp_path: pathlib.Path, chromium: Browser, monkeypatch: pytest.MonkeyPatch
) -> cabc.Iterator[Site]:
    monkeypatch.setenv("SEEDED", "demo")
    yield from run("tests.browser.reported", tmp_path)


def test_what_is_wrong_is_found_and_mended(shop: Site, page: Page) -> None:
    """From the line in the head to the refused records, which are tried again and given up.

    Five more were refused in the made-up history.
    """
    found = watch(page, shop)
    page.goto(f"{shop.url}/_et/")
    page.get_by_role("link", name="See why").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("8 refused and 1 lost")
    page.get_by_role("link", name="Refused 8").click()
    expect(page.locator("figure.chart figcaption")).to_contain_text("Refused, 23 October")
    records = page.locator(".refused li")
    expect(records).to_have_count(2)
    records.first.get_by_role("button", name="Try again").click()
    expect(records).to_have_count(1)
    records.first.get_by_role("button", name="Give up").click()
    expect(page.get_by_text("No refused records.")).to_be_visible()
    expect(page.get_by_role("row", name="given up Lost order.ship")).to_be_visible()
    page.goto(f"{shop.url}/_et/audit")
    expect(page.get_by_role("row", name="gave up the refused record")).to_be_visible()
    expect(page.get_by_role("link", name="See why")).to_have_count(0)
    assert found == []


def test_a_wrong_event_is_found_in_the_catalogue(shop: Site, chromium: Browser) -> None:
    """Without a script: from the red number to the parameter, and from a new event to its draft."""
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    found = watch(page, shop)
    page.goto(f"{shop.url}/_et/catalogue")
    page.get_by_text("Built in (").click()
    expect(page.get_by_role("row", name="product.view").locator(".wrong")).to_have_text(["2", "3"])
    page.get_by_role("link", name="product.view").click()
    expect(page.get_by_role("row", name="sku text yes").locator(".wrong")).to_have_text("3")
    page.get_by_role("link", name="← Catalogue").click()
    page.get_by_role("link", name="wishlist.add").click()
    expect(page.locator("pre.source")).to_contain_text("class WishlistAdd:\n    sku: str\n")
    page.get_by_text("As a table").click()
    expect(page.get_by_role("row", name="Sat 21 November 2026")).to_contain_text("3 events")
    assert found == []
    context.close()
