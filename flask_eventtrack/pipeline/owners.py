"""Who owns the journal's files and folders: what another user has made or linked is left alone.

In some folders, such as ``/tmp``, every user may make files. Whoever makes the journal's folder
there first could put links into it, or make up events.
"""

from __future__ import annotations

import errno
import os
import pathlib
import stat

_WRITE_OF_OTHERS = stat.S_IWGRP | stat.S_IWOTH
# Windows has neither owners nor modes that we could ask for, and takes rights to make a link.
_HAS_OWNERS = os.name == "posix"
#: A flag of ``os.open()``: fail if the path is a symbolic link.
NO_LINK: int = getattr(os, "O_NOFOLLOW", 0)


def find_fault(folder: pathlib.Path, *, may_be_open: bool = False) -> str:
    """Return why a folder is not ours alone, or "" if it is or does not exist.

    :param may_be_open: whether other users may write to it.
    :raises OSError: it cannot be reached.
    """
    try:
        status = folder.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return ""
    if stat.S_ISLNK(status.st_mode):
        return f"{folder} is a symbolic link"
    if not stat.S_ISDIR(status.st_mode):
        return f"{folder} is not a folder"
    if not _HAS_OWNERS:
        return ""
    if status.st_uid != os.geteuid():
        return f"{folder} belongs to another user (uid {status.st_uid})"
    is_open = status.st_mode & _WRITE_OF_OTHERS and not may_be_open
    return f"other users may write to {folder}" if is_open else ""


def find_root_fault(root: pathlib.Path) -> str:
    """Return why the folder in which journals are made is another user's, or "".

    It may be root's, a link of ours or root's, and open to others: the folders in it are checked.

    :raises OSError: it cannot be reached.
    """
    if _HAS_OWNERS:
        try:
            owners = {root.lstat().st_uid, root.stat().st_uid} - {0, os.geteuid()}
        except (FileNotFoundError, NotADirectoryError):
            return ""
        if owners:
            return f"{root} belongs to another user (uid {owners.pop()})"
    return ""


def find_home_fault(home: pathlib.Path, *, may_be_open: bool = False) -> str:
    """Return why journals in a home are not ours, or "".

    :raises OSError: it cannot be reached.
    """
    return find_root_fault(home.parent) or find_fault(home, may_be_open=may_be_open)


def is_ours(folder: pathlib.Path) -> bool:
    """Whether a folder exists and is ours alone."""
    try:
        return folder.is_dir() and not find_fault(folder)
    except OSError:
        return False


def is_our_file(path: pathlib.Path) -> bool:
    """Whether a path is a regular file of ours."""
    try:
        status = path.lstat()
    except OSError:
        return False
    return stat.S_ISREG(status.st_mode) and (not _HAS_OWNERS or status.st_uid == os.geteuid())


def is_our_home(home: pathlib.Path, *, may_be_open: bool = False) -> bool:
    """Whether a home exists, and what is in it may be read, changed and removed."""
    try:
        return home.is_dir() and not find_home_fault(home, may_be_open=may_be_open)
    except OSError:
        return False


def refuse_link(path: pathlib.Path) -> pathlib.Path:
    """Return the path of a file in a folder of ours.

    :raises OSError: it is a link.
    """
    if path.is_symlink():
        raise OSError(errno.ELOOP, "it is a symbolic link", str(path))
    return path
