"""Bad posts: each with its status and code, none with a 500."""

from __future__ import annotations

import collections.abc as cabc
import gzip
import io
import json
import tracemalloc
import typing as t
import zlib

import pytest
from flask import request
from werkzeug.test import TestResponse

from ..conftest import MakeHost
from ..hosts import NAVIGATION, SAME_ORIGIN, Host
from .bad_input import CLICK, GOOD, JSON_TYPE, batch_of, nested, post

LIMIT = 256 * 1024
Start = cabc.Callable[..., t.Any]


def problem_of(response: TestResponse) -> tuple[int, str]:
    """Return status and code of a problem document, which is never cached."""
    assert response.mimetype == "application/problem+json"
    assert response.headers["Cache-Control"] == "no-store"
    assert "Set-Cookie" not in response.headers
    body = response.get_json()
    assert body["status"] == response.status_code
    return response.status_code, body["code"]


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
    "deep parameters": f'{{"action": "button.click", "params": {{"a": {nested(20_000)}}}}}',
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
            "zone, or milliseconds, seconds, microseconds or nanoseconds since the epoch.",
        ),
    ],
)
def test_a_malformed_post_is_explained(host: Host, body: bytes | str, detail: str) -> None:
    """The sentence says what was given and what was expected."""
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
    """Nothing is decompressed, so that there is no bomb."""
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
    """``EVENTTRACK_GZIP_POSTS``: the compressed and the unpacked size are both limited."""
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
    """Without the header the body is not JSON."""
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
    """A body that ends early or is cut, or a length that is not a number."""
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
    """Until keys are set up, a token vouches for no one, and is not ignored silently."""
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


# In production


def test_a_failure_of_ours_is_503_in_production(make: MakeHost) -> None:
    """Even an unforeseen failure is a problem document that says to try again."""
    host = make({"TESTING": False})
    host.client().get("/", headers=NAVIGATION)
    times = [host.clock()]  # of the arrival
    host.state.clock = times.pop
    response = post(host.client(), GOOD)
    assert (response.status_code, response.headers["Retry-After"]) == (503, "5")
    assert problem_of(response) == (503, "unavailable")
