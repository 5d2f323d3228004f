"""Problem documents (RFC 9457): the answers to requests that fail as a whole."""

from __future__ import annotations

import typing as t

import msgspec
from flask import Response

from ..errors import ProblemCode
from ..structs import prepared

PROBLEM_TYPE: t.Final = "application/problem+json"


@prepared
class Problem(msgspec.Struct, kw_only=True):
    """Why the request failed (RFC 9457)."""

    type: t.Literal["about:blank"] = "about:blank"
    status: int
    code: ProblemCode
    detail: str


class Refused(Exception):
    """The request fails as a whole, with this answer."""

    def __init__(self, response: Response) -> None:
        super().__init__()
        self.response = response


def problem(status: int, code: ProblemCode, detail: str, **headers: str) -> Response:
    """Return a problem document.

    It is not an HTTPException, which would reach the error handlers of the host app.

    :param headers: more headers of the answer, with ``_`` for ``-`` in their names.
    """
    body = msgspec.json.encode(Problem(status=status, code=code, detail=detail))
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    named["Cache-Control"] = "no-store"
    return Response(body, status, named, mimetype=PROBLEM_TYPE)


def not_found() -> Response:
    return problem(404, "not_found", "There is nothing here.")
