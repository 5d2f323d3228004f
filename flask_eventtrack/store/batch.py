"""A batch of records becomes rows: the new events, then what follows from them, once."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses
import datetime as dt
import typing as t
import uuid as uuidlib

import msgspec
import sqlalchemy as sa

from ..event import EndReason, Event, Identified, Outcome, SessionEnd, SessionRef, page_label
from .counts import Counts
from .sessions import Admits, Describe, Row, SessionBook, insert_new
from .tables import Tables
from .visits import Visit, VisitBook


@dataclasses.dataclass(slots=True)
class Batch:
    """Records of one transaction."""

    events: list[Event] = dataclasses.field(default_factory=list)
    ends: list[SessionEnd] = dataclasses.field(default_factory=list)
    identified: list[Identified] = dataclasses.field(default_factory=list)
    outcomes: cabc.Mapping[Outcome, int] = dataclasses.field(default_factory=dict)


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
    """
    return _BatchWriter(connection, tables, now, describe, admits).write(batch)


class _BatchWriter:
    def __init__(
        self,
        connection: sa.Connection,
        tables: Tables,
        now: dt.datetime,
        describe: Describe,
        admits: Admits,
    ) -> None:
        self._connection = connection
        self._tables = tables
        self._now = now
        self._describe = describe
        self._counts = Counts()
        self._sessions = SessionBook(connection, tables, now, self._counts, admits)
        self._visits = VisitBook(connection, tables)
        self._rows: list[Row] = []
        self._known: set[uuidlib.UUID] = set()
        # (event, its session, whether it adds to the session's counters)
        self._activity: list[tuple[Event, SessionRef, int]] = []
        # (a session that counted what is another's, an event of that other session)
        self._moves: list[tuple[uuidlib.UUID, Event]] = []

    def write(self, batch: Batch) -> Written:
        # The sessions first: their locks keep two writers from looking for the same visit at once.
        self._sessions.load(
            {event.session.id for event in batch.events if event.session}
            | {end.session_id for end in batch.ends}
        )
        self._sort(batch.events)
        self._sessions.load(
            {session.id for _, session, _ in self._activity} | {move[0] for move in self._moves}
        )
        for event, session, by in self._activity:
            self._sessions.count(event, session, by, self._describe)
        for old, event in self._moves:
            self._move(old, event)
        for end in batch.ends:
            self._sessions.end(end.session_id, end.reason)
        self._sessions.write()
        # In the order of their ids, so that two writers cannot deadlock.
        rows = sorted([*self._rows, *self._visits.new_rows()], key=lambda row: row["id"])
        if rows:
            self._connection.execute(self._tables.event.insert(), rows)
        insert_new(self._connection, self._tables, self._sessions.events, self._counts)
        self._visits.update_changed()
        self._write_profiles(batch.identified)
        for outcome, count in batch.outcomes.items():
            self._counts.count_outcome(self._now, *outcome, by=count)
        self._counts.write(self._connection, self._tables)
        return Written(
            len(rows) + len(self._sessions.events), self._sessions.started, self._sessions.ended
        )

    def _sort(self, events: cabc.Sequence[Event]) -> None:
        """Tell new events from known ones."""
        ids = {event.id for event in events}
        claimed = {event.claim.visit_id for event in events if event.claim}
        # In this order: a visit that is committed between the two look-ups is found by the second.
        self._known = self._known_ids(ids | claimed)
        self._visits.load(events)
        # The halves first: an event of a page without cookies asks whose visit the page was.
        for event in sorted(events, key=lambda event: not event.half):
            if event.half == "server":
                self._add_server_half(event)
            elif event.half == "browser":
                self._add_browser_half(event)
            elif event.id in self._known or self._visits.find(event.id):
                self._note_duplicate(event)
            else:
                self._known.add(event.id)
                self._add_event(event)

    def _known_ids(self, ids: cabc.Iterable[uuidlib.UUID]) -> set[uuidlib.UUID]:
        wanted = sorted(set(ids))
        if not wanted:
            return set()
        column = self._tables.event.c.id
        return set(self._connection.scalars(sa.select(column).where(column.in_(wanted))))

    def _add_event(self, event: Event) -> None:
        if event.claim and event.claim.cookieless:
            visit = self._visits.find(event.claim.visit_id)
            if visit is not None and visit.row["claimed_by"] == event.page:
                event = _adopt(event, visit)
        row = self._row_of(event)
        self._rows.append(row)
        self._note_new(event, row)

    def _add_server_half(self, event: Event) -> None:
        visit = self._visits.find(event.id)
        if visit is None and event.params["status"] == 304:
            visit = self._visits.find_shown_again(event)
            if visit is not None:
                self._visits.rename(visit, event.id)
        if visit is not None and not visit.has_server_half:
            self._fill_server_half(event, visit)
        elif visit is not None or event.id in self._known:
            self._note_duplicate(event)
        else:
            self._add_visit(event, self._row_of(event))

    def _add_visit(self, event: Event, row: Row) -> None:
        self._visits.add(row, event)
        self._note_new(event, row)

    def _fill_server_half(self, event: Event, visit: Visit) -> None:
        """Give a visit that the browser reported first what the server knows of it."""
        before = visit.row["session_id"]
        self._counts.count_row(visit.row, by=-1)
        server = self._row_of(event)
        kept = {name: visit.row[name] for name in ("id", "claimed_by", "stored_at", "undefined")}
        visit.join(event.params, visit.row["params"])
        visit.row.update({k: v for k, v in server.items() if k not in {"params", "label"}} | kept)
        self._counts.count_row(visit.row)
        if event.session is None:
            return
        visit.session = event.session
        self._activity.append((event, event.session, 0))
        if before is not None and before != event.session.id:
            self._moves.append((before, event))

    def _move(self, old: uuidlib.UUID, event: Event) -> None:
        """Count a visit, and what else its page without cookies told, in the server's session."""
        session = event.session
        if session is None or not self._sessions.move(old, session):
            return
        for row in self._rows:
            if row["session_id"] == old:
                row.update(session_id=session.id, uuid=event.uuid)
        table = self._tables.event
        self._connection.execute(
            table.update()
            .where(table.c.session_id == old)
            .values(session_id=session.id, uuid=event.uuid)
        )

    def _add_browser_half(self, event: Event) -> None:
        if (
            self._visits.find_claimed_by(event.id)
            or event.id in self._known
            or self._visits.find(event.id)
        ):
            self._note_duplicate(event)
            return
        visit, own_id = self._find_visit(event)
        if visit is not None:
            self._join_browser_half(event, visit)
            return
        has_tag = event.claim is not None and not event.claim.foreign
        claimed_by = event.id if has_tag else None
        row = {**self._row_of(event), "id": own_id, "claimed_by": claimed_by}
        self._add_visit(event, row)

    def _find_visit(self, event: Event) -> tuple[Visit | None, uuidlib.UUID]:
        """Return the visit that a browser half joins, or the id under which it is one itself."""
        if event.claim is None:
            return None, event.id
        visit = self._visits.find(event.claim.visit_id)
        if event.claim.foreign:
            is_taken = visit is not None and visit.row["claimed_by"] is not None
            return (self._visits.find_open(event) if is_taken else None), event.id
        # Logging in takes cookies: a browser without them shows a customer's page out of a cache.
        if visit is not None and event.claim.cookieless and visit.is_customers:
            return None, event.id
        if visit is None:
            is_free = event.claim.visit_id not in self._known
            return None, event.claim.visit_id if is_free else event.id
        return (visit if visit.is_open else self._visits.find_open(event)), event.id

    def _join_browser_half(self, event: Event, visit: Visit) -> None:
        self._visits.claim(visit, event)
        self._note_undefined(event)
        if event.session is not None and event.claim is not None and event.claim.cookieless:
            stand_in, event = event.session.id, _adopt(event, visit)
            self._moves.append((stand_in, event))
        if event.session is not None and event.session.id == visit.row["session_id"]:
            self._activity.append((event, event.session, 0))

    def _note_new(self, event: Event, row: Row) -> None:
        self._counts.count_row(row)
        self._counts.count_outcome(event.received_at, "accepted", event.action)
        self._note_undefined(event)
        if event.session is not None:
            self._activity.append((event, event.session, 1))

    def _note_undefined(self, event: Event) -> None:
        for name in event.undefined:
            self._counts.count_outcome(event.received_at, "undefined", event.action, name)

    def _note_duplicate(self, event: Event) -> None:
        self._counts.count_outcome(event.received_at, "duplicate", event.action)

    def _row_of(self, event: Event) -> Row:
        return {
            "id": event.id,
            "action": event.action,
            "time": event.time,
            "received_at": event.received_at,
            "stored_at": self._now,
            "label": page_label(event.params) if event.half else event.label,
            "uuid": event.uuid,
            "session_id": event.session.id if event.session else None,
            "site": event.site,
            "url_rule": event.url_rule,
            "source": event.source,
            "claimed_by": None,
            "params": event.params,
            "undefined": list(event.undefined) or None,
        }

    def _write_profiles(self, identified: list[Identified]) -> None:
        for record in sorted(identified, key=lambda record: record.uuid):
            self._write_profile(record)
            if record.anonymous is not None:
                self._write_alias(record.anonymous, record)

    def _write_profile(self, record: Identified) -> None:
        table = self._tables.profile
        found = (
            self._connection.execute(
                sa.select(table).where(table.c.uuid == record.uuid).with_for_update()
            )
            .mappings()
            .first()
        )
        if found is None:
            self._connection.execute(
                table.insert().values(
                    uuid=record.uuid,
                    customer_id=record.customer_id,
                    traits=record.traits,
                    first_seen_at=record.time,
                    last_seen_at=record.time,
                )
            )
            return
        changes: dict[str, t.Any] = {
            "first_seen_at": min(found["first_seen_at"], record.time),
            "last_seen_at": max(found["last_seen_at"], record.time),
        }
        if record.traits:
            changes["traits"] = {**found["traits"], **record.traits}
        self._connection.execute(table.update().where(table.c.uuid == record.uuid).values(changes))

    def _write_alias(self, anonymous: uuidlib.UUID, record: Identified) -> None:
        table = self._tables.alias
        query = sa.select(table.c.anonymous_uuid).where(table.c.anonymous_uuid == anonymous)
        if self._connection.execute(query).first() is None:
            self._connection.execute(
                table.insert().values(
                    anonymous_uuid=anonymous, customer_uuid=record.uuid, created_at=record.time
                )
            )


def _adopt(event: Event, visit: Visit) -> Event:
    """Return an event of a browser without cookies as the visitor's whose page it happened on."""
    return msgspec.structs.replace(event, uuid=visit.row["uuid"], session=_session_of(visit))


def _session_of(visit: Visit) -> SessionRef | None:
    """Return the session of a visit; a stored session keeps its own device and start."""
    row = visit.row
    if visit.session is not None or row["session_id"] is None:
        return visit.session
    return SessionRef(row["session_id"], row["uuid"], row["time"])
