"""Events that a host writes in its own transaction, and the writer counts afterwards, once."""

from __future__ import annotations

import collections.abc as cabc
import datetime as dt
import logging
import typing as t

import msgspec
import sqlalchemy as sa

from ..errors import InvalidEvent
from ..records import Cancellation, Charge, Event, decode_record, encode_record
from .logged import added_now
from .orders import charge_row, expand
from .revenue import erase_transactions, is_stripped
from .rows import row_of
from .sessions import Admits
from .tables import Tables
from .tombstones import Tombstones

logger: logging.Logger = logging.getLogger("flask_eventtrack")

Execute = cabc.Callable[[sa.Select[tuple[t.Any]]], sa.Result[tuple[t.Any]]]

_TAKEN = 200


def insert_uncounted(tables: Tables, event: Event, admits: Admits) -> list[sa.Insert]:
    """Return the statements that insert an event and a note that it is still to be counted.

    A charge has more events, each with its note, and a row of ``eventtrack_transaction``.

    :param admits: whether an action is recorded on a site; asked for ``product.buy``.
    :raises InvalidEvent: it is a cancellation, which has to lock and change its charge.
    """
    if isinstance(event.order, Cancellation):
        raise InvalidEvent(
            "no_transaction",
            "A cancellation cannot be recorded in your transaction: cancel after the commit.",
        )
    events = [event]
    inserts = []
    if isinstance(event.order, Charge):
        row = charge_row(event, event.order, event.received_at)
        inserts.append(tables.transaction.insert().values(msgspec.structs.asdict(row)))
        # Without the items, which have notes of their own.
        order = msgspec.structs.replace(event.order, items=())
        bought = (each for each in expand(event)[1:] if admits(each.action, each.site))
        events = [msgspec.structs.replace(event, order=order), *bought]
    rows = [msgspec.structs.asdict(row_of(each, each.received_at)) for each in events]
    notes = [{"event_id": each.id, "record": encode_record(each)} for each in events]
    return [*inserts, tables.event.insert().values(rows), tables.uncounted.insert().values(notes)]


def is_known(execute: Execute, tables: Tables, event: Event, salt: str) -> bool:
    """Whether a charge's order is stored or erased, as the host's transaction sees it.

    :param execute: runs a query in that transaction.
    :param salt: ``EVENTTRACK_PROFILE_SALT``.
    :raises InvalidEvent: the order was charged with other contents.
    """
    table = tables.transaction
    found = execute(sa.select(table.c.digest).where(table.c.id == event.id)).first()
    if not isinstance(event.order, Charge):
        return False
    if found is None:
        # The writer would drop its charge, but not its items, which are events of their own.
        erased = tables.tombstone.c.uuid_hash
        is_it = erased == Tombstones(tables, salt).hash_of(event.id)
        return execute(sa.select(erased).where(is_it)).first() is not None
    if found.digest in (None, event.order.digest):
        return True
    raise InvalidEvent(
        "contradicted_order",
        "Another order is stored under this id, with another total, currency or other items. The "
        "first one stays.",
        "order_id",
    )


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
    values = {"stored_at": now, **added_now(connection, events)}
    connection.execute(events.update().where(events.c.id.in_(ids)).values(values))
    return [event for note in found if (event := _read(note.record)) is not None]


def remove_rows(
    connection: sa.Connection, tables: Tables, events: cabc.Iterable[Event], kept: list[Event]
) -> list[Event]:
    """Remove an erased person's uncounted events, which will never be counted.

    :param kept: those that may be counted. A charge among them may have lost its person.
    :returns: those that are still to be counted.
    """
    kept_ids = {event.id for event in kept}
    lost = {event.id for event in kept if _is_stripped(event)}
    gone = {event.id for event in events} - kept_ids
    if gone or lost:
        connection.execute(tables.event.delete().where(tables.event.c.id.in_(gone | lost)))
        erase_transactions(connection, tables, gone, keeps=False)
        erase_transactions(connection, tables, lost, keeps=True)
    return [event for event in kept if event.id not in lost]


def _is_stripped(event: Event) -> bool:
    return isinstance(event.order, Charge) and is_stripped(event.order)


def _read(record: bytes) -> Event | None:
    try:
        event = decode_record(record)
    except (msgspec.DecodeError, ValueError) as error:
        logger.error("An event cannot be counted because its note cannot be read: %s", error)
        return None
    return event if isinstance(event, Event) else None


def is_counted(tables: Tables) -> sa.ColumnElement[bool]:
    """Return the condition that an event of a host's own transaction has its last ``stored_at``.

    Until the writer counts it, that is a moment before the transaction's end, perhaps long before.
    """
    notes = tables.uncounted.c
    return tables.event.c.id.not_in(sa.select(notes.event_id).where(notes.due_at.is_(None)))
