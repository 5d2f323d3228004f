"""A file that is written in several runs: it has its name only once it is whole."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import os
import pathlib
import typing as t

from filelock import FileLock, Timeout

from ..pipeline.owners import refuse_link
from ..private_files import check_replaceable, open_private

_BLOCK = 64 * 1024


@contextlib.contextmanager
def open_part(path: pathlib.Path, mark: str, *, resumes: bool) -> cabc.Iterator[t.BinaryIO]:
    """Write a part of a file, which only its owner may read.

    What is written lies beside ``path`` until it is whole. At the end it takes the place of
    ``path``; after an exception it stays.

    :param mark: what the file is of: a part of another one is not gone on with.
    :param resumes: whether to go on behind the last whole line that is there.
    :raises PermissionError: ``path`` is a symbolic link, or no regular file.
    :raises OSError: the file cannot be written, or another process writes it.
    """
    check_replaceable(path)
    part = path.with_name(f"{path.name}.{mark}.part")
    lock = path.with_name(f"{part.name}.lock")
    try:
        with FileLock(refuse_link(lock), timeout=0, mode=0o600, thread_local=False):
            with os.fdopen(_open(part), "r+b") as file:
                file.truncate(_find_end(file) if resumes else 0)
                file.seek(0, os.SEEK_END)
                yield file
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
            lock.unlink(missing_ok=True)
    except Timeout:
        raise FileExistsError(f"another process writes {part}") from None


def _open(part: pathlib.Path) -> int:
    # Root too goes on in its own files only: whoever has planted one may read it.
    return open_private(part, os.O_RDWR | os.O_CREAT, root_opens_all=False)


def _find_end(file: t.BinaryIO) -> int:
    """Return where the last whole line ends."""
    end = file.seek(0, os.SEEK_END)
    while end:
        start = max(0, end - _BLOCK)
        file.seek(start)
        place = file.read(end - start).rfind(b"\n")
        if place >= 0:
            return start + place + 1
        end = start
    return 0


def read_last_line(file: t.BinaryIO) -> bytes:
    """Return the last line of a file of whole lines; empty if it has none."""
    end = file.seek(0, os.SEEK_END)
    start, line = end, b""
    while start and b"\n" not in line[:-1]:
        start = max(0, start - _BLOCK)
        file.seek(start)
        line = file.read(end - start)
    file.seek(0, os.SEEK_END)
    return line[line[:-1].rfind(b"\n") + 1 :]
