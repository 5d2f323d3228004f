"""Closed days: what the sessions of past days add up to, so that reports need not count them again.

The writer's chores close each day some minutes after its last session can have ended. If a session
of a closed day changes later, its transaction marks the day, and perhaps the visitor (see
:mod:`.marks`). The chores count what is marked again; until then, reports count it themselves.

Each step is one transaction, which holds row 1 of ``eventtrack_closed``: so two processes never
count at once. It removes a mark first, and counts in later statements. A transaction that changes a
session meanwhile sets its mark afterwards, and the next step counts again.
"""

from __future__ import annotations

import collections.abc as cabc
import dataclasses
import datetime as dt
import functools
import logging
import typing as t
import uuid as uuidlib

import sqlalchemy as sa

from .clock import limit_by_database
from .cohorts import Returns
from .day_counts import EVENT_DIMENSIONS, count_day, rows_of
from .dialects import in_chunks, larger_cache
from .engine import Database
from .local_days import NEVER, bounds_of, day_of, start_of
from .tables import Tables
from .visitor_days import Closed, Differences, Recount, add_day, find_recount, recount

logger: logging.Logger = logging.getLogger("flask_eventtrack")

#: So many marked people are counted again in one transaction.
PEOPLE_AT_ONCE: t.Final = 500
#: For so many marked people a report counts the differences itself.
MOST_PENDING: t.Final = 5000

# The visitors of a day are in pages all over a table, and each page is needed three times.
_CACHE_KIB = 32_000
_CLOSED, _ANEW = 1, 2  # the rows of eventtrack_closed
_NO_ONE = uuidlib.UUID(int=0)
_DAY = dt.timedelta(days=1)
_HOUR = dt.timedelta(hours=1)
_BEGINNING = dt.datetime(1000, 1, 1, tzinfo=dt.UTC)  # the first that MariaDB knows

DayKind = t.Literal["reopened", "recounted", "people", "closed"]


class DayStep(t.NamedTuple):
    """What a transaction has done: to which day, or to how many people."""

    kind: DayKind
    day: dt.date | None = None
    people: int = 0


def find_closed(connection: sa.Connection, tables: Tables) -> Closed | None:
    """Return which days are closed; None if there are none."""
    return _find(connection, tables, _CLOSED)


def find_marked_days(
    connection: sa.Connection, tables: Tables, closed: Closed
) -> cabc.Sequence[dt.date]:
    """Return the closed days that are to be counted again, the latest first."""
    day = tables.recount_day.c.day
    query = sa.select(day).where(day >= closed.since, day <= closed.until)
    return connection.scalars(query.order_by(day.desc())).all()


def find_pending(
    connection: sa.Connection, tables: Tables, zone: dt.tzinfo, closed: Closed
) -> Recount | None:
    """Return what the marked people will change in ``eventtrack_returning``.

    A report adds the differences to what it reads there in the same snapshot.

    :returns: None if more than 5,000 people are marked, or some while all days are counted anew.
        Then what is stored stands.
    """
    person = tables.recount_person.c.person
    people = connection.scalars(sa.select(person).limit(MOST_PENDING + 1)).all()
    if not people:
        return Recount([], [], Differences(), Returns(), {})
    is_anew = closed.zone != str(zone) or _find(connection, tables, _ANEW) is not None
    if len(people) > MOST_PENDING or is_anew:
        return None
    return find_recount(connection, tables, zone, closed, people)


def ask_for_recount(tables: Tables, since: dt.date, connection: sa.Connection) -> None:
    """Have all closed days from ``since`` on counted anew."""
    if find_closed(connection, tables) is None:
        return
    anew = _find(connection, tables, _ANEW)
    table = tables.closed
    if anew is None:
        row = {"id": _ANEW, "zone": "", "since": since, "until": since}
        connection.execute(table.insert().values(row))
    elif since < anew.since:
        change = table.update().where(table.c.id == _ANEW)
        connection.execute(change.values(since=since, until=since))


def count_days_anew(database: Database) -> None:
    """Have all closed days counted anew that may be: the data step of version 6."""
    database.retry(functools.partial(ask_for_recount, database.tables, NEVER))


def has_days_without_cohorts(connection: sa.Connection, tables: Tables) -> bool:
    """Whether closed days that may be counted again have visitors and no cohorts."""
    closed, returning, cohort = tables.closed.c, tables.returning.c, tables.cohort.c
    first = sa.select(closed.since).where(closed.id == _CLOSED).scalar_subquery()
    days = sa.select(returning.day).distinct()
    days = days.where(returning.site == "", returning.visitors > 0, returning.day >= first)
    found = days.subquery()
    has_cohorts = sa.exists().where(cohort.site == "", cohort.day == found.c.day)
    return connection.scalar(sa.select(found.c.day).where(~has_cohorts).limit(1)) is not None


def count_closed(connection: sa.Connection, tables: Tables, since: dt.date) -> int:
    """Return how many closed days from ``since`` on have something in them."""
    day = tables.daily.c.day
    query = sa.select(sa.func.count(day.distinct())).where(day >= since)
    return connection.scalar(query) or 0


def keep_from(connection: sa.Connection, tables: Tables, day: dt.date) -> None:
    """Note that sessions of days before this one are pruned: these are never counted again."""
    table = tables.closed
    change = table.update().where(table.c.id == _CLOSED, table.c.since < day)
    connection.execute(change.values(since=day))


@dataclasses.dataclass(slots=True)
class DayCloser:
    """Closes days, and counts again what is marked.

    A process that finds the days of another zone counts all of them anew, but only once: if they
    change back, processes with both zones are running, and this one gives way.

    :param settles_after: how long after the end of a day it is closed.
    """

    database: Database
    zone: dt.tzinfo
    settles_after: dt.timedelta
    had_its_zone: bool = False
    _has_warned: bool = False

    def iter_steps(
        self, now: dt.datetime, events_since: dt.datetime | None = None
    ) -> cabc.Iterator[DayStep]:
        """Do a step with each ``next()``, until nothing is left. What is marked is counted once.

        :param events_since: the moment since which all events are kept; None for all.
        """
        run = _Run(self, self.database.tables, now, events_since)
        while step := self.database.retry(run.step):
            self.had_its_zone |= run.has_its_zone
            yield step
        self.had_its_zone |= run.has_its_zone

    def warn_of_zone(self, zone: str) -> None:
        """Say once that processes with different zones are running."""
        if not self._has_warned:
            self._has_warned = True
            logger.warning(
                "Another process counts the days of reports in %s, and this one in %s: set the "
                "same EVENTTRACK_TIMEZONE for all, and restart them.",
                zone,
                self.zone,
            )


@dataclasses.dataclass(slots=True)
class _Run:
    """One pass: marks that are set behind it are left to the next one, so that it ends."""

    closer: DayCloser
    tables: Tables
    now: dt.datetime
    events_since: dt.datetime | None
    last_day: dt.date = NEVER
    last_person: uuidlib.UUID = _NO_ONE
    has_its_zone: bool = False

    def step(self, connection: sa.Connection) -> DayStep | None:
        """Do the next step; None if nothing is left."""
        closed = _find(connection, self.tables, _CLOSED, locks=True)
        if closed is None:
            return self._begin(connection)
        if closed.zone != self.zone_name:
            if self.closer.had_its_zone:
                self.closer.warn_of_zone(closed.zone)
                return None
            ask_for_recount(self.tables, closed.since, connection)
            self._set(connection, zone=self.zone_name)
        self.has_its_zone = True
        anew = _find(connection, self.tables, _ANEW)
        if anew is not None:
            return self._reopen(connection, closed, anew)
        return (
            self._reopen_early(connection, closed)
            or self._recount_day(connection, closed)
            or self._recount_people(connection, closed)
            or self._close_next(connection, closed)
        )

    @property
    def zone_name(self) -> str:
        return str(self.closer.zone)

    def _begin(self, connection: sa.Connection) -> DayStep | None:
        """Begin before the first day of all.

        In a step of its own: no other process can wait for a row that is not committed yet.
        """
        latest = _find_latest(connection, self.tables, NEVER)
        if latest is not None:  # the row that told of it was deleted
            _delete_day(connection, self.tables, latest)
            return DayStep("reopened", latest)
        first = _find_next(connection, self.tables, self.closer.zone, None)
        if first is None or first > self._find_last(connection):
            return None
        row = {"id": _CLOSED, "zone": self.zone_name, "since": NEVER, "until": first - _DAY}
        connection.execute(self.tables.closed.insert().values(row))
        return DayStep("reopened", first)

    def _reopen(self, connection: sa.Connection, closed: Closed, anew: Closed) -> DayStep:
        """Remove the rows of the latest closed day, to count it anew."""
        table = self.tables.closed
        since = max(closed.since, anew.since)
        day = _find_latest(connection, self.tables, since)
        if day is not None:
            _delete_day(connection, self.tables, day)
            self._set(connection, until=min(closed.until, day - _DAY))
            return DayStep("reopened", day)
        connection.execute(table.delete().where(table.c.id == _ANEW))
        if since == NEVER:
            connection.execute(table.delete().where(table.c.id == _CLOSED))
        else:
            self._set(connection, until=min(closed.until, since - _DAY))
        return DayStep("reopened", since)

    def _reopen_early(self, connection: sa.Connection, closed: Closed) -> DayStep | None:
        """Remove the rows of a day that has not ended: a clock was ahead when it was closed.

        Its sessions set no marks, since those of today need none.
        """
        today = day_of(limit_by_database(connection, self.now), self.closer.zone)
        if closed.until < today:
            return None
        day = _find_latest(connection, self.tables, today)
        if day is not None:
            _delete_day(connection, self.tables, day)
        until = (day or today) - _DAY
        self._set(connection, until=min(closed.until, until))
        return DayStep("reopened", day or today)

    def _recount_day(self, connection: sa.Connection, closed: Closed) -> DayStep | None:
        """Count the next marked day again."""
        table = self.tables.recount_day
        is_next = sa.and_(table.c.day > self.last_day, table.c.day <= closed.until)
        query = sa.select(table.c.day).where(is_next).order_by(table.c.day).limit(1)
        # Passing over what a writer holds: it sets its mark again, and no one waits for the other.
        day = connection.scalar(query.with_for_update(skip_locked=True))
        if day is None:
            return None
        self.last_day = day
        connection.execute(table.delete().where(table.c.day == day))
        if day >= closed.since:
            self._count(connection, day)
        return DayStep("recounted", day)

    def _recount_people(self, connection: sa.Connection, closed: Closed) -> DayStep | None:
        """Count the next marked people again."""
        table = self.tables.recount_person
        query = sa.select(table.c.person).where(table.c.person > self.last_person)
        query = query.order_by(table.c.person).limit(PEOPLE_AT_ONCE)
        people = connection.scalars(query.with_for_update(skip_locked=True)).all()
        if not people:
            return None
        self.last_person = people[-1]
        _delete_marks(connection, self.tables, people)
        recount(connection, self.tables, self.closer.zone, closed, people)
        return DayStep("people", people=len(people))

    def _close_next(self, connection: sa.Connection, closed: Closed) -> DayStep | None:
        """Close the next day, passing over days without anything."""
        last = self._find_last(connection)
        if last <= closed.until:
            return None
        day = _find_next(connection, self.tables, self.closer.zone, closed.until) or last
        return self._close(connection, min(day, last))

    def _find_last(self, connection: sa.Connection) -> dt.date:
        """Return the last day that may be closed."""
        now = limit_by_database(connection, self.now)
        return day_of(now - self.closer.settles_after, self.closer.zone) - _DAY

    def _close(self, connection: sa.Connection, day: dt.date) -> DayStep:
        table = self.tables.recount_day
        query = sa.select(table.c.day).where(table.c.day == day)
        if connection.scalar(query.with_for_update(skip_locked=True)) is not None:
            connection.execute(table.delete().where(table.c.day == day))
        self._count(connection, day)
        with larger_cache(connection, _CACHE_KIB):
            add_day(connection, self.tables, self.closer.zone, day)
        self._set(connection, until=day)
        return DayStep("closed", day)

    def _count(self, connection: sa.Connection, day: dt.date) -> None:
        """Replace what is stored of a day by what its sessions and events add up to."""
        table = self.tables.daily
        counts = count_day(connection, self.tables, self.closer.zone, day)
        is_old = table.c.day == day
        if self._has_lost_events(day):
            is_old = sa.and_(is_old, table.c.dimension.not_in(EVENT_DIMENSIONS))
            for dimensions in counts.values():
                for name in EVENT_DIMENSIONS:
                    dimensions.pop(name, None)
        connection.execute(table.delete().where(is_old))
        if rows := rows_of(day, counts):
            connection.execute(table.insert(), rows)

    def _has_lost_events(self, day: dt.date) -> bool:
        """Whether events of a closed day are pruned that it needs: see :func:`.count_events`."""
        bounds = bounds_of(day, self.closer.zone)
        is_pruned = self.events_since is not None and bounds[0] < self.events_since
        return is_pruned and any(moment.minute or moment.second for moment in bounds)

    def _set(self, connection: sa.Connection, **values: t.Any) -> None:
        table = self.tables.closed
        connection.execute(table.update().where(table.c.id == _CLOSED).values(values))


def recount_now(
    tables: Tables,
    zone: dt.tzinfo,
    people: cabc.Iterable[uuidlib.UUID],
    connection: sa.Connection,
) -> None:
    """Count some people again in the caller's transaction, whether they are marked or not."""
    closed = _find(connection, tables, _CLOSED, locks=True)
    for chunk in in_chunks(sorted(people)):
        _delete_marks(connection, tables, chunk)
        if closed is not None:
            recount(connection, tables, zone, closed, chunk)


def _delete_marks(
    connection: sa.Connection, tables: Tables, people: cabc.Iterable[uuidlib.UUID]
) -> None:
    table = tables.recount_person
    for chunk in in_chunks(people):
        connection.execute(table.delete().where(table.c.person.in_(chunk)))


def _find(
    connection: sa.Connection, tables: Tables, number: int, *, locks: bool = False
) -> Closed | None:
    table = tables.closed
    query = sa.select(*(table.c[name] for name in Closed._fields)).where(table.c.id == number)
    row = connection.execute(query.with_for_update() if locks else query).first()
    return None if row is None else Closed(*row)


def _find_next(
    connection: sa.Connection, tables: Tables, zone: dt.tzinfo, until: dt.date | None
) -> dt.date | None:
    """Return the first day after ``until`` on which anything happened."""
    lower = _BEGINNING if until is None else start_of(until + _DAY, zone)
    began, hour = tables.session.c.started_at, tables.hourly.c.hour
    first = connection.scalar(sa.select(sa.func.min(began)).where(began >= lower))
    total = connection.scalar(sa.select(sa.func.min(hour)).where(hour > lower - _HOUR))
    moments = [max(moment, lower) for moment in (first, total) if moment is not None]
    return day_of(min(moments), zone) if moments else None


def _find_latest(connection: sa.Connection, tables: Tables, since: dt.date) -> dt.date | None:
    """Return the latest day that has rows."""
    columns = tables.daily.c.day, tables.person_day.c.day
    queries = (sa.select(sa.func.max(day)).where(day >= since) for day in columns)
    return max(filter(None, map(connection.scalar, queries)), default=None)


def _delete_day(connection: sa.Connection, tables: Tables, day: dt.date) -> None:
    for table in (tables.daily, tables.returning, tables.cohort, tables.person_day):
        connection.execute(table.delete().where(table.c.day == day))
