"""Session rows: opened by a session's first event, moved on by each, ended once."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses
import datetime as dt
import typing as t
import uuid as uuidlib

import sqlalchemy as sa

from ..event import (
    CAMPAIGN,
    PAGE_VISIT,
    SCREEN_VIEW,
    SESSION_END,
    SESSION_START,
    EndReason,
    Event,
    SessionRef,
    session_end_id,
    session_start_id,
)
from .counts import Counts
from .tables import Tables

Row = dict[str, t.Any]
#: Which columns of a session an event tells: client, referrer, source and campaign.
Describe = cabc.Callable[[Event], cabc.Mapping[str, str | None]]
Admits = cabc.Callable[[str, str], bool]

_SWEEP_SIZE = 200
_PATH_MAX_LENGTH = 255
_CLIENT_COLUMNS = ("browser", "os", "device_type", "language", "country")
_ORIGIN_COLUMNS = (
    "referrer",
    "source",
    *CAMPAIGN,
)
_JUST_BEFORE = dt.timedelta(microseconds=1)


@dataclasses.dataclass(slots=True)
class _Session:
    row: Row
    stored_start: dt.datetime | None = None
    changed: bool = False


class SessionBook:
    """The sessions that a batch touches, and the ``session.*`` events that come of it."""

    def __init__(
        self,
        connection: sa.Connection,
        tables: Tables,
        now: dt.datetime,
        counts: Counts,
        admits: Admits,
    ) -> None:
        self._connection = connection
        self._tables = tables
        self._now = now
        self._counts = counts
        self._admits = admits
        self._sessions: dict[uuidlib.UUID, _Session] = {}
        self.events: list[Row] = []
        self.started: list[uuidlib.UUID] = []
        self.ended: list[tuple[uuidlib.UUID, EndReason]] = []

    def load(self, ids: cabc.Iterable[uuidlib.UUID]) -> None:
        """Read and lock the sessions among ``ids`` that are stored."""
        missing = sorted(set(ids) - self._sessions.keys())
        if missing:
            table = self._tables.session
            self.take(sa.select(table).where(table.c.id.in_(missing)).with_for_update())

    def take(self, query: sa.Select[t.Any]) -> list[uuidlib.UUID]:
        """Read the sessions of ``query`` and return their ids."""
        rows = self._connection.execute(query.order_by(self._tables.session.c.id)).mappings().all()
        for row in rows:
            self._sessions[row["id"]] = _Session(dict(row), stored_start=row["started_at"])
        return [row["id"] for row in rows]

    def count(self, event: Event, session: SessionRef, by: int, describe: Describe) -> None:
        """Move a session on by one of its events; ``by=0`` when it was counted before."""
        entry = self._sessions.get(session.id)
        if entry is None:
            entry = self._sessions[session.id] = _Session(_new_row(event, session))
        row = entry.row
        entry.changed = True
        row["started_at"] = min(row["started_at"], session.started_at)
        row["events"] += by
        is_page = event.action in {PAGE_VISIT, SCREEN_VIEW}
        if is_page:
            row["pages"] += by
        facts = describe(event)
        for name in _CLIENT_COLUMNS:
            row[name] = row[name] or facts.get(name)
        # A late event keeps its time and counts, but moves nothing.
        if event.time < row["started_at"] or row["ended_at"] is not None:
            return
        if event.time >= row["last_seen_at"]:
            row["last_seen_at"] = event.time
            row["uuid"] = event.uuid
        if is_page:
            _move_pages(row, event, facts)

    def move(self, old_id: uuidlib.UUID, session: SessionRef) -> bool:
        """Move a page visit from the session it was counted in to the one it belongs to.

        :returns: True if the old one was a stand-in, made for a browser without cookies: then all
            of it has moved, and it is gone.
        """
        old, new = self._sessions.get(old_id), self._sessions[session.id]
        if old is None or old is new:
            return False
        is_stand_in: bool = old.row["device_id"] != new.row["device_id"]
        pages, events = (old.row["pages"], old.row["events"]) if is_stand_in else (1, 1)
        new.row["pages"] += pages
        new.row["events"] += events
        if is_stand_in:
            _extend(new.row, old.row)
            self._drop(old_id, old)
        else:
            old.row["pages"] -= 1
            old.row["events"] -= 1
            old.changed = True
        return is_stand_in

    def _drop(self, session_id: uuidlib.UUID, entry: _Session) -> None:
        del self._sessions[session_id]
        if entry.stored_start is None:
            return
        table, event = self._tables.session, self._tables.event
        self._connection.execute(table.delete().where(table.c.id == session_id))
        for event_id in (session_start_id(session_id), session_end_id(session_id)):
            found = self._connection.execute(sa.select(event).where(event.c.id == event_id))
            for row in found.mappings().all():
                self._counts.count_row(dict(row), by=-1)
                self._connection.execute(event.delete().where(event.c.id == event_id))

    def end(self, session_id: uuidlib.UUID, reason: EndReason) -> None:
        """End a session, if it is stored and has not been ended."""
        entry = self._sessions.get(session_id)
        if entry is None or entry.row["ended_at"] is not None:
            return
        row = entry.row
        row["ended_at"] = row["last_seen_at"]
        entry.changed = True
        params = {
            "duration": (row["last_seen_at"] - row["started_at"]).total_seconds(),
            "pages": row["pages"],
            "events": row["events"],
            "reason": reason,
        }
        self._add_event(
            SESSION_END, session_end_id(session_id), row, row["last_seen_at"], params, "Session end"
        )
        self.ended.append((session_id, reason))

    def write(self) -> None:
        """Insert and update the session rows, and note the ``session.start`` of the new ones."""
        table = self._tables.session
        inserts, updates = [], []
        for session_id, entry in sorted(self._sessions.items()):
            if entry.stored_start is None:
                inserts.append(entry.row)
                self._start(session_id, entry.row)
            elif entry.changed:
                updates.append(entry.row)
                self._move_start(session_id, entry)
        if inserts:
            self._connection.execute(table.insert(), inserts)
        if updates:
            self._connection.execute(
                table.update().where(table.c.id == sa.bindparam("session_id")),
                [{**row, "session_id": row["id"]} for row in updates],
            )

    def _start(self, session_id: uuidlib.UUID, row: Row) -> None:
        at = row["started_at"] - _JUST_BEFORE
        self._add_event(SESSION_START, session_start_id(session_id), row, at, {}, "Started session")
        self.started.append(session_id)

    def _move_start(self, session_id: uuidlib.UUID, entry: _Session) -> None:
        """Two requests may open a session at once; the earlier one's start stands."""
        row = entry.row
        if entry.stored_start is None or row["started_at"] >= entry.stored_start:
            return
        table = self._tables.event
        moved = self._connection.execute(
            table.update()
            .where(table.c.id == session_start_id(session_id))
            .values(time=row["started_at"] - _JUST_BEFORE)
        )
        if moved.rowcount:
            self._count_start(row["site"], entry.stored_start, by=-1)
            self._count_start(row["site"], row["started_at"], by=1)

    def _count_start(self, site: str, started_at: dt.datetime, by: int) -> None:
        at = started_at - _JUST_BEFORE
        row = {"time": at, "site": site, "action": SESSION_START, "url_rule": ""}
        self._counts.count_row(row, by)

    def _add_event(
        self,
        action: str,
        event_id: uuidlib.UUID,
        session: Row,
        at: dt.datetime,
        params: dict[str, t.Any],
        label: str,
    ) -> None:
        if not self._admits(action, session["site"]):
            return
        self.events.append(
            {
                "id": event_id,
                "action": action,
                "time": at,
                "received_at": self._now,
                "stored_at": self._now,
                "label": label,
                "uuid": session["uuid"],
                "session_id": session["id"],
                "site": session["site"],
                "url_rule": "",
                "source": "server",
                "claimed_by": None,
                "params": params,
                "undefined": None,
            }
        )


def _new_row(event: Event, session: SessionRef) -> Row:
    row: Row = dict.fromkeys((*_CLIENT_COLUMNS, *_ORIGIN_COLUMNS))
    row.update(
        id=session.id,
        uuid=event.uuid,
        device_id=session.device_id,
        started_at=session.started_at,
        last_seen_at=session.started_at,
        ended_at=None,
        pages=0,
        events=0,
        entry=None,
        entry_at=None,
        exit=None,
        exit_at=None,
        site=event.site,
    )
    return row


def _move_pages(row: Row, event: Event, facts: cabc.Mapping[str, str | None]) -> None:
    page = str(event.params.get("path") or event.params.get("name") or "")[:_PATH_MAX_LENGTH]
    if row["entry_at"] is None or event.time < row["entry_at"]:
        row["entry"], row["entry_at"] = page, event.time
        row.update({name: facts.get(name) for name in _ORIGIN_COLUMNS})
    if row["exit_at"] is None or event.time >= row["exit_at"]:
        row["exit"], row["exit_at"] = page, event.time


def _extend(row: Row, other: Row) -> None:
    """Have a session reach as far as another."""
    if row["ended_at"] is None:
        row["last_seen_at"] = max(row["last_seen_at"], other["last_seen_at"])
        if other["exit_at"] is not None and (
            row["exit_at"] is None or other["exit_at"] >= row["exit_at"]
        ):
            row["exit"], row["exit_at"] = other["exit"], other["exit_at"]


def insert_new(connection: sa.Connection, tables: Tables, rows: list[Row], counts: Counts) -> None:
    """Insert and count the ``session.*`` events that are not there: their ids are derived."""
    column = tables.event.c.id
    ids = [row["id"] for row in rows]
    known = set(connection.scalars(sa.select(column).where(column.in_(ids)))) if ids else set()
    new = sorted((row for row in rows if row["id"] not in known), key=lambda row: row["id"])
    if new:
        connection.execute(tables.event.insert(), new)
    for row in new:
        counts.count_row(row)


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
    book = SessionBook(connection, tables, now, counts, admits)
    table = tables.session
    ids = book.take(
        sa.select(table)
        .where(table.c.ended_at.is_(None), table.c.last_seen_at < silent_since)
        .limit(_SWEEP_SIZE)
        .with_for_update(skip_locked=True)
    )
    for session_id in ids:
        book.end(session_id, "timeout")
    insert_new(connection, tables, book.events, counts)
    book.write()
    counts.write(connection, tables)
    return book.ended
