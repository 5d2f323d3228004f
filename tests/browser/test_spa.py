"""Single-page apps, and the calls that the second file answers."""

from __future__ import annotations

import typing as t

import pytest
from playwright.sync_api import Page

from .conftest import Site

NO_NAVIGATION_API = "delete window.navigation"
READY = "() => new Promise(done => eventtrack.push(et => et.flush().then(done)))"


def start(site: Site, page: Page, path: str) -> None:
    """Open a page, and wait until the second file has started."""
    with page.expect_response("**/more.js"):
        page.goto(site.url + path)
    site.await_claims(1)


def visits(site: Site, count: int) -> list[tuple[str, str]]:
    """Return path and title of the visits once there are as many."""
    rows = site.await_actions(page_visit=count, session_start=1)
    return [
        (row["params"]["url"].removeprefix(site.url), row["params"]["title"])
        for row in rows
        if row["action"] == "page.visit"
    ]


@pytest.fixture(params=["navigation", "history"])
def soft(request: pytest.FixtureRequest, site: Site, page: Page) -> Page:
    """A page of an app whose browser has the Navigation API, or not."""
    if request.param == "history":
        page.add_init_script(NO_NAVIGATION_API)
    start(site, page, "/app")
    return page


GO = """async ([path, title]) => {
    history.pushState({}, "", path);
    await new Promise(done => setTimeout(done, 120));
    document.title = title;
}"""

BACK = "() => new Promise(done => { addEventListener('popstate', done); history.back() })"


def test_each_path_is_a_visit_with_its_late_title(site: Site, soft: Page) -> None:
    """The title that is set after the navigation is the visit's."""
    soft.evaluate(GO, ["/app/one", "One"])
    soft.evaluate(GO, ["/app/two", "Two"])
    soft.wait_for_timeout(200)  # the app's own time to set a title
    soft.evaluate(READY)
    assert visits(site, 3) == [("/app", "App"), ("/app/one", "One"), ("/app/two", "Two")]


def test_back_button_is_a_visit(site: Site, soft: Page) -> None:
    """Going back within the app shows the earlier page again."""
    soft.evaluate(GO, ["/app/one", "One"])
    soft.evaluate(BACK)
    soft.evaluate(READY)
    assert [path for path, _ in visits(site, 3)] == ["/app", "/app/one", "/app"]


def test_query_and_hash_alone_are_no_visit(site: Site, soft: Page) -> None:
    """A filter or an anchor is not another page."""
    soft.evaluate("() => { for (let i = 0; i < 5; i++) history.replaceState({}, '', `?q=${i}`) }")
    soft.evaluate("() => history.pushState({}, '', '?page=2')")
    soft.evaluate("() => { location.hash = 'part' }")
    soft.evaluate(READY)
    assert [path for path, _ in visits(site, 1)] == ["/app"]


def test_hash_routing(site: Site, page: Page) -> None:
    """Where the app asks for it, another hash is another page."""
    start(site, page, "/app/hash")
    page.evaluate("() => { location.hash = '/settings' }")
    page.evaluate(READY)
    assert visits(site, 2) == [("/app/hash", "App")] * 2  # the server cuts a URL's hash


def test_events_of_a_soft_page_name_its_visit(site: Site, soft: Page) -> None:
    """What happens after a soft navigation belongs to the page that it showed."""
    soft.evaluate(GO, ["/app/one", "One"])
    soft.evaluate("() => { eventtrack.track('note.add') }")
    soft.evaluate(READY)
    rows = site.await_actions(page_visit=2, note_add=1, session_start=1)
    [visit] = [row for row in rows if row["params"].get("path") == "/app/one"]
    [note] = [row for row in rows if row["action"] == "note.add"]
    assert note["params"]["visit"] == str(visit["id"])
    assert visit["params"]["referrer"] == f"{site.url}/app"


def test_debugging_logs_each_answer(site: Site, page: Page) -> None:
    """With EVENTTRACK_DEBUG_JS the console shows each event with its answer, and each error."""
    messages: list[tuple[str, str]] = []
    page.on("console", lambda message: messages.append((message.type, message.text)))
    start(site, page, "/app")
    for action in ("note.add", "note.ad"):
        page.evaluate(f"() => eventtrack.track('{action}', {{n: 1}}, 'A label')")
    assert ("log", "eventtrack: accepted note.add A label {url: ") in [
        (kind, text.partition(site.url)[0]) for kind, text in messages
    ]
    assert any(kind == "warning" and "undefined_event" in text for kind, text in messages)


def test_debugging_logs_what_the_server_recorded(debug_site: Site, page: Page) -> None:
    """With the page, where the app is in debug mode."""
    with page.expect_console_message(
        lambda message: message.text.startswith("eventtrack: recorded page.visit: ")
    ) as told:
        start(debug_site, page, "/app")
    assert "title='App'" in told.value.text


def test_debugging_says_each_mistake_once(site: Site, page: Page) -> None:
    """Why an event was rejected, however often it was."""
    warnings: list[str] = []
    page.on(
        "console",
        lambda message: warnings.append(message.text) if message.type == "warning" else None,
    )
    start(site, page, "/app")
    for action in ("note.ad", "note.ad", "note.keep"):
        assert page.evaluate(f"() => eventtrack.track('{action}')")["status"] == "rejected"
    codes = [warning.split()[1] for warning in warnings if warning.startswith("eventtrack:")]
    assert codes == ["undefined_event", "customer_required"]


def test_opting_in_counts_the_page(site: Site, page: Page) -> None:
    """A visitor without a choice consents: the page is counted, and events are taken."""
    page.add_init_script("Object.defineProperty(navigator, 'globalPrivacyControl', {value: true})")
    page.route("**/_et/consent", lambda route: route.fulfill(json={}))
    page.goto(f"{site.url}/public")
    assert page.evaluate("eventtrack.optIn()") == {}
    assert page.evaluate("eventtrack.track('note.add')")["status"] == "accepted"
    page.evaluate(READY)
    site.await_actions(page_visit=1, note_add=1, session_start=1)


@pytest.mark.parametrize(("call", "path"), [("identify", "identify"), ("logout", "logout")])
@pytest.mark.parametrize(
    ("answer", "code", "message"),
    [
        ({"status": 204}, None, ""),
        ({"json": {}}, None, ""),
        ({"status": 401, "json": {"code": "expired", "detail": "Too old."}}, "expired", "Too old."),
        ({"status": 403, "json": {"error": "Forbidden"}}, "http_403", "http_403"),
        ({"status": 500, "body": "<h1>"}, "http_500", "SyntaxError"),
        (None, "no_answer", "TypeError"),
    ],
)
def test_account_calls_settle(
    site: Site,
    page: Page,
    call: str,
    path: str,
    answer: dict[str, t.Any] | None,
    code: str | None,
    message: str,
) -> None:
    """They resolve with the answer or an error, and never reject."""
    page.route(
        f"**/_et/{path}",
        lambda route: route.abort() if answer is None else route.fulfill(**answer),
    )
    start(site, page, "/other")
    result = page.evaluate(f"eventtrack.{call}('a.b.c')")
    error = result.get("error") or {"code": None, "message": ""}
    assert error["code"] == code
    assert error["message"].startswith(message)
