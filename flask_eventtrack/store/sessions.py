"""Session rows: opened by a session's first event, moved on by each, ended once."""

from __future__ import annotations

import collections.abc as cabc
import copy
import dataclasses
import datetime as dt
import operator
import typing as t
import uuid as uuidlib

import msgspec
import sqlalchemy as sa

from ..ids import is_customer, session_end_id, session_start_id
from ..records import (
    CAMPAIGN,
    PAGE_VISIT,
    SCREEN_VIEW,
    SESSION_END,
    SESSION_START,
    Client,
    EndReason,
    Event,
    SessionEnd,
    SessionRef,
)
from .clock import is_older
from .copies import earlier_sessions, note_privacy
from .fast_rows import insert_rows, read_rows, read_rows_by_id, update_rows
from .logged import leave_moved, own_columns
from .person import resolve_people
from .rows import EventRow, SessionRow, row_of
from .tables import Tables
from .totals import Totals
from .types import to_utc

#: Whether an action is recorded on a site.
Admits = cabc.Callable[[str, str], bool]
_Facts = cabc.Mapping[str, str | None]

_SWEEP_SIZE = 200
_PATH_MAX_LENGTH = 255
_PAGES = frozenset({PAGE_VISIT, SCREEN_VIEW})
_CLIENT_COLUMNS = ("browser", "os", "device_type", "language", "country")
_ORIGIN_COLUMNS = ("referrer", "source", "channel", *CAMPAIGN)
# The columns that most events change. None of them is in an index, so that updates are cheap.
_PROGRESS_COLUMNS = (
    "last_seen_at",
    "pages",
    "events",
    "exit",
    "exit_at",
    "exit_rule",
    "visible_ms",
)
_ALL_COLUMNS = SessionRow.__struct_fields__[1:]
_progress_of = operator.attrgetter(*_PROGRESS_COLUMNS)
_rest_of = operator.attrgetter(*(name for name in _ALL_COLUMNS if name not in _PROGRESS_COLUMNS))
_touch_of = operator.attrgetter("uuid", "person", "started_at", "entry_rule", *_ORIGIN_COLUMNS)
_JUST_BEFORE = dt.timedelta(microseconds=1)
#: How old the last activity in a session cookie may be: see ``RENEW_AFTER``.
COOKIE_DELAY = dt.timedelta(minutes=1)


class Facts(t.Protocol):
    """Says which columns of a session a client and an origin fill; unknown ones may be absent."""

    def describe_client(self, client: Client) -> _Facts: ...

    def describe_origin(self, url: str, referrer: str, campaign: str) -> _Facts: ...

    def find_channel(self, source: str, medium: str, has_campaign: bool) -> str | None: ...


@dataclasses.dataclass(frozen=True, slots=True)
class Transaction:
    """A writer's transaction, and the values that all its writes share."""

    connection: sa.Connection
    tables: Tables
    now: dt.datetime
    facts: Facts
    admits: Admits
    totals: Totals = dataclasses.field(default_factory=Totals)
    session_timeout: dt.timedelta = dt.timedelta(minutes=30)
    lookback: dt.timedelta = dt.timedelta(days=30)


class Activity(msgspec.Struct, frozen=True, gc=False):
    """An event that moves a session on. ``count`` is 0 if the session has counted it before."""

    event: Event
    session: SessionRef
    count: int = 1


class Session(msgspec.Struct):
    """A session that a batch touches: its row, and a copy of the row as it is ``stored``.

    ``client`` is the last one described. ``has_other_profile``: an event of the batch has
    a profile other than the device's original one.
    """

    row: SessionRow
    stored: SessionRow | None = None
    client: Client | None = None
    has_other_profile: bool = False


class SessionBook:
    """The sessions that a batch touches, and the ``session.*`` events that result."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction
        self._connection, self._tables = transaction.connection, transaction.tables
        # By the numbers of their ids: numbers hash and compare faster than UUIDs.
        self._sessions: dict[int, Session] = {}
        self._events: list[EventRow] = []
        #: The rows whose touch or profile has changed.
        self.touched: list[SessionRow] = []
        self.started: list[uuidlib.UUID] = []
        self.ended: list[tuple[uuidlib.UUID, EndReason]] = []

    def load(self, ids: set[int]) -> None:
        """Read and lock the sessions among ``ids``, given as numbers, that are stored."""
        missing = ids - self._sessions.keys()
        self.take(read_rows_by_id(self._connection, SessionRow, self._tables.session, missing))

    def take(self, rows: cabc.Iterable[SessionRow]) -> None:
        """Add sessions whose rows the caller has read and locked."""
        for row in rows:
            self._sessions[row.id.int] = Session(row, copy.copy(row))

    def find(self, session_id: uuidlib.UUID) -> Session | None:
        return self._sessions.get(session_id.int)

    def has_left(self) -> bool:
        """Whether the customer of one of the sessions has logged out."""
        return any(session.row.logged_out_at for session in self._sessions.values())

    def move_on(self, activity: Activity) -> None:
        """Move a session on by one of its events; open it if it is new."""
        event, ref, count = activity.event, activity.session, activity.count
        facts = self._transaction.facts
        session = self._sessions.get(ref.id.int)
        if session is None:
            session = self._sessions[ref.id.int] = Session(_new_row(event, ref))
        row = session.row
        note_privacy(row, event, ref)
        if ref.started_at < row.started_at:
            row.started_at = to_utc(ref.started_at)
        row.events += count
        session.has_other_profile |= event.uuid != row.device_id
        is_page = event.action in _PAGES
        if is_page:
            row.pages += count
        if event.client is not None and event.client != session.client:
            session.client = event.client
            _fill_unknown(row, facts.describe_client(event.client))
        # A late event counts, but moves neither the session's times nor its pages.
        if event.time < row.started_at or row.ended_at is not None:
            return
        if event.time >= row.last_seen_at:
            row.last_seen_at = to_utc(event.time)
            row.uuid = later_owner(row.uuid, event.uuid)
        if is_page:
            _move_pages(row, event, facts)

    def goes_on(self, last: dt.datetime, at: dt.datetime) -> bool:
        """Whether a session that was active at ``last`` goes on at ``at``, whatever a cookie says.

        A cookie may lack up to a minute of a session's activity, or all of it.
        """
        return at <= last or at - last < self._transaction.session_timeout - COOKIE_DELAY

    def log_out(self, end: SessionEnd) -> None:
        """Note when the customer left a session, and with it the device's earlier ones."""
        session = self._sessions.get(end.session_id.int)
        if session is None or end.reason != "logout":
            return
        # What the session has is from before, also if the clock went back.
        at = max(to_utc(end.at or session.row.last_seen_at), session.row.last_seen_at)
        earlier = earlier_sessions(session.row.device_id, end.number)
        self.load({session_id.int for session_id in earlier})
        for session_id in (*earlier, end.session_id):
            left = self.find(session_id)
            if left is not None and left.row.logged_out_at is None:
                left.row.logged_out_at = at

    def end(self, end: SessionEnd) -> None:
        """End a session, if it is stored and has not been ended.

        A timeout ends it only if nothing happened in it for the whole timeout.
        """
        session_id, reason = end.session_id, end.reason
        session = self._sessions.get(session_id.int)
        if session is None or session.row.ended_at is not None:
            return
        row = session.row
        if reason == "timeout" and end.at is not None and self.goes_on(row.last_seen_at, end.at):
            return
        params = end_row(row, reason)
        event_id = session_end_id(session_id)
        self._add_event(SESSION_END, event_id, row, row.last_seen_at, "Session end", params)
        self.ended.append((session_id, reason))

    def remove(self, session_id: uuidlib.UUID) -> None:
        """Remove a session with its ``session.*`` events, stored or not."""
        stored = self._sessions.pop(session_id.int).stored
        if stored is None:
            return
        self._transaction.totals.marks.note_change(stored, None)
        table = self._tables.session
        self._connection.execute(table.delete().where(table.c.id == session_id))
        derived = {session_start_id(session_id).int, session_end_id(session_id).int}
        for row in read_rows_by_id(self._connection, EventRow, self._tables.event, derived):
            self._remove_event(row)

    def write(self) -> None:
        """Insert and update the session rows, and note the ``session.start`` of the new ones."""
        self._find_people()
        opened, moved_on, changed = [], [], []
        marks = self._transaction.totals.marks
        for _, session in sorted(self._sessions.items()):
            row, stored = session.row, session.stored
            if row.started_at < marks.today:
                marks.note_change(stored, row)
            if stored is None:
                opened.append(row)
                self.touched.append(row)
                self._start(row)
            elif _rest_of(row) != _rest_of(stored):
                changed.append(row)
                if _touch_of(row) != _touch_of(stored):
                    self.touched.append(row)
                self._move_start(row, stored)
            elif _progress_of(row) != _progress_of(stored):
                moved_on.append(row)
        table = self._tables.session
        insert_rows(self._connection, table, opened)
        update_rows(self._connection, table, _PROGRESS_COLUMNS, moved_on)
        update_rows(self._connection, table, _ALL_COLUMNS, changed)

    def _find_people(self) -> None:
        """Find the person of each session that is new or has another profile than before."""
        rows = [
            session.row
            for session in self._sessions.values()
            if session.stored is None or session.row.uuid != session.stored.uuid
        ]
        people = resolve_people(self._connection, self._tables, {row.uuid for row in rows})
        for row in rows:
            row.person = people[row.uuid]

    def new_events(self) -> list[EventRow]:
        """Return the ``session.*`` events that are not stored; their derived ids tell.

        A stored one that is older than its session is deleted first: while a person is being
        erased, their new events begin the same session anew.
        """
        ids = {row.id.int for row in self._events}
        kept = set[int]()
        for row in read_rows_by_id(self._connection, EventRow, self._tables.event, ids):
            if self._is_older_than_session(row):
                self._remove_event(row)
            else:
                kept.add(row.id.int)
        return [row for row in self._events if row.id.int not in kept]

    def _is_older_than_session(self, row: EventRow) -> bool:
        session = self.find(row.session_id) if row.session_id else None
        return session is not None and row.time < session.row.started_at - _JUST_BEFORE

    def _remove_event(self, row: EventRow) -> None:
        table = self._tables.event
        self._transaction.totals.count_stored(row, by=-1)
        self._connection.execute(table.delete().where(table.c.id == row.id))

    def _start(self, row: SessionRow) -> None:
        at = row.started_at - _JUST_BEFORE
        self._add_event(SESSION_START, session_start_id(row.id), row, at, "Started session", {})
        self.started.append(row.id)

    def _move_start(self, row: SessionRow, stored: SessionRow) -> None:
        """Move a stored ``session.start``: two requests may open a session; the earlier counts."""
        if row.started_at >= stored.started_at:
            return
        if row.started_at.date() != stored.started_at.date():
            session = self._tables.session
            leave_moved(self._connection, session, session.c.id == row.id)
        table = self._tables.event
        start_id = session_start_id(row.id).int
        for start in read_rows_by_id(self._connection, EventRow, table, {start_id}):
            self._transaction.totals.count_stored(start, by=-1)
            start.time = row.started_at - _JUST_BEFORE
            self._transaction.totals.count_stored(start, by=1)
            update_rows(self._connection, table, ("time",), [start])

    def _add_event(
        self,
        action: str,
        event_id: uuidlib.UUID,
        session: SessionRow,
        at: dt.datetime,
        label: str,
        params: dict[str, t.Any],
    ) -> None:
        now = self._transaction.now
        if self._transaction.admits(action, session.site):
            event = Event(
                id=event_id,
                action=action,
                time=at,
                received_at=now,
                uuid=session.uuid,
                params=params,
                label=label,
                site=session.site,
                session=SessionRef(session.id, session.device_id, session.started_at),
            )
            self._events.append(row_of(event, now))


def later_owner(owner: uuidlib.UUID, profile: uuidlib.UUID) -> uuidlib.UUID:
    """Return the profile of a session after an event of ``profile``.

    A session ends with a log-out. So an anonymous event after a log-in has an old cookie.
    """
    return owner if is_customer(owner) and not is_customer(profile) else profile


def end_row(row: SessionRow, reason: str) -> dict[str, t.Any]:
    """End a session with what happened in it last; return the parameters of its ``session.end``."""
    row.ended_at = row.last_seen_at
    return {
        "duration": (row.last_seen_at - row.started_at).total_seconds(),
        "pages": row.pages,
        "events": row.events,
        "reason": reason,
    }


def _new_row(event: Event, session: SessionRef) -> SessionRow:
    started_at = to_utc(session.started_at)
    return SessionRow(
        id=session.id,
        uuid=event.uuid,
        device_id=session.device_id,
        started_at=started_at,
        last_seen_at=started_at,
        site=event.site,
    )


def _fill_unknown(row: SessionRow, facts: _Facts) -> None:
    for name in _CLIENT_COLUMNS:
        if not getattr(row, name):
            setattr(row, name, facts.get(name))


def _move_pages(row: SessionRow, event: Event, facts: Facts) -> None:
    page = str(event.params.get("path") or event.params.get("name") or "")[:_PATH_MAX_LENGTH]
    if row.entry_at is None or event.time < row.entry_at:
        row.entry, row.entry_at = page, to_utc(event.time)
        row.entry_rule = event.url_rule or None
        origin = _find_origin(event, facts)
        for name in _ORIGIN_COLUMNS:
            setattr(row, name, origin.get(name))
    if row.exit_at is None or event.time >= row.exit_at:
        row.exit, row.exit_at = page, to_utc(event.time)
        row.exit_rule = event.url_rule or None


def _find_origin(event: Event, facts: Facts) -> _Facts:
    url, referrer = event.params.get("url"), event.params.get("referrer")
    if not isinstance(url, str):
        return {}
    return facts.describe_origin(url, referrer if isinstance(referrer, str) else "", event.campaign)


def end_silent_sessions(
    transaction: Transaction, silent_since: dt.datetime, limit: dt.datetime
) -> list[tuple[uuidlib.UUID, EndReason]]:
    """End up to 200 sessions that were last active before ``silent_since``.

    Locking the rows, ending them and writing their ``session.end`` is one transaction. The derived
    id keeps that event unique even if a lock were lost.

    :param limit: the latest moment that the database's clock allows; see :func:`.clock.is_older`.
    :returns: the sessions that were ended here. Fewer than 200 may mean that another process
        holds the rest.
    """
    connection, tables, totals = transaction.connection, transaction.tables, transaction.totals
    book = SessionBook(transaction)
    table = tables.session
    silent = read_rows(
        connection,
        SessionRow,
        sa.select(*own_columns(table))
        .where(
            table.c.ended_at.is_(None),
            # Implied by the next line; it is here for the index, which has no last_seen_at.
            table.c.started_at < silent_since,
            is_older(table.c.last_seen_at, silent_since, transaction.now, limit),
        )
        .order_by(table.c.ended_at, table.c.started_at)
        .limit(_SWEEP_SIZE)
        .with_for_update(skip_locked=True),
    )
    book.take(silent)
    for row in silent:
        book.end(SessionEnd(session_id=row.id, reason="timeout"))
    book.write()
    ends = sorted(book.new_events(), key=lambda row: row.id)
    insert_rows(connection, tables.event, ends)
    totals.count_new(ends)
    totals.write(connection, tables, transaction.now)
    return book.ended
