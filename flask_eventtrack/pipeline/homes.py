"""Where the journals of one database lie: a folder for each format, called a home.

::

    <journal>/      processes that write format 1
    <journal>.2/    processes that write format 2, and so on

A release writes to the home of its own format and adopts from that one and all older ones. So it
never meets a format that it cannot read, even if two releases run during a deploy. Records in a
newer format wait for the next process that can read them.
"""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import os
import pathlib
import re
import time
import typing as t

import filelock

from ..private_files import read_own
from . import journal_format
from .owners import find_fault, find_home_fault, is_our_file, is_our_home, is_ours, refuse_link

#: Its owner keeps it locked.
LOCK = "lock"
BAD_SUFFIX = ".bad"
# A fingerprint of a database, and the number of a format.
_HOME = re.compile(r"[0-9a-f]{16}(\.[0-9]+)?").fullmatch
# Journals that were not written for so long, and whose process has died, would have been adopted.
_STRANDED_SECONDS = 600


def readable_homes(journal: pathlib.Path) -> list[pathlib.Path]:
    """Return the homes of the formats that this release can read; it writes to the last one."""
    newer = [journal.with_name(f"{journal.name}.{n}") for n in range(2, journal_format.FORMAT + 1)]
    return [journal, *newer]


def list_homes(journal: pathlib.Path) -> list[pathlib.Path]:
    """Return the homes that exist, also those of formats that only newer releases can read."""
    newer = journal.parent.glob(f"{journal.name}.[0-9]*")
    return sorted(home for home in (journal, *newer) if home.is_dir())


class Stranded(t.NamedTuple):
    """A home whose journals no process adopts; ``seconds`` since it was last written."""

    home: pathlib.Path
    size: int
    seconds: float


def list_stranded(journal: pathlib.Path, former: pathlib.Path) -> list[Stranded]:
    """Return the homes with events beside our own ones that no process adopts.

    Either the database had another URL when they were written, or they are of another app, which
    does not run.
    """
    ours = {*readable_homes(journal), *readable_homes(former)}
    found: list[Stranded] = []
    with contextlib.suppress(OSError):
        for home in sorted(journal.parent.iterdir()):
            if _HOME(home.name) and home not in ours and home.is_dir() and not home.is_symlink():
                found += _examine(home)
    return found


def _examine(home: pathlib.Path) -> t.Iterator[Stranded]:
    with contextlib.suppress(OSError):
        orphans = filter(is_orphaned, list_folders([home]))
        left = [path.stat() for folder in orphans for path in folder.glob("*.segment")]
        seconds = time.time() - max((each.st_mtime for each in left), default=time.time())
        if seconds >= _STRANDED_SECONDS:
            yield Stranded(home, sum(each.st_size for each in left), seconds)


def list_folders(homes: cabc.Iterable[pathlib.Path]) -> list[pathlib.Path]:
    """Return the processes' folders in some homes; both are ours alone."""
    found: list[pathlib.Path] = []
    for home in filter(is_our_home, homes):
        with contextlib.suppress(OSError):
            found += sorted(filter(is_ours, home.iterdir()))
    return found


def is_orphaned(folder: pathlib.Path) -> bool:
    """Whether no living process writes to a folder of ours. Nothing is created."""
    try:
        lock = refuse_link(folder / LOCK)
        if not lock.exists():
            return folder.exists()
        with filelock.FileLock(lock, timeout=0, mode=0o600, thread_local=False):
            return True
    except (filelock.Timeout, OSError):
        return False


def list_faults(journal: pathlib.Path) -> list[str]:
    """Return what in the journal's folders is another user's or open to others, and left alone."""
    faults: list[str] = []
    for home in list_homes(journal):
        with contextlib.suppress(OSError):
            fault = find_home_fault(home)
            folders = [] if fault else [path for path in home.iterdir() if path.is_dir()]
            faults += filter(None, (fault, *map(find_fault, sorted(folders))))
    return faults


def list_bad(journal: pathlib.Path) -> list[pathlib.Path]:
    """Return the files that hold unreadable records."""
    homes = [home for home in list_homes(journal) if is_our_home(home, may_be_open=True)]
    found = (path for home in homes for path in sorted(home.glob(f"*{BAD_SUFFIX}")))
    return list(filter(is_our_file, found))


def remove_bad(journal: pathlib.Path, needles: t.Collection[bytes]) -> None:
    """Remove each file of :func:`list_bad` that contains one of the needles."""
    for path in list_bad(journal):
        with contextlib.suppress(OSError):
            data = read_own(path)
            if any(needle in data for needle in needles):
                path.unlink()


def find_obstacle(journal: pathlib.Path) -> str:
    """Return why a journal cannot be kept here, or ""; nothing is created."""
    home = folder = readable_homes(journal)[-1]
    try:
        if fault := find_home_fault(home):
            return fault
        while not folder.exists() and folder != folder.parent:
            folder = folder.parent
        if not folder.is_dir():
            return f"{folder} is not a folder"
    except OSError as error:
        return f"{folder} cannot be reached ({error.strerror})"
    if not os.access(folder, os.W_OK | os.X_OK):
        return f"{folder} cannot be written"
    return ""
