"""What the command copies, removes, goes on with and refuses."""

from __future__ import annotations

import datetime as dt
import pathlib
import sys
import typing as t

import pytest

from flask_eventtrack import track
from flask_eventtrack.clickhouse import copying
from flask_eventtrack.clickhouse.copying import Copier
from flask_eventtrack.clickhouse.notes import Notes
from flask_eventtrack.clickhouse.server import Server
from flask_eventtrack.store.commit_log import KEPT_FOR
from flask_eventtrack.store.revenue import erase_transactions

from ..archive.conftest import open_logging_host
from ..commands import run
from ..conftest import MakeHost
from ..dashboard.test_hostile import HOSTILE
from ..hosts import Host
from ..store.copies import LOG
from ..store.orders import a_charge
from ..store.people import ADA_UUID, forget
from ..store.persons import apply_aliases, log_in
from ..store.records import DEVICE, an_event, session_of, write_records
from .copies import ClickHouse, assert_equal, copy
from .server import PASSWORD

A_DAY = 86_400
HERS: dict[str, t.Any] = {"uuid": ADA_UUID, "session": session_of(ADA_UUID)}


def add(host: Host, number: int = 1, *, first: int = 0, **fields: t.Any) -> None:
    for second in range(first, first + number):
        write_records(host, an_event(seconds=second, **fields))


def kill(*arguments: object) -> t.NoReturn:
    raise KeyboardInterrupt


def number_of(clickhouse: ClickHouse, table: str = "eventtrack_event") -> int:
    [(number,)] = clickhouse.rows(f"SELECT count() FROM {table} FINAL")
    return int(number)


# What is in the tables


def test_hostile_texts_stay_texts(logging_host: Host, clickhouse: ClickHouse) -> None:
    """Quotes, line ends, escapes and markup, from the tables and from the log."""
    for _ in range(2):
        with logging_host.app.app_context():
            for label in (*HOSTILE, "\u2028", "'; DROP TABLE eventtrack_event; --", "NULL", "\\N"):
                track("order.ship", {"note": label[:99]}, label=label or None, customer="=7")
        copy(logging_host, clickhouse)
        assert_equal(logging_host, clickhouse)


def test_in_memory_too(make: MakeHost, clickhouse: ClickHouse, tmp_path: pathlib.Path) -> None:
    """Where the host has the only connection."""
    host = open_logging_host(make, "sqlite://", tmp_path, **LOG)
    add(host, 2)
    copy(host, clickhouse)
    add(host, first=5)
    copy(host, clickhouse)
    assert_equal(host, clickhouse)


def test_what_the_host_s_transaction_wrote_waits(log_host: Host, clickhouse: ClickHouse) -> None:
    """Until the writer has counted it: its moment still changes."""
    with log_host.app.app_context():
        track("order.ship", customer="7", in_transaction=True)
        log_host.db.session.commit()
    assert run(log_host, "copy", "--to", clickhouse.url).exit_code == 0
    assert number_of(clickhouse) == 0
    copy(log_host, clickhouse)
    assert_equal(log_host, clickhouse)
    assert number_of(clickhouse) == 1


def test_large_tables_are_copied_in_parts(
    log_host: Host, clickhouse: ClickHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And many transactions."""
    monkeypatch.setattr(copying, "ROWS", 3)
    monkeypatch.setattr(copying, "TRANSACTIONS", 2)
    add(log_host, 10)
    copy(log_host, clickhouse)
    add(log_host, 5, first=20)
    assert "6 changed rows written" in copy(log_host, clickhouse)  # one is the session
    assert_equal(log_host, clickhouse)


# People who are erased, and what retention removes


def test_an_erased_person_is_nowhere(logging_host: Host, clickhouse: ClickHouse) -> None:
    """Neither ids nor parameters, also where only queries without FINAL look."""
    for day in range(3):
        hers = an_event(seconds=day * A_DAY + 5, params={"note": f"ada@{day}.example"}, **HERS)
        write_records(logging_host, hers, an_event(seconds=day * A_DAY + 6))
        copy(logging_host, clickhouse)
    texts = ("example", str(ADA_UUID), str(session_of(ADA_UUID).id))
    assert all(text in clickhouse.texts() for text in texts)
    logging_host.clock.advance(days=3)
    forget(logging_host, ADA_UUID)
    assert "anew" not in copy(logging_host, clickhouse)
    assert not any(text in clickhouse.texts() for text in texts)
    assert str(DEVICE) in clickhouse.texts()
    assert_equal(logging_host, clickhouse)


def test_an_order_s_amount_stays_without_its_person(log_host: Host, clickhouse: ClickHouse) -> None:
    """Not in the version of the row from before either."""
    write_records(log_host, a_charge("A-9", seconds=4, device=ADA_UUID))
    copy(log_host, clickhouse)
    assert str(ADA_UUID) in clickhouse.texts()
    log_host.clock.advance(seconds=10)
    forget(log_host, ADA_UUID)
    copy(log_host, clickhouse)
    assert str(ADA_UUID) not in clickhouse.texts()
    assert number_of(clickhouse, "eventtrack_transaction") == 1
    assert_equal(log_host, clickhouse)


def test_an_order_may_lose_its_person_alone(log_host: Host, clickhouse: ClickHouse) -> None:
    """In a transaction that deletes nothing, such as the last one of an erasure."""
    charge = a_charge("A-9", seconds=4, device=ADA_UUID)
    write_records(log_host, charge)
    copy(log_host, clickhouse)
    database = log_host.state.pipeline.database
    with database.begin() as connection:
        erase_transactions(connection, database.tables, [charge.id], keeps=True)
    copy(log_host, clickhouse)
    rows = [row for kind, row in clickhouse.read(final=False) if kind == "transaction"]
    assert [row["uuid"] for row in rows] == [None]


def test_what_is_deleted_and_made_anew_is_there(log_host: Host, clickhouse: ClickHouse) -> None:
    """In one transaction, and with the same key, also if a session begins at another moment."""
    add(log_host, 2)
    copy(log_host, clickhouse)
    database = log_host.state.pipeline.database
    for table in (database.tables.session, database.tables.event):
        [*_, row] = log_host.rows(table.name.removeprefix("eventtrack_"))
        row.pop("batch")
        row.pop("added_in", None)
        if "started_at" in row:
            row["started_at"] += dt.timedelta(seconds=1)
        with database.begin() as connection:
            connection.execute(table.delete().where(table.c.id == row["id"]))
            connection.execute(table.insert().values(**row))
    copy(log_host, clickhouse)
    assert_equal(log_host, clickhouse)


def test_a_session_that_began_earlier_is_there_once(
    log_host: Host, clickhouse: ClickHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the same day, and on days before: also if a run dies there, and once it is erased."""
    insert = Server.insert

    def insert_sessions_and_die(self: Server, table: str, names: t.Any, rows: t.Any) -> None:
        insert(self, table, names, rows)
        if table == "eventtrack_session":
            raise KeyboardInterrupt

    for number, start in enumerate((0, -1, -A_DAY, -3 * A_DAY)):
        session = session_of(ADA_UUID, start=start)
        write_records(log_host, an_event(seconds=number, uuid=ADA_UUID, session=session))
        if number:
            with monkeypatch.context() as patch:
                patch.setattr(Server, "insert", insert_sessions_and_die)
                copy(log_host, clickhouse, code=1)
            assert number_of(clickhouse, "eventtrack_session") == 1
        copy(log_host, clickhouse)
        assert_equal(log_host, clickhouse)
    log_host.clock.advance(seconds=10)
    forget(log_host, ADA_UUID)
    copy(log_host, clickhouse)
    assert number_of(clickhouse, "eventtrack_session") == 0
    assert str(ADA_UUID) not in clickhouse.texts()


def test_a_session_may_begin_earlier_while_the_tables_are_copied(
    log_host: Host, clickhouse: ClickHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The part that is repeated has it on another day."""
    write_records(log_host, an_event(session=session_of(DEVICE)))
    insert = Server.insert

    def insert_and_die(self: Server, table: str, names: t.Any, rows: t.Any) -> None:
        insert(self, table, names, rows)
        if table == "eventtrack_session_new":
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Server, "insert", insert_and_die)
        copy(log_host, clickhouse, code=1)
    write_records(log_host, an_event(seconds=2, session=session_of(DEVICE, start=-A_DAY)))
    copy(log_host, clickhouse)
    assert len(clickhouse.rows("SELECT DISTINCT toDate(started_at) FROM eventtrack_session")) == 2
    assert_equal(log_host, clickhouse)


def test_earlier_versions_do_not_name_them(log_host: Host, clickhouse: ClickHouse) -> None:
    """A session was a customer's for a while, and is no longer when they are erased."""
    add(log_host, 3)
    write_records(log_host, log_in(ADA_UUID))
    apply_aliases(log_host)
    copy(log_host, clickhouse)
    with log_host.app.app_context():
        log_host.state.pipeline.writer.unmerge(DEVICE)
    write_records(log_host, an_event(seconds=9, **HERS))
    copy(log_host, clickhouse)
    assert str(ADA_UUID) in clickhouse.texts()
    log_host.clock.advance(seconds=10)
    forget(log_host, ADA_UUID)
    copy(log_host, clickhouse)
    assert str(ADA_UUID) not in clickhouse.texts()
    assert_equal(log_host, clickhouse)


def test_an_erasure_is_finished_by_the_next_run(
    log_host: Host, clickhouse: ClickHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of one that was killed before it had merged."""
    add(log_host, 3, **HERS)
    copy(log_host, clickhouse)
    log_host.clock.advance(seconds=10)
    forget(log_host, ADA_UUID)
    with monkeypatch.context() as patch:
        patch.setattr(Copier, "merge", kill)
        copy(log_host, clickhouse, code=1)
    assert number_of(clickhouse) == 0
    assert str(session_of(ADA_UUID).id) in clickhouse.texts()
    copy(log_host, clickhouse)
    assert str(session_of(ADA_UUID).id) not in clickhouse.texts()
    assert clickhouse.read(final=False) == []


def test_retention_reaches_it(logging_host: Host, clickhouse: ClickHouse) -> None:
    """Nothing is left of what is past its time, nor of its deletion."""
    add(logging_host, 3, params={"note": "old"})
    logging_host.clock.advance(hours=2)
    logging_host.state.pipeline.sweep()
    copy(logging_host, clickhouse)
    logging_host.clock.advance(days=60)
    assert run(logging_host, "prune", "--yes").exit_code == 0
    add(logging_host, first=60 * A_DAY)
    assert "removed" in copy(logging_host, clickhouse)
    assert_equal(logging_host, clickhouse)
    assert "old" not in clickhouse.texts()
    assert not any(row["is_deleted"] for _, row in clickhouse.read(final=False))


# Interrupted, and begun again


def test_a_run_is_repeated_from_where_it_was_noted(
    log_host: Host, clickhouse: ClickHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was killed between the rows and the note; repeating them changes nothing."""
    copy(log_host, clickhouse)
    add(log_host, 5)
    write = Notes.write
    with monkeypatch.context() as patch:
        patch.setattr(Notes, "write", kill)
        copy(log_host, clickhouse, code=1)
    assert number_of(clickhouse) == 6  # with session.start
    monkeypatch.setattr(Notes, "write", write)
    assert "7 changed rows written" in copy(log_host, clickhouse)
    assert_equal(log_host, clickhouse)
    assert "written" not in copy(log_host, clickhouse)


@pytest.mark.parametrize("erases", [False, True])
def test_the_copying_of_tables_goes_on(
    log_host: Host, clickhouse: ClickHouse, monkeypatch: pytest.MonkeyPatch, *, erases: bool
) -> None:
    """Behind the last rows that were noted; what was erased meanwhile is not in it."""
    monkeypatch.setattr(copying, "ROWS", 4)
    add(log_host, 9, device=ADA_UUID, **HERS)
    add(log_host, 9, first=10)
    pages: list[int] = []
    insert = Server.insert

    def insert_some(self: Server, table: str, names: t.Any, rows: t.Any) -> None:
        insert(self, table, names, rows)
        if table == "eventtrack_event_new":
            pages.append(len(rows))
            if len(pages) == 3:
                raise KeyboardInterrupt

    monkeypatch.setattr(Server, "insert", insert_some)
    copy(log_host, clickhouse, code=1)
    assert pages == [4, 4, 4]
    number = len(log_host.rows("event"))
    log_host.clock.advance(seconds=30)
    if erases:
        forget(log_host, ADA_UUID)
    copy(log_host, clickhouse)
    assert erases or sum(pages[3:]) == number - 8  # the third page was not noted
    assert_equal(log_host, clickhouse)
    assert erases == (str(ADA_UUID) not in clickhouse.texts())


def test_an_interrupted_exchange_begins_anew(
    log_host: Host, clickhouse: ClickHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some tables are new then, and some old: no row of an earlier copy is left."""
    add(log_host, 3, **HERS)
    copy(log_host, clickhouse)
    log_host.clock.advance(seconds=10)
    forget(log_host, ADA_UUID)
    add(log_host, 2, first=20)
    do = Server.run

    def run_some(self: Server, statement: str, **settings: t.Any) -> None:
        do(self, statement, **settings)
        if "EXCHANGE TABLES eventtrack_session " in statement:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Server, "run", run_some)
        copy(log_host, clickhouse, "--anew", code=1)
    said = copy(log_host, clickhouse)
    assert "A run was interrupted while it exchanged the tables." in said
    assert_equal(log_host, clickhouse)
    assert clickhouse.rows("SELECT name FROM system.tables WHERE name LIKE '%_new'") == []


def test_anew_replaces_what_is_there(log_host: Host, clickhouse: ClickHouse) -> None:
    """Also rows that no one knows of."""
    add(log_host, 3)
    copy(log_host, clickhouse)
    clickhouse.run("INSERT INTO eventtrack_session (id) VALUES (generateUUIDv4())")
    assert number_of(clickhouse, "eventtrack_session") == 2
    copy(log_host, clickhouse, "--anew")
    assert_equal(log_host, clickhouse)


# When the log cannot tell


def test_without_the_log_it_says_what_to_set(
    make: MakeHost, clickhouse: ClickHouse, tmp_path: pathlib.Path
) -> None:
    host = open_logging_host(make, f"sqlite:///{tmp_path}/plain.db", tmp_path)
    said = copy(host, clickhouse, code=1)
    assert "set EVENTTRACK_COMMIT_LOG for all processes" in said


def test_all_is_copied_anew_if_the_log_has_ended(log_host: Host, clickhouse: ClickHouse) -> None:
    """After more than the days for which it is kept."""
    log_host.clock.advance(days=-90)  # so that the database's clock is not behind
    add(log_host, 3)
    copy(log_host, clickhouse)
    add(log_host, 2, first=20)
    log_host.clock.advance(days=KEPT_FOR.days + 1)
    while log_host.state.pipeline.database.clean_log(log_host.clock.moment):
        pass
    assert "anew. The commit log no longer has" in copy(log_host, clickhouse)
    assert_equal(log_host, clickhouse)


def test_a_restored_database_is_copied_anew(
    make: MakeHost, clickhouse: ClickHouse, tmp_path: pathlib.Path
) -> None:
    """Although it has as many transactions again as the copy knows."""
    path = tmp_path / "log.db"
    host = open_logging_host(make, f"sqlite:///{path}", tmp_path, **LOG)
    add(host, 2)
    host.state.pipeline.close()
    backup = path.read_bytes()
    add(host, 3, first=10, params={"note": "lost"})
    copy(host, clickhouse)
    host.close()
    for each in tmp_path.glob("log.db*"):
        each.unlink()
    path.write_bytes(backup)
    host = open_logging_host(make, f"sqlite:///{path}", tmp_path, create=False, **LOG)
    add(host, 9, first=40)
    said = copy(host, clickhouse)
    assert "was restored from a backup" in said
    assert "lost" not in clickhouse.texts()
    assert_equal(host, clickhouse)


# What it refuses


def test_the_copy_of_another_database_stays(
    make: MakeHost, clickhouse: ClickHouse, tmp_path: pathlib.Path
) -> None:
    """Unless it is the same one in another place, or is to take its place."""
    first = open_logging_host(make, f"sqlite:///{tmp_path}/one.db", tmp_path / "1", **LOG)
    add(first, 3)
    copy(first, clickhouse)
    other = open_logging_host(make, f"sqlite:///{tmp_path}/two.db", tmp_path / "2", **LOG)
    add(other, 9, first=20)
    assert "It is the copy of another database." in copy(other, clickhouse, code=1)
    assert_equal(first, clickhouse)
    copy(other, clickhouse, "--anew")
    assert_equal(other, clickhouse)


def test_a_moved_database_goes_on(
    make: MakeHost, clickhouse: ClickHouse, tmp_path: pathlib.Path
) -> None:
    """From where it was."""
    old = tmp_path / "old.db"
    host = open_logging_host(make, f"sqlite:///{old}", tmp_path, **LOG)
    add(host, 3)
    copy(host, clickhouse)
    host.close()
    old.rename(tmp_path / "new.db")
    host = open_logging_host(make, f"sqlite:///{tmp_path}/new.db", tmp_path, create=False, **LOG)
    assert "--moved" in copy(host, clickhouse, code=1)
    assert "copied" not in copy(host, clickhouse, "--moved")
    add(host, 2, first=10)
    assert "3 changed rows" in copy(host, clickhouse)
    assert_equal(host, clickhouse)


@pytest.mark.parametrize("options", [[], ["--anew"]])
def test_foreign_tables_stay(log_host: Host, clickhouse: ClickHouse, options: list[str]) -> None:
    clickhouse.run("CREATE TABLE eventtrack_event (id UInt8) ENGINE = MergeTree ORDER BY id")
    said = copy(log_host, clickhouse, *options, code=1)
    assert "It has a table eventtrack_event that no copy has made." in said
    assert clickhouse.rows("SELECT name FROM system.columns WHERE table = 'eventtrack_event'")


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ("ALTER TABLE eventtrack_session DROP COLUMN exit_rule", "has no column 'exit_rule'"),
        ("ALTER TABLE eventtrack_session MODIFY COLUMN pages Int64", "'pages' of eventtrack_sess"),
        ("DROP TABLE eventtrack_transaction SYNC", "The table eventtrack_transaction is gone"),
    ],
)
def test_other_columns_are_reported(
    log_host: Host, clickhouse: ClickHouse, change: str, problem: str
) -> None:
    """With what to do, which works."""
    add(log_host, label="x")
    copy(log_host, clickhouse)
    clickhouse.run(change)
    said = copy(log_host, clickhouse, code=1)
    assert problem in said
    assert "--anew" in said
    copy(log_host, clickhouse, "--anew")
    assert_equal(log_host, clickhouse)


def test_columns_of_one_s_own_may_be_added(log_host: Host, clickhouse: ClickHouse) -> None:
    """Such as one that is made of a parameter."""
    copy(log_host, clickhouse)
    clickhouse.run(
        "ALTER TABLE eventtrack_event ADD COLUMN plan String "
        "MATERIALIZED JSONExtractString(params, 'plan')"
    )
    add(log_host, params={"plan": "gold"})
    copy(log_host, clickhouse)
    query = "SELECT plan FROM eventtrack_event FINAL WHERE action = 'order.ship'"
    assert clickhouse.rows(query) == [("gold",)]


def test_two_copies_at_once_are_refused(
    log_host: Host, clickhouse: ClickHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second one says who is there; the first one goes on."""
    add(log_host, 3)
    said: list[str] = []
    count = Copier.count

    def count_meanwhile(self: Copier) -> int:
        if not said:
            said.append("")
            said[0] = copy(log_host, clickhouse, code=1)
        return count(self)

    monkeypatch.setattr(Copier, "count", count_meanwhile)
    copy(log_host, clickhouse)
    assert "Another copy to these tables is running: process " in said[0]
    assert_equal(log_host, clickhouse)
    copy(log_host, clickhouse)


def test_wrong_places_are_reported(
    log_host: Host, clickhouse: ClickHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a password in the text."""
    name = f"127.0.0.1:{clickhouse.port}/{clickhouse.name}"
    for url, problem in (
        (f"clickhousedb://copier:hush-hush@{name}", "refuses the user or the password"),
        (f"clickhousedb://hush-hush@{name}", "CLICKHOUSE_PASSWORD"),
        (clickhouse.url + "_x", f"no database '{clickhouse.name}_x'. Create it first"),
        ("clickhousedb://u:hush-hush@127.0.0.1:1/x", "does not answer: Connection refused."),
        ("clickhousedb://u:hush-hush@127.0.0.1/", "names no database"),
        ("http://u:hush-hush@127.0.0.1/", "'http' is not clickhousedb."),
        ("hush-hush", "That is no URL."),
    ):
        answer = run(log_host, "copy", "--to", url)
        assert (answer.exit_code, problem in answer.output) == (1, True), answer.output
        assert PASSWORD not in answer.output
        assert "hush-hush" not in answer.output.replace("'hush-hush'", "")
    monkeypatch.setenv("CLICKHOUSE_PASSWORD", PASSWORD)
    url = f"clickhousedb://copier@{name}"
    assert run(log_host, "copy", "--to", url).exit_code == 0


def test_a_missing_package_is_named(
    log_host: Host, clickhouse: ClickHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "clickhouse_connect", None)
    assert 'pip install "Flask-EventTrack[clickhouse]"' in copy(log_host, clickhouse, code=1)


# Compared


def test_an_equal_copy_is_told_so(logging_host: Host, clickhouse: ClickHouse) -> None:
    """It has caught up before."""
    add(logging_host, 3)
    write_records(logging_host, a_charge("A-9", seconds=4))
    copy(logging_host, clickhouse)
    add(logging_host, 2, first=A_DAY)
    said = copy(logging_host, clickhouse, "--verify")
    stored = sum(map(len, clickhouse.copied().values()))
    assert f"The copy equals the tables: {stored} rows of 2 days." in said


def test_differences_are_told(log_host: Host, clickhouse: ClickHouse) -> None:
    """By day and group: missing rows, rows too many, and other sums."""
    add(log_host, 3)
    write_records(log_host, a_charge("A-9", seconds=4))
    copy(log_host, clickhouse)
    clickhouse.run(
        "ALTER TABLE eventtrack_event DELETE WHERE action = 'order.ship' "
        "SETTINGS mutations_sync = 2"
    )
    clickhouse.run(
        "INSERT INTO eventtrack_transaction (id, currency) VALUES (generateUUIDv4(), 'EUR')"
    )
    clickhouse.run(
        "ALTER TABLE eventtrack_session UPDATE pages = pages + 7 WHERE 1 "
        "SETTINGS mutations_sync = 2"
    )
    said = copy(log_host, clickhouse, "--verify", code=1)
    assert "2026-11-21  event  order.ship  rows 3, in the copy 0" in said
    assert "1970-01-01  transaction  EUR  rows 0, in the copy 1" in said
    assert "session  localhost  pages 0, in the copy 7" in said
    assert "The copy differs from the tables" in said
