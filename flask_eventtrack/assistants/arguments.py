"""The arguments of the tools, and their JSON Schema."""

from __future__ import annotations

import collections.abc as cabc
import typing as t

import msgspec
from msgspec import Meta, field
from werkzeug.datastructures import MultiDict

from ..dashboard.dimensions import DIMENSIONS
from ..dashboard.query import Query, read_query
from ..errors import ReportError
from ..reports.breakdown import SORTS
from ..reports.explore.funnel import BY
from ..reports.filters import FIELDS
from ..reports.library import Reports
from ..reports.period import BUCKETS, COMPARISONS, PERIODS
from ..reports.rows import MEASURES
from ..request.access import Access
from ..structs import prepared
from ..text import clean_text

_MOST = 100
_NAMES = ", ".join(name for name in PERIODS if name != "custom")
_FIELDS = "; ".join(
    f"{' or '.join(each)} of {', '.join(name for name in FIELDS if FIELDS[name] == each)}"
    for each in dict.fromkeys(FIELDS.values())
)


def _choose(names: cabc.Iterable[str], description: str = "") -> Meta:
    """Describe an argument that is one of some names. The report itself refuses others."""
    return Meta(description=description or None, extra_json_schema={"enum": [*names]})


@prepared
class Days(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The days and the site of a report."""

    period: t.Annotated[
        str,
        Meta(
            description=f"{_NAMES}, or another number of days such as 14d. The server knows "
            "today's date: ask for yesterday, not for a date."
        ),
    ] = ""
    first: t.Annotated[
        str,
        Meta(description="In place of a period: its first day, such as 2026-11-24."),
    ] = field(name="from", default="")
    last: t.Annotated[
        str, Meta(description="With from: the last day, which is included; today if left out.")
    ] = field(name="to", default="")
    site: t.Annotated[str, Meta(description="Only this site, a host name.")] = ""


@prepared
class Question(Days, kw_only=True, forbid_unknown_fields=True):
    """The days, the site and the sessions of a report."""

    filter: t.Annotated[
        list[str],
        Meta(
            description="Conditions on sessions, such as is:country:DE. All have to be met, but "
            "those with the same operator and field are alternatives. Use "
            f"{_FIELDS}; and is, at_least or at_most of an event's parameter, such as "
            "is:product.view.sku:A1."
        ),
    ] = []


@prepared
class OverviewQuestion(Question, kw_only=True, forbid_unknown_fields=True):
    """What the tool overview takes."""

    compare: t.Annotated[
        str, _choose(COMPARISONS, "previous is the period before, year the same days a year ago.")
    ] = "previous"


@prepared
class SeriesQuestion(OverviewQuestion, kw_only=True, forbid_unknown_fields=True):
    """What the tool series takes."""

    compare: t.Annotated[str, _choose(COMPARISONS)] = "none"
    measures: tuple[t.Annotated[str, _choose((*MEASURES, "revenue"))], ...] = ("visitors",)
    bucket: t.Annotated[
        str, _choose(BUCKETS, "By default what fits the period: hours of a day, or days.")
    ] = ""


@prepared
class BreakdownQuestion(OverviewQuestion, kw_only=True, forbid_unknown_fields=True):
    """What the tool breakdown takes."""

    dimension: t.Annotated[str, _choose(DIMENSIONS, "page is by route, action by event.")]
    route: t.Annotated[
        str, Meta(description="With the dimension path: the route of the paths.")
    ] = ""
    search: t.Annotated[str, Meta(description="Only values that contain this text.")] = ""
    sort: t.Annotated[str, _choose(SORTS)] = "count"
    descending: bool = True
    limit: t.Annotated[int, Meta(ge=1, le=_MOST)] = 20
    offset: t.Annotated[int, Meta(ge=0, le=1_000_000)] = 0


@prepared
class FunnelQuestion(Question, kw_only=True, forbid_unknown_fields=True):
    """What the tool funnel takes."""

    steps: t.Annotated[
        list[str],
        Meta(
            description="2 to 8 events such as product.view, or pages such as page:/checkout, in "
            "their order. The tool catalogue lists the events."
        ),
    ]
    where: t.Annotated[
        list[str],
        Meta(
            description="Conditions on parameters of steps, as number:operator:parameter:value, "
            "such as 1:is:sku:mug for the first step."
        ),
    ] = []
    excluded: t.Annotated[
        list[str], Meta(description="Events or pages that end an attempt between two steps.")
    ] = field(name="not", default_factory=list)
    within: t.Annotated[
        str, Meta(description="How long an attempt may take, such as 30m, 12h or 7d.")
    ] = "7d"
    per: t.Annotated[str, _choose(("person", "session"))] = "person"
    same: t.Annotated[
        str, Meta(description="A parameter that has the same value in all events of an attempt.")
    ] = ""
    by: t.Annotated[str, _choose(BY, "Rows by the session in which an attempt began.")] = ""


@prepared
class PersonQuestion(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What the tool person takes."""

    person: t.Annotated[
        str,
        Meta(description="A uuid; or a customer id, an order number or a trait, to find a uuid."),
    ]
    action: t.Annotated[str, Meta(description="Only events of this action.")] = ""
    before: t.Annotated[
        str, Meta(description="For earlier events: the value of further in the last answer.")
    ] = ""


@prepared
class CatalogueQuestion(Days, kw_only=True, forbid_unknown_fields=True):
    """What the tool catalogue takes."""

    action: t.Annotated[str, Meta(description="Only this event, with its parameters.")] = ""


@prepared
class NoQuestion(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What the tool definitions takes: nothing."""


_Asked = t.TypeVar("_Asked", bound=msgspec.Struct)


def describe_arguments(kind: type[msgspec.Struct]) -> dict[str, t.Any]:
    """Return the JSON Schema of the arguments of a tool."""
    _, schemas = msgspec.json.schema_components([kind])
    schema = schemas[kind.__name__]
    return {name: schema[name] for name in schema if name not in {"title", "description"}}


def read_arguments(kind: type[_Asked], arguments: dict[str, t.Any]) -> _Asked:
    """Return the arguments of a call. Null stands for one that is left out.

    :raises ReportError: one is unknown, missing or wrong.
    """
    given = {name: value for name, value in arguments.items() if value is not None}
    try:
        return msgspec.convert(_clean(given), kind)
    except RecursionError:
        raise ReportError("The arguments are nested too deeply.") from None
    except msgspec.ValidationError as error:
        known = ", ".join(kind.__struct_encode_fields__) or "none"
        raise ReportError(f"{error}. The arguments of this tool: {known}.") from None


def _clean(value: t.Any) -> t.Any:
    """Return texts without characters that databases cannot store, so that these can be asked."""
    if isinstance(value, list):
        return [_clean(each) for each in value]
    if isinstance(value, dict):
        return {name: _clean(each) for name, each in value.items()}
    return clean_text(value) if isinstance(value, str) else value


def read_question(reports: Reports, access: Access, asked: Days) -> Query:
    """Return the question that a page with the same arguments in its URL answers.

    :raises ReportError: one of them is wrong.
    """
    filters = asked.filter if isinstance(asked, Question) else []
    args = MultiDict([("f", each) for each in filters])
    args["period"], args["site"] = asked.period, asked.site
    if asked.first:
        today = reports.now.astimezone(reports.zone).date()
        args["period"], args["from"] = "custom", asked.first
        args["to"] = asked.last or today.isoformat()
    elif asked.last:
        raise ReportError("'to' needs 'from'.")
    if isinstance(asked, OverviewQuestion):
        args["compare"] = asked.compare
    if isinstance(asked, SeriesQuestion):
        args["bucket"] = asked.bucket
    return read_query(reports, access, "", args)
