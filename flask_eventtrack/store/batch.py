"""A batch of records becomes rows: the new events, then what follows from them, once."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses
import uuid as uuidlib

import msgspec

from ..records import AgentRead, EndReason, Event, Identified, Outcome, SessionEnd
from .copies import is_by_copy
from .engagements import Engagements
from .fast_rows import find_known, insert_rows
from .old_cookies import OldCookies
from .orders import Contradiction, Orders
from .profile_touches import ProfileTouches
from .profiles import write_profiles
from .rows import EventRow, row_of
from .sessions import Activity, SessionBook, Transaction
from .stand_in import Move, StandIns
from .visits import VISITS, Visit, VisitBook, names_of_engaged


@dataclasses.dataclass(slots=True)
class Batch:
    """Records of one transaction.

    :param uncounted: events that the host's own transactions have stored already.
    :param waited: engagement that has waited for its visit, and cancellations for their charge.
    :param replayed: some records may have been written before; those are no duplicates.
    """

    events: list[Event] = dataclasses.field(default_factory=list)
    ends: list[SessionEnd] = dataclasses.field(default_factory=list)
    identified: list[Identified] = dataclasses.field(default_factory=list)
    outcomes: cabc.Mapping[Outcome, int] = dataclasses.field(default_factory=dict)
    reads: cabc.Mapping[AgentRead, int] = dataclasses.field(default_factory=dict)
    uncounted: list[Event] = dataclasses.field(default_factory=list)
    waited: list[Event] = dataclasses.field(default_factory=list)
    replayed: bool = False

    def session_ids(self) -> set[int]:
        """Return the ids of the sessions that the records name, as numbers."""
        events = (*self.events, *self.uncounted, *self.waited)
        ids = {event.session.id.int for event in events if event.session}
        return ids.union(end.session_id.int for end in self.ends)


@dataclasses.dataclass(frozen=True, slots=True)
class Written:
    """The changes of a batch: how many events are new, which sessions started and ended.

    And which orders were ``contradicted``, and what to warn of in the log.
    """

    new_events: int
    started: list[uuidlib.UUID]
    ended: list[tuple[uuidlib.UUID, EndReason]]
    contradicted: cabc.Sequence[Contradiction] = ()
    warnings: cabc.Sequence[str] = ()


def write_batch(transaction: Transaction, batch: Batch) -> Written:
    """Write a batch inside the caller's transaction. Writing it again changes nothing.

    :raises sqlalchemy.exc.IntegrityError: another process wrote one of the events meanwhile. The
        caller rolls back and tries again: then the event is found.
    :raises ValueError: no database can store one of the values.
    """
    return _BatchWriter(transaction, batch).write()


class _BatchWriter:
    def __init__(self, transaction: Transaction, batch: Batch) -> None:
        self._transaction = transaction
        self._connection, self._tables = transaction.connection, transaction.tables
        self._now, self._totals = transaction.now, transaction.totals
        self._batch = batch
        self._sessions = SessionBook(transaction)
        self._visits = VisitBook(self._connection, self._tables.event)
        # The new events, without the visits, which the VisitBook has.
        self._rows: list[EventRow] = []
        self._engagements = Engagements(transaction, self._sessions, self._visits, self._rows)
        self._orders = Orders(transaction, self._sessions, replayed=batch.replayed)
        # The ids, as numbers, of events that are stored or will be.
        self._known: set[int] = set()
        self._activities: list[Activity] = []
        self._moves: list[Move] = []
        # The sessions, as numbers, that only the visits name.
        self._others: set[int] = set()

    def write(self) -> Written:
        batch, sessions = self._batch, self._sessions
        # 1. Lock the sessions. This comes first, so that if two writers have halves of the same
        #    visit, one waits, and then finds what the other has written.
        sessions.load(batch.session_ids())
        self._settle_sessions()
        # 2. Find the new events, and join the halves of visits: which session an event belongs to
        #    depends on it.
        self._sort_events()
        # 3. Lock the sessions that only the visits name.
        sessions.load(self._others)
        self._engagements.apply()
        # 4. Move the sessions on, before visits move between them: a stand-in is known by what it
        #    has counted.
        for activity in self._activities:
            sessions.move_on(activity)
        stand_ins = StandIns(self._transaction, sessions, self._rows)
        for move in self._moves:
            stand_ins.move(move)
        self._engagements.settle()
        # 5. End sessions: session.end tells the final counts.
        for end in batch.ends:
            sessions.end(end)
            sessions.log_out(end)
        # 6. Write. The totals go last: all writers share their rows, and wait for each other there.
        sessions.write()
        rows = self._insert_events()
        self._visits.update_changed()
        self._engagements.write()
        touches = ProfileTouches(self._connection, self._tables, sessions.touched, batch.identified)
        touches.lock()
        write_profiles(self._transaction, batch.identified)
        touches.write()
        self._orders.write()
        for outcome, count in batch.outcomes.items():
            self._totals.count_outcome(self._now, *outcome, by=count)
        self._totals.count_reads(batch.reads)
        self._totals.write(self._connection, self._tables, self._now)
        orders = self._orders
        return Written(
            len(rows), sessions.started, sessions.ended, orders.contradicted, orders.warnings
        )

    def _settle_sessions(self) -> None:
        """Put events with old cookies into the session that goes on."""
        batch = self._batch
        cookies = OldCookies(self._sessions, batch.ends)
        batch.events = list(cookies.settle(batch.events))
        batch.ends = [cookies.settle_end(end) for end in batch.ends]
        counted = cookies.settle(batch.uncounted)
        for before, event in zip(batch.uncounted, counted, strict=True):
            if event is not before and event.session is not None:
                table = self._tables.event
                change = table.update().where(table.c.id == event.id)
                self._connection.execute(change.values(session_id=event.session.id))
        batch.uncounted = list(counted)

    def _sort_events(self) -> None:
        """Tell new events from known ones, and find the visits of engagement."""
        self._settle_orders()
        waited, events = self._batch.waited, self._batch.events
        engaged = [event for event in events if event.is_engagement]
        if engaged:
            events = [event for event in events if not event.is_engagement]
        ids = {event.id.int for event in events}
        ids.update(event.claim.visit_id.int for event in events if event.claim)
        ids.update(*map(names_of_engaged, (*engaged, *waited)))
        self._known = find_known(self._connection, self._tables.event, ids)
        if self._sessions.has_left():
            events, engaged = self._without_copies(events), self._without_copies(engaged)
        self._visits.load(events, self._known, (*engaged, *waited))
        self._add_events(events)
        for event in self._batch.uncounted:
            self._note_new(event)
        arrived = {event.id.int for event in events if event.action in VISITS}
        self._others |= self._engagements.find(engaged, waited, arrived)

    def _settle_orders(self) -> None:
        """Charge and cancel the batch's orders, and leave only the other events."""
        batch = self._batch
        orders, batch.events = _part(batch.events)
        late, batch.waited = _part(batch.waited)
        stored, _ = _part(batch.uncounted)
        new = self._orders.settle(orders, late, stored)
        if new:
            ids = {event.id.int for event in new}
            known = find_known(self._connection, self._tables.event, ids)
            for event in new:
                if event.id.int not in known:
                    self._rows.append(row_of(event, self._now))
                    self._note_new(event)

    def _add_events(self, events: list[Event]) -> None:
        # The halves first: an event without cookies needs the visit of its page.
        for event in events:
            if event.half == "server":
                self._add_server_half(event)
            elif event.half == "browser":
                self._add_browser_half(event)
        for event in events:
            if not event.half:
                self._add_event(event)

    def _without_copies(self, events: list[Event]) -> list[Event]:
        return [event for event in events if not self._refuse_copy(event)]

    def _refuse_copy(self, event: Event) -> bool:
        """Refuse an event for which only the copy of a cookie vouches after the log-out."""
        session = self._sessions.find(event.session.id) if event.session else None
        if session is None or event.id.int in self._known or not is_by_copy(event, session.row):
            return False
        self._totals.count_outcome(event.received_at, "rejected", event.action, "logged_out")
        return True

    def _insert_events(self) -> list[EventRow]:
        happened = [*self._rows, *self._visits.new_rows()]
        uncounted = [row_of(event, self._now) for event in self._batch.uncounted]
        self._totals.count_accepted([*happened, *uncounted])
        rows = [*happened, *self._sessions.new_events()]
        self._totals.count_new([*rows, *uncounted])
        # In the order of their ids, so that two writers cannot deadlock.
        rows.sort(key=lambda row: row.id.int)
        insert_rows(self._connection, self._tables.event, rows)
        return rows

    # Events that are not halves of a visit

    def _add_event(self, event: Event) -> None:
        number = event.id.int
        if number in self._known or self._visits.find(event.id):
            self._note_duplicate(event)
            return
        self._known.add(number)
        visit = self._find_page_visit(event)
        if visit is not None:
            event = self._adopt(event, visit)
        self._rows.append(row_of(event, self._now))
        self._note_new(event)

    def _find_page_visit(self, event: Event) -> Visit | None:
        """Return the visit from which an event takes its identity, if it needs and has one."""
        claim = event.claim
        if claim is None or not event.takes_identity:
            return None
        if claim.kind == "kept":
            return self._visits.find_of_page(claim.visit_id)
        visit = self._visits.find(claim.visit_id)
        return visit if visit is not None and visit.row.claimed_by == event.page else None

    # The server's half of a visit

    def _add_server_half(self, event: Event) -> None:
        visit = self._visits.find(event.id)
        if visit is None and event.params["status"] == 304:
            visit = self._visits.find_shown_again(event)
            if visit is not None:
                self._visits.rename(visit, event.id)
        if visit is not None and not visit.has_server_half:
            self._fill_server_half(event, visit)
        elif visit is not None or event.id.int in self._known:
            self._note_duplicate(event)
        else:
            self._add_visit(event, row_of(event, self._now))

    def _fill_server_half(self, event: Event, visit: Visit) -> None:
        """Give a visit that the browser reported first what the server knows about it."""
        old_id = visit.row.session_id
        if visit.is_stored:
            self._totals.count_stored(visit.row, by=-1)
        self._visits.fill(visit, row_of(event, self._now), event.session)
        if visit.is_stored:
            self._totals.count_stored(visit.row, by=1)
        if event.session is None:
            return
        self._activities.append(Activity(event, event.session, 0))
        if old_id is not None and old_id != event.session.id:
            self._moves.append(Move(old_id, event.session, event.uuid, pages=1))
            self._others.add(old_id.int)

    # The browser's half of a visit

    def _add_browser_half(self, event: Event) -> None:
        if (
            self._visits.find_claimed_by(event.id)
            or event.id.int in self._known
            or self._visits.find(event.id)
        ):
            self._note_duplicate(event)
            return
        visit, own_id = self._find_visit(event)
        if visit is not None:
            self._join_browser_half(event, visit)
            return
        row = row_of(event, self._now)
        row.id = own_id
        if event.claim is not None and event.claim.kind != "foreign":
            row.claimed_by = event.id
        self._add_visit(event, row)

    def _find_visit(self, event: Event) -> tuple[Visit | None, uuidlib.UUID]:
        """Return the visit that a browser half joins, if any, and its id as a visit of its own."""
        claim = event.claim
        if claim is None:
            return None, event.id
        if claim.kind == "foreign":
            return self._visits.find_open(event), event.id
        visit = self._visits.find(claim.visit_id)
        if visit is None:
            is_free = claim.visit_id.int not in self._known
            return None, claim.visit_id if is_free else event.id
        if claim.kind == "cookieless" and visit.is_customers:
            return None, event.id
        return (visit if visit.is_open else self._visits.find_open(event)), event.id

    def _join_browser_half(self, event: Event, visit: Visit) -> None:
        self._visits.claim(visit, event)
        self._note_undefined(event)
        if event.session is not None and event.takes_identity:
            old_id, event = event.session.id, self._adopt(event, visit)
            if event.session is not None:
                self._moves.append(Move(old_id, event.session, event.uuid, pages=0))
                self._others.add(old_id.int)
        if event.session is not None and event.session.id == visit.row.session_id:
            self._activities.append(Activity(event, event.session, 0))

    # Steps for all of them

    def _add_visit(self, event: Event, row: EventRow) -> None:
        self._visits.add(row, event.session)
        self._note_new(event)

    def _adopt(self, event: Event, visit: Visit) -> Event:
        """Return an event of a browser without cookies with its page's profile and session."""
        session = visit.find_session()
        if session is not None:
            self._others.add(session.id.int)
        return msgspec.structs.replace(event, uuid=visit.row.uuid, session=session)

    def _note_new(self, event: Event) -> None:
        self._note_undefined(event)
        if event.session is not None:
            self._activities.append(Activity(event, event.session))

    def _note_undefined(self, event: Event) -> None:
        for name in event.undefined:
            self._totals.count_undefined(event.received_at, event.action, name)

    def _note_duplicate(self, event: Event) -> None:
        if not self._batch.replayed:
            self._totals.count_outcome(event.received_at, "duplicate", event.action)


def _part(events: list[Event]) -> tuple[list[Event], list[Event]]:
    """Return the charges and cancellations among events, and the others."""
    if all(event.order is None for event in events):
        return [], events  # as nearly always
    orders = [event for event in events if event.order is not None]
    return orders, [event for event in events if event.order is None]
