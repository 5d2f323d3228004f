"""What the journal promises to apps: an answer that was given is kept, and counted once."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import errno
import json
import logging
import os
import pathlib
import shutil
import stat
import subprocess
import sys
import tempfile
import threading
import typing as t
import uuid as uuidlib

import filelock
import pytest
import sqlalchemy as sa
from flask import Flask
from flask_sqlalchemy import SQLAlchemy

from flask_eventtrack import EventTrack, identify, track
from flask_eventtrack.pipeline import Journal, find_obstacle
from flask_eventtrack.records import Identified, Outcome, Record, encode_record

from .conftest import MakeHost
from .faults.disk import small_disk
from .hosts import NAVIGATION, SAME_ORIGIN, START, Host, add_pages
from .test_pipeline import PATIENT, ROOT, visit, wait_until, waiting
from .test_store import an_event, an_id, at, quality

SYNC = "fdatasync" if hasattr(os, "fdatasync") else "fsync"
NOBODY = 65534
TABLES = ("alias", "event", "hourly", "profile", "quality", "rejected", "session")

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
needs_users = pytest.mark.skipif(not hasattr(os, "setresuid"), reason="users cannot be changed")


@pytest.fixture
def journals(tmp_path: pathlib.Path) -> pathlib.Path:
    """Where the hosts of a test keep their journals."""
    return tmp_path / "journals"


@pytest.fixture
def config(journals: pathlib.Path) -> dict[str, t.Any]:
    """Settings of hosts that write when they are asked to."""
    return {**PATIENT, "EVENTTRACK_JOURNAL_DIR": str(journals)}


@pytest.fixture
def url(tmp_path: pathlib.Path) -> str:
    """A database for several hosts."""
    return f"sqlite:///{tmp_path / 'shared.db'}"


def home_of(host: Host) -> pathlib.Path:
    """Return the folder that processes share which write to a host's database."""
    folder = host.app.config["EVENTTRACK_JOURNAL_DIR"]
    return pathlib.Path(folder, host.state.pipeline.database.fingerprint)


def folders(home: pathlib.Path) -> set[pathlib.Path]:
    return {path for path in home.glob("*") if path.is_dir()}


def segments(home: pathlib.Path) -> list[pathlib.Path]:
    return sorted(home.glob("*/*.segment"))


def leave(host: Host, *records: Record, raw: cabc.Sequence[bytes] = ()) -> pathlib.Path:
    """Have another process put records and die; return the folder that it leaves."""
    before = folders(home_of(host))
    journal = Journal(home_of(host), 1 << 28, is_durable=False)
    assert journal.put([*map(encode_record, records), *raw])
    journal.close()
    [folder] = folders(home_of(host)) - before
    return folder


def wake(host: Host) -> None:
    """Make a request that is not tracked: with the first one adoption begins."""
    assert host.client().get("/data.json").status_code == 200


def is_locked(folder: pathlib.Path) -> bool:
    """Whether its owner lives."""
    try:
        with filelock.FileLock(folder / "lock", timeout=0):
            return False
    except filelock.Timeout:
        return True


def adopt(host: Host) -> None:
    """Have a host that did nothing yet take over what the dead have left, to the end."""
    dead = {folder for folder in folders(home_of(host)) if not is_locked(folder)}
    wake(host)
    wait_until(lambda: not (dead & folders(home_of(host))))
    host.flush()


def losses(host: Host) -> dict[tuple[str, str, str], int]:
    """Return the quality counters of what came to nothing."""
    return {key: count for key, count in quality(host).items() if key[0] != "accepted"}


def post(host: Host, **event: t.Any) -> t.Any:
    event = {"action": "button.click", **event}
    return host.client().post("/_et/in", json=event, headers=SAME_ORIGIN)


def snapshot(host: Host) -> dict[str, list[dict[str, t.Any]]]:
    """Return all that is stored."""
    return {
        table: sorted(host.rows(table), key=lambda row: repr(sorted(row.items())))
        for table in TABLES
    }


_SETUP = """
import json, os, pathlib, signal, sys, threading
from flask_eventtrack import track
from flask_eventtrack.pipeline import Journal
from tests.hosts import NAVIGATION, SAME_ORIGIN, make_host

def note(action):
    with host.app.app_context():
        assert track(action, customer="1") is not None

def post(count):
    events = [{"action": "button.click"}] * count
    answer = host.client().post("/_et/in", json={"events": events}, headers=SAME_ORIGIN)
    assert answer.status_code == 202

def die(*arguments, **options):
    os.kill(os.getpid(), signal.SIGKILL)

host = make_host(sys.argv[1], json.loads(sys.argv[2]), create=False)
for action in ("parent.test", "child.test"):
    host.events.define(action)
"""


@contextlib.contextmanager
def program(
    script: str, url: str, config: dict[str, t.Any]
) -> cabc.Iterator[subprocess.Popen[str]]:
    """Run a script on a host app; it is killed at the end of the block if it lives."""
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", _SETUP + script, url, json.dumps(config)],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
        with process:
            try:
                yield process
            finally:
                process.kill()
                log.seek(0)
                print(log.read())  # pytest shows it where a test has failed


def run(script: str, url: str, config: dict[str, t.Any]) -> int:
    with program(script, url, config) as process:
        return process.wait(60)


# The death of a process


@pytest.mark.parametrize(("durability", "kept"), [("memory", 0), ("journal", 1), ("durable", 1)])
def test_an_answer_outlives_its_process(
    make: MakeHost, url: str, config: dict[str, t.Any], durability: str, kept: int
) -> None:
    """Killed right after its answers: pages, posts and tracked events arrive, but for memory."""
    script = """
assert host.client().get("/", headers=NAVIGATION).status_code == 200
post(3)
note("parent.test")
die()
"""
    assert run(script, url, {**config, "EVENTTRACK_DURABILITY": durability}) == -9
    host = make(config, url=url)
    assert len(folders(home_of(host))) == kept
    adopt(host)
    expected = {"page.visit": 1, "button.click": 3, "parent.test": 1, "session.start": 2}
    assert host.actions() == (expected if kept else {})
    assert losses(host) == {}
    assert not folders(home_of(host))


_DEATHS = {
    "between the commit and its acknowledgement": "Journal.acknowledge = die",
    "between the checkpoint and the removal": """
unlink = pathlib.Path.unlink
def kill_at(path, missing_ok=False):
    die() if path.suffix == ".segment" else unlink(path, missing_ok)
pathlib.Path.unlink = kill_at
""",
    "between two segments": """
from flask_eventtrack.pipeline import chain
add = chain.Chain.add
def kill_at(self, number):
    die() if number == 2 else add(self, number)
chain.Chain.add = kill_at
""",
    "before the first byte of a batch is written": """
from flask_eventtrack.pipeline import segment
note("parent.test")
segment.SegmentWriter.append = die
""",
}


@pytest.mark.parametrize("death", _DEATHS)
def test_a_death_at_any_place_neither_loses_nor_doubles(
    make: MakeHost, url: str, config: dict[str, t.Any], death: str
) -> None:
    """All that was acknowledged is there once, and no duplicate is counted."""
    host = make(config, url=url)
    script = f"""
import flask_eventtrack.pipeline.journal
flask_eventtrack.pipeline.journal._SEGMENT_BYTES = 1000
def note_down():
    note("parent.test")
    print("noted", flush=True)
{_DEATHS[death]}
for _ in range(25):
    note_down()
host.flush()
print("it did not die")
"""
    with program(script, url, config) as process:
        assert process.stdout is not None
        noted = process.stdout.read().split()
    assert set(noted) <= {"noted"}
    adopt(host)
    extra = 1 if "first byte" in death else 0
    assert host.actions()["parent.test"] == len(noted) + extra
    assert losses(host) == {}


def test_a_replay_changes_nothing(
    make: MakeHost, url: str, config: dict[str, t.Any], tmp_path: pathlib.Path
) -> None:
    """Records of every kind that are in the database already: no row is another afterwards."""
    first = make(config, url=url)

    @first.app.get("/in")
    def log_in() -> str:
        identify("42", {"plan": "pro"})
        return "<title>In</title>"

    client = first.client()
    for path in ("/", "/in", "/products/mug"):
        client.get(path, headers=NAVIGATION)
    first.clock.advance(hours=1)
    client.get("/", headers=NAVIGATION)
    post(first)
    home = home_of(first)
    shutil.copytree(home, tmp_path / "killed")
    before = snapshot(first)
    assert {"page.visit", "customer.login", "session.end"} <= first.actions().keys()
    first.close()
    assert not home.exists()
    shutil.copytree(tmp_path / "killed", home)
    second = make(config, url=url, create=False)
    adopt(second)
    assert snapshot(second) == before


def test_what_is_known_of_a_customer_does_not_go_back(
    make: MakeHost, url: str, config: dict[str, t.Any]
) -> None:
    """A dead process's older word on a customer leaves the newer one standing."""
    first, second = make(config, url=url), make(config, url=url, create=False)
    customer = uuidlib.uuid4()

    def say(plan: str, seconds: float) -> Identified:
        traits = {"plan": plan, plan: True}
        return Identified(uuid=customer, customer_id="42", time=at(seconds), traits=traits)

    first.state.pipeline.put(say("pro", 2))
    first.flush()
    leave(first, say("free", 1))
    adopt(second)
    [profile] = second.rows("profile")
    assert profile["traits"] == {"plan": "pro", "pro": True, "free": True}


# Adoption


def test_what_is_adopted_does_not_wait_behind_what_is_ours(
    make: MakeHost, config: dict[str, t.Any]
) -> None:
    """A process with events of its own writes the dead one's in the same go."""
    host = make(config)
    leave(host, an_event(session=None), an_event("order.late", session=None))
    visit(host)
    host.state.pipeline.start()
    table = host.state.pipeline.database.tables.event
    late = sa.select(table.c.id).where(table.c.action == "order.late")

    def is_stored() -> bool:  # without a flush, which would hurry the writer
        with host.app.app_context(), host.db.engine.connect() as connection:
            return connection.scalar(late) is not None

    wait_until(is_stored, seconds=10)


def test_the_chore_of_a_live_process_adopts(
    make: MakeHost, config: dict[str, t.Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each minute it looks for the dead, without a request."""
    monkeypatch.setattr("flask_eventtrack.pipeline.pipeline.CHORES_INTERVAL", 0.05)
    host = make(config)
    visit(host)
    host.flush()
    left = leave(host, *(an_event(seconds=n, session=None) for n in range(3)))
    wait_until(lambda: not left.exists())
    assert host.actions()["order.ship"] == 3


def test_the_journal_of_a_live_process_is_its_own(
    make: MakeHost, url: str, config: dict[str, t.Any]
) -> None:
    """Nobody takes it over, also not another app in the same process."""
    first, second = make(config, url=url), make(config, url=url, create=False)
    visit(first, 3)
    [path] = segments(home_of(first))
    before = path.read_bytes()
    second.state.pipeline.put(an_event(session=None))
    assert second.actions() == {"order.ship": 1}
    assert path.read_bytes() == before
    assert waiting(first) == 3
    assert first.actions() == {"order.ship": 1, "page.visit": 3, "session.start": 1}


def test_two_processes_share_what_the_dead_have_left(
    make: MakeHost, url: str, config: dict[str, t.Any]
) -> None:
    """Both begin at the same moment: each event is there once, and nothing is left."""
    host = make(config, url=url)
    home = home_of(host)
    for orphan in range(12):
        leave(host, *(an_event(seconds=orphan * 100 + n, session=None) for n in range(40)))
    script = f"""
home = pathlib.Path({str(home)!r})
print("ready", flush=True)
sys.stdin.readline()
assert host.client().get("/data.json").status_code == 200
for _ in range(3000):
    if not [path for path in home.glob("*") if path.is_dir()]:
        break
    threading.Event().wait(0.01)
host.flush()
print("done", flush=True)
"""
    with contextlib.ExitStack() as stack:
        others = [stack.enter_context(program(script, url, config)) for _ in range(2)]
        for other in others:
            assert other.stdout is not None
            assert other.stdout.readline() == "ready\n"
        answers = [other.communicate("\n", timeout=60)[0] for other in others]
    assert answers == ["done\n", "done\n"]
    assert host.actions() == {"order.ship": 480}
    assert losses(host) == {}
    assert not folders(home)


def test_what_cannot_be_read_is_counted(make: MakeHost, config: dict[str, t.Any]) -> None:
    """Damage, and what is no record, are set aside and counted; the rest is written."""
    host = make(config)
    left = leave(host, an_event(seconds=1, session=None), raw=[b"\xc1", b"\x93no record", b""])
    leave(host, an_event(seconds=2, session=None), an_event(seconds=3, session=None))
    [damaged] = folders(home_of(host)) - {left}
    path = damaged / "00000001.segment"
    path.write_bytes(path.read_bytes()[:-1])
    adopt(host)
    assert host.actions() == {"order.ship": 2}
    assert losses(host) == {("dropped", "", "unreadable"): 4}
    assert (home_of(host) / f"{left.name}.bad").read_bytes() == b"\xc1\x93no record"
    assert (home_of(host) / f"{damaged.name}.bad").stat().st_size > 50


@pytest.mark.parametrize("other", ["database", "bind"])
def test_another_target_s_journal_is_left_alone(
    make: MakeHost, url: str, config: dict[str, t.Any], other: str
) -> None:
    """Only who writes to the same tables may take over: another database, another bind."""
    first = make({**config, "SQLALCHEMY_BINDS": {"other": url}}, url=url)
    left = leave(first, an_event(session=None))
    if other == "database":
        second = make(config)
    else:
        binds = {"SQLALCHEMY_BINDS": {"other": url}, "EVENTTRACK_BIND_KEY": "other"}
        second = make({**config, **binds}, url=url, create=False)
    assert home_of(second) != home_of(first)
    adopt(second)
    assert left.exists()
    adopt(first)
    assert first.actions() == {"order.ship": 1}


@contextlib.contextmanager
def as_nobody() -> cabc.Iterator[None]:
    """Take root's rights away, where the tests are root's."""
    if os.getuid() != 0:
        yield
        return
    os.setresuid(NOBODY, NOBODY, 0)
    try:
        yield
    finally:
        os.setresuid(0, 0, 0)


@pytest.fixture
def open_folder() -> cabc.Iterator[pathlib.Path]:
    """A folder that every user may enter; it is nobody's."""
    with tempfile.TemporaryDirectory() as name:
        if os.getuid() == 0:
            os.chown(name, NOBODY, NOBODY)
        pathlib.Path(name).chmod(0o755)
        yield pathlib.Path(name)


def close_to_nobody(folder: pathlib.Path) -> None:
    """Take away the rights to a folder of the user that tests as nobody are run by."""
    if os.getuid() == 0:
        os.chown(folder, 0, 0)
        folder.chmod(0o700)
    else:
        folder.chmod(0)


@needs_users
def test_another_user_s_journal_is_skipped(open_folder: pathlib.Path) -> None:
    """It cannot be read, and harms nobody; its own user's next process takes it over."""
    home = open_folder / "home"
    with as_nobody():
        ours = Journal(home, 1 << 28, is_durable=False)
        assert ours.put([b"ours"])
    theirs = Journal(home, 1 << 28, is_durable=False)
    assert theirs.put([b"theirs"])
    before = folders(home)
    theirs.close()
    [left] = [path for path in before if not is_locked(path)]
    os.utime(left, (0, 0))
    close_to_nobody(left)
    with as_nobody():
        ours.adopt()
        assert ours.put([b"more"])
        claimed = ours.claim(10)
        assert claimed is not None
        assert claimed.payloads == [b"ours", b"more"]
        ours.acknowledge(claimed)
        assert ours.claim(10) is None
        ours.close()
    left.chmod(0o700)
    next_one = Journal(home, 1 << 28, is_durable=False)
    next_one.adopt()
    assert next_one.claim(10) is not None
    next_one.close()


# Bounds


def test_a_full_journal_says_come_back(make: MakeHost, config: dict[str, t.Any]) -> None:
    """503 for posts, counted drops for visits; when the database is back all that was
    acknowledged is there, and posting works again."""
    host = make({**config, "EVENTTRACK_JOURNAL_MAX_BYTES": 3000}, create=False)
    ids: list[str] = []
    while len(ids) < 100 and (answer := post(host)).status_code == 202:
        ids += [result["event_id"] for result in answer.json["results"]]
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert 5 < len(ids) < 40
    visit(host, 4)
    host.events.define("order.ship")
    with host.app.app_context():
        assert track("order.ship", customer="1") is None
        host.db.create_all()
    host.flush()
    assert {str(row["id"]) for row in host.events_of("button.click")} == set(ids)
    assert host.actions()["page.visit"] == 0
    assert losses(host) == {
        ("dropped", "page.visit", "no room"): 4,
        ("dropped", "order.ship", "no room"): 1,
    }
    assert post(host).status_code == 202
    assert host.actions()["button.click"] == len(ids) + 1


# Permissions


@pytest.fixture
def _no_mask() -> cabc.Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.mark.usefixtures("_no_mask")
def test_without_a_mask_files_are_the_owner_s_alone(
    make: MakeHost, config: dict[str, t.Any]
) -> None:
    """0700 and 0600 whatever the process's mask is."""
    host = make(config)
    leave(host, raw=[b"foreign"])
    adopt(host)
    visit(host, 2)
    host.flush()
    found = [home_of(host), *home_of(host).rglob("*")]
    assert {"lock", "checkpoint"} < {path.name for path in found}
    assert ".bad" in {path.suffix for path in found}
    for path in found:
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


@pytest.mark.usefixtures("_no_mask")
def test_without_a_mask_the_journal_s_folder_is_the_owner_s_alone(
    make: MakeHost, config: dict[str, t.Any], journals: pathlib.Path
) -> None:
    """Nobody else may put a folder in the place of ours."""
    visit(make(config))
    assert stat.S_IMODE(journals.stat().st_mode) == 0o700


def test_a_file_in_the_folder_s_place_leaves_memory(
    make: MakeHost,
    config: dict[str, t.Any],
    journals: pathlib.Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """One warning that says what to do, and the app works."""
    journals.write_text("a file")
    host = make(config)
    [warning] = caplog.messages
    assert f"{journals} is not a folder. Set EVENTTRACK_JOURNAL_DIR to a folder" in warning
    visit(host, 3)
    assert host.actions() == {"page.visit": 3, "session.start": 1}
    assert len(caplog.messages) == 1
    assert journals.read_text() == "a file"


def test_a_folder_on_a_disk_that_is_read_only_leaves_memory(
    make: MakeHost,
    config: dict[str, t.Any],
    tmp_path: pathlib.Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """As in a container whose root file system is sealed."""
    with small_disk(tmp_path / "disk", "ro") as disk:
        host = make({**config, "EVENTTRACK_JOURNAL_DIR": str(disk / "journals")})
        [warning] = caplog.messages
        assert f"{disk} cannot be written." in warning
        visit(host, 3)
        assert host.actions() == {"page.visit": 3, "session.start": 1}


@needs_users
@pytest.mark.parametrize("below", [".", "a/b"])
def test_a_folder_that_is_closed_to_us_leaves_memory(
    make: MakeHost,
    config: dict[str, t.Any],
    open_folder: pathlib.Path,
    caplog: pytest.LogCaptureFixture,
    below: str,
) -> None:
    """Also one of which it cannot even be seen whether it is there: the app starts."""
    closed = open_folder / "closed"
    closed.mkdir()
    close_to_nobody(closed)
    with as_nobody():
        assert find_obstacle(closed / below)
        host = make({**config, "EVENTTRACK_JOURNAL_DIR": str(closed / below)}, create=False)
        visit(host, 3)
    closed.chmod(0o700)
    assert ["EVENTTRACK_JOURNAL_DIR" in message for message in caplog.messages] == [True]
    with host.app.app_context():
        host.db.create_all()
    assert host.actions() == {"page.visit": 3, "session.start": 1}


def test_an_instance_folder_that_is_missing_is_made(tmp_path: pathlib.Path) -> None:
    """With the first event, not before; without a setting the journal lies there."""
    instance = tmp_path / "var" / "instance"
    app = Flask("host", instance_path=str(instance))
    app.config.update(
        SECRET_KEY="a secret for tests only",
        SQLALCHEMY_DATABASE_URI=f"sqlite:///{tmp_path / 'host.db'}",
        TESTING=True,
        **PATIENT,
    )
    db, events = SQLAlchemy(app), EventTrack()
    events.init_app(app, db)
    add_pages(app)
    host = Host(app, db, events, t.cast("t.Any", None))
    try:
        assert not instance.exists()
        visit(host)
        assert len(segments(instance / "eventtrack" / home_name(host))) == 1
        with app.app_context():
            db.create_all()
        assert host.actions() == {"page.visit": 1, "session.start": 1}
    finally:
        host.close()
    assert list((instance / "eventtrack").iterdir()) == []


def home_name(host: Host) -> str:
    return host.state.pipeline.database.fingerprint


# Durability


class Syncs:
    """Stands in for the call that brings a file to the disk: it notes, waits, calls, fails."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._sync = getattr(os, SYNC)
        self.contents: list[bytes] = []
        self.error: OSError | None = None
        self.entered = threading.Event()
        self.gate = threading.Event()
        self.gate.set()
        monkeypatch.setattr(os, SYNC, self)

    def __call__(self, fd: int) -> None:
        self.entered.set()
        assert self.gate.wait(30)
        if self.error is not None:
            raise self.error
        self.contents.append(pathlib.Path(f"/proc/self/fd/{fd}").read_bytes())
        self._sync(fd)


@pytest.fixture
def syncs(monkeypatch: pytest.MonkeyPatch) -> Syncs:
    return Syncs(monkeypatch)


@pytest.fixture
def durable(make: MakeHost, config: dict[str, t.Any], syncs: Syncs) -> Host:
    return make({**config, "EVENTTRACK_DURABILITY": "durable"})


def test_a_durable_answer_follows_its_sync(durable: Host, syncs: Syncs) -> None:
    """While the disk is at it nobody is told; what is on it then holds the event."""
    syncs.gate.clear()
    answers: list[t.Any] = []
    event_id = str(an_id())
    thread = threading.Thread(target=lambda: answers.append(post(durable, event_id=event_id)))
    thread.start()
    try:
        assert syncs.entered.wait(10)
        assert uuidlib.UUID(event_id).bytes in segments(home_of(durable))[0].read_bytes()
        thread.join(0.1)
        assert (answers, syncs.contents) == ([], [])
    finally:
        syncs.gate.set()
        thread.join()
    assert answers[0].status_code == 202
    assert uuidlib.UUID(event_id).bytes in syncs.contents[-1]


def test_each_durable_answer_is_on_the_disk(durable: Host, syncs: Syncs) -> None:
    """One after another, through pages, posts and track()."""
    durable.events.define("order.ship")
    for put in (lambda: visit(durable), lambda: post(durable), lambda: ship(durable)):
        put()
        assert syncs.contents[-1] == segments(home_of(durable))[-1].read_bytes()
    assert len(syncs.contents) == 3


def ship(host: Host) -> None:
    with host.app.app_context():
        assert track("order.ship", customer="1") is not None


def test_a_segment_is_on_the_disk_before_its_successor(
    durable: Host, syncs: Syncs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rotation leaves nothing behind that a loss of power could take."""
    monkeypatch.setattr("flask_eventtrack.pipeline.journal._SEGMENT_BYTES", 1000)
    visit(durable, 20)
    assert len(segments(home_of(durable))) > 2
    assert {path.read_bytes() for path in segments(home_of(durable))} <= set(syncs.contents)


def test_one_wait_covers_every_segment(
    tmp_path: pathlib.Path, syncs: Syncs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of threads that put before the first of them waits, some may have begun new segments."""
    monkeypatch.setattr("flask_eventtrack.pipeline.journal._SEGMENT_BYTES", 50)
    journal = Journal(tmp_path / "home", 1 << 28, is_durable=True)
    for number in range(9):
        assert journal.put([b"record %d" % number])
    assert journal.sync(journal._put)
    found = {path.read_bytes() for path in segments(tmp_path / "home")}
    assert len(found) > 2
    assert found <= set(syncs.contents)
    journal.close()


def test_a_segment_that_was_given_up_is_on_the_disk_before_an_answer(
    tmp_path: pathlib.Path, syncs: Syncs
) -> None:
    """Whoever waits for a record in it is told of no success that only another file has had."""
    home = tmp_path / "home"
    journal = Journal(home, 1 << 28, is_durable=True)
    assert journal.put([b"damaged", b"waits"])
    [first] = segments(home)
    flip(first, 25)
    claimed = journal.claim(10)
    assert claimed is not None
    journal.acknowledge(claimed)
    assert journal.put([b"in another file"])
    assert journal.sync(journal._put)
    assert {path.read_bytes() for path in (first, *segments(home))} <= set(syncs.contents)
    journal.close()


def test_a_later_success_says_nothing_of_a_failure_before(
    tmp_path: pathlib.Path, syncs: Syncs
) -> None:
    """Of two that wait, one is told of the failure; the other asks when a third has succeeded."""
    journal = Journal(tmp_path / "home", 1 << 28, is_durable=True)
    first, second = journal.put([b"first"]), journal.put([b"second"])
    syncs.error = OSError(errno.EIO, "Input/output error")
    assert not journal.sync(second)
    syncs.error = None
    assert journal.sync(journal.put([b"third"]))
    assert not journal.sync(first)
    journal.close()


def test_a_log_handler_may_track_that_the_disk_fails(
    durable: Host, syncs: Syncs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It asks for a new segment while the failure is being told."""
    durable.events.define("error.log")
    tracked: list[object] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            syncs.error = None
            with durable.app.app_context():
                tracked.append(track("error.log", customer="1"))

    handler, logger = Handler(), logging.getLogger("flask_eventtrack")
    syncs.error = OSError(errno.EIO, "Input/output error")
    logger.addHandler(handler)
    try:
        assert post(durable).status_code == 503
    finally:
        logger.removeHandler(handler)
    assert tracked[0] is not None


def test_concurrent_posts_share_a_sync(durable: Host, syncs: Syncs) -> None:
    """Sixteen that wait for the disk take two turns at it, or one."""
    syncs.gate.clear()
    statuses: list[int] = []
    threads = [
        threading.Thread(target=lambda: statuses.append(post(durable).status_code))
        for _ in range(16)
    ]
    for thread in threads:
        thread.start()
    try:
        wait_until(lambda: waiting(durable) == 16)
    finally:
        syncs.gate.set()
        for thread in threads:
            thread.join()
    assert statuses == [202] * 16
    assert 1 <= len(syncs.contents) <= 2
    assert durable.actions()["button.click"] == 16


def test_a_failed_sync_acknowledges_nothing(
    durable: Host, syncs: Syncs, caplog: pytest.LogCaptureFixture
) -> None:
    """Posts are told to come back, track() returns None, and pages go out all the same."""
    durable.events.define("order.ship")
    syncs.error = OSError(errno.EIO, "Input/output error")
    answer = post(durable)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    with durable.app.app_context():
        assert track("order.ship", customer="1") is None
    visit(durable)
    assert "The journal cannot be written, and events are refused" in caplog.text
    syncs.error = None
    assert post(durable).status_code == 202


def test_after_a_failed_sync_comes_another_segment(durable: Host, syncs: Syncs) -> None:
    """The system forgets which pages it could not write: a later success says nothing of them."""
    visit(durable)
    syncs.error = OSError(errno.EIO, "Input/output error")
    post(durable)
    syncs.error = None
    assert post(durable).status_code == 202
    first, second = segments(home_of(durable))
    assert syncs.contents[-1] == second.read_bytes()
    assert first.read_bytes() not in syncs.contents


def test_a_disk_that_fails_is_logged_once(
    durable: Host, syncs: Syncs, caplog: pytest.LogCaptureFixture
) -> None:
    """Not at each request."""
    syncs.error = OSError(errno.EIO, "Input/output error")
    visit(durable, 10)
    assert len(caplog.messages) <= 2


def test_a_new_segment_s_name_is_on_the_disk_before_an_answer(
    durable: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file whose folder was not brought to the disk may not be there after a loss of power."""
    fsync, synced = os.fsync, set[str]()

    def fail(fd: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    def note(fd: int) -> None:
        synced.add(str(pathlib.Path(f"/proc/self/fd/{fd}").readlink()))
        fsync(fd)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        assert post(durable).status_code == 503
    monkeypatch.setattr(os, "fsync", note)
    assert post(durable).status_code == 202
    assert str(segments(home_of(durable))[-1].parent) in synced


def test_a_durable_commit_to_sqlite_is_on_the_disk(durable: Host) -> None:
    """With WAL and synchronous=NORMAL a commit is not; the journal is discarded all the same."""
    with durable.state.pipeline.database.begin() as connection:
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2


@pytest.mark.parametrize(("durability", "files"), [("journal", 1), ("memory", 0)])
def test_no_other_mode_waits_for_the_disk(
    make: MakeHost, config: dict[str, t.Any], syncs: Syncs, durability: str, files: int
) -> None:
    """A journal is a write; memory is not even a file."""
    host = make({**config, "EVENTTRACK_DURABILITY": durability})
    visit(host, 3)
    assert post(host).status_code == 202
    assert len(segments(home_of(host))) == files
    assert host.actions()["page.visit"] == 3
    assert syncs.contents == []


# Forks and exits


@needs_fork
def test_a_fork_s_child_has_no_hold_on_its_parent_s_journal(
    make: MakeHost, url: str, config: dict[str, t.Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The parent is killed while the child lives: the parent's events arrive, and when the child
    is dead the child's."""
    monkeypatch.setattr("flask_eventtrack.pipeline.pipeline.CHORES_INTERVAL", 0.05)
    script = """
for _ in range(3):
    note("parent.test")
if os.fork() == 0:
    note("child.test")
    print(os.getpid(), flush=True)
    sys.stdin.readline()
    os._exit(0)
threading.Event().wait()
"""
    host = make(config, url=url)
    with program(script, url, config) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        child_s_files = pathlib.Path("/proc", process.stdout.readline().strip(), "fd")
        [child, parent] = sorted(
            segments(home_of(host)), key=lambda path: b"child.test" not in path.read_bytes()
        )
        child, parent = child.parent, parent.parent
        opened = {str(path.readlink()) for path in child_s_files.glob("*")}
        assert not [name for name in opened if parent.name in name]
        wake(host)
        assert host.actions() == {}
        process.kill()
        process.wait(10)
        wait_until(lambda: not parent.exists())
        assert host.actions() == {"parent.test": 3}
        assert child.exists()
        process.stdin.close()
        wait_until(lambda: not child.exists())
    assert host.actions() == {"parent.test": 3, "child.test": 1}


@pytest.mark.parametrize("end", ["", "sys.exit(3)", "raise RuntimeError"])
def test_an_orderly_end_leaves_no_folder(
    make: MakeHost, url: str, config: dict[str, t.Any], journals: pathlib.Path, end: str
) -> None:
    """What waited is written, and the journal of the process is gone."""
    host = make(config, url=url)
    assert run(f'note("parent.test")\n{end}', url, config) in {0, 1, 3}
    assert list(journals.iterdir()) == []
    assert host.actions() == {"parent.test": 1}


def test_close_leaves_what_waits_to_the_next(
    make: MakeHost, url: str, config: dict[str, t.Any]
) -> None:
    """An app that is closed while the database is away: the next one writes it."""
    first = make(config, url=url, create=False)
    visit(first, 3)
    first.close()
    assert len(segments(home_of(first))) == 1
    second = make(config, url=url)
    adopt(second)
    assert second.actions() == {"page.visit": 3, "session.start": 1}


def test_close_leaves_nothing_where_nothing_waits(
    make: MakeHost, config: dict[str, t.Any], journals: pathlib.Path
) -> None:
    """Neither a folder nor that of all processes."""
    host = make(config)
    visit(host, 3)
    host.flush()
    host.close()
    assert list(journals.iterdir()) == []


# A live journal is damaged


def flip(path: pathlib.Path, position: int) -> None:
    with path.open("r+b") as file:
        file.seek(position)
        [byte] = file.read(1)
        file.seek(position)
        file.write(bytes([byte ^ 0xFF]))


def test_damage_under_a_running_process_is_counted(
    make: MakeHost, config: dict[str, t.Any]
) -> None:
    """flush() returns, the damaged record is counted, and the process goes on."""
    host = make(config)
    visit(host, 2)
    [path] = segments(home_of(host))
    size = path.stat().st_size
    visit(host)
    flip(path, size + 30)
    visit(host, 2)
    host.flush()
    assert waiting(host) == 0
    assert host.actions()["page.visit"] == 4
    assert losses(host) == {("dropped", "", "unreadable"): 1}
    visit(host, 2)
    assert host.actions()["page.visit"] == 6
    assert list(home_of(host).glob("*.bad"))


@pytest.mark.parametrize("position", [0, 9, 13, 200])
def test_flush_returns_whatever_byte_is_damaged(
    make: MakeHost, config: dict[str, t.Any], position: int
) -> None:
    """The head, the seed, a length, a record: nothing waits for ever or goes without a word."""
    host = make(config)
    visit(host, 3)
    flip(segments(home_of(host))[0], position)
    host.flush()
    assert waiting(host) == 0
    visit(host)
    assert host.actions()["page.visit"] == 4 or losses(host)


@pytest.mark.parametrize("size", [0, 5, 12, 13, 200])
def test_flush_returns_when_the_file_is_cut(
    make: MakeHost, config: dict[str, t.Any], size: int
) -> None:
    """Somebody empties it under the process."""
    host = make(config)
    visit(host, 3)
    os.truncate(segments(home_of(host))[0], size)
    host.flush()
    assert waiting(host) == 0


def test_flush_returns_when_the_folder_is_removed(
    make: MakeHost, config: dict[str, t.Any], journals: pathlib.Path
) -> None:
    """A deploy clears the instance folder under the old process."""
    host = make(config)
    visit(host, 3)
    shutil.rmtree(journals)
    host.flush()
    assert waiting(host) == 0


@pytest.mark.parametrize("how", ["removed", "emptied", "overwritten"])
def test_events_after_the_file_is_lost_arrive(
    make: MakeHost, config: dict[str, t.Any], journals: pathlib.Path, how: str
) -> None:
    """Once a flush has found that the journal is gone, another one is begun."""
    host = make(config)
    visit(host, 3)
    [path] = segments(home_of(host))
    match how:
        case "removed":
            shutil.rmtree(journals)
        case "emptied":
            os.truncate(path, 0)
        case "overwritten":
            path.write_bytes(b"x" * 5000)
    host.flush()
    ids = {post(host).json["results"][0]["event_id"] for _ in range(2)}
    assert {str(row["id"]) for row in host.events_of("button.click")} == ids


def test_flush_returns_under_load_when_records_are_damaged(
    make: MakeHost, config: dict[str, t.Any]
) -> None:
    """Others go on putting while it waits for records that never come."""
    host = make(config)
    visit(host, 3)
    flip(segments(home_of(host))[0], 200)
    is_over = threading.Event()

    def load() -> None:
        while not is_over.is_set():
            host.state.pipeline.put(an_event(session=None, id=uuidlib.uuid4()))

    thread = threading.Thread(target=load)
    thread.start()
    try:
        with host.app.app_context():
            host.events.flush(timeout=5)
    finally:
        is_over.set()
        thread.join()


def test_outcomes_outlive_a_journal_that_cannot_be_read(
    make: MakeHost, config: dict[str, t.Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error of the disk costs no count."""
    host = make(config)
    visit(host)

    def fail(*args: object) -> t.NoReturn:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr("flask_eventtrack.pipeline.segment.SegmentReader.read", fail)
        host.state.pipeline.count(Outcome("rejected", "no.room", "a reason"))
        with pytest.raises(OSError, match="Input/output"):
            host.flush()
    host.flush()
    assert host.actions()["page.visit"] == 1
    assert losses(host) == {("rejected", "no.room", "a reason"): 1}


def test_ids_of_a_journal_are_those_of_its_clock(host: Host) -> None:
    """What is adopted happened when it happened, not when it was found."""
    leave(host, an_event(seconds=5, session=None))
    host.clock.advance(days=3)
    adopt(host)
    [event] = host.events_of("order.ship")
    assert (event["time"] - START).total_seconds() == 5
