"""From a request to the journal: the one ``put()``, session starts and ends, log-ins."""

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
    PAGE_ENGAGE,
    Client,
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
from ..store.host_transaction import insert_uncounted, is_known
from .checking import Checked
from .context import Current

#: Puts one event on its way; False if there is no room.
Append = cabc.Callable[["State", "Current | None", Event], bool]


def put(
    state: State, current: Current | None, *records: Event | PageView, is_posted: bool = False
) -> bool:
    """Append records to the journal, all or none. Every source records through here.

    :param current: the request that recorded them, if one did.
    :param is_posted: whether a client sent them. Then it sends them again if there is no room, so
        they are not counted as dropped; and their ids are remembered, to tell it of duplicates.
    :returns: False if there is no room, or if posted records are not yet where
        ``EVENTTRACK_DURABILITY`` promises.
    """
    pipeline = state.pipeline
    if not pipeline.put(*records):
        if not is_posted:
            for record in records:
                pipeline.count(Outcome("dropped", record.action, "no room"))
        return False
    is_confirmed = pipeline.confirm()
    if is_posted:
        if not is_confirmed:
            return False
        _remember(state, records)
    if current is not None:
        current.recorded = True
    if event_accepted.receivers:
        _announce(state, records)
    return True


def _remember(state: State, records: cabc.Iterable[Event | PageView]) -> None:
    for record in records:
        state.recent_ids.remember(record.id, None)


def put_in_transaction(state: State, current: Current | None, event: Event) -> bool:
    """Add the event's rows to the host's session; the writer counts what the host commits."""
    if state.config.bind_key is not None:
        raise InvalidEvent(
            "no_transaction",
            "in_transaction=True needs the events in the default database, and "
            f"EVENTTRACK_BIND_KEY is {state.config.bind_key!r}: track without it after the commit.",
        )
    if event.is_engagement:
        raise InvalidEvent("no_transaction", f"{PAGE_ENGAGE!r} is a part of a visit, and no row.")
    db_session = this_app().extensions["sqlalchemy"].session
    if state.pipeline.writes:
        tables = state.pipeline.database.tables
        salt = state.config.profile_salt
        if event.order is not None and is_known(db_session.execute, tables, event, salt):
            return True
        for insert in insert_uncounted(tables, event, state.access.admits):
            db_session.execute(insert)
    state.pipeline.expect_uncounted(event, db_session())
    if current is not None:
        current.recorded = True
    _announce(state, [event])
    return True


def _announce(state: State, records: cabc.Iterable[Event | PageView]) -> None:
    """Tell the receivers of the signal what was recorded; engagement is no event."""
    for record in records:
        if record.action != PAGE_ENGAGE:
            send(state, event_accepted, event=state.expand(record))


def record(
    current: Current,
    checked: Checked,
    now: int,
    moment: dt.datetime | None = None,
    append: Append = put,
) -> uuidlib.UUID | None:
    """Record an event of the request's visitor, as far as the verdict allows.

    A person's event opens a session where none is open.

    :returns: the event's id; None if it was not recorded.
    """
    verdict = current.verdict
    if not verdict.takes_events:
        return None
    is_person = verdict.is_person
    is_event = checked.action != PAGE_ENGAGE
    if is_person and is_event:
        be_active(current, now)
    visitor = current.visitor
    session = visitor.latest_session(now) if is_person else None
    client = current.client() if visitor.opened or not is_person else None
    event = make_event(
        checked, now, moment, visitor.uuid, session=session, site=current.site, client=client
    )
    if not is_person:
        event = make_anonymous(current, event)
    return event.id if append(current.state, current, event) else None


def be_active(current: Current, now: int) -> Visitor:
    """Return the visitor, who does something now: a session is open."""
    open_session(current, now)
    current.keep_visitor(now)
    return current.visitor


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
    """Return an event without what identifies the visitor.

    The writer hashes the rest of its client into the day's profile. The event gets another id than
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
    over = visitor.open_session(at)
    if over is not None:
        # Without room for this, the chores end the session.
        end = SessionEnd(session_id=over, reason="timeout", at=from_ns(at))
        current.state.pipeline.put(end)
    return visitor


def leave(current: Current) -> None:
    """Detach the device from its customer; an open session ends."""
    visitor, state = current.visitor, current.state
    session = visitor.session if visitor.started is not None else None
    last = visitor.last
    over = visitor.leave()
    if over is not None:
        # A clock that went back must not make earlier events of the session later ones.
        at, number = from_ns(max(state.clock(), last)), visitor.number
        end = SessionEnd(session_id=over, reason="logout", at=at, number=number, session=session)
        if not state.pipeline.put(end):
            state.pipeline.count(Outcome("dropped", "session.end", "no room"))


def identify(
    current: Current,
    customer_id: str,
    vouched_by: VouchedBy,
    traits: dict[str, t.Any] | None = None,
    until: int = 0,
    former: str | None = None,
) -> tuple[bool, bool]:
    """Make the visitor a customer; another customer's session ends with that.

    :param until: when a token's claim ends (nanoseconds since the epoch); 0 means with the session.
    :param former: an earlier id of the same customer.
    :returns: whether this is a log-in, and whether there was room to record it. It is a log-in if
        the visitor was not vouched for as this customer before. A token is shown again and again,
        so it logs in only a device that was not the customer's.
    """
    visitor, state = current.visitor, current.state
    profile = state.profile_of(customer_id)
    earlier = None if former is None else state.profile_of(former)
    anonymous = None if visitor.is_known else visitor.uuid
    is_change, is_move = visitor.customer_id != customer_id, visitor.uuid != profile
    if is_change:
        if is_move and visitor.is_known and visitor.uuid != earlier:
            leave(current)
        visitor.attribute_to(customer_id, profile, vouched_by, until, current.now)
    else:
        visitor.vouch_again(vouched_by, until, current.now)
    is_kept = True
    if is_change or traits:
        is_kept = state.pipeline.put(
            Identified(
                uuid=profile,
                customer_id=customer_id,
                time=from_ns(current.now),
                anonymous=anonymous,
                traits=traits or {},
                former=earlier,
            )
        )
        send(state, customer_identified, customer_id=customer_id, uuid=profile)
    return is_move if vouched_by == "token" else is_change, is_kept
