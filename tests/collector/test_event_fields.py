"""Parameters, labels and addresses of a posted event."""

from __future__ import annotations

import typing as t

import pytest

from ..conftest import MakeHost
from ..hosts import Host
from .posts import CLICK, ID, error_of, post, post_one, quality, statuses


def test_undefined_parameters_are_stored_and_marked(shop: Host) -> None:
    """They stay with the event, and the quality counters list them."""
    params = {"sku": "A1", "name": "Mug", "colour": "red", "size": 3, "url": "http://localhost/"}
    assert statuses(post(shop.client(), {"action": "product.view", "params": params})) == [
        "accepted"
    ]
    [event] = shop.events_of("product.view")
    assert (event["params"], event["undefined"]) == (params, ["colour", "size"])
    assert quality(shop) == {
        ("accepted", "product.view", ""): 1,
        ("undefined", "product.view", "colour"): 1,
        ("undefined", "product.view", "size"): 1,
    }


@pytest.mark.parametrize(
    ("params", "param", "message"),
    [
        (
            {"name": "Mug"},
            "sku",
            "'product.view', parameter 'sku': it is required (str) and was not given.",
        ),
        (
            {"sku": [1], "name": 5},
            "sku",
            "'product.view', parameter 'sku': expected `str`, got `array`: [1].",
        ),
        (
            {"sku": "A1", "name": "Mug", "price": "dear"},
            "price",
            "'product.view', parameter 'price': expected `float | null`, got `str`: 'dear'.",
        ),
    ],
)
def test_a_wrong_parameter_is_named(
    shop: Host, params: dict[str, t.Any], param: str, message: str
) -> None:
    """The error names the parameter, what was expected and what was given."""
    error = error_of(post_one(shop.client(), {"action": "product.view", "params": params}))
    assert error == {"code": "invalid_param", "message": message, "param": param}
    assert shop.rows("event") == []


@pytest.mark.parametrize(
    ("event", "label"),
    [
        ({"action": "product.view", "params": {"sku": "1", "name": "Mug"}}, "Viewed Mug"),
        ({"action": "product.view", "params": {"sku": "1", "name": "{sku}"}}, "Viewed {sku}"),
        (
            {"action": "product.view", "params": {"sku": "1", "name": "Mug"}, "label": "Mine"},
            "Mine",
        ),
        (
            {"action": "product.view", "params": {"sku": "1", "name": "Mug"}, "label": ""},
            "Viewed Mug",
        ),
        ({"action": "signup.click"}, None),
        ({"action": "signup.click", "label": "Signed {up}"}, "Signed {up}"),
        ({"action": "button.click"}, "Clicked button "),
        ({"action": "signup.click", "label": "x" * 255}, "x" * 255),
        ({"action": "signup.click", "label": "x" * 256}, "x" * 254 + "…"),
        ({"action": "signup.click", "label": "💚" * 300}, "💚" * 254 + "…"),
    ],
)
def test_an_event_has_a_label(shop: Host, event: dict[str, t.Any], label: str | None) -> None:
    """The caller's own, else the definition's template; at most 255 characters."""
    assert statuses(post(shop.client(), event)) == ["accepted"]
    assert [row["label"] for row in shop.events_of(event["action"])] == [label]


@pytest.mark.parametrize(
    ("url", "stored"),
    [
        ("http://localhost/a?q=2#top", "http://localhost/a?q=2"),
        ("http://u:p@localhost/a", "http://localhost/a"),
        ("http://localhost/?token=x&q=1&PASSWORD=y", "http://localhost/?q=1"),
        ("http://localhost/?e%6Dail=a%40b.example", "http://localhost/"),
        ("http://localhost/?code=1;q=2", "http://localhost/"),
        ("https://LOCALHOST:8443/a%20b", "https://localhost:8443/a%20b"),
        ("http://localhost/" + "x" * 5000, "http://localhost/" + "x" * 1983),
        ("javascript:alert(1)", None),
        ("data:text/html,x", None),
        ("file:///etc/passwd", None),
        ("/only/a/path", None),
        ("http://[::1", None),
        ("http://localhost:99999/", None),
        ("", None),
    ],
)
@pytest.mark.parametrize("name", ["url", "referrer"])
def test_addresses_are_scrubbed(host: Host, name: str, url: str, stored: str | None) -> None:
    """No user names, fragments or secrets; a value that is not a web address is not kept."""
    assert statuses(post(host.client(), {**CLICK, "params": {name: url}})) == ["accepted"]
    [event] = host.events_of("button.click")
    assert event["params"].get(name) == stored


def test_a_links_address_is_scrubbed(host: Host) -> None:
    """The target of a link carries secrets as any other address does (DESIGN §12)."""
    params = {"href": "http://localhost/reset?token=secret&q=1"}
    post(host.client(), {"action": "link.click", "params": params})
    [event] = host.events_of("link.click")
    assert event["params"]["href"] == "http://localhost/reset?q=1"


@pytest.mark.parametrize(
    ("fragment", "stored"),
    [
        ("#prices", "#prices"),
        ("#:~:text=two%20mugs", "#:~:text=two%20mugs"),
        ("#tab=2&sort=price", "#tab=2&sort=price"),
        ("#/inbox?token=x&d=2", "#/inbox?d=2"),
        ("#access_token=x&state=y", ""),
        ("#state=y&id_token=x", ""),
        ("#reset?token=x", ""),
        ("#password", "#password"),
        ("#user-password=x", ""),
        ("#ada@example.com", "#[email]"),
        ("#to=%2Freset%3Ftoken%3Dx", "#to=/reset"),
        ("#eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abcdefghijklmnop", "#[token]"),
        ("#", ""),
        ("#cart/access_token=x", ""),
    ],
)
def test_a_links_address_keeps_its_fragment(host: Host, fragment: str, stored: str) -> None:
    """It says where on the page the link leads. Secrets in it are not kept."""
    params = {"href": f"http://localhost/shop?q=1{fragment}"}
    post(host.client(), {"action": "link.click", "params": params})
    [event] = host.events_of("link.click")
    assert event["params"]["href"] == f"http://localhost/shop?q=1{stored}"


@pytest.mark.parametrize("sign", "/!")
def test_a_fragment_of_very_many_parts_is_not_kept(host: Host, sign: str) -> None:
    """To look at each of them would take long."""
    params = {"href": f"http://localhost/shop#/{f'a{sign}' * 2500}"}
    post(host.client(), {"action": "link.click", "params": params})
    [event] = host.events_of("link.click")
    assert event["params"]["href"] == "http://localhost/shop"


ROUTES = [
    ("http://localhost/#/inbox", "http://localhost/#/inbox"),
    ("http://localhost/#!/inbox", "http://localhost/#!/inbox"),
    ("http://localhost/a?q=1#/b/c?d=2", "http://localhost/a?q=1#/b/c?d=2"),
    ("http://localhost/#/b?token=x&d=2&Email=y", "http://localhost/#/b?d=2"),
    ("http://localhost/#/b?token=x", "http://localhost/#/b"),
    ("http://localhost/#/b#access_token=x", "http://localhost/#/b"),
    ("http://localhost/#/access_token=x&state=y", "http://localhost/"),
    ("http://localhost/#/b&id_token=x", "http://localhost/"),
    ("http://localhost/#/ü b", "http://localhost/#/%C3%BC%20b"),
    ("http://localhost/#access_token=x", "http://localhost/"),
    ("http://localhost/#top", "http://localhost/"),
    ("http://localhost/#", "http://localhost/"),
    ("http://localhost/#/" + "x" * 3000, "http://localhost/#/" + "x" * 1981),
]


@pytest.mark.parametrize(("url", "stored"), ROUTES)
@pytest.mark.parametrize("name", ["url", "referrer"])
def test_a_route_in_the_fragment_is_kept_where_apps_route_by_it(
    make: MakeHost, name: str, url: str, stored: str
) -> None:
    """Without secrets; no other fragment stays, and none under another setting."""
    for spa, expected in (("hash", stored), (True, stored.partition("#")[0])):
        host = make({"EVENTTRACK_SPA": spa})
        params = {"href": "http://localhost/", name: url}
        assert statuses(post(host.client(), {"action": "link.click", "params": params})) == [
            "accepted"
        ]
        [event] = host.events_of("link.click")
        assert event["params"][name] == expected


def test_a_route_is_no_path(make: MakeHost) -> None:
    """Path, rule, campaign and label are those of the URL without it."""
    host = make({"EVENTTRACK_SPA": "hash"})
    url = "http://localhost/products/mug?utm_source=news#/big?utm_source=x"
    params = {"url": url, "referrer": "http://localhost/products/mug#/small"}
    post(host.client(), {"action": "page.visit", "params": params})
    [visit] = host.events_of("page.visit")
    assert (visit["url_rule"], visit["label"]) == ("/products/<slug>", "Visited page /products/mug")
    assert visit["params"] == {
        **params,
        "path": "/products/mug",
        "url_rule": "/products/<slug>",
        "utm_source": "news",
    }


def test_a_visit_is_resolved_through_the_url_map(host: Host) -> None:
    """Path, rule and campaign come of the address, whatever the browser says of them."""
    url = "http://localhost/products/mug?utm_source=news&token=x"
    lies = {"endpoint": "a", "url_rule": "b", "status": 200, "duration_ms": 1, "path": "/c"}
    params = {"url": url, "title": "Mug", **lies}
    post(host.client(), {"action": "page.visit", "event_id": ID, "params": params})
    [visit] = host.events_of("page.visit")
    assert (visit["url_rule"], visit["label"]) == ("/products/<slug>", "Visited page Mug")
    assert visit["params"] == {
        "url": "http://localhost/products/mug?utm_source=news",
        "path": "/products/mug",
        "url_rule": "/products/<slug>",
        "utm_source": "news",
        "title": "Mug",
    }


@pytest.mark.parametrize(
    "url",
    ["http://other.example/products/mug", "http://localhost/a/b/c"],
)
def test_a_visit_elsewhere_has_no_rule(host: Host, url: str) -> None:
    """Another host's path, or one that the app does not have, matches none of its rules."""
    post(host.client(), {"action": "page.visit", "params": {"url": url}})
    assert [visit["url_rule"] for visit in host.events_of("page.visit")] == [""]


def test_a_visit_needs_its_address(host: Host) -> None:
    """``url`` is the one parameter that a visit requires."""
    for params in ({}, {"url": None}, {"url": 5}, {"url": "javascript:x"}):
        error = error_of(post_one(host.client(), {"action": "page.visit", "params": params}))
        assert (error["code"], error["param"]) == ("invalid_param", "url")


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        (5, "5"),
        (True, "True"),
        (["http://localhost/"], "['http://localhost/']"),
        ("", "''"),
        ("javascript:x", "'javascript:x'"),
    ],
    ids=repr,
)
def test_a_visit_s_wrong_address_is_shown(host: Host, given: t.Any, shown: str) -> None:
    """As it was sent; and where none was sent, the message says that."""
    visit = {"action": "page.visit", "params": {"url": given}}
    message = f"'page.visit', parameter 'url': expected an http or https address, got {shown}."
    assert error_of(post_one(host.client(), visit))["message"] == message
    missing = error_of(post_one(host.client(), {"action": "page.visit"}))["message"]
    assert missing == "'page.visit', parameter 'url': it is required (str) and was not given."


def test_a_visit_s_numbers_are_read_as_text(host: Host) -> None:
    """Such as the id of a product."""
    params = {"url": "http://localhost/", "content_id": 10432, "timezone_offset": "-60"}
    post(host.client(), {"action": "page.visit", "params": params})
    [visit] = host.events_of("page.visit")
    assert (visit["params"]["content_id"], visit["params"]["timezone_offset"]) == ("10432", -60)
