"""The parts of which OpenAPI descriptions are made: operations, answers, problems, references."""

from __future__ import annotations

import http
import typing as t

from flask_eventtrack.errors import ProblemCode

Schema = dict[str, t.Any]
#: The codes of problems by their status.
Codes = dict[int, tuple[ProblemCode, ...]]

TEXT: Schema = {"type": "string"}
_RETRY: Schema = {
    "Retry-After": {
        "description": "In seconds.",
        "required": True,
        "schema": {"type": "integer", "minimum": 1},
    }
}
_PROBLEM_HEADERS: dict[int, Schema] = {
    401: {"WWW-Authenticate": {"required": True, "schema": TEXT}},
    429: _RETRY,
    503: _RETRY,
}


def describe_get(name: str, summary: str, answer: Schema, problems: Codes, **more: t.Any) -> Schema:
    responses = describe_responses({200: answer}, problems)
    return {"get": {"operationId": name, "summary": summary, **more, "responses": responses}}


def describe_parameter(name: str, place: str, **options: t.Any) -> Schema:
    return {"name": name, "in": place, "schema": TEXT, **options}


def describe_responses(answers: dict[int, Schema], problems: Codes) -> dict[str, Schema]:
    responses = answers | {
        status: describe_problem(status, *codes) for status, codes in problems.items()
    }
    return {str(status): responses[status] for status in sorted(responses)}


def describe_problem(status: int, *codes: ProblemCode) -> Schema:
    own = {"properties": {"status": {"const": status}, "code": {"enum": codes}}}
    schema = {"allOf": [refer("Problem"), own]}
    description = f"{http.HTTPStatus(status).phrase}: {', '.join(codes)}."
    response = describe_content(description, "application/problem+json", schema)
    if status in _PROBLEM_HEADERS:
        response["headers"] = _PROBLEM_HEADERS[status]
    return response


def describe_content(description: str, media_type: str, schema: Schema) -> Schema:
    return {"description": description, "content": {media_type: {"schema": schema}}}


def refer(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}
