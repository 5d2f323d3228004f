"""How good the data are: what became of events, and what browsers did not tell."""

from __future__ import annotations

import collections
import dataclasses
import datetime as dt
import typing as t

import sqlalchemy as sa

from ...records import PAGE_VISIT
from ...store.dialects import id_as_text, ids_parameter, is_among
from ...store.tables import Tables
from ..counting import Counter
from ..period import Bucket, Period
from ..scan import iter_ids
from .catalogue import Sites, choose_bucket
from .counters import OUTCOMES, QualityRow, read_counters, read_outcomes

#: So many of the latest page visits, and of the latest events, are looked at.
LATEST: t.Final = 2000
#: For how long a browser may still report a page visit.
PATIENCE: t.Final = dt.timedelta(minutes=10)
#: Outcomes that say why something is missing.
_FAULTS = ("rejected", "dropped", "left_out", "contradicted", "cut")
_MOST_REASONS, _MOST_ROWS = 100, 10
_CLIENTS = ("browser", "app")


@dataclasses.dataclass(frozen=True, slots=True)
class Outcomes:
    """What became of events in a period: totals, numbers by bucket, and the reasons."""

    totals: dict[str, int]
    series: dict[str, tuple[int, ...]]
    reasons: tuple[QualityRow, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class SilentRow:
    """How many of the page visits of a browser or a URL rule no browser has reported."""

    value: str
    visits: int
    silent: int


@dataclasses.dataclass(frozen=True, slots=True)
class Silence:
    """Of the latest page visits that the server has seen, how many no browser has reported.

    ``by_browser`` and ``by_route`` are the ten rows with the most silent visits.
    """

    visits: int
    silent: int
    by_browser: tuple[SilentRow, ...]
    by_route: tuple[SilentRow, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Clocks:
    """Of the latest events, how many browsers and apps have sent, and how many of those said a time
    that was still to come."""

    events: int
    sent: int
    ahead: int


@dataclasses.dataclass(frozen=True, slots=True)
class Quality:
    """How good the data of a period are. ``outcomes`` is None where only some sites are counted."""

    period: Period
    bucket: Bucket
    outcomes: Outcomes | None
    silence: Silence
    clocks: Clocks


def read_quality(counter: Counter, period: Period, sites: Sites) -> Quality:
    """Read how good the data of a period are.

    :param sites: the only sites to look at; None looks at all of them.
    """
    bucket, connection, tables = choose_bucket(period), counter.connection, counter.tables
    return Quality(
        period,
        bucket,
        _read_outcomes(counter, period, bucket) if sites is None else None,
        _read_silence(connection, tables, period, sites),
        _read_clocks(connection, tables, period, sites),
    )


def _read_outcomes(counter: Counter, period: Period, bucket: Bucket) -> Outcomes:
    connection, tables = counter.connection, counter.tables
    series = read_outcomes(connection, tables, period, bucket)
    faults = read_counters(connection, tables, period, _FAULTS)
    return Outcomes(
        {outcome: sum(series[outcome]) for outcome in OUTCOMES},
        {outcome: tuple(series[outcome]) for outcome in OUTCOMES},
        tuple(faults[:_MOST_REASONS]),
    )


def _read_silence(
    connection: sa.Connection, tables: Tables, period: Period, sites: Sites
) -> Silence:
    """Read the latest visits with a session: no browser reports those of anonymous visitors."""
    event = tables.event.c
    session_id = id_as_text(connection.dialect.name, event.session_id)
    query = sa.select(event.url_rule, session_id, event.claimed_by.is_(None)).where(
        event.time >= period.start,
        event.time < min(period.end, period.now - PATIENCE),
        event.action == PAGE_VISIT,
        event.source == "server",
        event.session_id.is_not(None),
        *_on_sites(event, sites),
    )
    rows = connection.execute(query.order_by(event.time.desc()).limit(LATEST)).all()
    browsers = _read_browsers(connection, tables, {row[1] for row in rows})
    return Silence(
        len(rows),
        sum(bool(row[2]) for row in rows),
        _count_silent((browsers.get(row[1], ""), bool(row[2])) for row in rows),
        _count_silent((row[0].strip(), bool(row[2])) for row in rows),
    )


def _read_browsers(connection: sa.Connection, tables: Tables, sessions: set[str]) -> dict[str, str]:
    """Return the browsers of sessions: by their ids, since PostgreSQL may read all sessions there
    are for a join."""
    session, name = tables.session.c, connection.dialect.name
    query = sa.select(id_as_text(name, session.id), session.browser)
    query = query.where(is_among(name, session.id))
    found: dict[str, str] = {}
    for ids in iter_ids(sessions):
        rows = connection.execute(query, ids_parameter(name, ids))
        found.update((row[0], row[1] or "") for row in rows)
    return found


def _count_silent(pairs: t.Iterable[tuple[str, bool]]) -> tuple[SilentRow, ...]:
    visits, silent = collections.Counter[str](), collections.Counter[str]()
    for value, is_silent in pairs:
        visits[value] += 1
        silent[value] += is_silent
    rows = [SilentRow(value, number, silent[value]) for value, number in visits.items()]
    rows.sort(key=lambda row: (-row.silent, -row.visits, row.value))
    return tuple(rows[:_MOST_ROWS])


def _read_clocks(connection: sa.Connection, tables: Tables, period: Period, sites: Sites) -> Clocks:
    event = tables.event.c
    given = event.params["original_time"].as_string().is_not(None)
    latest = sa.select(event.source, given.label("is_ahead")).where(
        event.time >= period.start, event.time < period.end, *_on_sites(event, sites)
    )
    found = latest.order_by(event.time.desc()).limit(LATEST).subquery().c
    query = sa.select(found.source, found.is_ahead, sa.func.count())
    number, sent, ahead = 0, 0, 0
    for source, is_ahead, count in connection.execute(query.group_by(found.source, found.is_ahead)):
        number += count
        if source.strip() in _CLIENTS:
            sent += count
            ahead += count * bool(is_ahead)
    return Clocks(number, sent, ahead)


def _on_sites(event: t.Any, sites: Sites) -> list[sa.ColumnElement[bool]]:
    return [] if sites is None else [event.site.in_(sorted(sites))]
