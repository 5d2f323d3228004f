"""Makes ``flask_eventtrack/collector/openapi.json``: the HTTP API as OpenAPI 3.1 describes it.

The types that read posts and write answers give the schemas, ``errors.py`` gives the codes. ``make
openapi`` writes the file, ``make check`` compares it. An app that serves it fills in its own paths.
"""

from __future__ import annotations

import importlib.metadata
import pathlib
import sys
import typing as t

import msgspec
from openapi_parts import (
    TEXT,
    Codes,
    Schema,
    describe_content,
    describe_get,
    describe_parameter,
    describe_problem,
    describe_responses,
    refer,
)
from openapi_reports import describe_queries, describe_reports, describe_types

import flask_eventtrack
from flask_eventtrack.browser import load_scripts
from flask_eventtrack.collector.messages import (
    MAX_EVENTS,
    Account,
    Choice,
    PostedEvent,
    PostFields,
    Results,
)
from flask_eventtrack.collector.sender import DEVICE_HEADER, SESSION_HEADER
from flask_eventtrack.collector.transactions import (
    MAX_TRANSACTIONS,
    CancelledItem,
    PostedCancellation,
    PostedCharge,
    PostedItem,
)
from flask_eventtrack.errors import RejectionCode, TokenCode
from flask_eventtrack.request.cookies import DEVICE_COOKIE, SESSION_COOKIE
from flask_eventtrack.request.problems import Problem

PATH = pathlib.Path(flask_eventtrack.__file__).with_name("collector") / "openapi.json"

_CHOICE_PROBLEMS: Codes = {
    400: ("malformed",),
    403: ("foreign_origin",),
    413: ("too_large",),
    415: ("encoded", "unsupported_type"),
    429: ("too_many_posts",),
    503: ("unavailable",),
}
_LOGOUT_PROBLEMS: Codes = {
    **_CHOICE_PROBLEMS,
    401: t.get_args(TokenCode),
    403: ("foreign_origin", "csrf"),
}
_POST_PROBLEMS: Codes = {**_LOGOUT_PROBLEMS, 503: ("no_room", "unavailable")}
_LOGIN_PROBLEMS: Codes = {**_POST_PROBLEMS, 401: ("token_missing", *t.get_args(TokenCode))}
_TRANSACTION_PROBLEMS: Codes = {
    **_CHOICE_PROBLEMS,
    401: ("token_missing", "token_unknown"),
    403: ("foreign_origin", "token_scope"),
    404: ("not_found",),
    503: ("no_room", "unavailable"),
}

_IDENTITY = {DEVICE_HEADER: "device", SESSION_HEADER: "session"}


def make_document() -> bytes:
    """Return the description as the file has it, with the default prefix for the server."""
    document = {
        "openapi": "3.1.0",
        "info": {
            "title": "Flask-EventTrack",
            "version": importlib.metadata.version("Flask-EventTrack"),
            "description": "Takes events from browsers, apps and other back ends, and answers "
            "reports. The answer to an unknown path is NotFound, to a wrong method "
            "MethodNotAllowed.",
        },
        "servers": [{"url": "/_et"}],
        "paths": {
            **_posts(),
            "/transactions": _transactions(),
            **_files(),
            **describe_reports(),
        },
        "components": {
            "schemas": {**_schemas(), **describe_types()},
            "parameters": describe_queries(),
            "securitySchemes": {
                "customer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
                "host": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "One of EVENTTRACK_HOST_TOKENS.",
                },
                "report": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "One of EVENTTRACK_REPORT_TOKENS. People whom the host app "
                    "permits to see the dashboard need none.",
                },
                "device": {"type": "apiKey", "in": "cookie", "name": DEVICE_COOKIE},
                "session": {"type": "apiKey", "in": "cookie", "name": SESSION_COOKIE},
            },
            "responses": {
                "NotFound": describe_problem(404, "not_found"),
                "MethodNotAllowed": describe_problem(405, "method_not_allowed"),
            },
        },
    }
    return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"


def _posts() -> dict[str, Schema]:
    return {
        "/in": _post(
            "takeEvents",
            "Send one event or several.",
            _body("Post"),
            {
                202: _results("A result for each event, some of which may be rejected."),
                422: _results("The post is a single event, and that event is rejected."),
            },
            _POST_PROBLEMS,
        ),
        "/identify": _post(
            "identify",
            "Log in the customer of a token, sent in the body or as `Authorization: Bearer`.",
            _body("Account", required=False),
            {204: _done()},
            _LOGIN_PROBLEMS,
        ),
        "/logout": _post(
            "logOut",
            "Log the customer out. With a token, only the customer that it names is logged out.",
            _body("Account", required=False),
            {204: _done()},
            _LOGOUT_PROBLEMS,
        ),
        "/consent": _post(
            "choose",
            "Choose what is recorded of the visitor.",
            _body("Choice"),
            {204: {"description": "The choice is kept in a cookie."}},
            _CHOICE_PROBLEMS,
            is_by_visitor=False,
        ),
    }


def _transactions() -> Schema:
    """Describe the door of the host's own back ends."""
    results = describe_content("", "application/json", refer("Results"))
    answers = {
        202: results | {"description": "A result for each transaction, some may be rejected."},
        422: results | {"description": "The post is a single transaction, and it is rejected."},
    }
    post = {
        "operationId": "takeTransactions",
        "summary": "Record orders and cancellations, each of them once however often it is sent.",
        "security": [{"host": []}],
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": refer("Transactions")}},
        },
        "responses": describe_responses(answers, _TRANSACTION_PROBLEMS),
    }
    return {"post": post}


def _post(
    name: str,
    summary: str,
    body: Schema,
    answers: dict[int, Schema],
    problems: Codes,
    *,
    is_by_visitor: bool = True,
) -> Schema:
    post: Schema = {
        "operationId": name,
        "summary": summary,
        "requestBody": body,
        "responses": describe_responses(answers, problems),
    }
    if is_by_visitor:
        post["security"] = [{}, {"customer": []}, {"device": [], "session": []}]
        post["parameters"] = [
            describe_parameter(header, "header", description=f"The {what}, if no cookie names it.")
            for header, what in _IDENTITY.items()
        ]
    return {"post": post, "options": _preflight()}


def _preflight() -> Schema:
    names = ("Allow-Origin", "Allow-Credentials", "Allow-Methods", "Allow-Headers", "Max-Age")
    headers = {f"Access-Control-{name}": {"required": True, "schema": TEXT} for name in names}
    allowed = {"description": "The origin may post here.", "headers": headers}
    return {
        "summary": "The preflight request of another origin.",
        "parameters": [describe_parameter("Origin", "header", required=True)],
        "responses": describe_responses({204: allowed}, {403: ("foreign_origin",)}),
    }


def _files() -> dict[str, Schema]:
    """Describe what is served; the app adds the digest that the path of its scripts has."""
    names = [name.removesuffix(".js") for name in sorted(load_scripts())]
    parameters = [
        describe_parameter("digest", "path", required=True, schema=TEXT),
        describe_parameter("name", "path", required=True, schema={**TEXT, "enum": names}),
    ]
    script = describe_content("The script.", "text/javascript", TEXT)
    openapi = describe_content("OpenAPI 3.1.", "application/json", {"type": "object"})
    definitions = describe_content(
        "The definitions by action.", "application/json", {"type": "object"}
    )
    missing: Codes = {404: ("not_found",)}
    return {
        "/{digest}/{name}.js": describe_get(
            "script",
            "A script of this version, which never changes.",
            script,
            missing,
            parameters=parameters,
        ),
        "/openapi.json": describe_get("describe", "This description.", openapi, {}),
        "/catalogue.json": describe_get(
            "catalogue",
            "The events that may be recorded, for people whom the host app permits to see them.",
            definitions,
            missing,
            security=[{"report": []}],
        ),
    }


def _body(name: str, *, required: bool = True) -> Schema:
    schema = refer(name)
    text = {**TEXT, "contentMediaType": "application/json", "contentSchema": schema}
    return {
        "required": required,
        "content": {"application/json": {"schema": schema}, "text/plain": {"schema": text}},
    }


def _results(description: str) -> Schema:
    return {**_done(), **describe_content(description, "application/json", refer("Results"))}


def _done() -> Schema:
    headers = {
        header: {"description": f"The {what}, for the next request.", "schema": TEXT}
        for header, what in _IDENTITY.items()
    }
    return {"description": "Done.", "headers": headers}


def _schemas() -> dict[str, Schema]:
    types = (
        *(PostedEvent, PostFields, Account, Choice, Results, Problem),
        *(PostedCharge, PostedItem, PostedCancellation, CancelledItem),
    )
    _, schemas = msgspec.json.schema_components(types, ref_template=refer("{name}")["$ref"])
    # Not in the types: how a time is written, which codes are sent, and that the fields of a post
    # lie beside those of its event.
    event, fields = schemas["PostedEvent"]["properties"], schemas["PostFields"]["properties"]
    fields["sent_at"] = event["time"]
    schemas["Rejection"]["properties"]["code"]["enum"] = t.get_args(RejectionCode)
    events = {"type": "array", "items": refer("PostedEvent"), "minItems": 1, "maxItems": MAX_EVENTS}
    schemas["Batch"] = {
        "type": "object",
        "required": ["events"],
        "properties": {"events": events},
    }
    content = {"anyOf": [refer("PostedEvent"), refer("Batch")]}
    one = {"anyOf": [refer("PostedCharge"), refer("PostedCancellation")]}
    several = {"type": "array", "items": one, "minItems": 1, "maxItems": MAX_TRANSACTIONS}
    batch = {
        "type": "object",
        "required": ["transactions"],
        "properties": {"transactions": several},
    }
    schemas["Transactions"] = {"anyOf": [*one["anyOf"], batch]}
    schemas["Post"] = {"allOf": [content, refer("PostFields")]}
    return schemas


def main() -> str | None:
    """Write the file, or with ``--check`` return what is wrong with it."""
    document = make_document()
    if "--check" not in sys.argv:
        PATH.write_bytes(document)
    elif document != PATH.read_bytes():
        return f"{PATH.name} does not match its source: run make openapi, and commit it."
    return None


if __name__ == "__main__":
    sys.exit(main())
