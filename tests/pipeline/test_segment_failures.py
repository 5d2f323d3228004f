"""A live journal loses its files, or the system refuses."""

from __future__ import annotations

import contextlib
import errno
import os
import pathlib
import shutil
import typing as t

import filelock
import pytest

from ..faults.disk import fill, small_disk
from .segments import (
    HEAD,
    RECORDS,
    SEGMENT_BYTES,
    Begin,
    Drained,
    a_journal,
    adopt,
    drain,
    folders,
    leave,
    segments,
)

# The live journal is damaged


def damage(home: pathlib.Path, how: str) -> None:
    [path] = segments(home)
    match how:
        case "gone":
            path.unlink()
        case "folder gone":
            shutil.rmtree(home)
        case "foreign":
            path.write_bytes(b"foreign" + path.read_bytes()[7:])
        case "cut":
            os.truncate(path, HEAD + 3)


@pytest.mark.parametrize("how", ["gone", "cut", "folder gone", "foreign"])
def test_a_journal_whose_file_is_lost_begins_another(
    home: pathlib.Path, how: str, begin: Begin
) -> None:
    """What was in it is lost; what is put once that is known is not, nor by a later death."""
    journal = begin(home)
    assert journal.put([b"lost"])
    damage(home, how)
    drain(journal)
    journal.adopt()
    later = [f"later {n}".encode() for n in range(5)]
    assert all(journal.put([record]) for record in later)
    if how.endswith("gone"):
        shutil.copytree(home, home.parent / "killed")
        assert adopt(home.parent / "killed").payloads[-5:] == later
    assert drain(journal).payloads[-5:] == later


def test_a_journal_whose_folder_is_removed_begins_another(
    home: pathlib.Path, monkeypatch: pytest.MonkeyPatch, begin: Begin
) -> None:
    """A clumsy deploy: what was in it is read to its end, and the next segment is elsewhere."""
    monkeypatch.setattr(SEGMENT_BYTES, 50)
    journal = begin(home)
    journal.put([b"read"])
    assert drain(journal).payloads == [b"read"]
    shutil.rmtree(home)
    for _ in range(3):
        assert journal.put([b"long enough for a segment" * 3])


def test_what_is_put_while_its_file_is_given_up_is_refused(
    home: pathlib.Path, begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reader may have seen the last of it: only a record that it will see is acknowledged."""
    journal = begin(home)
    assert journal.put([b"first"])
    write = os.write

    def give_up_first(fd: int, data: bytes) -> int:
        monkeypatch.undo()
        damage(home, "cut")
        drain(journal)
        return write(fd, data)

    monkeypatch.setattr(os, "write", give_up_first)
    assert not journal.put([b"second"])
    assert journal.put([b"third"])
    assert drain(journal).payloads[-1:] == [b"third"]


def test_what_is_lost_takes_no_room(home: pathlib.Path, begin: Begin) -> None:
    """Records of a file that somebody has removed do not fill the journal for good."""
    journal = begin(home, 1000)
    for _ in range(3):
        assert journal.put([b"x" * 1500])
        assert not journal.put([b"x"])
        damage(home, "gone")
        journal.adopt()
        drain(journal)
    assert journal.put([b"x"])


def test_a_lost_segment_does_not_make_later_ones_old(
    home: pathlib.Path, monkeypatch: pytest.MonkeyPatch, begin: Begin
) -> None:
    """The numbers go on, so that the checkpoint tells which segments have been committed."""
    monkeypatch.setattr(SEGMENT_BYTES, 30)
    journal = begin(home)
    for record in RECORDS:
        journal.put([record])
    assert drain(journal).payloads == RECORDS
    journal.put([b"a new segment, which is damaged"])
    segments(home)[-1].write_bytes(b"damaged")
    drain(journal)
    later = [f"later {n}".encode() for n in range(5)]
    assert all(journal.put([record]) for record in later)
    shutil.copytree(home, home.parent / "killed")
    assert adopt(home.parent / "killed").payloads[-5:] == later
    journal.close()


def test_an_empty_journal_of_a_process_that_lives_is_its_own(
    home: pathlib.Path, begin: Begin
) -> None:
    """However long it has had nothing to say; that of a dead one is removed."""
    journal = begin(home)
    assert journal.put([b"committed"])
    drain(journal)
    journal.discard()
    [folder] = folders(home)
    shutil.copytree(folder, home / "dead")
    for each in folders(home):
        os.utime(each, (0, 0))
    begin(home).adopt()
    assert folders(home) == [folder]
    assert journal.put([b"alive"])
    assert drain(journal).payloads == [b"alive"]


def test_a_journal_that_cannot_be_locked_is_left_alone(home: pathlib.Path, begin: Begin) -> None:
    """The others are taken over, and the host goes on."""
    for record in RECORDS:
        leave(home, [record])
    spoilt = folders(home)[0]
    (spoilt / "lock").unlink(missing_ok=True)
    (spoilt / "lock").mkdir()
    journal = begin(home)
    journal.adopt()
    assert len(drain(journal).payloads) == len(RECORDS) - 1
    assert segments(home) == [*spoilt.glob("*.segment")]


# What the system refuses


@contextlib.contextmanager
def failing(monkeypatch: pytest.MonkeyPatch, name: str, error: BaseException) -> t.Any:
    """Have a function of ``os`` fail each time."""

    def fail(*args: object, **options: object) -> t.NoReturn:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(os, name, fail)
        yield


def test_a_full_disk_refuses_and_loses_nothing(
    home: pathlib.Path, monkeypatch: pytest.MonkeyPatch, begin: Begin
) -> None:
    """A record that is only half written is cut off again."""
    journal = begin(home)
    journal.put([b"before"])
    write, room = os.write, 10

    def write_a_little(fd: int, data: bytes) -> int:
        nonlocal room
        if not room:
            raise OSError(errno.ENOSPC, "No space left on device")
        data, room = data[:room], max(0, room - len(data))
        return write(fd, data)

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", write_a_little)
        assert not journal.put([b"does not fit"])
        assert not journal.put([b"nor this"])
    assert journal.put([b"after"])
    assert drain(journal) == Drained([b"before", b"after"], 0)
    journal.close()
    assert not home.exists()


def test_a_segment_that_finds_no_room_is_not_left_behind(tmp_path: pathlib.Path) -> None:
    """On a full disk each record tries to begin one: once there is room, the first is whole."""
    with (
        small_disk(tmp_path / "disk") as disk,
        contextlib.closing(a_journal(disk / "a")) as journal,
    ):
        fill(disk)
        for _ in range(3):
            assert not journal.put([b"does not fit"])
        assert segments(disk / "a") == []
        (disk / "filler").unlink()
        assert journal.put([b"fits"])
        assert drain(journal) == Drained([b"fits"], 0)


def test_a_torn_record_that_cannot_be_cut_off_ends_its_segment(
    home: pathlib.Path, monkeypatch: pytest.MonkeyPatch, begin: Begin
) -> None:
    """What comes after it is in another segment, where it is found."""
    journal = begin(home)
    journal.put([b"before"])
    write = os.write

    def write_half(fd: int, data: bytes) -> int:
        write(fd, data[:9])
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch, failing(patch, "ftruncate", OSError(errno.EIO, "")):
        patch.setattr(os, "write", write_half)
        assert not journal.put([b"torn"])
    assert journal.put([b"after"])
    assert drain(journal) == Drained([b"before", b"after"], 1)


@pytest.mark.parametrize("written", [9, None])
def test_a_write_that_a_signal_s_handler_leaves_early_harms_no_other(
    home: pathlib.Path, monkeypatch: pytest.MonkeyPatch, written: int | None, begin: Begin
) -> None:
    """Celery's soft time limit, or any handler that raises, between the write and its result."""
    journal = begin(home)
    journal.put([b"before"])
    write = os.write

    def interrupted(fd: int, data: bytes) -> int:
        write(fd, data[:written])
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", interrupted)
        with pytest.raises(KeyboardInterrupt):
            journal.put([b"not acknowledged"])
    later = [f"later {n}".encode() for n in range(5)]
    assert all(journal.put([record]) for record in later)
    drained = drain(journal)
    assert [payload for payload in drained.payloads if payload != b"not acknowledged"] == [
        b"before",
        *later,
    ]


def test_a_lock_that_cannot_be_had_refuses(
    home: pathlib.Path, monkeypatch: pytest.MonkeyPatch, begin: Begin
) -> None:
    """No more open files, or a file system without locks: the request is not held for ever."""
    tries = 0

    def refuse(*args: object, **options: object) -> t.NoReturn:
        nonlocal tries
        tries += 1
        assert tries < 10
        raise OSError(errno.EMFILE, "Too many open files")

    journal = begin(home)
    with monkeypatch.context() as patch:
        patch.setattr(filelock.FileLock, "acquire", refuse)
        assert not journal.put([b"x"])
    assert len(folders(home)) <= 1
    assert journal.put([b"x"])


@pytest.mark.skipif(not pathlib.Path("/proc/self/fd").exists(), reason="there is no /proc")
def test_many_orphans_take_few_open_files(home: pathlib.Path, begin: Begin) -> None:
    """A worker that was restarted again and again through an outage leaves the host its files."""
    for number in range(100):
        leave(home, [str(number).encode()])
    journal = begin(home)
    before = len(list(pathlib.Path("/proc/self/fd").iterdir()))
    journal.adopt()
    assert journal.claim(1)
    assert len(list(pathlib.Path("/proc/self/fd").iterdir())) - before < 50
    assert sorted(drain(journal).payloads, key=int) == [
        str(number).encode() for number in range(100)
    ]


def test_a_journal_that_cannot_be_read_holds_up_no_other(
    home: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bad disk under one orphan: the others are written, and that one is left."""
    first, second = leave(home, [b"unreadable"]), leave(home, [b"readable"])
    path_open = pathlib.Path.open

    def fail(path: pathlib.Path, *args: t.Any, **options: t.Any) -> t.Any:
        if path.parent == first:
            raise OSError(errno.EIO, "Input/output error")
        return path_open(path, *args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(pathlib.Path, "open", fail)
        assert adopt(home) == Drained([b"readable"], 0)
    assert folders(home) == [first]
    assert second != first
    assert adopt(home) == Drained([b"unreadable"], 0)


def test_many_that_cannot_be_read_are_tried_once_each(
    home: pathlib.Path, monkeypatch: pytest.MonkeyPatch, begin: Begin
) -> None:
    """They wait for the next minute, and hold up no live event meanwhile."""
    for number in range(40):
        leave(home, [str(number).encode()])
    journal = begin(home)
    assert journal.put([b"alive"])
    tries: list[pathlib.Path] = []

    def fail(path: pathlib.Path, *args: t.Any, **options: t.Any) -> t.Any:
        if path.suffix == ".segment":
            tries.append(path)
            assert len(tries) <= 40
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(pathlib.Path, "open", fail)
        journal.adopt()
        assert drain(journal).payloads == [b"alive"]
    assert len(set(tries)) == 40
    journal.adopt()
    assert len(drain(journal).payloads) == 40
