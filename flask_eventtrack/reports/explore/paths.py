"""Paths: what sessions saw after a page or an event, or before it."""

from __future__ import annotations

import collections
import collections.abc as cabc
import itertools
import operator
import time
import typing as t

import sqlalchemy as sa

from ...errors import ReportError
from ...store.dialects import id_as_text, ids_parameter, is_among
from ...store.reading import give_up
from ...store.types import NAIVE
from ...store.visits import VISITS
from ...text import shorten
from ..conditions import Conditions
from ..counting import Counter, Question
from ..filters import Filter
from ..period import Period
from ..scan import AT_ONCE, ROWS_AT_ONCE, Bounds, iter_ids
from .event_conditions import EventConditions
from .path_rows import Direction, Paths
from .steps import Step
from .trails import Moment, Trail, follow, make_branches

# What a session saw that saw no page at all.
_NO_PAGES: Trail = (None,)
DIRECTIONS: t.Final[tuple[Direction, ...]] = t.get_args(Direction)


def read_paths(
    counter: Counter,
    start: Step,
    direction: Direction,
    period: Period,
    limits: Filter,
    sites: frozenset[str] | None,
) -> Paths:
    """Count the paths of a period."""
    if direction not in DIRECTIONS:
        raise ReportError(f"The direction is 'next' or 'before', not {shorten(direction)}.")
    start.check(counter.catalogue)
    cut = None
    trails = counter.ask_copy(
        period,
        Question(limits, sites),
        lambda copy, asked: copy.count_trails(asked, start, direction),
    )
    if trails is None:
        found = _Sessions(counter, start, direction, counter.conditions(limits, sites))
        cut = counter.make_cut(period, counter.by_parts(period, found.read, found.trails.update))
        trails = collections.Counter(found.trails.values())
    branches = make_branches(trails)
    return Paths(start.text, start.conditions, direction, trails.total(), *branches, cut)


class _Sessions:
    """The sessions that have the start in the period, read a part at a time, the latest first."""

    def __init__(
        self, counter: Counter, start: Step, direction: Direction, conditions: Conditions
    ) -> None:
        self._counter = counter
        self._start = start
        self._direction: Direction = direction
        self._conditions = conditions
        self._name = counter.connection.dialect.name
        self.trails: dict[str, Trail] = {}

    def read(self, bounds: Bounds) -> dict[str, Trail]:
        """Return the trails of the sessions that have the start between two moments."""
        starts: dict[str, Moment] = dict(self._iter_rows(self._make_query(bounds)))
        trails = dict.fromkeys(starts, _NO_PAGES)
        query = self._make_pages_query()
        for ids in iter_ids(starts):
            rows = self._iter_rows(query, ids_parameter(self._name, ids))
            for session, pages in itertools.groupby(rows, operator.itemgetter(0)):
                seen = [(at, route) for _, at, route in pages]
                trails[session] = follow(seen, starts[session], self._start.route, self._direction)
        return trails

    def _iter_rows(
        self, query: sa.Executable, parameters: dict[str, t.Any] | None = None
    ) -> cabc.Iterator[t.Any]:
        """Yield rows.

        :raises TimeUp: it took too long.
        """
        connection, options = self._counter.connection, {"yield_per": AT_ONCE}
        with connection.execute(query, parameters, execution_options=options) as result:
            for rows in result.partitions(ROWS_AT_ONCE):
                yield from rows
                if time.monotonic() > self._counter.due:
                    give_up(connection)

    def _make_query(self, bounds: Bounds) -> sa.Executable:
        tables = self._counter.tables
        event, session = tables.event.c, tables.session.c
        first = self._as_moment(sa.func.min(event.time))
        query = sa.select(id_as_text(self._name, event.session_id), first)
        query = query.where(
            EventConditions(self._name, self._counter.catalogue).of_step(self._start, event),
            event.session_id.is_not(None),
            event.time >= bounds[0],
            event.time < bounds[1],
        )
        if self._conditions:
            query = query.join_from(tables.event, tables.session, event.session_id == session.id)
            query = query.where(*self._conditions.of(*bounds, any_start=True))
        if self._conditions.sites is not None:
            query = query.where(event.site.in_(sorted(self._conditions.sites)))
        return query.group_by(event.session_id)

    def _make_pages_query(self) -> sa.Select[t.Any]:
        event = self._counter.tables.event.c
        session = id_as_text(self._name, event.session_id)
        query = sa.select(session, self._as_moment(event.time), event.url_rule)
        query = query.where(
            is_among(self._name, event.session_id), event.action.in_(sorted(VISITS))
        )
        return query.order_by(event.session_id)

    def _as_moment(self, column: sa.ColumnElement[t.Any]) -> sa.ColumnElement[t.Any]:
        """Return a time as it is compared: on SQLite as text, which takes half the time."""
        return sa.type_coerce(column, sa.Text() if self._name == "sqlite" else NAIVE)
