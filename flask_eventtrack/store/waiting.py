"""What waits in ``eventtrack_uncounted`` for a row that is not stored yet.

Engagement waits for its visit, and a cancellation for its charge.

One process may have the server's half of a visit in its journal while another one writes the
engagement. A note waits under the id by which its visit is found: that of the browser's half, or
that of the server's half if no other is known. Until the visit is found, it is counted as dropped.

A cancellation waits under its own id. It is counted once it is settled: clients cannot send one, so
there is no limit to how many wait.
"""

from __future__ import annotations

import collections.abc as cabc
import datetime as dt
import typing as t
import uuid as uuidlib

import msgspec
import sqlalchemy as sa

from ..records import PAGE_ENGAGE, Event, decode_record, encode_record
from .dialects import ids_parameter, in_chunks, is_among
from .in_view import read_in_view
from .tables import Tables, cached_on_table
from .totals import Totals
from .visits import ids_of_engaged

#: The reason in the quality counters.
NO_VISIT = "no visit"
_LOOKED_AT = 200
_PAUSE = dt.timedelta(minutes=1)
# A later moment is that of a clock that was wrong. The clocks of two servers differ by less.
_AHEAD = dt.timedelta(hours=1)
_PATIENCE = dt.timedelta(days=7)
_MOST = 10_000
# MessagePack does not use this byte. So release 0.1 cannot read a note and count it as an event.
_MARK = b"\xc1"
# A second one marks a cancellation.
_CANCELLATION = _MARK * 2


def count_missing(totals: Totals, event: Event, by: int = 1) -> None:
    """Count engagement without a visit; ``by`` is -1 when its visit is found."""
    totals.count_outcome(event.received_at, "dropped", PAGE_ENGAGE, NO_VISIT, by)


def key_of(event: Event) -> uuidlib.UUID | None:
    """Return the id under which engagement waits; None if it names no visit to wait for."""
    return next(iter(ids_of_engaged(event)), None)


def take_for(connection: sa.Connection, tables: Tables, visits: set[int]) -> list[Event]:
    """Take the engagement that waits for visits, given by the ids of their halves as numbers."""
    table = tables.uncounted
    if not visits:
        return []
    name = connection.dialect.name
    parameters = ids_parameter(name, sorted(visits))
    return _take(connection, table, _find_query(table, name), parameters)


def take_due(connection: sa.Connection, tables: Tables, now: dt.datetime) -> list[Event]:
    """Take up to 200 notes whose visits or charges nobody has looked for in the last minute.

    Two processes may have written a visit and its engagement at the same time.
    """
    table = tables.uncounted
    is_due = sa.or_(table.c.due_at <= now, table.c.due_at > now + _AHEAD)
    query = sa.select(table).where(is_due).order_by(table.c.due_at, table.c.event_id)
    query = query.limit(_LOOKED_AT).with_for_update(skip_locked=True)
    return _take(connection, table, query)


def keep(
    connection: sa.Connection,
    tables: Tables,
    now: dt.datetime,
    totals: Totals,
    waited: cabc.Iterable[Event],
    new: cabc.Sequence[Event],
) -> None:
    """Store engagement that waits: the new, and the old unless it has waited for a week."""
    notes = {key_of(event): event for event in waited if now - event.received_at < _PATIENCE}
    if new:
        keys = {key.int for event in new if (key := key_of(event)) is not None}
        notes |= {key_of(event): event for event in take_for(connection, tables, keys)}
    for event in new:
        count_missing(totals, event)
        former = notes.get(key_of(event))
        if former is not None:
            count_missing(totals, former, by=-1)
        notes[key_of(event)] = event if former is None else _join(former, event)
    table = tables.uncounted
    rows = [
        {"event_id": key, "record": _MARK + encode_record(event), "due_at": now + _PAUSE}
        for key, event in sorted(notes.items(), key=lambda item: str(item[0]))[:_MOST]
    ]
    if rows:
        _make_room(connection, table, len(rows))
        connection.execute(table.insert(), rows)


def may_wait(event: Event, now: dt.datetime) -> bool:
    """Whether a cancellation may still wait for its charge."""
    return now - event.received_at < _PATIENCE


def keep_cancellations(
    connection: sa.Connection, tables: Tables, now: dt.datetime, events: cabc.Iterable[Event]
) -> None:
    """Store cancellations that wait for their charges, each once."""
    notes = {event.id: _CANCELLATION + encode_record(event) for event in events}
    table = tables.uncounted
    for ids in in_chunks(sorted(notes)):
        connection.execute(table.delete().where(table.c.event_id.in_(ids)))
        rows = [{"event_id": each, "record": notes[each], "due_at": now + _PAUSE} for each in ids]
        connection.execute(table.insert(), rows)


def list_waiting(connection: sa.Connection, tables: Tables) -> list[tuple[uuidlib.UUID, Event]]:
    """Return all that waits, with its keys."""
    table = tables.uncounted
    rows = connection.execute(sa.select(table).where(table.c.due_at.is_not(None)))
    return [(row.event_id, event) for row in rows if (event := _read(row.record)) is not None]


def _take(
    connection: sa.Connection,
    table: sa.Table,
    query: sa.Select[t.Any],
    parameters: cabc.Mapping[str, t.Any] | None = None,
) -> list[Event]:
    found = connection.execute(query, parameters).all()
    if found:
        taken = table.c.event_id.in_([row.event_id for row in found])
        connection.execute(table.delete().where(taken))
    return [event for row in found if (event := _read(row.record)) is not None]


def _join(former: Event, event: Event) -> Event:
    """Return the later one with the larger values and the last title, if both are of one device."""
    devices = {each.session and each.session.device_id for each in (former, event)}
    if len(devices) > 1:
        return event
    larger = read_in_view(former.params).or_more(read_in_view(event.params))
    latest = max(former, event, key=lambda each: each.received_at)
    title = latest.params.get("title") or former.params.get("title")
    params = {**larger.as_params(), **({"title": title} if title else {})}
    return msgspec.structs.replace(latest, params=params)


def _make_room(connection: sa.Connection, table: sa.Table, number: int) -> None:
    """Drop engagement that nobody has looked for in the longest time, if it gets too much.

    A visit comes within seconds, and what never gets one may be a client's invention.
    """
    mark = sa.func.substr(table.c.record, 1, 2, type_=sa.LargeBinary())
    waits = sa.and_(table.c.due_at.is_not(None), mark != _CANCELLATION)
    count = connection.scalar(sa.select(sa.func.count()).where(waits)) or 0
    over = count + number - _MOST
    if over > 0:
        query = sa.select(table.c.event_id).where(waits).order_by(table.c.due_at, table.c.event_id)
        oldest = connection.scalars(query.limit(over).with_for_update(skip_locked=True)).all()
        for chunk in in_chunks(oldest):
            connection.execute(table.delete().where(table.c.event_id.in_(chunk)))


def _read(record: bytes) -> Event | None:
    try:
        event = decode_record(record.lstrip(_MARK))
    except (msgspec.DecodeError, ValueError):  # of a later release
        return None
    return event if isinstance(event, Event) else None


@cached_on_table
def _find_query(table: sa.Table, dialect_name: str) -> sa.Select[t.Any]:
    is_one = is_among(dialect_name, table.c.event_id)
    query = sa.select(table).where(is_one, table.c.due_at.is_not(None))
    return query.order_by(table.c.event_id).with_for_update()
