"""Orders and cancellations become events; whose they are, as far as it may be known."""

from __future__ import annotations

import datetime as dt
import typing as t
import uuid as uuidlib

import msgspec

from ..catalogue.definitions import Definition
from ..catalogue.orders import Order, check_cancellation, check_charge
from ..errors import InvalidEvent
from ..identity.visitor import CustomerId, check_customer_id
from ..ids import uuid7
from ..records import (
    CANCEL,
    CHARGE,
    PRODUCT_BUY,
    VOUCHED_BY_HOST,
    Charge,
    Client,
    Event,
    SessionRef,
    from_ns,
)
from ..state import State
from .checking import Time, check_access, parse_time, settle_time
from .context import Current
from .host_login import resolve
from .navigation import find_visit
from .outside import read_visitor
from .recording import be_active


class Buyer(t.NamedTuple):
    """Whose an order is. ``current`` is the request in which they made it; ``visit_id`` the page
    visit that it may be, ``site`` the site of a token. Without a profile, it is not known whose the
    order is."""

    profile: uuidlib.UUID | None = None
    session: SessionRef | None = None
    client: Client | None = None
    visit_id: uuidlib.UUID | None = None
    current: Current | None = None
    site: str = ""


UNKNOWN = Buyer()


def find_buyer(
    state: State,
    current: Current | None,
    customer: CustomerId | None,
    visitor: str | None,
    now: int,
) -> Buyer:
    """Return whose an order is: the customer's, the token's visitor's, or the request's.

    A visitor of whom nothing may be recorded stays unknown. The order itself is always recorded.

    :param current: the visitor's request, if there is one.
    :raises InvalidEvent: this is no customer's id, or the token was not made by this app.
    """
    named = None if customer is None else check_customer_id(customer)
    if not state.config.privacy_identity:
        return UNKNOWN
    if named is not None:
        if current is None or not _is_vouched_for(current, named):
            return Buyer(state.profile_of(named))
    elif visitor is not None:
        return _buyer_of(state, visitor) if visitor else UNKNOWN
    if current is None:
        return UNKNOWN
    resolve(current)
    if not current.verdict.is_person:
        return UNKNOWN
    who = be_active(current, now)
    client = current.client() if who.opened else None
    session = who.latest_session(now)
    if named is not None:  # now the host itself vouches, also where only a cookie did
        session = msgspec.structs.replace(session, vouched=VOUCHED_BY_HOST)
    return Buyer(who.uuid, session, client, find_visit(current), current)


def _buyer_of(state: State, token: str) -> Buyer:
    named = read_visitor(state, token)
    return Buyer(named.uuid, named.session, visit_id=named.visit_id, site=named.site)


def _is_vouched_for(current: Current, customer_id: str) -> bool:
    """Whether the request is this customer's own."""
    return current.verdict.is_person and resolve(current).customer_id == customer_id


def make_charge(
    state: State,
    order: Order,
    time: Time | None,
    now: int,
    site: str,
    left_out: list[InvalidEvent] | None = None,
) -> Event:
    """Return an order's event, without a buyer.

    :param left_out: as of :func:`.check_charge`.
    :raises InvalidEvent: naming the argument, what was expected and what was given.
    """
    check_access(state, CHARGE, site)
    definition = t.cast("Definition", state.catalogue.find(PRODUCT_BUY))
    checked = check_charge(order, state.config.profile_salt, definition.format_label, left_out)
    moment = _settle(time, now, checked.params)
    return Event(
        id=checked.id,
        action=CHARGE,
        time=moment,
        received_at=from_ns(now),
        uuid=checked.id,
        params=checked.params,
        label=checked.label,
        site=site,
        order=checked.charge,
    )


def give_to(event: Event, buyer: Buyer) -> Event:
    """Return an order's event as the buyer's."""
    if buyer.profile is None:
        return event
    order = t.cast("Charge", event.order)
    if buyer.visit_id is not None:
        order = msgspec.structs.replace(order, visit_id=buyer.visit_id)
        for params in (event.params, *(item.params for item in order.items)):
            params.setdefault("visit", str(buyer.visit_id))
    return msgspec.structs.replace(
        event,
        uuid=buyer.profile,
        session=buyer.session,
        client=buyer.client,
        order=order,
        site=buyer.site or event.site,
    )


def make_cancellation(
    state: State,
    order_id: object,
    items: object,
    amount: object,
    cancellation_id: object,
    time: Time | None,
    now: int,
) -> Event:
    """Return a cancellation's event. The writer, which knows the order, adds what it amounts to,
    and whose the order is.

    :raises InvalidEvent: naming the argument, what was expected and what was given.
    """
    salt = state.config.profile_salt
    event_id, cancellation = check_cancellation(order_id, items, amount, cancellation_id, salt)
    params: dict[str, t.Any] = {"order_id": cancellation.order_id}
    return Event(
        id=event_id or uuid7(now),
        action=CANCEL,
        time=_settle(time, now, params),
        received_at=from_ns(now),
        uuid=cancellation.charge_id,
        params=params,
        order=cancellation,
    )


def _settle(time: Time | None, now: int, params: dict[str, t.Any]) -> dt.datetime:
    moment = from_ns(now)
    return moment if time is None else settle_time(parse_time(time), moment, params)
