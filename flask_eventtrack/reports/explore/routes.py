"""How long the server took for the pages of each route, and which it could not answer."""

from __future__ import annotations

import collections
import dataclasses
import typing as t

import sqlalchemy as sa

from ...records import PAGE_VISIT
from ...store.failures import (
    DIRECT,
    FAILED,
    FAILED_FROM,
    NO_ROUTE,
    OTHER_SITE,
    find_failure,
    read_failure,
)
from ..counting import Counter
from ..period import Period
from ..ranks import find_percentile
from .catalogue import Sites
from .counters import read_counters

#: So many of the latest page visits are read.
LATEST: t.Final = 5000
_MOST = 5
# Anybody can make up places to come from: the rarest of very many are not looked at.
_MOST_PLACES = 5000


@dataclasses.dataclass(frozen=True, slots=True)
class RouteRow:
    """How long the server took for a route's pages, in milliseconds.

    Half of the ``visits`` took no longer than ``median``, and 95 of 100 no longer than ``p95``.
    Both are times that occurred.
    """

    route: str
    visits: int
    median: float
    p95: float
    longest: float


@dataclasses.dataclass(frozen=True, slots=True)
class CameFrom:
    """How many people came to an error from a page of the app, from another site, or directly.

    ``name`` is the page's route, "" if it has none; or the site's host, "" if it was not kept. Both
    may be cut, to 20 characters at least.
    """

    kind: t.Literal["page", "site", "direct"]
    name: str
    answers: int


@dataclasses.dataclass(frozen=True, slots=True)
class ErrorRow:
    """How many pages of a route were answered with an error's status.

    ``route`` is empty for addresses that no route matches, and cut to 60 characters. ``came_from``
    has the five most frequent places from which people came.
    """

    status: int
    route: str
    answers: int
    came_from: tuple[CameFrom, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Routes:
    """The routes of the latest page visits of a period, the slowest first by ``p95``.

    ``visits`` is how many were read. ``errors`` are those of the whole period, the most frequent
    first; None where only some sites are counted, as these counters have no site.
    """

    period: Period
    visits: int
    rows: tuple[RouteRow, ...]
    errors: tuple[ErrorRow, ...] | None


def read_routes(counter: Counter, period: Period, sites: Sites) -> Routes:
    """Read how long the server took for the pages of each route.

    :param sites: the only sites to look at; None looks at all of them.
    """
    event = counter.tables.event.c
    query = sa.select(event.url_rule, event.params["duration_ms"].as_float()).where(
        event.time >= period.start,
        event.time < period.end,
        event.action == PAGE_VISIT,
        event.source == "server",
    )
    if sites is not None:
        query = query.where(event.site.in_(sorted(sites)))
    times = collections.defaultdict[str, list[float]](list)
    rows = counter.connection.execute(query.order_by(event.time.desc()).limit(LATEST))
    for route, duration in rows:
        if duration is not None:
            times[route.strip()].append(float(duration))
    found = [_make_row(route, sorted(each)) for route, each in times.items()]
    found.sort(key=lambda row: (-row.p95, row.route))
    errors = tuple(_read_errors(counter, period)) if sites is None else None
    return Routes(period, sum(row.visits for row in found), tuple(found), errors)


def _read_errors(counter: Counter, period: Period) -> t.Iterator[ErrorRow]:
    of = counter.connection, counter.tables, period
    failed = read_counters(*of, (FAILED,), PAGE_VISIT)
    places = read_counters(*of, (FAILED_FROM,), PAGE_VISIT, most=_MOST_PLACES)
    errors = {row.reason: row.count for row in failed}
    came = collections.defaultdict[str, list[CameFrom]](list)
    for row in places:
        if found := find_failure(row.reason, errors):
            came[found[0]].append(_make_origin(found[1], row.count))
    for reason, answers in errors.items():
        if failure := read_failure(reason):
            yield ErrorRow(failure.status, failure.rule, answers, tuple(came[reason][:_MOST]))


def _make_origin(place: str, answers: int) -> CameFrom:
    if place == DIRECT:
        return CameFrom("direct", "", answers)
    if place == NO_ROUTE or place.startswith("/"):
        return CameFrom("page", "" if place == NO_ROUTE else place, answers)
    return CameFrom("site", "" if place == OTHER_SITE else place, answers)


def _make_row(route: str, times: list[float]) -> RouteRow:
    return RouteRow(
        route, len(times), find_percentile(times, 50), find_percentile(times, 95), times[-1]
    )
