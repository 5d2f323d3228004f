"""Keys for customers' tokens: JWKS files, and keys that are refused."""

from __future__ import annotations

import base64
import collections.abc as cabc
import json
import logging
import os
import pathlib
import re
import subprocess
import sys
import typing as t

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from flask_eventtrack.config import load_config
from flask_eventtrack.errors import ConfigError, TokenCode
from flask_eventtrack.identity.jwt import CustomerTokens

from ..hosts import FakeClock
from ..manual import find_entries, find_unused
from .jwts import (
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
    signed_with,
    tokens,
)

# JWKS files


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
    assert jwt.get_unverified_header(codec.issue("7", NOW * NS, 3600))["kid"] == "s"


def test_file_and_keys_stand_beside_each_other(jwks: KeyDir) -> None:
    """In a list; the first that can sign, signs."""
    jwks.write(private_jwk(ec_key(), kid="e"))
    codec = tokens([jwks.path, {"s": SECRET}])
    assert jwt.get_unverified_header(codec.issue("7", NOW * NS, 3600))["kid"] == "e"
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
        codec.issue("7", NOW * NS, 3600)
    else:
        with pytest.raises(ConfigError):
            codec.issue("7", NOW * NS, 3600)


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
        (lambda: jwk_of(SECRET, kid=["k"]), "key 2 has a kid that is not text"),
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
    assert message.startswith(f"EventTrack skips keys of {jwks.path}: {fault}")


def test_jwks_file_is_read_again_when_it_changes(jwks: KeyDir, clock: FakeClock) -> None:
    """Once a second: a new key is accepted, and a removed one is not, though it was remembered."""
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
    assert caplog.messages == [f"EventTrack finds no usable key in {jwks.path}."]


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
    assert code_of(codec, codec.issue("7", NOW * NS, 3600)) == ""
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
from flask_eventtrack.identity.jwt import CustomerTokens
from flask_eventtrack.config import Config, KeySource
for keys in ((), (KeySource(None, b"x" * 32),)):
    CustomerTokens(Config(jwt_keys=keys))
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
from flask_eventtrack.identity.jwt import CustomerTokens
from flask_eventtrack.config import load_config
def load(keys):
    return CustomerTokens(load_config({{"EVENTTRACK_JWT_KEYS": keys}}))
codec = load("x" * 32)
print(codec.verify(codec.issue("7", 0, 60), 0).customer_id)
try:
    load({key})
except ValueError as error:
    print(error)
"""
    assert run_python(code).splitlines() == [
        "7",
        "EVENTTRACK_JWT_KEYS with an RSA or EC key needs a package that is not installed: "
        "pip install 'Flask-EventTrack[crypto]'.",
    ]


def test_no_key_is_shown(jwks: KeyDir, caplog: pytest.LogCaptureFixture) -> None:
    """Neither in what the settings print as nor in the log."""
    caplog.set_level(logging.DEBUG)
    jwks.write(jwk_of(SECRET, kid="k"))
    config = load_config({"EVENTTRACK_JWT_KEYS": [{"a": SECRET}, jwks.path]})
    codec = CustomerTokens(config)
    shown = f"{config!r} {vars(codec)!r} {codec._find_keys(0).__dict__!r} {caplog.text}"
    assert SECRET not in shown
    assert encode(SECRET.encode()) not in shown


def test_every_token_code_has_an_entry() -> None:
    """It is used, and is on the page of the HTTP API."""
    codes = t.get_args(TokenCode)
    assert find_unused(codes) == set()
    assert set(codes) <= find_entries("http-api")
