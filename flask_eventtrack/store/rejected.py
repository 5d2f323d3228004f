"""Records that the database refuses each time, kept for a person to look at."""

from __future__ import annotations

import collections.abc as cabc
import datetime as dt
import typing as t
import uuid as uuidlib

import sqlalchemy as sa

from .tables import Tables
from .totals import Totals

#: The reason in the quality counters for a record that had to make room for later ones.
CROWDED_OUT = "rejected full"

_KEPT = 10_000


def add_rejected(
    connection: sa.Connection, tables: Tables, *, rejected_at: dt.datetime, **row: t.Any
) -> None:
    """Keep a refused record, once for each id.

    Only the latest 10,000 are kept. Those that make room for them are counted as dropped.
    """
    table = tables.rejected
    # Locked: who tries the record again has removed its row, and may not have committed yet.
    known = sa.select(table.c.id).where(table.c.id == row["id"]).with_for_update()
    if connection.scalar(known):
        return
    connection.execute(table.insert().values(rejected_at=rejected_at, **row))
    newest_first = sa.select(table.c.id).order_by(table.c.rejected_at.desc())
    surplus = connection.scalars(newest_first.offset(_KEPT).limit(100)).all()
    if surplus:
        _remove(connection, tables, surplus, rejected_at)


def _remove(
    connection: sa.Connection,
    tables: Tables,
    ids: cabc.Sequence[uuidlib.UUID],
    now: dt.datetime,
) -> None:
    table, totals = tables.rejected, Totals()
    # Locked, so that two processes do not both count a row.
    query = sa.select(table.c.id, table.c.action).where(table.c.id.in_(ids)).with_for_update()
    for old in connection.execute(query).all():
        totals.count_outcome(now, "dropped", old.action, CROWDED_OUT)
    connection.execute(table.delete().where(table.c.id.in_(ids)))
    totals.write(connection, tables, now)


class Rejected(t.NamedTuple):
    """A refused record: when and why it was refused, and the record as masked JSON."""

    id: uuidlib.UUID
    rejected_at: dt.datetime
    action: str
    reason: str
    payload: str


def read_rejected(connection: sa.Connection, tables: Tables, limit: int) -> list[Rejected]:
    """Return refused records, the latest first."""
    row = tables.rejected.c
    query = sa.select(*(row[name] for name in Rejected._fields))
    query = query.order_by(row.rejected_at.desc(), row.id.desc()).limit(limit)
    return [Rejected(*each) for each in connection.execute(query)]


def take_rejected(
    connection: sa.Connection, tables: Tables, record_id: uuidlib.UUID
) -> Rejected | None:
    """Remove a refused record and return it; None if another caller was faster."""
    row = tables.rejected.c
    query = sa.select(*(row[name] for name in Rejected._fields)).where(row.id == record_id)
    found = connection.execute(query.with_for_update()).first()
    if found is None:
        return None
    connection.execute(tables.rejected.delete().where(row.id == record_id))
    return Rejected(*found)


def has_rejected(connection: sa.Connection, tables: Tables, since: dt.datetime) -> bool:
    """Whether a record was refused since a moment."""
    row = tables.rejected.c
    query = sa.select(row.id).where(row.rejected_at >= since).limit(1)
    return connection.scalar(query) is not None


def count_rejected(connection: sa.Connection, tables: Tables) -> tuple[int, int]:
    """Return how many refused records are kept, and how many were removed to make room."""
    kept = sa.select(sa.func.count()).select_from(tables.rejected)
    quality = tables.quality
    removed = sa.select(sa.func.sum(quality.c.count)).where(
        quality.c.outcome == "dropped", quality.c.reason == CROWDED_OUT
    )
    return connection.scalar(kept) or 0, int(connection.scalar(removed) or 0)
