"""Orders and revenue: the rows of orders by their own time, so that refunds count on their day."""

from __future__ import annotations

import collections
import collections.abc as cabc
import datetime as dt
import typing as t
import uuid as uuidlib

import sqlalchemy as sa

from ..errors import ReportError
from ..store.dialects import ids_parameter, is_one_of
from ..store.tables import Tables, cached_on_table
from ..text import shorten
from .amounts import Amounts
from .conditions import Conditions
from .rows import RevenueRow
from .scan import as_numbers
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
    sessions: cabc.Collection[str] | None = None,
) -> None:
    """Add the orders and cancellations between two moments to their buckets.

    :param sessions: the ids of all sessions that match the conditions, if they are few.
    """
    ends = {f"end{place}": span.end for place, span in enumerate(into.spans[:-1])}
    query = _orders_query(tables.transaction, len(ends))
    name = connection.dialect.name
    query = query.where(*are_of(tables, name, bounds, conditions, sessions))
    parameters = {**ends, **_ids_of(name, sessions)}
    for place, currency, orders, amount in connection.execute(query, parameters).all():
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
    sums = (count_orders(table), sa.func.sum(row.amount))
    query = sa.select(bucket.label("bucket"), row.currency, *sums)
    # By its name: PostgreSQL does not see that an expression with parameters is the same one.
    return query.group_by("bucket", row.currency)


def _number(place: int) -> sa.ColumnElement[int]:
    return sa.literal_column(str(place), sa.Integer())


def count_orders(table: sa.Table) -> sa.ColumnElement[t.Any]:
    """Return how many of some rows are orders, and no cancellations."""
    return sa.func.sum(sa.case((table.c.charge_id.is_(None), 1), else_=0))


def read_revenue(
    connection: sa.Connection,
    tables: Tables,
    bounds: tuple[dt.datetime, dt.datetime],
    conditions: Conditions,
    sessions: cabc.Collection[str] | None,
    *,
    by: str,
    attribution: Attribution,
) -> tuple[RevenueRow, ...]:
    """Return orders and revenue by where they came from, the most orders first.

    :param sessions: as of :func:`read_orders`.
    """
    name = connection.dialect.name
    row = tables.transaction.c
    value = row[f"{attribution}_{REVENUE_BY[by]}"]
    orders = count_orders(tables.transaction)
    query = sa.select(value, row.currency, orders, sa.func.sum(row.amount))
    query = query.where(*are_of(tables, name, bounds, conditions, sessions))
    query = query.group_by(value, row.currency)
    found: dict[str, Amounts] = collections.defaultdict(Amounts)
    for text, currency, number, amount in connection.execute(query, _ids_of(name, sessions)):
        found[(text or "").strip()].add(int(number), currency, int(amount))
    rows = (RevenueRow(text, each.orders, each.money()) for text, each in found.items())
    return tuple(sorted(rows, key=lambda each: (-each.orders, each.value)))


def are_of(
    tables: Tables,
    dialect_name: str,
    bounds: tuple[dt.datetime, dt.datetime],
    conditions: Conditions,
    sessions: cabc.Collection[str] | None = None,
) -> cabc.Iterator[sa.ColumnElement[bool]]:
    """Yield the conditions on rows of orders.

    A filter takes the orders that were made in its sessions. A cancellation is that of its order,
    and has no session of its own.
    """
    row, session = tables.transaction.c, tables.session.c
    yield row.time >= bounds[0]
    yield row.time < bounds[1]
    if sessions is not None:
        yield is_one_of(dialect_name, made_in_session(tables))
    elif conditions:
        limits = conditions.of(*bounds, any_start=True)
        # Order by order: a list of the sessions would be one of all sessions there are, since they
        # may have begun at any time. Of EXISTS, PostgreSQL may make such a list.
        one = sa.select(session.id).where(session.id == made_in_session(tables), *limits).limit(1)
        yield one.correlate(tables.transaction).scalar_subquery().is_not(None)
    elif conditions.sites is not None:
        yield row.site.in_(sorted(conditions.sites))


def _ids_of(dialect_name: str, sessions: cabc.Collection[str] | None) -> dict[str, t.Any]:
    return {} if sessions is None else ids_parameter(dialect_name, as_numbers(sessions))


def made_in_session(tables: Tables) -> sa.ColumnElement[uuidlib.UUID]:
    """Return the session of an order, or that of the order which was cancelled."""
    row, charge = tables.transaction.c, sa.alias(tables.transaction).c
    of_charge = sa.select(charge.session_id).where(charge.id == row.charge_id)
    of_charge = of_charge.correlate(tables.transaction)
    return sa.func.coalesce(row.session_id, of_charge.scalar_subquery())
