"""What happened: the records that travel from a source to a row, their ids and their clock."""

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

SESSION_START = "session.start"
SESSION_END = "session.end"
PAGE_VISIT = "page.visit"
SCREEN_VIEW = "screen.view"
#: The query parameters of a URL that name a campaign, and where they are kept.
CAMPAIGN = ("utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content")

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


def from_ns(nanoseconds: int) -> dt.datetime:
    """Return the UTC moment of nanoseconds since the epoch, cut to the microsecond."""
    return _EPOCH + dt.timedelta(microseconds=nanoseconds // 1000)


def to_ns(moment: dt.datetime) -> int:
    """Return nanoseconds since the epoch; the inverse of :func:`from_ns`, without rounding."""
    return (moment - _EPOCH) // dt.timedelta(microseconds=1) * 1000


# The order of these fields is the journal's format (pipeline/segment.py): processes that died
# before an upgrade have left it on the disk, and during a deploy old releases read what new ones
# wrote. Append fields, with defaults; never remove, reorder or retype one. Old releases ignore what
# is appended. They cannot read a new type of record, nor a new value of a Literal: for these, and
# for whatever else breaks the rule, raise FORMAT.


class SessionRef(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The session an event belongs to, as decided when it happened."""

    id: uuidlib.UUID
    device_id: uuidlib.UUID
    started_at: dt.datetime


class Client(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What a request says of the program that made it: raw, parsed by the writer."""

    user_agent: str = ""
    language: str = ""
    address: str = ""
    country: str = ""


class Claim(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A browser event's word, verified by signature, on which server visit its page came from.

    ``cookieless``: the browser sent no device cookie, so the event takes the visit's identity if
    the visit is this page's. ``foreign``: the visit is another device's, as on a page that the host
    keeps in a cache; it is never joined. ``kept``: the event was kept for somebody who may not be
    here any more, by the device that the page was for. Such a page visit joins a customer's too;
    any other event names by ``visit_id`` the browser's half of the visit, an id that is the proof.
    """

    visit_id: uuidlib.UUID
    cookieless: bool = False
    foreign: bool = False
    kept: bool = False


class Event(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False, tag="event"):
    """Something that happened, checked and ready to be written.

    All times are aware and UTC. ``undefined`` names the parameters that the definition does not
    know. ``half`` marks the two witnesses of a page visit. ``page`` is the id of the browser's half
    of the visit during which a browser event happened; ``claim`` is the server's half of it.
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


class PageView(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="page"):
    """The server's half of a page visit: raw values of one request, expanded by the writer.

    ``arrival`` and ``session_started`` are nanoseconds since the epoch; ``session_number`` counts
    the device's sessions; ``client`` is there where the visit opens one.
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

    @property
    def action(self) -> str:
        return PAGE_VISIT


class SessionEnd(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False, tag="end"):
    """A session is over because its device came back after the gap, or its customer logged out."""

    session_id: uuidlib.UUID
    reason: EndReason


class Identified(
    msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False, tag="identified"
):
    """A customer became known. ``anonymous``: the profile whose history is theirs, if any is."""

    uuid: uuidlib.UUID
    customer_id: str
    time: dt.datetime
    anonymous: uuidlib.UUID | None = None
    traits: dict[str, t.Any] = {}


class Outcome(t.NamedTuple):
    """What became of an event that came to nothing, for the data-quality counters."""

    outcome: t.Literal["rejected", "dropped", "duplicate"]
    action: str
    reason: str = ""


Record = Event | PageView | SessionEnd | Identified

_decoder = msgspec.msgpack.Decoder(Record)
#: Returns a record as it is kept in the journal: MessagePack.
encode_record = msgspec.msgpack.Encoder(uuid_format="bytes").encode
#: Returns the record that :func:`encode_record` was given; a ``msgspec.DecodeError`` if it is none.
decode_record = _decoder.decode
