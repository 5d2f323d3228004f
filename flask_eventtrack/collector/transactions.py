"""The door of the host's own back ends: orders and cancellations, by a token of the host."""

from __future__ import annotations

import collections.abc as cabc
import typing as t

import msgspec
from flask import Response, request
from msgspec import Meta

from ..catalogue.orders import MAX_ITEMS, MAX_QUANTITY, Order
from ..config import HostScope
from ..errors import InvalidEvent
from ..identity.scoped_tokens import find_scopes
from ..records import CANCEL, CHARGE, Event, Outcome
from ..request.checking import refuse
from ..request.context import get_current
from ..request.host_login import read_bearer
from ..request.origin import PostOrigin
from ..request.problems import Refused, not_found, problem
from ..request.recording import put
from ..request.transactions import find_buyer, give_to, make_cancellation, make_charge
from ..state import State
from ..text import shorten
from .body import read_body
from .messages import (
    MalformedPost,
    PostedTime,
    Rejection,
    Result,
    Results,
    parse_object,
)
from .post_limits import PostLimits
from .sender import NoRoom

MAX_TRANSACTIONS = 100
_TYPES = frozenset({"application/json"})
_HINT = 'a transaction, or {"transactions": [...]}'

_Id = t.Annotated[
    str | int, Meta(extra_json_schema={"minLength": 1, "maxLength": 255}, description="An id.")
]
_Money = t.Annotated[
    str | int,
    Meta(
        description='A decimal as text, such as "12.30", or a whole number, in units of the '
        "currency. A number with a point or an exponent is refused."
    ),
]
_Quantity = t.Annotated[int, Meta(ge=1, le=MAX_QUANTITY)]
_CancellationId = t.Annotated[
    _Id | None,
    Meta(description="The refund's id. A part of an order needs one: a retry has the same."),
]


# These describe posts; what is in their fields is checked as the arguments of the Python calls are.
class PostedItem(msgspec.Struct, kw_only=True):
    """An item of an order. Further fields are parameters of its `product.buy`."""

    sku: _Id
    final_unit_price: _Money
    quantity: _Quantity = 1
    name: str | None = None
    category: str | list[str] | None = None
    currency: str | None = None


class PostedCharge(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """An order, with the arguments of `track_transaction()`."""

    order_id: _Id
    total: _Money
    currency: t.Annotated[str, Meta(examples=["EUR"], description="A code of ISO 4217.")]
    items: t.Annotated[list[PostedItem], Meta(max_length=MAX_ITEMS)] = []
    params: dict[str, t.Any] | None = None
    discount: _Money | None = None
    tax: _Money | None = None
    shipping: _Money | None = None
    payment_method: str | None = None
    coupon: str | None = None
    channel: str | None = None
    customer: _Id | None = None
    visitor: str | None = None
    time: PostedTime | None = None


class CancelledItem(msgspec.Struct, kw_only=True):
    """How many of an item are cancelled."""

    sku: _Id
    quantity: _Quantity = 1


class PostedCancellation(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A cancellation of `items`, of an `amount`, or of all that is left of an order."""

    cancel: t.Annotated[_Id, Meta(description="The order's id.")]
    items: list[CancelledItem] | None = None
    amount: _Money | None = None
    cancellation_id: _CancellationId = None
    time: PostedTime | None = None


_CHARGE_FIELDS, _CANCEL_FIELDS = (
    PostedCharge.__struct_fields__,
    PostedCancellation.__struct_fields__,
)
_ORDER_FIELDS = frozenset(_CHARGE_FIELDS) - {"customer", "visitor", "time"}


def take_transactions(state: State, origin: PostOrigin) -> Response:
    """Record the transactions of a post.

    :raises Refused: the sender, its token or the body is not accepted.
    :raises NoRoom: the journal has no room; the back end sends the whole post again.
    """
    scopes = _admit(state, origin)
    entries, is_batch = _parse(read_body(_TYPES))
    _check_scopes(entries, scopes)
    events: list[Event] = []
    results = [_take(state, entry, events) for entry in entries]
    if events and not put(state, None, *events, is_posted=True):
        raise NoRoom
    is_refused = not is_batch and not events
    return Response(
        msgspec.json.encode(Results(results)),
        422 if is_refused else 202,
        {"Cache-Control": "no-store"},
        mimetype="application/json",
    )


def _admit(state: State, origin: PostOrigin) -> set[HostScope]:
    """Return what the sender's token may do.

    :raises Refused: there are no tokens, or the sender has none of them, or is a browser.
    """
    if not state.config.host_tokens:
        raise Refused(not_found())
    if origin is not PostOrigin.APP:
        detail = "Only the host's own back ends may post here: no browsers, no cookies."
        raise Refused(problem(403, "foreign_origin", detail))
    token = read_bearer(request.environ)
    scopes = find_scopes(state.config.host_tokens, token or "")
    if not scopes:
        PostLimits(state, origin).take_post()
        raise Refused(_ask_for_token(state, token))
    return scopes


def _ask_for_token(state: State, token: str | None) -> Response:
    if token is None:
        detail = "Send one of the host's tokens as Authorization: Bearer."
        return problem(401, "token_missing", detail, WWW_Authenticate="Bearer")
    state.pipeline.count(Outcome("rejected", "", "token_unknown"))
    challenge = 'Bearer error="invalid_token"'
    detail = "The token is none of the host's."
    return problem(401, "token_unknown", detail, WWW_Authenticate=challenge)


def _parse(body: bytes) -> tuple[list[t.Any], bool]:
    """Return the transactions of a post, and whether it is a batch.

    :raises Refused: it is neither a JSON object, nor a batch of 1 to 100.
    """
    try:
        value = parse_object(body, _HINT)
        is_batch = "transactions" in value
        entries = value["transactions"] if is_batch else [value]
        if not isinstance(entries, list):
            raise MalformedPost('"transactions" must be a list.')
        if not 1 <= len(entries) <= MAX_TRANSACTIONS:
            raise MalformedPost(
                f"A post holds 1 to {MAX_TRANSACTIONS} transactions, this holds {len(entries)}."
            )
    except MalformedPost as error:
        raise Refused(problem(400, "malformed", str(error))) from None
    return entries, is_batch


def _check_scopes(entries: cabc.Iterable[object], scopes: set[HostScope]) -> None:
    if "transactions" not in scopes and any(map(_is_cancellation, entries)):
        detail = "This token has the scope 'charges'; a cancellation needs 'transactions'."
        challenge = 'Bearer error="insufficient_scope", scope="transactions"'
        raise Refused(problem(403, "token_scope", detail, WWW_Authenticate=challenge))


def _is_cancellation(entry: object) -> bool:
    return isinstance(entry, dict) and "cancel" in entry


def _take(state: State, entry: object, events: list[Event]) -> Result:
    """Return the result of a transaction, and add its event to ``events`` if it may be stored."""
    make, action = (_cancel, CANCEL) if _is_cancellation(entry) else (_charge, CHARGE)
    try:
        event = make(state, entry)
    except InvalidEvent as error:
        refuse(state, action, error)
        return Result(None, "rejected", Rejection(error.code, error.message, error.param))
    events.append(event)
    return Result(str(event.id), "accepted", None)


def _charge(state: State, entry: object) -> Event:
    fields = _read_fields(entry, _CHARGE_FIELDS, ("order_id", "total", "currency"))
    order = Order(**{name: fields[name] for name in _ORDER_FIELDS & fields.keys()})
    now, site = state.clock(), get_current(state).site
    event = make_charge(state, order, fields.get("time"), now, site)
    visitor = fields.get("visitor")
    return give_to(event, find_buyer(state, None, fields.get("customer"), visitor, now))


def _cancel(state: State, entry: object) -> Event:
    fields = _read_fields(entry, _CANCEL_FIELDS, ("cancel",))
    items, amount, id_ = map(fields.get, ("items", "amount", "cancellation_id"))
    if id_ is None and not (items is None and amount is None):
        raise InvalidEvent(
            "invalid_order",
            "A part of an order is cancelled with a cancellation_id: without one, a second post "
            "would cancel it twice.",
            "cancellation_id",
        )
    now, time = state.clock(), fields.get("time")
    return make_cancellation(state, fields["cancel"], items, amount, id_, time, now)


def _read_fields(
    entry: object, names: cabc.Sequence[str], required: cabc.Iterable[str]
) -> dict[str, t.Any]:
    """Return the fields of a transaction. Null stands for a field that is left out."""
    if not isinstance(entry, dict):
        raise InvalidEvent("invalid_order", "A transaction is a JSON object.")
    for name in entry:
        if name not in names:
            message = f"{shorten(name)} is not a field; the fields are: {', '.join(names)}."
            raise InvalidEvent("invalid_order", message, name[:64])
    fields = {name: value for name, value in entry.items() if value is not None}
    for name in required:
        if name not in fields:
            raise InvalidEvent("invalid_order", f"{name!r} is required.", name)
    return fields
