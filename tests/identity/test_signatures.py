"""Signed values: the bytes are those of itsdangerous, and nothing that was changed is read."""

from __future__ import annotations

import base64
import collections.abc as cabc
import hashlib
import typing as t
import uuid as uuidlib

import hypothesis
import itsdangerous
import pytest
from hypothesis import strategies as st

from flask_eventtrack.identity.tokens import (
    DeviceToken,
    Owner,
    SessionToken,
    TokenCodec,
    VisitorToken,
    VisitToken,
)

ONE, TWO = uuidlib.UUID(int=2**127 + 1), uuidlib.UUID(int=2**126 + 2)
DEVICE = DeviceToken(ONE, TWO, 3, ended=True)
SESSION = SessionToken(ONE, 3, 1, 2**60, "token", "été", 2**61)
OWNER = Owner(ONE, TWO, 3, 2**50)
VISIT = VisitToken(ONE, TWO)
VISITOR = VisitorToken(ONE, TWO, 3, 2**50, follows=True, visit_id=ONE, site="shop.example")
KEYS = ["old", "new"]

WRITE: dict[str, cabc.Callable[[TokenCodec], str]] = {
    "device": lambda codec: codec.write_device(DEVICE),
    "session": lambda codec: codec.write_session(SESSION),
    "visit": lambda codec: codec.write_visit(VISIT),
    "visitor": lambda codec: codec.write_visitor(VISITOR),
    "link": lambda codec: codec.write_link(ONE),
    "csrf": lambda codec: codec.write_csrf(OWNER, 2**60)[9:],  # without the epoch
}
READ: dict[str, cabc.Callable[[TokenCodec, str], object]] = {
    "device": lambda codec, value: codec.read_device(value) == DEVICE,
    "session": lambda codec, value: codec.read_session(value) == SESSION,
    "visit": lambda codec, value: codec.read_visit(value) == VISIT,
    "visitor": lambda codec, value: codec.read_visitor(value) == VISITOR,
    "link": lambda codec, value: codec.read_link(value) == ONE,
    "csrf": lambda codec, value: codec.is_csrf_of(value, ONE, 2**60 - 1),
}


def signer_of(kind: str, keys: list[str], **options: t.Any) -> itsdangerous.Signer:
    options = {"digest_method": hashlib.sha256, **options}
    return itsdangerous.Signer(keys, salt=f"eventtrack.{kind}", key_derivation="hmac", **options)


@pytest.mark.parametrize("kind", WRITE)
def test_itsdangerous_signs_the_same_bytes(kind: str) -> None:
    """With the last key, under a salt of the kind's own."""
    value, signer = WRITE[kind](TokenCodec(KEYS)), signer_of(kind, KEYS)
    assert signer.sign(signer.unsign(value)).decode() == value
    for other in WRITE.keys() - {kind}:
        assert not signer_of(other, KEYS).validate(value)


@pytest.mark.parametrize("kind", WRITE)
@pytest.mark.parametrize("keys", [["old"], [b"old"]])
def test_fallback_key_verifies_and_does_not_sign(kind: str, keys: list[str] | list[bytes]) -> None:
    """The order of ``SECRET_KEY_FALLBACKS``: the current key comes last."""
    value = WRITE[kind](TokenCodec(keys))
    assert signer_of(kind, KEYS).validate(value)
    assert READ[kind](TokenCodec(KEYS), value)
    assert WRITE[kind](TokenCodec(KEYS)) != value
    assert not READ[kind](TokenCodec(["new"]), value)


@pytest.mark.parametrize("kind", WRITE)
def test_value_of_another_kind_is_not_read(kind: str) -> None:
    """Not even where the fields would fit."""
    codec = TokenCodec(KEYS)
    for other in WRITE.keys() - {kind}:
        assert not READ[kind](codec, WRITE[other](codec))


@pytest.mark.parametrize("kind", WRITE)
def test_value_of_a_later_version_is_not_read(kind: str) -> None:
    """Ours begin with version 1."""
    payload = base64.urlsafe_b64decode(WRITE[kind](TokenCodec(KEYS)).partition(".")[0] + "==")
    later = base64.urlsafe_b64encode(b"\2" + payload[1:]).rstrip(b"=")
    assert not READ[kind](TokenCodec(KEYS), signer_of(kind, KEYS).sign(later).decode())


@hypothesis.given(st.data(), st.sampled_from(sorted(WRITE)))
def test_no_character_of_what_is_signed_may_change(data: st.DataObject, kind: str) -> None:
    """Nor one of the signature, and be it one whose bits base64 leaves unused."""
    codec = TokenCodec(KEYS)
    value = WRITE[kind](codec)
    at = data.draw(st.integers(0, len(value) - 1))
    other = data.draw(st.characters().filter(lambda c: c != value[at]))
    spoilt = data.draw(
        st.sampled_from([value[:at] + other + value[at + 1 :], value[:at], value + other])
    )
    assert READ[kind](codec, value)
    assert not READ[kind](codec, spoilt)


@pytest.mark.parametrize("kind", WRITE)
@pytest.mark.parametrize("value", ["", ".", "..", "x", "\ud800", ".é", "A" * 2049])
def test_value_that_is_none_of_ours_is_not_read(kind: str, value: str) -> None:
    """And is no error."""
    assert not READ[kind](TokenCodec(KEYS), value)


def test_epoch_and_page_device_are_derived_as_ever() -> None:
    """Browsers have the one, and rows the other."""
    codec = TokenCodec(KEYS)
    epoch = signer_of("epoch", KEYS).get_signature(ONE.bytes).decode()
    assert codec.epoch_of(ONE) == epoch[:8]
    signature = signer_of("page", KEYS, digest_method=hashlib.sha1).get_signature(ONE.bytes)
    device = uuidlib.UUID(bytes=hashlib.sha256(signature).digest()[:16], version=4)
    assert codec.device_of_page(ONE) == device
