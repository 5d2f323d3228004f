"""The prefix ``__Host-``: names that no sibling subdomain can plant, and the names before them."""

from __future__ import annotations

import typing as t

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from ..conftest import MakeHost
from ..hosts import NAVIGATION, SAME_ORIGIN, Host
from .cookie_jar import ALL, CSRF, DEVICE, SESSION, add_login, cookies_of, jar_of, sessions_of

HTTPS = "https://localhost"
HOST_DEVICE, HOST_SESSION, HOST_CSRF = (f"__Host-{name}" for name in (DEVICE, SESSION, CSRF))
HOST_ALL = {HOST_DEVICE, HOST_SESSION, HOST_CSRF}


def visit(client: FlaskClient, path: str = "/", url: str = HTTPS, **headers: str) -> TestResponse:
    answer = client.get(path, base_url=url, headers={**NAVIGATION, **headers})
    assert answer.status_code == 200
    return answer


def set_by(answer: TestResponse) -> tuple[set[str], set[str]]:
    """Return the names of the cookies that an answer sets, and of those that it deletes."""
    cookies = cookies_of(answer)
    deleted = {name for name, cookie in cookies.items() if cookie["max-age"] == "0"}
    return cookies.keys() - deleted, deleted


def names_of(client: FlaskClient) -> set[str]:
    return {name for name in ALL | HOST_ALL if client.get_cookie(name)}


# Which names are written


def test_cookies_are_the_host_s_own_over_https(host: Host) -> None:
    """RFC 6265bis, section 4.1.3.2: Secure, the path /, no domain."""
    cookies = cookies_of(visit(host.client()))
    assert cookies.keys() == HOST_ALL
    found = {(each["secure"], each["path"], each["domain"]) for each in cookies.values()}
    assert found == {(True, "/", "")}


@pytest.mark.parametrize(
    ("config", "url"),
    [
        ({}, "http://localhost"),
        ({"EVENTTRACK_COOKIE_SECURE": True}, "http://localhost"),
        ({"EVENTTRACK_COOKIE_SECURE": False}, HTTPS),
        ({"EVENTTRACK_COOKIE_DOMAIN": "shop.example"}, "https://www.shop.example"),
        ({"EVENTTRACK_COOKIE_PATH": "/products"}, HTTPS),
    ],
)
def test_cookies_have_plain_names_elsewhere(
    make: MakeHost, config: dict[str, t.Any], url: str
) -> None:
    """A browser would refuse the prefix there; a visit on http://localhost is remembered."""
    host = make(config)
    client = host.client()
    assert cookies_of(visit(client, "/products/mug", url)).keys() == ALL
    visit(client, "/products/pen", url)
    assert len(sessions_of(host)) == 1


def test_choice_keeps_its_name(host: Host) -> None:
    """Hosts and other tools read and write it."""
    client = host.client()
    visit(client)
    answer = client.post(
        "/_et/consent", base_url=HTTPS, json={"choice": "none"}, headers=SAME_ORIGIN
    )
    assert set_by(answer) == ({"eventtrack_consent"}, HOST_ALL)
    assert names_of(client) == set()


# The names before


def test_cookies_of_an_older_release_go_on_under_the_new_names(host: Host) -> None:
    """The same device, session and log-in; the old names are deleted."""
    add_login(host.app)
    client = host.client()
    visit(client, "/login/7", "http://localhost")  # as an older release does over HTTPS
    host.clock.advance(minutes=5)
    assert visit(client, "/me").get_json()["customer_id"] == "7"
    assert set_by(visit(client)) == (HOST_ALL, ALL)
    assert names_of(client) == HOST_ALL
    assert set_by(visit(client)) == (set(), set())
    assert visit(client, "/me").get_json()["customer_id"] == "7"
    assert len(sessions_of(host)) == 1


def test_device_of_an_older_release_is_known_for_400_days(host: Host) -> None:
    """For as long as browsers keep its cookie."""
    client = host.client()
    visit(client, url="http://localhost")
    host.clock.advance(days=399)
    client.delete_cookie(SESSION)
    client.delete_cookie(CSRF)
    assert set_by(visit(client)) == (HOST_ALL, {DEVICE})
    first, second = sessions_of(host)
    assert first["device_id"] == second["device_id"]


def test_planted_cookies_do_not_outweigh_the_host_s_own(host: Host) -> None:
    """A sibling subdomain can set the old names for the whole domain: they are ignored."""
    sibling, client = host.client(), host.client()
    visit(sibling, url="http://localhost")
    host.clock.advance(seconds=1)
    visit(client)
    device = sessions_of(host)[1]["device_id"]
    for name, value in jar_of(sibling).items():
        client.set_cookie(name, value)
    host.clock.advance(minutes=5)
    visit(client)
    client.set_cookie(DEVICE, jar_of(sibling).get(DEVICE, "x"))
    host.clock.advance(hours=1)
    visit(client)
    assert [row["device_id"] for row in sessions_of(host)[1:]] == [device, device]
    assert sessions_of(host)[1]["pages"] == 2


@pytest.mark.parametrize("value", ["x", ""])
def test_invalid_cookie_of_the_host_is_not_replaced_by_a_planted_one(
    host: Host, value: str
) -> None:
    """The old name counts only where the new one is absent."""
    sibling, client = host.client(), host.client()
    visit(sibling, url="http://localhost")
    client.set_cookie(HOST_DEVICE, value)
    for name, planted in jar_of(sibling).items():
        client.set_cookie(name, planted)
    visit(client)
    assert len({row["device_id"] for row in sessions_of(host)}) == 2


def test_planted_session_does_not_join_the_host_s_device(host: Host) -> None:
    """A session is valid on its own device only, under whichever name."""
    add_login(host.app)
    sibling, client = host.client(), host.client()
    visit(sibling, "/login/7", "http://localhost")
    visit(client)
    client.delete_cookie(HOST_SESSION)
    client.set_cookie(SESSION, jar_of(sibling)[SESSION])
    assert visit(client, "/me").get_json()["customer_id"] is None


def test_log_out_deletes_the_old_names(host: Host) -> None:
    """None of them names the customer any longer, also where HTTPS is not used."""
    add_login(host.app)
    client = host.client()
    visit(client, "/login/7", "http://localhost")
    visit(client, "/logout")
    assert names_of(client) == HOST_ALL


@pytest.mark.parametrize("url", [HTTPS, "http://localhost"])
def test_refusal_deletes_both_names(host: Host, url: str) -> None:
    """By a choice and by the browser's signal."""
    for signal in ({}, {"Sec-GPC": "1"}):
        client = host.client()
        jars = [host.client(), host.client()]
        visit(jars[0], url="http://localhost")
        visit(jars[1])
        for jar in jars:
            for name in ALL | HOST_ALL:
                cookie = jar.get_cookie(name)
                if cookie:
                    client.set_cookie(name, cookie.value)
        assert names_of(client) == ALL | HOST_ALL
        if signal:
            visit(client, "/", url, **signal)
        else:
            body = {"choice": "none"}
            client.post("/_et/consent", base_url=url, json=body, headers=SAME_ORIGIN)
        assert names_of(client) == set()


def test_script_s_posts_are_the_visitor_s(host: Host) -> None:
    """The collector reads and renews the same names."""
    client = host.client()
    visit(client)
    host.clock.advance(minutes=2)
    event = {"action": "button.click"}
    answer = client.post("/_et/in", base_url=HTTPS, json=event, headers=SAME_ORIGIN)
    assert set_by(answer) == ({HOST_SESSION, HOST_CSRF}, set())
    [session] = sessions_of(host)
    assert session["events"] == 2
