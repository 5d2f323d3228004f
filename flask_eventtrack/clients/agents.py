"""User agents. The request tells bots from people; the writer names browsers and systems."""

from __future__ import annotations

import functools
import re
import string
import typing as t

from .crawlers import NAMES

DeviceType = t.Literal["desktop", "mobile", "tablet", "tv", ""]
_MAX_LENGTH = 512
_MAX_NAME_LENGTH = 48
_NAME = string.ascii_lowercase + string.digits + "-._"

# Programs that name themselves. HeadlessChrome is no bot: site owners run their tests with it.
_BOT = re.compile(
    "|".join(
        (
            # In general. Cubot and M bot are phones. A URL after a plus sign tells whom to contact.
            r"(?<!cu)(?<![;/ ]m )bot(?:\b|[/;) _-])|\+https?:",
            r"crawl|spider|slurp|scrap[ey]|archiver|fetcher",
            r"preview|externalhit|externalagent|embedly|iframely|cardyb|vkshare|skypeuri|whatsapp/",
            r"monitor|uptime|pingdom|pinger|statuscake|site24x7|synthetics|hetrixtools|checkly",
            r"kube-probe|googlehc|lighthouse|pagespeed|gtmetrix|ptst/|validator",
            # Health checks of load balancers, clusters and clouds, and what watches from inside.
            r"health[ -]?(?:check|probe)|healthz|envoy/|\bconsul\b|^alwayson$|readyforrequest",
            r"haproxy|load balancer|traffic-manager|blackbox[ _-]?exporter|prometheus/|\bgatus\b",
            r"grafana|nagios|icinga|zabbix|check_http|\bmonit/|\bsensu\b|telegraf/|appinsights|^sentry/",
            r"thousandeyes|catchpoint|synthetic|cronitor|; rigor\)|http[ -]?(?:probe|check)",
            r"^(?:traefik|caddy|netdata|munin|smokeping|(?:elastic-)?heartbeat|check_?mk|hyperping"
            r"|pulsetic|oh ?dear|render/|microsoft-azure-|docker-client|apachebench|k6/|jmeter)",
            r"\(internal dummy connection\)",
            r"feed(?:burner|ly|parser)|-rss-|mediapartners|apis-google|google(?:other|-[a-z])",
            # "Compatible" browsers are old ones. Whatever else says so is a program.
            r"(?<=\(compatible; )(?!msie|konqueror)[a-z]|\byeti/|qwantify|heritrix|nutch|httrack",
            # Crawlers of language models, and of their users.
            r"(?:chatgpt|claude|perplexity|mistralai)-|anthropic|cohere-|gemini-deep|omgili",
            # Browsers without a screen, and vulnerability scanners.
            r"phantomjs|slimerjs|jsdom|htmlunit|nmap|nikto|sqlmap|masscan|zgrab|nuclei|wpscan",
            r"gobuster|censys|paloalto|netcraft|expanse,|internetmeasurement|fuzz faster",
            # Libraries and commands. Some are named after others.
            r"cfnetwork/|okhttp|httpclient|winhttp|powershell/|microsoft office|cryptoapi|aiohttp",
            r"^(?:curl|wget|python|go-http|java|libwww|lwp|axios|node|undici|got |deno/|bun/|ruby"
            r"|faraday|rest-client|http\.rb|typhoeus|php|guzzle|wordpress|perl|httpie|postman"
            r"|insomnia|apache-http|ahc/|jetty|dart/|reqwest|hyper/|ureq|colly|fasthttp|hackney"
            r"|mastodon|zend_|http_request|w3c_|lua-|pycurl|libcurl|mozilla/[45]\.0$)",
        )
    )
)
# Those without such a sign, by their names.
_NAMED = re.compile(rf"(?<![a-z0-9])(?:{'|'.join(map(re.escape, NAMES))})")
# The model of a phone, which may be named anything, and may have brackets in it.
_PHONE = re.compile(
    r"(\((?:linux; )?(?:u; |arm(?:_64)?; )?android [\d.]+; (?:[a-z]{2}[-_][a-z]{2}; |harmonyos; )?)"
    r"(?:[^;()/]|\([^;()/]*\))+?"
    r"((?:;? build/[^;()]*)?(?:; hmscore [\d.]+)?(?:; wv)?\))"
)
# What Instagram and Facebook tell of it once more.
_PHONE_OF_APP = re.compile(
    r"\bandroid \(\d+/[^()]*(?:\([^()]*\)[^()]*)*\)|\bfb(?:dv|md|mf|bd)/[^;\]]*"
)


class Agent(t.NamedTuple):
    """The facts in a user agent; "" stands for unknown."""

    browser: str = ""
    os: str = ""
    device_type: DeviceType = ""


@functools.lru_cache(maxsize=2048)
def find_bot(user_agent: str) -> str | None:
    """Return why ``user_agent`` counts as a bot, or None for a person."""
    if not user_agent.strip():
        return "no user agent"
    text = _PHONE.sub(r"\1\2", _PHONE_OF_APP.sub("", user_agent[:_MAX_LENGTH].lower()))
    match = _BOT.search(text) or _NAMED.search(text)
    if match is None:
        return None
    before, after = text[: match.start()], text[match.end() :]
    start, rest = len(before.rstrip(_NAME)), len(after.lstrip(_NAME))
    return f"names {text[start : len(text) - rest].strip(' /;:()')[:_MAX_NAME_LENGTH]!r}"


# The order matters: most browsers also name the ones that they descend from.
_BROWSERS = (
    ("Edge", re.compile(r"Edg(?:e|A|iOS)?/")),
    ("Opera", re.compile(r"OPR/|Opera[/ ]|OPT/")),
    ("Samsung Internet", re.compile(r"SamsungBrowser/")),
    ("Vivaldi", re.compile(r"Vivaldi/")),
    ("Yandex Browser", re.compile(r"YaBrowser/")),
    ("Firefox", re.compile(r"Firefox/|FxiOS/")),
    ("Chrome", re.compile(r"Chrom(?:e|ium)/|CriOS/|HeadlessChrome/")),
    ("Safari", re.compile(r"Version/[\d.]+.*Safari/")),
    ("Internet Explorer", re.compile(r"MSIE |Trident/")),
)
_SYSTEMS = (
    ("Windows", re.compile(r"Windows")),
    ("iOS", re.compile(r"iPhone|iPad|iPod")),
    ("Android", re.compile(r"Android")),
    ("macOS", re.compile(r"Macintosh|Mac OS X")),
    ("Chrome OS", re.compile(r"CrOS")),
    ("Linux", re.compile(r"Linux|X11")),
)
_TV = re.compile(r"SmartTV|SMART-TV|AppleTV|GoogleTV|HbbTV|BRAVIA|CrKey|Roku", re.IGNORECASE)
_TABLET = re.compile(r"iPad|Tablet|Kindle|Silk/|PlayBook|Android(?!.*Mobile)")
_MOBILE = re.compile(r"Mobi|iPhone|iPod|Android|Windows Phone")


def parse_builtin(user_agent: str) -> Agent:
    """Name the widely used browsers and systems with a small set of rules."""
    text = user_agent[:_MAX_LENGTH]
    system = _first(_SYSTEMS, text)
    return Agent(_first(_BROWSERS, text), system, device_type_of(text, system))


def device_type_of(user_agent: str, system: str) -> DeviceType:
    """Return the kind of device that a user agent describes."""
    if _TV.search(user_agent):
        return "tv"
    if _TABLET.search(user_agent):
        return "tablet"
    if _MOBILE.search(user_agent):
        return "mobile"
    return "desktop" if system else ""


def _first(rules: tuple[tuple[str, re.Pattern[str]], ...], text: str) -> str:
    return next((name for name, pattern in rules if pattern.search(text)), "")
