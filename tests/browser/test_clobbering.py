"""Markup without script, written by somebody else: its names decide nothing (DOM clobbering)."""

from __future__ import annotations

import typing as t

import pytest
from playwright.sync_api import Page

from .conftest import Site
from .hostile import CONTENTS, KINDS, looked_up, words

# The page's own way to these may be closed, and so may Playwright's.
ASK = """const ask = (name) => Reflect.get(Document.prototype, name, document);
    const find = (selector) => Document.prototype.querySelector.call(document, selector);"""
STARTED = (
    "async () => {"
    + ASK
    + """
    const src = new URL(find("script[integrity]").getAttribute("src"), location.href);
    for (const name of ["more.js", "tagged.js"]) await import(new URL(name, src));
    return ask("cookie");
}"""
)
IDENTIFY = (
    "() => Object.getPrototypeOf(eventtrack) === Object.prototype && eventtrack.identify('x.y.z')"
)
COMMON = {
    *("url", "path", "endpoint", "url_rule", "status", "duration_ms", "visit", "referrer"),
    *("visible_ms", "scroll"),
}
EVENTS = {
    "page.visit": {
        "title": "Named",
        "author": "Ada",
        "canonical": "/here",
        "viewport": "1280x720",
        "screen": "1280x720",
        "language": "en-US",
        "timezone_offset": 0,
    },
    "element.view": {"id": "form", "title": "Named"},
    "note.add": {"title": "Named"},
    "form.submit": {"topic": "tea", "title": "Named"},
}


def use(site: Site, page: Page, path: str) -> list[str]:
    """Click, submit, look and log in on a page; return the URLs of all posts and scripts."""
    asked: list[str] = []
    page.on(
        "request",
        lambda request: (
            asked.append(request.url)
            if request.method == "POST" or request.resource_type == "script"
            else None
        ),
    )
    page.route("**://evil.test/**", lambda route: route.fulfill(body=""))
    with page.expect_response("**/tagged.js"):
        page.goto(site.url + path, wait_until="commit")
    page.evaluate(STARTED)
    with page.expect_request(lambda request: "element.view" in (request.post_data or "")):
        page.mouse.click(20, 20)
        page.mouse.click(20, 70)
    assert page.evaluate(IDENTIFY)["error"]["code"] == "token_unsupported"
    page.goto("about:blank")
    return asked


def known(site: Site) -> dict[str, dict[str, t.Any]]:
    """Return the params of the events that were recorded, without those that pages differ by."""
    rows = site.await_actions(
        page_visit=1, session_start=1, note_add=1, form_submit=1, element_view=1
    )
    found = {
        row["action"]: {k: v for k, v in row["params"].items() if k not in COMMON} for row in rows
    }
    del found["session.start"]
    canonical = found["page.visit"].get("canonical", "")
    return found | {"page.visit": {**found["page.visit"], "canonical": canonical[len(site.url) :]}}


def test_the_words_are_those_that_are_looked_up() -> None:
    """The scan of the sources finds properties of the document, of the window and of forms."""
    assert {"currentScript", "cookie", "head", "eventtrack"} <= looked_up() < words()
    assert {"elements", "parentNode", "localName", "querySelectorAll", "navigation"} <= words()


@pytest.mark.parametrize("kind", KINDS)
def test_names_of_elements_change_nothing(site: Site, page: Page, kind: str) -> None:
    """Elements are called like each word of the sources: the requests and the events are the same
    as without them."""
    asked = use(site, page, f"/named/{kind}")
    assert [url for url in asked if not url.startswith(f"{site.url}/_et/")] == []
    assert {url.rpartition("/")[2] for url in asked} == {
        *("et.js", "more.js", "tagged.js", "in", "identify")
    }
    assert known(site) == EVENTS


@pytest.mark.parametrize("content", CONTENTS)
def test_markup_of_others_moves_and_says_nothing(site: Site, page: Page, content: str) -> None:
    """Neither a false script, a <base>, a false `eventtrack` nor metadata outside of the head."""
    asked = use(site, page, f"/written/{content}")
    assert [url for url in asked if not url.startswith(f"{site.url}/_et/")] == []
    assert known(site) == EVENTS


@pytest.mark.parametrize("kind", ["nothing", "img", "iframe"])
def test_refusal_is_read_behind_names(site: Site, page: Page, kind: str) -> None:
    """A visitor's refusal is in a cookie, and holds whatever is called `cookie`."""
    page.context.add_cookies([{"name": "eventtrack_consent", "value": "none", "url": site.url}])
    posts: list[str] = []
    page.on("request", lambda request: posts.append(f"{request.method} {request.url}"))
    page.goto(f"{site.url}/named/{kind}")
    status = page.evaluate("() => eventtrack.track('note.add').then(({ status }) => status)")
    page.goto("about:blank")
    assert status == "dropped"
    assert [asked for asked in posts if asked.startswith("POST")] == []


@pytest.mark.parametrize("kind", ["nothing", "form", "a", "iframe"])
def test_names_of_what_a_browser_lacks_change_nothing(site: Site, page: Page, kind: str) -> None:
    """Elements are found as `requestIdleCallback` and `navigation` where a browser has none."""
    page.add_init_script("delete window.requestIdleCallback; delete window.navigation")
    with page.expect_response("**/tagged.js"):
        page.goto(f"{site.url}/named/{kind}", wait_until="commit")
    site.await_actions(page_visit=1, session_start=1, element_view=1)
    # Playwright's own evaluate() needs the former. No element is seen again.
    hide = "Reflect.get(Document.prototype, 'documentElement', document).hidden = true"
    go = {"expression": f"{hide}; history.pushState({{}}, '', '/soft')"}
    page.context.new_cdp_session(page).send("Runtime.evaluate", go)
    page.goto("about:blank")
    site.await_actions(page_visit=2, session_start=1, element_view=1)
