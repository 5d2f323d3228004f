"""The dashboard's blueprint. Whoever may not see it gets 404, for every path and method."""

from __future__ import annotations

import collections.abc as cabc
import functools
import typing as t
import urllib.parse

import sqlalchemy as sa
from flask import Blueprint, Flask, Response, redirect, request
from flask.typing import ResponseReturnValue
from werkzeug.datastructures import MultiDict

from ..errors import ReportError
from ..request.access import Access, Need, find_access
from ..request.places import ALL_METHODS, drop_place, find_places
from ..request.problems import not_found, problem
from ..state import DASHBOARD, State, get_state
from .assets import serve_asset, serve_embed_css
from .audit import show_audit
from .details import send_details, send_file, show_details
from .links import handle_links
from .live import send_live, show_live
from .overview import send_overview, show_overview
from .parameters import send_parameters, show_parameters
from .people import send_people, send_people_file, show_people
from .person import send_person, show_person
from .query import Query
from .revenue import send_revenue, send_revenue_file, show_revenue
from .rights import handle_rights
from .shared import find_shared
from .troubles import TROUBLES, answer_outage, answer_trouble

#: Answers a request that has access.
View = cabc.Callable[..., Response]


_SHARED = "/shared/<secret>"


class Route(t.NamedTuple):
    """A path below the URL prefix, and the view that answers its methods."""

    path: str
    endpoint: str
    view: View
    methods: tuple[str, ...] = ("GET",)
    need: Need = "numbers"

    @property
    def is_shared(self) -> bool:
        """Whether a shared link opens it, and nothing else does."""
        return self.path.startswith(_SHARED)

    @property
    def is_for_programs(self) -> bool:
        """Whether a report's token opens it as well."""
        return self.path.endswith((".json", ".csv")) and not self.is_shared


ROUTES: t.Final = (
    Route("/", "overview", show_overview),
    Route("/live", "live", show_live, need="people"),
    Route("/live.json", "live_json", send_live, need="people"),
    Route("/people", "people", show_people, need="people"),
    Route("/people.json", "people_json", send_people, need="people"),
    Route("/people.csv", "people_csv", send_people_file, need="people"),
    Route("/people/<person>", "person", show_person, need="people"),
    Route("/people/<person>.json", "person_json", send_person, need="people"),
    Route("/people/<person>/<act>", "rights", handle_rights, ("GET", "POST"), "manage"),
    Route("/audit", "audit", show_audit, need="manage"),
    Route("/links", "links", handle_links, ("GET", "POST"), "manage"),
    Route("/overview.json", "overview_json", send_overview),
    Route("/details/<dimension>", "details", show_details),
    Route("/details/<dimension>.json", "details_json", send_details),
    Route("/details/<dimension>.csv", "details_csv", send_file),
    Route("/parameters", "parameters", show_parameters),
    Route("/parameters.json", "parameters_json", send_parameters),
    Route("/revenue", "revenue", show_revenue),
    Route("/revenue.json", "revenue_json", send_revenue),
    Route("/revenue.csv", "revenue_csv", send_revenue_file),
    Route("/embed.css", "embed_css", serve_embed_css),
    Route("/dashboard/<digest>/<name>", "asset", serve_asset),
    Route(f"{_SHARED}/", "shared_overview", show_overview),
    Route(f"{_SHARED}/overview.json", "shared_overview_json", send_overview),
    Route(f"{_SHARED}/dashboard/<digest>/<name>", "shared_asset", serve_asset),
)


def make_dashboard(app: Flask, url_prefix: str) -> Blueprint:
    """Return the dashboard's blueprint; Flask needs a separate one for each app."""
    blueprint = Blueprint(DASHBOARD, __name__, url_prefix=url_prefix)
    for route in ROUTES:
        view = _make_view(route)
        for place in find_places(app):
            blueprint.add_url_rule(
                route.path,
                route.endpoint,
                view,
                methods=ALL_METHODS,
                provide_automatic_options=False,
                # A redirect would tell everyone that there is a page.
                strict_slashes=False,
                **place,
            )
    blueprint.url_value_preprocessor(drop_place)
    return blueprint


def _make_view(route: Route) -> cabc.Callable[..., ResponseReturnValue]:
    """Return a view function with a name: other extensions ask for it."""

    @functools.wraps(route.view)
    def answer(**values: t.Any) -> ResponseReturnValue:
        return _answer(route, **values)

    return answer


def _answer(route: Route, **values: t.Any) -> ResponseReturnValue:
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
        return route.view(state, access, **values)
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
