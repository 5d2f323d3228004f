"""The script finds its tag where the browser does not name it, and says so if there is none."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, Route

from .conftest import Site
from .test_delivery import settle

TAG = re.compile(r'<script async="" (src=[^>]*)></script>')
#: What loaders make of the tag. None of these has a `document.currentScript`.
LOADERS = {
    "module": r'<script type="module" \1></script>',
    # As Rocket Loader does: the tag is no script, and its text is run later.
    "text": r"""<script type="0123-text/javascript" \1></script><script>
        fetch(document.querySelector("script[src]").getAttribute("src"))
            .then((answer) => answer.text()).then((text) => setTimeout(() => (0, eval)(text)))
        </script>""",
    "import": r"""<script type="text/plain" \1></script><script type="module">
        import(document.querySelector("script[src]").getAttribute("src"))</script>""",
}


def rewrite(page: Page, pattern: str, tag: str) -> None:
    """Have something between server and browser replace the tag."""

    def handle(route: Route) -> None:
        answer = route.fetch()
        body, count = TAG.subn(tag, answer.text())
        assert count == 1
        route.fulfill(response=answer, body=body)

    page.route(pattern, handle)


@pytest.mark.parametrize("loader", LOADERS)
def test_tag_is_found_where_a_loader_runs_the_script(site: Site, page: Page, loader: str) -> None:
    """Visit, settings and the other files are those of the tag."""
    rewrite(page, "**/other", LOADERS[loader])
    with page.expect_response("**/more.js"):
        page.goto(f"{site.url}/other")
    settle(page)
    [visit] = site.await_claims(1)
    assert visit["params"]["status"] == 200
    site.await_actions(page_visit=1, session_start=1)


def test_script_in_a_bundle_says_that_it_has_no_tag(site: Site, page: Page) -> None:
    """Nothing starts; no error reaches the page."""
    warnings: list[str] = []
    page.on("console", lambda message: warnings.append(message.text))
    rewrite(
        page,
        "**/other",
        r"""<script data-was='\1'>setTimeout(() => {
            const src = /src="([^"]*)/.exec(document.querySelector("[data-was]").dataset.was)[1];
            fetch(src).then((answer) => answer.text()).then((text) => (0, eval)(text));
        })</script>""",
    )
    with page.expect_console_message(lambda message: "eventtrack" in message.text):
        page.goto(f"{site.url}/other")
    assert warnings == ["eventtrack: no tag"]
    assert page.evaluate("window.eventtrack") is None
