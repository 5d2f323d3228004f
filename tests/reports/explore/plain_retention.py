"""Retention counted plainly, from its definition in the manual: slowly, and by other means."""

from __future__ import annotations

import dataclasses
import datetime as dt

from flask_eventtrack.reports.explore.retention_rows import By
from flask_eventtrack.reports.explore.steps import Step

from .plain_funnel import fits, source_of
from .stories import DAY, Told


@dataclasses.dataclass(frozen=True)
class First:
    """When a person did it first, and the source then."""

    at: dt.datetime
    source: str
    in_session: bool


@dataclasses.dataclass
class PlainRetention:
    """The story of people, and what is asked of it.

    ``start`` and ``now`` are moments, ``zone`` that of the site.
    """

    story: list[Told]
    by: By
    first: Step | None
    returning: Step | None
    source: str | None
    zone: dt.tzinfo

    def count(self, first: dt.date, last: dt.date, now: dt.datetime) -> dict[dt.date, list[int]]:
        """Return how many people each cohort has, and how many came back: by its first day."""
        rows = {}
        beginnings = self.list_beginnings(first, last, now)
        for place, beginning in enumerate(beginnings):
            cohort = self.find_cohort(beginning)
            later = [self.came_back(cohort, other) for other in beginnings[place + 1 :]]
            rows[beginning] = [len(cohort), *later]
        return rows

    def list_beginnings(self, first: dt.date, last: dt.date, now: dt.datetime) -> list[dt.date]:
        days = [first + dt.timedelta(days=number) for number in range((last - first).days + 1)]
        found = sorted({self.beginning_of(day) for day in days})
        return [day for day in found if day <= now.astimezone(self.zone).date()]

    def beginning_of(self, day: dt.date) -> dt.date:
        while self.by == "week" and day.strftime("%a") != "Mon":
            day -= dt.timedelta(days=1)
        while self.by == "month" and day.day != 1:
            day -= dt.timedelta(days=1)
        return day

    def find_cohort(self, beginning: dt.date, source: str | None = None) -> set[int]:
        wanted = [each for each in (self.source, source) if each is not None]
        found = set[int]()
        for who in {each.who for each in self.story}:
            first = self.find_first(who)
            if first is None or self._unit_of(first.at) != beginning:
                continue
            if self.source is not None and not first.in_session:
                continue
            if all(first.source == each for each in wanted):
                found.add(who)
        return found

    def find_first(self, who: int) -> First | None:
        done = [
            First(at, source_of(told), told.session is not None)
            for told, at in self._times(who, self.first)
        ]
        matching = sorted(done, key=lambda each: (each.at, each.source))
        earliest = [each for each in matching if each.at == matching[0].at]
        if self.source is not None:
            # Of several at one moment, one that matches the filter.
            earliest = [e for e in earliest if e.source == self.source and e.in_session] or earliest
        return earliest[0] if earliest else None

    def came_back(self, cohort: set[int], beginning: dt.date) -> int:
        return sum(
            any(self._unit_of(at) == beginning for _, at in self._times(who, self.returning))
            for who in cohort
        )

    def _times(self, who: int, step: Step | None) -> list[tuple[Told, dt.datetime]]:
        theirs = [each for each in self.story if each.who == who and each.source != "bot"]
        if step is not None:
            return [(each, _time(each)) for each in theirs if fits(step, each)]
        sessions = {each.session for each in theirs if each.session is not None}
        starts = []
        for session in sessions:
            opening = min(
                (each for each in theirs if each.session == session), key=lambda each: each.minute
            )
            starts.append((opening, _time(opening)))
        return starts

    def _unit_of(self, at: dt.datetime) -> dt.date:
        return self.beginning_of(at.astimezone(self.zone).date())


def _time(told: Told) -> dt.datetime:
    return DAY + dt.timedelta(minutes=told.minute)
