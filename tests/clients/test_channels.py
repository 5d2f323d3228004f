"""By which way people came: the lists, the rules, and what a session keeps of them."""

from __future__ import annotations

import collections
import pathlib

import pytest

from flask_eventtrack.clients import channel_hosts
from flask_eventtrack.clients.channels import Channels
from flask_eventtrack.errors import ConfigError
from flask_eventtrack.origins import site_of
from flask_eventtrack.privacy.click_ids import CLICK_IDS
from flask_eventtrack.privacy.urls import UrlCleaner, find_campaign, has_paid_click, source_of

from ..conftest import MakeHost
from ..hosts import NAVIGATION, Host
from ..request.cookie_jar import visit
from .agents import session_of

MANUAL = pathlib.Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize(
    ("source", "medium", "is_paid", "channel"),
    [
        # what is paid for, whatever the source
        ("google", "cpc", False, "paid"),
        ("news.example", "PPC", False, "paid"),
        ("facebook", "paid_social", False, "paid"),
        ("news.example", "cpm", False, "paid"),
        ("news.example", "display", False, "paid"),
        ("google", "", True, "paid"),
        ("www.googleadservices.com", "", False, "paid"),
        # the medium of a campaign before the source and before the click
        ("google", "email", False, "mail"),
        ("spring", "newsletter", True, "mail"),
        ("blog.example", "affiliates", False, "affiliate"),
        # who numbers clicks without being paid for them
        ("facebook", "", False, "social"),
        ("mailchimp", "", False, "mail"),
        # sources
        ("www.google.com", "", False, "search"),
        ("www.google.co.uk", "", False, "search"),
        ("google.com.au", "", False, "search"),
        ("com.google.android.googlequicksearchbox", "", False, "search"),
        ("Bing", "organic", False, "search"),
        ("mail.google.com", "", False, "mail"),
        ("mail.yahoo.co.jp", "", False, "mail"),
        ("search.yahoo.co.jp", "", False, "search"),
        ("com.google.android.gm", "", False, "mail"),
        ("newsletter", "", False, "mail"),
        ("chatgpt.com", "", False, "ai"),
        ("chatgpt.com", "referral", False, "ai"),
        ("gemini.google.com", "", False, "ai"),
        ("www.perplexity.ai", "", False, "ai"),
        ("claude.ai", "", False, "ai"),
        ("l.facebook.com", "", False, "social"),
        ("com.linkedin.android", "", False, "social"),
        ("fb", "", False, "social"),
        ("www.awin1.com", "", False, "affiliate"),
        ("docs.google.com", "", False, "referral"),
        # the medium after the source
        ("forum.example", "social", False, "social"),
        ("engine.example", "organic", False, "search"),
        ("partner.example", "referral", False, "referral"),
        # the rest
        ("blog.example", "", False, "referral"),
        ("com.example.mail", "", False, "referral"),
        ("notgoogle.com", "", False, "referral"),
        ("google.evil.example", "", False, "referral"),
        ("producthunt", "", False, "referral"),
        ("direct", "", False, "direct"),
        ("", "", False, "referral"),
    ],
)
def test_channel_is_that_of_the_first_rule(
    source: str, medium: str, is_paid: bool, channel: str
) -> None:
    """The medium says it, or the click, or the source."""
    assert Channels().channel_of(source, medium, is_paid=is_paid) == channel


@pytest.mark.parametrize("source", ["partner.example", "direct", "flyer"])
def test_campaign_of_no_rule_is_a_campaign(source: str) -> None:
    """Whoever writes utm_ parameters has meant something by them."""
    assert Channels().channel_of(source, "print", has_campaign=True) == "campaign"


def test_lists_say_one_thing_of_a_host() -> None:
    """Each host is listed once, in the form in which hosts are compared."""
    texts = [*channel_hosts._HOSTS.values(), channel_hosts._DETOURS]
    hosts = [host for text in texts for host in text.split()]
    assert [host for host, count in collections.Counter(hosts).items() if count > 1] == []
    assert [
        host for host in hosts if site_of(host.replace("*", "de")) != host.replace("*", "de")
    ] == []
    names = [name for text in channel_hosts._NAMES.values() for name in text.split()]
    assert len(set(names)) == len(names)
    assert not any("." in name or name != name.lower() for name in names)


@pytest.mark.parametrize("name", CLICK_IDS)
def test_number_of_a_click_is_cut_and_names_a_source(name: str) -> None:
    """Wherever a link has it; that it was there stays."""
    cleaner = UrlCleaner(["token"], mask=str)
    number = "EAIaIQobChMI8d7-x"
    url = f"https://h/?a=1&{name.upper()}={number}&next=%2Fx%3F{name}%3D{number}&b=2"
    for text in (url, cleaner.clean(url)):
        clean = cleaner.clean(text)
        assert clean == f"https://h/?a=1&{name.upper()}=&next=/x%3F{name}%3D&b=2"
    assert number not in cleaner.clean_text(f"see {url}")
    assert number not in cleaner.clean_referrer(url)
    assert source_of(clean, "") == CLICK_IDS[name].source
    assert has_paid_click(clean) is CLICK_IDS[name].is_paid
    assert find_campaign(f"a=1&{name}[]={number}") == f"{name}="


@pytest.mark.parametrize(
    ("url", "referrer", "source"),
    [
        ("https://h/?gclid=x", "https://www.google.com/", "google"),
        ("https://h/?gclid=x&utm_source=news", "", "news"),
        ("https://h/?gclid=x&ref=blog.example", "", "blog.example"),
        ("https://h/?gclid", "", "google"),
        ("https://h/?xgclid=x", "", "direct"),
        # from a payment page
        ("https://h/thanks", "https://www.paypal.com/checkout", "direct"),
        ("https://h/thanks?source=src_1&ref=2", "https://hooks.stripe.com/", "direct"),
        ("https://h/thanks?utm_source=news", "https://checkout.stripe.com/", "news"),
        ("https://h/thanks", "https://secure.payu.com.br/pay", "direct"),
        ("https://h/thanks", "https://notpaypal.com/", "notpaypal.com"),
        ("https://h/", "https://accounts.google.com/", "direct"),
    ],
)
def test_detour_is_no_source(url: str, referrer: str, source: str) -> None:
    """Nor are the parameters that a payment page adds to the way back; a campaign is."""
    assert source_of(url, referrer, is_detour=Channels().is_detour) == source


def test_manual_names_each_number_of_a_click() -> None:
    """With its source, and whether it is paid for."""
    page = (MANUAL / "explanation" / "attribution.md").read_text("utf-8")
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    said = {
        (name, source, end.strip() == "paid |")
        for line in rows
        for names, source, end in [line[2:].split(" | ", 2)]
        for name in names.replace("`", "").split(", ")
        if name in CLICK_IDS
    }
    assert said == {(name, f"`{each.source}`", each.is_paid) for name, each in CLICK_IDS.items()}


def test_session_tells_its_channel(host: Host) -> None:
    """And the route of its first page, but not the number of a click."""
    headers = {**NAVIGATION, "Referer": "https://www.google.com/"}
    row = session_of(host, "/products/mug?gclid=EAIaIQ", headers=headers)
    assert (row["source"], row["channel"]) == ("google", "paid")
    assert (row["entry"], row["entry_rule"]) == ("/products/mug", "/products/<slug>")
    assert host.events_of("page.visit")[0]["params"]["url"] == (
        "http://localhost/products/mug?gclid="
    )


def test_campaign_without_a_source_is_not_direct(host: Host) -> None:
    """Somebody wrote it into the link."""
    row = session_of(host, "/?utm_campaign=spring")
    assert (row["source"], row["channel"]) == ("direct", "campaign")


def test_number_of_a_click_goes_to_the_next_page_as_a_source(host: Host) -> None:
    """Behind a redirect: the cookie has its name alone."""
    client = host.client()
    client.get("/away?gclid=EAIaIQ", headers=NAVIGATION)
    assert "EAIaIQ" not in str(client._cookies)
    visit(client, "/")
    [row] = host.rows("session")
    assert (row["source"], row["channel"], row["utm_source"]) == ("google", "paid", None)
    assert all("EAIaIQ" not in str(event) for event in host.rows("event"))


def test_browser_half_tells_the_channel_too(host: Host) -> None:
    """A page out of a shared cache, which only the browser reports."""
    page = {
        "action": "page.visit",
        "params": {
            "url": "http://localhost/products/a?utm_source=chatgpt.com&fbclid=IwAR",
            "referrer": "https://l.facebook.com/?fbclid=IwAR",
        },
    }
    client = host.client()
    answer = client.post("/_et/in", json=page, headers={"Sec-Fetch-Site": "same-origin"})
    assert answer.status_code == 202
    [row] = host.rows("session")
    assert (row["source"], row["channel"]) == ("chatgpt.com", "ai")
    assert row["referrer"] == "https://l.facebook.com/?fbclid="
    assert row["entry_rule"] == "/products/<slug>"
    assert all("IwAR" not in str(event) for event in host.rows("event"))


def test_settings_add_to_the_lists(make: MakeHost) -> None:
    """A host with all below it, a name, and a payment page."""
    settings = {
        "EVENTTRACK_CHANNELS": {"Partner.example": "affiliate", "flyer": "campaign"},
        "EVENTTRACK_PAYMENT_HOSTS": ["Pay.example"],
    }
    found = []
    for path, referrer in (
        ("/", "https://www.partner.example/"),
        ("/?ref=Flyer", ""),
        ("/", "https://3ds.pay.example/acs"),
        ("/", "https://example/"),
    ):
        host = make(settings)
        row = session_of(host, path, headers={**NAVIGATION, "Referer": referrer})
        found.append((row["source"], row["channel"]))
    assert found == [
        ("www.partner.example", "affiliate"),
        ("Flyer", "campaign"),
        ("direct", "direct"),
        ("example", "referral"),
    ]


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("CHANNELS", ["x"], "a dict of sources"),
        ("CHANNELS", {"x": "banner"}, "'search' or 'social'"),
        ("CHANNELS", {"": "paid"}, "non-empty"),
        ("PAYMENT_HOSTS", "pay.example", "a list"),
        ("PAYMENT_HOSTS", ["https://pay.example/"], "host names such as"),
        ("LOOKBACK", 0, "more than 0"),
    ],
)
def test_wrong_lists_are_refused(make: MakeHost, name: str, value: object, problem: str) -> None:
    """The error says what is possible."""
    with pytest.raises(ConfigError, match=problem):
        make({f"EVENTTRACK_{name}": value})


def test_hosts_below_the_cookies_domain_are_own(make: MakeHost) -> None:
    """A way from one sub-domain to another is no referral."""
    host = make({"EVENTTRACK_COOKIE_DOMAIN": ".shop.example"})
    headers = {**NAVIGATION, "Referer": "https://blog.shop.example/", "Host": "www.shop.example"}
    row = session_of(host, "/", headers=headers)
    assert (row["source"], row["channel"]) == ("direct", "direct")
