"""A charge is stored whole or not at all, and once: its events, and a row with its amount."""

from __future__ import annotations

import logging
import typing as t
import uuid as uuidlib

import pytest

from flask_eventtrack import signals
from flask_eventtrack.records import VOUCHED_BY_COOKIE, Charge, SessionEnd, SessionRef

from ..hosts import Host
from .orders import MUGS, TEA, a_charge, amounts, id_of, put, rows_of, the_row
from .records import (
    DEVICE,
    NAIVE,
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


def test_an_order_is_its_events_and_a_row(db_host: Host) -> None:
    """The charge and each item are events of the visitor's session; the amount is in cents."""
    page = a_page("/checkout")
    put(db_host, page, a_charge(visit_id=page.id))
    assert db_host.actions() == {
        "transaction.charge": 1, "product.buy": 2, "page.visit": 1, "session.start": 1
    }  # fmt: skip
    row = the_row(db_host)
    assert row["items"] == [
        {"sku": "mug", "quantity": 2, "unit_price": "10.00", "cancelled": 0},
        {"sku": "tea", "quantity": 1, "unit_price": "4.50", "cancelled": 0},
    ]
    expected = {
        "order_id": "A-1", "charge_id": None, "amount": 2450, "cancelled": 0, "currency": "EUR",
        "uuid": DEVICE, "person": DEVICE, "session_id": session_of(DEVICE).id, "visit_id": page.id,
        "time": at(1), "site": "localhost", "settled_at": None,
    }  # fmt: skip
    assert {name: row[name] for name in expected} == expected
    buys = [each for each in db_host.rows("event") if each["action"] == "product.buy"]
    assert {(each["uuid"], each["session_id"], each["time"]) for each in buys} == {
        (DEVICE, session_of(DEVICE).id, at(1 + microseconds / 10**6)) for microseconds in (1, 2)
    }
    assert sorted((each["params"]["sku"], each["label"]) for each in buys) == [
        ("mug", "Bought mug"), ("tea", "Bought tea")
    ]  # fmt: skip


def test_each_of_its_events_is_counted_once(db_host: Host) -> None:
    """In the session, in the totals and in the quality counters."""
    put(db_host, a_page("/checkout"), a_charge())
    assert (the_session(db_host)["events"], the_session(db_host)["pages"]) == (4, 1)
    assert totals(db_host) == recount(db_host)
    counts = quality(db_host)
    assert counts["accepted", "transaction.charge", ""] == 1
    assert counts["accepted", "product.buy", ""] == 2


def test_the_same_order_again_is_a_duplicate(db_host: Host) -> None:
    """In one batch as well as in another, from whichever device it comes."""
    other = uuidlib.UUID(int=7, version=4)
    put(db_host, a_charge(), a_charge(seconds=2))
    before = contents(db_host)
    rows = rows_of(db_host)
    put(db_host, a_charge(seconds=500, device=other, session=session_of(other, start=400)))
    assert (contents(db_host), rows_of(db_host)) == (before, rows)
    assert quality(db_host)["duplicate", "transaction.charge", ""] == 2
    assert the_session(db_host)["events"] == 3


def test_a_replayed_order_changes_nothing(db_host: Host) -> None:
    """What a dead process had written before is no duplicate."""
    page = a_page()
    write(db_host, page, a_charge())
    before, counts, rows = contents(db_host), quality(db_host), rows_of(db_host)
    again = write(db_host, page, a_charge(), replayed=True)
    assert again.new_events == 0
    assert (contents(db_host), quality(db_host), rows_of(db_host)) == (before, counts, rows)


def test_a_denied_product_buy_leaves_the_order_whole(db_host: Host) -> None:
    """The items are still known to a cancellation."""
    write(db_host, a_charge(), denied=frozenset({"product.buy"}))
    assert db_host.actions() == {"transaction.charge": 1, "session.start": 1}
    assert len(the_row(db_host)["items"]) == 2


# Contradictions


@pytest.mark.parametrize("is_one_batch", [True, False])
def test_the_first_of_two_different_charges_stays(
    db_host: Host, caplog: pytest.LogCaptureFixture, *, is_one_batch: bool
) -> None:
    """The second is counted, told to the app after the commit, and in the log without a name."""
    told: list[dict[str, t.Any]] = []
    first, second = a_charge("Ada-1", 2450), a_charge("Ada-1", 1250, currency="USD", seconds=9)

    def note(sender: object, **arguments: t.Any) -> None:
        told.append(arguments)

    with signals.transaction_contradicted.connected_to(note, db_host.app):
        if is_one_batch:
            put(db_host, first, second)
        else:
            put(db_host, first)
            put(db_host, second)
    assert the_row(db_host, "Ada-1")["currency"] == "EUR"
    assert amounts(db_host) == [2450]
    assert db_host.actions()["product.buy"] == 2
    assert quality(db_host)["contradicted", "transaction.charge", ""] == 1
    assert told == [{"order_id": "Ada-1", "first": "24.50 EUR", "second": "12.50 USD"}]
    [record] = [each for each in caplog.records if each.levelno == logging.WARNING]
    assert str(id_of("Ada-1")) in record.getMessage()
    assert "Ada" not in record.getMessage()


def test_a_difference_in_the_items_only_contradicts(db_host: Host) -> None:
    """The same total of other items is another order."""
    put(db_host, a_charge(items=[MUGS, TEA]), a_charge(items=[TEA, MUGS]))
    assert not quality(db_host)["contradicted", "transaction.charge", ""]
    put(db_host, a_charge(items=[("mug", 1, "10.00"), TEA]))
    assert quality(db_host)["contradicted", "transaction.charge", ""] == 1


def test_two_processes_write_an_order_at_once(db_host: Host, database_url: str) -> None:
    """One of them waits, and then finds what the other has written."""
    devices = [uuidlib.UUID(int=number, version=4) for number in range(1, 4)]
    parts = [
        [a_charge(f"B-{n}", device=each, session=session_of(each)) for n in range(20)]
        for each in devices
    ]
    run_processes(database_url, *parts, parts[0][::-1])
    assert amounts(db_host) == [2450] * 20
    assert db_host.actions()["product.buy"] == 40
    assert quality(db_host)["duplicate", "transaction.charge", ""] == 60
    assert totals(db_host) == recount(db_host)
    assert db_host.rows("rejected") == []


# Copied cookies and other people


def test_a_copied_cookie_buys_for_nobody(db_host: Host) -> None:
    """After the log-out only a copy vouches: the order is recorded, but not as the customer's."""
    session = session_of(DEVICE)
    write(db_host, a_page(), an_event(seconds=2))
    end = SessionEnd(session_id=session.id, reason="logout", at=at(3), number=1)
    write(db_host, ends=[end])
    copied = SessionRef(session.id, DEVICE, session.started_at, VOUCHED_BY_COOKIE, 1)
    charge = a_charge(seconds=60, session=copied, visit_id=an_id(1))
    assert isinstance(charge.order, Charge)
    for params in (charge.params, *(item.params for item in charge.order.items)):
        params["visit"] = str(an_id(1))
    put(db_host, charge)
    row = the_row(db_host)
    assert row["visit_id"] is None
    orders = [*db_host.events_of("transaction.charge"), *db_host.events_of("product.buy")]
    assert [event["params"].get("visit") for event in orders] == [None] * 3
    assert (row["amount"], row["uuid"], row["session_id"]) == (2450, id_of("A-1"), None)
    assert not quality(db_host)["rejected", "transaction.charge", "logged_out"]


def test_an_order_that_the_database_refuses_is_set_aside_whole(db_host: Host) -> None:
    """No part of it is stored, the others are; the row names its fields, and masks secrets."""
    bad = a_charge("bad-1", time=NAIVE, params={"password": "hunter2"}, session=None)
    put(db_host, a_charge("good-1"), bad, a_charge("good-2"))
    assert amounts(db_host) == [2450, 2450]
    [row] = db_host.rows("rejected")
    assert (row["id"], row["action"]) == (id_of("bad-1"), "transaction.charge")
    assert '"sku": "mug"' in row["payload"]
    assert "hunter2" not in row["payload"] + row["reason"]
