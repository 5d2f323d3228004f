"""Campaigns and sources of a session, also those that a redirect or a log-in wall would lose."""

from __future__ import annotations

import typing as t
import uuid

import pytest
from flask import Flask, Response, abort, redirect, request, session
from flask.testing import FlaskClient
from werkzeug.middleware.proxy_fix import ProxyFix

from flask_eventtrack.identity.tokens import MAX_LENGTH, SessionToken, TokenCodec
from flask_eventtrack.request.context import get_current

from ..conftest import MakeHost
from ..hosts import NAVIGATION, SAME_ORIGIN, Host
from ..request.cookie_jar import ALL, SESSION, cookies_of, visit

CAMPAIGN = "utm_source=news&utm_medium=mail&utm_campaign=spring"


def add_walls(app: Flask) -> None:
    @app.get("/go")
    def go() -> Response:
        return t.cast("Response", redirect(request.args.get("to", "/")))

    @app.get("/members")
    def members() -> t.Any:
        return "<title>Members</title>" if session.get("is_in") else redirect("/login")

    @app.get("/staff")
    def staff() -> str:
        abort(403)

    @app.route("/login", methods=["GET", "POST"])
    def login() -> t.Any:
        if request.method == "POST":
            session["is_in"] = True
            return redirect("/members")
        return "<title>Log in</title>"

    @app.get("/public")
    def public() -> tuple[str, dict[str, str]]:
        return "<title>Public</title>", {"Cache-Control": "public, max-age=60"}

    @app.get("/moved")
    def moved() -> tuple[str, int, dict[str, str]]:
        return "", 301, {"Location": "/", "Cache-Control": "public, max-age=60"}


@pytest.fixture
def walled(make: MakeHost) -> Host:
    host = make()
    add_walls(host.app)
    return host


def follow(client: FlaskClient, path: str, **headers: str) -> None:
    client.get(path, headers=NAVIGATION | headers, follow_redirects=True)


@pytest.mark.parametrize("path", ["/go", "/go?to=/products/mug", "/staff", "/missing"])
def test_campaign_goes_to_the_next_page(walled: Host, path: str) -> None:
    """Of a newcomer, behind a redirect, a refusal or an error."""
    client = walled.client()
    follow(client, f"{path}{'&' if '?' in path else '?'}{CAMPAIGN}")
    for page in ("/products/a", "/products/b"):
        walled.clock.advance(seconds=1)
        visit(client, page)
    first, *others = walled.events_of("page.visit")
    assert (first["params"]["utm_source"], first["params"]["utm_campaign"]) == ("news", "spring")
    assert not any("utm_source" in visit["params"] for visit in others)
    [row] = walled.rows("session")
    assert (row["source"], row["utm_medium"], row["utm_campaign"]) == ("news", "mail", "spring")
    assert (row["browser"], row["pages"]) == ("Chrome", len(others) + 1)


def test_campaign_goes_behind_the_log_in_wall(walled: Host) -> None:
    """The page of the log-in is the session's first."""
    client = walled.client()
    follow(client, f"/members?{CAMPAIGN}")
    client.post("/login", headers=NAVIGATION, follow_redirects=True)
    [row] = walled.rows("session")
    assert (row["entry"], row["source"], row["exit"]) == ("/login", "news", "/members")


@pytest.mark.parametrize(("name", "source"), [("ref", "hunt"), ("source", "hunt")])
def test_other_names_of_a_source_go_along(walled: Host, name: str, source: str) -> None:
    """Although they are no campaign."""
    follow(walled.client(), f"/go?{name}={source}", Referer="https://www.hunt.example/")
    [row] = walled.rows("session")
    assert (row["source"], row["utm_source"]) == (source, None)
    assert row["referrer"] == "https://www.hunt.example/"


def test_campaign_in_an_open_session_goes_to_its_next_page(walled: Host) -> None:
    """The session keeps its own source, as if the page had been opened directly."""
    client = walled.client()
    visit(client, "/")
    walled.clock.advance(seconds=1)
    follow(client, f"/go?to=/products/mug&{CAMPAIGN}")
    home, mug = walled.events_of("page.visit")
    assert "utm_source" not in home["params"]
    assert mug["params"]["utm_source"] == "news"
    [row] = walled.rows("session")
    assert (row["source"], row["pages"]) == ("direct", 2)


def test_own_campaign_of_the_next_page_counts_first(walled: Host) -> None:
    """All of it, and nothing of the earlier one is mixed in."""
    client = walled.client()
    client.get(f"/go?{CAMPAIGN}", headers=NAVIGATION)
    visit(client, "/?utm_source=ad")
    [row] = walled.rows("session")
    assert (row["source"], row["utm_source"], row["utm_medium"]) == ("ad", "ad", None)


def test_campaign_lasts_as_long_as_a_session(walled: Host) -> None:
    """After that, the visitor has come by something else."""
    client = walled.client()
    client.get(f"/go?{CAMPAIGN}", headers=NAVIGATION)
    walled.clock.advance(minutes=31)
    visit(client)
    assert walled.rows("session")[0]["source"] == "direct"


def test_redirect_that_passes_the_query_on_sets_no_cookie(walled: Host) -> None:
    """The next page has the campaign in its own URL."""
    client = walled.client()
    answer = client.get(f"/go?{CAMPAIGN}&to=/?{CAMPAIGN.replace('&', '%26')}", headers=NAVIGATION)
    assert answer.location == f"/?{CAMPAIGN}"
    assert cookies_of(answer) == {}


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/go?colour=red", {}),
        ("/go", {}),
        (f"/moved?{CAMPAIGN}", {}),
        (f"/go?{CAMPAIGN}", {"Sec-Fetch-Dest": "image", "Sec-Fetch-Mode": "no-cors"}),
        (f"/go?{CAMPAIGN}", {"X-Requested-With": "XMLHttpRequest"}),
        (f"/go?{CAMPAIGN}", {"Sec-Purpose": "prefetch"}),
        (f"/go?{CAMPAIGN}", {"Sec-GPC": "1"}),
        (f"/go?{CAMPAIGN}", {"User-Agent": "Googlebot/2.1"}),
        (f"/_et/missing?{CAMPAIGN}", {}),
        (f"/data.json?{CAMPAIGN}", {}),
    ],
)
def test_other_answers_carry_no_cookie(walled: Host, path: str, headers: dict[str, str]) -> None:
    """Without a campaign, for a cache, for a part of a page, for who refuses, for a bot."""
    answer = walled.client().get(path, headers=NAVIGATION | headers)
    assert cookies_of(answer) == {}
    assert walled.rows("event") == []


def test_campaign_costs_three_cookies_once(walled: Host) -> None:
    """A device, a session that is not open, and its token; no row."""
    client = walled.client()
    answer = client.get(f"/go?{CAMPAIGN}", headers=NAVIGATION)
    assert set(cookies_of(answer)) == ALL
    assert walled.rows("session") == []
    assert visit(client) == ALL
    assert visit(client) == set()


def test_browser_reports_the_next_page(walled: Host) -> None:
    """Of a page in a shared cache, of which the server reports nothing for a newcomer."""
    client = walled.client()
    client.get(f"/go?to=/public&{CAMPAIGN}", headers=NAVIGATION)
    half = {
        "action": "page.visit",
        "event_id": str(uuid.uuid4()),
        "params": {"url": "http://localhost/public", "referrer": ""},
    }
    answer = client.post("/_et/in", json={"events": [half]}, headers=SAME_ORIGIN)
    assert answer.get_json()["results"][0]["status"] == "accepted"
    [row] = walled.rows("session")
    assert (row["source"], row["utm_campaign"]) == ("news", "spring")
    walled.clock.advance(seconds=1)
    visit(client)
    assert "utm_source" not in walled.events_of("page.visit")[1]["params"]


def test_personal_data_in_a_campaign_is_masked(walled: Host) -> None:
    """Before it is in the cookie."""
    client = walled.client()
    client.get("/go?utm_source=ada@example.com", headers=NAVIGATION)
    cookie = client.get_cookie(SESSION)
    assert cookie is not None
    token = walled.state.tokens.read_session(cookie.value)
    assert token is not None
    assert token.campaign == "utm_source=%5Bemail%5D"


def test_long_campaign_does_not_cost_the_session() -> None:
    """It is left out if the cookie would be too long to be read."""
    codec = TokenCodec(["a secret for tests only"])
    for customer, campaign in (("x" * 255, "y" * 600), ("😀" * 255, "y" * 600), ("x", "é" * 300)):
        token = SessionToken(uuid.uuid4(), 1, 2, 3, "token", customer, 4, 5, campaign)
        value = codec.write_session(token)
        assert len(value) <= MAX_LENGTH
        kept = "" if customer[0] == "😀" else campaign
        assert codec.read_session(value) == token._replace(campaign=kept)


@pytest.mark.parametrize(
    ("settings", "host_name", "referrer", "source"),
    [
        ({}, "www.example.com", "https://example.com/", "direct"),
        ({}, "example.com", "https://www.example.com/x", "direct"),
        ({}, "shop.example.com", "https://example.com/", "example.com"),
        (
            {"EVENTTRACK_SITES": ["shop.example.com", "example.com"]},
            "shop.example.com",
            "https://example.com/",
            "direct",
        ),
        (
            {"EVENTTRACK_SITES": ["*.example.com"]},
            "a.example.com",
            "https://b.example.com/",
            "direct",
        ),
        (
            {"EVENTTRACK_COOKIE_DOMAIN": ".Example.com"},
            "a.example.com",
            "https://example.com/",
            "direct",
        ),
        (
            {"EVENTTRACK_COOKIE_DOMAIN": "example.com"},
            "example.com",
            "https://b.example/",
            "b.example",
        ),
        ({}, "example.com", "android-app://com.google.android.gm/", "com.google.android.gm"),
    ],
)
def test_own_site_is_no_source(
    make: MakeHost, settings: dict[str, t.Any], host_name: str, referrer: str, source: str
) -> None:
    """In any spelling, and under any name of the settings."""
    host = make(settings)
    headers = NAVIGATION | {"Referer": referrer}
    host.client().get("/", headers=headers, base_url=f"https://{host_name}")
    [row] = host.rows("session")
    assert (row["source"], row["referrer"]) == (source, referrer)


@pytest.mark.parametrize(
    ("forwarded", "address"),
    [
        ("187.65.1.2:61598", "187.65.1.0"),
        ("[2001:db8:1:2::3]:61598", "2001:db8:1::"),
        ("187.65.1.2", "187.65.1.0"),
    ],
)
def test_proxy_may_add_the_port(host: Host, forwarded: str, address: str) -> None:
    """The client's network is known for limits and for the country."""
    host.app.wsgi_app = ProxyFix(host.app.wsgi_app)  # type: ignore[method-assign]
    host.app.add_url_rule(
        "/where", "where", lambda: [request.remote_addr, get_current(host.state).client().address]
    )
    answer = host.client().get("/where", headers={"X-Forwarded-For": forwarded})
    assert answer.get_json() == [forwarded, address]
