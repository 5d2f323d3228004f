"""The dashboard's blueprint. Whoever may not see it gets 404, for every path and method."""

from __future__ import annotations

import collections.abc as cabc
import functools
import typing as t

from flask import Blueprint, Flask
from flask.typing import ResponseReturnValue

from ..later import imported_later
from ..request.access import Need
from ..request.places import ALL_METHODS, drop_place, find_places
from ..state import DASHBOARD

_SHARED = "/shared/<secret>"


class Route(t.NamedTuple):
    """A path below the URL prefix, and the view that answers its methods.

    ``view`` is the view's module and name in this package. An app whose dashboard is not opened
    does not import it.
    """

    path: str
    endpoint: str
    view: str
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
    Route("/", "overview", "overview.show_overview"),
    Route("/live", "live", "live.show_live", need="people"),
    Route("/live.json", "live_json", "live.send_live", need="people"),
    Route("/people", "people", "people.show_people", need="people"),
    Route("/people.json", "people_json", "people.send_people", need="people"),
    Route("/people.csv", "people_csv", "people.send_people_file", need="people"),
    Route("/people/<person>", "person", "person.show_person", need="people"),
    Route("/people/<person>.json", "person_json", "person.send_person", need="people"),
    Route("/people/<person>/<act>", "rights", "rights.handle_rights", ("GET", "POST"), "manage"),
    Route("/audit", "audit", "audit.show_audit", need="manage"),
    Route("/links", "links", "links.handle_links", ("GET", "POST"), "manage"),
    Route("/notes", "notes", "notes.handle_notes", ("GET", "POST"), "manage"),
    Route("/filters", "filters", "named_filters.handle_filters", ("GET", "POST"), "manage"),
    Route("/filters.json", "filters_json", "named_filters.send_filters"),
    Route("/overview.json", "overview_json", "overview.send_overview"),
    Route("/details/<dimension>", "details", "details.show_details"),
    Route("/details/<dimension>.json", "details_json", "details.send_details"),
    Route("/details/<dimension>.csv", "details_csv", "details.send_file"),
    Route("/parameters", "parameters", "parameters.show_parameters"),
    Route("/parameters.json", "parameters_json", "parameters.send_parameters"),
    Route("/catalogue", "catalogue", "explore.catalogue.show_catalogue"),
    Route("/catalogue/usage.json", "catalogue_json", "explore.catalogue.send_catalogue"),
    Route("/catalogue/<action>", "action", "explore.action.show_action"),
    Route("/catalogue/<action>.json", "action_json", "explore.action.send_action"),
    Route("/routes", "routes", "explore.routes.show_routes"),
    Route("/routes.json", "routes_json", "explore.routes.send_routes"),
    Route("/quality", "quality", "explore.quality.show_quality"),
    Route("/quality.json", "quality_json", "explore.quality.send_quality"),
    Route("/quality/<act>", "refused", "explore.quality.decide_on_refused", ("POST",), "manage"),
    Route("/revenue", "revenue", "revenue.show_revenue"),
    Route("/revenue.json", "revenue_json", "revenue.send_revenue"),
    Route("/revenue.csv", "revenue_csv", "revenue.send_revenue_file"),
    Route("/agents", "agents", "explore.agents.show_agents"),
    Route("/agents.json", "agents_json", "explore.agents.send_agents"),
    Route("/agents.csv", "agents_csv", "explore.agents.send_agents_file"),
    Route("/goals", "goals", "explore.goals.handle_goals", ("GET", "POST")),
    Route("/goals.json", "goals_json", "explore.goals.send_goals"),
    Route("/goals.csv", "goals_csv", "explore.goals.send_goals_file"),
    Route("/goals/<goal>", "goal", "explore.goals.show_goal"),
    Route("/goals/<goal>.json", "goal_json", "explore.goals.send_goal"),
    Route("/goals/<goal>.csv", "goal_csv", "explore.goals.send_goal_file"),
    Route("/funnels", "funnels", "explore.funnels.handle_funnels", ("GET", "POST")),
    Route("/funnels.json", "funnels_json", "explore.funnels.send_funnel"),
    Route("/funnels.csv", "funnels_csv", "explore.funnels.send_funnel_file"),
    Route("/funnels/lost", "funnel_lost", "explore.lost.show_lost", need="people"),
    Route("/funnels/lost.json", "funnel_lost_json", "explore.lost.send_lost", need="people"),
    Route("/funnels/lost.csv", "funnel_lost_csv", "explore.lost.send_lost_file", need="people"),
    Route("/retention", "retention", "explore.retention.show_retention"),
    Route("/retention.json", "retention_json", "explore.retention.send_retention"),
    Route("/retention.csv", "retention_csv", "explore.retention.send_retention_file"),
    Route("/paths", "paths", "explore.paths.show_paths"),
    Route("/paths.json", "paths_json", "explore.paths.send_paths"),
    Route("/paths.csv", "paths_csv", "explore.paths.send_paths_file"),
    Route("/elements", "elements", "explore.elements.show_elements"),
    Route("/elements.json", "elements_json", "explore.elements.send_elements"),
    Route("/elements.csv", "elements_csv", "explore.elements.send_elements_file"),
    Route("/embed.css", "embed_css", "assets.serve_embed_css"),
    Route("/dashboard/<digest>/<name>", "asset", "assets.serve_asset"),
    Route(f"{_SHARED}/", "shared_overview", "overview.show_overview"),
    Route(f"{_SHARED}/overview.json", "shared_overview_json", "overview.send_overview"),
    Route(f"{_SHARED}/dashboard/<digest>/<name>", "shared_asset", "assets.serve_asset"),
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


_answer = imported_later("dashboard.answers.answer")


def _make_view(route: Route) -> cabc.Callable[..., ResponseReturnValue]:
    """Return a view function with a name: other extensions ask for it."""
    view = imported_later(f"dashboard.{route.view}")

    @functools.wraps(view)
    def answer(**values: t.Any) -> ResponseReturnValue:
        return t.cast("ResponseReturnValue", _answer(route, view, **values))

    return answer
