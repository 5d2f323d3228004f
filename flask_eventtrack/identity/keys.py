"""The keys of customers' tokens: secrets, PEM texts, JWKS files.

Only this module knows PyJWT, and cryptography (extra ``crypto``). A key has one algorithm, whatever
a token's header says (RFC 8725, section 3.1). PyJWT's own ``PyJWKSet`` is not used: it skips
unreadable keys without telling which and why.
"""

from __future__ import annotations

import base64
import collections.abc as cabc
import contextlib
import dataclasses
import json
import logging
import os
import pathlib
import re
import typing as t

import jwt
import msgspec
from jwt.algorithms import has_crypto

from ..bounded import BoundedDict
from ..config import KeySource
from ..errors import ConfigError, missing_package
from ..structs import prepared
from .visitor import VerifiedCustomer

logger: logging.Logger = logging.getLogger("flask_eventtrack")

Algorithm = t.Literal["HS256", "RS256", "ES256"]
SETTING = "EVENTTRACK_JWT_KEYS"

_SECRET_MIN_BYTES = 32  # RFC 7518, section 3.2
_RSA_MIN_BITS = 2048  # RFC 7518, section 3.3
_FILE_MAX_BYTES = 1024 * 1024
_REMEMBERED = 4096
_BOTH = ("sign", "verify")
# By `kty` and `crv`.
_ALGORITHMS: dict[tuple[str, str | None], Algorithm] = {
    ("oct", None): "HS256",
    ("RSA", None): "RS256",
    ("EC", "P-256"): "ES256",
}
_JWS = jwt.PyJWS(algorithms=t.get_args(Algorithm))

_PEM = re.compile(rb"-{4,5} ?(BEGIN|END) ")
# The object identifiers of RSA and EC keys in DER (RFC 3279, section 2.3).
_KEY_OIDS = (bytes.fromhex("06092a864886f70d010101"), bytes.fromhex("06072a8648ce3d0201"))

#: Inode, size, and times of change: they differ between any two versions of a file.
Stamp = tuple[int, int, int, int]


@prepared
class _JwkSet(msgspec.Struct):
    keys: list[dict[str, t.Any]]


class KeyFault(ValueError):
    """Why a key cannot be used. The message does not contain the key."""


@dataclasses.dataclass(frozen=True, slots=True)
class Key:
    """A key and its algorithm. ``verifier`` or ``signer`` is None if the key cannot do that."""

    kid: str | None
    algorithm: Algorithm
    verifier: t.Any = dataclasses.field(repr=False)
    signer: t.Any = dataclasses.field(repr=False)

    def verify(self, token: str) -> bytes | None:
        """Return the payload of a token in compact form, or None if this key did not sign it."""
        try:
            payload: bytes = _JWS.decode(token, self.verifier, algorithms=[self.algorithm])
        except jwt.PyJWTError:
            return None
        return payload

    def sign(self, claims: dict[str, t.Any], typ: str | None) -> str:
        """Return a token with those of the claims that are not None."""
        headers = _without_none({"kid": self.kid, "typ": typ})
        return jwt.encode(_without_none(claims), self.signer, self.algorithm, headers)


def _without_none(values: dict[str, t.Any]) -> dict[str, t.Any]:
    return {name: value for name, value in values.items() if value is not None}


class KeyFile(t.NamedTuple):
    """A JWKS file as it was read.

    ``faults`` tells which of its keys are unusable, and why; ``is_secret`` whether it has a secret
    or a private key.
    """

    path: pathlib.Path
    stamp: Stamp | None
    keys: tuple[Key, ...]
    faults: tuple[str, ...]
    is_secret: bool

    def reread(self) -> KeyFile:
        """Return the file as it is now. If it has become unreadable, the keys stay the same."""
        stamp = None
        with contextlib.suppress(OSError):
            stamp = _stamp(self.path.stat())
        if stamp == self.stamp:
            return self
        try:
            return _open_key_file(self.path)
        except ConfigError as error:
            logger.warning("%s The keys that it had before stay in use.", error)
            return self._replace(stamp=stamp)


class KeySet:
    """The keys at one moment, and the customers that they have verified, by the token's digest.

    When keys change, there is a new set, so that a removed key's verifications are forgotten.
    """

    def __init__(self, parts: cabc.Sequence[Key | KeyFile]) -> None:
        self._parts = parts
        self._by_kid: dict[str | None, list[Key]] = {}
        self.verified: BoundedDict[bytes, VerifiedCustomer] = BoundedDict(_REMEMBERED)
        keys = [k for part in parts for k in (part.keys if isinstance(part, KeyFile) else (part,))]
        self.signer: Key | None = next((key for key in keys if key.signer is not None), None)
        for key in keys:
            if key.verifier is not None:
                self._by_kid.setdefault(key.kid, []).append(key)

    def find(self, kid: str | None, algorithm: object) -> list[Key]:
        """Return the keys that may have signed a token with this header.

        A token without ``kid`` is for the keys without one, or for the only key there is.
        """
        found = self._by_kid.get(kid, [])
        if kid is None and not found and len(self._by_kid) == 1:
            [found] = self._by_kid.values()
            found = found if len(found) == 1 else []
        return [key for key in found if key.algorithm == algorithm]

    def refresh(self) -> KeySet:
        """Return the current set: this one if no file has changed."""
        parts = [part.reread() if isinstance(part, KeyFile) else part for part in self._parts]
        is_same = all(new is old for new, old in zip(parts, self._parts, strict=True))
        return self if is_same else KeySet(parts)


def load_keys(sources: cabc.Iterable[KeySource]) -> KeySet:
    """Read the keys of ``EVENTTRACK_JWT_KEYS``.

    :raises ConfigError: a key or a file cannot be used, or cryptography is needed and missing.
    """
    parts: list[Key | KeyFile] = []
    for number, source in enumerate(sources, 1):
        if isinstance(source.value, pathlib.Path):
            parts.append(_open_key_file(source.value))
            continue
        try:
            parts.append(_bind(_read_text(source.value), source.kid))
        except KeyFault as fault:
            name = repr(source.kid) if source.kid else number
            raise ConfigError(f"{SETTING}: key {name} {fault}.") from None
    return KeySet(parts)


def _open_key_file(path: pathlib.Path) -> KeyFile:
    file = read_key_file(path)
    if file.faults:
        logger.warning("EventTrack skips keys of %s: %s.", path, "; ".join(file.faults))
    if not file.keys:
        logger.warning("EventTrack finds no usable key in %s.", path)
    return file


def read_key_file(path: pathlib.Path) -> KeyFile:
    """Read a JWK set (RFC 7517, section 5). Keys for other uses or algorithms are left out.

    :raises ConfigError: it cannot be read, or is no JWK set, or cryptography is needed and missing.
    """
    try:
        with path.open("rb") as file:
            stamp, text = _stamp(os.fstat(file.fileno())), file.read(_FILE_MAX_BYTES + 1)
        if len(text) > _FILE_MAX_BYTES:
            raise ValueError("too large")
        members = msgspec.json.decode(text, type=_JwkSet).keys
    except OSError as error:
        raise ConfigError(f"{SETTING}: {str(path)!r} cannot be read: {error.strerror}.") from error
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise ConfigError(
            f"{SETTING}: {str(path)!r} is no JWK set: JSON such as "
            '{"keys": [{"kty": "RSA", "kid": "…", …}]}, up to 1 MiB.'
        ) from None
    keys, faults = [], []
    for number, member in enumerate(members, 1):
        try:
            key = _read_jwk(member)
        except KeyFault as fault:
            faults.append(f"key {number} {fault}")
        else:
            keys.extend([key] if key else [])
    is_secret = any(name in member for member in members for name in ("d", "k"))
    return KeyFile(path, stamp, tuple(keys), tuple(faults), is_secret)


def _stamp(status: os.stat_result) -> Stamp:
    return (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def _read_jwk(jwk: dict[str, t.Any]) -> Key | None:
    """Return a key, or None if it is for another use, or for an algorithm that we do not have."""
    algorithm = _ALGORITHMS.get((str(jwk.get("kty")), jwk.get("crv") and str(jwk["crv"])))
    operations, kid = jwk.get("key_ops", _BOTH), jwk.get("kid")
    if (
        algorithm is None
        or jwk.get("alg", algorithm) != algorithm
        or jwk.get("use", "sig") != "sig"
        or not isinstance(operations, list | tuple)
        or not any(name in operations for name in _BOTH)
    ):
        return None
    if kid is not None and not isinstance(kid, str):
        raise KeyFault("has a kid that is not text")
    if algorithm != "HS256":
        _require_cryptography()
    try:
        material = jwt.PyJWK(jwk, algorithm).key
    except (jwt.PyJWTError, ArithmeticError, LookupError, TypeError, ValueError):
        raise KeyFault("cannot be read") from None  # the reason may quote the key
    key = _bind(material, kid)
    return dataclasses.replace(
        key,
        verifier=key.verifier if "verify" in operations else None,
        signer=key.signer if "sign" in operations else None,
    )


def _read_text(text: bytes) -> t.Any:
    """Return the key of a PEM text, or else the text itself, a secret."""
    if _PEM.search(text):
        return _read_pem(text)
    if _is_key_text(text):
        raise KeyFault(
            "looks like a public key, JWK or certificate, which is no secret: give a public key "
            "as PEM text ('-----BEGIN PUBLIC KEY-----'), and a JWK in a JWKS file"
        )
    return text


def _read_pem(text: bytes) -> t.Any:
    _require_cryptography()
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization

    try:
        if b"PRIVATE KEY-" in text:
            return serialization.load_pem_private_key(text, password=None)
        return serialization.load_pem_public_key(text)
    except (TypeError, ValueError, UnsupportedAlgorithm):
        raise KeyFault(
            "cannot be read: a PEM text is one public key, or one private key without a password"
        ) from None


def _is_key_text(text: bytes) -> bool:
    """Whether a "secret" is a key in another form: SSH's, JSON, or DER (also in base64).

    With a public key as the secret, everyone could sign (RFC 8725, section 2.1).
    """
    if text.lstrip().startswith((b"ssh-", b"ecdsa-sha2-")):
        return True
    with contextlib.suppress(ValueError):
        return isinstance(json.loads(text), dict | list)
    forms = [text]
    with contextlib.suppress(ValueError):
        forms.append(base64.b64decode(b"".join(text.split()) + b"=="))
    return any(oid in form for oid in _KEY_OIDS for form in forms)


def _require_cryptography() -> None:
    if not has_crypto:
        raise missing_package(f"{SETTING} with an RSA or EC key", "crypto")


def _bind(material: t.Any, kid: str | None) -> Key:
    """Return the key with the one algorithm that its kind allows."""
    if isinstance(material, bytes):
        if len(material) < _SECRET_MIN_BYTES:
            raise KeyFault(
                f"is a secret of {len(material)} bytes, and HS256 needs {_SECRET_MIN_BYTES}; make "
                "one with: python -c 'import secrets; print(secrets.token_hex())'"
            )
        return Key(kid, "HS256", material, material)
    from cryptography.hazmat.primitives.asymmetric import ec, rsa

    is_private = isinstance(material, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey)
    public = material.public_key() if is_private else material
    signer = material if is_private else None
    if isinstance(public, rsa.RSAPublicKey):
        if public.key_size < _RSA_MIN_BITS:
            raise KeyFault(f"is an RSA key of {public.key_size} bits, and needs {_RSA_MIN_BITS}")
        return Key(kid, "RS256", public, signer)
    if isinstance(public, ec.EllipticCurvePublicKey) and public.curve.name == "secp256r1":
        return Key(kid, "ES256", public, signer)
    raise KeyFault("is neither a secret nor an RSA nor an EC P-256 key")
