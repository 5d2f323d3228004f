"""Repeats erasures and objections in a database that was restored from an earlier backup."""

from __future__ import annotations

import collections.abc as cabc
import datetime as dt
import itertools
import typing as t
import uuid as uuidlib

import sqlalchemy as sa

from .engine import Database
from .erasure import PROFILES
from .erasure_file import Note
from .objections import Hash, Objections
from .tombstones import Tombstones

_PAGE = 5000

#: Profiles of a page, each with the moment until which it was erased.
Found = dict[uuidlib.UUID, dt.datetime]


def restore_notes(
    database: Database, tombstones: Tombstones, objections: Objections, notes: cabc.Sequence[Note]
) -> None:
    """Put back the tombstones and objections, also of people whom the database does not know.

    Then records that still wait in a journal are dropped. Doing it again changes nothing.

    :param notes: oldest first.
    """
    if not notes:
        return
    groups = [
        (kind, at, {note.uuid_hash for note in group})
        for (kind, at), group in itertools.groupby(notes, key=lambda note: note[:2])
    ]

    def restore(connection: sa.Connection) -> None:
        for kind, at, hashes in groups:
            if kind == "opted-out":
                objections.add(connection, hashes, at)
            elif kind == "opted-in":
                objections.withdraw(connection, hashes, at)
            else:
                tombstones.add_hashes(connection, hashes, at)
        tombstones.wait_for_batches(connection, notes[-1].at)

    database.retry(restore)


def find_noted(
    database: Database, hash_of: Hash, notes: cabc.Iterable[Note]
) -> cabc.Iterator[Found]:
    """Yield, page by page, the stored profiles with rows from before their erasure."""
    erased = {note.uuid_hash: note.at for note in notes if note.kind == "erased"}  # the latest wins
    for page in _iter_profiles(database):
        found = ((uuid, first, erased.get(hash_of(uuid))) for uuid, first in page)
        yield {uuid: at for uuid, first, at in found if at is not None and first <= at}


_Page = list[tuple[uuidlib.UUID, dt.datetime]]


def _iter_profiles(database: Database) -> cabc.Iterator[_Page]:
    """Yield pages of all profiles in each table, each with the time of its first row there."""
    tables = database.tables
    for profile, moment in (
        (tables.profile.c.uuid, tables.profile.c.first_seen_at),
        (tables.alias.c.anonymous_uuid, tables.alias.c.created_at),
        (tables.session.c.uuid, tables.session.c.started_at),
        (tables.event.c.uuid, tables.event.c.time),
        (tables.transaction.c.uuid, tables.transaction.c.time),
    ):
        query = sa.select(profile, sa.func.min(moment)).group_by(profile)
        query = query.where(profile.is_not(None))  # as of an order that was erased before
        for rows in _iter_pages(database, query, profile):
            yield [(uuid, first) for uuid, first in rows]
    rejected = tables.rejected.c
    query = sa.select(rejected.id, rejected.payload, rejected.rejected_at)
    for rows in _iter_pages(database, query, rejected.id):
        texts = ((text, row.rejected_at) for row in rows for text in PROFILES.findall(row.payload))
        yield [(uuidlib.UUID(text), moment) for text, moment in texts]


def _iter_pages(
    database: Database, query: t.Any, key: sa.Column[uuidlib.UUID]
) -> cabc.Iterator[cabc.Sequence[t.Any]]:
    """Yield the rows of a select in pages, in the order of its first column, the key."""
    query = query.order_by(key).limit(_PAGE)
    page_query = query
    while True:
        with database.read() as connection:
            rows = connection.execute(page_query).all()
        if rows:
            yield rows
        if len(rows) < _PAGE:
            return
        page_query = query.where(key > rows[-1][0])
