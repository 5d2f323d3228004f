"""In-memory SQLite: events are written at a flush, in the host's connection."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from sqlalchemy import exc

from flask_eventtrack import track

from ..conftest import MakeHost
from ..hosts import START, Host
from ..store.records import an_event
from .waiting import visit, waiting


@pytest.fixture
def memory(make: MakeHost) -> Host:
    """A host whose database is one shared connection, with a table of its own."""
    host = make(url="sqlite://")
    with host.app.app_context(), host.db.engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE orders (id INTEGER PRIMARY KEY)")
    return host


def add_order(host: Host, number: int) -> None:
    host.db.session.execute(sa.text("INSERT INTO orders VALUES (:id)"), {"id": number})


def orders(host: Host) -> list[int]:
    return list(host.db.session.scalars(sa.text("SELECT id FROM orders ORDER BY id")))


def test_in_memory_events_wait_for_a_flush(memory: Host) -> None:
    """There is no thread that could get into the host's way on the one connection."""
    visit(memory, 3)
    assert (waiting(memory), memory.state.pipeline._thread) == (3, None)
    assert memory.actions() == {"page.visit": 3, "session.start": 1}


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:"])
def test_both_spellings_are_in_memory(make: MakeHost, url: str) -> None:
    """Flask-SQLAlchemy takes either for one shared connection."""
    host = make(url=url)
    assert host.state.pipeline.database.is_in_memory
    visit(host)
    assert host.actions()["page.visit"] == 1


def test_a_flush_does_not_commit_for_the_host(memory: Host) -> None:
    """The host's uncommitted row is there after our flush, and gone after the host's rollback."""
    visit(memory)
    with memory.app.app_context():
        add_order(memory, 1)
        memory.events.flush()
        assert (orders(memory), waiting(memory)) == ([1], 0)
        memory.db.session.rollback()
        assert orders(memory) == []


def test_a_flush_does_not_roll_back_for_the_host(memory: Host) -> None:
    """The host commits afterwards: its row and our events both stay."""
    visit(memory)
    with memory.app.app_context():
        add_order(memory, 1)
        memory.events.flush()
        memory.db.session.commit()
        memory.db.session.rollback()
        assert orders(memory) == [1]
    assert memory.actions() == {"page.visit": 1, "session.start": 1}


def test_a_flush_outside_a_transaction_commits_its_own(memory: Host) -> None:
    """Without a transaction of the host's, a later rollback takes nothing of ours away."""
    visit(memory)
    with memory.app.app_context():
        memory.events.flush()
        add_order(memory, 1)
        memory.db.session.rollback()
        assert orders(memory) == []
    assert memory.actions() == {"page.visit": 1, "session.start": 1}


@pytest.mark.parametrize("is_open", [True, False])
def test_a_failing_flush_leaves_the_host_alone(memory: Host, *, is_open: bool) -> None:
    """Our tables are missing: the flush raises, the host's row stands, and ours wait."""
    visit(memory)
    with memory.app.app_context():
        memory.db.drop_all()
        if is_open:
            add_order(memory, 1)
        with pytest.raises(exc.OperationalError, match="no such table"):
            memory.events.flush()
        add_order(memory, 2)
        memory.db.session.commit()
        assert orders(memory) == ([1, 2] if is_open else [2])
        memory.db.create_all()
    assert memory.actions() == {"page.visit": 1, "session.start": 1}


def test_a_refused_event_leaves_the_host_alone(memory: Host) -> None:
    """Halving a batch around a value that SQLite refuses does not touch the host's rows."""
    bad = an_event("bad.value", 2, params={"when": START}, session=None)
    memory.state.pipeline.put(an_event(seconds=1, session=None), bad)
    with memory.app.app_context():
        add_order(memory, 1)
        memory.events.flush()
        assert orders(memory) == [1]
        memory.db.session.rollback()
        assert orders(memory) == []


def test_a_report_sees_what_waits_and_the_host_s_rows_stay_open(memory: Host) -> None:
    """The feed flushes first, within the host's transaction where one is open."""
    memory.events.define("order.ship")
    with memory.app.app_context():
        track("order.ship", customer="1")
        add_order(memory, 1)
        assert [event.action for event in memory.events.feed("1")] == ["order.ship"]
        memory.db.session.rollback()
        assert orders(memory) == []
