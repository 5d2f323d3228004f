from __future__ import annotations

import json
import pathlib
import typing as t

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from ..servers import require_chromium
from .conftest import Site

Row = dict[str, t.Any]
TRACK = "args => new Promise(done => eventtrack.push(et => et.track(...args).then(done)))"


def paths(rows: list[Row]) -> list[tuple[str, int | None, bool]]:
    """Return path, status as the server gave it, and whether a browser claimed each visit."""
    return [
        (row["params"]["path"], row["params"].get("status"), row["claimed_by"] is not None)
        for row in rows
    ]


def settle(page: Page) -> None:
    """Let the page send what it has, and wait for the answer."""
    page.evaluate("() => new Promise(done => eventtrack.push(et => et.flush().then(done)))")


def test_visit_is_told_by_both_witnesses(site: Site, page: Page) -> None:
    """Server and browser report the same visit: one row, with what each of them knows."""
    page.goto(f"{site.url}/other?utm_source=mail&token=secret")
    [visit] = site.await_claims(1)
    params = visit["params"]
    assert params["url"] == f"{site.url}/other?utm_source=mail"
    assert (params["status"], params["endpoint"], params["title"]) == (200, "other", "Other")
    assert (params["viewport"], params["language"]) == ("1280x720", "en-US")
    assert (visit["source"], visit["label"]) == ("server", "Visited page Other")


def test_page_of_xhtml_is_shown_and_counted(site: Site, page: Page) -> None:
    """Its parser is XML's, which refuses an attribute without a value."""
    page.goto(f"{site.url}/xhtml")
    assert page.title() == "XHTML"
    settle(page)
    page.evaluate(TRACK, ["note.add", {}])
    site.await_actions(page_visit=1, session_start=1, note_add=1)
    [visit] = site.await_claims(1)
    assert visit["params"]["title"] == "XHTML"


def test_unchanged_page_is_another_visit(site: Site, page: Page) -> None:
    """A 304 shows the old page with its old tag: both witnesses still agree on each visit."""
    page.goto(f"{site.url}/conditional")
    settle(page)
    site.await_claims(1)
    page.goto(f"{site.url}/other")
    settle(page)
    page.goto(f"{site.url}/conditional")
    settle(page)
    assert paths(site.await_claims(3)) == [
        ("/conditional", 200, True),
        ("/other", 200, True),
        ("/conditional", 304, True),
    ]


def test_page_out_of_the_browsers_cache_is_a_visit(site: Site, page: Page) -> None:
    """The server sees nothing of it, and the browser reports it."""
    for path in ("/cached", "/other", "/cached"):
        page.goto(site.url + path)
        settle(page)
    assert paths(site.await_claims(3)) == [
        ("/cached", 200, True),
        ("/other", 200, True),
        ("/cached", None, True),
    ]
    assert len(site.rows("session")) == 1


def test_page_out_of_the_back_forward_cache_is_a_visit(site: Site, page: Page) -> None:
    """Going back shows the page again without a request."""
    page.goto(f"{site.url}/other")
    settle(page)
    page.goto(f"{site.url}/conditional")
    settle(page)
    page.go_back(wait_until="commit")
    settle(page)
    assert [path for path, _, _ in paths(site.await_claims(3))] == [
        "/other",
        "/conditional",
        "/other",
    ]


@pytest.mark.parametrize("milliseconds", [0, 50])
@pytest.mark.parametrize("since", ["eventtrack:ready", "the navigation"])
def test_page_left_at_once_is_one_visit(
    site: Site, page: Page, since: str, milliseconds: int
) -> None:
    """Told by both witnesses if the script has started, else by the server."""
    leave = f"setTimeout(() => {{ location.href = '/conditional' }}, {milliseconds})"
    if since == "eventtrack:ready":
        leave = f"addEventListener('{since}', () => {leave})"
    page.add_init_script(f"if (location.pathname === '/other') {leave}")
    page.goto(f"{site.url}/other", wait_until="commit")
    page.wait_for_url("**/conditional")
    settle(page)
    rows = site.await_actions(page_visit=2, session_start=1)
    if since == "eventtrack:ready":
        rows = site.await_claims(2)
    visited = [row["params"]["path"] for row in rows if row["action"] == "page.visit"]
    assert visited == ["/other", "/conditional"]


def test_public_page_counts_each_visitor(site: Site, chromium: Browser) -> None:
    """A page without cookies is reported by the browser; what follows is the same device's."""
    for _ in range(2):
        context = chromium.new_context()
        context.route("**/more.js", lambda route: route.abort())  # no page.engage
        page = context.new_page()
        page.goto(f"{site.url}/public")
        assert page.evaluate(TRACK, ["note.add"])["status"] == "accepted"
        settle(page)
        page.goto(f"{site.url}/other")
        settle(page)
        context.close()
    site.await_actions(page_visit=4, note_add=2, session_start=2)
    sessions = site.rows("session")
    assert [(row["pages"], row["events"]) for row in sessions] == [(2, 3), (2, 3)]
    assert len({row["device_id"] for row in sessions}) == 2


@pytest.fixture
def cookieless(
    tmp_path: pathlib.Path, chromium: Browser, request: pytest.FixtureRequest
) -> t.Iterator[BrowserContext]:
    """A browser whose user has forbidden all cookies."""
    profile = tmp_path / "profile" / "Default"
    profile.mkdir(parents=True)
    forbid = {"profile": {"default_content_setting_values": {"cookies": 2}}}
    (profile / "Preferences").write_text(json.dumps(forbid))
    context = chromium.browser_type.launch_persistent_context(
        str(profile.parent),
        executable_path=require_chromium(),
        args=["--no-sandbox", "--disable-background-networking"],
    )
    yield context
    context.close()


def test_visit_without_cookies_is_joined(site: Site, cookieless: BrowserContext) -> None:
    """A browser that refuses cookies sends the tag's claim, and its events join the visit."""
    page = cookieless.new_page()
    page.goto(f"{site.url}/other")
    settle(page)
    site.await_claims(1)
    assert page.evaluate(TRACK, ["note.add"])["status"] == "accepted"
    assert page.evaluate("document.cookie") == ""
    rows = site.await_actions(page_visit=1, note_add=1, session_start=1)
    assert len({(row["session_id"], row["uuid"]) for row in rows}) == 1


def test_tag_included_twice_counts_once(site: Site, page: Page) -> None:
    """The second copy of the script does nothing."""
    page.goto(f"{site.url}/twice")
    settle(page)
    site.await_claims(1)
    site.await_actions(page_visit=1, session_start=1)


def test_error_page_is_no_visit_and_still_tracks(site: Site, page: Page) -> None:
    """A page that answers 410 counts no visit; events on it are taken."""
    page.goto(f"{site.url}/gone")
    assert page.evaluate(TRACK, ["note.add"])["status"] == "accepted"
    site.await_actions(note_add=1, session_start=1)


@pytest.mark.parametrize("policy", ["self", "nonce"])
def test_strict_policy_is_kept(site: Site, page: Page, policy: str) -> None:
    """Nothing inline, no eval, no sink, no Trusted Types policy of its own, in any of the files:
    the browser reports nothing but what the test does."""
    reports = "() => fetch('/reports').then((answer) => answer.json())"
    seen: list[str] = []
    page.expose_function("report", lambda directive: seen.append(directive))
    page.add_init_script(
        "addEventListener('securitypolicyviolation', (event) => report(event.effectiveDirective))"
    )
    with page.expect_response("**/tagged.js"):
        page.goto(f"{site.url}/policy/{policy}")
    page.wait_for_timeout(1500)  # it is in view for a second
    page.click("button")
    settle(page)
    page.evaluate("() => { fetch('http://elsewhere.test/').catch(() => {}) }")
    page.wait_for_function(f"() => ({reports})().then((found) => found.length > 0)")
    with page.expect_navigation():
        page.click("#go")
    site.await_actions(
        page_visit=2, session_start=1, note_add=1, element_view=1, element_hover=1, form_submit=1
    )
    site.await_claims(2)
    assert (seen, page.evaluate(reports)) == (["connect-src"], ["connect-src"])


def test_functions_wait_for_the_script(site: Site, page: Page) -> None:
    """What is pushed before the script has loaded runs once it has, in order; later at once."""
    page.add_init_script(
        "window.order = []; window.eventtrack = [];"
        "eventtrack.push(et => order.push(typeof et.track));"
        "eventtrack.push(et => { order.push('second'); et.track('note.add') });"
    )
    page.goto(f"{site.url}/other")
    settle(page)
    page.evaluate("() => { eventtrack.push(() => order.push('third')); order.push('fourth') }")
    assert page.evaluate("order") == ["function", "second", "third", "fourth"]
    site.await_actions(page_visit=1, note_add=1, session_start=1)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["note.ad"], "undefined_event"),
        (["note.keep"], "customer_required"),
        (["customer.login", {"customer_id": "1"}], "server_only"),
        (["transaction.charge"], "reserved_event"),
        (["note"], "invalid_action"),
        (["note.add", [1, 2]], "invalid_params"),
        ([7], "invalid_event"),
    ],
)
def test_refused_event_says_why(site: Site, page: Page, arguments: list[t.Any], code: str) -> None:
    """track() resolves with the reason; it never rejects."""
    page.goto(f"{site.url}/other")
    result = page.evaluate(TRACK, arguments)
    assert (result["status"], result["error"]["code"]) == ("rejected", code)


def test_accepted_event_is_the_row(site: Site, page: Page) -> None:
    """The promise's event id is the row's, with the page it happened on."""
    page.goto(f"{site.url}/other")
    result = page.evaluate(TRACK, ["note.add", {"text": "hello"}, "Added a note"])
    [visit] = site.await_claims(1)
    rows = site.await_actions(page_visit=1, note_add=1, session_start=1)
    [note] = [row for row in rows if row["action"] == "note.add"]
    assert (str(note["id"]), result["status"]) == (result["event_id"], "accepted")
    assert note["label"] == "Added a note"
    assert note["params"] == {
        "text": "hello",
        "url": f"{site.url}/other",
        "title": "Other",
        "visit": str(visit["claimed_by"]),
    }


def test_soft_navigations_have_their_own_titles(site: Site, page: Page) -> None:
    """Two soft navigations in quick succession keep the titles that they had."""
    page.goto(f"{site.url}/other")
    settle(page)
    page.evaluate(
        """() => { for (const name of ["one", "two"]) {
            history.pushState({}, "", `/soft/${name}`); document.title = name; eventtrack.page();
        } }"""
    )
    settle(page)
    site.await_actions(page_visit=3, session_start=1)
    rows = site.await_claims(1)
    # Both may have happened in the same millisecond.
    soft = sorted((row["params"] for row in rows[1:]), key=lambda params: params["path"])
    assert [(params["path"], params["title"]) for params in soft] == [
        ("/soft/one", "one"),
        ("/soft/two", "two"),
    ]
    assert [params["referrer"] for params in soft] == [f"{site.url}/other", f"{site.url}/soft/one"]


def test_two_tabs_are_one_session(site: Site, page: Page) -> None:
    """Tabs of one browser share device and session, and count their own visits."""
    page.goto(f"{site.url}/other")
    settle(page)
    second = page.context.new_page()
    second.goto(f"{site.url}/conditional")
    settle(second)
    site.await_claims(2)
    [session] = site.rows("session")
    assert session["pages"] == 2


def test_forged_cookie_is_a_new_visitor(site: Site, page: Page) -> None:
    """A tampered device cookie is no error: the visitor starts afresh."""
    page.goto(f"{site.url}/other")
    settle(page)
    page.context.add_cookies([{"name": "eventtrack_device", "value": "forged", "url": site.url}])
    page.goto(f"{site.url}/other")
    settle(page)
    site.await_claims(2)
    assert len({row["device_id"] for row in site.rows("session")}) == 2
