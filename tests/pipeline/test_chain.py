"""The chain of segments: what is adopted, and how much is kept."""

from __future__ import annotations

import os
import pathlib
import stat
import subprocess
import threading
import typing as t

import pytest

from .segments import SEGMENT_BYTES, Begin, Drained, adopt, drain, folders, leave, segments

# Adoption


def test_the_living_are_not_adopted(home: pathlib.Path, begin: Begin) -> None:
    """Neither from within the process nor once its folder is old."""
    alive, other = begin(home), begin(home)
    alive.put([b"mine"])
    [folder] = folders(home)
    os.utime(folder, (0, 0))
    for _ in range(2):
        other.adopt()
        assert other.claim(1) is None
    assert drain(alive) == Drained([b"mine"], 0)
    assert folder.exists()


def test_an_empty_folder_goes_when_it_is_old(home: pathlib.Path) -> None:
    """A process may be just about to begin in it; after a minute it is dead."""
    folder = leave(home, [b"x"])
    segments(home)[0].unlink()
    adopt(home)
    assert folder.exists()
    os.utime(folder, (0, 0))
    adopt(home)
    assert not home.exists() or not folders(home)


def test_a_folder_that_goes_meanwhile_stops_no_adoption(
    home: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process took it over between the look and the lock."""
    first, second = sorted([leave(home, [b"x"]), leave(home, [b"y"])])

    def removing(look: t.Callable[..., t.Any]) -> t.Callable[..., t.Any]:
        def remove_before(path: t.Any = ".") -> t.Any:
            if str(path) == str(first) and first.exists():
                subprocess.run(["rm", "-r", str(first)], check=True)
            return look(path)

        return remove_before

    with monkeypatch.context() as patch:
        for name in ("listdir", "scandir"):
            patch.setattr(os, name, removing(getattr(os, name)))
        drained = adopt(home)
    assert len(drained.payloads) == 1
    assert not second.exists()


def test_what_many_dead_have_left_comes_together(home: pathlib.Path, begin: Begin) -> None:
    """Up to the limit; what cannot be read is set aside, and each folder goes once it is read."""
    left = [leave(home, [b"%d a" % n, b"%d b" % n, b"%d c" % n]) for n in range(4)]
    [path] = left[3].glob("*.segment")
    path.write_bytes(path.read_bytes() + b"torn")
    journal = begin(home)
    journal.adopt()
    first = journal.claim(5)
    assert first is not None
    assert first == journal.claim(5)
    assert (len(first.payloads), first.is_replay) == (5, True)
    journal.acknowledge(first, [first.payloads[0]])
    rest = drain(journal, 500)
    assert first.damaged + rest.damaged == 1
    expected = [b"%d %s" % (n, letter) for n in range(4) for letter in (b"a", b"b", b"c")]
    assert sorted([*first.payloads, *rest.payloads]) == expected
    aside = b"".join(each.read_bytes() for each in home.glob("*.bad"))
    assert aside.replace(b"torn", b"", 1) == first.payloads[0]
    assert b"torn" in aside
    assert not any(folder.exists() for folder in left)


def test_two_threads_share_what_the_dead_have_left(home: pathlib.Path) -> None:
    """As two processes: each record once, and no error from a folder that is gone already."""
    for number in range(40):
        leave(home, [str(number).encode()])
    barrier = threading.Barrier(2)
    found: list[bytes] = []
    ends: list[bool] = []

    def share() -> None:
        barrier.wait()
        found.extend(adopt(home).payloads)
        ends.append(True)

    threads = [threading.Thread(target=share) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ends == [True, True]
    assert sorted(found, key=int) == [str(number).encode() for number in range(40)]
    assert not home.exists() or not folders(home)


# Bounds


def test_a_full_journal_refuses_until_there_is_room(home: pathlib.Path, begin: Begin) -> None:
    """What is acknowledged makes room again, at once."""
    journal = begin(home, 1000)
    accepted = 0
    while accepted < 100 and journal.put([b"x" * 100]):
        accepted += 1
    assert 1000 <= accepted * 108 <= 1200
    assert len(drain(journal).payloads) == accepted
    assert journal.put([b"x" * 100])


def test_what_the_living_keep_counts(home: pathlib.Path, begin: Begin) -> None:
    """The bound is that of all processes together, as of the last look."""
    other, journal = begin(home), begin(home, 1000)
    other.put([b"x" * 2000])
    journal.adopt()
    assert not journal.put([b"x"])
    drain(other)
    other.close()
    journal.adopt()
    assert journal.put([b"x"])


def test_what_the_dead_have_left_counts(home: pathlib.Path, begin: Begin) -> None:
    """Restarts in an outage do not fill the disk: an adopted journal takes its room."""
    leave(home, [b"x" * 2000])
    journal = begin(home, 1000)
    journal.adopt()
    assert not journal.put([b"x"])
    assert drain(journal).payloads == [b"x" * 2000]
    journal.adopt()
    assert journal.put([b"x"])


def test_what_the_dead_have_left_makes_room_as_it_is_written(
    home: pathlib.Path, begin: Begin
) -> None:
    """Not only at the next look, a minute later."""
    leave(home, [b"x" * 2000])
    journal = begin(home, 1000)
    journal.adopt()
    assert drain(journal).payloads == [b"x" * 2000]
    assert journal.put([b"x"])


def test_segments_go_when_they_are_committed(
    home: pathlib.Path, monkeypatch: pytest.MonkeyPatch, begin: Begin
) -> None:
    """However much passes through a journal, what is committed takes no room."""
    monkeypatch.setattr(SEGMENT_BYTES, 500)
    journal = begin(home, 3000)
    for number in range(200):
        assert journal.put([str(number).encode() * 20])
        if number % 10 == 9:
            assert len(drain(journal).payloads) == 10
            assert len(segments(home)) == 1
    journal.close()
    assert not home.exists()


def test_folders_and_files_are_the_owner_s_alone(
    home: pathlib.Path, rotated: pathlib.Path, begin: Begin
) -> None:
    """Journals hold what visitors did: 0700 and 0600, also those of what cannot be read."""
    segments(home)[0].write_bytes(b"foreign")
    journal = begin(home)
    journal.put([b"alive"])
    journal.adopt()
    drain(journal)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in [home, *home.rglob("*")]}
    assert {"lock", "checkpoint", f"{rotated.name}.bad"} <= modes.keys()
    for path in [home, *home.rglob("*")]:
        assert modes[path.name] == (0o700 if path.is_dir() else 0o600), path
