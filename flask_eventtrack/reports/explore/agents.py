"""What agents have read: the programs of AI assistants, search engines and other bots."""

from __future__ import annotations

import collections
import collections.abc as cabc
import dataclasses
import datetime as dt
import typing as t

import sqlalchemy as sa

from ...errors import ReportError
from ...records import AgentKind
from ...store.tables import Tables
from ...text import shorten
from ..period import Bucket, Period

KINDS: t.Final[tuple[AgentKind, ...]] = t.get_args(AgentKind)
_ERROR = 400
_SIGNED = "signature-agent"


@dataclasses.dataclass(frozen=True, slots=True)
class AgentFilter:
    """Which agents are counted: one by its name, those of a kind, or all."""

    agent: str | None = None
    kind: str | None = None
    sites: frozenset[str] | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class AgentCount:
    """How often an agent has read something.

    ``errors`` are answers with a status of 400 and above; ``signed`` those to requests with a
    ``Signature-Agent`` header, which is not checked. The share is of all reads (0 to 1).
    """

    agent: str
    kind: str
    count: int
    share: float
    errors: int
    signed: int


@dataclasses.dataclass(frozen=True, slots=True)
class ReadCount:
    """How often something was read: a kind of agents has read it, or it is a route.

    The route is "" where no URL rule matched, and ``other`` where a day had too many rows.
    """

    value: str
    count: int
    share: float
    errors: int


@dataclasses.dataclass(frozen=True, slots=True)
class StatusCount:
    """How often agents were answered with a status; 0 where it was not kept."""

    status: int
    count: int
    share: float


@dataclasses.dataclass(frozen=True, slots=True)
class AgentPoint:
    """The reads of some days of the site's zone, both included."""

    first: dt.date
    last: dt.date
    count: int
    is_running: bool


@dataclasses.dataclass(frozen=True, slots=True)
class Agents:
    """What agents have read in a period, the most first."""

    period: Period
    total: int
    errors: int
    kinds: tuple[ReadCount, ...]
    agents: tuple[AgentCount, ...]
    routes: tuple[ReadCount, ...]
    statuses: tuple[StatusCount, ...]
    bucket: Bucket
    series: tuple[AgentPoint, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class AgentReads:
    """How often an agent has read a route and got a status."""

    agent: str
    kind: str
    claim: str
    route: str
    status: int
    count: int


def check_kind(kind: str | None) -> None:
    """Refuse a kind that does not exist.

    :raises ReportError: naming those that do.
    """
    if kind is not None and kind not in KINDS:
        raise ReportError(
            f"There is no kind of agents {shorten(kind)}. The kinds are: {', '.join(KINDS)}."
        )


def read_agents(
    connection: sa.Connection, tables: Tables, period: Period, limits: AgentFilter
) -> Agents:
    """Return what agents have read, in three queries."""
    table = tables.agent_daily
    agents, kinds, routes = _Sums(), _Sums(), _Sums()
    for agent, kind, count, errors, signed in connection.execute(
        _query_agents(table, period, limits)
    ):
        agents.add((agent.strip(), kind.strip()), int(count), int(errors), int(signed))
        kinds.add((kind.strip(),), int(count), int(errors))
    statuses: collections.Counter[int] = collections.Counter()
    for route, status, count in connection.execute(_query_routes(table, period, limits)):
        routes.add((route.strip(),), int(count), int(count) if status >= _ERROR else 0)
        statuses[status] += int(count)
    found = connection.execute(_query_days(table, period, limits))
    days = {day: int(count) for day, count in found}
    total = statuses.total()
    bucket: Bucket = "day" if period.default_bucket == "hour" else period.default_bucket
    return Agents(
        period,
        total,
        sum(row.errors for row in kinds.rows),
        _list_reads(kinds, total),
        tuple(
            AgentCount(row.key[0], row.key[1], row.count, row.count / total, row.errors, row.signed)
            for row in agents.rows
        ),
        _list_reads(routes, total),
        tuple(
            StatusCount(status, count, count / total)
            for status, count in sorted(statuses.items(), key=_most_first)
        ),
        bucket,
        tuple(_iter_points(period, bucket, days)),
    )


def read_agent_reads(
    connection: sa.Connection, tables: Tables, period: Period, limits: AgentFilter
) -> tuple[AgentReads, ...]:
    """Return each agent, route and status that there was, the most reads first."""
    row = tables.agent_daily.c
    key = row.agent, row.kind, row.claim, row.url_rule, row.status
    number = sa.func.sum(row.count)
    query = sa.select(*key, number).where(*_conditions(tables.agent_daily, period, limits))
    found = connection.execute(query.group_by(*key).order_by(number.desc(), *key))
    return tuple(
        AgentReads(agent.strip(), kind.strip(), claim.strip(), route.strip(), status, int(count))
        for agent, kind, claim, route, status, count in found
    )


def _query_agents(table: sa.Table, period: Period, limits: AgentFilter) -> sa.Select[t.Any]:
    """Make the query of the agents: first of each day, in the order of the primary key, so that
    SQLite sorts few rows."""
    row = table.c
    query = sa.select(
        row.agent,
        sa.func.max(row.kind).label("kind"),
        sa.func.sum(row.count).label("count"),
        sa.func.sum(sa.case((row.status >= _ERROR, row.count), else_=0)).label("errors"),
        sa.func.sum(sa.case((row.claim == _SIGNED, row.count), else_=0)).label("signed"),
    )
    query = query.where(*_conditions(table, period, limits))
    day = query.group_by(row.day, row.site, row.agent).subquery().c
    sums = (sa.func.sum(each) for each in (day["count"], day.errors, day.signed))
    return sa.select(day.agent, day.kind, *sums).group_by(day.agent, day.kind)


def _query_days(table: sa.Table, period: Period, limits: AgentFilter) -> sa.Select[t.Any]:
    query = sa.select(table.c.day, sa.func.sum(table.c.count))
    return query.where(*_conditions(table, period, limits)).group_by(table.c.day)


def _query_routes(table: sa.Table, period: Period, limits: AgentFilter) -> sa.Select[t.Any]:
    key = table.c.url_rule, table.c.status
    query = sa.select(*key, sa.func.sum(table.c.count))
    return query.where(*_conditions(table, period, limits)).group_by(*key)


def _conditions(
    table: sa.Table, period: Period, limits: AgentFilter
) -> list[sa.ColumnElement[bool]]:
    row = table.c
    found = [row.day >= period.first, row.day <= period.last]
    if limits.sites is not None:
        found.append(row.site.in_(sorted(limits.sites)))
    if limits.agent is not None:
        found.append(row.agent == limits.agent)
    if limits.kind is not None:
        found.append(row.kind == limits.kind)
    return found


@dataclasses.dataclass(slots=True)
class _Sum:
    key: tuple[str, ...]
    count: int = 0
    errors: int = 0
    signed: int = 0


class _Sums:
    """Sums by a key."""

    def __init__(self) -> None:
        self._by_key: dict[tuple[str, ...], _Sum] = {}

    def add(self, key: tuple[str, ...], count: int, errors: int, signed: int = 0) -> None:
        found = self._by_key.get(key)
        if found is None:
            found = self._by_key[key] = _Sum(key)
        found.count += count
        found.errors += errors
        found.signed += signed

    @property
    def rows(self) -> list[_Sum]:
        """All sums, the largest first."""
        return sorted(self._by_key.values(), key=lambda row: (-row.count, row.key))


def _list_reads(sums: _Sums, total: int) -> tuple[ReadCount, ...]:
    return tuple(
        ReadCount(row.key[0], row.count, row.count / total, row.errors) for row in sums.rows
    )


def _most_first(item: tuple[int, int]) -> tuple[int, int]:
    status, count = item
    return -count, status


def _iter_points(
    period: Period, bucket: Bucket, days: cabc.Mapping[dt.date, int]
) -> cabc.Iterator[AgentPoint]:
    for span in period.spans(bucket):
        numbers = range(span.first.toordinal(), span.last.toordinal() + 1)
        count = sum(days.get(dt.date.fromordinal(number), 0) for number in numbers)
        yield AgentPoint(span.first, span.last, count, span.start <= period.now < span.end)
