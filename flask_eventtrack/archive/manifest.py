"""The archive's manifest: what is in it, and up to which place of the commit log."""

from __future__ import annotations

import datetime as dt
import typing as t

import msgspec

from ..errors import EventTrackError
from ..reports.bulk import What

#: The file.
NAME: t.Final = "manifest.json"
#: The version of the manifest and of the files' layout.
VERSION = 1
#: What is archived. Sessions come first: see :meth:`.Archiver.write`.
KINDS: t.Final[tuple[What, ...]] = ("sessions", "events")

_FORMAT = "eventtrack-archive"


class ArchiveProblem(EventTrackError):
    """An archive cannot be written, for a reason that its message says."""


class DayFile(msgspec.Struct, frozen=True):
    """The file of a day."""

    file: str
    rows: int
    bytes: int
    written_at: dt.datetime


class Manifest(msgspec.Struct):
    """What is known of an archive.

    :param database: the fingerprint of the database.
    :param since: the first day; None for all.
    :param keeps_pruned: whether rows stay that retention has removed from the tables.
    :param position: the place in the commit log up to which the files tell all changes; None
        without the log.
    :param unfinished: days that are to be written from the tables alone, by kind.
    :param erasures: says which erasures the files know, if pruned rows are kept.
    :param columns: those of the files, by kind.
    :param days: the files by kind and day.
    """

    database: str
    since: dt.date | None = None
    keeps_pruned: bool = False
    position: int | None = None
    unfinished: dict[str, list[dt.date]] = {}
    erasures: str = ""
    columns: dict[str, list[str]] = {}
    days: dict[str, dict[dt.date, DayFile]] = {}
    written_at: dt.datetime | None = None
    format: str = _FORMAT
    version: int = VERSION


class _Head(msgspec.Struct):
    format: str
    version: int


def read_manifest(stored: bytes) -> Manifest:
    """Return a manifest.

    :raises ArchiveProblem: it is none, or one of a later release.
    """
    try:
        head = msgspec.json.decode(stored, type=_Head)
        if head.format != _FORMAT:
            raise ArchiveProblem(f"Its {NAME} is not an archive's.")
        if head.version > VERSION:
            raise ArchiveProblem(
                f"It was written by a later release: its version is {head.version}, and this "
                f"release knows {VERSION}. Upgrade Flask-EventTrack."
            )
        return msgspec.json.decode(stored, type=Manifest)
    except msgspec.MsgspecError as error:
        raise ArchiveProblem(f"Its {NAME} cannot be read: {error}.") from None


def write_manifest(manifest: Manifest) -> bytes:
    """Return a manifest as it is stored, for people to read too."""
    manifest.days = {kind: dict(sorted(days.items())) for kind, days in manifest.days.items()}
    return msgspec.json.format(msgspec.json.encode(manifest)) + b"\n"


def file_of(kind: What, day: dt.date) -> str:
    """Return the name of a day's file, as all that read Parquet find days."""
    return f"{kind}/day={day.isoformat()}/{kind}.parquet"


def day_of_file(kind: What, name: str) -> dt.date | None:
    """Return the day whose file has a name; None if it is no day's file."""
    head, _, rest = name.partition("/day=")
    day, _, file = rest.partition("/")
    if head != kind or file != f"{kind}.parquet":
        return None
    try:
        found = dt.date.fromisoformat(day)
    except ValueError:
        return None
    return found if found.isoformat() == day else None
