"""Signed values: what cookies, the snippet's tag and shared links hold, and how they are checked.

Each kind is signed under its own salt, so that none is accepted in place of another. A value that
is cut short, changed, or signed with a key that is no longer known reads as None.
"""

from __future__ import annotations

import base64
import collections.abc as cabc
import functools
import hashlib
import hmac
import struct
import time
import typing as t
import uuid as uuidlib

from itsdangerous import want_bytes

from ..config import Policy
from ..ids import is_customer
from ..records import Clock

MAX_LENGTH = 2048
CUSTOMER_ID_MAX_LENGTH = 255
_CACHE_SIZE = 1024
_EPOCH_LENGTH = 8
# What may follow a session's fields, in bytes: a third more in base64, and a signature.
_REST_MAX_LENGTH = 1400
# In a CSRF token: the sessions so far, and when the open one began.
_SESSION = struct.Struct(">IQ")
_VERSION = b"\1"

VouchedBy = t.Literal["", "login", "identify", "token", "loader"]
_VOUCHERS: tuple[VouchedBy, ...] = t.get_args(VouchedBy)
# Added to the voucher's index where `vouched_at` follows. Releases that cannot read it take the
# cookie for no session, so they vouch for no customer.
_HAS_TIME = 0x80
# In the same way, where a campaign precedes that, and where the session follows another one.
_HAS_CAMPAIGN = 0x40
_FOLLOWS = 0x20
_INDEX = 0x1F

Keys = cabc.Sequence[str | bytes]


class DeviceToken(t.NamedTuple):
    """The content of the device cookie.

    ``expires`` is when the device is no longer recognised (seconds since the epoch); 0 means never.
    """

    device_id: uuidlib.UUID
    uuid: uuidlib.UUID
    sessions: int
    ended: bool = False
    expires: int = 0


class SessionToken(t.NamedTuple):
    """The content of the session cookie. Times are microseconds since the epoch.

    ``vouched_until`` is when a token expires. ``vouched_at`` is when the host last vouched; 0 in
    cookies of older releases. ``campaign`` is the campaign in the query of a request that was no
    visit; it is kept for the next page. ``started`` is 0 if no session is open, and only the
    campaign is kept. ``follows`` says that the session began in a request with the cookie of the
    session before it.
    """

    device_id: uuidlib.UUID
    number: int
    started: int
    last: int
    vouched_by: VouchedBy = ""
    customer_id: str | None = None
    vouched_until: int = 0
    vouched_at: int = 0
    campaign: str = ""
    follows: bool = False


class VisitToken(t.NamedTuple):
    """The content of the snippet's tag: a visit that the server counted, and its device."""

    visit_id: uuidlib.UUID
    device_id: uuidlib.UUID


class VisitorToken(t.NamedTuple):
    """The content of ``current_visitor.token``: who acts outside a request, and where they began.

    ``sessions`` counts the device's sessions, and ``started`` is when the last of them began
    (microseconds since the epoch): the one that the events belong to. 0 in a token of an older
    release that names no session. ``follows`` is that of :class:`SessionToken`. ``visit_id`` is
    the page visit in whose request the token was made, if it may be one; ``site`` the app's site.
    """

    device_id: uuidlib.UUID
    uuid: uuidlib.UUID
    sessions: int
    started: int
    follows: bool = False
    visit_id: uuidlib.UUID | None = None
    site: str = ""


class Owner(t.NamedTuple):
    """The visitor and session that a page's events belong to: the content of the CSRF token.

    ``sessions`` counts the device's sessions. ``started`` is when the last of them began; 0 while
    none is open. ``until`` is when a token that was read is, or was, no longer good. Both are
    microseconds since the epoch.
    """

    device_id: uuidlib.UUID
    uuid: uuidlib.UUID
    sessions: int
    started: int
    until: int = 0


class Cookies(t.NamedTuple):
    """What our cookies say. None stands for an absent or forged one.

    ``others`` names those that came under their other name (with or without ``__Host-``);
    ``is_renamed`` says that the identity was read from such a one.
    """

    device: DeviceToken | None
    session: SessionToken | None
    choice: Policy | None
    is_renamed: bool = False
    others: tuple[str, ...] = ()


def match_session(device: DeviceToken | None, session: SessionToken | None) -> SessionToken | None:
    """Return a session if it is the latest of this device."""
    if device is None or session is None or session.number != device.sessions:
        return None
    return session if session.device_id == device.device_id else None


class DeviceRule(t.NamedTuple):
    """Which devices are recognised, and for how long.

    ``max_age`` is in seconds, counted from the first visit; None recognises a device for as long as
    it comes back. ``takes_customers`` says whether a device may belong to a customer.
    """

    max_age: int | None = None
    takes_customers: bool = True


class TokenCodec:
    """Writes and reads signed values. It remembers the last 1,024 verified ones of each cookie.

    :param keys: secret keys; the last one signs, and each of them verifies.
    :param rule: which devices are read; others read as None.
    """

    def __init__(
        self, keys: Keys, rule: DeviceRule | None = None, clock: Clock = time.time_ns
    ) -> None:
        self._rule: DeviceRule = rule or DeviceRule()
        self._clock: Clock = clock
        # device; profile; sessions so far; whether the last of them was ended. Then follows, where
        # devices expire, when this one does. Older releases ignore it.
        self._device = _Format(keys, "eventtrack.device", "16s16sI?")
        # device; number of the session; its start and last activity; index in _VOUCHERS. Then
        # follow the campaign with its length, when the host vouched, if a token vouches its end,
        # and the customer's id.
        self._session = _Format(keys, "eventtrack.session", "16sIQQB")
        self._visit = _Format(keys, "eventtrack.visit", "16s16s")  # visit; device
        # device; profile; sessions so far; when the last one began; whether it follows another; the
        # visit, or zeros. Then follows the site.
        self._visitor = _Format(keys, "eventtrack.visitor", "16s16sIQ?16s")
        self._link = _Format(keys, "eventtrack.link", "16s")  # the link to the overview
        # device; when it expires. Then follow the sessions so far, when the open one began, and the
        # profile, encrypted. Older releases ignore them.
        self._csrf = _Format(keys, "eventtrack.csrf", "16sQ")
        self._epoch = _prepare(keys[-1], "eventtrack.epoch")
        self._owner = _prepare(keys[-1], "eventtrack.owner")
        self._page = _prepare(keys[-1], "eventtrack.page", "sha1")
        self.read_device: t.Final = functools.lru_cache(_CACHE_SIZE)(self._read_device)
        self.read_session: t.Final = functools.lru_cache(_CACHE_SIZE)(self._read_session)

    def write_device(self, token: DeviceToken) -> str:
        device, profile = token.device_id.bytes, token.uuid.bytes
        expires = b"" if self._rule.max_age is None else self.expiry_of(token).to_bytes(4)
        return self._device.write(device, profile, token.sessions, token.ended, rest=expires)

    def expiry_of(self, token: DeviceToken) -> int:
        """Return when a device expires: the moment that it has, or one from now; 0 for never."""
        if self._rule.max_age is None:
            return 0
        return token.expires or self._clock() // 1_000_000_000 + self._rule.max_age

    def _read_device(self, value: str) -> DeviceToken | None:
        found = self._device.read(value)
        if found is None:
            return None
        device, profile, sessions, ended, rest = found
        rule, uuid = self._rule, uuidlib.UUID(bytes=profile)
        expires = 0 if rule.max_age is None else int.from_bytes(rest[:4])
        # A device from before the rule is as good as a new one: its age is unknown.
        if (rule.max_age is not None and not expires) or not self._takes(uuid):
            return None
        return DeviceToken(uuidlib.UUID(bytes=device), uuid, sessions, ended, expires)

    def _takes(self, profile: uuidlib.UUID) -> bool:
        return self._rule.takes_customers or not is_customer(profile)

    def write_session(self, token: SessionToken) -> str:
        voucher = _VOUCHERS.index(token.vouched_by) | (_FOLLOWS if token.follows else 0)
        rest = (token.customer_id or "").encode()
        if token.vouched_by == "token":
            rest = token.vouched_until.to_bytes(8) + rest
        if token.vouched_at:
            voucher, rest = voucher | _HAS_TIME, token.vouched_at.to_bytes(8) + rest
        campaign = token.campaign.encode()
        if campaign and len(campaign) + len(rest) <= _REST_MAX_LENGTH:
            voucher |= _HAS_CAMPAIGN
            rest = len(campaign).to_bytes(2) + campaign + rest
        return self._session.write(
            token.device_id.bytes,
            token.number,
            token.started,
            token.last,
            voucher,
            rest=rest,
        )

    def _read_session(self, value: str) -> SessionToken | None:
        found = self._session.read(value)
        if found is None or found[4] & _INDEX >= len(_VOUCHERS):
            return None
        device, number, started, last, voucher, rest = found
        vouched_by = _VOUCHERS[voucher & _INDEX]
        until, at, campaign = 0, 0, ""
        if voucher & _HAS_CAMPAIGN:
            end = 2 + int.from_bytes(rest[:2])
            campaign, rest = rest[2:end].decode(), rest[end:]
        if voucher & _HAS_TIME:
            at, rest = int.from_bytes(rest[:8]), rest[8:]
        if vouched_by == "token":
            until, rest = int.from_bytes(rest[:8]), rest[8:]
        customer_id = rest.decode() or None
        device_id = uuidlib.UUID(bytes=device)
        vouched = vouched_by, customer_id, until, at
        return SessionToken(
            device_id, number, started, last, *vouched, campaign, bool(voucher & _FOLLOWS)
        )

    def write_visit(self, token: VisitToken) -> str:
        return self._visit.write(token.visit_id.bytes, token.device_id.bytes)

    def read_visit(self, value: str) -> VisitToken | None:
        found = self._visit.read(value)
        if found is None:
            return None
        return VisitToken(uuidlib.UUID(bytes=found[0]), uuidlib.UUID(bytes=found[1]))

    def write_visitor(self, token: VisitorToken) -> str:
        visit = bytes(16) if token.visit_id is None else token.visit_id.bytes
        return self._visitor.write(
            token.device_id.bytes,
            token.uuid.bytes,
            token.sessions,
            token.started,
            token.follows,
            visit,
            rest=token.site.encode(),
        )

    def read_visitor(self, value: str) -> VisitorToken | None:
        found = self._visitor.read(value)
        if found is None:
            return self._read_older_visitor(value)
        device, profile, sessions, started, follows, visit, site = found
        uuid = uuidlib.UUID(bytes=profile)
        if not self._takes(uuid):
            return None
        visit_id = uuidlib.UUID(bytes=visit) if any(visit) else None
        device_id = uuidlib.UUID(bytes=device)
        return VisitorToken(device_id, uuid, sessions, started, follows, visit_id, site.decode())

    def _read_older_visitor(self, value: str) -> VisitorToken | None:
        """Read a token of release 0.1: the values of the two cookies."""
        device_value, _, session_value = value.partition("~")
        device = self.read_device(device_value)
        if device is None:
            return None
        session = match_session(device, self.read_session(session_value) if session_value else None)
        if session is None or device.ended:
            return VisitorToken(device.device_id, device.uuid, device.sessions, 0)
        return VisitorToken(
            device.device_id, device.uuid, session.number, session.started, session.follows
        )

    def write_link(self, link_id: uuidlib.UUID) -> str:
        return self._link.write(link_id.bytes)

    def read_link(self, value: str) -> uuidlib.UUID | None:
        found = self._link.read(value)
        return None if found is None else uuidlib.UUID(bytes=found[0])

    def write_csrf(self, owner: Owner, expires: int) -> str:
        """Return what scripts may know of a visitor: the epoch, a dot, and a token of the device.

        The epoch is a text that changes with the profile. The token is good until ``expires``
        (microseconds since 1970). The profile in it is encrypted, because it is the same on
        all devices of a customer.
        """
        epoch = self.epoch_of(owner.uuid)
        session = _SESSION.pack(owner.sessions, owner.started)
        profile = self._encrypt(owner.uuid, epoch, owner.device_id.bytes, expires, session)
        token = self._csrf.write(owner.device_id.bytes, expires, rest=session + profile)
        return f"{epoch}.{token}"

    def read_owner(self, value: str, now: int) -> Owner | None:
        """Return the owner in a token with its epoch, if it was good at ``now`` (microseconds)."""
        epoch, _, token = value.partition(".")
        found = self._csrf.read(token)
        if found is None or now >= found[1] or len(found[2]) != _SESSION.size + 16:
            return None
        device, expires, rest = found
        session, profile = rest[:-16], uuidlib.UUID(bytes=rest[-16:])
        uuid = uuidlib.UUID(bytes=self._encrypt(profile, epoch, device, expires, session))
        # Another epoch, or another key, decrypts to a profile that has another epoch.
        if self.epoch_of(uuid) != epoch:
            return None
        sessions, started = _SESSION.unpack(session)
        return Owner(uuidlib.UUID(bytes=device), uuid, sessions, started, expires)

    def _encrypt(
        self, profile: uuidlib.UUID, epoch: str, device: bytes, expires: int, session: bytes
    ) -> bytes:
        """Encrypt a profile or decrypt it: XOR with a digest that no two profiles share."""
        mac = self._owner.copy()
        mac.update(b"".join((epoch.encode(errors="replace"), device, expires.to_bytes(8), session)))
        return (profile.int ^ int.from_bytes(mac.digest()[:16])).to_bytes(16)

    def is_csrf_of(self, value: str, device_id: uuidlib.UUID, now: int) -> bool:
        """Whether ``value`` is a token of this device that is good at ``now`` (microseconds).

        The epoch that precedes it in the cookie may be there or not.
        """
        token = value[_EPOCH_LENGTH + 1 :] if value[_EPOCH_LENGTH:][:1] == "." else value
        found = self._csrf.read(token)
        return found is not None and found[0] == device_id.bytes and now < found[1]

    def epoch_of(self, profile: uuidlib.UUID) -> str:
        """Return what scripts may know of a profile: a text that changes when the profile does."""
        return _sign(self._epoch, profile.bytes)[:_EPOCH_LENGTH].decode()

    def device_of_page(self, page: uuidlib.UUID) -> uuidlib.UUID:
        """Return the device of a browser without cookies: the same for all posts of a page.

        ``page`` is the unguessable id of the browser's half of the visit. The device is derived
        with the secret key, so that no client can choose it.
        """
        digest = hashlib.sha256(_sign(self._page, page.bytes)).digest()
        return uuidlib.UUID(bytes=digest[:16], version=4)


class _Format:
    """One kind of signed value: ``<base64url of version and fields>.<signature>``.

    The format is itsdangerous's, which also reads and writes it. A prepared HMAC does so in less
    time, since each page signs its visit, and brings two cookies.
    """

    def __init__(self, keys: Keys, salt: str, fields: str) -> None:
        self._macs = [_prepare(key, salt) for key in reversed(keys)]
        self._fields = struct.Struct(f">{fields}")

    def write(self, *fields: t.Any, rest: bytes = b"") -> str:
        text = _encode(_VERSION + self._fields.pack(*fields) + rest)
        return (text + b"." + _sign(self._macs[0], text)).decode()

    def read(self, value: str) -> tuple[t.Any, ...] | None:
        """Return the fields and the bytes behind them, or None if the value is not ours."""
        if len(value) > MAX_LENGTH:
            return None
        text, _, signature = value.encode(errors="replace").rpartition(b".")
        if not any(hmac.compare_digest(_sign(mac, text), signature) for mac in self._macs):
            return None
        payload = base64.urlsafe_b64decode(text + b"=" * (-len(text) % 4))
        if payload[:1] != _VERSION:
            return None
        return (*self._fields.unpack_from(payload, 1), payload[1 + self._fields.size :])


def _prepare(key: str | bytes, salt: str, digest: str = "sha256") -> hmac.HMAC:
    """Return an HMAC that signs under a salt. Copying it costs less than preparing the key."""
    return hmac.new(hmac.digest(want_bytes(key), salt.encode(), digest), digestmod=digest)


def _sign(mac: hmac.HMAC, text: bytes) -> bytes:
    mac = mac.copy()
    mac.update(text)
    return _encode(mac.digest())


def _encode(payload: bytes) -> bytes:
    return base64.urlsafe_b64encode(payload).rstrip(b"=")
