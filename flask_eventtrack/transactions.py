"""The calls for revenue: ``track_transaction()`` and ``cancel_transaction()``."""

from __future__ import annotations

import collections.abc as cabc
import typing as t
import uuid as uuidlib

from flask import has_request_context
from sqlalchemy.exc import SQLAlchemyError

from .catalogue.orders import Order
from .errors import InvalidEvent
from .identity.visitor import CustomerId
from .money import Amount
from .records import CANCEL, CHARGE
from .request.checking import Time
from .request.context import get_current_now
from .request.mistakes import answer_mistake, count_left_out, raises_mistakes
from .request.outside import find_block
from .request.recording import put, put_in_transaction
from .request.transactions import UNKNOWN, find_buyer, give_to, make_cancellation, make_charge
from .state import State, get_state

#: The id of an order or a cancellation: a text, an integer of any library, or a UUID.
OrderId = str | t.SupportsIndex | uuidlib.UUID


def track_transaction(
    order_id: OrderId,
    total: Amount,
    currency: str,
    items: cabc.Iterable[cabc.Mapping[str, t.Any] | object] = (),
    params: cabc.Mapping[str, t.Any] | None = None,
    *,
    discount: Amount | None = None,
    tax: Amount | None = None,
    shipping: Amount | None = None,
    payment_method: str | None = None,
    coupon: str | None = None,
    channel: str | None = None,
    customer: CustomerId | None = None,
    visitor: str | None = None,
    time: Time | None = None,
    in_transaction: bool = False,
) -> uuidlib.UUID | None:
    """Record an order: one ``transaction.charge``, and a ``product.buy`` for each different item.

    ::

        track_transaction(
            order.id,
            order.total,
            "EUR",
            [{"sku": "A1", "name": "Mug", "quantity": 2, "final_unit_price": "12.30"}],
            shipping="4.90",
            payment_method="card",
        )

    Money is a ``Decimal``, an integer or decimal text, in units of the currency: ``"12.30"`` euros,
    not 1230 cents. A float is refused, because it has no exact cents. The total includes discount,
    tax and shipping; items need not add up to it.

    An order is recorded once, however often it is sent. If it is sent again with another total,
    currency or other items, the first one stays, and the signal ``transaction_contradicted`` is
    sent.

    An order is always recorded. It is stored without a profile, session and page visit if the
    visitor refuses, is a bot or is left out by ``EVENTTRACK_VISITOR_FILTER``, if
    ``EVENTTRACK_PRIVACY_IDENTITY`` is off, or if there is no request, customer or visitor. In
    production also if ``customer`` or ``visitor`` is wrong, which is logged and counted.

    :param order_id: the order's id in the host app, at most 255 characters.
    :param total: what is paid, with everything.
    :param currency: a code of ISO 4217, such as ``"EUR"``. An order has one.
    :param items: at most 1,000 different ones, as dicts, dataclasses or the like, with ``sku``,
        ``final_unit_price`` (of one piece, after discounts), ``quantity`` (1), ``name``,
        ``category`` (text or a list) and any further parameters. Copies are added up.
    :param params: further parameters of the order. They replace none of its own.
    :param discount: how much was taken off, above 0; the total is what is left.
    :param channel: where it was sold, such as ``"web"`` or ``"pos"``.
    :param customer: the id of the customer who ordered, if it is not the visitor of this request.
    :param visitor: a :attr:`CurrentVisitor.token`, to record for that visitor in another request,
        such as when the payment is confirmed. If it is empty, the order is no one's. The default
        is the visitor of ``events.as_visitor()``, in its block.
    :param time: when it was ordered, in the forms that ``track()`` takes.
    :param in_transaction: whether to write it in the host's own ``db.session``, as ``track()``
        does: it is stored if and only if the host commits.
    :returns: the event's id, which is derived from the order's. None if tracking is off, or, in
        production, an argument is wrong or there is no room for the event.
    :raises InvalidEvent: an argument is wrong. Only in debug and testing; in production the error
        is logged and counted. With ``in_transaction=True`` also in production, with the code
        ``"contradicted_order"``: another order is stored under this id.
    :raises NotRegistered: there is no app context.
    """
    state = get_state()
    if not state.config.enabled:
        return None
    order = Order(
        order_id=order_id,
        total=total,
        currency=currency,
        items=items,
        params=params,
        discount=discount,
        tax=tax,
        shipping=shipping,
        payment_method=payment_method,
        coupon=coupon,
        channel=channel,
    )

    def record() -> uuidlib.UUID | None:
        return _charge(state, order, customer, visitor, time, in_transaction=in_transaction)

    return _guard(state, CHARGE, record)


def cancel_transaction(
    order_id: OrderId,
    items: cabc.Iterable[cabc.Mapping[str, t.Any] | object] | None = None,
    amount: Amount | None = None,
    *,
    time: Time | None = None,
    cancellation_id: OrderId | None = None,
) -> uuidlib.UUID | None:
    """Record that an order is cancelled, wholly or in part: a ``transaction.cancel``.

    ::

        cancel_transaction(order.id)  # all that is left of it
        cancel_transaction(order.id, [{"sku": "A1", "quantity": 1}], cancellation_id=refund.id)
        cancel_transaction(order.id, amount="5.00", cancellation_id=refund.id)

    Its revenue is negative and counts at its own time, for the order's customer and source. All
    cancellations of an order together take back no more than its total. One that comes before its
    order waits for it, for a week.

    :param items: the items that are cancelled, each with ``sku`` and ``quantity`` (1). They count
        at their unit prices.
    :param amount: what is paid back, in the order's currency, instead of items.
    :param time: when it was cancelled, in the forms that ``track()`` takes.
    :param cancellation_id: the id of the refund in the host app. With it, a part that is cancelled
        is recorded once, however often the call is repeated; without it, each time. A whole
        order is cancelled once anyway.
    :returns: the event's id. None if tracking is off, or, in production, an argument is wrong or
        there is no room for the event.
    :raises InvalidEvent: an argument is wrong. Only in debug and testing; in production the error
        is logged and counted.
    :raises NotRegistered: there is no app context.
    """
    state = get_state()
    if not state.config.enabled:
        return None

    def record() -> uuidlib.UUID | None:
        now = state.clock()
        event = make_cancellation(state, order_id, items, amount, cancellation_id, time, now)
        return event.id if put(state, None, event) else None

    return _guard(state, CANCEL, record)


def _charge(
    state: State,
    order: Order,
    customer: CustomerId | None,
    visitor: str | None,
    time: Time | None,
    *,
    in_transaction: bool,
) -> uuidlib.UUID | None:
    current = get_current_now(state) if has_request_context() else None
    site = current.site if current else ""
    token = find_block()
    if token is not None:  # the request is someone else's
        current = None
        visitor = token if visitor is None else visitor
    now = state.clock()
    left_out: list[InvalidEvent] | None = None if raises_mistakes() else []
    try:
        event = make_charge(state, order, time, now, site, left_out)
        try:
            buyer = find_buyer(state, current, customer, visitor, now)
        except InvalidEvent as error:
            if left_out is None:
                raise
            left_out.append(error)  # a visitor may have changed their token
            buyer = UNKNOWN
    finally:
        count_left_out(state, CHARGE, left_out or ())
    append = put_in_transaction if in_transaction else put
    event = give_to(event, buyer)
    return event.id if append(state, buyer.current, event) else None


def _guard(
    state: State, action: str, record: cabc.Callable[[], uuidlib.UUID | None]
) -> uuidlib.UUID | None:
    """Record, and keep what goes wrong from the view in production."""
    try:
        return record()
    except InvalidEvent as error:
        answer_mistake(state, action, error)
        if error.code == "contradicted_order":  # the host's transaction must not go on
            raise
    except SQLAlchemyError:  # of the host's own transaction
        raise
    except Exception as error:  # noqa: BLE001 - the edge: the view goes on whatever we do
        state.report_failure("tracking a transaction", error)
    return None
