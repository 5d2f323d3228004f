"""The dashboard's blueprint. Whoever may not see it gets 404, for every path and method."""

from __future__ import annotations

import collections.abc as cabc
import functools
import typing as t

from flask import Blueprint, Flask, Response, request
from flask.typing import ResponseReturnValue

from ..request.access import find_access
from ..request.places import ALL_METHODS, drop_place, find_places
from ..request.problems import not_found, problem
from ..state import DASHBOARD, get_state
from .assets import serve_script, serve_stylesheet
from .overview import show_overview

#: Answers a request that has access.
View = cabc.Callable[..., Response]


class Route(t.NamedTuple):
    """A path below the URL prefix, and the view that answers its methods."""

    path: str
    endpoint: str
    view: View
    methods: tuple[str, ...] = ("GET",)


ROUTES: t.Final = (
    Route("/", "overview", show_overview),
    Route("/dashboard.css", "stylesheet", serve_stylesheet),
    Route("/dashboard.js", "script", serve_script),
)


def make_dashboard(app: Flask, url_prefix: str) -> Blueprint:
    """Return the dashboard's blueprint; Flask needs a separate one for each app."""
    blueprint = Blueprint(DASHBOARD, __name__, url_prefix=url_prefix)
    for place in find_places(app):
        for route in ROUTES:
            blueprint.add_url_rule(
                route.path,
                route.endpoint,
                functools.partial(_answer, route),
                methods=ALL_METHODS,
                provide_automatic_options=False,
                **place,
            )
    blueprint.url_value_preprocessor(drop_place)
    return blueprint


def _answer(route: Route, **values: t.Any) -> ResponseReturnValue:
    state = get_state()
    access = find_access(state)
    if access is None:
        return not_found()
    method = "GET" if request.method == "HEAD" else request.method
    if method not in route.methods:
        allowed = ", ".join(route.methods)
        return problem(405, "method_not_allowed", f"Use {allowed}.", Allow=allowed)
    return route.view(state, access, **values)
