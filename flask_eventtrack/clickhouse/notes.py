"""What the copy notes in ClickHouse: how far it has come, and which process writes it.

ClickHouse has no transactions. So the place is noted after the rows, and a run that was interrupted
repeats some of them, which changes nothing. And a process that is to write notes that first, and
then looks for another one: of two that begin at once, at least one sees the other.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import time
import typing as t
import uuid as uuidlib

from .problems import Busy
from .server import Server
from .tables import LAYOUT, find_columns

#: What is to be merged: nothing, partitions with deleted rows, or all that have several versions.
Due = t.Literal["", "deleted", "all"]

_NOTES, _RUNS = "eventtrack_copy", "eventtrack_copy_run"
_MAKE = (
    f"CREATE TABLE IF NOT EXISTS {_NOTES} (part String, number UInt64, source String, "
    "layout UInt16, position Int64, batch Int64, kind String, after Nullable(UUID), due String, "
    "noted_at DateTime64(3, 'UTC') DEFAULT now64(3)) "
    "ENGINE = ReplacingMergeTree(number) ORDER BY part",
    f"CREATE TABLE IF NOT EXISTS {_RUNS} (owner UUID, number UInt64, place String, "
    "until DateTime64(3, 'UTC')) "
    "ENGINE = ReplacingMergeTree(number) ORDER BY owner TTL toDateTime(until) + INTERVAL 1 DAY",
)
#: For how long a process that was killed keeps others out.
LEASE = dt.timedelta(seconds=60)
_RENEW_SECONDS = 15.0


@dataclasses.dataclass(slots=True)
class Note:
    """How far the tables have come, or those that are being filled.

    :param part: which of the two: "copy" or "snapshot".
    :param number: counts up with each note.
    :param source: the fingerprint of the database.
    :param position: the place in its commit log.
    :param batch: the number of the transaction of that place: another log has another.
    :param kind: the table that is being filled; of the copy, "" once it is whole.
    :param after: the id of the last row that was copied of that table.
    """

    part: str
    number: int = 0
    source: str = ""
    layout: int = LAYOUT
    position: int = 0
    batch: int = 0
    kind: str = ""
    after: uuidlib.UUID | None = None
    due: Due = ""

    @property
    def is_there(self) -> bool:
        """Whether anything was noted."""
        return self.number > 0


_FIELDS: t.Final = tuple(field.name for field in dataclasses.fields(Note))


def find_copy(server: Server) -> Note:
    """Return what was noted last of the copy, also where none was ever made."""
    return read_note(server, "copy") if find_columns(server, _NOTES) else Note("copy")


def read_note(server: Server, part: str) -> Note:
    """Return what was noted last."""
    query = f"SELECT {', '.join(_FIELDS)} FROM {_NOTES} FINAL WHERE part = '{part}'"
    for row in server.read(query):
        note = Note(*row)
        note.after = None if note.after is None else uuidlib.UUID(str(note.after))
        return note
    return Note(part)


class Notes:
    """The two tables for this.

    :param owner: a name for this process that no other has.
    :param holder: what others are told of it.
    """

    def __init__(self, server: Server, owner: uuidlib.UUID, holder: str) -> None:
        self._server = server
        self._owner = owner
        self._holder = holder
        self._renewed = 0.0

    def make(self) -> None:
        for statement in _MAKE:
            self._server.run(statement)

    def read(self, part: str) -> Note:
        """Return what was noted last."""
        return read_note(self._server, part)

    def write(self, note: Note) -> None:
        note.number += 1
        self._server.insert(_NOTES, _FIELDS, [tuple(getattr(note, name) for name in _FIELDS)])

    # Which process writes

    def take(self) -> None:
        """Keep other processes out.

        :raises Busy: one is there.
        """
        self._put(LEASE)
        query = (
            f"SELECT place FROM {_RUNS} FINAL WHERE owner != '{self._owner}' AND until > now64(3) "
            "ORDER BY until DESC LIMIT 1"
        )
        for (place,) in self._server.read(query):
            self.release()
            raise Busy(
                f"Another copy to these tables is running: {place}. If it was killed, it keeps "
                f"others out for {LEASE.seconds} seconds."
            )

    def hold(self) -> None:
        """Keep them out for longer.

        :raises Busy: one has begun meanwhile, as this one seemed to be dead.
        """
        if time.monotonic() - self._renewed > _RENEW_SECONDS:
            self.take()

    def release(self) -> None:
        self._put(dt.timedelta(0))

    def _put(self, lease: dt.timedelta) -> None:
        [[now]] = self._server.read("SELECT toUnixTimestamp64Milli(now64(3))")
        self._renewed = time.monotonic()
        until = dt.datetime.fromtimestamp(now / 1000, dt.UTC) + lease
        row = (self._owner, now, self._holder, until)
        self._server.insert(_RUNS, ("owner", "number", "place", "until"), [row])
