"""The road of every recorded event: who it belongs to, the put, log-in and log-out."""

from __future__ import annotations

import collections.abc as cabc
import datetime as dt
import typing as t
import uuid as uuidlib

from ..errors import InvalidEvent
from ..ids import uuid7
from ..records import Client, Event, Outcome, SessionRef, from_ns
from ..signals import event_accepted
from ..state import State, send, this_app
from ..store import insert_uncounted
from .checking import Checked
from .context import Current

if t.TYPE_CHECKING:
    from ..identity.tokens import VouchedBy


Put = cabc.Callable[[State, Event], uuidlib.UUID | None]


LOGIN = "customer.login"


LOGOUT = "customer.logout"


def put_event(state: State, event: Event) -> uuidlib.UUID | None:
    if not state.pipeline.put(event):
        state.pipeline.count(Outcome("dropped", event.action, "no room"))
        return None
    send(state, event_accepted, event=event)
    return event.id


def put_in_transaction(state: State, event: Event) -> uuidlib.UUID | None:
    """Add the event's rows to the host's session; the writer counts what the host commits."""
    if state.config.bind_key is not None:
        raise InvalidEvent(
            "no_transaction",
            "in_transaction=True needs the events in the default database, and "
            f"EVENTTRACK_BIND_KEY is {state.config.bind_key!r}: leave it out, after the commit.",
        )
    db_session = this_app().extensions["sqlalchemy"].session
    for insert in insert_uncounted(state.pipeline.database.tables, event):
        db_session.execute(insert)
    state.pipeline.expect_uncounted()
    send(state, event_accepted, event=event)
    return event.id


def record(
    current: Current,
    checked: Checked,
    now: int,
    moment: dt.datetime | None = None,
    put: Put = put_event,
) -> uuidlib.UUID | None:
    """Record an event of the request's visitor, opening a session where none is open."""
    visitor = current.open_session(now)
    event = make_event(
        checked,
        now,
        moment,
        visitor.uuid,
        session=visitor.session,
        site=current.site,
        client=current.client() if visitor.opened else None,
    )
    event_id = put(current.state, event)
    current.recorded |= event_id is not None
    return event_id


def make_event(
    checked: Checked,
    now: int,
    moment: dt.datetime | None,
    profile: uuidlib.UUID,
    *,
    session: SessionRef | None = None,
    site: str = "",
    client: Client | None = None,
) -> Event:
    return Event(
        id=uuid7(now),
        action=checked.action,
        time=moment or from_ns(now),
        received_at=from_ns(now),
        uuid=profile,
        params=checked.params,
        undefined=checked.undefined,
        label=checked.label,
        session=session,
        site=site,
        client=client,
    )


def log_in(
    current: Current,
    customer_id: str,
    vouched_by: VouchedBy,
    traits: dict[str, t.Any] | None = None,
    until: int = 0,
) -> uuidlib.UUID:
    """Identify the visitor and record ``customer.login`` if that is news."""
    if not current.is_silent and current.identify(customer_id, vouched_by, traits, until):
        _record_change(current, LOGIN, customer_id)
    return current.visitor.uuid


def log_out(current: Current, customer_id: str | None = None) -> None:
    """Record ``customer.logout``, end the session and detach the device from its customer."""
    visitor = current.visitor
    if not visitor.is_known or current.bot:
        return
    customer_id = customer_id or visitor.customer_id
    _record_change(current, LOGOUT, customer_id)
    current.end_session(visitor.leave(), "logout")
    current.hears_host = False


def _record_change(current: Current, action: str, customer_id: str | None) -> None:
    state = current.state
    if state.access.admits(action, current.site):
        definition = state.catalogue.get(action)
        params = {"customer_id": customer_id} if customer_id else {}
        label = definition.format_label(params)
        record(current, Checked(action, params, (), label), state.clock())
    else:
        current.open_session(state.clock())
        current.recorded = True
