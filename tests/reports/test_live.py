"""The look at new events, on each database, beside other transactions."""

from __future__ import annotations

import pathlib
import typing as t

import pytest
import sqlalchemy as sa

from flask_eventtrack.reports.feed import SLOWEST_COMMIT, query_since
from flask_eventtrack.reports.live import _query_here, _times_of, read_live

from ..conftest import MakeHost
from ..hosts import Host
from ..servers import make_database
from ..store.records import DEVICE, an_event, an_id, at, session_of, write_records


def insert(connection: sa.Connection, host: Host, label: str, stored: float) -> None:
    row = {"id": an_id(stored), "action": "order.ship", "time": at(stored), "label": label}
    row |= {"received_at": at(stored), "stored_at": at(stored), "uuid": DEVICE, "site": ""}
    row |= {"url_rule": "", "source": "server", "params": {}}
    connection.execute(host.events.tables.event.insert().values(row))


def test_a_transaction_that_commits_late_is_seen(make: MakeHost, tmp_path: pathlib.Path) -> None:
    """Its row has an earlier time than one that was seen already: two connections interleaved."""
    for url in make_database("postgresql", tmp_path):
        host = make(url=url)
        with host.app.app_context():
            engine, reports = host.db.engine, host.events.reports
            with engine.connect() as slow, engine.connect() as quick:
                insert(slow, host, "begun first", 1)
                insert(quick, host, "committed first", 2)
                quick.commit()
                first = reports.live()
                slow.commit()
                second = reports.live(after=first[0].stored_at)
        assert [row.event.label for row in first] == ["committed first"]
        known = {row.event.id for row in first}
        assert [row.event.label for row in second if row.event.id not in known] == ["begun first"]
        host.close()


def test_a_look_goes_back_as_far_as_a_transaction_may_last(host: Host) -> None:
    """No further: a site with many events would send them all again and again."""
    database = host.state.pipeline.database
    last = SLOWEST_COMMIT.total_seconds() + 1
    with host.app.app_context(), database.begin() as connection:
        for stored in (0, 1, last):
            insert(connection, host, str(stored), stored)
        rows = read_live(connection, database.tables, at(last))
    assert [row.event.label for row in rows] == [str(last), "1"]


def a_session(number: int, *, is_open: bool) -> dict[str, t.Any]:
    seen = {"started_at": at(number), "last_seen_at": at(number), "site": "", "person": DEVICE}
    numbers = {"id": session_of(DEVICE, number).id, "pages": 1, "events": 1, "uuid": DEVICE}
    return {**seen, **numbers, "device_id": DEVICE, "ended_at": None if is_open else at(number)}


@pytest.mark.parametrize("what", ["here", "live"])
def test_looks_are_by_an_index(db_host: Host, what: str) -> None:
    """Also when there are many other rows."""
    database, tables = db_host.state.pipeline.database, db_host.state.pipeline.database.tables
    write_records(
        db_host, *(an_event(seconds=n, session=session_of(DEVICE, n, n)) for n in range(900))
    )
    with database.begin() as connection:
        session = tables.session
        are_over = session.c.started_at < at(890)
        connection.execute(session.update().where(are_over).values(ended_at=session.c.last_seen_at))
        if connection.dialect.name == "postgresql":
            connection.execute(sa.text("ANALYZE eventtrack_event, eventtrack_session"))
            connection.execute(sa.text("SET LOCAL enable_seqscan = off"))  # the tables are small
        query, index = {
            "here": (
                _query_here(tables).params(_times_of(at(1000))),
                "ix_eventtrack_session_ended_at_started_at",
            ),
            "live": (query_since(tables, at(890), 500), "ix_eventtrack_event_stored_at"),
        }[what]
        text = str(query.compile(connection, compile_kwargs={"literal_binds": True}))
        way = "EXPLAIN QUERY PLAN " if connection.dialect.name == "sqlite" else "EXPLAIN "
        plan = "\n".join(str(row) for row in connection.exec_driver_sql(way + text))
    assert index in plan


def test_a_look_at_no_events_is_empty(db_host: Host) -> None:
    """A limit of 0 is no error."""
    write_records(db_host, an_event())
    database = db_host.state.pipeline.database
    with database.read() as connection:
        assert read_live(connection, database.tables, limit=0) == []


@pytest.mark.parametrize("database_url", ["mariadb"], indirect=True)
def test_the_first_look_reads_the_latest_rows_only(db_host: Host) -> None:
    """As MariaDB counts the rows that it has read."""
    database = db_host.state.pipeline.database
    write_records(
        db_host, *(an_event(seconds=n, session=session_of(DEVICE, n, n)) for n in range(900))
    )

    with database.begin() as connection:
        event = database.tables.event
        connection.execute(event.update().values(stored_at=event.c.time))
        connection.exec_driver_sql("ANALYZE TABLE eventtrack_event")

    def count_reads() -> int:
        rows = connection.exec_driver_sql("SHOW SESSION STATUS LIKE 'Handler_read%%'")
        return sum(int(row[1]) for row in rows)

    with database.read() as connection:
        before = count_reads()
        assert len(read_live(connection, database.tables, limit=10)) == 10
        assert count_reads() - before < 500
