"""Erasure beside writers that are at work, and in batches."""

from __future__ import annotations

import pathlib
import threading

import pytest
import sqlalchemy as sa

from flask_eventtrack.records import Claim, Identified, Record

from ..conftest import MakeHost
from ..hosts import Host
from ..pipeline.waiting import wait_until
from .people import (
    ADA,
    ADA_UUID,
    BOB_UUID,
    NOBODY,
    STRANGER,
    events_of,
    forget,
    lone_half,
    open_shop,
)
from .records import (
    a_page,
    an_event,
    an_id,
    at,
    quality,
    recount,
    session_of,
    totals,
    write_records,
)

# At once


def pause_inserts(host: Host, reached: threading.Event, go_on: threading.Event) -> None:
    """Hold a host's batches before they insert events, in the middle of their transactions."""
    engine = host.state.pipeline.database._engine

    @sa.event.listens_for(engine, "before_cursor_execute")
    def hold(connection: object, cursor: object, statement: str, *_: object) -> None:
        if statement.startswith("INSERT INTO eventtrack_event"):
            reached.set()
            go_on.wait(30)


def test_a_batch_that_began_before_does_not_slip_through(
    make: MakeHost, shop: Host, database_url: str, tmp_path: pathlib.Path
) -> None:
    """The erasure waits for it, since it cannot know of the tombstone."""
    write_records(shop, an_event(seconds=0.1, uuid=BOB_UUID, session=None))
    other = open_shop(make, database_url, tmp_path, create=False)
    reached, go_on = threading.Event(), threading.Event()
    pause_inserts(other, reached, go_on)
    batch = threading.Thread(
        target=write_records, args=(other, an_event(seconds=0.5, uuid=ADA_UUID, session=None))
    )
    erasure = threading.Thread(target=forget, args=(shop, ADA))
    batch.start()
    assert reached.wait(30)
    erasure.start()
    erasure.join(0.7)  # it would be over by then if nothing kept it
    go_on.set()
    batch.join(30)
    erasure.join(30)
    assert [row["uuid"] for row in shop.rows("event")] == [BOB_UUID]
    assert totals(shop) == recount(shop)


def test_a_batch_that_began_before_tells_more_of_the_person(
    make: MakeHost, shop: Host, database_url: str, tmp_path: pathlib.Path
) -> None:
    """It adds profiles and visits that the erasure has not found at first."""
    write_records(shop, a_page("/", 0.1, uuid=STRANGER, session=session_of(STRANGER)))
    visit = a_page("/", 0.5, uuid=ADA_UUID, session=session_of(ADA_UUID))
    log_in = Identified(uuid=ADA_UUID, customer_id=ADA, time=at(0.4), anonymous=STRANGER)
    other = open_shop(make, database_url, tmp_path, create=False)
    reached, go_on = threading.Event(), threading.Event()
    pause_inserts(other, reached, go_on)
    batch = threading.Thread(target=write_records, args=(other, log_in, visit))
    erasure = threading.Thread(target=forget, args=(shop, ADA))
    batch.start()
    assert reached.wait(30)
    erasure.start()
    erasure.join(0.7)  # it has looked for them by then
    go_on.set()
    batch.join(30)
    erasure.join(30)
    claim = Claim(visit.id, cookieless=True, kept=True)
    late = an_event("button.click", 0.6, NOBODY, source="browser", claim=claim)
    write_records(shop, late, a_page("/late", 0.7, uuid=STRANGER))
    assert shop.rows("event") == shop.rows("session") == shop.rows("alias") == []
    assert totals(shop) == {}


_COUNT_WAITING = """
    SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid)
    WHERE datname = current_database() AND NOT granted
"""


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_batches_queue_behind_an_erasure(
    make: MakeHost, shop: Host, database_url: str, tmp_path: pathlib.Path
) -> None:
    """A batch that begins while the erasure waits does not overtake it; it could wait forever."""
    others = [open_shop(make, database_url, tmp_path, create=False) for _ in range(2)]
    reached, go_on = threading.Event(), threading.Event()
    pause_inserts(others[0], reached, go_on)
    first, second = (
        threading.Thread(
            target=write_records, args=(host, an_event(uuid=ADA_UUID, id=an_id(n), session=None))
        )
        for n, host in enumerate(others)
    )
    erasure = threading.Thread(target=forget, args=(shop, ADA))

    def count_waiting() -> int:
        with shop.state.pipeline.database.read() as connection:
            return int(connection.exec_driver_sql(_COUNT_WAITING).scalar_one())

    first.start()
    assert reached.wait(30)
    erasure.start()
    wait_until(lambda: count_waiting() == 1)
    second.start()
    wait_until(lambda: count_waiting() == 2 or not second.is_alive())
    go_on.set()
    for thread in (first, second, erasure):
        thread.join(30)
    assert quality(shop)["dropped", "order.ship", "erased"] == 1
    assert shop.rows("event") == []


@pytest.mark.parametrize("database_url", ["postgresql", "mariadb"], indirect=True)
def test_what_turns_out_to_be_another_s_meanwhile_stays(
    make: MakeHost, shop: Host, database_url: str, tmp_path: pathlib.Path
) -> None:
    """The erasure finds a visit, then its server half shows that another person owns it."""
    visit = a_page("/", 1, uuid=BOB_UUID)
    write_records(shop, lone_half(visit))
    other = open_shop(make, database_url, tmp_path, create=False)
    late: list[Record] = [visit]

    @sa.event.listens_for(shop.state.pipeline.database._engine, "before_cursor_execute")
    def write_late(connection: object, cursor: object, statement: str, *_: object) -> None:
        if "eventtrack_uncounted.event_id IN" in statement and late:
            write_records(other, late.pop())

    forget(shop, NOBODY)
    assert late == []
    [row] = shop.events_of("page.visit")
    assert (row["id"], row["uuid"]) == (visit.id, BOB_UUID)
    assert totals(shop) == recount(shop)


def test_an_erasure_among_many_writers(
    make: MakeHost, shop: Host, database_url: str, tmp_path: pathlib.Path
) -> None:
    """Nothing of the person is left, nothing of the others is missing, and totals are right."""
    begun, batches = threading.Event(), 25

    def write_many(host: Host, number: int) -> None:
        for batch in range(batches):
            seconds = number + batch / 100
            records: list[Record] = [
                a_page(
                    f"/{batch}", seconds, uuid=uuid, device=uuid, session=session_of(uuid, number)
                )
                for uuid in (ADA_UUID, BOB_UUID)
            ]
            write_records(host, *records)
            if batch == 5:
                begun.set()

    shop.clock.advance(seconds=10)
    others = [open_shop(make, database_url, tmp_path, create=False) for _ in range(3)]
    writers = [
        threading.Thread(target=write_many, args=(host, number))
        for number, host in enumerate(others)
    ]
    for writer in writers:
        writer.start()
    assert begun.wait(30)
    forget(shop, ADA)
    for writer in writers:
        writer.join(60)
    assert events_of(shop, ADA_UUID) == []
    assert len(events_of(shop, BOB_UUID)) == 3 * batches + 3
    assert {row["uuid"] for row in shop.rows("session")} == {BOB_UUID}
    assert totals(shop) == recount(shop)


# Batches


def test_a_big_person_is_erased_in_batches(shop: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """One transaction each; interrupted, another run finishes the work."""
    monkeypatch.setattr("flask_eventtrack.store.erasure.BATCH_SIZE", 10)
    write_records(shop, Identified(uuid=ADA_UUID, customer_id=ADA, time=at(0), anonymous=STRANGER))
    write_records(shop, *(an_event(seconds=n / 10, uuid=STRANGER, id=an_id(n)) for n in range(35)))
    shop.clock.advance(seconds=10)
    progress = shop.state.pipeline.forget([ADA_UUID])
    assert [next(progress).events for _ in range(3)] == [0, 10, 20]
    del progress
    assert len(shop.rows("event")) == 16
    assert totals(shop) == recount(shop)
    assert forget(shop, ADA).events == 16
    assert shop.rows("event") == shop.rows("alias") == []


def test_a_big_person_blocks_nobody(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """The host writes to its SQLite file while the erasure runs."""
    monkeypatch.setattr("flask_eventtrack.store.erasure.BATCH_SIZE", 50)
    for start in range(0, 2000, 500):
        write_records(
            host,
            *(
                an_event(seconds=n / 1000, uuid=ADA_UUID, id=an_id(n), session=None)
                for n in range(start, start + 500)
            ),
        )
    host.clock.advance(seconds=10)
    written = 0
    with host.app.app_context(), host.db.engine.connect() as connection:
        connection.exec_driver_sql("CREATE TABLE things (id INTEGER)")
        connection.exec_driver_sql("PRAGMA busy_timeout = 1000")
        erasure = threading.Thread(target=forget, args=(host, ADA))
        erasure.start()
        while erasure.is_alive():
            connection.exec_driver_sql("INSERT INTO things VALUES (1)")
            connection.commit()
            written += 1
            erasure.join(0.005)  # or it would find the file locked nearly always
    assert written > 10
    assert host.rows("event") == []
