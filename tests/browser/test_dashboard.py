"""The dashboard in Chromium: with a script and without, by mouse and by keyboard."""

from __future__ import annotations

import collections.abc as cabc
import typing as t

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from .conftest import Site, run

WIDTHS = (320, 390, 1280, 2560)
COUNTS = [2, 3, 4, 5, 6, 7, 18]


@pytest.fixture(scope="module")
def reported(tmp_path_factory: pytest.TempPathFactory, chromium: Browser) -> cabc.Iterator[Site]:
    """A site with visits, which tests only read."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEEDED", "1")
        site = Site("tests.browser.reported", tmp_path_factory.mktemp("reported"))
    yield site
    site.stop()


@pytest.fixture
def fresh(tmp_path: t.Any, chromium: Browser) -> cabc.Iterator[Site]:
    """A site without a visit."""
    yield from run("tests.browser.reported", tmp_path)


def watch(page: Page, site: Site) -> list[str]:
    """Return a list that gets what the console says, and requests that leave the site."""
    found: list[str] = []
    page.on("console", lambda message: found.append(message.text))
    page.on("pageerror", lambda error: found.append(str(error)))
    page.on("dialog", lambda dialog: found.append(f"dialog: {dialog.message}"))

    def note(url: str) -> None:
        if not url.startswith((f"{site.url}/", "data:,")):
            found.append(url)

    page.on("request", lambda request: note(request.url))
    return found


def test_each_point_has_its_tooltip(reported: Site, page: Page) -> None:
    """Each number of each day in the chart says on hover what the table says."""
    found = watch(page, reported)
    page.set_viewport_size({"width": 1280, "height": 900})
    page.goto(f"{reported.url}/_et/?period=7d")
    names = page.locator(".numbers .what").all_inner_texts()
    assert len(names) == 8
    for index, name in enumerate(names):
        page.locator(".numbers a").nth(index).click()
        expect(page.locator('.numbers a[aria-current="true"] .what')).to_have_text(name)
        rows = page.locator(".data tbody tr").evaluate_all(
            "rows => rows.map(row => [...row.cells].map(cell => cell.textContent))"
        )
        svg = page.locator("svg.wide")
        box = svg.bounding_box()
        assert box is not None
        places = (svg.get_attribute("data-places") or "").split()
        assert len(places) == len(rows) == 7
        for place, (label, value, before, when) in zip(places, rows, strict=True):
            x, y = (float(part) * box["width"] / 1120 for part in place.split(","))
            page.mouse.move(box["x"] + x, box["y"] + y)
            lines = [label, value, f"{before} · {when}"]
            expect(page.locator(".tip")).to_have_text("".join(lines))
        if name == "Visitors":
            assert [row[1] for row in rows] == [f"{count} visitors" for count in COUNTS]
            assert [row[2] for row in rows] == ["0"] * 6 + ["1"]
    page.mouse.move(0, 0)
    expect(page.locator(".tip")).to_have_count(0)
    assert found == []


def test_the_chart_is_read_by_keyboard(reported: Site, page: Page) -> None:
    """The arrows go from point to point within the chart, and say each one."""
    page.goto(f"{reported.url}/_et/?period=7d&compare=none")
    page.locator(".canvas").focus()
    page.keyboard.press("ArrowLeft")
    expect(page.get_by_role("status")).to_contain_text("18 visitors")
    page.keyboard.press("ArrowLeft")
    expect(page.get_by_role("status")).to_contain_text("7 visitors")
    page.keyboard.press("Home")
    expect(page.get_by_role("status")).to_contain_text("2 visitors")
    page.keyboard.press("Escape")
    expect(page.locator(".tip")).to_have_count(0)
    assert page.url.endswith("?period=7d&compare=none")


def test_keys_lead_to_periods_and_filters(reported: Site, page: Page) -> None:
    """The keys of the list work, and not while one writes."""
    found = watch(page, reported)
    page.goto(f"{reported.url}/_et/?period=7d&f=is:country:DE")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_contain_text("Last 28 days")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.keyboard.press("f")
    page.wait_for_url("**?f=is:country:DE&period=28d")
    page.keyboard.press("ArrowLeft")
    page.wait_for_url("**period=custom&from=2026-09-27&to=2026-10-24")
    page.keyboard.press("x")
    page.wait_for_url("**compare=none")
    page.keyboard.press("Escape")
    page.wait_for_url(lambda url: "f=" not in url)
    page.keyboard.press("/")
    page.get_by_label("Show only where").select_option("Country")
    page.get_by_placeholder("Value").fill("wd?")
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.keyboard.press("Enter")
    page.wait_for_url("**f=is:country:wd%3F")
    page.keyboard.press("c")
    expect(page.get_by_label("From")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.get_by_label("From")).to_be_hidden()
    assert found == []


def test_everything_works_without_a_script(chromium: Browser, reported: Site) -> None:
    """Numbers, tabs, filters, periods and details are links and forms."""
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    found = watch(page, reported)
    page.goto(f"{reported.url}/_et/")
    expect(page.get_by_role("heading", level=1)).to_contain_text("46 people visited")
    page.get_by_role("link", name="Germany").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("36 people visited")
    page.get_by_role("link", name="Channels").click()
    page.locator("summary", has_text="Last 30 days").click()
    page.get_by_role("link", name="Yesterday").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("7 people visited")
    page.get_by_text("+ Filter").click()
    page.get_by_label("Show only where").select_option("Source")
    page.get_by_placeholder("Value").fill("newsletter")
    page.get_by_role("button", name="Add").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("2 people visited")
    page.get_by_role("link", name="Remove: Country is Germany").click()
    page.get_by_role("link", name="Pages a session").click()
    page.get_by_text("As a table").click()
    expect(page.locator("details.data")).to_contain_text("3.50 pages a session")
    page.get_by_role("link", name="Countries: Details").click()
    page.get_by_role("link", name="Bounce rate").click()
    expect(page.locator("th[aria-sort]")).to_contain_text("Bounce rate")
    page.get_by_role("searchbox").fill("D")
    page.get_by_role("button", name="Search").click()
    expect(page.locator("tbody tr")).to_have_count(1)
    assert found == []
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_fit_every_screen(
    chromium: Browser, reported: Site, scheme: t.Literal["light", "dark"]
) -> None:
    """No page is wider than the screen, nothing of hostile texts runs, and the console is quiet."""
    context = chromium.new_context(color_scheme=scheme)
    page = context.new_page()
    found = watch(page, reported)
    paths = ("?period=7d&f=is:country:PL", "details/source", "revenue", "catalogue", "quality")
    for path in (f"/_et/{each}" for each in (*paths, "routes")):
        page.goto(f"{reported.url}{path}")
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 800})
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), width
    assert found == []
    context.close()


def test_controls_have_names_and_headings_their_order(reported: Site, page: Page) -> None:
    """What a screen reader meets: landmarks, one first heading, names, no id twice."""
    for path in ("/_et/?period=7d&f=is:country:PL", "/_et/details/source"):
        page.goto(f"{reported.url}{path}")
        faults = page.evaluate("""() => {
            const all = (selector) => [...document.querySelectorAll(selector)];
            const named = (e) => e.getAttribute("aria-label") || e.textContent.trim()
                || e.labels?.[0]?.textContent.trim();
            const levels = all("h1,h2,h3").map((h) => Number(h.tagName[1]));
            const ids = all("[id]").map((e) => e.id);
            return [
                ...all("a,button,summary,input:not([type=hidden]),select").filter((e) => !named(e)),
                ...(levels[0] !== 1 || levels.some((l, i) => i && l > levels[i - 1] + 1)
                    || levels.filter((l) => l === 1).length !== 1 ? ["headings"] : []),
                ...(new Set(ids).size !== ids.length ? ["ids"] : []),
                ...["main", "header", "nav", "footer"].filter((name) => !all(name).length),
                ...all("img:not([alt])"),
                ...all("[aria-labelledby]").filter(
                    (e) => !document.getElementById(e.getAttribute("aria-labelledby"))),
                ...all("nav").filter((e) => !e.getAttribute("aria-label")),
            ].map((e) => e.outerHTML || e);
        }""")
        assert faults == []


def test_a_new_site_fills_itself(fresh: Site, chromium: Browser) -> None:
    """The page that waits shows the first visit without being asked."""
    context = chromium.new_context()
    page = context.new_page()
    page.goto(f"{fresh.url}/_et/")
    expect(page.get_by_role("heading", level=1)).to_have_text("Waiting for the first visit")
    other = context.new_page()
    other.goto(f"{fresh.url}/products/lamp")
    page.bring_to_front()
    expect(page.get_by_role("heading", level=1)).to_contain_text("1 person visited", timeout=20_000)
    context.close()


def test_a_page_that_waits_tries_again(fresh: Site, page: Page) -> None:
    """Once the database answers, the page shows what was asked for; until then nothing moves, also
    if a proxy answers for the app. It asks once at a time."""
    page.clock.install()
    fresh.execute("ALTER TABLE eventtrack_closed RENAME TO eventtrack_away")
    page.goto(f"{fresh.url}/_et/")
    title = page.get_by_role("heading", level=1)
    expect(title).to_have_text("The database does not answer")
    expect(page.get_by_text("This page tries again by itself.")).to_be_visible()
    page.evaluate("window.isSame = true")
    with page.expect_response(f"{fresh.url}/_et/"):
        page.clock.fast_forward(15_000)
    held: list[Route] = []
    page.route("**/_et/", lambda route: held.append(route))
    with page.expect_request(f"{fresh.url}/_et/"):
        page.clock.fast_forward(15_000)
        page.clock.fast_forward(15_000)
    assert page.evaluate("window.isSame")
    [route] = held
    route.fulfill(status=502, content_type="text/html", body="<h1>502 Bad Gateway</h1>")
    page.unroute("**/_et/")
    with page.expect_response(f"{fresh.url}/_et/"):
        page.clock.fast_forward(15_000)
    assert page.evaluate("window.isSame")
    fresh.execute("ALTER TABLE eventtrack_away RENAME TO eventtrack_closed")
    page.clock.fast_forward(15_000)
    expect(title).to_have_text("Waiting for the first visit")


@pytest.mark.parametrize("script", [True, False], ids=["with a script", "without"])
def test_a_link_is_made_copied_and_revoked(reported: Site, chromium: Browser, script: bool) -> None:
    """Enter in the URL's field does not revoke it."""
    context = chromium.new_context(java_script_enabled=script)
    page = context.new_page()
    found = watch(page, reported)
    page.goto(f"{reported.url}/_et/links")
    page.get_by_label("Who is it for?").fill("The agency")
    page.get_by_role("button", name="Make a link").click()
    field = page.get_by_label("URL of the link for The agency")
    url = field.input_value()
    if script:
        context.grant_permissions(["clipboard-read", "clipboard-write"], origin=reported.url)
        page.get_by_role("button", name="Copy").click()
        expect(page.get_by_role("button", name="Copied")).to_be_visible()
        assert page.evaluate("navigator.clipboard.readText()") == url
    field.press("Enter")
    page.goto(url)
    expect(page.get_by_text("Read-only, until 21 Dec 2026")).to_be_visible()
    assert found == []
    page.goto(f"{reported.url}/_et/links")
    page.get_by_role("button", name="Revoke the link for The agency").click()
    expect(field).to_have_count(0)
    response = page.goto(url)
    assert response is not None
    assert response.status == 404
    context.close()
