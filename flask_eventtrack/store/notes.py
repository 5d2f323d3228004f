"""Notes on days, stored with what people saved: those of managers, and one for each release.

The definition of a note has its ``day`` and its ``text``. That of a release also has ``release``.
If somebody removes it, its row stays and has ``removed``, so no process notes the release again.
"""

from __future__ import annotations

import datetime as dt
import typing as t

import sqlalchemy as sa

from ..ids import uuid4
from .saved import MOST, Saved, list_saved, remove_saved
from .tables import Tables

#: The ``made_by`` of the notes of releases.
RELEASE: t.Final = "release"


def is_release(row: Saved) -> bool:
    """Whether a note is that of a release."""
    return "release" in row.definition


def add_note(connection: sa.Connection, tables: Tables, row: Saved) -> bool:
    """Store a note. Return False if its name is taken, or there are too many notes of people.

    If there are too many notes, it replaces the note of the oldest release.
    """
    known = list_saved(connection, tables, "note")
    if any(each.name == row.name for each in known):
        return False
    if len(known) >= MOST["note"]:
        releases = sorted(filter(is_release, known), key=lambda each: each.made_at)
        # Another process may have taken the room of the oldest.
        if not any(remove_saved(connection, tables, "note", each.name) for each in releases):
            return False
    connection.execute(tables.saved.insert().values(row._asdict()))
    return True


def note_release(
    connection: sa.Connection, tables: Tables, *, release: str, day: dt.date, now: dt.datetime
) -> bool:
    """Store the note of a release, unless a process has done so. Return False if there are too
    many notes of people.

    :raises sqlalchemy.exc.IntegrityError: another process stores it now; a retry finds it.
    """
    name = f"Release {release}"
    table = tables.saved
    query = sa.select(table.c.id).where(table.c.kind == "note", table.c.name == name)
    if connection.scalar(query) is not None:
        return True
    definition = {"day": day.isoformat(), "text": name, "release": release}
    row = Saved(uuid4(), "note", name, definition, RELEASE, now)
    return add_note(connection, tables, row)


def remove_note(connection: sa.Connection, tables: Tables, name: str) -> bool:
    """Remove a note. Return False if there is none."""
    known = list_saved(connection, tables, "note")
    row = next((each for each in known if each.name == name), None)
    if row is None or "removed" in row.definition:
        return False
    if not is_release(row):
        return remove_saved(connection, tables, "note", name)
    table = tables.saved
    change = table.update().where(table.c.id == row.id)
    connection.execute(change.values(definition={**row.definition, "removed": True}))
    return True
