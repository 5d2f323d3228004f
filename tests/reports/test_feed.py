"""``events.feed()``: who is in it, and how it is read."""

from __future__ import annotations

import uuid as uuidlib

import pytest
import sqlalchemy as sa

from flask_eventtrack.reports import feed
from flask_eventtrack.reports.feed import read_feed

from ..hosts import Host
from ..store.persons import CUSTOMER, OTHER, log_in
from ..store.records import DEVICE, an_event, at, session_of, write_records


def labels(host: Host, customer: uuidlib.UUID, limit: int = 50) -> list[str]:
    database = host.state.pipeline.database
    return [event.label for event in read_feed(database, [customer], None, limit)]


def test_feed_follows_a_chain_of_aliases(db_host: Host) -> None:
    """A device was a former customer's, who became this one."""
    write_records(
        db_host,
        an_event(seconds=1, device=DEVICE, session=session_of(DEVICE), label="As a stranger"),
        log_in(OTHER, DEVICE, seconds=2),
        an_event(seconds=3, uuid=OTHER, label="Under the former id"),
    )
    write_records(
        db_host,
        log_in(CUSTOMER, None, seconds=4, former=OTHER),
        an_event(seconds=5, uuid=CUSTOMER, label="As the customer"),
    )
    assert labels(db_host, CUSTOMER) == [
        "As the customer",
        "Under the former id",
        "As a stranger",
        "Started session",
    ]


def test_feed_of_many_profiles_is_the_latest_of_all(
    db_host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More than one statement asks for."""
    monkeypatch.setattr(feed, "_PROFILES", 3)
    devices = [uuidlib.UUID(int=number, version=4) for number in range(1, 9)]
    for number, device in enumerate(devices):
        write_records(
            db_host,
            an_event(seconds=number, uuid=device, session=None, label=f"Event {number}"),
            log_in(CUSTOMER, device, seconds=20),
        )
    assert labels(db_host, CUSTOMER) == [f"Event {number}" for number in reversed(range(8))]
    assert labels(db_host, CUSTOMER, limit=2) == ["Event 7", "Event 6"]


def test_feed_reads_each_profile_by_the_index(db_host: Host) -> None:
    """Not through the events of everybody else, who have been here since."""
    database, tables = db_host.state.pipeline.database, db_host.state.pipeline.database.tables
    rows = [an_event(seconds=number, uuid=OTHER, session=None) for number in range(2000)]
    write_records(db_host, an_event(seconds=0, uuid=CUSTOMER, session=None), *rows)
    with database.begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(sa.text("ANALYZE eventtrack_event"))
        before = [tables.event.c.time < at(1e6)]
        query = feed._latest_of(tables.event, 2, before)
        query = query.params(uuid0=CUSTOMER, uuid1=DEVICE, most=50)
        text = str(query.compile(connection, compile_kwargs={"literal_binds": True}))
        way = "EXPLAIN QUERY PLAN " if connection.dialect.name == "sqlite" else "EXPLAIN "
        plan = "\n".join(str(row) for row in connection.exec_driver_sql(way + text))
    assert plan.count("ix_eventtrack_event_uuid_time") >= 2
    # The plan of MariaDB names the indexes that it could have used as well.
    if connection.dialect.name in {"sqlite", "postgresql"}:
        assert "ix_eventtrack_event_time_and_rule" not in plan
