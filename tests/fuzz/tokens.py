"""Customers' tokens of a made-up history, good and bad, and signed values with faults in them."""

from __future__ import annotations

import base64
import binascii
import functools
import re
import typing as t

import jwt

from ..identity.jwts import (
    NO_ALGORITHMS,
    NO_DATES,
    NO_KIDS,
    NO_SUBS,
    OTHER,
    SECRET,
    ec_key,
    make,
    private_pem,
    public_pem,
    rsa_key,
)

FAR = 4_000_000_000  # seconds: in 2096
CUSTOMERS = ("7", "zoë", "o'brien; --")


@functools.cache
def jwt_keys() -> dict[str, str]:
    return {"s": SECRET, "r": private_pem(rsa_key()), "e": private_pem(ec_key())}


@functools.cache
def good_jwts() -> dict[str, str]:
    """Return tokens that are valid until ``FAR``, with their customers."""
    return {
        jwt.encode({"sub": customer, "exp": FAR}, key, algorithm, {"kid": kid}): customer
        for key, algorithm, kid in (
            (SECRET, "HS256", "s"),
            (rsa_key(), "RS256", "r"),
            (ec_key(), "ES256", "e"),
        )
        for customer in CUSTOMERS
    }


@functools.cache
def bad_jwts() -> list[str]:
    """Return tokens that are to be refused, whatever they say."""
    far: dict[str, t.Any] = {"exp": FAR}
    forged = (
        (rsa_key(serial=1), "RS256", "r"),
        (ec_key(1), "ES256", "e"),
        (rsa_key(), "PS256", "r"),
    )
    return [
        *[make(far, {"kid": "s", "alg": name}) for name in NO_ALGORITHMS],
        *[make(far, {"kid": kid}) for kid in NO_KIDS],
        *[make({**far, "sub": sub}, {"kid": "s"}) for sub in NO_SUBS],
        *[make({"exp": date}, {"kid": "s"}) for date in NO_DATES],
        *[make(far, {"kid": "s"}, secret) for secret in (OTHER, b"")],
        *[make(far, {"kid": kid}, public_pem(rsa_key())) for kid in ("r", "e", "s")],
        make({**far, "nbf": FAR - 1}, {"kid": "s"}),
        make({**far, "aud": "another's"}, {"kid": "s"}),
        make({**far, "x": "y" * 9000}, {"kid": "s"}),
        make(far, {"kid": "s", "crit": ["exp"]}),
        *[jwt.encode({**far, "sub": "7"}, key, name, {"kid": kid}) for key, name, kid in forged],
        *("", "x", "a.b.c", "..", "x" * 9000),
    ]


def brief_jwt(customer: str, until: int) -> str:
    """Return a token that is taken until so many seconds since the epoch."""
    return make({"sub": customer, "exp": until}, {"kid": "s"})


def read_csrf(value: str) -> str:
    """Return a CSRF token as it is read: without the epoch before it, and of its signature only
    the bits that count, for base64 passes over what is not its own."""
    head, _, signature = (value[9:] if value[8:9] == "." else value).rpartition(".")
    letters = re.sub("[^A-Za-z0-9_-]", "", signature)
    try:
        return f"{head}.{base64.urlsafe_b64decode(letters + '=' * (-len(letters) % 4)).hex()}"
    except binascii.Error:
        return value


def spoil(value: str, how: str) -> str:
    """Return a signed value with something wrong in it, unless ``how`` is ""."""
    middle = len(value) // 2
    match how:
        case "cut":
            return value[:-1]
        case "flip":
            other = "B" if value[middle : middle + 1] == "A" else "A"
            return value[:middle] + other + value[middle + 1 :]
        case "swap":
            return ".".join(reversed(value.split(".")))
        case "double":
            return value + value
        case "case":
            return value.swapcase()
    return value
