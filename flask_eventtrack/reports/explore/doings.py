"""Who did something when: had a session, or did a step. Who did it first, and who again."""

from __future__ import annotations

import collections.abc as cabc
import datetime as dt
import time
import typing as t

import sqlalchemy as sa

from ...store.dialects import id_as_text, ids_parameter, is_among
from ...store.reading import give_up
from ...store.types import NAIVE
from ..conditions import Conditions
from ..counting import Counter
from ..scan import AT_ONCE, Bounds, iter_ids, read_first_seen
from .event_conditions import EventConditions
from .steps import Step

#: When somebody did it, UTC without its zone, and the value of a dimension then.
Done = tuple[dt.datetime, str]


class Doing(t.Protocol):
    """Something that people do. They are named by their ids as text."""

    def find_first(self, bounds: Bounds, by: str | None) -> dict[str, Done]:
        """Return who did it between two moments in sessions that match the filter, and when first.

        Whoever has a session that names no person is unknown, and left out.

        :param by: the dimension of sessions whose value is wanted.
        """

    def find_first_ever(self, people: cabc.Collection[str]) -> dict[str, dt.datetime]:
        """Return when some people did it for the first time, in whatever session."""

    def iter_times(
        self, people: cabc.Collection[str], bounds: Bounds
    ) -> cabc.Iterator[tuple[str, dt.datetime]]:
        """Yield when some people did it between two moments, in whatever session."""


class _Reading:
    def __init__(self, counter: Counter, conditions: Conditions) -> None:
        self._counter = counter
        self._conditions = conditions
        self._name = counter.connection.dialect.name

    def _iter_rows(
        self, query: sa.Executable, parameters: dict[str, t.Any] | None = None
    ) -> cabc.Iterator[t.Any]:
        """Yield rows.

        :raises TimeUp: it took too long.
        """
        connection, options = self._counter.connection, {"yield_per": AT_ONCE}
        with connection.execute(query, parameters, execution_options=options) as result:
            for rows in result.partitions():
                yield from rows
                if time.monotonic() > self._counter.due:
                    give_up(connection)

    def _value(self, by: str | None) -> sa.ColumnElement[str]:
        if by is None:
            return sa.literal_column("''")
        return sa.func.trim(sa.func.coalesce(self._counter.tables.session.c[by], ""))

    def _earliest(self, query: sa.Executable) -> dict[str, Done]:
        found: dict[str, Done] = {}
        for person, at, value in self._iter_rows(query):
            if person not in found or (at, value) < found[person]:
                found[person] = at, value
        return found


class Sessions(_Reading):
    """To have a session."""

    def find_first(self, bounds: Bounds, by: str | None) -> dict[str, Done]:
        session = self._counter.tables.session.c
        person = id_as_text(self._name, session.person)
        query = sa.select(person, _naive(session.started_at), self._value(by))
        query = query.where(session.person.is_not(None), *_within(session.started_at, bounds))
        return self._earliest(query.where(*self._conditions.of(*bounds)))

    def find_first_ever(self, people: cabc.Collection[str]) -> dict[str, dt.datetime]:
        connection, tables = self._counter.connection, self._counter.tables
        return read_first_seen(connection, tables, people, self._conditions.sites)

    def iter_times(
        self, people: cabc.Collection[str], bounds: Bounds
    ) -> cabc.Iterator[tuple[str, dt.datetime]]:
        session = self._counter.tables.session.c
        query = sa.select(id_as_text(self._name, session.person), _naive(session.started_at))
        query = query.where(is_among(self._name, session.person))
        query = query.where(*_within(session.started_at, bounds))
        if self._conditions.sites is not None:
            query = query.where(session.site.in_(sorted(self._conditions.sites)))
        for ids in iter_ids(people):
            yield from self._iter_rows(query, ids_parameter(self._name, ids))


class Steps(_Reading):
    """To do a step: to visit a page, or to cause an event."""

    def __init__(self, counter: Counter, conditions: Conditions, step: Step) -> None:
        super().__init__(counter, conditions)
        event = counter.tables.event.c
        # Bots have no session.
        is_human = sa.or_(event.session_id.is_not(None), event.source != "bot")
        is_it = EventConditions(self._name, counter.catalogue).of_step(step, event)
        self._is_it = [is_it, is_human]
        if conditions.sites is not None:
            self._is_it.append(event.site.in_(sorted(conditions.sites)))

    def find_first(self, bounds: Bounds, by: str | None) -> dict[str, Done]:
        tables = self._counter.tables
        event, session = tables.event.c, tables.session.c
        ids = id_as_text(self._name, session.person), id_as_text(self._name, event.uuid)
        columns = sa.func.coalesce(*ids), _naive(event.time), self._value(by)
        query = sa.select(*columns).select_from(tables.event)
        is_of_session = event.session_id == session.id
        # Without a session, an event matches no filter.
        query = query.join(tables.session, is_of_session, isouter=not self._conditions)
        is_known = event.session_id.is_(None) | session.person.is_not(None)
        query = query.where(*self._is_it, is_known, *_within(event.time, bounds))
        if self._conditions:
            query = query.where(*self._conditions.of(*bounds, any_start=True))
        return self._earliest(query)

    def find_first_ever(self, people: cabc.Collection[str]) -> dict[str, dt.datetime]:
        found: dict[str, dt.datetime] = {}
        for person, query in self._queries():
            first = _naive(sa.func.min(self._counter.tables.event.c.time))
            whole = query.add_columns(first).group_by(person)
            for ids in iter_ids(people):
                for each, at in self._iter_rows(whole, ids_parameter(self._name, ids)):
                    found[each] = min(at, found.get(each, at))
        return found

    def iter_times(
        self, people: cabc.Collection[str], bounds: Bounds
    ) -> cabc.Iterator[tuple[str, dt.datetime]]:
        event = self._counter.tables.event.c
        for _, query in self._queries():
            whole = query.add_columns(_naive(event.time)).where(*_within(event.time, bounds))
            for ids in iter_ids(people):
                yield from self._iter_rows(whole, ids_parameter(self._name, ids))

    def _queries(self) -> cabc.Iterator[tuple[sa.Column[t.Any], sa.Select[t.Any]]]:
        """Yield the queries for what some people did in sessions, and without any."""
        tables = self._counter.tables
        event, session = tables.event.c, tables.session.c
        query = sa.select(id_as_text(self._name, session.person)).select_from(tables.session)
        query = query.join(tables.event, event.session_id == session.id)
        yield session.person, query.where(is_among(self._name, session.person), *self._is_it)
        query = sa.select(id_as_text(self._name, event.uuid)).where(event.session_id.is_(None))
        yield event.uuid, query.where(is_among(self._name, event.uuid), *self._is_it)


def _within(column: sa.ColumnElement[t.Any], bounds: Bounds) -> list[sa.ColumnElement[bool]]:
    return [column >= bounds[0], column < bounds[1]]


def _naive(column: sa.ColumnElement[t.Any]) -> sa.ColumnElement[dt.datetime]:
    return sa.type_coerce(column, NAIVE)
