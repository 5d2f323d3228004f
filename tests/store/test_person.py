"""The person of sessions and transactions, as aliases come."""

from __future__ import annotations

import contextlib
import itertools
import threading
import typing as t
import uuid as uuidlib

import pytest
import sqlalchemy as sa

from flask_eventtrack.store import person
from flask_eventtrack.store.person import find_led, resolve_people

from ..conftest import MakeHost
from ..hosts import Host
from .persons import (
    CUSTOMER,
    OTHER,
    add_sessions,
    add_transactions,
    apply_aliases,
    log_in,
    people,
    unapplied,
    wrong_people,
)
from .records import DEVICE, an_event, an_id, at, session_of, the_session, write, write_records

PHONE = uuidlib.UUID("44444444-4444-4444-8444-444444444444")


def add_aliases(host: Host, *pairs: tuple[uuidlib.UUID, uuidlib.UUID]) -> None:
    database = host.state.pipeline.database
    with database.begin() as connection:
        for anonymous, customer in pairs:
            row = {"anonymous_uuid": anonymous, "customer_uuid": customer, "created_at": at(0)}
            connection.execute(database.tables.alias.insert().values(row))


def resolve(host: Host, *uuids: uuidlib.UUID) -> list[uuidlib.UUID]:
    database = host.state.pipeline.database
    with database.read() as connection:
        found = resolve_people(connection, database.tables, uuids)
    return [found[uuid] for uuid in uuids]


@contextlib.contextmanager
def statements(host: Host) -> t.Iterator[list[str]]:
    """Note the statements of the writer's connection."""
    engine, noted = host.state.pipeline.database._engine, list[str]()

    def note(_: object, __: object, statement: str, *___: object) -> None:
        noted.append(statement)

    sa.event.listen(engine, "before_cursor_execute", note)
    try:
        yield noted
    finally:
        sa.event.remove(engine, "before_cursor_execute", note)


# Looking up


def test_a_chain_of_aliases_is_followed_to_its_end(db_host: Host) -> None:
    """Even a chain of four. A profile without an alias is its own person."""
    chain = [uuidlib.UUID(int=each) for each in range(1, 6)]
    add_aliases(db_host, *itertools.pairwise(chain))
    assert resolve(db_host, *chain, DEVICE) == [chain[-1]] * 5 + [DEVICE]
    assert resolve(db_host) == []


def test_all_that_lead_to_a_profile_are_found(db_host: Host) -> None:
    """Along a chain of four, from its end and from within, and in a circle."""
    chain = [uuidlib.UUID(int=each) for each in range(1, 6)]
    add_aliases(db_host, *itertools.pairwise(chain))
    database = db_host.state.pipeline.database
    with database.read() as connection:
        assert find_led(connection, database.tables.alias, chain[-1:]) == set(chain)
        assert find_led(connection, database.tables.alias, chain[2:3]) == set(chain[:3])
    add_aliases(db_host, (chain[-1], chain[0]))
    with database.read() as connection:
        assert find_led(connection, database.tables.alias, chain[1:2]) == set(chain)


def test_a_circle_of_aliases_has_one_person(host: Host) -> None:
    """Two ids that take each other over."""
    one, two, three = (uuidlib.UUID(int=each) for each in (1, 2, 3))
    add_aliases(host, (one, two), (two, one), (three, two))
    assert resolve(host, one, two, three) == [one, one, one]
    add_aliases(host, (DEVICE, DEVICE))
    assert resolve(host, DEVICE) == [DEVICE]
    add_sessions(host, 3)
    apply_aliases(host)
    assert people(host) == {DEVICE}
    assert unapplied(host) == []


def test_a_batch_looks_for_people_once_and_only_for_new_sessions(host: Host) -> None:
    """However many sessions are new; sessions that only go on cost nothing."""
    devices = [uuidlib.UUID(int=each, version=4) for each in range(1, 31)]
    for seconds, looks in ((1, 1), (2, 0)):
        batch = [
            an_event(seconds=seconds, device=each, id=uuidlib.uuid4(), session=session_of(each))
            for each in devices
        ]
        with statements(host) as noted:
            write(host, *batch)
        assert sum("eventtrack_alias" in each for each in noted) == looks
    change = an_event(seconds=3, uuid=CUSTOMER, device=devices[0], session=session_of(devices[0]))
    with statements(host) as noted:
        write(host, change)
    assert sum("eventtrack_alias" in each for each in noted) == 1


# Log-ins


def test_what_a_device_did_before_the_log_in_is_the_customer_s(db_host: Host) -> None:
    """In the transaction that writes the alias: sessions and transactions."""
    add_sessions(db_host, 3)
    add_transactions(db_host, 2)
    other = an_event(seconds=1, device=PHONE, session=session_of(PHONE))
    write(db_host, other)
    write(db_host, identified=[log_in()])
    found = {(row["uuid"], row["person"]) for row in db_host.rows("session")}
    assert found == {(DEVICE, CUSTOMER), (PHONE, PHONE)}
    assert {row["person"] for row in db_host.rows("transaction")} == {CUSTOMER}
    assert unapplied(db_host) == [DEVICE]
    apply_aliases(db_host)
    assert unapplied(db_host) == []
    assert wrong_people(db_host) == []


def test_the_session_of_the_log_in_itself_changes_with_its_profile(db_host: Host) -> None:
    """With the alias in the same batch or in a later one."""
    write(db_host, an_event(seconds=1))
    write(db_host, an_event(seconds=2, uuid=CUSTOMER, device=DEVICE))
    row = the_session(db_host)
    assert (row["uuid"], row["person"]) == (CUSTOMER, CUSTOMER)
    write(db_host, an_event(seconds=3, id=an_id(3), session=session_of(DEVICE, 2, 3)))
    write(
        db_host,
        an_event(seconds=9, session=session_of(DEVICE, 3, 9)),
        identified=[log_in()],
    )
    assert people(db_host) == {CUSTOMER}
    assert wrong_people(db_host) == []


def test_another_device_and_an_old_cookie_are_the_customer_s_too(db_host: Host) -> None:
    """Two devices log in; then an event has a cookie from before the log-in."""
    write(db_host, an_event(seconds=1), an_event(seconds=2, device=PHONE))
    write(db_host, identified=[log_in(), log_in(anonymous=PHONE)])
    write(db_host, an_event(seconds=9000, session=session_of(DEVICE, 7, 9000)))
    assert len(db_host.rows("session")) == 3
    assert people(db_host) == {CUSTOMER}
    assert wrong_people(db_host) == []


def test_a_former_id_s_sessions_are_the_customer_s(db_host: Host) -> None:
    """And those of its devices, also where the alias of one is written late."""
    add_sessions(db_host, 2)
    write(db_host, an_event(seconds=3, uuid=OTHER, session=session_of(PHONE)))
    write(db_host, identified=[log_in(OTHER)])
    assert people(db_host) == {OTHER}
    write(db_host, identified=[log_in(CUSTOMER, anonymous=None, former=OTHER)])
    assert people(db_host) == {CUSTOMER}
    late = an_event(seconds=4, device=PHONE, session=session_of(PHONE, 2, 4))
    write(db_host, late, identified=[log_in(OTHER, anonymous=PHONE)])
    assert people(db_host) == {CUSTOMER}
    assert wrong_people(db_host) == []
    apply_aliases(db_host)
    assert unapplied(db_host) == []


# The rest, by chores


def test_many_sessions_are_rewritten_in_steps(
    db_host: Host, make: MakeHost, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some with the batch, the rest by chores, which another process continues."""
    monkeypatch.setattr(person, "_CHUNK", 10)
    add_sessions(db_host, 24)
    add_transactions(db_host, 9)
    write(db_host, identified=[log_in()])
    assert len(wrong_people(db_host)) == 23
    assert apply_aliases(db_host, minutes=0.5) == 0
    db_host.clock.advance(minutes=1)
    assert db_host.state.pipeline.writer.apply_aliases() == 10
    assert len(wrong_people(db_host)) == 13
    assert unapplied(db_host) == [DEVICE]
    other = make(url=database_url, create=False)
    assert apply_aliases(other) > 0
    assert wrong_people(db_host) == []
    assert unapplied(db_host) == []
    assert apply_aliases(db_host) == 0


def test_many_aliases_are_applied_in_steps(db_host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each chore's transaction takes some of them."""
    monkeypatch.setattr(person, "_ALIASES", 3)
    strangers = [uuidlib.UUID(int=each, version=4) for each in range(1, 11)]
    for each in strangers:
        write(db_host, an_event(device=each, id=uuidlib.uuid4(), session=session_of(each)))
    add_aliases(db_host, *((each, CUSTOMER) for each in strangers))
    assert apply_aliases(db_host) >= 4
    assert people(db_host) == {CUSTOMER}
    assert unapplied(db_host) == []


def test_the_thread_s_chores_apply_aliases(db_host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """And so does the command of the sweep, where no process is awake."""
    monkeypatch.setattr(person, "_CHUNK", 10)
    add_sessions(db_host, 35)
    write(db_host, identified=[log_in()])
    db_host.clock.advance(minutes=2)
    chores = db_host.state.pipeline.chores
    chores.begin()
    while chores.has_more:
        chores.do_one()
    assert unapplied(db_host) == []
    assert wrong_people(db_host) == []


# At once


@pytest.mark.parametrize("database_url", ["postgresql", "mariadb"], indirect=True)
def test_a_batch_that_does_not_know_of_the_alias_is_found_later(
    db_host: Host, make: MakeHost, database_url: str
) -> None:
    """It has looked before the alias was there, and inserts after it was applied."""
    other = make(url=database_url, create=False)
    reached, go_on = threading.Event(), threading.Event()

    @sa.event.listens_for(other.state.pipeline.database._engine, "before_cursor_execute")
    def hold(connection: object, cursor: object, statement: str, *_: object) -> None:
        if statement.startswith("INSERT INTO eventtrack_session"):
            reached.set()
            go_on.wait(30)

    batch = threading.Thread(target=write, args=(other, an_event(seconds=1)))
    batch.start()
    assert reached.wait(30)
    write(db_host, identified=[log_in()])
    assert apply_aliases(db_host, minutes=0.9) == 0
    go_on.set()
    batch.join(30)
    assert people(db_host) == {DEVICE}
    assert apply_aliases(db_host, minutes=0.2) == 1
    assert people(db_host) == {CUSTOMER}


@pytest.mark.parametrize("database_url", ["postgresql", "mariadb"], indirect=True)
def test_rows_that_another_writer_holds_are_passed_over(db_host: Host) -> None:
    """Nobody waits, and the alias is not done until they are rewritten too."""
    add_sessions(db_host, 3)
    database = db_host.state.pipeline.database
    session = database.tables.session
    held = sa.select(session.c.id).where(session.c.id == session_of(DEVICE, 2).id)
    with database._host.begin() as holder:
        holder.execute(held.with_for_update())
        write(db_host, identified=[log_in()])
        assert [row["id"] for row in wrong_people(db_host)] == [session_of(DEVICE, 2).id]
        assert apply_aliases(db_host) == 0
        assert unapplied(db_host) == [DEVICE]
    assert apply_aliases(db_host) == 1
    assert unapplied(db_host) == wrong_people(db_host) == []


def test_an_order_that_was_committed_late_gets_its_person(db_host: Host) -> None:
    """The host's transaction was open while the alias was applied."""
    write_records(db_host, an_event(seconds=1), log_in())
    apply_aliases(db_host)
    assert unapplied(db_host) == []
    add_transactions(db_host, 1)
    db_host.state.pipeline.sweep()
    [row] = db_host.rows("transaction")
    assert row["person"] == CUSTOMER
    assert row["settled_at"] is not None
