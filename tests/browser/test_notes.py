"""Notes and saved filters in Chromium: by mouse, by keyboard, and without a script."""

from __future__ import annotations

import collections.abc as cabc
import pathlib

import pytest
from playwright.sync_api import Browser, Page, expect

from .conftest import Site, run
from .test_dashboard import watch

WIDTHS = (320, 390, 1280)
LONG = "word " * 39 + "end"


@pytest.fixture
def site(
    tmp_path: pathlib.Path, chromium: Browser, monkeypatch: pytest.MonkeyPatch
) -> cabc.Iterator[Site]:
    """A site with visits, to which a test adds notes."""
    monkeypatch.setenv("SEEDED", "1")
    yield from run("tests.browser.reported", tmp_path)


def write(page: Page, site: Site, day: str, *texts: str) -> None:
    """Write notes by the form that the overview leads to."""
    for text in texts:
        page.goto(f"{site.url}/_et/?period=7d")
        page.get_by_role("link", name="note").last.click()
        page.get_by_label("Day").fill(day)
        page.get_by_label("Note", exact=True).fill(text)
        page.get_by_role("button", name="Add the note").click()
        page.wait_for_url("**/_et/?period=7d")


def test_a_note_is_in_the_tooltip(site: Site, page: Page) -> None:
    """On hover at its flag and by keyboard; of many, three and how many more."""
    found = watch(page, site)
    page.set_viewport_size({"width": 1280, "height": 900})
    write(page, site, "2026-11-16", "Sale <b>begins</b>")
    write(page, site, "2026-11-18", "a", "b", "c", "d", "e")
    svg = page.locator("svg.wide")
    flags = svg.locator(".flag")
    expect(flags).to_have_count(2)
    box = flags.first.bounding_box()
    area = svg.bounding_box()
    assert box is not None
    assert area is not None
    assert area["y"] <= box["y"] < box["y"] + box["height"] <= area["y"] + area["height"]
    page.mouse.move(box["x"], box["y"] + 3)
    tip = page.locator(".tip")
    expect(tip).to_have_text(
        "Mon 16 November 20263 visitors0 · Mon 9 November 2026Sale <b>begins</b>"
    )
    assert tip.locator("b").count() == 1
    page.mouse.move(0, 0)
    page.locator(".canvas").focus()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("status")).not_to_contain_text("Sale")
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("status")).to_contain_text("Sale <b>begins</b>")
    for _ in range(2):
        page.keyboard.press("ArrowRight")
    expect(page.get_by_role("status").locator(".note")).to_have_text(["a", "b", "c"])
    expect(page.get_by_role("status")).to_contain_text("and 2 more in the table")
    page.keyboard.press("End")
    expect(page.get_by_role("status")).to_contain_text("18 visitors")
    page.get_by_text("As a table").click()
    expect(page.locator(".noted p")).to_have_text(["Sale <b>begins</b>", *"abcde"])
    assert found == []


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("text", [LONG, "x" * 200])
def test_a_long_note_fits(site: Site, page: Page, width: int, text: str) -> None:
    """In the tooltip, in the tables and on the page of notes: nothing is wider than the window."""
    write(page, site, "2026-11-15", text)
    write(page, site, "2026-11-21", text)
    page.set_viewport_size({"width": width, "height": 900})
    page.locator(".canvas").focus()
    for key in ("ArrowRight", "End"):
        page.keyboard.press(key)
        box = page.locator(".tip").bounding_box()
        assert box is not None
        assert 0 <= box["x"] <= box["x"] + box["width"] <= width
        assert box["width"] <= 330
        note = page.locator(".tip .note").bounding_box()
        assert note is not None
        assert note["x"] + note["width"] <= box["x"] + box["width"]
    for label in ("As a table", "2 notes"):
        page.locator("summary", has_text=label).click()
    for path in ("/_et/?period=7d", "/_et/notes"):
        if path not in page.url:
            page.goto(f"{site.url}{path}")
        wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert page.evaluate(wide) == 0


def test_filters_and_notes_need_no_script(chromium: Browser, site: Site) -> None:
    """Saved from the bar, chosen in its menu, and removed."""
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    found = watch(page, site)
    write(page, site, "2026-11-18", "Sale")
    page.get_by_text("As a table").click()
    expect(page.locator(".noted p")).to_have_text("Sale")
    page.get_by_text("1 note", exact=True).click()
    expect(page.locator("#notes li")).to_have_text("18 November: Sale by unknown")
    page.get_by_role("link", name="Germany").click()
    page.locator("summary", has_text="Saved filters").click()
    page.get_by_role("link", name="Save this filter").click()
    page.get_by_label("Name").fill("Germans")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("35 people visited")
    page.goto(f"{site.url}/_et/goals?period=7d")
    page.locator("summary", has_text="Saved filters").click()
    page.get_by_role("link", name="Germans").click()
    assert page.url == f"{site.url}/_et/goals?period=7d&f=is:country:DE"
    page.locator("summary", has_text="Germans").click()
    page.get_by_role("link", name="Remove saved filters").click()
    page.get_by_role("button", name="Remove the filter Germans").click()
    expect(page.get_by_text("There are no saved filters yet.")).to_be_visible()
    page.goto(f"{site.url}/_et/notes")
    page.get_by_role("button", name="Remove the note Sale").click()
    expect(page.get_by_text("There are no notes yet.")).to_be_visible()
    assert found == []
    context.close()
