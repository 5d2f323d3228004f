"""Events in the host's own transaction."""

from __future__ import annotations

import datetime as dt

import pytest
import sqlalchemy as sa

from flask_eventtrack import track
from flask_eventtrack.errors import InvalidEvent
from flask_eventtrack.identity.visitor import customer_uuid

from ..conftest import MakeHost
from ..hosts import NAVIGATION, Host
from ..pipeline.waiting import wait_until
from ..store.records import quality


def prepare(host: Host) -> None:
    """Add an order to the host's own tables, and views that place one."""
    host.events.define("order.place", label="Placed an order")
    with host.app.app_context(), host.db.engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE orders (number INTEGER)")

    @host.app.post("/orders/<end>")
    def place(end: str) -> str:
        host.db.session.execute(sa.text("INSERT INTO orders VALUES (1)"))
        event_id = track("order.place", {"order": 17}, in_transaction=True)
        getattr(host.db.session, end)()
        return str(event_id)


def orders(host: Host) -> int:
    with host.app.app_context(), host.db.engine.connect() as connection:
        return int(connection.exec_driver_sql("SELECT COUNT(*) FROM orders").scalar_one())


def stored(host: Host, table: str = "event") -> list[str]:
    """Return the actions that are stored, without a flush."""
    found = getattr(host.state.pipeline.database.tables, table)
    with host.state.pipeline.database.read() as connection:
        column = found.c.event_id if table == "uncounted" else found.c.action
        return [str(value) for value in connection.scalars(sa.select(column))]


def test_a_commit_stores_the_event_with_the_order(db_host: Host) -> None:
    """The event is there as soon as the order is, before any writer has come by."""
    prepare(db_host)
    answer = db_host.client().post("/orders/commit")
    assert orders(db_host) == 1
    assert "order.place" in stored(db_host)
    [row] = db_host.events_of("order.place")
    assert (str(row["id"]), row["params"], row["label"]) == (
        answer.text,
        {"order": 17},
        "Placed an order",
    )


def test_a_rollback_takes_the_event_along(db_host: Host) -> None:
    """Neither event nor note is left, and nothing is counted."""
    prepare(db_host)
    db_host.client().post("/orders/rollback")
    assert orders(db_host) == 0
    assert db_host.rows("event") == db_host.rows("uncounted") == db_host.rows("hourly") == []


def test_it_is_counted_once_after_the_commit(db_host: Host) -> None:
    """Session, totals and quality count it, and go on doing so once however often one looks."""
    prepare(db_host)
    client = db_host.client()
    client.get("/", headers=NAVIGATION)
    client.post("/orders/commit")
    for _ in range(3):
        db_host.flush()
        db_host.state.pipeline._count_uncounted()
    [session] = db_host.rows("session")
    assert (session["pages"], session["events"]) == (1, 2)
    totals = {row["action"]: row["count"] for row in db_host.rows("hourly")}
    assert totals == {"session.start": 1, "page.visit": 1, "order.place": 1}
    outcomes = {(row["outcome"], row["action"]): row["count"] for row in db_host.rows("quality")}
    assert outcomes["accepted", "order.place"] == 1
    assert db_host.rows("uncounted") == []


def test_it_may_open_the_session(db_host: Host) -> None:
    """A session that it opens has a row, a start and the client's facts."""
    prepare(db_host)
    db_host.client().post("/orders/commit")
    [session] = db_host.rows("session")
    assert (session["events"], session["browser"]) == (1, "Chrome")
    assert db_host.actions() == {"session.start": 1, "order.place": 1}


def test_another_process_counts_what_a_dead_one_left(make: MakeHost, database_url: str) -> None:
    """The note is in the database: any process counts it."""
    host = make(url=database_url)
    prepare(host)
    with host.app.app_context():
        track("order.place", customer="1", in_transaction=True)
        host.db.session.commit()
    other = make(url=database_url, create=False)
    other.state.pipeline._count_uncounted()
    assert [row["action"] for row in other.rows("hourly")] == ["order.place"]


def test_a_writer_finds_it_by_itself(make: MakeHost) -> None:
    """No flush is needed: the thread looks for it for a while after the call."""
    host = make({"EVENTTRACK_FLUSH_INTERVAL": 0.05})
    prepare(host)
    host.client().post("/orders/commit")
    wait_until(lambda: sorted(stored(host, "hourly")) == ["order.place", "session.start"])
    assert stored(host, "uncounted") == []


def test_an_erased_persons_event_goes_when_it_would_be_counted(db_host: Host) -> None:
    """An event from before the erasure that a host commits late leaves no row and no total."""
    prepare(db_host)
    with db_host.app.app_context():
        db_host.events.forget("7")
        before = db_host.clock.moment - dt.timedelta(seconds=1)
        for customer in ("7", "8"):
            track("order.place", customer=customer, time=before, in_transaction=True)
        db_host.db.session.commit()
    assert len(stored(db_host)) == 2
    [event] = db_host.events_of("order.place")
    assert event["uuid"] == customer_uuid("flask-eventtrack", "8")
    assert [row["count"] for row in db_host.rows("hourly")] == [1]
    assert quality(db_host)["dropped", "order.place", "erased"] == 1
    assert db_host.rows("uncounted") == []


@pytest.mark.parametrize("record", [b"", b"\xc1", b"\x92\xa3end\x01"])
def test_a_note_that_cannot_be_read_stops_no_other(
    host: Host, caplog: pytest.LogCaptureFixture, record: bytes
) -> None:
    """Its event stays and is not counted, which is logged once."""
    prepare(host)
    notes = host.state.pipeline.database.tables.uncounted
    with host.app.app_context():
        spoilt = track("order.place", customer="7", in_transaction=True)
        spoil = notes.update().where(notes.c.event_id == spoilt).values(record=record)
        host.db.session.execute(spoil)
        track("order.place", customer="8", in_transaction=True)
        host.db.session.commit()
    assert len(host.events_of("order.place")) == 2
    assert [row["count"] for row in host.rows("hourly")] == [1]
    assert host.rows("uncounted") == []
    [message] = caplog.messages
    assert message.startswith("An event cannot be counted because its note cannot be read: ")


def test_another_bind_is_refused(make: MakeHost, tmp_path: object) -> None:
    """The host's transaction does not include another database; the error says what to do."""
    host = make(
        {
            "SQLALCHEMY_BINDS": {"events": f"sqlite:///{tmp_path}/events.db"},
            "EVENTTRACK_BIND_KEY": "events",
        }
    )
    host.events.define("order.place")
    with host.app.app_context(), pytest.raises(InvalidEvent, match="EVENTTRACK_BIND_KEY") as caught:
        track("order.place", customer="1", in_transaction=True)
    assert caught.value.code == "no_transaction"


def test_the_databases_error_is_the_callers(make: MakeHost) -> None:
    """Without the tables the caller's transaction fails, rather than commit without the event."""
    host = make(create=False)
    host.app.testing = False
    host.events.define("order.place")
    with host.app.app_context(), pytest.raises(sa.exc.OperationalError, match="eventtrack_event"):
        track("order.place", customer="1", in_transaction=True)


def test_in_memory_it_is_the_hosts_transaction_too(make: MakeHost) -> None:
    """On the one connection of an in-memory database a rollback still takes the event along."""
    host = make(url="sqlite://")
    host.events.define("order.place")
    with host.app.app_context():
        track("order.place", customer="1", in_transaction=True)
        host.db.session.rollback()
        track("order.place", customer="2", in_transaction=True)
        host.db.session.commit()
    assert host.actions() == {"order.place": 1}
    assert [row["count"] for row in host.rows("hourly")] == [1]
