"""Cohorts of visitors by the closed days, and by the sessions of the days after them."""

from __future__ import annotations

import collections.abc as cabc
import datetime as dt
import typing as t
import uuid as uuidlib

import sqlalchemy as sa

from ...store.dialects import id_as_text, ids_parameter, is_among
from ...store.local_days import NEVER, day_of, iter_days, start_of, start_of_unit
from ...store.visitor_days import Recount
from ..counting import Counter
from ..period import Period
from ..scan import iter_ids
from .cohorts import Cohorts
from .retention_rows import By

_DAY = dt.timedelta(days=1)
_MOST_LIVE = 31
_COLUMNS = {"day": "visitors", "week": "of_week", "month": "of_month"}


class _Known(t.NamedTuple):
    """On which day somebody first came, if that is known, and last."""

    first: dt.date | None
    last: dt.date


_NEW = _Known(None, NEVER)


def read_counted(
    counter: Counter, by: By, period: Period, sites: frozenset[str] | None, into: Cohorts
) -> bool:
    """Add all visitors.

    :returns: False if closed days cannot tell: of several sites, or if too much is to be counted.
    """
    until, pending = counter.closed.until, counter.closed.pending
    if until is None or pending is None or (sites is not None and len(sites) != 1):
        return False
    if (period.last_begun - until).days > _MOST_LIVE or (sites is not None and "" in sites):
        return False
    site = next(iter(sites or ()), "")
    counted = _Counted(counter, by, period, site, into)
    counted.add_stored(min(until, period.last_begun))
    counted.add_pending(pending, until)
    if until < period.last_begun:
        counted.add_live(until + _DAY, pending)
    return True


class _Counted:
    def __init__(self, counter: Counter, by: By, period: Period, site: str, into: Cohorts) -> None:
        self._counter = counter
        self._by = by
        self._period = period
        self._site = site
        self._cohorts = into
        self._places = {
            day: place
            for place, span in enumerate(into.spans)
            for day in iter_days(span.first, span.last)
        }

    def add_stored(self, last: dt.date) -> None:
        """Add what is stored of the closed days."""
        table = self._counter.tables.cohort.c
        number = table[_COLUMNS[self._by]]
        query = sa.select(table.day, table.first_day, number).where(
            table.site == self._site,
            table.day >= self._period.first,
            table.day <= last,
            table.first_day >= self._period.first,
            number != 0,
        )
        for day, first, count in self._counter.connection.execute(query):
            self._add(first, day, int(count))

    def add_pending(self, pending: Recount, until: dt.date) -> None:
        """Add what the marked people change in that."""
        for (site, day, first, previous), number in pending.returns.items():
            if site == self._site and day <= until:
                self._add_visit(first, day, previous, number)

    def add_live(self, since: dt.date, pending: Recount) -> None:
        """Add the visitors of the days after the closed ones."""
        visitors = self._read_visitors(since)
        everyone = set[str]().union(*visitors.values())
        known = self._read_known(everyone) | self._read_marked(everyone, pending)
        for day in sorted(visitors):
            for person in visitors[day]:
                before = known.get(person, _NEW)
                if before == _NEW:
                    before = _Known(day, NEVER)
                if before.first is not None:
                    self._add_visit(before.first, day, before.last, 1)
                known[person] = before._replace(last=day)

    def _add_visit(self, first: dt.date, day: dt.date, previous: dt.date, number: int) -> None:
        """Add visitors of a day, unless they were here earlier in the same week or month."""
        if previous < start_of_unit(day, self._by):
            self._add(first, day, number)

    def _add(self, first: dt.date, day: dt.date, number: int) -> None:
        if first in self._places and day in self._places:
            place = self._places[first]
            self._cohorts.add(place, self._places[day] - place, number)

    def _read_visitors(self, since: dt.date) -> dict[dt.date, set[str]]:
        """Return who was here on the days from one on."""
        session, name = self._counter.tables.session.c, self._counter.connection.dialect.name
        ids = id_as_text(name, session.person), id_as_text(name, session.uuid)
        query = sa.select(sa.func.coalesce(*ids), session.started_at).where(
            session.started_at >= start_of(since, self._period.zone),
            session.started_at < self._cohorts.spans[-1].end,
        )
        if self._site:
            query = query.where(session.site == self._site)
        found: dict[dt.date, set[str]] = {}
        for person, at in self._counter.connection.execute(query):
            found.setdefault(day_of(at, self._period.zone), set()).add(person)
        return found

    def _read_known(self, people: cabc.Collection[str]) -> dict[str, _Known]:
        """Return what closed days tell of some people; without those whom they do not know."""
        table, name = self._counter.tables.person_day.c, self._counter.connection.dialect.name
        first = sa.func.max(sa.case((table.previous == NEVER, table.day)))
        query = sa.select(id_as_text(name, table.person), first, sa.func.max(table.day))
        query = query.where(is_among(name, table.person), table.site == self._site)
        found: dict[str, _Known] = {}
        for ids in iter_ids(people):
            rows = self._counter.connection.execute(
                query.group_by(table.person), ids_parameter(name, ids)
            )
            found.update((person, _Known(begun, last)) for person, begun, last in rows)
        return found

    def _read_marked(self, people: cabc.Collection[str], pending: Recount) -> dict[str, _Known]:
        """Return the same of the marked people, as it is by their sessions."""
        changed = {row[0] for row in pending.removed} | {row[0] for row in pending.added}
        texts = {uuidlib.UUID(each): each for each in people} if changed else {}
        marked = changed & texts.keys()
        if not marked:
            return {}
        table, name = self._counter.tables.person_day.c, self._counter.connection.dialect.name
        query = sa.select(table.person, table.day, table.previous).where(
            is_among(name, table.person), table.site == self._site
        )
        ids = ids_parameter(name, [each.int for each in marked])
        chains: dict[uuidlib.UUID, dict[dt.date, dt.date]] = {each: {} for each in marked}
        for person, day, previous in self._counter.connection.execute(query, ids):
            chains[person][day] = previous
        for person, site, day in pending.removed:
            if person in marked and site == self._site:
                chains[person].pop(day, None)
        for person, site, day, previous in pending.added:
            if person in marked and site == self._site:
                chains[person][day] = previous
        return {texts[person]: _known_by(chain) for person, chain in chains.items()}


def _known_by(chain: cabc.Mapping[dt.date, dt.date]) -> _Known:
    first = next((day for day, previous in chain.items() if previous == NEVER), None)
    return _Known(first, max(chain, default=NEVER))
