"""What is known of the current request: its verdict, its visitor, its client."""

from __future__ import annotations

import collections.abc as cabc
import uuid as uuidlib

import msgspec
from flask import Request, request

from ..clients.agents import find_bot
from ..errors import NotRegistered
from ..identity.tokens import Cookies
from ..identity.users import UserId
from ..identity.visitor import RENEW_AFTER, Visitor, resume_visitor
from ..ids import uuid7
from ..limits import Sender
from ..privacy.addresses import mask_address
from ..records import Client
from ..state import State, this_app
from .host_hooks import run_passed_hooks
from .verdict import PERSON, Verdict, judge

_ATTRIBUTE = "_eventtrack"
# The object behind the proxy, in a tenth of the time.
_find_request: cabc.Callable[[], Request] = request._get_current_object  # type: ignore[attr-defined]
# The key of the visitor in an environment that serves several requests, as in Flask-SocketIO.
_VISITOR = "eventtrack.visitor"
USER_AGENT_MAX_LENGTH = 512


# Each request makes one: a struct takes a third of the time of a dataclass.
class Current(msgspec.Struct, eq=False):
    """What EventTrack knows of one request. Times are nanoseconds since the epoch.

    ``recorded`` says whether something of the request was recorded. ``is_page`` and ``title`` are
    the page hooks' findings, ``may_be_page`` is that of :mod:`.navigation`. ``asks_host`` says
    whether :func:`.host_login.resolve` still asks the host for the customer; ``asks_bearer``,
    ``asks_login`` and ``asks_loader`` whether it asks the ``Authorization`` header, Flask-Login's
    user and the ``customer_loader``. ``user`` is the last user whose customer id was looked up,
    with the id. ``logs_in`` says that a user has logged in who has no id yet.
    """

    state: State
    request: Request
    arrival: int
    asks_host: bool
    asks_bearer: bool
    asks_loader: bool
    recorded: bool = False
    is_page: bool | None = None
    may_be_page: bool | None = None
    title: str = ""
    asks_login: bool = True
    user: tuple[object, UserId] | None = None
    logs_in: bool = False
    _judged: Verdict | None = None
    _verdict: Verdict | None = None
    _cookies: Cookies | None = None
    _visit_id: uuidlib.UUID | None = None
    _visitor: Visitor | None = None
    _later: int = 0

    @property
    def now(self) -> int:
        """The arrival, or the last moment at which a request that lasts was looked at."""
        return self._later or self.arrival

    @property
    def visit_id(self) -> uuidlib.UUID:
        """The id of this request's page visit, if it is one."""
        if self._visit_id is None:
            self._visit_id = uuid7(self.arrival)
        return self._visit_id

    @property
    def is_prefixed(self) -> bool:
        """Whether the names of our cookies have the prefix ``__Host-`` in the answer."""
        return self.state.may_prefix and self.request.scheme == "https"

    @property
    def cookies(self) -> Cookies:
        """What our cookies say."""
        cookies = self._cookies
        if cookies is None:
            header = self.request.environ.get("HTTP_COOKIE", "")
            cookies = self._cookies = self.state.read_cookies(header, self.is_prefixed)
        return cookies

    @property
    def verdict(self) -> Verdict:
        """May this request be recorded, and as a person or anonymously?

        This asks ``EVENTTRACK_VISITOR_FILTER``, so it is read where something would be recorded.
        """
        ask = self.state.config.visitor_filter
        if ask is None:
            return self._judged or self._judge()
        if self._verdict is None:
            run_passed_hooks()  # which may ask for the verdict themselves
        verdict = self._verdict
        if verdict is None:
            verdict = self._verdict = self.judged
            if verdict.kind != "nothing":
                # In the filter itself, nothing is recorded.
                self._verdict = Verdict("nothing", verdict.policy, "filter")
                with self.state.guard("asking EVENTTRACK_VISITOR_FILTER"):
                    if ask():
                        self._verdict = verdict
        return self._verdict or verdict

    @property
    def judged(self) -> Verdict:
        """The verdict without the app's filter."""
        return self._judged or self._judge()

    def judge_again(self) -> None:
        """Have the app's filter asked again, since someone else has logged in."""
        if self.state.config.visitor_filter is not None:
            self._verdict = None

    def _judge(self) -> Verdict:
        environ, state, choice = self.request.environ, self.state, self.cookies.choice
        has_signal = environ.get("HTTP_SEC_GPC") == "1" or environ.get("HTTP_DNT") == "1"
        bot = find_bot(environ.get("HTTP_USER_AGENT", "")[:USER_AGENT_MAX_LENGTH])
        if bot is not None and self.admits_bots:
            bot = None
        judged = self._judged = judge(choice, has_signal=has_signal, bot=bot, config=state.config)
        return judged

    @property
    def admits_bots(self) -> bool:
        """Whether a bot counts as a person here."""
        if self.state.admits_bots:
            return True
        # There is no user agent in app.test_request_context().
        return not self.request.environ.get("HTTP_USER_AGENT") and this_app().testing

    def treat_as_app(self) -> None:
        """Record the request in full: an app asks its user itself, whatever its user agent."""
        self._judged, self._verdict = PERSON, None

    @property
    def visitor(self) -> Visitor:
        """The visitor, by the cookies, log-ins and log-outs of this request.

        :func:`.host_login.resolve` adds what the host knows.
        """
        visitor = self._visitor
        if visitor is None:
            visitor = self._visitor = self._resume()
        return visitor

    @visitor.setter
    def visitor(self, visitor: Visitor) -> None:
        visitor.stale |= self.cookies.is_renamed
        self._visitor = visitor

    def _resume(self) -> Visitor:
        kept: tuple[State, Visitor, int] | None = self.request.environ.get(_VISITOR)
        if kept is not None and kept[0] is self.state:
            return self._resume_kept(*kept[1:])
        device = session = None
        cookies = self.cookies
        if self.judged.policy == "full":
            device, session = cookies.device, cookies.session
        visitor = resume_visitor(device, session, self.now, self.state.lifetimes)
        visitor.stale |= cookies.is_renamed
        return visitor

    def _resume_kept(self, found: Visitor, last: int) -> Visitor:
        """Return the visitor of an earlier request in the same environment."""
        found.last = last
        found.go_on(self.now, self.state.lifetimes)
        return found

    def keep_visitor(self, now: int) -> None:
        """Note that the visitor is active now, for later events of the same connection."""
        self.request.environ[_VISITOR] = self.state, self.visitor, now
        if self._later:
            self.visitor.last = now

    def go_on(self, now: int) -> None:
        """In a request that lasts over a minute, check again who the visitor is."""
        if now - self.now < RENEW_AFTER:
            return
        self._later = now
        self.asks_loader = self.state.callbacks.customer_loader is not None
        if self._visitor is not None:
            self._visitor.go_on(now, self.state.lifetimes)

    @property
    def is_settled(self) -> bool:
        """Whether the visitor was identified, or resumed from cookies, earlier in this request."""
        visitor = self._visitor
        return visitor is not None and (not visitor.is_new or visitor.customer_id is not None)

    @property
    def site(self) -> str:
        """Which of the app's sites the request was made to."""
        return self.state.sites.find(self.request.host)

    def sender(self) -> Sender:
        """The client for limits: its device, known or new, and its network."""
        return self.visitor.device_id, mask_address(self.request.environ.get("REMOTE_ADDR", ""))

    def client(self) -> Client:
        environ, clean = self.request.environ, self.state.urls.clean_text
        header = self.state.config.country_header
        return Client(
            user_agent=clean(environ.get("HTTP_USER_AGENT", "")[:USER_AGENT_MAX_LENGTH]),
            language=clean(environ.get("HTTP_ACCEPT_LANGUAGE", "")[:64]),
            address=mask_address(environ.get("REMOTE_ADDR", "")),
            country=self.request.headers.get(header, "").upper()[:8] if header else "",
        )


def get_current_now(state: State) -> Current:
    """Return what is known of the current request now: a websocket or a stream may last for hours.

    :raises NotRegistered: there is no request.
    """
    current = get_current(state)
    current.go_on(state.clock())
    return current


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
        bearer = "HTTP_AUTHORIZATION" in this.environ and bool(state.config.jwt_keys)
        loader = state.callbacks.customer_loader is not None
        asks_host = state.config.privacy_identity and (state.has_login or bearer or loader)
        current = Current(state, this, state.clock(), asks_host, bearer, loader)
        this.__dict__[_ATTRIBUTE] = current
    else:
        current.request = this
    return current
