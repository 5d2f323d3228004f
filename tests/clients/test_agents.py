"""Browsers, systems, devices and languages are named."""

from __future__ import annotations

import typing as t

import pytest

from flask_eventtrack.clients.facts import AgentParser

from ..conftest import MakeHost
from ..hosts import CHROME, Host
from .agents import IPAD, IPHONE, MAC, PIXEL, TAB, WINDOWS, session_of

AGENTS = [
    (f"{WINDOWS} Chrome/120.0.0.0 Safari/537.36", "Chrome", "Windows", "desktop"),
    (f"{WINDOWS} Chrome/120.0.0.0 Safari/537.36 Edg/120.0.0.0", "Edge", "Windows", "desktop"),
    (f"{WINDOWS} Chrome/120.0.0.0 Safari/537.36 OPR/106.0.0.0", "Opera", "Windows", "desktop"),
    (f"{WINDOWS} Chrome/120.0.0.0 Safari/537.36 Vivaldi/6.5", "Vivaldi", "Windows", "desktop"),
    (
        "Mozilla/5.0 (X11; Linux x86_64; rv:120.0) Gecko/20100101 Firefox/120.0",
        "Firefox",
        "Linux",
        "desktop",
    ),
    (CHROME, "Chrome", "Linux", "desktop"),
    (CHROME.replace("Linux x86_64", "CrOS x86_64 14541.0.0"), "Chrome", "Chrome OS", "desktop"),
]
BUILTIN = [
    (f"{MAC} Version/17.4 Safari/605.1.15", "Safari", "macOS", "desktop"),
    (f"{MAC} Chrome/120.0.0.0 Safari/537.36", "Chrome", "macOS", "desktop"),
    (f"{IPHONE} Version/17.4 Mobile/15E148 Safari/604.1", "Safari", "iOS", "mobile"),
    (f"{IPHONE} CriOS/120.0 Mobile/15E148 Safari/604.1", "Chrome", "iOS", "mobile"),
    (f"{IPHONE} FxiOS/120.0 Mobile/15E148 Safari/605.1.15", "Firefox", "iOS", "mobile"),
    (f"{IPHONE} Version/17.0 EdgiOS/120.0 Mobile/15E148 Safari/604.1", "Edge", "iOS", "mobile"),
    (f"{IPAD} Version/15.6 Mobile/15E148 Safari/604.1", "Safari", "iOS", "tablet"),
    (f"{PIXEL} Chrome/120.0.0.0 Mobile Safari/537.36", "Chrome", "Android", "mobile"),
    (f"{PIXEL} Chrome/120.0.0.0 Mobile Safari/537.36 EdgA/120.0", "Edge", "Android", "mobile"),
    (f"{TAB} Chrome/120.0.0.0 Safari/537.36", "Chrome", "Android", "tablet"),
    (
        f"{PIXEL} SamsungBrowser/23.0 Chrome/115.0.0.0 Mobile Safari/537.36",
        "Samsung Internet",
        "Android",
        "mobile",
    ),
    (
        f"{WINDOWS} Chrome/118.0.0.0 YaBrowser/23.11 Safari/537.36",
        "Yandex Browser",
        "Windows",
        "desktop",
    ),
    (
        "Mozilla/5.0 (Windows NT 6.1; Trident/7.0; rv:11.0) like Gecko",
        "Internet Explorer",
        "Windows",
        "desktop",
    ),
    (
        "Mozilla/5.0 (Android 13; Tablet; rv:120.0) Gecko/120.0 Firefox/120.0",
        "Firefox",
        "Android",
        "tablet",
    ),
    (
        "Mozilla/5.0 (Linux; Android 12; BRAVIA 4K) AppleWebKit/537.36 Chrome/120 Safari/537.36",
        "Chrome",
        "Android",
        "tv",
    ),
    (f"{IPHONE} Mobile/15E148 [FBAN/FBIOS;FBAV/440.0]", "", "iOS", "mobile"),
    ("Some new browser/1.0", "", "", ""),
]
UA_PARSER = [
    (f"{MAC} Version/17.4 Safari/605.1.15", "Safari", "Mac OS X", "desktop"),
    (f"{IPHONE} Version/17.4 Mobile/15E148 Safari/604.1", "Mobile Safari", "iOS", "mobile"),
    (f"{PIXEL} Chrome/120.0.0.0 Mobile Safari/537.36", "Chrome Mobile", "Android", "mobile"),
    (f"{IPHONE} Mobile/15E148 [FBAN/FBIOS;FBAV/440.0]", "Facebook", "iOS", "mobile"),
    ("Some new browser/1.0", "", "", ""),
]


@pytest.mark.parametrize(
    ("parser", "agent", "browser", "system", "device_type"),
    [
        *[("builtin", *row) for row in AGENTS + BUILTIN],
        *[("ua-parser", *row) for row in AGENTS + UA_PARSER],
    ],
)
def test_browser_system_and_device_are_named(
    parser: t.Literal["builtin", "ua-parser"],
    agent: str,
    browser: str,
    system: str,
    device_type: str,
) -> None:
    """By either parser."""
    assert AgentParser(parser).parse(agent) == (browser, system, device_type)


@pytest.mark.parametrize(
    ("parser", "browser"), [("builtin", "Safari"), ("ua-parser", "Mobile Safari")]
)
def test_session_tells_the_client(make: MakeHost, parser: str, browser: str) -> None:
    """EVENTTRACK_AGENT_PARSER."""
    host = make({"EVENTTRACK_AGENT_PARSER": parser})
    agent = f"{IPHONE} Version/17.4 Mobile/15E148 Safari/604.1"
    session = session_of(host, agent=agent, headers={"Accept-Language": "de-CH,de;q=0.9"})
    assert [session[name] for name in ("browser", "os", "device_type", "language")] == [
        browser,
        "iOS",
        "mobile",
        "de-CH",
    ]


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("", None),
        ("*", None),
        ("en", "en"),
        ("pl-PL,pl;q=0.9,en;q=0.8", "pl-PL"),
        ("zh-Hant-TW", "zh-Hant-TW"),
        ("x" * 1000, None),
        ("english", None),
        ("<script>", None),
    ],
)
def test_language_is_the_first_of_the_header(host: Host, header: str, language: str | None) -> None:
    """A value that is not a language tag is ignored."""
    assert session_of(host, headers={"Accept-Language": header})["language"] == language
