"""Stand-in sessions, which a page in a browser without cookies opens until its visitor is known.

A browser's half of a page visit may come without cookies, or before the half of the server. It then
belongs to a device and a session of its own, made for this one request. Once both halves are
written, the server's half says which session the visit belongs to: the browser's session only stood
in for it. Its events move to the visit's session, and it is removed.

A session is a stand-in for another one if all of this is true:

- its device is not the other session's;
- it has no page but this visit;
- none of its events has a profile other than the device's original one.

Otherwise it is a visitor's own: the device went on to another page, or its visitor logged in. Then
only the visit moves, if it was counted there.
"""

from __future__ import annotations

import dataclasses
import typing as t
import uuid as uuidlib

import msgspec
import sqlalchemy as sa

from ..records import SessionRef
from .rows import EventRow, SessionRow
from .sessions import Session, SessionBook, Transaction


class Move(msgspec.Struct, frozen=True, gc=False):
    """A page visit that a browser reported in the session ``old_id``, and the server in another.

    ``uuid`` is the visit's profile. ``pages`` is 1 if the old session has counted the visit, and 0
    if it has not.
    """

    old_id: uuidlib.UUID
    session: SessionRef
    uuid: uuidlib.UUID
    pages: t.Literal[0, 1]


@dataclasses.dataclass(frozen=True, slots=True)
class StandIns:
    """Applies moves to the sessions that a batch holds locked.

    :param rows: the batch's new events, which are not stored yet.
    """

    transaction: Transaction
    sessions: SessionBook
    rows: list[EventRow]

    def move(self, move: Move) -> None:
        """Count a visit in the session that it belongs to, with a stand-in's other events."""
        old, new = self.sessions.find(move.old_id), self.sessions.find(move.session.id)
        if old is None or new is None or old is new:
            return
        is_stand_in = self._is_stand_in(old, new, move.pages)
        events = old.row.events if is_stand_in else move.pages
        new.row.pages += move.pages
        new.row.events += events
        old.row.pages -= move.pages
        old.row.events -= events
        if is_stand_in:
            _extend(new.row, old.row)
            self.sessions.remove(move.old_id)
            self._move_events(move)

    def _is_stand_in(self, old: Session, new: Session, pages: int) -> bool:
        return (
            old.row.device_id != new.row.device_id
            and old.row.pages == pages
            and not self._has_other_profile(old)
        )

    def _has_other_profile(self, session: Session) -> bool:
        """Whether the session has an event of a profile other than the device's original one."""
        if session.has_other_profile or session.stored is None:
            return session.has_other_profile
        event, row = self.transaction.tables.event, session.row
        is_others = sa.and_(event.c.session_id == row.id, event.c.uuid != row.device_id)
        return (
            self.transaction.connection.scalar(sa.select(event.c.id).where(is_others).limit(1))
            is not None
        )

    def _move_events(self, move: Move) -> None:
        for row in self.rows:
            if row.session_id == move.old_id:
                row.session_id, row.uuid = move.session.id, move.uuid
        event = self.transaction.tables.event
        update = event.update().where(event.c.session_id == move.old_id)
        self.transaction.connection.execute(
            update.values(session_id=move.session.id, uuid=move.uuid)
        )


def _extend(row: SessionRow, other: SessionRow) -> None:
    """Make a session that has not ended reach as far as another one."""
    if row.ended_at is None:
        row.last_seen_at = max(row.last_seen_at, other.last_seen_at)
        if other.exit_at is not None and (row.exit_at is None or other.exit_at >= row.exit_at):
            row.exit, row.exit_at, row.exit_rule = other.exit, other.exit_at, other.exit_rule
