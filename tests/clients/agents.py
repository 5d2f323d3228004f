"""User agents, and the session that a visit with one of them makes."""

from __future__ import annotations

import typing as t

from ..hosts import CHROME, Host

WINDOWS = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko)"
MAC = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko)"
IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_4 like Mac OS X) AppleWebKit/605.1.15"
IPAD = "Mozilla/5.0 (iPad; CPU OS 15_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko)"
PIXEL = "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko)"
TAB = "Mozilla/5.0 (Linux; Android 13; SM-X700) AppleWebKit/537.36 (KHTML, like Gecko)"


def session_of(host: Host, path: str = "/", **request: t.Any) -> dict[str, t.Any]:
    """Visit a page and return the row of its session."""
    client = host.client(request.pop("agent", CHROME))
    assert client.get(path, **request).status_code == 200
    [session] = host.rows("session")
    return session
