"""What the events of an action had in their defined parameters."""

from __future__ import annotations

import dataclasses
import typing as t

from flask import Response, request

from ..errors import ReportError
from ..reports.filters import NAMING
from ..reports.rows import CurrencyRow, ParameterRow, Parameters
from ..request.access import Access
from ..state import State
from .figures import count_people, quantify, shorten
from .named_filters import read_named
from .overview import describe_query
from .plain import respond_json
from .query import Query, read_query
from .render import find_root, render

_LABEL = 60
_TEN_THOUSAND = 10_000


class DrawnParameter(t.NamedTuple):
    """A parameter: its numbers with their names, and its most frequent values."""

    name: str
    kind: str
    numbers: list[tuple[str, str]]
    values: list[tuple[str, int, float, str]]
    total: str


def show_parameters(state: State, access: Access) -> Response:
    """Show the parameters of an action."""
    query, found = _read(state, access)
    return render(
        state,
        access,
        "overview",
        f"Parameters of {found.action}",
        template="parameters",
        **describe_query(query, "parameters", event=found.action, named=read_named(state, access)),
        sites=[],
        found=found,
        said=f"{quantify(found.events, 'event')} of {count_people(found.people)}",
        parameters=[_draw(query, found.action, each) for each in found.parameters if each.values],
        without_values=[each.name for each in found.parameters if not each.values],
    )


def send_parameters(state: State, access: Access) -> Response:
    """Send the same as JSON."""
    return respond_json(_read(state, access)[1])


def _read(state: State, access: Access) -> tuple[Query, Parameters]:
    query = read_query(state.reports, access, find_root(state), request.args)
    action = request.args.get("event")
    if not action:
        raise ReportError("Name the event whose parameters to show, such as ?event=product.view.")
    found = state.reports.parameters(action, query.period, query.filter, sites=query.sites)
    if access.may_see_people:
        return query, found
    shown = tuple(each for each in found.parameters if each.name not in NAMING)
    return query, dataclasses.replace(found, parameters=shown)


def _draw(query: Query, action: str, row: ParameterRow) -> DrawnParameter:
    numbers = _draw_numbers(row)
    for each in row.currencies:
        numbers += [(name, f"{each.currency} {number}") for name, number in _draw_numbers(each)]
    field = f"{action}.{row.name}"
    values = [
        (shorten(each.value, _LABEL), each.count, each.share, query.link_filter(field, each.value))
        for each in row.values
    ]
    kind = row.type.removesuffix(" | None")
    return DrawnParameter(row.name, kind, numbers, values, quantify(row.values_in_all, "value"))


def _draw_numbers(row: ParameterRow | CurrencyRow) -> list[tuple[str, str]]:
    named = {
        "Sum": row.sum,
        "Mean": row.mean,
        "Median": row.median,
        "90% are at most": row.p90,
        "Least": row.least,
        "Most": row.most,
    }
    return [(name, _write(float(n))) for name, n in named.items() if n is not None]


def _write(number: float) -> str:
    digits = 0 if number == int(number) or abs(number) >= _TEN_THOUSAND else 2
    return f"{number:,.{digits}f}"
