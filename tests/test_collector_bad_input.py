"""Bad input to the collector: each with its status and code, none with a 500, and none that keeps
a good event from the database."""

from __future__ import annotations

import collections.abc as cabc
import gzip
import io
import json
import tracemalloc
import typing as t
import uuid as uuidlib
import zlib

import pytest
from flask import request
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from werkzeug.test import TestResponse

from .conftest import MakeHost
from .hosts import CHROME, NAVIGATION, SAME_ORIGIN, Host

CLICK = {"action": "button.click"}
GOOD = '{"action": "button.click"}'
ID = "018f2b1e-7c1a-7def-8a5b-0123456789ab"
JSON_TYPE = "application/json"
LIMIT = 256 * 1024
Start = cabc.Callable[..., t.Any]


def post(
    client: FlaskClient, body: bytes | str, content_type: str = JSON_TYPE, **headers: str
) -> TestResponse:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.post("/_et/in", data=body, content_type=content_type, headers=SAME_ORIGIN | named)


def problem_of(response: TestResponse) -> tuple[int, str]:
    """Return status and code of a problem document, which is never cached."""
    assert response.mimetype == "application/problem+json"
    assert response.headers["Cache-Control"] == "no-store"
    assert "Set-Cookie" not in response.headers
    body = response.get_json()
    assert body["status"] == response.status_code
    return response.status_code, body["code"]


def batch_of(*events: str) -> str:
    return '{"events": [' + ", ".join(events) + "]}"


def nested(depth: int) -> str:
    return "[" * depth + "]" * depth


# The post as a whole

MALFORMED: dict[str, bytes | str] = {
    "empty": b"",
    "blanks": b" \n ",
    "not JSON": b"action=button.click",
    "torn": b'{"action": "button.click"',
    "two documents": b'{"action": "button.click"}{}',
    "trailing comma": b'{"action": "button.click",}',
    "single quotes": b"{'action': 'button.click'}",
    "a comment": b'{"action": "button.click"} // hello',
    "null": b"null",
    "true": b"true",
    "a number": b"5",
    "a string": b'"button.click"',
    "a list": b'[{"action": "button.click"}]',
    "NaN": b"NaN",
    "events are null": b'{"events": null}',
    "events are one": b'{"events": {"action": "button.click"}}',
    "events are text": b'{"events": "button.click"}',
    "no events": b'{"events": []}',
    "101 events": batch_of(*[GOOD] * 101),
    "not UTF-8": b'{"action": "button.click", "label": "\xff"}',
    "half a character": b'{"action": "button.click", "label": "\xe2\x82"}',
    "UTF-16": '{"action": "button.click"}'.encode("utf-16"),
    "a surrogate as bytes": b'{"action": "button.click", "label": "\xed\xa0\x80"}',
    "a raw line break": b'{"action": "button.click", "label": "a\nb"}',
    "a raw NUL": b'{"action": "button.click", "label": "a\0b"}',
    "a wrong escape": rb'{"action": "button.click", "label": "\x41"}',
    "half an escape": rb'{"action": "button.click", "label": "\ud8"}',
    "a key that is no text": b'{1: 2, "action": "button.click"}',
    "deep lists": nested(20_000),
    "deep lists that never end": "[" * 100_000,
    "deep objects": '{"a":' * 20_000 + "1" + "}" * 20_000,
    "deep parameters": f'{{"action": "button.click", "params": {{"a": {nested(5_000)}}}}}',
    "an endless integer": f'{{"action": "button.click", "params": {{"a": {"9" * 5_000}}}}}',
    "sent_at is a list": b'{"events": [{"action": "button.click"}], "sent_at": [1]}',
    "sent_at is true": b'{"events": [{"action": "button.click"}], "sent_at": true}',
    "sent_at is no time": b'{"events": [{"action": "button.click"}], "sent_at": "soon"}',
    "sent_at has no zone": b'{"action": "button.click", "sent_at": "2026-11-21T12:00:00"}',
    "sent_at is NaN": b'{"action": "button.click", "sent_at": NaN}',
    "sent_at is endless": b'{"action": "button.click", "sent_at": 1e400}',
    "sent_at is a surrogate": rb'{"action": "button.click", "sent_at": "\ud800"}',
    "csrf_token is a number": b'{"action": "button.click", "csrf_token": 5}',
    "csrf_token is an object": b'{"action": "button.click", "csrf_token": {}}',
    "token is a list": b'{"action": "button.click", "token": []}',
}


@pytest.mark.parametrize("content_type", [JSON_TYPE, "text/plain"])
@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_post_is_400(host: Host, name: str, content_type: str) -> None:
    """Nothing of it is stored, whatever it holds beside the fault."""
    assert problem_of(post(host.client(), MALFORMED[name], content_type)) == (400, "malformed")
    assert host.rows("event") == []


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        ("", "The body is empty."),
        ("[]", 'The body must be a JSON object: an event, or {"events": [...]}.'),
        ('{"events": 5}', '"events" must be a list.'),
        ('{"events": []}', "A post holds 1 to 100 events, this holds 0."),
        (batch_of(*[GOOD] * 101), "A post holds 1 to 100 events, this holds 101."),
        (b'{"a": "\xff"}', "The body is not UTF-8."),
        ("[" * 100_000, "The body is nested too deeply."),
        ('{"csrf_token": 5}', "Expected `str | null`, got `int` - at `$.csrf_token`."),
        (
            '{"sent_at": "x"}',
            "\"sent_at\": 'x' is not a time: an aware datetime, ISO 8601 with a "
            "zone, or milliseconds since the epoch.",
        ),
    ],
)
def test_a_malformed_post_is_explained(host: Host, body: bytes | str, detail: str) -> None:
    """A sentence that says what came and what was expected."""
    assert post(host.client(), body).get_json()["detail"] == detail


@pytest.mark.parametrize(
    "content_type",
    [
        "",
        "nonsense",
        "text/html",
        "text/json",
        "application/json-seq",
        "application/octet-stream",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "multipart/form-data",
        ";;;",
        "application/json, text/plain",
    ],
)
def test_other_content_types_are_415(host: Host, content_type: str) -> None:
    """A form of a foreign page cannot send ours."""
    expected = (415, "unsupported_type")
    assert problem_of(post(host.client(), GOOD, content_type)) == expected


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", gzip.compress(GOOD.encode())),
        ("GZIP", gzip.compress(GOOD.encode())),
        ("gzip", gzip.compress(b" " * 100_000_000)),
        ("gzip", b"no gzip at all"),
        ("br", b"x"),
        ("deflate", b"x"),
        ("gzip, gzip", b"x"),
    ],
    ids=["gzip", "in capitals", "a bomb", "no gzip", "br", "deflate", "twice"],
)
def test_a_compressed_body_is_415(host: Host, encoding: str, body: bytes) -> None:
    """Nothing is inflated, so that there is no bomb."""
    response = post(host.client(), body, Content_Encoding=encoding)
    assert problem_of(response) == (415, "encoded")
    assert response.headers["Accept-Encoding"] == "identity"


def gzipped(text: str, size: int = 0) -> bytes:
    return gzip.compress(text.ljust(size).encode())


@pytest.mark.parametrize(
    ("encoding", "body", "expected"),
    [
        ("gzip", gzipped(GOOD), 202),
        ("GZIP", gzipped(GOOD), 202),
        ("identity", GOOD, 202),
        ("gzip", gzipped(GOOD, LIMIT), 202),
        ("gzip", gzipped(GOOD, LIMIT + 1), 413),
        ("gzip", gzipped("", 100_000_000), 413),
        ("gzip", gzipped(GOOD) + b"\0" * LIMIT, 413),
        ("gzip", gzipped(GOOD)[:-1], 400),
        ("gzip", gzipped(GOOD) * 2, 400),
        ("gzip", gzipped(GOOD) + b"!", 400),
        ("gzip", zlib.compress(GOOD.encode()), 400),
        ("gzip", GOOD, 400),
        ("gzip", b"", 400),
        ("deflate", zlib.compress(GOOD.encode()), 415),
        ("br", b"x", 415),
        ("gzip, gzip", gzip.compress(gzipped(GOOD)), 415),
    ],
    ids=[
        *("gzip", "in capitals", "not compressed", "the largest", "too large", "a bomb"),
        *("much behind it", "cut", "twice in a row", "more behind it", "zlib", "no gzip"),
        *("nothing", "deflate", "br", "twice"),
    ],
)
def test_a_compressed_body_where_it_may_be(
    make: MakeHost, encoding: str, body: str | bytes, expected: int
) -> None:
    """``EVENTTRACK_GZIP_POSTS``: both what comes and what is in it are bounded."""
    host = make({"EVENTTRACK_GZIP_POSTS": True})
    response = post(host.client(), body, Content_Encoding=encoding)
    assert response.status_code == expected
    assert host.actions()["button.click"] == (expected == 202)
    if expected == 415:
        assert response.headers["Accept-Encoding"] == "gzip, identity"


def test_a_bomb_is_inflated_no_further_than_the_limit(make: MakeHost) -> None:
    """However much is in it, it takes no more memory than a post may."""
    client = make({"EVENTTRACK_GZIP_POSTS": True}).client()
    bomb = gzipped("", 100_000_000)
    tracemalloc.start()
    try:
        assert post(client, bomb, Content_Encoding="gzip").status_code == 413
        assert tracemalloc.get_traced_memory()[1] < 20 * LIMIT
    finally:
        tracemalloc.stop()


def test_gzip_that_does_not_say_so_is_400(host: Host) -> None:
    """Without the header they are bytes that are no JSON."""
    response = post(host.client(), gzip.compress(GOOD.encode()))
    assert problem_of(response) == (400, "malformed")


@pytest.mark.parametrize("size", [LIMIT + 1, 300_000, 5_000_000])
def test_a_large_post_is_413(host: Host, size: int) -> None:
    """By its ``Content-Length``, before a byte is read."""
    assert problem_of(post(host.client(), GOOD.ljust(size))) == (413, "too_large")
    assert host.rows("event") == []


def test_the_largest_post_is_taken(host: Host) -> None:
    """256 KiB are within the limit."""
    assert post(host.client(), GOOD.ljust(LIMIT)).status_code == 202


@pytest.fixture
def chunked(host: Host) -> Host:
    """A host behind a server that ends chunked bodies itself and gives no length."""
    inner = host.app.wsgi_app

    def unchunk(environ: dict[str, t.Any], start: Start) -> cabc.Iterable[bytes]:
        environ.pop("CONTENT_LENGTH", None)
        environ.update({"wsgi.input_terminated": True, "HTTP_TRANSFER_ENCODING": "chunked"})
        return inner(environ, start)

    host.app.wsgi_app = unchunk  # type: ignore[assignment,method-assign]
    return host


@pytest.mark.parametrize("size", [LIMIT + 1, 300_000, 5_000_000])
def test_a_large_chunked_post_is_413(chunked: Host, size: int) -> None:
    """Without a ``Content-Length`` it is cut where the limit is."""
    assert problem_of(post(chunked.client(), GOOD.ljust(size))) == (413, "too_large")
    assert chunked.rows("event") == []


def test_a_small_chunked_post_is_taken(chunked: Host) -> None:
    """A proxy may send on in chunks what a browser sent whole."""
    assert post(chunked.client(), GOOD).status_code == 202


def test_a_large_post_is_413_where_the_host_has_read_it(make: MakeHost) -> None:
    """A ``before_request`` that logs bodies lifts no limit."""
    host = make()

    @host.app.before_request
    def log() -> None:
        request.get_data()

    assert problem_of(post(host.client(), GOOD.ljust(300_000))) == (413, "too_large")
    assert post(host.client(), GOOD).status_code == 202


@pytest.mark.parametrize("limit", [10, 10_000_000])
def test_a_hosts_own_limit_is_not_ours(make: MakeHost, limit: int) -> None:
    """``MAX_CONTENT_LENGTH`` is for the host's forms."""
    client = make({"MAX_CONTENT_LENGTH": limit}).client()
    assert post(client, GOOD).status_code == 202
    assert problem_of(post(client, GOOD.ljust(300_000))) == (413, "too_large")


@pytest.mark.parametrize("length", ["50", "1", "0", "-1", "x", ""])
def test_a_wrong_length_is_400(host: Host, length: str) -> None:
    """A body that ends early, is cut, or whose length is no number."""
    response = host.client().post(
        "/_et/in",
        content_type=JSON_TYPE,
        headers=SAME_ORIGIN,
        environ_overrides={"wsgi.input": io.BytesIO(GOOD.encode()), "CONTENT_LENGTH": length},
    )
    assert problem_of(response) == (400, "malformed")


def test_a_body_that_breaks_off_is_400(host: Host) -> None:
    """The client went away."""

    class Broken(io.BytesIO):
        def readinto(self, buffer: t.Any, /) -> int:
            raise OSError("connection reset")

        def read(self, size: int | None = -1, /) -> bytes:
            raise OSError("connection reset")

    overrides = {"wsgi.input": Broken(), "CONTENT_LENGTH": "50"}
    response = host.client().post(
        "/_et/in", content_type=JSON_TYPE, headers=SAME_ORIGIN, environ_overrides=overrides
    )
    assert problem_of(response) == (400, "malformed")
    assert response.get_json()["detail"] == "The body did not arrive whole."


@pytest.mark.parametrize("body", [{"token": "x"}, {"token": ""}, {"token": "\ud800"}])
def test_a_customers_token_is_401(host: Host, body: dict[str, str]) -> None:
    """Until keys are set up, a token vouches for nobody, and is not passed over in silence."""
    response = post(host.client(), json.dumps({**CLICK, **body}))
    assert problem_of(response) == (401, "token_unsupported")


@pytest.mark.parametrize("value", ["Bearer x", "bearer x", "Bearer " + "x" * 9000])
def test_a_bearer_token_is_401(host: Host, value: str) -> None:
    """As a header too."""
    response = post(host.client(), GOOD, Authorization=value)
    assert problem_of(response) == (401, "token_unsupported")


def test_a_site_behind_a_password_still_tracks(host: Host) -> None:
    """A browser sends the site's own Basic credentials with every request; they are not for us."""
    response = post(host.client(), GOOD, Authorization="Basic dXNlcjpwYXNz")
    assert response.status_code == 202


# One event among others

REJECTED: dict[str, tuple[str, str, str | None]] = {
    "null": ("null", "invalid_event", None),
    "a number": ("5", "invalid_event", None),
    "text": ('"button.click"', "invalid_event", None),
    "a list": ("[]", "invalid_event", None),
    "true": ("true", "invalid_event", None),
    "nothing": ("{}", "invalid_action", None),
    "no action": ('{"params": {}}', "invalid_action", None),
    "action is null": ('{"action": null}', "invalid_action", None),
    "action is a number": ('{"action": 5}', "invalid_event", None),
    "action is a list": ('{"action": ["button.click"]}', "invalid_event", None),
    "action is empty": ('{"action": ""}', "invalid_action", None),
    "action has no dot": ('{"action": "click"}', "invalid_action", None),
    "action is a dot": ('{"action": "."}', "invalid_action", None),
    "nothing before the dot": ('{"action": ".click"}', "invalid_action", None),
    "nothing behind the dot": ('{"action": "button."}', "invalid_action", None),
    "a line break behind": ('{"action": "button.click\\n"}', "invalid_action", None),
    "a space behind": ('{"action": "button.click "}', "invalid_action", None),
    "33 characters": ('{"action": "button.' + "x" * 26 + '"}', "invalid_action", None),
    "100,000 characters": ('{"action": "b.' + "x" * 100_000 + '"}', "invalid_action", None),
    "a look-alike": ('{"action": "button.сlick"}', "invalid_action", None),  # noqa: RUF001
    "full-width": ('{"action": "button．click"}', "invalid_action", None),  # noqa: RUF001
    "an emoji": ('{"action": "button.💚"}', "invalid_action", None),
    "NUL": (r'{"action": "button.\u0000"}', "invalid_action", None),
    "a surrogate": (r'{"action": "button.\ud800"}', "invalid_action", None),
    "SQL": ('{"action": "a.b\'; DROP TABLE eventtrack_event;--"}', "invalid_action", None),
    "HTML": ('{"action": "<b>.</b>"}', "invalid_action", None),
    "unknown": ('{"action": "who.knows"}', "undefined_event", None),
    "event_id is a number": ('{"action": "button.click", "event_id": 5}', "invalid_event", None),
    "event_id is no UUID": ('{"action": "button.click", "event_id": "x"}', "invalid_id", None),
    "event_id is a surrogate": (
        r'{"action": "button.click", "event_id": "\ud800"}',
        "invalid_id",
        None,
    ),
    "event_id is NUL": (r'{"action": "button.click", "event_id": "\u0000"}', "invalid_id", None),
    "event_id is long": (
        '{"action": "button.click", "event_id": "' + "x" * 9000 + '"}',
        "invalid_id",
        None,
    ),
    "params are a list": ('{"action": "button.click", "params": []}', "invalid_event", None),
    "params are a surrogate": (
        r'{"action": "button.click", "params": "\ud800"}',
        "invalid_event",
        None,
    ),
    "params are text": ('{"action": "button.click", "params": "x"}', "invalid_event", None),
    "label is a number": ('{"action": "button.click", "label": 5}', "invalid_event", None),
    "label is an object": ('{"action": "button.click", "label": {}}', "invalid_event", None),
    "time is true": ('{"action": "button.click", "time": true}', "invalid_event", None),
    "time is a list": ('{"action": "button.click", "time": []}', "invalid_event", None),
    "time is NaN": ('{"action": "button.click", "time": NaN}', "invalid_time", None),
    "time is endless": ('{"action": "button.click", "time": 1e400}', "invalid_time", None),
    "time is huge": ('{"action": "button.click", "time": ' + "9" * 400 + "}", "invalid_time", None),
    "time is a surrogate": (r'{"action": "button.click", "time": "\ud800"}', "invalid_time", None),
    "time is ancient": ('{"action": "button.click", "time": 0}', "too_old", None),
    "visit is a number": ('{"action": "button.click", "visit": 5}', "invalid_event", None),
    "page is a list": ('{"action": "button.click", "page": []}', "invalid_event", None),
    "a missing parameter": ('{"action": "link.click"}', "invalid_param", "href"),
    "a null parameter": (
        '{"action": "link.click", "params": {"href": null}}',
        "invalid_param",
        "href",
    ),
    "a wrong parameter": (
        '{"action": "link.click", "params": {"href": {}}}',
        "invalid_param",
        "href",
    ),
    "NaN for a number": (
        '{"action": "page.engage", "params": {"visible_s": NaN}}',
        "invalid_param",
        "visible_s",
    ),
    "a huge number": (
        '{"action": "product.addToCart", "params": {"sku": "1", "quantity": ' + "9" * 40 + "}}",
        "invalid_param",
        "quantity",
    ),
    "no address": ('{"action": "page.visit"}', "invalid_param", "url"),
    "nine levels": (
        f'{{"action": "button.click", "params": {{"a": {nested(8)}}}}}',
        "params_too_deep",
        None,
    ),
    "900 levels": (
        f'{{"action": "button.click", "params": {{"a": {nested(900)}}}}}',
        "params_too_deep",
        None,
    ),
    "257 names": (
        json.dumps({**CLICK, "params": {f"n{n}": n for n in range(257)}}),
        "too_many_params",
        None,
    ),
    "257 names below": (
        json.dumps({**CLICK, "params": {"a": [{f"n{n}": n} for n in range(256)]}}),
        "too_many_params",
        None,
    ),
    "an empty name": ('{"action": "button.click", "params": {"": 1}}', "invalid_param_name", ""),
    "a name of 65": (
        json.dumps({**CLICK, "params": {"x" * 65: 1}}),
        "invalid_param_name",
        "x" * 64,
    ),
    "a surrogate in a long name": (
        '{"action": "button.click", "params": {"' + r"\ud800" * 65 + '": 1}}',
        "invalid_param_name",
        "\ufffd" * 64,
    ),
    "33 KiB": (json.dumps({**CLICK, "params": {"a": "x" * 33 * 1024}}), "params_too_large", None),
    "reserved": ('{"action": "session.start"}', "reserved_event", None),
    "server only": ('{"action": "customer.login"}', "server_only", None),
}


@pytest.mark.parametrize("name", REJECTED)
def test_a_bad_event_is_422(host: Host, name: str) -> None:
    """On its own it is refused with its code and its parameter, and nothing is stored."""
    event, code, param = REJECTED[name]
    if not event.startswith("{"):  # no event at all: as a body of its own it is malformed
        event = batch_of(event)
    response = post(host.client(), event)
    assert response.status_code == (202 if event.startswith('{"events"') else 422)
    [result] = response.get_json()["results"]
    assert (result["status"], result["error"]["code"]) == ("rejected", code)
    assert result["error"]["param"] == param
    assert host.rows("event") == []


@pytest.mark.parametrize("name", REJECTED)
def test_good_events_land_beside_a_bad_one(host: Host, name: str) -> None:
    """Partial success, and the writer is well."""
    client = host.client()
    response = post(client, batch_of(GOOD, REJECTED[name][0], GOOD))
    assert response.status_code == 202
    found = [result["status"] for result in response.get_json()["results"]]
    assert found == ["accepted", "rejected", "accepted"]
    assert host.actions() == {"button.click": 2, "session.start": 1}
    assert host.rows("rejected") == []


def test_every_refusal_can_be_counted(db_host: Host) -> None:
    """The quality counters take what was refused, on each database."""
    client = db_host.client()
    for event, _, _ in REJECTED.values():
        if "event_id" not in event:  # a test of its own
            assert post(client, batch_of(event, GOOD)).status_code == 202
    assert db_host.rows("rejected") == []
    counted = sum(row["count"] for row in db_host.rows("quality") if row["outcome"] == "rejected")
    assert counted == sum("event_id" not in event for event, _, _ in REJECTED.values())


# What is mended, and stored

MENDED: dict[str, tuple[str, dict[str, t.Any], str | None]] = {
    "NUL": (r'"params": {"a": "x\u0000y"}', {"a": "x\ufffdy"}, None),
    "NUL in a name": (r'"params": {"x\u0000": 1}', {"x\ufffd": 1}, None),
    "a lone surrogate": (r'"params": {"a": "\ud800"}', {"a": "\ufffd"}, None),
    "a lone low surrogate": (r'"params": {"a": "\udc00x"}', {"a": "\ufffdx"}, None),
    "a surrogate in a name": (r'"params": {"\ud800": 1}', {"\ufffd": 1}, None),
    "a surrogate far below": (
        r'"params": {"a": [{"b": "\ud800"}]}',
        {"a": [{"b": "\ufffd"}]},
        None,
    ),
    "a pair of surrogates": (r'"params": {"a": "\ud83d\udc9a"}', {"a": "💚"}, None),
    "a surrogate for a field": (r'"\ud800": 1, "params": {"a": 1}', {"a": 1}, None),
    "NaN": ('"params": {"a": NaN, "b": 1}', {"b": 1}, None),
    "NaN far below": ('"params": {"a": [NaN, {"b": -Infinity}]}', {"a": [None, {"b": None}]}, None),
    "1e400": ('"params": {"a": 1e400, "b": -1e400}', {}, None),
    "64 bits": ('"params": {"a": 9223372036854775807}', {"a": 2**63 - 1}, None),
    "65 bits": ('"params": {"a": 9223372036854775808}', {"a": str(2**63)}, None),
    "minus 64 bits": ('"params": {"a": -9223372036854775808}', {"a": -(2**63)}, None),
    "400 digits": ('"params": {"a": ' + "9" * 400 + "}", {"a": "9" * 400}, None),
    "the smallest float": ('"params": {"a": 5e-324}', {"a": 5e-324}, None),
    "minus nothing": ('"params": {"a": -0.0}', {"a": 0.0}, None),
    "eight levels": (f'"params": {{"a": {nested(7)}}}', {"a": json.loads(nested(7))}, None),
    "a name twice": ('"params": {"a": 1, "a": 2}', {"a": 2}, None),
    "a field twice": ('"params": {"a": 1}, "params": {"b": 2}', {"b": 2}, None),
    "two names that become one": (r'"params": {"\u0000": 1, "\ud800": 2}', {"\ufffd": 2}, None),
    "30 KiB": ('"params": {"a": "' + "x" * 30_000 + '"}', {"a": "x" * 30_000}, None),
    "four-byte text": ('"params": {"💚": "💚𐍈"}', {"💚": "💚𐍈"}, None),
    "SQL": ('"params": {"a": "\'); DROP TABLE x;--"}', {"a": "'); DROP TABLE x;--"}, None),
    "percent": ('"params": {"a": "%s %(id)s :id {x}"}', {"a": "%s %(id)s :id {x}"}, None),
    "a label with NUL": (r'"label": "x\u0000y"', {}, "x\ufffdy"),
    "a label with a surrogate": (r'"label": "\ud800"', {}, "\ufffd"),
    "a label with line breaks": (r'"label": "a\r\nSet-Cookie: b=c"', {}, "a\r\nSet-Cookie: b=c"),
    "a long label": ('"label": "' + "💚" * 300 + '"', {}, "💚" * 254 + "…"),
    "a label's parameter": (
        r'"params": {"text": "\u0000"}',
        {"text": "\ufffd"},
        "Clicked button \ufffd",
    ),
    "an address with NUL": (
        r'"params": {"url": "http://localhost/\u0000"}',
        {"url": "http://localhost/%EF%BF%BD"},
        None,
    ),
    "an address with a surrogate": (
        r'"params": {"url": "http://localhost/\ud800", "a": 1}',
        {"a": 1},
        None,
    ),
    "a query with a surrogate": (
        r'"params": {"url": "http://localhost/?a=\ud800", "a": 1}',
        {"a": 1},
        None,
    ),
    "a referrer with a surrogate": (
        r'"params": {"referrer": "http://localhost/\ud800", "a": 1}',
        {"a": 1},
        None,
    ),
    "a campaign with NUL": (
        '"params": {"url": "http://localhost/?utm_source=%00"}',
        {"url": "http://localhost/?utm_source=%00"},
        None,
    ),
    "a campaign that is no UTF-8": (
        '"params": {"url": "http://localhost/?utm_source=%ff%ed%a0%80"}',
        {"url": "http://localhost/?utm_source=%ff%ed%a0%80"},
        None,
    ),
    "a campaign without an end": (
        '"params": {"url": "http://localhost/?utm_source=' + "%F0%9F%92%9A" * 100 + '"}',
        {"url": "http://localhost/?utm_source=" + "%F0%9F%92%9A" * 100},
        None,
    ),
    "a forged visit": ('"visit": "x.y"', {}, None),
    "a surrogate for a visit": (r'"visit": "\ud800"', {}, None),
    "a page that is no id": (r'"page": "\u0000"', {}, None),
}
# A half that a mended address leaves open: the rest of the event has to be there, the address
# either scrubbed of what cannot be stored or left out.
_ADDRESSES = ("url", "referrer")


@pytest.mark.parametrize("name", MENDED)
def test_what_can_be_mended_is_stored(db_host: Host, name: str) -> None:
    """On each database, beside the good events of the same batch, and with a session."""
    fields, params, label = MENDED[name]
    event = f'{{"action": "button.click", {fields}}}'
    response = post(
        db_host.client(), batch_of('{"action": "screen.view", "params": {"name": "a"}}', event)
    )
    assert [result["status"] for result in response.get_json()["results"]] == ["accepted"] * 2
    assert db_host.actions() == {"button.click": 1, "screen.view": 1, "session.start": 1}
    [row] = db_host.events_of("button.click")
    addresses = () if any(key in params for key in _ADDRESSES) else _ADDRESSES
    assert {k: v for k, v in row["params"].items() if k not in addresses} == params
    assert row["label"] == (label or "Clicked button ")
    assert db_host.rows("rejected") == []


@pytest.mark.parametrize(
    "address",
    [
        "http://localhost/?utm_source=%00&utm_campaign=a%00b",
        "http://localhost/a%00b",
        "http://localhost/%ff%fe",
        "http://localhost/\\u0000",
        "http://\\u0000/",
        "http://%00/",
        "http://" + "x" * 3000 + "/",
        "http://localhost/?" + "&".join(["a=b"] * 1000),
        "http://localhost/?utm_source=" + "x" * 1900,
        "http://xn--/",
        "http://[::1]:80/",
        "http://[v1.x]/",
        "http://①②③/",
        "http://localhost//evil.example/",
        "http://localhost/products/%2e%2e/x",
        "http://localhost/products/|",
    ],
)
def test_a_visit_with_a_strange_address_is_stored_or_refused(db_host: Host, address: str) -> None:
    """What was accepted stands in the table, on each database."""
    visit = f'{{"action": "page.visit", "params": {{"url": "{address}", "referrer": "{address}"}}}}'
    response = post(db_host.client(), batch_of(visit, GOOD))
    statuses = [result["status"] for result in response.get_json()["results"]]
    assert statuses[1] == "accepted"
    assert db_host.actions()["page.visit"] == (statuses[0] == "accepted")
    assert db_host.actions()["button.click"] == 1
    assert db_host.rows("rejected") == []


@pytest.mark.parametrize(
    "action", [r"\u0000.a", r"\ud800.a", r"\ud83d\udc9a", "", "x" * 3000, "a.b%", "button.click"]
)
def test_a_duplicate_with_a_bad_action_stops_nothing(db_host: Host, action: str) -> None:
    """An id that is known, under any action: what comes after it is still written."""
    client = db_host.client()
    known = f'{{"action": "button.click", "event_id": "{ID}"}}'
    for event in (known, f'{{"action": "{action}", "event_id": "{ID}"}}', GOOD):
        assert post(client, event).status_code < 500
    assert db_host.actions() == {"button.click": 2, "session.start": 1}
    assert db_host.rows("rejected") == []


# Headers and cookies


@pytest.mark.parametrize(
    "value",
    [
        "",
        "x",
        ".",
        "..",
        "a.b",
        "x" * 8000,
        "é",
        '"\\000"',
        "\x7f",
        "AQ.x",
        "eyJhIjoxfQ.Zm9v",
        "null",
        "' OR 1=1 --",
    ],
)
@pytest.mark.parametrize("name", ["eventtrack_device", "eventtrack_session", "eventtrack_csrf"])
def test_a_forged_cookie_is_a_fresh_start(host: Host, name: str, value: str) -> None:
    """A bad signature is a new visitor, never an error."""
    client = host.app.test_client(use_cookies=False)
    response = post(client, GOOD, Cookie=f"{name}={value}", User_Agent=CHROME)
    assert response.status_code == 202
    assert host.actions() == {"button.click": 1, "session.start": 1}


@pytest.mark.parametrize(
    "spoil",
    [
        lambda value: value[:-1],
        lambda value: value[1:],
        lambda value: value + "A",
        lambda value: value.swapcase(),
        lambda value: "B" + value[1:],
        lambda value: value.replace(".", "..", 1),
        lambda value: value[::-1],
    ],
)
@pytest.mark.parametrize("name", ["eventtrack_device", "eventtrack_session"])
def test_a_tampered_cookie_is_a_fresh_start(
    host: Host, name: str, spoil: cabc.Callable[[str], str]
) -> None:
    """One character is enough: a new device, or a new session of the device."""
    client = host.client()
    client.get("/", headers=NAVIGATION)
    cookie = client.get_cookie(name)
    assert cookie is not None
    client.set_cookie(name, spoil(cookie.value))
    assert post(client, GOOD).status_code == 202
    sessions = host.rows("session")
    assert len(sessions) == 2
    assert len({row["device_id"] for row in sessions}) == (1 if "session" in name else 2)


def test_cookies_cannot_be_swapped(host: Host) -> None:
    """A token of one kind is none of another, and another device's session is not taken."""
    first, second = host.client(), host.client()
    for client in (first, second):
        client.get("/", headers=NAVIGATION)
    session, device = first.get_cookie("eventtrack_session"), first.get_cookie("eventtrack_device")
    assert session is not None
    assert device is not None
    second.set_cookie("eventtrack_session", session.value)
    first.set_cookie("eventtrack_device", session.value)
    for client in (first, second):
        assert post(client, GOOD).status_code == 202
    assert [row["events"] for row in host.rows("session")] == [1, 1, 1, 1]


@pytest.mark.parametrize(
    "name",
    [
        "Origin",
        "Referer",
        "User-Agent",
        "Accept-Language",
        "X-EventTrack-Device",
        "Cookie",
        "Sec-Fetch-Site",
        "Content-Type",
        "Content-Encoding",
    ],
)
@pytest.mark.parametrize(
    "value",
    ["\r\nX-Injected: 1", "x\nSet-Cookie: a=b", "\0", "\xff\xfe", "é" * 2000, "=?utf-8?q?=00?="],
)
def test_a_header_cannot_inject_another(make: MakeHost, name: str, value: str) -> None:
    """Whatever a server lets through: no header of the answer is the client's, and no error."""
    host = make({"EVENTTRACK_ALLOWED_ORIGINS": ["https://shop.example.com"]})
    variable = name.upper().replace("-", "_")
    variable = variable if name == "Content-Type" else f"HTTP_{variable}"
    response = host.client().post(
        "/_et/in", data=GOOD, content_type=JSON_TYPE, environ_overrides={variable: value}
    )
    assert response.status_code in {202, 403, 415}
    assert not {"X-Injected", "Access-Control-Allow-Origin"} & set(response.headers.keys())
    assert not any("a=b" in line for line in response.headers.getlist("Set-Cookie"))
    host.flush()


@pytest.mark.parametrize("field", ["action", "event_id", "label", "visit", "page", "time"])
def test_a_field_cannot_inject_a_header(host: Host, field: str) -> None:
    """Line breaks of the body stay in the body."""
    event = {**CLICK, field: "x\r\nX-Injected: 1\r\n\r\n<script>"}
    response = post(host.client(), json.dumps(event))
    assert response.status_code in {202, 422}
    assert "X-Injected" not in response.headers
    assert response.mimetype == JSON_TYPE


@pytest.mark.parametrize(
    "name",
    ["", "[::1", "a b", "localhost:99999", "localhost:abc", "é", "a/b", "a@b", "a\\b", "x" * 255],
)
def test_a_strange_host_name_is_no_error(db_host: Host, name: str) -> None:
    """The site is what the client says; the databases take it."""
    response = post(db_host.client(), GOOD, Host=name)
    assert response.status_code in {202, 400}
    assert db_host.actions()["button.click"] == (response.status_code == 202)
    assert db_host.rows("rejected") == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("User_Agent", "Mozilla/5.0 " + "x" * 9000),
        ("User_Agent", "Mozilla/5.0 Chrome/\xff\xfe\x01"),
        ("Accept_Language", "x" * 9000),
        ("Accept_Language", "\xff\xfe, de;q=x"),
        ("X_Country", "\xff\xfe"),
        ("X_Country", "ß" * 100),
        ("X_Country", "xx\x00"),
    ],
)
def test_a_strange_client_is_stored(
    make: MakeHost, database_url: str, name: str, value: str
) -> None:
    """What a client says of itself fits its column, on each database."""
    host = make({"EVENTTRACK_COUNTRY_HEADER": "X-Country"}, url=database_url)
    overrides = {f"HTTP_{name.upper()}": value}
    client = host.app.test_client()
    response = client.post(
        "/_et/in",
        json=CLICK,
        headers={"User-Agent": CHROME, **SAME_ORIGIN},
        environ_overrides=overrides,
    )
    assert response.status_code == 202
    assert len(host.rows("session")) == 1
    assert host.rows("rejected") == []


# In production


def test_a_failure_of_ours_is_503_in_production(make: MakeHost) -> None:
    """Even what was foreseen by nobody is a problem document that says to try again."""
    host = make({"TESTING": False})

    def fail() -> int:
        raise RuntimeError("a clock that stands still")

    host.app.before_request(lambda: setattr(host.state, "clock", fail))
    response = post(host.client(), GOOD)
    assert (response.status_code, response.headers["Retry-After"]) == (503, "5")
    assert problem_of(response) == (503, "unavailable")


# Fuzz

NASTY = ["\ud800", "\udc00\ud800", "\0", "", "%00", "{x}", "a.b", "x" * 300, "💚" * 100]
TEXTS = st.text(st.characters(exclude_categories=()), max_size=40) | st.sampled_from(NASTY)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | TEXTS
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=20,
)
ACTIONS = st.sampled_from(
    ["button.click", "page.visit", "link.click", "page.engage", "screen.view", "session.end", "a.b"]
)
IDS = st.uuids().map(str) | st.just(ID)
URLS = st.builds("http://localhost/{}?{}#{}".format, TEXTS, TEXTS, TEXTS) | TEXTS
PARAMS = st.fixed_dictionaries(
    {"href": TEXTS, "name": TEXTS, "visible_s": st.floats(), "url": URLS},
    optional={"referrer": URLS | VALUES, "title": TEXTS | VALUES, "text": VALUES},
)
TIMES = (
    st.integers() | st.floats() | st.datetimes().map(lambda time: f"{time.isoformat()}Z") | TEXTS
)
#: Events that are nearly right, so that every check is reached.
EVENTS = st.fixed_dictionaries(
    {
        "action": ACTIONS | TEXTS,
        "params": PARAMS | st.dictionaries(TEXTS, VALUES, max_size=5) | VALUES,
    },
    optional={
        "event_id": IDS | TEXTS | VALUES,
        "label": TEXTS | VALUES,
        "time": TIMES | VALUES,
        "visit": TEXTS | VALUES,
        "page": IDS | VALUES,
        "\ud800": VALUES,
    },
)
POSTS = st.one_of(
    st.fixed_dictionaries(
        {"events": st.lists(EVENTS, min_size=1, max_size=8)}, optional={"csrf_token": VALUES}
    ),
    st.fixed_dictionaries(
        {"events": st.lists(EVENTS | VALUES, max_size=4)}, optional={"sent_at": TIMES | VALUES}
    ),
    EVENTS,
    VALUES,
)
FUZZ = settings(
    max_examples=300,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def test_no_value_is_an_error(db_host: Host) -> None:
    """Any JSON at all: an answer, and what was accepted can be written."""
    client = db_host.client()
    accepted: set[str] = set()

    @FUZZ
    @given(POSTS)
    def send(value: t.Any) -> None:
        response = post(client, json.dumps(value))
        assert response.status_code in {202, 400, 422}
        results = response.get_json().get("results", [])
        accepted.update(r["event_id"] for r in results if r["status"] == "accepted")

    send()
    rows = db_host.rows("event")
    assert db_host.rows("rejected") == []
    stored = {row["id"] for row in rows} | {row["claimed_by"] for row in rows}
    assert {uuidlib.UUID(event_id) for event_id in accepted} <= stored


@st.composite
def spoiled_bytes(draw: st.DrawFn) -> bytes:
    """Good posts with some bytes changed, cut or put in."""
    body = bytearray(
        json.dumps({"events": [draw(EVENTS)]}, ensure_ascii=False).encode("utf-8", "surrogatepass")
    )
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(body)))
        body[at : at + draw(st.integers(0, 3))] = draw(st.binary(max_size=3))
    return bytes(body)


def test_no_bytes_are_an_error(host: Host) -> None:
    """Any bytes at all, with any content type."""
    client = host.client()

    @FUZZ
    @given(
        st.binary(max_size=200) | spoiled_bytes(), st.sampled_from([JSON_TYPE, "text/plain", "x/y"])
    )
    def send(body: bytes, content_type: str) -> None:
        assert post(client, body, content_type).status_code in {202, 400, 415, 422}

    send()
    assert host.rows("rejected") == []


def test_no_headers_are_an_error(host: Host) -> None:
    """Any values of the headers that are read, as a server passes them on."""
    names = (
        "ORIGIN",
        "REFERER",
        "COOKIE",
        "SEC_FETCH_SITE",
        "USER_AGENT",
        "HOST",
        "X_EVENTTRACK_DEVICE",
        "X_EVENTTRACK_SESSION",
        "CONTENT_ENCODING",
        "ACCEPT_LANGUAGE",
    )
    values = st.text(st.characters(max_codepoint=255), max_size=40)
    headers = st.dictionaries(st.sampled_from([f"HTTP_{name}" for name in names]), values)
    client = host.app.test_client(use_cookies=False)

    @FUZZ
    @given(headers)
    def send(overrides: dict[str, str]) -> None:
        response = client.post("/_et/in", json=CLICK, environ_overrides=overrides)
        assert response.status_code in {202, 400, 403, 415, 422}

    send()
    assert host.rows("rejected") == []
