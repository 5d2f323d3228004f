"""The connections of reports: read-only, two at a time, and limited in time."""

from __future__ import annotations

import functools
import os
import pathlib
import sqlite3
import threading
import types
import typing as t

import pytest
import sqlalchemy as sa

from flask_eventtrack.errors import ConfigError, ReportUnavailable, TooBusy
from flask_eventtrack.reports import counting, reader, scan
from flask_eventtrack.reports.filters import Filter
from flask_eventtrack.store.reading import TimeUp

from ..conftest import MakeHost, create_tables
from ..hosts import FakeClock, Host
from .visits import Visitor, go_to, open_shop

ENDLESS = {
    "sqlite": "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x FROM n LIMIT 9999999) "
    "SELECT sum(x) FROM n",
    "postgresql": "SELECT pg_sleep(30)",
    "mysql": "SELECT sleep(30)",
}
#: What takes about a tenth of a second.
SLOW = {
    "sqlite": ENDLESS["sqlite"].replace("9999999", "999999"),
    "postgresql": "SELECT pg_sleep(0.1)",
    "mysql": "SELECT sleep(0.1)",
}


def sessions(host: Host) -> int:
    reports = host.state.reports
    return reports.overview(reports.period("7d")).numbers.sessions


def test_reports_cannot_write(db_host: Host) -> None:
    """Whatever they execute."""
    table = db_host.state.reports.reader.tables.closed
    with db_host.state.reports.reader.open() as connection, pytest.raises(sa.exc.DBAPIError):
        connection.execute(table.delete())
    assert sessions(db_host) == 0  # the connection goes on


def test_a_report_sees_one_moment(db_host: Host) -> None:
    """What is written while it reads is not part of it."""
    reports = db_host.state.reports
    Visitor(db_host).see("/")
    db_host.flush()
    count = sa.select(sa.func.count()).select_from(reports.reader.tables.session)
    with reports.reader.open() as connection:
        assert connection.scalar(count) == 1
        Visitor(db_host).see("/")
        db_host.flush()
        assert connection.scalar(count) == 1
    assert sessions(db_host) == 2


def test_a_statement_is_stopped_and_the_snapshot_stays(db_host: Host) -> None:
    """The next ones read on the same connection, and have the usual time."""
    reports = db_host.state.reports
    with reports.reader.open() as connection:
        endless, slow = (sa.text(each[connection.dialect.name]) for each in (ENDLESS, SLOW))
        with pytest.raises(TimeUp), reports.reader.limited(connection, 0.05):
            connection.execute(endless).all()
        connection.execute(slow).all()
        with reports.reader.limited(connection, 0.05):
            assert connection.scalar(sa.text("SELECT 1")) == 1
        connection.execute(slow).all()


def test_a_report_that_takes_too_long_is_stopped(
    db_host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of its statements has a limit from the beginning."""
    monkeypatch.setattr(reader, "STATEMENT_SECONDS", 0.05)
    with (
        pytest.raises(ReportUnavailable, match=r"did not answer a report within 0\.05 s"),
        db_host.state.reports.reader.open() as connection,
    ):
        connection.execute(sa.text(ENDLESS[connection.dialect.name])).all()


def test_a_mistake_in_a_statement_is_no_cut(host: Host) -> None:
    """Only what took too long is said to be left out."""
    with (
        pytest.raises(ReportUnavailable, match="syntax error"),
        host.state.reports.reader.open() as connection,
        host.state.reports.reader.limited(connection, 1),
    ):
        connection.execute(sa.text("SELEC 1"))


def test_a_third_report_waits(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """And gives up after some seconds."""
    impatient = functools.partialmethod(reader.Reader.open, patience=0.01)
    monkeypatch.setattr(reader.Reader, "open", impatient)
    reports = host.state.reports
    both = reports.reader.open(), reports.reader.open()
    with both[0], both[1], pytest.raises(TooBusy, match="Two reports are running already"):
        sessions(host)
    assert sessions(host) == 0


def test_an_interrupted_report_leaves_its_place(host: Host) -> None:
    """An error inside it frees the connection."""
    for _ in range(3):
        with pytest.raises(ZeroDivisionError), host.state.reports.reader.open():
            raise ZeroDivisionError
    assert sessions(host) == 0


def test_missing_tables_are_explained(make: MakeHost) -> None:
    """With what to do about it."""
    host = make(create=False)
    with pytest.raises(ReportUnavailable, match="run 'flask eventtrack upgrade'"):
        sessions(host)
    create_tables(host)
    assert sessions(host) == 0


def test_a_locked_file_is_explained(
    host: Host, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The report waits for the lock first."""
    monkeypatch.setattr("flask_eventtrack.store.reading._BUSY_TIMEOUT_MS", 10)
    lock = sqlite3.connect(tmp_path / "host0.db", isolation_level=None)
    lock.execute("PRAGMA locking_mode = EXCLUSIVE")
    lock.execute("BEGIN EXCLUSIVE")
    with pytest.raises(ReportUnavailable, match="does not answer: OperationalError: database is l"):
        sessions(host)
    lock.close()
    assert sessions(host) == 0


def test_a_database_in_memory_is_read_by_the_hosts_connection(make: MakeHost) -> None:
    """There is no other; what waits is written first."""
    host = make(url="sqlite://", create=True)
    Visitor(host).see("/")
    assert sessions(host) == 1


def test_reports_may_read_from_a_replica(make: MakeHost, tmp_path: pathlib.Path) -> None:
    """It is a bind with the same tables."""
    replica = f"sqlite:///{tmp_path / 'replica.db'}"
    config = {"SQLALCHEMY_BINDS": {"replica": replica}, "EVENTTRACK_REPORTS_BIND_KEY": "replica"}
    host = make(config, create=False)
    create_tables(host)
    Visitor(host).see("/")
    host.flush()
    with pytest.raises(ReportUnavailable, match="The tables of this release are missing"):
        sessions(host)
    with host.app.app_context():
        host.db.metadatas[None].create_all(host.db.engines["replica"])
    assert sessions(host) == 0


def test_an_unknown_replica_is_refused(make: MakeHost) -> None:
    """When the app starts."""
    with pytest.raises(ConfigError, match="EVENTTRACK_REPORTS_BIND_KEY 'replica' is not in SQLALC"):
        make({"EVENTTRACK_REPORTS_BIND_KEY": "replica"})


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_fork_opens_connections_of_its_own(host: Host) -> None:
    """Those of the parent stay open for the parent."""
    Visitor(host).see("/")
    host.flush()
    assert sessions(host) == 1
    ends = os.pipe()
    child = os.fork()
    if not child:
        os.write(ends[1], bytes([sessions(host)]))
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert os.read(ends[0], 1) == b"\x01"
    for end in ends:
        os.close(end)
    assert sessions(host) == 1


def test_reports_of_two_threads_do_not_share_a_connection(host: Host) -> None:
    """Each one has its own snapshot."""
    found: list[int] = []
    threads = [threading.Thread(target=lambda: found.append(sessions(host))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [0, 0]


@pytest.mark.parametrize(
    ("number", "sentence", "since", "sessions"),
    [
        (5, "of the last 3 of 11 months", "2026-09-01", 3),
        (2, "of the last 7 of 324 days", "2026-11-14", 0),
    ],
)
def test_a_filter_reads_the_newest_part_within_its_time(
    make: MakeHost,
    clock: FakeClock,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    sentence: str,
    since: str,
    sessions: int,
) -> None:
    """What it could not read is said, and not guessed."""
    host = open_shop(make, clock)
    for day in ("2026-03-05", "2026-09-10", "2026-10-12", "2026-11-10"):
        Visitor(host).see("/", f"{day} 12:00")
    go_to(clock, "2026-11-20 12:00")
    host.flush()
    reads = iter([False] * number + [True])
    read = scan.read_sessions

    def read_some(*args: t.Any, **options: t.Any) -> None:
        if next(reads):
            raise TimeUp
        read(*args, **options)

    monkeypatch.setattr(scan, "read_sessions", read_some)
    monkeypatch.setattr(counting, "PART_SECONDS", 0)
    reports = host.state.reports
    found = reports.overview(reports.period("year"), Filter.parse(["is:device_type:desktop"]))
    assert found.cut is not None
    assert found.cut.sentence == sentence
    assert found.cut.since.date().isoformat() == since
    numbers = found.numbers
    assert (numbers.sessions, numbers.visitors, found.before) == (sessions, sessions, None)


@pytest.mark.parametrize(
    ("number", "seconds", "following"), [(1, 0.01, 2), (4, 0.2, 5), (4, 0.5, 2), (4, 3, 1)]
)
def test_parts_grow_where_little_is_read(number: int, seconds: float, following: int) -> None:
    """And shrink before a single one takes the time that is left."""
    assert counting._next_number(number, seconds, 0.25) == following


def test_the_time_is_over_while_rows_are_added(
    make: MakeHost, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No database limits that: each of its statements has the time for itself."""
    host = open_shop(make, clock)
    Visitor(host).see("/")
    host.flush()
    late = types.SimpleNamespace(monotonic=lambda: float("inf"))
    monkeypatch.setattr(scan, "time", late)
    reports = host.state.reports
    found = reports.overview(reports.period("30d"), Filter.parse(["is:device_type:desktop"]))
    assert found.cut is not None


@pytest.mark.parametrize(
    ("days", "texts"), [("30", ["is:device_type:desktop"]), ("90", [])], ids=["filter", "no filter"]
)
def test_nothing_read_is_said_too(
    make: MakeHost,
    clock: FakeClock,
    monkeypatch: pytest.MonkeyPatch,
    days: str,
    texts: list[str],
) -> None:
    """Instead of zeros without a word; also where many days are not closed yet."""
    host = open_shop(make, clock)
    Visitor(host).see("/")
    host.flush()
    monkeypatch.setattr(counting, "SCAN_SECONDS", -1.0)
    monkeypatch.setattr(scan, "read_sessions", None)  # no part is begun
    reports = host.state.reports
    found = reports.overview(reports.period(f"{days}d"), Filter.parse(texts))
    assert found.cut is not None
    expected = f"of the last 0 of {days} days"
    assert (found.cut.sentence, found.numbers.sessions) == (expected, 0)
