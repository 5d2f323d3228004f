"""Reads what is counted row by row: live days, and everything that a filter limits."""

from __future__ import annotations

import collections.abc as cabc
import datetime as dt
import time
import typing as t

import sqlalchemy as sa

from ..records import PAGE_VISIT
from ..store.dialects import id_as_text, ids_parameter, is_among
from ..store.reading import give_up
from ..store.session_counts import session_query
from ..store.tables import Tables
from ..store.types import NAIVE
from .sums import Slice, Sums

#: Two moments; the second one is not included.
Bounds = tuple[dt.datetime, dt.datetime]
#: How many rows are read at once.
AT_ONCE = 5000
#: How many of them are made into rows at once. So few are gone again before the garbage collector
#: looks at them: it would go through all objects of the host's process time after time.
ROWS_AT_ONCE = 200
#: Of how many people or sessions a statement reads.
MOST_IDS = 20_000
_OF_EVENTS = {"page": "url_rule", "action": "action"}
_HOUR = dt.timedelta(hours=1)
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


def read_sessions(
    connection: sa.Connection,
    tables: Tables,
    bounds: Bounds,
    conditions: cabc.Iterable[sa.ColumnElement[bool]],
    slices: cabc.Sequence[Slice],
    into: Sums,
    *,
    due: float = float("inf"),
    with_ids: bool = False,
) -> None:
    """Add the sessions that started between two moments.

    :param due: when to give up, by the monotonic clock.
    :param with_ids: whether their ids are noted, too.
    :raises TimeUp: it was too late.
    """
    name = connection.dialect.name
    query = session_query(tables.session, name, into.of_sessions)
    query = query.where(*conditions).order_by(tables.session.c.started_at)
    if with_ids:
        query = query.add_columns(id_as_text(name, tables.session.c.id))
    parameters = {"lower": bounds[0], "upper": bounds[1]}
    options = {"yield_per": AT_ONCE}
    with connection.execute(query, parameters, execution_options=options) as result:
        for rows in result.partitions():
            if with_ids:
                into.sessions += [row[-1] for row in rows]
                into.add_sessions([row[:-1] for row in rows], slices)
            else:
                into.add_sessions(rows, slices)
            if time.monotonic() > due:
                give_up(connection)


def read_ids(
    connection: sa.Connection,
    tables: Tables,
    bounds: Bounds,
    conditions: cabc.Iterable[sa.ColumnElement[bool]],
) -> list[str]:
    """Return the ids of the sessions that started between two moments."""
    session = tables.session.c
    query = sa.select(id_as_text(connection.dialect.name, session.id)).where(*conditions)
    query = query.where(session.started_at >= bounds[0], session.started_at < bounds[1])
    return list(connection.scalars(query.limit(MOST_IDS + 1)))


class Happened(t.NamedTuple):
    """How many events there were from a moment on, of an action and a URL rule."""

    since: dt.datetime
    action: str
    url_rule: str
    number: int


def read_events(
    connection: sa.Connection, tables: Tables, bounds: Bounds, sites: cabc.Collection[str] | None
) -> list[Happened]:
    """Return the events between two moments, by hour.

    Whole hours are in the hourly totals; the parts of an hour at both ends are counted.
    """
    lower, upper = bounds
    first, last = (_EPOCH + -((_EPOCH - lower) // _HOUR) * _HOUR, upper - (upper - _EPOCH) % _HOUR)
    if first >= last:
        return _count_events(connection, tables, bounds, sites)
    hourly = tables.hourly.c
    query = sa.select(hourly.hour, hourly.action, hourly.url_rule, sa.func.sum(hourly.count))
    query = query.where(hourly.hour >= first, hourly.hour < last)
    query = query.group_by(hourly.hour, hourly.action, hourly.url_rule)
    if sites is not None:
        query = query.where(hourly.site.in_(sorted(sites)))
    found = [_happened(*row) for row in connection.execute(query).all()]
    for rest in ((lower, first), (last, upper)):
        if rest[0] < rest[1]:
            found += _count_events(connection, tables, rest, sites)
    return found


def _happened(since: dt.datetime, action: str, url_rule: str, number: int) -> Happened:
    return Happened(since, action.strip(), url_rule.strip(), int(number))


def _count_events(
    connection: sa.Connection,
    tables: Tables,
    bounds: Bounds,
    sites: cabc.Collection[str] | None,
) -> list[Happened]:
    event = tables.event.c
    columns = (event.action, event.url_rule)
    query = sa.select(*columns, sa.func.count()).group_by(*columns)
    query = query.where(event.time >= bounds[0], event.time < bounds[1], event.source != "bot")
    if sites is not None:
        query = query.where(event.site.in_(sorted(sites)))
    return [_happened(bounds[0], *row) for row in connection.execute(query).all()]


def read_events_of_sessions(
    connection: sa.Connection, tables: Tables, sessions: cabc.Iterable[str], since: dt.datetime
) -> cabc.Iterator[Happened]:
    """Yield the events of some sessions.

    By their ids, which were read before: PostgreSQL may read all events there are for a join, and
    what limits the sessions would be looked for twice.

    :param since: the moment that all of them get.
    """
    event, name = tables.event.c, connection.dialect.name
    columns = (event.action, event.url_rule)
    query = sa.select(*columns, sa.func.count()).group_by(*columns)
    query = query.where(is_among(name, event.session_id), event.source != "bot")
    for ids in iter_ids(sessions):
        for row in connection.execute(query, ids_parameter(name, ids)).all():
            yield _happened(since, *row)


def read_first_seen(
    connection: sa.Connection,
    tables: Tables,
    people: cabc.Iterable[str],
    sites: cabc.Collection[str] | None,
) -> dict[str, dt.datetime]:
    """Return when the first session of each of some people began, UTC without its zone."""
    session, name = tables.session.c, connection.dialect.name
    first = sa.type_coerce(sa.func.min(session.started_at), NAIVE)
    query = sa.select(id_as_text(name, session.person), first)
    query = query.where(is_among(name, session.person)).group_by(session.person)
    if sites is not None:
        query = query.where(session.site.in_(sorted(sites)))
    found: dict[str, dt.datetime] = {}
    for ids in iter_ids(people):
        rows = connection.execute(query, ids_parameter(name, ids)).all()
        found.update((row[0], row[1]) for row in rows)
    return found


def count_people(
    connection: sa.Connection,
    tables: Tables,
    bounds: Bounds,
    conditions: cabc.Iterable[sa.ColumnElement[bool]],
    dimension: str,
) -> dict[str, int] | None:
    """Return how many people there were of each value of a dimension; None of hours."""
    event, session = tables.event.c, tables.session.c
    number = sa.func.count(sa.distinct(sa.func.coalesce(session.person, session.uuid)))
    within = [session.started_at >= bounds[0], session.started_at < bounds[1], *conditions]
    if dimension in session:
        value = sa.func.trim(sa.func.coalesce(session[dimension], ""))
        query = sa.select(value, number).where(*within)
    elif dimension in _OF_EVENTS:
        value = sa.func.trim(event[_OF_EVENTS[dimension]])
        query = sa.select(value, number).where(*within)
        query = query.join_from(tables.session, tables.event, event.session_id == session.id)
        if dimension == "page":
            query = query.where(event.action == PAGE_VISIT)
    else:
        return None
    return {row[0]: int(row[1]) for row in connection.execute(query.group_by(value))}


def iter_ids(texts: cabc.Iterable[str]) -> cabc.Iterator[list[int]]:
    """Yield ids as numbers, as many at a time as a statement asks for."""
    numbers = as_numbers(texts)
    for start in range(0, len(numbers), MOST_IDS):
        yield numbers[start : start + MOST_IDS]


def as_numbers(texts: cabc.Iterable[str]) -> list[int]:
    """Return ids as numbers, in their order."""
    return sorted(int(each.replace("-", ""), 16) for each in texts)
