"""The statement by which the copy answers paths: the pages of each session are an array."""

from __future__ import annotations

import sqlalchemy as sa

from ..reports.conditions import LONG
from ..reports.elsewhere import Asked
from ..reports.explore.path_rows import Direction
from ..reports.explore.steps import Step
from ..reports.explore.trails import DEPTH
from ..store.visits import VISITS
from .conditions import TABLES, render, write
from .tables import name_of

_EVENT, _SESSION = name_of("event"), name_of("session")


def trails_query(asked: Asked, start: Step, direction: Direction) -> str:
    """Return the query for the places after the start, or before it, and how many sessions."""
    event, is_visit = TABLES.event.c, render(TABLES.event.c.action.in_(sorted(VISITS)))
    is_start = _is_start(asked, start)
    matching = f"session_id IN (SELECT session_id FROM {_EVENT} WHERE {is_start})"
    limits = f"countIf({is_start}) > 0"
    if asked.conditions:
        matches = render(*asked.conditions.of(*asked.bounds, any_start=True))
        limits += (
            f" AND session_id IN (SELECT id FROM {_SESSION} FINAL PREWHERE id IN "
            f"(SELECT session_id FROM {_EVENT} WHERE {is_start}) WHERE {matches})"
        )
    actions = render(event.action.in_(sorted({*VISITS, start.action})))
    return (
        f"SELECT {_follow(start.route, direction)} AS places, count() FROM ("
        f"SELECT minIf(time, {is_start}) AS start, "
        f"arraySort(groupArrayIf((time, url_rule), {is_visit})) AS seen FROM {_EVENT} FINAL "
        f"WHERE {actions} AND {matching} GROUP BY session_id HAVING {limits}) GROUP BY places"
    )


def _is_start(asked: Asked, start: Step) -> str:
    """Return the condition that an event is a start in the period."""
    event, (lower, upper) = TABLES.event.c, asked.bounds
    found: list[sa.ColumnElement[bool]] = [
        asked.conditions.of_step(start),
        event.session_id.is_not(None),
        event.time >= lower,
        event.time < upper,
        event.stored_at >= lower - 2 * LONG,  # sorted by it; what happens is stored later
    ]
    if asked.conditions.sites is not None:
        found.append(event.site.in_(sorted(asked.conditions.sites)))
    return f"coalesce({render(*found)}, false)"


def _follow(route: str | None, direction: Direction) -> str:
    """Return the places as :func:`~.reports.explore.trails.follow` finds them, without the end."""
    own = [] if route is None else [write(route)]
    # Visits of one moment are in the order of their routes, and before an event.
    each, start = ("each.1", "start") if route is None else ("each", f"(start, {own[0]})")
    is_before = f"{each} {'<=' if route is None else '<'} {start}"
    if direction == "next":
        routes = f"arrayFilter(each -> {each} > {start}, seen).2"
    else:
        routes = f"arrayReverse(arrayFilter(each -> {is_before}, seen).2)"
    places = f"arrayCompact(arrayConcat([{', '.join(own)}], {routes}))"
    return f"arraySlice({places}, {len(own) + 1}, {DEPTH})"
