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
from flask_eventtrack.dashboard.explore.elements import TABLES
from flask_eventtrack.dashboard.live import Live
from flask_eventtrack.dashboard.notes import NotedOverview
from flask_eventtrack.dashboard.query import DEFAULT_PERIOD
from flask_eventtrack.dashboard.revenue import ATTRIBUTIONS, BY
from flask_eventtrack.dashboard.routes import ROUTES, Route
from flask_eventtrack.doctor import Finding
from flask_eventtrack.pipeline.health import Health
from flask_eventtrack.reports.breakdown import SORTS
from flask_eventtrack.reports.explore.action import ActionUse
from flask_eventtrack.reports.explore.agents import KINDS, Agents
from flask_eventtrack.reports.explore.catalogue import CatalogueUse
from flask_eventtrack.reports.explore.cohorts import BYS
from flask_eventtrack.reports.explore.element_rows import Elements
from flask_eventtrack.reports.explore.functions import FunctionState
from flask_eventtrack.reports.explore.funnel import BY as EXPLORED_BY
from flask_eventtrack.reports.explore.path_rows import Paths
from flask_eventtrack.reports.explore.paths import DIRECTIONS
from flask_eventtrack.reports.explore.plan import MOST_STEPS, Per
from flask_eventtrack.reports.explore.quality import Quality
from flask_eventtrack.reports.explore.retention_rows import Retention
from flask_eventtrack.reports.explore.routes import Routes
from flask_eventtrack.reports.explore.rows import Funnel, GoalDetails, GoalRow
from flask_eventtrack.reports.explore.storage import Storage
from flask_eventtrack.reports.feed import FeedEvent
from flask_eventtrack.reports.named_filters import NamedFilter
from flask_eventtrack.reports.notes import Note
from flask_eventtrack.reports.period import BUCKETS, COMPARISONS, PERIODS, Period
from flask_eventtrack.reports.person import FeedSession, Person
from flask_eventtrack.reports.rows import (
    MEASURES,
    Breakdown,
    Cut,
    Parameters,
    PersonRow,
    Point,
    RevenueRow,
)
from flask_eventtrack.store.touches import Touch

# Sent as objects, each by the function that sends it.
_TUPLES = (Touch, FeedEvent, FeedSession, Finding)
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
    "agent": ("agent", TEXT, "The only agent to count, such as `ChatGPT-User`."),
    "kind": ("kind", _choice(*KINDS), "The only kind of agents to count."),
    "event": ("event", TEXT, "An action, whose events' parameters to show."),
    "step": (
        "step",
        {"type": "array", "items": TEXT, "minItems": 2, "maxItems": MOST_STEPS},
        "The steps in their order: an action such as `product.view`, or a page such as "
        "`page:/checkout`.",
    ),
    "where": (
        "where",
        {"type": "array", "items": TEXT},
        "Conditions on steps: `<number of the step>:<operator>:<parameter>:<value>`, such as "
        "`1:is:sku:mug`.",
    ),
    "not": ("not", {"type": "array", "items": TEXT}, "What ends an attempt between two steps."),
    "within": (
        "within",
        {**TEXT, "pattern": "^[1-9][0-9]{0,4}[smhd]$", "default": "7d"},
        "How long an attempt may take.",
    ),
    "per": ("per", _choice(*t.get_args(Per), default="person"), "What is counted."),
    "same": ("same", TEXT, "A parameter that has the same value in all events of an attempt."),
    "dimension": ("by", _choice(*EXPLORED_BY), "A dimension of sessions, for rows by it."),
    "lost_after": (
        "after",
        {"type": "integer", "minimum": 1, "maximum": MOST_STEPS - 1, "default": 1},
        "The number of the step that people got to, and no further.",
    ),
    "unit": ("by", _choice(*BYS), "What people are counted by; the default fits the period."),
    "first": ("first", TEXT, "The event or page whose first one counts, such as `page:/checkout`."),
    "returning": ("returning", TEXT, "The event or page by which people come back."),
    "cohorts": ("dimension", _choice(*EXPLORED_BY), "A dimension, for rows by where people came."),
    "start": ("start", {**TEXT, "default": "page:/"}, "The event or page where paths start."),
    "direction": ("direction", _choice(*DIRECTIONS, default="next"), "What came next, or before."),
    "table": ("table", _choice(*TABLES, default=TABLES[0]), "The table to save."),
    "who": ("q", TEXT, "A customer id, uuid or order number, or the beginning of a trait."),
    "did": ("event", TEXT, "Only people who did this action."),
    "people": ("order", _choice("newest", "active", default="newest"), "Which people come first."),
    "before": ("before", TEXT, "Where the next page begins, as `further` says."),
    "after": ("after", TEXT, "The `after` of the answer before: only what was stored since."),
    "action": ("action", TEXT, "Only events of this action."),
}
_REQUIRED = {"event", "step"}
_NUMBERS = ("period", "from", "to", "compare", "measure", "bucket", "site", "f")
_ROWS = (*_NUMBERS, "search", "sort", "order", "offset", "route")
_DAYS = ("period", "from", "to", "site")
_REVENUE = (*_NUMBERS, "by", "attribution")
_AGENTS = ("period", "from", "to", "site", "agent", "kind")
_FUNNEL = (*_NUMBERS, "step", "where", "not", "within", "per", "same")
_RETENTION = (*_NUMBERS, "unit", "first", "returning", "cohorts")
_PATHS = (*_NUMBERS, "start", "direction")
_PEOPLE = ("who", "did", "people", "before")
_PATH: t.Final = {
    "dimension": _choice(*DIMENSIONS),
    "person": {**TEXT, "format": "uuid"},
    "goal": TEXT,
    "action": TEXT,
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
        "The numbers of a period, their series, the ten largest rows of some dimensions, and the "
        "notes on its days.",
        refer("NotedOverview"),
        (*_NUMBERS, *(panel.name for panel in PANELS)),
    ),
    "filters_json": _Words(
        "readFilters",
        "The filters that managers have saved, by name.",
        _list_of(refer("NamedFilter")),
        (),
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
    "catalogue_json": _Words(
        "readCatalogue",
        "The definitions, each with what arrived of it in a period, and events without one.",
        refer("CatalogueUse"),
        _DAYS,
    ),
    "action_json": _Words(
        "readAction",
        "What arrived of an event in a period; `draft` is the source of a definition if it has "
        "none.",
        _object(use=refer("ActionUse"), draft=_or_null(TEXT)),
        _DAYS,
    ),
    "quality_json": _Words(
        "readQuality",
        "What became of events in a period. All but `quality` is null unless the scope is "
        "`manage`; `refused` is how many records the database has refused.",
        _object(
            quality=refer("Quality"),
            writer=_or_null(refer("Health")),
            storage=_or_null(refer("Storage")),
            findings=_or_null(_list_of(refer("Finding"))),
            refused=_or_null({"type": "integer"}),
            functions=_or_null(_list_of(refer("FunctionState"))),
        ),
        _DAYS,
    ),
    "routes_json": _Words(
        "readRoutes",
        "How long the server took for the pages of each route, in milliseconds.",
        refer("Routes"),
        _DAYS,
    ),
    "revenue_json": _Words(
        "readRevenue",
        "Orders and revenue by where the customers came from.",
        _list_of(refer("RevenueRow")),
        _REVENUE,
    ),
    "revenue_csv": _Words("saveRevenue", "The same as a file.", None, _REVENUE),
    "agents_json": _Words(
        "readAgents",
        "What agents have read: the programs of AI assistants, search engines and other bots.",
        refer("Agents"),
        _AGENTS,
    ),
    "agents_csv": _Words("saveAgents", "Each agent, route and status as a file.", None, _AGENTS),
    "goals_json": _Words(
        "readGoals", "How many reached each goal.", _list_of(refer("GoalRow")), _NUMBERS
    ),
    "goals_csv": _Words("saveGoals", "The same as a file.", None, _NUMBERS),
    "goal_json": _Words(
        "readGoal",
        "How many reached a goal, by a dimension.",
        refer("GoalDetails"),
        (*_NUMBERS, "dimension"),
    ),
    "goal_csv": _Words("saveGoal", "The same as a file.", None, (*_NUMBERS, "dimension")),
    "funnels_json": _Words(
        "readFunnel",
        "How many went through steps one after the other.",
        refer("Funnel"),
        (*_FUNNEL, "dimension"),
    ),
    "funnels_csv": _Words("saveFunnel", "The same as a file.", None, (*_FUNNEL, "dimension")),
    "funnel_lost_json": _Words(
        "readLost",
        "Who got to a step of a funnel and no further, the latest first.",
        _object(
            people=_list_of(refer("PersonRow")),
            total={"type": "integer"},
            cut=_or_null(refer("Cut")),
        ),
        (*_FUNNEL, "lost_after", "offset"),
    ),
    "funnel_lost_csv": _Words(
        "saveLost", "The same as a file.", None, (*_FUNNEL, "lost_after", "offset")
    ),
    "retention_json": _Words(
        "readRetention",
        "How many of those who first came in a day, week or month came back later.",
        refer("Retention"),
        _RETENTION,
    ),
    "retention_csv": _Words("saveRetention", "The same as a file.", None, _RETENTION),
    "paths_json": _Words(
        "readPaths",
        "What sessions saw after a page or an event, or before it, three pages deep.",
        refer("Paths"),
        _PATHS,
    ),
    "paths_csv": _Words(
        "savePaths", "The same as a file, with a line for each path.", None, _PATHS
    ),
    "elements_json": _Words(
        "readElements",
        "In how many sessions each element was seen, hovered over and clicked, and each form "
        "opened, begun, sent and abandoned.",
        refer("Elements"),
        _NUMBERS,
    ),
    "elements_csv": _Words(
        "saveElements",
        "A file of the elements, or of the forms with a line for each field at which they were "
        "abandoned.",
        None,
        (*_NUMBERS, "table"),
    ),
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
    types = (
        *(
            NotedOverview,
            NamedFilter,
            Breakdown,
            Parameters,
            RevenueRow,
            Funnel,
            GoalRow,
            GoalDetails,
        ),
        *(
            Live,
            PersonRow,
            Person,
            CatalogueUse,
            ActionUse,
            Quality,
            Routes,
            Storage,
            Health,
            FunctionState,
        ),
        *(Agents, Retention, Paths, Elements, *_TUPLES),
    )
    _, schemas = msgspec.json.schema_components(
        types, schema_hook=_describe_zone, ref_template=refer("{name}")["$ref"]
    )
    for cls in _TUPLES:
        _make_object(schemas[cls.__name__], cls._fields)
    for each in (Period, Point, Note, NamedFilter, Cut, PersonRow, Person, Health, *_TUPLES):
        _mark_moments(schemas[each.__name__], t.get_type_hints(each))
    for schema in schemas.values():
        schema["required"] = list(schema["properties"])
        text = re.sub(r":\w+:(?=`)", "", inspect.cleandoc(schema["description"]))
        schema["description"] = text.replace("``", "`")
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
