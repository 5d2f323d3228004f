"""The events of a period, as they happened."""

from __future__ import annotations

import collections.abc as cabc
import uuid as uuidlib

import sqlalchemy as sa

from ..store.person import find_led
from ..store.tables import Tables
from .counting import Counter
from .feed import FeedEvent, Wanted, feed_columns, read_feed_event, read_latest_of
from .filters import Filter
from .period import Period


def read_events(
    counter: Counter,
    period: Period,
    limits: Filter,
    *,
    actions: tuple[str, ...],
    profiles: cabc.Collection[uuidlib.UUID] | None,
    sites: frozenset[str] | None,
    limit: int,
) -> list[FeedEvent]:
    """Return the latest events of a period, newest first.

    :param profiles: only the events of these and of those that became them.
    """
    tables, connection = counter.tables, counter.connection
    event = tables.event.c
    conditions = [event.time >= period.start, event.time < period.end]
    conditions += Wanted(actions).conditions(tables)
    if sites is not None:
        conditions.append(event.site.in_(sorted(sites)))
    if limits:
        conditions.append(_is_in_session(counter, period, limits))
    if profiles is not None:
        led = find_led(connection, tables.alias, profiles)
        return read_latest_of(connection, tables, led, limit, conditions)
    query = _latest(tables, limit).where(*conditions)
    return [read_feed_event(row) for row in connection.execute(query)]


def _latest(tables: Tables, limit: int) -> sa.Select[tuple[object, ...]]:
    """Return the query of the latest events, in the order of an index: MariaDB would sort them."""
    event = tables.event.c
    order = event.time.desc(), event.action.desc(), event.id.desc()
    return sa.select(*feed_columns(tables.event)).order_by(*order).limit(limit)


def _is_in_session(counter: Counter, period: Period, limits: Filter) -> sa.ColumnElement[bool]:
    session = counter.tables.session.c
    conditions = counter.conditions(limits, None).of(period.start, period.end, any_start=True)
    return sa.exists().where(session.id == counter.tables.event.c.session_id, *conditions)
