"""Cohorts, and who of them came back in later days, weeks or months. Pure."""

from __future__ import annotations

import collections
import collections.abc as cabc
import dataclasses
import datetime as dt
import typing as t

from ...errors import ReportError
from ...store.local_days import end_of_unit, start_of_unit
from ...text import shorten
from ..period import Period, Span
from ..rows import Cut
from .retention_rows import By, Retention, RetentionCell, RetentionRow

BYS: t.Final[tuple[By, ...]] = t.get_args(By)
#: How many days, weeks or months there may be.
MOST_SPANS: t.Final = 62
_MOST_ROWS = 10


def widen(period: Period, by: By) -> Period:
    """Return a period from the beginning of its first day, week or month to the end of its last.

    :raises ReportError: there are too many of them, or there is no retention by them.
    """
    if by not in BYS:
        raise ReportError(
            f"There is no retention by {shorten(by)}. Choose one of: {', '.join(BYS)}."
        )
    first, last = start_of_unit(period.first, by), end_of_unit(period.last, by)
    wide = dataclasses.replace(period, first=first, last=last)
    spans = wide.spans(by)
    if len(spans) > MOST_SPANS:
        raise ReportError(
            f"The period has {len(spans)} {by}s, and retention shows at most {MOST_SPANS}. Choose "
            "a shorter period or a longer unit."
        )
    return wide


@dataclasses.dataclass
class _Sums:
    """People by the number of their span; who of them came back, also by how many spans later."""

    sizes: collections.Counter[int] = dataclasses.field(default_factory=collections.Counter)
    returned: collections.Counter[tuple[int, int]] = dataclasses.field(
        default_factory=collections.Counter
    )


class Cohorts:
    """How many people each cohort has, and how many of them came back when.

    :param spans: the days, weeks or months of the period.
    :param is_running: whether the last of them has not ended yet.
    """

    def __init__(self, spans: cabc.Sequence[Span], *, is_running: bool) -> None:
        self.spans: list[Span] = list(spans)
        self._is_running = is_running
        # By the number of the span and the value of the dimension.
        self._sizes: collections.Counter[tuple[int, str]] = collections.Counter()
        # By that, and how many spans later.
        self._returned: collections.Counter[tuple[int, str, int]] = collections.Counter()

    def add(self, place: int, later: int, number: int, value: str = "") -> None:
        """Add people of the cohort of a span who were here so many spans later, 0 for their first.

        :param number: how many; below 0 to take them away.
        """
        if later:
            self._returned[place, value, later] += number
        else:
            self._sizes[place, value] += number

    def cut_before(self, moment: dt.datetime, day: dt.date) -> None:
        """Leave out the spans that ended before a moment; the first one that is left begins then.

        Nobody is in their cohorts.
        """
        gone = sum(span.end <= moment for span in self.spans)
        self.spans = self.spans[gone:]
        if self.spans and self.spans[0].start < moment:
            self.spans[0] = dataclasses.replace(self.spans[0], start=moment, first=day)
        self._sizes = _move(self._sizes, gone)
        self._returned = _move(self._returned, gone)

    def make(self, by: By, dimension: str | None, cut: Cut | None) -> Retention:
        """Return the report: rows of cohorts, or of the values of a dimension."""
        by_value = collections.Counter[str]()
        for (_, value), number in self._sizes.items():
            by_value[value] += number
        values = sorted(value for value, people in by_value.items() if people)
        values.sort(key=lambda value: -by_value[value])
        shown = [] if dimension is None else values[:_MOST_ROWS]
        sums = self._add_up(shown)
        rows = [
            RetentionRow(each, None, None, by_value[each], self._find_means(sums[each]))
            for each in shown
        ]
        number = len(values)
        if dimension is None:
            rows = list(self._iter_cohorts(sums[None]))
            number = len(rows)
        means = self._find_means(sums[None])
        return Retention(by, dimension, by_value.total(), tuple(rows), number, means, cut)

    def _add_up(self, values: cabc.Iterable[str]) -> dict[str | None, _Sums]:
        """Return the sums of some values and, for None, of all, in one pass: there may be many."""
        found: dict[str | None, _Sums] = {each: _Sums() for each in (None, *values)}
        for (place, value), number in self._sizes.items():
            for sums in filter(None, (found[None], found.get(value))):
                sums.sizes[place] += number
        for (place, value, later), number in self._returned.items():
            for sums in filter(None, (found[None], found.get(value))):
                sums.returned[place, later] += number
        return found

    def _iter_cohorts(self, sums: _Sums) -> cabc.Iterator[RetentionRow]:
        for place, span in enumerate(self.spans):
            people = sums.sizes[place]
            cells = []
            for later in range(1, len(self.spans) - place):
                runs = self._is_running and place + later == len(self.spans) - 1
                cells.append(_make_cell(sums.returned[place, later], people, is_running=runs))
            yield RetentionRow("", span.first, span.last, people, tuple(cells))

    def _find_means(self, sums: _Sums) -> tuple[RetentionCell, ...]:
        """Return who came back of all people for whom that time is over."""
        over = len(self.spans) - self._is_running
        cells = []
        for later in range(1, over):
            places = range(over - later)
            count = sum(sums.returned[place, later] for place in places)
            cells.append(_make_cell(count, sum(sums.sizes[place] for place in places)))
        return tuple(cells)


def _make_cell(count: int, people: int, *, is_running: bool = False) -> RetentionCell:
    return RetentionCell(count, people, count / people if people else None, is_running)


_Key = t.TypeVar("_Key", bound=tuple[t.Any, ...])


def _move(counts: collections.Counter[_Key], by: int) -> collections.Counter[_Key]:
    moved = {(place - by, *rest): number for (place, *rest), number in counts.items()}
    return collections.Counter(t.cast("dict[_Key, int]", moved))
