"""A visit has the last title of its page, however late a script sets it."""

from __future__ import annotations

import time

import pytest
from playwright.sync_api import Page

from .conftest import TIMEOUT, Site
from .test_delivery import settle

GO = """async ([path, title, delay]) => {
    history.pushState({}, "", path);
    await new Promise(done => setTimeout(done, delay));
    document.title = title;
}"""


def start(site: Site, page: Page, path: str = "/app") -> None:
    """Open a page, and wait until its visit has been sent with the title of then."""
    with page.expect_response("**/more.js"):
        page.goto(site.url + path)
    site.await_claims(1)


def await_titles(site: Site, *expected: str) -> list[str]:
    """Return the labels of the visits once their titles are these, in order."""
    deadline = time.monotonic() + TIMEOUT
    found: list[str] = []
    while found != list(expected) and time.monotonic() < deadline:
        time.sleep(0.05)
        rows = [row for row in site.rows("event", "time", "id") if row["action"] == "page.visit"]
        found = [row["params"].get("title") for row in rows]
    assert found == list(expected), site.log()
    return [row["label"] for row in rows]


@pytest.mark.parametrize("delay", [30, 900])
def test_title_that_is_set_after_the_content_is_the_visits(
    site: Site, page: Page, delay: int
) -> None:
    """Even if the visit has been sent by then."""
    page.add_init_script(
        "addEventListener('DOMContentLoaded', () =>"
        f" setTimeout(() => {{ document.title = 'Late' }}, {delay}))"
    )
    start(site, page, "/other")
    page.wait_for_function("document.title === 'Late'")
    page.goto("about:blank")
    assert await_titles(site, "Late") == ["Visited page Late"]


def test_last_of_several_titles_wins(site: Site, page: Page) -> None:
    """The page was hidden once, and went on."""
    start(site, page, "/other")
    for title in ("Second", "Third"):
        page.evaluate("title => { document.title = title }", title)
        page.evaluate("() => dispatchEvent(new Event('visibilitychange'))")
        settle(page)
    await_titles(site, "Third")
    [session] = site.rows("session")
    assert (session["pages"], session["events"]) == (1, 1)


def test_late_titles_of_soft_pages_are_their_own(site: Site, page: Page) -> None:
    """Each is told with the page that it belongs to, before another opens and at the end."""
    start(site, page)
    page.evaluate(GO, ["/app/one", "One", 1500])
    page.evaluate(GO, ["/app/two", "Two", 1500])
    page.goto("about:blank")
    assert await_titles(site, "App", "One", "Two")[1] == "Visited page One"


def test_title_of_the_next_page_is_not_this_ones(site: Site, page: Page) -> None:
    """An app may set the title just before it opens the page that it belongs to."""
    start(site, page, "/other")
    page.evaluate(
        """() => { document.title = "Next"; history.pushState({}, "", "/next");
            eventtrack.page(); }"""
    )
    page.goto("about:blank")
    await_titles(site, "Other", "Next")


def test_late_title_is_cleaned_as_titles_are(site: Site, page: Page) -> None:
    """Personal data is masked, and the length is bounded."""
    start(site, page, "/other")
    page.evaluate("() => { document.title = 'Mail of ada@example.org ' + 'x'.repeat(5000) }")
    page.goto("about:blank")
    title = ("Mail of [email] " + "x" * 5000)[:2000]
    [label] = await_titles(site, title)
    assert len(label) == 255
