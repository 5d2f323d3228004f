"""The orders of a batch: each charge becomes its events and a row of ``eventtrack_transaction``.

That row decides whether an order is known, also when its events are erased. A cancellation locks
the row of its charge, so that two of them never take back more than was charged. Its own row has
the negative amount, and the person and touches of the charge.
"""

from __future__ import annotations

import collections.abc as cabc
import datetime as dt
import operator
import typing as t
import uuid as uuidlib

import msgspec

from ..money import from_minor
from ..records import CHARGE, PRODUCT_BUY, TOUCH, Cancellation, Charge, Event
from ..text import clip_label
from .cancelling import Taken, take_back
from .copies import is_by_copy
from .fast_rows import insert_rows, read_rows_by_id, update_rows
from .person import resolve_people
from .revenue import is_stripped
from .rows import TransactionRow
from .sessions import SessionBook, Transaction
from .touches import attribute
from .types import to_utc
from .waiting import keep_cancellations, may_wait

#: The reasons in the quality counters.
NOTHING_LEFT = "nothing_left"
NO_ORDER = "no_order"
NO_ITEMS = "no_items"
# A cancellation has these of its charge.
_OF_CHARGE = (
    *("uuid", "person", "settled_at"),
    *(f"{which}_{name}" for which in ("first", "last") for name in TOUCH),
)
_COUNTED = ("stored_at", "session_id", *_OF_CHARGE)


class Contradiction(t.NamedTuple):
    """An order that was charged again with other contents; amounts as in ``"12.30 EUR"``."""

    order_id: str
    first: str
    second: str


class Orders:
    """The charges and cancellations of a batch.

    :param replayed: some records may have been written before; those are no duplicates.
    """

    def __init__(self, transaction: Transaction, sessions: SessionBook, *, replayed: bool) -> None:
        self._transaction = transaction
        self._connection, self._tables = transaction.connection, transaction.tables
        self._totals, self._now = transaction.totals, transaction.now
        self._sessions = sessions
        self._replayed = replayed
        # By their ids as numbers: stored rows, which are locked, and new ones.
        self._rows: dict[int, TransactionRow] = {}
        self._charges: list[TransactionRow] = []
        self._cancellations: list[tuple[TransactionRow, TransactionRow]] = []
        self._counted: list[TransactionRow] = []
        self._changed: dict[int, TransactionRow] = {}
        self._waiting: list[Event] = []
        #: What to tell after the commit: warnings for the log, and contradictions.
        self.warnings: list[str] = []
        self.contradicted: list[Contradiction] = []

    def settle(
        self,
        events: cabc.Sequence[Event],
        waited: cabc.Sequence[Event] = (),
        uncounted: cabc.Sequence[Event] = (),
    ) -> list[Event]:
        """Charge and cancel orders, the charges first; return the new events.

        :param events: all with an order.
        :param waited: cancellations that have waited for their charge.
        :param uncounted: charges that hosts' own transactions have stored.
        """
        if not (events or waited or uncounted):
            return []
        self._load([*events, *waited, *uncounted])
        for event in uncounted:
            self._count(event)
        new: list[Event] = []
        for event in events:
            if isinstance(event.order, Charge):
                new += self._charge(event, event.order)
        late = {event.id.int for event in waited}
        for event in sorted((*waited, *events), key=operator.attrgetter("time", "id")):
            if isinstance(event.order, Cancellation):
                new += self._cancel(event, event.order, has_waited=event.id.int in late)
        return new

    def _load(self, events: cabc.Iterable[Event]) -> None:
        ids = {event.id.int for event in events}
        ids |= {e.order.charge_id.int for e in events if isinstance(e.order, Cancellation)}
        table = self._tables.transaction
        for row in read_rows_by_id(self._connection, TransactionRow, table, ids):
            self._rows[row.id.int] = row

    def _count(self, event: Event) -> None:
        """Bring a row of a host's own transaction up to date, as the event is counted now."""
        row = self._rows.get(event.id.int)
        if row is not None:
            row.stored_at = self._now  # for live views it is new only now
            row.session_id = event.session.id if event.session else None
            self._counted.append(row)

    # Charges

    def _charge(self, event: Event, order: Charge) -> list[Event]:
        known = self._rows.get(event.id.int)
        if known is not None:
            self._compare(event, order, known)
            return []
        event, order = self._without_copy(event, order)
        row = self._rows[event.id.int] = charge_row(event, order, self._now)
        self._charges.append(row)
        admits = self._transaction.admits
        return [each for each in expand(event) if each is event or admits(each.action, each.site)]

    def _without_copy(self, event: Event, order: Charge) -> tuple[Event, Charge]:
        """Return a charge without its visitor if only the copy of a cookie vouches for them."""
        session = self._sessions.find(event.session.id) if event.session else None
        if session is None or not is_by_copy(event, session.row):
            return event, order
        items = tuple(
            msgspec.structs.replace(item, params=_without_visit(item.params))
            for item in order.items
        )
        order = msgspec.structs.replace(order, visit_id=None, items=items)
        params = _without_visit(event.params)
        event = msgspec.structs.replace(
            event, uuid=event.id, session=None, client=None, params=params, order=order
        )
        return event, order

    def _compare(self, event: Event, order: Charge, known: TransactionRow) -> None:
        """Count an order that is known: the first charge stays, whatever the second says."""
        if is_stripped(order):
            return  # its event was counted as dropped
        if known.digest in (None, order.digest):
            if not self._replayed:
                self._totals.count_outcome(event.received_at, "duplicate", CHARGE)
            return
        self._totals.count_outcome(event.received_at, "contradicted", CHARGE)
        first, second = (
            f"{from_minor(each.amount, each.currency)} {each.currency}" for each in (known, order)
        )
        self.contradicted.append(Contradiction(order.order_id, first, second))
        self.warnings.append(
            f"An order was charged again with other contents. The first charge stays: {event.id} "
            "in eventtrack_transaction."
        )

    # Cancellations

    def _cancel(self, event: Event, order: Cancellation, *, has_waited: bool) -> list[Event]:
        if event.id.int in self._rows:
            if not (self._replayed or has_waited):
                self._totals.count_outcome(event.received_at, "duplicate", event.action)
            return []
        charge = self._rows.get(order.charge_id.int)
        if charge is None:
            if may_wait(event, self._now):
                self._waiting.append(event)
            else:
                self._reject(event, order, NO_ORDER)
            return []
        if order.items is not None and charge.items is None:
            self._reject(event, order, NO_ITEMS)
            return []
        taken = take_back(charge, order)
        if taken is None:
            self._reject(event, order, NOTHING_LEFT)
            return []
        if taken.is_cut:
            self._totals.count_outcome(event.received_at, "cut", event.action)
            self._warn("was cut to what was left", order)
        return self._take_back(event, charge, taken)

    def _take_back(self, event: Event, charge: TransactionRow, taken: Taken) -> list[Event]:
        row = self._rows[event.id.int] = _cancellation_row(event, charge, taken, self._now)
        self._cancellations.append((row, charge))
        self._changed[charge.id.int] = charge
        if charge.uuid is None:
            self._totals.count_outcome(event.received_at, "dropped", event.action, "erased")
            return []
        return [_cancellation_event(event, charge, charge.uuid, taken)]

    def _reject(self, event: Event, order: Cancellation, reason: str) -> None:
        self._totals.count_outcome(event.received_at, "rejected", event.action, reason)
        self._warn(f"was rejected ({reason})", order)

    def _warn(self, what: str, order: Cancellation) -> None:
        self.warnings.append(
            f"A cancellation {what}. Its charge is {order.charge_id} in eventtrack_transaction."
        )

    # The end of the batch

    def write(self) -> None:
        """Write the rows, once the batch's sessions, profiles and aliases are written."""
        if not (self._rows or self._waiting):
            return  # as nearly always
        connection, tables = self._connection, self._tables
        theirs = [row for row in (*self._charges, *self._counted) if row.uuid is not None]
        people = resolve_people(connection, tables, {row.uuid for row in theirs if row.uuid})
        for row in theirs:
            row.person = people.get(row.uuid, row.uuid) if row.uuid else None
        attribute(connection, tables, theirs, self._transaction.lookback)
        for row, charge in self._cancellations:
            for name in _OF_CHARGE:
                setattr(row, name, getattr(charge, name))
        rows = [*self._charges, *(row for row, _ in self._cancellations)]
        rows.sort(key=lambda row: row.id.int)
        new = {row.id.int for row in rows}
        changed = [row for key, row in sorted(self._changed.items()) if key not in new]
        insert_rows(connection, tables.transaction, rows)
        update_rows(connection, tables.transaction, ("cancelled", "items"), changed)
        update_rows(connection, tables.transaction, _COUNTED, self._counted)
        keep_cancellations(connection, tables, self._now, self._waiting)


def _without_visit(params: dict[str, t.Any]) -> dict[str, t.Any]:
    return {name: value for name, value in params.items() if name != "visit"}


def expand(event: Event) -> list[Event]:
    """Return the events of a charge: its own, and the ``product.buy`` of each item.

    Each is a microsecond after the one before it, so that feeds show them in the order's order.
    """
    if not isinstance(event.order, Charge) or is_stripped(event.order):
        return []
    bought = (
        msgspec.structs.replace(
            event,
            id=item.id,
            action=PRODUCT_BUY,
            time=event.time + dt.timedelta(microseconds=number),
            params=item.params,
            label=item.label,
            undefined=(),
            client=None,
            order=None,
        )
        for number, item in enumerate(event.order.items, 1)
    )
    return [event, *bought]


def charge_row(event: Event, order: Charge, now: dt.datetime) -> TransactionRow:
    """Return the row of a charge; if its person was erased, only the amount."""
    is_erased = is_stripped(order)
    items: list[dict[str, t.Any]] = [
        {"sku": item.sku, "quantity": item.quantity, "unit_price": item.unit_price, "cancelled": 0}
        for item in order.items
    ]
    return TransactionRow(
        id=event.id,
        charge_id=None,
        order_id=order.order_id or None,
        time=to_utc(event.time),
        stored_at=now,
        uuid=None if is_erased else event.uuid,
        person=None if is_erased else event.uuid,
        session_id=event.session.id if event.session else None,
        visit_id=order.visit_id,
        site=event.site,
        currency=order.currency,
        amount=order.amount,
        items=None if is_erased else items,
        digest=order.digest or None,
        settled_at=now if is_erased else None,
    )


def _cancellation_row(
    event: Event, charge: TransactionRow, taken: Taken, now: dt.datetime
) -> TransactionRow:
    return TransactionRow(
        id=event.id,
        charge_id=charge.id,
        order_id=charge.order_id,
        time=to_utc(event.time),
        stored_at=now,
        uuid=None,
        person=None,
        session_id=None,
        visit_id=None,
        site=charge.site,
        currency=charge.currency,
        amount=-taken.amount,
        items=None if charge.items is None else taken.items,
    )


def _cancellation_event(
    event: Event, charge: TransactionRow, profile: uuidlib.UUID, taken: Taken
) -> Event:
    currency = charge.currency
    params = {
        **event.params,
        "order_id": charge.order_id,
        "amount": from_minor(-taken.amount, currency),
        "amount_minor": -taken.amount,
        "currency": currency,
        **({"items": taken.items} if taken.items else {}),
    }
    label = f"Cancelled {from_minor(taken.amount, currency)} {currency} of order {charge.order_id}"
    return msgspec.structs.replace(
        event,
        uuid=profile,
        site=charge.site,
        session=None,
        client=None,
        params=params,
        label=clip_label(label),
    )
