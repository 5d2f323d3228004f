"""The dashboard for everyone: for screen readers, by keyboard, on small screens and large ones."""

from __future__ import annotations

import collections
import collections.abc as cabc

import pytest
from playwright.sync_api import Browser, Page

from ..servers import skip_absent
from .conftest import Site
from .libraries import MODULES

AXE = MODULES / "axe-core/axe.min.js"
#: WCAG 2.2 to level AA, and what axe advises beyond it.
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
#: Those that depend on colours.
COLOURS = ["color-contrast", "link-in-text-block"]
AUDIT = """async ([selector, runOnly]) => {
    const found = await axe.run(selector, {
        runOnly,
        preload: false, // of all rules, only that of orientation locks reads the styles
        rules: runOnly.type === "tag" ? { "target-size": { enabled: true } } : {},
        resultTypes: ["violations"],
    });
    return found.violations.flatMap((rule) => rule.nodes.slice(0, 3).map((node) =>
        `${rule.id}: ${node.target.join(" ")}: ${node.failureSummary.replace(/\\s+/g, " ")}`));
}"""
#: Return what the Tab key should reach, in its order, and note in ``focused`` what it reaches and
#: shows: by an outline, the control's own or that of its ``::after``.
CONTROLS = """() => {
    const name = (e) => e.outerHTML.slice(0, 99);
    const shows = (e) => [null, "::after"].some((part) => {
        const { outlineStyle, outlineWidth } = getComputedStyle(e, part);
        return outlineStyle !== "none" && parseFloat(outlineWidth) >= 2;
    });
    window.focused = [];
    document.addEventListener("focusin", ({ target }) =>
        focused.push(shows(target) ? name(target) : `does not show its focus: ${name(target)}`));
    return [...document.querySelectorAll("a[href],button,input,select,summary,[tabindex='0']")]
        .filter((e) => e.type !== "hidden" && e.checkVisibility()).map(name);
}"""
FUNNEL = "step=page:/&step=product.view&step=product.addToCart&not=product.removeFromCart"
#: Each page below ``/_et/``: of a shop's site, of one without a visit, of one whose tables lack.
PAGES = {
    "overview": "shop ?f=is:country:DE&f=is:device_type:mobile",
    "details": "shop details/source",
    "retention": "shop retention",
    "retention of steps": "shop retention?first=product.view&dimension=source&period=30d",
    "paths": "shop paths?start=page:/",
    "paths of a route": "shop details/path?route=/products/%3Cslug%3E",
    "elements": "shop elements",
    "no elements": "fresh elements",
    "parameters": "shop parameters?event=product.view",
    "revenue": "shop revenue",
    "agents": "shop agents",
    "agents of a kind": "shop agents?kind=live&period=12m",
    "no agents": "fresh agents",
    "goals": "shop goals",
    "goal": "shop goals/order?by=country",
    "funnels": "shop funnels",
    "funnel": f"shop funnels?{FUNNEL}&by=source&where=1:at_least:scroll:1",
    "funnel lost": f"shop funnels/lost?{FUNNEL}&after=1",
    "no such funnel": "shop funnels?step=page:/",
    "catalogue": "shop catalogue",
    "action": "shop catalogue/product.view",
    "undefined": "shop catalogue/wishlist.add",
    "quality": "shop quality",
    "routes": "shop routes",
    "live": "shop live",
    "people": "shop people",
    "people found": "shop people?q=42",
    "person": "shop people/{person}",
    "erase": "shop people/{person}/erase",
    "audit": "shop audit",
    "links": "shop links",
    "notes": "shop notes",
    "filters": "shop filters?f=is:country:DE",
    "shared": "shop {shared}?period=today",
    "no such report": "shop ?period=never",
    "first run": "fresh ",
    "no database": "broken ",
}
STATUSES = {"no such report": 400, "no such funnel": 400, "no database": 503}


@pytest.fixture(scope="module")
def urls(
    tmp_path_factory: pytest.TempPathFactory, chromium: Browser
) -> cabc.Iterator[dict[str, str]]:
    """The URL of each page by its name. Tests only read the sites."""
    sites = {}
    with pytest.MonkeyPatch.context() as patch:
        for name, seeded in (("shop", "demo"), ("fresh", ""), ("broken", "")):
            patch.setenv("SEEDED", seeded)
            sites[name] = Site("tests.browser.reported", tmp_path_factory.mktemp(name))
    sites["broken"].execute("DROP TABLE eventtrack_closed")
    people = collections.Counter(row["person"] for row in sites["shop"].rows("session", "id"))
    buyers = {row["person"] for row in sites["shop"].rows("transaction", "id")}
    person = min(buyers, key=lambda buyer: (people[buyer], buyer))
    names = {"person": person, "shared": share(chromium, sites["shop"])}
    parts = {page: place.format(**names).split(" ") for page, place in PAGES.items()}
    yield {page: f"{sites[name].url}/_et/{path}" for page, (name, path) in parts.items()}
    for site in sites.values():
        site.stop()


def share(chromium: Browser, shop: Site) -> str:
    """Make a link to the overview, and return it without the dashboard's own URL."""
    page = chromium.new_page()
    page.goto(f"{shop.url}/_et/links")
    page.get_by_label("Who is it for?").fill("The agency")
    page.get_by_role("button", name="Make a link").click()
    url = page.get_by_label("URL of the link for The agency").input_value()
    page.close()
    return url.removeprefix(f"{shop.url}/_et/")


def audit(
    page: Page, selector: str = "html", widths: cabc.Iterable[int] = (390, 1280)
) -> list[str]:
    """Return what axe finds, which says the rule, where, and why: narrow and wide, light and dark.

    Only the rules of colours are asked again in the dark.
    """
    found = []
    for width in widths:
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme="light")
        found += page.evaluate(AUDIT, [selector, {"type": "tag", "values": TAGS}])
        page.emulate_media(color_scheme="dark")
        found += page.evaluate(AUDIT, [selector, {"type": "rule", "values": COLOURS}])
    return found


@pytest.fixture
def axe() -> str:
    if not AXE.exists():
        skip_absent("node_modules", "no axe-core")
    return AXE.read_text()


def test_axe_finds_nothing(urls: dict[str, str], page: Page, axe: str) -> None:
    """Names, roles, structure, contrast as rendered and sizes of targets; what is folded, too."""
    found = []
    for name, url in urls.items():
        answer = page.goto(url)
        assert answer is not None
        assert answer.status == STATUSES.get(name, 200), name
        page.evaluate(axe)
        page.evaluate("document.querySelectorAll('details:not(.menu)').forEach(e => e.open = true)")
        found += [f"{name}: {fault}" for fault in audit(page)]
    assert not found, "\n".join(found)


def test_axe_finds_nothing_in_menus(urls: dict[str, str], page: Page, axe: str) -> None:
    """Filter, comparison and period, and the list of keys."""
    page.goto(urls["overview"])
    page.evaluate(axe)
    found = []
    for menu in page.locator("details.menu").all():
        menu.locator("summary").click()
        found += audit(page, "details[open]", [1280])
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    found += audit(page, "dialog[open]", [1280])
    assert not found, "\n".join(found)


def test_every_page_fits_and_is_for_the_keyboard(urls: dict[str, str], page: Page) -> None:
    """Nothing is beside the screen. Tab reaches each control in its order, and the focus shows."""
    for name, url in urls.items():
        page.goto(url)
        for width in (320, 2560):
            page.set_viewport_size({"width": width, "height": 900})
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), name
        controls = page.evaluate(CONTROLS)
        # Tab stops four times in a field of a date: at its parts and its calendar.
        dates = page.locator("input[type=date]:visible").count()
        for _ in range(len(controls) + 3 * dates):
            page.keyboard.press("Tab")
        assert page.evaluate("focused") == controls, name


def test_nothing_moves_where_that_is_not_wanted(urls: dict[str, str], page: Page) -> None:
    """The dot of a page that waits beats, unless the system asks for reduced motion."""
    page.goto(urls["first run"])
    moving = "document.getAnimations().length"
    assert page.evaluate(moving) == 1
    page.emulate_media(reduced_motion="reduce")
    assert page.evaluate(moving) == 0
