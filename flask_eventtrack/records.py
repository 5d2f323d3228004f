"""The records that travel from a source to a row, their clock and encoding.

A journal holds each record as an array of its fields, without names. So the order of the fields is
a format on disk, which a later release has to read: append new fields, each with a default, and
never move or remove one.
"""

from __future__ import annotations

import collections.abc as cabc
import datetime as dt
import typing as t
import uuid as uuidlib

import msgspec

#: Nanoseconds since the epoch; ``time.time_ns`` unless a test injects another.
Clock = cabc.Callable[[], int]
Source = t.Literal["server", "browser", "app", "bot"]
EndReason = t.Literal["timeout", "logout"]
#: What an agent reads for: a person who asks now, a search, training, to see whether the site
#: answers, or something else.
AgentKind = t.Literal["live", "search", "training", "monitor", "other"]
#: Where an agent names itself.
AgentClaim = t.Literal["user-agent", "signature-agent"]
#: See :attr:`Claim.kind`.
ClaimKind = t.Literal["own", "foreign", "cookieless", "kept"]
Profiles = tuple[uuidlib.UUID, ...]
#: Who vouched for the customer when an event was recorded. A number, to which others may be added.
Vouched = int
NOT_VOUCHED: Vouched = 0
#: Only the session cookie, by an earlier word of the host's.
VOUCHED_BY_COOKIE: Vouched = 1
#: The host itself, in the same request.
VOUCHED_BY_HOST: Vouched = 2

SESSION_START = "session.start"
SESSION_END = "session.end"
PAGE_VISIT = "page.visit"
SCREEN_VIEW = "screen.view"
CHARGE = "transaction.charge"
CANCEL = "transaction.cancel"
PRODUCT_BUY = "product.buy"
#: No event: its values are added to a page visit or screen view, and it has no row of its own.
PAGE_ENGAGE = "page.engage"
#: Stands for the URL rules of reads that are counted without theirs. Rules begin with a slash.
OTHER_ROUTES = "other"
#: The query parameters of a URL that name a campaign, and the columns that keep them.
CAMPAIGN = ("utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content")
#: What a touch is: where a session came from, and where and when it began. The columns of first and
#: last touches have these names behind ``first_`` and ``last_``.
TOUCH = ("source", "medium", "campaign", "term", "content", "referrer", "rule", "channel", "at")
#: Later than all moments: stands for the beginning of a record that has no times.
NEVER = dt.datetime.max.replace(tzinfo=dt.UTC)

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


def from_ns(nanoseconds: int) -> dt.datetime:
    """Return the UTC moment of nanoseconds since the epoch, cut to the microsecond."""
    return _EPOCH + dt.timedelta(microseconds=nanoseconds // 1000)


def to_ns(moment: dt.datetime) -> int:
    """Return nanoseconds since the epoch; the inverse of :func:`from_ns`, without rounding."""
    return (moment - _EPOCH) // dt.timedelta(microseconds=1) * 1000


# The order of these fields is the journal's format (pipeline/journal_format.py): processes that
# died before an upgrade have left it on the disk, and during a deploy old releases read what new
# ones wrote. Append fields, with defaults; never remove, reorder or retype one. Old releases ignore
# what is appended. They cannot read a new type of record, nor a new value of a Literal: for these,
# and for whatever else breaks the rule, raise FORMAT.
class SessionRef(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The session an event belongs to, as decided when it happened.

    ``number`` counts the device's sessions. It is 0 if no session cookie names this session or the
    one before it, which had ended.
    """

    id: uuidlib.UUID
    device_id: uuidlib.UUID
    started_at: dt.datetime
    vouched: Vouched = NOT_VOUCHED
    number: int = 0


class Client(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The program that sent a request: raw values, which the writer parses."""

    user_agent: str = ""
    language: str = ""
    address: str = ""
    country: str = ""


class Claim(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A browser event's claim to a page visit of the server, verified by signature.

    ``visit_id`` is the visit's id. In a ``kept`` event that is no page visit, it is the id of the
    browser's half instead, which only that browser knows.

    The three flags are read through :attr:`kind`. ``cookieless``: the request had no device cookie.
    ``foreign``: its device is not the one that the page was made for. ``kept``: the browser kept
    the event until it was allowed to send it, and has proved that the page's device is its own.
    """

    visit_id: uuidlib.UUID
    cookieless: bool = False
    foreign: bool = False
    kept: bool = False

    @property
    def kind(self) -> ClaimKind:
        """How the event relates to the visit.

        ``"own"``
            The cookies are those of the visit's device.
        ``"foreign"``
            The cookies are another device's, as on a page out of a shared cache: the event never
            joins the visit.
        ``"cookieless"``
            There were no cookies. If the visit turns out to be this page's, the event takes the
            visit's profile and session. It never joins a customer's: logging in takes cookies, so
            the page came out of a cache.
        ``"kept"``
            There were no cookies, and the browser proved that the page is its own: like
            ``"cookieless"``, but it joins a customer's visit too.
        """
        if self.foreign:
            return "foreign"
        if not self.cookieless:
            return "own"
        return "kept" if self.kept else "cookieless"


class Bought(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A distinct item of an order, and its ``product.buy``.

    ``unit_price`` is a decimal with all its digits, in the order's currency. ``params`` are those
    of the event.
    """

    id: uuidlib.UUID
    sku: str
    quantity: int
    unit_price: str
    params: dict[str, t.Any]
    label: str | None = None


class Charge(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="charge"):
    """The order of a ``transaction.charge``, whose id is derived from the order's.

    ``amount`` is in minor units of the currency, such as cents. Two records of one order say the
    same if their ``digest`` is the same. ``visit_id`` is the page visit in whose request it was
    made.
    """

    order_id: str
    currency: str
    amount: int
    digest: str
    items: tuple[Bought, ...] = ()
    visit_id: uuidlib.UUID | None = None


class Cancellation(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="cancel"):
    """What a ``transaction.cancel`` takes back of the order with the id of its charge.

    That is ``amount`` (a decimal with all its digits, in the order's currency), or ``items`` (a
    quantity for each SKU), or all that is left.
    """

    charge_id: uuidlib.UUID
    order_id: str
    amount: str | None = None
    items: dict[str, int] | None = None


class Event(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False, tag="event"):
    """Something that happened, checked and ready to be written.

    All times are aware and UTC. ``undefined`` names the parameters that the definition does not
    have. ``half`` marks the two halves of a page visit. ``page`` is the id of the browser's half of
    the visit during which a browser event happened; ``claim`` names the server's half.
    ``campaign`` is the campaign in the query of an earlier request that was no visit. ``order`` is
    what a transaction charges or cancels.
    """

    id: uuidlib.UUID
    action: str
    time: dt.datetime
    uuid: uuidlib.UUID
    params: dict[str, t.Any]
    label: str | None = None
    received_at: dt.datetime
    source: Source = "server"
    site: str = ""
    url_rule: str = ""
    undefined: tuple[str, ...] = ()
    session: SessionRef | None = None
    client: Client | None = None
    half: t.Literal["", "server", "browser"] = ""
    page: uuidlib.UUID | None = None
    claim: Claim | None = None
    campaign: str = ""
    order: Charge | Cancellation | None = None

    @property
    def begins_at(self) -> dt.datetime:
        """When it happened or its session began, whichever is earlier."""
        moments = (self.time, self.session.started_at) if self.session else (self.time,)
        return min(moments) if all(moment.tzinfo for moment in moments) else NEVER

    @property
    def profiles(self) -> Profiles:
        """The event's profile, and the visit from which it may take another one.

        A cancellation is of whoever placed the order.
        """
        if isinstance(self.order, Cancellation):
            return (self.order.charge_id,)
        if self.takes_identity and self.claim is not None:
            return (self.uuid, self.claim.visit_id)
        return (self.uuid,)

    @property
    def takes_identity(self) -> bool:
        """Whether it came without cookies, and takes profile and session from the page's visit."""
        return self.claim is not None and self.claim.kind in ("cookieless", "kept")

    @property
    def is_engagement(self) -> bool:
        """Whether it is a page's time in view, which is added to the row of the page's visit."""
        return self.action == PAGE_ENGAGE

    @property
    def is_anonymous(self) -> bool:
        """Whether it is an anonymous visitor's: such an event has a client and no session."""
        return self.session is None and self.client is not None


class PageView(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="page"):
    """The server's half of a page visit: raw values of one request, expanded by the writer.

    ``arrival`` and ``session_started`` are nanoseconds since the epoch; ``session_number`` counts
    the device's sessions; ``client`` is given if the visit opens a session. ``campaign`` is
    the campaign in the query of an earlier request that was no visit. ``follows`` says that the
    session began in a request with the cookie of the one before it.
    """

    id: uuidlib.UUID
    arrival: int
    uuid: uuidlib.UUID
    device_id: uuidlib.UUID
    session_number: int
    session_started: int
    scheme: str
    host: str
    script_root: str
    path: str
    query: str
    endpoint: str
    url_rule: str
    referrer: str
    title: str
    status: int
    duration_ns: int
    client: Client | None
    vouched: Vouched = NOT_VOUCHED
    campaign: str = ""
    follows: bool = False

    # Without an annotation it is no field.
    action = PAGE_VISIT

    @property
    def begins_at(self) -> dt.datetime:
        """When it happened or its session began, whichever is earlier."""
        return from_ns(min(self.arrival, self.session_started))

    @property
    def profiles(self) -> Profiles:
        return (self.uuid,)


class SessionEnd(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False, tag="end"):
    """A session is over: its device came back after the gap, or its customer logged out.

    ``at`` is when that happened, if the cookies name the session. ``number`` counts the device's
    sessions up to this one; 0 if that is not known. ``session`` is the one that a customer left.
    """

    session_id: uuidlib.UUID
    reason: EndReason
    at: dt.datetime | None = None
    number: int = 0
    session: SessionRef | None = None

    action = ""
    begins_at = NEVER

    @property
    def id(self) -> uuidlib.UUID:
        return self.session_id

    @property
    def profiles(self) -> Profiles:
        """No profiles: if the session is erased, there is nothing left to end."""
        return ()


class Identified(
    msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False, tag="identified"
):
    """A customer became known. ``anonymous`` is the profile that becomes theirs, if there is one.

    ``traits`` are merged into the profile's. ``former`` is the profile of an id under which release
    0.1 may have recorded the customer; if it is stored, it becomes an alias of theirs.
    """

    uuid: uuidlib.UUID
    customer_id: str
    time: dt.datetime
    anonymous: uuidlib.UUID | None = None
    traits: dict[str, t.Any] = {}
    former: uuidlib.UUID | None = None

    action = ""

    @property
    def id(self) -> uuidlib.UUID:
        return self.uuid

    @property
    def begins_at(self) -> dt.datetime:
        return self.time if self.time.tzinfo else NEVER

    @property
    def profiles(self) -> Profiles:
        return (self.uuid, *self.others)

    @property
    def others(self) -> Profiles:
        """The profiles that become the customer's."""
        return tuple(other for other in (self.anonymous, self.former) if other is not None)


class Outcome(t.NamedTuple):
    """Why an event was not recorded or lacks a value, for the data-quality counters.

    An ``invalid`` one has a parameter's name as ``reason``, and is counted as ``rejected`` too. A
    ``failed`` one is a page that was answered with an error, which is no event, and
    a ``failed_from`` one says where the person came from.
    """

    outcome: t.Literal[
        "rejected",
        "invalid",
        "dropped",
        "duplicate",
        "left_out",
        "contradicted",
        "cut",
        "failed",
        "failed_from",
    ]
    action: str
    reason: str = ""


class AgentRead(t.NamedTuple):
    """An answer to an agent, for the daily counts: with nothing that identifies anybody.

    ``day`` is one of the site's zone. ``rule`` is "" where no URL rule matched.
    """

    day: dt.date
    site: str
    agent: str
    kind: AgentKind
    claim: AgentClaim
    rule: str
    status: int

    def without_route(self) -> AgentRead:
        """Return what is counted where there are too many different reads: few values each."""
        return self._replace(rule=OTHER_ROUTES, status=0)


#: What is counted in memory and written with the next batch.
Counted = Outcome | AgentRead

#: Each has an ``id`` (the same if the record is read again), an ``action`` ("" if it is no event),
#: ``begins_at`` (the earliest moment that it tells of, or :data:`NEVER`) and ``profiles`` (those
#: whose erasure concerns it).
Record = Event | PageView | SessionEnd | Identified

_decoder = msgspec.msgpack.Decoder(Record)
#: Return a record as a journal holds it: MessagePack.
encode_record: t.Final = msgspec.msgpack.Encoder(uuid_format="bytes").encode
#: Return the record that :func:`encode_record` was given. Raises ``msgspec.DecodeError``.
decode_record: cabc.Callable[[bytes], Record] = _decoder.decode
