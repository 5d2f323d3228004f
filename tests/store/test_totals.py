"""Hourly totals and quality are the count of what happened."""

from __future__ import annotations

from flask_eventtrack.records import Outcome

from ..hosts import NAVIGATION, SAME_ORIGIN, START, Host
from .records import a_story, an_event, quality, recount, totals, write


def test_hourly_totals_are_the_count_of_the_events(db_host: Host) -> None:
    """Additive totals agree with a recount, over hours, sites, sessions and duplicates."""
    client = db_host.client()
    for minutes in (0, 1, 29, 31, 10):
        client.get("/", headers=NAVIGATION)
        client.get("/products/mug", headers=NAVIGATION, base_url="http://other.example")
        db_host.clock.advance(minutes=minutes)
    for event in a_story():
        write(db_host, event)
        write(db_host, event)
    assert totals(db_host) == recount(db_host)
    assert sum(totals(db_host).values()) == len(db_host.rows("event"))


def test_quality_counts_what_came_of_events(db_host: Host) -> None:
    """Accepted, duplicate, undefined, rejected and dropped are counted by hour and action."""
    event = an_event(undefined=("colour", "size"))
    rejected = Outcome("rejected", "x", "undefined_event")
    dropped = Outcome("dropped", "page.visit", "no room")
    write(db_host, event, event, outcomes={rejected: 2, dropped: 7})
    assert quality(db_host) == {
        ("accepted", "order.ship", ""): 1,
        ("duplicate", "order.ship", ""): 1,
        ("undefined", "order.ship", "colour"): 1,
        ("undefined", "order.ship", "size"): 1,
        ("rejected", "x", "undefined_event"): 2,
        ("dropped", "page.visit", "no room"): 7,
    }
    assert {row["hour"] for row in db_host.rows("quality")} == {START}


def test_quality_of_a_refused_post(db_host: Host) -> None:
    """What the collector rejects stands in the quality table with its reason; a parameter that does
    not fit its definition, by its name."""
    client = db_host.client()
    events = [{"action": "no.such"}, {"action": "bad"}, {"action": "element.view"}]
    client.post("/_et/in", json={"events": events}, headers=SAME_ORIGIN)
    assert quality(db_host) == {
        ("rejected", "no.such", "undefined_event"): 1,
        ("rejected", "", "invalid_action"): 1,
        ("rejected", "element.view", "invalid_param"): 1,
        ("invalid", "element.view", "id"): 1,
    }
