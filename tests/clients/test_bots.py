"""Who is a bot and who is a person, by what the user agent says."""

from __future__ import annotations

import importlib.resources
import json

import pytest

from flask_eventtrack import track
from flask_eventtrack.clients.agents import find_bot

from ..hosts import CHROME, SAME_ORIGIN, Host
from .agents import IPAD, IPHONE, MAC, PIXEL, TAB, WINDOWS, session_of
from .make_crawlers import FILE, PEOPLES, read_list, write_file

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
    "Mozilla/5.0 (compatible; MSIE 10.0; Windows NT 6.2; Trident/6.0)",
    "Mozilla/5.0 (compatible; Konqueror/4.5; FreeBSD) KHTML/4.5.4 (like Gecko)",
    # Flask's test client
    "Werkzeug/3.1.3",
]


#: What watches from inside of a cluster or a cloud, as it names itself.
PROBES = [
    "Consul Health Check",
    "Blackbox Exporter/0.24.0",
    "Blackbox-Exporter/0.25.0",
    "Envoy/HC",
    "AlwaysOn",
    "ReadyForRequest/1.0 (AppInit)",
    "HealthCheck/1.0",
    "Edge Health Probe",
    "Load Balancer Agent",
    "ELB-HealthChecker/2.0",
    "Amazon-Route53-Health-Check-Service (ref 1; report http://amzn.to/1vsZADi)",
    "Amazon CloudFront health check",
    "Cloudflare-Traffic-Manager/1.0 (+https://www.cloudflare.com/traffic-manager/; pool-id: 1)",
    "Varnish/fastly (healthcheck)",
    "GoogleHC/1.0",
    "kube-probe/1.28",
    "Prometheus/2.48.0",
    "Gatus/1.0",
    "Zabbix 6.4.10",
    "check_http/v2.3.3 (nagios-plugins 2.3.3)",
    "Icinga/check_http",
    "Monit/5.33.0",
    "Telegraf/1.28.5 Go/1.21.4",
    "Uptime-Kuma/1.23.11",
    "DigitalOcean Uptime Probe 0.22.0 (https://digitalocean.com)",
    "NewRelicPinger/1.0 (1234567)",
    "Datadog/Synthetics",
    "Mozilla/5.0 (compatible; MSIE 9.0; Windows NT 6.1; Trident/5.0; AppInsights)",
    f"{WINDOWS} Chrome/120.0.0.0 Safari/537.36 RuxitSynthetic/1.0 v1 t1",
    "updown.io daemon 2.11",
    "RailwayHealthCheck/1.0",
    "Traefik/3.0",
    "Caddy",
    "Mozilla/5.0 (compatible; NodePing)",
    "Mozilla/5.0 (compatible; alertsite)",
    "Elastic-Heartbeat/8.11.0 (linux; amd64)",
    "checkmk-active-httpv2/2.3.0",
    "Netdata/1.44",
    "Microsoft-Azure-Application-Gateway/v2",
    "Render/1.0",
    "Apache/2.4.58 (Ubuntu) (internal dummy connection)",
    "ApacheBench/2.3",
    "k6/0.49.0 (https://k6.io/)",
]
ANDROID = "Mozilla/5.0 (Linux; Android 7.0;"
#: Phones whose model has a word for bots in it.
PHONES = [
    f"{ANDROID} M bot 60 Build/NRD90M) {KHTML} Chrome/80.0.3987.99 Mobile Safari/537.36",
    f"{ANDROID} M bot 60) {KHTML} Chrome/120.0.0.0 Mobile Safari/537.36",
    f"{ANDROID} M bot 60 Build/NRD90M; wv) {KHTML} Version/4.0 Chrome/80 Mobile Safari/537.36",
    "Mozilla/5.0 (Linux; U; Android 7.0; en-US; M bot 51 Build/NRD90M) UCBrowser/12.9 Mobile",
    "Dalvik/2.1.0 (Linux; U; Android 7.0; M bot 60 Build/NRD90M)",
    f"{IPHONE} Mobile/15E148 [FBAN/FBIOS;FBDV/M bot 60;FBMD/M bot 60]",
    "Instagram 312.0 Android (24/7.0; 320dpi; 720x1184; Majestouch; M bot 60; mt6580; en_US)",
    f"{ANDROID} Robot Bot) {KHTML} Chrome/120.0.0.0 Mobile Safari/537.36",
    f"{ANDROID} Spider X1 Build/X) {KHTML} Chrome/120.0.0.0 Mobile Safari/537.36",
    f"{ANDROID} Crawler-Monitor) {KHTML} Chrome/120.0.0.0 Mobile Safari/537.36",
    f"{ANDROID} Robot (2023)) {KHTML} Chrome/120.0.0.0 Mobile Safari/537.36",
    f"{ANDROID} bot(60) Build/X; wv) {KHTML} Version/4.0 Chrome/120.0.0.0 Mobile Safari/537.36",
    f"Mozilla/5.0 (Linux; arm_64; Android 12; Spider X) {KHTML} Chrome/120 YaBrowser/24 Mobile",
    f"Mozilla/5.0 (Linux; Android 10; HarmonyOS; BOT-AL00; HMSCore 6.11.0.302) {KHTML} Chrome/99",
    f"{WEBVIEW} Mobile Safari/537.36 Instagram 309.0 Android (33/13; Robot; Spider bot; en_US)",
    f"{WEBVIEW} Mobile Safari/537.36 [FB_IAB/FB4A;FBDV/Robot 5;FBMF/Crawler;]",
]


@pytest.mark.parametrize("agent", PROBES)
def test_probe_of_a_monitor_is_a_bot(agent: str) -> None:
    """Otherwise the front page has a visitor every ten seconds."""
    assert find_bot(agent) is not None


@pytest.mark.parametrize("agent", PHONES)
def test_phone_is_no_bot_whatever_its_model(agent: str) -> None:
    """Only what stands outside of the model tells."""
    assert find_bot(agent) is None
    assert find_bot(f"{agent} (compatible; Somebot/1.0)") == "names 'somebot'"


@pytest.mark.parametrize("name", ["ConsultantPlus/1.0", "Resensual/1", "Commonit/1", "Alwayson2/1"])
def test_part_of_a_word_is_no_name(name: str) -> None:
    """Short names of monitors are whole words."""
    assert find_bot(f"{CHROME} {name}") is None


def test_maintained_list_is_found() -> None:
    """crawler-user-agents: every monitor, and all but a few of the others."""
    agents = [
        (agent, entry.get("tags", ()))
        for entry in read_list()
        if not PEOPLES.match(entry["pattern"].lower())
        for agent in entry["instances"]
    ]
    missed = [(agent, tags) for agent, tags in agents if find_bot(agent) is None]
    assert [agent for agent, tags in missed if "monitoring" in tags] == []
    others = [agent for agent, tags in missed if "browser-automation" not in tags]
    assert len(agents) > 2000
    assert len(others) < len(agents) / 100, others


def test_generated_names_are_those_of_the_list() -> None:
    """``make crawlers`` has run, unless the installed list is another one."""
    text = FILE.read_text("utf-8")
    wanted = write_file()
    if wanted.split("\n", 3)[2] == text.split("\n", 3)[2]:
        assert text == wanted


def test_browsers_of_people_are_no_bots() -> None:
    """fake-useragent: hundreds of agents that real browsers have sent."""
    file = importlib.resources.files("fake_useragent") / "data" / "browsers.jsonl"
    agents = {json.loads(line)["useragent"] for line in file.read_text("utf-8").splitlines()}
    assert len(agents) > 500
    assert [agent for agent in agents if find_bot(agent)] == []


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
    """Flask's test client counts as a person, with any user agent: tests see their events."""
    assert host.app.test_client().get("/").status_code == 200
    assert host.client("").get("/").status_code == 200
    assert host.actions()["page.visit"] == 2


def test_bot_records_nothing_and_gets_no_cookie(host: Host) -> None:
    """Neither pages, nor tracked events, nor posted ones."""
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
