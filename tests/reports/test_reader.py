"""The connections of reports: read-only, two at a time, and limited in time."""

from __future__ import annotations

import os
import pathlib
import sqlite3
import threading
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
    "sqlite": "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x FROM n) SELECT sum(x) FROM n",
    "postgresql": "SELECT pg_sleep(30)",
    "mysql": "SELECT sleep(30)",
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
    """The next one reads on the same connection."""
    reports = db_host.state.reports
    with reports.reader.open() as connection:
        endless = ENDLESS[connection.dialect.name]
        with pytest.raises(TimeUp), reports.reader.limited(connection, 0.05):
            connection.execute(sa.text(endless)).all()
        assert connection.scalar(sa.text("SELECT 1")) == 1


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


def test_a_third_report_waits(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """And gives up after some seconds."""
    monkeypatch.setattr(reader, "_PATIENCE", 0.01)
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


def test_a_filter_reads_the_newest_part_within_its_time(
    make: MakeHost, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it could not read is said, and not guessed."""
    host = open_shop(make, clock)
    for day in ("2026-03-05", "2026-09-10", "2026-10-12", "2026-11-10"):
        Visitor(host).see("/", f"{day} 12:00")
    go_to(clock, "2026-11-20 12:00")
    host.flush()
    reads = iter([False] * 5 + [True])
    read = scan.read_sessions

    def read_some(*args: t.Any, **options: t.Any) -> None:
        if next(reads):
            raise TimeUp
        read(*args, **options)

    monkeypatch.setattr(scan, "read_sessions", read_some)
    reports = host.state.reports
    found = reports.overview(reports.period("year"), Filter.parse(["is:device_type:desktop"]))
    assert found.cut is not None
    assert found.cut.sentence == "of the last 3 of 11 months"
    assert found.cut.since.date().isoformat() == "2026-09-01"
    assert (found.numbers.sessions, found.numbers.visitors, found.before) == (3, 3, None)


def test_nothing_read_is_said_too(
    make: MakeHost, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Instead of zeros without a word."""
    host = open_shop(make, clock)
    Visitor(host).see("/")
    host.flush()
    monkeypatch.setattr(counting, "SCAN_SECONDS", -1.0)
    reports = host.state.reports
    found = reports.overview(reports.period("30d"), Filter.parse(["is:device_type:desktop"]))
    assert found.cut is not None
    assert (found.cut.sentence, found.numbers.sessions) == ("of the last 0 of 30 days", 0)
