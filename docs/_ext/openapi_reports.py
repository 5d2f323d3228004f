"""The reports that programs read, as OpenAPI describes them.

The routes give the paths, and the types that the answers are made of give the schemas.
"""

from __future__ import annotations

import datetime as dt
import inspect
import re
import typing as t

import msgspec
from openapi_parts import (
    TEXT,
    Codes,
    Schema,
    describe_content,
    describe_get,
    describe_parameter,
    refer,
)

from flask_eventtrack.dashboard.dimensions import DIMENSIONS, PANELS
from flask_eventtrack.dashboard.live import Live
from flask_eventtrack.dashboard.query import DEFAULT_PERIOD
from flask_eventtrack.dashboard.revenue import ATTRIBUTIONS, BY
from flask_eventtrack.dashboard.routes import ROUTES, Route
from flask_eventtrack.reports.breakdown import SORTS
from flask_eventtrack.reports.feed import FeedEvent
from flask_eventtrack.reports.period import BUCKETS, COMPARISONS, PERIODS, Period
from flask_eventtrack.reports.person import FeedSession, Person
from flask_eventtrack.reports.rows import (
    MEASURES,
    Breakdown,
    Cut,
    Overview,
    Parameters,
    PersonRow,
    Point,
    RevenueRow,
)
from flask_eventtrack.store.touches import Touch

# Sent as objects, each by the function that sends it.
_TUPLES = (Touch, FeedEvent, FeedSession)
_PROBLEMS: Codes = {400: ("invalid_report",), 404: ("not_found",), 503: ("unavailable",)}
_FILE = {"Content-Disposition": {"required": True, "schema": TEXT}}


class _Words(t.NamedTuple):
    """What is said of a route: its name, a summary, its answer (a file if None), and the names of
    its parameters."""

    name: str
    summary: str
    answer: Schema | None
    parameters: tuple[str, ...]


def _choice(*values: str, **more: str) -> Schema:
    return {**TEXT, "enum": values, **more}


def _number(most: int, default: int) -> Schema:
    return {"type": "integer", "minimum": 0, "maximum": most, "default": default}


_PERIOD = {
    **TEXT,
    "anyOf": [{"enum": PERIODS}, {"pattern": "^[1-9][0-9]{0,2}d$"}],
    "default": DEFAULT_PERIOD,
}
_DAY = {**TEXT, "format": "date"}
#: What a parameter is called in this description: its name in a URL, its schema, and its meaning.
_QUERY: t.Final[dict[str, tuple[str, Schema, str]]] = {
    "period": ("period", _PERIOD, "The days; `custom` needs `from` and `to`."),
    "from": ("from", _DAY, "The first day of a custom period."),
    "to": ("to", _DAY, "Its last day, which is included."),
    "compare": (
        "compare",
        _choice(*COMPARISONS, default="previous"),
        "The period to compare with.",
    ),
    "measure": (
        "measure",
        _choice(*MEASURES, default="visitors"),
        "What the page's chart shows. An answer has all measures.",
    ),
    "bucket": ("bucket", _choice(*BUCKETS), "What the series is by."),
    "site": ("site", TEXT, "The only site to count."),
    "f": (
        "f",
        {"type": "array", "items": TEXT},
        "Conditions that sessions have to meet: `<operator>:<field>:<value>`, such as "
        "`is:country:DE`.",
    ),
    **{
        panel.name: (
            panel.name,
            _choice(*panel.tabs, default=next(iter(panel.tabs))),
            "A dimension among the breakdowns.",
        )
        for panel in PANELS
    },
    "search": ("q", TEXT, "A part of the values."),
    "sort": ("sort", _choice(*SORTS, default="count"), "What the rows are sorted by."),
    "order": ("order", _choice("asc", "desc"), "Values ascend and numbers descend by default."),
    "limit": ("limit", _number(10_000, 100), "The most rows."),
    "offset": ("offset", _number(1_000_000, 0), "How many rows to leave out first."),
    "route": ("route", TEXT, "The URL rule whose paths to show; only for the dimension `path`."),
    "by": ("by", _choice(*BY, default=BY[0]), "What the orders are shown by."),
    "attribution": (
        "attribution",
        _choice(*ATTRIBUTIONS, default="last"),
        "The customer's first touch, or the last one before the order.",
    ),
    "event": ("event", TEXT, "An action, whose events' parameters to show."),
    "who": ("q", TEXT, "A customer id, uuid or order number, or the beginning of a trait."),
    "did": ("event", TEXT, "Only people who did this action."),
    "people": ("order", _choice("newest", "active", default="newest"), "Which people come first."),
    "before": ("before", TEXT, "Where the next page begins, as `further` says."),
    "after": ("after", TEXT, "The `after` of the answer before: only what was stored since."),
    "action": ("action", TEXT, "Only events of this action."),
}
_REQUIRED = {"event"}
_NUMBERS = ("period", "from", "to", "compare", "measure", "bucket", "site", "f")
_ROWS = (*_NUMBERS, "search", "sort", "order", "offset", "route")
_REVENUE = (*_NUMBERS, "by", "attribution")
_PEOPLE = ("who", "did", "people", "before")
_PATH: t.Final = {
    "dimension": _choice(*DIMENSIONS),
    "person": {**TEXT, "format": "uuid"},
}


def _list_of(schema: Schema) -> Schema:
    return {"type": "array", "items": schema}


def _or_null(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def _object(**properties: Schema) -> Schema:
    return {"type": "object", "properties": properties, "required": list(properties)}


_FURTHER = _or_null({"type": "object", "additionalProperties": TEXT})
_WORDS: t.Final = {
    "overview_json": _Words(
        "readOverview",
        "The numbers of a period, their series, and the ten largest rows of some dimensions.",
        refer("Overview"),
        (*_NUMBERS, *(panel.name for panel in PANELS)),
    ),
    "details_json": _Words(
        "readDetails", "The rows of a dimension.", refer("Breakdown"), (*_ROWS, "limit")
    ),
    "details_csv": _Words("saveDetails", "The rows of a dimension as a file.", None, _ROWS),
    "parameters_json": _Words(
        "readParameters",
        "What the events of an action had in their defined parameters.",
        refer("Parameters"),
        (*_NUMBERS, "event"),
    ),
    "revenue_json": _Words(
        "readRevenue",
        "Orders and revenue by where the customers came from.",
        _list_of(refer("RevenueRow")),
        _REVENUE,
    ),
    "revenue_csv": _Words("saveRevenue", "The same as a file.", None, _REVENUE),
    "live_json": _Words(
        "readLive",
        "Who is here now, and the latest events. Two answers may have an event in common.",
        refer("Live"),
        ("after", "action"),
    ),
    "people_json": _Words(
        "readPeople",
        "Customers, who did an event, or whom a search finds; `further` are the arguments of the "
        "next page.",
        _object(people=_list_of(refer("PersonRow")), further=_FURTHER),
        _PEOPLE,
    ),
    "people_csv": _Words("savePeople", "The same as a file.", None, _PEOPLE),
    "person_json": _Words(
        "readPerson",
        "What is known of a person, and their events, the newest first. Each look is noted in the "
        "audit.",
        _object(
            person=refer("Person"),
            events=_list_of(refer("FeedEvent")),
            sessions=_list_of(refer("FeedSession")),
            further=_or_null(TEXT),
        ),
        ("before", "action"),
    ),
}


def describe_reports() -> dict[str, Schema]:
    """Return the paths of all routes that programs read with a token."""
    return {
        re.sub("<(.*?)>", r"{\1}", route.path): _describe(route, _WORDS[route.endpoint])
        for route in ROUTES
        if route.is_for_programs
    }


def _describe(route: Route, words: _Words) -> Schema:
    if words.answer is None:
        answer = describe_content("A file for spreadsheets.", "text/csv", TEXT)
        answer["headers"] = _FILE
    else:
        answer = describe_content("The report.", "application/json", words.answer)
    path = [
        describe_parameter(name, "path", required=True, schema=_PATH[name])
        for name in re.findall("<(.*?)>", route.path)
    ]
    query = [{"$ref": f"#/components/parameters/{name}"} for name in words.parameters]
    scope = "view" if route.need == "people" else "numbers"
    return describe_get(
        words.name,
        words.summary,
        answer,
        _PROBLEMS,
        description=f"Needs a token of the scope `{scope}`, or the same permission.",
        security=[{"report": []}],
        parameters=[*path, *query],
    )


def describe_queries() -> dict[str, Schema]:
    """Return the parameters of reports, by what this description calls them."""
    return {
        key: describe_parameter(
            name, "query", schema=schema, description=meaning, required=key in _REQUIRED
        )
        for key, (name, schema, meaning) in _QUERY.items()
    }


def describe_types() -> dict[str, Schema]:
    """Return the schemas of what reports answer: each field is always there."""
    types = (Overview, Breakdown, Parameters, RevenueRow, Live, PersonRow, Person, *_TUPLES)
    _, schemas = msgspec.json.schema_components(
        types, schema_hook=_describe_zone, ref_template=refer("{name}")["$ref"]
    )
    for cls in _TUPLES:
        _make_object(schemas[cls.__name__], cls._fields)
    for each in (Period, Point, Cut, PersonRow, Person, *_TUPLES):
        _mark_moments(schemas[each.__name__], t.get_type_hints(each))
    for schema in schemas.values():
        schema["required"] = list(schema["properties"])
        schema["description"] = inspect.cleandoc(schema["description"]).replace("``", "`")
        for value in schema["properties"].values():
            value.pop("default", None)
    return schemas


def _make_object(schema: Schema, fields: tuple[str, ...]) -> None:
    """Describe a named tuple as what it is sent as: an object with its fields."""
    values = schema.pop("prefixItems")
    del schema["minItems"], schema["maxItems"]
    schema |= {"type": "object", "properties": dict(zip(fields, values, strict=True))}


def _mark_moments(schema: Schema, types: dict[str, t.Any]) -> None:
    """Say which texts are moments in ISO 8601."""
    for name, type_ in types.items():
        if dt.datetime in {type_, *t.get_args(type_)}:
            value = schema["properties"][name]
            value.get("anyOf", [value])[0]["format"] = "date-time"


def _describe_zone(type_: type) -> Schema:
    """Describe a zone as the name that is sent of it."""
    if issubclass(type_, dt.tzinfo):
        return TEXT
    raise NotImplementedError
