"""Reports from the copy, which :mod:`.following` keeps."""

from __future__ import annotations

import collections
import collections.abc as cabc
import contextlib
import datetime as dt
import functools
import itertools
import logging
import os
import time
import typing as t

import sqlalchemy as sa

from ..records import Clock, from_ns
from ..reports.conditions import Conditions
from ..reports.elsewhere import Asked, Begun, BegunBy, CopyUnusable
from ..reports.explore.attempts import Event
from ..reports.explore.path_rows import Direction
from ..reports.explore.plan import Plan
from ..reports.explore.steps import Step
from ..reports.explore.trails import Trail, end_trail
from ..reports.sums import Sums
from ..store.changes import find_batch, find_next
from ..store.engine import Database
from ..store.session_counts import Counts, pack
from .cohorts import cohorts_query
from .conditions import CopyConditions
from .funnels import begun_query, lost_query
from .notes import Note, find_copy
from .problems import Away, CopyProblem
from .queries import (
    events_query,
    keys_of,
    orders_query,
    paths_query,
    people_of_events_query,
    people_of_query,
    people_query,
    second_of,
    sums_query,
)
from .server import Server, connect
from .tables import LAYOUT
from .trails import trails_query

logger: logging.Logger = logging.getLogger("flask_eventtrack")

#: How far the copy may be behind.
MOST_BEHIND = dt.timedelta(minutes=5)
#: For how many seconds the copy is not asked after a failure.
PAUSE = 10.0
_SECONDS = 20
_CONNECTING = {"connect_timeout": 2, "send_receive_timeout": _SECONDS + 5, "query_retries": 0}
_SETTINGS: t.Final[dict[str, t.Any]] = {
    # A row is always in the same partition.
    "do_not_merge_across_partitions_select_final": 1,
    "force_grouping_standard_compatibility": 1,
    "max_execution_time": _SECONDS,
    "max_query_size": 64 * 1024 * 1024,
}
_EPOCH = dt.datetime(1970, 1, 1)  # noqa: DTZ001
_OF_EVENTS = {"page": "url_rule", "action": "action"}


class CopyReports:
    """What :class:`.Elsewhere` asks, of ClickHouse. Each process has its own connection.

    :param url: as :func:`.parse_place` returns it.
    :param database: what is copied there.
    """

    conditions: type[Conditions] = CopyConditions

    def __init__(self, url: sa.URL, database: Database, clock: Clock) -> None:
        self._url = url
        self._database = database
        self._clock = clock
        self._servers: dict[int, Server] = {}
        self._paused_until = 0.0
        self._reason = ""

    def check(self, connection: sa.Connection) -> None:
        with self._explained():
            note = find_copy(self._connect())
        if fault := self._find_fault(note, connection):
            raise CopyUnusable(fault)

    def count(self, asked: Asked) -> Sums:
        sums = Sums(asked.period, asked.question.bucket, asked.question.dimensions)
        self._add_sums(asked, sums)
        self._add_people(asked, sums)
        if asked.conditions:
            if {"page", "action"} & set(sums.dimensions):
                rows = self._read(events_query(asked))
                sums.add_events(0, ((asked.bounds[0], *row) for row in rows))
            sums.page_visits = [sums.counts_of(each).pages for each in range(len(sums.spans))]
        if asked.question.has_orders:
            places = _places_of(sums)
            for second, currency, orders, amount in self._read(orders_query(asked, sums)):
                sums.amounts[places[second]].add(orders, currency, amount)
        return sums

    def count_people(self, asked: Asked, dimension: str) -> dict[str, int] | None:
        if dimension == "hour":
            return None
        column = _OF_EVENTS.get(dimension)
        query = (
            people_of_events_query(asked, column) if column else people_of_query(asked, dimension)
        )
        return dict(self._read(query))

    def count_paths(self, asked: Asked, route: str) -> dict[str, int]:
        return dict(self._read(paths_query(asked, route)))

    def count_cohorts(
        self, asked: Asked, first: Step | None, returning: Step | None
    ) -> list[tuple[int, int, int, str]]:
        spans = asked.period.spans(asked.question.bucket)
        places = {second_of(span.start): place for place, span in enumerate(spans)}
        return [
            (places[span], places[later] - places[span], people, value)
            for span, later, value, people in self._read(cohorts_query(asked, first, returning))
        ]

    def count_trails(
        self, asked: Asked, start: Step, direction: Direction
    ) -> collections.Counter[Trail]:
        rows = self._read(trails_query(asked, start, direction))
        return collections.Counter({end_trail(places): number for places, number in rows})

    def read_begun(self, asked: Asked, plan: Plan, by: str | None) -> cabc.Iterator[Begun]:
        rows = self._iterate_begun(functools.partial(begun_query, asked, plan, by))
        return (Begun(number, _events_of(events)) for _, number, events in rows)

    def read_begun_by(self, asked: Asked, plan: Plan, most: int) -> cabc.Iterator[BegunBy]:
        rows = self._iterate_begun(functools.partial(lost_query, asked, plan, most))
        return (
            BegunBy(person, alike, [(unit, _events_of(events)) for unit, events in units])
            for _, person, alike, units in rows
        )

    def close(self) -> None:
        for pid in list(self._servers):
            server = self._servers.pop(pid, None)
            if server is not None and pid == os.getpid():
                server.close()

    def _add_sums(self, asked: Asked, sums: Sums) -> None:
        keys, places = keys_of(asked, sums), _places_of(sums)
        names = list(keys)
        for row in self._read(sums_query(asked, keys)):
            name, value = names[row[0]], row[1 + row[0]]
            number = pack(Counts(*row[1 + len(keys) :]))
            if name == "bucket":
                sums.counts[places[value]] += number
            elif name == "heat":
                sums.heat[divmod(value, 24)] += row[1 + len(keys)]
            else:
                text = f"{value:02}" if name == "hour" else (value or "").strip()
                sums.values[name][text] += number

    def _add_people(self, asked: Asked, sums: Sums) -> None:
        places = _places_of(sums)
        for second, people, first, new in self._read(people_query(asked, sums)):
            sums.add_visitors(places[second], people, new)
            sums.add_visitors(-1, first, new)

    # The server

    def _find_fault(self, note: Note, connection: sa.Connection) -> str:
        """Return why a copy cannot be used: a sentence, or ""."""
        tables = self._database.tables
        if not note.is_there:
            return "There is no copy in ClickHouse yet."
        if note.kind:
            return "The tables of the copy in ClickHouse are being exchanged."
        if note.layout != LAYOUT:
            return "The copy in ClickHouse was made by another release."
        if note.source != self._database.fingerprint:
            return "What is in ClickHouse is the copy of another database."
        batch = find_batch(connection, tables, note.position)
        if batch is not None and batch != note.batch:
            return "The copy in ClickHouse is from before the database was restored."
        next_at = find_next(connection, tables, note.position)
        if next_at is not None and next_at < from_ns(self._clock()) - MOST_BEHIND:
            minutes = MOST_BEHIND // dt.timedelta(minutes=1)
            return f"The copy in ClickHouse is more than {minutes} minutes behind."
        return ""

    def _iterate_begun(self, query: cabc.Callable[..., str]) -> cabc.Iterator[list[t.Any]]:
        """Return rows that first say whether a session is gone. Looking for its person takes long,
        so that is done only if one is."""
        rows = self._iterate(query(has_gone=False))
        first = next(rows, None)
        if first is None:
            return rows
        return self._iterate(query(has_gone=True)) if first[0] else itertools.chain([first], rows)

    def _read(self, query: str) -> list[list[t.Any]]:
        return list(self._iterate(query))

    def _iterate(self, query: str) -> cabc.Iterator[list[t.Any]]:
        with self._explained():
            return self._connect().iterate(query, **_SETTINGS)

    @contextlib.contextmanager
    def _explained(self) -> cabc.Iterator[None]:
        """Say in a sentence why the copy does not answer, and do not ask it for a while."""
        if time.monotonic() < self._paused_until:
            raise CopyUnusable(self._reason)
        try:
            yield
        except CopyProblem as problem:
            is_away = isinstance(problem, Away)
            self._reason = f"ClickHouse {'does not answer' if is_away else 'cannot be read'}."
            self._paused_until = time.monotonic() + PAUSE
            logger.warning("Reports run on the app's database, not on the copy: %s", problem)
            raise CopyUnusable(self._reason) from problem

    def _connect(self) -> Server:
        pid = os.getpid()
        if pid not in self._servers:
            self.close()  # in a fork's child, this only forgets the parent's
            made = connect(self._url, **_CONNECTING)
            if self._servers.setdefault(pid, made) is not made:  # another thread was faster
                made.close()
        return self._servers[pid]


def _events_of(rows: list[list[t.Any]]) -> list[Event]:
    """Return events whose times are in microseconds since 1970."""
    return [
        (_EPOCH + dt.timedelta(microseconds=at), fits, value, same)
        for at, fits, value, same in rows
    ]


def _places_of(sums: Sums) -> dict[int, int]:
    """Return the numbers of the buckets by their first second."""
    return {second_of(span.start): place for place, span in enumerate(sums.spans)}
