"""A durable answer is on the disk."""

from __future__ import annotations

import errno
import logging
import os
import pathlib
import threading
import typing as t
import uuid as uuidlib

import pytest

from flask_eventtrack import track
from flask_eventtrack.pipeline.journal import Journal

from ..conftest import MakeHost
from ..hosts import Host
from ..store.records import an_id
from .journals import flip, home_of, post, segments
from .segments import adopt, home_at
from .waiting import visit, wait_until, waiting

SYNC = "fdatasync" if hasattr(os, "fdatasync") else "fsync"


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
    """There is no answer until the disk has confirmed; by then it holds the event."""
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
    found = {path.read_bytes() for path in segments(home_at(tmp_path / "home"))}
    assert len(found) > 2
    assert found <= set(syncs.contents)
    journal.close()


def test_a_segment_that_was_given_up_is_on_the_disk_before_an_answer(
    tmp_path: pathlib.Path, syncs: Syncs
) -> None:
    """A success of another file's sync does not count for a record in this one."""
    home = home_at(tmp_path / "home")
    journal = Journal(tmp_path / "home", 1 << 28, is_durable=True)
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


def test_a_disk_that_fails_at_the_end_is_told(
    tmp_path: pathlib.Path, syncs: Syncs, caplog: pytest.LogCaptureFixture
) -> None:
    """Closing raises nothing, and what the file has is there for the next process."""
    journal = Journal(tmp_path / "home", 1 << 28, is_durable=True)
    assert journal.put([b"put, and not waited for"])
    syncs.error = OSError(errno.EIO, "Input/output error")
    journal.close()
    [message] = caplog.messages
    assert message.startswith("The journal cannot be written, and events are refused: ")
    assert adopt(tmp_path / "home").payloads == [b"put, and not waited for"]


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
    """A file may be missing after a loss of power if its folder was not synced."""
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
