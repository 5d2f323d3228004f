"""A file of erasures and objections outside the database, so that a restored backup forgets none.

A line has the kind, the moment and a keyed hash: the file names no one. All processes that write to
one database append to the same file; nothing is ever changed in it.
"""

from __future__ import annotations

import collections.abc as cabc
import datetime as dt
import logging
import os
import pathlib
import re
import typing as t

from ..private_files import open_private

logger: logging.Logger = logging.getLogger("flask_eventtrack")

Kind = t.Literal["erased", "opted-out", "opted-in"]

_HASH = re.compile("[0-9a-f]{64}")
_SHOWN = 5


class Note(t.NamedTuple):
    """That a profile was erased, opted out or opted in; ``uuid_hash`` is the profile's."""

    kind: Kind
    at: dt.datetime
    uuid_hash: str


class ErasureFile:
    """The file of one database."""

    def __init__(self, path: pathlib.Path) -> None:
        self.path = path

    def add(self, kind: Kind, at: dt.datetime, hashes: cabc.Iterable[str]) -> None:
        """Append a line for each hash, and wait for the disk. A failure is logged.

        The request of a person is carried out in the database in any case.
        """
        lines = [f"{kind} {at.astimezone(dt.UTC).isoformat()} {each}\n" for each in sorted(hashes)]
        try:
            self._append("".join(lines).encode())
        except OSError as error:
            logger.error(
                "An erasure or objection is in the database only, because it cannot be kept in "
                "%s: %s. Repeat it if you restore a backup from before it.",
                self.path,
                error,
            )

    def _append(self, lines: bytes) -> None:
        folder = self.path.parent
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
        is_new = not self.path.exists()
        fd = open_private(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        # The line feed at first ends what a power failure has cut short.
        with os.fdopen(fd, "ab", buffering=0) as file:
            rest = memoryview(b"\n" + lines)
            while rest:
                rest = rest[file.write(rest) :]
            os.fsync(fd)
        if is_new and os.name == "posix":
            handle = os.open(folder, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)

    def find_obstacle(self) -> str:
        """Return why nothing can be added to the file, or ""; nothing is created."""
        try:
            os.close(open_private(self.path, os.O_WRONLY | os.O_APPEND))
        except FileNotFoundError:
            folder = self.path.parent
            while not folder.exists() and folder != folder.parent:
                folder = folder.parent
            is_usable = folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)
            return "" if is_usable else f"{folder} cannot be written"
        except OSError as error:
            return str(error)
        return ""


def read_notes(path: pathlib.Path) -> list[Note]:
    """Return what a file holds, oldest first. A line that cannot be read is skipped with a warning.

    :raises OSError: the file cannot be read, or is not ours.
    """
    notes: list[Note] = []
    bad: list[int] = []
    with os.fdopen(open_private(path, os.O_RDONLY), "rb") as file:
        for number, line in enumerate(file, 1):
            if line.isspace():
                continue
            note = _parse(line)
            if note is None:
                bad.append(number)
            else:
                notes.append(note)
    if bad:
        shown = ", ".join(map(str, bad[:_SHOWN])) + (", …" if len(bad) > _SHOWN else "")
        logger.warning(
            "%s has %d lines that cannot be read (%s). Erasures may be missing: look at them, "
            "and erase these people again.",
            path,
            len(bad),
            shown,
        )
    return sorted(notes, key=lambda note: note.at)


def _parse(line: bytes) -> Note | None:
    try:
        kind, moment, uuid_hash = line.decode("ascii").split()
        at = dt.datetime.fromisoformat(moment)
    except ValueError:
        return None
    if kind not in t.get_args(Kind) or at.tzinfo is None or not _HASH.fullmatch(uuid_hash):
        return None
    return Note(t.cast("Kind", kind), at.astimezone(dt.UTC), uuid_hash)
