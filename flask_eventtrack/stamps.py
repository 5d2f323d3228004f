"""Rows of the host's own tables that say in which session they were made: ``TracksSession``."""

from __future__ import annotations

import typing as t
import uuid as uuidlib

import sqlalchemy as sa
from flask import has_app_context, has_request_context, request
from sqlalchemy import event
from sqlalchemy.orm import InstanceState, Mapped, Mapper, mapped_column

from .request.context import get_current_now
from .request.host_login import resolve
from .request.navigation import find_visit
from .request.outside import find_block, read_visitor
from .state import State, find_state, this_app
from .store.dialects import family_of

_KEY = "eventtrack_stamp"
_IDS = ("eventtrack_session_id", "eventtrack_uuid", "eventtrack_visit_id")
# Columns of the touch, and those of the session's row that they come from.
_TOUCH = {
    "eventtrack_source": "source",
    "eventtrack_medium": "utm_medium",
    "eventtrack_campaign": "utm_campaign",
    "eventtrack_channel": "channel",
}


class TracksSession:
    """A mixin for a model of your own, such as an order: its rows say where they come from.

    ::

        class Order(TracksSession, db.Model):
            id: Mapped[int] = mapped_column(primary_key=True)

    An object that is made in a request, or in ``events.as_visitor()``, gets these columns when its
    row is inserted. All are NULL if it was made elsewhere, if the visitor refused, is a bot or is
    left out by ``EVENTTRACK_VISITOR_FILTER``, and without ``EVENTTRACK_ENABLED`` or
    ``EVENTTRACK_PRIVACY_IDENTITY``. A value that you set yourself stays. With
    ``eventtrack_session_id=None`` all stay NULL.

    - ``eventtrack_session_id``: the session, indexed: the open one, or the one that the visitor's
      next event will open.
    - ``eventtrack_uuid``: the visitor's profile when the object was made.
    - ``eventtrack_visit_id``: the page visit in whose request it was made. A POST has none.
    - ``eventtrack_source``, ``eventtrack_medium``, ``eventtrack_campaign`` and
      ``eventtrack_channel``: where the session came from. They are NULL if the session's row is not
      stored yet, if the events are in another database, and in a process that has not stored
      a session yet. A join on the session id has them as soon as the session is stored.
    """

    if t.TYPE_CHECKING:
        eventtrack_session_id: Mapped[uuidlib.UUID | None]
        eventtrack_uuid: Mapped[uuidlib.UUID | None]
        eventtrack_visit_id: Mapped[uuidlib.UUID | None]
        eventtrack_source: Mapped[str | None]
        eventtrack_medium: Mapped[str | None]
        eventtrack_campaign: Mapped[str | None]
        eventtrack_channel: Mapped[str | None]
    else:
        # Without annotations: a dataclass would make them fields, and arguments of its __init__.
        eventtrack_session_id = mapped_column(sa.Uuid(), index=True)
        eventtrack_uuid = mapped_column(sa.Uuid())
        eventtrack_visit_id = mapped_column(sa.Uuid())
        eventtrack_source = mapped_column(sa.String(255))
        eventtrack_medium = mapped_column(sa.String(255))
        eventtrack_campaign = mapped_column(sa.String(255))
        eventtrack_channel = mapped_column(sa.String(16))


# Who makes an object: the values of the first three columns. They are pickled with the object.
_Stamp = tuple[uuidlib.UUID, uuidlib.UUID, uuidlib.UUID | None]


@event.listens_for(TracksSession, "init", propagate=True)
def _note_maker(target: object, args: object, kwargs: object) -> None:
    """Note who makes an object. Its attributes wait until the row is inserted: ``merge()`` would
    copy them to a row that exists already."""
    stamp, token, is_request = None, find_block(), has_request_context()
    may_act = is_request or (token is not None and has_app_context())
    state = find_state(this_app()) if may_act else None
    if state is not None:
        with state.guard("stamping an object"):
            stamp = _make_stamp(state, token)
        if is_request:
            request.__dict__[_KEY] = stamp
    _state_of(target).info[_KEY] = stamp


def _make_stamp(state: State, token: str | None) -> _Stamp | None:
    if not (state.config.enabled and state.config.privacy_identity) or token == "":
        return None
    if token is not None:
        named = read_visitor(state, token)
        return named.session_id, named.uuid, named.visit_id
    current = get_current_now(state)
    if not current.verdict.is_person:
        return None
    visitor = resolve(current)
    if visitor.is_new:
        current.recorded = True  # else its cookies are not sent, and the session is never opened
    return visitor.session_id, visitor.uuid, find_visit(current)


@event.listens_for(TracksSession, "before_insert", propagate=True)
def _stamp_row(mapper: Mapper[t.Any], connection: sa.Connection, target: object) -> None:
    instance = _state_of(target)
    stamp = _find_stamp(instance)
    session_id = instance.dict.get(_IDS[0], stamp and stamp[0])
    if stamp is None or session_id is None:  # which the host may say
        return
    values: dict[str, t.Any] = dict(zip(_IDS, stamp, strict=True))
    state = find_state(this_app()) if has_app_context() else None
    if state is not None:
        with state.guard("reading where a session came from"):
            values |= _find_touch(state, session_id, connection)
    for name in values.keys() - instance.dict.keys():
        setattr(target, name, values[name])


def _find_stamp(instance: InstanceState[t.Any]) -> _Stamp | None:
    # An object that merge() makes has none: it gets that of the object that was given.
    last = request.__dict__.get(_KEY) if has_request_context() else None
    stamp: _Stamp | None = instance.info.get(_KEY, last)
    return stamp


def _find_touch(
    state: State, session_id: uuidlib.UUID, connection: sa.Connection
) -> dict[str, t.Any]:
    """Return where a session came from, as values or as SQL for the INSERT."""
    database, writer = state.pipeline.database, state.pipeline.writer
    # Until then the table may lack a column, and the host's INSERT would fail.
    if not (database.is_of(connection) and writer.has_stored_sessions):
        return {}
    session = database.tables.session
    columns = {name: session.c[column] for name, column in _TOUCH.items()}
    is_it = session.c.id == session_id
    if family_of(connection) != "mysql":
        return {n: sa.select(c).where(is_it).scalar_subquery() for n, c in columns.items()}
    # Within an INSERT, InnoDB locks the row that is read until the host commits: the writer would
    # wait for the host, and the host for the writer. A query of its own reads without a lock.
    row = connection.execute(sa.select(*columns.values()).where(is_it)).one_or_none()
    return {} if row is None else dict(zip(columns, row, strict=True))


def _state_of(target: object) -> InstanceState[t.Any]:
    return t.cast("InstanceState[t.Any]", sa.inspect(target))
