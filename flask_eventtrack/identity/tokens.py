"""Signed values: what the cookies and the snippet's tag hold, and how they are checked.

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
import typing as t
import uuid as uuidlib

from itsdangerous import BadSignature, Signer, want_bytes

from ..config import Policy

MAX_LENGTH = 2048
CUSTOMER_ID_MAX_LENGTH = 255
_CACHE_SIZE = 1024
_EPOCH_LENGTH = 8
_VERSION = b"\1"

VouchedBy = t.Literal["", "login", "identify", "token", "loader"]
_VOUCHERS: tuple[VouchedBy, ...] = t.get_args(VouchedBy)

Keys = cabc.Sequence[str | bytes]


class DeviceToken(t.NamedTuple):
    """The content of the device cookie."""

    device_id: uuidlib.UUID
    uuid: uuidlib.UUID
    sessions: int
    ended: bool = False


class SessionToken(t.NamedTuple):
    """The content of the session cookie. Times are microseconds since the epoch.

    ``vouched_until`` is when a token stops vouching; any other voucher lasts for the session.
    """

    device_id: uuidlib.UUID
    number: int
    started: int
    last: int
    vouched_by: VouchedBy = ""
    customer_id: str | None = None
    vouched_until: int = 0


class VisitToken(t.NamedTuple):
    """The content of the snippet's tag: a visit that the server counted, and its device."""

    visit_id: uuidlib.UUID
    device_id: uuidlib.UUID


#: What our cookies say: device, session and choice. None stands for an absent or forged one.
Cookies = tuple[DeviceToken | None, SessionToken | None, Policy | None]


def match_session(device: DeviceToken | None, session: SessionToken | None) -> SessionToken | None:
    """Return a session if it is the latest of this device."""
    if device is None or session is None or session.number != device.sessions:
        return None
    return session if session.device_id == device.device_id else None


class TokenCodec:
    """Writes and reads signed values. It remembers the last 1,024 verified ones of each cookie.

    :param keys: secret keys; the last one signs, and each of them verifies.
    """

    def __init__(self, keys: Keys) -> None:
        # device; profile; sessions so far; whether the last of them was ended
        self._device = _Format(keys, "eventtrack.device", "16s16sI?")
        # device; number of the session; its start and last activity; index in _VOUCHERS. Then
        # follow, if a token vouches, its end, and the customer's id.
        self._session = _Format(keys, "eventtrack.session", "16sIQQB")
        self._visit = _Format(keys, "eventtrack.visit", "16s16s")  # visit; device
        self._csrf = _Format(keys, "eventtrack.csrf", "16sQ")  # device; when it expires
        self._epoch = _prepare(keys[-1], "eventtrack.epoch")
        self._page = _prepare(keys[-1], "eventtrack.page", "sha1")
        self.read_device: t.Final = functools.lru_cache(_CACHE_SIZE)(self._read_device)
        self.read_session: t.Final = functools.lru_cache(_CACHE_SIZE)(self._read_session)

    def write_device(self, token: DeviceToken) -> str:
        device, profile = token.device_id.bytes, token.uuid.bytes
        return self._device.write(device, profile, token.sessions, token.ended)

    def _read_device(self, value: str) -> DeviceToken | None:
        found = self._device.read(value)
        if found is None:
            return None
        device, profile, sessions, ended, _ = found
        return DeviceToken(uuidlib.UUID(bytes=device), uuidlib.UUID(bytes=profile), sessions, ended)

    def write_session(self, token: SessionToken) -> str:
        until = token.vouched_until.to_bytes(8) if token.vouched_by == "token" else b""
        return self._session.write(
            token.device_id.bytes,
            token.number,
            token.started,
            token.last,
            _VOUCHERS.index(token.vouched_by),
            rest=until + (token.customer_id or "").encode(),
        )

    def _read_session(self, value: str) -> SessionToken | None:
        found = self._session.read(value)
        if found is None or found[4] >= len(_VOUCHERS):
            return None
        device, number, started, last, voucher, rest = found
        vouched_by, until = _VOUCHERS[voucher], 0
        if vouched_by == "token":
            until, rest = int.from_bytes(rest[:8]), rest[8:]
        customer_id = rest.decode() or None
        device_id = uuidlib.UUID(bytes=device)
        return SessionToken(device_id, number, started, last, vouched_by, customer_id, until)

    def write_visit(self, token: VisitToken) -> str:
        return self._visit.write(token.visit_id.bytes, token.device_id.bytes)

    def read_visit(self, value: str) -> VisitToken | None:
        found = self._visit.read(value)
        if found is None:
            return None
        return VisitToken(uuidlib.UUID(bytes=found[0]), uuidlib.UUID(bytes=found[1]))

    def write_csrf(self, device_id: uuidlib.UUID, expires: int) -> str:
        """Return a device's token that is good until ``expires`` (microseconds since the epoch)."""
        return self._csrf.write(device_id.bytes, expires)

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

    The format is itsdangerous's, which also reads it. A prepared HMAC writes the same bytes in less
    time, since each page with the snippet's tag signs its visit.
    """

    def __init__(self, keys: Keys, salt: str, fields: str) -> None:
        self._signer = Signer(
            [want_bytes(key) for key in keys],
            salt,
            key_derivation="hmac",
            digest_method=hashlib.sha256,
        )
        self._mac = _prepare(keys[-1], salt)
        self._fields = struct.Struct(f">{fields}")

    def write(self, *fields: t.Any, rest: bytes = b"") -> str:
        text = _encode(_VERSION + self._fields.pack(*fields) + rest)
        return (text + b"." + _sign(self._mac, text)).decode()

    def read(self, value: str) -> tuple[t.Any, ...] | None:
        """Return the fields and the bytes behind them, or None if the value is not ours."""
        if len(value) > MAX_LENGTH:
            return None
        try:
            text = self._signer.unsign(value.encode(errors="replace"))
        except BadSignature:
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
