"""`copy --follow`, what runs beside it, and ClickHouse inside the process."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import pathlib
import signal
import subprocess
import sys
import typing as t

import pytest
import sqlalchemy as sa

from flask_eventtrack.clickhouse import following, notes, server, verifying
from flask_eventtrack.clickhouse.copying import Copier, Wish, open_copy
from flask_eventtrack.clickhouse.following import Follower
from flask_eventtrack.clickhouse.problems import CopyProblem
from flask_eventtrack.ids import uuid4

from ..commands import run
from ..hosts import Host
from ..pipeline.waiting import ROOT, wait_until
from ..store.people import ADA_UUID, forget
from ..store.records import an_event, session_of, write_records
from .copies import ClickHouse, assert_equal, copy, stored

_PROGRAM = """
import sys
from tests.hosts import make_host

host = make_host(sys.argv[1], {"EVENTTRACK_COMMIT_LOG": True}, create=False)
answer = host.app.test_cli_runner().invoke(args=["eventtrack", "copy", *sys.argv[2:]])
host.close()
print(answer.output, answer.exception or "")
sys.exit(answer.exit_code)
"""
AWAY = "clickhousedb://u:p@127.0.0.1:1/x"


@contextlib.contextmanager
def started(host: Host, *arguments: str) -> cabc.Iterator[subprocess.Popen[str]]:
    url = str(host.state.pipeline.database._host.url)
    command = [sys.executable, "-c", _PROGRAM, url, *arguments]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def add(host: Host, seconds: float = 1, **fields: t.Any) -> None:
    write_records(host, an_event(seconds=seconds, **fields))


def is_equal(host: Host, clickhouse: ClickHouse) -> bool:
    return clickhouse.copied() == stored(host)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_follows_until_it_is_told_to_stop(
    log_host: Host, clickhouse: ClickHouse, number: signal.Signals
) -> None:
    """And leaves the tables to others. Beside it, the copy can be verified."""
    add(log_host)
    query = "SELECT count() FROM system.tables WHERE name = 'eventtrack_event' AND database = '{}'"
    with started(log_host, "--to", clickhouse.url, "--follow") as process:
        wait_until(lambda: clickhouse.rows(query.format(clickhouse.name)) == [(1,)], 60)
        add(log_host, 5)
        wait_until(lambda: is_equal(log_host, clickhouse), 60)
        log_host.clock.advance(minutes=1)
        said = copy(log_host, clickhouse, "--verify")
        assert "The copy equals the tables: 4 rows of 1 day." in said
        assert "Another copy to these tables" in copy(log_host, clickhouse, code=1)
        process.send_signal(number)
        told, _ = process.communicate(timeout=60)
    assert process.returncode == 0, told
    assert told.rstrip().endswith("Stopped.")
    assert "Following the commit log from position" in told
    copy(log_host, clickhouse)


class Script:
    """A pause that takes no time, and does something each time."""

    def __init__(self, *steps: cabc.Callable[[], object]) -> None:
        self.seconds: list[float] = []
        self._steps = list(steps)

    def __call__(self, seconds: float) -> bool:
        if not seconds:
            return False
        self.seconds.append(seconds)
        if not self._steps:
            return True
        self._steps.pop(0)()
        return False


def nothing() -> None:
    pass


def follow(host: Host, urls: cabc.Sequence[str], pause: Script, **options: t.Any) -> list[str]:
    """Follow, with the next one of the URLs at each attempt; return what was said."""
    said: list[str] = []
    left, owner = list(urls), uuid4()

    @contextlib.contextmanager
    def open_it() -> cabc.Iterator[Copier]:
        url = server.parse_place(left.pop(0) if len(left) > 1 else left[0])
        found = server.connect(url)
        mine = notes.Notes(found, owner, "the test")
        with open_copy(host.state.pipeline.database, found, mine, Wish()) as copier:
            yield copier

    def bring_up(copier: Copier) -> None:
        copier.plan()
        if copier.is_filling:
            said.extend(filter(None, [copier.reason]))
            assert sum(copier.copy_tables()) >= 0

    Follower(open_it, bring_up, said.append, pause, **options).run()
    return said


def test_it_waits_for_a_server_that_is_away(log_host: Host, clickhouse: ClickHouse) -> None:
    """It says so once, waits longer each time, and then goes on."""
    add(log_host)
    pause = Script(*[nothing] * 8, lambda: add(log_host, 9))
    said = follow(log_host, [AWAY] * 8 + [clickhouse.url], pause)
    assert said[0] == "ClickHouse does not answer: Connection refused. Trying again."
    assert said[1:] == ["It goes on."]
    assert pause.seconds[:8] == [1, 2, 4, 8, 16, 32, 60, 60]
    assert set(pause.seconds[8:]) == {following.INTERVAL}
    assert_equal(log_host, clickhouse)


def test_it_waits_for_the_app_s_database(
    log_host: Host, clickhouse: ClickHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And for nothing that does not pass by itself."""
    add(log_host)
    failures: list[Exception] = [sa.exc.OperationalError("SELECT 1", {}, OSError("it is away"))]
    connect = Copier.connect

    def fail(self: Copier) -> contextlib.AbstractContextManager[sa.Connection]:
        if failures:
            raise failures.pop()
        return connect(self)

    monkeypatch.setattr(Copier, "connect", fail)
    said = follow(log_host, [clickhouse.url], Script(nothing, nothing))
    assert said == ["The app's database does not answer: it is away. Trying again.", "It goes on."]
    failures.append(sa.exc.ProgrammingError("SELECT 1", {}, OSError("no such table")))
    with pytest.raises(sa.exc.ProgrammingError):
        follow(log_host, [clickhouse.url], Script(nothing))


def test_it_waits_for_another_copy(log_host: Host, clickhouse: ClickHouse) -> None:
    """Until that has ended."""
    copy(log_host, clickhouse)
    found = server.connect(server.parse_place(clickhouse.url))
    other = notes.Notes(found, uuid4(), "another host")
    other.take()
    said = follow(log_host, [clickhouse.url], Script(nothing, other.release, nothing))
    assert said[0].startswith("Another copy to these tables is running: another host.")
    assert said[1:] == ["It goes on."]


def test_it_begins_anew_when_the_log_cannot_tell(log_host: Host, clickhouse: ClickHouse) -> None:
    """While it follows."""
    add(log_host, 1)
    tables = log_host.state.pipeline.database.tables
    assert tables.commit is not None
    commit = tables.commit

    def change_log() -> None:
        with log_host.state.pipeline.database.begin() as connection:
            newest = connection.scalar(sa.select(sa.func.max(commit.c.seq)))
            change = commit.update().where(commit.c.seq == newest)
            connection.execute(change.values(batch=commit.c.batch + 1))

    said = follow(log_host, [clickhouse.url], Script(change_log, lambda: add(log_host, 9), nothing))
    assert said[0].startswith("Following the commit log from position")
    assert said[1].startswith("The commit log has another transaction at position 1 than before")
    assert len(said) == 2
    assert_equal(log_host, clickhouse)


def test_erasures_are_merged_now_and_then(log_host: Host, clickhouse: ClickHouse) -> None:
    """The first one at once, and the next ones together."""
    seconds = 0.0
    hers = session_of(ADA_UUID)

    def pass_by(number: float) -> None:
        nonlocal seconds
        seconds += number

    def add_hers() -> None:
        add(log_host, 1, uuid=ADA_UUID, session=hers)
        log_host.clock.advance(seconds=10)

    found: list[bool] = []

    def look() -> None:
        found.append(str(ADA_UUID) in clickhouse.texts())

    steps = [
        add_hers,
        look,
        lambda: forget(log_host, ADA_UUID),
        look,
        lambda: write_records(log_host, an_event(seconds=25, uuid=ADA_UUID, session=None)),
        lambda: forget(log_host, ADA_UUID),
        look,
        lambda: pass_by(following.BETWEEN_MERGES),
        look,
    ]
    follow(log_host, [clickhouse.url], Script(*steps), clock=lambda: seconds)
    assert found == [True, False, True, False]
    assert_equal(log_host, clickhouse)


def test_verify_leaves_out_what_changes_all_the_time(
    log_host: Host, clickhouse: ClickHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And finds what does not. The other process has to keep up."""
    add(log_host, 1)
    copy(log_host, clickhouse)
    add(log_host, 86_400)
    found = server.connect(server.parse_place(clickhouse.url))
    mine = notes.Notes(found, uuid4(), "the test")
    database = log_host.state.pipeline.database
    clickhouse.run("INSERT INTO eventtrack_session (id, site) VALUES (generateUUIDv4(), 'x')")
    moments = iter(range(100, 200))
    monkeypatch.setattr(verifying, "_wait", lambda *_: None)
    with open_copy(database, found, mine, Wish()) as copier:
        verified = verifying.verify_beside(copier, lambda _: add(log_host, 86_400 + next(moments)))
    assert [(each.day, each.group) for each in verified.differences] == [("1970-01-01", "x")]
    assert verified.moving == 2  # the day of the events, and that of their session
    monkeypatch.undo()
    with (
        open_copy(database, found, mine, Wish()) as copier,
        pytest.raises(CopyProblem, match="it does not keep up"),
    ):
        verifying.verify_beside(copier, lambda _: None)


def test_clickhouse_may_be_in_the_process(log_host: Host, tmp_path: pathlib.Path) -> None:
    """As chdb, by the same client: the rows are in its folder afterwards."""
    add(log_host)
    url = f"clickhousedb:///shop?interface=chdb&path={tmp_path / 'chdb'}"
    make = "import chdb, sys; print(chdb.connect(sys.argv[1]).query(sys.argv[2]), end='')"

    def ask(statement: str) -> str:
        command = [sys.executable, "-c", make, str(tmp_path / "chdb"), statement]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
        return done.stdout

    ask("CREATE DATABASE shop")
    with started(log_host, "--to", url, "--verify") as process:
        told, _ = process.communicate(timeout=120)
    assert "The copy equals the tables: 3 rows of 1 day." in told
    assert ask("SELECT count() FROM shop.eventtrack_event FINAL") == "2\n"


def test_verify_and_follow_are_two_runs(log_host: Host) -> None:
    answer = run(log_host, "copy", "--to", AWAY, "--verify", "--follow")
    assert answer.exit_code == 2
    assert "--verify is a run of its own" in answer.output
