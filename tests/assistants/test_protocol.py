"""The protocol by itself: each message has the answer that the specification asks for."""

from __future__ import annotations

import base64
import typing as t

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flask_eventtrack.assistants.protocol import FORMER, VERSION, Headers, answer
from flask_eventtrack.errors import ReportError

from .asking import META


class Tools:
    """One tool, which answers what it was asked."""

    instructions = "Ask."

    def __init__(self) -> None:
        self.failures: list[Exception] = []

    def describe(self) -> list[dict[str, t.Any]]:
        return [{"name": "echo"}]

    def call(self, name: str, arguments: dict[str, t.Any]) -> dict[str, t.Any] | None:
        if name == "fail":
            raise ReportError("of ours")
        return {"content": [], "structuredContent": arguments} if name == "echo" else None

    def note_failure(self, error: Exception) -> None:
        self.failures.append(error)


def send(message: object, headers: Headers | None = None) -> tuple[t.Any, int]:
    """Return the answer to a message, and its status."""
    body = message if isinstance(message, bytes) else msgspec.json.encode(message)
    said = answer(body, Tools(), headers)
    assert said is not None
    found = msgspec.json.decode(said.body)
    assert found["jsonrpc"] == "2.0"
    return found, said.status


def make_request(method: str, meta: object = META, **params: t.Any) -> dict[str, t.Any]:
    sent = {**params, "_meta": meta} if meta is not None else params
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": sent}


def make_headers(method: str, name: str | None = None) -> Headers:
    return Headers(VERSION, method, name)


def test_a_server_is_discovered() -> None:
    """With its versions, and for how long whom that may be remembered for."""
    found, status = send(make_request("server/discover"), make_headers("server/discover"))
    result = found["result"]
    assert status == 200
    assert result["supportedVersions"] == ["2026-07-28", "2025-11-25", "2025-06-18"]
    assert result["capabilities"] == {"tools": {}}
    assert (result["resultType"], result["cacheScope"]) == ("complete", "private")
    assert result["_meta"]["io.modelcontextprotocol/serverInfo"]["name"] == "flask-eventtrack"


@pytest.mark.parametrize("version", [*FORMER, "2024-11-05", None, 3])
def test_clients_of_former_revisions_open_with_a_handshake(version: object) -> None:
    """The answer has the client's version, or one of ours that the client may know."""
    found, _ = send(make_request("initialize", None, protocolVersion=version, capabilities={}))
    assert found["result"]["protocolVersion"] == (version if version in FORMER else "2025-11-25")
    assert found["result"]["serverInfo"]["title"] == "Flask-EventTrack"
    for method in ("ping", "tools/list"):
        assert "result" in send(make_request(method, None))[0]
    headers = Headers("2025-06-18", None, None)
    found, _ = send(make_request("tools/call", None, name="echo", arguments={"a": 1}), headers)
    assert found["result"]["structuredContent"] == {"a": 1}


@pytest.mark.parametrize(
    "message",
    [
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}},
        {"jsonrpc": "2.0", "method": "anything"},
        {"jsonrpc": "2.0", "id": 1, "result": {}},
        {"jsonrpc": "2.0", "id": None, "error": {"code": 1, "message": "x"}},
    ],
)
def test_what_asks_nothing_gets_no_answer(message: object) -> None:
    assert answer(msgspec.json.encode(message), Tools()) is None


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", -32700),
        (b"{", -32700),
        (b"\xff", -32700),
        (b"[" * 100_000, -32700),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "ping"} {}', -32700),
        (b"[]", -32600),
        (b'[{"jsonrpc": "2.0", "id": 1, "method": "ping"}]', -32600),
        (b"null", -32600),
        (b'"ping"', -32600),
        (b"{}", -32600),
        (b'{"jsonrpc": "1.0", "id": 1, "method": "ping"}', -32600),
        (b'{"jsonrpc": "2.0", "id": null, "method": "ping"}', -32600),
        (b'{"jsonrpc": "2.0", "id": 1.5, "method": "ping"}', -32600),
        (b'{"jsonrpc": "2.0", "id": true, "method": "ping"}', -32600),
        (b'{"jsonrpc": "2.0", "id": 9223372036854775808, "method": "ping"}', -32600),
        (b'{"jsonrpc": "2.0", "id": {}, "method": "ping"}', -32600),
        (b'{"jsonrpc": "2.0", "method": 3}', -32600),
    ],
)
def test_what_is_no_request_is_refused(body: bytes, code: int) -> None:
    """Batches too, which the protocol has no more. The answer has no id."""
    found, status = send(body)
    assert (found["error"]["code"], found["id"], status) == (code, None, 400)


@pytest.mark.parametrize(
    ("message", "code", "status"),
    [
        ({"jsonrpc": "2.0", "id": 1, "method": "ping", "params": []}, -32602, 400),
        (make_request("tools/call"), -32602, 400),
        (make_request("tools/call", name="none"), -32602, 400),
        (make_request("tools/call", name="echo", arguments=[]), -32602, 400),
        (make_request("tools/call", None, name="none"), -32602, 200),
        (make_request("tools/list", cursor="x"), -32602, 400),
        (make_request("ping"), -32601, 404),
        (make_request("initialize"), -32601, 404),
        (make_request("no/thing", None), -32601, 200),
        (make_request("server/discover", None), -32601, 200),
        (
            make_request("tools/list", {**META, "io.modelcontextprotocol/protocolVersion": 3}),
            -32602,
            400,
        ),
        (
            make_request("tools/list", {"io.modelcontextprotocol/protocolVersion": VERSION}),
            -32602,
            400,
        ),
    ],
)
def test_a_wrong_request_is_refused(message: dict[str, t.Any], code: int, status: int) -> None:
    """With its id; the status tells clients of former revisions nothing of a session."""
    found, sent = send(message)
    assert (found["error"]["code"], found["id"], sent) == (code, 1, status)


@pytest.mark.parametrize("headers", [None, Headers("1900-01-01", "tools/list", None)])
def test_another_version_is_refused_with_those_that_there_are(headers: Headers | None) -> None:
    meta = {**META, "io.modelcontextprotocol/protocolVersion": "1900-01-01"}
    for sent in (meta, None) if headers else (meta,):
        found, status = send(make_request("tools/list", sent), headers)
        assert (found["error"]["code"], status) == (-32022, 400)
        assert found["error"]["data"] == {
            "supported": ["2026-07-28", "2025-11-25", "2025-06-18"],
            "requested": "1900-01-01",
        }


def test_headers_say_what_the_message_says() -> None:
    """Or the request is refused; a name may be in Base64."""
    request = make_request("tools/call", name="echo")
    encoded = f"=?base64?{base64.b64encode(b'echo').decode()}?="
    for name in ("echo", encoded):
        assert "result" in send(request, make_headers("tools/call", name))[0]
    for headers in (
        Headers(None, "tools/call", "echo"),
        Headers("2025-11-25", "tools/call", "echo"),
        Headers(VERSION, None, "echo"),
        Headers(VERSION, "tools/list", "echo"),
        Headers(VERSION, "tools/call", None),
        Headers(VERSION, "tools/call", "other"),
        Headers(VERSION, "tools/call", "=?base64?echo?="),
        Headers(VERSION, "tools/call", "=?base64?/w==?="),
    ):
        found, status = send(request, headers)
        assert (found["error"]["code"], status) == (-32020, 400), headers
    found, _ = send(make_request("tools/list", None), make_headers("tools/list"))
    assert found["error"]["code"] == -32602


def test_a_mistake_of_ours_is_an_error_without_details() -> None:
    tools = Tools()
    said = answer(msgspec.json.encode(make_request("tools/call", name="fail")), tools)
    assert said is not None
    found = msgspec.json.decode(said.body)
    assert found["error"] == {"code": -32603, "message": "This failed on the server."}
    assert [str(error) for error in tools.failures] == ["of ours"]


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
    | st.sampled_from(["2.0", "tools/call", "tools/list", "echo", VERSION, *FORMER]),
    lambda each: (
        st.lists(each, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["jsonrpc", "id", "method", "params", "_meta", "name", "arguments", *META]
            ),
            each,
            max_size=6,
        )
    ),
)
TEXTS = st.none() | st.sampled_from([VERSION, *FORMER, "tools/call", "echo"]) | st.text()


@settings(deadline=None)
@given(VALUES, st.none() | st.builds(Headers, TEXTS, TEXTS, TEXTS), st.booleans())
def test_any_value_is_answered(value: t.Any, headers: Headers | None, is_message: bool) -> None:
    """Or is a message to which there is no answer: never an error of ours."""
    if is_message:
        value = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": value}
    tools = Tools()
    said = answer(msgspec.json.encode(value), tools, headers)
    assert tools.failures == []
    if said is None:
        assert isinstance(value, dict)
        return
    found = msgspec.json.decode(said.body)
    assert said.status in {200, 400, 404}
    assert found.keys() in ({"jsonrpc", "id", "result"}, {"jsonrpc", "id", "error"})
    assert isinstance(found["id"], int | str | None)
