"""What ``current_visitor.sessions()`` and ``profile()`` show: no more than ``feed()`` does."""

from __future__ import annotations

import typing as t

import pytest
from flask import Flask
from flask.testing import FlaskClient

from flask_eventtrack import current_visitor, identify

from ..conftest import MakeHost
from ..hosts import NAVIGATION, Host
from ..identity.customers import KEY, add_views, jar_of, profile_of, send, token_of
from ..request.cookie_jar import DEVICE, fill
from .test_own_feed import MUG, PEN, TEA, copy_of, visit

Seen = list[dict[str, t.Any]]


@pytest.fixture
def shop(make: MakeHost, database_url: str) -> Host:
    host = make(
        {"EVENTTRACK_JWT_KEYS": KEY, "EVENTTRACK_COUNTRY_HEADER": "CF-IPCountry"}, url=database_url
    )
    add_views(host.app)
    add_records(host.app)
    return host


def add_records(app: Flask) -> None:
    @app.get("/sessions.json")
    def sessions() -> Seen:
        return [session._asdict() for session in current_visitor.sessions()]

    @app.get("/profile.json")
    def profile() -> dict[str, t.Any]:
        found = current_visitor.profile()
        return {} if found is None else found._asdict()

    @app.get("/traits/<who>/<plan>")
    def traits(who: str, plan: str) -> str:
        identify(who, {"plan": plan, "seats": 3})
        return "<title>Plan</title>"


def sessions_of(host: Host, client: FlaskClient) -> Seen:
    """Return the sessions that a visitor sees of themselves, newest first."""
    host.flush()
    host.clock.advance(seconds=1)
    seen: Seen = client.get("/sessions.json").get_json()
    return seen


def profile_seen_by(host: Host, client: FlaskClient) -> dict[str, t.Any]:
    host.flush()
    seen: dict[str, t.Any] = client.get("/profile.json").get_json()
    return seen


def exits(seen: Seen) -> list[str]:
    return [session["exit"] for session in seen]


# Who sees what


def test_session_has_all_that_is_stored_of_it(shop: Host) -> None:
    """The device, its language and country, where the visitor came from, and what they did."""
    client = shop.client()
    headers = NAVIGATION | {
        "Referer": "https://news.example/mugs",
        "Accept-Language": "de-CH,de;q=0.9",
        "CF-IPCountry": "CH",
    }
    client.get(f"{MUG}?utm_source=letter&utm_campaign=spring", headers=headers)
    visit(shop, client, PEN)
    [seen] = sessions_of(shop, client)
    [stored] = shop.rows("session")
    unseen = {"entry_at", "exit_at", "private_at", "logged_out_at", "person"}
    assert seen.keys() == stored.keys() - unseen
    assert (seen["id"], seen["device_id"]) == (str(stored["id"]), str(stored["device_id"]))
    facts = ("browser", "device_type", "language", "country", "referrer", "utm_campaign")
    assert [seen[name] for name in facts] == [
        "Chrome",
        "desktop",
        "de-CH",
        "CH",
        "https://news.example/mugs",
        "spring",
    ]
    assert (seen["source"], seen["channel"]) == ("letter", "campaign")
    assert (seen["entry"], seen["exit"], seen["entry_rule"]) == (MUG, PEN, "/products/<slug>")
    assert (seen["pages"], seen["events"], seen["ended_at"]) == (2, 2, None)


def test_customer_who_is_vouched_for_sees_the_sessions_of_all_devices(shop: Host) -> None:
    """And the one in which they were anonymous at first."""
    phone, desk = shop.client(), shop.client()
    visit(shop, phone, MUG)
    visit(shop, phone, "/login/7")
    visit(shop, desk, "/login/7")
    visit(shop, desk, TEA)
    seen = sessions_of(shop, phone)
    assert exits(seen) == [TEA, "/login/7"]
    assert [session["entry"] for session in seen] == ["/login/7", MUG]
    assert sessions_of(shop, desk) == seen


def test_device_of_no_customer_sees_its_own_sessions(shop: Host) -> None:
    """Earlier ones too, and no others'."""
    one, other = shop.client(), shop.client()
    visit(shop, one, MUG)
    shop.clock.advance(days=3)
    visit(shop, one, PEN)
    visit(shop, other, TEA)
    assert exits(sessions_of(shop, one)) == [PEN, MUG]
    assert exits(sessions_of(shop, other)) == [TEA]


def test_device_after_a_log_out_sees_sessions_that_came_since(shop: Host) -> None:
    """It is a device of no customer again, and knows no profile."""
    client = shop.client()
    visit(shop, client, "/login/7")
    visit(shop, client, "/logout")
    visit(shop, client, MUG)
    assert exits(sessions_of(shop, client)) == [MUG]
    assert profile_seen_by(shop, client) == {}


def test_customer_s_device_without_a_log_in_sees_its_present_session_s_row(shop: Host) -> None:
    """As the next person at a browser that was only closed."""
    client = shop.client()
    visit(shop, client, "/login/7")
    shop.clock.advance(hours=1)
    assert sessions_of(shop, client) == []
    visit(shop, client, PEN)
    visit(shop, client, TEA)
    assert exits(sessions_of(shop, client)) == [TEA]
    assert profile_seen_by(shop, client) == {}
    shop.clock.advance(hours=1)
    assert sessions_of(shop, client) == []


def test_customer_s_session_is_not_shown_once_they_are_vouched_for_no_more(shop: Host) -> None:
    """Its row tells of what the customer did."""
    client = shop.client()
    send(client, "identify", token=token_of(shop, "7", 60))
    visit(shop, client, MUG)
    assert exits(sessions_of(shop, client)) == [MUG]
    shop.clock.advance(minutes=10)
    visit(shop, client, PEN)
    assert sessions_of(shop, client) == []


@pytest.mark.parametrize("headers", [{"Sec-GPC": "1"}, {"User-Agent": "Googlebot/2.1"}, {}])
def test_newcomers_bots_and_those_who_refuse_see_no_sessions(
    shop: Host, headers: dict[str, str]
) -> None:
    """Nor a profile."""
    visit(shop, shop.client(), MUG)
    shop.flush()
    assert shop.client().get("/sessions.json", headers=headers).get_json() == []
    assert shop.client().get("/profile.json", headers=headers).get_json() == {}


def test_sessions_are_read_page_by_page(shop: Host) -> None:
    """Newest first, ``before`` a moment, at most ``limit``."""
    client = shop.client()
    for path in (MUG, PEN, TEA):
        visit(shop, client, path)
        shop.clock.advance(hours=1)
    shop.flush()
    headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in jar_of(client).items())}
    with shop.app.test_request_context(headers=headers):
        first = current_visitor.sessions(limit=2)
        rest = current_visitor.sessions(first[-1].started_at)
        assert [session.exit for session in (*first, *rest)] == [TEA, PEN, MUG]
        assert current_visitor.sessions(limit=1) == first[:1]


def test_profile_has_traits_and_the_profiles_from_before_the_log_in(shop: Host) -> None:
    """And says when the customer was first and last identified."""
    client = shop.client()
    visit(shop, client, MUG)
    [anonymous] = {row["uuid"] for row in shop.events_of("page.visit")}
    visit(shop, client, "/traits/7/pro")
    shop.flush()
    [stored] = shop.rows("profile")
    with shop.app.test_request_context(
        headers={"Cookie": "; ".join(f"{name}={value}" for name, value in jar_of(client).items())}
    ):
        seen = current_visitor.profile()
        assert seen is not None
        assert seen[:-2] == (
            profile_of("7"),
            "7",
            {"plan": "pro", "seats": 3},
            stored["first_seen_at"],
            stored["last_seen_at"],
            [anonymous],
        )
        assert seen.first_touch is not None
        assert (seen.first_touch.rule, seen.first_touch.channel) == ("/products/<slug>", "direct")
        assert seen.last_touch is None


# Copied cookies


def test_device_cookie_from_before_a_log_out_reads_no_session_of_the_customer(shop: Host) -> None:
    """Neither the one that was, nor one that the customer opens later."""
    client = shop.client()
    visit(shop, client, "/login/7")
    thief = copy_of(shop, client, DEVICE)
    visit(shop, client, "/logout")
    visit(shop, client, "/login/7")
    visit(shop, client, MUG)
    assert sessions_of(shop, thief) == []
    visit(shop, thief, PEN)
    assert MUG not in exits(sessions_of(shop, thief))
    assert profile_seen_by(shop, thief) == {}


@pytest.mark.parametrize("is_thief_first", [True, False])
@pytest.mark.parametrize("comes_back", ["/login/7", TEA])
def test_copy_of_a_device_cookie_does_not_read_the_session_that_both_have(
    shop: Host, comes_back: str, *, is_thief_first: bool
) -> None:
    """Both have the same number, so both sessions have one id, and one row tells of both."""
    client = shop.client()
    visit(shop, client, "/login/7")
    thief = copy_of(shop, client, DEVICE)
    shop.clock.advance(hours=2)
    for who in (thief, client)[:: 1 if is_thief_first else -1]:
        visit(shop, who, PEN if who is thief else comes_back)
        shop.flush()
        shop.clock.advance(minutes=2)
    visit(shop, client, MUG)
    assert sessions_of(shop, thief) == []


@pytest.mark.parametrize("is_thief_first", [True, False])
def test_copy_reads_no_session_while_visits_wait_to_be_written(
    make: MakeHost, shop: Host, database_url: str, *, is_thief_first: bool
) -> None:
    """Its process has not written yet that a second browser has opened the session."""
    other = make({"EVENTTRACK_FLUSH_INTERVAL": 3600}, url=database_url)
    add_records(other.app)
    client = shop.client()
    visit(shop, client, "/login/7")
    thief = fill(other.client(), {DEVICE: jar_of(client)[DEVICE]})
    shop.clock.advance(hours=2)
    for host, who, path in ((other, thief, TEA), (shop, client, PEN))[
        :: 1 if is_thief_first else -1
    ]:
        visit(host, who, path)
        shop.clock.advance(minutes=2)
    visit(shop, client, MUG)
    shop.flush()
    assert thief.get("/sessions.json").get_json() == []


def test_another_customer_with_a_copied_device_cookie_reads_no_session_of_both(shop: Host) -> None:
    """The thief logs in with an account of their own: the next session of each has one id."""
    client = shop.client()
    visit(shop, client, "/login/7")
    thief = copy_of(shop, client, DEVICE)
    shop.clock.advance(hours=2)
    visit(shop, client, MUG)
    visit(shop, thief, "/login/8")
    visit(shop, thief, PEN)
    shop.flush()
    last = shop.events_of("page.visit")[1:]
    assert {row["uuid"] for row in last} == {profile_of("7"), profile_of("8")}
    assert len({row["session_id"] for row in last}) == 1
    assert sessions_of(shop, thief) == []


def test_copies_of_all_cookies_read_no_session_and_no_profile_after_the_log_out(
    shop: Host,
) -> None:
    """They still vouch, since a request asks no database. Reading does ask it."""
    client = shop.client()
    visit(shop, client, "/traits/7/pro")
    thief = copy_of(shop, client)
    assert len(sessions_of(shop, thief)) == 1
    assert profile_seen_by(shop, thief)["traits"] == {"plan": "pro", "seats": 3}
    visit(shop, client, "/logout")
    for _ in range(2):
        assert sessions_of(shop, thief) == []
        assert profile_seen_by(shop, thief) == {}
        visit(shop, client, "/login/7")
    assert profile_seen_by(shop, client)["customer_id"] == "7"


def test_anonymous_cookie_reads_no_session_once_its_profile_is_a_customer_s(shop: Host) -> None:
    """A copy from before the log-in names a profile that is the customer's history now."""
    client = shop.client()
    visit(shop, client, MUG)
    thief = copy_of(shop, client)
    assert exits(sessions_of(shop, thief)) == [MUG]
    visit(shop, client, "/login/7")
    visit(shop, client, PEN)
    assert sessions_of(shop, thief) == []


def test_memory_is_read_up_to_date(make: MakeHost) -> None:
    """There is no writer thread: it flushes."""
    shop = make(url="sqlite://")
    add_records(shop.app)
    client = shop.client()
    client.get("/traits/7/pro", headers=NAVIGATION)
    assert exits(client.get("/sessions.json").get_json()) == ["/traits/7/pro"]
    assert client.get("/profile.json").get_json()["traits"] == {"plan": "pro", "seats": 3}
