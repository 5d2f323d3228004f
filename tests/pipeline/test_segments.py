"""Segments: whatever is damaged or cut, only that is lost, and no record can be forged."""

from __future__ import annotations

import os
import pathlib
import shutil
import struct
import uuid as uuidlib
import zlib

import pytest

from .segments import (
    FRAME,
    HEAD,
    RECORDS,
    SEGMENT_BYTES,
    Begin,
    Drained,
    adopt,
    drain,
    folders,
    leave,
    segments,
)


def bad(home: pathlib.Path) -> bytes:
    """Return what was set aside."""
    return b"".join(path.read_bytes() for path in sorted(home.glob("*.bad")))


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
    """Another program's file, or one of an unknown version."""
    segments(home)[number].write_bytes(data)
    rest = [record for place, record in enumerate(RECORDS) if place != number]
    assert adopt(home) == Drained(rest, 1)
    assert (folders(home), bad(home)) == ([], data)


@pytest.mark.parametrize("name", ["notes.segment", ".segment", "-1.segment", "1e3.segment", "x"])
def test_a_file_of_another_name_is_left_alone(
    home: pathlib.Path, rotated: pathlib.Path, name: str
) -> None:
    """Neither the file nor its folder is touched."""
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
        payloads = adopt(home_of_one).payloads
        assert payloads[0] == b"before"
        assert b"forged" not in payloads


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
