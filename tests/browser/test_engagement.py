"""How long a page was in view: what Chromium tells when a page is left, and what becomes of it."""

from __future__ import annotations

import collections.abc as cabc
import json
import time
import typing as t

import pytest
from playwright.sync_api import Page

from .conftest import TIMEOUT, Site
from .test_declarative import FLUSH, HIDE, open_page

Row = dict[str, t.Any]
# Notes what the page posts in the tab's storage, also while the page is left.
NOTE = """(() => {
    const note = (url, body) => {
        if (!String(url).endsWith("/in")) return;
        const noted = JSON.parse(sessionStorage.getItem("posts") || "[]");
        sessionStorage.setItem("posts", JSON.stringify([...noted, String(body)]));
    };
    const { fetch } = window, { sendBeacon } = navigator;
    window.fetch = (url, options = {}) => {
        note(url, options.body);
        return fetch(url, options);
    };
    Navigator.prototype.sendBeacon = function (url, body) {
        note(url, body);
        return sendBeacon.call(this, url, body);
    };
})()"""


def told(page: Page) -> list[Row]:
    """Return the params of each engagement that the tab's pages have posted."""
    posts = json.loads(page.evaluate("sessionStorage.getItem('posts') || '[]'"))
    events = [event for post in posts for event in json.loads(post).get("events", [])]
    return [event["params"] for event in events if event["action"] == "page.engage"]


def await_visits(site: Site, is_right: cabc.Callable[[list[Row]], bool]) -> list[Row]:
    """Return the params of the page visits, in order, once they are right."""
    deadline = time.monotonic() + TIMEOUT
    while True:
        rows = [row for row in site.rows("event", "time", "id") if row["action"] == "page.visit"]
        visits = [row["params"] for row in rows]
        if is_right(visits):
            return visits
        assert time.monotonic() < deadline, f"{visits}\n{site.log()}"
        time.sleep(0.05)


def check_sessions(site: Site) -> None:
    """Engagement is in no session's count, and in its time once; it is no row."""
    rows = site.rows("event")
    assert "page.engage" not in {row["action"] for row in rows}
    for session in site.rows("session"):
        mine = [row for row in rows if row["session_id"] == session["id"]]
        assert session["visible_ms"] == sum(row["params"].get("visible_ms", 0) for row in mine)
        assert session["events"] == sum(not row["action"].startswith("session.") for row in mine)


def test_leaving_a_page_tells_once(site: Site, page: Page) -> None:
    """Milliseconds in view and the deepest scroll, when a link is followed."""
    page.add_init_script(NOTE)
    open_page(site, page, "long")
    site.await_claims(1)
    page.wait_for_timeout(1500)
    page.evaluate("scrollTo(0, 780)")
    page.wait_for_timeout(300)
    page.evaluate("scrollTo(0, 0)")
    page.goto(f"{site.url}/other")
    site.await_claims(2)
    first, _ = await_visits(site, lambda visits: "visible_ms" in visits[0])
    assert 1800 <= first["visible_ms"] < 20_000
    assert 50 <= first["scroll"] <= 52
    [one] = told(page)
    assert one.keys() >= {"visible_ms", "scroll"}
    assert (one["visible_ms"], one["scroll"]) == (first["visible_ms"], first["scroll"])
    check_sessions(site)


@pytest.mark.parametrize("ways", [["hide"], ["close"], ["hide", "show", "close"]])
def test_every_way_to_leave(site: Site, page: Page, ways: list[str]) -> None:
    """A hidden tab, a closed one, and one that is looked at once more; the larger is kept."""
    open_page(site, page, "long")
    site.await_claims(1)
    page.wait_for_timeout(1200)
    if "hide" in ways:
        page.evaluate(HIDE, True)
        page.evaluate(FLUSH)
    if "show" in ways:
        await_visits(site, lambda visits: visits[0].get("visible_ms", 0) >= 1200)
        page.evaluate(HIDE, False)
        page.wait_for_timeout(1500)
    if "close" in ways:
        page.close(run_before_unload=True)
    least = 2700 if "show" in ways else 1200
    await_visits(site, lambda visits: visits[0].get("visible_ms", 0) >= least)
    check_sessions(site)


def test_a_restored_page_is_measured_anew(site: Site, page: Page) -> None:
    """Out of the back/forward cache it is another visit, with a time of its own."""
    open_page(site, page, "long")
    site.await_claims(1)
    page.wait_for_timeout(1200)
    page.goto(f"{site.url}/other")
    site.await_claims(2)
    page.wait_for_timeout(1200)
    page.evaluate("setTimeout(() => history.back())")
    page.wait_for_timeout(1200)
    page.goto("about:blank")
    visits = await_visits(
        site, lambda visits: len(visits) == 3 and all("visible_ms" in each for each in visits)
    )
    assert [visit["path"] for visit in visits] == ["/tagged/long", "/other", "/tagged/long"]
    assert all(1200 <= visit["visible_ms"] < 20_000 for visit in visits)
    check_sessions(site)


def test_a_script_of_release_0_1_is_understood(site: Site, page: Page) -> None:
    """A page that was opened before the upgrade tells seconds, and its own title and address."""
    open_page(site, page, "clicks")
    site.await_claims(1)
    old = {"url": f"{site.url}/tagged/clicks", "title": None, "visible_s": 18.1, "scroll": 92}
    page.evaluate("old => eventtrack.track('page.engage', old)", old)
    page.evaluate(FLUSH)
    [visit] = await_visits(site, lambda visits: "visible_ms" in visits[0])
    assert (visit["visible_ms"], visit["scroll"]) == (18_100, 92)
    check_sessions(site)


def test_a_visit_that_was_only_read_is_a_bounce(site: Site, page: Page) -> None:
    """One page and no other event."""
    open_page(site, page, "long")
    site.await_claims(1)
    page.wait_for_timeout(1200)
    page.goto("about:blank")
    await_visits(site, lambda visits: "visible_ms" in visits[0])
    [session] = site.rows("session")
    assert (session["pages"], session["events"]) == (1, 1)
    assert session["visible_ms"] >= 1200
