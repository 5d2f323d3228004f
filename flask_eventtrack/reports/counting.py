"""Counts a period: from closed days where that is possible, otherwise session by session."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses
import datetime as dt
import time
import typing as t

import sqlalchemy as sa

from ..catalogue.definitions import Catalogue
from ..store.local_days import NEVER, day_of, iter_days, start_of
from ..store.reading import TimeUp
from ..store.tables import Tables
from . import closed, scan
from .conditions import Conditions
from .elsewhere import NOT_THERE, Asked, CopyUnusable, Elsewhere
from .explore.goals import Goal, Goals
from .filters import Filter
from .period import Bucket, Period
from .reader import Reader
from .revenue import read_orders
from .rows import Cut
from .sums import Slice, Sums

#: How many seconds a report may read what no closed day has counted.
SCAN_SECONDS = 2.0
#: How many seconds the reading of a part should take. It is lost if the time is over meanwhile.
PART_SECONDS = 0.25
# How many days that are not closed are counted without that limit.
_MOST_LIVE = 31
_Part = t.TypeVar("_Part")
_Told = t.TypeVar("_Told")
_DAY = dt.timedelta(days=1)


@dataclasses.dataclass(frozen=True, slots=True)
class Question:
    """What is asked of the sessions of a period."""

    limits: Filter
    sites: frozenset[str] | None
    bucket: Bucket = "day"
    dimensions: tuple[str, ...] = ()
    has_heat: bool = False
    has_orders: bool = True


@dataclasses.dataclass(frozen=True, slots=True)
class Answer:
    """What was counted of a period: of all of it, or only of the time from ``since`` on."""

    sums: Sums
    since: dt.datetime | None = None


class Counter:
    """Counts periods on one connection, which sees one moment.

    :param due: when the reading of single sessions has to be done, by the monotonic clock.
    """

    def __init__(
        self,
        reader: Reader,
        connection: sa.Connection,
        catalogue: Catalogue,
        zone: dt.tzinfo,
        goals: Goals,
        due: float | None = None,
    ) -> None:
        self._reader = reader
        self.connection: sa.Connection = connection
        self.catalogue: Catalogue = catalogue
        self._zone = zone
        self._goals = goals
        self.due: float = time.monotonic() + SCAN_SECONDS if due is None else due
        self.closed: closed.ClosedDays = closed.read_closed(connection, reader.tables, zone)
        #: Why the copy was not used, if there is one: a sentence.
        self.lacks_copy: str = NOT_THERE if reader.elsewhere else ""
        self._copy: Elsewhere | None = reader.elsewhere
        self._is_checked = False

    @property
    def tables(self) -> Tables:
        return self._reader.tables

    def find_first_day(self, sites: cabc.Collection[str] | None = None) -> dt.date | None:
        """Return the first day of which anything is known; None if there is none.

        :param sites: only what is known of these sites.
        """
        daily = self.tables.daily.c
        closed_day = sa.select(sa.func.min(daily.day)).where(
            daily.site.in_([""] if sites is None else sorted(sites)), daily.dimension == ""
        )
        days = [self.connection.scalar(closed_day)]
        first = self._find_first_start(sites)
        days.append(day_of(first, self._zone) if first else None)
        return min((day for day in days if day), default=None)

    def _find_first_start(self, sites: cabc.Collection[str] | None = None) -> dt.datetime | None:
        """Return when the first session began."""
        session = self.tables.session.c
        query = sa.select(sa.func.min(session.started_at))
        if sites is not None:
            query = query.where(session.site.in_(sorted(sites)))
        first: dt.datetime | None = self.connection.scalar(query)
        return first

    def conditions(
        self,
        limits: Filter,
        sites: frozenset[str] | None,
        kind: type[Conditions] = Conditions,
    ) -> Conditions:
        """Return the conditions of a filter and of the sites that may be counted."""
        return kind(
            *without_site(limits, sites),
            tables=self.tables,
            dialect_name=self.connection.dialect.name,
            catalogue=self.catalogue,
            zone=self._zone,
            goals=self.read_goals() if any(c.field == "goal" for c in limits.conditions) else {},
        )

    def read_goals(self) -> dict[str, Goal]:
        """Return the goals by name."""
        return self._goals.read(self.connection, self.tables)

    def count(self, period: Period, question: Question) -> Answer:
        """Count a period."""
        sums = Sums(period, question.bucket, question.dimensions)
        live = self.live_days(period, question.bucket)
        conditions = self.conditions(question.limits, question.sites)
        sites = conditions.sites
        if not sums.spans:
            return Answer(sums)
        if conditions or not _has_own_rows(sites) or len(live) > _MOST_LIVE:
            told = self.ask_copy(period, question, lambda copy, asked: copy.count(asked))
            if told is not None:
                if not conditions:
                    self._add_events(told, (period.start, _end_of(period)), sites)
                return Answer(told)
            answer = self._scan(sums, conditions)
        else:
            self._count(sums, live, conditions, has_heat=question.has_heat)
            answer = Answer(sums)
        if question.has_orders:
            start = max(period.start, answer.since or period.start)
            bounds = (start, _end_of(period))
            sessions = self.find_sessions(period.now, bounds, conditions, answer.sums.sessions)
            read_orders(self.connection, self.tables, bounds, conditions, answer.sums, sessions)
        return answer

    def find_sessions(
        self,
        now: dt.datetime,
        bounds: scan.Bounds,
        conditions: Conditions,
        within: cabc.Sequence[str] | None = None,
    ) -> list[str] | None:
        """Return the ids of all sessions that match a filter, whenever they started.

        :param within: the ids of those that started between the bounds, if they are known.
        :returns: None without a filter, if there are too many, or if looking up the session of each
            order is faster: the bounds are then less than half of the time.
        """
        found = list(within or ())
        if not conditions or len(found) > scan.MOST_IDS:
            return None
        lower, upper = bounds
        first, last = self._find_first_start() or lower, now + _DAY
        outside = [each for each in ((first, lower), (upper, last)) if each[0] < each[1]]
        length = sum((end - start for start, end in outside), dt.timedelta())
        if length > upper - lower:
            return None
        try:
            with self._reader.limited(self.connection, self.due - time.monotonic()):
                for each in outside if within is not None else [bounds, *outside]:
                    limits = conditions.of(*each)
                    found += scan.read_ids(self.connection, self.tables, each, limits)
        except TimeUp:
            return None
        return found if len(found) <= scan.MOST_IDS else None

    def live_days(self, period: Period, bucket: Bucket) -> list[dt.date]:
        """Return the days of a period that are counted session by session."""
        last = period.last_begun
        if bucket == "hour":
            return list(iter_days(period.first, last))
        is_cut = self._is_cut(period)
        return [
            day
            for day in iter_days(period.first, last)
            if not self.closed.is_closed(day)
            or day in self.closed.marked
            or (is_cut and day == last)
        ]

    def _is_cut(self, period: Period) -> bool:
        """Whether a period ends before its last day does."""
        return period.end < start_of(period.last_begun + _DAY, self._zone)

    def make_cut(self, period: Period, since: dt.datetime | None) -> Cut | None:
        """Return what to say of a report that covers only the time since a moment."""
        return Cut(since, _say_cut(period, since), self.lacks_copy) if since else None

    def count_people(
        self, dimension: str, period: Period, question: Question
    ) -> dict[str, int] | None:
        """Return how many people there were of each value; None if that takes too long."""
        told = self.ask_copy(
            period, question, lambda copy, asked: copy.count_people(asked, dimension)
        )
        if told is not None:
            return told
        bounds = (period.start, _end_of(period))
        conditions = self.conditions(question.limits, question.sites)
        try:
            with self._reader.limited(self.connection, self.due - time.monotonic()):
                return scan.count_people(
                    self.connection, self.tables, bounds, conditions.of(*bounds), dimension
                )
        except TimeUp:
            return None

    # From the copy

    def ask_copy(
        self,
        period: Period,
        question: Question,
        ask: cabc.Callable[[Elsewhere, Asked], _Told],
    ) -> _Told | None:
        """Return what the copy tells; None if there is none, or if it cannot be used."""
        copy, began = self._copy, time.monotonic()
        if copy is None:
            return None
        bounds = (period.start, _end_of(period))
        conditions = self.conditions(question.limits, question.sites, copy.conditions)
        try:
            if not self._is_checked:
                copy.check(self.connection)
                self._is_checked = True
            return ask(copy, Asked(period, bounds, question, conditions))
        except CopyUnusable as reason:
            self._copy, self.lacks_copy = None, str(reason)
            self.due += time.monotonic() - began
            return None

    # From closed days

    def _count(
        self, sums: Sums, live: cabc.Sequence[dt.date], conditions: Conditions, *, has_heat: bool
    ) -> None:
        period, tables, connection = sums.period, self.tables, self.connection
        site = next(iter(conditions.sites or ()), "")
        counted = set(live)
        stored = [d for d in iter_days(period.first, period.last_begun) if d not in counted]
        if stored:
            closed.read_daily(connection, tables, site, stored, sums)
            if has_heat:
                closed.read_heat(connection, tables, site, stored, sums)
        one_by_one = self._one_by_one(sums, live)
        slices = sums.slices(one_by_one)
        for first, last in _runs(live):
            bounds = (
                start_of(first, self._zone),
                min(start_of(last + _DAY, self._zone), period.end),
            )
            limits = conditions.of(*bounds)
            scan.read_sessions(connection, tables, bounds, limits, slices, sums)
            self._add_events(sums, bounds, conditions.sites)
        last_closed = one_by_one[0] - _DAY if one_by_one else period.last_begun
        closed.read_visitors(connection, tables, site, last_closed, self.closed.pending, sums)
        self._add_visitors(sums, site, one_by_one)

    def _one_by_one(self, sums: Sums, live: cabc.Sequence[dt.date]) -> list[dt.date]:
        """Return the last days of a period, whose visitors no closed day tells."""
        if sums.bucket == "hour":
            return list(live)
        last = sums.period.last_begun
        is_cut = self._is_cut(sums.period)
        return [day for day in live if not self.closed.is_closed(day) or (is_cut and day == last)]

    def _add_events(self, sums: Sums, bounds: scan.Bounds, sites: frozenset[str] | None) -> None:
        """Add page visits and events of a time by their own time."""
        connection, tables = self.connection, self.tables
        if all(span.start.minute == 0 for span in sums.spans):
            sums.add_events(None, scan.read_events(connection, tables, bounds, sites))
            return
        for number, span in enumerate(sums.spans):
            part = (max(span.start, bounds[0]), min(span.end, bounds[1]))
            if part[0] < part[1]:
                sums.add_events(number, scan.read_events(connection, tables, part, sites))

    def _add_visitors(self, sums: Sums, site: str, days: cabc.Sequence[dt.date]) -> None:
        if not days:
            return
        everyone = set().union(*(people for (_, day), people in sums.people.items() if day))
        chain = closed.read_previous(
            self.connection,
            self.tables,
            self._zone,
            site,
            everyone,
            days[0],
            self.closed,
        )
        for (bucket, day), people in sorted(sums.people.items(), key=_by_bucket):
            if day is not None:
                self._add_people(sums, bucket, day, people, chain)

    def _add_people(
        self, sums: Sums, bucket: int, day: dt.date, people: set[str], chain: dict[str, dt.date]
    ) -> None:
        first = sums.spans[bucket].first
        is_hour = sums.bucket == "hour"
        for person in people:
            previous = chain.get(person, NEVER)
            sums.visitors[bucket] += is_hour or previous < first
            sums.new_visitors[bucket] += previous == NEVER
            sums.all_visitors += previous < sums.period.first
            sums.all_new += previous == NEVER
            chain[person] = day

    # Session by session

    def _scan(self, sums: Sums, conditions: Conditions) -> Answer:
        """Count the newest part first, and stop when it takes too long."""
        slices, first_seen = sums.slices(), dict[str, dt.datetime]()

        def read(bounds: scan.Bounds) -> Sums:
            part = sums.part()
            self._scan_part(part, bounds, conditions, slices)
            new = _everyone(part) - first_seen.keys()
            seen = scan.read_first_seen(self.connection, self.tables, new, conditions.sites)
            first_seen.update(seen)
            return part

        oldest = self._find_first_start() if conditions else None
        since = self.by_parts(sums.period, read, sums.merge, oldest)
        start = (since or sums.period.start).replace(tzinfo=None)
        _count_people(sums, {each for each, moment in first_seen.items() if moment < start})
        if conditions:
            sums.page_visits = [sums.counts_of(each).pages for each in range(len(sums.spans))]
        return Answer(sums, since)

    def by_parts(
        self,
        period: Period,
        read: cabc.Callable[[scan.Bounds], _Part],
        merge: cabc.Callable[[_Part], None],
        oldest: dt.datetime | None = None,
    ) -> dt.datetime | None:
        """Read the parts of a period, the newest first, until the time is over.

        Parts grow where they are read fast, since each statement takes some time.

        :param oldest: there is nothing before this moment.
        :returns: from when on it was read; None if all of it was.
        """
        since = _end_of(period)
        starts, number = list(_parts_of(period, self._zone)), 1
        while starts:
            if oldest is not None and since <= oldest:
                return None
            # No database stops statements that read nothing, however many there are.
            began = time.monotonic()
            if began > self.due:
                return since
            start = starts[:number][-1]
            try:
                with self._reader.limited(self.connection, self.due - began):
                    part = read((start, since))
            except TimeUp:
                return since
            merge(part)
            since = start
            del starts[:number]
            ended = time.monotonic()
            limit = min(PART_SECONDS, self.due - ended)
            number = _next_number(number, ended - began, limit)
        return None

    def _scan_part(
        self,
        part: Sums,
        bounds: scan.Bounds,
        conditions: Conditions,
        slices: cabc.Sequence[Slice],
    ) -> None:
        connection, tables = self.connection, self.tables
        limits, with_ids = conditions.of(*bounds), bool(conditions)
        scan.read_sessions(
            connection, tables, bounds, limits, slices, part, due=self.due, with_ids=with_ids
        )
        if not conditions:
            self._add_events(part, bounds, conditions.sites)
        elif {"page", "action"} & set(part.dimensions):
            events = scan.read_events_of_sessions(connection, tables, part.sessions, bounds[0])
            part.add_events(part.find_bucket(bounds[0]), events)


def _next_number(number: int, seconds: float, limit: float) -> int:
    """Return how many parts are read at once, after so many took so long.

    :param limit: how many seconds the next ones may take.
    """
    return max(1, int(number * min(2, limit / max(seconds, 0.001))))


def _everyone(sums: Sums) -> set[str]:
    return set[str]().union(*sums.people.values())


def _count_people(sums: Sums, known: set[str]) -> None:
    """Count the people of each bucket, who were read one by one.

    :param known: those who were here before the time that was counted.
    """
    everyone, met = _everyone(sums), set(known)
    sums.all_visitors, sums.all_new = len(everyone), len(everyone - known)
    for (bucket, _), people in sorted(sums.people.items(), key=_by_bucket):
        sums.visitors[bucket] = len(people)
        sums.new_visitors[bucket] = len(people - met)
        met |= people


def _has_own_rows(sites: frozenset[str] | None) -> bool:
    """Whether closed days have rows of these sites. An empty name stands for all sites there."""
    return sites is None or (len(sites) == 1 and "" not in sites)


def without_site(
    limits: Filter, sites: frozenset[str] | None
) -> tuple[Filter, frozenset[str] | None]:
    """Return a filter without the conditions ``is:site:…``, and the sites that they leave."""
    rest = []
    for each in limits.conditions:
        if each.field == "site" and each.operator == "is":
            sites = frozenset(each.values) & (sites if sites is not None else set(each.values))
        else:
            rest.append(each)
    return Filter(tuple(rest)), sites


def _say_cut(period: Period, since: dt.datetime) -> str:
    """Return what a limit has left, in words: whole months, or days."""
    last, zone = period.last_begun, period.zone
    days = (last - period.first).days + 1
    kept = (last - day_of(since, zone)).days + 1
    if days > 62 and since < _end_of(period):
        months = (last.year - period.first.year) * 12 + last.month - period.first.month + 1
        first = day_of(since, zone)
        left = (last.year - first.year) * 12 + last.month - first.month + (first.day == 1)
        if left:
            return f"of the last {left} of {months} months"
    if since >= _end_of(period):
        kept = 0
    return f"of the last {kept} of {days} days"


def _end_of(period: Period) -> dt.datetime:
    return min(period.end, start_of(period.last_begun + _DAY, period.zone))


def _parts_of(period: Period, zone: dt.tzinfo) -> cabc.Iterator[dt.datetime]:
    """Yield where the parts of a period begin that are read at once, the newest first.

    They are a day, a week and months, so that something is known soon.
    """
    day = period.last_begun
    first = period.first
    for cut in (day, day - 6 * _DAY):
        if cut.month == day.month and first < cut:
            yield start_of(cut, zone)
    while day >= first:
        day = max(first, day.replace(day=1))
        yield start_of(day, zone)
        if day == first:
            return
        day -= _DAY


def _runs(days: cabc.Sequence[dt.date]) -> list[tuple[dt.date, dt.date]]:
    """Return the first and the last of the days of each row without a gap."""
    found: list[tuple[dt.date, dt.date]] = []
    for day in days:
        if found and found[-1][1] == day - _DAY:
            found[-1] = (found[-1][0], day)
        else:
            found.append((day, day))
    return found


def _by_bucket(item: tuple[tuple[int, dt.date | None], set[str]]) -> tuple[int, dt.date]:
    (bucket, day), _ = item
    return bucket, day or NEVER
