"""Tokens that are refused, each with its code."""

from __future__ import annotations

import base64
import collections.abc as cabc
import json
import typing as t
import uuid as uuidlib

import jwt
import pytest

from ..collector.senders import problem_of, set_cookies
from ..conftest import MakeHost
from ..hosts import SAME_ORIGIN, START, Host
from .customers import CLICK, KEY, OPEN, jar_of, refusals, send, token_of, visit, written
from .jwts import public_pem, rsa_key, seal


def unsigned(claims: dict[str, t.Any]) -> str:
    head, body = (json.dumps(part).encode() for part in ({"alg": "none"}, claims))
    parts = [base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in (head, body)]
    return ".".join([*parts, ""])


GOOD = {"sub": "7", "exp": START.timestamp() + 3600}
REFUSED: dict[str, tuple[cabc.Callable[[], str], str]] = {
    "empty": (lambda: "", "token_invalid"),
    "no token": (lambda: "Bearer x", "token_invalid"),
    "a NUL": (lambda: "\0", "token_invalid"),
    "a lone surrogate": (lambda: "\ud800", "token_invalid"),
    "unsigned": (lambda: unsigned(GOOD), "token_invalid"),
    "too long": (lambda: "x" * 8193, "token_too_large"),
    "truncated": (lambda: jwt.encode(GOOD, KEY)[:-4], "token_signature"),
    "another's key": (lambda: jwt.encode(GOOD, KEY[::-1]), "token_signature"),
    "RSA": (lambda: jwt.encode(GOOD, rsa_key(), "RS256"), "token_key"),
    "kid of a path": (
        lambda: jwt.encode(GOOD, KEY, headers={"kid": "../../../dev/null"}),
        "token_key",
    ),
    "kid of SQL": (lambda: jwt.encode(GOOD, KEY, headers={"kid": "' OR '1'='1"}), "token_key"),
    "for others": (lambda: jwt.encode({**GOOD, "aud": "others"}, KEY), "token_audience"),
    "for nobody": (lambda: jwt.encode({**GOOD, "sub": "guest"}, KEY), "token_claims"),
    "for ever": (lambda: jwt.encode({"sub": "7"}, KEY), "token_claims"),
    "for later": (
        lambda: jwt.encode({**GOOD, "nbf": START.timestamp() + 61}, KEY),
        "token_not_yet_valid",
    ),
    "expired": (lambda: jwt.encode({**GOOD, "exp": START.timestamp() - 60}, KEY), "token_expired"),
}


@pytest.mark.parametrize("path", ["in", "identify", "logout"])
@pytest.mark.parametrize("name", REFUSED)
def test_refused_token_refuses_the_post(shop: Host, name: str, path: str) -> None:
    """401 with the reason, as RFC 6750 (section 3) has it; it is counted, and nothing written."""
    make_token, code = REFUSED[name]
    client = shop.client()
    visit(client, "/login/8")
    before = written(shop)
    response = send(client, path, token=make_token(), **(CLICK if path == "in" else {}))
    assert problem_of(response) == (401, code)
    assert response.headers["WWW-Authenticate"] == 'Bearer error="invalid_token"'
    assert set_cookies(response) == {}
    assert written(shop) == before
    assert refusals(shop) == {code: 1}
    assert client.get("/me").get_json()["customer"] == "8"


def test_public_key_is_no_secret(make: MakeHost) -> None:
    """RFC 8725, section 2.1: a token that is signed with the RSA key's public text as a secret."""
    host = make({"EVENTTRACK_JWT_KEYS": public_pem(rsa_key()).decode()})
    text = public_pem(rsa_key())
    for secret in (text, text.strip(), public_pem(rsa_key(), "DER")):
        token = seal(b'{"alg":"HS256"}', json.dumps(GOOD).encode(), secret)
        response = send(host.client(), **CLICK, token=token)
        assert problem_of(response) == (401, "token_key")
    token = jwt.encode(GOOD, rsa_key(), "RS256")
    assert send(host.client(), **CLICK, token=token).status_code == 202


def test_no_token_is_another_401(shop: Host) -> None:
    """The challenge of RFC 6750 has no error where nothing was shown."""
    response = send(shop.client(), "identify")
    assert problem_of(response) == (401, "token_missing")
    assert response.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("path", ["in", "identify", "logout"])
def test_without_keys_no_token_is_taken(host: Host, path: str) -> None:
    """And none is passed over in silence."""
    response = send(host.client(), path, token=jwt.encode(GOOD, KEY), **CLICK)
    assert problem_of(response) == (401, "token_unsupported")


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        ({"Authorization": "bearer {}"}, None, 204),
        ({"Authorization": "Bearer {}"}, "", 204),
        ({"Authorization": "Bearer  {}"}, "{{}}", 204),
        ({"Authorization": "Basic {}"}, "", 401),
        ({}, '{{"token": "{}"}}', 204),
        ({"Authorization": "Bearer x"}, '{{"token": "{}"}}', 204),
        ({"Authorization": "Bearer {}"}, '{{"token": "x"}}', 401),
        ({}, '{{"token": null}}', 401),
        ({}, '{{"token": 7}}', 400),
        ({}, "[]", 400),
        ({}, "{{", 400),
        ({"Authorization": "Bearer {}"}, "{{", 400),
    ],
)
def test_token_comes_in_the_header_or_the_body(
    shop: Host, headers: dict[str, str], body: str | None, status: int
) -> None:
    """The body's goes before the header's, and a post without a body is one without a type."""
    token = token_of(shop, "7")
    headers = {name: value.format(token) for name, value in headers.items()}
    data = None if body is None else body.format(token)
    response = shop.client().post(
        "/_et/identify",
        data=data,
        headers={**SAME_ORIGIN, **headers},
        content_type="text/plain" if body else None,
    )
    assert response.status_code == status
    assert len(shop.rows("profile")) == (status == 204)


def test_refused_post_may_come_again(shop: Host) -> None:
    """With a fresh token, or without one: its events are not lost, and count once."""
    client, event = shop.client(), {**CLICK, "event_id": str(uuidlib.uuid4())}
    assert send(client, **event, token="x").status_code == 401
    assert send(client, **event).get_json()["results"][0]["status"] == "accepted"
    assert send(client, **event, token=token_of(shop, "7")).get_json()["results"][0]["status"] == (
        "duplicate"
    )


def test_token_is_nowhere(shop: Host) -> None:
    """Neither in the tables, nor in a cookie."""
    client, token = shop.client(), token_of(shop, "7")
    send(client, "identify", token=token)
    send(client, **OPEN, token=token)
    signature = token.rpartition(".")[2]
    assert signature not in f"{written(shop)} {shop.rows('quality')}"
    assert not any(signature in value for value in jar_of(client).values())
