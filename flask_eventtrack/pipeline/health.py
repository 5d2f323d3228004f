"""How writing events goes, read from this process and from all journals, not from the database."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import pathlib
import typing as t

import msgspec

from ..records import Event, Identified, PageView, SessionEnd, decode_record, from_ns
from .chain import list_segments, read_checkpoint
from .homes import is_orphaned, list_folders, list_homes
from .journal import HELD_SECONDS
from .journal_format import START, ForeignSegment, SegmentReader

if t.TYPE_CHECKING:
    from .pipeline import Pipeline

_LATE = dt.timedelta(seconds=60)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """How writing events goes on this machine; :meth:`EventTrack.health` returns it.

    The journals are those of all processes on this machine that write to the same tables.
    """

    is_well: bool
    """Whether the last attempt to write did not fail, and no event has waited for over a minute
    (more, if :confval:`EVENTTRACK_FLUSH_INTERVAL` is longer)."""
    records: int
    """How many records of this process wait."""
    bytes: int
    """How many bytes wait, in memory and in all journals."""
    oldest: float | None
    """For how many seconds the oldest record has waited; None if none waits."""
    last_commit: dt.datetime | None
    """When records were last written, by this process or one that still has a journal; None if
    that is not known."""
    last_error: str
    """Why this process cannot write at present; empty if it can, or has not tried."""
    orphans: int
    """How many journals with waiting records belong to no living process."""
    has_thread: bool
    """Whether this process's writer thread is running. It starts with the first record."""


class Waiting(t.NamedTuple):
    """What waits in one process's folder, and when its owner last wrote."""

    folder: pathlib.Path
    bytes: int
    oldest: dt.datetime | None
    committed_at: dt.datetime | None


def examine(pipeline: Pipeline, journal: pathlib.Path | None, interval: dt.timedelta) -> Health:
    """Return how writing goes. It waits for no lock and no database.

    :param journal: where the journals lie, or None.
    :param interval: for how long records may wait for others.
    """
    now, status = pipeline.writer.now, pipeline.status
    found = list_waiting(journal) if journal else []
    size, first = pipeline.peek()
    moments = [_made_at(first), *(each.oldest for each in found)]
    oldest = min(filter(None, moments), default=None)
    late = _LATE + interval
    if pipeline.sink is not pipeline.writer:  # what was sent is held for a while
        late += 2 * dt.timedelta(seconds=HELD_SECONDS)
    age = None if oldest is None else max(0.0, (now - oldest).total_seconds())
    commits = [pipeline.sink.last_commit, *(each.committed_at for each in found)]
    return Health(
        is_well=not status.failed and (age or 0) <= late.total_seconds(),
        records=status.waiting,
        bytes=size + sum(each.bytes for each in found),
        oldest=age,
        last_commit=max(filter(None, commits), default=None),
        last_error=describe_error(status.error) if status.failed else "",
        orphans=len(list_orphans(found)),
        has_thread=pipeline.has_thread,
    )


def describe_error(error: Exception | None) -> str:
    """Return an error's first line, without the statement that SQLAlchemy appends."""
    return f"{type(error).__name__}: {error}".splitlines()[0]


def list_waiting(journal: pathlib.Path) -> list[Waiting]:
    """Return what waits in each process's folder that is ours, also in homes of newer formats."""
    return [_look_into(folder) for folder in list_folders(list_homes(journal))]


def list_orphans(found: t.Iterable[Waiting]) -> list[Waiting]:
    """Return those of which the owner is dead."""
    return [each for each in found if each.bytes and is_orphaned(each.folder)]


def _look_into(folder: pathlib.Path) -> Waiting:
    size, oldest, committed_at = 0, None, None
    checkpoint = read_checkpoint(folder)
    if checkpoint is not None:
        committed_at = checkpoint.written_at
    for number, path in list_segments(folder):
        start = START
        if checkpoint is not None and number <= checkpoint.segment:
            start = checkpoint.position if number == checkpoint.segment else _ALL
        with contextlib.suppress(OSError):  # it has just been written, and removed
            waits = max(0, path.stat().st_size - start)
            if waits and not size:
                oldest = _made_at(_read_first(path, start))
            size += waits
    return Waiting(folder, size, oldest, committed_at)


_ALL = 2**63  # beyond any file


def _read_first(path: pathlib.Path, start: int) -> bytes | None:
    try:
        with contextlib.closing(SegmentReader(path)) as reader:
            return next(iter(reader.read(start, reader.size(), 1).payloads), None)
    except (OSError, ForeignSegment):
        return None


def _made_at(payload: bytes | None) -> dt.datetime | None:
    """Return when a record was made, by the clock of its process."""
    if payload is None:
        return None
    with contextlib.suppress(msgspec.DecodeError, ValueError):
        match decode_record(payload):
            case Event(received_at=moment) | Identified(time=moment):
                return moment
            case PageView(arrival=arrival):
                return from_ns(arrival)
            case SessionEnd():
                return None
    return None
