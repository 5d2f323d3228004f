"""The EVENTTRACK_* settings: defaults, what each takes, and what is said of the rest."""

from __future__ import annotations

import dataclasses
import datetime as dt
import pathlib
import re
import typing as t

import pytest

from flask_eventtrack.config import SECRET_PARAMETERS, Config, KeySource, load_config
from flask_eventtrack.errors import ConfigError, EventTrackError

from .conftest import MakeHost

PATTERN = re.compile("x")


def load(**settings: t.Any) -> Config:
    return load_config({f"EVENTTRACK_{name.upper()}": value for name, value in settings.items()})


def test_without_settings_all_is_as_documented() -> None:
    """DESIGN §5, §12 and §13."""
    config = load_config({"SECRET_KEY": "x", "DEBUG": True})
    assert config == Config()
    assert (config.enabled, config.url_prefix, config.bind_key) == (True, "/_et", None)
    assert config.session_timeout == dt.timedelta(minutes=30)
    assert config.max_age == dt.timedelta(days=7)
    assert (config.cookie_secure, config.cookie_path, config.cookie_domain) == ("auto", "/", None)
    assert (config.undefined_events, config.allow, config.deny) == ("reject", {}, {})
    assert (config.default_policy, config.gpc) == ("full", "anonymous")
    assert (config.spa, config.debug_js) == (False, False)


def test_settings_are_frozen() -> None:
    """They are read once."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        load().enabled = False  # type: ignore[misc]


def test_each_setting_says_what_it_means() -> None:
    """A docstring a field, in the source."""
    source = pathlib.Path(__file__).parent.parent / "flask_eventtrack" / "config.py"
    body = source.read_text().split("class Config:")[1].split("\ndef ")[0]
    for field in dataclasses.fields(Config):
        assert f"\n    {field.name}: " in body
    assert body.count('"""') // 2 == len(dataclasses.fields(Config)) + 1


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("EVENTTRACK_ENABLD", "Did you mean 'EVENTTRACK_ENABLED'?"),
        ("EVENTTRACK_COOKIE_SECUR", "Did you mean 'EVENTTRACK_COOKIE_SECURE'?"),
        ("EVENTTRACK_SESSION_TIME_OUT", "Did you mean 'EVENTTRACK_SESSION_TIMEOUT'?"),
        ("EVENTTRACK_enabled", "Did you mean"),
        ("EVENTTRACK_", "is not an EventTrack setting"),
        ("EVENTTRACK_ENABLED\n", r"'EVENTTRACK_ENABLED\n' is not an EventTrack setting"),
    ],
)
def test_unknown_key_is_refused_with_the_nearest(make: MakeHost, key: str, said: str) -> None:
    """A slip of the pen does not pass for a setting."""
    with pytest.raises(ConfigError) as caught:
        make({key: True})
    assert repr(key) in str(caught.value)
    assert said in str(caught.value)


@pytest.mark.parametrize("key", ["EVENTTRACKER_X", "eventtrack_enabled", "MY_EVENTTRACK_X"])
def test_keys_of_others_are_left_alone(key: str) -> None:
    """Only EVENTTRACK_ is ours."""
    assert load_config({key: "whatever"}) == Config()


def test_config_error_is_a_value_error_and_ours() -> None:
    """Either may be caught."""
    with pytest.raises(ConfigError) as caught:
        load(enabled="yes")
    assert isinstance(caught.value, EventTrackError)
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize(
    ("name", "given", "read"),
    [
        ("enabled", False, False),
        ("url_prefix", "/analytics-of/ours", "/analytics-of/ours"),
        ("bind_key", "events", "events"),
        ("bind_key", None, None),
        ("cookie_domain", ".shop.example", ".shop.example"),
        ("cookie_path", "/shop", "/shop"),
        ("cookie_secure", True, True),
        ("cookie_secure", False, False),
        ("cookie_secure", "auto", "auto"),
        ("session_timeout", 60, dt.timedelta(minutes=1)),
        ("session_timeout", 0.5, dt.timedelta(milliseconds=500)),
        ("session_timeout", dt.timedelta(hours=1), dt.timedelta(hours=1)),
        ("profile_salt", "ours", "ours"),
        ("undefined_events", "store", "store"),
        ("default_policy", "none", "none"),
        ("gpc", "ignore", "ignore"),
        ("spa", True, True),
        ("spa", "hash", "hash"),
        ("frames", True, True),
        ("frames", "embed", "embed"),
        ("debug_js", True, True),
        ("allow", ["a.*"], {"*": ("a.*",)}),
        ("allow", ("a.*", "b.c"), {"*": ("a.*", "b.c")}),
        ("allow", {"Shop.Example": ["a.*"], "*": []}, {"shop.example": ("a.*",), "*": ()}),
        ("deny", [], {"*": ()}),
        ("deny", {}, {}),
        ("max_age", dt.timedelta(days=1), dt.timedelta(days=1)),
        ("page_visit_filter", bool, bool),
        ("page_visit_filter", None, None),
        ("visitor_filter", bool, bool),
        ("visitor_filter", None, None),
        ("allowed_origins", ["https://shop.example"], ("https://shop.example",)),
        ("allowed_origins", ["http://localhost:3000"], ("http://localhost:3000",)),
        ("jwt_keys", None, ()),
        ("jwt_keys", [], ()),
        ("jwt_keys", "é", (KeySource(None, "é".encode()),)),
        ("jwt_keys", [b"x", "y"], (KeySource(None, b"x"), KeySource(None, b"y"))),
        ("jwt_keys", "/keys.json", (KeySource(None, pathlib.Path("/keys.json")),)),
        ("jwt_keys", (pathlib.Path("keys"),), (KeySource(None, pathlib.Path("keys")),)),
        ("jwt_keys", {"a": "x", "b": ["y"]}, (KeySource("a", b"x"), KeySource("b", b"y"))),
        ("jwt_keys", [{"a": b"x"}, "y"], (KeySource("a", b"x"), KeySource(None, b"y"))),
        ("jwt_audience", "shop", "shop"),
        ("jwt_audience", None, None),
        ("jwt_issuer", "https://login.example/", "https://login.example/"),
        ("jwt_type", "at+jwt", "at+jwt"),
        ("secret_parameters", {"Ticket"}, ("ticket",)),
        ("secret_parameters", (*SECRET_PARAMETERS, "x"), (*SECRET_PARAMETERS, "x")),
        ("mask", False, False),
        ("mask", [], ()),
        ("mask", [PATTERN, str.lower], (PATTERN, str.lower)),
        ("device_limit", [5, 50], (5, 50)),
        ("address_limit", (0.5, 1), (0.5, 1)),
        ("address_limit", None, None),
        ("device_bytes", [5, 262_144], (5, 262_144)),
        ("address_bytes", None, None),
        ("device_pages", 1, 1),
        ("address_pages", None, None),
        ("sites", ["Shop.example:80", "*.Shop.example."], ("shop.example", "*.shop.example")),
        ("deny", {"Shop.example.": ["a.*"]}, {"shop.example": ("a.*",)}),
        ("limits_url", "redis://127.0.0.1/1", "redis://127.0.0.1/1"),
        ("undefined_limit", 10, 10),
        ("agent_parser", "ua-parser", "ua-parser"),
        ("country_header", "CF-IPCountry", "CF-IPCountry"),
        ("release", None, None),
        ("release", " 1.4.2\n", "1.4.2"),
        ("release", "a\0b", "a\ufffdb"),
        ("release", "x" * 64, "x" * 64),
        ("country_database", "/geo.mmdb", "/geo.mmdb"),
        ("country_database", pathlib.PurePosixPath("/geo.mmdb"), "/geo.mmdb"),
        ("flush_interval", 2, dt.timedelta(seconds=2)),
        ("buffer_size", 1, 1),
        ("sqlite_wal", False, False),
    ],
)
def test_value_is_read(name: str, given: object, read: object) -> None:
    """Each in the form that the rest of the package uses."""
    value = getattr(load(**{name: given}), name)
    assert (value, type(value)) == (read, type(read))


NAN, INFINITY = float("nan"), float("inf")
BOOLEAN = "must be True or False, not"
TEXT = "must be a non-empty str, not"
DURATION = "must be a timedelta or a number of seconds, more than 0, not"
COUNT = "must be a whole number above 0, not"
TEXTS = "must be a list of non-empty str, not"
BURST = "must be a burst of at least 262,144 bytes, which is the largest post, not"
HOSTS = "must be host names such as 'shop.example.com'"
PREFIX = "must be a path such as '/_et': a leading '/', no trailing '/', not"
COOKIE_PATH = "must be a path that starts with '/', in ASCII and without ';' or spaces, not"
COOKIE_DOMAIN = "must be a host name such as 'example.com', not"
ORIGIN = "must be origins such as 'https://shop.example.com', without a path, not"
KEYS = (
    "must be a secret, a PEM text, the path of a JWKS file, a dict of kid to these, or a list of "
    "these, not"
)


LIMIT = "must be two numbers above 0 (how many a second, how many at once), or None, not"
MASK = "must be True, False, or a list of compiled str patterns and callables, not"
LISTS = "must be a list of action patterns, or a dict of site to such a list"


async def ask_later() -> bool:
    return True


WRONG: list[tuple[str, str, list[object]]] = [
    ("enabled", BOOLEAN, [1, 0, "true", "", None, []]),
    ("sqlite_wal", BOOLEAN, [1, "on", None]),
    ("url_prefix", PREFIX, ["", "/", "et", "/et/", "//et", "/e t", "/et\n", "/é", "/<x>", None, 7]),
    ("bind_key", TEXT, ["", 7, b"x", True]),
    ("cookie_path", COOKIE_PATH, ["", "x", None, 7, "/;Domain=x", "/a b", "/\r\n", "/ä"]),
    ("cookie_domain", COOKIE_DOMAIN, ["", 7, "a;b", "a b", "a..b", "a\n", "http://a"]),
    ("cookie_secure", "must be True or False or 'auto', not", [1, 0, "Auto", "true", None]),
    *[
        (
            name,
            DURATION,
            [0, -1, True, "30", None, dt.timedelta(0), dt.timedelta(-1), NAN, INFINITY, 1e20],
        )
        for name in ("session_timeout", "max_age", "flush_interval")
    ],
    ("profile_salt", TEXT, ["", None, b"x"]),
    ("undefined_events", "must be 'reject' or 'store', not", ["Store", "drop", True, None]),
    ("default_policy", "must be 'full' or 'anonymous' or 'none', not", ["all", None, False]),
    ("gpc", "must be 'anonymous' or 'none' or 'ignore', not", ["full", None, False]),
    ("spa", "must be False or True or 'hash', not", ["path", None, 1]),
    ("frames", "must be False or True or 'embed', not", ["embedded", 1, None]),
    ("debug_js", BOOLEAN, ["auto", None]),
    ("buffer_size", COUNT, [0, -1, True, 1.0, "9", None]),
    ("allow", LISTS, ["a.*"]),
    ("deny", LISTS, ["a.*"]),
    ("deny", TEXTS, [[""], [1], [None], 7, None, {"*": "a.*"}]),
    ("deny", TEXT, [{"": ["a.*"]}, {7: ["a.*"]}, {None: []}]),
    (
        "allowed_origins",
        ORIGIN,
        [
            ["shop.example"],
            ["https://shop.example/"],
            ["https://shop.example/x"],
            ["https://shop.example?x"],
            ["ftp://shop.example"],
            ["null"],
            ["*"],
            ["https://ok.example", "nope"],
            ["https://"],
            ["http://[::1"],
            ["https://user@shop.example"],
        ],
    ),
    ("allowed_origins", TEXTS, ["https://shop.example", [""], None]),
    ("jwt_keys", KEYS, ["", b"", 7, True, [""], [None], [["x"]], {"a": None}, {"a": {"b": "x"}}]),
    ("jwt_keys", TEXT, [{"": "x"}, {7: "x"}, {None: "x"}]),
    *[(name, TEXT, ["", 7, ["x"]]) for name in ("jwt_audience", "jwt_issuer", "jwt_type")],
    ("secret_parameters", TEXTS, ["token", [7], None]),
    ("mask", MASK, [1, "x", None, ["x"], [re.compile(b"x")], PATTERN, {}]),
    *[
        (
            name,
            LIMIT,
            [5, "5", [], [5], [5, 0], [0, 5], [5, 1.5], [True, 1], [NAN, 1], [INFINITY, 1]],
        )
        for name in ("device_limit", "address_limit")
    ],
    ("device_bytes", BURST, [[5, 262_143]]),
    ("address_bytes", BURST, [[5, 262_143], (5e6, 200)]),
    ("device_pages", COUNT, [0, -1, True, 1.5]),
    ("address_pages", COUNT, [0, -1, True, 1.5]),
    ("sites", TEXTS, ["shop.example", [""], None]),
    ("sites", HOSTS, [["https://shop.example"], ["*"], ["a.*"], ["*.*.a"], ["a b"]]),
    ("allow", HOSTS, [{"https://shop.example": []}, {"*.shop.example": []}]),
    ("limits_url", TEXT, ["", 7]),
    ("undefined_limit", COUNT, [0, -1, True, None]),
    ("agent_parser", "must be 'builtin' or 'ua-parser', not", ["ua_parser", None, True]),
    ("country_header", TEXT, ["", 7]),
    (
        "release",
        "must be a str of 1 to 64 characters, such as '1.4.2', not",
        ["", " ", "x" * 65, 1.4, 7, True, b"1.4.2", ["1.4.2"]],
    ),
    ("country_database", TEXT, ["", 7, b"/geo.mmdb"]),
    *(
        (name, "must be a callable, not async, or None", ["x", True, ask_later])
        for name in ("page_visit_filter", "visitor_filter", "dashboard_permission")
    ),
]


def test_embedding_needs_secure_cookies() -> None:
    """Browsers take ``Partitioned`` and ``SameSite=None`` with ``Secure`` only."""
    with pytest.raises(ConfigError, match="EVENTTRACK_COOKIE_SECURE is False: remove it, or set"):
        load(frames="embed", cookie_secure=False)
    assert load(frames=True, cookie_secure=False).frames is True
    assert load(frames="embed", cookie_secure=True).frames == "embed"


@pytest.mark.parametrize(
    ("name", "given", "expected"),
    [
        pytest.param(name, value, expected, id=f"{name}-{getattr(value, '__name__', ascii(value))}")
        for name, expected, values in WRONG
        for value in values
    ],
)
def test_wrong_value_is_refused_with_what_is_taken(name: str, given: object, expected: str) -> None:
    """The sentence quotes the setting, what it takes, and what was given."""
    with pytest.raises(ConfigError) as caught:
        load(**{name: given})
    assert str(caught.value).startswith(f"EVENTTRACK_{name.upper()} {expected}")


def test_jwks_file_under_a_kid_is_refused() -> None:
    """Its keys have their own."""
    with pytest.raises(
        ConfigError, match=r"a JWKS file gives its keys their own kid: put '/k.json"
    ):
        load(jwt_keys={"a": "/k.json"})


def test_what_is_said_of_a_key_is_not_the_key() -> None:
    """Neither in an error nor where the settings are printed."""
    with pytest.raises(ConfigError) as caught:
        load(jwt_keys={"a": ["a secret of ours", {"b": "a secret of ours"}]})
    assert "of ours" not in str(caught.value)
    assert "of ours" not in repr(load(jwt_keys="a secret of ours"))


def test_wrong_value_stops_the_app_at_registration(make: MakeHost) -> None:
    """Not at the first request."""
    with pytest.raises(ConfigError, match=r"^EVENTTRACK_ENABLED must be True or False, not 1\.$"):
        make({"EVENTTRACK_ENABLED": 1})


def test_settings_are_read_once(make: MakeHost) -> None:
    """A change after init_app changes nothing."""
    host = make()
    host.app.config["EVENTTRACK_COOKIE_PATH"] = "/later"
    host.client().get("/")
    assert host.state.config.cookie_path == "/"


def test_missing_country_database_is_refused(make: MakeHost, tmp_path: pathlib.Path) -> None:
    """With the path and the reason."""
    path = tmp_path / "absent.mmdb"
    with pytest.raises(ConfigError, match=r"EVENTTRACK_COUNTRY_DATABASE: '.*absent.mmdb' cannot"):
        make({"EVENTTRACK_COUNTRY_DATABASE": path})


def test_file_that_is_no_country_database_is_refused(
    make: MakeHost, tmp_path: pathlib.Path
) -> None:
    """With the path and the reason."""
    path = tmp_path / "text.mmdb"
    path.write_text("not a database")
    with pytest.raises(ConfigError, match=r"EVENTTRACK_COUNTRY_DATABASE: '.*text.mmdb' cannot"):
        make({"EVENTTRACK_COUNTRY_DATABASE": str(path)})


def test_unknown_bind_is_refused_with_the_ones_there_are(
    make: MakeHost, tmp_path: pathlib.Path
) -> None:
    """EVENTTRACK_BIND_KEY names a bind of Flask-SQLAlchemy's."""
    binds = {"SQLALCHEMY_BINDS": {"logs": f"sqlite:///{tmp_path / 'logs.db'}"}}
    message = (
        r"EVENTTRACK_BIND_KEY 'events' is not in SQLALCHEMY_BINDS; the binds are: 'logs', None"
    )
    with pytest.raises(ConfigError, match=message):
        make({**binds, "EVENTTRACK_BIND_KEY": "events"})


@pytest.mark.parametrize("given", [30, 30.0, dt.timedelta(seconds=30)])
def test_session_timeout_decides_on_the_gap(make: MakeHost, given: object) -> None:
    """Seconds or a timedelta: the session is over after as long."""
    host = make({"EVENTTRACK_SESSION_TIMEOUT": given})
    client = host.client()
    for gap in (0, 29, 30):
        host.clock.advance(seconds=gap)
        client.get("/")
    assert host.actions() == {"page.visit": 3, "session.start": 2, "session.end": 1}


def test_bind_holds_the_tables(make: MakeHost, tmp_path: pathlib.Path) -> None:
    """EVENTTRACK_BIND_KEY moves them into a database of their own."""
    binds = {"SQLALCHEMY_BINDS": {"events": f"sqlite:///{tmp_path / 'events.db'}"}}
    host = make({**binds, "EVENTTRACK_BIND_KEY": "events"})
    host.client().get("/")
    assert host.actions() == {"page.visit": 1, "session.start": 1}
    assert host.db.metadatas["events"].tables.keys() >= {"eventtrack_event"}
    assert not host.db.metadata.tables


def test_url_prefix_moves_collector_and_script(make: MakeHost) -> None:
    """And nothing is left at the default."""
    client = make({"EVENTTRACK_URL_PREFIX": "/a/b"}).client()
    assert re.search('<script async="" src="/a/b/[0-9a-f]{16}/et.js"', client.get("/").text)
    assert client.post("/a/b/in").status_code != 404
    assert client.post("/_et/in").status_code == 404
