"""A live journal is damaged: what was lost is counted, and `flush` returns."""

from __future__ import annotations

import errno
import os
import pathlib
import shutil
import threading
import typing as t
import uuid as uuidlib

import pytest

from flask_eventtrack.records import Outcome

from ..conftest import MakeHost
from ..hosts import START, Host
from ..store.records import an_event
from .journals import adopt, flip, home_of, leave, losses, post, segments
from .waiting import visit, waiting


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
        patch.setattr("flask_eventtrack.pipeline.journal_format.SegmentReader.read", fail)
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
