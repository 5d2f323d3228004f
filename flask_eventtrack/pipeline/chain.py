"""The segments of one process: a folder that its owner keeps locked, read in order.

::

    <folder>/lock         held by the owner; free once the owner is dead
    <folder>/checkpoint   how far the records have been committed
    <folder>/<n>.segment  the records

A checkpoint is written before the segments that it makes superfluous are removed. If it is missing
or damaged after a crash, records are written again, which changes nothing.

A chain may hold what was acknowledged for a while, for a sink that may lose it: checkpoint and
segments then stay as they are. The sink keeps marks of how far it has each chain. Where one is
behind, the chain goes back to it. A process that adopts the chain goes on from there.
"""

from __future__ import annotations

import collections
import contextlib
import datetime as dt
import errno
import logging
import os
import pathlib
import re
import struct
import time
import typing as t
import uuid as uuidlib
import zlib

from filelock import FileLock, Timeout

from ..private_files import read_own
from .homes import BAD_SUFFIX, LOCK
from .journal_format import START, ForeignSegment, SegmentReader
from .owners import NO_LINK, find_home_fault, is_ours, refuse_link
from .queue import Claimed, Mark, Progress, Sent

logger: logging.Logger = logging.getLogger("flask_eventtrack")

_CHECKPOINT = "checkpoint"
_SUFFIX = ".segment"
_NAME = re.compile(r"([0-9]{1,18})\.segment").fullmatch
_BAD_MAX_BYTES = 16 * 1024 * 1024
_POSITION = struct.Struct("<QQ")  # segment; position in it
_CHECKSUM = struct.Struct("<I")
# An empty folder may belong to a process that is just starting.
_EMPTY_SECONDS = 60
_TRIES = 10


class Tip(t.NamedTuple):
    """How far a chain is written: the last segment, and the end of its last whole record."""

    number: int
    end: int


class Checkpoint(t.NamedTuple):
    """How far a process's records are committed, and when it last wrote that down."""

    segment: int
    position: int
    written_at: dt.datetime


class _Held(t.NamedTuple):
    """How far records were acknowledged at a moment of ``time.monotonic()``."""

    at: float
    mark: Mark


class _Receipt(t.NamedTuple):
    """Where a claim ends, what damage it found, and whether its segment has no more records."""

    position: int
    damage: list[bytes]
    is_done: bool


class Chain:
    """The records of one process, from its checkpoint on.

    :param hold: how many seconds to hold what is acknowledged.
    """

    def __init__(self, folder: pathlib.Path, lock: FileLock, hold: float = 0.0) -> None:
        self.folder = folder
        self._lock = lock
        self._hold = hold
        # Segments that are read but still there.
        self._held_segments: collections.deque[int] = collections.deque()
        # How far it was read, and when.
        self._held: collections.deque[_Held] = collections.deque()
        # How far it was read when it last went back.
        self._read_before = Mark(0, 0)
        self._segments = collections.deque(_list_segments(folder))
        self._last = self._segments[-1] if self._segments else 0
        self._position = START
        self._reader: SegmentReader | None = None
        self._checkpoint: t.BinaryIO | None = None
        self._resume()
        self._safe = Mark(self._segments[0] if self._segments else 0, self._position)
        #: Whether it is known how far the sink has it.
        self.is_placed: bool = not hold

    @classmethod
    def begin(cls, home: pathlib.Path, hold: float = 0.0) -> Chain:
        """Create a folder of our own below ``home``, and lock it.

        :raises OSError: that is not possible.
        """
        for _ in range(_TRIES):
            _make_private(home)
            folder = home / uuidlib.uuid4().hex
            # Until it is locked, another process may remove the home as empty or adopt the folder.
            with contextlib.suppress(FileNotFoundError):
                folder.mkdir(mode=0o700)
                try:
                    lock = _lock(folder)
                except OSError:
                    folder.rmdir()
                    raise
                if lock is not None and folder.exists():
                    chain = cls(folder, lock, hold)
                    chain.is_placed = True
                    return chain
        raise OSError(errno.EBUSY, "no folder could be locked", str(home))

    @classmethod
    def adopt(cls, folder: pathlib.Path, hold: float = 0.0) -> Chain | None:
        """Take over a dead process's folder; None if its owner lives, or if it is empty.

        A folder that is not ours alone is left alone, also by :func:`_remove_if_old`: a user who
        can create folders or links in our home must not be able to make up events of our visitors,
        or have us remove files elsewhere.
        """
        if not is_ours(folder):
            return None
        if not _list_segments(folder):
            _remove_if_old(folder)
            return None
        try:
            lock = _lock(folder)
        except OSError:  # it has gone
            return None
        return None if lock is None else cls(folder, lock, hold)

    def next_segment(self) -> tuple[int, pathlib.Path]:
        """Return number and path for a new last segment, which :meth:`add` then adds."""
        number = self._last + 1
        return number, self._path(number)

    def add(self, number: int) -> None:
        self._last = number
        if not self._segments:
            # Opened now, so that it can be read even if the file is deleted.
            self._reader = SegmentReader(self._path(number))
        self._segments.append(number)

    def has(self, number: int) -> bool:
        """Whether a segment's file still exists."""
        return self._path(number).exists()

    def is_read(self, tip: Tip) -> bool:
        """Whether everything before ``tip`` has been acknowledged."""
        return not self._segments or (self._segments[0] == tip.number and self._position >= tip.end)

    def claim(self, limit: int, tip: Tip | None = None) -> Claimed | None:
        """Return the next records, or None at the end.

        :param tip: how far the owner, who still appends, has got; None if it is dead.
        """
        while self._segments and (tip is None or self._segments[0] <= tip.number):
            claimed = self._claim_first(limit, tip)
            if claimed is None or claimed.payloads or claimed.damaged:
                return claimed
            self._drop_first()
        return None

    def _claim_first(self, limit: int, tip: Tip | None) -> Claimed | None:
        """Return the next records of the first segment; None where its owner will add more."""
        number = self._segments[0]
        try:
            if self._reader is None or self._reader.path != self._path(number):
                self._reader = SegmentReader(self._path(number))
            reader = self._reader
        except FileNotFoundError:
            return Claimed([], _Receipt(self._position, [], is_done=True))
        except ForeignSegment:
            data = refuse_link(self._path(number)).read_bytes()
            damage = [data] if data else []
            return Claimed([], _Receipt(self._position, damage, is_done=True), len(damage))
        is_open = tip is not None and tip.number == number
        end = whole = tip.end if is_open and tip is not None else reader.size()
        if self._position >= end:
            return None if is_open else Claimed([], _Receipt(end, [], is_done=True))
        is_replay = (number, self._position) < self._read_before
        if is_replay and number == self._read_before[0]:
            end = min(end, self._read_before[1])
        found = reader.read(self._position, end, limit)
        is_done = found.position >= whole and not is_open
        receipt = _Receipt(found.position, found.damage, is_done)
        return Claimed(found.payloads, receipt, len(found.damage), is_replay)

    def acknowledge(self, claimed: Claimed, foreign: t.Sequence[bytes]) -> int:
        """Move past claimed records; return how many bytes they took."""
        receipt = t.cast("_Receipt", claimed.receipt)
        for span in (*receipt.damage, *foreign):
            self._set_aside(span)
        size = receipt.position - self._position
        self._position = receipt.position
        if self._hold:
            self._held.append(_Held(time.monotonic(), Mark(self._segments[0], self._position)))
            if receipt.is_done:
                self._pass_first()
        elif receipt.is_done:
            self._drop_first()
        else:
            self._write_checkpoint(self._segments[0], self._position)
        return size

    def is_behind(self) -> bool:
        """Whether something is to be read that was read before."""
        return bool(self._segments) and (self._segments[0], self._position) < self._read_before

    def is_holding(self) -> bool:
        """Whether something that was acknowledged is held."""
        return bool(self._held)

    def progress_of(self, claimed: Claimed) -> Progress:
        """Return how far the chain is read with what is claimed."""
        before = self._held[-1].mark if self._held else None
        receipt = t.cast("_Receipt", claimed.receipt)
        return Progress(self.folder.name, before, Mark(self._segments[0], receipt.position))

    def place(self, sent: Sent | None) -> None:
        """Go on behind what the sink has, and hold that."""
        self.is_placed = True
        if sent is None or not self._segments or sent.mark <= (self._segments[0], self._position):
            return
        number, position = sent.mark
        while self._segments and self._segments[0] < number:
            self._pass_first()
        if self._segments and self._segments[0] == number:
            self._position = position
        self._held.append(_Held(time.monotonic() - sent.age, sent.mark))

    def check(self, sent: Sent | None) -> bool:
        """Go back to what the sink has, if it has lost some of what is held; return whether it has.

        Stop holding what it has had for long enough.
        """
        has_lost = sent is None or sent.mark < self._held[-1].mark
        if has_lost:
            self._rewind()
            self.place(sent)
        self._let_go()
        return has_lost

    def _let_go(self) -> None:
        until = time.monotonic() - self._hold
        last = None
        while self._held and self._held[0].at <= until:
            last = self._held.popleft().mark
        if last is not None:
            self._write_checkpoint(*last)
            self._safe = last
            while self._held_segments and (self._held_segments[0] < last.segment or not self._held):
                self._unlink(self._held_segments.popleft())

    def _rewind(self) -> None:
        """Go back to the first record that is held."""
        self._read_before = max(self._read_before, self._held[-1].mark)
        self._segments.extendleft(reversed(self._held_segments))
        self._held_segments.clear()
        self._held.clear()
        self._close_reader()
        number, position = self._safe
        self._position = position if self._segments[0] == number else START

    def remove(self) -> None:
        """Remove the folder: all of it is committed."""
        self.close_files()
        _remove(self.folder, self._lock, map(self._path, (*self._held_segments, *self._segments)))

    def release(self) -> None:
        """Leave the folder to whoever adopts it."""
        self.close_files()
        self._lock.release()

    def _path(self, number: int) -> pathlib.Path:
        return self.folder / f"{number:08}{_SUFFIX}"

    def _drop_first(self) -> None:
        """Remove the first segment, once the checkpoint is beyond it."""
        if self._held:
            self._pass_first()
            return
        number = self._segments[0]
        self._go_to_next()
        if self._segments:
            self._write_checkpoint(self._segments[0], self._position)
        self._unlink(number)

    def _pass_first(self) -> None:
        """Go on with the next segment, and keep the first one."""
        self._held_segments.append(self._segments[0])
        self._go_to_next()

    def _go_to_next(self) -> None:
        self._close_reader()
        self._segments.popleft()
        self._position = START

    def _close_reader(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def _unlink(self, number: int) -> None:
        with contextlib.suppress(OSError):
            self._path(number).unlink(missing_ok=True)

    def _resume(self) -> None:
        """Go to the checkpoint, if there is a readable one."""
        checkpoint = read_checkpoint(self.folder)
        if checkpoint is None:
            return
        while self._segments and self._segments[0] < checkpoint.segment:
            self._drop_first()
        if self._segments and self._segments[0] == checkpoint.segment:
            self._position = checkpoint.position

    def _write_checkpoint(self, number: int, position: int) -> None:
        # A failure loses nothing: without a checkpoint, records are only written again.
        with contextlib.suppress(OSError):
            if self._checkpoint is None:
                path = self.folder / _CHECKPOINT
                flags = os.O_CREAT | os.O_RDWR | getattr(os, "O_BINARY", 0) | NO_LINK
                fd = os.open(path, flags, 0o600)
                self._checkpoint = os.fdopen(fd, "r+b", buffering=0)
            packed = _POSITION.pack(number, position)
            self._checkpoint.seek(0)
            self._checkpoint.write(packed + _CHECKSUM.pack(zlib.crc32(packed)))

    def _set_aside(self, data: bytes) -> None:
        """Keep what cannot be read, for a person to look at: up to 16 MiB in a home."""
        path = self.folder.with_suffix(BAD_SUFFIX)
        logger.error("%d bytes of the journal cannot be read; see %s", len(data), path)
        with contextlib.suppress(OSError):
            kept = sum(bad.stat().st_size for bad in self.folder.parent.glob(f"*{BAD_SUFFIX}"))
            if kept + len(data) <= _BAD_MAX_BYTES:
                fd = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND | NO_LINK, 0o600)
                with os.fdopen(fd, "ab") as file:
                    file.write(data)

    def close_files(self) -> None:
        """Close the files, as a fork's child does with its copies. The lock stays the owner's."""
        for file in (self._reader, self._checkpoint):
            if file is not None:
                file.close()
        self._reader = self._checkpoint = None


def read_checkpoint(folder: pathlib.Path) -> Checkpoint | None:
    """Return a process's checkpoint, or None if there is no readable one."""
    with contextlib.suppress(OSError):
        path = folder / _CHECKPOINT
        data = read_own(path, _POSITION.size + _CHECKSUM.size)
        packed, checksum = data[: _POSITION.size], data[_POSITION.size :]
        if checksum == _CHECKSUM.pack(zlib.crc32(packed)):
            written_at = dt.datetime.fromtimestamp(path.stat().st_mtime, dt.UTC)
            number, position = _POSITION.unpack(packed)
            return Checkpoint(number, position, written_at)
    return None


def list_segments(folder: pathlib.Path) -> list[tuple[int, pathlib.Path]]:
    """Return the numbers and paths of a process's segments, in order."""
    return [(number, folder / f"{number:08}{_SUFFIX}") for number in _list_segments(folder)]


def _make_private(home: pathlib.Path) -> None:
    home.parent.parent.mkdir(parents=True, exist_ok=True)
    for folder in (home.parent, home):
        folder.mkdir(mode=0o700, exist_ok=True)
    if fault := find_home_fault(home):
        raise PermissionError(errno.EPERM, fault)


def _list_segments(folder: pathlib.Path) -> list[int]:
    try:
        return sorted(int(match[1]) for path in folder.iterdir() if (match := _NAME(path.name)))
    except OSError:  # it has gone meanwhile, or is another user's
        return []


def _lock(folder: pathlib.Path) -> FileLock | None:
    """Return a folder's lock, or None if another process holds it.

    :raises OSError: it cannot be locked at all.
    """
    # Not thread-local: the writer's thread releases what a request's thread has locked.
    lock = FileLock(refuse_link(folder / LOCK), timeout=0, mode=0o600, thread_local=False)
    try:
        lock.acquire()
    except Timeout:
        return None
    return lock


def _remove_if_old(folder: pathlib.Path) -> None:
    with contextlib.suppress(OSError):
        if time.time() - folder.stat().st_mtime < _EMPTY_SECONDS:
            return
        lock = _lock(folder)
        if lock is None:
            return
        if _list_segments(folder):  # its owner has begun after all
            lock.release()
        else:
            _remove(folder, lock)


def _remove(folder: pathlib.Path, lock: FileLock, segments: t.Iterable[pathlib.Path] = ()) -> None:
    with contextlib.suppress(OSError):  # Windows does not remove an open file, such as the lock
        # The segments first: should one stay, its checkpoint must too. The lock last, but before it
        # is released, so that no process locks a file that is about to vanish.
        for path in (*segments, folder / _CHECKPOINT, folder / LOCK):
            path.unlink(missing_ok=True)
    lock.release()
    with contextlib.suppress(OSError):
        folder.rmdir()
