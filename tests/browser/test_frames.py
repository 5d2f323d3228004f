"""Pages in frames."""

from __future__ import annotations

import collections.abc as cabc
import pathlib

import pytest
from playwright.sync_api import Browser, Page

from ..servers import require_chromium
from .conftest import Site, run
from .test_declarative import IMPORT, await_count, seen
from .test_snippet import paths, settle

FLUSH = "() => new Promise(done => eventtrack.push(et => et.flush().then(done)))"

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


@pytest.fixture
def framed_site(
    tmp_path: pathlib.Path, chromium: Browser, monkeypatch: pytest.MonkeyPatch
) -> cabc.Iterator[Site]:
    """The small site, which counts pages in frames."""
    monkeypatch.setenv("FLASK_EVENTTRACK_FRAMES", "true")
    yield from run("tests.browser.site", tmp_path)


def test_page_in_a_frame_is_a_visit_where_a_setting_says_so(framed_site: Site, page: Page) -> None:
    """Both witnesses report it, in the session of the page around it."""
    page.goto(f"{framed_site.url}/other")
    settle(page)
    page.evaluate(FRAME, "/walk/1")
    page.frames[1].evaluate(FLUSH)
    assert paths(framed_site.await_claims(2)) == [("/other", 200, True), ("/walk/1", 200, True)]
    [session] = framed_site.rows("session")
    assert session["pages"] == 2


@pytest.fixture
def embedded_site(
    tmp_path: pathlib.Path, chromium: Browser, monkeypatch: pytest.MonkeyPatch
) -> cabc.Iterator[Site]:
    """The same over HTTPS, for pages that other sites show in frames."""
    monkeypatch.setenv("FLASK_EVENTTRACK_FRAMES", "embed")
    yield from run("tests.browser.site", tmp_path, "https")


@pytest.fixture
def stern_page(chromium: Browser) -> cabc.Iterator[Page]:
    """A page of a browser that blocks third-party cookies, but for partitioned ones."""
    browser = chromium.browser_type.launch(
        executable_path=require_chromium(),
        args=["--no-sandbox", "--test-third-party-cookie-phaseout"],
    )
    yield browser.new_context(ignore_https_errors=True).new_page()
    browser.close()


def test_page_that_another_site_embeds_is_recognised(embedded_site: Site, stern_page: Page) -> None:
    """Its visits are one device's and one session's, and the page itself has other cookies."""
    page, site = stern_page, embedded_site
    embedding = site.url.replace("127.0.0.1", "localhost") + "/embedding"
    for count in (1, 2):
        page.goto(embedding)
        page.frames[1].evaluate(FLUSH)
        site.await_claims(count)
    page.frames[1].evaluate("() => eventtrack.track('note.add')")
    page.frames[1].evaluate(FLUSH)
    [session] = site.rows("session")
    assert session["pages"] == 2
    [note] = await_count(site, "note.add", 1)
    assert note["url"] == f"{site.url}/walk/1"
    page.goto(f"{site.url}/walk/1")
    settle(page)
    site.await_claims(3)
    assert sorted(row["pages"] for row in site.rows("session")) == [1, 2]
