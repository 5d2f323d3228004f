"""Pages that HTMX or Turbo Drive changes without loading them."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page

from .conftest import Site
from .libraries import LIBRARIES, require_library
from .test_declarative import FLUSH, IMPORT


@pytest.fixture(params=LIBRARIES)
def library(request: pytest.FixtureRequest) -> str:
    require_library(request.param)
    return str(request.param)


def start(site: Site, page: Page, library: str, query: str = "") -> None:
    with page.expect_response("**/more.js"):
        page.goto(f"{site.url}/with/{library}/one?{query}")
    page.evaluate(IMPORT, "./more.js")
    page.evaluate(IMPORT, "./tagged.js")
    site.await_claims(1)


def follow(page: Page, name: str) -> None:
    page.click(f"#{name}")
    await_page(page, name)


def go_back(page: Page, name: str) -> None:
    page.evaluate("() => { history.back() }")
    await_page(page, name)


def await_page(page: Page, name: str) -> None:
    """Wait until the library shows a page."""
    page.wait_for_selector(f"[data-eventtrack-on={name}]")
    page.wait_for_function("name => document.title === name", arg=name)


@pytest.mark.parametrize("query", ["", "body"], ids=["head", "body"])
def test_each_soft_navigation_is_a_visit(site: Site, page: Page, library: str, query: str) -> None:
    """There and back, with its own URL and title, and with the referrer that a loaded page would
    have had; wherever the tag is, which each answer brings again. No page was loaded."""
    start(site, page, library, query)
    page.evaluate("window.isSame = true")
    follow(page, "two")
    follow(page, "three")
    go_back(page, "two")
    follow(page, "one")
    page.click("button")
    page.evaluate(FLUSH)
    assert page.evaluate("window.isSame")
    rows = site.await_actions(page_visit=5, session_start=1, note_add=1)
    visits = [row for row in rows if row["action"] == "page.visit"]
    names = ["one", "two", "three", "two", "one"]
    assert [row["params"]["title"] for row in visits] == names
    assert [row["params"]["path"] for row in visits] == [f"/with/{library}/{n}" for n in names]
    assert [row["source"] for row in visits] == ["server"] + ["browser"] * 4
    urls = [row["params"]["url"] for row in visits]
    assert [row["params"].get("referrer") for row in visits] == [None, *urls[:-1]]
    [note] = [row["params"] for row in rows if row["action"] == "note.add"]
    assert (note["on"], note["visit"]) == ("one", str(visits[-1]["id"]))


def test_title_of_a_slow_answer_is_the_visits(site: Site, page: Page, library: str) -> None:
    """The server takes half a second, also for a page that is gone back to."""
    start(site, page, library, "wait=0.5")
    follow(page, "two")
    follow(page, "three")
    if library == "turbo":
        page.evaluate("Turbo.cache.clear()")
    go_back(page, "two")
    page.evaluate(FLUSH)
    rows = site.await_actions(page_visit=4, session_start=1)
    titles = [row["params"]["title"] for row in rows if row["action"] == "page.visit"]
    assert titles == ["one", "two", "three", "two"]
