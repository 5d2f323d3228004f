"""Notes on days, as reports return them."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses
import datetime as dt

from ..store.notes import is_release
from ..store.saved import Saved
from .period import Period


@dataclasses.dataclass(frozen=True, slots=True)
class Note:
    """A note on a day of ``EVENTTRACK_TIMEZONE``, who made it, and when.

    ``is_release`` if the app made it for a new ``EVENTTRACK_RELEASE``.
    """

    day: dt.date
    text: str
    made_by: str
    made_at: dt.datetime
    is_release: bool


def list_notes(rows: cabc.Iterable[Saved], period: Period | None = None) -> tuple[Note, ...]:
    """Return notes from what is saved, the earliest day first.

    :param period: the only days whose notes are returned; None returns all notes.
    """
    notes = (
        _as_note(row) for row in rows if row.kind == "note" and "removed" not in row.definition
    )
    found = [n for n in notes if period is None or period.first <= n.day <= period.last]
    return tuple(sorted(found, key=lambda note: (note.day, note.made_at)))


def _as_note(row: Saved) -> Note:
    day, text = dt.date.fromisoformat(row.definition["day"]), row.definition["text"]
    return Note(day, text, row.made_by, row.made_at, is_release(row))
