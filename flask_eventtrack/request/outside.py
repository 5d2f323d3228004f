"""Visitors outside their own request: the token that names one, and the block that acts for one."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import contextvars
import typing as t
import uuid as uuidlib

from flask import has_request_context

from ..errors import InvalidEvent
from ..identity.tokens import VisitorToken
from ..ids import session_id_of
from ..records import SessionRef, from_ns
from ..state import State, find_state, this_app
from .context import Current, get_current_now
from .host_login import resolve
from .navigation import find_visit

_TOKEN: contextvars.ContextVar[str | None] = contextvars.ContextVar(
    "eventtrack_visitor", default=None
)
#: Returns the token of the block of ``as_visitor()`` that runs, or None.
find_block: t.Final[cabc.Callable[[], str | None]] = _TOKEN.get


class NamedVisitor(t.NamedTuple):
    """Whom a token names. ``session`` is the one that the events belong to, if it is known;
    ``visit_id`` the page visit in whose request the token was made, ``site`` the app's site."""

    device_id: uuidlib.UUID
    uuid: uuidlib.UUID
    session_id: uuidlib.UUID
    session: SessionRef | None
    visit_id: uuidlib.UUID | None
    site: str


def as_visitor(token: str | None) -> contextlib.AbstractContextManager[None]:
    """Act for a visitor outside their own request, such as in a job that the request started.

    ::

        @job
        def export(token):
            with app.app_context(), events.as_visitor(token):
                track("export.finish")

    In the block, ``track()`` and ``track_transaction()`` record for the visitor, unless the call
    names a customer or another visitor. The events belong to the session of the request in which
    the token was made, and name its page visit. This also holds in a request of someone else, such
    as a payment provider's. Blocks may be nested: the innermost counts. A block needs no app
    context, and holds in the current thread or asyncio task. ``contextvars.copy_context()`` takes
    it to another thread.

    A token cannot change the visitor's cookies: ``identify()`` stores only the traits, and
    ``logout()`` is a mistake. It vouches for no customer either: of ``current_visitor`` there are
    ``device_id``, ``uuid``, ``session_id``, ``customer_id`` (always None), ``policy`` and
    ``token``.

    :param token: a :attr:`CurrentVisitor.token`. If it is empty, only orders and events of
        customers who are named are recorded. None names no visitor: it is as if there were no
        block.
    """
    return _act_for(token)


@contextlib.contextmanager
def _act_for(token: str | None) -> cabc.Iterator[None]:
    before = _TOKEN.set(token)
    try:
        yield
    finally:
        # A generator may be closed in another context, in which there is no block to leave.
        with contextlib.suppress(ValueError):
            _TOKEN.reset(before)


def find_token() -> str | None:
    """Return the token of the block or of the request that runs; None if there is neither."""
    token = find_block()
    if token is not None or not has_request_context():
        return token
    state = find_state(this_app())
    if state is None or not state.config.enabled:
        return None
    return make_token(get_current_now(state))


def enter_block(token: str | None) -> str | None:
    """Begin to act for a visitor, and return the token to call this with at the end."""
    before = find_block()
    _TOKEN.set(token)
    return before


def make_token(current: Current) -> str:
    """Return the token of a request's visitor; "" if nothing may be recorded of them as a person.

    It names the open session, or the one that the visitor's next event will open.
    """
    if not current.verdict.is_person:
        return ""
    visitor = resolve(current)
    if visitor.is_new:
        current.recorded = True  # else its cookies are not sent, and the session is never theirs
    token = VisitorToken(
        visitor.device_id,
        visitor.uuid,
        visitor.number + (visitor.started is None),
        (visitor.started or current.now) // 1000,
        visitor.follows,
        find_visit(current),
        current.site,
    )
    return current.state.tokens.write_visitor(token)


def read_visitor(state: State, token: str) -> NamedVisitor:
    """Return whom a token names. It vouches for no customer, and does not expire.

    :raises InvalidEvent: the token was not made by this app.
    """
    if not isinstance(token, str):
        raise InvalidEvent(
            "invalid_visitor", f"A visitor's token is a str, not {type(token).__name__}."
        )
    found = state.tokens.read_visitor(token)
    if found is None:
        raise InvalidEvent("invalid_visitor", "The visitor's token was not made by this app.")
    is_open = found.started > 0
    session_id = session_id_of(found.device_id, found.sessions + (not is_open))
    session = None
    if is_open:
        started = from_ns(found.started * 1000)
        number = found.sessions if found.follows else 0
        session = SessionRef(session_id, found.device_id, started, number=number)
    return NamedVisitor(
        found.device_id, found.uuid, session_id, session, found.visit_id, found.site
    )
