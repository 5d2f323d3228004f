"""What happened: the records that travel from a source to a row, their ids and their clock."""

from __future__ import annotations

import collections.abc as cabc
import datetime as dt
import os
import re
import struct
import typing as t
import uuid as uuidlib

import msgspec

from .errors import InvalidEvent

#: Nanoseconds since the epoch; ``time.time_ns`` unless a test injects another.
Clock = cabc.Callable[[], int]
Source = t.Literal["server", "browser", "app", "bot"]
EndReason = t.Literal["timeout", "logout"]

ACTION_MAX_LENGTH = 32
LABEL_MAX_LENGTH = 255
SESSION_START = "session.start"
SESSION_END = "session.end"
PAGE_VISIT = "page.visit"
SCREEN_VIEW = "screen.view"
#: The query parameters of a URL that name a campaign, and where they are kept.
CAMPAIGN = ("utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content")

_ACTION_PATTERN = re.compile(r"[a-zA-Z0-9.\-_]+")
# PostgreSQL stores neither NUL nor surrogates; no database's driver encodes a lone surrogate.
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


def check_action(action: object) -> str:
    """Return ``action`` if it is a well-formed ``context.activity``.

    The rule is Synerise's (1 to 32 characters of ``[a-zA-Z0-9.\\-_]``), matched in full, with a dot
    that has something on both sides.

    :raises InvalidEvent: with the part of the rule that was broken.
    """
    if not isinstance(action, str):
        problem = f"an action is a str, not {type(action).__name__}"
    elif not 1 <= len(action) <= ACTION_MAX_LENGTH:
        problem = f"an action has 1 to {ACTION_MAX_LENGTH} characters, this has {len(action)}"
    elif not _ACTION_PATTERN.fullmatch(action):
        problem = "an action is made of the letters a-z and A-Z, digits, '.', '-' and '_' only"
    elif "." not in action[1:-1]:
        problem = "an action is written 'context.activity', with a dot inside"
    else:
        return action
    raise InvalidEvent("invalid_action", f"{str(action)[:64]!r}: {problem}.")


class _RandomBits:
    """Random bits of the operating system, fetched in blocks.

    Each fetch lets go of the GIL, which a busy writer thread then keeps for a while. A fork's child
    starts with a block of its own, also where a server forks behind Python's back, as uWSGI does.
    """

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        self._block: cabc.Iterator[int] = iter(())
        self._pid = os.getpid()

    def __call__(self) -> int:
        """Return 64 random bits."""
        if self._pid != os.getpid():
            self.forget()
        bits = next(self._block, None)
        if bits is None:
            self._block = iter(struct.unpack("512Q", os.urandom(4096)))
            bits = next(self._block)
        return bits


_random_bits = _RandomBits()
# A UUID refuses to be set.
_new_uuid, _set, _UNKNOWN = uuidlib.UUID.__new__, object.__setattr__, uuidlib.SafeUUID.unknown


def uuid4() -> uuidlib.UUID:
    """Return a random UUID (version 4)."""
    return uuidlib.UUID(int=_random_bits() << 64 | _random_bits(), version=4)


def uuid7(now_ns: int) -> uuidlib.UUID:
    """Return a UUID version 7 (RFC 9562) whose first 60 bits order by ``now_ns``.

    The 12 bits after the millisecond hold its fraction (RFC 9562, section 6.2, method 3).
    """
    milliseconds, rest = now_ns // 1_000_000, now_ns % 1_000_000
    high = (milliseconds & 0xFFFF_FFFF_FFFF) << 16 | 0x7000 | rest * 4096 // 1_000_000
    return _make_uuid(high << 64 | 1 << 63 | _random_bits() >> 2)


def _make_uuid(number: int) -> uuidlib.UUID:
    """Return ``UUID(int=number)``, in half the time."""
    made = _new_uuid(uuidlib.UUID)
    _set(made, "int", number)
    _set(made, "is_safe", _UNKNOWN)
    return made


def session_start_id(session_id: uuidlib.UUID) -> uuidlib.UUID:
    """Return the id of a session's one ``session.start``: whoever writes it agrees on it."""
    return uuidlib.uuid5(session_id, SESSION_START)


def session_end_id(session_id: uuidlib.UUID) -> uuidlib.UUID:
    """Return the id of a session's one ``session.end``: whoever writes it agrees on it."""
    return uuidlib.uuid5(session_id, SESSION_END)


def shorten(value: object, length: int = 60) -> str:
    """Return a value as an error message shows it."""
    try:
        text = repr(value)
    except ValueError:  # an integer of more digits than Python prints
        text = "a number of very many digits"
    return text if len(text) <= length else text[: length - 1] + "…"


def clean_text(text: str) -> str:
    """Return ``text`` with what no database stores replaced by U+FFFD."""
    return _UNSTORABLE.sub("\ufffd", text) if _UNSTORABLE.search(text) else text


def clean_action(action: object) -> str:
    """Return what was given for an action in a form that can be counted and stored."""
    return clean_text(str(action)[:ACTION_MAX_LENGTH])


def page_label(params: cabc.Mapping[str, t.Any]) -> str:
    """Return the label of a page visit: its title, or where it has none its path."""
    name = params.get("title") or params.get("path") or params.get("url") or ""
    return clip_label(f"Visited page {name}")


def clip_label(label: str) -> str:
    """Return ``label`` cut to its 255 characters."""
    return label if len(label) <= LABEL_MAX_LENGTH else label[: LABEL_MAX_LENGTH - 1] + "…"


def from_ns(nanoseconds: int) -> dt.datetime:
    """Return the UTC moment of nanoseconds since the epoch, cut to the microsecond."""
    return _EPOCH + dt.timedelta(microseconds=nanoseconds // 1000)


def to_ns(moment: dt.datetime) -> int:
    """Return nanoseconds since the epoch; the inverse of :func:`from_ns`, without rounding."""
    return (moment - _EPOCH) // dt.timedelta(microseconds=1) * 1000


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
