"""Which customer makes a request, as far as the host knows by now; log-ins and log-outs.

The host is asked in this order: a token in the ``Authorization`` header, the user that Flask-Login
has loaded, the ``customer_loader``. We load nothing ourselves. If none of them makes a claim, the
customer of ``identify()`` or of the cookies stays.
"""

from __future__ import annotations

import collections.abc as cabc
import typing as t

from flask import g

from ..errors import InvalidToken
from ..identity.jwt import LEEWAY
from ..identity.tokens import VouchedBy
from ..identity.users import UserId, find_user_id, is_pending
from ..identity.visitor import VerifiedCustomer, Visitor, check_customer_id
from ..state import CustomerIdHook, CustomerLoader, State
from .checking import Checked
from .context import Current
from .host_hooks import run_passed_hooks
from .recording import identify, leave, open_session, record

LOGIN = "customer.login"
LOGOUT = "customer.logout"


def resolve(current: Current) -> Visitor:
    """Return the visitor, as the customer whom the host knows by now, if any.

    This may verify a token, call the host's loader, and record the customer. So it is called at the
    edges only: where an event is recorded, and where the host asks for the visitor.
    """
    visitor = current.visitor
    if current.asks_host and current.verdict.is_person:
        _ask_host(current, visitor)
    return visitor


def _ask_host(current: Current, visitor: Visitor) -> None:
    state = current.state
    if current.asks_bearer:
        current.asks_bearer = False
        claim = _claim_of_bearer(state, current.request.environ, current.now)
        if claim is not None:
            current.asks_host = False
            _accept(current, visitor, claim)
            return
    claim = _claim_of_login(current) if current.asks_login else None
    if claim is not None:
        _accept(current, visitor, claim)
        if claim.customer_id is not None:
            return
    load = state.callbacks.customer_loader
    if load is not None and current.asks_loader and visitor.vouched_by in {"", "loader"}:
        current.asks_loader = False
        _accept(current, visitor, _claim_of_loader(state, load))


class _Claim(t.NamedTuple):
    """The customer according to ``vouched_by``, or None for no customer.

    ``until`` is when the claim ends (nanoseconds since the epoch); 0 means with the session.
    ``former`` is an earlier id of the same customer.
    """

    customer_id: str | None
    vouched_by: VouchedBy
    until: int = 0
    former: str | None = None


def _accept(current: Current, visitor: Visitor, claim: _Claim) -> None:
    if claim.customer_id is None:
        if visitor.vouched_by == claim.vouched_by:
            visitor.stop_vouching()
    elif current.logs_in and claim.vouched_by == "login":
        current.logs_in = False
        log_in(current, claim.customer_id, "login", former=claim.former)
    elif visitor.customer_id != claim.customer_id or claim.until:
        vouched_by, until = claim.vouched_by, claim.until
        identify(current, claim.customer_id, vouched_by, until=until, former=claim.former)
    else:
        visitor.vouch_again(claim.vouched_by, claim.until, current.now)


def _claim_of_bearer(state: State, environ: cabc.Mapping[str, t.Any], now: int) -> _Claim | None:
    """Return a valid token's claim. Any other token may be for the host, and is ignored."""
    token = read_bearer(environ)
    if token is None:
        return None
    try:
        customer = state.customer_tokens.verify(token, now)
    except InvalidToken:
        return None
    return _Claim(customer.customer_id, "token", vouched_until(customer))


def _claim_of_login(current: Current) -> _Claim | None:
    """Return Flask-Login's claim, if something has loaded its user."""
    user = g.get("_login_user")
    if user is None:
        return None
    found = UserId()
    with current.state.guard("asking Flask-Login's user"):
        if user.is_authenticated:
            found = id_of_user(current, user)
    return _Claim(found.customer_id, "login", former=found.former)


def _claim_of_loader(state: State, load: CustomerLoader) -> _Claim:
    customer_id = None
    with state.guard("asking the customer_loader"):
        run_passed_hooks()
        answer = load()
        customer_id = None if answer is None else check_customer_id(answer)
    return _Claim(customer_id, "loader")


def log_in(
    current: Current,
    customer_id: str,
    vouched_by: VouchedBy,
    traits: dict[str, t.Any] | None = None,
    until: int = 0,
    former: str | None = None,
) -> bool:
    """Identify the visitor, if they are a person and people are to be known; record
    ``customer.login`` if that is news.

    :param former: an earlier id of the same customer.
    :returns: False if there was no room to record the customer.
    """
    if not (current.verdict.is_person and current.state.config.privacy_identity):
        return True
    if vouched_by == "identify":
        current.asks_login = False  # the app may know the same person by another id
    is_login, is_kept = identify(current, customer_id, vouched_by, traits, until, former)
    resolve(current)  # the host may now name another customer, who comes first
    if is_login:
        _record_change(current, LOGIN, customer_id)
    return is_kept


def log_out(current: Current, customer_id: str | None = None) -> None:
    """Record ``customer.logout``, end the session and detach the device from its customer."""
    visitor = resolve(current)
    if not visitor.is_known or not current.verdict.is_person:
        return
    _record_change(current, LOGOUT, customer_id or visitor.customer_id)
    leave(current)
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


def read_bearer(environ: cabc.Mapping[str, t.Any]) -> str | None:
    """Return the token of an ``Authorization: Bearer`` header (RFC 6750, section 2.1), or None."""
    scheme, _, token = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def vouched_until(customer: VerifiedCustomer) -> int:
    """Return when a token stops vouching (nanoseconds): it is verified with the same leeway."""
    return customer.expires + LEEWAY


def id_of_user(current: Current, user: t.Any) -> UserId:
    """Return the id of Flask-Login's user as a customer's, by the host's hook if there is one.

    Each user is looked up once in a request.
    """
    if current.user is not None and current.user[0] is user:
        return current.user[1]
    ask = current.state.callbacks.customer_id
    found = find_user_id(user) if ask is None else _ask_hook(current.state, ask, user)
    if found.customer_id is not None or not is_pending(user):
        current.user = (user, found)
    return found


def _ask_hook(state: State, ask: CustomerIdHook, user: t.Any) -> UserId:
    customer_id = None
    with state.guard("asking the customer_id hook"):
        answer = ask(user) if user.is_authenticated else None
        customer_id = None if answer is None else check_customer_id(answer)
    return UserId(customer_id)
