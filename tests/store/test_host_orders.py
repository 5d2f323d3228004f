"""Orders in the host's own transaction: all rows of them or none, counted once."""

from __future__ import annotations

import datetime as dt

import pytest

from flask_eventtrack.errors import InvalidEvent
from flask_eventtrack.records import Event
from flask_eventtrack.request.recording import put_in_transaction

from ..conftest import MakeHost
from ..hosts import Host
from .orders import a_cancellation, a_charge, amounts, id_of, put, the_row
from .people import ADA, ADA_UUID, forget
from .records import (
    DEVICE,
    a_page,
    at,
    quality,
    recount,
    session_of,
    the_session,
    totals,
)


def put_in_host(host: Host, *events: Event, end: str = "commit") -> None:
    """Add rows to the host's session, and commit them or roll back."""
    with host.app.app_context():
        for event in events:
            assert put_in_transaction(host.state, None, event)
        getattr(host.db.session, end)()


def test_a_commit_stores_the_whole_order(db_host: Host) -> None:
    """And the writer counts each of its events once, in session, totals and quality."""
    put(db_host, a_page("/checkout"))
    put_in_host(db_host, a_charge())
    for _ in range(3):
        db_host.flush()
        db_host.state.pipeline._count_uncounted()
    assert db_host.actions() == {
        "transaction.charge": 1, "product.buy": 2, "page.visit": 1, "session.start": 1
    }  # fmt: skip
    assert the_session(db_host)["events"] == 4
    assert totals(db_host) == recount(db_host)
    assert quality(db_host)["accepted", "product.buy", ""] == 2
    row = the_row(db_host)
    assert (row["amount"], row["person"], row["session_id"], row["stored_at"]) == (
        2450, DEVICE, session_of(DEVICE).id, at(0)
    )  # fmt: skip
    assert db_host.rows("uncounted") == []


def test_a_rollback_leaves_nothing(db_host: Host) -> None:
    """Neither rows nor notes."""
    put_in_host(db_host, a_charge(), end="rollback")
    tables = ("event", "transaction", "uncounted", "hourly")
    assert [db_host.rows(table) for table in tables] == [[]] * 4


def test_the_same_order_again_is_no_second_row(db_host: Host) -> None:
    """In the same transaction, in a later one, and through the journal; then it is cancelled."""
    put_in_host(db_host, a_charge(), a_charge())
    put_in_host(db_host, a_charge(seconds=7))
    put(db_host, a_charge(seconds=8), a_cancellation(items={"mug": 1}))
    assert amounts(db_host) == [2450, -1000]
    assert db_host.actions()["product.buy"] == 2


def test_a_contradiction_is_raised_at_once(db_host: Host) -> None:
    """The first charge stays, whichever way it came."""
    put(db_host, a_charge())
    with pytest.raises(InvalidEvent, match="Another order is stored") as caught:
        put_in_host(db_host, a_charge(total=1))
    assert caught.value.code == "contradicted_order"
    assert amounts(db_host) == [2450]


@pytest.mark.parametrize("lookback", [dt.timedelta(days=30), dt.timedelta.max])
def test_no_lookback_begins_before_the_year_1(
    make: MakeHost, database_url: str, lookback: dt.timedelta
) -> None:
    """Back ends send the year 1 for no time. It stops neither the writer nor its chores."""
    host = make({"EVENTTRACK_LOOKBACK": lookback}, url=database_url)
    put_in_host(host, a_charge(time=dt.datetime(1, 1, 1, tzinfo=dt.UTC), session=None))
    put(host, a_charge("A-2", session=None))
    host.clock.advance(minutes=2)
    assert host.state.pipeline.writer.settle_touches() == 2
    assert amounts(host) == [2450, 2450]
    assert host.rows("uncounted") == host.rows("rejected") == []


def test_a_cancellation_is_refused(db_host: Host) -> None:
    """It would have to lock the charge in the host's transaction."""
    put(db_host, a_charge())
    with pytest.raises(InvalidEvent, match="after the commit") as caught:
        put_in_host(db_host, a_cancellation())
    assert caught.value.code == "no_transaction"


@pytest.mark.parametrize("keeps", [True, False])
def test_a_customer_who_objects_leaves_the_amount(
    make: MakeHost, database_url: str, *, keeps: bool
) -> None:
    """Or nothing, as the host decides: before it is counted, the order loses its person."""
    host = make({"EVENTTRACK_KEEP_REVENUE": keeps}, url=database_url)
    with host.app.app_context():
        host.events.opt_out(ADA)
    put_in_host(host, a_charge(uuid=ADA_UUID, session=None))
    host.flush()
    host.state.pipeline._count_uncounted()
    assert host.actions() == {}
    assert amounts(host) == ([2450] if keeps else [])
    assert quality(host)["dropped", "transaction.charge", "opted out"] == 1
    if keeps:
        row = the_row(host)
        assert (row["uuid"], row["person"], row["order_id"], row["items"]) == (None,) * 4
        assert row["id"] == id_of("A-1")


def test_an_erased_order_that_is_sent_again_leaves_no_items(
    make: MakeHost, database_url: str
) -> None:
    """Without the amounts of erased orders, only a tombstone knows of it."""
    host = make({"EVENTTRACK_KEEP_REVENUE": False}, url=database_url)
    put(host, a_charge(uuid=ADA_UUID, session=None))
    forget(host, ADA)
    later = a_charge(uuid=ADA_UUID, session=None, time=at(86400), received_at=at(86400))
    put_in_host(host, later)
    host.flush()
    host.state.pipeline._count_uncounted()
    assert host.actions() == {}
    assert amounts(host) == []


def test_an_uncounted_order_is_erased(shop: Host) -> None:
    """Its events were never counted, and are not subtracted."""
    put_in_host(shop, a_charge(uuid=ADA_UUID, session=None))
    with shop.app.app_context():
        erasure = shop.state.pipeline.writer.erase([ADA_UUID], at(10))
        *_, erased = erasure.run()
    assert (erased.events, erased.transactions) == (3, 1)
    assert (amounts(shop), shop.actions()) == ([2450], {})
    assert shop.rows("uncounted") == shop.rows("hourly") == []
    assert forget(shop, ADA).transactions == 0
