"""What closed days should hold: sessions and events, counted row by row in Python."""

from __future__ import annotations

import collections
import collections.abc as cabc
import datetime as dt
import typing as t
import uuid as uuidlib
import zoneinfo

import sqlalchemy as sa

from flask_eventtrack.store.closed_days import find_closed, find_marked_days, find_pending
from flask_eventtrack.store.session_counts import DIMENSIONS
from flask_eventtrack.store.visitor_days import Closed

from ..hosts import Host

NEVER = dt.date(1, 1, 1)
DAY = dt.timedelta(days=1)
Row = dict[str, t.Any]
#: By site, dimension and value: sessions, pages, events, bounces, seconds and milliseconds.
Counts = dict[tuple[str, str, str], tuple[int, ...]]


class Stored(t.NamedTuple):
    """All rows that matter, as they are at one moment."""

    zone: dt.tzinfo
    sessions: list[Row]
    events: list[Row]
    daily: list[Row]
    returning: list[Row]
    person_day: list[Row]
    cohort: list[Row]
    marked_days: list[Row]
    marked_people: list[Row]
    closed: Closed | None
    unmarked: set[dt.date]
    differences: collections.Counter[tuple[str, dt.date, dt.date]]

    def is_from(self, since: dt.date) -> Stored:
        return self._replace(person_day=[row for row in self.person_day if row["day"] >= since])


def look(host: Host, zone_name: str) -> Stored:
    zone = dt.UTC if zone_name == "UTC" else zoneinfo.ZoneInfo(zone_name)
    database = host.state.pipeline.database
    tables = database.tables
    names = ("session", "event", "daily", "returning", "person_day", "cohort")
    with database.read() as connection:
        rows = [
            [dict(row) for row in connection.execute(sa.select(getattr(tables, name))).mappings()]
            for name in (*names, "recount_day", "recount_person")
        ]
        closed = find_closed(connection, tables)
        unmarked = {row["day"] for row in rows[2]}
        differences: collections.Counter[tuple[str, dt.date, dt.date]] = collections.Counter()
        if closed is not None:
            unmarked -= set(find_marked_days(connection, tables, closed))
            pending = find_pending(connection, tables, zone, closed)
            assert pending is not None
            differences = pending.differences
    sessions, events, daily, returning, person_day, cohort, marked_days, marked_people = rows
    return Stored(
        zone,
        sessions,
        events,
        daily,
        returning,
        person_day,
        cohort,
        marked_days,
        marked_people,
        closed,
        unmarked,
        differences,
    )


def day_of(stored: Stored, moment: dt.datetime) -> dt.date:
    return moment.astimezone(stored.zone).date()


def count_plainly(stored: Stored, day: dt.date) -> Counts:
    """Count a day's sessions and events."""
    counts: dict[tuple[str, str, str], list[int]] = collections.defaultdict(lambda: [0] * 6)

    def add(site: str, dimension: str, value: str | None, numbers: tuple[int, ...]) -> None:
        for each in {"", site}:
            sums = counts[each, dimension, value or ""]
            sums[:] = map(sum, zip(sums, numbers, strict=True))

    _add_sessions(stored, day, add)
    for row in stored.events:
        if day_of(stored, row["time"]) == day and row["source"] != "bot":
            add(row["site"], "action", row["action"], (0, 0, 1, 0, 0, 0))
            if row["action"] == "page.visit":
                add(row["site"], "page", row["url_rule"], (0, 1, 0, 0, 0, 0))
    return {key: tuple(numbers) for key, numbers in counts.items()}


def _add_sessions(stored: Stored, day: dt.date, add: cabc.Callable[..., None]) -> None:
    for row in stored.sessions:
        if day_of(stored, row["started_at"]) == day:
            is_bounce = row["pages"] == 1 and row["events"] == 1
            seconds = int((row["last_seen_at"] - row["started_at"]).total_seconds())
            numbers = (1, row["pages"], row["events"], is_bounce, seconds, row["visible_ms"])
            add(row["site"], "", "", numbers)
            values = row | {"hour": f"{row['started_at'].astimezone(stored.zone):%H}"}
            for dimension in DIMENSIONS:
                add(row["site"], dimension, values[dimension], numbers)


def stored_counts(stored: Stored, day: dt.date) -> Counts:
    names = ("sessions", "pages", "events", "bounces", "seconds", "visible_ms")
    return {
        (row["site"], row["dimension"], row["value"]): tuple(row[name] for name in names)
        for row in stored.daily
        if row["day"] == day
    }


def visitors_of(stored: Stored, first: dt.date, last: dt.date, site: str = "") -> set[uuidlib.UUID]:
    """Return the distinct people with a session on one of the days."""
    return {
        row["person"] or row["uuid"]
        for row in stored.sessions
        if first <= day_of(stored, row["started_at"]) <= last and site in {"", row["site"]}
    }


def count_visitors(stored: Stored, first: dt.date, last: dt.date, site: str = "") -> int:
    """Do the sum of a report: what is stored, and what marked people change."""
    matrix = collections.Counter(
        {(row["site"], row["day"], row["previous"]): row["visitors"] for row in stored.returning}
    )
    matrix.update(stored.differences)
    return sum(
        number
        for (each, day, previous), number in matrix.items()
        if each == site and first <= day <= last and previous < first
    )


def group_person_days(stored: Stored) -> dict[tuple[str, dt.date, dt.date], int]:
    return collections.Counter(
        (row["site"], row["day"], row["previous"]) for row in stored.person_day
    )


def matrix_of(stored: Stored, since: dt.date = NEVER) -> dict[tuple[str, dt.date, dt.date], int]:
    return {
        (row["site"], row["day"], row["previous"]): row["visitors"]
        for row in stored.returning
        if row["day"] >= since
    }


def group_cohorts(stored: Stored, since: dt.date) -> dict[tuple[t.Any, ...], list[int]]:
    """Count the visitors of days by their first day, if that is kept: see ``eventtrack_cohort``."""
    days = collections.defaultdict[tuple[uuidlib.UUID, str], list[Row]](list)
    for row in stored.person_day:
        days[row["person"], row["site"]].append(row)
    found = collections.defaultdict[tuple[t.Any, ...], list[int]](lambda: [0, 0, 0])
    for (_, site), rows in days.items():
        first = [row["day"] for row in rows if row["previous"] == NEVER]
        weeks, months = set[t.Any](), set[t.Any]()
        for row in sorted(rows, key=lambda row: row["day"]):
            day, previous = row["day"], row["previous"]
            before = previous if previous > NEVER else None
            weeks |= {before.isocalendar()[:2]} if before else set()
            months |= {(before.year, before.month)} if before else set()
            if first and day >= since and first[0] >= since:
                counts = found[site, day, first[0]]
                counts[0] += 1
                counts[1] += day.isocalendar()[:2] not in weeks
                counts[2] += (day.year, day.month) not in months
    return found


def cohorts_of(stored: Stored, since: dt.date) -> dict[tuple[t.Any, ...], list[int]]:
    """Return what is stored of the cohorts whose first day is kept."""
    return {
        (row["site"], row["day"], row["first_day"]): [
            row[name] for name in ("visitors", "of_week", "of_month")
        ]
        for row in stored.cohort
        if row["first_day"] >= since
    }


def check(stored: Stored, *, without: frozenset[str] = frozenset()) -> None:
    """Compare all closed numbers with a plain count, as far as sessions are kept.

    :param without: actions whose events are pruned.
    """
    closed = stored.closed
    if closed is None:
        assert not stored.daily
        assert not stored.person_day
        return
    assert matrix_of(stored, closed.since) == group_person_days(stored.is_from(closed.since))
    assert cohorts_of(stored, closed.since) == group_cohorts(stored, closed.since)
    days = sorted(day_of(stored, row["started_at"]) for row in stored.sessions)
    first = max(closed.since, min([*days, closed.until]))
    for day in stored.unmarked:
        if day >= closed.since:
            plain, own = count_plainly(stored, day), stored_counts(stored, day)
            assert _less(own, without) == _less(plain, without)
    for number in range((closed.until - first).days + 1):
        start = first + number * DAY
        for end in {start, closed.until, min(start + 6 * DAY, closed.until)}:
            for site in ("", "a.example", "b.example"):
                people = visitors_of(stored, start, end, site)
                assert count_visitors(stored, start, end, site) == len(people)


def check_closed(stored: Stored, *, without: frozenset[str] = frozenset()) -> None:
    """Check, and that nothing is left to count again."""
    check(stored, without=without)
    if stored.closed is not None:
        assert not [row for row in stored.marked_days if row["day"] <= stored.closed.until]
        assert not stored.marked_people
        days = {day_of(stored, row["started_at"]) for row in stored.sessions}
        due = {day for day in days if stored.closed.since <= day <= stored.closed.until}
        assert due <= {row["day"] for row in stored.daily}


def _less(counts: Counts, without: frozenset[str]) -> Counts:
    return {key: value for key, value in counts.items() if key[2] not in without}
