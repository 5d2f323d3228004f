"""The page of objections in Chromium: without a script, in light and dark, wide and narrow."""

from __future__ import annotations

import typing as t

import pytest
from playwright.sync_api import Browser, Page, expect

from .conftest import Site

WIDTHS = {"narrow": 320, "wide": 1280}


def luminance(colour: str) -> float:
    """Return the relative luminance (WCAG 2.2) of a colour such as "rgb(1, 2, 3)"."""
    channels = [int(part) / 255 for part in colour.partition("(")[2].rstrip(")").split(",")[:3]]
    red, green, blue = (
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(page: Page, text: str, behind: str) -> float:
    """Return the contrast between the text of one element and the background of another."""
    script = """([a, b]) => [
        getComputedStyle(document.querySelector(a)).color,
        getComputedStyle(document.querySelector(b)).backgroundColor,
    ]"""
    colours: list[str] = page.evaluate(script, [text, behind])
    darker, lighter = sorted(map(luminance, colours))
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_a_visitor_objects_without_a_script(
    chromium: Browser, site: Site, scheme: t.Literal["light", "dark"], width: str
) -> None:
    """The page fits, can be read, and does what it says; nothing breaks its own policy."""
    context = chromium.new_context(
        viewport={"width": WIDTHS[width], "height": 800},
        color_scheme=scheme,
        java_script_enabled=False,
    )
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.goto(f"{site.url}/_et/privacy")
    expect(page.get_by_role("status")).to_have_text("Your visits are measured.")
    page.get_by_role("button", name="Do not measure my visits").click()
    expect(page.get_by_role("status")).to_have_text("Your visits are not measured.")
    assert [cookie["name"] for cookie in context.cookies()] == ["eventtrack_consent"]
    expect(page.get_by_role("button")).to_have_count(1)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert contrast(page, "h1", "body") > 7
    assert contrast(page, ".reason", ".choice") > 4.5
    page.get_by_role("button", name="Measure my visits").click()
    expect(page.get_by_role("status")).to_have_text("Your visits are measured.")
    assert contrast(page, "button.primary", "button.primary") > 4.5
    context.close()
    assert complaints == []
