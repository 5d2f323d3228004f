"""Cancellations: negative revenue at its own time, never more than was charged."""

from __future__ import annotations

import datetime as dt
import decimal
import logging
import typing as t
import uuid as uuidlib

import pytest

from flask_eventtrack.records import Cancellation, Charge, Event
from flask_eventtrack.store.cancelling import take_back
from flask_eventtrack.store.orders import charge_row
from flask_eventtrack.store.waiting import list_waiting

from ..hosts import Host
from .orders import TEA, a_cancellation, a_charge, amounts, id_of, put, revenue, the_row
from .records import (
    DEVICE,
    a_page,
    an_event,
    an_id,
    at,
    contents,
    quality,
    recount,
    session_of,
    the_session,
    totals,
    write,
)
from .test_visits_at_once import run_processes

NEXT_DAY = 24 * 3600.0


def cancelled_items(host: Host) -> dict[str, int]:
    return {item["sku"]: item["cancelled"] for item in the_row(host)["items"]}


def the_cancellation(host: Host) -> dict[str, t.Any]:
    [row] = [row for row in host.rows("transaction") if row["charge_id"] is not None]
    return row


def outcomes(host: Host) -> dict[tuple[str, str], int]:
    """Return what became of cancellations, but for those accepted."""
    return {
        (outcome, reason): count
        for (outcome, action, reason), count in quality(host).items()
        if action == "transaction.cancel" and outcome != "accepted" and count
    }


def test_a_whole_cancellation_is_negative_revenue(db_host: Host) -> None:
    """At its own time, in no session, with what the charge knew of the person and the site."""
    page = a_page()
    put(db_host, page, a_charge(visit_id=page.id), a_cancellation(seconds=NEXT_DAY))
    assert the_row(db_host)["cancelled"] == 2450
    assert cancelled_items(db_host) == {"mug": 2, "tea": 1}
    row = the_cancellation(db_host)
    items = [{"sku": "mug", "quantity": 2}, {"sku": "tea", "quantity": 1}]
    expected = {
        "charge_id": id_of("A-1"), "order_id": "A-1", "amount": -2450, "currency": "EUR",
        "time": at(NEXT_DAY), "uuid": DEVICE, "person": DEVICE, "session_id": None,
        "site": "localhost", "items": items,
    }  # fmt: skip
    assert {name: row[name] for name in expected} == expected
    [event] = db_host.events_of("transaction.cancel")
    assert event["params"] == {
        "order_id": "A-1", "amount": "-24.50", "amount_minor": -2450, "currency": "EUR",
        "items": items,
    }  # fmt: skip
    assert (event["uuid"], event["site"], event["session_id"]) == (DEVICE, "localhost", None)
    assert the_session(db_host)["events"] == 4
    assert totals(db_host) == recount(db_host)


def test_a_cancellation_before_its_charge_in_a_batch(db_host: Host) -> None:
    """The charges of a batch come first."""
    put(db_host, a_cancellation(amount=1000), a_charge())
    assert amounts(db_host) == [2450, -1000]
    assert db_host.rows("uncounted") == []


def test_items_are_cancelled_at_the_price_that_was_paid(db_host: Host) -> None:
    """Never more of them than were bought; the rest of a whole cancellation is what is left."""
    put(db_host, a_charge())
    put(db_host, a_cancellation(items={"mug": 1}, seconds=10))
    assert cancelled_items(db_host) == {"mug": 1, "tea": 0}
    put(db_host, a_cancellation(items={"mug": 5, "tea": 1, "hat": 1}, seconds=11))
    assert cancelled_items(db_host) == {"mug": 2, "tea": 1}
    assert amounts(db_host) == [2450, -1000, -1450]
    assert outcomes(db_host) == {("cut", ""): 1}


def test_a_whole_cancellation_takes_the_rest(db_host: Host) -> None:
    """After an item and an amount."""
    put(db_host, a_charge(), a_cancellation(items={"tea": 1}, seconds=10))
    put(db_host, a_cancellation(amount=500, seconds=11), a_cancellation(seconds=12))
    assert amounts(db_host) == [2450, -450, -500, -1500]
    assert the_row(db_host)["cancelled"] == 2450
    assert cancelled_items(db_host) == {"mug": 2, "tea": 1}
    assert outcomes(db_host) == {}


def test_more_than_was_charged_is_cut(db_host: Host, caplog: pytest.LogCaptureFixture) -> None:
    """And when nothing is left, a cancellation is rejected; the log names the charge."""
    put(db_host, a_charge(total=2000))  # a coupon
    put(db_host, a_cancellation(amount=1500, seconds=10))
    put(db_host, a_cancellation(items={"mug": 1}, seconds=11))
    put(db_host, a_cancellation(amount=1, seconds=12), a_cancellation(seconds=13))
    assert amounts(db_host) == [2000, -1500, -500]
    assert outcomes(db_host) == {("cut", ""): 1, ("rejected", "nothing_left"): 2}
    warnings = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert len(warnings) == 3
    assert all(str(id_of("A-1")) in each and "A-1" not in each for each in warnings)


@pytest.mark.parametrize(
    "bad", [{"amount": -500}, {"amount": 0}, {"items": {"mug": -2}}, {"items": {"hat": 1}}]
)
def test_a_cancellation_never_adds_revenue(db_host: Host, bad: dict[str, t.Any]) -> None:
    """Whatever its record says."""
    put(db_host, a_charge(), a_cancellation(**bad))
    assert amounts(db_host) == [2450]
    assert outcomes(db_host) == {("rejected", "nothing_left"): 1}


def test_a_free_item_is_cancelled_for_nothing(db_host: Host) -> None:
    """While there is something left of the order."""
    put(db_host, a_charge(total=450, items=[TEA, ("gift", 1, "0")]))
    put(db_host, a_cancellation(items={"gift": 1}))
    assert amounts(db_host) == [450, 0]
    assert db_host.events_of("transaction.cancel")[0]["params"]["amount"] == "0.00"


def test_prices_are_rounded_once_a_cancellation(db_host: Host) -> None:
    """Three of 0.335 are 1.01, and two of them 0.67."""
    put(db_host, a_charge(total=101, items=[("nut", 3, "0.335")]))
    put(db_host, a_cancellation(items={"nut": 2}, seconds=10))
    put(db_host, a_cancellation(items={"nut": 1}, seconds=11))
    assert amounts(db_host) == [101, -67, -34]


def test_the_host_s_precision_rounds_no_sum() -> None:
    """A host may calculate with fewer digits than an amount has."""
    event = a_charge(total=2_000_001, items=[("car", 1, "12345.67"), ("nut", 1, "7654.34")])
    assert isinstance(event.order, Charge)
    charge = charge_row(event, event.order, at(1))
    with decimal.localcontext() as context:
        context.prec = 4
        taken = take_back(charge, Cancellation(charge.id, "A-1", items={"car": 1, "nut": 1}))
    assert taken is not None
    assert taken.amount == 2_000_001


def test_a_sku_with_two_prices(db_host: Host) -> None:
    """Its items are cancelled in their order."""
    put(db_host, a_charge(total=2600, items=[("mug", 1, "10.00"), ("mug", 2, "8.00")]))
    put(db_host, a_cancellation(items={"mug": 2}))
    assert amounts(db_host) == [2600, -1800]
    assert [item["cancelled"] for item in the_row(db_host)["items"]] == [1, 1]


def test_the_same_cancellation_again_changes_nothing(db_host: Host) -> None:
    """In one batch as well as in another; a replay is not even counted."""
    again = a_cancellation(amount=700, name="R-1")
    put(db_host, a_charge(), again, again)
    before = contents(db_host), revenue(db_host)
    put(db_host, again)
    counts = quality(db_host)
    write(db_host, again, replayed=True)
    assert (contents(db_host), revenue(db_host)) == before
    assert quality(db_host) == counts
    assert outcomes(db_host) == {("duplicate", ""): 2}


def test_cancellations_of_several_processes_are_never_too_much(
    db_host: Host, database_url: str
) -> None:
    """They wait for each other at the row of the charge."""
    put(db_host, a_charge(total=1000))
    parts = [
        [a_cancellation(amount=70, seconds=10 + n, id=an_id(n * 100 + part)) for n in range(10)]
        for part in range(3)
    ]
    run_processes(database_url, *parts)
    assert sum(amounts(db_host)) == 0
    assert the_row(db_host)["cancelled"] == 1000
    assert outcomes(db_host) == {("cut", ""): 1, ("rejected", "nothing_left"): 15}


# Waiting


def waiting(host: Host) -> list[Event]:
    database = host.state.pipeline.database
    with database.read() as connection:
        return [event for _, event in list_waiting(connection, database.tables)]


def do_chores(host: Host) -> None:
    host.clock.advance(minutes=2)
    while host.state.pipeline.writer.look_for_visits():
        pass


def test_a_cancellation_waits_for_its_charge(db_host: Host) -> None:
    """Another process may have it; several wait at once, and nothing is counted before."""
    put(db_host, a_cancellation(items={"mug": 1}, seconds=10))
    put(db_host, a_cancellation(amount=300, seconds=11), a_cancellation(seconds=12))
    put(db_host, a_cancellation(seconds=12))
    assert len(waiting(db_host)) == 3
    assert (amounts(db_host), outcomes(db_host)) == ([], {})
    put(db_host, a_charge())
    do_chores(db_host)
    assert amounts(db_host) == [2450, -1000, -300, -1150]
    assert waiting(db_host) == []
    assert quality(db_host)["accepted", "transaction.cancel", ""] == 3
    assert outcomes(db_host) == {}
    assert totals(db_host) == recount(db_host)


def test_a_cancellation_waits_by_no_clock_that_was_ahead(db_host: Host) -> None:
    """Once the clock is right again, it is looked at as soon as any other."""
    db_host.clock.advance(days=365)
    put(db_host, a_cancellation(amount=300, received_at=db_host.clock.moment))
    db_host.clock.advance(days=-365)
    put(db_host, a_charge())
    do_chores(db_host)
    assert sorted(amounts(db_host)) == [-300, 2450]
    assert waiting(db_host) == []


def test_a_cancellation_without_an_order_gives_up_after_a_week(db_host: Host) -> None:
    """It is counted as rejected, once."""
    put(db_host, a_cancellation(seconds=0))
    db_host.clock.advance(days=6)
    do_chores(db_host)
    assert len(waiting(db_host)) == 1
    db_host.clock.advance(days=1)
    do_chores(db_host)
    do_chores(db_host)
    assert waiting(db_host) == []
    assert outcomes(db_host) == {("rejected", "no_order"): 1}


def test_engagement_crowds_out_no_cancellation(
    db_host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Any client may send engagement of pages that do not exist."""
    monkeypatch.setattr("flask_eventtrack.store.waiting._MOST", 2)
    put(db_host, a_cancellation(seconds=0))
    db_host.clock.advance(seconds=1)
    for number in range(4):
        page = uuidlib.UUID(int=number, version=4)
        put(
            db_host,
            an_event("page.engage", 5, session=session_of(DEVICE), page=page, source="browser",
                     id=an_id(number), params={"visible_ms": 10}),
        )  # fmt: skip
    found = [event.action for event in waiting(db_host)]
    assert sorted(found) == ["page.engage", "page.engage", "transaction.cancel"]
    put(db_host, a_charge())
    do_chores(db_host)
    assert sorted(amounts(db_host)) == [-2450, 2450]


def test_late_cancellations_belong_to_the_day_on_which_they_happened(db_host: Host) -> None:
    """The day of the charge keeps its revenue."""
    put(db_host, a_charge(), a_cancellation(amount=50, seconds=NEXT_DAY))
    day = at(0).date()
    assert revenue(db_host) == {(day, "EUR"): 2450, (day + dt.timedelta(days=1), "EUR"): -50}
