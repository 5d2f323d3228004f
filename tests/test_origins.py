"""Where a URL leads."""

from __future__ import annotations

import pytest

from flask_eventtrack.origins import Origin, origin_of


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://shop.example.com", Origin("https", "shop.example.com", 443)),
        ("HTTP://Shop.Example:80/a?b#c", Origin("http", "shop.example", 80)),
        ("https://user:password@shop.example:8443/", Origin("https", "shop.example", 8443)),
        ("http://[::1]:5000/", Origin("http", "::1", 5000)),
        ("http://shop.example:0", Origin("http", "shop.example", 0)),
        ("app://shop", Origin("app", "shop", None)),
        ("http://shop.example/" + "x" * 100_000, Origin("http", "shop.example", 80)),
        *((url, None) for url in ("", "/", "null", "shop.example", "mailto:a@b.example")),
        *((url, None) for url in ("http://", "http://[::1", "http://a:99999", "http://a:b")),
    ],
)
def test_origin_is_read_off_a_url(url: str, origin: Origin | None) -> None:
    """In lower case and with the scheme's port; None where a URL has no host or is malformed."""
    assert origin_of(url) == origin
