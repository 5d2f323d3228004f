"""Orders and revenue by where the customers came from."""

from __future__ import annotations

import typing as t

from flask import Response, request

from ..reports.revenue import Attribution
from ..reports.rows import RevenueRow
from ..request.access import Access
from ..state import State
from .dimensions import DIMENSIONS, name_value
from .figures import shorten, write_money
from .named_filters import read_named
from .overview import describe_query
from .plain import respond_csv, respond_json
from .query import Query, choose, read_query
from .render import find_root, render

BY = ("source", "channel", "utm_campaign", "utm_source", "utm_medium", "utm_term", "utm_content")
ATTRIBUTIONS: dict[Attribution, str] = {"last": "Last touch", "first": "First touch"}
_LABEL = 80


class Choice(t.NamedTuple):
    """What orders are shown by, and by which touch."""

    by: str
    attribution: Attribution

    def link(self, query: Query, ending: str = "", **changes: t.Any) -> str:
        new = self._replace(**changes)
        return query.link(f"revenue{ending}", **new.own)

    @property
    def own(self) -> dict[str, str | None]:
        """The arguments that say so, as far as they are not the usual ones."""
        return {
            "by": None if self.by == BY[0] else self.by,
            "attribution": None if self.attribution == "last" else self.attribution,
        }


class DrawnRow(t.NamedTuple):
    """A row of the table."""

    label: str
    orders: int
    amounts: tuple[str, ...]


def show_revenue(state: State, access: Access) -> Response:
    """Show orders and revenue by source."""
    query, choice, found = _read(state, access)
    return render(
        state,
        access,
        "overview",
        "Revenue",
        template="revenue",
        **describe_query(query, "revenue", **choice.own, named=read_named(state, access)),
        sites=[],
        words=DIMENSIONS[choice.by],
        rows=[draw_row(choice.by, row) for row in found],
        tabs=[(DIMENSIONS[by].title, choice.link(query, by=by), by == choice.by) for by in BY],
        touches=[
            (title, choice.link(query, attribution=name), name == choice.attribution)
            for name, title in ATTRIBUTIONS.items()
        ],
        csv=choice.link(query, ".csv"),
    )


def send_revenue(state: State, access: Access) -> Response:
    """Send the same as JSON."""
    return respond_json(_read(state, access)[2])


def send_revenue_file(state: State, access: Access) -> Response:
    """Send the same as a file for spreadsheets, with a line for each currency."""
    query, choice, found = _read(state, access)
    head = (DIMENSIONS[choice.by].column, "Orders", "Currency", "Revenue")
    lines = [
        (row.value, row.orders, currency, amount)
        for row in found
        for currency, amount in _list_amounts(row)
    ]
    period = query.period
    return respond_csv(f"revenue-{period.first}-{period.last}", [head, *lines])


def _list_amounts(row: RevenueRow) -> list[tuple[str, object]]:
    amounts: list[tuple[str, object]] = [(each.currency, each.amount) for each in row.revenue]
    return amounts or [("", "")]


def draw_row(by: str, row: RevenueRow) -> DrawnRow:
    label = shorten(name_value(by, row.value), _LABEL)
    return DrawnRow(label, row.orders, tuple(map(write_money, row.revenue)))


def _read(state: State, access: Access) -> tuple[Query, Choice, tuple[RevenueRow, ...]]:
    query = read_query(state.reports, access, find_root(state), request.args)
    choice = Choice(
        choose("by", request.args.get("by", BY[0]), BY),
        choose("attribution", request.args.get("attribution", "last"), tuple(ATTRIBUTIONS)),
    )
    found = state.reports.revenue(
        choice.by, query.period, query.filter, attribution=choice.attribution, sites=query.sites
    )
    return query, choice, found
