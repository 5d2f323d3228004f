"""Orders and revenue: the rows of orders by their own time, so that refunds count on their day."""

from __future__ import annotations

import collections
import collections.abc as cabc
import datetime as dt
import typing as t

import sqlalchemy as sa

from ..errors import ReportError
from ..store.tables import Tables
from ..text import shorten
from .amounts import Amounts
from .conditions import Conditions
from .rows import RevenueRow
from .sums import Sums

#: What revenue can be shown by, and the part of a touch that it is.
REVENUE_BY: t.Final = {
    "source": "source",
    "channel": "channel",
    "utm_source": "source",
    "utm_medium": "medium",
    "utm_campaign": "campaign",
    "utm_term": "term",
    "utm_content": "content",
    "entry_rule": "rule",
}
Attribution = t.Literal["first", "last"]


def check_revenue(by: str, attribution: str) -> None:
    """Refuse what revenue cannot be shown by.

    :raises ReportError: saying what it can be shown by.
    """
    if by not in REVENUE_BY:
        raise ReportError(
            f"Revenue cannot be shown by {shorten(by)}. It can be by: {', '.join(REVENUE_BY)}."
        )
    if attribution not in t.get_args(Attribution):
        raise ReportError(f"The attribution is 'first' or 'last', not {shorten(attribution)}.")


def read_orders(
    connection: sa.Connection,
    tables: Tables,
    bounds: tuple[dt.datetime, dt.datetime],
    conditions: Conditions,
    into: Sums,
) -> None:
    """Add the orders and cancellations between two moments to their buckets."""
    row = tables.transaction.c
    is_charge = sa.case((row.charge_id.is_(None), 1), else_=0)
    query = sa.select(row.time, is_charge, row.currency, row.amount)
    for time, *rest in connection.execute(query.where(*_are_of(tables, bounds, conditions))):
        into.amounts[max(0, into.find_bucket(time))].add(rest[0], rest[1], int(rest[2]))


def read_revenue(
    connection: sa.Connection,
    tables: Tables,
    bounds: tuple[dt.datetime, dt.datetime],
    conditions: Conditions,
    *,
    by: str,
    attribution: Attribution,
) -> tuple[RevenueRow, ...]:
    """Return orders and revenue by where they came from, the most orders first."""
    row = tables.transaction.c
    value = row[f"{attribution}_{REVENUE_BY[by]}"]
    orders = sa.func.sum(sa.case((row.charge_id.is_(None), 1), else_=0))
    query = sa.select(value, row.currency, orders, sa.func.sum(row.amount))
    query = query.where(*_are_of(tables, bounds, conditions)).group_by(value, row.currency)
    found: dict[str, Amounts] = collections.defaultdict(Amounts)
    for text, currency, number, amount in connection.execute(query):
        found[(text or "").strip()].add(int(number), currency, int(amount))
    rows = (RevenueRow(text, each.orders, each.money()) for text, each in found.items())
    return tuple(sorted(rows, key=lambda each: (-each.orders, each.value)))


def _are_of(
    tables: Tables, bounds: tuple[dt.datetime, dt.datetime], conditions: Conditions
) -> cabc.Iterator[sa.ColumnElement[bool]]:
    """Yield the conditions on rows of orders.

    A filter takes the orders that were made in its sessions. A cancellation is that of its order,
    and has no session of its own.
    """
    row, session = tables.transaction.c, tables.session.c
    yield row.time >= bounds[0]
    yield row.time < bounds[1]
    if conditions:
        charge = sa.alias(tables.transaction).c
        of_charge = sa.select(charge.session_id).where(charge.id == row.charge_id)
        made_in = sa.func.coalesce(row.session_id, of_charge.scalar_subquery())
        limits = conditions.of(*bounds, any_start=True)
        yield made_in.in_(sa.select(session.id).where(*limits))
    elif conditions.sites is not None:
        yield row.site.in_(sorted(conditions.sites))
