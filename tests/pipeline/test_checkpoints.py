"""Checkpoints: where reading goes on, and that none is needed."""

from __future__ import annotations

import pathlib
import shutil
import struct
import zlib

import pytest

from .segments import (
    HEAD,
    RECORDS,
    SEGMENT_BYTES,
    Begin,
    Drained,
    a_journal,
    adopt,
    folders,
    home_at,
)


@pytest.fixture
def half_read(home: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """The folder of a process that died when it had committed the first three of five records.

    They lie in segments of two.
    """
    monkeypatch.setattr(SEGMENT_BYTES, 30)
    alive = home_at(home / "alive")
    journal = a_journal(alive)
    for record in [*RECORDS, b"fifth"]:
        journal.put([record])
    for count in (1, 1, 1):
        claimed = journal.claim(count)
        assert claimed is not None
        journal.acknowledge(claimed)
    [folder] = folders(alive)
    shutil.copytree(folder, home / "dead" / folder.name)
    journal.close()
    shutil.rmtree(alive)
    return home / "dead" / folder.name


def a_checkpoint(number: int, position: int) -> bytes:
    packed = struct.pack("<QQ", number, position)
    return packed + struct.pack("<I", zlib.crc32(packed))


LEFT = [RECORDS[3], b"fifth"]


def test_reading_goes_on_at_the_checkpoint(half_read: pathlib.Path) -> None:
    """What was acknowledged before the death does not come again."""
    assert adopt(half_read.parent) == Drained(LEFT, 0)


def test_without_its_checkpoint_a_journal_is_read_again(half_read: pathlib.Path) -> None:
    """Records come again, which changes nothing; none is lost."""
    (half_read / "checkpoint").unlink()
    drained = adopt(half_read.parent)
    assert (drained.payloads[-2:], drained.damaged) == (LEFT, 0)
    assert set(drained.payloads) <= {*RECORDS, b"fifth"}


@pytest.mark.parametrize("position", range(20))
def test_a_garbled_checkpoint_loses_nothing(half_read: pathlib.Path, position: int) -> None:
    """Its checksum tells; the records come again."""
    data = bytearray((half_read / "checkpoint").read_bytes())
    data[position] ^= 0xFF
    (half_read / "checkpoint").write_bytes(data)
    drained = adopt(half_read.parent)
    assert (drained.payloads[-2:], drained.damaged) == (LEFT, 0)


@pytest.mark.parametrize("data", [b"", b"x", bytes(19), bytes(20), bytes(21), bytes(4096)])
def test_a_checkpoint_of_other_bytes_loses_nothing(half_read: pathlib.Path, data: bytes) -> None:
    """Too short, too long, or noughts."""
    (half_read / "checkpoint").write_bytes(data)
    assert adopt(half_read.parent).payloads[-2:] == LEFT


def test_an_old_checkpoint_loses_nothing(half_read: pathlib.Path) -> None:
    """It names a segment that is gone: its successor is read from the start."""
    (half_read / "checkpoint").write_bytes(a_checkpoint(1, 25))
    assert adopt(half_read.parent).payloads[-2:] == LEFT


@pytest.mark.parametrize(
    ("number", "position"),
    [(2, 0), (2, 13), (2, 2**40), (2, 2**64 - 1), (0, 2**63), (2**40, 12), (2**64 - 1, 12)],
)
def test_a_checkpoint_that_is_nowhere_is_not_fatal(
    half_read: pathlib.Path, number: int, position: int
) -> None:
    """Within a record, within the head, behind the end or behind the last segment."""
    (half_read / "checkpoint").write_bytes(a_checkpoint(number, position))
    assert set(adopt(half_read.parent).payloads) <= {*RECORDS, b"fifth"}
    assert folders(half_read.parent) == []


def test_a_folder_in_the_checkpoint_s_place_is_not_fatal(half_read: pathlib.Path) -> None:
    """Nothing can be noted there, and so nothing is."""
    (half_read / "checkpoint").unlink()
    (half_read / "checkpoint").mkdir()
    assert adopt(half_read.parent).payloads[-2:] == LEFT


def test_the_checkpoint_is_there_before_a_segment_goes(
    home: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, begin: Begin
) -> None:
    """Whoever is killed before, at or after an unlink leaves just what was not acknowledged."""
    monkeypatch.setattr(SEGMENT_BYTES, HEAD)
    left: list[tuple[list[bytes], pathlib.Path]] = []
    waiting = list(RECORDS)
    unlink = pathlib.Path.unlink

    def kill_around(path: pathlib.Path, missing_ok: bool = False) -> None:
        for step in range(2):
            if path.suffix == ".segment" and path.exists() == (step == 0):
                left.append((list(waiting), tmp_path / f"left{len(left)}"))
                shutil.copytree(path.parent, left[-1][1] / path.parent.name)
            if step == 0:
                unlink(path, missing_ok=missing_ok)

    journal = begin(home)
    for record in RECORDS:
        journal.put([record])
    with monkeypatch.context() as patch:
        patch.setattr(pathlib.Path, "unlink", kill_around)
        while claimed := journal.claim(1):
            waiting.remove(*claimed.payloads)
            journal.acknowledge(claimed)
    journal.close()
    assert len(left) == 6
    assert [adopt(folder).payloads for _, folder in left] == [records for records, _ in left]
