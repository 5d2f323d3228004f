"""Every ``EVENTTRACK_*`` setting: name, default, meaning and check in one place."""
# ruff: noqa: RUF009 - `_setting` returns a `dataclasses.field`

from __future__ import annotations

import collections.abc as cabc
import contextlib
import dataclasses
import datetime as dt
import difflib
import functools
import hashlib
import inspect
import math
import os
import pathlib
import re
import typing as t
import zoneinfo

from .errors import ConfigError
from .origins import origin_of, site_of
from .text import clean_text

PREFIX = "EVENTTRACK_"

SitePatterns = cabc.Mapping[str, tuple[str, ...]]
Keeps = cabc.Mapping[str, dt.timedelta]
MaskRules = tuple[re.Pattern[str] | cabc.Callable[[str], str], ...]
#: How many per second, and how many at once.
RateLimit = tuple[float, int]
Policy = t.Literal["full", "anonymous", "none"]
#: The kind of a source.
Channel = t.Literal[
    "search", "social", "mail", "paid", "ai", "affiliate", "referral", "campaign", "direct"
]
ChannelRules = cabc.Mapping[str, Channel]
PageVisitFilter = cabc.Callable[[], bool]
VisitorFilter = cabc.Callable[[], bool]
#: What the host's function answers: may this request see the pages, of all sites or of some?
Permit = bool | t.Literal["view", "manage"] | cabc.Collection[str]
Permission = cabc.Callable[[], Permit]

#: The largest body that the collector takes.
MAX_POST_BYTES = 256 * 1024

#: Query parameters that carry secrets or personal data more often than not.
SECRET_PARAMETERS = (
    "access_token", "api_key", "apikey", "auth", "code", "email", "id_token", "jsessionid", "jwt",
    "key", "passwd", "password", "phpsessid", "pwd", "refresh_token", "reset", "samlresponse",
    "secret", "session", "sessionid", "sid", "sig", "signature", "state", "ticket", "token",
)  # fmt: skip

# The shortest spans of 13 and of 25 calendar months.
COOKIE_LIMIT = dt.timedelta(days=393)
RETENTION_LIMIT = dt.timedelta(days=758)
#: What ``EVENTTRACK_PRIVACY`` sets, unless the app sets it itself.
PRESETS: cabc.Mapping[str, cabc.Mapping[str, t.Any]] = {
    "audience": {
        "device_max_age": COOKIE_LIMIT,
        "retention": {"*": RETENTION_LIMIT},
        "prune": True,
        "privacy_identity": False,
    }
}


@dataclasses.dataclass(frozen=True, slots=True)
class KeySource:
    """One of ``EVENTTRACK_JWT_KEYS``: a secret or PEM text, or the path of a JWKS file."""

    kid: str | None
    value: bytes | pathlib.Path = dataclasses.field(repr=False)


KeySources = tuple[KeySource, ...]
#: What a host's token may do: charge and cancel, or charge only.
HostScope = t.Literal["transactions", "charges"]
#: What a report's token may see: the numbers, people too, or people with their traits in full.
ReportScope = t.Literal["numbers", "view", "manage"]
_Scope = t.TypeVar("_Scope", bound=str)


@dataclasses.dataclass(frozen=True, slots=True)
class ScopedToken(t.Generic[_Scope]):
    """One of the tokens of a setting; of the token itself only the SHA-256 digest is kept."""

    scope: _Scope
    digest: bytes = dataclasses.field(repr=False)


HostTokens = tuple[ScopedToken[HostScope], ...]
ReportTokens = tuple[ScopedToken[ReportScope], ...]


_RELEASE_LENGTH = 64
# RFC 6750, section 2.1.
_SCOPED_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]{32,}=*")

# Parsers: each takes a key and its value, and returns what the rest of the package uses.

_D = t.TypeVar("_D")
_V = t.TypeVar("_V")
_Parser = cabc.Callable[[str, t.Any], _V]


def _refuse(key: str, value: object, expected: str) -> t.NoReturn:
    raise ConfigError(f"{key} must be {expected}, not {value!r}.")


def _accept(is_valid: cabc.Callable[[t.Any], bool], expected: str) -> _Parser[t.Any]:
    """Return a parser that takes valid values as they are."""
    return lambda key, value: value if is_valid(value) else _refuse(key, value, expected)


def _one_of(*allowed: object) -> _Parser[t.Any]:
    # `True == 1`: the type must be right too.
    typed = [(type(item), item) for item in allowed]
    return _accept(lambda value: (type(value), value) in typed, " or ".join(map(repr, allowed)))


def _matching(pattern: str, expected: str) -> _Parser[str]:
    matches = re.compile(pattern, re.DOTALL).fullmatch
    return _accept(lambda value: isinstance(value, str) and bool(matches(value)), expected)


def _optional(parse: _Parser[_V]) -> _Parser[_V | None]:
    return lambda key, value: None if value is None else parse(key, value)


def _is_positive(value: t.Any, *, whole: bool = False) -> bool:
    is_number = isinstance(value, int if whole else int | float) and not isinstance(value, bool)
    return is_number and 0 < value < math.inf


def _is_callback(value: object) -> bool:
    return callable(value) and not inspect.iscoroutinefunction(value)


_boolean = _one_of(True, False)
_text = _matching(".+", "a non-empty str")
_count = _accept(functools.partial(_is_positive, whole=True), "a whole number above 0")
_callback = _optional(_accept(_is_callback, "a callable, not async, or None"))
_url_path = _matching(
    r"(/[A-Za-z0-9._~\-]+)+", "a path such as '/_et': a leading '/', no trailing '/'"
)
_cookie_path = _matching(
    "/[!-:<-~]*", "a path that starts with '/', in ASCII and without ';' or spaces"
)
_cookie_domain = _matching(
    r"\.?[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*", "a host name such as 'example.com'"
)


def _path(key: str, value: object) -> str:
    return _text(key, os.fspath(value) if isinstance(value, os.PathLike) else value)


def parse_duration(value: object) -> dt.timedelta | None:
    """Return a timedelta or a number of seconds as a timedelta; None if it is not above 0."""
    if _is_positive(value):
        with contextlib.suppress(OverflowError):
            value = dt.timedelta(seconds=t.cast("float", value))
    return value if isinstance(value, dt.timedelta) and value > dt.timedelta(0) else None


def _duration(key: str, value: object) -> dt.timedelta:
    expected = "a timedelta or a number of seconds, more than 0"
    return parse_duration(value) or _refuse(key, value, expected)


def _keeps(key: str, value: object) -> Keeps:
    if isinstance(value, cabc.Mapping):
        return {_text(key, pattern): _duration(key, keep) for pattern, keep in value.items()}
    return {} if value is None else {"*": _duration(key, value)}


def _rate_limit(key: str, value: t.Any) -> RateLimit:
    match value:
        case [rate, burst] if _is_positive(rate) and _is_positive(burst, whole=True):
            return rate, burst
    _refuse(key, value, "two numbers above 0 (how many a second, how many at once), or None")


def _byte_limit(key: str, value: t.Any) -> RateLimit:
    rate, burst = _rate_limit(key, value)
    if burst < MAX_POST_BYTES:
        expected = f"a burst of at least {MAX_POST_BYTES:,} bytes, which is the largest post"
        _refuse(key, value, expected)
    return rate, burst


def _mask(key: str, value: object) -> bool | MaskRules:
    if isinstance(value, bool):
        return value
    if isinstance(value, list | tuple) and all(_is_mask_rule(rule) for rule in value):
        return tuple(value)
    _refuse(key, value, "True, False, or a list of compiled str patterns and callables")


def _is_mask_rule(rule: object) -> bool:
    return callable(rule) or (isinstance(rule, re.Pattern) and isinstance(rule.pattern, str))


def _release(key: str, value: object) -> str:
    text = " ".join(clean_text(value).split()) if isinstance(value, str) else ""
    expected = f"a str of 1 to {_RELEASE_LENGTH} characters, such as '1.4.2'"
    return text if 0 < len(text) <= _RELEASE_LENGTH else _refuse(key, value, expected)


def _texts(key: str, value: object) -> tuple[str, ...]:
    if isinstance(value, list | tuple | set | frozenset) and all(
        isinstance(item, str) and item for item in value
    ):
        return tuple(value)
    _refuse(key, value, "a list of non-empty str")


def _lower_texts(key: str, value: object) -> tuple[str, ...]:
    return tuple(item.lower() for item in _texts(key, value))


def parse_site(text: str) -> str:
    """Return a host name, or a pattern such as ``"*.example.com"``, in its one form; "" if it is
    neither."""
    wildcard, name = ("*.", text[2:]) if text.startswith("*.") else ("", text)
    site = site_of(name)
    return site and wildcard + site


_HOST_NAMES = "host names such as 'shop.example.com'"


def _sites(key: str, value: object) -> tuple[str, ...]:
    expected = f"{_HOST_NAMES}, or patterns such as '*.example.com'"
    return tuple(parse_site(text) or _refuse(key, text, expected) for text in _texts(key, value))


def _hosts(key: str, value: object) -> tuple[str, ...]:
    return tuple(site_of(text) or _refuse(key, text, _HOST_NAMES) for text in _texts(key, value))


def _zone(key: str, value: object) -> dt.tzinfo:
    if value == "UTC" or isinstance(value, zoneinfo.ZoneInfo):
        return dt.UTC if value == "UTC" else t.cast("dt.tzinfo", value)
    with contextlib.suppress(ValueError, OSError, zoneinfo.ZoneInfoNotFoundError):
        return zoneinfo.ZoneInfo(_text(key, value))
    expected = "the name of a time zone such as 'Europe/Berlin'"
    if not zoneinfo.available_timezones():
        expected += "; this system knows none, so install the package tzdata"
    _refuse(key, value, expected)


def _channels(key: str, value: object) -> ChannelRules:
    if not isinstance(value, cabc.Mapping):
        _refuse(key, value, "a dict of sources (hosts or names) to channels")
    parse = _one_of(*t.get_args(Channel))
    return {_text(key, source).strip().lower(): parse(key, way) for source, way in value.items()}


def _site_name(key: str, site: object) -> str:
    name = _text(key, site)
    return name if name == "*" else site_of(name) or _refuse(key, site, _HOST_NAMES)


def _site_patterns(key: str, value: object) -> SitePatterns:
    if isinstance(value, cabc.Mapping):
        return {_site_name(key, site): _texts(key, items) for site, items in value.items()}
    if isinstance(value, str):
        _refuse(key, value, "a list of action patterns, or a dict of site to such a list")
    return {"*": _texts(key, value)}


def _origins(key: str, value: object) -> tuple[str, ...]:
    for origin in _texts(key, value):
        if not _is_origin(origin):
            _refuse(key, origin, "origins such as 'https://shop.example.com', without a path")
    return _lower_texts(key, value)


def _is_origin(text: str) -> bool:
    origin = origin_of(text)
    is_bare = re.fullmatch(r"https?://[^/?#@\s]+", text, re.IGNORECASE)
    return bool(is_bare and origin and origin.port)


def _jwt_keys(key: str, value: object) -> KeySources:
    """Read ``EVENTTRACK_JWT_KEYS``; errors never quote a key."""
    if value is None:
        return ()
    items = value if isinstance(value, list | tuple) else [value]
    return tuple(source for item in items for source in _iter_key_sources(key, item))


def _iter_key_sources(key: str, item: object) -> cabc.Iterator[KeySource]:
    if not isinstance(item, cabc.Mapping):
        yield KeySource(None, _key_text(key, item))
        return
    for kid, values in item.items():
        for value in values if isinstance(values, list | tuple) else [values]:
            text = _key_text(key, value)
            if isinstance(text, pathlib.Path):
                raise ConfigError(
                    f"{key}: a JWKS file gives its keys their own kid: put {str(text)!r} in a list."
                )
            yield KeySource(_text(key, kid), text)


def _key_text(key: str, value: object) -> bytes | pathlib.Path:
    if isinstance(value, os.PathLike) or (isinstance(value, str) and value.endswith(".json")):
        return pathlib.Path(value)
    if isinstance(value, str | bytes) and value:
        return value.encode() if isinstance(value, str) else value
    came = "empty" if isinstance(value, str | bytes) else type(value).__name__
    raise ConfigError(
        f"{key} must be a secret, a PEM text, the path of a JWKS file, a dict of kid to these, or "
        f"a list of these, not {came}."
    )


def _tokens(*scopes: _Scope) -> _Parser[tuple[ScopedToken[_Scope], ...]]:
    """Return a parser of tokens by their scope; those without one have the first.

    Its errors never quote a token, nor what may be one.
    """

    def parse(key: str, value: object) -> tuple[ScopedToken[_Scope], ...]:
        if value is None:
            return ()
        by_scope = value if isinstance(value, cabc.Mapping) else {scopes[0]: value}
        if not by_scope.keys() <= set(scopes):
            known = f"{', '.join(map(repr, scopes[:-1]))} and {scopes[-1]!r}"
            raise ConfigError(f"{key}: the scopes of tokens are {known}.")
        return tuple(
            ScopedToken(scope, _hash_token(key, token))
            for scope, tokens in by_scope.items()
            for token in (tokens if isinstance(tokens, list | tuple) else [tokens])
        )

    return parse


def _hash_token(key: str, token: object) -> bytes:
    if not (isinstance(token, str) and _SCOPED_TOKEN.fullmatch(token)):
        raise ConfigError(
            f"{key}: a token is a str of at least 32 random characters: letters, digits and "
            "'-._~+/'. Make one with: python -c 'import secrets; print(secrets.token_urlsafe())'."
        )
    return hashlib.sha256(token.encode()).digest()


def _setting(default: _D, parse: _Parser[_V], *, is_secret: bool = False) -> _D | _V:
    """Return a field of :class:`Config` that carries its parser.

    :param is_secret: whether ``repr()`` leaves it out.
    """
    # By a factory, as a dataclass takes no dict for a default.
    return dataclasses.field(
        default_factory=lambda: default, repr=not is_secret, metadata={"parse": parse}
    )


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """The settings of one app, read once by ``init_app``. Each field is ``EVENTTRACK_<NAME>``."""

    enabled: bool = _setting(True, _boolean)
    """Whether anything is recorded. If False, no hooks are installed and no cookies are set,
    ``track()`` returns None, and the snippet renders nothing."""

    url_prefix: str = _setting("/_et", _url_path)
    """The URL prefix of the collector and the script."""

    bind_key: str | None = _setting(None, _optional(_text))
    """The Flask-SQLAlchemy bind that holds the tables. None is the default database."""

    cookie_domain: str | None = _setting(None, _optional(_cookie_domain))
    """The ``Domain`` of the cookies. None limits them to the host that set them."""

    cookie_path: str = _setting("/", _cookie_path)
    """The ``Path`` of the cookies."""

    cookie_secure: bool | t.Literal["auto"] = _setting("auto", _one_of(True, False, "auto"))
    """The ``Secure`` flag of the cookies. ``"auto"`` sets it when the request came over HTTPS."""

    default_policy: Policy = _setting("full", _one_of(*t.get_args(Policy)))
    """What is recorded of visitors who have not chosen: ``"full"`` records everything;
    ``"anonymous"`` records page visits, without cookies and without an identity; ``"none"``
    records nothing."""

    gpc: t.Literal["anonymous", "none", "ignore"] = _setting(
        "anonymous", _one_of("anonymous", "none", "ignore")
    )
    """What is recorded of visitors who have not chosen, if their browser sends Global Privacy
    Control or Do Not Track. ``"anonymous"`` and ``"none"`` are the policies of that name;
    ``"ignore"`` treats them like everyone else."""

    bots: t.Literal["drop", "tag"] = _setting("drop", _one_of("drop", "tag"))
    """What is recorded of bots. ``"drop"`` records nothing. ``"tag"`` records page visits and
    calls of ``track()`` anonymously, with ``source`` ``"bot"``, and leaves them out of the
    totals."""

    agents: bool = _setting(True, _boolean)
    """Whether to count what agents read: the programs of AI assistants, search engines and other
    bots. A number is stored for each day, agent, route and status, and nothing else about them."""

    privacy: t.Literal["audience"] | None = _setting(None, _optional(_one_of("audience")))
    """A preset of other settings; those that you set yourself take precedence. ``"audience"`` is
    for measuring an audience without asking for consent, where the law allows it: it sets
    ``EVENTTRACK_DEVICE_MAX_AGE`` to 13 months, ``EVENTTRACK_RETENTION`` to 25 months and
    ``EVENTTRACK_PRUNE`` on, and ``EVENTTRACK_PRIVACY_IDENTITY`` off."""

    privacy_identity: bool = _setting(True, _boolean)
    """Whether visitors are connected with customers. If False, no customer's id, alias or log-in
    is recorded: ``identify()`` and ``track(customer=…)`` return None, log-ins and tokens change
    nothing, and browsers may send only events that are defined with ``anonymous=True``."""

    device_max_age: dt.timedelta | None = _setting(None, _optional(_duration))
    """How long a browser is recognised, counted from its first visit: a timedelta, or seconds. The
    device cookie is not renewed then. None recognises it for as long as it comes back."""

    session_timeout: dt.timedelta = _setting(dt.timedelta(minutes=30), _duration)
    """How long a visitor may be inactive before the session ends: a timedelta, or seconds."""

    vouched_for: dt.timedelta = _setting(dt.timedelta(hours=12), _duration)
    """How long a log-in vouches for a customer, however active the session is: a timedelta, or
    seconds. It counts from the last time that your app or a token named the customer."""

    profile_salt: str = _setting("flask-eventtrack", _text)
    """The secret from which customers' profile uuids are derived. Set your own before the first
    customer logs in, and never change it: a new salt gives every customer a new profile."""

    definitions: tuple[str, ...] = _setting((), _texts)
    """The modules that define your events, such as ``["shop.tracking", "blog.tracking"]``.
    ``init_app`` imports them, so that each process knows all events, commands too."""

    undefined_events: t.Literal["reject", "store"] = _setting("reject", _one_of("reject", "store"))
    """What happens to events with an action that is not defined: they are rejected or stored."""

    sites: tuple[str, ...] = _setting((), _sites)
    """The host names of the app's sites, such as ``["shop.example.com", "*.example.org"]``.
    ``SERVER_NAME`` and ``TRUSTED_HOSTS`` name sites as well. Requests to any other host are
    recorded with the site ``"other"``. If no setting names a site, the first 20 hosts that are
    seen are the app's sites."""

    allow: SitePatterns = _setting({}, _site_patterns)
    """Patterns of the only actions to record, such as ``"product.*"``: a list, or a dict of site
    to list in which ``"*"`` stands for all sites. Empty allows every action."""

    deny: SitePatterns = _setting({}, _site_patterns)
    """Patterns of actions to refuse, in the same form as ``EVENTTRACK_ALLOW``. Deny wins."""

    channels: ChannelRules = _setting({}, _channels)
    """Sources and their channels, which count before the built-in lists: a dict such as
    ``{"partner.example": "affiliate", "spring-flyer": "campaign"}``. A host stands for all below
    it."""

    payment_hosts: tuple[str, ...] = _setting((), _hosts)
    """More host names of payment pages, such as ``"pay.example"``, from which people come back to
    your site: they are no sources. A host stands for all below it."""

    lookback: dt.timedelta = _setting(dt.timedelta(days=30), _duration)
    """How old the visit may be that counts as the last touch of an order, if the visitor has come
    back directly since: a timedelta, or seconds."""

    max_age: dt.timedelta = _setting(dt.timedelta(days=7), _duration)
    """How old an event from a browser or app may be when it arrives: a timedelta, or seconds.
    Older events are rejected."""

    spa: bool | t.Literal["hash"] = _setting(False, _one_of(False, True, "hash"))
    """Whether the script records soft navigations by itself: every new path in the page's history,
    but not a new query. ``"hash"`` also counts every new fragment."""

    debug_js: bool = _setting(False, _boolean)
    """Whether the script logs each event and the answer to it in the browser's console."""

    frames: bool | t.Literal["embed"] = _setting(False, _one_of(False, True, "embed"))
    """Whether pages in frames (``<iframe>`` and others) are page visits. ``"embed"`` is for pages
    that other sites show in frames: they are visits, and cookies are set with ``SameSite=None;
    Secure; Partitioned``. Browsers keep such cookies in frames, separately for each site that
    shows your page. This needs HTTPS."""

    page_visit_filter: PageVisitFilter | None = _setting(None, _callback)
    """A callable without arguments, called inside each request that would be a page visit. If it
    returns False, the visit is not recorded."""

    visitor_filter: VisitorFilter | None = _setting(None, _callback)
    """A callable without arguments that decides whether the visitor is recorded at all. It is
    called only if something would be recorded, also in posts of browsers and apps: once in a
    request, and again after a log-in. If it returns False, no page visit, event, log-in or session
    is recorded, and no cookie is set."""

    allowed_origins: tuple[str, ...] = _setting((), _origins)
    """Other origins that may post to the collector from their pages, such as
    ``"https://shop.example.com"``."""

    jwt_keys: KeySources = _setting((), _jwt_keys)
    """The keys of customers' tokens: a secret of at least 32 bytes (HS256), the PEM text of an RSA
    key (RS256) or an EC P-256 key (ES256), the path of a JWKS file, a dict of ``kid`` to secrets
    and PEM texts, or a list of these."""

    jwt_audience: str | None = _setting(None, _optional(_text))
    """What the claim ``aud`` of a token must be or contain. None accepts only tokens without
    ``aud``."""

    jwt_issuer: str | None = _setting(None, _optional(_text))
    """What the claim ``iss`` of a token must be. None accepts any issuer."""

    jwt_type: str | None = _setting(None, _optional(_text))
    """What the header ``typ`` of a token must be, such as ``"at+jwt"``. None accepts any type."""

    host_tokens: HostTokens = _setting((), _tokens(*t.get_args(HostScope)))
    """The tokens with which your own back ends post orders to ``/_et/transactions``: a str of at
    least 32 random characters, a list of these, or a dict of scope to these. The scope
    ``"transactions"``, the default, lets them charge and cancel; ``"charges"`` only charge. To
    replace a token, list the old and the new one until no back end has the old one."""

    retention: Keeps = _setting({}, _keeps)
    """How long events are kept: a timedelta or seconds, or a dict of action patterns
    (``"page.*"``) to these, in which the first match counts. A definition's own ``keep`` takes
    precedence. Events that match no pattern are kept forever, and so are totals."""

    keep_revenue: bool = _setting(True, _boolean)
    """Whether the amounts of orders stay when their person is erased or objects, or when their
    ``transaction.charge`` is past its retention. They stay without the person: no order id, no
    items and no profile. So sums of revenue do not change. If False, the amounts go too."""

    prune: bool = _setting(False, _boolean)
    """Whether events past their retention period are removed automatically: once a day, by one
    of the processes. If False, run ``flask eventtrack prune``."""

    dashboard_permission: Permission | None = _setting(None, _callback)
    """A callable without arguments, called inside requests for what only your own staff may see:
    the dashboard at ``/_et/`` and ``/_et/catalogue.json``. It returns ``"numbers"`` to let them
    read all but people, ``"view"`` to let them read about people as well, ``"manage"`` or True to
    let them make changes too, a set of sites to let them read the numbers of these sites only, and
    False to answer 404. Without it, everyone gets 404. In debug mode the dashboard then opens for a
    browser on the same machine."""

    report_tokens: ReportTokens = _setting((), _tokens(*t.get_args(ReportScope)))
    """The tokens with which programs read the reports, the dashboard's pages as ``.json`` and
    ``.csv``: a str of at least 32 random characters, a list of these, or a dict of scope to these.
    The scopes are ``"numbers"``, which is the default, ``"view"`` and ``"manage"``. Each lets a
    program read what it stands for in ``EVENTTRACK_DASHBOARD_PERMISSION``."""

    mcp: bool = _setting(False, _boolean)
    """Whether assistants may read reports at ``/_et/mcp``, over the Model Context Protocol, with a
    token of ``EVENTTRACK_REPORT_TOKENS``. ``flask eventtrack mcp`` needs no setting."""

    dashboard_name: str | None = _setting(None, _optional(_text))
    """The name in the head of the dashboard. None is the name of the site."""

    dashboard_logo: str | None = _setting(None, _optional(_text))
    """The URL path of a logo in the head of the dashboard, served by your app, such as
    ``"/static/logo.svg"``."""

    dashboard_accent: str | None = _setting(
        None, _optional(_matching("#[0-9a-fA-F]{6}", "a colour such as '#4f46e5'"))
    )
    """The accent colour of the dashboard, such as ``"#4f46e5"``."""

    release: str | None = _setting(None, _optional(_release))
    """The version of your app, such as ``"1.4.2"``: at most 64 characters. The first process that
    runs it adds a note to that day of the dashboard's chart. None adds no notes."""

    timezone: dt.tzinfo = _setting(dt.UTC, _zone)
    """The time zone of the days in reports, such as ``"Europe/Berlin"``. After a change,
    the app counts all earlier days anew, in the background."""

    reports_bind_key: str | None = _setting(None, _optional(_text))
    """The Flask-SQLAlchemy bind that reports read from, such as a read replica of the database with
    the tables. None reads from the database itself."""

    reports_url: str | None = _setting(None, _optional(_text), is_secret=True)
    """The copy in ClickHouse that ``flask eventtrack copy --follow`` keeps:
    ``"clickhousedb://user:password@host:8123/database"`` (``[clickhouse]`` extra). Reports with
    filters, funnels, retention with steps, and paths are counted there, however long the period
    is. It needs ``EVENTTRACK_COMMIT_LOG``. None counts everything in the database itself."""

    commit_log: bool = _setting(False, _boolean)
    """Whether changes of events, sessions and orders are logged in the order of their commits, for
    copies of the tables elsewhere and for ``events.on()``. It adds three tables, and columns to
    three tables. Set it for all processes of the app, workers and commands too."""

    secret_parameters: tuple[str, ...] = _setting(SECRET_PARAMETERS, _lower_texts)
    """Query parameters that are removed from recorded URLs and referrers, and from URLs that are
    values in these. Case does not matter."""

    mask: bool | MaskRules = _setting(True, _mask)
    """Whether e-mail addresses, payment card numbers, tokens, and the values of parameters with a
    secret name are masked in what browsers and apps send, and in the addresses and titles of pages.
    A list adds your own rules: compiled patterns, and functions from text to text."""

    device_limit: RateLimit | None = _setting((20, 200), _optional(_rate_limit))
    """How many posts the collector accepts from a device: how many per second, and how many at
    once. None sets no limit to a device at all: neither to its posts nor to their bytes nor to
    its page visits."""

    address_limit: RateLimit | None = _setting((200, 2000), _optional(_rate_limit))
    """The same for a network: the first 24 bits of an IPv4 address, the first 64 of an IPv6
    address. All networks in the first 48 bits of an IPv6 address together may send four times as
    much."""

    device_bytes: RateLimit | None = _setting((500, 1_000_000), _optional(_byte_limit))
    """How many bytes the collector accepts from a device: how many per second, and how many at
    once (at least 262,144). An event counts as 250 bytes at least. The bytes of
    posts with a valid customer's token in ``Authorization`` count for the network only. None sets
    no limit to bytes."""

    address_bytes: RateLimit | None = _setting((20_000, 20_000_000), _optional(_byte_limit))
    """The same for a network."""

    device_pages: int | None = _setting(200, _optional(_count))
    """How many page visits of a device each process records in ten seconds. Pages beyond that are
    served, but not recorded. None sets no limit to page visits."""

    address_pages: int | None = _setting(2000, _optional(_count))
    """The same for a network: the first 24 bits of an IPv4 address, the first 48 of an IPv6
    address."""

    limits_url: str | None = _setting(None, _optional(_text))
    """Where all processes share the limits of posts and bytes: ``"redis://…"`` (``[redis]`` extra).
    None limits each process separately."""

    gzip_posts: bool = _setting(False, _boolean)
    """Whether posts to the collector may be compressed with gzip. The size limit of posts applies
    before and after they are decompressed."""

    undefined_limit: int = _setting(1000, _count)
    """How many different names of undefined actions and parameters a process accepts from
    browsers and apps in an hour. A device may send a twentieth of them, and a network a fifth."""

    agent_parser: t.Literal["builtin", "ua-parser"] = _setting(
        "builtin", _one_of("builtin", "ua-parser")
    )
    """What recognises browsers and operating systems: a small set of built-in rules, or ua-parser
    (``[agents]`` extra)."""

    country_header: str | None = _setting(None, _optional(_text))
    """A request header in which your proxy sends the visitor's country, such as
    ``"CF-IPCountry"``. Set it only if the proxy overwrites what clients send in this header."""

    country_database: str | None = _setting(None, _optional(_path))
    """The path of a MaxMind DB file that maps IP addresses to countries (``[geo]`` extra)."""

    flush_interval: dt.timedelta = _setting(dt.timedelta(seconds=0.5), _duration)
    """How long an event may wait so that it is written together with others: a timedelta, or
    seconds."""

    durability: t.Literal["memory", "journal", "durable", "stream"] | None = _setting(
        None, _optional(_one_of("memory", "journal", "durable", "stream"))
    )
    """What an acknowledged event survives before it is in the database: ``"memory"`` nothing,
    ``"journal"`` the death of the process, ``"durable"`` also a power failure. ``"stream"`` is for
    servers without a disk: the event is in Redis, see ``EVENTTRACK_STREAM_URL``. None stands for
    ``"journal"``, or for ``"memory"`` if ``app.testing`` is True when the first event is recorded,
    so that no test gets the events of another one."""

    journal_dir: str | None = _setting(None, _optional(_path))
    """The folder of the journal. It must be on a local disk, and outside the folders that a web
    server serves. None is ``eventtrack`` in the app's instance folder."""

    journal_max_bytes: int = _setting(256 * 1024 * 1024, _count)
    """How many bytes may wait in the journal, for instance while the database is down. When it is
    full, the collector answers 503, and page visits are dropped and counted."""

    buffer_size: int = _setting(20_000, _count)
    """How many events may wait in memory, where there is no journal. When it is full, the same
    happens as with a full journal."""

    stream_url: str | None = _setting(None, _optional(_text))
    """The Redis through which events go to ``flask eventtrack worker``, which writes them to the
    database: ``"redis://…"`` (``[redis]`` extra). None has each process write its own events."""

    stream_name: str | None = _setting(
        None, _optional(_matching(r"[A-Za-z0-9._-]{1,64}", "1 to 64 letters, digits or '._-'"))
    )
    """What the keys in that Redis are named by, so that apps with other databases can use the same
    Redis. None is a fingerprint of the database's address: set it where web servers and workers
    reach the database by different addresses."""

    stream_max_bytes: int = _setting(1024 * 1024 * 1024, _count)
    """How many bytes events may take in that Redis. When there are more, they wait in the journal
    of their process."""

    statement_timeout: dt.timedelta = _setting(dt.timedelta(seconds=30), _duration)
    """How long the writer waits for an answer of PostgreSQL, MariaDB or MySQL before it gives up
    the connection, and tries again: a timedelta, or seconds."""

    sqlite_wal: bool = _setting(True, _boolean)
    """Whether a SQLite file is switched to write-ahead logging, so that the writer and the app do
    not block each other."""


def load_config(values: cabc.Mapping[str, t.Any]) -> Config:
    """Read and check the ``EVENTTRACK_*`` keys of an app's configuration.

    :raises ConfigError: a key is unknown (the nearest is named), or its value is not possible.
    """
    known = {PREFIX + field.name.upper(): field for field in dataclasses.fields(Config)}
    settings = {}
    for key in filter(lambda key: key.startswith(PREFIX), values):
        if key not in known:
            raise ConfigError(f"{key!r} is not an EventTrack setting.{_did_you_mean(key, known)}")
        settings[known[key].name] = known[key].metadata["parse"](key, values[key])
    config = Config(**{**PRESETS.get(settings.get("privacy") or "", {}), **settings})
    if config.frames == "embed" and config.cookie_secure is False:
        raise ConfigError(
            "EVENTTRACK_FRAMES = 'embed' needs cookies with Secure, and EVENTTRACK_COOKIE_SECURE "
            "is False: remove it, or set EVENTTRACK_FRAMES to True."
        )
    if config.durability == "stream" and config.stream_url is None:
        raise ConfigError(
            "EVENTTRACK_DURABILITY = 'stream' needs the Redis that keeps the events: set "
            "EVENTTRACK_STREAM_URL."
        )
    if config.reports_url is not None and not config.commit_log:
        raise ConfigError(
            "EVENTTRACK_REPORTS_URL names a copy, which follows the commit log: set "
            "EVENTTRACK_COMMIT_LOG for all processes, and run 'flask eventtrack upgrade'."
        )
    return config


def _did_you_mean(key: str, known: cabc.Iterable[str]) -> str:
    nearest = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
    return f" Did you mean {nearest[0]!r}?" if nearest else " No setting has a similar name."
