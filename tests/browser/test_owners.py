"""A visit belongs to whom it happened to, whoever logs in or out before it is sent."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page

from .conftest import Site
from .test_delivery import COLLECTOR, await_replay, settle

CHANGES = {"log-in": "/enter", "log-out": "/leave", "switch": "/enter/43"}
SOFT = "history.pushState({}, '', '/app/soft'); document.title = 'Soft';"


def open_app(site: Site, page: Page, change: str) -> None:
    """Open a page of the app as the visitor from before the change."""
    if change != "log-in":
        page.goto(f"{site.url}/enter")
        settle(page)
    with page.expect_response("**/more.js"):
        page.goto(f"{site.url}/app/start")
    page.wait_for_function("() => document.querySelector('[rel=modulepreload]')")
    settle(page)


def owners(site: Site, path: str) -> set[tuple[object, object]]:
    """Return profile and session of the visits of a path."""
    rows = [row for row in site.rows("event") if row["params"].get("path") == path]
    return {(row["uuid"], row["session_id"]) for row in rows}


def check(site: Site, visits: int, path: str) -> None:
    """Wait for the visits: those of a path are of the session in which the app was opened, and
    there is no session of a stranger."""
    site.await_visits(visits)
    assert owners(site, path) == owners(site, "/app/start")
    # Each session has a page that the server has answered, or its log-in.
    events = [(row["action"], row["params"], row["session_id"]) for row in site.rows("event")]
    answered = {
        session
        for action, params, session in events
        if params.get("status") or action == "customer.login"
    }
    assert {row["id"] for row in site.rows("session")} == answered


@pytest.mark.parametrize("delay", [100, 1300, 2500])
@pytest.mark.parametrize("how", ["link", "fetch"])
@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("kind", ["soft", "restored"])
def test_visit_before_a_change_is_whose_it_was(
    site: Site, page: Page, kind: str, change: str, how: str, delay: int
) -> None:
    """A page that was shown without a load, and left or changed a moment later."""
    open_app(site, page, change)
    target = CHANGES[change]
    leave = {
        "link": f"location.href = '{target}'",
        "fetch": f"fetch('{target}').then(() => {{ window.changed = true }})",
    }[how]
    later = f"setTimeout(() => {{ {leave} }}, {delay})"
    if kind == "soft":
        page.evaluate(f"() => {{ {SOFT} {later} }}")
    else:
        page.evaluate(f"() => addEventListener('pageshow', () => {later})")
        page.goto(f"{site.url}/conditional")
        settle(page)
        page.go_back(wait_until="commit")
    if how == "link":
        page.wait_for_url(f"**{target}")
    else:
        page.wait_for_function("window.changed")
    page.goto("about:blank")
    pages = {"soft": 2, "restored": 3}[kind] + (change != "log-in") + (how == "link")
    check(site, pages, "/app/soft" if kind == "soft" else "/app/start")


@pytest.mark.parametrize("change", CHANGES)
def test_visit_that_was_kept_is_whose_it_was(site: Site, page: Page, change: str) -> None:
    """The collector was down until somebody else was there: a later page sends the visit."""
    open_app(site, page, change)
    page.route(COLLECTOR, lambda route: route.abort())
    page.evaluate(f"() => {{ {SOFT} }}")
    page.wait_for_function(
        "() => Object.values(localStorage).some(value => value.includes('/app/soft'))"
    )
    page.goto(site.url + CHANGES[change])
    page.unroute(COLLECTOR)
    page.goto(f"{site.url}/other")
    await_replay(page)
    settle(page)
    check(site, 4 + (change != "log-in"), "/app/soft")


def test_soft_page_after_a_log_in_by_fetch(site: Site, page: Page) -> None:
    """Its document was loaded by another visitor, whose visit says nothing of this one."""
    open_app(site, page, "switch")
    page.evaluate("() => fetch('/enter/43')")
    page.evaluate(f"() => {{ {SOFT} setTimeout(() => {{ location.href = '/leave' }}, 300) }}")
    page.wait_for_url("**/leave")
    page.goto("about:blank")
    site.await_visits(4)
    customers = {row["uuid"]: row["customer_id"] for row in site.rows("profile")}
    assert [customers[uuid] for uuid, _ in owners(site, "/app/soft")] == ["43"]
    assert [customers[uuid] for uuid, _ in owners(site, "/app/start")] == ["42"]
