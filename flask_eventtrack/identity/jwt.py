"""Customers' tokens: JSON Web Tokens (RFC 7519) that say which customer somebody is.

Best current practice is RFC 8725: the algorithm is the key's and never the token's choice, ``kid``
is a word to look up and nothing else, and the headers that bring or point to keys are ignored.
"""

from __future__ import annotations

import base64
import collections.abc as cabc
import datetime as dt
import hashlib
import json
import re
import typing as t

from ..config import KeySource
from ..errors import ConfigError, InvalidEvent, InvalidToken
from .visitor import VerifiedCustomer, check_customer_id

if t.TYPE_CHECKING:
    from .keys import KeySet

MAX_LENGTH = 8 * 1024
#: How far the clocks of issuer and server may lie apart (nanoseconds).
LEEWAY = 60 * 1_000_000_000

_SECOND = 1_000_000_000
_LAST_DATE = 253_402_300_799  # the end of the year 9999, in seconds
_COMPACT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")

Json = dict[str, t.Any]


class CustomerTokens:
    """Verifies and issues customers' tokens. JWKS files are looked at once a second, at most.

    :param sources: ``EVENTTRACK_JWT_KEYS``; without any, no token is taken and none is made.
    :param audience: what ``aud`` must contain.
    :param issuer: what ``iss`` must be.
    :param token_type: what the header ``typ`` must be, such as ``"at+jwt"``.
    :raises ConfigError: a key or a file cannot be used, or the extra ``crypto`` is missing.
    """

    def __init__(
        self,
        sources: cabc.Sequence[KeySource] = (),
        *,
        audience: str | None = None,
        issuer: str | None = None,
        token_type: str | None = None,
    ) -> None:
        self._audience = audience
        self._issuer = issuer
        self._type = token_type
        self._keys = _load_keys(sources) if sources else None
        self._looked = 0

    def verify(self, token: str, now: int) -> VerifiedCustomer:
        """Return whom ``token`` names at ``now`` (nanoseconds since the epoch).

        What was verified is remembered under the token's digest for as long as its key is known.

        :raises InvalidToken: with the reason in ``code``, and nothing of the token.
        """
        keys = self._find_keys(now)
        if keys is None:
            raise InvalidToken("token_unsupported", "This app takes no tokens.")
        if len(token) > MAX_LENGTH:
            raise InvalidToken("token_too_large", f"A token has up to {MAX_LENGTH:,} characters.")
        if not _COMPACT.fullmatch(token):
            raise _malformed("it is three parts of base64url with a dot between")
        digest = hashlib.sha256(token.encode()).digest()
        customer = keys.verified.get(digest) or self._read(token, keys)
        _check_time(customer, now)
        keys.remember(digest, customer)
        return customer

    def issue(
        self,
        customer_id: str | int,
        now: int,
        expires_in: dt.timedelta | float = dt.timedelta(hours=1),
    ) -> str:
        """Return a token for a customer, signed with the first key that can.

        :param now: nanoseconds since the epoch; times are written in whole seconds.
        :param expires_in: a timedelta, or seconds.
        :raises ConfigError: no key can sign.
        :raises InvalidEvent: the customer's id is none.
        :raises InvalidToken: ``expires_in`` is not above 0, or ends after the year 9999.
        """
        keys = self._find_keys(now)
        if keys is None or keys.signer is None:
            raise ConfigError(
                "EVENTTRACK_JWT_KEYS has no key that can sign a token: add a secret or a private "
                "key."
            )
        claims = {
            "iss": self._issuer,
            "sub": check_customer_id(customer_id),
            "aud": self._audience,
            "iat": now // _SECOND,
            "exp": _expiry(now, expires_in),
        }
        named = {name: value for name, value in claims.items() if value is not None}
        return keys.signer.sign(json.dumps(named, separators=(",", ":")).encode(), self._type)

    def _find_keys(self, now: int) -> KeySet | None:
        if self._keys is not None and not 0 <= now - self._looked < _SECOND:
            self._looked = now
            self._keys = self._keys.refresh()
        return self._keys

    def _read(self, token: str, keys: KeySet) -> VerifiedCustomer:
        try:
            head, *rest = (_decode(part) for part in token.split("."))
            header = _read_object(head)
        except (ValueError, RecursionError):
            raise _malformed("its header is a JSON object in base64url") from None
        # RFC 7515, section 4.1.11: what is critical and not understood; RFC 7797 is not.
        if "crit" in header or "b64" in header or not isinstance(header.get("kid", ""), str):
            raise _malformed("'crit' and 'b64' are not taken, and 'kid' is text")
        candidates = keys.find(header.get("kid"), header.get("alg"))
        if not candidates:
            raise InvalidToken("token_key", "No key of this app has the token's 'kid' and 'alg'.")
        if not any(key.verify(token) is not None for key in candidates):
            raise InvalidToken("token_signature", "The token's signature is wrong.")
        try:
            claims = _read_object(rest[0])
        except (ValueError, RecursionError):
            raise _malformed("its payload is a JSON object") from None
        self._check_origin(header, claims)
        return _read_customer(claims)

    def _check_origin(self, header: Json, claims: Json) -> None:
        """Refuse what was made for something else (RFC 8725, sections 3.8, 3.9 and 3.11)."""
        if self._type and _media_type(header.get("typ")) != _media_type(self._type):
            raise InvalidToken("token_type", "The token's header 'typ' is not the expected one.")
        if self._issuer and claims.get("iss") != self._issuer:
            raise InvalidToken("token_issuer", "The token's 'iss' is not the expected one.")
        if not self._is_audience(claims):
            raise InvalidToken(
                "token_audience", "The token's 'aud' does not name this app's audience."
            )

    def _is_audience(self, claims: Json) -> bool:
        # RFC 7519, section 4.1.3: whoever has no name of its own is in no audience.
        if self._audience is None:
            return "aud" not in claims
        audience = claims.get("aud")
        return self._audience in (audience if isinstance(audience, list) else [audience])


def _load_keys(sources: cabc.Sequence[KeySource]) -> KeySet:
    from .keys import load_keys

    return load_keys(sources)


def _malformed(rule: str) -> InvalidToken:
    return InvalidToken("token_invalid", f"This is no token in compact form (RFC 7515): {rule}.")


def _decode(part: str) -> bytes:
    """Decode base64url in its one canonical form, so that no bit of a token is without meaning."""
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
    """Refuse a name that comes twice (RFC 7515, section 4; RFC 7519, section 4)."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name comes twice")
    return found


def _refuse(constant: str) -> t.NoReturn:
    raise ValueError(f"{constant} is not JSON")


def _media_type(typ: object) -> str | None:
    """Return ``typ`` as it is compared (RFC 7515, section 4.1.9), or None if it is no text."""
    return typ.lower().removeprefix("application/") if isinstance(typ, str) else None


def _read_customer(claims: Json) -> VerifiedCustomer:
    sub = claims.get("sub")
    try:
        customer_id = check_customer_id(sub) if isinstance(sub, str) else None
    except InvalidEvent:
        customer_id = None
    expires = _read_date(claims, "exp")
    if customer_id is None or expires is None:
        raise InvalidToken(
            "token_claims",
            "A token has 'exp', and 'sub': the customer's id, a str of 1 to 255 printable "
            "characters.",
        )
    begins = max(_read_date(claims, name) or 0 for name in ("nbf", "iat"))
    return VerifiedCustomer(customer_id, expires, begins)


def _read_date(claims: Json, name: str) -> int | None:
    """Return a NumericDate (RFC 7519, section 2) in nanoseconds, or None if there is none."""
    if name not in claims:
        return None
    value = claims[name]
    if type(value) in {int, float} and 0 <= value <= _LAST_DATE:
        return int(value * _SECOND)
    raise InvalidToken(
        "token_claims", f"A token's {name!r} is a number of seconds since 1970, before year 10000."
    )


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
