"""Where a function on events is, and which events are new to it. Pure.

The log tells a row with the last transaction that changed it. Which events are new to a function?

- An event that one of the transactions which are read now has stored is new.
- Else an earlier transaction has stored it, and a later one has changed it. When the function was
  at that earlier one, the change was either still to come, and the event was told then; or it was
  there already, so that the row was passed over, and is told now. So for each transaction the
  reader remembers how far the log reached when it was read. A change behind that was still to come.
- That is remembered as long as the reader is behind the log. Once it has caught up, all that is
  stored up to there was told. ``newest`` of the row says how far the log reached, for a process
  that takes over from one that was behind: of what was changed up to there it tells too much rather
  than too little.
"""

from __future__ import annotations

import collections.abc as cabc
import dataclasses
import datetime as dt
import typing as t
import uuid as uuidlib

from ..bounded import BoundedDict
from ..store.followers import FollowerRow
from ..store.new_events import Found, Place

_MOST_BATCHES = 100_000


@dataclasses.dataclass(slots=True)
class Held:
    """A function whose lease this process has.

    ``noted`` is the position that the row has. ``reached`` says for each transaction since the
    reader was last at the end of the log how far the log reached when it was read. Up to ``unsure``
    that is not known. ``told`` are the latest ids, and ``begun`` those of the transaction behind
    the position.
    """

    position: int
    newest: int
    noted: int
    unsure: int
    event_id: uuidlib.UUID | None
    tries: int
    retry_at: dt.datetime | None
    told: BoundedDict[uuidlib.UUID, None]
    begun: list[uuidlib.UUID] = dataclasses.field(default_factory=list)
    noted_at: float = 0.0
    reached: dict[int, int] = dataclasses.field(default_factory=dict)

    @classmethod
    def of(cls, row: FollowerRow, told: BoundedDict[uuidlib.UUID, None]) -> Held:
        unsure = row.newest if row.newest > row.position else 0
        fails = row.event_id, row.tries, row.retry_at
        found = cls(row.position, row.newest, row.position, unsure, *fails, told)
        for each in row.told or ():
            found.note_told(uuidlib.UUID(each))
        return found

    @property
    def progress(self) -> dict[str, t.Any]:
        """What the row notes of how far it is."""
        begun = [str(each) for each in self.begun] or None
        return {"position": self.position, "newest": self.newest, "told": begun}

    def note_told(self, event_id: uuidlib.UUID) -> None:
        """Note that an event was told, or given up."""
        self.told.remember(event_id, None)
        self.begun.append(event_id)

    def is_new(self, found: Found, place: Place, read: cabc.Container[int]) -> bool:
        """Whether an event is to be told with a transaction.

        :param read: the batches of the transactions that were read together with it.
        """
        added_in = found.added_in
        if added_in is None or found.event.id in self.told:
            return False
        if added_in in read:
            return True
        return place.position <= self.reached.get(added_in, self.unsure)

    def pass_by(self, place: Place, newest: int) -> None:
        """Note that all events of a transaction were told.

        :param newest: how far the log reached when it was read.
        """
        self.position, self.newest = place.position, newest
        self.begun.clear()
        self.reached[place.batch] = newest
        if self.position >= newest:  # at the end of the log
            self.reached.clear()
            self.unsure = 0
        elif len(self.reached) > _MOST_BATCHES:
            self.reached.clear()
            self.unsure = newest
