"""The catalogue: what each definition means, how it is used, and what arrives without one."""

from __future__ import annotations

import datetime as dt
import typing as t
import urllib.parse

from flask import Response

from ...reports.explore.catalogue import ActionRow, CatalogueUse, read_catalogue
from ...request.access import Access
from ...state import State
from ..figures import name_month, quantify
from ..plain import respond_json
from ..query import Query
from ..render import render
from .asked import describe_asked, open_counter, read_asked
from .series import draw_spark


class DrawnAction(t.NamedTuple):
    """A row of the catalogue, its link, its line over time, and when it was last seen."""

    row: ActionRow
    href: str
    spark: str
    last_seen: str


def show_catalogue(state: State, access: Access) -> Response:
    """Show all definitions, and the actions without one."""
    query, found = _read(state, access)
    today = query.period.now.astimezone(query.period.zone).date()

    def draw(rows: tuple[ActionRow, ...]) -> list[DrawnAction]:
        return [_draw(query, row, today) for row in rows]

    return render(
        state,
        access,
        "catalogue",
        "Catalogue",
        **describe_asked(state, access, query, "catalogue"),
        found=found,
        said=_say(found),
        defined=draw(found.defined),
        builtin=draw(found.builtin),
        not_defined=draw(found.not_defined),
    )


def send_catalogue(state: State, access: Access) -> Response:
    """Send the same as JSON."""
    return respond_json(_read(state, access)[1])


def link_action(query: Query, action: str) -> str:
    """Return the URL of an action's page for the same period."""
    return query.link(f"catalogue/{urllib.parse.quote(action, safe='')}")


def write_last_seen(day: dt.date | None, today: dt.date) -> str:
    """Return when an action was last seen: "Never", "Today", "24 Nov"."""
    if day is None:
        return "Never"
    if day >= today:
        return "Today"
    year = "" if day.year == today.year else f" {day.year}"
    return f"{day.day} {name_month(day)[:3]}{year}"


def _read(state: State, access: Access) -> tuple[Query, CatalogueUse]:
    query = read_asked(state, access)
    with open_counter(state) as counter:
        return query, read_catalogue(counter, query.period, query.sites)


def _draw(query: Query, row: ActionRow, today: dt.date) -> DrawnAction:
    spark, seen = draw_spark(row.series), write_last_seen(row.last_seen, today)
    return DrawnAction(row, link_action(query, row.action), spark, seen)


def _say(found: CatalogueUse) -> str:
    """Return the catalogue in two sentences."""
    defined, silent = len(found.defined), sum(not row.events for row in found.defined)
    others = len(found.not_defined) + found.more
    said = [f"The app defines {quantify(defined, 'event')}"]
    if silent:
        said.append(f", {silent:,} of them without data in this period")
    if others:
        said.append(f". {quantify(others, 'event')} {_arrive(others)} without a definition")
    return "".join(said) + "."


def _arrive(number: int) -> str:
    return "arrives" if number == 1 else "arrive"
