"""Tagged elements where they are hard to hear: in shadow roots, before the script, in thousands."""

from __future__ import annotations

import contextlib

import pytest
from playwright.sync_api import Page, Route

from .conftest import Site
from .test_declarative import FLUSH, await_count, open_page, scroll, tracked

# What attributes say


def test_definition_has_the_last_word_on_a_type(site: Site, page: Page) -> None:
    """What an attribute has as text becomes what the field takes, and keeps its digits in text."""
    open_page(site, page, "values")
    page.click("button")
    [(_, params)] = tracked(site, page, stock_count=1)
    assert params == {
        "sku": "10432",
        "name": "true",
        "size": "1.10",
        "code": "007",
        "amount": 7,
        "price": 1.1,
        "sold": True,
        "left": 12,
    }


# In shadow roots


def test_click_in_a_shadow_root(site: Site, page: Page) -> None:
    """By its inner element, in a root within a root, where nothing is tagged outside."""
    open_page(site, page, "shadow")
    page.click("#deep")
    page.click("#nested")
    assert tracked(site, page, note_add=2) == [("note.add", {}), ("note.add", {"from": "nested"})]


@pytest.mark.parametrize("before", [[], ["#deep"]], ids=["first", "later"])
@pytest.mark.parametrize("key", ["", "Enter"], ids=["button", "key"])
def test_form_in_a_shadow_root(site: Site, page: Page, key: str, before: list[str]) -> None:
    """Its submission is not heard outside of the root; the click that the browser makes of the
    Enter key is."""
    open_page(site, page, "shadow")
    for selector in before:
        page.click(selector)
    if key:
        page.press("#topic", key)
    else:
        page.click("#go b")
    assert tracked(site, page, form_submit=1, **{"note_add": 1} if before else {})[-1] == (
        "form.submit",
        {"form": "order", "topic": "tea"},
    )


# Before and after the script


@pytest.mark.parametrize("late", ["more.js", "tagged.js"])
@pytest.mark.parametrize(
    ("name", "selector"), [("clicks", "#inner"), ("shadow", "#deep"), ("form", "#try-free")]
)
def test_early_click_counts(site: Site, page: Page, late: str, name: str, selector: str) -> None:
    """What happens before the files that hear it have come is tracked once they have."""
    held: list[Route] = []
    page.route(f"**/{late}", lambda route: held.append(route))
    with page.expect_request(f"**/{late}") if name != "shadow" else contextlib.nullcontext():
        page.goto(f"{site.url}/tagged/{name}")
    page.wait_for_function("window.eventtrack && eventtrack.track")
    page.click(selector)
    while not held:
        page.wait_for_timeout(20)
    await_count(site, "page.visit", 1)
    held[0].continue_()
    await_count(site, "form.submit" if name == "form" else "note.add", 1)


LATER = {
    "added": """document.body.innerHTML = '<p id=it data-eventtrack="note.add">x</p>'""",
    "marked": "it.dataset.eventtrack = 'note.add'",
    "shadow": """
        it.attachShadow({ mode: "open" }).innerHTML = '<p data-eventtrack="note.add">x</p>'""",
}


@pytest.mark.parametrize("change", LATER)
def test_what_is_tagged_later_counts(site: Site, page: Page, change: str) -> None:
    """On a page that had nothing tagged until then, and loads the file that hears it only then."""
    loads: list[str] = []
    page.on("request", lambda request: loads.append(request.url.rpartition("/")[2]))
    with page.expect_response("**/more.js"):
        page.goto(f"{site.url}/tagged/empty")
    page.evaluate("() => { document.body.innerHTML = '<div id=it>x</div>' }")
    page.wait_for_timeout(1000)
    assert "tagged.js" not in loads
    page.evaluate(f"() => {{ {LATER[change]} }}")
    page.click("#it")
    await_count(site, "note.add", 1)


@pytest.mark.parametrize("mark", ["eventtrack", "eventtrackView", "eventtrackHover"])
def test_attribute_that_is_set_later_counts(site: Site, page: Page, mark: str) -> None:
    """On an element that is there, on a page that has others."""
    open_page(site, page, "hovers")
    page.evaluate(
        "mark => { away.dataset[mark] = 'note.add'; away.dataset.eventtrackDwell = 0 }", mark
    )
    page.click("#away")
    await_count(site, "note.add", 1)


# In thousands


def test_ten_thousand(site: Site, page: Page) -> None:
    """A click on the last one; views of those that are in view, and of none before. At first, none
    is in view.
    """
    open_page(site, page, "many")
    scroll(page, "#view4999", 700)
    page.click("#click4999")
    assert [params["n"] for params in await_count(site, "note.add", 1)] == [4999]
    page.wait_for_timeout(1500)
    page.evaluate(FLUSH)
    seen = page.evaluate("""() => [...document.querySelectorAll("[data-eventtrack-view]")]
        .filter((element) => {
            const { top, bottom } = element.getBoundingClientRect();
            return top >= 0 && bottom <= innerHeight;
        }).map((element) => element.id)""")
    assert seen[-1] == "view4999"
    views = await_count(site, "element.view", len(seen))
    assert {params["id"] for params in views} == set(seen)
