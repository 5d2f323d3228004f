"""What agents have read: the programs of AI assistants, search engines and other bots."""

from __future__ import annotations

import datetime as dt
import typing as t

from flask import Response, request

from ...clients.known_agents import OTHER, operator_of
from ...errors import ReportError
from ...records import OTHER_ROUTES
from ...reports.explore.agents import AgentCount, AgentPoint, Agents
from ...request.access import Access
from ...state import State
from ..chart import Chart, draw
from ..dimensions import Dimension
from ..figures import quantify, shorten, write_count, write_percent
from ..named_filters import NONE
from ..overview import describe_query, list_sites
from ..panels import DrawnPanel, PanelRow
from ..plain import respond_csv, respond_json
from ..query import Query, read_query
from ..render import find_root, render
from ..wording import label_bucket, name_bucket

KIND_NAMES: t.Final = {
    "live": "Live fetch",
    "search": "Search index",
    "training": "Training",
    "monitor": "Monitor",
    "other": "Other",
}
_CLAIMS = {"user-agent": "User-Agent", "signature-agent": "Signature-Agent, not checked"}
_SIZES = {"wide": (1120, 220), "narrow": (360, 180)}
_MOST_ROWS = 50
_LABEL = 60


class DrawnAgent(t.NamedTuple):
    """A row of the table of agents. ``href`` shows only this one, or all again."""

    name: str
    operator: str
    kind: str
    reads: int
    share: float
    errors: str
    signed: int
    href: str
    is_active: bool


class Choice(t.NamedTuple):
    """Which agents are shown."""

    agent: str | None
    kind: str | None

    @property
    def own(self) -> dict[str, str | None]:
        """The arguments that say so."""
        return self._asdict()


def show_agents(state: State, access: Access) -> Response:
    """Show which agents have read what."""
    query, choice = _read_choice(state, access)
    found = _find(state, query, choice)
    shown = describe_query(query, "agents", named=NONE, **choice.own)
    return render(
        state,
        access,
        "agents",
        "Agents",
        **{**shown, "fields": [], "chips": _list_chips(query, choice)},
        sites=list_sites(state, access, query),
        headline=_write_headline(found, choice),
        is_on=state.config.agents,
        facts=_list_facts(found),
        found=found,
        agents=[_draw_agent(query, choice, row) for row in found.agents],
        has_signed=any(row.signed for row in found.agents),
        charts=_draw_charts(found),
        entries=[_describe_point(found, point) for point in found.series],
        panels=_draw_panels(query, choice, found),
        csv=query.link("agents.csv", **choice.own),
        from_ai=query.link_filter("channel", "ai"),
    )


def send_agents(state: State, access: Access) -> Response:
    """Send the same as JSON."""
    return respond_json(_find(state, *_read_choice(state, access)))


def send_agents_file(state: State, access: Access) -> Response:
    """Send each agent, route and status as a file for spreadsheets."""
    query, choice = _read_choice(state, access)
    found = state.reports.agent_reads(
        query.period, agent=choice.agent, kind=choice.kind, sites=query.sites
    )
    head = ("Agent", "Operator", "Kind", "Named in", "Route", "Status", "Reads")
    lines = [
        (
            row.agent,
            operator_of(row.agent),
            KIND_NAMES[row.kind],
            _CLAIMS[row.claim],
            row.route,
            row.status or "",
            row.count,
        )
        for row in found
    ]
    period = query.period
    return respond_csv(f"agents-{period.first}-{period.last}", [head, *lines])


def _read_choice(state: State, access: Access) -> tuple[Query, Choice]:
    query = read_query(state.reports, access, find_root(state), request.args)
    if query.filter:
        raise ReportError("Filters are about sessions, and agents have none. Remove the filters.")
    choice = Choice(request.args.get("agent") or None, request.args.get("kind") or None)
    return query.on("agents", choice.own), choice


def _find(state: State, query: Query, choice: Choice) -> Agents:
    return state.reports.agents(
        query.period, agent=choice.agent, kind=choice.kind, sites=query.sites
    )


def _list_chips(query: Query, choice: Choice) -> list[tuple[str, str, str]]:
    chips = []
    if choice.kind is not None:
        chips.append(("Kind is", _name_kind(choice.kind), query.link("agents", kind=None)))
    if choice.agent is not None:
        chips.append(("Agent is", _name_agent(choice.agent), query.link("agents", agent=None)))
    return chips


def _write_headline(found: Agents, choice: Choice) -> str:
    if not found.total:
        who = "agent" if choice == (None, None) else "such agent"
        return f"No {who} has read anything in this period."
    first, reads = found.agents[0], quantify(found.total, "read")
    if choice.agent is not None:
        return f"{_name_agent(first.agent)} made {reads}."
    named = _count_named(found)
    if not named:
        return f"Agents without a known name made {reads}."
    who = quantify(named, "named agent") + (" and others" if named < len(found.agents) else "")
    most = "others" if first.agent == OTHER else first.agent
    rest = f", {most} the most" if len(found.agents) > 1 else ""
    return f"{who} made {reads}{rest}."


def _count_named(found: Agents) -> int:
    return sum(1 for row in found.agents if row.agent != OTHER)


def _name_agent(name: str) -> str:
    return "Other agents" if name == OTHER else name


def _list_facts(found: Agents) -> list[tuple[str, str]]:
    return [
        ("Reads", write_count(found.total)),
        ("Named agents", write_count(_count_named(found))),
        ("Routes", write_count(sum(1 for row in found.routes if row.value.startswith("/")))),
        ("Errors", _write_errors(found.errors, found.total)),
    ]


def _write_errors(errors: int, of: int) -> str:
    return f"{errors:,} ({write_percent(errors / of)})" if errors else "0"


def _name_kind(kind: str) -> str:
    return KIND_NAMES.get(kind, kind)


def _draw_agent(query: Query, choice: Choice, row: AgentCount) -> DrawnAgent:
    is_active = choice.agent == row.agent
    return DrawnAgent(
        _name_agent(row.agent),
        operator_of(row.agent),
        _name_kind(row.kind),
        row.count,
        row.share,
        _write_errors(row.errors, row.count),
        row.signed,
        query.link("agents", agent=None if is_active else row.agent),
        is_active,
    )


def _draw_charts(found: Agents) -> list[Chart]:
    """Draw the reads over time, unless that is one point."""
    points = found.series
    if len(points) < 2:
        return []
    labels = [label_bucket(_moment(p.first), found.bucket, is_one_day=False) for p in points]
    counts = [point.count for point in points]
    runs = points[-1].is_running
    return [
        draw(name, size, counts, [], labels, kind="count", runs=runs)
        for name, size in _SIZES.items()
    ]


def _describe_point(found: Agents, point: AgentPoint) -> tuple[str, str, bool]:
    name = name_bucket(_moment(point.first), found.bucket)
    return name, quantify(point.count, "read"), point.is_running


def _moment(day: dt.date) -> dt.datetime:
    return dt.datetime.combine(day, dt.time(), dt.UTC)


def _draw_panels(query: Query, choice: Choice, found: Agents) -> list[DrawnPanel]:
    """Return the panels of routes, of kinds and of statuses."""
    named = {"": "No route", OTHER_ROUTES: "Other routes"}
    routes = [_Part(named.get(r.value, r.value), r.count, r.share) for r in found.routes]
    kinds = [
        _Part(
            _name_kind(row.value),
            row.count,
            row.share,
            query.link("agents", kind=None if choice.kind == row.value else row.value),
            choice.kind == row.value,
        )
        for row in found.kinds
    ]
    statuses = [_Part(str(s.status or "Not kept"), s.count, s.share) for s in found.statuses]
    return [
        _draw_panel("routes", "Routes", "Route", routes, is_code=True),
        _draw_panel("kinds", "Kinds", "Kind", kinds),
        _draw_panel("statuses", "Answers", "Status", statuses),
    ]


class _Part(t.NamedTuple):
    """A row of a panel. ``href`` limits the page to it, or no longer."""

    label: str
    reads: int
    share: float
    href: str | None = None
    is_active: bool = False


def _draw_panel(
    name: str, title: str, column: str, parts: list[_Part], *, is_code: bool = False
) -> DrawnPanel:
    dimension = Dimension(title, column, "", name, is_code=is_code)
    rows = [_draw_row(part, parts[0].reads) for part in parts[:_MOST_ROWS]]
    total = quantify(len(parts), "row")
    if len(rows) < len(parts):
        total = f"The first {len(rows)} of {total}; the file has all"
    return DrawnPanel(name, title, dimension, "reads", (), tuple(rows), total, "")


def _draw_row(part: _Part, most: int) -> PanelRow:
    cut = shorten(part.label, _LABEL)
    whole = None if cut == part.label else part.label
    bar = round(part.reads / most * 100, 1)
    return PanelRow(cut, whole, None, part.reads, part.share, bar, part.href, part.is_active)
