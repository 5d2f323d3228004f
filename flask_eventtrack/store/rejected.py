"""Records that the database refuses each time, kept for a person to look at."""

from __future__ import annotations

import typing as t

import sqlalchemy as sa

from .tables import Tables

_KEPT = 10_000


def add_rejected(connection: sa.Connection, tables: Tables, **row: t.Any) -> None:
    """Keep a refused record, once for each id. Only the latest 10,000 are kept."""
    table = tables.rejected
    if connection.scalar(sa.select(table.c.id).where(table.c.id == row["id"])):
        return
    connection.execute(table.insert().values(row))
    surplus = sa.select(table.c.id).order_by(table.c.rejected_at.desc()).offset(_KEPT).limit(100)
    ids = connection.scalars(surplus).all()
    if ids:
        connection.execute(table.delete().where(table.c.id.in_(ids)))
