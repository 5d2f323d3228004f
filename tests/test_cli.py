"""`flask eventtrack …`: init-db, tail, sweep, forget, export, prune, definitions."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import datetime as dt
import functools
import itertools
import json
import os
import pathlib
import signal
import subprocess
import sys
import threading
import typing as t
import uuid
from types import SimpleNamespace

import pytest
import sqlalchemy as sa
from flask import Flask
from msgspec import Meta

from flask_eventtrack import identify, track
from flask_eventtrack.identity.visitor import customer_uuid
from flask_eventtrack.reports.feed import Wanted, find_start, iter_new
from flask_eventtrack.reports.refused import iter_refused

from .commands import run
from .conftest import MakeHost
from .hosts import NAVIGATION, SAME_ORIGIN, START, Host
from .manual import ROOT


@pytest.fixture
def busy(host: Host) -> Host:
    return make_busy(host)


def make_busy(host: Host) -> Host:
    """Have a host record three events of a customer's."""
    host.events.define("a.b", label="Did {what}")
    with host.app.app_context():
        for what in ("one", "two", "three"):
            track("a.b", {"what": what}, customer="7")
            host.events.flush()
            host.clock.advance(seconds=1)
    return host


def test_commands_are_listed(host: Host) -> None:
    """With a sentence each."""
    answer = run(host, "--help")
    assert answer.exit_code == 0
    for name in ("init-db", "tail", "sweep", "forget", "export", "prune", "definitions", "doctor"):
        assert f"  {name} " in answer.output


# init-db


def test_init_db_creates_the_tables_that_are_missing(db_host: Host) -> None:
    """Again, it changes nothing."""
    with db_host.app.app_context():
        db_host.db.drop_all()
    for _ in range(2):
        answer = run(db_host, "init-db")
        assert (answer.exit_code, answer.output) == (0, "All 25 tables exist.\n")
    assert db_host.client().get("/", headers=NAVIGATION).status_code == 200
    assert db_host.actions() == {"page.visit": 1, "session.start": 1}


def test_init_db_keeps_microseconds(make: MakeHost, database_url: str) -> None:
    """The tables that it creates are those of create_all(), to the fraction of a second."""
    host = make(url=database_url, create=False)
    run(host, "init-db")
    host.clock.advance(microseconds=123456)
    host.client().get("/", headers=NAVIGATION)
    assert host.events_of("page.visit")[0]["time"] == START + dt.timedelta(microseconds=123456)


def test_init_db_creates_nothing_of_the_hosts(make: MakeHost) -> None:
    """The host creates its own tables itself."""
    host = make(create=False)
    sa.Table("things", host.db.metadata, sa.Column("id", sa.Integer, primary_key=True))
    run(host, "init-db")
    with host.app.app_context():
        found = sa.inspect(host.db.engine).get_table_names()
    assert len(found) == 25
    assert "things" not in found


def test_init_db_follows_the_bind(make: MakeHost, tmp_path: pathlib.Path) -> None:
    """The tables stand in EVENTTRACK_BIND_KEY's database."""
    binds = {"SQLALCHEMY_BINDS": {"events": f"sqlite:///{tmp_path / 'events.db'}"}}
    host = make({**binds, "EVENTTRACK_BIND_KEY": "events"}, create=False)
    run(host, "init-db")
    with host.app.app_context():
        assert len(sa.inspect(host.db.engines["events"]).get_table_names()) == 25
        assert sa.inspect(host.db.engine).get_table_names() == []


def test_init_db_in_memory(make: MakeHost) -> None:
    """On the one connection that there is."""
    host = make(url="sqlite://", create=False)
    assert run(host, "init-db").output == "All 25 tables exist.\n"
    host.client().get("/", headers=NAVIGATION)
    assert host.actions() == {"page.visit": 1, "session.start": 1}


# tail


def test_tail_prints_the_latest_events_in_their_order(busy: Host) -> None:
    """Time, who, where from, what, and the sentence."""
    who = str(busy.rows("event")[0]["uuid"])[:8]
    answer = run(busy, "tail")
    assert answer.output.splitlines() == [
        f"2026-11-21 12:00:0{second}  {who}  server   a.b                       Did {what}"
        for second, what in enumerate(("one", "two", "three"))
    ]


@pytest.mark.parametrize(("lines", "printed"), [(0, 0), (1, 1), (2, 2), (20, 3)])
def test_tail_prints_as_many_as_asked(busy: Host, lines: int, printed: int) -> None:
    """The newest."""
    answer = run(busy, "tail", "-n", str(lines))
    assert answer.exit_code == 0
    found = answer.output.splitlines()
    assert len(found) == printed
    assert all(line.endswith("three") for line in found[-1:])


def test_tail_refuses_a_negative_number(db_host: Host) -> None:
    """A LIMIT below zero means everything to one database and an error to another."""
    answer = run(db_host, "tail", "-n", "-1")
    assert answer.exit_code == 2
    assert "Invalid value" in answer.output


@pytest.mark.parametrize(
    ("options", "labels"),
    [
        (["--action", "a.b"], ["Did one", "Did two", "Did three"]),
        (["--action", "a.*"], ["Did one", "Did two", "Did three"]),
        (["--action", "c.*", "--action", "x_y.*"], ["Other", "Under"]),
        (["--action", "x-y.*"], []),
        (["--action", "%"], []),
        (["--customer", "7"], ["Did one", "Did two", "Did three"]),
        (["--customer", "8"], ["Other", "Under"]),
        (["--customer", "8", "--action", "a.b"], []),
        (["--customer", "9"], []),
        (["--action", "a.b", "-n", "1"], ["Did three"]),
    ],
)
def test_tail_of_some_events(db_host: Host, options: list[str], labels: list[str]) -> None:
    """Of actions, by name or pattern, and of a person."""
    make_busy(db_host)
    db_host.events.define("c.d", label="Other")
    db_host.events.define("x_y.z", label="Under")
    with db_host.app.app_context():
        for action in ("c.d", "x_y.z"):
            track(action, customer="8")
            db_host.clock.advance(seconds=1)
        db_host.events.flush()
    lines = run(db_host, "tail", "--json", *options).output.splitlines()
    assert [json.loads(line)["label"] for line in lines] == labels


def test_tail_tells_what_was_refused(make: MakeHost) -> None:
    """With the reason, of this hour."""
    host = make_busy(make())
    for body in ({"action": "a.x"}, {"action": "a.x"}, {"action": "a.b", "params": 1}):
        host.client().post("/_et/in", json=body, headers=SAME_ORIGIN)
    host.events_of("a.b")
    found = [line.split() for line in run(host, "tail", "-n0", "--refused").output.splitlines()]
    assert ["rejected", "2", "events", "a.x", "undefined_event"] in found
    assert len(found) == 2
    host.clock.advance(hours=1)
    assert run(host, "tail", "-n0", "--refused").output == ""


def test_what_is_refused_is_told_once(make: MakeHost) -> None:
    """Also what was counted in the hour before, and what comes late."""
    host = make()
    post = functools.partial(host.client().post, "/_et/in", headers=SAME_ORIGIN)
    database = host.state.pipeline.database
    for _ in range(3):
        post(json={"action": "a.x"})
    host.events_of("a.x")
    host.clock.advance(hours=1)
    post(json={"action": "a.y"})
    host.events_of("a.y")
    steps = iter_refused(database, lambda: host.clock.moment)
    with host.app.app_context():
        assert [(each.action, each.number) for each in next(steps)] == [("a.y", 1)]
        assert next(steps) == []
        for _ in range(2):
            post(json={"action": "a.y"})
        host.clock.advance(hours=1)
        host.events.flush()
        assert [(each.action, each.number) for each in next(steps)] == [("a.y", 2)]
        assert next(steps) == []


def test_following_some_events_reads_the_latest_only(db_host: Host) -> None:
    """Though none of them ever happened: not all events there are, at each step."""
    make_busy(db_host)
    database = db_host.state.pipeline.database
    asked: list[t.Any] = []

    def note(*given: t.Any) -> None:
        if "stored_at >= " in given[2]:
            asked.append(given[3])

    sa.event.listen(sa.Engine, "before_cursor_execute", note)
    try:
        with db_host.app.app_context():
            steps = iter_new(database, find_start(database), [], Wanted(("c.*",)))
            assert next(steps) == []
            db_host.events.define("c.d")
            track("c.d", customer="8")
            track("a.b", customer="8")
            db_host.events.flush()
            assert [row.event.action for row in next(steps)] == ["c.d"]
            assert next(steps) == []
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", note)
    assert "2026-11-21" in f"{asked}" or "datetime(2026, 11, 21" in f"{asked}"
    long_ago = ("1969-12", "1970-01", "(1969, 12", "(1970, 1")
    assert not any(moment in f"{asked}" for moment in long_ago)


def test_tail_of_nothing_prints_nothing(host: Host) -> None:
    """And is no failure."""
    answer = run(host, "tail")
    assert (answer.exit_code, answer.output) == (0, "")


def test_tail_as_json_is_one_object_a_line(busy: Host) -> None:
    """With every field of an event."""
    [row] = [
        json.loads(line) for line in run(busy, "tail", "-n", "1", "--json").output.splitlines()
    ]
    [stored] = [row for row in busy.rows("event") if row["params"] == {"what": "three"}]
    assert row["params"] == {"what": "three"}
    assert (row["id"], row["uuid"]) == (str(stored["id"]), str(stored["uuid"]))
    assert row["time"].startswith("2026-11-21")
    assert (row["action"], row["label"], row["source"], row["site"], row["session_id"]) == (
        "a.b",
        "Did three",
        "server",
        "",
        None,
    )


def test_tail_keeps_a_terminal_safe(host: Host) -> None:
    """A label that a client sent does not clear the screen or forge a line."""
    host.events.define("a.b")
    with host.app.app_context():
        track("a.b", label="\x1b[2J\rroot\nline two \u202e \x9b31m", customer="7")
    host.flush()
    output = run(host, "tail").output
    assert len(output.splitlines()) == 1
    assert output.rstrip("\n").isprintable()


@contextlib.contextmanager
def follow(host: Host, folder: pathlib.Path) -> cabc.Iterator[subprocess.Popen[str]]:
    """Run ``tail --follow`` on a host's database; it is killed if it has nothing to say."""
    (folder / "shop.py").write_text(_SHOP.format(url=host.app.config["SQLALCHEMY_DATABASE_URI"]))
    command = [sys.executable, "-m", "flask", "--app", "shop", "eventtrack", "tail", "-f", "-n1"]
    environ = {**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONPATH": str(ROOT)}
    pipes: dict[str, t.Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, text=True, env=environ, cwd=folder, **pipes) as process:
        timer = threading.Timer(60, process.kill)
        timer.start()
        try:
            yield process
        finally:
            timer.cancel()
            process.kill()


_SHOP = """
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from flask_eventtrack import EventTrack
app = Flask("shop")
app.config.update(SECRET_KEY="secret", SQLALCHEMY_DATABASE_URI="{url}")
EventTrack(app, SQLAlchemy(app))
"""


def test_tail_follows_the_events_to_come(busy: Host, tmp_path: pathlib.Path) -> None:
    """--follow prints what other processes write, each once and also what a slow one commits."""
    with follow(busy, tmp_path) as process:
        assert process.stdout is not None
        printed = [process.stdout.readline()]
        for what, seconds in (("four", 0), ("slow", -10), ("five", 20)):
            busy.clock.advance(seconds=seconds)
            with busy.app.app_context():
                track("a.b", {"what": what}, customer="7")
            busy.flush()
            printed.append(process.stdout.readline())
    assert [line.strip().rpartition(" ")[2] for line in printed] == [
        "three",
        "four",
        "slow",
        "five",
    ]


def test_tail_follows_until_ctrl_c(busy: Host, tmp_path: pathlib.Path) -> None:
    """It then says so, without a traceback."""
    with follow(busy, tmp_path) as process:
        assert process.stdout is not None
        assert process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert [text.strip() for text in process.communicate()] == ["", "Aborted!"]
        assert process.returncode == 1


@pytest.mark.parametrize("at", range(1, 6))
def test_tail_misses_nothing_while_it_starts(
    busy: Host, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    """Before each of its first statements, another process writes, and a slow one commits: what is
    there when it looks first is told as the latest, and all else once."""
    looks = itertools.count(1)

    def write(*given: t.Any) -> None:
        if "FROM eventtrack_event" not in given[2] or next(looks) != at:
            return
        for what, seconds in (("slow", -10), ("new", 20)):
            busy.clock.advance(seconds=seconds)
            with busy.app.app_context():
                track("a.b", {"what": what}, customer="7")
            busy.flush()

    monkeypatch.setattr("flask_eventtrack.cli.tail.time", SimpleNamespace(sleep=stop_at(2)))
    sa.event.listen(sa.Engine, "before_cursor_execute", write)
    try:
        output = run(busy, "tail", "-f", "-n1").output
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", write)
    printed = [line.rpartition(" ")[2] for line in output.splitlines() if " a.b " in line]
    expected = {1: ["new"], 2: ["new"], 3: ["new", "slow"]}
    assert printed == expected.get(at, ["three", "slow", "new"])


def stop_at(number: int) -> cabc.Callable[[float], None]:
    """Return what to sleep with: the number-th call is Ctrl+C."""
    calls = iter(range(1, number))

    def sleep(_: float) -> None:
        if next(calls, None) is None:
            raise KeyboardInterrupt

    return sleep


def test_tail_follows_a_busy_writer(busy: Host, tmp_path: pathlib.Path) -> None:
    """Each event is told once, and none is left out from the first on."""
    stop = threading.Event()

    def write(what: str, seconds: int) -> None:
        busy.clock.advance(seconds=seconds)
        with busy.app.app_context():
            track("a.b", {"what": what}, customer="7")
        busy.flush()

    def write_on() -> None:
        for number in itertools.count():
            write(str(number), 20 if number % 2 else -19)  # every other one is slow
            if stop.wait(0.01):
                break
        write("end", 60)

    thread = threading.Thread(target=write_on)
    thread.start()
    with follow(busy, tmp_path) as process:
        try:
            assert process.stdout is not None
            whats = (line.strip().rpartition(" ")[2] for line in process.stdout)
            first, *rest = itertools.islice(whats, 20)
        finally:
            stop.set()
        rest += itertools.takewhile("end".__ne__, whats)
        thread.join()
    numbers = sorted(map(int, rest))
    if first != "three" and int(first) > numbers[0]:
        numbers = sorted([*numbers, int(first)])
    assert numbers == list(range(numbers[0], numbers[-1] + 1))


# sweep


def test_sweep_says_how_many_sessions_it_ended(db_host: Host) -> None:
    """All that are silent, whatever their number, and once."""
    for _ in range(3):
        db_host.client().get("/", headers=NAVIGATION)
    db_host.flush()
    db_host.clock.advance(hours=1)
    outputs = [run(db_host, "sweep").output for _ in range(2)]
    assert outputs == ["3 sessions ended.\n", "0 sessions ended.\n"]
    assert db_host.actions() == {"page.visit": 3, "session.start": 3, "session.end": 3}


def test_sweep_goes_on_beyond_a_batch(host: Host) -> None:
    """Two hundred are claimed at a time."""
    for _ in range(201):
        host.client().get("/products/mug", headers=NAVIGATION)
    host.flush()
    host.clock.advance(hours=1)
    assert run(host, "sweep").output == "201 sessions ended.\n"


# forget, export


@pytest.mark.parametrize("who", ["7", str(customer_uuid("flask-eventtrack", "7"))])
def test_forget_erases_a_person(db_host: Host, who: str) -> None:
    """By the customer's id or the profile's uuid; it says how much that was, and of whom not."""
    busy = make_busy(db_host)
    answer = run(busy, "forget", who, "--yes")
    assert answer.exit_code == 0
    assert answer.stdout.splitlines() == [
        "Found 3 events, 0 sessions, 0 aliases and 0 transactions.",
        "Erased 3 events, 0 sessions, 0 aliases, 0 transactions and 0 rejected records.",
    ]
    assert busy.rows("event") == []
    assert "0 events" in run(busy, "forget", who, "--yes").stdout


@pytest.mark.parametrize(
    ("options", "typed", "status", "left"),
    [
        ((), "y\n", 0, 0),
        ((), "n\n", 1, 3),
        ((), "", 1, 3),
        (("--yes",), "", 0, 0),
        (("--dry-run",), "", 0, 3),
        (("--dry-run", "--yes"), "", 0, 3),
    ],
)
def test_forget_asks_before_it_erases(
    busy: Host, options: tuple[str, ...], typed: str, status: int, left: int
) -> None:
    """Nothing is erased by mistake."""
    arguments = ["eventtrack", "forget", "7", *options]
    answer = busy.app.test_cli_runner().invoke(args=arguments, input=typed)
    assert answer.exit_code == status
    assert "Found 3 events" in answer.output
    assert len(busy.rows("event")) == left


def test_unmerge_parts_a_stranger_from_the_customer(db_host: Host) -> None:
    """In the feed; no event is changed, and it is said where there is nothing to part."""
    db_host.app.add_url_rule("/enter", "enter", lambda: str(identify("7")))
    client = db_host.client()
    client.get("/", headers=NAVIGATION)
    [stranger] = {row["uuid"] for row in db_host.rows("event")}
    client.get("/enter", headers=NAVIGATION)
    before = db_host.rows("event", "time", "id")
    with db_host.app.app_context():
        merged = {event.uuid for event in db_host.events.feed("7")}
        assert stranger in merged
        assert run(db_host, "unmerge", str(stranger)).exit_code == 0
        assert {event.uuid for event in db_host.events.feed("7")} == merged - {stranger}
    assert db_host.rows("event", "time", "id") == before
    assert run(db_host, "unmerge", str(stranger)).exit_code == 1
    assert run(db_host, "unmerge", "stranger").exit_code == 2


def test_forget_takes_an_id_that_reads_as_a_uuid(host: Host) -> None:
    """A customer may have one: the person is meant either way."""
    host.events.define("a.b")
    theirs = str(uuid.uuid4())
    with host.app.app_context():
        track("a.b", customer=theirs)
    host.clock.advance(seconds=1)
    host.flush()
    assert "Erased 1 event," in run(host, "forget", theirs, "--yes").output
    assert host.rows("event") == []


@pytest.mark.parametrize("command", ["forget", "export", "opt-out", "opt-in"])
def test_a_word_for_nobody_is_nobody(busy: Host, command: str) -> None:
    """It is a mistake, not a person's id."""
    answer = run(busy, command, "null")
    assert answer.exit_code == 2
    assert "a placeholder" in answer.output
    assert len(busy.rows("event")) == 3


def test_export_prints_json_lines(db_host: Host) -> None:
    """An object a line, and nothing else where a program reads."""
    answer = run(make_busy(db_host), "export", "7")
    assert answer.exit_code == 0
    lines = [json.loads(line) for line in answer.stdout.splitlines()]
    assert [line["params"]["what"] for line in lines] == ["one", "two", "three"]
    assert {line["type"] for line in lines} == {"event"}
    assert answer.stderr == "3 lines.\n"


def test_export_writes_a_file(busy: Host, tmp_path: pathlib.Path) -> None:
    """That --output names, in UTF-8."""
    with busy.app.app_context():
        track("a.b", {"what": "žluťoučký\u2028"}, customer="7")
    path = tmp_path / "data.jsonl"
    answer = run(busy, "export", "7", "--output", str(path))
    assert (answer.exit_code, answer.stdout) == (0, "")
    lines = path.read_bytes().splitlines()
    assert [json.loads(line)["params"]["what"] for line in lines][-1] == "žluťoučký\u2028"


def test_export_of_nobody_is_empty(host: Host, tmp_path: pathlib.Path) -> None:
    """And is not an error; a file is made as for everybody."""
    answer = run(host, "export", "nobody-knows")
    assert (answer.exit_code, answer.stdout, answer.stderr) == (0, "", "0 lines.\n")
    assert run(host, "export", "nobody-knows", "-o", str(tmp_path / "x")).exit_code == 0
    assert (tmp_path / "x").read_bytes() == b""


@pytest.mark.skipif(os.name != "posix", reason="modes of files are POSIX's")
@pytest.mark.parametrize("mode", [None, 0o644, 0o666])
def test_only_its_owner_can_read_an_export(
    busy: Host, tmp_path: pathlib.Path, mode: int | None
) -> None:
    """Whatever rights an earlier file of that name gave, and whoever has it open."""
    path = tmp_path / "data.jsonl"
    if mode is not None:
        path.write_text("old")
        path.chmod(mode)
    with path.open("a+b") if mode else contextlib.nullcontext() as opened:
        assert run(busy, "export", "7", "-o", str(path)).exit_code == 0
        assert path.stat().st_mode & 0o777 == 0o600
        assert len(path.read_bytes().splitlines()) == 3
        if opened:
            opened.seek(0)
            assert opened.read() == b"old"
    assert [each.name for each in tmp_path.iterdir() if "jsonl" in each.name] == ["data.jsonl"]


@pytest.mark.skipif(os.name != "posix", reason="links are POSIX's")
@pytest.mark.parametrize("kind", ["link", "dangling link", "folder", "pipe"])
def test_an_export_is_not_written_to_what_another_has_planted(
    busy: Host, tmp_path: pathlib.Path, kind: str
) -> None:
    """It fails with a sentence, and touches nothing."""
    path, target = tmp_path / "data.jsonl", tmp_path / "target"
    if kind == "link":
        target.write_text("old")
    if kind in {"link", "dangling link"}:
        path.symlink_to(target)
    elif kind == "folder":
        path.mkdir()
    else:
        os.mkfifo(path)
    answer = run(busy, "export", "7", "-o", str(path))
    assert answer.exit_code == 1
    assert answer.stderr.startswith(f"Error: The export cannot be written: {path} is ")
    assert target.read_text() == "old" if kind == "link" else not target.exists()


def test_an_export_that_fails_leaves_the_earlier_file(
    busy: Host, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And no half of a new one."""
    path = tmp_path / "data.jsonl"
    path.write_text("old")
    monkeypatch.setattr("flask_eventtrack.cli.people.iter_person", lambda *_: iter([{1j}]))
    assert run(busy, "export", "7", "-o", str(path)).exit_code == 1
    assert path.read_text() == "old"
    assert [each.name for each in tmp_path.iterdir() if "jsonl" in each.name] == ["data.jsonl"]


# opt-out, opt-in


def test_a_person_opts_out_and_in_again(db_host: Host) -> None:
    """By the customer's id; it is said where there is nothing to withdraw."""
    busy = make_busy(db_host)
    answers = []
    for command in ("opt-out", "opt-in"):
        answers.append(run(busy, command, "7").output)
        busy.clock.advance(seconds=1)
        with busy.app.app_context():
            track("a.b", {"what": command}, customer="7")
    assert answers == [
        "From now on nothing is recorded of this person.\n",
        "From now on this person is recorded again.\n",
    ]
    found = [row["params"]["what"] for row in busy.rows("event", "time")]
    assert found == ["one", "two", "three", "opt-in"]
    again = run(busy, "opt-in", "7")
    assert (again.exit_code, again.output) == (1, "Error: This person has not opted out.\n")


# prune


@pytest.mark.parametrize(
    ("options", "printed", "left"),
    [
        (
            ("--dry-run",),
            "Past their retention period: 3 events, 0 sessions, 0 transactions, 0 rejected "
            "records and 0 agent counts.",
            3,
        ),
        (
            (),
            "Removed 3 events, 0 sessions, 0 transactions, 0 rejected records and 0 agent counts.",
            0,
        ),
    ],
)
def test_prune_removes_what_is_older_than_it_is_kept(
    make: MakeHost, database_url: str, options: tuple[str, ...], printed: str, left: int
) -> None:
    """And says how much that was, or would be."""
    busy = make_busy(make({"EVENTTRACK_RETENTION": dt.timedelta(days=30)}, url=database_url))
    busy.clock.advance(days=31)
    answer = run(busy, "prune", "--yes", *options)  # the clock is ahead of the database's
    assert answer.exit_code == 0
    assert printed in answer.output
    assert len(busy.rows("event")) == left


def test_prune_without_a_retention_says_so(busy: Host) -> None:
    """It removes nothing, and names the setting."""
    answer = run(busy, "prune")
    assert (answer.exit_code, len(busy.rows("event"))) == (0, 3)
    assert "EVENTTRACK_RETENTION" in answer.output


# definitions


def test_definitions_are_listed_with_who_may_send_them(host: Host) -> None:
    """Action, label, and parameters with their types and limits."""

    @host.events.define("product.view", label="Viewed {name}", anonymous=True)
    class ProductView:
        sku: str
        name: t.Annotated[str, Meta(max_length=9)]
        price: float | None = None

    host.events.define("order.ship", server_only=True)
    host.events.define("wish.add")
    output = run(host, "definitions").output
    assert (
        "product.view  (anyone)\n    Viewed {name}\n"
        "    sku: str\n    name: str, at most 9 characters\n    price: float | None\n"
    ) in output
    assert "order.ship  (server only)\n" in output
    assert "wish.add  (customers)\n" in output
    assert "page.visit  (anyone, built in)\n    Visited page {title}\n    url: str\n" in output
    actions = [line.split()[0] for line in output.splitlines() if not line.startswith(" ")]
    assert actions == sorted(actions)


# doctor


@pytest.mark.parametrize("command", ["tail", "sweep", "forget 7 --yes", "export 7"])
def test_command_without_tables_says_what_to_do(make: MakeHost, command: str) -> None:
    """One line that names init-db, and no traceback."""
    answer = run(make(create=False), *command.split())
    assert answer.exit_code == 1
    assert isinstance(answer.exception, SystemExit)
    assert "flask eventtrack init-db" in answer.output


def test_command_without_a_registration_does_not_exist() -> None:
    """The group belongs to the apps that registered."""
    answer = Flask("bare").test_cli_runner().invoke(args=["eventtrack", "tail"])
    assert answer.exit_code == 2
    assert "No such command 'eventtrack'" in answer.output
