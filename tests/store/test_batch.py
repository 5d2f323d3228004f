"""A batch: how many statements it takes, and what a replay changes."""

from __future__ import annotations

import re
import typing as t
import uuid as uuidlib

import pytest
import sqlalchemy as sa

from flask_eventtrack.clients.facts import AgentParser, FactFinder
from flask_eventtrack.records import Claim, Client, Event, Identified, SessionEnd
from flask_eventtrack.store.batch import Batch, write_batch
from flask_eventtrack.store.sessions import Transaction

from ..conftest import MakeHost
from ..hosts import Host
from .records import (
    DEVICE,
    a_page,
    a_story,
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

# Statements


def statements_of(host: Host, *events: Event) -> list[tuple[str, t.Any]]:
    """Return the statements, with their parameters, that write a batch."""
    found: list[tuple[str, t.Any]] = []

    def note(c: object, cursor: object, statement: str, parameters: t.Any, *rest: object) -> None:
        found.append((statement, parameters))

    engine = host.state.pipeline.database._engine
    sa.event.listen(engine, "before_cursor_execute", note)
    write(host, *events)
    sa.event.remove(engine, "before_cursor_execute", note)
    return found


def test_a_batch_takes_as_many_statements_as_one_event(db_host: Host) -> None:
    """No statement an event: what there is to look up or to change goes together."""
    devices = [uuidlib.UUID(int=n, version=4) for n in range(120)]
    for seconds in (0, 10):
        counts = {
            len(
                statements_of(
                    db_host,
                    *(
                        a_page(
                            "/",
                            seconds + n / 200,
                            device=d,
                            id=an_id(seconds + n / 200),
                            session=session_of(d),
                        )
                        for n, d in part
                    ),
                )
            )
            for part in ([*enumerate(devices)][:1], [*enumerate(devices)][1:])
        }
        assert len(counts) == 1


def test_look_ups_search_an_index(host: Host) -> None:
    """No statement gets slower as the tables grow: SQLite scans none of them."""
    page, again = a_page("/", 0), a_page("/", 20, params={"status": 304})
    half = {"half": "browser", "source": "browser", "session": session_of(DEVICE)}
    shown = a_page("/", 1, claim=Claim(page.id), **half)
    reshown = a_page("/", 21, claim=Claim(page.id), **half)
    write(host, page)
    statements = statements_of(host, shown, an_event("button.click", 2))
    statements += statements_of(host, reshown, again)
    plans = []
    with host.state.pipeline.database.read() as connection:
        for statement, parameters in statements:
            if statement.startswith(("SELECT", "UPDATE")):
                values = parameters[0] if isinstance(parameters, list) else parameters
                plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)
                plans += [row.detail for row in plan]
    assert len(plans) > 6
    assert [plan for plan in plans if plan.startswith("SCAN eventtrack")] == []
    assert any("eventtrack_event_claimed_by (claimed_by=?)" in plan for plan in plans)


@pytest.mark.parametrize(
    "options",
    [{"paramstyle": "named"}, {"execution_options": {"schema_translate_map": {None: "main"}}}],
    ids=["named parameters", "another schema"],
)
def test_the_host_s_engine_options_hold(make: MakeHost, options: dict[str, t.Any]) -> None:
    """Statements that we prepare ourselves follow the options that SQLAlchemy would follow."""
    host = make({"SQLALCHEMY_ENGINE_OPTIONS": options})
    [insert] = [
        sql for sql, _ in statements_of(host, a_page()) if re.match(r"INSERT INTO \S*_event ", sql)
    ]
    assert (":action" in insert, "main.eventtrack_event" in insert) == (
        "paramstyle" in options,
        "execution_options" in options,
    )
    write(host, a_page("/b", 5))
    assert (the_session(host)["pages"], host.actions()["page.visit"]) == (2, 2)


def test_our_connection_to_sqlite_has_a_cache_of_its_own(host: Host) -> None:
    """Eight megabytes for our one connection; the host's keep what they have."""
    host.flush()
    database = host.state.pipeline.database
    with database.begin() as ours, database.read() as theirs:
        sizes = [c.exec_driver_sql("PRAGMA cache_size").scalar() for c in (ours, theirs)]
    assert sizes == [-8000, -2000]


def test_facts_are_asked_for_when_they_matter(host: Host) -> None:
    """A session's client and first page are described once, not with each of its events."""
    asked = []

    class Facts(FactFinder):
        def describe_client(self, client: Client) -> dict[str, str | None]:
            asked.append("client")
            return super().describe_client(client)

        def describe_origin(
            self, url: str, referrer: str, campaign: str = ""
        ) -> dict[str, str | None]:
            asked.append("origin")
            return super().describe_origin(url, referrer, campaign)

    facts = Facts(AgentParser("builtin"), None)
    database = host.state.pipeline.database
    for start in (0, 100):
        batch = Batch([a_page(f"/{n}", start + n) for n in range(50)])
        with database.begin() as connection:
            transaction = Transaction(
                connection, database.tables, at(200), facts, lambda action, site: True
            )
            write_batch(transaction, batch)
    assert asked == ["client", "origin", "client"]  # the client once in each batch
    assert the_session(host)["pages"] == 100
    assert the_session(host)["browser"] == "Chrome"


# Replay


def test_a_replayed_batch_changes_nothing(db_host: Host) -> None:
    """Events are new once: sessions, totals and profiles follow from the new ones only."""
    events = a_story()
    end = SessionEnd(session_id=session_of(DEVICE).id, reason="timeout")
    known = Identified(
        uuid=uuidlib.uuid5(DEVICE, "c"), customer_id="c", time=at(5), anonymous=DEVICE
    )
    first = write(db_host, *events, ends=[end], identified=[known])
    before = contents(db_host)
    again = write(db_host, *events, ends=[end], identified=[known])
    assert (first.new_events, again.new_events) == (8, 0)
    assert (again.started, again.ended) == ([], [])
    assert contents(db_host) == before


def test_a_journal_s_replay_counts_no_duplicates(db_host: Host) -> None:
    """What a dead process had written before is not what its visitors sent twice."""
    events = [*a_story(), a_page("/", 5, half="browser", source="browser")]
    write(db_host, *events)
    before = quality(db_host)
    write(db_host, *events, replayed=True)
    assert quality(db_host) == before
    write(db_host, *events)
    doubled = {key: count for key, count in quality(db_host).items() if key[0] == "duplicate"}
    assert sum(doubled.values()) == len(events)


def test_a_batch_that_was_half_written_before_adds_the_other_half(db_host: Host) -> None:
    """Overlapping batches end in the same tables as one that holds everything."""
    events = a_story()
    write(db_host, *events[:3])
    write(db_host, *events[1:])
    assert db_host.actions() == {
        "page.visit": 3, "session.start": 2, "button.click": 1, "order.ship": 1
    }  # fmt: skip
    assert [(s["pages"], s["events"]) for s in db_host.rows("session", "started_at")] == [
        (2, 3),
        (1, 1),
    ]
    assert totals(db_host) == recount(db_host)


def test_an_event_twice_in_a_batch_is_one_row(db_host: Host) -> None:
    """The same id is the same event, also where both copies come together."""
    event = an_event()
    assert write(db_host, event, event).new_events == 2
    assert db_host.actions() == {"order.ship": 1, "session.start": 1}
    assert the_session(db_host)["events"] == 1
    assert quality(db_host)["duplicate", "order.ship", ""] == 1
