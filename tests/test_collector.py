"""What the collector answers and what then stands in the tables: DESIGN §4, §5, §8."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import typing as t
import uuid as uuidlib

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from flask_eventtrack import identify, logout
from flask_eventtrack.errors import InvalidEvent
from flask_eventtrack.ids import uuid7
from flask_eventtrack.records import Event
from flask_eventtrack.signals import event_accepted, event_rejected
from flask_eventtrack.state import RecentIds

from .conftest import MakeHost
from .hosts import NAVIGATION, SAME_ORIGIN, START, FakeClock, Host

CLICK = {"action": "button.click"}
ID = "018f2b1e-7c1a-7def-8a5b-0123456789ab"
OTHER_ID = "0b9c8f6e-5d3a-4e21-9f00-aabbccddeeff"


@dataclasses.dataclass
class ProductView:
    sku: str
    name: str
    price: float | None = None


@pytest.fixture
def shop(make: MakeHost) -> Host:
    """A host with events of its own, and views that log its customer in and out."""
    host = make()
    host.events.define("product.view", label="Viewed {name}", anonymous=True)(ProductView)
    host.events.define("signup.click", anonymous=True)
    host.events.define("account.open")
    host.events.define("invoice.print", server_only=True)
    host.app.get("/login", endpoint="login")(lambda: f"{identify('42')}")

    @host.app.get("/logout")
    def leave() -> str:
        logout()
        return "bye"

    return host


def post(client: FlaskClient, *events: t.Any, **body: t.Any) -> TestResponse:
    """Post a batch as the script does from a page of the site."""
    return client.post("/_et/in", json={"events": events, **body}, headers=SAME_ORIGIN)


def post_one(client: FlaskClient, event: dict[str, t.Any]) -> TestResponse:
    return client.post("/_et/in", json=event, headers=SAME_ORIGIN)


def statuses(response: TestResponse) -> list[str]:
    assert response.status_code == 202
    return [result["status"] for result in response.get_json()["results"]]


def error_of(response: TestResponse) -> dict[str, t.Any]:
    """Return the error of a single event that was rejected."""
    assert response.status_code == 422
    [result] = response.get_json()["results"]
    assert result["status"] == "rejected"
    error: dict[str, t.Any] = result["error"]
    return error


def set_cookies(response: TestResponse) -> list[str]:
    return [line.partition("=")[0] for line in response.headers.getlist("Set-Cookie")]


def quality(host: Host) -> dict[tuple[str, str, str], int]:
    rows = host.rows("quality")
    return {(row["outcome"], row["action"], row["reason"]): row["count"] for row in rows}


# Shapes and statuses


def test_an_accepted_event_is_answered_in_full(host: Host) -> None:
    """One event as the body: 202 and its one result."""
    response = post_one(host.client(), {**CLICK, "event_id": ID})
    assert (response.status_code, response.mimetype) == (202, "application/json")
    assert response.headers["Cache-Control"] == "no-store"
    assert response.get_json() == {
        "results": [{"event_id": ID, "status": "accepted", "error": None}]
    }


def test_an_event_without_an_id_is_given_one(host: Host) -> None:
    """The server's ids are UUIDs version 7, and the row has the one that was answered."""
    [result] = post(host.client(), CLICK).get_json()["results"]
    [event] = host.events_of("button.click")
    assert event["id"] == uuidlib.UUID(result["event_id"])
    assert event["id"].version == 7


def test_a_rejected_event_says_why(host: Host) -> None:
    """A single event: 422, the same body, the nearest action, and nothing stored."""
    response = post_one(host.client(), {"action": "button.clik", "event_id": ID})
    assert response.status_code == 422
    assert response.get_json() == {
        "results": [
            {
                "event_id": ID,
                "status": "rejected",
                "error": {
                    "code": "undefined_event",
                    "message": "'button.clik' is not defined. Did you mean 'button.click'?",
                    "param": None,
                },
            }
        ]
    }
    assert host.rows("event") == []


def test_a_batch_is_202_even_where_all_is_rejected(host: Host) -> None:
    """The status is that of the post; each event has its own."""
    response = post(host.client(), {"action": "a.b"}, {"action": "c.d"})
    assert statuses(response) == ["rejected", "rejected"]


def test_a_batch_of_one_is_a_batch(host: Host) -> None:
    """What decides is the shape that was sent, not the number."""
    assert statuses(post(host.client(), {"action": "a.b"})) == ["rejected"]


def test_results_come_in_the_order_of_the_events(host: Host) -> None:
    """Partial success: the good ones land."""
    ids = [str(uuidlib.uuid4()) for _ in range(4)]
    events = [{"action": a, "event_id": i} for a, i in zip("pqrs", ids, strict=True)]
    events[1]["action"] = events[3]["action"] = "button.click"
    response = post(host.client(), *events)
    assert statuses(response) == ["rejected", "accepted", "rejected", "accepted"]
    assert [result["event_id"] for result in response.get_json()["results"]] == ids
    assert {str(event["id"]) for event in host.events_of("button.click")} == {ids[1], ids[3]}


def test_a_batch_takes_a_hundred_events(db_host: Host) -> None:
    """The limit itself is within it."""
    response = post(db_host.client(), *[CLICK] * 100)
    assert statuses(response) == ["accepted"] * 100
    assert db_host.actions() == {"button.click": 100, "session.start": 1}


@pytest.mark.parametrize(
    "content_type",
    ["text/plain", "text/plain;charset=UTF-8", "application/json; charset=utf-8", "TEXT/PLAIN"],
)
def test_a_beacon_is_text(host: Host, content_type: str) -> None:
    """``sendBeacon`` sends JSON as text: what counts is the content."""
    body = json.dumps({"events": [CLICK], "sent_at": 1})
    client = host.client()
    response = client.post("/_et/in", data=body, headers=SAME_ORIGIN, content_type=content_type)
    assert statuses(response) == ["accepted"]
    assert host.actions()["button.click"] == 1


def test_unknown_fields_are_passed_over(host: Host) -> None:
    """A newer script may send more than this server knows."""
    response = post(host.client(), {**CLICK, "new": {"a": [1]}}, newer=True)
    assert statuses(response) == ["accepted"]


def test_the_row_is_complete(shop: Host) -> None:
    """Every column of an event that a page sent."""
    client = shop.client()
    params = {"sku": "A1", "name": "Mug", "price": 9.5}
    post(client, {"action": "product.view", "event_id": ID, "params": params})
    [event] = shop.events_of("product.view")
    [session] = shop.rows("session")
    assert event == {
        "id": uuidlib.UUID(ID),
        "action": "product.view",
        "time": START,
        "received_at": START,
        "stored_at": START,
        "label": "Viewed Mug",
        "uuid": session["device_id"],
        "session_id": session["id"],
        "site": "localhost",
        "url_rule": "",
        "source": "browser",
        "claimed_by": None,
        "params": params,
        "undefined": None,
    }


# Duplicates


def test_an_id_counts_once_in_a_post(host: Host) -> None:
    """The first of two wins."""
    event = {**CLICK, "event_id": ID}
    assert statuses(post(host.client(), event, event)) == ["accepted", "duplicate"]
    assert host.actions() == {"button.click": 1, "session.start": 1}


def test_an_id_counts_once_across_posts(host: Host) -> None:
    """A retry is told so, and counted as such."""
    client, event = host.client(), {**CLICK, "event_id": ID}
    assert statuses(post(client, event)) == ["accepted"]
    response = post_one(client, event)
    assert statuses(response) == ["duplicate"]
    assert response.get_json()["results"][0]["event_id"] == ID
    assert host.actions()["button.click"] == 1
    assert quality(host) == {
        ("accepted", "button.click", ""): 1,
        ("duplicate", "button.click", ""): 1,
    }


@pytest.mark.parametrize("action", ["button.click", "page.visit"])
def test_a_row_stays_single_after_a_restart(db_host: Host, action: str) -> None:
    """The process has forgotten the id; the database has not."""
    event = {"action": action, "event_id": ID, "params": {"url": "http://localhost/"}}
    client = db_host.client()
    post(client, event)
    db_host.flush()
    db_host.state.recent_ids = RecentIds()
    assert statuses(post(client, event)) == ["accepted"]
    assert db_host.actions() == {action: 1, "session.start": 1}
    [session] = db_host.rows("session")
    assert session["events"] == 1


def test_a_row_stays_single_across_processes(make: MakeHost) -> None:
    """Another process takes the retry; the first row stands."""
    first = make()
    second = make(url=first.app.config["SQLALCHEMY_DATABASE_URI"])
    for host, label in ((first, "first"), (second, "late")):
        post(host.client(), {**CLICK, "event_id": ID, "label": label})
        host.flush()
    [event] = first.events_of("button.click")
    assert event["label"] == "first"
    assert len(first.rows("session")) == 1


def test_a_storm_of_retries_leaves_one_row_each(db_host: Host) -> None:
    """Everything sent three times, each time with the memory gone."""
    events = [{**CLICK, "event_id": str(uuidlib.uuid4())} for _ in range(20)]
    client = db_host.client()
    for _ in range(3):
        post(client, *events)
        db_host.state.recent_ids = RecentIds()
    assert db_host.actions() == {"button.click": 20, "session.start": 1}


def test_a_rejected_id_may_be_sent_again(host: Host) -> None:
    """Only what was taken is a duplicate."""
    client = host.client()
    post(client, {"action": "nothing.known", "event_id": ID})
    assert statuses(post(client, {**CLICK, "event_id": ID})) == ["accepted"]


@pytest.mark.parametrize("version", [4, 7])
def test_ids_of_clients_are_versions_4_and_7(host: Host, version: int) -> None:
    """Upper case is the same id."""
    event_id = f"018f2b1e-7c1a-{version}def-8a5b-0123456789ab"
    response = post(host.client(), {**CLICK, "event_id": event_id.upper()})
    assert response.get_json()["results"][0]["event_id"] == event_id


@pytest.mark.parametrize(
    "event_id",
    [
        *(f"018f2b1e-7c1a-{version}def-8a5b-0123456789ab" for version in (0, 1, 2, 3, 5, 6, 8, 9)),
        "018f2b1e-7c1a-4def-0a5b-0123456789ab",
        "00000000-0000-0000-0000-000000000000",
        "ffffffff-ffff-ffff-ffff-ffffffffffff",
        "018f2b1e-7c1a-4def-8a5b-0123456789a",
        "x" * 36,
        "",
    ],
)
def test_other_ids_are_rejected(host: Host, event_id: str) -> None:
    """Version 5 is ours: nobody can occupy an id that we derive."""
    response = post_one(host.client(), {**CLICK, "event_id": event_id})
    assert error_of(response)["code"] == "invalid_id"
    assert response.get_json()["results"][0]["event_id"] == event_id
    assert host.rows("event") == []


def test_one_id_for_two_actions_stays_one_row(db_host: Host) -> None:
    """A visit and a click under one id: whichever came first, and nothing is stuck after it."""
    client = db_host.client()
    for action in ("button.click", "page.visit"):
        params = {"url": "http://localhost/"}
        assert statuses(post(client, {"action": action, "event_id": ID, "params": params})) == [
            "accepted"
        ]
        db_host.flush()
        db_host.state.recent_ids = RecentIds()
    post(client, {"action": "screen.view", "params": {"name": "Home"}})
    assert db_host.actions() == {"button.click": 1, "screen.view": 1, "session.start": 1}


# Times

NOON = START
TIMES: list[tuple[dict[str, t.Any], t.Any, dt.datetime, str | None]] = [
    ({}, None, NOON, None),
    ({}, 1, NOON, None),
    ({"time": "2026-11-21T11:59:00Z"}, None, NOON - dt.timedelta(minutes=1), None),
    ({"time": "2026-11-21T13:59:00.25+02:00"}, None, NOON - dt.timedelta(seconds=59.75), None),
    ({"time": 1795262340000}, None, NOON - dt.timedelta(minutes=1), None),
    ({"time": 1795262340000.5}, None, NOON - dt.timedelta(seconds=59.9995), None),
    ({"time": "2026-11-21T12:00:00Z"}, None, NOON, None),
    # A clock an hour fast, a year slow, and a thousand years fast.
    (
        {"time": "2026-11-21T13:00:00Z"},
        "2026-11-21T13:00:10Z",
        NOON - dt.timedelta(seconds=10),
        None,
    ),
    (
        {"time": "2025-11-21T12:00:00Z"},
        "2025-11-21T12:00:10Z",
        NOON - dt.timedelta(seconds=10),
        None,
    ),
    (
        {"time": "3026-11-21T12:00:00Z"},
        "3026-11-21T12:00:10Z",
        NOON - dt.timedelta(seconds=10),
        None,
    ),
    ({"time": 0}, 10_000, NOON - dt.timedelta(seconds=10), None),
    # A post that was up to 30 s on its way says nothing of the clock; one from the future does.
    (
        {"time": "2026-11-21T11:59:50Z"},
        "2026-11-21T11:59:55Z",
        NOON - dt.timedelta(seconds=10),
        None,
    ),
    (
        {"time": "2026-11-21T11:59:20Z"},
        "2026-11-21T11:59:30Z",
        NOON - dt.timedelta(seconds=40),
        None,
    ),
    (
        {"time": "2026-11-21T11:59:20Z"},
        "2026-11-21T11:59:29.999Z",
        NOON - dt.timedelta(seconds=9.999),
        None,
    ),
    (
        {"time": "2026-11-21T12:00:00Z"},
        "2026-11-21T12:00:01Z",
        NOON - dt.timedelta(seconds=1),
        None,
    ),
    # The future becomes the present, and what was said is kept.
    ({"time": "2026-11-21T12:00:00.000001Z"}, None, NOON, "2026-11-21T12:00:00.000001+00:00"),
    ({"time": "2026-11-21T14:05:00+02:00"}, None, NOON, "2026-11-21T12:05:00+00:00"),
    ({"time": "9999-12-31T23:59:59Z"}, None, NOON, "9999-12-31T23:59:59+00:00"),
    ({"time": "2026-11-21T10:00:10Z"}, "2026-11-21T10:00:00Z", NOON, "2026-11-21T10:00:10+00:00"),
    # As old as may be.
    ({"time": "2026-11-14T12:00:00Z"}, None, NOON - dt.timedelta(days=7), None),
]


@pytest.mark.parametrize(("event", "sent_at", "time", "original"), TIMES)
def test_a_time_is_set_right(
    host: Host, event: dict[str, t.Any], sent_at: t.Any, time: dt.datetime, original: str | None
) -> None:
    """A browser's clock is corrected by its ``sent_at``; nothing lies in the future."""
    response = post(host.client(), {**CLICK, **event}, sent_at=sent_at)
    assert statuses(response) == ["accepted"]
    [row] = host.events_of("button.click")
    assert (row["time"], row["received_at"]) == (time, NOON)
    assert row["params"].get("original_time") == original


@pytest.mark.parametrize(
    ("event", "sent_at", "code"),
    [
        ({"time": "2026-11-14T11:59:59.999Z"}, None, "too_old"),
        ({"time": "1970-01-01T00:00:00Z"}, None, "too_old"),
        ({"time": 0}, None, "too_old"),
        ({"time": "0001-01-01T00:00:00Z"}, None, "too_old"),
        ({"time": "2026-11-21T12:00:00Z"}, "2026-11-28T12:00:01Z", "too_old"),
        ({"time": "2026-11-21T12:00:00"}, None, "invalid_time"),
        ({"time": "yesterday"}, None, "invalid_time"),
        ({"time": ""}, None, "invalid_time"),
        ({"time": 1e20}, None, "invalid_time"),
        ({"time": -1e20}, None, "invalid_time"),
        ({"time": "0001-01-01T00:00:00+14:00"}, None, "invalid_time"),
        ({"time": "9999-12-31T23:59:59-14:00"}, None, "invalid_time"),
        ({"time": -62135596800000}, 253402300799999, "invalid_time"),
    ],
)
def test_a_time_that_cannot_be_is_rejected(
    host: Host, event: dict[str, t.Any], sent_at: t.Any, code: str
) -> None:
    """Ancient, without a zone, or no time at all."""
    response = post(host.client(), {**CLICK, **event}, sent_at=sent_at)
    assert statuses(response) == ["rejected"]
    assert response.get_json()["results"][0]["error"]["code"] == code
    assert host.rows("event") == []


def test_a_time_without_a_zone_is_named(host: Host) -> None:
    """The message says what is missing."""
    error = error_of(post_one(host.client(), {**CLICK, "time": "2026-11-21T12:00:00"}))
    assert error["message"] == "'2026-11-21T12:00:00' has no time zone."


def test_max_age_is_a_setting(make: MakeHost) -> None:
    """The message names the limit."""
    client = make({"EVENTTRACK_MAX_AGE": dt.timedelta(hours=12)}).client()
    assert statuses(post(client, {**CLICK, "time": "2026-11-21T00:00:00Z"})) == ["accepted"]
    error = error_of(post_one(client, {**CLICK, "time": "2026-11-20T23:59:59Z"}))
    assert error["message"] == "Events are taken for 0.5 days after they happen."


# Who may send what


@pytest.mark.parametrize(
    ("action", "code", "message"),
    [
        ("invoice.print", "server_only", "'invoice.print' is recorded by the server only."),
        ("customer.login", "server_only", "'customer.login' is recorded by the server only."),
        ("customer.logout", "server_only", "'customer.logout' is recorded by the server only."),
        ("product.buy", "server_only", "'product.buy' is recorded by the server only."),
        ("account.open", "customer_required", "'account.open' needs a customer."),
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
            "'transaction.charge' cannot be sent: it is reserved for transactions, and custom "
            "events cannot use it.",
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


def test_a_customer_may_send_more(shop: Host) -> None:
    """Who has been identified in this session is vouched for."""
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
    """The message says what is refused where."""
    client = make({"EVENTTRACK_DENY": ["button.*"]}).client()
    error = error_of(post_one(client, CLICK))
    assert error["message"] == "'button.click' is not recorded on 'localhost'."


# Parameters, labels, addresses


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
            "'product.view', parameter 'sku': expected `str`, got `array`: [1] came.",
        ),
        (
            {"sku": "A1", "name": "Mug", "price": "dear"},
            "price",
            "'product.view', parameter 'price': expected `float | null`, got `str`: 'dear' came.",
        ),
    ],
)
def test_a_wrong_parameter_is_named(
    shop: Host, params: dict[str, t.Any], param: str, message: str
) -> None:
    """The parameter, what was expected, what came."""
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
    """No user names, fragments or secrets; what is no web address is not kept."""
    assert statuses(post(host.client(), {**CLICK, "params": {name: url}})) == ["accepted"]
    [event] = host.events_of("button.click")
    assert event["params"].get(name) == stored


def test_a_links_address_is_scrubbed(host: Host) -> None:
    """The target of a link carries secrets as any other address does (DESIGN §12)."""
    params = {"href": "http://localhost/reset?token=secret&q=1"}
    post(host.client(), {"action": "link.click", "params": params})
    [event] = host.events_of("link.click")
    assert event["params"]["href"] == "http://localhost/reset?q=1"


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
@pytest.mark.parametrize("name", ["url", "referrer", "href"])
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
    """Another host's path, and one that the app does not have, are no rule of it."""
    post(host.client(), {"action": "page.visit", "params": {"url": url}})
    assert [visit["url_rule"] for visit in host.events_of("page.visit")] == [""]


def test_a_visit_needs_its_address(host: Host) -> None:
    """``url`` is the one parameter that a visit requires."""
    for params in ({}, {"url": None}, {"url": 5}, {"url": "javascript:x"}):
        error = error_of(post_one(host.client(), {"action": "page.visit", "params": params}))
        assert (error["code"], error["param"]) == ("invalid_param", "url")


def test_a_visit_s_numbers_are_read_as_text(host: Host) -> None:
    """Such as the id of a product."""
    params = {"url": "http://localhost/", "content_id": 10432, "timezone_offset": "-60"}
    post(host.client(), {"action": "page.visit", "params": params})
    [visit] = host.events_of("page.visit")
    assert (visit["params"]["content_id"], visit["params"]["timezone_offset"]) == ("10432", -60)


# Cookies


def test_a_new_browser_gets_its_cookies(host: Host) -> None:
    """Device for ten years, session and token for thirty minutes; only the token is readable."""
    response = post(host.client(), CLICK)
    found = {}
    for line in response.headers.getlist("Set-Cookie"):
        first, *attributes = line.split("; ")
        found[first.partition("=")[0]] = {a for a in attributes if not a.startswith("Expires=")}
    assert found == {
        "eventtrack_device": {"HttpOnly", "Max-Age=315360000", "Path=/", "SameSite=Lax"},
        "eventtrack_session": {"HttpOnly", "Max-Age=1800", "Path=/", "SameSite=Lax"},
        "eventtrack_csrf": {"Max-Age=1800", "Path=/", "SameSite=Lax"},
    }


def test_cookies_are_secure_over_https(host: Host) -> None:
    """By default as the request is."""
    client = host.client()
    response = client.post("/_et/in", json=CLICK, headers=SAME_ORIGIN, base_url="https://localhost")
    lines = response.headers.getlist("Set-Cookie")
    assert ["Secure" in line.split("; ") for line in lines] == [True] * 3


def test_cookies_are_not_sent_again_and_again(host: Host, clock: FakeClock) -> None:
    """Most answers carry none; the sliding ones come again when over a minute old."""
    client = host.client()
    assert len(set_cookies(post(client, CLICK))) == 3
    for _ in range(6):
        clock.advance(seconds=10)
        assert set_cookies(post(client, CLICK)) == []
    clock.advance(seconds=1)
    assert set_cookies(post(client, CLICK)) == ["eventtrack_session", "eventtrack_csrf"]
    assert set_cookies(post(client, CLICK)) == []


def test_a_rejected_event_opens_no_session(host: Host) -> None:
    """A device may be handed out; a session is its events."""
    client = host.client()
    assert "eventtrack_session" not in set_cookies(post(client, {"action": "no.such"}))
    assert host.rows("session") == []


def test_a_page_and_its_events_share_the_cookies(host: Host) -> None:
    """After a page view the collector has nothing to add."""
    client = host.client()
    client.get("/", headers=NAVIGATION)
    assert set_cookies(post(client, CLICK)) == []
    assert len({event["session_id"] for event in host.rows("event")}) == 1


# Sessions


def test_a_session_starts_with_its_first_event(db_host: Host) -> None:
    """``session.start`` comes one microsecond before it."""
    post(db_host.client(), CLICK, {"action": "screen.view", "params": {"name": "Home"}})
    events = db_host.rows("event", "time", "action")
    assert [event["action"] for event in events] == ["session.start", "button.click", "screen.view"]
    assert events[0]["time"] == START - dt.timedelta(microseconds=1)
    [session] = db_host.rows("session")
    assert (session["events"], session["pages"], session["entry"]) == (2, 1, "Home")
    assert (session["started_at"], session["last_seen_at"]) == (START, START)


def test_a_session_slides(host: Host, clock: FakeClock) -> None:
    """Twenty minutes between any two events are no gap."""
    client = host.client()
    for _ in range(4):
        post(client, CLICK)
        clock.advance(minutes=20)
    [session] = host.rows("session")
    assert session["events"] == 4
    assert session["last_seen_at"] - session["started_at"] == dt.timedelta(hours=1)


def test_a_gap_ends_the_session(db_host: Host, clock: FakeClock) -> None:
    """The device comes back after thirty minutes: one session ends, another starts."""
    client = db_host.client()
    post(client, CLICK)
    clock.advance(minutes=30)
    post(client, CLICK)
    assert db_host.actions() == {"button.click": 2, "session.start": 2, "session.end": 1}
    [end] = db_host.events_of("session.end")
    assert end["params"] == {"duration": 0.0, "pages": 0, "events": 1, "reason": "timeout"}
    assert end["time"] == START


def test_a_session_starts_with_its_earliest_event(host: Host) -> None:
    """What waited in the browser opens the session when it happened."""
    early = {**CLICK, "time": "2026-11-21T11:50:00Z"}
    post(host.client(), CLICK, early)
    [session] = host.rows("session")
    assert session["started_at"] == START - dt.timedelta(minutes=10)
    assert session["last_seen_at"] == START


def test_an_old_event_moves_no_session(host: Host) -> None:
    """It keeps its time and is counted; start and last activity stay."""
    client = host.client()
    post(client, CLICK)
    post(client, {**CLICK, "time": "2026-11-20T12:00:00Z"})
    [session] = host.rows("session")
    assert (session["started_at"], session["last_seen_at"]) == (START, START)
    assert session["events"] == 2
    assert host.rows("event", "time")[0]["time"] == START - dt.timedelta(days=1)


# No room


def test_no_room_is_503(make: MakeHost) -> None:
    """All of a post or nothing, and no cookies for what was not taken."""
    host = make({"EVENTTRACK_DURABILITY": "memory", "EVENTTRACK_BUFFER_SIZE": 3})
    client = host.client()
    response = post(client, *[CLICK] * 4)
    assert (response.status_code, response.mimetype) == (503, "application/problem+json")
    assert response.get_json()["code"] == "no_room"
    assert response.headers["Retry-After"] == "5"
    assert set_cookies(response) == []
    assert statuses(post(client, *[CLICK] * 3)) == ["accepted"] * 3
    assert host.actions()["button.click"] == 3


def test_what_was_refused_for_want_of_room_is_no_duplicate(make: MakeHost) -> None:
    """While the database is away the buffer fills; the retry is taken when it is back."""
    host = make({"EVENTTRACK_DURABILITY": "memory", "EVENTTRACK_BUFFER_SIZE": 2}, create=False)
    client = host.client()
    event = {**CLICK, "event_id": ID}
    assert statuses(post(client, CLICK, CLICK)) == ["accepted"] * 2
    assert post(client, event).status_code == 503
    with host.app.app_context():
        host.db.create_all()
    host.flush()
    assert statuses(post(client, event)) == ["accepted"]
    assert host.actions() == {"button.click": 3, "session.start": 1}


# Signals


def test_receivers_hear_of_every_event(host: Host) -> None:
    """``event_accepted`` and ``event_rejected`` tell what became of each."""
    heard: list[tuple[str, str]] = []

    def on_accepted(sender: object, event: Event) -> None:
        heard.append(("accepted", event.action))

    def on_rejected(sender: object, error: InvalidEvent, action: str) -> None:
        heard.append((error.code, action))

    with (
        event_accepted.connected_to(on_accepted, host.app),
        event_rejected.connected_to(on_rejected, host.app),
    ):
        post(host.client(), CLICK, {"action": "no.such"})
    assert sorted(heard) == [("accepted", "button.click"), ("undefined_event", "no.such")]


# Events that were kept, for somebody who may not be here any more


def tag_of(response: TestResponse) -> str:
    """Return the signed visit in a page's tag."""
    return response.text.partition('data-visit="')[2].partition('"')[0]


def open_page(client: FlaskClient, host: Host) -> dict[str, str]:
    """Open the home page and send its half of the visit; return what its events carry."""
    visit = tag_of(client.get("/", headers=NAVIGATION))
    page = str(uuid7(host.clock()))
    half = {"action": "page.visit", "event_id": page, "params": {"url": "http://localhost/"}}
    place = {"page": page, "visit": visit}
    assert statuses(post(client, {**half, **place})) == ["accepted"]
    host.clock.advance(seconds=10)
    return place


def post_kept(client: FlaskClient, *events: t.Any, **body: t.Any) -> TestResponse:
    """Post as the script does what another profile's page has kept: without credentials."""
    without = client.application.test_client(use_cookies=False)
    without.environ_base.update(client.environ_base)
    cookie = client.get_cookie("eventtrack_csrf")
    body = {"csrf_token": cookie.value if cookie else "", "by_visit": True} | body
    return post(without, *events, **body)


def owners_of(host: Host, action: str) -> list[tuple[uuidlib.UUID, uuidlib.UUID]]:
    return [(row["uuid"], row["session_id"]) for row in host.events_of(action)]


@pytest.mark.parametrize("path", ["/login", "/logout"])
def test_kept_events_are_whose_the_visit_was(shop: Host, path: str) -> None:
    """Somebody logs in or out between an event and its post: it stays the former's."""
    client = shop.client()
    if path == "/logout":
        client.get("/login", headers=NAVIGATION)
        shop.clock.advance(seconds=10)
    place = open_page(client, shop)
    [*_, before] = owners_of(shop, "page.visit")
    client.get(path, headers=NAVIGATION)
    [*_, after] = owners_of(shop, "page.visit")
    assert after[0] != before[0]
    response = post_kept(client, {**CLICK, **place}, {**CLICK, **place})
    assert statuses(response) == ["accepted"] * 2
    assert owners_of(shop, "button.click") == [before] * 2


def test_kept_events_go_to_who_the_stranger_became(shop: Host) -> None:
    """And to none of the customers who were here before and after."""
    shop.app.get("/login/8", endpoint="other")(lambda: f"{identify('8')}")
    client = shop.client()
    for path in ("/login", "/logout"):
        client.get(path, headers=NAVIGATION)
    place = open_page(client, shop)
    client.get("/login/8", headers=NAVIGATION)
    client.get("/logout", headers=NAVIGATION)
    client.get("/login", headers=NAVIGATION)
    post_kept(client, {**CLICK, **place})
    with shop.app.app_context():
        shop.flush()
        feeds = {who: [event.action for event in shop.events.feed(who)] for who in ("42", "8")}
    assert ["button.click" in feeds[who] for who in ("42", "8")] == [False, True]
    [visit] = [row for row in shop.events_of("page.visit") if row["params"]["path"] == "/"]
    assert owners_of(shop, "button.click") == [(visit["uuid"], visit["session_id"])]


def test_kept_visit_joins_its_servers_half(host: Host) -> None:
    """A page that was offline from the start: one visit, in the session that opened it."""
    client = host.client()
    visit, page = tag_of(client.get("/", headers=NAVIGATION)), str(uuid7(host.clock()))
    half = {"action": "page.visit", "event_id": page, "params": {"url": "http://localhost/"}}
    place = {"page": page, "visit": visit}
    assert statuses(post_kept(client, {**CLICK, **place}, {**half, **place})) == ["accepted"] * 2
    assert owners_of(host, "button.click") == owners_of(host, "page.visit")
    [session] = host.rows("session")
    assert (session["pages"], session["events"]) == (1, 2)


def test_kept_events_of_two_visitors_in_one_post_stay_apart(host: Host) -> None:
    """Each goes by its own visit; one without a visit goes to neither."""
    first, second = host.client(), host.client()
    places = [open_page(client, host) for client in (first, second)]
    lost = {"page": str(uuid7(host.clock()))}
    events = [{**CLICK, **place} for place in (places[0], lost, places[1], places[0])]
    response = post_kept(first, *events)
    assert statuses(response) == ["accepted"] * 4
    by_page = {row["params"]["visit"]: row["uuid"] for row in host.events_of("button.click")}
    owners = {str(row["claimed_by"]): row["uuid"] for row in host.events_of("page.visit")}
    assert {page: by_page[page] for page in owners} == owners
    assert by_page[lost["page"]] not in owners.values()
    ids = [result["event_id"] for result in response.get_json()["results"]]
    assert len(set(ids)) == 4


@pytest.mark.parametrize("headers", [SAME_ORIGIN, {"Origin": "http://localhost"}])
def test_kept_events_neither_read_nor_set_cookies(shop: Host, headers: dict[str, str]) -> None:
    """Not even those that come along, nor the customer's log-in; an old browser needs no token."""
    client = shop.client()
    place = open_page(client, shop)
    [before] = owners_of(shop, "page.visit")
    client.get("/login", headers=NAVIGATION)
    shop.clock.advance(minutes=5)
    body = {"events": [{**CLICK, **place}], "by_visit": True}
    response = client.post("/_et/in", json=body, headers=headers)
    assert statuses(response) == ["accepted"]
    assert set_cookies(response) == []
    assert owners_of(shop, "button.click") == [before]


def test_kept_events_need_somebody_who_is_vouched_for_as_all_do(shop: Host) -> None:
    """A page's tag vouches for nobody."""
    client = shop.client()
    client.get("/login", headers=NAVIGATION)
    place = open_page(client, shop)
    [result] = post_kept(client, {"action": "account.open", **place}).get_json()["results"]
    assert result["error"]["code"] == "customer_required"


@pytest.mark.parametrize("value", [False, None, 1, "true", [], {}])
def test_only_true_makes_events_kept_ones(host: Host, value: object) -> None:
    """What else a sender may mean by it, they are the present visitor's."""
    client = host.client()
    open_page(client, host)
    assert statuses(post(client, CLICK, by_visit=value)) == ["accepted"]
    assert owners_of(host, "button.click") == owners_of(host, "page.visit")


# What a browser had no room for


@pytest.mark.parametrize("count", [1, 17, 100_000])
def test_events_without_room_in_the_browser_are_counted(host: Host, count: int) -> None:
    """The next post says how many there were."""
    assert statuses(post(host.client(), CLICK, dropped=count)) == ["accepted"]
    assert quality(host)["dropped", "", "browser"] == count


@pytest.mark.parametrize("count", [0, -1, 100_001, 1e3, 2**70, True, "5", None, [], {}])
def test_count_that_cannot_be_is_ignored(host: Host, count: object) -> None:
    """The events of the post are taken all the same."""
    assert statuses(post(host.client(), CLICK, dropped=count)) == ["accepted"]
    assert ("dropped", "", "browser") not in quality(host)
