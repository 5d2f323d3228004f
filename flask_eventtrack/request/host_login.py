"""Which customer makes a request, as far as the host knows by now; we load nothing ourselves.

The host is asked in this order: a token in the ``Authorization`` header, the user that Flask-Login
has loaded, the ``customer_loader``. What ``identify()`` and cookies said before stands where they
say nothing.
"""

from __future__ import annotations

import collections.abc as cabc
import typing as t

from flask import g

from ..errors import InvalidEvent, InvalidToken
from ..identity.jwt import LEEWAY
from ..identity.tokens import VouchedBy
from ..identity.visitor import VerifiedCustomer, Visitor, check_customer_id
from ..state import CustomerLoader, State
from .context import Current
from .recording import identify


def resolve(current: Current) -> Visitor:
    """Return the visitor as the customer whom the host knows by now.

    This may verify a token, call the host's loader, and record who the visitor is. So it is called
    at the edges only: where an event is recorded, and where the host asks who is here.
    """
    visitor = current.visitor
    if current.asks_host and current.verdict.is_person:
        _ask_host(current, visitor)
    return visitor


def _ask_host(current: Current, visitor: Visitor) -> None:
    state = current.state
    if current.asks_bearer:
        current.asks_bearer = False
        claim = _claim_of_bearer(state, current.request.environ, current.arrival)
        if claim is not None:
            current.asks_host = False
            _accept(current, visitor, claim)
            return
    claim = _claim_of_login(state)
    if claim is not None:
        _accept(current, visitor, claim)
        if claim.customer_id is not None:
            return
    load = state.callbacks.customer_loader
    if load is not None and current.asks_loader and visitor.vouched_by in {"", "loader"}:
        current.asks_loader = False
        _accept(current, visitor, _claim_of_loader(state, load))


class _Claim(t.NamedTuple):
    """Who the visitor is, according to ``vouched_by``; None is no customer.

    ``until`` is when the claim ends (nanoseconds since the epoch); 0 is with the session.
    """

    customer_id: str | None
    vouched_by: VouchedBy
    until: int = 0


def _accept(current: Current, visitor: Visitor, claim: _Claim) -> None:
    if claim.customer_id is None:
        if visitor.vouched_by == claim.vouched_by:
            visitor.stop_vouching()
    elif visitor.customer_id != claim.customer_id or claim.until:
        identify(current, claim.customer_id, claim.vouched_by, until=claim.until)


def _claim_of_bearer(state: State, environ: cabc.Mapping[str, t.Any], now: int) -> _Claim | None:
    """Return a valid token's claim. Another token may be for the host itself: it is ignored."""
    token = read_bearer(environ)
    if token is None:
        return None
    try:
        customer = state.customer_tokens.verify(token, now)
    except InvalidToken:
        return None
    return _Claim(customer.customer_id, "token", vouched_until(customer))


def _claim_of_login(state: State) -> _Claim | None:
    """Return Flask-Login's claim, where something has loaded its user."""
    user = g.get("_login_user")
    if user is None:
        return None
    customer_id = None
    with state.guard("asking Flask-Login's user"):
        if user.is_authenticated:
            customer_id = id_of_user(user)
    return _Claim(customer_id, "login")


def _claim_of_loader(state: State, load: CustomerLoader) -> _Claim:
    customer_id = None
    with state.guard("asking the customer_loader"):
        answer = load()
        customer_id = None if answer is None else check_customer_id(answer)
    return _Claim(customer_id, "loader")


def read_bearer(environ: cabc.Mapping[str, t.Any]) -> str | None:
    """Return the token of an ``Authorization: Bearer`` header (RFC 6750, section 2.1), or None."""
    scheme, _, token = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def vouched_until(customer: VerifiedCustomer) -> int:
    """Return when a token stops vouching (nanoseconds): it is verified with the same leeway."""
    return customer.expires + LEEWAY


def id_of_user(user: t.Any) -> str | None:
    """Return the id of Flask-Login's user as a customer's, or None where it cannot be one."""
    customer_id = user.get_id()
    try:
        return None if customer_id is None else check_customer_id(customer_id)
    except InvalidEvent:
        return None
