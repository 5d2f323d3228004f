"""Visits under a service worker, which stands between the browser and the server."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page

from .conftest import Site
from .test_snippet import paths, settle
from .workers import FORWARDS

REGISTER = """async (kind) => {
    const { serviceWorker } = navigator;
    const isThere = new Promise((done) => serviceWorker.addEventListener("controllerchange", done));
    await serviceWorker.register(`/worker.js?kind=${kind}`);
    await isThere;
}"""
# What the server sees of the navigation, and so the status that it has noted.
BY_SERVER = set(FORWARDS) - {"url", "cached"}


def install(site: Site, page: Page, kind: str) -> None:
    page.goto(f"{site.url}/walk/1")
    page.evaluate(REGISTER, kind)
    settle(page)


@pytest.mark.parametrize("kind", FORWARDS)
def test_each_page_under_a_worker_is_one_visit(site: Site, page: Page, kind: str) -> None:
    """However the worker asks for it; where the server cannot know, the browser reports it."""
    install(site, page, kind)
    for step in (2, 3):
        page.click("#next")
        page.wait_for_url(f"{site.url}/walk/{step}")
        settle(page)
    page.goto(f"{site.url}/other")
    settle(page)
    by_server = 200 if kind in BY_SERVER else None
    last_two = (200 if kind in {*BY_SERVER, "cached"} else None, by_server)
    assert paths(site.await_claims(4)) == [
        ("/walk/1", 200, True),
        ("/walk/2", by_server, True),
        ("/walk/3", last_two[0], True),
        ("/other", last_two[1], True),
    ]
    [session] = site.rows("session")
    assert session["pages"] == 4


def test_what_scripts_fetch_under_a_worker_is_no_visit(site: Site, page: Page) -> None:
    """The worker leaves it alone, and the browser never shows it."""
    install(site, page, "request")
    page.evaluate("() => fetch('/other').then(answer => answer.text())")
    page.evaluate("() => fetch('/other', { mode: 'same-origin' }).then(answer => answer.text())")
    page.click("#next")
    page.wait_for_url(f"{site.url}/walk/2")
    settle(page)
    assert [path for path, *_ in paths(site.await_claims(2))] == ["/walk/1", "/walk/2"]


def test_cached_page_shown_twice_is_two_visits(site: Site, page: Page) -> None:
    """The worker's copy has one tag; each time that it is shown is a visit of its own."""
    install(site, page, "cached")
    for _ in range(2):
        page.goto(f"{site.url}/other")
        settle(page)
    assert [path for path, *_ in paths(site.await_claims(3))] == ["/walk/1", "/other", "/other"]


PREFETCH = """() => new Promise((onload) =>
    document.head.append(
        Object.assign(document.createElement("link"), { rel: "prefetch", href: "/cached", onload }),
    ),
)"""


def test_prefetched_page_is_a_visit_once_it_is_shown(site: Site, page: Page) -> None:
    """The browser takes it out of its cache, and reports it."""
    page.goto(f"{site.url}/other")
    page.evaluate(PREFETCH)
    settle(page)
    site.await_claims(1)
    page.goto(f"{site.url}/cached")
    settle(page)
    assert paths(site.await_claims(2)) == [("/other", 200, True), ("/cached", None, True)]
