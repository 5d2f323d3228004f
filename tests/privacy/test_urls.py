"""Which parts of a URL are stored, and the campaign and source that it names."""

from __future__ import annotations

import pytest

from flask_eventtrack import track
from flask_eventtrack.privacy.urls import UrlCleaner, campaign_of, find_campaign, source_of

from ..clients.agents import session_of
from ..hosts import CHROME, NAVIGATION, SAME_ORIGIN, Host


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
        ("http://[v1.ada@shop.example]/x", ""),
        ("http://h:99999/", ""),
        ("http://h:x/", ""),
        ("https://shop.example/\ud800", "https://shop.example/%EF%BF%BD"),
        ("https://shop.example/?q=\ud800", "https://shop.example/?q=%EF%BF%BD"),
    ],
    ids=ascii,
)
def test_url_is_cut_to_what_may_be_stored(url: str, clean: str) -> None:
    """No user name, no fragment, no secret; a value that is not a web address becomes empty."""
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
        ("https://h/?utm_source=" + "x" * 254 + "+y", {"utm_source": "x" * 254}),
        ("https://h/?UTM_Source=n&Utm_Medium=e", {"utm_source": "n", "utm_medium": "e"}),
        ("https://h/?utm_source[]=n&utm_medium%5B%5D=e", {"utm_source": "n", "utm_medium": "e"}),
        (
            "https://h/?a=1&amp;utm_source=n&amp;utm_medium=e",
            {"utm_source": "n", "utm_medium": "e"},
        ),
        ("https://h/?utm_source=+", {}),
        ("https://h/?ref=n&source=m", {}),
        ("https://h/utm_source=n", {}),
        ("http://[h/?utm_source=n", {}),
    ],
)
def test_campaign_is_read_off_the_url(url: str, campaign: dict[str, str]) -> None:
    """Five parameters, decoded, each cut to 255 characters, without spaces at its ends."""
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
        # the same site in another spelling
        ("https://www.example.com/", "https://example.com/", "direct"),
        ("https://example.com/", "http://WWW.example.com.:8080/", "direct"),
        ("https://xn--bcher-kva.example/", "https://www.bücher.example/", "direct"),
        ("https://example.com/", "https://notexample.com/", "notexample.com"),
        ("https://me.host.example/", "https://host.example/", "host.example"),
        # an app
        ("https://h/", "android-app://com.google.android.gm/", "com.google.android.gm"),
        ("https://h/", "ios-app://284882215/", "284882215"),
        # other names of a source
        ("https://h/?ref=producthunt", "https://www.google.com/", "producthunt"),
        ("https://h/?source=news", "", "news"),
        ("https://h/?ref=b&source=a", "", "a"),
        ("https://h/?ref=b&source=a&utm_source=c", "", "c"),
        ("https://h/?source=&ref=b", "", "b"),
        ("https://h/?ref=https%3A%2F%2Fblog.example%2Fbest", "", "blog.example"),
        ("https://h/?UTM_Source=news", "", "news"),
        ("https://h/?href=b&resource=a&prefer=c", "", "direct"),
        # a page of the app's, such as the way back
        ("https://h/?ref=https%3A%2F%2Fwww.h%2Fbasket", "https://b.example/", "b.example"),
        ("https://h/login?source=/basket", "https://h/basket", "direct"),
        ("https://h/?source=/basket&ref=news", "", "news"),
        ("https://h/?source=+&ref=news", "", "news"),
        ("https://h/#ref=b", "", "direct"),
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


@pytest.mark.parametrize(
    ("referrer", "kept"),
    [
        ("android-app://com.google.android.gm/", "android-app://com.google.android.gm/"),
        ("android-app://com.Slack", "android-app://com.slack/"),
        (
            "android-app://com.google.android.googlequicksearchbox/https/www.google.com?q=secret",
            "android-app://com.google.android.googlequicksearchbox/",
        ),
        ("ios-app://284882215/fb/profile", "ios-app://284882215/"),
        ("android-app://", ""),
        ("android-app:///x", ""),
        ("android-app://user:pw@com.example/", ""),
        ("android-app://com.example:80/", ""),
        (f"android-app://{'x' * 256}/", ""),
        ("intent://com.example/", ""),
        ("https://h/a?token=x", "https://h/a"),
    ],
)
def test_referrer_of_an_app_is_its_package(referrer: str, kept: str) -> None:
    """What follows is the app's own, and may be anything."""
    assert UrlCleaner(["token"]).clean_referrer(referrer) == kept


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", ""),
        ("a=1&next=%2Fx%3Futm_source%3Dn", ""),
        ("a=1&utm_source=n+m&ref=r&UTM_Medium=%C3%A9", "utm_source=n+m&utm_medium=%C3%A9&ref=r"),
        (f"utm_source={'x' * 700}&utm_medium=e", f"utm_source={'x' * 255}&utm_medium=e"),
        (f"utm_source={'%C3%A9' * 255}&utm_medium=e", "utm_medium=e"),
    ],
)
def test_campaign_of_a_query_is_short(query: str, found: str) -> None:
    """It goes into a cookie."""
    assert find_campaign(query) == found
