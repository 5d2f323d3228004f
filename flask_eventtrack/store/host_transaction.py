"""Events that a host writes in its own transaction, and the writer counts afterwards, once."""

from __future__ import annotations

import collections.abc as cabc
import datetime as dt
import logging
import uuid as uuidlib

import msgspec
import sqlalchemy as sa

from ..records import Event, decode_record, encode_record
from .rows import row_of
from .tables import Tables

logger: logging.Logger = logging.getLogger("flask_eventtrack")

_TAKEN = 200


def insert_uncounted(tables: Tables, event: Event) -> list[sa.Insert]:
    """Return the statements that insert an event and a note that it is still to be counted."""
    row = msgspec.structs.asdict(row_of(event, event.received_at))
    note = {"event_id": event.id, "record": encode_record(event)}
    return [tables.event.insert().values(row), tables.uncounted.insert().values(note)]


def take_uncounted(connection: sa.Connection, tables: Tables, now: dt.datetime) -> list[Event]:
    """Return up to 200 events that this transaction is to count; no other one gets them."""
    notes, events = tables.uncounted, tables.event
    # The others are engagement that waits for its visit.
    query = sa.select(notes).where(notes.c.due_at.is_(None))
    query = query.order_by(notes.c.event_id).limit(_TAKEN)
    found = connection.execute(query.with_for_update(skip_locked=True)).all()
    if not found:
        return []
    ids = [note.event_id for note in found]
    connection.execute(notes.delete().where(notes.c.event_id.in_(ids)))
    # Live views follow stored_at: to them the events are new only now.
    connection.execute(events.update().where(events.c.id.in_(ids)).values(stored_at=now))
    return [event for note in found if (event := _read(note.record)) is not None]


def remove_rows(
    connection: sa.Connection, tables: Tables, ids: cabc.Collection[uuidlib.UUID]
) -> None:
    """Remove an erased person's uncounted events, which will never be counted."""
    if ids:
        connection.execute(tables.event.delete().where(tables.event.c.id.in_(ids)))


def _read(record: bytes) -> Event | None:
    try:
        event = decode_record(record)
    except (msgspec.DecodeError, ValueError) as error:
        logger.error("An event cannot be counted because its note cannot be read: %s", error)
        return None
    return event if isinstance(event, Event) else None
