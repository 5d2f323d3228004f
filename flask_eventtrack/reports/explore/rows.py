"""What the reports of this room answer: frozen rows with typed fields."""

from __future__ import annotations

import dataclasses

from ...money import Money
from ..rows import Cut
from .plan import Per


@dataclasses.dataclass(frozen=True, slots=True)
class FunnelStep:
    """A step of a funnel, and how many people or sessions reached it.

    ``step`` and ``where`` are the event and conditions, as in a URL. ``share`` is the count divided
    by that of the first step, and ``share_of_previous`` by that of the step before (0 to 1; None if
    nobody was there, or there is no step before). ``lost`` is how many reached this step but not
    the next one. ``median`` is the median time since the step before, in seconds.
    """

    step: str
    where: tuple[str, ...]
    count: int
    share: float | None
    share_of_previous: float | None
    lost: int
    median: float | None


@dataclasses.dataclass(frozen=True, slots=True)
class FunnelRow:
    """How many reached each step, of those who began with this value of a dimension.

    ``share`` is the part of them that reached the last step (0 to 1).
    """

    value: str
    counts: tuple[int, ...]
    share: float


@dataclasses.dataclass(frozen=True, slots=True)
class Funnel:
    """The steps of a funnel, and the ten largest rows of a dimension.

    ``per`` is what it counts, and ``within`` how many seconds an attempt may take. The dimension
    ``by`` has ``rows_in_all`` values. ``cut`` says which part a limit has cut.
    """

    per: Per
    within: float
    steps: tuple[FunnelStep, ...]
    by: str | None
    rows: tuple[FunnelRow, ...]
    rows_in_all: int
    cut: Cut | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class GoalRow:
    """A goal, and who reached it.

    ``step`` and ``where`` are the event and conditions, as in a URL. ``conversions`` is the number
    of sessions that reached it, and ``rate`` their share of all sessions (0 to 1). ``people``,
    ``orders`` and ``revenue`` are those of the sessions that reached it, with an entry for each
    currency. If a limit has cut the report, ``cut`` says so, and all numbers are of the time that
    was read. ``rate`` is None if there are no sessions, or no time was left to count them.
    ``problem`` says why the goal cannot be counted: its event is not defined any more.
    """

    name: str
    description: str
    step: str
    where: tuple[str, ...]
    conversions: int = 0
    rate: float | None = None
    people: int = 0
    orders: int = 0
    revenue: tuple[Money, ...] = ()
    cut: Cut | None = None
    problem: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class GoalValue:
    """The sessions of a value of a dimension, and those of them that reached a goal.

    ``sessions`` with ``rate``, and ``people``, are None if no time was left to count them.
    """

    value: str
    sessions: int | None
    conversions: int
    rate: float | None
    people: int | None
    orders: int
    revenue: tuple[Money, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class GoalDetails:
    """A goal by a dimension: the values with the most conversions, of ``rows_in_all``."""

    goal: GoalRow
    by: str
    rows: tuple[GoalValue, ...]
    rows_in_all: int
