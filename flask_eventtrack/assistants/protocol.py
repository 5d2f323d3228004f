"""The Model Context Protocol: a message in, its answer out. This knows neither Flask nor reports.

Source: the specification of 2026-07-28, in which each request says all that is needed to answer it.
Clients of the two revisions before begin with ``initialize``, of which nothing is remembered.
"""

from __future__ import annotations

import base64
import binascii
import functools
import importlib.metadata
import typing as t

import msgspec

#: The revision whose requests name it, and those whose clients begin with ``initialize``.
VERSION: t.Final = "2026-07-28"
FORMER: t.Final = ("2025-06-18", "2025-11-25")

_META: t.Final = "io.modelcontextprotocol/"
_PARSE, _REQUEST, _METHOD, _PARAMS, _INTERNAL = -32700, -32600, -32601, -32602, -32603
_HEADER, _VERSION = -32020, -32022
_STATUS = {_PARSE: 400, _REQUEST: 400, _PARAMS: 400, _HEADER: 400, _VERSION: 400, _METHOD: 404}
_LARGEST = 2**63
# Which tools there are depends on the token.
_CACHED: t.Final = {"ttlMs": 300_000, "cacheScope": "private"}

Object = dict[str, t.Any]

_CAPABILITIES: t.Final[Object] = {"tools": {}}


class Headers(t.NamedTuple):
    """What the headers of an HTTP request repeat of its message; None for what is not there."""

    version: str | None
    method: str | None
    name: str | None


class Answer(t.NamedTuple):
    """The message that answers, and the status that it has over HTTP."""

    body: bytes
    status: int


class Toolbox(t.Protocol):
    """The tools that whoever asks may use."""

    instructions: str

    def describe(self) -> list[Object]:
        """Return the tools as ``tools/list`` answers them."""

    def call(self, name: str, arguments: Object) -> Object | None:
        """Return the result of a tool; None if there is no such tool."""

    def note_failure(self, error: Exception) -> None:
        """Tell the developers of a mistake of ours."""


class _Fault(Exception):
    """The request is answered with an error."""

    def __init__(self, code: int, message: str, data: object = None) -> None:
        super().__init__(message)
        self.code = code
        self.error: Object = {"code": code, "message": message}
        if data is not None:
            self.error["data"] = data


class _Request(t.NamedTuple):
    """A request; ``is_former`` if it is of a revision before the current one."""

    method: str
    params: Object
    is_former: bool


def answer(body: bytes, tools: Toolbox, headers: Headers | None = None) -> Answer | None:
    """Return the answer to a message; None if it gets none, such as a notification.

    :param body: a message in JSON.
    :param headers: those of an HTTP request.
    """
    id_: str | int | None = None
    is_former = False
    try:
        message = _parse(body)
        if _is_unanswered(message):
            return None
        id_ = _read_id(message)
        request = _read_request(message, headers)
        is_former = request.is_former
        return _write(id_, 200, result=_find_result(request, tools))
    except _Fault as fault:
        # To clients of former revisions, 404 says that their session is over.
        return _write(id_, 200 if is_former else _STATUS[fault.code], error=fault.error)
    except Exception as error:  # noqa: BLE001 - the edge: each request gets an answer
        tools.note_failure(error)
        return _write(id_, 200, error={"code": _INTERNAL, "message": "This failed on the server."})


def refuse_length(most: int) -> Answer:
    """Return the answer to a message that was too long to be read."""
    message = f"A message has at most {most:,} bytes."
    return _write(None, 400, error={"code": _REQUEST, "message": message})


def _write(id_: str | int | None, status: int, **said: Object) -> Answer:
    return Answer(msgspec.json.encode({"jsonrpc": "2.0", "id": id_, **said}), status)


def _parse(body: bytes) -> Object:
    try:
        message = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _Fault(_PARSE, f"The message is not JSON: {error}.") from None
    if not isinstance(message, dict):
        raise _Fault(_REQUEST, "Send one message, as a JSON object.")
    if message.get("jsonrpc") != "2.0":
        raise _Fault(_REQUEST, 'The message has no "jsonrpc": "2.0".')
    return message


def _is_unanswered(message: Object) -> bool:
    """Whether a message is a notification, or an answer, though the server asks nothing."""
    if "method" not in message:
        return "result" in message or "error" in message
    return "id" not in message and isinstance(message["method"], str)


def _read_id(message: Object) -> str | int:
    id_ = message.get("id")
    is_number = isinstance(id_, int) and not isinstance(id_, bool) and abs(id_) < _LARGEST
    if not (is_number or isinstance(id_, str)):
        raise _Fault(_REQUEST, "The id of a request must be a text or a whole number.")
    return t.cast("str | int", id_)


def _read_request(message: Object, headers: Headers | None) -> _Request:
    method, params = message.get("method"), message.get("params")
    if not isinstance(method, str):
        raise _Fault(_REQUEST, "A request needs a method.")
    if not isinstance(params, dict | None):
        raise _Fault(_PARAMS, "The params of a request must be an object.")
    params = params or {}
    meta = params.get("_meta")
    version = meta.get(f"{_META}protocolVersion") if isinstance(meta, dict) else None
    is_former = version is None and (headers is None or headers.version in {None, *FORMER})
    if not is_former:
        _check_version(version, meta, headers)
        _check_headers(method, params, version, headers)
    return _Request(method, params, is_former)


def _check_version(version: object, meta: object, headers: Headers | None) -> None:
    """Refuse a request that does not say that it is of the current revision."""
    asked = headers.version if headers and version is None else version
    if isinstance(asked, str) and asked != VERSION:
        supported = {"supported": [VERSION, *reversed(FORMER)], "requested": asked}
        raise _Fault(_VERSION, "Unsupported protocol version", supported)
    for name, kind in (("protocolVersion", str), ("clientCapabilities", dict)):
        if not isinstance(meta, dict) or not isinstance(meta.get(f"{_META}{name}"), kind):
            raise _Fault(_PARAMS, f"The params need _meta with {_META}{name}.")


def _check_headers(method: str, params: Object, version: object, headers: Headers | None) -> None:
    """Refuse a request whose headers differ from its message: proxies may route by headers."""
    if headers is None:
        return
    name = params.get("name") if method == "tools/call" else None
    for header, said, meant in (
        ("MCP-Protocol-Version", headers.version, version),
        ("Mcp-Method", headers.method, method),
        ("Mcp-Name", _decode(headers.name), name if isinstance(name, str) else None),
    ):
        if meant is not None and said != meant:
            raise _Fault(_HEADER, f"Header mismatch: {header} is not what the message says.")


def _decode(header: str | None) -> str | None:
    """Return the value of a header. It is in Base64 if it is not plain ASCII."""
    if header is None or not (header.startswith("=?base64?") and header.endswith("?=")):
        return header
    try:
        return base64.b64decode(header[9:-2], validate=True).decode()
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return None


# The methods


def _find_result(request: _Request, tools: Toolbox) -> Object:
    methods = _FORMER_METHODS if request.is_former else _METHODS
    method = methods.get(request.method)
    if method is None:
        raise _Fault(_METHOD, f"There is no method {request.method[:64]!r}.")
    info = {f"{_META}serverInfo": _describe_server()}
    return {"resultType": "complete", "_meta": info, **method(request.params, tools)}


def _discover(_: Object, tools: Toolbox) -> Object:
    return {
        "supportedVersions": [VERSION, *reversed(FORMER)],
        "capabilities": _CAPABILITIES,
        "instructions": tools.instructions,
        **_CACHED,
    }


def _initialize(params: Object, tools: Toolbox) -> Object:
    asked = params.get("protocolVersion")
    return {
        "protocolVersion": asked if asked in FORMER else FORMER[-1],
        "capabilities": _CAPABILITIES,
        "serverInfo": _describe_server(),
        "instructions": tools.instructions,
    }


def _ping(_: Object, __: Toolbox) -> Object:
    return {}


def _list_tools(params: Object, tools: Toolbox) -> Object:
    if params.get("cursor") is not None:
        raise _Fault(_PARAMS, "All tools are on the first page: send no cursor.")
    return {"tools": tools.describe(), **_CACHED}


def _call_tool(params: Object, tools: Toolbox) -> Object:
    name, arguments = params.get("name"), params.get("arguments")
    if not isinstance(name, str):
        raise _Fault(_PARAMS, "A call needs the name of a tool.")
    if not isinstance(arguments, dict | None):
        raise _Fault(_PARAMS, "The arguments of a call must be an object.")
    result = tools.call(name, arguments or {})
    if result is None:
        raise _Fault(_PARAMS, f"Unknown tool: {name[:64]}")
    return result


_METHODS: t.Final = {
    "server/discover": _discover,
    "tools/list": _list_tools,
    "tools/call": _call_tool,
}
_FORMER_METHODS: t.Final = {
    "initialize": _initialize,
    "ping": _ping,
    "tools/list": _list_tools,
    "tools/call": _call_tool,
}


@functools.cache
def _describe_server() -> Object:
    return {
        "name": "flask-eventtrack",
        "title": "Flask-EventTrack",
        "version": importlib.metadata.version("Flask-EventTrack"),
    }
