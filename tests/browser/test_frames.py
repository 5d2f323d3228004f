"""Pages in frames."""

from __future__ import annotations

from playwright.sync_api import Page

from .conftest import Site
from .test_declarative import IMPORT, await_count, seen
from .test_snippet import settle

FRAME = """path => new Promise(done => {
    const frame = document.createElement("iframe");
    Object.assign(frame, { src: path, onload: done, width: 800, height: 600 });
    document.body.append(frame);
})"""


def test_page_in_a_frame_is_no_visit(site: Site, page: Page) -> None:
    """Its clicks have its own URL and no visit; it has no engagement of its own."""
    page.goto(f"{site.url}/other")
    settle(page)
    page.evaluate(FRAME, "/tagged/clicks")
    frame = page.frames[1]
    frame.evaluate(IMPORT, "./more.js")
    frame.evaluate(IMPORT, "./tagged.js")
    frame.click("#inner")
    page.wait_for_timeout(1000)  # less is no engagement
    page.goto(f"{site.url}/conditional")
    settle(page)
    site.await_claims(2)
    [note] = await_count(site, "note.add", 1)
    assert note["url"] == f"{site.url}/tagged/clicks"
    assert seen(site, 1)["/other"]["visible_ms"] >= 1000
    [session] = site.rows("session")
    assert session["pages"] == 2
