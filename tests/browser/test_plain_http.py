"""Plain HTTP on a host that is not this computer, where browsers say less of a request: no
``Sec-Fetch-*``, and neither Web Locks nor ``crypto.randomUUID``."""

from __future__ import annotations

import collections.abc as cabc
import json

import pytest
from playwright.sync_api import Browser, Page

from ..servers import require_chromium
from .conftest import Site
from .libraries import require_library
from .test_libraries import follow, start
from .test_snippet import settle

HOST = "plain.test"


@pytest.fixture
def page(site: Site, chromium: Browser) -> cabc.Iterator[Page]:
    """A page of a browser that finds the site under a name of its own."""
    site.url = site.url.replace("127.0.0.1", HOST)
    browser = chromium.browser_type.launch(
        executable_path=require_chromium(),
        args=["--no-sandbox", f"--host-resolver-rules=MAP {HOST} 127.0.0.1"],
    )
    page = browser.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    browser.close()
    assert errors == []


@pytest.mark.parametrize("library", ["htmx", "htmx2", "turbo"])
def test_fetched_page_is_one_visit(site: Site, page: Page, library: str) -> None:
    """Only a header of the library's tells that it is no navigation, nor a pointer over a link."""
    require_library(library)
    start(site, page, library)
    page.hover("#three")
    page.wait_for_timeout(300)  # Turbo fetches the page of a link that is pointed at
    follow(page, "two")
    settle(page)
    rows = site.await_actions(page_visit=2, session_start=1)
    assert [row["source"] for row in rows if row["action"] == "page.visit"] == ["server", "browser"]


# Playwright does not hear of what goes out as a page ends.
NOTE_BEACONS = """delete Request.prototype.keepalive;
const send = navigator.sendBeacon.bind(navigator);
navigator.sendBeacon = (url, body) => {
    sessionStorage.beacons = (sessionStorage.beacons || "") + body + "\\n";
    return send(url, body);
};"""


def test_last_words_go_by_beacon(site: Site, page: Page) -> None:
    """Where `fetch` does not outlive its page: with the token in the body. Nobody hears the answer,
    so that the next page sends them again."""
    page.add_init_script(NOTE_BEACONS)
    with page.expect_response("**/more.js"):
        page.goto(f"{site.url}/other")
    site.await_claims(1)
    settle(page)
    assert page.evaluate("sessionStorage.beacons") is None
    token = page.evaluate("document.cookie.match(/eventtrack_csrf=([^;]*)/)[1]")
    page.evaluate("() => { eventtrack.track('note.add'); location.href = '/conditional' }")
    page.wait_for_url("**/conditional")
    beacons = [json.loads(body) for body in page.evaluate("sessionStorage.beacons").splitlines()]
    assert {beacon["csrf_token"] for beacon in beacons} == {token}
    events = [event for beacon in beacons for event in beacon["events"]]
    [note] = [event for event in events if event["action"] == "note.add"]
    site.await_actions(page_visit=2, session_start=1, note_add=1)
    kept = page.evaluate("() => Object.values(localStorage).join()")
    assert note["event_id"] in kept
    page.wait_for_function("() => { eventtrack.flush(); return !Object.keys(localStorage).length }")
    site.await_actions(page_visit=2, session_start=1, note_add=1)
