"""The sender of a post: read from cookies, headers or a token, and sent back."""

from __future__ import annotations

import collections.abc as cabc
import datetime as dt
import uuid as uuidlib

from flask import Response, request

from ..identity.tokens import DeviceToken, SessionToken
from ..identity.visitor import VerifiedCustomer, resume_visitor, visitor_of
from ..ids import uuid4
from ..records import from_ns
from ..request.context import Current
from ..request.cookies import brings_device, drop_cookies, read_identity, send_cookies
from ..request.host_login import log_in, log_out, resolve, vouched_until
from ..request.origin import PostOrigin

DEVICE_HEADER = "X-EventTrack-Device"
SESSION_HEADER = "X-EventTrack-Session"


class NoRoom(Exception):
    """The journal has no room."""


class Sender:
    """The visitor of a post, known by cookies, or by our headers if cookies cannot travel.

    ``is_elsewhere`` says that the sender is known by our headers; ``is_refused`` that the visitor
    does not want to be recorded. ``latest`` is the last moment at which events can have happened.
    """

    def __init__(self, current: Current, origin: PostOrigin) -> None:
        self.current = current
        self.is_app: bool = origin is PostOrigin.APP
        if self.is_app:
            current.treat_as_app()
        # Pages of our own site send cookies: a header there could only come from another visitor.
        is_same_site = request.headers.get("Sec-Fetch-Site") == "same-site"
        is_other = origin is PostOrigin.OTHER_ORIGIN
        self.is_elsewhere: bool = self.is_app or (is_other and not is_same_site)
        # The collector verifies the bearer token itself, and refuses the post if it is invalid.
        current.asks_bearer = False
        self.is_refused: bool = current.judged.policy != "full"
        self.latest: dt.datetime = from_ns(current.arrival)

    def resume(self, new_device: cabc.Callable[[], uuidlib.UUID] = uuid4) -> None:
        """Read the visitor from cookies or headers, unless the visitor is known already."""
        if self.is_refused or self.current.is_settled:
            return
        identity = self.current.cookies[:2]
        if self.is_elsewhere and not brings_device(request):
            values = map(request.headers.get, (DEVICE_HEADER, SESSION_HEADER))
            identity = read_identity(self.current.state.tokens, *values)
        self._become(*identity, new_device)

    def resume_owner(self, token: str) -> bool:
        """Make the owner of a CSRF token the visitor; return False if the token is not valid.

        The owner may have left meanwhile. An expired token counts for as long as events of its time
        are accepted. It proves nothing about later events.
        """
        state, arrival = self.current.state, self.current.arrival
        max_age = state.config.max_age // dt.timedelta(microseconds=1)
        owner = state.tokens.read_owner(token, arrival // 1000 - max_age)
        if owner is None:
            return False
        self.current.asks_host = False
        self.current.visitor = visitor_of(owner, arrival)
        self.latest = min(self.latest, from_ns(owner.until * 1000))
        return True

    def forget(self, new_device: cabc.Callable[[], uuidlib.UUID]) -> None:
        """Make the visitor unknown, and ignore cookies and log-ins."""
        self.current.asks_host = False
        self._become(None, None, new_device)

    def _become(
        self,
        device: DeviceToken | None,
        session: SessionToken | None,
        new_device: cabc.Callable[[], uuidlib.UUID],
    ) -> None:
        """Make the visitor of these tokens this request's visitor."""
        current = self.current
        lifetimes = current.state.lifetimes
        current.visitor = resume_visitor(device, session, current.arrival, lifetimes, new_device)

    def is_csrf_of(self, token: str | None, device_id: uuidlib.UUID) -> bool:
        """Whether a CSRF token is this device's, and still valid."""
        now = self.current.arrival // 1000
        return token is not None and self.current.state.tokens.is_csrf_of(token, device_id, now)

    def log_in(self, customer: VerifiedCustomer) -> None:
        """Make the visitor the customer of a token, whatever else the host says.

        :raises NoRoom: there was no room to record the customer.
        """
        current = self.current
        if not current.verdict.is_person:
            return
        current.asks_host = False
        if not log_in(current, customer.customer_id, "token", until=vouched_until(customer)):
            raise NoRoom

    def log_out(self, customer: VerifiedCustomer | None) -> None:
        """Detach the device from its customer; with a token, only from that token's customer."""
        current = self.current
        if customer is None:
            log_out(current)
        elif resolve(current).uuid == current.state.profile_of(customer.customer_id):
            log_out(current, customer.customer_id)

    def send_identity(self, response: Response) -> None:
        """Set the cookies, or the headers if cookies cannot travel."""
        current = self.current
        if current.judged.bot is not None or current.verdict.is_filtered:
            return
        if self.is_refused:
            drop_cookies(current, response)
            return
        if not self.is_app:
            send_cookies(current, response)
        # A device from a cookie goes back in a cookie, since scripts can read headers.
        if self.is_elsewhere and not brings_device(request):
            tokens, visitor = current.state.tokens, current.visitor
            response.headers[DEVICE_HEADER] = tokens.write_device(visitor.device_token())
            session = visitor.session_token(current.arrival)
            if session is not None:
                response.headers[SESSION_HEADER] = tokens.write_session(session)
