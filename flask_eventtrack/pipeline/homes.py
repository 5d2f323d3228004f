"""Where the journals of one database lie: a folder for each format, called a home.

::

    <journal>/      processes that write format 1
    <journal>.2/    processes that write format 2, and so on

A release writes to the home of its own format and adopts from that one and all older ones. So it
never meets a format that it cannot read, even if two releases run during a deploy. Records in a
newer format wait for the next process that can read them.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import typing as t

from . import journal_format

BAD_SUFFIX = ".bad"


def readable_homes(journal: pathlib.Path) -> list[pathlib.Path]:
    """Return the homes of the formats that this release can read; it writes to the last one."""
    newer = [journal.with_name(f"{journal.name}.{n}") for n in range(2, journal_format.FORMAT + 1)]
    return [journal, *newer]


def list_homes(journal: pathlib.Path) -> list[pathlib.Path]:
    """Return the homes that exist, also those of formats that only newer releases can read."""
    newer = journal.parent.glob(f"{journal.name}.[0-9]*")
    return sorted(home for home in (journal, *newer) if home.is_dir())


def list_bad(journal: pathlib.Path) -> list[pathlib.Path]:
    """Return the files that hold unreadable records."""
    return [path for home in list_homes(journal) for path in sorted(home.glob(f"*{BAD_SUFFIX}"))]


def remove_bad(journal: pathlib.Path, needles: t.Collection[bytes]) -> None:
    """Remove each file of :func:`list_bad` that contains one of the needles."""
    for path in list_bad(journal):
        with contextlib.suppress(FileNotFoundError):
            data = path.read_bytes()
            if any(needle in data for needle in needles):
                path.unlink()


def find_obstacle(journal: pathlib.Path) -> str:
    """Return why a journal cannot be kept here, or ""; nothing is created."""
    folder = readable_homes(journal)[-1]
    try:
        while not folder.exists() and folder != folder.parent:
            folder = folder.parent
        if not folder.is_dir():
            return f"{folder} is not a folder"
    except OSError as error:
        return f"{folder} cannot be reached ({error.strerror})"
    if not os.access(folder, os.W_OK | os.X_OK):
        return f"{folder} cannot be written"
    return ""
