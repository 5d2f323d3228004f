"""The files that the script loads later have the content that they were built with."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page

from .conftest import Site
from .test_snippet import TRACK, settle

OTHER = "window.ran = true; export const start = () => [];"


def replace(page: Page, name: str) -> None:
    """Let a server or a cache between them answer with another file."""
    page.route(
        f"**/{name}", lambda route: route.fulfill(body=OTHER, content_type="text/javascript")
    )


def test_another_second_file_does_not_run(site: Site, page: Page) -> None:
    """Visits and events are sent as if it was blocked; what needs it says so."""
    replace(page, "more.js")
    with page.expect_response("**/more.js"):
        page.goto(f"{site.url}/other")
    answer = page.evaluate("() => eventtrack.identify('x.y.z')")
    assert answer["error"]["code"] == "not_loaded"
    assert page.evaluate(TRACK, ["note.add"])["status"] == "accepted"
    settle(page)
    assert page.evaluate("window.ran") is None
    site.await_actions(page_visit=1, session_start=1, note_add=1)


def test_another_third_file_does_not_run(site: Site, page: Page) -> None:
    """Nor is anything tracked by it."""
    replace(page, "tagged.js")
    with page.expect_response("**/tagged.js"):
        page.goto(f"{site.url}/tagged/clicks")
    page.click("#inner")
    assert page.evaluate(TRACK, ["note.keep"])["status"] == "rejected"
    settle(page)
    assert page.evaluate("window.ran") is None
    site.await_actions(page_visit=1, session_start=1)


@pytest.mark.parametrize("path", ["/tagged/clicks", "/policy/nonce"])
def test_browser_that_cannot_check_loads_the_files(site: Site, page: Page, path: str) -> None:
    """One without `modulepreload`, such as Safari 16, imports them as they come."""
    page.add_init_script("DOMTokenList.prototype.supports = () => false")
    with page.expect_response("**/tagged.js"):
        page.goto(site.url + path)
    assert page.evaluate("document.querySelector('[rel=modulepreload]')") is None
