"""What a request tells of its visitor: bots, browsers, addresses, countries, URLs, titles."""

from __future__ import annotations

import pathlib
import time
import typing as t

import pytest
from mmdb_writer import MMDBWriter
from netaddr import IPSet  # type: ignore[import-untyped]

from flask_eventtrack import track
from flask_eventtrack.clients import AgentParser, find_bot
from flask_eventtrack.pages.title import parse_title
from flask_eventtrack.privacy import UrlCleaner, campaign_of, mask_address
from flask_eventtrack.privacy.urls import source_of
from flask_eventtrack.text import clip_label

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


KHTML = "AppleWebKit/537.36 (KHTML, like Gecko)"
BOTS = [
    "",
    " ",
    "Mozilla/5.0",
    # Search engines
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    f"{PIXEL} Chrome/120 Mobile Safari/537.36 (compatible; Googlebot/2.1; +http://x/bot.html)",
    "AdsBot-Google (+http://www.google.com/adsbot.html)",
    "Mediapartners-Google",
    f"{PIXEL} Chrome/120.0.0.0 Mobile Safari/537.36 (compatible; GoogleOther)",
    "Mozilla/5.0 (compatible; Google-InspectionTool/1.0;)",
    f"{WINDOWS} Chrome/120.0.0.0 Safari/537.36 (compatible; Google-Read-Aloud; x)",
    "APIs-Google (+https://developers.google.com/webmasters/APIs-Google.html)",
    "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)",
    f"Mozilla/5.0 {KHTML} Chrome/120.0.0.0 Safari/537.36 BingPreview/1.0b",
    "Mozilla/5.0 (compatible; Baiduspider/2.0; +http://www.baidu.com/search/spider.html)",
    "Mozilla/5.0 (compatible; YandexBot/3.0; +http://yandex.com/bots)",
    "Mozilla/5.0 (compatible; YandexMetrika/2.0; http://yandex.com/bots)",
    "Mozilla/5.0 (compatible; Yahoo! Slurp; http://help.yahoo.com/help/us/ysearch/slurp)",
    "DuckDuckBot/1.1; (+http://duckduckgo.com/duckduckbot.html)",
    f"{MAC} Version/17.4 Safari/605.1.15 (Applebot/0.1; +http://www.apple.com/go/applebot)",
    "Mozilla/5.0 (compatible; SeznamBot/4.0; +http://napoveda.seznam.cz/seznambot-intro/)",
    "Sogou web spider/4.0(+http://www.sogou.com/docs/help/webmasters.htm#07)",
    "Mozilla/5.0 (compatible; Yeti/1.1; +http://naver.me/spd)",
    "Mozilla/5.0 (compatible; Qwantify/1.0; https://www.qwant.com/)",
    "Mozilla/5.0 (compatible; MojeekBot/0.11; +https://www.mojeek.com/bot.html)",
    "Mozilla/5.0 (compatible; PetalBot;+https://webmaster.petalsearch.com/site/petalbot)",
    # Language models
    f"Mozilla/5.0 {KHTML}; compatible; GPTBot/1.2; +https://openai.com/gptbot",
    f"Mozilla/5.0 {KHTML}; compatible; ChatGPT-User/1.0; +https://openai.com/bot",
    f"{MAC} Chrome/131.0.0.0 Safari/537.36; compatible; OAI-SearchBot/1.0",
    f"Mozilla/5.0 {KHTML}; compatible; ClaudeBot/1.0; +x@y.com)",
    f"Mozilla/5.0 {KHTML}; compatible; Claude-User/1.0; Claude-User@anthropic.com)",
    "Claude-SearchBot/1.0",
    f"Mozilla/5.0 {KHTML}; compatible; PerplexityBot/1.0; +https://perplexity.ai/perplexitybot)",
    f"Mozilla/5.0 {KHTML}; compatible; Perplexity-User/1.0; https://perplexity.ai/useragent)",
    "Mozilla/5.0 (compatible; MistralAI-User/1.0; +https://docs.mistral.ai/robots)",
    "cohere-ai",
    "CCBot/2.0 (https://commoncrawl.org/faq/)",
    f"{PIXEL} Chrome/120.0 Mobile Safari/537.36 (compatible; Bytespider; x@bytedance.com)",
    f"{MAC} Version/17.4 Safari/605.1.15 (Amazonbot/0.1; +https://developer.amazon.com/x)",
    "meta-externalagent/1.1 (+https://developers.facebook.com/docs/sharing/webmasters/crawler)",
    "meta-externalfetcher/1.1",
    "Mozilla/5.0 (compatible; Diffbot/0.1; +http://www.diffbot.com)",
    "omgili/0.5 +http://omgili.com",
    "Mozilla/5.0 (compatible; ImagesiftBot; +imagesift.com)",
    "DuckAssistBot/1.2; (+http://duckduckgo.com/duckassistbot.html)",
    "Mozilla/5.0 (compatible; AI2Bot/1.0; +https://www.allenai.org/crawler)",
    # Previews of links
    "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)",
    "Twitterbot/1.0",
    "LinkedInBot/1.0 (compatible; Mozilla/5.0; +https://www.linkedin.com)",
    "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)",
    "Mozilla/5.0 (compatible; Discordbot/2.0; +https://discordapp.com)",
    "TelegramBot (like TwitterBot)",
    "WhatsApp/2.23.20.0",
    f"{WINDOWS} Chrome/120 Safari/537.36 SkypeUriPreview Preview/0.5",
    "Mozilla/5.0 (compatible; Pinterestbot/1.0; +http://www.pinterest.com/bot.html)",
    "Iframely/1.3.1 (+https://iframely.com/docs/about)",
    "Mozilla/5.0 (compatible; Bluesky Cardyb/1.1; +mailto:support@bsky.app)",
    "Mastodon/4.3.0 (http.rb/5.2.0; +https://mastodon.social/)",
    # Tools, archives and monitors
    "Mozilla/5.0 (compatible; AhrefsBot/7.0; +http://ahrefs.com/robot/)",
    "Mozilla/5.0 (compatible; SemrushBot/7~bl; +http://www.semrush.com/bot.html)",
    "Mozilla/5.0 (compatible; MJ12bot/v1.4.8; http://mj12bot.com/)",
    "Screaming Frog SEO Spider/19.4",
    "Mozilla/5.0 (compatible; archive.org_bot +http://archive.org/details/archive.org_bot)",
    "ia_archiver",
    "Mozilla/4.5 (compatible; HTTrack 3.0x; Windows 98)",
    "Mozilla/5.0 (compatible; UptimeRobot/2.0; http://www.uptimerobot.com/)",
    "Mozilla/5.0 (X11; Linux x86_64) Chrome/120 Safari/537.36 Chrome-Lighthouse",
    "Mozilla/5.0 (X11; Linux x86_64; GTmetrix https://gtmetrix.com/) Chrome/120 Safari/537.36",
    f"{WINDOWS} Chrome/120 Safari/537.36 PTST/240101.123456",
    "Pingdom.com_bot_version_1.4_(http://www.pingdom.com/)",
    f"{WINDOWS} Chrome/120.0.0.0 Safari/537.36 DatadogSynthetics",
    "NewRelicPinger/1.0 (1234)",
    "StatusCake_Pagespeed_Indev",
    "Feedfetcher-Google; (+http://www.google.com/feedfetcher.html)",
    "Feedly/1.0 (+http://www.feedly.com/fetcher.html; 10 subscribers)",
    "Windows-RSS-Platform/2.0 (MSIE 9.0; Windows NT 6.1)",
    "W3C_Validator/1.3 http://validator.w3.org/services",
    "ELB-HealthChecker/2.0",
    "kube-probe/1.29",
    "GoogleHC/1.0",
    # What looks for weak spots
    "Mozilla/5.0 (compatible; Nmap Scripting Engine; https://nmap.org/book/nse.html)",
    "sqlmap/1.7.2#stable (https://sqlmap.org)",
    "Mozilla/5.0 (compatible; CensysInspect/1.1; +https://about.censys.io/)",
    "Mozilla/5.0 zgrab/0.x",
    "Expanse, a Palo Alto Networks company, searches across the global IPv4 space",
    # Libraries, commands and browsers without a screen
    "curl/8.5.0",
    "Wget/1.21",
    "python-requests/2.31.0",
    "python-httpx/0.27.0",
    "Python-urllib/3.11",
    "Python/3.11 aiohttp/3.9.1",
    "Scrapy/2.11.2 (+https://scrapy.org)",
    "Go-http-client/2.0",
    "okhttp/4.12.0",
    "axios/1.6.2",
    "node-fetch",
    "undici",
    "got (https://github.com/sindresorhus/got)",
    "Deno/1.40.2",
    "Java/17.0.1",
    "Apache-HttpClient/4.5.13 (Java/17.0.1)",
    "Dart/3.3 (dart:io)",
    "GuzzleHttp/7",
    "Symfony HttpClient/Curl",
    "WordPress/6.5; https://blog.example",
    "Faraday v2.9.0",
    "rest-client/2.1.0 (linux x86_64) ruby/3.2.2p53",
    "libwww-perl/6.67",
    "PostmanRuntime/7.36.0",
    "insomnia/8.6.0",
    "Shop/12 CFNetwork/1474 Darwin/23.0.0",
    "Mozilla/5.0 (Windows NT; Windows NT 10.0; en-US) WindowsPowerShell/5.1.22621.2506",
    "Mozilla/5.0 (Unknown; Linux x86_64) AppleWebKit/538.1 (KHTML, like Gecko) PhantomJS/2.1.1",
    "Mozilla/5.0 (linux) AppleWebKit/537.36 (KHTML, like Gecko) jsdom/22.1.0",
]
WEBVIEW = "Mozilla/5.0 (Linux; Android 14; SM-S918B; wv) AppleWebKit/537.36 Version/4.0 Chrome/120"
PEOPLE = [
    CHROME,
    # Chrome and those made of it
    f"{WINDOWS} Chrome/120.0.0.0 Safari/537.36",
    f"{MAC} Chrome/120.0.0.0 Safari/537.36",
    f"{PIXEL} Chrome/120.0.0.0 Mobile Safari/537.36",
    "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 Chrome/120.0.0.0 Mobile Safari/537.36",
    f"{TAB} Chrome/120.0.0.0 Safari/537.36",
    f"{IPHONE} CriOS/120.0.6099.119 Mobile/15E148 Safari/604.1",
    f"Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) {KHTML} Chrome/120.0.0.0 Safari/537.36",
    CHROME.replace("Chrome/", "HeadlessChrome/"),
    f"{WINDOWS} Chrome/120.0.0.0 Safari/537.36 Edg/120.0.0.0",
    f"{WINDOWS} Chrome/64.0.3282.140 Safari/537.36 Edge/18.17763",
    f"{PIXEL} Chrome/120.0.0.0 Mobile Safari/537.36 EdgA/120.0.2210.84",
    f"{IPHONE} Version/17.0 EdgiOS/120.0 Mobile/15E148 Safari/604.1",
    f"{WINDOWS} Chrome/120.0.0.0 Safari/537.36 OPR/106.0.0.0",
    f"{WINDOWS} Chrome/120.0.0.0 Safari/537.36 OPR/106.0.0.0 (Edition GX)",
    "Opera/9.80 (Android; Opera Mini/36.2/119.132; U; id) Presto/2.12.423 Version/12.16",
    "Opera/9.80 (Windows NT 6.1; WOW64) Presto/2.12.388 Version/12.18",
    f"{WINDOWS} Chrome/120.0.0.0 Safari/537.36 Vivaldi/6.5.3206.39",
    f"{WINDOWS} Chrome/118.0.0.0 YaBrowser/23.11.0 Yowser/2.5 Safari/537.36",
    f"{WINDOWS} Chrome/120.0.0.0 Whale/3.24.223.18 Safari/537.36",
    f"{WINDOWS} Chrome/115.0.0.0 coc_coc_browser/119.0.218 Safari/537.36",
    f"{WINDOWS} Chrome/108.0.0.0 Safari/537.36 SE 2.X MetaSr 1.0",
    f"{WINDOWS} Chrome/116.0.0.0 Safari/537.36 QIHU 360SE",
    f"{PIXEL} SamsungBrowser/23.0 Chrome/115.0.0.0 Mobile Safari/537.36",
    "Mozilla/5.0 (Linux; U; Android 13; zh-CN; 2201123C) UCBrowser/15.5.8 Mobile Safari/537.36",
    f"{PIXEL} Chrome/112.0.0.0 XiaoMi/MiuiBrowser/17.9.4 Mobile Safari/537.36",
    f"{PIXEL} Chrome/99.0.4844.88 HuaweiBrowser/14.0.3.300 Mobile Safari/537.36",
    f"{PIXEL} Chrome/100.0.4896.58 HeyTapBrowser/45.10.0 Mobile Safari/537.36",
    f"{PIXEL} Chrome/120.0.0.0 Mobile DuckDuckGo/5 Safari/537.36",
    f"{MAC} Version/17.4 Safari/605.1.15 Ddg/17.4",
    f"{PIXEL} Chrome/120.0.0.0 Mobile Safari/537.36 (Ecosia android@120.0.6099.144)",
    "Mozilla/5.0 (Linux; Android 11; KFTRWI) AppleWebKit/537.36 Silk/119.3 Chrome/119 Safari/537",
    "Mozilla/5.0 (X11; Linux x86_64; Quest 3) AppleWebKit/537.36 OculusBrowser/31.0 Chrome/120",
    # Safari
    f"{MAC} Version/17.4 Safari/605.1.15",
    f"{IPHONE} Version/17.4 Mobile/15E148 Safari/604.1",
    f"{IPAD} Version/15.6 Mobile/15E148 Safari/604.1",
    # Firefox and those made of it
    "Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:120.0) Gecko/20100101 Firefox/120.0",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:115.0) Gecko/20100101 Firefox/115.0",
    "Mozilla/5.0 (Android 13; Mobile; rv:120.0) Gecko/120.0 Firefox/120.0",
    f"{IPHONE} FxiOS/120.0 Mobile/15E148 Safari/605.1.15",
    f"{IPHONE} Focus/120.0 Mobile/15E148 Safari/605.1.15",
    "Mozilla/5.0 (X11; Linux x86_64; rv:102.0) Goanna/6.6 Firefox/102.0 PaleMoon/33.0.0",
    "Mozilla/5.0 (Windows NT 10.0; rv:91.0) Gecko/20100101 Firefox/91.0 SeaMonkey/2.53.18",
    # Others
    "Mozilla/5.0 (Windows NT 6.1; Trident/7.0; rv:11.0) like Gecko",
    "Mozilla/4.0 (compatible; MSIE 8.0; Windows NT 6.1; Trident/4.0; .NET CLR 2.0.50727)",
    "Mozilla/4.0 (compatible; MSIE 7.0; Windows NT 10.0; WOW64; Trident/7.0; ms-office; MSOffice)",
    "Mozilla/5.0 (compatible; Konqueror/4.5; FreeBSD) KHTML/4.5.4 (like Gecko)",
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/605.1.15 Version/17.0 Safari/605.1.15 Epiphany/45",
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 QtWebEngine/6.5.3 Chrome/108 Falkon/23.08",
    "Lynx/2.9.0dev.10 libwww-FM/2.14 SSL-MM/1.4.1 GNUTLS/3.7.1",
    "w3m/0.5.3+git20230121",
    "Links (2.28; Linux x86_64; GNU C 12.2; text)",
    "BlackBerry9700/5.0.0.862 Profile/MIDP-2.1 Configuration/CLDC-1.1 VendorID/331",
    "Mozilla/5.0 (Windows Phone 10.0; Android 6.0.1; Microsoft; Lumia 950) Edge/15.15063 Mobile",
    "Mozilla/5.0 (Mobile; Nokia_8110_4G; rv:48.0) Gecko/48.0 Firefox/48.0 KAIOS/2.5",
    # Television sets, consoles, cars and readers
    "Mozilla/5.0 (SMART-TV; LINUX; Tizen 7.0) AppleWebKit/537.36 94.0.4606.31/7.0 TV Safari/537.36",
    "Mozilla/5.0 (Web0S; Linux/SmartTV) AppleWebKit/537.36 Chrome/94.0.4606.128 WebAppManager",
    "Mozilla/5.0 (Linux; Android 12; BRAVIA 4K) AppleWebKit/537.36 Chrome/120 Safari/537.36",
    "Mozilla/5.0 (PlayStation; PlayStation 5/8.00) AppleWebKit/605.1.15 Version/16.4 Safari/605",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64; Xbox; Xbox One) Chrome/70.0 Edge/44.18363.8131",
    "Mozilla/5.0 (Nintendo Switch; WifiWebAuthApplet) NF/6.0.2.22.5 NintendoBrowser/5.1",
    "Mozilla/5.0 (X11; GNU/Linux) AppleWebKit/537.36 Chrome/109 Safari/537.36 Tesla/2023.44.30.8",
    "Mozilla/5.0 (X11; U; Linux armv7l like Android; en-us) AppleWebKit/531.2+ Kindle/3.0+",
    # Inside of apps
    f"{IPHONE} Mobile/15E148 [FBAN/FBIOS;FBAV/440.0.0.0;FBBV/1]",
    f"{WEBVIEW} Mobile Safari/537.36 [FB_IAB/FB4A;FBAV/443.0.0.23.229;]",
    f"{IPHONE} Mobile/15E148 Instagram 312.0.0.20.119 (iPhone14,5; iOS 17_4; en_US; scale=3.00)",
    f"{WEBVIEW} Mobile Safari/537.36 trill_320403 musical_ly BytedanceWebview/d8a21c6",
    f"{IPHONE} Mobile/15E148 Snapchat/12.63.0.37 (like Safari/8616.1.27, panda)",
    f"{IPHONE} Mobile/15E148 [Pinterest/iOS]",
    f"{IPHONE} Mobile/15E148 [LinkedInApp]/9.29.2",
    f"{IPHONE} Mobile/15E148 Twitter for iPhone/10.20",
    f"{WEBVIEW} MQQBrowser/6.2 Mobile Safari/537.36 MicroMessenger/8.0.44 WeChat/arm64",
    f"{IPHONE} Mobile/15E148 Safari Line/13.20.0",
    f"{WEBVIEW} Mobile Safari/537.36;KAKAOTALK 2610500",
    f"{WEBVIEW} Whale/1.0 Mobile Safari/537.36 NAVER(inapp; search; 2000; 12.3.5)",
    f"{IPHONE} GSA/298.0.595435837 Mobile/15E148 Safari/604.1",
    f"{WEBVIEW} Mobile Safari/537.36 baiduboxapp/13.48.5.10 (Baidu; P1 13)",
    f"{WINDOWS} Slack/4.36.134 Chrome/120.0.6099.56 Electron/28.0.0 Safari/537.36",
    f"{WINDOWS} Chrome/120.0.6099.56 Electron/28.0.0 Safari/537.36 Teams/24004.1304",
    # Odd ones
    "Mozilla/5.0 (Linux; Android 9; CUBOT NOTE Plus) AppleWebKit/537.36 Chrome/120 Mobile",
    "Mozilla/5.0 (Linux; Android 9; CUBOT_X18_Plus) AppleWebKit/537.36 Chrome/120 Mobile",
    "Mozilla/5.0 (Linux; Android 12; CUBOT) AppleWebKit/537.36 Chrome/120 Mobile Safari/537.36",
    "Some new browser/1.0",
    # Flask's test client
    "Werkzeug/3.1.3",
]


@pytest.mark.parametrize("agent", BOTS)
def test_program_that_names_itself_is_a_bot(agent: str) -> None:
    """The built-in rules know the widely seen ones: crawlers, previews, monitors, libraries."""
    assert find_bot(agent) is not None


@pytest.mark.parametrize("agent", PEOPLE)
def test_person_is_no_bot(agent: str) -> None:
    """Cubot makes phones; a headless Chrome runs its owner's browser tests."""
    assert find_bot(agent) is None


@pytest.mark.parametrize(
    ("agent", "reason"),
    [
        ("", "no user agent"),
        ("Mozilla/5.0 (compatible; ClaudeBot/1.0)", "names 'claudebot'"),
        ("python-requests/2.31.0", "names 'python-requests'"),
        ("facebookexternalhit/1.1 (+http://x)", "names 'facebookexternalhit'"),
        ("Reader/1.0 (+https://reader.example)", "names '+https'"),
        ("x" * 100 + "crawl", f"names {'x' * 48!r}"),
    ],
)
def test_bot_is_told_why(agent: str, reason: str) -> None:
    """The name that gives it away, in lower case."""
    assert find_bot(agent) == reason


def test_the_test_client_is_nobody_odd(host: Host) -> None:
    """Flask's test client names Werkzeug, and may name nothing: a host's tests see their events."""
    assert host.app.test_client().get("/").status_code == 200
    assert host.client("").get("/").status_code == 200
    assert host.actions()["page.visit"] == 2


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
