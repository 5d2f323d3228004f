"""Over HTTPS, where the names of our cookies begin with ``__Host-``."""

from __future__ import annotations

import collections.abc as cabc
import json

import pytest
from playwright.sync_api import Browser, Page

from .conftest import Site
from .test_snippet import TRACK, settle

OURS = {f"__Host-eventtrack_{name}" for name in ("device", "session", "csrf")}


@pytest.fixture
def page(chromium: Browser) -> cabc.Iterator[Page]:
    context = chromium.new_context(ignore_https_errors=True)
    yield context.new_page()
    context.close()


def cookies_of(page: Page) -> dict[str, str]:
    return {cookie["name"]: cookie["value"] for cookie in page.context.cookies()}


def test_browser_keeps_the_prefixed_cookies(secure_site: Site, page: Page) -> None:
    """Both witnesses and the next page are of one device and session."""
    for count in (1, 2):
        page.goto(f"{secure_site.url}/other")
        settle(page)
        secure_site.await_claims(count)
    assert cookies_of(page).keys() == OURS
    assert len(secure_site.rows("session")) == 1


def test_script_shows_the_host_s_csrf_token(secure_site: Site, page: Page) -> None:
    """Whatever cookies of similar names others have planted, and whichever came first."""
    names = ("eventtrack_csrf", "AAeventtrack_csrf", "eventtrack_device", "a")
    for name in names:
        value = "eventtrack_csrf=planted" if name == "a" else "planted"
        page.context.add_cookies([{"name": name, "value": value, "url": secure_site.url}])
    page.goto(f"{secure_site.url}/other")
    settle(page)
    token = cookies_of(page)["__Host-eventtrack_csrf"]
    with page.expect_request("**/_et/in") as sent:
        assert page.evaluate(TRACK, ["note.add"])["status"] == "accepted"
    assert json.loads(sent.value.post_data or "")["csrf_token"] == token
    with page.expect_request("**/_et/logout") as sent:
        page.evaluate("() => eventtrack.logout()")
    assert json.loads(sent.value.post_data or "")["csrf_token"] == token
