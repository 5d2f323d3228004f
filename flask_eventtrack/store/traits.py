"""The traits of customers, one row each, by which people are searched."""

from __future__ import annotations

import collections.abc as cabc
import functools
import typing as t
import uuid as uuidlib

import sqlalchemy as sa

from ..text import clean_text, quantify
from .dialects import in_chunks
from .engine import Database
from .tables import Tables

_NAME_LENGTH = 64
_VALUE_LENGTH = 255
_CHUNK = 200
_CHUNKS_A_SENTENCE = 50
# The upgrade goes by uuid, so what an interrupted one has left is at the end.
_LOOKED_AT = 500

Traits = cabc.Mapping[str, t.Any]


def searchable_text(value: object) -> str | None:
    """Return a trait's value as it is searched: in lower case, without blanks around it.

    Only texts, numbers and truth values are; of a long text the beginning.
    """
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, str | int | float):
        return None
    return clean_text(str(value)).strip().lower()[:_VALUE_LENGTH].rstrip() or None


def write_traits(
    connection: sa.Connection, table: sa.Table, profile: uuidlib.UUID, traits: Traits
) -> None:
    """Replace the rows of a profile, whose own row the caller has locked."""
    connection.execute(table.delete().where(table.c.uuid == profile))
    rows = [{"uuid": profile, **row} for row in _rows_of(traits)]
    if rows:
        connection.execute(table.insert(), rows)


def _rows_of(traits: Traits) -> cabc.Iterable[dict[str, str]]:
    # MariaDB takes two names for one if only blanks at the end tell them apart.
    found = {
        clean_text(name).strip(): text
        for name, value in traits.items()
        if (text := searchable_text(value)) is not None
    }
    return [
        {"name": name, "value": text}
        for name, text in found.items()
        if 0 < len(name) <= _NAME_LENGTH
    ]


def erase_traits(
    connection: sa.Connection, tables: Tables, profiles: cabc.Iterable[uuidlib.UUID]
) -> None:
    """Delete the traits of those profiles that are no longer stored."""
    trait, profile = tables.trait, tables.profile
    is_stored = sa.exists().where(profile.c.uuid == trait.c.uuid)
    for chunk in in_chunks(profiles):
        connection.execute(trait.delete().where(trait.c.uuid.in_(chunk), ~is_stored))


# The data step of version 5


def has_profiles_without_traits(connection: sa.Connection, tables: Tables) -> bool:
    """Whether there are profiles whose traits have no rows, among the last ones by uuid."""
    profile, trait = tables.profile.c, tables.trait.c
    has_rows = sa.exists().where(trait.uuid == profile.uuid)
    query = sa.select(profile.traits, has_rows).order_by(profile.uuid.desc()).limit(_LOOKED_AT)
    return any(not has and any(_rows_of(traits)) for traits, has in connection.execute(query))


def fill_traits(database: Database) -> cabc.Iterator[str]:
    """Write the rows of all profiles, and yield a sentence about the progress now and then."""
    last, number, chunks = uuidlib.UUID(int=0), 0, 0
    while filled := database.take_turn(functools.partial(_fill_some, database.tables, last)):
        last, number, chunks = filled[-1], number + len(filled), chunks + 1
        if chunks % _CHUNKS_A_SENTENCE == 0:
            yield f"{quantify(number, 'profile')} so far."
    yield f"{quantify(number, 'profile')} filled."


def _fill_some(tables: Tables, last: uuidlib.UUID, connection: sa.Connection) -> list[uuidlib.UUID]:
    """Write the rows of up to 200 profiles, which are locked in the writer's order."""
    profile = tables.profile.c
    query = sa.select(profile.uuid, profile.traits).where(profile.uuid > last)
    query = query.order_by(profile.uuid).limit(_CHUNK).with_for_update()
    found = connection.execute(query).all()
    for row in found:
        write_traits(connection, tables.trait, row.uuid, row.traits)
    return [row.uuid for row in found]
