"""For how long a log-in vouches at most, and what a log-out takes from copied cookies."""

from __future__ import annotations

import collections
import datetime as dt
import typing as t
import uuid as uuidlib

import pytest
from flask.testing import FlaskClient

from flask_eventtrack import identify, signals, track
from flask_eventtrack.identity.tokens import SessionToken, TokenCodec

from ..collector.senders import set_cookies
from ..conftest import MakeHost
from ..hosts import Host
from ..request.cookie_jar import fill
from .customers import (
    CLICK,
    KEY,
    OPEN,
    add_views,
    bearer,
    jar_of,
    load_user,
    may_open,
    profile_of,
    send,
    token_of,
    visit,
    written,
)

SESSION = "eventtrack_session"


def stay(host: Host, client: FlaskClient, hours: float, path: str = "/") -> None:
    """Open a page every 25 minutes, so that the session goes on."""
    for _ in range(int(hours * 60 / 25)):
        host.clock.advance(minutes=25)
        visit(client, path)


def customer_of(client: FlaskClient) -> str | None:
    customer: str | None = visit(client, "/me").get_json()["customer"]
    return customer


def copy_of(host: Host, client: FlaskClient) -> FlaskClient:
    return fill(host.client(), jar_of(client))


# How long it lasts


@pytest.mark.parametrize(
    ("setting", "hours"),
    [({}, 12), ({"EVENTTRACK_VOUCHED_FOR": dt.timedelta(hours=2)}, 2)],
)
@pytest.mark.parametrize("by", ["identify", "token"])
def test_copied_session_is_vouched_for_no_longer_than_the_setting(
    make: MakeHost, setting: dict[str, t.Any], hours: int, by: str
) -> None:
    """However active it is; it still attributes."""
    host = make({"EVENTTRACK_JWT_KEYS": KEY, **setting})
    host.events.define("account.open")
    add_views(host.app)
    client = host.client()
    if by == "token":
        send(client, "identify", token=token_of(host, "7", 30 * 86_400))
    else:
        visit(client, "/login/7")
    thief = copy_of(host, client)
    stay(host, thief, hours - 0.5)
    assert (customer_of(thief), may_open(thief)) == ("7", True)
    stay(host, thief, 0.9)
    assert (customer_of(thief), may_open(thief)) == (None, False)
    stay(host, thief, 30)
    assert customer_of(thief) is None
    assert len(host.rows("session")) == 1
    assert {row["uuid"] for row in host.events_of("page.visit")} == {profile_of("7")}


def test_seconds_may_be_given(make: MakeHost) -> None:
    """As for every duration."""
    host = make({"EVENTTRACK_VOUCHED_FOR": 600})
    add_views(host.app)
    client = host.client()
    visit(client, "/login/7")
    host.clock.advance(seconds=599)
    assert customer_of(client) == "7"
    host.clock.advance(seconds=1)
    assert customer_of(client) is None


@pytest.mark.parametrize("by", ["Flask-Login", "loader", "identify", "token"])
def test_host_s_word_renews_it(shop: Host, by: str) -> None:
    """Each time that the host says who is here."""
    headers: dict[str, str] = {}
    if by == "Flask-Login":
        load_user(shop.app, "7")
    elif by == "loader":
        shop.events.customer_loader(lambda: "7")
    elif by == "identify":

        @shop.app.before_request
        def know() -> None:
            identify("7")

    else:
        headers = bearer(token_of(shop, "7", 10 * 86_400))
    client, heard = shop.client(), list[str]()

    def hear(sender: object, customer_id: str, uuid: uuidlib.UUID) -> None:
        heard.append(customer_id)

    with signals.customer_identified.connected_to(hear, shop.app):
        for _ in range(60):
            shop.clock.advance(minutes=25)
            client.get("/", headers=headers)
    assert heard == ["7"]
    assert len(shop.rows("profile")) == len(shop.rows("session")) == 1


def test_loader_is_asked_once_a_log_in_has_ended(shop: Host) -> None:
    """It is the host's word, which takes over."""
    client = shop.client()
    visit(client, "/login/7")
    stay(shop, client, 13)
    assert customer_of(client) is None
    shop.events.customer_loader(lambda: "7")
    assert customer_of(client) == "7"


def test_token_does_not_prolong_a_log_in(shop: Host) -> None:
    """It is from before; once the log-in has ended, it vouches until it expires."""
    client, token = shop.client(), token_of(shop, "7", 13 * 3600)
    visit(client, "/login/7")
    stay(shop, client, 11)
    shop.clock.advance(minutes=2)  # so that the answer sends the session's cookie
    send(client, **CLICK, token=token)
    stay(shop, client, 1.5)
    assert customer_of(client) is None
    send(client, **CLICK, token=token)
    assert customer_of(client) == "7"
    stay(shop, client, 1.3)
    assert customer_of(client) is None


def test_renewal_sends_no_cookie_of_its_own(shop: Host) -> None:
    """The session's cookie, which is sent once a minute, says when it was."""
    load_user(shop.app, "7")
    client = shop.client()
    visit(client)
    for seconds in (10, 20):
        shop.clock.advance(seconds=seconds)
        assert set_cookies(visit(client)) == {}


def test_cookie_of_an_older_release_vouches_since_its_session_began(shop: Host) -> None:
    """It does not say when the host vouched: at the earliest, it was then."""
    client = shop.client()
    visit(client, "/login/7")
    old = shop.state.tokens.read_session(jar_of(client)[SESSION])
    assert old is not None
    for hours, customer in ((11.9, "7"), (12.1, None)):
        started = old.last - int(hours * 3600 * 1_000_000)
        token = old._replace(vouched_at=0, started=started)
        client.set_cookie(SESSION, shop.state.tokens.write_session(token))
        assert customer_of(client) == customer


def test_moment_in_the_future_counts_as_now(shop: Host) -> None:
    """The clock was ahead, and was put back."""
    client = shop.client()
    shop.clock.advance(days=900)
    visit(client, "/login/7")
    shop.clock.advance(days=-900)
    visit(client)
    stay(shop, client, 12.5)
    assert customer_of(client) is None


@pytest.mark.parametrize("voucher", ["login", "identify", "token", "loader"])
def test_cookie_says_when_the_host_vouched(voucher: t.Any) -> None:
    """In a layout that older releases take for no session, and not for another customer's."""
    codec = TokenCodec(["secret"])
    until = 5 if voucher == "token" else 0
    token = SessionToken(uuidlib.uuid4(), 1, 2, 3, voucher, "été", until, 4)
    text = codec.write_session(token)
    assert codec.read_session(text) == token
    assert codec.read_session(codec.write_session(token._replace(vouched_at=0))) != token


# After a log-out


@pytest.fixture
def left(make: MakeHost, database_url: str) -> tuple[Host, FlaskClient, FlaskClient]:
    """A shop, the browser of a customer, and one with a copy of its cookies."""
    host = make({"EVENTTRACK_JWT_KEYS": KEY}, url=database_url)
    host.events.define("account.open")
    add_views(host.app)

    @host.app.get("/buy")
    def buy() -> dict[str, str]:
        return {"id": str(track("account.open"))}

    client = host.client()
    visit(client, "/login/7")
    return host, client, copy_of(host, client)


def test_copied_session_records_nothing_after_the_log_out(
    left: tuple[Host, FlaskClient, FlaskClient],
) -> None:
    """However it is used; the quality counters say so."""
    host, client, thief = left
    visit(client, "/logout")
    host.flush()
    before = written(host)
    for _ in range(3):
        host.clock.advance(minutes=20)
        visit(thief)
        assert send(thief, **OPEN).status_code == 202
        visit(thief, "/buy")
    host.flush()
    assert written(host) == before
    refused = [row for row in host.rows("quality") if row["reason"] == "logged_out"]
    assert {row["outcome"] for row in refused} == {"rejected"}
    counts = collections.Counter[str]()
    for row in refused:
        counts[row["action"]] += row["count"]
    assert counts == {"page.visit": 3, "account.open": 6}


def test_log_out_takes_the_device_s_earlier_sessions_along(
    left: tuple[Host, FlaskClient, FlaskClient],
) -> None:
    """A copy has kept one of them alive."""
    host, client, thief = left
    stay(host, thief, 2)
    visit(client, "/login/7")
    visit(client, "/logout")
    host.flush()
    before = written(host)
    host.clock.advance(minutes=1)
    visit(thief)
    host.flush()
    assert written(host) == before


@pytest.mark.parametrize("back", [0, 90])
def test_customer_who_comes_back_at_once_is_recorded(
    left: tuple[Host, FlaskClient, FlaskClient], back: int
) -> None:
    """Though all is written in one transaction, and the clock may go back in between."""
    host, client, _ = left
    stay(host, client, 1)
    host.flush()
    visit(client, "/logout")
    host.clock.advance(minutes=-back)
    visit(client, "/login/7")
    host.flush()
    before = host.actions()["page.visit"]
    stay(host, client, 5)
    host.flush()
    assert host.actions()["page.visit"] == before + 12
    assert [row["reason"] for row in host.rows("quality") if row["outcome"] == "rejected"] == []


def test_requests_under_way_at_the_log_out_are_recorded(
    left: tuple[Host, FlaskClient, FlaskClient],
) -> None:
    """Another tab's, which have the cookies from before."""
    host, client, tab = left
    visit(client, "/logout")
    host.flush()
    host.clock.advance(seconds=10)
    assert send(tab, **OPEN).status_code == 202
    host.flush()
    assert host.actions()["account.open"] == 1


def test_other_devices_go_on_after_a_log_out(left: tuple[Host, FlaskClient, FlaskClient]) -> None:
    """A log-out is one device's."""
    host, client, _ = left
    phone = host.client()
    visit(phone, "/login/7")
    visit(client, "/logout")
    host.flush()
    host.clock.advance(minutes=1)
    assert send(phone, **OPEN).status_code == 202
    assert host.actions()["account.open"] == 1


def test_host_s_own_word_outweighs_the_log_out(
    left: tuple[Host, FlaskClient, FlaskClient],
) -> None:
    """The host says that the customer is here: as in an app that keeps its old headers."""
    host, client, other = left
    visit(client, "/logout")
    host.flush()
    host.clock.advance(minutes=1)
    assert send(other, **OPEN, token=token_of(host, "7")).status_code == 202
    [event] = host.events_of("account.open")
    assert event["uuid"] == profile_of("7")


def test_what_came_before_the_log_out_is_written_after_it(
    left: tuple[Host, FlaskClient, FlaskClient],
) -> None:
    """By the time of its arrival, in whichever order processes write."""
    host, client, other = left
    host.clock.advance(seconds=5)
    visit(client, "/logout")
    host.flush()
    host.clock.advance(seconds=-1)
    assert send(other, **OPEN).status_code == 202
    assert host.actions()["account.open"] == 1


def test_job_of_a_request_before_the_log_out_is_recorded(
    left: tuple[Host, FlaskClient, FlaskClient],
) -> None:
    """Server code says itself what happened."""
    host, client, _ = left
    token = "~".join(jar_of(client).values())
    [session] = host.rows("session")
    visit(client, "/logout")
    host.flush()
    host.clock.advance(minutes=1)
    with host.app.app_context():
        assert track("account.open", visitor=token)
    [event] = host.events_of("account.open")
    assert (event["uuid"], event["session_id"]) == (profile_of("7"), session["id"])
