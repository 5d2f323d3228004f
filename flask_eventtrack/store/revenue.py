"""What stays of an order whose person is erased, has objected, or whose retention is over.

With ``EVENTTRACK_KEEP_REVENUE``, the amounts stay without the person, so that sums of revenue do
not change. The row of a charge also tells that the order is known, should it be sent again.
"""

from __future__ import annotations

import collections.abc as cabc
import typing as t
import uuid as uuidlib

import msgspec
import sqlalchemy as sa

from ..records import Charge, Event
from .dialects import in_chunks
from .logged import own_columns
from .tables import Tables

_STAYS = frozenset(
    {"id", "charge_id", "time", "stored_at", "site", "currency", "amount", "cancelled"}
    | {f"{one}_{each}" for one in ("first", "last") for each in ("source", "medium")}
    | {f"{one}_{each}" for one in ("first", "last") for each in ("campaign", "channel")}
)


def strip(event: Event, order: Charge) -> Event:
    """Return a charge of which only the amount is left: it becomes no event, only an amount."""
    return msgspec.structs.replace(
        event,
        uuid=event.id,
        params={},
        label=None,
        url_rule="",
        undefined=(),
        session=None,
        client=None,
        campaign="",
        order=Charge("", order.currency, order.amount, ""),
    )


def is_stripped(order: Charge) -> bool:
    """Whether :func:`strip` returned it: all other orders have an id."""
    return not order.order_id


def stripped_values(table: sa.Table) -> dict[str, t.Any]:
    """Return the new values of ``eventtrack_transaction`` that leave only the amounts."""
    values: dict[str, t.Any] = {
        column.name: None for column in own_columns(table) if column.name not in _STAYS
    }
    # Nothing is left by which its touches could be looked for.
    return {**values, "settled_at": sa.func.coalesce(table.c.settled_at, table.c.stored_at)}


def erase_transactions(
    connection: sa.Connection, tables: Tables, ids: cabc.Iterable[uuidlib.UUID], *, keeps: bool
) -> None:
    """Strip the rows with these ids, or delete them unless the amounts are kept."""
    table = tables.transaction
    change = table.update().values(stripped_values(table)) if keeps else table.delete()
    for chunk in in_chunks(ids):
        connection.execute(change.where(table.c.id.in_(chunk)))
