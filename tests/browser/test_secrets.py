"""Fields of tagged forms that are never read, and what is written on a tagged field."""

from __future__ import annotations

import urllib.parse

import pytest
from playwright.sync_api import Page

from .conftest import Site
from .secrets import CALLED, CHANGED, SHOWN, SOUNDING
from .test_declarative import IMPORT, await_count

COMPLETED = (
    "current-password new-password one-time-code cc-number cc-csc cc-exp-month CC-NUMBER "
    "section-a|billing|cc-name|webauthn"
)
SECRETS = {
    "name": CALLED.split(),
    "autocomplete": COMPLETED.split(),
    "id": ["login_password", "card-cvc", "user-pin"],
    "aria-label": ["Card number", "PIN", "Security code"],
    "placeholder": ["Your password", "CVC"],
}
HARMLESS = {
    "name": SOUNDING.split(),
    "autocomplete": ["on", "off", "email", "postal-code", "street-address"],
    "id": ["spin", "shopping-pinboard"],
    "aria-label": ["Shipping address", "Your opinion"],
    "placeholder": ["Pinot noir"],
}


def open_form(site: Site, page: Page, path: str) -> None:
    with page.expect_response("**/more.js"):
        page.goto(site.url + path)
    page.evaluate(IMPORT, "./more.js")
    page.evaluate(IMPORT, "./tagged.js")


def sent(site: Site) -> dict[str, object]:
    """Return the fields of the one form that was submitted."""
    [params] = await_count(site, "form.submit", 1)
    return {k: v for k, v in params.items() if k not in {"url", "title", "visit", "form"}}


@pytest.mark.parametrize("first", ["typed", "shown"])
@pytest.mark.parametrize(
    ("root", "name"),
    [*(("shown", name) for name in SHOWN), ("shadow", "type"), ("shadow", "replaced")],
)
def test_password_that_a_button_shows_is_not_sent(
    site: Site, page: Page, root: str, first: str, name: str
) -> None:
    """Its type changes, another field takes its place, or a style sheet hid it; before or after
    somebody types it, in the document and in a shadow root."""
    open_form(site, page, f"/{root}/{name}")
    if first == "typed":
        page.fill("[name=a]", "hunter2")
        page.click("#show")
    else:
        page.click("[name=a]")
        page.click("#show")
    page.fill("[name=a]", "hunter2")
    page.click("#go")
    assert sent(site) == {"topic": "tea"}


@pytest.mark.parametrize("name", CHANGED)
def test_field_that_changes_after_it_was_filled_is_not_sent(
    site: Site, page: Page, name: str
) -> None:
    """It was a password and has another name now, or a style sheet hides it only now."""
    open_form(site, page, f"/shown/{name}")
    page.fill("#a", "hunter2")
    page.click("#show")
    page.click("#go")
    assert sent(site) == {"topic": "tea"}


@pytest.mark.parametrize("late", ["more.js", "tagged.js"])
def test_password_shown_before_the_files_have_come_is_not_sent(
    site: Site, page: Page, late: str
) -> None:
    """The field of its name, or its own look, tells."""
    held = []
    page.route(f"**/{late}", lambda route: held.append(route))
    with page.expect_request(f"**/{late}"):
        page.goto(f"{site.url}/shown/type")
    if late == "tagged.js":
        page.click("#show")
    page.fill("#a", "hunter2")
    while not held:
        page.wait_for_timeout(20)
    held[0].continue_()
    page.evaluate(IMPORT, "./more.js")
    page.evaluate(IMPORT, "./tagged.js")
    page.click("#show")
    page.click("#go")
    assert sent(site) == {"topic": "tea"}


@pytest.mark.parametrize("attribute", SECRETS)
def test_field_that_is_called_a_secret_is_not_sent(site: Site, page: Page, attribute: str) -> None:
    """By whole words of its name, id, label, placeholder or autocomplete, in any spelling."""
    values = [value.replace("|", " ") for value in SECRETS[attribute]]
    query = urllib.parse.urlencode({"attribute": attribute, "value": values}, doseq=True)
    open_form(site, page, f"/fields?{query}")
    page.click("#go")
    found = sent(site)
    assert [value for n, value in enumerate(values) if f"f{n}" in found] == []
    assert found == {"topic": "tea"}


@pytest.mark.parametrize("attribute", HARMLESS)
def test_field_that_only_sounds_like_a_secret_is_sent(
    site: Site, page: Page, attribute: str
) -> None:
    """`shipping` has a pin in it, and `opinion`."""
    values = HARMLESS[attribute]
    query = urllib.parse.urlencode({"attribute": attribute, "value": values}, doseq=True)
    open_form(site, page, f"/fields?{query}")
    page.click("#go")
    found = sent(site)
    assert [value for n, value in enumerate(values) if f"f{n}" not in found] == []


def test_what_is_typed_into_a_tagged_field_is_no_text_of_a_click(site: Site, page: Page) -> None:
    """A click's text is a button's value, but never what a visitor typed into a field."""
    open_form(site, page, "/tagged/fields")
    for name in ("password", "search", "words", "colour", "note", "send"):
        page.click(f"#{name}")
    found = await_count(site, "button.click", 6)
    assert [params["text"] for params in found] == ["", "", "", "", "", "Send it"]


def test_field_in_a_skipped_part_is_not_sent(site: Site, page: Page) -> None:
    """Content that others write may join any form; `data-eventtrack-skip` around it ends that."""
    open_form(site, page, "/tagged/guest")
    page.click("#go")
    assert sent(site) == {"topic": "tea"}
