"""The collector's answers, and the rows that then exist: DESIGN §4, §5, §8."""

from __future__ import annotations

import json
import uuid as uuidlib

import pytest

from flask_eventtrack.errors import InvalidEvent
from flask_eventtrack.records import Event
from flask_eventtrack.signals import event_accepted, event_rejected

from ..conftest import MakeHost
from ..hosts import SAME_ORIGIN, START, Host
from .posts import CLICK, ID, error_of, post, post_one, quality, set_cookies, statuses

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
    """The shape of the post decides, not the number of events."""
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
    db_host.state.recent_ids.clear()
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
        db_host.state.recent_ids.clear()
    assert db_host.actions() == {"button.click": 20, "session.start": 1}


def test_a_rejected_id_may_be_sent_again(host: Host) -> None:
    """Only an accepted id can be a duplicate."""
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
    """Version 5 is ours: no client can occupy an id that we derive."""
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
        db_host.state.recent_ids.clear()
    post(client, {"action": "screen.view", "params": {"name": "Home"}})
    assert db_host.actions() == {"button.click": 1, "screen.view": 1, "session.start": 1}


# No room


def test_no_room_is_503(make: MakeHost) -> None:
    """All of a post or nothing, and no cookies for a refused one."""
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
