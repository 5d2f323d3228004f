"""Events with old cookies: only the writer knows which of a device's sessions goes on.

A websocket or a stream has the cookies of the request that opened it, which do not tell what the
visitor did meanwhile. According to these cookies the session is over, and the device's next one
begins. The writer finds the session that was active within the timeout, whatever its number.

This needs a request with a session cookie, which names the session before. A device cookie alone
never leads into an open session: it may be a copy.

Most events name a session that is stored and was active since it began. For them this is only a
comparison.
"""

from __future__ import annotations

import collections.abc as cabc
import datetime as dt
import uuid as uuidlib

import msgspec

from ..ids import session_id_of
from ..records import Event, SessionEnd, SessionRef
from .sessions import SessionBook, later_owner

# How far a session's number may be from the cookie's: the visitor may begin sessions elsewhere
# while a connection lasts.
_STEPS = (*range(-20, 0), *range(1, 21))


class _Life(msgspec.Struct):
    """What is known of a session. ``is_over`` says that no later event belongs to it."""

    began: dt.datetime
    last: dt.datetime
    uuid: uuidlib.UUID
    is_over: bool


class OldCookies:
    """Says which sessions the events of a batch belong to.

    :param ends: the ends of sessions in the batch.
    """

    def __init__(self, sessions: SessionBook, ends: cabc.Iterable[SessionEnd]) -> None:
        self._sessions = sessions
        self._left = {end.session_id.int for end in ends if end.reason == "logout"}
        self._lives: dict[int, _Life] = {}

    def settle(self, events: cabc.Sequence[Event]) -> cabc.Sequence[Event]:
        """Return the events, each with the session that it belongs to.

        The sessions that the events name are loaded before this call.
        """
        suspects = {
            ref.id: ref
            for event in events
            if (ref := event.session) is not None
            and self._is_suspect(ref)
            and not event.is_engagement  # which opens no session
        }
        if not suspects:
            return events
        self._load(suspects.values())
        devices = {ref.device_id for ref in suspects.values()}
        return [
            self._place(event, event.session)
            if event.session is not None
            and event.session.device_id in devices
            and not event.is_engagement
            else event
            for event in events
        ]

    def settle_end(self, end: SessionEnd) -> SessionEnd:
        """Return an end with the session that the customer was really in when they left."""
        ref = end.session
        if ref is None or not self._is_suspect(ref):
            return end
        self._load([ref])
        return msgspec.structs.replace(end, session_id=self._find(ref, None).id)

    def _is_suspect(self, ref: SessionRef) -> bool:
        if not ref.number:
            return False
        session = self._sessions.find(ref.id)
        return session is None or ref.started_at > session.row.last_seen_at

    def _load(self, refs: cabc.Iterable[SessionRef]) -> None:
        """Load the device's sessions with nearby numbers."""
        self._sessions.load({_neighbour(ref, step).int for ref in refs for step in _STEPS})

    def _place(self, event: Event, ref: SessionRef) -> Event:
        found = self._find(ref, event.uuid)
        self._note(event, found)
        return event if found is ref else msgspec.structs.replace(event, session=found)

    def _find(self, ref: SessionRef, profile: uuidlib.UUID | None) -> SessionRef:
        """Return the session that goes on, or the one that begins if none does."""
        own = self._find_life(ref.id)
        if not ref.number or (own is not None and self._goes_on(own, ref)):
            return ref
        lives = [
            (life, step) for step in _STEPS if (life := self._find_life(_neighbour(ref, step)))
        ]
        open_ones = [(life, step) for life, step in lives if self._takes(life, ref, profile)]
        if open_ones:
            life, step = max(open_ones, key=lambda found: found[0].last)
            return _name(ref, step, life.began)
        taken = {step for _, step in lives} | ({0} if own else set())
        free = next((step for step in (0, *_STEPS) if step >= 0 and step not in taken), 0)
        return _name(ref, free, ref.started_at) if free else ref

    def _takes(self, life: _Life, ref: SessionRef, profile: uuidlib.UUID | None) -> bool:
        """Whether a session goes on and belongs to the same person.

        A log-out gives the device a new profile. So the first profile is from before any log-out.
        """
        is_theirs = profile is None or life.uuid == profile
        is_first = ref.device_id in (life.uuid, profile)
        return not life.is_over and (is_theirs or is_first) and self._goes_on(life, ref)

    def _goes_on(self, life: _Life, ref: SessionRef) -> bool:
        return self._sessions.goes_on(life.last, ref.started_at)

    def _find_life(self, session_id: uuidlib.UUID) -> _Life | None:
        life = self._lives.get(session_id.int)
        if life is None and (session := self._sessions.find(session_id)) is not None:
            row = session.row
            is_over = row.ended_at is not None or session_id.int in self._left
            life = _Life(row.started_at, row.last_seen_at, row.uuid, is_over)
            self._lives[session_id.int] = life
        return life

    def _note(self, event: Event, ref: SessionRef) -> None:
        """Remember how an event of this batch changes its session."""
        life = self._find_life(ref.id)
        if life is None:
            is_over = ref.id.int in self._left
            last = max(ref.started_at, event.time)
            self._lives[ref.id.int] = _Life(ref.started_at, last, event.uuid, is_over)
        elif event.time >= life.last:
            life.last = event.time
            life.uuid = later_owner(life.uuid, event.uuid)


def _name(ref: SessionRef, step: int, began: dt.datetime) -> SessionRef:
    session_id = _neighbour(ref, step)
    return SessionRef(session_id, ref.device_id, began, ref.vouched, ref.number + step)


def _neighbour(ref: SessionRef, step: int) -> uuidlib.UUID:
    return session_id_of(ref.device_id, ref.number + step)
