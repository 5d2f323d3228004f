"""URLs as they are recorded: without secrets and cut to a length. Campaigns are read from them."""

from __future__ import annotations

import collections.abc as cabc
import functools
import re
import typing as t
import urllib.parse

from ..origins import MAX_RAW_LENGTH, site_of
from ..records import CAMPAIGN
from ..text import clean_text
from .click_ids import CLICK_IDS
from .masking import MASKED
from .secret_names import is_secret_name

MAX_LENGTH = 2000
_SAFE = "/%:@!$&'()*+,;=~-._"
_SERVER_TITLE_MAX_LENGTH = 255
_MAX_DEPTH = 4
_ENCODED = re.compile("[=%+]")
_DELIMITER = re.compile("([?#&;])")
_RUN = re.compile(r"[^\s\"'<>]++")
# What begins a link or its parameters, also encoded, once or more often.
_LINK_SIGN = re.compile(
    r"[?#;]|://|//[^/?#@\s]*+@|%(?:25)*+(?:3[FfBb]|23|2[Ff]%(?:25)*+2[Ff])",
)
# A password may have an `@` in it.
_USER = re.compile(r"//(?:[^/?#@\s]*+@)++")
# Each of these may begin a part, or another level of encoding, which takes time to clean.
_SIGNS = (*"?#&;=+", "%2", "%3", "25")
_MAX_SIGNS = 500
# No card number is longer than the seam, and no name in an e-mail address (RFC 5321): what is left
# of one that was cut in two.
_BEGINNING, _SEAM = 1000, 64
# `user[code]`, `code[]`, `code.x`
_NAME_PARTS, _MAX_NAME = re.compile(r"[][.]+"), 128
_QUOTED_MARK = re.compile(r"%5B(email|card|token|masked)%5D")
# A referrer of an app: the host is the name of its package, or its number.
_APP = re.compile(r"(?:android|ios)-app://[\w.-]{1,255}(?![^/?#])", re.ASCII | re.IGNORECASE)
# The first of these that a URL has names its source.
_SOURCES = ("utm_source", "source", "ref")
_CAMPAIGN_SIGNS = ("utm_", "source", "ref", *CLICK_IDS)
_MAX_CAMPAIGN = 600


class UrlCleaner:
    """Removes user names, fragments, secret query parameters and click ids from URLs,
    and from URLs that are values in their queries.

    :param keeps_routes: whether to keep a fragment that is a route (``#/path?query``, ``#!path``).
    :param mask: replaces personal data in the rest of a text.
    """

    def __init__(
        self,
        secret_parameters: cabc.Iterable[str],
        *,
        keeps_routes: bool = False,
        mask: cabc.Callable[[str], str] | None = None,
    ) -> None:
        self._secrets = frozenset(secret_parameters)
        self._keeps_routes = keeps_routes
        self._masks = mask is not None
        self.mask: cabc.Callable[[str], str] = mask or str
        # The same pages come again and again, as URLs and as referrers.
        self._clean_known = _remember(self._clean)
        self._clean_referrer_known = _remember(self._clean_referrer)
        self._clean_query_known = _remember(self._clean_query)
        self._clean_path_known = _remember(self._clean_path)
        self._clean_text_known = _remember(self._clean_text)
        #: Cleans the title of a page, which has at most 2,000 characters, and cuts it.
        self.clean_title: t.Final = _remember(self._clean_title)

    def clean(self, url: str) -> str:
        """Return ``url`` as it may be stored, or "" if it is no http or https URL."""
        return self._clean_known(url) if len(url) <= MAX_LENGTH else self._clean(url)

    def clean_link(self, url: str) -> str:
        """Clean the address of a link in the same way. It keeps its fragment, without secrets."""
        return self._clean(url, is_link=True)

    def _clean(self, url: str, *, is_link: bool = False) -> str:
        try:
            parts = _split(clean_text(url))
            host, port = parts.hostname or "", parts.port
        except ValueError:
            return ""
        # urlsplit() takes brackets anywhere before the path, and would refuse what they leave here.
        if parts.scheme not in {"http", "https"} or not host or "]" in host:
            return ""
        netloc = (f"[{host}]" if ":" in host else host) + (f":{port}" if port else "")
        path = _quote(self._strip(parts.path))
        query = self.clean_query(parts.query)
        fragment = self._clean_fragment(parts.fragment, is_link=is_link)
        rest = f"{path}{'?' + query if query else ''}{'#' + fragment if fragment else ''}"
        return f"{parts.scheme}://{netloc}{self.mask(rest)}"[:MAX_LENGTH]

    def clean_referrer(self, url: str) -> str:
        """Clean a referrer in the same way. Of an app's address (``android-app://com.example/…``),
        scheme and host are kept."""
        known = len(url) <= MAX_LENGTH
        return self._clean_referrer_known(url) if known else self._clean_referrer(url)

    def _clean_referrer(self, url: str) -> str:
        app = _APP.match(url)
        return f"{app[0].lower()}/" if app else self._clean(url)

    def _clean_fragment(self, fragment: str, *, is_link: bool) -> str:
        if fragment.startswith(("/", "!")):
            return self._clean_route(fragment) if is_link or self._keeps_routes else ""
        # A token that a log-in leaves in the fragment (RFC 6749, section 4.2.2).
        names = (part for part in re.split("[/?&;#]", fragment) if "=" in part)
        if not is_link or any(map(self._is_secret, names)):
            return ""
        return _quote(self._strip(fragment), safe=_SAFE + "?")

    def _clean_route(self, fragment: str) -> str:
        path, _, query = fragment.partition("#")[0].partition("?")
        # Such a token is no route.
        if any(map(self._is_secret, re.split("[!/&;]", path))):
            return ""
        query = self.clean_query(query)
        return f"{_quote(self._strip(path))}{'?' + query if query else ''}"

    def compose(self, scheme: str, host: str, path: str, query: str) -> str:
        """Return a request's URL as it may be stored, or only its path if the host is invalid."""
        quoted = _quote(path, safe=_SAFE.replace("%", ""))
        url = self.clean(f"{scheme}://{host}{quoted}{'?' + query if query else ''}")
        return url or quoted[:MAX_LENGTH]

    def clean_query(self, query: str) -> str:
        """Return ``query`` without secrets and personal data, cut to a length."""
        known = len(query) <= MAX_LENGTH
        return self._clean_query_known(query) if known else self._clean_query(query)

    def _clean_query(self, query: str) -> str:
        if len(query) > MAX_RAW_LENGTH:  # without what is cut in two
            query = query[:MAX_RAW_LENGTH].rpartition("&")[0]
        return self.mask(_quote(self._strip(query, is_query=True), safe=_SAFE + "?"))[:MAX_LENGTH]

    def clean_path(self, path: str) -> str:
        """Return the path of a request, which is decoded, in the same way."""
        return self._clean_path_known(path) if len(path) <= MAX_LENGTH else self._clean_path(path)

    def _clean_path(self, path: str) -> str:
        return self.mask(self._strip(path[:MAX_RAW_LENGTH]))[:MAX_LENGTH]

    def clean_text(self, text: str) -> str:
        """Return any text of a page or a browser without personal data, and the links in it without
        secrets."""
        return self._clean_text_known(text) if len(text) <= MAX_LENGTH else self._clean_text(text)

    def _clean_text(self, text: str) -> str:
        if _LINK_SIGN.search(text):
            clean = self._strip if count_signs(text) <= _MAX_SIGNS else _mask_link
            text = _RUN.sub(lambda run: clean(run[0]) if is_link(run[0]) else run[0], text)
        return self.mask(text)

    def _clean_title(self, title: str) -> str:
        return clean_beginning(title, self.clean_text)[:_SERVER_TITLE_MAX_LENGTH]

    def _strip(self, text: str, depth: int = 0, *, is_query: bool = False) -> str:
        """Return a URL, path or query without secret parameters and click ids, nor those of
        URLs within; or ``[masked]`` if it has too many signs.

        :param is_query: whether the text begins with a parameter, which may have no value.
        """
        if "@" in text:
            text = _USER.sub("//", text)
        if not is_query and not _ENCODED.search(text):
            return text
        if not depth and count_signs(text) > _MAX_SIGNS:
            return _mask_link(text)
        kept, opener = "", None
        first, *rest = _DELIMITER.split(text)
        for delimiter, part in (("", first), *zip(rest[::2], rest[1::2], strict=True)):
            if is_query and not part:
                continue
            if opener is not None and delimiter == ";":  # the rest of a secret value
                continue
            if self._is_secret(part) and (is_query or "=" in part):
                opener = delimiter if opener is None else opener
                continue
            # What follows a removed `?token=…&` takes its `?`.
            between = delimiter if opener is None or delimiter in {"?", "#"} else opener
            cleaned = _cut_click_id(part) or self._clean_part(part, depth)
            kept += (between if kept or not is_query else "") + cleaned
            opener = None
        return kept

    def _clean_part(self, part: str, depth: int) -> str:
        """Return a parameter, or a part of a path, with what is encoded in it cleaned."""
        if not _ENCODED.search(part):
            return part
        return "=".join(self._clean_encoded(text, depth) for text in part.split("="))

    def _clean_encoded(self, text: str, depth: int) -> str:
        decoded = urllib.parse.unquote(text)
        # A browser encodes once; a log-in that leads back to a page does so again.
        if depth >= _MAX_DEPTH and decoded != text:
            return MASKED
        cleaned = self.mask(decoded if decoded == text else self._strip(decoded, depth + 1))
        if cleaned == decoded and "+" in decoded:  # a plus, or a space
            decoded = decoded.replace("+", " ")
            cleaned = self.mask(decoded)
        return text if cleaned == decoded else _quote(cleaned, safe="/")

    def _is_secret(self, part: str) -> bool:
        name = urllib.parse.unquote_plus(part.partition("=")[0]).strip()
        known, low = self._secrets, name.lower()
        if low in known or not known.isdisjoint(_NAME_PARTS.split(low[:_MAX_NAME])):
            return True
        return self._masks and "/" not in name and is_secret_name(name)


def count_signs(text: str) -> int:
    """Return how many signs of links a text has: cleaning takes at most 10 µs for each."""
    return sum(map(text.count, _SIGNS))


def is_link(text: str) -> bool:
    """Whether a text has what begins a link or its parameters."""
    return _LINK_SIGN.search(text) is not None


def clean_beginning(text: str, clean: cabc.Callable[[str], str]) -> str:
    """Return the beginning of a text, cleaned: for a title or a label, which is cut afterwards."""
    cleaned = clean(text[:_BEGINNING])
    return cleaned if len(text) <= _BEGINNING else cleaned[:-_SEAM]


def _cut_click_id(part: str) -> str:
    """Return a parameter that numbers a click, without its value; "" of any other."""
    name, equals, _ = part.partition("=")
    plain = urllib.parse.unquote_plus(name).strip() if "%" in name or "+" in name else name
    return f"{name}=" if equals and _campaign_name(plain) in CLICK_IDS else ""


def _mask_link(link: str) -> str:
    return f"/{MASKED}" if link.startswith("/") else MASKED


def _remember(clean: cabc.Callable[[str], str]) -> cabc.Callable[[str], str]:
    return functools.lru_cache(maxsize=2048)(clean)


def _quote(text: str, safe: str = _SAFE) -> str:
    quoted = urllib.parse.quote(text, safe=safe)
    return _QUOTED_MARK.sub(r"[\1]", quoted) if "%5B" in quoted else quoted


def campaign_of(url: str, earlier: str = "") -> dict[str, str]:
    """Return the ``utm_*`` parameters of a URL, each cut to 255 characters.

    :param earlier: the campaign of an earlier request of the session (:func:`find_campaign`). It
        counts if the URL names no campaign and no source.
    """
    given = _read_campaign(query_of(url)) if host_of(url) else {}
    return {
        name: value
        for name, value in (given or _read_campaign(earlier)).items()
        if name in CAMPAIGN
    }


def has_paid_click(url: str, earlier: str = "") -> bool:
    """Whether a URL has the parameter of a click that is paid for.

    :param earlier: as for :func:`campaign_of`.
    """
    given = _read_campaign(query_of(url)) or _read_campaign(earlier)
    return any(CLICK_IDS[name].is_paid for name in given.keys() & CLICK_IDS.keys())


def find_campaign(query: str) -> str:
    """Return the parameters of a query that name a campaign or a source, as a short query.

    A click id is not among them, only the name of its parameter.
    """
    found = ""
    for name, value in _read_campaign(query).items():
        longer = f"{found}&{name}={urllib.parse.quote_plus(value)}".lstrip("&")
        found = longer if len(longer) <= _MAX_CAMPAIGN else found
    return found


def _read_campaign(query: str) -> dict[str, str]:
    if not any(map(query.lower().__contains__, _CAMPAIGN_SIGNS)):
        return {}
    pairs = [
        (_campaign_name(name), value.strip())
        for name, value in urllib.parse.parse_qsl(query, keep_blank_values=True)
    ]
    given = {name: value for name, value in pairs if value}
    names = (*CAMPAIGN, *_SOURCES)
    found = {name: clean_text(given[name])[:255].strip() for name in names if name in given}
    return found | {name: "" for name, _ in pairs if name in CLICK_IDS}


def _campaign_name(name: str) -> str:
    """Return a parameter's name without what PHP adds (``[]``), and links that are escaped twice
    (``&amp;``)."""
    return name.lower().removeprefix("amp;").partition("[")[0]


def query_of(url: str) -> str:
    return url.partition("#")[0].partition("?")[2]


def source_of(
    url: str,
    referrer: str,
    earlier: str = "",
    is_own: cabc.Callable[[str], bool] = lambda host: False,
    is_detour: cabc.Callable[[str], bool] = lambda host: False,
) -> str:
    """Return the source of a visit: the one in its URL, the host of another site, or "direct".

    In a URL it is ``utm_source``, ``source`` or ``ref``, which may be a URL itself, or the service
    that has numbered the click.

    :param earlier: as for :func:`campaign_of`.
    :param is_own: whether a host is one of the app's own, by its settings.
    :param is_detour: whether people come back from a host, as from a payment page. It is no source,
        and ``source`` and ``ref`` may be parameters of its own.
    """
    own, host = _bare(host_of(url)), host_of(referrer)

    def is_ours(link: str) -> bool:
        """Whether a link leads to a page of the app's, such as the one to go back to."""
        host = host_of(link)
        return (_bare(host) == own or is_own(host)) if host else link.startswith("/")

    returns = bool(host) and is_detour(host)
    given = _read_campaign(query_of(url)) or _read_campaign(earlier)
    named = [given[name] for name in (_SOURCES[:1] if returns else _SOURCES) if name in given]
    named += [CLICK_IDS[name].source for name in given if name in CLICK_IDS]
    if host and not returns:
        named.append(referrer)
    source = next((name for name in named if not is_ours(name)), "")
    return host_of(source) or source or "direct"


def _bare(host: str) -> str:
    """Return a host's name in its normal form, without "www."."""
    return (site_of(host) or host).removeprefix("www.")


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
