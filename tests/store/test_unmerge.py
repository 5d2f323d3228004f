"""An alias is taken back: whole, interrupted, and beside writers; and with an erasure."""

from __future__ import annotations

import collections.abc as cabc
import concurrent.futures
import threading
import typing as t
import uuid as uuidlib

import pytest
import sqlalchemy as sa
from sqlalchemy import exc

from flask_eventtrack import identify
from flask_eventtrack.ids import uuid4
from flask_eventtrack.store import person
from flask_eventtrack.store.dialects import is_conflict

from ..commands import run
from ..conftest import MakeHost
from ..hosts import Host
from .people import ADA, ADA_UUID, BOB_UUID, STRANGER, forget
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
from .records import DEVICE, an_event, an_id, at, session_of, write, write_records

PHONE = uuidlib.UUID("44444444-4444-4444-8444-444444444444")


class Killed(BaseException):
    """The process ends here."""


def kill_after(host: Host, number: int) -> cabc.Callable[[], None]:
    """Have the writer's transaction fail before its ``number``-th commit; return the end of it."""
    engine, left = host.state.pipeline.database._engine, [number]

    def kill(connection: object) -> None:
        left[0] -= 1
        if not left[0]:
            raise Killed

    sa.event.listen(engine, "commit", kill)
    return lambda: sa.event.remove(engine, "commit", kill)


def test_unmerge_takes_the_touches_back(db_host: Host) -> None:
    """The customer's profile keeps those of the sessions that stay theirs."""
    browser = db_host.client()
    db_host.app.add_url_rule("/in", "log_in", lambda: str(identify("1")))
    browser.get("/?utm_source=letter")
    db_host.clock.advance(hours=1)
    browser.get("/?utm_source=ad")
    browser.get("/in")
    [profile] = db_host.rows("profile")
    assert (profile["first_source"], profile["last_source"]) == ("letter", "ad")
    [alias] = db_host.rows("alias")
    run(db_host, "unmerge", str(alias["anonymous_uuid"]))
    [profile] = db_host.rows("profile")
    assert (profile["first_source"], profile["last_source"]) == ("ad", "ad")


def test_unmerge_gives_everything_back(db_host: Host) -> None:
    """Sessions and transactions of the profile; what the customer did as such stays theirs."""
    add_sessions(db_host, 3)
    add_transactions(db_host, 2)
    write(db_host, an_event(seconds=1, device=PHONE, session=session_of(PHONE)))
    write(db_host, an_event(seconds=2, uuid=CUSTOMER, session=session_of(DEVICE, 9, 2)))
    write(db_host, identified=[log_in(), log_in(anonymous=PHONE)])
    assert people(db_host) == {CUSTOMER}
    assert run(db_host, "unmerge", str(DEVICE)).exit_code == 0
    assert wrong_people(db_host) == []
    assert people(db_host) == {CUSTOMER, DEVICE}
    assert {row["person"] for row in db_host.rows("transaction")} == {DEVICE}
    apply_aliases(db_host)
    assert wrong_people(db_host) == []
    assert run(db_host, "unmerge", str(DEVICE)).exit_code == 1


def test_unmerge_parts_what_led_through_the_profile(db_host: Host) -> None:
    """A device of a former id, whose alias was written late, goes with that id."""
    write(db_host, an_event(seconds=1), an_event(seconds=2, device=PHONE))
    write(db_host, identified=[log_in(OTHER, anonymous=None)])
    write(db_host, identified=[log_in(CUSTOMER, anonymous=None, former=OTHER)])
    write(db_host, identified=[log_in(OTHER, anonymous=DEVICE)])
    write(db_host, an_event(seconds=7, session=session_of(DEVICE, 2, 7)))
    assert CUSTOMER in people(db_host)
    assert run(db_host, "unmerge", str(OTHER)).exit_code == 0
    assert wrong_people(db_host) == []
    assert OTHER in people(db_host)


@pytest.mark.parametrize("commits", [1, 2, 4])
def test_an_interrupted_unmerge_is_repeated(
    db_host: Host, monkeypatch: pytest.MonkeyPatch, commits: int
) -> None:
    """Until its last step the alias is there; the next call goes on from where it was."""
    monkeypatch.setattr(person, "_CHUNK", 10)
    add_sessions(db_host, 34)
    write(db_host, identified=[log_in()])
    apply_aliases(db_host)
    stop = kill_after(db_host, commits)
    with pytest.raises(Killed):
        db_host.state.pipeline.writer.unmerge(DEVICE)
    stop()
    assert len(wrong_people(db_host)) == 10 * (commits - 1)
    assert apply_aliases(db_host, minutes=0.5) == 0  # it may be going on
    assert db_host.state.pipeline.writer.unmerge(DEVICE) == CUSTOMER
    assert people(db_host) == {DEVICE}
    assert db_host.rows("alias") == []


def test_an_unmerge_that_is_given_up_is_undone(
    db_host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The chores apply the alias again: what the tables say is one or the other."""
    monkeypatch.setattr(person, "_CHUNK", 10)
    add_sessions(db_host, 34)
    write(db_host, identified=[log_in()])
    apply_aliases(db_host)
    stop = kill_after(db_host, 3)
    with pytest.raises(Killed):
        db_host.state.pipeline.writer.unmerge(DEVICE)
    stop()
    apply_aliases(db_host)
    assert people(db_host) == {CUSTOMER}
    assert unapplied(db_host) == []


@pytest.mark.parametrize("database_url", ["postgresql", "mariadb"], indirect=True)
def test_unmerge_waits_for_batches_that_know_of_the_alias(
    db_host: Host, make: MakeHost, database_url: str
) -> None:
    """What they insert is given back as well."""
    write(db_host, an_event(seconds=1), identified=[log_in()])
    other = make(url=database_url, create=False)
    reached, go_on = threading.Event(), threading.Event()

    @sa.event.listens_for(other.state.pipeline.database._engine, "before_cursor_execute")
    def hold(connection: object, cursor: object, statement: str, *_: object) -> None:
        if statement.startswith("INSERT INTO eventtrack_session"):
            reached.set()
            go_on.wait(30)

    late = an_event(seconds=3, id=an_id(3), session=session_of(DEVICE, 2, 3))
    batch = threading.Thread(target=write_records, args=(other, late))
    batch.start()
    assert reached.wait(30)
    parting = threading.Thread(target=db_host.state.pipeline.writer.unmerge, args=(DEVICE,))
    parting.start()
    parting.join(0.7)  # it would be over by then if nothing kept it
    assert parting.is_alive()
    go_on.set()
    batch.join(30)
    parting.join(30)
    assert len(db_host.rows("session")) == 2
    assert people(db_host) == {DEVICE}


# Many at once

PAIRS = [tuple(uuidlib.UUID(int=16 * n + k, version=4) for k in (1, 2)) for n in range(1, 41)]


def note_conflicts(host: Host, conflicts: list[BaseException]) -> None:
    """Note the errors after which a transaction is tried again."""

    @sa.event.listens_for(host.state.pipeline.database._engine, "handle_error")
    def note(context: t.Any) -> None:
        error = context.sqlalchemy_exception
        # That another process has inserted the same row is none.
        if not isinstance(error, exc.IntegrityError) and is_conflict(error):
            conflicts.append(error)


def log_in_across(host: Host, together: threading.Barrier, turn: int) -> None:
    """Write of one device, and the log-in of another one, of which the other process writes."""
    for pair in PAIRS:
        mine, theirs = pair[turn], pair[1 - turn]
        event = an_event(seconds=2, id=uuid4(), device=mine, session=session_of(mine))
        together.wait(60)
        write_records(host, event, log_in(uuidlib.uuid5(theirs, "c"), theirs, 2))


def part(host: Host) -> None:
    for pair in PAIRS:
        for each in pair:
            host.state.pipeline.writer.unmerge(each)


def apply_again(host: Host) -> None:
    for _ in range(100):
        host.state.pipeline.writer.apply_aliases()


@pytest.mark.parametrize("database_url", ["postgresql", "mariadb"], indirect=True)
def test_writers_chores_and_unmerges_do_not_deadlock(
    db_host: Host, make: MakeHost, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two processes write of two devices, each also the other's log-in."""
    monkeypatch.setattr(person, "_PAUSE", person._PAUSE * 0)
    hosts = [db_host, *(make(url=database_url, create=False) for _ in range(3))]
    first = [
        an_event(seconds=1, device=each, id=uuid4(), session=session_of(each))
        for pair in PAIRS
        for each in pair
    ]
    write_records(db_host, *first)
    conflicts: list[BaseException] = []
    for host in hosts:
        note_conflicts(host, conflicts)
    together = threading.Barrier(2)
    jobs = [
        lambda: log_in_across(hosts[0], together, 0),
        lambda: log_in_across(hosts[1], together, 1),
        lambda: part(hosts[2]),
        lambda: apply_again(hosts[3]),
    ]
    with concurrent.futures.ThreadPoolExecutor(len(jobs)) as pool:
        for done in [pool.submit(job) for job in jobs]:
            done.result(120)
    assert conflicts == []
    apply_aliases(db_host)
    assert wrong_people(db_host) == []
    assert unapplied(db_host) == []


# Erasure


def test_what_the_person_does_after_an_erasure_is_the_profile_s_own(shop: Host) -> None:
    """A batch that came between saw an alias that is gone afterwards."""
    old = an_event(seconds=1, uuid=STRANGER, session=session_of(STRANGER))
    write_records(shop, old, log_in(ADA_UUID, STRANGER, 2))
    write_records(shop, an_event(seconds=3, uuid=BOB_UUID, session=session_of(DEVICE)))
    shop.clock.advance(seconds=10)
    erasure = shop.state.pipeline.forget([ADA_UUID])
    next(erasure)
    again = an_event(seconds=20, id=an_id(20), uuid=STRANGER, session=session_of(STRANGER, 2, 20))
    write_records(shop, again)
    assert people(shop) == {ADA_UUID, BOB_UUID}
    list(erasure)
    assert people(shop) == {STRANGER, BOB_UUID}
    assert shop.rows("alias") == wrong_people(shop) == []


def test_no_row_keeps_an_erased_person(shop: Host) -> None:
    """Whatever had them as its person, such as a process of an earlier release has left it."""
    write_records(shop, an_event(seconds=1, uuid=STRANGER, session=session_of(STRANGER)))
    write_records(shop, log_in(ADA_UUID, STRANGER, 2))
    shop.clock.advance(seconds=10)
    write_records(shop, an_event(seconds=20, uuid=BOB_UUID, session=session_of(DEVICE, 2, 20)))
    database = shop.state.pipeline.database
    with database.begin() as connection:
        connection.execute(database.tables.session.update().values(person=ADA_UUID))
    forget(shop, ADA)
    assert people(shop) == {BOB_UUID}


def test_late_records_of_an_erased_person_bring_no_person_back(shop: Host) -> None:
    """Neither the log-in nor what was done before it."""
    write_records(shop, an_event(seconds=1, uuid=STRANGER, session=session_of(STRANGER)))
    write_records(shop, log_in(ADA_UUID, STRANGER, 2))
    forget(shop, ADA)
    late = an_event(seconds=3, id=an_id(3), uuid=STRANGER, session=session_of(STRANGER))
    write_records(shop, late, log_in(ADA_UUID, STRANGER, 4))
    shop.clock.advance(seconds=20)
    new = an_event(seconds=25, id=an_id(25), uuid=STRANGER, session=session_of(STRANGER, 3, 25))
    write_records(shop, new)
    assert people(shop) == {STRANGER}
    assert shop.rows("alias") == []


def test_a_log_in_after_the_erasure_is_a_new_alias(shop: Host) -> None:
    """What was done since belongs to the customer again."""
    write_records(shop, an_event(seconds=1, uuid=STRANGER, session=session_of(STRANGER)))
    write_records(shop, log_in(ADA_UUID, STRANGER, 2))
    forget(shop, ADA)
    shop.clock.advance(seconds=20)
    new = an_event(seconds=25, id=an_id(25), uuid=STRANGER, session=session_of(STRANGER, 3, 25))
    write_records(shop, new, log_in(ADA_UUID, STRANGER, 26))
    assert people(shop) == {ADA_UUID}
    assert at(26) == shop.rows("alias")[0]["created_at"]
    assert wrong_people(shop) == []
