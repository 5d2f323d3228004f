"""The scripts, and how they are served."""

from __future__ import annotations

import gzip

import pytest

from flask_eventtrack.browser import CORE

from ..hosts import NAVIGATION, Host
from .senders import problem_of, script_of


def test_the_script_is_served_for_ever(host: Host) -> None:
    """The address names the content, so caches keep it; no visitor is in it."""
    response = host.client().get(script_of(host.client()))
    assert (response.status_code, response.mimetype) == (200, "text/javascript")
    assert response.data == host.state.scripts[CORE].source
    assert response.headers["Cache-Control"] == (
        "public, max-age=31536000, immutable, no-transform"
    )
    assert response.headers["Vary"] == "Accept-Encoding"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert "Set-Cookie" not in response.headers


@pytest.mark.parametrize(
    ("accepted", "encoding"),
    [
        ("gzip", "gzip"),
        ("gzip, deflate, br, zstd", "br"),
        ("*", "br"),
        ("gzip;q=0", None),
        ("identity", None),
        ("gzip, br;q=0", "gzip"),
        ("br", "br"),
        ("", None),
        ("nonsense;;q=x", None),
    ],
)
def test_the_script_is_compressed_when_that_is_accepted(
    host: Host, accepted: str, encoding: str | None
) -> None:
    """All forms hold the same script; brotli's is the smallest."""
    response = host.client().get(script_of(host.client()), headers={"Accept-Encoding": accepted})
    assert response.headers.get("Content-Encoding") == encoding
    script = host.state.scripts[CORE]
    body = gzip.decompress(response.data) if encoding == "gzip" else response.data
    assert body == (script.brotli if encoding == "br" else script.source)


@pytest.mark.parametrize("digest", ["0123456789abcdef", "x", "../in", "%00", "é"])
def test_a_wrong_digest_is_not_found(host: Host, digest: str) -> None:
    """An address of another release must not be cached with this one's content."""
    assert problem_of(host.client().get(f"/_et/{digest}/et.js")) == (404, "not_found")


def test_two_visitors_load_the_same_script(host: Host) -> None:
    """The tag differs by visit, the script does not."""
    first, second = host.client(), host.client()
    assert script_of(first) == script_of(second)
    assert first.get(script_of(first)).data == second.get(script_of(second)).data
    tags = {client.get("/", headers=NAVIGATION).text for client in (first, second)}
    assert len(tags) == 2


def test_loading_the_script_is_no_visit(host: Host) -> None:
    """Our own addresses record nothing."""
    for path in (f"/_et{host.state.scripts.path(CORE)}", "/_et/in", "/_et/"):
        host.client().get(path, headers=NAVIGATION)
    assert host.rows("event") == []
