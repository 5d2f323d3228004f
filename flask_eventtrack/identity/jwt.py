"""Customers' tokens: JSON Web Tokens (RFC 7519) that name the customer who sends a request.

Best current practice is RFC 8725: the algorithm belongs to the key and is never the token's choice,
``kid`` only selects a key, and headers that contain or point to keys are ignored.
"""

from __future__ import annotations

import base64
import collections.abc as cabc
import datetime as dt
import hashlib
import json
import re
import typing as t

import msgspec

from ..config import Config, KeySource
from ..errors import ConfigError, InvalidEvent, InvalidToken
from ..structs import prepared
from .visitor import CustomerId, VerifiedCustomer, check_customer_id

if t.TYPE_CHECKING:
    from .keys import KeySet

MAX_LENGTH = 8 * 1024
#: How far apart the clocks of issuer and server may be (nanoseconds).
LEEWAY = 60 * 1_000_000_000

_SECOND = 1_000_000_000
_LAST_DATE = 253_402_300_799  # the end of the year 9999, in seconds
_COMPACT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")

Json = dict[str, t.Any]
_RANGE = msgspec.Meta(ge=0, le=_LAST_DATE)
_NumericDate = t.Annotated[int, _RANGE] | t.Annotated[float, _RANGE]  # RFC 7519, section 2


@prepared
class _Claims(msgspec.Struct):
    """The claims that name a customer and a time."""

    sub: str
    exp: _NumericDate
    nbf: _NumericDate = 0
    iat: _NumericDate = 0


class CustomerTokens:
    """Verifies and issues customers' tokens. JWKS files are checked at most once a second.

    Without ``EVENTTRACK_JWT_KEYS``, every token is refused and none is issued.

    :raises ConfigError: a key or a file cannot be used, or the extra ``crypto`` is missing.
    """

    def __init__(self, config: Config) -> None:
        self._audience = config.jwt_audience
        self._issuer = config.jwt_issuer
        self._type = config.jwt_type
        self._keys = _load_keys(config.jwt_keys) if config.jwt_keys else None
        self._checked_at = 0

    def verify(self, token: str, now: int) -> VerifiedCustomer:
        """Return the customer that ``token`` names at ``now`` (nanoseconds since the epoch).

        A verified token is remembered by its digest for as long as its key is known.

        :raises InvalidToken: with the reason in ``code``, and no part of the token.
        """
        keys = self._find_keys(now)
        if keys is None:
            raise InvalidToken("token_unsupported", "This app does not accept tokens.")
        if len(token) > MAX_LENGTH:
            raise InvalidToken("token_too_large", f"A token has at most {MAX_LENGTH:,} characters.")
        if not _COMPACT.fullmatch(token):
            raise _malformed("it has three parts of base64url, with a dot between them")
        digest = hashlib.sha256(token.encode()).digest()
        customer = keys.verified.get(digest) or self._read(token, keys)
        _check_time(customer, now)
        keys.verified.remember(digest, customer)
        return customer

    def issue(self, customer_id: CustomerId, now: int, expires_in: dt.timedelta | float) -> str:
        """Return a token for a customer, signed with the first key that can sign.

        :param now: nanoseconds since the epoch; the token's times are whole seconds.
        :param expires_in: a timedelta, or seconds.
        :raises ConfigError: no key can sign.
        :raises InvalidEvent: this is not a customer's id.
        :raises InvalidToken: ``expires_in`` is not above 0, or ends after the year 9999.
        """
        keys = self._find_keys(now)
        if keys is None or keys.signer is None:
            raise ConfigError(
                "EVENTTRACK_JWT_KEYS has no key that can sign: add a secret or a private key."
            )
        claims = {
            "iss": self._issuer,
            "sub": check_customer_id(customer_id),
            "aud": self._audience,
            "iat": now // _SECOND,
            "exp": _expiry(now, expires_in),
        }
        return keys.signer.sign(claims, self._type)

    def _find_keys(self, now: int) -> KeySet | None:
        if self._keys is not None and not 0 <= now - self._checked_at < _SECOND:
            self._checked_at = now
            self._keys = self._keys.refresh()
        return self._keys

    def _read(self, token: str, keys: KeySet) -> VerifiedCustomer:
        try:
            head, payload, _ = map(_decode, token.split("."))
            header = _read_object(head)
        except (ValueError, RecursionError):
            raise _malformed("its header is a JSON object in base64url") from None
        # RFC 7515, section 4.1.11: refuse critical extensions. RFC 7797 (b64) would be one.
        if "crit" in header or "b64" in header or not isinstance(header.get("kid", ""), str):
            raise _malformed("'crit' and 'b64' are not supported, and 'kid' is text")
        candidates = keys.find(header.get("kid"), header.get("alg"))
        if not candidates:
            raise InvalidToken("token_key", "No key of this app has the token's 'kid' and 'alg'.")
        if not any(key.verify(token) for key in candidates):
            raise InvalidToken("token_signature", "The token's signature is wrong.")
        try:
            claims = _read_object(payload)
        except (ValueError, RecursionError):
            raise _malformed("its payload is a JSON object") from None
        self._check_purpose(header, claims)
        return _read_customer(claims)

    def _check_purpose(self, header: Json, claims: Json) -> None:
        """Refuse tokens that are meant for something else (RFC 8725, sections 3.8, 3.9, 3.11)."""
        if self._type and _media_type(header.get("typ")) != _media_type(self._type):
            raise InvalidToken("token_type", "The token's header 'typ' is not the expected one.")
        # PyJWT 2.10.0 accepts a part of the issuer (CVE-2024-53861), so this is not left to it.
        if self._issuer and claims.get("iss") != self._issuer:
            raise InvalidToken("token_issuer", "The token's 'iss' is not the expected one.")
        if not self._is_audience(claims):
            raise InvalidToken(
                "token_audience", "The token's 'aud' does not name this app's audience."
            )

    def _is_audience(self, claims: Json) -> bool:
        # RFC 7519, section 4.1.3: an app without a name is in no audience, not even an empty one.
        if self._audience is None:
            return "aud" not in claims
        audience = claims.get("aud")
        return self._audience in (audience if isinstance(audience, list) else [audience])


def _load_keys(sources: cabc.Sequence[KeySource]) -> KeySet:
    from .keys import load_keys  # imports PyJWT, which most apps do not need

    return load_keys(sources)


def _malformed(rule: str) -> InvalidToken:
    return InvalidToken("token_invalid", f"Not a token in compact form (RFC 7515): {rule}.")


def _decode(part: str) -> bytes:
    """Decode base64url in its one canonical form, so that no bit of a token can be changed."""
    decoded = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    if base64.urlsafe_b64encode(decoded).rstrip(b"=") != part.encode():
        raise ValueError("not canonical")
    return decoded


def _read_object(text: bytes) -> Json:
    found = json.loads(text.decode(), object_pairs_hook=_unique, parse_constant=_refuse)
    if not isinstance(found, dict):
        raise ValueError("not an object")
    return found


def _unique(pairs: list[tuple[str, t.Any]]) -> Json:
    """Refuse a name that appears twice (RFC 7515, section 4; RFC 7519, section 4)."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name appears twice")
    return found


def _refuse(constant: str) -> t.NoReturn:
    raise ValueError(f"{constant} is not JSON")


def _media_type(typ: object) -> str | None:
    """Return ``typ`` in its form for comparing (RFC 7515, section 4.1.9), or None if not text."""
    return typ.lower().removeprefix("application/") if isinstance(typ, str) else None


def _read_customer(claims: Json) -> VerifiedCustomer:
    try:
        read = msgspec.convert(claims, _Claims)
        customer_id = check_customer_id(read.sub)
    except (msgspec.ValidationError, InvalidEvent):
        raise InvalidToken(
            "token_claims",
            "A token has 'exp', and 'sub': the customer's id, a str of 1 to 255 printable "
            "characters. Its 'exp', 'nbf' and 'iat' are seconds since 1970, before the year 10000.",
        ) from None
    begins = max(read.nbf, read.iat)
    return VerifiedCustomer(customer_id, int(read.exp * _SECOND), int(begins * _SECOND))


def _check_time(customer: VerifiedCustomer, now: int) -> None:
    if now >= customer.expires + LEEWAY:
        raise InvalidToken("token_expired", "The token has expired.")
    if now < customer.begins - LEEWAY:
        raise InvalidToken("token_not_yet_valid", "The token is not valid yet.")


def _expiry(now: int, expires_in: dt.timedelta | float) -> int:
    if isinstance(expires_in, dt.timedelta):
        expires_in = expires_in.total_seconds()
    if 0 < expires_in <= _LAST_DATE:
        expires = -(-(now + int(expires_in * _SECOND)) // _SECOND)
        if expires <= _LAST_DATE:
            return expires
    raise InvalidToken(
        "token_claims", "expires_in is a timedelta or seconds: more than 0, until the year 9999."
    )
