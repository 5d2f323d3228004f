"""Session rows: opened by a session's first event, moved on by each, ended once."""

from __future__ import annotations

import collections.abc as cabc
import copy
import datetime as dt
import functools
import operator
import typing as t
import uuid as uuidlib

import msgspec
import sqlalchemy as sa

from ..ids import session_end_id, session_start_id
from ..records import (
    CAMPAIGN,
    PAGE_VISIT,
    SCREEN_VIEW,
    SESSION_END,
    SESSION_START,
    Client,
    EndReason,
    Event,
    SessionRef,
)
from .fast_rows import insert_rows, read_rows, read_rows_by_id, select_rows, update_rows
from .rows import EventRow, SessionRow, to_utc
from .tables import Tables
from .totals import Counts

#: Which columns of a session an event tells: client, referrer, source and campaign.
Describe = cabc.Callable[[Event], cabc.Mapping[str, str | None]]
Admits = cabc.Callable[[str, str], bool]

_SWEEP_SIZE = 200
_PATH_MAX_LENGTH = 255
_PAGES = frozenset({PAGE_VISIT, SCREEN_VIEW})
_CLIENT_COLUMNS = ("browser", "os", "device_type", "language", "country")
_ORIGIN_COLUMNS = ("referrer", "source", *CAMPAIGN)
# What most events move on: none of these columns is in an index.
_PROGRESS_COLUMNS = ("last_seen_at", "pages", "events", "exit", "exit_at")
_ALL_COLUMNS = SessionRow.__struct_fields__[1:]
_progress_of = operator.attrgetter(*_PROGRESS_COLUMNS)
_rest_of = operator.attrgetter(*(name for name in _ALL_COLUMNS if name not in _PROGRESS_COLUMNS))
_NOBODY = uuidlib.UUID(int=0)
_NEVER = dt.datetime.min.replace(tzinfo=dt.UTC)
_JUST_BEFORE = dt.timedelta(microseconds=1)


class _Session(msgspec.Struct):
    """A session's row, what of it is ``stored``, and the ``client`` that it has been asked of.

    ``is_somebodys`` says that an event of the batch is of another profile than the device's first.
    """

    row: SessionRow
    stored: SessionRow | None = None
    client: Client | None = None
    is_somebodys: bool = False


class SessionBook:
    """The sessions that a batch touches, and the ``session.*`` events that come of it."""

    def __init__(
        self,
        connection: sa.Connection,
        tables: Tables,
        now: dt.datetime,
        counts: Counts,
        describe: Describe,
        admits: Admits,
    ) -> None:
        self._connection = connection
        self._tables = tables
        self._now = now
        self._counts = counts
        self._describe = describe
        self._admits = admits
        # By the number of the id: numbers hash and compare faster than UUIDs.
        self._sessions: dict[int, _Session] = {}
        self._events: list[EventRow] = []
        self.started: list[uuidlib.UUID] = []
        self.ended: list[tuple[uuidlib.UUID, EndReason]] = []

    def load(self, ids: set[int]) -> None:
        """Read and lock the sessions among ``ids``, given as numbers, that are stored."""
        missing = ids - self._sessions.keys()
        self.take(read_rows_by_id(self._connection, SessionRow, self._tables.session, missing))

    def take(self, rows: cabc.Iterable[SessionRow]) -> None:
        """Take sessions as they are stored, and locked."""
        for row in rows:
            self._sessions[row.id.int] = _Session(row, copy.copy(row))

    def count(self, event: Event, session: SessionRef, by: int) -> None:
        """Move a session on by one of its events; ``by=0`` when it was counted before."""
        entry = self._sessions.get(session.id.int)
        if entry is None:
            entry = self._sessions[session.id.int] = _Session(_new_row(event, session))
        row = entry.row
        if session.started_at < row.started_at:
            row.started_at = to_utc(session.started_at)
        row.events += by
        entry.is_somebodys |= event.uuid != row.device_id
        is_page = event.action in _PAGES
        if is_page:
            row.pages += by
        if event.client is not None and event.client != entry.client:
            entry.client = event.client
            self._describe_client(row, event.client)
        # A late event keeps its time and counts, but moves nothing.
        if event.time < row.started_at or row.ended_at is not None:
            return
        if event.time >= row.last_seen_at:
            row.last_seen_at = to_utc(event.time)
            row.uuid = event.uuid
        if is_page:
            self._move_pages(row, event)

    def _describe_client(self, row: SessionRow, client: Client) -> None:
        """Fill in what is still unknown."""
        for name, fact in zip(
            _CLIENT_COLUMNS, _describe_client(self._describe, client), strict=True
        ):
            if not getattr(row, name):
                setattr(row, name, fact)

    def _move_pages(self, row: SessionRow, event: Event) -> None:
        page = str(event.params.get("path") or event.params.get("name") or "")[:_PATH_MAX_LENGTH]
        if row.entry_at is None or event.time < row.entry_at:
            row.entry, row.entry_at = page, to_utc(event.time)
            facts = self._describe(event)
            for name in _ORIGIN_COLUMNS:
                setattr(row, name, facts.get(name))
        if row.exit_at is None or event.time >= row.exit_at:
            row.exit, row.exit_at = page, to_utc(event.time)

    def move(self, old_id: uuidlib.UUID, session: SessionRef, pages: int) -> bool:
        """Move a page visit from the session it was counted in to the one it belongs to.

        :param pages: 0 if it was not counted in the old one, else 1.
        :returns: True if the old one was a stand-in, made for this page of a browser without
            cookies: then all of it has moved, and it is gone. It is no stand-in if its device has
            gone on to another page or logged in: then it is somebody.
        """
        old, new = self._sessions.get(old_id.int), self._sessions[session.id.int]
        if old is None or old is new:
            return False
        is_stand_in = (
            old.row.device_id != new.row.device_id
            and old.row.pages == pages
            and not self._is_somebodys(old)
        )
        events = old.row.events if is_stand_in else pages
        new.row.pages += pages
        new.row.events += events
        old.row.pages -= pages
        old.row.events -= events
        if is_stand_in:
            _extend(new.row, old.row)
            self._drop(old)
        return is_stand_in

    def _is_somebodys(self, entry: _Session) -> bool:
        """Whether a session has an event of another profile than its device's first."""
        if entry.is_somebodys or entry.stored is None:
            return entry.is_somebodys
        event, row = self._tables.event, entry.row
        of_others = sa.and_(event.c.session_id == row.id, event.c.uuid != row.device_id)
        return self._connection.scalar(sa.select(event.c.id).where(of_others).limit(1)) is not None

    def _drop(self, entry: _Session) -> None:
        session_id = entry.row.id
        del self._sessions[session_id.int]
        if entry.stored is None:
            return
        table, event = self._tables.session, self._tables.event
        self._connection.execute(table.delete().where(table.c.id == session_id))
        derived = {session_start_id(session_id).int, session_end_id(session_id).int}
        for row in read_rows_by_id(self._connection, EventRow, event, derived):
            self._remove(row)

    def _remove(self, row: EventRow) -> None:
        table = self._tables.event
        self._counts.count_stored(row, by=-1)
        self._connection.execute(table.delete().where(table.c.id == row.id))

    def end(self, session_id: uuidlib.UUID, reason: EndReason) -> None:
        """End a session, if it is stored and has not been ended."""
        entry = self._sessions.get(session_id.int)
        if entry is None or entry.row.ended_at is not None:
            return
        row = entry.row
        row.ended_at = row.last_seen_at
        params = {
            "duration": (row.last_seen_at - row.started_at).total_seconds(),
            "pages": row.pages,
            "events": row.events,
            "reason": reason,
        }
        self._add_event(
            SESSION_END, session_end_id(session_id), row, row.last_seen_at, params, "Session end"
        )
        self.ended.append((session_id, reason))

    def write(self) -> None:
        """Insert and update the session rows, and note the ``session.start`` of the new ones."""
        opened, moved_on, changed = [], [], []
        for _, entry in sorted(self._sessions.items()):
            row, stored = entry.row, entry.stored
            if stored is None:
                opened.append(row)
                self._start(row)
            elif _rest_of(row) != _rest_of(stored):
                changed.append(row)
                self._move_start(row, stored)
            elif _progress_of(row) != _progress_of(stored):
                moved_on.append(row)
        table = self._tables.session
        insert_rows(self._connection, table, opened)
        update_rows(self._connection, table, _PROGRESS_COLUMNS, moved_on)
        update_rows(self._connection, table, _ALL_COLUMNS, changed)

    def _start(self, row: SessionRow) -> None:
        at = row.started_at - _JUST_BEFORE
        self._add_event(SESSION_START, session_start_id(row.id), row, at, {}, "Started session")
        self.started.append(row.id)

    def _move_start(self, row: SessionRow, stored: SessionRow) -> None:
        """Two requests may open a session at once; the earlier one's start stands."""
        if row.started_at >= stored.started_at:
            return
        table = self._tables.event
        start_id = session_start_id(row.id).int
        for start in read_rows_by_id(self._connection, EventRow, table, {start_id}):
            self._counts.count_stored(start, by=-1)
            start.time = row.started_at - _JUST_BEFORE
            self._counts.count_stored(start, by=1)
            update_rows(self._connection, table, ("time",), [start])

    def _add_event(
        self,
        action: str,
        event_id: uuidlib.UUID,
        session: SessionRow,
        at: dt.datetime,
        params: dict[str, t.Any],
        label: str,
    ) -> None:
        if self._admits(action, session.site):
            self._events.append(
                EventRow(
                    id=event_id,
                    action=action,
                    time=at,
                    received_at=self._now,
                    stored_at=self._now,
                    label=label,
                    uuid=session.uuid,
                    session_id=session.id,
                    site=session.site,
                    url_rule="",
                    source="server",
                    claimed_by=None,
                    params=params,
                    undefined=None,
                )
            )

    def new_events(self) -> list[EventRow]:
        """Return the ``session.*`` events that are not stored: their ids are derived.

        One that is stored from before its session's start goes: a person is being erased, and has
        begun the session anew.
        """
        ids = {row.id.int for row in self._events}
        kept = set[int]()
        for row in read_rows_by_id(self._connection, EventRow, self._tables.event, ids):
            if self._is_from_before(row):
                self._remove(row)
            else:
                kept.add(row.id.int)
        return [row for row in self._events if row.id.int not in kept]

    def _is_from_before(self, row: EventRow) -> bool:
        session_id = row.session_id
        entry = self._sessions.get(session_id.int) if session_id else None
        return entry is not None and row.time < entry.row.started_at - _JUST_BEFORE


@functools.lru_cache(maxsize=1024)
def _describe_client(describe: Describe, client: Client) -> tuple[str | None, ...]:
    """Return the columns that a client tells; the same client comes again page after page."""
    facts = describe(
        Event(
            id=_NOBODY,
            action="",
            time=_NEVER,
            received_at=_NEVER,
            uuid=_NOBODY,
            params={},
            client=client,
        )
    )
    return tuple(facts.get(name) for name in _CLIENT_COLUMNS)


def _new_row(event: Event, session: SessionRef) -> SessionRow:
    started_at = to_utc(session.started_at)
    unknown = dict.fromkeys((*_CLIENT_COLUMNS, *_ORIGIN_COLUMNS))
    return SessionRow(
        **unknown,
        id=session.id,
        uuid=event.uuid,
        device_id=session.device_id,
        started_at=started_at,
        last_seen_at=started_at,
        ended_at=None,
        pages=0,
        events=0,
        entry=None,
        entry_at=None,
        exit=None,
        exit_at=None,
        site=event.site,
    )


def _extend(row: SessionRow, other: SessionRow) -> None:
    """Have a session reach as far as another."""
    if row.ended_at is None:
        row.last_seen_at = max(row.last_seen_at, other.last_seen_at)
        if other.exit_at is not None and (row.exit_at is None or other.exit_at >= row.exit_at):
            row.exit, row.exit_at = other.exit, other.exit_at


def end_silent_sessions(
    connection: sa.Connection,
    tables: Tables,
    silent_since: dt.datetime,
    now: dt.datetime,
    admits: Admits,
) -> list[tuple[uuidlib.UUID, EndReason]]:
    """End up to 200 sessions whose last activity lies before ``silent_since``.

    Claiming the rows, ending them and writing their ``session.end`` is one transaction; the derived
    id keeps the event single even where a lock were lost.

    :returns: the sessions that were ended here. Fewer than 200 may mean that another process
        holds the rest.
    """
    counts = Counts()
    book = SessionBook(connection, tables, now, counts, lambda event: {}, admits)
    table = tables.session
    # The index holds when sessions started, which was before they fell silent.
    silent = read_rows(
        connection,
        SessionRow,
        select_rows(connection.dialect.name, table)
        .where(
            table.c.ended_at.is_(None),
            table.c.started_at < silent_since,
            table.c.last_seen_at < silent_since,
        )
        .order_by(table.c.ended_at, table.c.started_at)
        .limit(_SWEEP_SIZE)
        .with_for_update(skip_locked=True),
    )
    book.take(silent)
    for row in silent:
        book.end(row.id, "timeout")
    book.write()
    ends = sorted(book.new_events(), key=lambda row: row.id)
    insert_rows(connection, tables.event, ends)
    counts.count_new(ends)
    counts.write(connection, tables)
    return book.ended
