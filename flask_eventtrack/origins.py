"""The origin of a URL, and the one form of a host's name, for settings, senders and records."""

from __future__ import annotations

import functools
import ipaddress
import re
import typing as t
import unicodedata
import urllib.parse

#: URLs are first cut to this many characters: ``urlsplit()`` caches what it is given.
MAX_RAW_LENGTH = 8000
_DEFAULT_PORTS = {"http": 80, "https": 443}
_MAX_HOST_LENGTH = 255
_HOST_NAME = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*")


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


@functools.lru_cache(maxsize=1024)
def site_of(host: str) -> str:
    """Return a host's name in the one form by which sites are compared, or "" if it is none.

    That is lower case, in ASCII (Punycode), without port and final dot; an IPv6 address is
    shortened, in brackets.

    :param host: a host name, or the value of a ``Host`` header.
    """
    name, colon, port = host.rpartition(":")
    is_bare_ipv6 = ":" in name and not name.endswith("]")
    if colon and not is_bare_ipv6 and (port.isdigit() or not port):
        host = name
    if ":" in host:
        return _read_ipv6(host.strip("[]").partition("%")[0])
    try:
        name = ".".join(map(_to_ascii, host.rstrip(".").split(".")))
    except ValueError:
        return ""
    return name if len(name) <= _MAX_HOST_LENGTH and _HOST_NAME.fullmatch(name) else ""


def _read_ipv6(text: str) -> str:
    try:
        return f"[{ipaddress.IPv6Address(text)}]"
    except ValueError:
        return ""


def _to_ascii(label: str) -> str:
    """Return a label of a host name as browsers send it (UTS #46, in short)."""
    if label.isascii():
        return label.lower()
    label = unicodedata.normalize("NFKC", label).lower()
    return label if label.isascii() else f"xn--{label.encode('punycode').decode()}"
