"""What the report of retention answers: frozen rows with typed fields."""

from __future__ import annotations

import dataclasses
import datetime as dt
import typing as t

from ..rows import Cut

#: What people are counted by.
By = t.Literal["day", "week", "month"]


@dataclasses.dataclass(frozen=True, slots=True)
class RetentionCell:
    """How many of some people came back in a day, week or month.

    ``count`` of ``people`` came back, and ``share`` is the ratio (0 to 1), None without people.
    ``is_running`` says that the time has not ended yet: more of them may come back.
    """

    count: int
    people: int
    share: float | None
    is_running: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class RetentionRow:
    """A cohort, or all people of a value of a dimension.

    The people of a cohort first came on the days from ``first`` to ``last``; both are None for a
    value. ``cells`` has one cell for each later day, week or month, the next one first.
    """

    value: str
    first: dt.date | None
    last: dt.date | None
    people: int
    cells: tuple[RetentionCell, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Retention:
    """Cohorts in the order of time, or the ten largest rows of a dimension.

    ``people`` is how many people all cohorts have together. ``mean`` has one cell for each later
    day, week or month, with all people for whom it has ended. ``rows_in_all`` is the number of all
    rows, shown or not. ``cut`` says which part a limit has cut.
    """

    by: By
    dimension: str | None
    people: int
    rows: tuple[RetentionRow, ...]
    rows_in_all: int
    mean: tuple[RetentionCell, ...]
    cut: Cut | None = None
