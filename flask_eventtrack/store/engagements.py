"""Adds engagement to page visits: how long each page was in view, and how far it was read.

It is no event: it has no row, and neither opens nor prolongs a session. A visit's time in view
counts for its session too. Both are written in the transaction of the batch, and the larger value
wins, so that writing a batch again adds nothing.
"""

from __future__ import annotations

import collections.abc as cabc
import uuid as uuidlib

from ..records import SCREEN_VIEW, Event
from .fast_rows import read_rows_by_id, update_rows
from .in_view import in_view_of
from .rows import EventRow
from .sessions import SessionBook, Transaction
from .visits import VISITS, Visit, VisitBook, visit_of
from .waiting import count_missing, keep, key_of, take_for


class Engagements:
    """Adds engagement to the visits that a batch touches.

    :param rows: the batch's new events that are not in ``visits``, such as an app's screens.
    """

    def __init__(
        self,
        transaction: Transaction,
        sessions: SessionBook,
        visits: VisitBook,
        rows: cabc.Sequence[EventRow],
    ) -> None:
        self._transaction = transaction
        self._sessions = sessions
        self._visits = visits
        self._rows = rows
        self._found: list[tuple[Event, Visit]] = []
        # Visits and screens of an app, which have no halves, by their ids as numbers.
        self._screens: dict[int, Visit] = {}
        # Engagement whose visit is not stored yet: of this batch, and what has waited before.
        self._new: list[Event] = []
        self._waited: list[Event] = []
        self._missing = 0

    def find(
        self,
        events: cabc.Sequence[Event],
        waited: cabc.Sequence[Event],
        arrived: set[int],
    ) -> set[int]:
        """Find the visits of engagement; return the ids of the sessions to lock, as numbers.

        :param waited: engagement that has waited for its visit.
        :param arrived: the ids of the batch's visits and halves: more engagement may wait for them.
        """
        connection, tables = self._transaction.connection, self._transaction.tables
        waited = [*waited, *take_for(connection, tables, arrived)]
        if events or waited:
            self._find_screens([*events, *waited])
        for event in events:
            self._find(event, self._new)
        for event in waited:
            before = len(self._waited)
            self._find(event, self._waited)
            if len(self._waited) == before:
                count_missing(self._transaction.totals, event, by=-1)
        found = (visit.row.session_id for _, visit in self._found)
        return {session_id.int for session_id in found if session_id is not None}

    def _find_screens(self, events: cabc.Iterable[Event]) -> None:
        """Find the visits without halves that engagement names, in the batch or stored."""
        connection, table = self._transaction.connection, self._transaction.tables.event
        screens = (row for row in self._rows if row.action in VISITS)
        self._screens = {row.id.int: visit_of(row) for row in screens}
        missing = {
            event.page.int
            for event in events
            if event.page is not None and self._visits.find_engaged(event) is None
        }
        stored = read_rows_by_id(connection, EventRow, table, missing - self._screens.keys())
        screens = (row for row in stored if row.action == SCREEN_VIEW)
        self._screens.update({row.id.int: visit_of(row, row.id) for row in screens})

    def _find(self, event: Event, missing: list[Event]) -> None:
        visit = self._visits.find_engaged(event)
        if visit is None and event.page is not None:
            visit = self._screens.get(event.page.int)
        if visit is not None:
            self._found.append((event, visit))
        elif key_of(event) is not None:
            missing.append(event)
        else:
            self._count_missing(event)

    def apply(self) -> None:
        """Add engagement to the visits, once their sessions are locked."""
        for event, visit in self._found:
            if self._is_theirs(event, visit):
                visit.engage(event)
            else:
                self._count_missing(event)

    def _count_missing(self, event: Event) -> None:
        self._missing += 1
        count_missing(self._transaction.totals, event)

    def _is_theirs(self, event: Event, visit: Visit) -> bool:
        """Whether a visit belongs to the device, session or profile that sent the engagement."""
        row, claim, session = visit.row, event.claim, event.session
        if claim is not None and claim.kind == "kept":
            return True  # found by the id of the browser's half, which only that browser knows
        if claim is not None and row.id == claim.visit_id and claim.kind != "foreign":
            return claim.kind == "own" or not visit.is_customers
        if event.uuid == row.uuid:
            return True
        if session is None or row.session_id is None:
            return False
        return session.id == row.session_id or session.device_id == self._device_of(visit)

    def _device_of(self, visit: Visit) -> uuidlib.UUID | None:
        if visit.session is not None:
            return visit.session.device_id
        session_id = visit.row.session_id
        session = self._sessions.find(session_id) if session_id is not None else None
        return None if session is None else session.row.device_id

    def settle(self) -> None:
        """Count each visit's time in view in the session that the visit is in now."""
        screens = (each for each in self._screens.values() if each.is_engaged)
        for visit in (*self._visits.iter_engaged(), *screens):
            visible_ms = in_view_of(visit.row.params).visible_ms
            self._add(visit.counted_in, -visit.counted_ms)
            self._add(visit.row.session_id, visible_ms)

    def _add(self, session_id: uuidlib.UUID | None, visible_ms: int) -> None:
        session = self._sessions.find(session_id) if session_id is not None else None
        if session is not None:
            session.row.visible_ms = max(0, (session.row.visible_ms or 0) + visible_ms)

    def write(self) -> None:
        """Update the stored screens, and store the engagement that has to wait for its visit."""
        engaged = [visit.row for visit in self._screens.values() if visit.is_engaged and visit.key]
        table = self._transaction.tables.event
        update_rows(self._transaction.connection, table, ("params",), engaged)
        if self._new or self._waited:
            transaction = self._transaction
            keep(
                transaction.connection,
                transaction.tables,
                transaction.now,
                transaction.totals,
                self._waited,
                self._new,
            )

    def give_up(self) -> int:
        """Count engagement without a visit, instead of letting it wait; return how much it is."""
        for event in self._new:
            self._count_missing(event)
        self._new = []
        return self._missing
