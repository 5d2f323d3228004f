"""One file of a journal: records, each with its length and its checksum.

::

    ETRACK01 seed               the head: magic with the format's number, seed of the checksums
    length checksum record      for each record, which is MessagePack (../records.py)

The seed is random and no client knows it, so that nothing within a record can pass for another.

These bytes are a format, not an implementation detail: a process that died before an upgrade has
left them on the disk, and during a deploy the old release adopts what a process of the new one
leaves. Records may therefore gain fields at their end, as ``records.py`` says. Any other change of
what lies in a journal's folder (head, frame, checkpoint, lock, an encoding, a record's type) is a
new format: raise :data:`FORMAT`, keep the code that reads the older ones, and ``homes.py`` keeps
the folders apart. The golden bytes in the tests hold every release to this.
"""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import errno
import os
import pathlib
import secrets
import struct
import sys
import typing as t
import zlib

from .owners import refuse_link

#: The number of the format that this release writes; it reads all older ones as well. Format 2 has
#: events with orders, which older releases would store without their items.
FORMAT = 2

_HEAD = struct.Struct("<8sI")  # magic; seed of the checksums
_FRAME = struct.Struct("<II")  # length of the record; its checksum
_CHUNK = 1024 * 1024

#: Where a segment's first record begins.
START = _HEAD.size


class ForeignSegment(Exception):
    """The file is no segment, or has a format that this release does not know."""


class SegmentWriter:
    """Appends to a new file, ``number`` in the chain. Its last whole record ends at ``end``.

    :raises OSError: the file cannot be created.
    """

    def __init__(self, number: int, path: pathlib.Path) -> None:
        self.number = number
        flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND | getattr(os, "O_BINARY", 0)
        self._fd = os.open(path, flags, 0o600)
        self._seed = secrets.randbits(32)
        self.end: int = 0
        #: False once it is closed, or ends in a torn record that could not be cut off.
        self.is_open: bool = True
        try:
            self.end = os.write(self._fd, _HEAD.pack(_magic_of(FORMAT), self._seed))
            if self.end < START:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError:
            self.close()
            path.unlink()
            raise

    def append(self, payloads: cabc.Iterable[bytes]) -> int:
        """Append records in one write; return the bytes that they take.

        :raises OSError: there is no space. The file is unchanged, or no longer :attr:`is_open`.
        """
        seed, data = self._seed, b""
        for payload in payloads:
            data += _FRAME.pack(len(payload), zlib.crc32(payload, seed)) + payload
        size = len(data)
        try:
            written = os.write(self._fd, data)
            while written < size:
                written += os.write(self._fd, data[written:])
            self.end += size
        except BaseException:  # a signal's handler may raise anything here
            self._cut()
            raise
        return size

    def _cut(self) -> None:
        try:
            os.ftruncate(self._fd, self.end)
        except OSError:
            self.is_open = False

    def sync(self) -> None:
        """Wait until the records are on the disk; under gevent, other greenlets run meanwhile.

        :raises OSError: they may never get there.
        """
        sync = getattr(os, "fdatasync", os.fsync)
        if not is_patched_by_gevent():
            sync(self._fd)
            return
        from gevent import get_hub

        get_hub().threadpool.apply(sync, (self._fd,))

    @property
    def has_file(self) -> bool:
        return self._fd >= 0

    def is_cut(self) -> bool:
        """Whether something else has shortened the file."""
        end = self.end
        return self.has_file and os.fstat(self._fd).st_size < end

    def close(self) -> None:
        self.is_open = False
        fd, self._fd = self._fd, -1
        with contextlib.suppress(OSError):
            os.close(fd)


class Records(t.NamedTuple):
    """What was read: records, the unreadable spans, and where to go on."""

    payloads: list[bytes]
    damage: list[bytes]
    position: int


class SegmentReader:
    """Reads records.

    :raises OSError: the file cannot be read.
    :raises ForeignSegment: it is no segment.
    """

    def __init__(self, path: pathlib.Path) -> None:
        self.path = path
        self._file = refuse_link(path).open("rb", buffering=0)
        head = self._file.read(_HEAD.size)
        magic, self._seed = _HEAD.unpack(head) if len(head) == _HEAD.size else (b"", 0)
        if magic not in map(_magic_of, range(1, FORMAT + 1)):
            self._file.close()
            raise ForeignSegment(str(path))

    def size(self) -> int:
        return os.fstat(self._file.fileno()).st_size

    def close(self) -> None:
        self._file.close()

    def read(self, position: int, end: int, limit: int) -> Records:
        """Read up to ``limit`` records between two positions.

        A record with a wrong checksum is skipped if a whole record begins where its length points.
        Otherwise later records cannot be found, and all the rest counts as damaged.
        """
        data = self._read_at(position, min(_CHUNK, end - position))
        found = self._parse(data, position, limit, is_all=position + len(data) >= end)
        if found.position == position and len(data) < end - position:
            # A very long record or a damaged one: reading all the rest tells which.
            data = self._read_at(position, end - position)
            found = self._parse(data, position, limit, is_all=True)
        return found

    def _read_at(self, position: int, size: int) -> bytes:
        self._file.seek(position)
        data = self._file.read(size)
        while len(data) < size and (more := self._file.read(size - len(data))):
            data += more
        return data

    def _parse(self, data: bytes, start: int, limit: int, *, is_all: bool) -> Records:
        payloads: list[bytes] = []
        damage: list[bytes] = []
        at = 0
        while at < len(data) and len(payloads) < limit:
            end = _end_of(data, at)
            if end is not None and self._is_whole(data, at, end):
                payloads.append(data[at + _FRAME.size : end])
            elif not is_all:
                break
            else:
                if end is None or not self._goes_on(data, end):
                    end = len(data)
                damage.append(data[at:end])
            at = end
        return Records(payloads, damage, start + at)

    def _is_whole(self, data: bytes, at: int, end: int) -> bool:
        checksum = _FRAME.unpack_from(data, at)[1]
        return bool(zlib.crc32(data[at + _FRAME.size : end], self._seed) == checksum)

    def _goes_on(self, data: bytes, at: int) -> bool:
        end = _end_of(data, at)
        return at == len(data) or (end is not None and self._is_whole(data, at, end))


def _magic_of(number: int) -> bytes:
    return b"ETRACK%02d" % number


def _end_of(data: bytes, at: int) -> int | None:
    """Return where the record at ``at`` ends by its length, or None if beyond ``data``."""
    if at + _FRAME.size > len(data):
        return None
    end = at + _FRAME.size + int(_FRAME.unpack_from(data, at)[0])
    return end if end <= len(data) else None


def is_patched_by_gevent() -> bool:
    """Whether this process's threads are greenlets."""
    monkey = sys.modules.get("gevent.monkey")
    return monkey is not None and monkey.is_module_patched("threading")
