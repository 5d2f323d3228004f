"""A batch of records becomes rows: the new events, then what follows from them, once."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses
import datetime as dt
import uuid as uuidlib

import msgspec
import sqlalchemy as sa

from ..records import EndReason, Event, Identified, Outcome, SessionEnd, SessionRef
from .fast_rows import find_known, insert_rows
from .profiles import write_profiles
from .rows import EventRow, row_of
from .sessions import Admits, Describe, SessionBook
from .tables import Tables
from .totals import Counts
from .visits import Visit, VisitBook


@dataclasses.dataclass(slots=True)
class Batch:
    """Records of one transaction.

    :param uncounted: events that are rows already, of a host's own transaction.
    :param replayed: some of them may have been written already: that is no duplicate.
    """

    events: list[Event] = dataclasses.field(default_factory=list)
    ends: list[SessionEnd] = dataclasses.field(default_factory=list)
    identified: list[Identified] = dataclasses.field(default_factory=list)
    outcomes: cabc.Mapping[Outcome, int] = dataclasses.field(default_factory=dict)
    uncounted: list[Event] = dataclasses.field(default_factory=list)
    replayed: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Written:
    """What came of a batch."""

    new_events: int
    started: list[uuidlib.UUID]
    ended: list[tuple[uuidlib.UUID, EndReason]]


def write_batch(
    connection: sa.Connection,
    tables: Tables,
    batch: Batch,
    now: dt.datetime,
    describe: Describe,
    admits: Admits,
) -> Written:
    """Write a batch inside the caller's transaction. Writing it again changes nothing.

    :raises sqlalchemy.exc.IntegrityError: another process wrote one of the events meanwhile; the
        caller rolls back and tries again, and then finds it.
    :raises ValueError: no database stores one of the values.
    """
    return _BatchWriter(connection, tables, batch, now, describe, admits).write()


class _BatchWriter:
    def __init__(
        self,
        connection: sa.Connection,
        tables: Tables,
        batch: Batch,
        now: dt.datetime,
        describe: Describe,
        admits: Admits,
    ) -> None:
        self._connection = connection
        self._tables = tables
        self._batch = batch
        self._now = now
        self._counts = Counts()
        self._sessions = SessionBook(connection, tables, now, self._counts, describe, admits)
        self._visits = VisitBook(connection, tables)
        self._rows: list[EventRow] = []
        # The numbers of ids that stand in the table, or will.
        self._known: set[int] = set()
        # (event, its session, whether it adds to the session's counters)
        self._activity: list[tuple[Event, SessionRef, int]] = []
        # (a session that has what is another's, an event of that other, how many pages it is of)
        self._moves: list[tuple[uuidlib.UUID, Event, int]] = []
        # The sessions that no event of the batch has brought along.
        self._others: set[int] = set()

    def write(self) -> Written:
        batch = self._batch
        # The sessions first: their locks keep two writers from looking for the same visit at once.
        sessions = {
            event.session.id.int for event in (*batch.events, *batch.uncounted) if event.session
        }
        self._sessions.load(sessions.union(end.session_id.int for end in batch.ends))
        self._sort()
        for event in batch.uncounted:
            self._note_new(event)
        self._sessions.load(self._others)
        for event, session, by in self._activity:
            self._sessions.count(event, session, by)
        for move in self._moves:
            self._move(*move)
        for end in batch.ends:
            self._sessions.end(end.session_id, end.reason)
        self._sessions.write()
        rows = self._insert_events()
        self._visits.update_changed()
        write_profiles(self._connection, self._tables, batch.identified)
        for outcome, count in batch.outcomes.items():
            self._counts.count_outcome(self._now, *outcome, by=count)
        self._counts.write(self._connection, self._tables)
        return Written(len(rows), self._sessions.started, self._sessions.ended)

    def _insert_events(self) -> list[EventRow]:
        happened = [*self._rows, *self._visits.new_rows()]
        uncounted = [row_of(event, self._now) for event in self._batch.uncounted]
        self._counts.count_accepted([*happened, *uncounted])
        rows = [*happened, *self._sessions.new_events()]
        self._counts.count_new([*rows, *uncounted])
        # In the order of their ids, so that two writers cannot deadlock.
        rows.sort(key=lambda row: row.id.int)
        insert_rows(self._connection, self._tables.event, rows)
        return rows

    def _sort(self) -> None:
        """Tell new events from known ones."""
        events = self._batch.events
        ids = {event.id.int for event in events}
        ids.update(event.claim.visit_id.int for event in events if event.claim)
        self._known = find_known(self._connection, self._tables.event, ids)
        self._visits.load(events, self._known)
        # The halves first: an event of a page without cookies asks whose visit the page was.
        for event in events:
            if event.half == "server":
                self._add_server_half(event)
            elif event.half == "browser":
                self._add_browser_half(event)
        for event in events:
            if not event.half:
                self._add_event(event)

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
        """Return the visit whose visitor an event without cookies is, if its page had one."""
        claim = event.claim
        if claim is None or not claim.cookieless:
            return None
        if claim.kept:
            return self._visits.find_of_page(claim.visit_id)
        visit = self._visits.find(claim.visit_id)
        return visit if visit is not None and visit.row.claimed_by == event.page else None

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

    def _add_visit(self, event: Event, row: EventRow) -> None:
        self._visits.add(row, event.session)
        self._note_new(event)

    def _fill_server_half(self, event: Event, visit: Visit) -> None:
        """Give a visit that the browser reported first what the server knows of it."""
        before = visit.row.session_id
        if visit.is_stored:
            self._counts.count_stored(visit.row, by=-1)
        self._visits.fill(visit, row_of(event, self._now), event.session)
        if visit.is_stored:
            self._counts.count_stored(visit.row, by=1)
        if event.session is None:
            return
        self._activity.append((event, event.session, 0))
        if before is not None and before != event.session.id:
            self._note_move(before, event, pages=1)

    def _note_move(self, old: uuidlib.UUID, event: Event, pages: int) -> None:
        self._moves.append((old, event, pages))
        self._others.add(old.int)

    def _move(self, old: uuidlib.UUID, event: Event, pages: int) -> None:
        """Count a visit, and what else its page without cookies told, in the server's session."""
        session = event.session
        if session is None or not self._sessions.move(old, session, pages):
            return
        for row in self._rows:
            if row.session_id == old:
                row.session_id, row.uuid = session.id, event.uuid
        table = self._tables.event
        self._connection.execute(
            table.update()
            .where(table.c.session_id == old)
            .values(session_id=session.id, uuid=event.uuid)
        )

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
        if event.claim is not None and not event.claim.foreign:
            row.claimed_by = event.id
        self._add_visit(event, row)

    def _find_visit(self, event: Event) -> tuple[Visit | None, uuidlib.UUID]:
        """Return the visit that a browser half joins, or the id under which it is one itself."""
        if event.claim is None:
            return None, event.id
        if event.claim.foreign:
            return self._visits.find_open(event), event.id
        visit = self._visits.find(event.claim.visit_id)
        # Logging in takes cookies: a browser without them shows a customer's page out of a cache,
        # but for the customer's own that has left them out.
        is_cached = event.claim.cookieless and not event.claim.kept
        if visit is not None and is_cached and visit.is_customers:
            return None, event.id
        if visit is None:
            is_free = event.claim.visit_id.int not in self._known
            return None, event.claim.visit_id if is_free else event.id
        return (visit if visit.is_open else self._visits.find_open(event)), event.id

    def _join_browser_half(self, event: Event, visit: Visit) -> None:
        self._visits.claim(visit, event)
        self._note_undefined(event)
        if event.session is not None and event.claim is not None and event.claim.cookieless:
            stand_in, event = event.session.id, self._adopt(event, visit)
            self._note_move(stand_in, event, pages=0)
        if event.session is not None and event.session.id == visit.row.session_id:
            self._activity.append((event, event.session, 0))

    def _adopt(self, event: Event, visit: Visit) -> Event:
        """Return an event of a browser without cookies as the visitor's whose page it was on."""
        session = _session_of(visit)
        if session is not None:
            self._others.add(session.id.int)
        return msgspec.structs.replace(event, uuid=visit.row.uuid, session=session)

    def _note_new(self, event: Event) -> None:
        self._note_undefined(event)
        if event.session is not None:
            self._activity.append((event, event.session, 1))

    def _note_undefined(self, event: Event) -> None:
        for name in event.undefined:
            self._counts.count_outcome(event.received_at, "undefined", event.action, name)

    def _note_duplicate(self, event: Event) -> None:
        if not self._batch.replayed:
            self._counts.count_outcome(event.received_at, "duplicate", event.action)


def _session_of(visit: Visit) -> SessionRef | None:
    """Return the session of a visit; a stored session keeps its own device and start."""
    row = visit.row
    if visit.session is not None or row.session_id is None:
        return visit.session
    return SessionRef(row.session_id, row.uuid, row.received_at)
