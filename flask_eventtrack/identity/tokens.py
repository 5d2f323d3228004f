"""Signed values: what the cookies and the snippet's tag hold, and how they are checked.

Each kind has a salt of its own, so that none is taken for another. A value that is truncated,
tampered with, or signed with a key that is no longer known reads as None.
"""

from __future__ import annotations

import base64
import binascii
import collections.abc as cabc
import functools
import hashlib
import struct
import typing as t
import uuid as uuidlib

from itsdangerous import BadSignature, Signer

from ..config import Policy

MAX_LENGTH = 2048
CUSTOMER_ID_MAX_LENGTH = 255
_CACHE_SIZE = 1024
_EPOCH_LENGTH = 8

VouchedBy = t.Literal["", "login", "identify", "token", "loader"]
_VOUCHERS: tuple[VouchedBy, ...] = t.get_args(VouchedBy)

# version; device; profile; sessions so far; whether the last of them was ended
_DEVICE = struct.Struct(">B16s16sI?")
# version; device; number of the session; start and last activity in µs; index in _VOUCHERS
_SESSION = struct.Struct(">B16sIQQB")
# behind it, where a token vouches: until when in µs; then, in any case, the customer's id
_UNTIL = struct.Struct(">Q")
# version; visit; device
_VISIT = struct.Struct(">B16s16s")
# version; device; when it expires in µs
_CSRF = struct.Struct(">B16sQ")
_VERSION = 1


class DeviceToken(t.NamedTuple):
    """What the device cookie holds."""

    device_id: uuidlib.UUID
    uuid: uuidlib.UUID
    sessions: int
    ended: bool = False


class SessionToken(t.NamedTuple):
    """What the session cookie holds. Times are microseconds since the epoch.

    ``vouched_until`` is when a token's word ends; the others' ends with the session.
    """

    device_id: uuidlib.UUID
    number: int
    started: int
    last: int
    vouched_by: VouchedBy = ""
    customer_id: str | None = None
    vouched_until: int = 0


#: What our cookies say: device, session and choice; None what is absent, or not ours.
Cookies = tuple[DeviceToken | None, SessionToken | None, Policy | None]


def match_session(device: DeviceToken | None, session: SessionToken | None) -> SessionToken | None:
    """Return a session if it is the latest of this device."""
    if device is None or session is None or session.number != device.sessions:
        return None
    return session if session.device_id == device.device_id else None


class VisitToken(t.NamedTuple):
    """What the snippet's tag holds: a server visit, and whose it is."""

    visit_id: uuidlib.UUID
    device_id: uuidlib.UUID


class TokenCodec:
    """Writes and reads signed values. Reading remembers what it has verified (bounded).

    :param keys: secret keys, the current one last, as itsdangerous takes them.
    """

    def __init__(self, keys: cabc.Sequence[str] | cabc.Sequence[bytes]) -> None:
        self._device = _signer(keys, "eventtrack.device")
        self._session = _signer(keys, "eventtrack.session")
        self._visit = _signer(keys, "eventtrack.visit")
        self._csrf = _signer(keys, "eventtrack.csrf")
        self._epoch = _signer(keys, "eventtrack.epoch")
        self._page_key = Signer(keys, salt="eventtrack.page", key_derivation="hmac")
        self.read_device = functools.lru_cache(_CACHE_SIZE)(self._read_device)
        self.read_session = functools.lru_cache(_CACHE_SIZE)(self._read_session)

    def write_device(self, token: DeviceToken) -> str:
        return _sign(
            self._device,
            _DEVICE.pack(
                _VERSION, token.device_id.bytes, token.uuid.bytes, token.sessions, token.ended
            ),
        )

    def _read_device(self, value: str) -> DeviceToken | None:
        fields = _unpack(_DEVICE, _unsign(self._device, value))
        if fields is None:
            return None
        _, device, profile, sessions, ended = fields
        return DeviceToken(uuidlib.UUID(bytes=device), uuidlib.UUID(bytes=profile), sessions, ended)

    def write_session(self, token: SessionToken) -> str:
        packed = _SESSION.pack(
            _VERSION,
            token.device_id.bytes,
            token.number,
            token.started,
            token.last,
            _VOUCHERS.index(token.vouched_by),
        )
        if token.vouched_by == "token":
            packed += _UNTIL.pack(token.vouched_until)
        return _sign(self._session, packed + (token.customer_id or "").encode())

    def _read_session(self, value: str) -> SessionToken | None:
        packed = _unsign(self._session, value)
        fields = _unpack(_SESSION, packed[: _SESSION.size] if packed else None)
        if packed is None or fields is None or fields[-1] >= len(_VOUCHERS):
            return None
        _, device, number, started, last, voucher = fields
        vouched_by, rest, until = _VOUCHERS[voucher], packed[_SESSION.size :], 0
        if vouched_by == "token":
            (until,), rest = _UNTIL.unpack(rest[: _UNTIL.size]), rest[_UNTIL.size :]
        return SessionToken(
            uuidlib.UUID(bytes=device),
            number,
            started,
            last,
            vouched_by,
            rest.decode() or None,
            until,
        )

    def write_visit(self, token: VisitToken) -> str:
        return _sign(
            self._visit,
            _VISIT.pack(_VERSION, token.visit_id.bytes, token.device_id.bytes),
        )

    def read_visit(self, value: str) -> VisitToken | None:
        fields = _unpack(_VISIT, _unsign(self._visit, value))
        if fields is None:
            return None
        _, visit, device = fields
        return VisitToken(uuidlib.UUID(bytes=visit), uuidlib.UUID(bytes=device))

    def write_csrf(self, device_id: uuidlib.UUID, expires: int) -> str:
        """Return a device's token that is good until ``expires`` (microseconds since the epoch)."""
        return _sign(self._csrf, _CSRF.pack(_VERSION, device_id.bytes, expires))

    def is_csrf_of(self, value: str, device_id: uuidlib.UUID, now: int) -> bool:
        """Whether ``value`` is a token of this device that is good at ``now`` (microseconds).

        It may come with the epoch that stands before it in the cookie.
        """
        token = value[_EPOCH_LENGTH + 1 :] if value[_EPOCH_LENGTH:][:1] == "." else value
        fields = _unpack(_CSRF, _unsign(self._csrf, token))
        return fields is not None and fields[1] == device_id.bytes and now < fields[2]

    def epoch_of(self, profile: uuidlib.UUID) -> str:
        """Return what a script may know of a profile: whether it is the one of before."""
        return self._epoch.get_signature(profile.bytes)[:_EPOCH_LENGTH].decode()

    def device_of_page(self, page: uuidlib.UUID) -> uuidlib.UUID:
        """Return the device of a browser without cookies: one for all posts of a page.

        ``page`` is the unguessable id of the browser's half of the visit; the device is derived
        with the secret key, so that no device can be chosen.
        """
        digest = self._page_key.get_signature(page.bytes)
        return uuidlib.UUID(bytes=hashlib.sha256(digest).digest()[:16], version=4)


def _signer(keys: cabc.Sequence[str] | cabc.Sequence[bytes], salt: str) -> Signer:
    """Return a signer whose keys are derived once, and not for each signature."""
    derived = [
        Signer(key, salt=salt, key_derivation="hmac", digest_method=hashlib.sha256).derive_key()
        for key in keys
    ]
    return Signer(derived, salt=salt, key_derivation="none", digest_method=hashlib.sha256)


def _sign(signer: Signer, payload: bytes) -> str:
    return signer.sign(base64.urlsafe_b64encode(payload).rstrip(b"=")).decode()


def _unsign(signer: Signer, value: str) -> bytes | None:
    if len(value) > MAX_LENGTH:
        return None
    try:
        payload = signer.unsign(value.encode())
        return base64.urlsafe_b64decode(payload + b"=" * (-len(payload) % 4))
    except (BadSignature, binascii.Error, UnicodeEncodeError):
        return None


def _unpack(layout: struct.Struct, payload: bytes | None) -> tuple[t.Any, ...] | None:
    if payload is None or len(payload) != layout.size or payload[0] != _VERSION:
        return None
    return layout.unpack(payload)
