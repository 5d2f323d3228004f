"""What people have made on the pages and saved under a name: goals, funnels, filters and notes."""

from __future__ import annotations

import collections.abc as cabc
import datetime as dt
import typing as t
import uuid as uuidlib

import sqlalchemy as sa

from .tables import Tables

#: What can be saved.
Kind = t.Literal["goal", "funnel", "filter", "note"]
#: How many of each kind there may be.
MOST: t.Final[cabc.Mapping[Kind, int]] = {"goal": 100, "funnel": 100, "filter": 100, "note": 200}

Definition = cabc.Mapping[str, t.Any]


class Saved(t.NamedTuple):
    """A row: its kind, its name, what it is, and who has made it when."""

    id: uuidlib.UUID
    kind: Kind
    name: str
    definition: Definition
    made_by: str
    made_at: dt.datetime


def list_saved(connection: sa.Connection, tables: Tables, *kinds: Kind) -> list[Saved]:
    """Return what is saved of some kinds, by name."""
    table = tables.saved
    query = sa.select(*(table.c[name] for name in Saved._fields)).where(table.c.kind.in_(kinds))
    rows = [
        Saved(*row) for row in connection.execute(query.limit(sum(MOST[kind] for kind in kinds)))
    ]
    return sorted(rows, key=lambda row: row.name.casefold())


def add_saved(connection: sa.Connection, tables: Tables, row: Saved) -> bool:
    """Store a row. Return False if the name is taken, or there are too many of the kind."""
    known = [each.name for each in list_saved(connection, tables, row.kind)]
    if row.name in known or len(known) >= MOST[row.kind]:
        return False
    connection.execute(tables.saved.insert().values(row._asdict()))
    return True


def remove_saved(connection: sa.Connection, tables: Tables, kind: Kind, name: str) -> bool:
    """Remove a row. Return False if there is none."""
    table = tables.saved
    gone = table.delete().where(table.c.kind == kind, table.c.name == name)
    return bool(connection.execute(gone).rowcount)
