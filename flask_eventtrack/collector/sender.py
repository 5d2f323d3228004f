"""Who posts to the collector, and how they are told who they are."""

from __future__ import annotations

import collections.abc as cabc
import typing as t
import uuid as uuidlib

from flask import Response, request

from ..ids import uuid4
from ..request.cookies import DEVICE_COOKIE, SESSION_COOKIE
from ..request.host_login import end_of_word
from ..request.recording import log_in, log_out
from .origin import Sender

if t.TYPE_CHECKING:
    from ..identity import VerifiedCustomer
    from ..request.context import Current

DEVICE_HEADER = "X-EventTrack-Device"
SESSION_HEADER = "X-EventTrack-Session"


class NoRoom(Exception):
    """Too many events wait to be written."""


class Poster:
    """The visitor of a post: known by cookies, or by our headers where a client cannot send them.

    ``is_refused`` says that they do not want to be recorded.
    """

    def __init__(self, current: Current, sender: Sender) -> None:
        self.current = current
        self.is_app = current.is_app = sender is Sender.APP
        # Pages of our own site have cookies: there a header could only be somebody else's.
        is_same_site = request.headers.get("Sec-Fetch-Site") == "same-site"
        self._is_elsewhere = self.is_app or (sender is Sender.OTHER_ORIGIN and not is_same_site)
        current.hears_bearer = False  # it is verified as a post's, and refused where it is bad
        # An app asks its user itself: it has no cookie to say so with.
        self.is_refused = not self.is_app and current.policy != "full"

    def resume(self, new_device: cabc.Callable[[], uuidlib.UUID] = uuid4) -> None:
        """Read the visitor off cookies or headers, unless a hook of the host's has identified."""
        if self.is_refused or self.current.is_settled:
            return
        cookies, headers = request.cookies, request.headers
        device, session = cookies.get(DEVICE_COOKIE), cookies.get(SESSION_COOKIE)
        if self._is_elsewhere and device is None:
            device, session = headers.get(DEVICE_HEADER), headers.get(SESSION_HEADER)
        self.current.resume(device, session, new_device)

    def log_in(self, customer: VerifiedCustomer) -> None:
        """Make the visitor the customer of a token, whoever else the host says is here.

        :raises NoRoom: what became known of the customer could not be kept.
        """
        current = self.current
        if self.is_refused or current.bot:
            return
        current.hears_host = False
        log_in(current, customer.customer_id, "token", until=end_of_word(customer))
        if current.has_lost:
            raise NoRoom

    def log_out(self, customer: VerifiedCustomer | None) -> None:
        """Detach the device from its customer: of a token, only from that token's."""
        current = self.current
        if customer is None:
            log_out(current)
        elif current.visitor.uuid == current.profile_of(customer.customer_id):
            log_out(current, customer.customer_id)

    def send_identity(self, response: Response) -> None:
        """Set the cookies, or the headers that stand for them where cookies cannot travel."""
        current = self.current
        if current.bot:
            return
        if self.is_refused:
            current.drop_cookies(response)
            return
        if not self.is_app:
            current.send_cookies(response)
        # Never as headers, which scripts read, what came as a cookie that they cannot.
        if self._is_elsewhere and DEVICE_COOKIE not in request.cookies:
            tokens, visitor = current.state.tokens, current.visitor
            response.headers[DEVICE_HEADER] = tokens.write_device(visitor.device_token())
            session = visitor.session_token(current.arrival)
            if session is not None:
                response.headers[SESSION_HEADER] = tokens.write_session(session)
