"""The current request: who makes it, what it has recorded, and the cookies it sends back."""

from __future__ import annotations

import collections.abc as cabc
import typing as t
import uuid as uuidlib

import msgspec
from flask import Request, Response, request

from ..clients import find_bot
from ..errors import NotRegistered
from ..identity import customer_uuid, resume_visitor
from ..ids import uuid4, uuid7
from ..privacy import heed_signal, mask_address
from ..privacy.urls import site_of
from ..records import Client, EndReason, Event, Identified, PageView, SessionEnd, from_ns
from ..signals import customer_identified
from ..state import State, send, this_app
from ..text import clean_text
from .cookies import (
    CONSENT_COOKIE,
    CONSENT_MAX_AGE,
    CSRF_COOKIE,
    DEVICE_COOKIE,
    DEVICE_MAX_AGE,
    SESSION_COOKIE,
    read_identity,
    set_cookie,
    takes_cookies,
)
from .host_login import Word, hear_bearer, hear_loader, hear_login

if t.TYPE_CHECKING:
    from ..config import Policy
    from ..identity import Visitor
    from ..identity.tokens import VouchedBy

_ATTRIBUTE = "_eventtrack"
# What the proxy stands for, for a tenth of the time.
_find_request: cabc.Callable[[], Request] = request._get_current_object  # type: ignore[attr-defined]
USER_AGENT_MAX_LENGTH = 512


class Current:
    """What EventTrack knows of one request. Times are nanoseconds since the epoch.

    ``hears_host`` says that the host may know a customer whom the cookies do not, ``hears_bearer``
    that an ``Authorization`` header may, and ``has_asked`` that the ``customer_loader`` was asked.
    ``is_app`` tells an app's post, whose user agent does not matter; ``has_lost`` that there was no
    room for what became known of a customer.
    """

    __slots__ = (
        "_is_tagged",
        "_visit_id",
        "_visitor",
        "arrival",
        "has_asked",
        "has_lost",
        "hears_bearer",
        "hears_host",
        "is_app",
        "is_page",
        "recorded",
        "request",
        "state",
        "title",
    )

    def __init__(self, state: State, request: Request) -> None:
        self.state = state
        self.request = request
        self.arrival = state.clock()
        self.recorded = False
        self.is_page: bool | None = None
        self.title = ""
        self.is_app = self.has_asked = self.has_lost = self._is_tagged = False
        self.hears_bearer = "HTTP_AUTHORIZATION" in request.environ and bool(state.config.jwt_keys)
        self.hears_host = (
            state.has_login or self.hears_bearer or state.callbacks.customer_loader is not None
        )
        self._visit_id: uuidlib.UUID | None = None
        self._visitor: Visitor | None = None

    @property
    def visit_id(self) -> uuidlib.UUID:
        """The id of this request's page visit, if it is one."""
        if self._visit_id is None:
            self._visit_id = uuid7(self.arrival)
        return self._visit_id

    @property
    def visitor(self) -> Visitor:
        """The visitor, with the customer whom the host knows by now."""
        visitor = self._visitor or self._resume_from_cookies()
        if self.hears_host and visitor.policy == "full":
            self._heed_host(visitor)
        return visitor

    def _heed_host(self, visitor: Visitor) -> None:
        """Make the visitor the customer of a bearer token, else of Flask-Login, else of the
        loader, whose word holds for the request."""
        if self.bot:
            return
        if self.hears_bearer:
            self.hears_bearer = False
            word = hear_bearer(self.state, self.request.environ, self.arrival)
            if word is not None:
                self._heed(visitor, word)
                self.hears_host = False
                return
        word = hear_login(self.state)
        if word is not None:
            self._heed(visitor, word)
            if word.customer_id is not None:
                return
        load = self.state.callbacks.customer_loader
        if load is not None and not self.has_asked and visitor.vouched_by in {"", "loader"}:
            self.has_asked = True
            self._heed(visitor, hear_loader(self.state, load))

    def _heed(self, visitor: Visitor, word: Word) -> None:
        if word.customer_id is None:
            if visitor.vouched_by == word.vouched_by:
                visitor.stop_vouching()
        elif visitor.customer_id != word.customer_id or word.until:
            self.identify(word.customer_id, word.vouched_by, until=word.until)

    @property
    def policy(self) -> Policy:
        """What the visitor lets us record."""
        return (self._visitor or self._resume_from_cookies()).policy

    def _resume_from_cookies(self) -> Visitor:
        state, environ = self.state, self.request.environ
        device, session, choice = state.read_cookies(environ.get("HTTP_COOKIE", ""))
        policy = choice or state.config.default_policy
        if choice is None and ("HTTP_SEC_GPC" in environ or "HTTP_DNT" in environ):
            policy = _heed_signal(environ, policy, state.config.gpc)
        if policy == "full" and state.config.bots == "tag" and self.bot:
            policy, self._is_tagged = "anonymous", True
        if policy != "full":
            return self._refuse(policy)
        visitor = resume_visitor(device, session, self.arrival, state.session_timeout_ns)
        self._visitor = visitor
        return visitor

    def _refuse(self, policy: Policy) -> Visitor:
        """Make the visitor somebody who is not known, and stays so."""
        visitor = self.resume(None, None)
        visitor.policy = policy
        return visitor

    def forget(self, new_device: cabc.Callable[[], uuidlib.UUID]) -> Visitor:
        """Make the visitor somebody who is not known, whatever cookies and log-ins say."""
        self.hears_host = False
        return self.resume(None, None, new_device)

    def resume(
        self,
        device: str | None,
        session: str | None,
        new_device: cabc.Callable[[], uuidlib.UUID] = uuid4,
    ) -> Visitor:
        """Make the visitor of these tokens the one of this request."""
        self._visitor = resume_visitor(
            *read_identity(self.state.tokens, device, session),
            self.arrival,
            self.state.session_timeout_ns,
            new_device,
        )
        return self._visitor

    @property
    def is_settled(self) -> bool:
        """Whether the visitor was identified, or resumed from cookies, earlier in this request."""
        visitor = self._visitor
        return visitor is not None and (not visitor.is_new or visitor.customer_id is not None)

    @property
    def bot(self) -> str | None:
        """Why the request is taken for a bot's, or None."""
        if self.is_app:
            return None
        agent = self.request.environ.get("HTTP_USER_AGENT", "")
        if not agent and this_app().testing:  # as in app.test_request_context()
            return None
        return find_bot(agent[:USER_AGENT_MAX_LENGTH])

    @property
    def is_silent(self) -> bool:
        """Whether nothing that the visitor does is recorded as theirs: they refused, or are a
        bot."""
        return self.policy != "full" or self.bot is not None

    @property
    def is_tagged_bot(self) -> bool:
        """Whether it is a bot whose events are recorded, with a mark, where a person's would be."""
        # An app may be taken for a bot until its post shows what it is.
        return self.policy != "full" and self._is_tagged and not self.is_app

    @property
    def site(self) -> str:
        """The host name that the request was made to, in lower case, without a port."""
        return clean_text(site_of(self.request.host))

    def client(self) -> Client:
        environ = self.request.environ
        header = self.state.config.country_header
        return Client(
            user_agent=environ.get("HTTP_USER_AGENT", "")[:USER_AGENT_MAX_LENGTH],
            language=environ.get("HTTP_ACCEPT_LANGUAGE", "")[:64],
            address=mask_address(environ.get("REMOTE_ADDR", "")),
            country=self.request.headers.get(header, "").upper()[:8] if header else "",
        )

    def as_nobodys(self, event: Event) -> Event:
        """Return an event without what says whose it is: of its client there is left what the
        writer hashes for the day's profile, and its id is not the one that the page's tag names. A
        bot's says why it is taken for one."""
        client = event.client and Client(event.client.user_agent, address=event.client.address)
        nobodys = msgspec.structs.replace(
            event, id=uuid7(self.arrival), session=None, client=client
        )
        if self.bot is None:
            return nobodys
        params = {"bot": self.bot, **event.params}
        return msgspec.structs.replace(nobodys, source="bot", params=params)

    def open_session(self, at: int) -> Visitor:
        """Make sure that the visitor's session is open from ``at``; end the one before."""
        visitor = self.visitor
        self.end_session(visitor.open_session(at), "timeout")
        return visitor

    def end_session(self, over: uuidlib.UUID | None, reason: EndReason) -> None:
        """Note that a session is over, if one is."""
        if over is not None:
            self.state.pipeline.put(SessionEnd(session_id=over, reason=reason))

    def put(self, *records: Event | PageView) -> bool:
        """Put events on their way; False where there is no room."""
        if not self.state.pipeline.put(*records):
            return False
        self.recorded = True
        return True

    def profile_of(self, customer_id: str) -> uuidlib.UUID:
        return customer_uuid(self.state.config.profile_salt, customer_id)

    def identify(
        self,
        customer_id: str,
        vouched_by: VouchedBy,
        traits: dict[str, t.Any] | None = None,
        until: int = 0,
    ) -> bool:
        """Make the visitor a customer; another customer's session is over with that.

        :param until: when a token's word ends; 0 is with the session.
        :returns: whether it is a log-in: they were not vouched for as this customer before. As a
            token is shown again and again, one logs in only whose device was not theirs.
        """
        # Without heeding the host: a log-in's signal comes when its user is loaded already.
        visitor = self._visitor or self._resume_from_cookies()
        profile = self.profile_of(customer_id)
        anonymous = None if visitor.is_known else visitor.uuid
        is_change, is_move = visitor.customer_id != customer_id, visitor.uuid != profile
        if is_change:
            if is_move and visitor.is_known:
                self.end_session(visitor.leave(), "logout")
            visitor.attribute_to(customer_id, profile, vouched_by, until)
        else:
            visitor.vouch_again(vouched_by, until)
        if is_change or traits:
            self._put_customer(customer_id, profile, anonymous, traits or {})
        return is_move if vouched_by == "token" else is_change

    def _put_customer(
        self,
        customer_id: str,
        profile: uuidlib.UUID,
        anonymous: uuidlib.UUID | None,
        traits: dict[str, t.Any],
    ) -> None:
        record = Identified(
            uuid=profile,
            customer_id=customer_id,
            time=from_ns(self.arrival),
            anonymous=anonymous,
            traits=traits,
        )
        if not self.state.pipeline.put(record):
            self.has_lost = True
        send(self.state, customer_identified, customer_id=customer_id, uuid=profile)

    def send_cookies(self, response: Response) -> None:
        """Set the cookies that have changed or gone stale."""
        visitor, state = self.visitor, self.state
        if not visitor.owes_cookies(self.arrival):
            return
        if not takes_cookies(response):
            return
        if visitor.stale:
            token = state.tokens.write_device(visitor.device_token())
            self._set(response, DEVICE_COOKIE, token, DEVICE_MAX_AGE)
        session = visitor.session_token(state.clock())
        if session is None:
            if SESSION_COOKIE in self.request.cookies:
                self._set(response, SESSION_COOKIE, "", 0)
                self._send_csrf(response)  # whose epoch has changed
            return
        max_age = int(state.config.session_timeout.total_seconds())
        self._set(response, SESSION_COOKIE, state.tokens.write_session(session), max_age)
        self._send_csrf(response)

    def send_choice(self, response: Response, choice: Policy) -> None:
        """Set what the visitor has chosen; a refusal takes the other cookies away."""
        self._set(response, CONSENT_COOKIE, choice, CONSENT_MAX_AGE, readable=True)
        if choice != "full":
            self._drop_cookies(response)

    def drop_cookies(self, response: Response) -> None:
        """Take our cookies from a visitor who refuses them and has some."""
        has_some = DEVICE_COOKIE in self.request.environ.get("HTTP_COOKIE", "")
        if has_some and takes_cookies(response):
            self._drop_cookies(response)

    def _drop_cookies(self, response: Response) -> None:
        for name in (DEVICE_COOKIE, SESSION_COOKIE, CSRF_COOKIE):
            self._set(response, name, "", 0)

    def send_csrf(self, response: Response) -> None:
        """Set the device and a fresh CSRF token, for a client that may try again."""
        token = self.state.tokens.write_device(self.visitor.device_token())
        self._set(response, DEVICE_COOKIE, token, DEVICE_MAX_AGE)
        self._send_csrf(response)

    def _send_csrf(self, response: Response) -> None:
        expires = (self.arrival + self.state.session_timeout_ns) // 1000
        visitor, tokens = self.visitor, self.state.tokens
        csrf = f"{tokens.epoch_of(visitor.uuid)}.{tokens.write_csrf(visitor.device_id, expires)}"
        max_age = int(self.state.config.session_timeout.total_seconds())
        self._set(response, CSRF_COOKIE, csrf, max_age, readable=True)

    def is_own_csrf(self, token: str) -> bool:
        """Whether a CSRF token is this device's, and still good."""
        device_id = self.visitor.device_id
        return self.state.tokens.is_csrf_of(token, device_id, self.arrival // 1000)

    def _set(
        self, response: Response, name: str, value: str, max_age: int, *, readable: bool = False
    ) -> None:
        secure = self.request.is_secure
        set_cookie(
            response, self.state.config, name, value, max_age, secure=secure, readable=readable
        )


def _heed_signal(
    environ: cabc.Mapping[str, str], policy: Policy, signal: Policy | t.Literal["ignore"]
) -> Policy:
    """Return the policy where the browser may send Global Privacy Control or Do Not Track."""
    is_sent = "1" in {environ.get("HTTP_SEC_GPC"), environ.get("HTTP_DNT")}
    return heed_signal(policy, signal) if is_sent else policy


def get_current(state: State) -> Current:
    """Return what is known of the current request, also where no hook of ours has run.

    :raises NotRegistered: there is no request.
    """
    try:
        this = _find_request()
    except RuntimeError:
        raise NotRegistered(
            "There is no request: name a customer, or give a visitor's token."
        ) from None
    # On the request, not on `g`, which the requests of a test may share.
    current: Current | None = this.__dict__.get(_ATTRIBUTE)
    if current is None:
        current = this.__dict__[_ATTRIBUTE] = Current(state, this)
    else:
        current.request = this
    return current
