"""Why a whole request fails, as RFC 9457 has it."""

from __future__ import annotations

import typing as t

import msgspec
from flask import Response


class Problem(msgspec.Struct, kw_only=True):
    """Why a whole request fails (RFC 9457)."""

    type: t.Literal["about:blank"] = "about:blank"
    status: int
    code: str
    detail: str


class Refused(Exception):
    """A whole request fails, with this answer."""

    def __init__(self, response: Response) -> None:
        super().__init__()
        self.response = response


def problem(status: int, code: str, detail: str, **headers: str) -> Response:
    """Return a problem document. Flask never sees it raised: the host's error handlers are for its
    own errors."""
    body = msgspec.json.encode(Problem(status=status, code=code, detail=detail))
    response = Response(body, status, mimetype="application/problem+json")
    for name, value in headers.items():
        response.headers[name.replace("_", "-")] = value
    response.headers["Cache-Control"] = "no-store"
    return response


def not_found() -> Response:
    return problem(404, "not_found", "There is nothing here.")
