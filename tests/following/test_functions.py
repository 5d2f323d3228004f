"""Functions on events are called once for each stored event, in order, and again if they fail."""

from __future__ import annotations

import collections
import random
import subprocess
import sys
import typing as t
import uuid as uuidlib

import msgspec
import pytest
import sqlalchemy as sa

from flask_eventtrack import EventTrack, StoredEvent, errors, identify, track
from flask_eventtrack.pipeline import following
from flask_eventtrack.store.changes import newest_position
from flask_eventtrack.store.engine import Database
from flask_eventtrack.store.fast_rows import insert_rows, update_rows
from flask_eventtrack.store.rows import EventRow, row_of

from ..conftest import MakeHost
from ..hosts import NAVIGATION, SAME_ORIGIN, Host
from ..pipeline.waiting import ROOT, wait_until
from ..store.copies import LOG
from ..store.halves import BROWSER, RELOADED, RESHOWN, SERVER
from ..store.records import an_event, write_records
from .told import Told, open_shop, read, ship
from .told import row_of as follower_row

#: With threads, which look all the time.
LIVE = {**LOG, "TESTING": False, "EVENTTRACK_FLUSH_INTERVAL": 0.01}


def take_over(host: Host) -> None:
    """Go on as another process would."""
    host.state.pipeline._stop_follower(0)


# What is told


def test_each_stored_event_is_told_once(make: MakeHost, database_url: str) -> None:
    """From the server, a browser, a page and a transaction of the host."""
    host, told = open_shop(make, url=database_url), Told()
    host.events.on("*", told, name="told")
    client = host.client()
    client.get("/", headers=NAVIGATION)
    body = {"action": "order.ship", "params": {"number": 2}}
    assert client.post("/_et/in", json=body, headers=SAME_ORIGIN).status_code == 202
    ship(host, 1)
    with host.app.app_context():
        track("order.ship", {"number": 3}, customer="8", in_transaction=True)
        host.db.session.commit()
    host.flush()
    host.flush()
    stored = {row["id"]: row for row in host.rows("event")}
    assert sorted(event.id for event in told) == sorted(stored)
    assert {event.action for event in told} == {"session.start", "page.visit", "order.ship"}
    for event in told:
        row = stored[event.id]
        names = ("action", "time", "params", "uuid", "session_id", "site", "url_rule", "source")
        assert [getattr(event, name) for name in names] == [row[name] for name in names]
    sources = {event.params.get("number"): event.source for event in told}
    assert [sources[number] for number in (1, 2, 3)] == ["server", "browser", "server"]
    assert {event.label for event in told if event.action == "order.ship"} == {"Order: ship"}


def test_an_anonymous_event_names_who_they_became(make: MakeHost, database_url: str) -> None:
    """If they have logged in before it is told."""
    host, told = open_shop(make, url=database_url), Told()

    @host.app.get("/log-in")
    def log_in() -> str:
        identify("9")
        return ""

    host.events.on("order.*", told, name="told")
    client = host.client()
    client.get("/", headers=NAVIGATION)
    body = {"action": "order.ship", "params": {"number": 2}}
    client.post("/_et/in", json=body, headers=SAME_ORIGIN)
    client.get("/log-in")
    host.flush()
    ship(host, 3, customer="9")
    ship(host, 4, customer="never seen")
    host.flush()
    assert [event.customer_id for event in told] == ["9", "9", None]


@pytest.mark.parametrize(
    ("pattern", "numbers"),
    [("order.ship", [1]), ("order.*", [1]), ("other.*", [2]), ("*", [1, 2]), ("order", [])],
)
def test_a_pattern_says_which_events(make: MakeHost, pattern: str, numbers: list[int]) -> None:
    """An action, a prefix or all."""
    host, told = open_shop(make), Told()
    host.events.on(pattern, told, name="told")
    ship(host, 1)
    ship(host, 2, action="other.thing")
    host.flush()
    assert sorted(number for number in told.numbers if number) == numbers


def test_letter_case_counts(make: MakeHost, database_url: str) -> None:
    """Whatever the database takes for equal."""
    host, told = open_shop(make, url=database_url), Told()
    host.events.define("Order.ship")
    host.events.on("order.*", told, name="told")
    ship(host, 1, action="Order.ship")
    ship(host, 2)
    host.flush()
    assert told.numbers == [2]


@pytest.mark.parametrize("is_read", [(), (0,), (1,), (0, 1), (0, 1, 2)])
def test_a_joined_visit_is_told_once(
    make: MakeHost, database_url: str, is_read: tuple[int, ...]
) -> None:
    """Whether it is read before its browser joins it or after, and by whichever process."""
    host, told = open_shop(make, url=database_url), Told()
    host.events.on("page.visit", told, name="told")
    for number, record in enumerate((SERVER, an_event(seconds=3), BROWSER)):
        write_records(host, record)
        if number in is_read:
            host.flush()
            take_over(host)
    host.flush()
    assert [event.id for event in told] == [SERVER.id]
    assert (told[0].params["title"] == "As shown") == (0 not in is_read and 1 not in is_read)


@pytest.mark.parametrize("is_read", [False, True])
def test_a_visit_that_gets_another_id_is_told_once(
    make: MakeHost, database_url: str, *, is_read: bool
) -> None:
    """The browser's half was stored under its own."""
    host, told = open_shop(make, url=database_url), Told()
    host.events.on("page.visit", told, name="told")
    write_records(host, SERVER, BROWSER)
    write_records(host, RESHOWN)
    if is_read:
        host.flush()
        take_over(host)
    write_records(host, RELOADED)
    host.flush()
    assert len(told) == 2
    assert {event.id for event in told} == {SERVER.id, RESHOWN.id if is_read else RELOADED.id}


def a_row(number: int) -> EventRow:
    event = an_event("order.ship", id=uuidlib.uuid4(), params={"number": number})
    return row_of(event, event.received_at)


class Flaky:
    """A function that fails each fifth time, and counts what it was called with."""

    def __init__(self) -> None:
        self.told, self.calls = collections.Counter[t.Any](), 0

    def __call__(self, event: StoredEvent) -> None:
        self.calls += 1
        if self.calls % 5 == 0:
            raise RuntimeError
        self.told[event.params["number"]] += 1


class Changes:
    """Transactions that insert some rows and change others, at random."""

    def __init__(self, database: Database, rng: random.Random) -> None:
        self.table, self.rng = database.tables.event, rng
        self.known = list[EventRow]()

    def write(self, connection: sa.Connection) -> None:
        known, rng = self.known, self.rng
        rows = [a_row(len(known) + n) for n in range(rng.randrange(3))]
        insert_rows(connection, self.table, rows)
        some = sorted(rng.sample(known, min(len(known), rng.randrange(4))), key=lambda row: row.id)
        changed = [msgspec.structs.replace(row, label="changed") for row in some]
        update_rows(connection, self.table, ("label",), changed)
        known.extend(rows)


def flush(host: Host) -> bool:
    """Return whether no function has failed."""
    try:
        host.flush()
    except RuntimeError:
        return False
    return True


@pytest.mark.parametrize("at_once", [1, 3, 20])
@pytest.mark.parametrize("takes_over", [False, True])
def test_changed_rows_and_a_reader_at_random(
    make: MakeHost,
    database_url: str,
    monkeypatch: pytest.MonkeyPatch,
    at_once: int,
    *,
    takes_over: bool,
) -> None:
    """However far behind it is: each event once; never none, if another process takes over."""
    monkeypatch.setattr(following, "_AT_ONCE", at_once)
    host, rng, note = open_shop(make, url=database_url), random.Random(at_once), Flaky()
    database = host.state.pipeline.database
    changes = Changes(database, rng)
    host.events.on("order.*", note, name="told")
    for _ in range(40):
        for _ in range(rng.randrange(1, 8)):
            database.retry(changes.write)
        if not flush(host) and takes_over and rng.random() < 0.3:
            take_over(host)
    while not flush(host):
        pass
    assert set(note.told) == set(range(len(changes.known)))
    # Each of these leaves a reader that is behind.
    most = 2.5 if takes_over else 1
    assert note.told.total() <= most * len(changes.known)


# In order, and again


def test_a_failure_holds_up_the_later_events_of_its_function_alone(
    make: MakeHost, database_url: str
) -> None:
    """It is tried again after 1 second, then 2; the row says so meanwhile."""
    host, told, other = open_shop(make, LIVE, url=database_url), Told(), Told()
    host.events.on("order.*", told, name="told")
    host.events.on("order.*", other, name="other")
    started(host, other)
    told.fails_for = {2}
    ship(host, 1, 2)
    ship(host, 3)
    wait_until(lambda: other.numbers[1:] == [1, 2, 3] and follower_row(host)["tries"] == 1)
    assert told.numbers[1:] == [1]
    row = follower_row(host)
    assert row["error"] == "RuntimeError: cannot send 2 to [email]"
    assert row["failed_at"] == host.clock.moment
    host.clock.advance(seconds=1)
    wait_until(lambda: follower_row(host)["tries"] == 2)
    calls = told.calls
    host.clock.advance(seconds=1)
    ship(host, 4)
    wait_until(lambda: other.numbers[1:] == [1, 2, 3, 4])
    assert told.calls == calls
    told.fails_for = set()
    host.clock.advance(seconds=1)
    wait_until(lambda: told.numbers[1:] == [1, 2, 3, 4])
    wait_until(lambda: follower_row(host)["tries"] == 0)


def started(host: Host, told: Told) -> None:
    """Wait until the threads have made the positions: an event of theirs comes back."""
    host.client().get("/")
    wait_until(lambda: len(read(host)) == len(host.events._callbacks.functions.list()))  # type: ignore[union-attr]
    ship(host, 0)
    wait_until(lambda: told.numbers == [0])


def test_an_event_is_given_up_after_some_tries(
    make: MakeHost, database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Counted, and logged with what the function raised; the next ones follow."""
    host, told = open_shop(make, LIVE, url=database_url), Told()
    host.events.on("order.*", told, name="told", tries=3)
    started(host, told)
    told.fails_for = {1}
    ship(host, 1, 2)
    for tries in (1, 2):
        wait_until(lambda tries=tries: follower_row(host)["tries"] == tries)  # type: ignore[misc]
        host.clock.advance(minutes=5)
    wait_until(lambda: told.numbers == [0, 2])
    wait_until(lambda: follower_row(host)["tries"] == 0)
    assert follower_row(host)["given_up"] == 1
    assert told.calls == 5
    logged = [each for each in caplog.records if "given up" in each.message]
    assert len(logged) == 1
    assert logged[0].exc_info is not None
    assert "order.ship" in logged[0].message


def test_the_wait_doubles_up_to_five_minutes(make: MakeHost) -> None:
    """And twelve tries take about half an hour."""
    host, told = open_shop(make), Told()
    told.fails_for = {1}
    host.events.on("order.*", told, name="told")
    ship(host, 1)
    waits = list[float]()
    for _ in range(11):
        with pytest.raises(RuntimeError):
            host.flush()
        retry_at = follower_row(host)["retry_at"]
        waits.append((retry_at - host.clock.moment).total_seconds())
    assert waits == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]
    assert 15 * 60 < sum(waits) < 31 * 60
    with pytest.raises(RuntimeError):
        host.flush()
    host.flush()
    assert follower_row(host)["given_up"] == 1


# Where it begins


def test_a_new_name_begins_at_the_end(make: MakeHost, database_url: str) -> None:
    """What was stored before is not told."""
    host, told = open_shop(make, LIVE, url=database_url), Told()
    ship(host, 7, 8)
    host.flush()
    host.events.on("order.*", told, name="told")
    started(host, told)
    assert told.numbers == [0]


def test_a_function_that_no_event_fits_is_not_behind(
    make: MakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its position is noted, though later: it is at the end of the log."""
    monkeypatch.setattr(following, "_NOTED_EVERY", 0.5)
    host, told = open_shop(make, LIVE), Told()
    host.events.on("order.*", told, name="told")
    started(host, told)
    for number in range(3):
        ship(host, number, action="other.thing")
        host.flush()
    database = host.state.pipeline.database
    with database.read() as connection:
        newest = newest_position(connection, database.tables)
    wait_until(lambda: follower_row(host)["position"] >= newest)


def test_a_log_that_cannot_tell_all_is_passed_over(
    make: MakeHost, database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The function goes on with new events, and the log and the row say so."""
    host, told = open_shop(make, url=database_url), Told()
    host.events.on("order.*", told, name="told")
    ship(host, 1)
    host.flush()
    ship(host, 2)
    host.state.pipeline.flush()
    database = host.state.pipeline.database
    commit = database.tables.commit
    assert commit is not None
    database.retry(lambda connection: connection.execute(commit.delete().where(commit.c.seq == 2)))
    ship(host, 3)
    host.flush()
    assert follower_row(host)["missed_at"] == host.clock.moment
    ship(host, 4)
    host.flush()
    assert told.numbers == [1, 4]
    assert "goes on with new ones: The commit log no longer has" in caplog.text


def test_a_restored_backup_is_passed_over(make: MakeHost, database_url: str) -> None:
    """The position is behind the end of the log."""
    host, told = open_shop(make, url=database_url), Told()
    host.events.on("order.*", told, name="told")
    ship(host, 1)
    host.flush()
    database = host.state.pipeline.database
    table = database.tables.follower
    assert table is not None
    later = table.update().values(position=50, newest=50)
    database.retry(lambda connection: connection.execute(later))
    ship(host, 2)
    host.flush()
    ship(host, 3)
    host.flush()
    assert told.numbers == [1, 3]


# The function


def test_a_function_runs_in_an_app_context_without_a_transaction(
    make: MakeHost, database_url: str
) -> None:
    """So that it may use the host's database, and record events of its own."""
    host, seen = open_shop(make, LIVE, url=database_url), list[t.Any]()

    @host.events.on("order.ship", name="told")
    def answer(event: StoredEvent) -> None:
        host.db.session.execute(sa.text("SELECT 1"))
        track("other.thing", {"number": event.params["number"]}, customer="7")
        host.events.flush(10)
        seen.append(event)

    host.client().get("/")
    wait_until(lambda: len(read(host)) == 1)
    ship(host, 1)
    wait_until(lambda: bool(seen))
    assert [row["params"] for row in host.events_of("other.thing")] == [{"number": 1}]
    with pytest.raises(AttributeError):
        seen[0].action = "changed"


def test_a_function_may_flush_in_a_test(make: MakeHost) -> None:
    """It is not called again from within."""
    host, told = open_shop(make), Told()

    @host.events.on("order.ship", name="told")
    def answer(event: StoredEvent) -> None:
        host.events.flush()
        told.append(event)

    ship(host, 1, 2)
    host.flush()
    assert told.numbers == [1, 2]


def test_in_memory_functions_run_with_the_flush(make: MakeHost) -> None:
    """There is no thread."""
    host, told = open_shop(make, {"TESTING": False}, url="sqlite://"), Told()
    host.events.on("order.*", told, name="told")
    ship(host, 1)
    assert told.numbers == []
    host.flush()
    assert told.numbers == [1]


def test_a_capture_that_writes_runs_them(make: MakeHost) -> None:
    """One that does not write has nothing to tell."""
    host, told = open_shop(make), Told()
    host.events.on("order.*", told, name="told")
    with host.events.capture(write=True):
        ship(host, 1)
        host.flush()
    with host.events.capture():
        ship(host, 2)
        host.flush()
    ship(host, 3)
    host.flush()
    assert told.numbers == [1, 3]


# Mistakes


@pytest.mark.parametrize("pattern", ["", "order*", "*.ship", "order.**", "a b", 3, "x" * 33])
def test_a_malformed_pattern_is_refused(pattern: t.Any) -> None:
    """The message says what a pattern is."""
    with pytest.raises(errors.InvalidDefinition, match=r"a prefix such as 'order\.\*'"):
        EventTrack().on(pattern, print)


def test_names_are_unique_and_lasting() -> None:
    """A position is found again by them."""
    events, told = EventTrack(), Told()
    on: t.Any = events.on
    on("order.*", told, name="told")
    with pytest.raises(errors.InvalidDefinition, match="a function of the name 'told' already"):
        on("other.*", told, name="told")
    with pytest.raises(errors.InvalidDefinition, match="has no name by which its position"):
        on("order.*", lambda event: None)
    for name in ("", "x" * 256, "a\nb", 3):
        with pytest.raises(errors.InvalidDefinition, match="name is a text of 1 to 255"):
            on("order.*", told, name=name)
    for tries in (0, 1001, True, 2.5):
        with pytest.raises(errors.InvalidDefinition, match="tries is a number from 1 to 1000"):
            on("order.*", told, name="other", tries=tries)
    with pytest.raises(errors.InvalidDefinition, match="cannot be called"):
        on("order.*", 3)
    assert on("order.*")(ship) is ship
    functions = events._callbacks.functions
    assert functions is not None
    assert functions.list()[1].name == "tests.following.told:ship"


def test_it_needs_the_commit_log(make: MakeHost) -> None:
    """Whichever comes first, on() or init_app()."""
    events, told = EventTrack(), Told()
    events.on("order.*", told, name="told")
    with pytest.raises(errors.ConfigError, match="set EVENTTRACK_COMMIT_LOG to True"):
        make(events=events)
    host = make()
    with pytest.raises(errors.ConfigError, match="set EVENTTRACK_COMMIT_LOG to True"):
        host.events.on("order.*", told, name="told")
    assert host.events._callbacks.functions is None


@pytest.mark.parametrize("log", [False, True])
def test_without_functions_nothing_is_there(make: MakeHost, *, log: bool) -> None:
    """No module, no thread; and without the log no table."""
    host = make({"EVENTTRACK_COMMIT_LOG": log})
    with host.state.pipeline.database.read() as connection:
        assert sa.inspect(connection).has_table("eventtrack_follower") is log
    script = """
import sys, threading
from tests.hosts import NAVIGATION, make_host
host = make_host(sys.argv[1], {"EVENTTRACK_COMMIT_LOG": sys.argv[2] == "True", "TESTING": False})
host.client().get("/", headers=NAVIGATION)
host.flush()
used = [name for name in sys.modules if name.split(".")[-1] in
        {"following", "functions", "followers", "held", "new_events"} and "eventtrack" in name]
print(sorted(used), sorted(thread.name for thread in threading.enumerate()))
"""
    done = subprocess.run(
        [sys.executable, "-c", script, host.app.config["SQLALCHEMY_DATABASE_URI"], str(log)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout == "[] ['MainThread', 'eventtrack-writer']\n"
