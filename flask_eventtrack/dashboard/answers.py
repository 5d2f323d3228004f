"""Answers to requests for the dashboard: who may see a page, and what it says if it fails."""

from __future__ import annotations

import collections.abc as cabc
import typing as t
import urllib.parse

import sqlalchemy as sa
from flask import Response, redirect, request
from werkzeug.datastructures import MultiDict

from ..errors import ReportError
from ..request.access import Access, find_access
from ..request.problems import not_found, problem
from ..state import State, get_state
from .query import Query
from .routes import Route
from .shared import find_shared
from .troubles import TROUBLES, answer_outage, answer_trouble

#: Answers a request that has access.
View = cabc.Callable[..., Response]


def answer(route: Route, view: View, **values: t.Any) -> Response:
    """Answer a request for a route with its view, if the request has access."""
    state = get_state()
    try:
        access = _find_access(state, route, values)
    except (sa.exc.SQLAlchemyError, TimeoutError) as error:
        return answer_outage(error)
    if access is None or not access.meets(route.need):
        return not_found()
    method = "GET" if request.method == "HEAD" else request.method
    if method not in route.methods:
        allowed = ", ".join(route.methods)
        return problem(405, "method_not_allowed", f"Use {allowed}.", Allow=allowed)
    try:
        _check_arguments()
        if "field" in request.args:
            return _add_condition()
        return view(state, access, **values)
    except TROUBLES as trouble:
        return answer_trouble(state, access, trouble)


def _find_access(state: State, route: Route, values: dict[str, t.Any]) -> Access | None:
    """Return what the request may do: by its shared link alone, where there is one in the path."""
    if route.is_shared:
        return find_shared(state, values.pop("secret"))
    return find_access(state, by_token=route.is_for_programs)


def _add_condition() -> Response:
    """Lead from what the form of a new condition sends to the URL that says it."""
    args = MultiDict(request.args)
    parts = [args.pop(name, "") for name in ("operator", "field", "value")]
    args.add("f", ":".join(parts))
    query = Query.write_pairs(list(args.items(multi=True)))
    page = urllib.parse.quote(request.script_root + request.path)
    response = redirect(page + query, 303)
    response.headers["Cache-Control"] = "no-store"
    return t.cast("Response", response)


def _check_arguments() -> None:
    """Refuse what PostgreSQL cannot take, and no text that is stored holds.

    :raises ReportError: an argument has a NUL character.
    """
    args = request.args.items(multi=True)
    if any("\0" in value for name, value in args if name != "q"):  # what is sought is cleaned
        raise ReportError("An argument has a NUL character.")
