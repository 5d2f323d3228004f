from __future__ import annotations

import collections
import typing as t

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from .conftest import Site
from .test_declarative import await_count

Row = dict[str, t.Any]


def walk_through(shop: Site, page: Page) -> None:
    """Visit ten pages, cause four events in the browser and two in views, log in and out.

    A page that is left before its second script has run tells nothing of its viewport, so each
    one is left once its visit has been joined.
    """
    url = shop.url
    page.goto(url)
    await_count(shop, "element.view", 1)
    shop.await_claims(1)
    page.click("#banner-link")
    shop.await_claims(2)
    page.fill("#search", "tea")
    page.press("#search", "Enter")
    page.wait_for_url("**/search?q=tea")
    shop.await_claims(3)
    page.goto(f"{url}/lookbook/slow-morning")
    page.click("article:not([hidden]) .heart")
    shop.await_claims(4)
    page.click("article:not([hidden]) [rel=next]")
    page.wait_for_url("**/lookbook/small-jungle")
    page.click("#login-link")
    page.fill("#email", "demo@example.com")
    page.fill("#password", "demo")
    shop.await_claims(5)
    page.click("#login-button")
    expect(page.locator("#logout-form")).to_be_visible()
    shop.await_claims(6)
    page.goto(f"{url}/products/otto")
    page.click("#wish-button")
    shop.await_claims(7)
    page.goto(f"{url}/about-you")
    shop.await_claims(8)
    page.click("#logout-form button")
    expect(page.locator("#login-link")).to_be_visible()
    shop.await_claims(9)


def test_walk_through_the_shop_is_recorded_exactly(shop: Site, page: Page) -> None:
    """A person clicks through the shop; the tables hold just what happened."""
    walk_through(shop, page)
    rows = shop.await_actions(
        page_visit=10,
        session_start=2,
        session_end=1,
        element_view=1,
        link_click=1,
        search_query=1,
        lookbook_like=1,
        product_view=1,
        product_wish=1,
        customer_login=1,
        customer_logout=1,
    )
    check_labels(shop, rows)
    check_sessions(shop, rows)
    check_people(shop, rows)
    check_visits(shop, rows)
    check_totals(shop, rows)


def check_labels(shop: Site, rows: list[Row]) -> None:
    """The labels are the seeds' and the definitions'."""
    labels = collections.Counter((row["action"], row["label"]) for row in rows)
    assert labels["session.start", "Started session"] == 2
    assert labels["session.end", "Session end"] == 1
    assert labels["search.query", "Searched for tea"] == 1
    assert labels["element.view", "Saw spring"] == 1
    assert labels["link.click", f"Clicked link {shop.url}/?category=green"] == 1
    assert labels["lookbook.like", "Liked the look slow-morning"] == 1
    visits = [row for row in rows if row["action"] == "page.visit"]
    assert all(row["label"] == f"Visited page {row['params']['title']}" for row in visits)


def check_sessions(shop: Site, rows: list[Row]) -> None:
    """The log-out ends the first session; the page behind it opens a second one."""
    first, second = shop.rows("session", "started_at")
    assert (first["pages"], first["events"]) == (9, 17)
    assert (second["pages"], second["events"]) == (1, 1)
    assert second["ended_at"] is None
    assert first["device_id"] == second["device_id"]
    assert (first["browser"], first["os"], first["device_type"]) == ("Chrome", "Linux", "desktop")
    assert (first["entry"], first["exit"], first["source"]) == ("/", "/about-you", "direct")
    for session in (first, second):
        mine = [row for row in rows if row["session_id"] == session["id"]]
        assert mine[0]["action"] == "session.start"
        assert (mine[1]["time"] - mine[0]["time"]).total_seconds() == 1e-6
        counted = [row for row in mine if not row["action"].startswith("session.")]
        assert len(counted) == session["events"]
    [end] = [row for row in rows if row["action"] == "session.end"]
    assert end["time"] == first["ended_at"] == first["last_seen_at"]
    assert end["params"] == {
        "duration": (first["last_seen_at"] - first["started_at"]).total_seconds(),
        "pages": 9,
        "events": first["events"],
        "reason": "logout",
    }


def check_people(shop: Site, rows: list[Row]) -> None:
    """One device: anonymous, then the customer, then somebody new; the first is the customer's."""
    [profile] = shop.rows("profile")
    [alias] = shop.rows("alias")
    uuids = [row["uuid"] for row in rows if not row["action"].startswith("session.")]
    order = list(dict.fromkeys(uuids))
    assert order[:2] == [alias["anonymous_uuid"], profile["uuid"]]
    assert len(order) == 3
    assert alias["customer_uuid"] == profile["uuid"]
    login = next(row for row in rows if row["action"] == "customer.login")
    assert login["params"] == {"customer_id": profile["customer_id"]}


def check_visits(shop: Site, rows: list[Row]) -> None:
    """Nine visits have two witnesses; the soft navigation has the browser alone."""
    visits = [row for row in rows if row["action"] == "page.visit"]
    soft = [row for row in visits if "status" not in row["params"]]
    assert [row["params"]["path"] for row in soft] == ["/lookbook/small-jungle"]
    for row in visits:
        params = row["params"]
        assert params["url"].startswith(shop.url)
        assert params.get("viewport", "1280x720") == "1280x720"
        assert (row["site"], row["undefined"]) == ("127.0.0.1", None)
        assert row["url_rule"] == params["url_rule"]
        assert row["source"] == ("browser" if row in soft else "server")
    # The second script reads the viewport; a visit waits for it a second and no longer.
    assert sum("viewport" in row["params"] for row in visits) >= 8
    events = [row for row in rows if row["source"] == "browser" and row not in soft]
    pages = {row["claimed_by"] for row in visits} | {row["id"] for row in soft}
    assert len(events) == 4
    assert all(row["params"]["visit"] in {str(page) for page in pages} for row in events)


def check_totals(shop: Site, rows: list[Row]) -> None:
    """The hourly totals are a recount of the events."""
    recount = collections.Counter(
        (row["time"].replace(minute=0, second=0, microsecond=0), row["action"], row["url_rule"])
        for row in shop.rows("event")
    )
    stored = {
        (row["hour"], row["action"], row["url_rule"]): row["count"] for row in shop.rows("hourly")
    }
    assert stored == dict(recount)


def test_banner_and_form_are_tracked_by_attributes(shop: Site, page: Page) -> None:
    """Who hovers over the banner for longer than usual is told, and what the form was about."""
    page.goto(shop.url)
    shop.await_claims(1)
    page.hover("#banner-title")
    page.wait_for_timeout(1000)
    page.hover("#banner-link")
    page.wait_for_timeout(1000)
    page.click("#banner-link")
    page.wait_for_url("**/?category=green")
    shop.await_claims(2)
    page.fill("#newsletter-email", "ada@example.com")
    page.select_option("#newsletter-topic", "green things")
    page.click("#newsletter button")
    page.wait_for_url("**/thanks")
    rows = shop.await_actions(
        page_visit=3,
        session_start=1,
        element_view=1,
        element_hover=1,
        link_click=1,
        form_start=1,
        form_submit=1,
        newsletter_signup=1,
    )
    params = {row["action"]: row["params"] for row in rows}
    for action in ("element.view", "element.hover", "link.click"):
        assert params[action]["id"] == "spring"
    assert 2000 <= params["element.hover"]["dwell_ms"] < 10_000
    assert params["form.submit"]["form"] == "newsletter"
    assert params["form.submit"]["topic"] == "green things"
    assert "email" not in params["form.submit"]


def test_shop_works_where_the_script_is_blocked(shop: Site, page: Page) -> None:
    """A content blocker takes the script; the shop works and the server still counts."""
    page.route("**/_et/**", lambda route: route.abort())
    page.goto(shop.url)
    page.goto(f"{shop.url}/products/otto")
    page.click("#add-to-basket")
    page.wait_for_url("**/basket*")
    rows = shop.await_actions(page_visit=3, session_start=1, product_view=1, product_addToCart=1)
    assert [row["claimed_by"] for row in rows] == [None] * len(rows)


def test_about_you_shows_the_visitors_own_feed(shop: Site, page: Page) -> None:
    """The page of one's own events lists what one has just done, newest first."""
    page.goto(f"{shop.url}/products/otto")
    page.goto(f"{shop.url}/about-you")
    actions = page.locator("li.event").evaluate_all("items => items.map(i => i.dataset.action)")
    assert set(actions) == {"session.start", "page.visit", "product.view"}
    assert actions[-1] == "session.start"
    [session] = shop.rows("session")
    expect(page.locator("#device-id")).to_have_text(str(session["device_id"]))


# How it looks: pages of the shop with much text, and what is on them.

#: Words of a page that are on two lines: a line may break at spaces, hyphens and joints only.
BROKEN_WORDS = r"""() => {
    const broken = [];
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
        const node = walker.currentNode;
        for (const word of node.data.matchAll(/[\p{L}\p{N}]+/gu)) {
            const range = document.createRange();
            range.setStart(node, word.index);
            range.setEnd(node, word.index + word[0].length);
            const lines = new Set([...range.getClientRects()].map(rect => Math.round(rect.top)));
            if (lines.size > 1) broken.push(word[0]);
        }
    }
    return broken;
}"""


def shop_for_a_while(page: Page, url: str) -> None:
    """Come from a letter, fill the basket, open an account, subscribe to the newsletter."""
    page.goto(f"{url}/?utm_source=letter&utm_campaign=spring-on-the-green-shelf")
    page.goto(f"{url}/search?q=a-cactus-that-is-neither-prickly-nor-proud")
    page.goto(f"{url}/products/mr-later")
    page.click("#add-to-basket")
    page.fill("#quantity-C-03", "3")
    page.click(".change button")
    expect(page.get_by_role("status")).to_have_text("Changed the quantity of Mr Later from 1 to 3.")
    page.goto(f"{url}/signup")
    page.fill("#name", "Ada")
    page.fill("#email", "ada@example.com")
    page.fill("#password", "wobble")
    page.click("#signup-button")
    expect(page.locator("#logout-form")).to_be_visible()
    page.fill("#newsletter-email", "ada@example.com")
    page.click("#newsletter button")
    page.wait_for_url("**/thanks")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [380, 768, 1280])
def test_pages_fit_every_screen_without_a_script(
    chromium: Browser, shop: Site, scheme: t.Literal["light", "dark"], width: int
) -> None:
    """Nothing is wider than the page, and no word is broken; nothing inline, so CSP is strict."""
    policy = "default-src 'self'; style-src 'self'; script-src 'self'; object-src 'none'"
    context = chromium.new_context(
        viewport={"width": width, "height": 800},
        color_scheme=scheme,
        java_script_enabled=False,
    )
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))

    def add_policy(route: Route) -> None:
        if route.request.resource_type != "document":
            route.continue_()
            return
        answer = route.fetch(max_redirects=0)
        headers = answer.headers | {"content-security-policy": policy}
        route.fulfill(response=answer, headers=headers)

    page.route(f"{shop.url}/**", add_policy)
    shop_for_a_while(page, shop.url)
    paths = ("/", "/basket", "/checkout", "/about-you", "/about", "/lookbook/slow-morning")
    for path in (*paths, "/outside/ways-back"):
        page.goto(f"{shop.url}{path}")
        page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
        assert page.evaluate(BROKEN_WORDS) == [], path
    assert complaints == []
    page.unroute_all(behavior="ignoreErrors")
    context.close()


def test_order_is_paid_at_a_bank_on_another_site(shop: Site, page: Page) -> None:
    """A newsletter leads to the shop, the shop to its bank, and the bank back: one session."""
    page.goto(f"{shop.url}/outside/leave")
    assert "//localhost:" in page.url
    page.click("text=A link in a newsletter")
    page.wait_for_url("**/?utm_source=newsletter*")  # until its scripts have run, as below
    page.goto(f"{shop.url}/products/otto")
    page.click("#add-to-basket")
    page.wait_for_url("**/basket")
    page.click("#checkout-link")
    page.wait_for_url("**/checkout")
    page.fill("#name", "Ada")
    page.fill("#address", "1 Test Street")
    page.fill("#coupon", "WOBBLE10")
    page.click("#place-order")
    page.wait_for_url("**/outside/bank/*")
    assert "//localhost:" in page.url
    page.click("#pay")
    page.wait_for_url("**/orders/1")
    expect(page.get_by_role("status")).to_have_text("The bank says that everything is paid.")
    page.click(".back summary")
    page.click("#cancel-order")
    expect(page.locator("#refunded")).to_have_text("\N{MINUS SIGN}€23.40")
    shop.await_claims(6)
    charged, paid_back = shop.rows("transaction", "time")
    assert (charged["amount"], paid_back["amount"]) == (2340, -2340)
    for row in (charged, paid_back):
        assert (row["first_source"], row["last_source"]) == ("newsletter", "newsletter")
        assert (row["last_campaign"], row["last_channel"]) == ("spring", "mail")
    [session] = shop.rows("session")
    assert charged["session_id"] == session["id"]
    assert (session["source"], session["channel"]) == ("newsletter", "mail")


def test_about_you_tells_events_below_their_page(shop: Site, page: Page) -> None:
    """In two tabs: what is done in the first one stays with its page."""
    page.goto(f"{shop.url}/lookbook/slow-morning")
    shop.await_claims(1)
    other = page.context.new_page()
    other.goto(f"{shop.url}/products/otto")
    shop.await_claims(2)
    page.click("article:not([hidden]) .heart")
    shop.await_actions(page_visit=2, session_start=1, product_view=1, lookbook_like=1)
    other.goto(f"{shop.url}/about-you")
    pages = other.locator("li.page")
    expect(pages).to_have_count(2)
    looks = pages.filter(has_text="Visited page The slow morning")
    expect(looks.locator(".on-page .label")).to_have_text(["Liked the look slow-morning"])
    views = pages.filter(has_text="Visited page Otto")
    expect(views.locator("[data-action='product.view']")).to_have_count(1)
    session = other.locator(".about-session")
    expect(session).to_contain_text("Chrome")
    expect(session).to_contain_text("Linux")


def test_a_visitor_of_the_shop_objects(shop: Site, page: Page) -> None:
    """From About you to the page of objections; then nothing more is recorded."""
    page.goto(f"{shop.url}/about-you")
    page.get_by_role("link", name="What we record, and how to object").click()
    page.get_by_role("link", name="Stop the recording, or allow it").click()
    page.get_by_role("button", name="Do not measure my visits").click()
    expect(page.get_by_role("status")).to_have_text("Your visits are not measured.")
    page.goto(f"{shop.url}/about-you")
    expect(page.locator(".hint")).to_contain_text("You have asked us not to record you")
    expect(page.locator("li.event")).to_have_count(0)


def test_word_that_no_line_holds_makes_no_page_wider(shop: Site, page: Page) -> None:
    """It is the only one that may be broken; a visitor searched for it."""
    page.set_viewport_size({"width": 380, "height": 800})
    page.goto(f"{shop.url}/search?q={'wobble' * 13}")
    for path in ("/search?q=wobblewobble", "/about-you"):
        page.goto(f"{shop.url}{path}")
        page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
    expect(page.locator("[data-action='search.query'] .label").last).to_contain_text("wobble" * 13)
