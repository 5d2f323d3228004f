"""Keys, and customers' tokens that they sign."""

from __future__ import annotations

import base64
import functools
import hashlib
import hmac
import json
import typing as t

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from flask_eventtrack.config import load_config
from flask_eventtrack.errors import InvalidToken
from flask_eventtrack.identity.jwt import CustomerTokens

from ..hosts import START

NS = 1_000_000_000
NOW = int(START.timestamp())
SECRET = "0123456789abcdef0123456789abcdef"
OTHER = "fedcba9876543210fedcba9876543210"


def tokens(keys: object = SECRET, **settings: str) -> CustomerTokens:
    """Return the codec of an app with these settings."""
    named = {f"EVENTTRACK_JWT_{name.upper()}": value for name, value in settings.items()}
    return CustomerTokens(load_config({"EVENTTRACK_JWT_KEYS": keys, **named}))


@functools.cache
def rsa_key(bits: int = 2048, serial: int = 0) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


@functools.cache
def ec_key(serial: int = 0) -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def private_pem(key: t.Any, *, password: bytes = b"") -> str:
    cipher = serialization.BestAvailableEncryption(password) if password else None
    text: bytes = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        cipher or serialization.NoEncryption(),
    )
    return text.decode()


def public_pem(key: t.Any, form: str = "PEM") -> bytes:
    encoding: t.Any = getattr(serialization.Encoding, form)
    kind = serialization.PublicFormat
    text: bytes = key.public_key().public_bytes(
        encoding, kind.OpenSSH if form == "OpenSSH" else kind.SubjectPublicKeyInfo
    )
    return text


def encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def seal(header: bytes, payload: bytes, secret: str | bytes = SECRET) -> str:
    """Return a token of any two parts, rightly signed with HS256."""
    secret = secret.encode() if isinstance(secret, str) else secret
    signed = f"{encode(header)}.{encode(payload)}"
    return f"{signed}.{encode(hmac.digest(secret, signed.encode(), hashlib.sha256))}"


def make(
    claims: dict[str, t.Any] | None = None,
    header: dict[str, t.Any] | None = None,
    secret: str | bytes = SECRET,
) -> str:
    """Return a token like a good one but for these claims and headers; ``...`` removes one."""
    both = (
        {"alg": "HS256", "typ": "JWT", **(header or {})},
        {"sub": "7", "exp": NOW + 3600, **(claims or {})},
    )
    parts = [{name: v for name, v in part.items() if v is not ...} for part in both]
    return seal(json.dumps(parts[0]).encode(), json.dumps(parts[1]).encode(), secret)


def code_of(codec: CustomerTokens, token: str, now: float = NOW) -> str:
    """Return the code that a token is refused with, or "" if it is taken."""
    try:
        codec.verify(token, int(now * NS))
    except InvalidToken as error:
        return error.code
    return ""


def signed_with(key: t.Any, algorithm: str, **header: t.Any) -> str:
    claims = {"sub": "7", "exp": NOW + 3600}
    return jwt.encode(claims, key, algorithm=algorithm, headers=header)


NO_ALGORITHMS: list[t.Any] = [
    *("none", "None", "NONE", "hs256", "", None, 7, ["HS256"], {}, ...),
]
NO_KIDS = [
    "../../../../dev/null",
    "/dev/null",
    "keys/s",
    "s\x00",
    "S",
    "",
    " s",
    "x' UNION SELECT '0123456789abcdef0123456789abcdef",
    "s|/usr/bin/id",
    "__class__",
    "x" * 5000,
]
NO_SUBS: list[t.Any] = [7, 7.5, True, None, "", [], {}, ..., ["7"]]
NO_SUBS += ["x" * 256, "a\x00", "a\nb", "\ud800", "\x7f", "0", " ", "Guest", "undefined"]
NO_DATES: list[t.Any] = [None, "9999999999", True, [NOW], {}, -1, 10**12, 1e300, 10**400]


def jwk_of(key: t.Any, **members: t.Any) -> dict[str, t.Any]:
    """Return the JWK of a key, the public one of a private one, or of a secret."""
    if isinstance(key, str):
        return {"kty": "oct", "k": encode(key.encode()), **members}
    algorithms: t.Any = jwt.algorithms
    kind = algorithms.RSAAlgorithm if isinstance(key, rsa.RSAPrivateKey) else algorithms.ECAlgorithm
    found = kind.to_jwk(key.public_key(), as_dict=True)
    return {name: v for name, v in {**found, "key_ops": ..., **members}.items() if v is not ...}
