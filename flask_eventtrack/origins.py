"""Where a URL leads, read once for settings, senders and records."""

from __future__ import annotations

import typing as t
import urllib.parse

#: URLs are first cut to this many characters: ``urlsplit()`` caches what it is given.
MAX_RAW_LENGTH = 8000
_DEFAULT_PORTS = {"http": 80, "https": 443}


class Origin(t.NamedTuple):
    """Scheme, host and port of a URL; without a port, the scheme's default port."""

    scheme: str
    host: str
    port: int | None


def origin_of(url: str) -> Origin | None:
    """Return the origin of a URL in lower case, or None if it has no host or cannot be read."""
    try:
        parts = urllib.parse.urlsplit(url[:MAX_RAW_LENGTH])
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    if port is None:
        port = _DEFAULT_PORTS.get(parts.scheme)
    return Origin(parts.scheme, host, port) if host else None
