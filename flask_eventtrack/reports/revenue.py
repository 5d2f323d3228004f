"""Orders and revenue: the rows of orders by their own time, so that refunds count on their day."""

from __future__ import annotations

import collections
import collections.abc as cabc
import datetime as dt
import typing as t

import sqlalchemy as sa

from ..errors import ReportError
from ..store.tables import Tables, cached_on_table
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
    ends = {f"end{place}": span.end for place, span in enumerate(into.spans[:-1])}
    query = _orders_query(tables.transaction, len(ends))
    query = query.where(*_are_of(tables, bounds, conditions))
    for place, currency, orders, amount in connection.execute(query, ends).all():
        into.amounts[place].add(int(orders), currency, int(amount))


@cached_on_table
def _orders_query(table: sa.Table, ends: int) -> sa.Select[t.Any]:
    """Return the query for orders by bucket: the first one that ends after them."""
    row = table.c
    places = [
        (row.time < sa.bindparam(f"end{place}", type_=row.time.type), _number(place))
        for place in range(ends)
    ]
    bucket = sa.case(*places, else_=_number(ends)) if places else _number(0)
    sums = (_count_orders(table), sa.func.sum(row.amount))
    query = sa.select(bucket.label("bucket"), row.currency, *sums)
    # By its name: PostgreSQL does not see that an expression with parameters is the same one.
    return query.group_by("bucket", row.currency)


def _number(place: int) -> sa.ColumnElement[int]:
    return sa.literal_column(str(place), sa.Integer())


def _count_orders(table: sa.Table) -> sa.ColumnElement[t.Any]:
    return sa.func.sum(sa.case((table.c.charge_id.is_(None), 1), else_=0))


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
    orders = _count_orders(tables.transaction)
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
        of_charge = of_charge.correlate(tables.transaction)
        made_in = sa.func.coalesce(row.session_id, of_charge.scalar_subquery())
        limits = conditions.of(*bounds, any_start=True)
        # Order by order: a list of the sessions would be one of all sessions there are, since they
        # may have begun at any time. Of EXISTS, PostgreSQL may make such a list.
        one = sa.select(session.id).where(session.id == made_in, *limits).limit(1)
        yield one.correlate(tables.transaction).scalar_subquery().is_not(None)
    elif conditions.sites is not None:
        yield row.site.in_(sorted(conditions.sites))
