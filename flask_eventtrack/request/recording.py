"""From a request to the journal: the one put, sessions that open and end, log-in and log-out."""

from __future__ import annotations

import collections.abc as cabc
import datetime as dt
import typing as t
import uuid as uuidlib

import msgspec

from ..errors import InvalidEvent
from ..identity.tokens import VouchedBy
from ..identity.visitor import Visitor
from ..ids import uuid7
from ..records import (
    Client,
    EndReason,
    Event,
    Identified,
    Outcome,
    PageView,
    SessionEnd,
    SessionRef,
    from_ns,
)
from ..signals import customer_identified, event_accepted
from ..state import State, send, this_app
from ..store.host_transaction import insert_uncounted
from .checking import Checked
from .context import Current

LOGIN = "customer.login"
LOGOUT = "customer.logout"

#: Puts one event on its way; False where there is no room.
Put = cabc.Callable[[State, Event], bool]


def put(state: State, *records: Event | PageView, is_retried: bool = False) -> bool:
    """Append records to the journal, all or none. Every source records through here.

    :param is_retried: whether the sender is told to send them again where there is no room. Then
        they are not counted as dropped.
    :returns: False where there is no room.
    """
    if not state.pipeline.put(*records):
        if not is_retried:
            for record in records:
                state.pipeline.count(Outcome("dropped", record.action, "no room"))
        return False
    if event_accepted.receivers:
        for record in records:
            send(state, event_accepted, event=state.expand(record))
    return True


def put_in_transaction(state: State, event: Event) -> bool:
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
    return True


def record(
    current: Current,
    checked: Checked,
    now: int,
    moment: dt.datetime | None = None,
    put: Put = put,
) -> uuidlib.UUID | None:
    """Record an event of the request's visitor, as far as the verdict allows.

    A person's event opens a session where none is open.

    :returns: the event's id; None if it was not recorded.
    """
    verdict = current.verdict
    if not verdict.takes_events:
        return None
    if verdict.is_person:
        visitor = open_session(current, now)
        session, sends_client = visitor.session, visitor.opened
    else:
        visitor, session, sends_client = current.visitor, None, True
    event = make_event(
        checked,
        now,
        moment,
        visitor.uuid,
        session=session,
        site=current.site,
        client=current.client() if sends_client else None,
    )
    if not verdict.is_person:
        event = make_anonymous(current, event)
    if not put(current.state, event):
        return None
    current.recorded = True
    return event.id


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


def make_anonymous(current: Current, event: Event) -> Event:
    """Return an event without what tells whose it is.

    Of its client the writer hashes what is left into the day's profile. Its id is not the one that
    the page's tag names. A bot's event says why the client is taken for a bot.
    """
    client = event.client and Client(event.client.user_agent, address=event.client.address)
    anonymous = msgspec.structs.replace(
        event, id=uuid7(current.arrival), session=None, client=client
    )
    bot = current.verdict.bot
    if bot is None:
        return anonymous
    return msgspec.structs.replace(anonymous, source="bot", params={"bot": bot, **event.params})


def open_session(current: Current, at: int) -> Visitor:
    """Make sure that the visitor's session is open from ``at``; end the one before."""
    visitor = current.visitor
    _end_session(current.state, visitor.open_session(at), "timeout")
    return visitor


def _end_session(state: State, over: uuidlib.UUID | None, reason: EndReason) -> None:
    """Note that a session is over, if one is."""
    if over is not None:
        state.pipeline.put(SessionEnd(session_id=over, reason=reason))


def identify(
    current: Current,
    customer_id: str,
    vouched_by: VouchedBy,
    traits: dict[str, t.Any] | None = None,
    until: int = 0,
) -> tuple[bool, bool]:
    """Make the visitor a customer; another customer's session ends with that.

    :param until: when a token's claim ends (nanoseconds since the epoch); 0 is with the session.
    :returns: whether it is a log-in: they were not vouched for as this customer before. A token is
        shown again and again, so it logs in only a device that was not the customer's. And whether
        there was room for the record of who they are.
    """
    visitor, state = current.visitor, current.state
    profile = state.profile_of(customer_id)
    anonymous = None if visitor.is_known else visitor.uuid
    is_change, is_move = visitor.customer_id != customer_id, visitor.uuid != profile
    if is_change:
        if is_move and visitor.is_known:
            _end_session(state, visitor.leave(), "logout")
        visitor.attribute_to(customer_id, profile, vouched_by, until)
    else:
        visitor.vouch_again(vouched_by, until)
    is_kept = True
    if is_change or traits:
        is_kept = state.pipeline.put(
            Identified(
                uuid=profile,
                customer_id=customer_id,
                time=from_ns(current.arrival),
                anonymous=anonymous,
                traits=traits or {},
            )
        )
        send(state, customer_identified, customer_id=customer_id, uuid=profile)
    return is_move if vouched_by == "token" else is_change, is_kept


def log_in(
    current: Current,
    customer_id: str,
    vouched_by: VouchedBy,
    traits: dict[str, t.Any] | None = None,
    until: int = 0,
) -> bool:
    """Identify the visitor, if they are a person, and record ``customer.login`` if that is news.

    :returns: False where there was no room for the record of who they are.
    """
    if not current.verdict.is_person:
        return True
    is_login, is_kept = identify(current, customer_id, vouched_by, traits, until)
    if is_login:
        _record_change(current, LOGIN, customer_id)
    return is_kept


def log_out(current: Current, customer_id: str | None = None) -> None:
    """Record ``customer.logout``, end the session and detach the device from its customer."""
    visitor = current.visitor
    if not visitor.is_known or not current.verdict.is_person:
        return
    _record_change(current, LOGOUT, customer_id or visitor.customer_id)
    _end_session(current.state, visitor.leave(), "logout")
    current.asks_host = False


def _record_change(current: Current, action: str, customer_id: str | None) -> None:
    state = current.state
    if state.access.admits(action, current.site):
        definition = state.catalogue.get(action)
        params = {"customer_id": customer_id} if customer_id else {}
        label = definition.format_label(params)
        record(current, Checked(action, params, (), label), state.clock())
    else:
        open_session(current, state.clock())
        current.recorded = True
