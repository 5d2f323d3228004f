"""Customers' tokens: whose keys sign, what is refused with which code, what is remembered."""

from __future__ import annotations

import base64
import collections.abc as cabc
import datetime as dt
import functools
import hashlib
import hmac
import json
import logging
import os
import pathlib
import re
import subprocess
import sys
import typing as t

import hypothesis
import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from hypothesis import strategies as st

from flask_eventtrack.config import load_config
from flask_eventtrack.errors import (
    ConfigError,
    EventTrackError,
    InvalidEvent,
    InvalidToken,
    TokenCode,
)
from flask_eventtrack.identity import CustomerTokens, VerifiedCustomer

from .hosts import START, FakeClock
from .test_docs import find_entries, find_unused

NS = 1_000_000_000
NOW = int(START.timestamp())
SECRET = "0123456789abcdef0123456789abcdef"
OTHER = "fedcba9876543210fedcba9876543210"


def tokens(keys: object = SECRET, **settings: str) -> CustomerTokens:
    """Return the codec of an app with these settings."""
    named = {f"EVENTTRACK_JWT_{name.upper()}": value for name, value in settings.items()}
    config = load_config({"EVENTTRACK_JWT_KEYS": keys, **named})
    return CustomerTokens(
        config.jwt_keys,
        audience=config.jwt_audience,
        issuer=config.jwt_issuer,
        token_type=config.jwt_type,
    )


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


# what is taken


def test_token_names_the_customer_until_it_expires() -> None:
    """Times are nanoseconds."""
    token = make({"sub": "ada@example.com", "nbf": NOW - 9, "iat": NOW - 5})
    named = tokens().verify(token, NOW * NS)
    assert named == ("ada@example.com", (NOW + 3600) * NS, (NOW - 5) * NS)
    assert isinstance(named, VerifiedCustomer)


@pytest.mark.parametrize("key", [SECRET, rsa_key, ec_key])
def test_issued_token_is_a_standard_one(key: t.Any) -> None:
    """PyJWT reads it by itself, and it comes back as it went."""
    keys = {"k1": key if key == SECRET else private_pem(key())}
    codec = tokens(keys, audience="shop", issuer="us", type="at+jwt")
    token = codec.issue(7, NOW * NS + 1, dt.timedelta(minutes=5))
    algorithm = {SECRET: "HS256", rsa_key: "RS256", ec_key: "ES256"}[key]
    assert jwt.get_unverified_header(token) == {"alg": algorithm, "kid": "k1", "typ": "at+jwt"}
    assert jwt.decode(
        token,
        key if key == SECRET else public_pem(key()),
        algorithms=[algorithm],
        audience="shop",
        issuer="us",
        options={"verify_exp": False, "verify_iat": False},
    ) == {"sub": "7", "iss": "us", "aud": "shop", "iat": NOW, "exp": NOW + 301}
    assert codec.verify(token, NOW * NS) == ("7", (NOW + 301) * NS, NOW * NS)


def test_issued_token_lives_an_hour_and_says_no_more_than_needed() -> None:
    """The default."""
    token = tokens().issue("7", NOW * NS)
    options: t.Any = {"verify_signature": False}
    assert jwt.decode(token, options=options) == {"sub": "7", "iat": NOW, "exp": NOW + 3600}
    assert jwt.get_unverified_header(token) == {"alg": "HS256", "typ": "JWT"}


@hypothesis.given(
    st.one_of(
        st.integers(-(10**40), 10**40),
        st.text(min_size=1, max_size=255).filter(str.isprintable),
    ),
    st.integers(1, 10**9),
)
def test_every_customer_id_comes_back(customer: str | int, seconds: int) -> None:
    """As text, and for as long as was asked for."""
    codec = tokens()
    try:
        token = codec.issue(customer, NOW * NS, seconds)
    except InvalidEvent as error:
        hypothesis.assume("a word for nobody" not in str(error))
        raise
    named = codec.verify(token, NOW * NS)
    assert named == (str(customer), (NOW + seconds) * NS, NOW * NS)


@pytest.mark.parametrize("customer", ["", "x" * 256, "a\x00b", True, None, 0, "Guest", "null"])
def test_token_for_no_customer_is_not_issued(customer: t.Any) -> None:
    """The rule of every customer's id."""
    with pytest.raises(InvalidEvent, match="is not a customer's id"):
        tokens().issue(customer, NOW * NS)


@pytest.mark.parametrize(
    "expires_in", [0, -1, float("nan"), float("inf"), dt.timedelta(0), dt.timedelta.max, 2.53e11]
)
def test_token_that_could_not_be_used_is_not_issued(expires_in: t.Any) -> None:
    """Which is told to the caller."""
    with pytest.raises(InvalidToken, match=r"^expires_in is a timedelta or seconds: more than 0"):
        tokens().issue("7", NOW * NS, expires_in)


def test_first_key_that_can_sign_signs() -> None:
    """A public key cannot."""
    codec = tokens([{"a": public_pem(rsa_key()), "b": private_pem(ec_key())}, SECRET])
    header = jwt.get_unverified_header(codec.issue("7", NOW * NS))
    assert (header["kid"], header["alg"]) == ("b", "ES256")


@pytest.mark.parametrize("keys", [None, [], {}, public_pem(ec_key())])
def test_without_a_key_that_signs_no_token_is_issued(keys: object) -> None:
    """The error names the setting."""
    with pytest.raises(ConfigError, match=r"^EVENTTRACK_JWT_KEYS has no key that can sign"):
        tokens(keys).issue("7", NOW * NS)


@pytest.mark.parametrize("keys", [None, [], {}])
def test_without_keys_tokens_are_not_supported(keys: object) -> None:
    """Whatever they are."""
    assert {code_of(tokens(keys), token) for token in (make(), "", "x")} == {"token_unsupported"}


# whose keys


def signed_with(key: t.Any, algorithm: str, **header: t.Any) -> str:
    claims = {"sub": "7", "exp": NOW + 3600}
    return jwt.encode(claims, key, algorithm=algorithm, headers=header)


def one_of_each() -> CustomerTokens:
    """Return the codec of an app with a key of each kind."""
    return tokens({"s": SECRET, "r": public_pem(rsa_key()), "e": public_pem(ec_key())})


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


@pytest.mark.parametrize(
    ("token", "code"),
    [
        (lambda: make(header={"kid": "s"}), ""),
        (lambda: signed_with(rsa_key(), "RS256", kid="r"), ""),
        (lambda: signed_with(ec_key(), "ES256", kid="e"), ""),
        # The public key, which everybody knows, as a secret.
        (lambda: make(header={"kid": "r"}, secret=public_pem(rsa_key())), "token_key"),
        (lambda: make(header={"kid": "e"}, secret=public_pem(ec_key())), "token_key"),
        (lambda: make(header={"kid": "r"}, secret=public_pem(rsa_key(), "DER")), "token_key"),
        # A right signature under another key's name.
        (lambda: make(header={"kid": "e"}), "token_key"),
        (lambda: signed_with(ec_key(), "ES256", kid="r"), "token_key"),
        (lambda: signed_with(rsa_key(), "RS256", kid="e"), "token_key"),
        # The right key, and another algorithm.
        (lambda: signed_with(SECRET * 2, "HS384", kid="s"), "token_key"),
        (lambda: signed_with(rsa_key(), "RS512", kid="r"), "token_key"),
        (lambda: signed_with(rsa_key(), "PS256", kid="r"), "token_key"),
        (lambda: make(header={"kid": "s", "alg": "RS256"}), "token_key"),
        # Words that are not names of algorithms.
        *[
            (functools.partial(make, header={"kid": "s", "alg": name}), "token_key")
            for name in NO_ALGORITHMS
        ],
        # Somebody else's key.
        (lambda: make(header={"kid": "s"}, secret=OTHER), "token_signature"),
        (lambda: signed_with(rsa_key(serial=1), "RS256", kid="r"), "token_signature"),
        (lambda: signed_with(ec_key(1), "ES256", kid="e"), "token_signature"),
        # Headers that bring or point to a key are ignored.
        (
            lambda: signed_with(ec_key(1), "ES256", kid="e", jwk=jwk_of(ec_key(1))),
            "token_signature",
        ),
        (lambda: make(header={"kid": "s", "jku": "https://a.example/", "x5u": "x"}), ""),
        (lambda: make(header={"kid": "s", "jku": "/etc/passwd"}, secret=OTHER), "token_signature"),
        # A kid is a word to look up, and nothing else.
        *[(functools.partial(make, header={"kid": kid}), "token_key") for kid in NO_KIDS],
        (lambda: make(header={"kid": "../../dev/null"}, secret=b""), "token_key"),
        (lambda: make(header={"kid": "x" * 1_000_000}), "token_too_large"),
        *[
            (functools.partial(make, header={"kid": kid}), "token_invalid")
            for kid in (None, 1, True, ["s"], {"s": 1})
        ],
        (make, "token_key"),
    ],
)
def test_key_decides_on_the_algorithm(token: cabc.Callable[[], str], code: str) -> None:
    """The token's word for it is compared, and never followed."""
    assert code_of(one_of_each(), token()) == code


@pytest.mark.parametrize(
    ("keys", "taken"),
    [
        (SECRET, {"": True, "a": False}),
        ({"a": SECRET}, {"": True, "a": True, "b": False}),
        ({"a": SECRET, "b": OTHER}, {"": False, "a": True, "b": False}),
        ({"b": OTHER, "a": SECRET}, {"": False, "a": True, "b": False}),
        ([{"b": OTHER}, SECRET], {"": True, "a": False, "b": False}),
        ([OTHER, SECRET], {"": True, "a": False}),
        ({"a": [OTHER, SECRET]}, {"": False, "a": True}),
        ([{"a": OTHER}, {"a": SECRET}], {"": False, "a": True}),
        (OTHER, {"": False, "a": False}),
    ],
)
def test_kid_names_the_key(keys: object, taken: dict[str, bool]) -> None:
    """Without one, a token is for the keys without one, or for the only key there is."""
    codec = tokens(keys)
    found = {kid: not code_of(codec, make(header={"kid": kid or ...})) for kid in taken}
    assert found == taken


def test_rotation_lets_old_tokens_live() -> None:
    """The new key first: it signs, and both verify."""
    old = tokens({"old": OTHER}).issue("7", NOW * NS)
    codec = tokens({"new": SECRET, "old": OTHER})
    new = codec.issue("7", NOW * NS)
    assert [code_of(codec, token) for token in (old, new)] == ["", ""]
    assert jwt.get_unverified_header(new)["kid"] == "new"
    assert code_of(tokens({"new": SECRET}), old) == "token_key"


# form

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_=.+/ é\0"
GOOD = make()
HEAD, BODY, SIGNATURE = GOOD.split(".")
# The last character of 32 bytes in base64url has two bits without meaning.
LAST = ALPHABET[ALPHABET.index(GOOD[-1]) + 1]


@pytest.mark.parametrize(
    ("token", "code"),
    [
        ("", "token_invalid"),
        (".", "token_invalid"),
        ("..", "token_invalid"),
        (f"{HEAD}.{BODY}", "token_invalid"),
        (f"{HEAD}.{BODY}.", "token_invalid"),
        (f".{BODY}.{SIGNATURE}", "token_invalid"),
        (f"{HEAD}.{BODY}.{SIGNATURE}.", "token_invalid"),
        (f"{HEAD}.x.y.z.{SIGNATURE}", "token_invalid"),
        (f"{BODY}.{HEAD}.{SIGNATURE}", "token_key"),
        (f"{HEAD}.{HEAD}.{SIGNATURE}", "token_signature"),
        (f"{HEAD}.{BODY}.{BODY}", "token_signature"),
        (f"{HEAD}.{BODY}.{SIGNATURE[:40]}", "token_signature"),
        (f"{HEAD}.{BODY}.{SIGNATURE[:41]}", "token_invalid"),
        (f"{HEAD}.{make({'sub': '8'}).split('.')[1]}.{SIGNATURE}", "token_signature"),
        (f"{GOOD[:-1]}{LAST}", "token_invalid"),
        (f"{GOOD}=", "token_invalid"),
        (f"{GOOD}\n", "token_invalid"),
        (f" {GOOD}", "token_invalid"),
        (f"Bearer {GOOD}", "token_invalid"),
        (f'"{GOOD}"', "token_invalid"),
        (f"{GOOD}\ud800", "token_invalid"),
        (f"{GOOD[:-1]}é", "token_invalid"),
        (f"{HEAD}+.{BODY}.{SIGNATURE}", "token_invalid"),
        (f"{HEAD}A.{BODY}.{SIGNATURE}", "token_invalid"),
        (make(header={"crit": ["exp"]}), "token_invalid"),
        (make(header={"crit": []}), "token_invalid"),
        (make(header={"b64": False, "crit": ["b64"]}), "token_invalid"),
        (make(header={"b64": True}), "token_invalid"),
        (seal(b"[]", b"{}"), "token_invalid"),
        (seal(b"null", b"{}"), "token_invalid"),
        (seal(b"{", b"{}"), "token_invalid"),
        (seal(b"\xff", b"{}"), "token_invalid"),
        (seal(b"[" * 5000, b"{}"), "token_invalid"),
        (seal('{"alg":"HS256"}'.encode("utf-16"), b"{}"), "token_invalid"),
        (seal(b'{"alg":"none","alg":"HS256"}', b"{}"), "token_invalid"),
        (seal(b'{"alg":"HS256","x":NaN}', b"{}"), "token_invalid"),
        (seal(b'{"alg":"HS256"}', b'"7"'), "token_invalid"),
        (seal(b'{"alg":"HS256"}', b"["), "token_invalid"),
        (seal(b'{"alg":"HS256"}', b"[" * 5000), "token_invalid"),
        (seal(b'{"alg":"HS256","cty":"JWT"}', GOOD.encode()), "token_invalid"),
        (seal(b'{"alg":"HS256"}', b'{"sub":"7","sub":"8","exp":4e9}'), "token_invalid"),
        (seal(b'{"alg":"HS256"}', b'{"sub":"7","exp":Infinity}'), "token_invalid"),
        (seal(b'{"alg":"HS256"}', b'{"sub":"7","exp":%s}' % (b"9" * 5000)), "token_invalid"),
        (seal(b'{"alg":"HS256"}', b'{"sub":"7","exp":4e9}'), ""),
        (encode(b'{"alg":"none"}') + f".{BODY}.", "token_invalid"),
        ("e30.e30.e30.e30.e30", "token_invalid"),
    ],
)
def test_token_has_one_form(token: str, code: str) -> None:
    """RFC 7515's compact one, in canonical base64url."""
    assert code_of(tokens(), token) == code


def test_token_has_up_to_8192_characters() -> None:
    """Longer ones are not looked at."""
    fitting = [make({"x": "y" * n}) for n in range(6000, 6050)]
    longest = max((token for token in fitting if len(token) <= 8192), key=len)
    assert len(longest) in {8191, 8192}
    assert code_of(tokens(), longest) == ""
    assert {code_of(tokens(), x) for x in fitting if len(x) > 8192} == {"token_too_large"}
    assert code_of(tokens(), "x" * 8193) == "token_too_large"


@hypothesis.settings(deadline=None)
@hypothesis.given(st.data(), st.sampled_from(["HS256", "RS256", "ES256"]))
def test_no_character_of_a_token_may_change(data: st.DataObject, algorithm: str) -> None:
    """Not even the unused bits at the end of a part."""
    kid = {"HS256": "s", "RS256": "r", "ES256": "e"}[algorithm]
    codec = tokens({"s": SECRET, "r": private_pem(rsa_key()), "e": private_pem(ec_key())})
    key: t.Any = {"s": SECRET, "r": rsa_key(), "e": ec_key()}[kid]
    token = signed_with(key, algorithm, kid=kid)
    at = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(st.sampled_from(ALPHABET).filter(lambda c: c != token[at]))
    changed = data.draw(
        st.sampled_from([token[:at] + other + token[at + 1 :], token[:at], token[:at] + other])
    )
    assert code_of(codec, token) == ""
    assert code_of(codec, changed).startswith("token_")


@hypothesis.given(
    st.one_of(
        st.text(max_size=300),
        st.builds(seal, st.binary(max_size=60), st.binary(max_size=60)),
        st.builds(
            make,
            st.dictionaries(
                st.sampled_from(["sub", "exp", "nbf", "iat", "aud", "iss"]),
                st.recursive(
                    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=9),
                    lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=3), inner),
                    max_leaves=4,
                ),
            ),
            st.dictionaries(
                st.sampled_from(["alg", "kid", "typ", "crit", "b64", "jwk", "zip"]),
                st.none() | st.integers() | st.text(max_size=9) | st.lists(st.text(max_size=3)),
            ),
        ),
    )
)
def test_whatever_comes_is_refused_or_names_a_customer(token: str) -> None:
    """No other exception, and no customer's id that breaks the rule."""
    for codec in (tokens(), tokens(audience="shop", issuer="us", type="at+jwt")):
        if not code_of(codec, token):
            customer_id = codec.verify(token, NOW * NS).customer_id
            assert 0 < len(customer_id) < 256
            assert customer_id.isprintable()


# claims


@pytest.mark.parametrize(
    ("claims", "code"),
    [
        *[({"sub": sub}, "token_claims") for sub in NO_SUBS],
        *[({"sub": sub}, "") for sub in ("7", "x" * 255, "ada@example.com", "été", "00")],
        *[({"exp": exp}, "token_claims") for exp in [..., *NO_DATES]],
        ({"exp": NOW * 1000}, "token_claims"),  # milliseconds
        ({"exp": 253_402_300_799}, ""),
        ({"exp": NOW + 0.5}, ""),
        ({"exp": 0}, "token_expired"),
        *[({"nbf": nbf}, "token_claims") for nbf in NO_DATES],
        *[({"iat": iat}, "token_claims") for iat in NO_DATES],
        ({"nbf": 0, "iat": 0}, ""),
        ({"jti": 1, "scope": {}, "nonce": None}, ""),
    ],
)
def test_exp_and_sub_are_required(claims: dict[str, t.Any], code: str) -> None:
    """Numbers that are no numbers of seconds, and ids that are none, count as missing."""
    assert code_of(tokens(), make(claims)) == code


@pytest.mark.parametrize(
    ("claims", "last_before", "code"),
    [
        ({"exp": NOW}, NOW + 60, "token_expired"),
        ({"exp": NOW + 0.5}, NOW + 60.5, "token_expired"),
    ],
)
def test_token_expires_a_minute_late(
    claims: dict[str, t.Any], last_before: float, code: str
) -> None:
    """To the nanosecond."""
    codec, edge, token = tokens(), int(last_before * NS), make(claims)
    assert codec.verify(token, edge - 1).expires == int(claims["exp"] * NS)
    with pytest.raises(InvalidToken) as caught:
        codec.verify(token, edge)
    assert caught.value.code == code


@pytest.mark.parametrize("name", ["nbf", "iat"])
def test_token_begins_a_minute_early(name: str) -> None:
    """To the nanosecond."""
    codec, token = tokens(), make({name: NOW})
    assert codec.verify(token, (NOW - 60) * NS).begins == NOW * NS
    with pytest.raises(InvalidToken) as caught:
        codec.verify(token, (NOW - 60) * NS - 1)
    assert caught.value.code == "token_not_yet_valid"


@pytest.mark.parametrize(
    ("settings", "claims", "header", "code"),
    [
        ({}, {"aud": "shop"}, {}, "token_audience"),
        ({}, {"aud": []}, {}, "token_audience"),
        ({}, {"aud": None}, {}, "token_audience"),
        ({"audience": "shop"}, {"aud": "shop"}, {}, ""),
        ({"audience": "shop"}, {"aud": ["bank", "shop"]}, {}, ""),
        *[
            ({"audience": "shop"}, {"aud": aud}, {}, "token_audience")
            for aud in (..., None, "", "Shop", "shop2", ["bank"], [], [["shop"]], {"shop": 1}, 7)
        ],
        ({}, {"iss": "anybody"}, {}, ""),
        ({"issuer": "https://us/"}, {"iss": "https://us/"}, {}, ""),
        *[
            ({"issuer": "https://us/"}, {"iss": iss}, {}, "token_issuer")
            for iss in (..., None, "", "https://us", "https://US/", ["https://us/"], 7)
        ],
        ({}, {}, {"typ": "anything"}, ""),
        ({}, {}, {"typ": ...}, ""),
        ({"type": "at+jwt"}, {}, {"typ": "at+jwt"}, ""),
        ({"type": "at+jwt"}, {}, {"typ": "application/AT+JWT"}, ""),
        ({"type": "application/at+jwt"}, {}, {"typ": "at+jwt"}, ""),
        *[
            ({"type": "at+jwt"}, {}, {"typ": typ}, "token_type")
            for typ in (..., None, "", "JWT", "at+jwt2", ["at+jwt"], 7)
        ],
    ],
)
def test_what_was_made_for_others_is_refused(
    settings: dict[str, str], claims: dict[str, t.Any], header: dict[str, t.Any], code: str
) -> None:
    """Audience, issuer and type, where they are set; an audience also where it is not."""
    assert code_of(tokens(SECRET, **settings), make(claims, header)) == code


def test_claims_tell_nothing_to_those_who_cannot_sign() -> None:
    """The signature comes first."""
    codec = tokens(audience="shop")
    assert code_of(codec, make({"exp": 0, "aud": "x"}, secret=OTHER)) == "token_signature"


def test_refusal_is_ours_and_a_value_error() -> None:
    """With a code for programs and a sentence for people."""
    with pytest.raises(InvalidToken, match=r"^The token has expired\.$") as caught:
        tokens().verify(make({"exp": 1}), NOW * NS)
    assert isinstance(caught.value, EventTrackError)
    assert isinstance(caught.value, ValueError)
    assert caught.value.message == str(caught.value)


# what is remembered


def test_verified_token_is_not_verified_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Until its key is gone or 4,096 others came; what is wrong is looked at each time."""
    from flask_eventtrack.identity import keys

    asked: list[str] = []
    verify = keys.Key.verify

    def count(key: keys.Key, token: str) -> bytes | None:
        asked.append(token)
        return verify(key, token)

    monkeypatch.setattr(keys.Key, "verify", count)
    codec, token, wrong = tokens(), make(), make(secret=OTHER)
    for _ in range(3):
        codec.verify(token, NOW * NS)
        code_of(codec, wrong)
    assert (asked.count(token), asked.count(wrong)) == (1, 3)
    for number in range(4095):
        codec.verify(make({"sub": f"c{number}"}), NOW * NS)
    codec.verify(token, NOW * NS)  # now the last
    codec.verify(make({"sub": "one more"}), NOW * NS)
    codec.verify(token, NOW * NS)
    assert asked.count(token) == 1
    codec.verify(make({"sub": "c0"}), NOW * NS)
    assert len(asked) == 1 + 3 + 4095 + 1 + 1


def test_remembered_token_expires() -> None:
    """And is not yet valid where the clock is set back."""
    codec, token = tokens(), make({"exp": NOW + 10, "iat": NOW})
    assert code_of(codec, token) == ""
    assert code_of(codec, token, NOW + 70) == "token_expired"
    assert code_of(codec, token, NOW - 61) == "token_not_yet_valid"
    assert code_of(codec, token) == ""


# JWKS files


def jwk_of(key: t.Any, **members: t.Any) -> dict[str, t.Any]:
    """Return the JWK of a key, the public one of a private one, or of a secret."""
    if isinstance(key, str):
        return {"kty": "oct", "k": encode(key.encode()), **members}
    algorithms: t.Any = jwt.algorithms
    kind = algorithms.RSAAlgorithm if isinstance(key, rsa.RSAPrivateKey) else algorithms.ECAlgorithm
    found = kind.to_jwk(key.public_key(), as_dict=True)
    return {name: v for name, v in {**found, "key_ops": ..., **members}.items() if v is not ...}


def private_jwk(key: ec.EllipticCurvePrivateKey, **members: t.Any) -> dict[str, t.Any]:
    d = key.private_numbers().private_value.to_bytes(32, "big")
    return jwk_of(key, **{"d": encode(d), **members})


class KeyDir:
    """A JWKS file, replaced atomically."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.path = folder / "keys.json"

    def write(self, *jwks: dict[str, t.Any]) -> KeyDir:
        return self.write_text(json.dumps({"keys": jwks}))

    def write_text(self, text: str) -> KeyDir:
        new = self.path.with_suffix(".new")
        new.write_text(text)
        new.replace(self.path)
        return self


@pytest.fixture
def jwks(tmp_path: pathlib.Path) -> KeyDir:
    return KeyDir(tmp_path)


@pytest.mark.parametrize("form", [str, pathlib.Path])
def test_jwks_file_gives_keys_of_each_kind(jwks: KeyDir, form: cabc.Callable[..., object]) -> None:
    """A path, or text that ends in .json."""
    jwks.write(
        jwk_of(rsa_key(), kid="r", use="sig", alg="RS256", x5t="x"),
        jwk_of(ec_key(), kid="e", key_ops=["verify"]),
        jwk_of(SECRET, kid="s"),
    )
    codec = tokens(form(jwks.path))
    assert code_of(codec, signed_with(rsa_key(), "RS256", kid="r")) == ""
    assert code_of(codec, signed_with(ec_key(), "ES256", kid="e")) == ""
    assert code_of(codec, make(header={"kid": "s"})) == ""
    assert code_of(codec, make()) == "token_key"
    assert jwt.get_unverified_header(codec.issue("7", NOW * NS))["kid"] == "s"


def test_file_and_keys_stand_beside_each_other(jwks: KeyDir) -> None:
    """In a list; the first that can sign, signs."""
    jwks.write(private_jwk(ec_key(), kid="e"))
    codec = tokens([jwks.path, {"s": SECRET}])
    assert jwt.get_unverified_header(codec.issue("7", NOW * NS))["kid"] == "e"
    assert code_of(codec, make(header={"kid": "s"})) == ""


@pytest.mark.parametrize(
    ("members", "verifies", "signs"),
    [
        ({}, True, True),
        ({"use": "sig"}, True, True),
        ({"use": "enc"}, False, False),
        ({"alg": "ES256"}, True, True),
        ({"alg": "ECDH-ES"}, False, False),
        ({"alg": "HS256"}, False, False),
        ({"key_ops": ["verify"]}, True, False),
        ({"key_ops": ["sign"]}, False, True),
        ({"key_ops": ["sign", "verify"]}, True, True),
        ({"key_ops": ["encrypt", "deriveKey"]}, False, False),
        ({"key_ops": "verify"}, False, False),
        ({"d": ...}, True, False),
        ({"crv": "P-384"}, False, False),
        ({"crv": ...}, False, False),
        ({"kty": "OKP"}, False, False),
        ({"kty": 7}, False, False),
        ({"x": 7}, False, False),
        ({"y": ...}, False, False),
        ({"x": encode(b"\1" * 32)}, False, False),
        ({"kid": 7}, False, False),
    ],
)
def test_jwk_says_what_it_is_for(
    jwks: KeyDir, members: dict[str, t.Any], *, verifies: bool, signs: bool
) -> None:
    """``use``, ``alg`` and ``key_ops`` (RFC 7517, section 4); what is not for us is passed over."""
    key = private_jwk(ec_key(), **{"kid": "k", **members})
    codec = tokens(jwks.write(key).path)
    assert (code_of(codec, signed_with(ec_key(), "ES256", kid="k")) == "") is verifies
    if signs:
        codec.issue("7", NOW * NS)
    else:
        with pytest.raises(ConfigError):
            codec.issue("7", NOW * NS)


@pytest.mark.parametrize(
    ("key", "fault"),
    [
        (
            lambda: jwk_of("short", kid="k"),
            "key 2 is a secret of 5 bytes, and HS256 needs 32; make",
        ),
        (lambda: jwk_of(rsa_key(1024)), "key 2 is an RSA key of 1024 bits, and needs 2048"),
        (lambda: {"kty": "RSA", "n": "!", "e": "AQAB"}, "key 2 cannot be read"),
        (lambda: {"kty": "RSA"}, "key 2 cannot be read"),
        (lambda: {"kty": "oct"}, "key 2 cannot be read"),
        (lambda: {"kty": "oct", "k": 7}, "key 2 cannot be read"),
        (lambda: jwk_of(SECRET, kid=["k"]), "key 2 has a kid that is no text"),
    ],
)
def test_weak_and_broken_keys_of_a_file_are_passed_over_aloud(
    jwks: KeyDir,
    caplog: pytest.LogCaptureFixture,
    key: cabc.Callable[[], dict[str, t.Any]],
    fault: str,
) -> None:
    """The others are used, and the log does not say a key."""
    codec = tokens(jwks.write(jwk_of(SECRET), key()).path)
    assert code_of(codec, make()) == ""
    [message] = caplog.messages
    assert message.startswith(f"EventTrack passes over keys of {jwks.path}: {fault}")


def test_jwks_file_is_read_again_when_it_changes(jwks: KeyDir, clock: FakeClock) -> None:
    """Once a second: a new key is taken, and one that is gone is not, though it was remembered."""
    codec = tokens(jwks.write(jwk_of(OTHER, kid="old")).path)
    old, new = make(header={"kid": "old"}, secret=OTHER), make(header={"kid": "new"})
    codec.verify(old, clock())
    jwks.write(jwk_of(SECRET, kid="new"), jwk_of(OTHER, kid="old"))
    clock.advance(seconds=0.999)
    assert code_of(codec, new, clock() / NS) == "token_key"
    clock.advance(seconds=0.001)
    assert [code_of(codec, token, clock() / NS) for token in (old, new)] == ["", ""]
    jwks.write(jwk_of(SECRET, kid="new"))
    clock.advance(seconds=1)
    assert [code_of(codec, token, clock() / NS) for token in (old, new)] == ["token_key", ""]


def test_file_is_looked_at_where_the_clock_is_set_back(jwks: KeyDir, clock: FakeClock) -> None:
    """A step back does not keep a key alive."""
    codec, token = tokens(jwks.write(jwk_of(SECRET)).path), make()
    codec.verify(token, clock())
    jwks.write(jwk_of(OTHER))
    clock.advance(hours=-1)
    assert code_of(codec, token, clock() / NS) == "token_signature"


def test_file_that_is_written_over_in_place_is_read_again(jwks: KeyDir, clock: FakeClock) -> None:
    """The same inode, size and time of modification."""
    codec, token = tokens(jwks.write(jwk_of(SECRET)).path), make()
    codec.verify(token, clock())
    status = jwks.path.stat()
    while jwks.path.stat().st_ctime_ns == status.st_ctime_ns:
        jwks.path.write_text(json.dumps({"keys": [jwk_of(OTHER)]}))
        os.utime(jwks.path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert jwks.path.stat()[:7] == status[:7]
    clock.advance(seconds=1)
    assert code_of(codec, token, clock() / NS) == "token_signature"


BROKEN = ["", "{", "[]", "null", "7", '"keys"', "{}", '{"keys": {}}', '{"keys": [7]}', "\ud800"]
BROKEN += ["[" * 100_000, '{"keys": []}' + " " * 1_048_576]


@pytest.mark.parametrize("text", [*BROKEN, None], ids=lambda text: ascii(text)[:14])
def test_broken_file_keeps_the_keys_of_before(
    jwks: KeyDir, clock: FakeClock, caplog: pytest.LogCaptureFixture, text: str | None
) -> None:
    """One warning a change; the next good version is taken."""
    codec, token = tokens(jwks.write(jwk_of(SECRET)).path), make()
    for expected in (1, 1, 2):
        if text is None:
            jwks.path.unlink(missing_ok=True)
        elif expected != len(caplog.messages):
            jwks.path.write_bytes(text.encode(errors="surrogatepass") + b" " * expected)
        clock.advance(seconds=1)
        assert code_of(codec, token, clock() / NS) == ""
        assert len(caplog.messages) == (1 if text is None else expected)
    assert all("stay in use" in message and "keys.json" in message for message in caplog.messages)
    jwks.write(jwk_of(OTHER))
    clock.advance(seconds=1)
    assert code_of(codec, token, clock() / NS) == "token_signature"


def test_empty_set_takes_all_keys_away(
    jwks: KeyDir, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    """It is a JWK set like another; the log says that there is no key."""
    codec, token = tokens(jwks.write(jwk_of(SECRET)).path), make()
    codec.verify(token, clock())
    jwks.write()
    clock.advance(seconds=1)
    assert code_of(codec, token, clock() / NS) == "token_key"
    assert caplog.messages == [f"EventTrack finds no key in {jwks.path} that it could use."]


# keys that are refused


@pytest.mark.parametrize("text", BROKEN, ids=lambda text: ascii(text)[:14])
def test_file_that_is_no_jwk_set_is_refused_at_the_start(jwks: KeyDir, text: str) -> None:
    """With its path and what it should be."""
    jwks.path.write_bytes(text.encode(errors="surrogatepass"))
    with pytest.raises(ConfigError, match=r"^EVENTTRACK_JWT_KEYS: '.*keys.json' is no JWK set: "):
        tokens(jwks.path)


def test_missing_file_is_refused_at_the_start(jwks: KeyDir) -> None:
    """With its path and the reason."""
    with pytest.raises(ConfigError, match=r"'.*keys.json' cannot be read: No such file"):
        tokens(jwks.path)


SHORT = r"is a secret of {} bytes, and HS256 needs 32; make one with: python -c"
CONFUSED = "looks like a public key, JWK or certificate, which is no secret"
UNREADABLE = "cannot be read: a PEM text is one public key, or one private key without a password"
KIND = "is neither a secret nor an RSA nor an EC P-256 key"


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        (lambda: "x", f"key 1 {SHORT.format(1)}"),
        (lambda: "x" * 31, f"key 1 {SHORT.format(31)}"),
        (lambda: [SECRET, b"x" * 31], f"key 2 {SHORT.format(31)}"),
        (lambda: {"a": SECRET, "b": "é" * 15}, f"key 'b' {SHORT.format(30)}"),
        (lambda: public_pem(rsa_key(1024)), "key 1 is an RSA key of 1024 bits, and needs 2048"),
        (lambda: public_pem(ed25519.Ed25519PrivateKey.generate()), KIND),
        (lambda: public_pem(ec.generate_private_key(ec.SECP384R1())), KIND),
        (lambda: public_pem(ec.generate_private_key(ec.SECP256K1())), KIND),
        (lambda: private_pem(rsa_key(), password=b"secret"), UNREADABLE),
        (lambda: public_pem(rsa_key())[:-40], UNREADABLE),
        (lambda: public_pem(rsa_key()).replace(b"\n", b"\\n"), UNREADABLE),
        (lambda: f"-----BEGIN CERTIFICATE-----\n{'A' * 64}\n-----END CERTIFICATE-----", UNREADABLE),
        (lambda: f"---- BEGIN SSH2 PUBLIC KEY ----\n{'A' * 64}\n", UNREADABLE),
        (lambda: f"{'A' * 64}\n-----END PUBLIC KEY-----", UNREADABLE),
        # What everybody may know, as a secret.
        (lambda: public_pem(rsa_key(), "OpenSSH"), CONFUSED),
        (lambda: public_pem(ec_key(), "OpenSSH"), CONFUSED),
        (lambda: public_pem(rsa_key(), "DER"), CONFUSED),
        (lambda: public_pem(ec_key(), "DER"), CONFUSED),
        (lambda: base64.b64encode(public_pem(rsa_key(), "DER")).decode(), CONFUSED),
        (lambda: base64.b64encode(public_pem(ec_key(), "DER")).rstrip(b"="), CONFUSED),
        (lambda: base64.encodebytes(public_pem(ec_key(), "DER")).decode(), CONFUSED),
        (lambda: json.dumps(jwk_of(rsa_key())), CONFUSED),
        (lambda: json.dumps({"keys": [jwk_of(ec_key())]}, indent=1), CONFUSED),
    ],
)
def test_key_that_cannot_be_used_is_refused_at_the_start(
    keys: cabc.Callable[[], object], said: str
) -> None:
    """With its number or kid, what is wrong and what to do, and without the key."""
    with pytest.raises(ConfigError) as caught:
        tokens(keys())
    assert str(caught.value).startswith("EVENTTRACK_JWT_KEYS: key ")
    assert said in str(caught.value)
    assert not re.search(r"[A-Za-z0-9+/]{24}", str(caught.value).replace("EVENTTRACK", ""))


@pytest.mark.parametrize("begin", ["{", "[", "ssh", "MII", "-----", "BEGIN"])
def test_secret_may_look_like_anything_that_is_no_key(begin: str) -> None:
    """It is random text, after all."""
    secret = begin + SECRET
    assert code_of(tokens(secret), make(secret=secret)) == ""


def test_secrets_may_be_bytes_and_any_text() -> None:
    """Text counts as UTF-8, and 32 bytes are enough."""
    for secret in (bytes(range(200, 232)), "é" * 16):
        assert code_of(tokens(secret), make(secret=secret)) == ""


@pytest.mark.parametrize("form", ["TraditionalOpenSSL", "PKCS8"])
@pytest.mark.parametrize(("key", "algorithm"), [(rsa_key, "RS256"), (ec_key, "ES256")])
def test_private_keys_come_in_both_forms(
    key: cabc.Callable[[], t.Any], algorithm: str, form: str
) -> None:
    """Those that openssl writes."""
    text = key().private_bytes(
        serialization.Encoding.PEM,
        getattr(serialization.PrivateFormat, form),
        serialization.NoEncryption(),
    )
    codec = tokens(text)
    assert code_of(codec, codec.issue("7", NOW * NS)) == ""
    assert code_of(tokens(public_pem(key())), signed_with(key(), algorithm)) == ""


# what is installed and imported


def run_python(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    return done.stdout or done.stderr


def test_pyjwt_is_imported_only_for_keys() -> None:
    """Most apps have none."""
    code = """
import sys
from flask_eventtrack.identity import CustomerTokens
from flask_eventtrack.config import KeySource
for keys in ((), (KeySource(None, b"x" * 32),)):
    CustomerTokens(keys)
    print("jwt" in sys.modules, end=" ")
"""
    assert run_python(code) == "False True "


@pytest.mark.parametrize("kind", ["pem", "file"])
def test_missing_cryptography_is_said_with_the_extra(jwks: KeyDir, kind: str) -> None:
    """Secrets do without it."""
    jwks.write(jwk_of(ec_key()))
    key = repr(public_pem(ec_key()) if kind == "pem" else str(jwks.path))
    code = f"""
import sys
sys.modules["cryptography"] = None
from flask_eventtrack.identity import CustomerTokens
from flask_eventtrack.config import load_config
def load(keys):
    return CustomerTokens(load_config({{"EVENTTRACK_JWT_KEYS": keys}}).jwt_keys)
codec = load("x" * 32)
print(codec.verify(codec.issue("7", 0), 0).customer_id)
try:
    load({key})
except ValueError as error:
    print(error)
"""
    assert run_python(code).splitlines() == [
        "7",
        "EVENTTRACK_JWT_KEYS has an RSA or EC key, which needs a package that is not installed: "
        "pip install 'Flask-EventTrack[crypto]'.",
    ]


def test_no_key_is_shown(jwks: KeyDir, caplog: pytest.LogCaptureFixture) -> None:
    """Neither in what the settings print as nor in the log."""
    caplog.set_level(logging.DEBUG)
    jwks.write(jwk_of(SECRET, kid="k"))
    config = load_config({"EVENTTRACK_JWT_KEYS": [{"a": SECRET}, jwks.path]})
    codec = CustomerTokens(config.jwt_keys)
    shown = f"{config!r} {vars(codec)!r} {codec._find_keys(0).__dict__!r} {caplog.text}"
    assert SECRET not in shown
    assert encode(SECRET.encode()) not in shown


def test_every_token_code_has_an_entry() -> None:
    """It is used, and is on the page of the HTTP API."""
    codes = t.get_args(TokenCode)
    assert find_unused(codes) == set()
    assert set(codes) <= find_entries("http-api")
