"""URLs as they are recorded: without secrets and cut to a length. Campaigns are read from them."""

from __future__ import annotations

import collections.abc as cabc
import functools
import re
import urllib.parse

from ..origins import MAX_RAW_LENGTH
from ..records import CAMPAIGN
from ..text import clean_text

MAX_LENGTH = 2000
_SAFE = "/%:@!$&'()*+,;=~-._"


class UrlCleaner:
    """Removes user names, fragments and secret query parameters from URLs.

    :param keeps_routes: whether to keep a fragment that is a route (``#/path?query``, ``#!path``).
    :param mask: replaces personal data in the rest of a text.
    """

    def __init__(
        self,
        secret_parameters: cabc.Iterable[str],
        *,
        keeps_routes: bool = False,
        mask: cabc.Callable[[str], str] = str,
    ) -> None:
        self._secrets = frozenset(secret_parameters)
        self._keeps_routes = keeps_routes
        self.mask = mask
        # The same pages come again and again, as URLs and as referrers.
        self._clean_known = functools.lru_cache(maxsize=2048)(self._clean)

    def clean(self, url: str) -> str:
        """Return ``url`` as it may be stored, or "" if it is no http or https URL."""
        return self._clean_known(url) if len(url) <= MAX_LENGTH else self._clean(url)

    def _clean(self, url: str) -> str:
        try:
            parts = _split(clean_text(url))
            host, port = parts.hostname or "", parts.port
        except ValueError:
            return ""
        # urlsplit() takes brackets anywhere before the path, and would refuse what they leave here.
        if parts.scheme not in {"http", "https"} or not host or "]" in host:
            return ""
        netloc = (f"[{host}]" if ":" in host else host) + (f":{port}" if port else "")
        path = urllib.parse.quote(parts.path, safe=_SAFE)
        query = self.clean_query(parts.query)
        route = self._clean_route(parts.fragment)
        rest = f"{path}{'?' + query if query else ''}{'#' + route if route else ''}"
        return f"{parts.scheme}://{netloc}{self.mask(rest)}"[:MAX_LENGTH]

    def _clean_route(self, fragment: str) -> str:
        if not (self._keeps_routes and fragment.startswith(("/", "!"))):
            return ""
        path, _, query = fragment.partition("#")[0].partition("?")
        # A token that a log-in leaves in the fragment (RFC 6749, section 4.2.2) is no route.
        if any(map(self._is_secret, re.split("[!/&;]", path))):
            return ""
        query = self.clean_query(query)
        return f"{urllib.parse.quote(path, safe=_SAFE)}{'?' + query if query else ''}"

    def compose(self, scheme: str, host: str, path: str, query: str) -> str:
        """Return a request's URL as it may be stored, or only its path if the host is invalid."""
        quoted = urllib.parse.quote(path, safe="/:@!$&'()*+,;=~-._")
        url = self.clean(f"{scheme}://{host}{quoted}{'?' + query if query else ''}")
        return url or quoted[:MAX_LENGTH]

    def clean_query(self, query: str) -> str:
        """Return ``query`` without the parameters that look like secrets."""
        if not query:
            return ""
        kept = [part for part in query.split("&") if part and not self._is_secret(part)]
        return urllib.parse.quote("&".join(kept), safe=_SAFE + "?")

    def _is_secret(self, part: str) -> bool:
        name = urllib.parse.unquote_plus(part.partition("=")[0]).lower()
        return name in self._secrets


def campaign_of(url: str) -> dict[str, str]:
    """Return the ``utm_*`` parameters of a URL, each cut to 255 characters."""
    if "utm_" not in url or not host_of(url):
        return {}
    values = dict(urllib.parse.parse_qsl(url.partition("#")[0].partition("?")[2]))
    return {name: clean_text(values[name])[:255] for name in CAMPAIGN if values.get(name)}


def source_of(url: str, referrer: str) -> str:
    """Return the source of a visit: its ``utm_source``, the host of another site, or "direct"."""
    campaign = campaign_of(url)
    if "utm_source" in campaign:
        return campaign["utm_source"]
    origin = host_of(referrer)
    return origin if origin and origin != host_of(url) else "direct"


def host_of(url: str) -> str:
    """Return the host name of a URL in lower case, without its port, or ""."""
    try:
        return (_split(url).hostname or "")[:255]
    except ValueError:
        return ""


def path_of(url: str) -> str:
    """Return the path of a URL, decoded, or ""."""
    try:
        return clean_text(urllib.parse.unquote(_split(url).path))[:255]
    except ValueError:
        return ""


def _split(url: str) -> urllib.parse.SplitResult:
    """Split a URL, cut to a length first: ``urlsplit()`` caches what it is given."""
    return urllib.parse.urlsplit(url[:MAX_RAW_LENGTH])


def site_of(host: str) -> str:
    """Return a host name in lower case, without its port, cut to 255 characters."""
    name, colon, port = host.rpartition(":")
    return (name if colon and port.isdigit() else host).lower()[:255]
