"""Every ``EVENTTRACK_*`` setting: name, default, meaning and check in one place."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import dataclasses
import datetime as dt
import difflib
import inspect
import math
import os
import pathlib
import re
import typing as t
import urllib.parse

from .errors import ConfigError

PREFIX = "EVENTTRACK_"

Patterns = tuple[str, ...]
SitePatterns = cabc.Mapping[str, Patterns]
Keeps = cabc.Mapping[str, dt.timedelta]
MaskRules = tuple[re.Pattern[str] | cabc.Callable[[str], str], ...]
#: So many a second, and so many at once.
RateLimit = tuple[float, int]
Policy = t.Literal["full", "anonymous", "none"]
PageVisitFilter = cabc.Callable[[], bool]
Permission = cabc.Callable[[], bool | t.Literal["view", "manage"]]

#: Query parameters that carry secrets or personal data more often than not.
SECRET_PARAMETERS = (
    "access_token",
    "api_key",
    "apikey",
    "auth",
    "code",
    "email",
    "id_token",
    "jwt",
    "key",
    "passwd",
    "password",
    "pwd",
    "refresh_token",
    "reset",
    "secret",
    "session",
    "sessionid",
    "sid",
    "sig",
    "signature",
    "state",
    "token",
)


@dataclasses.dataclass(frozen=True, slots=True)
class KeySource:
    """One of ``EVENTTRACK_JWT_KEYS``: a secret or PEM text, or the path of a JWKS file."""

    kid: str | None
    value: bytes | pathlib.Path = dataclasses.field(repr=False)


KeySources = tuple[KeySource, ...]


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """The settings of one app, read once by ``init_app``. Each field is ``EVENTTRACK_<NAME>``."""

    enabled: bool = True
    """Whether anything is recorded at all. Off: no hook, no cookie; ``track()`` returns None and
    the snippet renders as nothing."""

    url_prefix: str = "/_et"
    """Where the collector and the script are served."""

    bind_key: str | None = None
    """The Flask-SQLAlchemy bind that holds the tables; None is the default database."""

    cookie_domain: str | None = None
    """The ``Domain`` of the cookies; None keeps them on the host name that set them."""

    cookie_path: str = "/"
    """The ``Path`` of the cookies."""

    cookie_secure: bool | t.Literal["auto"] = "auto"
    """The ``Secure`` flag of the cookies; ``"auto"`` sets it whenever the request is HTTPS."""

    default_policy: Policy = "full"
    """What is recorded of a visitor who has not chosen: ``"full"`` everything; ``"anonymous"``
    page visits, without a cookie and without saying whose they are; ``"none"`` nothing."""

    gpc: t.Literal["anonymous", "none", "ignore"] = "anonymous"
    """What is recorded of a visitor who has not chosen, and whose browser sends Global Privacy
    Control or Do Not Track; ``"ignore"`` is the same as of others."""

    bots: t.Literal["drop", "tag"] = "drop"
    """What is recorded of bots: ``"drop"`` nothing; ``"tag"`` page visits and what ``track()`` is
    called with, as nobody's, with ``source`` ``"bot"`` and without a part in the totals."""

    session_timeout: dt.timedelta = dt.timedelta(minutes=30)
    """The gap that ends a session: a timedelta, or seconds."""

    profile_salt: str = "flask-eventtrack"
    """What customers' uuids are derived with. Set one of your own before the first customer, and
    never change it: another salt makes everybody another person."""

    undefined_events: t.Literal["reject", "store"] = "reject"
    """What happens to an event whose action is not defined."""

    allow: SitePatterns = dataclasses.field(default_factory=dict)
    """Action patterns (``"product.*"``) that alone are admitted: a list, or a list per site, where
    ``"*"`` stands for all sites. Empty admits every action."""

    deny: SitePatterns = dataclasses.field(default_factory=dict)
    """Action patterns that are refused, in the shape of ``EVENTTRACK_ALLOW``. Deny wins."""

    max_age: dt.timedelta = dt.timedelta(days=7)
    """How old an event from a browser or app may be when it arrives: a timedelta, or seconds."""

    spa: bool | t.Literal["hash"] = False
    """Whether the script counts soft navigations by itself: each new address that the page gives
    its history; with ``"hash"`` also each new fragment."""

    debug_js: bool = False
    """Whether the script logs each event and its answer to the browser's console."""

    page_visit_filter: PageVisitFilter | None = None
    """Called without arguments inside a request that would be a page visit; False refuses it."""

    allowed_origins: tuple[str, ...] = ()
    """Other origins whose pages may post to the collector: ``"https://shop.example.com"``."""

    jwt_keys: KeySources = ()
    """The keys of customers' tokens: a secret of 32 bytes or more (HS256), the PEM text of an RSA
    (RS256) or EC P-256 key (ES256), the path of a JWKS file, a dict of ``kid`` to secrets and PEM
    texts, or a list of these."""

    jwt_audience: str | None = None
    """What the ``aud`` of a token must be or contain; None takes only tokens without ``aud``."""

    jwt_issuer: str | None = None
    """What the ``iss`` of a token must be; None takes any."""

    jwt_type: str | None = None
    """What the header ``typ`` of a token must be, such as ``"at+jwt"``; None takes any."""

    retention: Keeps = dataclasses.field(default_factory=dict)
    """How long events are kept: a timedelta or seconds; or a dict of action patterns
    (``"page.*"``) to these, of which the first that fits counts. A definition's own ``keep`` comes
    before it. What nothing is said of is kept for ever, and totals always are."""

    prune: bool = False
    """Whether what is older than it is kept is removed once a day, by the writer of one process.
    Without it, ``flask eventtrack prune`` does so."""

    dashboard_permission: Permission | None = None
    """Called without arguments inside a request for what is for your own people only, which is
    ``GET /_et/catalogue.json``: ``"view"`` lets them read it, ``"manage"`` or True also change what
    can be changed. False is 404; without it everybody gets that."""

    secret_parameters: tuple[str, ...] = SECRET_PARAMETERS
    """Query parameters that are cut out of recorded URLs and referrers, whatever their case."""

    mask: bool | MaskRules = True
    """Whether e-mail addresses, payment card numbers and tokens are masked in what browsers and
    apps send. A list does so too, and adds patterns of your own, and functions of a text."""

    device_limit: RateLimit | None = (20, 200)
    """How many posts the collector takes of a device: so many a second, and so many at once; None
    takes any number."""

    address_limit: RateLimit | None = (200, 2000)
    """The same of a network: the first 24 bits of an address, of IPv6 64."""

    limits_url: str | None = None
    """Where all processes share these limits: ``"redis://…"`` (``[redis]`` extra); None is each
    process by itself."""

    gzip_posts: bool = False
    """Whether posts to the collector may be compressed with gzip. Sent and unpacked, they have the
    same limit as others."""

    undefined_limit: int = 1000
    """How many names of undefined actions and parameters a process takes from browsers and apps in
    an hour."""

    agent_parser: t.Literal["builtin", "ua-parser"] = "builtin"
    """What names browsers and systems: a small rule set, or ua-parser (``[agents]`` extra)."""

    country_header: str | None = None
    """A request header in which your proxy names the visitor's country, such as
    ``"CF-IPCountry"``. Only where the proxy overwrites what clients send."""

    country_database: str | None = None
    """The path of a MaxMind DB file that maps addresses to countries (``[geo]`` extra)."""

    flush_interval: dt.timedelta = dt.timedelta(seconds=0.5)
    """How long an event waits for others before the writer writes: a timedelta, or seconds."""

    durability: t.Literal["memory", "journal", "durable"] = "journal"
    """What an event that was acknowledged survives until it is in the database: ``"memory"``
    nothing, ``"journal"`` the death of the process, ``"durable"`` also a loss of power."""

    journal_dir: str | None = None
    """The folder of the journal; None is ``eventtrack`` in the app's instance folder. It must be
    on a local disk and outside what a web server serves."""

    journal_max_bytes: int = 256 * 1024 * 1024
    """How many bytes may wait in the journal, such as while the database is away. Beyond, the
    collector answers 503 and page visits are dropped and counted."""

    buffer_size: int = 20_000
    """How many events may wait where they wait in memory. Beyond, as with a full journal."""

    sqlite_wal: bool = True
    """Whether a SQLite file is switched to write-ahead logging, so that the writer and the app's
    own pages do not lock each other out."""


def load_config(values: cabc.Mapping[str, t.Any]) -> Config:
    """Read and check the ``EVENTTRACK_*`` keys of an app's configuration.

    :raises ConfigError: for an unknown key (naming the nearest) or a value it cannot take.
    """
    known = {PREFIX + field.name.upper(): field.name for field in dataclasses.fields(Config)}
    settings = {}
    for key, value in values.items():
        if not key.startswith(PREFIX):
            continue
        if key not in known:
            raise ConfigError(f"{key!r} is not an EventTrack setting.{_did_you_mean(key, known)}")
        settings[known[key]] = _PARSERS[known[key]](key, value)
    return Config(**settings)


def _did_you_mean(key: str, known: cabc.Iterable[str]) -> str:
    nearest = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
    return f" Did you mean {nearest[0]!r}?" if nearest else " There is none like it."


def _refuse(key: str, value: object, expected: str) -> t.NoReturn:
    raise ConfigError(f"{key} must be {expected}, not {value!r}.")


def _boolean(key: str, value: object) -> bool:
    return value if isinstance(value, bool) else _refuse(key, value, "True or False")


def _one_of(*allowed: object) -> cabc.Callable[[str, object], t.Any]:
    expected = " or ".join(repr(item) for item in allowed)

    def parse(key: str, value: object) -> object:
        # `True == 1`: the type must be right too.
        if any(value == item and type(value) is type(item) for item in allowed):
            return value
        _refuse(key, value, expected)

    return parse


def _text(key: str, value: object) -> str:
    return value if isinstance(value, str) and value else _refuse(key, value, "a non-empty str")


def _optional(parse: cabc.Callable[[str, object], t.Any]) -> cabc.Callable[[str, object], t.Any]:
    return lambda key, value: None if value is None else parse(key, value)


def _path(key: str, value: object) -> str:
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    return _text(key, value)


def _duration(key: str, value: object) -> dt.timedelta:
    if isinstance(value, int | float) and not isinstance(value, bool):
        with contextlib.suppress(ValueError, OverflowError):
            value = dt.timedelta(seconds=value)
    if isinstance(value, dt.timedelta) and value > dt.timedelta(0):
        return value
    _refuse(key, value, "a timedelta or a number of seconds, more than 0")


def _keeps(key: str, value: object) -> Keeps:
    if isinstance(value, cabc.Mapping):
        return {_text(key, pattern): _duration(key, keep) for pattern, keep in value.items()}
    return {} if value is None else {"*": _duration(key, value)}


def _count(key: str, value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return value
    _refuse(key, value, "a whole number above 0")


def _rate_limit(key: str, value: object) -> RateLimit:
    if isinstance(value, list | tuple) and len(value) == 2:
        rate, burst = value
        if _is_positive(rate) and _is_positive(burst) and isinstance(burst, int):
            return rate, burst
    _refuse(key, value, "two numbers above 0, so many a second and so many at once, or None")


def _is_positive(value: object) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and 0 < t.cast("float", value) < math.inf


def _mask(key: str, value: object) -> bool | MaskRules:
    if isinstance(value, bool):
        return value
    if isinstance(value, list | tuple) and all(_is_mask_rule(rule) for rule in value):
        return tuple(value)
    _refuse(key, value, "True, False, or a list of compiled str patterns and callables")


def _is_mask_rule(rule: object) -> bool:
    if isinstance(rule, re.Pattern):
        return isinstance(rule.pattern, str)
    return callable(rule)


def _callable(key: str, value: object) -> cabc.Callable[..., t.Any]:
    if callable(value) and not inspect.iscoroutinefunction(value):
        return value
    _refuse(key, value, "a callable, not async, or None")


def _texts(key: str, value: object) -> tuple[str, ...]:
    if isinstance(value, list | tuple | set | frozenset) and all(
        isinstance(item, str) and item for item in value
    ):
        return tuple(value)
    _refuse(key, value, "a list of non-empty str")


def _lower_texts(key: str, value: object) -> tuple[str, ...]:
    return tuple(item.lower() for item in _texts(key, value))


def _url_path(key: str, value: object) -> str:
    if isinstance(value, str) and re.fullmatch(r"(/[A-Za-z0-9._~\-]+)+", value):
        return value
    _refuse(key, value, "a path such as '/_et': a leading '/', no trailing '/'")


def _cookie_path(key: str, value: object) -> str:
    if isinstance(value, str) and value.startswith("/") and _is_attribute(value):
        return value
    _refuse(key, value, "a path that starts with '/', in ASCII and without ';' or spaces")


def _cookie_domain(key: str, value: object) -> str:
    if isinstance(value, str) and re.fullmatch(r"\.?[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*", value):
        return value
    _refuse(key, value, "a host name such as 'example.com'")


def _is_attribute(text: str) -> bool:
    """Whether a text ends no attribute of a cookie, and no header."""
    return text.isascii() and text.isprintable() and not set(text) & set("; ")


def _jwt_keys(key: str, value: object) -> KeySources:
    """Read the shape of ``EVENTTRACK_JWT_KEYS``; what is wrong is told without a key's text."""
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


def _site_patterns(key: str, value: object) -> SitePatterns:
    if isinstance(value, cabc.Mapping):
        return {_text(key, site).lower(): _texts(key, items) for site, items in value.items()}
    if isinstance(value, str):
        _refuse(key, value, "a list of action patterns, or a dict of site to such a list")
    return {"*": _texts(key, value)}


def _origins(key: str, value: object) -> tuple[str, ...]:
    for origin in _texts(key, value):
        if not _is_origin(origin):
            _refuse(key, origin, "origins such as 'https://shop.example.com', without a path")
    return _lower_texts(key, value)


def _is_origin(text: str) -> bool:
    try:
        parts = urllib.parse.urlsplit(text)
        is_named = bool(parts.hostname) and parts.username is None and parts.port != 0
    except ValueError:
        return False
    is_bare = f"{parts.scheme}://{parts.netloc}".lower() == text.lower()
    return parts.scheme in {"http", "https"} and is_named and is_bare


_PARSERS: dict[str, cabc.Callable[[str, t.Any], t.Any]] = {
    "enabled": _boolean,
    "url_prefix": _url_path,
    "bind_key": _optional(_text),
    "cookie_domain": _optional(_cookie_domain),
    "cookie_path": _cookie_path,
    "cookie_secure": _one_of(True, False, "auto"),
    "default_policy": _one_of(*t.get_args(Policy)),
    "gpc": _one_of("anonymous", "none", "ignore"),
    "bots": _one_of("drop", "tag"),
    "session_timeout": _duration,
    "profile_salt": _text,
    "undefined_events": _one_of("reject", "store"),
    "allow": _site_patterns,
    "deny": _site_patterns,
    "max_age": _duration,
    "retention": _keeps,
    "prune": _boolean,
    "spa": _one_of(False, True, "hash"),
    "debug_js": _boolean,
    "page_visit_filter": _optional(_callable),
    "allowed_origins": _origins,
    "jwt_keys": _jwt_keys,
    "jwt_audience": _optional(_text),
    "jwt_issuer": _optional(_text),
    "jwt_type": _optional(_text),
    "dashboard_permission": _optional(_callable),
    "secret_parameters": _lower_texts,
    "mask": _mask,
    "device_limit": _optional(_rate_limit),
    "address_limit": _optional(_rate_limit),
    "limits_url": _optional(_text),
    "gzip_posts": _boolean,
    "undefined_limit": _count,
    "agent_parser": _one_of("builtin", "ua-parser"),
    "country_header": _optional(_text),
    "country_database": _optional(_path),
    "flush_interval": _duration,
    "durability": _one_of("memory", "journal", "durable"),
    "journal_dir": _optional(_path),
    "journal_max_bytes": _count,
    "buffer_size": _count,
    "sqlite_wal": _boolean,
}
