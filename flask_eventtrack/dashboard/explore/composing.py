"""The form in which a funnel is composed: what it holds, and the URL that it leads to."""

from __future__ import annotations

import collections.abc as cabc
import typing as t

from werkzeug.datastructures import MultiDict

from ...reports.explore.funnel import BY
from ...reports.explore.plan import ARGUMENTS, MOST_STEPS
from ...state import OWN_BLUEPRINTS, State, this_app
from ..dimensions import name_field

#: The argument that says that the form was sent.
COMPOSED: t.Final = "compose"
_OF_LINES = ("on", "parameter", "operator", "value")
_LEAST_ROWS = 3
WITHINS: t.Final = {
    "10m": "10 minutes",
    "1h": "1 hour",
    "1d": "1 day",
    "7d": "7 days",
    "30d": "30 days",
    "90d": "90 days",
}
PERS: t.Final = {"person": "People", "session": "Sessions"}


class Line(t.NamedTuple):
    """A condition on a step, as the form has it."""

    operator: str = "is"
    parameter: str = ""
    value: str = ""


class StepRow(t.NamedTuple):
    """A step, as the form has it: its conditions, and an empty one."""

    text: str
    lines: list[Line]


class Composed(t.NamedTuple):
    """What the form holds."""

    rows: list[StepRow]
    excluded: list[str]
    within: str
    per: str
    same: str
    by: str


def read_form(args: MultiDict[str, str]) -> Composed:
    """Return what the form shows of a URL's arguments, right or wrong."""
    steps = [text.strip() for text in args.getlist("step") if text.strip()][:MOST_STEPS]
    rows = [StepRow(text, _read_lines(args, place)) for place, text in enumerate(steps, 1)]
    missing = max(_LEAST_ROWS - len(rows), 1 if len(rows) < MOST_STEPS else 0)
    rows += [StepRow("", [Line()])] * missing
    return Composed(
        rows,
        [*filter(str.strip, args.getlist("not")), ""],
        args.get("within") or "7d",
        args.get("per") or "person",
        args.get("same", ""),
        args.get("by", ""),
    )


def _read_lines(args: MultiDict[str, str], number: int) -> list[Line]:
    own = [text.split(":", 3) for text in args.getlist("where") if text.startswith(f"{number}:")]
    return [*(Line(*parts[1:]) for parts in own), Line()]


def write_pairs(args: MultiDict[str, str]) -> list[tuple[str, str]]:
    """Return the arguments of the URL that says what a sent form says.

    Empty fields are left out, and the steps numbered anew.
    """
    steps, numbers = list[str](), dict[str, int]()
    for row, text in enumerate(args.getlist("step"), 1):
        if text.strip():
            steps.append(name_page(text))
            numbers[str(row)] = len(steps)
    lines = zip(*(args.getlist(name) for name in _OF_LINES), strict=False)
    where = [
        f"{numbers[on]}:{operator}:{parameter.strip()}:{value.strip()}"
        for on, parameter, operator, value in lines
        if parameter.strip() and on in numbers
    ]
    own = {COMPOSED, "step", "where", "not", *_OF_LINES}
    return [
        *((name, value) for name, value in args.items(multi=True) if name not in own and value),
        *(("step", text) for text in steps),
        *(("where", text) for text in where),
        *(("not", name_page(text)) for text in args.getlist("not") if text.strip()),
    ]


def name_page(text: str) -> str:
    """Return the text of a step: a path is taken for a page, since that is what it looks like."""
    text = text.strip()
    return f"page:{text}" if text.startswith("/") else text


def list_own(args: MultiDict[str, str]) -> tuple[tuple[str, str], ...]:
    """Return the arguments of a URL that are the funnel's, which its links keep."""
    names = (*ARGUMENTS, "by")
    pairs = args.items(multi=True)
    return tuple((name, value) for name, value in pairs if name in names and value)


def list_suggestions(state: State) -> list[str]:
    """Return what a step may be: the defined events, and the routes of the app."""
    events = [definition.action for definition in state.catalogue]
    routes = {rule.rule for rule in _iter_rules()}
    return [*events, *(f"page:{route}" for route in sorted(routes))]


def _iter_rules() -> cabc.Iterator[t.Any]:
    for rule in this_app().url_map.iter_rules():
        blueprint = rule.endpoint.rpartition(".")[0]
        is_page = "GET" in (rule.methods or ()) and rule.endpoint.rpartition(".")[2] != "static"
        if is_page and blueprint not in OWN_BLUEPRINTS:
            yield rule


def list_dimensions() -> list[tuple[str, str]]:
    """Return the dimensions by which a funnel has rows, with their names."""
    return [(name, name_field(name)) for name in BY]
