"""The collector as OpenAPI 3.1 has it, made from the types that read posts and write answers."""

from __future__ import annotations

import collections.abc as cabc
import functools
import http
import importlib.metadata
import typing as t

import msgspec

from ..request.cookies import DEVICE_COOKIE, SESSION_COOKIE
from .messages import MAX_EVENTS, Account, Choice, PostedEvent, PostFields, Results
from .problems import Problem
from .sender import DEVICE_HEADER, SESSION_HEADER

_Schema = dict[str, t.Any]
_Codes = dict[int, tuple[str, ...]]

_TOKEN_CODES = (
    "token_unsupported",
    "token_too_large",
    "token_invalid",
    "token_key",
    "token_signature",
    "token_type",
    "token_issuer",
    "token_audience",
    "token_claims",
    "token_expired",
    "token_not_yet_valid",
)
_REJECTION_CODES = (
    "invalid_event",
    "invalid_action",
    "undefined_event",
    "reserved_event",
    "denied_event",
    "server_only",
    "customer_required",
    "invalid_id",
    "invalid_params",
    "invalid_param",
    "invalid_param_name",
    "too_many_params",
    "too_many_undefined",
    "params_too_large",
    "params_too_deep",
    "invalid_time",
    "too_old",
    "bot",
    "opted_out",
)
_CHOICE_PROBLEMS: _Codes = {
    400: ("malformed",),
    403: ("foreign_origin",),
    413: ("too_large",),
    415: ("encoded", "unsupported_type"),
    429: ("too_many_posts",),
    503: ("unavailable",),
}
_LOGOUT_PROBLEMS: _Codes = {
    **_CHOICE_PROBLEMS,
    401: _TOKEN_CODES,
    403: ("foreign_origin", "csrf"),
}
_POST_PROBLEMS: _Codes = {**_LOGOUT_PROBLEMS, 503: ("no_room", "unavailable")}
_LOGIN_PROBLEMS: _Codes = {**_POST_PROBLEMS, 401: ("token_missing", *_TOKEN_CODES)}

_TEXT: _Schema = {"type": "string"}
_RETRY: _Schema = {
    "Retry-After": {
        "description": "Seconds.",
        "required": True,
        "schema": {"type": "integer", "minimum": 1},
    }
}
_PROBLEM_HEADERS: dict[int, _Schema] = {
    401: {"WWW-Authenticate": {"required": True, "schema": _TEXT}},
    429: _RETRY,
    503: _RETRY,
}
_IDENTITY = {
    DEVICE_HEADER: "The device, where no cookie says it",
    SESSION_HEADER: "The session, where no cookie says it",
}
_BY_COOKIES: _Schema = {"device": [], "session": []}


@functools.lru_cache(maxsize=8)
def describe(server: str, script_digest: str, scripts: tuple[str, ...]) -> bytes:
    """Return the description as JSON.

    :param server: the path of the collector, with the app's own in front.
    :param script_digest: the part of the scripts' path that names their content.
    """
    document = {
        "openapi": "3.1.0",
        "info": {
            "title": "Flask-EventTrack",
            "version": importlib.metadata.version("Flask-EventTrack"),
            "description": "Takes events from browsers, apps and other back ends. Another method "
            "is answered with MethodNotAllowed, and another path with NotFound.",
        },
        "servers": [{"url": server}],
        "paths": {**_posts(), **_files(script_digest, scripts)},
        "components": {
            "schemas": _schemas(),
            "securitySchemes": _security_schemes(),
            "responses": {
                "NotFound": _problem(404, "not_found"),
                "MethodNotAllowed": _problem(405, "method_not_allowed"),
            },
        },
    }
    return msgspec.json.encode(document)


def _posts() -> dict[str, _Schema]:
    by_visitor = [{}, {"customer": []}, _BY_COOKIES]
    return {
        "/in": _post(
            "takeEvents",
            "Take an event, or several.",
            _body(_ref("Post")),
            {
                202: _results("What became of each; others may be rejected."),
                422: _results("The post is a single event, and it is rejected."),
            },
            _POST_PROBLEMS,
            security=by_visitor,
        ),
        "/identify": _post(
            "identify",
            "Make the visitor the customer of a token: the body's, or a bearer's.",
            _body(_ref("Account"), required=False),
            {204: _done()},
            _LOGIN_PROBLEMS,
            security=by_visitor,
        ),
        "/logout": _post(
            "logOut",
            "Detach the device from its customer; with a token, only from that token's.",
            _body(_ref("Account"), required=False),
            {204: _done()},
            _LOGOUT_PROBLEMS,
            security=by_visitor,
        ),
        "/consent": _post(
            "choose",
            "Choose what is recorded of the visitor.",
            _body(_ref("Choice")),
            {204: {"description": "Noted, in a cookie."}},
            _CHOICE_PROBLEMS,
        ),
    }


def _post(
    name: str,
    summary: str,
    body: _Schema,
    answers: dict[int, _Schema],
    problems: _Codes,
    security: cabc.Sequence[_Schema] = (),
) -> _Schema:
    post: _Schema = {
        "operationId": name,
        "summary": summary,
        "requestBody": body,
        "responses": _responses(answers, problems),
    }
    if security:
        post["security"] = security
        post["parameters"] = [
            {"name": header, "in": "header", "description": f"{text}.", "schema": _TEXT}
            for header, text in _IDENTITY.items()
        ]
    return {"post": post, "options": _preflight()}


def _preflight() -> _Schema:
    names = ("Allow-Origin", "Allow-Credentials", "Allow-Methods", "Allow-Headers", "Max-Age")
    headers = {f"Access-Control-{name}": {"required": True, "schema": _TEXT} for name in names}
    allowed = {"description": "The origin may post here.", "headers": headers}
    return {
        "summary": "Answer the preflight request of another origin.",
        "parameters": [{"name": "Origin", "in": "header", "required": True, "schema": _TEXT}],
        "responses": _responses({204: allowed}, {403: ("foreign_origin",)}),
    }


def _files(script_digest: str, scripts: tuple[str, ...]) -> dict[str, _Schema]:
    names = [name.removesuffix(".js") for name in scripts]
    return {
        "/{digest}/{name}.js": {
            "get": {
                "operationId": "script",
                "summary": "A script of the current version, never to change.",
                "parameters": [
                    _path_parameter("digest", {"const": script_digest}),
                    _path_parameter("name", {"enum": names}),
                ],
                "responses": _responses(
                    {200: _content("The script.", "text/javascript", _TEXT)},
                    {404: ("not_found",)},
                ),
            }
        },
        "/openapi.json": {
            "get": {
                "operationId": "describe",
                "summary": "This description.",
                "responses": _responses(
                    {200: _content("It.", "application/json", {"type": "object"})}, {}
                ),
            }
        },
        "/catalogue.json": {
            "get": {
                "operationId": "catalogue",
                "summary": "What may be tracked; only for whom the host lets see it.",
                "responses": _responses(
                    {200: _content("By action.", "application/json", {"type": "object"})},
                    {404: ("not_found",)},
                ),
            }
        },
    }


def _path_parameter(name: str, schema: _Schema) -> _Schema:
    return {"name": name, "in": "path", "required": True, "schema": {**_TEXT, **schema}}


def _body(schema: _Schema, *, required: bool = True) -> _Schema:
    text = {**_TEXT, "contentMediaType": "application/json", "contentSchema": schema}
    return {
        "required": required,
        "content": {"application/json": {"schema": schema}, "text/plain": {"schema": text}},
    }


def _responses(answers: dict[int, _Schema], problems: _Codes) -> dict[str, _Schema]:
    responses = answers | {status: _problem(status, *codes) for status, codes in problems.items()}
    return {str(status): responses[status] for status in sorted(responses)}


def _problem(status: int, *codes: str) -> _Schema:
    own = {"properties": {"status": {"const": status}, "code": {"enum": codes}}}
    schema = {"allOf": [_ref("Problem"), own]}
    description = f"{http.HTTPStatus(status).phrase}: {', '.join(codes)}."
    response = _content(description, "application/problem+json", schema)
    if status in _PROBLEM_HEADERS:
        response["headers"] = _PROBLEM_HEADERS[status]
    return response


def _results(description: str) -> _Schema:
    return {**_done(), **_content(description, "application/json", _ref("Results"))}


def _done() -> _Schema:
    headers = {
        name: {"description": f"{text}: to be sent back.", "schema": _TEXT}
        for name, text in _IDENTITY.items()
    }
    return {"description": "Done.", "headers": headers}


def _content(description: str, media_type: str, schema: _Schema) -> _Schema:
    return {"description": description, "content": {media_type: {"schema": schema}}}


def _ref(name: str) -> _Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _schemas() -> dict[str, _Schema]:
    types = (PostedEvent, PostFields, Account, Choice, Results, Problem)
    _, schemas = msgspec.json.schema_components(types, ref_template=_ref("{name}")["$ref"])
    # What the types do not say: the time as it is sent, and that fields of a post lie side by side.
    event, fields = schemas["PostedEvent"]["properties"], schemas["PostFields"]["properties"]
    fields["sent_at"] = event["time"]
    schemas["Rejection"]["properties"]["code"]["enum"] = _REJECTION_CODES
    schemas["Batch"] = {
        "type": "object",
        "required": ["events"],
        "properties": {
            "events": {
                "type": "array",
                "items": _ref("PostedEvent"),
                "minItems": 1,
                "maxItems": MAX_EVENTS,
            }
        },
    }
    content = {"anyOf": [_ref("PostedEvent"), _ref("Batch")]}
    schemas["Post"] = {"allOf": [content, _ref("PostFields")]}
    return schemas


def _security_schemes() -> dict[str, _Schema]:
    return {
        "customer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
        "device": {"type": "apiKey", "in": "cookie", "name": DEVICE_COOKIE},
        "session": {"type": "apiKey", "in": "cookie", "name": SESSION_COOKIE},
    }
