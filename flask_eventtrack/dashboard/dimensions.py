"""The dimensions: what they and their values are called, and what an empty panel says."""

from __future__ import annotations

import typing as t

from ..reports.filters import Condition, Operator
from ..store.session_counts import OTHERS
from .figures import write_seconds
from .names import name_country, name_language


class Dimension(t.NamedTuple):
    """A dimension in words.

    ``field`` is what a filter by one of its values is called. ``empty`` says what will appear.
    ``is_code`` if its values are set in monospace.
    """

    title: str
    column: str
    empty: str
    field: str
    is_code: bool = False


class Panel(t.NamedTuple):
    """A panel of the overview, and the dimensions of its tabs with their titles."""

    name: str
    title: str
    tabs: dict[str, str]


_TAGGED = "Links to your site with {} in their URL will appear here."

DIMENSIONS: t.Final[dict[str, Dimension]] = {
    "source": Dimension(
        "Sources",
        "Source",
        "The sites, newsletters and campaigns that send you visitors will appear here.",
        "source",
    ),
    "channel": Dimension(
        "Channels",
        "Channel",
        "Search, social networks, mail and other ways to your site will appear here.",
        "channel",
    ),
    "utm_campaign": Dimension(
        "Campaigns", "Campaign", _TAGGED.format("utm_campaign"), "utm_campaign"
    ),
    "utm_source": Dimension("UTM sources", "Source", _TAGGED.format("utm_source"), "utm_source"),
    "utm_medium": Dimension("Mediums", "Medium", _TAGGED.format("utm_medium"), "utm_medium"),
    "utm_term": Dimension("Terms", "Term", _TAGGED.format("utm_term"), "utm_term"),
    "utm_content": Dimension("Contents", "Content", _TAGGED.format("utm_content"), "utm_content"),
    "page": Dimension(
        "Pages",
        "Route",
        "The routes of your app will appear here once somebody opens a page.",
        "page",
        is_code=True,
    ),
    "path": Dimension(
        "Paths",
        "Path",
        "The paths of this route will appear here once somebody opens one.",
        "path",
        is_code=True,
    ),
    "entry_rule": Dimension(
        "Entry pages",
        "Route",
        "The routes on which sessions begin will appear here.",
        "entry_rule",
        is_code=True,
    ),
    "exit_rule": Dimension(
        "Exit pages",
        "Route",
        "The routes on which sessions end will appear here.",
        "exit_rule",
        is_code=True,
    ),
    "country": Dimension(
        "Countries",
        "Country",
        "Countries will appear here if EVENTTRACK_COUNTRY_DATABASE or a proxy's header tells them.",
        "country",
    ),
    "language": Dimension(
        "Languages",
        "Language",
        "The languages that browsers ask for will appear here.",
        "language",
    ),
    "browser": Dimension(
        "Browsers", "Browser", "The browsers of your visitors will appear here.", "browser"
    ),
    "os": Dimension(
        "Systems", "System", "The operating systems of your visitors will appear here.", "os"
    ),
    "device_type": Dimension(
        "Device types",
        "Device type",
        "Desktops, phones and tablets will appear here.",
        "device_type",
    ),
    "action": Dimension(
        "Events",
        "Event",
        "The events that you define, such as clicks and orders, will appear here.",
        "event",
        is_code=True,
    ),
    "site": Dimension("Sites", "Site", "The host names of your site will appear here.", "site"),
}

PANELS: t.Final = (
    Panel(
        "sources",
        "Sources",
        {
            "source": "Sources",
            "channel": "Channels",
            "utm_campaign": "Campaigns",
            "utm_medium": "Mediums",
            "utm_term": "Terms",
            "utm_content": "Contents",
        },
    ),
    Panel("pages", "Pages", {"page": "Routes", "entry_rule": "Entry", "exit_rule": "Exit"}),
    Panel("locations", "Locations", {"country": "Countries", "language": "Languages"}),
    Panel(
        "devices",
        "Devices",
        {"browser": "Browsers", "os": "Systems", "device_type": "Types"},
    ),
    Panel("events", "Events", {"action": "Events"}),
)

_OPERATORS = {
    "is": "is",
    "is_not": "is not",
    "contains": "contains",
    "at_least": "is at least",
    "at_most": "is at most",
}
_FIELDS = {
    "page": "Page visited",
    "event": "Event",
    "goal": "Goal",
    "duration": "Duration",
    "pages": "Pages",
    "customer": "Customer",
    "headless": "Headless",
    "hour": "Hour",
}


def name_value(dimension: str, value: str) -> str:
    """Return what a value is called."""
    if value == OTHERS:
        return "All others"
    if not value:
        return "Not known" if dimension in _UNKNOWN else "None"
    if dimension == "country":
        return name_country(value)
    if dimension == "language":
        return name_language(value)
    if value == "direct":
        return "Direct"
    return value


_SINGULAR = {
    "source": "Source",
    "channel": "Channel",
    "utm_source": "UTM source",
    "utm_medium": "Medium",
    "utm_campaign": "Campaign",
    "utm_term": "Term",
    "utm_content": "Content",
    "entry_rule": "Entry page",
    "exit_rule": "Exit page",
    "country": "Country",
    "language": "Language",
    "browser": "Browser",
    "os": "System",
    "device_type": "Device type",
    "site": "Site",
}
_UNKNOWN = frozenset({"country", "language", "browser", "os", "device_type"})


def name_field(field: str) -> str:
    """Return what a field of a filter is called."""
    if field in _FIELDS:
        return _FIELDS[field]
    return _SINGULAR.get(field, field)


def describe(condition: Condition) -> tuple[str, str]:
    """Return a condition in words: its field and operator, and its values."""
    values = " or ".join(_name_operand(condition.field, value) for value in condition.values)
    return f"{name_field(condition.field)} {describe_operator(condition.operator)}", values


def describe_operator(operator: Operator) -> str:
    return _OPERATORS[operator]


def _name_operand(field: str, value: str) -> str:
    if field == "duration" and value.isdigit():
        return write_seconds(int(value))
    return name_value(field, value)


_OTHER_FIELDS = ("goal", "duration", "pages", "customer", "headless")


def list_fields() -> list[tuple[str, str]]:
    """Return the fields that the form of a new condition offers, with their names."""
    own = [d.field for d in DIMENSIONS.values() if d.column != "Path"]
    return [(field, name_field(field)) for field in (*own, *_OTHER_FIELDS)]
