"""Files of our own: only their owner may read them, and no other user has planted them."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import functools
import operator
import os
import pathlib
import stat
import tempfile
import typing as t

# A file may be exchanged for a link or a pipe before it is opened.
_FLAGS = ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_BINARY")
_SAFELY = functools.reduce(operator.or_, (getattr(os, name, 0) for name in _FLAGS))


def open_private(path: pathlib.Path, flags: int, *, root_opens_all: bool = True) -> int:
    """Open a file that only its owner may use, and return its descriptor.

    :param root_opens_all: whether root may open other users' files.
    :raises PermissionError: the file is a link, no regular file, or another user's.
    :raises OSError: it cannot be opened.
    """
    with contextlib.suppress(FileNotFoundError):
        _check(path, path.lstat(), root_opens_all=root_opens_all)
    fd = os.open(path, flags | _SAFELY, 0o600)
    try:
        status = os.fstat(fd)
        _check(path, status, root_opens_all=root_opens_all)
        if os.name == "posix" and stat.S_IMODE(status.st_mode) & 0o077:
            os.fchmod(fd, 0o600)
    except OSError:
        os.close(fd)
        raise
    return fd


def read_own(path: pathlib.Path, size: int = -1) -> bytes:
    """Return a file's first bytes, or all of it; root too reads only its own files.

    :raises PermissionError: the file is a link, no regular file, or another user's.
    :raises OSError: it cannot be read.
    """
    with os.fdopen(open_private(path, os.O_RDONLY, root_opens_all=False), "rb") as file:
        return file.read(size)


def _check(path: pathlib.Path, status: os.stat_result, *, root_opens_all: bool) -> None:
    if stat.S_ISLNK(status.st_mode):
        raise PermissionError(f"{path} is a symbolic link")
    if not stat.S_ISREG(status.st_mode):
        raise PermissionError(f"{path} is not a regular file")
    if status.st_nlink > 1:
        raise PermissionError(f"{path} is also linked under another name")
    if os.name != "posix":
        return
    user = os.geteuid()
    if status.st_uid != user and (user or not root_opens_all):
        raise PermissionError(f"{path} belongs to another user")


def check_replaceable(path: pathlib.Path) -> None:
    """Refuse what a new file of ours must not take the place of.

    :raises PermissionError: ``path`` is a symbolic link, or no regular file.
    """
    with contextlib.suppress(FileNotFoundError):
        mode = path.lstat().st_mode
        if not stat.S_ISREG(mode):
            kind = "a symbolic link" if stat.S_ISLNK(mode) else "not a regular file"
            raise PermissionError(f"{path} is {kind}")


@contextlib.contextmanager
def replace_private(path: pathlib.Path) -> cabc.Iterator[t.BinaryIO]:
    """Write a new file that only its owner may read; at the end it takes the place of ``path``.

    It is a new file, so whoever has opened the old one reads nothing of it.

    :raises PermissionError: ``path`` is a symbolic link, or no regular file.
    :raises OSError: the file cannot be written. The old one stays then.
    """
    check_replaceable(path)
    fd, name = tempfile.mkstemp(prefix=f".{path.name[:64]}.", dir=path.parent)
    new = pathlib.Path(name)
    try:
        with os.fdopen(fd, "wb") as file:
            yield file
        new.replace(path)
    except BaseException:
        new.unlink(missing_ok=True)
        raise
