"""The titles of pages."""

from __future__ import annotations

import time

import pytest
from flask import Response

from flask_eventtrack.pages.title import parse_title
from flask_eventtrack.text import clip_label

from ..conftest import MakeHost
from ..hosts import NAVIGATION, SAME_ORIGIN, Host


@pytest.mark.parametrize(
    ("document", "title"),
    [
        ("<title>Home</title>", "Home"),
        ("<html><head><meta charset=utf-8><title>Home</title></head>", "Home"),
        ("<TITLE lang='en'>Home</TITLE >", "Home"),
        ("<title>\n  Two\n\tlines  </title>", "Two lines"),
        ("<title>Tom &amp; Jerry &lt;3 &#128512;</title>", "Tom & Jerry <3 😀"),
        ("<title>Zoë — 日本</title>", "Zoë — 日本"),
        ("<title></title><title>Second</title>", ""),
        ("<!-- <title>No</title> --><title>Yes</title>", "Yes"),
        ("<script>'<title>No</title>'</script><title>Yes</title>", "Yes"),
        ("<svg><title>No</title></svg><title>Yes</title>", "Yes"),
        ("<template><title>No</title></template><title>Yes</title>", "Yes"),
        ("<style>/*<title>No</title>*/</style><title>Yes</title>", "Yes"),
        ("<head></head><title>Late</title>", ""),
        ("<body><title>Late</title>", ""),
        ("<title>Never closed", ""),
        ("<titles>No</titles>", ""),
        ("<p>none</p>", ""),
        ("", ""),
        (f"<title>{'x' * 300}</title>", "x" * 255),
        (f"<!--{'x' * 60_000}--><title>Far</title>", "Far"),
        (f"<!--{'x' * 70_000}--><title>Too far</title>", ""),
    ],
    ids=lambda text: text[:40],
)
def test_title_of_a_visit_is_the_documents(host: Host, document: str, title: str) -> None:
    """The first <title> of the head; the label falls back to the path."""
    host.app.add_url_rule("/page", "page", lambda: document)
    host.client().get("/page", headers=NAVIGATION)
    [visit] = host.events_of("page.visit")
    assert visit["params"].get("title", "") == title
    assert visit["label"] == clip_label(f"Visited page {title or '/page'}")


def test_title_that_is_no_utf8_is_read_as_far_as_it_goes() -> None:
    """What cannot be read is replaced."""
    assert parse_title(b"<title>Caf\xe9</title>") == "Caf\ufffd"


def test_title_in_the_charset_of_the_answer(host: Host) -> None:
    """Content-Type says how the bytes are meant."""
    content_type = {"Content-Type": "text/html; charset=iso-8859-1"}
    answer = ("<title>Café</title>".encode("latin-1"), 200, content_type)
    host.app.add_url_rule("/latin", "latin", lambda: answer)
    host.client().get("/latin", headers=NAVIGATION)
    assert host.events_of("page.visit")[0]["params"]["title"] == "Café"


@pytest.mark.parametrize("charset", ["klingon", "x" * 300, "hex"])
def test_title_in_a_charset_that_nobody_knows(host: Host, charset: str) -> None:
    """It is read as UTF-8, and the page is answered as ever."""
    content_type = {"Content-Type": f"text/html; charset={charset}"}
    host.app.add_url_rule("/x", "x", lambda: ("<title>Café</title>", 200, content_type))
    assert host.client().get("/x", headers=NAVIGATION).status_code == 200
    assert host.events_of("page.visit")[0]["params"]["title"] == "Café"


def test_title_with_what_no_database_stores(db_host: Host) -> None:
    """A NUL in a title does not hold up the batch."""
    db_host.app.add_url_rule("/nul", "nul", lambda: "<title>a\x00b&#0;&#xd800;</title>")
    db_host.client().get("/nul", headers=NAVIGATION)
    assert db_host.events_of("page.visit")[0]["params"]["title"] == "a\ufffdb\ufffd\ufffd"


@pytest.mark.parametrize("length", [230, 239, 243, 250, 980, 990])
@pytest.mark.parametrize(
    ("secret", "rest"),
    [("4111 1111 1111 1111", "4111"), ("ada.lovelace@example.com", "ada"), ("/a?pin=4711", "471")],
)
def test_title_and_label_are_cut_after_they_are_masked(
    host: Host, length: int, secret: str, rest: str
) -> None:
    """What the cut leaves of a secret would not look like one."""
    text = f"{'[token] ' * (length // 8)}{'x' * (length % 8)} {secret}"
    host.app.add_url_rule("/page", "page", lambda: f"<title>{text}</title>")
    client = host.client()
    client.get("/page", headers=NAVIGATION)
    for label in (text, text.replace("[token]", "a@b.de ")):
        event = {"action": "button.click", "label": label}
        assert client.post("/_et/in", json=event, headers=SAME_ORIGIN).status_code == 202
    [visit] = host.events_of("page.visit")
    labels = [row["label"] for row in host.events_of("button.click")]
    for stored in (visit["params"]["title"], visit["label"], *labels):
        assert rest not in stored
        assert len(stored) <= 255


@pytest.mark.parametrize("tag", ["<script", "<!--", "<title>", "<svg", "<title ", "<template>"])
def test_title_is_sought_in_linear_time(tag: str) -> None:
    """64 KiB of tags that are never closed take milliseconds of the request's thread."""
    document = (tag * 65_536)[:65_536].encode()
    before = time.process_time()
    assert parse_title(document) == ""
    assert time.process_time() - before < 0.5


@pytest.mark.parametrize(
    ("body", "title"),
    [
        ("<title>Caf&eacute; &lt;3</title>", "Café <3"),
        ("<TITLE lang=en>\n  Two\n  lines </TITLE>", "Two lines"),
        ("<!-- <title>No</title> --><title>Yes</title>", "Yes"),
        ("<script>'<title>No</title>'</script><title>Yes</title>", "Yes"),
        ("<head></head><body><svg><title>Icon</title></svg>", None),
        ("<svg><title>Icon</title></svg><title>Yes</title>", "Yes"),
        ("<p>no head, no body, no title", None),
        ("<title>" + "x" * 300 + "</title>", "x" * 255),
        ("<title>cut\0off</title>", "cut\ufffdoff"),
        ("<title>never closed", None),
        ("", None),
    ],
)
def test_title_of_a_response(make: MakeHost, body: str, title: str | None) -> None:
    """The document's own title is read, wherever it stands, and no other's."""
    host = make()
    host.app.add_url_rule("/x", view_func=lambda: Response(body, mimetype="text/html"))
    assert host.client().get("/x").get_data(as_text=True) == body
    [visit] = host.events_of("page.visit")
    assert visit["params"].get("title") == title
    assert visit["label"].startswith(f"Visited page {title or '/x'}"[:254])
