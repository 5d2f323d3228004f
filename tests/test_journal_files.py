"""The journal's files: whatever is damaged or cut, only that is lost, and nobody forges a record.

A copy of a journal's folder is what a process leaves that is killed at that instant.
"""

from __future__ import annotations

import collections
import collections.abc as cabc
import contextlib
import datetime as dt
import errno
import itertools
import os
import pathlib
import shutil
import stat
import struct
import subprocess
import tempfile
import threading
import typing as t
import unittest.mock
import uuid as uuidlib
import zlib

import filelock
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from flask_eventtrack.pipeline import Journal
from flask_eventtrack.records import (
    Claim,
    Client,
    Event,
    Identified,
    PageView,
    Record,
    SessionEnd,
    SessionRef,
    decode_record,
    encode_record,
)

HEAD = 12
FRAME = 8
SEGMENT_BYTES = "flask_eventtrack.pipeline.journal._SEGMENT_BYTES"
RECORDS = [b"first", b"second", b"third record", b"fourth and last"]


def a_journal(
    home: pathlib.Path, max_bytes: int = 1024 * 1024 * 256, *, is_durable: bool = False
) -> Journal:
    return Journal(home, max_bytes, is_durable=is_durable)


Begin = cabc.Callable[..., Journal]


@pytest.fixture
def begin() -> cabc.Iterator[Begin]:
    """Return what makes journals; they are closed afterwards."""
    journals: list[Journal] = []

    def build(*args: t.Any, **options: t.Any) -> Journal:
        journals.append(a_journal(*args, **options))
        return journals[-1]

    yield build
    for journal in journals:
        journal.close()


@pytest.fixture
def home(tmp_path: pathlib.Path) -> pathlib.Path:
    return tmp_path / "home"


def leave(home: pathlib.Path, *batches: cabc.Sequence[bytes]) -> pathlib.Path:
    """Have a process put batches and die; return the folder that it leaves."""
    before = set(home.glob("*"))
    journal = a_journal(home)
    for batch in batches:
        assert journal.put(batch)
    journal.close()
    [folder] = set(home.glob("*")) - before
    return folder


class Drained(t.NamedTuple):
    """What came out of a journal: its records, and how many others it said are damaged."""

    payloads: list[bytes]
    damaged: int


def drain(journal: Journal, limit: int = 500) -> Drained:
    """Claim and acknowledge until there is no more."""
    payloads: list[bytes] = []
    damaged = 0
    while claimed := journal.claim(limit):
        assert len(payloads) < 10_000
        payloads += claimed.payloads
        damaged += claimed.damaged
        journal.acknowledge(claimed)
    return Drained(payloads, damaged)


def adopt(home: pathlib.Path, limit: int = 500) -> Drained:
    """Take over what dead processes have left below a folder, to the end."""
    journal = a_journal(home)
    journal.adopt()
    drained = drain(journal, limit)
    journal.close()
    return drained


def bad(home: pathlib.Path) -> bytes:
    """Return what was set aside."""
    return b"".join(path.read_bytes() for path in sorted(home.glob("*.bad")))


def folders(home: pathlib.Path) -> list[pathlib.Path]:
    return [path for path in home.glob("*") if path.is_dir()]


def segments(home: pathlib.Path) -> list[pathlib.Path]:
    return sorted(home.glob("*/*.segment"))


def span_of(number: int) -> range:
    """Return where one of RECORDS lies in a segment that begins with them."""
    start = HEAD + sum(FRAME + len(record) for record in RECORDS[:number])
    return range(start, start + FRAME + len(RECORDS[number]))


@pytest.fixture
def variants(home: pathlib.Path, tmp_path: pathlib.Path) -> Variants:
    return Variants(leave(home, RECORDS), tmp_path / "variants")


class Variants:
    """Copies of a dead process's journal with something else in its segment."""

    def __init__(self, folder: pathlib.Path, place: pathlib.Path) -> None:
        self._folder = folder
        self._place = place
        self.data = (folder / "00000001.segment").read_bytes()

    def read(self, data: bytes) -> tuple[Drained, bytes]:
        """Return what is adopted of a segment with other bytes, and what is set aside."""
        home = self._place / uuidlib.uuid4().hex
        shutil.copytree(self._folder, home / self._folder.name)
        (home / self._folder.name / "00000001.segment").write_bytes(data)
        drained = adopt(home)
        assert folders(home) == []
        return drained, bad(home)

    def flip(self, position: int, mask: int) -> bytes:
        data = bytearray(self.data)
        data[position] ^= mask
        return bytes(data)


# Damage


@pytest.mark.parametrize("mask", [0x01, 0x80, 0xFF])
def test_a_flipped_byte_costs_the_last_record_only(variants: Variants, mask: int) -> None:
    """Wherever it is in the last record, the others are read and that one is set aside."""
    span = span_of(3)
    for position in span:
        data = variants.flip(position, mask)
        assert variants.read(data) == (Drained(RECORDS[:3], 1), data[span.start :]), position


@pytest.mark.parametrize("mask", [0x01, 0x80, 0xFF])
def test_a_flipped_byte_costs_one_record_in_the_middle(variants: Variants, mask: int) -> None:
    """The next record is found by the length of the one that is damaged."""
    span = span_of(2)
    for position in span[4:]:
        data = variants.flip(position, mask)
        drained, aside = variants.read(data)
        assert drained == Drained([*RECORDS[:2], RECORDS[3]], 1), position
        assert aside == data[span.start : span.stop]


@pytest.mark.parametrize("mask", [0x01, 0x80, 0xFF])
def test_a_flipped_length_costs_nothing_before_it(variants: Variants, mask: int) -> None:
    """What follows cannot be found any more; it is kept, and nothing is made up."""
    span = span_of(2)
    for position in span[:4]:
        data = variants.flip(position, mask)
        assert variants.read(data) == (Drained(RECORDS[:2], 1), data[span.start :]), position


@pytest.mark.parametrize("number", [2, 3])
def test_a_cut_costs_what_is_behind_it_only(variants: Variants, number: int) -> None:
    """A segment that ends within a record is read up to that record; the rest is set aside."""
    span = span_of(number)
    for position in span:
        torn = variants.data[span.start : position]
        expected = Drained(RECORDS[:number], 1 if torn else 0)
        assert variants.read(variants.data[:position]) == (expected, torn), position


@pytest.mark.parametrize("size", range(HEAD))
def test_a_segment_cut_within_its_head_is_set_aside(variants: Variants, size: int) -> None:
    """Its process died before the first record."""
    data = variants.data[:size]
    assert variants.read(data) == (Drained([], 1 if size else 0), data)


def test_a_segment_without_records_is_nothing(variants: Variants) -> None:
    """Its process died between the head and the first record."""
    assert variants.read(variants.data[:HEAD]) == (Drained([], 0), b"")


@pytest.mark.parametrize("position", range(8))
def test_a_damaged_magic_sets_the_segment_aside(variants: Variants, position: int) -> None:
    """What does not say that it is a segment is none."""
    data = variants.flip(position, 1)
    assert variants.read(data) == (Drained([], 1), data)


@pytest.mark.parametrize("tail", [b"\0", bytes(7), bytes(8), bytes(9), bytes(4096)])
def test_noughts_behind_the_records_are_no_records(variants: Variants, tail: bytes) -> None:
    """As a loss of power may leave them."""
    assert variants.read(variants.data + tail) == (Drained(RECORDS, 1), tail)


def test_a_record_longer_than_what_is_read_at_once(home: pathlib.Path) -> None:
    """Records beyond a mebibyte are read, and damage in one of them costs no other."""
    long = os.urandom(1024 * 1024 + 7)
    folder = leave(home, [b"before", long, b"after"], [b"next"], [long, b"last"])
    path = folder / "00000001.segment"
    data = bytearray(path.read_bytes())
    data[HEAD + FRAME + 6 + FRAME + 1000] ^= 1
    path.write_bytes(data)
    assert adopt(home) == Drained([b"before", b"after", b"next", long, b"last"], 1)


def test_a_damaged_length_beyond_what_is_read_at_once(home: pathlib.Path) -> None:
    """Many full chunks before and behind it: all before it is read, nothing is claimed twice."""
    records = [f"{n:06}".encode() * 100 for n in range(3000)]
    folder = leave(home, records)
    path = folder / "00000001.segment"
    data = bytearray(path.read_bytes())
    data[HEAD + 1000 * (FRAME + 600) + 3] ^= 0x40
    path.write_bytes(data)
    assert adopt(home) == Drained(records[:1000], 1)


def test_batches_are_claimed_in_order_whatever_their_size(home: pathlib.Path) -> None:
    """A limit cuts the records, not their order."""
    records = [str(n).encode() for n in range(100)]
    leave(home, records[:30], records[30:])
    assert adopt(home, limit=7) == Drained(records, 0)


@pytest.fixture
def rotated(home: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """The folder of a dead process that wrote RECORDS to a segment each."""
    monkeypatch.setattr(SEGMENT_BYTES, HEAD)
    folder = leave(home, *([record] for record in RECORDS))
    assert len(segments(home)) == 4
    return folder


@pytest.mark.parametrize("number", range(4))
def test_a_missing_segment_costs_its_records_only(
    home: pathlib.Path, rotated: pathlib.Path, number: int
) -> None:
    """The first, the last or one in the middle."""
    segments(home)[number].unlink()
    rest = [record for place, record in enumerate(RECORDS) if place != number]
    assert adopt(home) == Drained(rest, 0)
    assert folders(home) == []


def test_a_live_journal_s_missing_segment_costs_its_records_only(
    home: pathlib.Path, begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its owner has it in its list, and finds that it is gone."""
    monkeypatch.setattr(SEGMENT_BYTES, HEAD)
    journal = begin(home)
    for record in RECORDS:
        journal.put([record])
    segments(home)[1].unlink()
    assert drain(journal) == Drained([RECORDS[0], *RECORDS[2:]], 0)


@pytest.mark.parametrize("number", range(4))
@pytest.mark.parametrize("data", [b"not a segment", b"ETRACK99" + bytes(100), bytes(5000)])
def test_a_foreign_file_in_a_segment_s_place_is_set_aside(
    home: pathlib.Path, rotated: pathlib.Path, number: int, data: bytes
) -> None:
    """Another program's file, or a version's that nobody knows."""
    segments(home)[number].write_bytes(data)
    rest = [record for place, record in enumerate(RECORDS) if place != number]
    assert adopt(home) == Drained(rest, 1)
    assert (folders(home), bad(home)) == ([], data)


@pytest.mark.parametrize("name", ["notes.segment", ".segment", "-1.segment", "1e3.segment", "x"])
def test_a_file_of_another_name_is_left_alone(
    home: pathlib.Path, rotated: pathlib.Path, name: str
) -> None:
    """It is nobody's business, and keeps its folder."""
    (rotated / name).write_bytes(b"somebody's")
    assert adopt(home) == Drained(RECORDS, 0)
    assert [path.name for path in rotated.iterdir()] == [name]


def test_a_name_of_other_digits_stops_no_adoption(
    home: pathlib.Path, rotated: pathlib.Path
) -> None:
    """What Python calls a digit need not be a number."""
    (rotated / "\u00b2.segment").write_bytes(b"somebody's")
    assert adopt(home) == Drained(RECORDS, 0)


def test_a_folder_in_a_segment_s_place_is_not_fatal(
    home: pathlib.Path, rotated: pathlib.Path
) -> None:
    """What comes before it is read, and other journals are not held up."""
    segments(home)[1].unlink()
    (rotated / "00000002.segment").mkdir()
    leave(home, [b"another's"])
    assert set(adopt(home).payloads) == {RECORDS[0], b"another's"}


def test_what_is_set_aside_is_bounded(home: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The files of what cannot be read take so much in all, and no more."""
    monkeypatch.setattr("flask_eventtrack.pipeline.chain._BAD_MAX_BYTES", 1000)
    for number in range(4):
        (leave(home, [b"x"]) / "00000001.segment").write_bytes(bytes([number + 1]) * 400)
    assert adopt(home) == Drained([], 4)
    assert len(bad(home)) == 800


# Checkpoints


@pytest.fixture
def half_read(home: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """The folder of a process that died when it had committed the first three of five records.

    They lie in segments of two.
    """
    monkeypatch.setattr(SEGMENT_BYTES, 30)
    journal = a_journal(home / "alive")
    for record in [*RECORDS, b"fifth"]:
        journal.put([record])
    for count in (1, 1, 1):
        claimed = journal.claim(count)
        assert claimed is not None
        journal.acknowledge(claimed)
    [folder] = folders(home / "alive")
    shutil.copytree(folder, home / "dead" / folder.name)
    journal.close()
    shutil.rmtree(home / "alive")
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


# Forgery


def framed(payload: bytes, seed: int = 0) -> bytes:
    """Return the bytes of a record as a segment with this seed has it."""
    return struct.pack("<II", len(payload), zlib.crc32(payload, seed)) + payload


@pytest.mark.parametrize("seed", [0, 1, 0xFFFFFFFF])
def test_a_record_within_a_record_is_never_read(home: pathlib.Path, seed: int) -> None:
    """Damage may lead the reader into a client's text, where nothing has the right checksum."""
    forged = framed(b"forged", seed)
    folder = leave(home, [b"before", b"text" + forged * 3, b"after"])
    path = folder / "00000001.segment"
    data = bytearray(path.read_bytes())
    start = HEAD + FRAME + len(b"before")
    for length in range(4 + len(forged) * 3 + 1):
        struct.pack_into("<I", data, start, length)
        home_of_one = home.parent / f"variant{length}"
        shutil.copytree(folder, home_of_one / folder.name)
        (home_of_one / folder.name / path.name).write_bytes(data)
        assert b"forged" not in adopt(home_of_one).payloads


def test_another_journal_s_bytes_are_no_records(home: pathlib.Path, tmp_path: pathlib.Path) -> None:
    """Each segment has a seed of its own: whoever knows one journal cannot write another."""
    copied = (leave(tmp_path / "known", [b"forged"]) / "00000001.segment").read_bytes()[HEAD:]
    folder = leave(home, [copied])
    data = bytearray((folder / "00000001.segment").read_bytes())
    struct.pack_into("<I", data, HEAD, 0)
    (folder / "00000001.segment").write_bytes(bytes(data[: HEAD + FRAME]) + copied)
    assert adopt(home).payloads == []
    assert copied in bad(home)


def test_seeds_differ(home: pathlib.Path) -> None:
    """They are random, not counted."""
    for _ in range(5):
        leave(home, [b"x"])
    seeds = {path.read_bytes()[8:HEAD] for path in segments(home)}
    assert len(seeds) == 5


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


# Random sequences


def killed(home: pathlib.Path, place: pathlib.Path) -> pathlib.Path:
    """Return a copy of all journals, as they are after every process was killed just now."""
    copy = place / uuidlib.uuid4().hex
    if home.exists():
        shutil.copytree(home, copy)
    return copy


class JournalMachine(RuleBasedStateMachine):
    """What was put and not acknowledged comes again, in its process's order; nothing else does."""

    def __init__(self) -> None:
        super().__init__()
        self._stack = contextlib.ExitStack()
        self._place = pathlib.Path(self._stack.enter_context(tempfile.TemporaryDirectory()))
        self._stack.enter_context(unittest.mock.patch(SEGMENT_BYTES, 100))
        self._home = self._place / "home"
        self._journal = a_journal(self._home)
        self._lives = itertools.count()
        self._numbers = itertools.count()
        # What waits of each life, in the order in which it was put.
        self._waiting: dict[int, collections.deque[bytes]] = {}
        self._life = 0

    @initialize()
    def begin(self) -> None:
        self._life = next(self._lives)
        self._waiting[self._life] = collections.deque()

    def _make(self, sizes: list[int]) -> list[bytes]:
        return [b"%d:%d:%s" % (self._life, next(self._numbers), b"x" * size) for size in sizes]

    @rule(sizes=st.lists(st.integers(0, 60), min_size=1, max_size=5))
    def put(self, sizes: list[int]) -> None:
        payloads = self._make(sizes)
        assert self._journal.put(payloads)
        self._waiting[self._life].extend(payloads)

    def _claim(self, limit: int) -> t.Any:
        claimed = self._journal.claim(limit)
        if claimed is None:
            assert not any(self._waiting.values())
            return None
        if claimed.payloads:
            life = int(claimed.payloads[0].partition(b":")[0])
            expected = itertools.islice(self._waiting[life], len(claimed.payloads))
            assert claimed.payloads == list(expected)
        assert len(claimed.payloads) <= limit
        return claimed

    @rule(limit=st.integers(1, 10))
    def claim_in_vain(self, limit: int) -> None:
        self._claim(limit)

    @rule(limit=st.integers(1, 10))
    def claim_and_acknowledge(self, limit: int) -> None:
        claimed = self._claim(limit)
        if claimed is not None:
            self._journal.acknowledge(claimed)
            for payload in claimed.payloads:
                self._waiting[int(payload.partition(b":")[0])].popleft()

    def _restart(self, home: pathlib.Path) -> None:
        self._journal.close()
        self._home = home
        self._journal = a_journal(home)
        self._journal.adopt()
        self.begin()

    @rule()
    def end_and_begin_again(self) -> None:
        self._restart(self._home)

    @rule()
    def be_killed(self) -> None:
        self._restart(killed(self._home, self._place))

    @rule(size=st.integers(0, 60), cut=st.integers(0, 30))
    def be_killed_while_writing(self, size: int, cut: int) -> None:
        [payload] = self._make([size])
        assert self._journal.put([payload])
        home = killed(self._home, self._place)
        [path] = [path for path in segments(home) if path.read_bytes().endswith(payload)]
        os.truncate(path, path.stat().st_size - min(cut, FRAME + len(payload)))
        if not cut:
            self._waiting[self._life].append(payload)
        self._restart(home)

    @precondition(lambda self: any(self._waiting.values()))
    @rule()
    def look_for_the_dead(self) -> None:
        self._journal.adopt()

    def teardown(self) -> None:
        with self._stack:
            while (claimed := self._claim(500)) is not None:
                self._journal.acknowledge(claimed)
                for payload in claimed.payloads:
                    self._waiting[int(payload.partition(b":")[0])].popleft()
            self._journal.close()
            # A folder without segments goes when it is a minute old.
            assert not segments(self._home)


TestJournalMachine = JournalMachine.TestCase
TestJournalMachine.settings = settings(
    max_examples=30,
    stateful_step_count=20,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


# Records


MOMENTS = st.datetimes(timezones=st.just(dt.UTC))
TEXTS = st.text()
INT64 = st.integers(-(2**63), 2**64 - 1)
VALUES = st.recursive(
    st.none() | st.booleans() | INT64 | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)
PARAMS = st.dictionaries(TEXTS, VALUES, max_size=5)
UUIDS = st.uuids()
CLIENTS = st.builds(Client, TEXTS, TEXTS, TEXTS, TEXTS)
EVENTS = st.builds(
    Event,
    id=UUIDS,
    action=TEXTS,
    time=MOMENTS,
    uuid=UUIDS,
    params=PARAMS,
    label=st.none() | TEXTS,
    received_at=MOMENTS,
    source=st.sampled_from(["server", "browser", "app"]),
    site=TEXTS,
    url_rule=TEXTS,
    undefined=st.lists(TEXTS, max_size=3).map(tuple),
    session=st.none() | st.builds(SessionRef, UUIDS, UUIDS, MOMENTS),
    client=st.none() | CLIENTS,
    half=st.sampled_from(["", "server", "browser"]),
    page=st.none() | UUIDS,
    claim=st.none() | st.builds(Claim, UUIDS, st.booleans(), st.booleans()),
)
PAGE_VIEWS = st.builds(
    PageView,
    *(UUIDS, INT64, UUIDS, UUIDS, INT64, INT64),
    *[TEXTS] * 9,
    *(INT64, INT64, CLIENTS),
)
SESSION_ENDS = st.builds(
    SessionEnd, session_id=UUIDS, reason=st.sampled_from(["timeout", "logout"])
)
IDENTIFIED = st.builds(
    Identified,
    uuid=UUIDS,
    customer_id=TEXTS,
    time=MOMENTS,
    anonymous=st.none() | UUIDS,
    traits=PARAMS,
)


@given(EVENTS | PAGE_VIEWS | SESSION_ENDS | IDENTIFIED)
@settings(max_examples=80, deadline=None)
def test_a_record_comes_back_as_it_was(record: Record) -> None:
    """Of every kind, with every JSON value, of the years 1 to 9999."""
    assert decode_record(encode_record(record)) == record


MOMENTS_AT_THE_ENDS = [
    dt.datetime(1, 1, 1, tzinfo=dt.UTC),
    dt.datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=dt.UTC),
    dt.datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=dt.UTC),
]


@pytest.mark.parametrize("moment", MOMENTS_AT_THE_ENDS)
@pytest.mark.parametrize("value", [-(2**63), 2**63 - 1, 2**64 - 1, 5e-324, -0.0, "\U0010ffff"])
def test_the_ends_of_what_is_stored_come_back(moment: dt.datetime, value: object) -> None:
    """The first and the last moment, the greatest numbers, the last character."""
    record = Identified(
        uuid=uuidlib.UUID(int=2**128 - 1),
        customer_id="\U0010ffff",
        time=moment,
        anonymous=uuidlib.UUID(int=0),
        traits={"": {"deep": [[[[[[value]]]]]]}},
    )
    assert decode_record(encode_record(record)) == record


@given(st.binary())
@settings(deadline=None)
def test_bytes_are_a_record_or_none(data: bytes) -> None:
    """Nothing that stands in a journal stops the writer: there is one error to expect."""
    with contextlib.suppress(ValueError):  # msgspec's own, and that of text that is no UTF-8
        decode_record(data)


@given(EVENTS, st.data())
@settings(max_examples=50, deadline=None)
def test_a_changed_record_is_a_record_or_none(event: Event, data: st.DataObject) -> None:
    """As above, for bytes that nearly are one."""
    payload = bytearray(encode_record(event))
    payload[data.draw(st.integers(0, len(payload) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(ValueError):
        decode_record(bytes(payload))
