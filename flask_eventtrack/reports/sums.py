"""What is added up of a period: the sums of its buckets, and those of the values of dimensions."""

from __future__ import annotations

import bisect
import collections
import collections.abc as cabc
import datetime as dt
import functools
import typing as t

from ..records import PAGE_VISIT
from ..store.local_days import iter_days, start_of
from ..store.session_counts import Counts, Tally, pack, unpack
from .amounts import Amounts
from .period import Bucket, Period, Span
from .rows import Numbers

#: Dimensions of events, not of sessions.
OF_EVENTS: t.Final = ("page", "action", "path")
#: What a dimension's rows count, if that is not sessions.
COUNTED: t.Final[dict[str, t.Literal["pages", "events"]]] = {
    "page": "pages",
    "path": "pages",
    "action": "events",
}
_PERSON = 5
_QUARTER = dt.timedelta(minutes=15)
_A_DAY = 96  # quarters
_PAGE, _EVENT = pack(Counts(pages=1)), pack(Counts(events=1))


class Slice(t.NamedTuple):
    """A part of the time whose sessions belong to one bucket, and to one day if that matters.

    ``start`` is UTC without its zone, as session rows have it.
    """

    start: dt.datetime
    bucket: int
    day: dt.date | None = None


class Sums:
    """The sums of a period.

    :param dimensions: those whose values are counted.
    :param spans: the period's, if they are known.
    """

    def __init__(
        self,
        period: Period,
        bucket: Bucket,
        dimensions: cabc.Iterable[str],
        spans: list[Span] | None = None,
    ) -> None:
        self.period: Period = period
        self.bucket: Bucket = bucket
        self.spans: list[Span] = period.spans(bucket) if spans is None else spans
        self.dimensions: tuple[str, ...] = tuple(dimensions)
        #: The dimensions of these that sessions have.
        self.of_sessions: tuple[str, ...] = tuple(
            each for each in self.dimensions if each not in OF_EVENTS
        )
        size = len(self.spans)
        self.counts: list[int] = [0] * size
        self.page_visits: list[int] = [0] * size
        self.visitors: list[int] = [0] * size
        self.new_visitors: list[int] = [0] * size
        self.amounts: list[Amounts] = [Amounts() for _ in self.spans]
        self.all_visitors: int = 0
        self.all_new: int = 0
        #: By dimension and value, as numbers for ``unpack``.
        self.values: dict[str, collections.Counter[str]] = {
            name: collections.Counter() for name in self.dimensions
        }
        #: Sessions by weekday (0 is Monday) and hour.
        self.heat: collections.Counter[tuple[int, int]] = collections.Counter()
        #: The people of each bucket and day, as far as they were read one by one.
        self.people: dict[tuple[int, dt.date | None], set[str]] = {}
        #: The ids of the sessions that match a filter.
        self.sessions: list[str] = []
        self._starts = [span.start for span in self.spans]

    def part(self) -> Sums:
        """Return empty sums, for a part of the same period."""
        return Sums(self.period, self.bucket, self.dimensions, self.spans)

    def find_bucket(self, moment: dt.datetime) -> int:
        """Return the bucket of an aware moment of the period."""
        return bisect.bisect_right(self._starts, moment) - 1

    def bucket_of(self, day: dt.date) -> int:
        """Return the first bucket of a day."""
        return bisect.bisect_left(self.spans, day, key=lambda span: span.last)

    def slices(self, days: cabc.Container[dt.date] = ()) -> list[Slice]:
        """Return the parts of the time.

        :param days: the days whose people are kept apart.
        """
        found = []
        for number, span in enumerate(self.spans):
            kept: dt.date | None = span.first
            for day in iter_days(span.first, span.last):
                before, kept = kept, day if day in days else None
                if day == span.first or kept or before:
                    start = max(span.start, start_of(day, self.period.zone))
                    found.append(Slice(start.replace(tzinfo=None), number, kept))
        return found

    def add_sessions(
        self, rows: cabc.Sequence[cabc.Sequence[t.Any]], slices: cabc.Sequence[Slice]
    ) -> None:
        """Add rows of ``session_query``, in the order of their start."""
        tallies: dict[int, Tally] = {}
        low = 0
        while low < len(rows):
            place = bisect.bisect_right(slices, rows[low][0], key=_start_of_slice) - 1
            high = len(rows)
            if place + 1 < len(slices):
                high = bisect.bisect_left(rows, slices[place + 1].start, low, key=_start_of_row)
            self._add_slice(rows[low:high], slices[max(0, place)], tallies)
            low = high
        for bucket, tally in tallies.items():
            self.counts[bucket] += pack(tally.total)
            for name, values in tally.values.items():
                self.values[name].update(values)

    def _add_slice(
        self, rows: cabc.Sequence[cabc.Sequence[t.Any]], part: Slice, tallies: dict[int, Tally]
    ) -> None:
        tally = tallies.get(part.bucket)
        if tally is None:
            tally = tallies[part.bucket] = Tally(self.period.zone, self.of_sessions)
        tally.add(rows)
        key = (part.bucket, part.day)
        self.people.setdefault(key, set()).update([row[_PERSON] for row in rows])
        quarters = collections.Counter(
            [(row[0].toordinal() * 24 + row[0].hour) * 4 + row[0].minute // 15 for row in rows]
        )
        for quarter, count in quarters.items():
            self.heat[_local_hour(quarter, self.period.zone)] += count

    def merge(self, other: Sums) -> None:
        """Add what was counted of another part of the same period."""
        for mine, more in (
            (self.counts, other.counts),
            (self.page_visits, other.page_visits),
        ):
            mine[:] = map(sum, zip(mine, more, strict=True))
        for name, values in other.values.items():
            self.values[name].update(values)
        self.heat.update(other.heat)
        self.sessions += other.sessions
        for key, people in other.people.items():
            self.people.setdefault(key, set()).update(people)

    def add_visitors(self, bucket: int, visitors: int, new: int) -> None:
        """Add distinct visitors of a bucket or, if that is -1, of the whole period."""
        if bucket < 0:
            self.all_visitors += visitors
            self.all_new += new
        else:
            self.visitors[bucket] += visitors
            self.new_visitors[bucket] += new

    def add_events(
        self, bucket: int | None, events: cabc.Iterable[tuple[dt.datetime, str, str, int]]
    ) -> None:
        """Add events to the rows of "page" and "action", and page visits to their bucket.

        :param bucket: None if it is the events' own moments that tell it.
        """
        pages, actions = self.values.get("page"), self.values.get("action")
        for since, action, url_rule, count in events:
            if actions is not None:
                actions[action] += count * _EVENT
            if action == PAGE_VISIT:
                place = self.find_bucket(since) if bucket is None else bucket
                self.page_visits[place] += count
                if pages is not None:
                    pages[url_rule] += count * _PAGE

    def add_paths(self, paths: cabc.Iterable[tuple[str, int]]) -> None:
        """Add page visits to the rows of "path"."""
        for path, count in paths:
            self.values["path"][path] += count * _PAGE

    def numbers(self) -> Numbers:
        """Return the sums of the whole period."""
        return self._numbers(
            unpack(sum(self.counts)),
            visitors=self.all_visitors,
            new_visitors=self.all_new,
            page_visits=sum(self.page_visits),
            orders=self.all_amounts().orders,
        )

    def counts_of(self, bucket: int) -> Counts:
        """Return what the sessions of a bucket add up to."""
        return unpack(self.counts[bucket])

    def numbers_of(self, bucket: int) -> Numbers:
        """Return the sums of a bucket."""
        return self._numbers(
            self.counts_of(bucket),
            visitors=self.visitors[bucket],
            new_visitors=self.new_visitors[bucket],
            page_visits=self.page_visits[bucket],
            orders=self.amounts[bucket].orders,
        )

    def _numbers(self, counts: Counts, **more: int) -> Numbers:
        return Numbers(
            sessions=counts.sessions,
            pages=counts.pages,
            bounces=counts.bounces,
            seconds=counts.seconds,
            visible_ms=counts.visible_ms,
            **more,
        )

    def all_amounts(self) -> Amounts:
        """Return the orders of the whole period."""
        found = Amounts()
        for each in self.amounts:
            found.merge(each)
        return found


def _local_hour(quarter: int, zone: dt.tzinfo) -> tuple[int, int]:
    """Return the weekday and hour of a quarter of an hour; no zone's hours begin elsewhere."""
    day = quarter // _A_DAY
    offset = _offset_of(day * _A_DAY, zone)
    if offset != _offset_of((day + 1) * _A_DAY, zone):  # clocks change on that day
        offset = _offset_of(quarter, zone)
    days, rest = divmod(quarter + offset, _A_DAY)
    return (days - 1) % 7, rest // 4  # day 1 was a Monday


@functools.lru_cache(maxsize=4096)
def _offset_of(quarter: int, zone: dt.tzinfo) -> int:
    """Return by how many quarters of an hour clocks are ahead of UTC."""
    days, rest = divmod(quarter, _A_DAY)
    moment = dt.datetime.fromordinal(days) + rest * _QUARTER
    offset = moment.replace(tzinfo=dt.UTC).astimezone(zone).utcoffset()
    return (offset or dt.timedelta()) // _QUARTER


def _start_of_slice(part: Slice) -> dt.datetime:
    return part.start


def _start_of_row(row: cabc.Sequence[t.Any]) -> dt.datetime:
    start: dt.datetime = row[0]
    return start
