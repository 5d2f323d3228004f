"""The minute's chore for transactions: persons and touches are settled, and change no more.

Other processes may write what led to a transaction after it, such as the page of its session.
"""

from __future__ import annotations

import collections.abc as cabc
import datetime as dt
import typing as t
import uuid as uuidlib

import sqlalchemy as sa

from ..records import TOUCH
from .person import resolve_people
from .tables import Tables
from .touches import columns_of, find_touches, update_touches

#: How long after it was stored a transaction may still change.
SETTLES_AFTER = dt.timedelta(minutes=1)
_SETTLED_AT_ONCE = 200
# What a cancellation has of its charge.
_COPIED = ("person", *(f"{which}_{name}" for which in ("first", "last") for name in TOUCH))


class _Stored(t.NamedTuple):
    """A stored transaction that is not settled."""

    id: uuidlib.UUID
    charge_id: uuidlib.UUID | None
    uuid: uuidlib.UUID | None
    person: uuidlib.UUID | None
    time: dt.datetime


def settle(
    connection: sa.Connection, tables: Tables, now: dt.datetime, lookback: dt.timedelta
) -> int:
    """Attribute up to 200 transactions for the last time; return how many are settled now.

    They were stored over a minute ago, and no other process holds them. A cancellation takes person
    and touches of its charge, and is settled after it.
    """
    table = tables.transaction
    query = sa.select(*(table.c[name] for name in _Stored._fields))
    query = query.where(table.c.settled_at.is_(None), table.c.stored_at < now - SETTLES_AFTER)
    query = query.order_by(table.c.settled_at, table.c.stored_at).limit(_SETTLED_AT_ONCE)
    rows = [_Stored(*row) for row in connection.execute(query.with_for_update(skip_locked=True))]
    charges = [row for row in rows if row.charge_id is None]
    # Of an erased person's, the sources that are left stay.
    theirs = _with_people(connection, tables, charges)
    touches = find_touches(connection, tables, theirs, lookback)
    changes = {
        row.id: {"person": row.person, **columns_of(*each)}
        for row, each in zip(theirs, touches, strict=True)
    }
    changes = {row.id: {} for row in charges} | changes
    _write_settled(connection, table, changes, now)
    copies = _copy_touches(connection, table, [row for row in rows if row.charge_id is not None])
    _write_settled(connection, table, copies, now)
    return len(changes) + len(copies)


def _with_people(
    connection: sa.Connection, tables: Tables, rows: cabc.Sequence[_Stored]
) -> list[_Stored]:
    """Return the rows that have a profile, with their persons as they are now. A host's transaction
    may have been open for so long that an alias was applied meanwhile."""
    people = resolve_people(connection, tables, {row.uuid for row in rows if row.uuid})
    return [row._replace(person=people.get(row.uuid)) for row in rows if row.uuid]


def _copy_touches(
    connection: sa.Connection, table: sa.Table, cancellations: cabc.Sequence[_Stored]
) -> dict[uuidlib.UUID, dict[str, t.Any]]:
    """Return the columns of the cancellations whose charges are settled or gone."""
    if not cancellations:
        return {}
    columns = [table.c[name] for name in ("id", "settled_at", *_COPIED)]
    query = sa.select(*columns).where(table.c.id.in_({row.charge_id for row in cancellations}))
    charges = {row["id"]: dict(row) for row in connection.execute(query).mappings()}
    copies: dict[uuidlib.UUID, dict[str, t.Any]] = {}
    for row in cancellations:
        charge = charges.get(row.charge_id)
        if charge is None:
            copies[row.id] = {}
        elif charge["settled_at"] is not None:
            copies[row.id] = {name: charge[name] for name in _COPIED}
    return copies


def _write_settled(
    connection: sa.Connection,
    table: sa.Table,
    changes: cabc.Mapping[uuidlib.UUID, dict[str, t.Any]],
    now: dt.datetime,
) -> None:
    if changes:
        update_touches(connection, table.c.id, changes)
        settled = table.update().where(table.c.id.in_(changes))
        connection.execute(settled.values(settled_at=now))
