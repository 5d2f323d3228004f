"""Who may send what."""

from __future__ import annotations

import typing as t

import pytest

from flask_eventtrack import identify

from ..conftest import MakeHost
from ..hosts import SAME_ORIGIN, FakeClock, Host
from .posts import CLICK, error_of, post, post_one, quality, statuses


@pytest.mark.parametrize(
    ("action", "code", "message"),
    [
        ("invoice.print", "server_only", "Only the server may record 'invoice.print'."),
        ("customer.login", "server_only", "Only the server may record 'customer.login'."),
        ("customer.logout", "server_only", "Only the server may record 'customer.logout'."),
        ("product.buy", "server_only", "Only the server may record 'product.buy'."),
        ("account.open", "customer_required", "Only customers may send 'account.open'."),
        (
            "product.views",
            "undefined_event",
            "'product.views' is not defined. Did you mean 'product.view'?",
        ),
        ("zz.zz", "undefined_event", "'zz.zz' is not defined."),
        (
            "session.start",
            "reserved_event",
            "'session.start' cannot be sent: it is recorded with the first event of a session.",
        ),
        (
            "session.end",
            "reserved_event",
            "'session.end' cannot be sent: it is recorded when a session is over.",
        ),
        (
            "transaction.charge",
            "reserved_event",
            "'transaction.charge' cannot be sent: track_transaction() records it, on the server.",
        ),
        (
            "transaction.cancel",
            "reserved_event",
            "'transaction.cancel' cannot be sent: cancel_transaction() records it, on the server.",
        ),
        (
            "transaction.refund",
            "reserved_event",
            "'transaction.refund' cannot be sent: such names are reserved for track_transaction() "
            "and cancel_transaction().",
        ),
    ],
)
@pytest.mark.parametrize("headers", [SAME_ORIGIN, {}], ids=["page", "app"])
def test_what_a_visitor_may_not_send(
    shop: Host, headers: dict[str, str], action: str, code: str, message: str
) -> None:
    """Neither from a page nor from an app."""
    response = shop.client().post("/_et/in", json={"action": action}, headers=headers)
    assert error_of(response) == {"code": code, "message": message, "param": None}
    assert shop.rows("event") == []
    assert quality(shop) == {("rejected", action, code): 1}


def test_own_definition_of_a_buy_opens_no_door(make: MakeHost) -> None:
    """A host may define the parameters of ``product.buy``, but not who may send it."""
    host = make()
    host.events.define("product.buy", anonymous=True)
    event = {"action": "product.buy"}
    assert error_of(post_one(host.client(), event))["code"] == "server_only"
    with host.app.app_context():
        host.events.track("product.buy", {"sku": "A1"}, customer=1)
    assert host.actions() == {"product.buy": 1}


def test_a_customer_may_send_more(shop: Host) -> None:
    """A customer who was identified in this session is vouched for."""
    client = shop.client()
    profile = client.get("/login").text
    assert statuses(post(client, {"action": "account.open"})) == ["accepted"]
    [event] = shop.events_of("account.open")
    assert str(event["uuid"]) == profile


def test_a_customers_cookie_alone_does_not_vouch(shop: Host, clock: FakeClock) -> None:
    """After the gap, events are still the customer's, but those of customers are refused."""
    client = shop.client()
    profile = client.get("/login").text
    clock.advance(minutes=31)
    response = post(client, {"action": "account.open"}, CLICK)
    assert statuses(response) == ["rejected", "accepted"]
    assert response.get_json()["results"][0]["error"]["code"] == "customer_required"
    assert str(shop.events_of("button.click")[0]["uuid"]) == profile


def test_after_the_log_out_nobody_is_a_customer(shop: Host) -> None:
    """The next person at the computer is somebody else."""
    client = shop.client()
    profile = client.get("/login").text
    client.get("/logout")
    assert statuses(post(client, {"action": "account.open"}, CLICK)) == ["rejected", "accepted"]
    assert str(shop.events_of("button.click")[0]["uuid"]) != profile


def test_a_host_that_identifies_before_each_request_is_heard(shop: Host) -> None:
    """``identify()`` in a ``before_request`` vouches for the post that comes after it."""

    @shop.app.before_request
    def know() -> None:
        identify("42")

    client = shop.client()
    assert statuses(post(client, {"action": "account.open"})) == ["accepted"]
    assert statuses(post(client, {"action": "account.open"})) == ["accepted"]
    assert shop.actions() == {"account.open": 2, "customer.login": 1, "session.start": 1}


def test_undefined_events_can_be_stored(make: MakeHost) -> None:
    """With the setting, any well-formed action is kept, and its parameters are marked."""
    host = make({"EVENTTRACK_UNDEFINED_EVENTS": "store"})
    response = post(host.client(), {"action": "any.thing", "params": {"a": 1}}, {"action": "thing"})
    assert statuses(response) == ["accepted", "rejected"]
    [event] = host.events_of("any.thing")
    assert (event["params"], event["undefined"]) == ({"a": 1}, ["a"])


@pytest.mark.parametrize("action", ["session.end", "transaction.charge", "invoice.print"])
def test_storing_the_undefined_opens_nothing_else(make: MakeHost, action: str) -> None:
    """Reserved and server-only events stay closed."""
    host = make({"EVENTTRACK_UNDEFINED_EVENTS": "store"})
    host.events.define("invoice.print", server_only=True)
    assert post_one(host.client(), {"action": action}).status_code == 422


def test_a_bots_events_are_rejected(host: Host) -> None:
    """A program that names itself is answered and not recorded."""
    client = host.client("Mozilla/5.0 (compatible; Googlebot/2.1)")
    assert error_of(post_one(client, CLICK))["code"] == "bot"
    assert (host.rows("event"), host.rows("session")) == ([], [])
    assert quality(host) == {("rejected", "button.click", "bot"): 1}


def test_a_page_without_a_user_agent_is_a_bots(host: Host) -> None:
    """Browsers always name themselves."""
    response = host.client().post(
        "/_et/in", json=CLICK, headers=SAME_ORIGIN, environ_overrides={"HTTP_USER_AGENT": " "}
    )
    assert error_of(response)["code"] == "bot"


@pytest.mark.parametrize(
    ("settings", "site", "admitted"),
    [
        ({"EVENTTRACK_DENY": ["button.*"]}, "localhost", False),
        ({"EVENTTRACK_DENY": ["link.*"]}, "localhost", True),
        ({"EVENTTRACK_DENY": {"a.example": ["button.*"]}}, "a.example", False),
        ({"EVENTTRACK_DENY": {"a.example": ["button.*"]}}, "A.EXAMPLE:5000", False),
        ({"EVENTTRACK_DENY": {"a.example": ["button.*"]}}, "b.example", True),
        ({"EVENTTRACK_DENY": {"*": ["button.click"]}}, "b.example", False),
        ({"EVENTTRACK_ALLOW": ["link.*", "session.*"]}, "localhost", False),
        ({"EVENTTRACK_ALLOW": ["button.*"]}, "localhost", True),
        ({"EVENTTRACK_ALLOW": {"a.example": ["link.*"]}}, "b.example", True),
        ({"EVENTTRACK_ALLOW": ["*"], "EVENTTRACK_DENY": ["*.click"]}, "localhost", False),
    ],
)
def test_sites_allow_and_deny(
    make: MakeHost, settings: dict[str, t.Any], site: str, admitted: bool
) -> None:
    """Deny wins; an allow list, where given, admits only what it names."""
    client = make(settings).client()
    response = client.post("/_et/in", json=CLICK, headers=SAME_ORIGIN | {"Host": site})
    if admitted:
        assert response.status_code == 202
    else:
        assert error_of(response)["code"] == "denied_event"


def test_a_denied_event_is_named_with_its_site(make: MakeHost) -> None:
    """The message names the action and the site."""
    client = make({"EVENTTRACK_DENY": ["button.*"]}).client()
    error = error_of(post_one(client, CLICK))
    assert error["message"] == "'button.click' is not recorded on 'localhost'."
