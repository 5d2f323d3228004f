"""What a request tells of its visitor: bots, browsers, addresses, countries, URLs, titles."""

from __future__ import annotations

import pathlib
import time
import typing as t

import pytest
from mmdb_writer import MMDBWriter
from netaddr import IPSet  # type: ignore[import-untyped]

from flask_eventtrack import track
from flask_eventtrack.event import clip_label
from flask_eventtrack.sources.title import parse_title
from flask_eventtrack.visitor import AgentParser, UrlCleaner, campaign_of, find_bot, mask_address
from flask_eventtrack.visitor.urls import source_of

from .conftest import MakeHost
from .hosts import CHROME, NAVIGATION, SAME_ORIGIN, Host

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


# Bots


@pytest.mark.parametrize(
    "agent",
    [
        "",
        " ",
        "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
        f"{PIXEL} Chrome/120 Mobile Safari/537.36 (compatible; Googlebot/2.1; +http://x/bot.html)",
        "AdsBot-Google (+http://www.google.com/adsbot.html)",
        "Mediapartners-Google",
        "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)",
        "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; GPTBot/1.2; +https://x/gptbot)",
        "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; ClaudeBot/1.0; +x@y.com)",
        "Mozilla/5.0 AppleWebKit/537.36; compatible; ChatGPT-User/1.0; +https://openai.com/bot",
        "CCBot/2.0 (https://commoncrawl.org/faq/)",
        "Mozilla/5.0 (compatible; Bytespider; spider-feedback@bytedance.com)",
        "Mozilla/5.0 (compatible; Baiduspider/2.0; +http://www.baidu.com/search/spider.html)",
        "Mozilla/5.0 (compatible; YandexBot/3.0; +http://yandex.com/bots)",
        "Mozilla/5.0 (compatible; Yahoo! Slurp; http://help.yahoo.com/help/us/ysearch/slurp)",
        "DuckDuckBot/1.1; (+http://duckduckgo.com/duckduckbot.html)",
        "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)",
        "meta-externalagent/1.1 (+https://developers.facebook.com/docs/sharing/webmasters/crawler)",
        "Twitterbot/1.0",
        "LinkedInBot/1.0 (compatible; Mozilla/5.0; +https://www.linkedin.com)",
        "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)",
        "TelegramBot (like TwitterBot)",
        "WhatsApp/2.23.20.0",
        "Mozilla/5.0 (compatible; AhrefsBot/7.0; +http://ahrefs.com/robot/)",
        "Mozilla/5.0 (compatible; UptimeRobot/2.0; http://www.uptimerobot.com/)",
        "Mozilla/5.0 (X11; Linux x86_64) Chrome/120 Safari/537.36 Chrome-Lighthouse",
        "Feedfetcher-Google; (+http://www.google.com/feedfetcher.html)",
        "ia_archiver",
        "curl/8.5.0",
        "Wget/1.21",
        "python-requests/2.31.0",
        "Python/3.11 aiohttp/3.9.1",
        "Go-http-client/2.0",
        "okhttp/4.12.0",
        "axios/1.6.2",
        "node-fetch",
        "Java/17.0.1",
        "PostmanRuntime/7.36.0",
        "Scrapy/2.11.2 (+https://scrapy.org)",
        "ELB-HealthChecker/2.0",
        "kube-probe/1.29",
        "GoogleHC/1.0",
        "Apache-HttpClient/4.5.13 (Java/17.0.1)",
        "GuzzleHttp/7",
        f"{PIXEL} Chrome/120.0.0.0 Mobile Safari/537.36 (compatible; GoogleOther)",
    ],
)
def test_program_that_names_itself_is_a_bot(agent: str) -> None:
    """The built-in rules know the widely seen ones: crawlers, previews, monitors, libraries."""
    assert find_bot(agent) is not None


@pytest.mark.parametrize(
    "agent",
    [
        CHROME,
        f"{WINDOWS} Chrome/120.0.0.0 Safari/537.36 Edg/120.0.0.0",
        f"{MAC} Version/17.4 Safari/605.1.15",
        f"{IPHONE} Version/17.4 Mobile/15E148 Safari/604.1",
        f"{IPHONE} Mobile/15E148 [FBAN/FBIOS;FBAV/440.0.0.0;FBBV/1]",
        "Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:120.0) Gecko/20100101 Firefox/120.0",
        CHROME.replace("Chrome/", "HeadlessChrome/"),
        "Mozilla/5.0 (Linux; Android 9; CUBOT NOTE Plus) AppleWebKit/537.36 Chrome/120 Mobile",
        "Mozilla/5.0 (Linux; Android 9; CUBOT_X18_Plus) AppleWebKit/537.36 Chrome/120 Mobile",
        "Mozilla/5.0 (Linux; Android 12; CUBOT) AppleWebKit/537.36 Chrome/120 Mobile Safari/537.36",
        "Some new browser/1.0",
    ],
)
def test_person_is_no_bot(agent: str) -> None:
    """Cubot makes phones; a headless Chrome runs its owner's browser tests."""
    assert find_bot(agent) is None


def test_bot_records_nothing_and_gets_no_cookie(host: Host) -> None:
    """Neither pages nor what views track nor what it posts."""
    host.app.add_url_rule("/t", "t", lambda: f"<title>{track('page.engage', {'visible_s': 1})}")
    client = host.client("Mozilla/5.0 (compatible; Googlebot/2.1)")
    answers = [client.get("/"), client.get("/t")]
    answers.append(client.post("/_et/in", json={"action": "button.click"}, headers=SAME_ORIGIN))
    assert [answer.status_code for answer in answers] == [200, 200, 422]
    assert answers[1].text == "<title>None"
    assert answers[2].get_json()["results"][0]["error"]["code"] == "bot"
    assert (host.rows("event"), host.rows("session")) == ([], [])


@pytest.mark.parametrize(
    "agent", ["x" * 100_000, "\x00", "\xff\xfe", "(" * 10_000, "Mozilla/5.0 " * 9]
)
def test_odd_user_agent_is_no_obstacle(host: Host, agent: str) -> None:
    """Nothing known is said of it."""
    session = session_of(host, agent=agent)
    assert (session["browser"], session["os"], session["device_type"]) == (None, None, None)


# Browsers


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
    """What is no language tag is none."""
    assert session_of(host, headers={"Accept-Language": header})["language"] == language


# Addresses and countries


@pytest.mark.parametrize(
    ("address", "masked"),
    [
        ("203.0.113.77", "203.0.113.0"),
        ("203.0.113.0", "203.0.113.0"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1::"),
        ("::ffff:203.0.113.77", "203.0.113.0"),
        ("fe80::1%eth0", "fe80::"),
        ("::1", "::"),
        ("", ""),
        ("unix:", ""),
        ("203.0.113.77:1234", ""),
        ("203.0.113.077", ""),
        ("203.0.113.77\n", ""),
        ("１.2.3.4", ""),  # noqa: RUF001 - a fullwidth digit
    ],
)
def test_address_loses_its_host_part(address: str, masked: str) -> None:
    """/24 and /48; what is no address is none."""
    assert mask_address(address) == masked


def test_whole_address_is_stored_nowhere(host: Host) -> None:
    """In no table and no column."""
    host.client().get("/", environ_base={"REMOTE_ADDR": "203.0.113.77"})
    tables = [name.removeprefix("eventtrack_") for name in host.db.metadata.tables]
    assert "203.0.113" not in repr([host.rows(name) for name in tables])


@pytest.mark.parametrize(
    ("header", "country"),
    [
        ("DE", "DE"),
        ("de", "DE"),
        ("", None),
        ("D", None),
        ("D1", None),
        ("T1", None),
        ("XX", None),
        ("Germany", None),
        ("DEU", None),
        ("ß", None),
        ("DE\x00", None),
    ],
    ids=ascii,
)
def test_country_is_the_code_in_the_trusted_header(
    make: MakeHost, header: str, country: str | None
) -> None:
    """Two letters of ISO 3166; Cloudflare's XX and T1 are no country."""
    host = make({"EVENTTRACK_COUNTRY_HEADER": "CF-IPCountry"})
    environ = {"HTTP_CF_IPCOUNTRY": header.encode().decode("latin-1")}
    assert session_of(host, environ_base=environ)["country"] == country


def test_country_header_is_not_believed_unasked(host: Host) -> None:
    """Clients could send it."""
    assert session_of(host, headers={"CF-IPCountry": "DE"})["country"] is None


@pytest.fixture
def geo(tmp_path: pathlib.Path) -> pathlib.Path:
    """A small MaxMind DB file."""
    writer = MMDBWriter(6, "GeoLite2-Country", ipv4_compatible=True)
    records: dict[str, t.Any] = {
        "203.0.113.0/24": {"country": {"iso_code": "NZ"}},
        "2001:db8:1::/48": {"country": {"iso_code": "IS"}},
        "198.51.100.0/24": {"continent": {"code": "EU"}},
        "192.0.2.0/24": {"country": {"iso_code": "Neverland"}},
        "100.64.0.0/24": {"country": "DE"},
    }
    for network, record in records.items():
        writer.insert_network(IPSet([network]), record)
    path = tmp_path / "geo.mmdb"
    writer.to_db_file(str(path))
    return path


@pytest.mark.parametrize(
    ("address", "country"),
    [
        ("203.0.113.77", "NZ"),
        ("::ffff:203.0.113.77", "NZ"),
        ("2001:db8:1:2::3", "IS"),
        ("198.51.100.1", None),
        ("192.0.2.1", None),
        ("100.64.0.1", None),
        ("8.8.8.8", None),
        ("", None),
        ("not an address", None),
    ],
)
def test_country_is_looked_up_in_a_local_file(
    make: MakeHost, geo: pathlib.Path, address: str, country: str | None
) -> None:
    """By the masked address; a record without a two-letter code says nothing."""
    host = make({"EVENTTRACK_COUNTRY_DATABASE": geo})
    assert session_of(host, environ_base={"REMOTE_ADDR": address})["country"] == country


@pytest.mark.parametrize(("header", "country"), [("DE", "DE"), ("T1", "NZ"), ("", "NZ")])
def test_header_goes_before_the_file(
    make: MakeHost, geo: pathlib.Path, header: str, country: str
) -> None:
    """The file answers where the header does not."""
    settings = {"EVENTTRACK_COUNTRY_DATABASE": geo, "EVENTTRACK_COUNTRY_HEADER": "X-Country"}
    environ = {"REMOTE_ADDR": "203.0.113.77", "HTTP_X_COUNTRY": header}
    assert session_of(make(settings), environ_base=environ)["country"] == country


# URLs


@pytest.mark.parametrize(
    ("url", "clean"),
    [
        ("https://shop.example/a?b=c", "https://shop.example/a?b=c"),
        ("https://SHOP.example:8443/A", "https://shop.example:8443/A"),
        ("https://user:pw@shop.example/", "https://shop.example/"),
        ("https://shop.example/a#token=x", "https://shop.example/a"),
        ("https://shop.example/?token=1&a=2", "https://shop.example/?a=2"),
        ("https://shop.example/?a=1&TOKEN=2&b=3", "https://shop.example/?a=1&b=3"),
        ("https://shop.example/?%74oken=1", "https://shop.example/"),
        ("https://shop.example/?token", "https://shop.example/"),
        ("https://shop.example/?tokens=1", "https://shop.example/?tokens=1"),
        ("https://shop.example/é x", "https://shop.example/%C3%A9%20x"),
        ("https://shop.example/%C3%A9", "https://shop.example/%C3%A9"),
        ("http://[2001:db8::1]:80/x", "http://[2001:db8::1]:80/x"),
        ("https://shop.example/\n\t", "https://shop.example/"),
        ("https://shop.example/" + "x" * 3000, "https://shop.example/" + "x" * 1979),
        ("", ""),
        ("/path", ""),
        ("//shop.example/", ""),
        ("javascript:alert(1)", ""),
        ("data:text/html,x", ""),
        ("android-app://com.example", ""),
        ("https://", ""),
        ("http://[::1", ""),
        ("http://h:99999/", ""),
        ("http://h:x/", ""),
        ("https://shop.example/\ud800", "https://shop.example/%EF%BF%BD"),
        ("https://shop.example/?q=\ud800", "https://shop.example/?q=%EF%BF%BD"),
    ],
    ids=ascii,
)
def test_url_is_cut_to_what_may_be_stored(url: str, clean: str) -> None:
    """No user name, no fragment, no secret; what is no web address is none."""
    assert UrlCleaner(["token"]).clean(url) == clean


@pytest.mark.parametrize("name", ["url", "referrer"])
def test_lone_surrogate_in_a_posted_url_is_no_error(host: Host, name: str) -> None:
    """JSON may hold one, and a 503 would have the client try again for ever."""
    params = f'{{"url": "http://localhost/", "{name}": "http://localhost/\\ud800"}}'
    body = f'{{"action": "page.visit", "params": {params}}}'
    headers = {**SAME_ORIGIN, "Content-Type": "application/json"}
    answer = host.client().post("/_et/in", data=body, headers=headers)
    assert answer.status_code in {202, 422}


@pytest.mark.parametrize(
    ("url", "campaign"),
    [
        ("https://h/", {}),
        ("https://h/?utm_source=n&utm_medium=e&x=1", {"utm_source": "n", "utm_medium": "e"}),
        ("https://h/?utm_source=a+b%20c", {"utm_source": "a b c"}),
        ("https://h/?utm_source=", {}),
        ("https://h/?utm_id=1&utm_other=2", {}),
        (
            "https://h/?utm_term=1&utm_content=2&utm_campaign=3",
            {"utm_campaign": "3", "utm_term": "1", "utm_content": "2"},
        ),
        ("https://h/?utm_source=" + "x" * 300, {"utm_source": "x" * 255}),
        ("https://h/utm_source=n", {}),
        ("http://[h/?utm_source=n", {}),
    ],
)
def test_campaign_is_read_off_the_url(url: str, campaign: dict[str, str]) -> None:
    """Five parameters, decoded, each cut to 255 characters."""
    assert campaign_of(url) == campaign


@pytest.mark.parametrize(
    ("url", "referrer", "source"),
    [
        ("https://h/", "", "direct"),
        ("https://h/", "https://h/other", "direct"),
        ("https://h:80/", "https://H:81/other", "direct"),
        ("https://h/", "https://www.google.com/search", "www.google.com"),
        ("https://h/?utm_source=news", "https://www.google.com/", "news"),
        ("https://h/", "not a url", "direct"),
    ],
)
def test_source_is_the_campaigns_or_the_other_site(url: str, referrer: str, source: str) -> None:
    """Or "direct"."""
    assert source_of(url, referrer) == source


def test_session_tells_where_it_came_from(host: Host) -> None:
    """The first page's referrer and campaign; secrets are cut from either."""
    headers = {**NAVIGATION, "Referer": "https://news.example/a?token=x&b=1#c"}
    session = session_of(host, "/?utm_source=mail&utm_campaign=may&token=x", headers=headers)
    assert session["referrer"] == "https://news.example/a?b=1"
    assert (session["source"], session["utm_source"]) == ("mail", "mail")
    assert (session["utm_campaign"], session["utm_medium"]) == ("may", None)
    assert host.events_of("page.visit")[0]["params"]["url"] == (
        "http://localhost/?utm_source=mail&utm_campaign=may"
    )


def test_broken_url_of_server_code_does_not_lose_the_event(host: Host) -> None:
    """The writer reads campaigns off a parameter named url, whatever it holds."""
    with host.app.test_request_context("/", headers={"User-Agent": CHROME}):
        track("link.click", {"href": "/x", "url": "http://[h/?utm_source=n"})
    assert host.actions() == {"link.click": 1, "session.start": 1}
    assert host.rows("rejected") == []


# Titles


@pytest.mark.parametrize(
    ("document", "title"),
    [
        ("<title>Home</title>", "Home"),
        ("<html><head><meta charset=utf-8><title>Home</title></head>", "Home"),
        ("<TITLE lang='en'>Home</TITLE >", "Home"),
        ("<title>\n  Two\n\tlines  </title>", "Two lines"),
        ("<title>Tom &amp; Jerry &lt;3 &#128512;</title>", "Tom & Jerry <3 😀"),
        ("<title>Zoë — 日本</title>", "Zoë — 日本"),
        ("<title></title><title>Second</title>", ""),
        ("<!-- <title>No</title> --><title>Yes</title>", "Yes"),
        ("<script>'<title>No</title>'</script><title>Yes</title>", "Yes"),
        ("<svg><title>No</title></svg><title>Yes</title>", "Yes"),
        ("<template><title>No</title></template><title>Yes</title>", "Yes"),
        ("<style>/*<title>No</title>*/</style><title>Yes</title>", "Yes"),
        ("<head></head><title>Late</title>", ""),
        ("<body><title>Late</title>", ""),
        ("<title>Never closed", ""),
        ("<titles>No</titles>", ""),
        ("<p>none</p>", ""),
        ("", ""),
        (f"<title>{'x' * 300}</title>", "x" * 255),
        (f"<!--{'x' * 60_000}--><title>Far</title>", "Far"),
        (f"<!--{'x' * 70_000}--><title>Too far</title>", ""),
    ],
    ids=lambda text: text[:40],
)
def test_title_of_a_visit_is_the_documents(host: Host, document: str, title: str) -> None:
    """The first <title> of the head; the label falls back to the path."""
    host.app.add_url_rule("/page", "page", lambda: document)
    host.client().get("/page", headers=NAVIGATION)
    [visit] = host.events_of("page.visit")
    assert visit["params"].get("title", "") == title
    assert visit["label"] == clip_label(f"Visited page {title or '/page'}")


def test_title_that_is_no_utf8_is_read_as_far_as_it_goes() -> None:
    """What cannot be read is replaced."""
    assert parse_title(b"<title>Caf\xe9</title>") == "Caf\ufffd"


def test_title_in_the_charset_of_the_answer(host: Host) -> None:
    """Content-Type says how the bytes are meant."""
    content_type = {"Content-Type": "text/html; charset=iso-8859-1"}
    answer = ("<title>Café</title>".encode("latin-1"), 200, content_type)
    host.app.add_url_rule("/latin", "latin", lambda: answer)
    host.client().get("/latin", headers=NAVIGATION)
    assert host.events_of("page.visit")[0]["params"]["title"] == "Café"


def test_title_with_what_no_database_stores(db_host: Host) -> None:
    """A NUL in a title does not hold up the batch."""
    db_host.app.add_url_rule("/nul", "nul", lambda: "<title>a\x00b&#0;&#xd800;</title>")
    db_host.client().get("/nul", headers=NAVIGATION)
    assert db_host.events_of("page.visit")[0]["params"]["title"] == "a\ufffdb\ufffd\ufffd"


@pytest.mark.parametrize("tag", ["<script", "<!--", "<title>", "<svg", "<title ", "<template>"])
def test_title_is_sought_in_linear_time(tag: str) -> None:
    """64 KiB of tags that are never closed take milliseconds of the request's thread."""
    document = (tag * 65_536)[:65_536].encode()
    before = time.process_time()
    assert parse_title(document) == ""
    assert time.process_time() - before < 0.5
