"""Which customer makes a request, as far as the host says by now; nothing is loaded by us."""

from __future__ import annotations

import collections.abc as cabc
import typing as t

from flask import g

from ..errors import InvalidEvent, InvalidToken
from ..identity import check_customer_id
from ..identity.jwt import LEEWAY

if t.TYPE_CHECKING:
    from ..identity import VerifiedCustomer
    from ..identity.tokens import VouchedBy
    from ..state import CustomerLoader, State


def read_bearer(environ: cabc.Mapping[str, t.Any]) -> str | None:
    """Return the token of an ``Authorization: Bearer`` header (RFC 6750, section 2.1), or None."""
    scheme, _, token = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def end_of_word(customer: VerifiedCustomer) -> int:
    """Return when a token vouches no more (nanoseconds): with the leeway that it is verified by."""
    return customer.expires + LEEWAY


class Word(t.NamedTuple):
    """Who the visitor is, as somebody says: None is no customer. ``until`` is 0 for as long as the
    session lasts."""

    customer_id: str | None
    vouched_by: VouchedBy
    until: int = 0


def hear_bearer(state: State, environ: cabc.Mapping[str, t.Any], now: int) -> Word | None:
    """Return a valid token's word. Another may be for the host itself, and is not refused here."""
    token = read_bearer(environ)
    if token is None:
        return None
    try:
        customer = state.customer_tokens.verify(token, now)
    except InvalidToken:
        return None
    return Word(customer.customer_id, "token", end_of_word(customer))


def hear_login(state: State) -> Word | None:
    """Return Flask-Login's word, where something has loaded its user."""
    user = g.get("_login_user")
    if user is None:
        return None
    customer_id = None
    try:
        if user.is_authenticated:
            customer_id = id_of_user(user)
    except Exception as error:  # noqa: BLE001 - the edge: the view goes on whatever its user does
        state.report_failure("asking Flask-Login's user", error)
    return Word(customer_id, "login")


def hear_loader(state: State, load: CustomerLoader) -> Word:
    """Ask the host's ``customer_loader``."""
    customer_id = None
    try:
        answer = load()
        customer_id = None if answer is None else check_customer_id(answer)
    except Exception as error:  # noqa: BLE001 - the edge: the view goes on whatever the loader does
        state.report_failure("asking the customer_loader", error)
    return Word(customer_id, "loader")


def id_of_user(user: t.Any) -> str | None:
    """Return the id of Flask-Login's user as a customer's, or None where it cannot be one."""
    customer_id = user.get_id()
    try:
        return None if customer_id is None else check_customer_id(customer_id)
    except InvalidEvent:
        return None
