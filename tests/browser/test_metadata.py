from __future__ import annotations

import json
import typing as t

import pytest
from playwright.sync_api import Page

from .conftest import Site

TRACK = "args => new Promise(done => eventtrack.push(et => et.track(...args).then(done)))"
FLUSH = "() => new Promise(done => eventtrack.push(et => et.flush().then(done)))"


def visit(site: Site, page: Page, name: str) -> dict[str, t.Any]:
    """Return the params of the visit of a page, without those that every page has."""
    page.goto(f"{site.url}/about/{name}")
    [row] = site.await_claims(1)
    common = {"url", "path", "endpoint", "url_rule", "title", "status", "duration_ms", "referrer"}
    common |= {"viewport", "screen", "language", "timezone_offset"}
    return {name: value for name, value in row["params"].items() if name not in common}


def test_visit_has_what_json_ld_says(site: Site, page: Page) -> None:
    """The subject is found in a graph, beside broken and odd blocks; references are followed."""
    assert visit(site, page, "article") == {
        "canonical": f"{site.url}/articles/7",
        "content_type": "NewsArticle",
        "content_id": "7",
        "object_type": "NewsArticle",
        "object_id": "7",
        "publisher": "The Daily Ltd",
        "author": ["Ada", "Bob"],
        "section": "Numbers",
        "opengraph": {
            "og:title": "Seven",
            "og:image": ["/one.png", "/two.png"],
            "article:section": "Not this one",
        },
    }


def test_visit_has_what_opengraph_says(site: Site, page: Page) -> None:
    """Without JSON-LD the product's properties stand in; a repeated one is a list."""
    assert visit(site, page, "product") == {
        "content_type": "product",
        "content_id": "K-02",
        "publisher": "The Shelf",
        "author": "Ada",
        "section": "Teapots",
        "opengraph": {
            "og:type": "product",
            "og:site_name": "The Shelf",
            "product:retailer_part_no": "K-02",
            "product:category": ["Kitchen", "Tea"],
            "product:price:amount": "1,000.00",
        },
    }


def test_page_that_says_nothing_has_no_metadata(site: Site, page: Page) -> None:
    """No parameter is there to be empty."""
    assert visit(site, page, "plain") == {}


def test_metadata_is_bounded(site: Site, page: Page) -> None:
    """Endless properties, text and nesting are cut: the visit is stored, with 4,000 characters."""
    params = visit(site, page, "huge")
    assert params["author"] == "a" * 255
    assert len(params["section"]) <= 255
    assert 3000 < len(json.dumps(params, ensure_ascii=False)) < 4200
    assert max(len(name) for name in params["opengraph"]) < 64


@pytest.mark.parametrize(
    ("name", "content"),
    [
        (
            "article",
            {
                "content_type": "NewsArticle",
                "content_id": "7",
                "object_type": "NewsArticle",
                "object_id": "7",
                "publisher": "The Daily Ltd",
            },
        ),
        (
            "product",
            {"content_type": "product", "content_id": "K-02", "publisher": "The Shelf"},
        ),
        ("plain", {}),
    ],
)
def test_event_carries_the_pages_content(
    site: Site, page: Page, name: str, content: dict[str, str]
) -> None:
    """Each event says what the page is about; what the caller gives wins."""
    page.goto(f"{site.url}/about/{name}")
    site.await_claims(1)
    page.evaluate(TRACK, ["note.add"])
    page.evaluate(TRACK, ["note.add", {"content_type": "mine"}])
    rows = site.await_actions(page_visit=1, session_start=1, note_add=2)
    first, second = (row["params"] for row in rows if row["action"] == "note.add")
    assert {k: v for k, v in first.items() if k not in {"url", "title", "visit"}} == content
    assert second["content_type"] == "mine"


def test_soft_navigation_has_the_metadata_of_its_own_page(site: Site, page: Page) -> None:
    """What the document says after the navigation belongs to the page that follows."""
    page.goto(f"{site.url}/about/product")
    site.await_claims(1)
    page.evaluate("""() => {
        history.pushState({}, "", "/about/other");
        document.querySelector("[name=author]").content = "Bob";
        document.querySelector("[property='og:type']").content = "other";
        eventtrack.page();
    }""")
    page.evaluate(TRACK, ["note.add"])
    page.evaluate(FLUSH)
    rows = site.await_actions(page_visit=2, session_start=1, note_add=1)
    visits = {row["params"]["path"]: row["params"] for row in rows if "path" in row["params"]}
    assert [visits[f"/about/{name}"]["author"] for name in ("product", "other")] == ["Ada", "Bob"]
    [note] = [row["params"] for row in rows if row["action"] == "note.add"]
    assert note["content_type"] == visits["/about/other"]["content_type"] == "other"
