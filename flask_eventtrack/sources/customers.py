"""Which customer makes a request, as far as the host says by now; nothing is loaded by us."""

from __future__ import annotations

import collections.abc as cabc
import typing as t

from flask import g

from ..errors import InvalidEvent, InvalidToken
from ..visitor import check_customer_id
from ..visitor.customers import LEEWAY

if t.TYPE_CHECKING:
    from ..visitor import VerifiedCustomer, Visitor
    from .current import Current


def read_bearer(environ: cabc.Mapping[str, t.Any]) -> str | None:
    """Return the token of an ``Authorization: Bearer`` header (RFC 6750, section 2.1), or None."""
    scheme, _, token = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def end_of_word(customer: VerifiedCustomer) -> int:
    """Return when a token vouches no more (nanoseconds): with the leeway that it is verified by."""
    return customer.expires + LEEWAY


def heed_host(current: Current, visitor: Visitor) -> None:
    """Make the visitor the customer of a bearer token, else of Flask-Login, else of the loader."""
    if current.hears_bearer:
        current.hears_bearer = False
        if _heed_bearer(current):
            current.hears_host = False
            return
    if not _heed_loaded_user(current, visitor) and visitor.vouched_by in {"", "loader"}:
        _heed_loader(current, visitor)


def _heed_bearer(current: Current) -> bool:
    """Take a valid token. Another may be for the host itself, and is not refused here."""
    token = read_bearer(current.request.environ)
    if token is None or current.bot:
        return False
    try:
        customer = current.state.customer_tokens.verify(token, current.arrival)
    except InvalidToken:
        return False
    current.identify(customer.customer_id, "token", until=end_of_word(customer))
    return True


def _heed_loaded_user(current: Current, visitor: Visitor) -> bool:
    """Follow Flask-Login's user where something has loaded it. False if that is nobody."""
    user = g.get("_login_user")
    if user is None or current.bot:
        return False
    if not user.is_authenticated:
        if visitor.vouched_by == "login":
            visitor.stop_vouching()
        return False
    customer_id = id_of_user(user)
    if customer_id is not None and visitor.customer_id != customer_id:
        current.identify(customer_id, "login")
    return True


def _heed_loader(current: Current, visitor: Visitor) -> None:
    """Ask the host's ``customer_loader``, once in a request; its word holds for the request."""
    load = current.state.callbacks.customer_loader
    if load is None or current.has_asked or current.bot:
        return
    current.has_asked = True
    customer_id = None
    try:
        answer = load()
        customer_id = None if answer is None else check_customer_id(answer)
    except Exception as error:  # noqa: BLE001 - the edge: the view goes on whatever the loader does
        current.state.report_failure("asking the customer_loader", error)
    if customer_id is None:
        if visitor.vouched_by == "loader":
            visitor.stop_vouching()
    elif visitor.customer_id != customer_id:
        current.identify(customer_id, "loader")


def id_of_user(user: t.Any) -> str | None:
    """Return the id of Flask-Login's user as a customer's, or None where it cannot be one."""
    customer_id = user.get_id()
    try:
        return None if customer_id is None else check_customer_id(customer_id)
    except InvalidEvent:
        return None
