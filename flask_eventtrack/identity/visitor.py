"""A visitor: the device, profile and session of one request."""

from __future__ import annotations

import re
import typing as t
import uuid as uuidlib

import msgspec

from ..errors import InvalidEvent
from ..ids import session_id_of, uuid4, uuid5
from ..records import (
    NOT_VOUCHED,
    VOUCHED_BY_COOKIE,
    VOUCHED_BY_HOST,
    SessionRef,
    Vouched,
    from_ns,
)
from ..text import shorten, write_id
from .tokens import CUSTOMER_ID_MAX_LENGTH, DeviceToken, Owner, SessionToken, VouchedBy

#: A customer's id in the host app: a text, an integer of any library, or a UUID.
CustomerId = str | t.SupportsIndex | uuidlib.UUID

#: The session cookie is sent again once it is older than this (nanoseconds).
RENEW_AFTER = 60 * 1_000_000_000
# The fixed root of all profiles' namespaces, so that every process derives the same ids.
_ROOT = uuid5(uuidlib.NAMESPACE_URL, "urn:flask-eventtrack:profile")
# Placeholder ids that apps pass when no one is logged in; they would make one person of many.
_PLACEHOLDER = re.compile(
    r"(?:-1|0|0{8}(?:-0{4}){3}-0{12}|\[object object\]|anonymous(?:user)?|false|guest|n/a|nan|nil"
    r"|none|null|true|undefined|unknown)?"
)


def customer_uuid(salt: str, customer_id: str) -> uuidlib.UUID:
    """Return the profile of a customer: a UUID version 5, the same on every device."""
    return uuid5(uuid5(_ROOT, salt), customer_id)


def check_customer_id(customer: object) -> str:
    """Return a customer's id as text.

    An integer may be of any library, such as numpy's.

    :raises InvalidEvent: it is no str, integer or UUID, is empty, has more than 255 characters, or
        is a placeholder such as "null", "guest" or 0.
    """
    text = write_id(customer, CUSTOMER_ID_MAX_LENGTH)
    if not (text and len(text) <= CUSTOMER_ID_MAX_LENGTH and text.isprintable()):
        rule = f": a str, integer or UUID of 1 to {CUSTOMER_ID_MAX_LENGTH} printable characters."
    elif _PLACEHOLDER.fullmatch(text.strip(" \"'").lower()):
        rule = " but a placeholder: pass the id of one customer, or none at all."
    else:
        return text
    raise InvalidEvent("invalid_customer", f"{shorten(customer, 40)} is not a customer's id{rule}")


class Lifetimes(t.NamedTuple):
    """How long a session lasts without activity, and a log-in vouches (nanoseconds)."""

    session: int
    vouching: int


class VerifiedCustomer(t.NamedTuple):
    """The customer that a token names, and when it is valid (nanoseconds since the epoch)."""

    customer_id: str
    expires: int
    begins: int = 0


# Each request makes one: a struct takes half the time of a dataclass.
class Visitor(msgspec.Struct):
    """Who a request comes from. Times are nanoseconds since the epoch.

    ``number`` counts the device's sessions; ``started`` is None until the session has an event.
    ``ended`` tells whether a log-out ended the last session, ``opened`` whether the session began
    with this request, and ``stale`` whether the cookies have to be sent. ``vouched_until`` is when
    a token expires, and ``vouched_at`` when the host last vouched for the customer;
    ``is_vouched_now`` says that it did so in this request. ``expires`` is when the device is no
    longer recognised (seconds since the epoch); 0 if it is new, or never. ``campaign`` is the
    campaign in the query of a request that was no visit, kept until the next page. ``follows`` says
    that this session began in a request with the cookie of the one before it; ``went_on`` that the
    session of the cookies ended while the request lasted.
    """

    device_id: uuidlib.UUID
    uuid: uuidlib.UUID
    number: int = 0
    started: int | None = None
    last: int = 0
    vouched_by: VouchedBy = ""
    customer_id: str | None = None
    is_new: bool = False
    ended: bool = False
    opened: bool = False
    stale: bool = True
    vouched_until: int = 0
    expires: int = 0
    vouched_at: int = 0
    is_vouched_now: bool = False
    campaign: str = ""
    follows: bool = False
    went_on: bool = False

    @property
    def session_id(self) -> uuidlib.UUID:
        """The session of this request's events; the next one if none is open."""
        return session_id_of(self.device_id, self.number + (self.started is None))

    @property
    def session(self) -> SessionRef:
        """The open session, for an event.

        :raises ValueError: none is open.
        """
        if self.started is None:
            raise ValueError("no session is open")
        started, number = from_ns(self.started), self.number if self.follows else 0
        return SessionRef(self.session_id, self.device_id, started, self.vouched, number)

    def latest_session(self, now: int) -> SessionRef:
        """Return the open session, else the last one.

        Engagement opens no session, and needs one that names the device.
        """
        if self.started is not None:
            return self.session
        last = session_id_of(self.device_id, self.number)
        return SessionRef(last, self.device_id, from_ns(now), self.vouched)

    @property
    def vouched(self) -> Vouched:
        """Who vouches for the customer of an event that is recorded now."""
        if self.customer_id is None:
            return NOT_VOUCHED
        return VOUCHED_BY_HOST if self.is_vouched_now else VOUCHED_BY_COOKIE

    @property
    def is_known(self) -> bool:
        """Whether the profile is a customer's, vouched for or not."""
        return self.uuid.version == 5

    def open_session(self, at: int) -> uuidlib.UUID | None:
        """Make sure that a session is open; a new one begins at ``at``.

        :returns: the device's previous session, if it had not ended: it ends now.
        """
        if self.started is not None:
            if self.opened and at < self.started:
                self.started = at
            return None
        over = None if self.ended or not self.number else session_id_of(self.device_id, self.number)
        self.number += 1
        self.started = at
        self.opened = self.stale = True
        self.ended = False
        return over

    def attribute_to(
        self, customer_id: str, profile: uuidlib.UUID, vouched_by: VouchedBy, until: int, now: int
    ) -> None:
        """Make the visitor a customer who is vouched for."""
        self.uuid = profile
        self.customer_id = customer_id
        self.vouched_by = vouched_by
        self.vouched_until = until
        self.vouched_at = now
        self.is_vouched_now = True
        self.stale = True

    def vouch_again(self, vouched_by: VouchedBy, until: int, now: int) -> None:
        """Vouch for the same customer once more.

        A voucher replaces the current one if it lasts longer. A token does not prolong a log-in,
        which may outlast it.
        """
        self.is_vouched_now = True
        is_longer = until == 0 or until > self.vouched_until
        is_other = vouched_by != self.vouched_by
        if (self.vouched_by == "token" and is_longer) or (self.vouched_by == "loader" and is_other):
            self.vouched_by = vouched_by
            self.vouched_until = until
            self.stale = True
        if vouched_by != "token" or self.vouched_by == "token":
            self.vouched_at = now

    def stop_vouching(self) -> None:
        """Still attribute events to the customer, without vouching."""
        self.customer_id = None
        self.vouched_by = ""
        self.vouched_at = 0
        self.is_vouched_now = False
        self.stale = True

    def go_on(self, now: int, lifetimes: Lifetimes) -> None:
        """Find out whether session and customer are still valid, in a request that lasts."""
        if self.started is not None and now - max(self.last, self.started) >= lifetimes.session:
            # Of the device's sessions, the cookies tell only theirs and the next one.
            self.number -= self.follows and self.went_on
            self.started, self.follows, self.went_on = None, True, True
            self.stop_vouching()
        elif self.vouched_by and not _may_vouch(self, now, lifetimes.vouching):
            self.stop_vouching()
        self.opened = self.is_vouched_now = False

    def leave(self) -> uuidlib.UUID | None:
        """Detach the device from its customer: start a new profile, and end the session.

        :returns: the session that was open, if one was.
        """
        over = self.session_id if self.started is not None else None
        self.uuid = uuid4()
        self.started = None
        self.ended = True
        self.opened = self.follows = False
        self.stop_vouching()
        return over

    def keep_campaign(self, campaign: str) -> None:
        """Keep a campaign for the next page."""
        self.campaign = campaign
        self.stale = True

    def take_campaign(self) -> str:
        """Return the campaign that was kept, for the page that it goes to, or ""."""
        campaign, self.campaign = self.campaign, ""
        self.stale |= bool(campaign)
        return campaign

    def owes_cookies(self, now: int) -> bool:
        """Whether the visitor's cookies have to be sent: they changed, or are over a minute old."""
        return self.stale or self.started is None or not 0 <= now - self.last <= RENEW_AFTER

    def device_token(self) -> DeviceToken:
        return DeviceToken(self.device_id, self.uuid, self.number, self.ended, self.expires)

    def owner(self) -> Owner:
        """Return who the events of a page belong to from now on."""
        return Owner(self.device_id, self.uuid, self.number, (self.started or 0) // 1000)

    def session_token(self, now: int) -> SessionToken | None:
        """Return the session as of ``now``, or None while none is open and no campaign is kept."""
        if self.started is None:
            started = now // 1000
            kept = SessionToken(self.device_id, self.number, 0, started, campaign=self.campaign)
            return kept if self.campaign else None
        return SessionToken(
            self.device_id,
            self.number,
            self.started // 1000,
            now // 1000,
            self.vouched_by,
            self.customer_id,
            self.vouched_until // 1000,
            self.vouched_at // 1000,
            self.campaign,
            self.follows,
        )


def resume_visitor(
    device: DeviceToken | None,
    session: SessionToken | None,
    now: int,
    lifetimes: Lifetimes,
    new_device: t.Callable[[], uuidlib.UUID] = uuid4,
) -> Visitor:
    """Return the visitor with these tokens, or a new one.

    The session belongs to this device (:func:`.tokens.match_session`). It continues if its last
    activity is within the timeout; one in the future counts as now, because the clock went back. A
    customer is no longer vouched for once the token has expired or the host has not vouched for too
    long, nor if the device cookie is from before the log-in.
    """
    if device is None or (device.expires and now >= device.expires * 1_000_000_000):
        device_id = new_device()
        return Visitor(device_id, device_id, is_new=True)
    follows = session is not None and session.started > 0 and not device.ended
    if session is not None and now - session.last * 1000 >= lifetimes.session:
        session = None
    if session is None or device.ended or not session.started:
        return Visitor(
            device.device_id,
            device.uuid,
            device.sessions,
            ended=device.ended,
            expires=device.expires,
            campaign=session.campaign if session else "",
            follows=follows,
        )
    visitor = Visitor(
        device.device_id,
        device.uuid,
        device.sessions,
        session.started * 1000,
        session.last * 1000,
        session.vouched_by,
        session.customer_id,
        stale=False,
        vouched_until=session.vouched_until * 1000,
        expires=device.expires,
        # Cookies of older releases do not tell: at the earliest, it was when the session began. A
        # moment in the future counts as now, too.
        vouched_at=min(now, (session.vouched_at or session.started) * 1000),
        campaign=session.campaign,
        follows=session.follows,
    )
    if session.vouched_by and not _may_vouch(visitor, now, lifetimes.vouching):
        visitor.stop_vouching()
    return visitor


def visitor_of(owner: Owner, now: int) -> Visitor:
    """Return the visitor who a page's events belong to, without a customer who is vouched for."""
    started = owner.started * 1000 or None
    # Without an open session, the last one has ended already.
    is_over = started is None
    return Visitor(
        owner.device_id, owner.uuid, owner.sessions, started, now, ended=is_over, stale=False
    )


def _may_vouch(visitor: Visitor, now: int, lifetime: int) -> bool:
    """Whether the session still vouches for its customer."""
    has_expired = visitor.vouched_by == "token" and now >= visitor.vouched_until
    return visitor.is_known and not has_expired and now - visitor.vouched_at < lifetime
