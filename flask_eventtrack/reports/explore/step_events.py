"""Reads the events of a funnel's steps, by person or session."""

from __future__ import annotations

import collections
import collections.abc as cabc
import itertools
import time
import typing as t

import sqlalchemy as sa

from ...store.dialects import id_as_text, ids_parameter, is_among
from ...store.reading import give_up
from ...store.types import NAIVE
from ..conditions import Conditions
from ..counting import Counter
from ..scan import AT_ONCE, MOST_IDS, ROWS_AT_ONCE, Bounds, iter_ids
from .attempts import Event
from .event_conditions import EventConditions, Events, actions_of
from .plan import Plan
from .steps import Step

_True = sa.ColumnElement[bool]


class Part(t.NamedTuple):
    """The events of a part of the period: a column for each member of an event, and the places of
    events by person or session.

    ``events`` has those with an event of a later step, with the places of all their events.
    ``firsts`` has all others, with the place of their first event.
    """

    columns: tuple[list[t.Any], ...]
    events: dict[str, list[int]]
    firsts: dict[str, int]


class StepColumns:
    """What a funnel reads of each event, as SQL.

    :param event: the columns of the table of events.
    :param begins: the conditions on the sessions in which attempts begin.
    """

    def __init__(
        self,
        plan: Plan,
        event: Events,
        on_events: EventConditions,
        begins: cabc.Sequence[_True] = (),
    ) -> None:
        self._plan = plan
        self._event = event
        self._on_events = on_events
        self._limits = [
            sa.and_(self._limit(step), *([] if place else begins))
            for place, step in enumerate(plan.events)
        ]

    @property
    def actions(self) -> frozenset[str]:
        """The actions of all steps."""
        return frozenset().union(*map(actions_of, self._plan.events))

    @property
    def fits(self) -> sa.ColumnElement[int]:
        """The bits of the steps that an event fits, as :mod:`.attempts` has them."""
        bits = (sa.case((is_it, 1 << place), else_=0) for place, is_it in enumerate(self._limits))
        return sum(bits, sa.literal(0))

    @property
    def same(self) -> sa.ColumnElement[t.Any]:
        """The value of the parameter on which steps are joined; NULL if there is none."""
        name, event = self._plan.same, self._event
        if name is None:
            return sa.null()
        actions = {each.action for each in self._plan.events}
        values = (
            (event.action == action, self._on_events.value_of(action, name, event))
            for action in sorted(actions)
        )
        return sa.case(*values)

    def during(self, bounds: Bounds, sites: frozenset[str] | None) -> list[_True]:
        """Return the conditions on the events of a time: that one fits a step, and is no bot's."""
        event = self._event
        # Bots have no session, so only events without one need a look at their source.
        has_session = event.session_id.is_not(None)
        per_session = self._plan.per == "session"
        found = [
            event.time >= bounds[0],
            event.time < bounds[1],
            sa.or_(*self._limits),
            has_session if per_session else has_session | (event.source != "bot"),
        ]
        return found if sites is None else [*found, event.site.in_(sorted(sites))]

    def _limit(self, step: Step) -> _True:
        """Return the condition that an event is one of a step."""
        is_it = self._on_events.of_step(step, self._event)
        return is_it if self._plan.same is None else sa.and_(is_it, self.same.is_not(None))


class StepEvents:
    """The events of a funnel's steps, read a part of the period at a time, the latest first.

    What is read is kept in columns: the garbage collector would visit each row. ``events`` and
    ``firsts`` are those of a :class:`Part`, of all parts so far.

    :param by: the dimension of sessions whose value each event has.
    """

    def __init__(
        self, counter: Counter, plan: Plan, conditions: Conditions, by: str | None
    ) -> None:
        self._counter = counter
        self._plan = plan
        self._conditions = conditions
        self._by = by
        self._name = counter.connection.dialect.name
        self._on_events = EventConditions(self._name, counter.catalogue)
        self.columns: tuple[list[t.Any], ...] = ([], [], [], [])
        self.events: dict[str, list[int]] = {}
        self.firsts: dict[str, int] = {}

    def read(self, bounds: Bounds) -> Part:
        """Read the events between two moments.

        Of people with events of the first step alone, one is enough.
        """
        sessions, uuids, times, fits, same = self._read_columns(self._make_query(bounds))
        units, values = self._find_owners(set(sessions) - {None}, bounds)
        keys = [session or uuid for session, uuid in zip(sessions, uuids, strict=True)]
        whose = [units.get(key, key) for key in keys]
        later = {unit for unit, each in zip(whose, fits, strict=True) if each != 1}
        later |= self.events.keys()
        dimension = [values.get(key, "") for key in keys]
        part = Part((times, fits, dimension, same), collections.defaultdict(list), {})
        events, firsts = part.events, part.firsts
        for place, unit in enumerate(whose):
            if unit in later:
                events[unit].append(place)
                continue
            first = firsts.setdefault(unit, place)
            # Of those at one moment, the value decides.
            if (times[place], dimension[place]) < (times[first], dimension[first]):
                firsts[unit] = place
        return part

    def merge(self, part: Part) -> None:
        """Add an earlier part of the period: the events that have a place in it, and no others."""
        places = [*itertools.chain.from_iterable(part.events.values()), *part.firsts.values()]
        new_places = itertools.count(len(self.columns[0]))
        for column, values in zip(self.columns, part.columns, strict=True):
            column.extend(values[place] for place in places)
        for unit, theirs in part.events.items():
            self.events.setdefault(unit, []).extend(itertools.islice(new_places, len(theirs)))
        self.firsts.update(zip(part.firsts, new_places, strict=False))

    def pick(self, places: cabc.Iterable[int]) -> list[Event]:
        """Return the events at some places."""
        times, fits, values, same = self.columns
        return [(times[at], fits[at], values[at], same[at]) for at in places]

    def _make_query(self, bounds: Bounds) -> sa.Select[t.Any]:
        """Return the query for the events of all steps. One index has all its columns."""
        tables, plan = self._counter.tables, self._plan
        event, session = tables.event.c, tables.session.c
        begins = []
        if self._conditions:  # without a session, an event matches no filter
            begins = [session.id.is_not(None), *self._conditions.of(*bounds, any_start=True)]
        columns = StepColumns(plan, event, self._on_events, begins)
        has_session = event.session_id.is_not(None)
        query = sa.select(
            id_as_text(self._name, event.session_id),
            sa.case((has_session, None), else_=id_as_text(self._name, event.uuid)),
            sa.type_coerce(event.time, NAIVE),
            columns.fits,
            columns.same,
        ).select_from(tables.event)
        if self._conditions:
            query = query.outerjoin(tables.session, event.session_id == session.id)
        return query.where(*columns.during(bounds, self._conditions.sites))

    def _find_owners(
        self, sessions: set[str], bounds: Bounds
    ) -> tuple[dict[str, str], dict[str, str]]:
        """Return the person of some sessions, and their values of the dimension.

        A session of which the first has none stands for itself. Sessions are asked and not events,
        of which there are more.
        """
        per, by, session = self._plan.per, self._by, self._counter.tables.session.c
        if per == "session" and by is None:
            return {}, {}
        ids = [id_as_text(self._name, session[name]) for name in ("id", "person", "uuid")]
        unit = ids[0] if per == "session" else sa.func.coalesce(*ids[1:])
        query = sa.select(ids[0], unit, sa.null() if by is None else _value(session[by]))
        units, values = dict[str, str](), dict[str, str]()

        def add(limited: sa.Executable, parameters: dict[str, t.Any] | None = None) -> None:
            found, theirs, of = self._read_columns(limited, parameters)
            units.update(zip(found, theirs, strict=True))
            if by is not None:
                values.update(zip(found, of, strict=True))

        if len(sessions) > MOST_IDS:  # reading all of the time is faster than so many by id
            add(query.where(session.started_at >= bounds[0], session.started_at < bounds[1]))
        for numbers in iter_ids(sessions - units.keys()):
            among = query.where(is_among(self._name, session.id))
            add(among, ids_parameter(self._name, numbers))
        if per == "person":
            units.update(self._iter_profiles(sessions - units.keys()))
        return units, values

    def _iter_profiles(self, sessions: set[str]) -> cabc.Iterator[tuple[str, str]]:
        """Yield the profile of the events of sessions that were removed before their events."""
        event = self._counter.tables.event.c
        session = id_as_text(self._name, event.session_id)
        query = sa.select(session, sa.func.min(id_as_text(self._name, event.uuid)))
        query = query.where(is_among(self._name, event.session_id)).group_by(event.session_id)
        for numbers in iter_ids(sessions):
            found = self._read_columns(query, ids_parameter(self._name, numbers))
            yield from zip(*found, strict=True)

    def _read_columns(
        self, query: sa.Executable, parameters: dict[str, t.Any] | None = None
    ) -> list[list[t.Any]]:
        """Return the columns of rows.

        :raises TimeUp: it took too long.
        """
        connection, options = self._counter.connection, {"yield_per": AT_ONCE}
        with connection.execute(query, parameters, execution_options=options) as result:
            names = result.keys()
            found: list[list[t.Any]] = [[] for _ in names]
            for rows in result.partitions(ROWS_AT_ONCE):
                for column, values in zip(found, zip(*rows, strict=True), strict=True):
                    column.extend(values)
                if time.monotonic() > self._counter.due:
                    give_up(connection)
        return found


def _value(column: sa.Column[t.Any]) -> sa.ColumnElement[str]:
    return sa.func.trim(sa.func.coalesce(column, ""))
