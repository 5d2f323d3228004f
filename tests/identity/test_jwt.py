"""Customers' tokens: whose keys sign, what is refused with which code, what is remembered."""

from __future__ import annotations

import collections.abc as cabc
import datetime as dt
import functools
import typing as t

import hypothesis
import jwt
import pytest
from hypothesis import strategies as st

from flask_eventtrack.errors import (
    ConfigError,
    EventTrackError,
    InvalidEvent,
    InvalidToken,
)
from flask_eventtrack.identity.jwt import CustomerTokens
from flask_eventtrack.identity.visitor import VerifiedCustomer

from .jwts import (
    NO_ALGORITHMS,
    NO_DATES,
    NO_KIDS,
    NO_SUBS,
    NOW,
    NS,
    OTHER,
    SECRET,
    code_of,
    ec_key,
    encode,
    jwk_of,
    make,
    private_pem,
    public_pem,
    rsa_key,
    seal,
    signed_with,
    tokens,
)

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
    token = tokens().issue("7", NOW * NS, 3600)
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
        hypothesis.assume("a placeholder" not in str(error))
        raise
    named = codec.verify(token, NOW * NS)
    assert named == (str(customer), (NOW + seconds) * NS, NOW * NS)


@pytest.mark.parametrize("customer", ["", "x" * 256, "a\x00b", True, None, 0, "Guest", "null"])
def test_token_for_no_customer_is_not_issued(customer: t.Any) -> None:
    """The rule of every customer's id."""
    with pytest.raises(InvalidEvent, match="is not a customer's id"):
        tokens().issue(customer, NOW * NS, 3600)


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
    header = jwt.get_unverified_header(codec.issue("7", NOW * NS, 3600))
    assert (header["kid"], header["alg"]) == ("b", "ES256")


@pytest.mark.parametrize("keys", [None, [], {}, public_pem(ec_key())])
def test_without_a_key_that_signs_no_token_is_issued(keys: object) -> None:
    """The error names the setting."""
    with pytest.raises(ConfigError, match=r"^EVENTTRACK_JWT_KEYS has no key that can sign"):
        tokens(keys).issue("7", NOW * NS, 3600)


@pytest.mark.parametrize("keys", [None, [], {}])
def test_without_keys_tokens_are_not_supported(keys: object) -> None:
    """Whatever they are."""
    assert {code_of(tokens(keys), token) for token in (make(), "", "x")} == {"token_unsupported"}


# the keys


def one_of_each() -> CustomerTokens:
    """Return the codec of an app with a key of each kind."""
    return tokens({"s": SECRET, "r": public_pem(rsa_key()), "e": public_pem(ec_key())})


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
    old = tokens({"old": OTHER}).issue("7", NOW * NS, 3600)
    codec = tokens({"new": SECRET, "old": OTHER})
    new = codec.issue("7", NOW * NS, 3600)
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
    """Invalid times and invalid ids count as missing."""
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
    """Until its key is gone or 4,096 others follow; wrong ones are verified each time."""
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
