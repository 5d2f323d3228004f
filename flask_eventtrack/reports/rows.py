"""What reports answer: frozen rows with typed fields, ready for a page, a chart or JSON.

Durations are seconds, visible time is milliseconds, amounts are decimals, days are dates of the
site's zone.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import typing as t
import uuid as uuidlib

from ..money import Money
from .period import Period

#: The numbers of the overview, in their order. Each one can be drawn over time.
Measure = t.Literal[
    "visitors",
    "new_visitors",
    "sessions",
    "page_visits",
    "pages_per_session",
    "bounce_rate",
    "visible_time",
    "duration",
    "orders",
]
MEASURES: tuple[Measure, ...] = t.get_args(Measure)


@dataclasses.dataclass(frozen=True, slots=True)
class Numbers:
    """The sums of a period or of a part of it; the ratios are made of them.

    ``page_visits`` are counted by the time of the visit, ``pages`` are those of the sessions that
    started in the period. ``visible_ms`` and ``seconds`` are sums over these sessions.
    """

    visitors: int = 0
    new_visitors: int = 0
    sessions: int = 0
    page_visits: int = 0
    pages: int = 0
    bounces: int = 0
    visible_ms: int = 0
    seconds: int = 0
    orders: int = 0

    @property
    def pages_per_session(self) -> float | None:
        """None if there was no session, as for all ratios."""
        return self.pages / self.sessions if self.sessions else None

    @property
    def bounce_rate(self) -> float | None:
        """Between 0 and 1."""
        return self.bounces / self.sessions if self.sessions else None

    @property
    def visible_time(self) -> float | None:
        """The mean of a session, in seconds."""
        return self.visible_ms / 1000 / self.sessions if self.sessions else None

    @property
    def duration(self) -> float | None:
        """The mean of a session, in seconds."""
        return self.seconds / self.sessions if self.sessions else None

    def get(self, measure: str) -> float | None:
        """Return one of the numbers of the overview by its name; None if it has no value."""
        value: float | None = getattr(self, measure)
        return value


@dataclasses.dataclass(frozen=True, slots=True)
class Point:
    """A bucket of a series: its first moment (aware, of the site's zone), and its numbers.

    ``is_running`` if the bucket has not ended yet. ``before`` is the bucket of the period that this
    one is compared with, and ``before_start`` its first moment. The revenue has an entry for each
    currency.
    """

    start: dt.datetime
    numbers: Numbers
    is_running: bool = False
    before_start: dt.datetime | None = None
    before: Numbers | None = None
    revenue: tuple[Money, ...] = ()
    before_revenue: tuple[Money, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class Row:
    """A value of a dimension, and what was counted of it.

    ``count`` is what the dimension counts: sessions, page visits or events. ``share`` is its part
    of all that was counted (0 to 1). The other numbers are those of sessions; None for pages and
    events. ``people`` is None unless it was asked for and could be counted. ``before`` is the count
    in the period compared with; None without a comparison.
    """

    value: str
    count: int
    share: float
    pages: int | None = None
    bounces: int | None = None
    seconds: int | None = None
    visible_ms: int | None = None
    people: int | None = None
    before: int | None = None

    @property
    def pages_per_session(self) -> float | None:
        """None for pages and events, as all ratios."""
        return self._mean(self.pages)

    @property
    def bounce_rate(self) -> float | None:
        """Between 0 and 1."""
        return self._mean(self.bounces)

    @property
    def visible_time(self) -> float | None:
        """The mean of a session, in seconds."""
        mean = self._mean(self.visible_ms)
        return None if mean is None else mean / 1000

    @property
    def duration(self) -> float | None:
        """The mean of a session, in seconds."""
        return self._mean(self.seconds)

    def _mean(self, sum_: int | None) -> float | None:
        return sum_ / self.count if sum_ is not None and self.count else None


@dataclasses.dataclass(frozen=True, slots=True)
class Cut:
    """Said of a report that its limit has cut: it covers only the time since ``since``.

    ``sentence`` says it to people: "of the last 11 of 12 months". ``lacks_copy`` is a sentence that
    says why the copy of ``EVENTTRACK_REPORTS_URL`` was not used; empty if there is none.
    """

    since: dt.datetime
    sentence: str
    lacks_copy: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Breakdown:
    """The rows of a dimension, the largest first.

    ``counted`` is what its rows count: ``"sessions"``, ``"page visits"`` or ``"events"``.
    ``total`` is the sum over all rows, and ``rows_in_all`` how many rows there are, also beyond
    those returned. ``cut`` says that a limit has cut it.
    """

    dimension: str
    counted: str
    rows: tuple[Row, ...]
    total: int
    rows_in_all: int
    cut: Cut | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class RevenueRow:
    """Orders and revenue of a source, by its value; revenue for each currency."""

    value: str
    orders: int
    revenue: tuple[Money, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class ValueRow:
    """A value of a parameter, as text; its share is of all values (0 to 1)."""

    value: str
    count: int
    share: float


@dataclasses.dataclass(frozen=True, slots=True)
class CurrencyRow:
    """The amounts of a currency in a parameter: how many, and the numbers of a parameter."""

    currency: str
    amounts: int
    sum: decimal.Decimal
    mean: float
    median: float
    p90: float
    least: float
    most: float


@dataclasses.dataclass(frozen=True, slots=True)
class ParameterRow:
    """What the events of an action had in a parameter of its definition.

    ``events`` is how many had it, ``values`` are the most frequent values of ``values_in_all``. The
    numbers are None unless the parameter is a number. ``median`` and ``p90`` are values that occur:
    half of the values, or nine of ten, are no larger. Of money, ``currencies`` has the numbers.
    """

    name: str
    type: str
    events: int
    values: tuple[ValueRow, ...]
    values_in_all: int
    sum: decimal.Decimal | None = None
    mean: float | None = None
    median: float | None = None
    p90: float | None = None
    least: float | None = None
    most: float | None = None
    currencies: tuple[CurrencyRow, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class Parameters:
    """The events of an action: how many, of how many people, and their defined parameters."""

    action: str
    events: int
    people: int
    parameters: tuple[ParameterRow, ...]
    cut: Cut | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Overview:
    """All that the overview shows.

    ``before`` are the numbers of the period compared with; None without a comparison, and where the
    limit left no time for it. ``revenue``
    has an entry for each currency, and ``revenue_before`` likewise. ``breakdowns`` are the panels'
    top rows by dimension. ``heatmap`` has 7 rows (Monday first) of 24 sessions by hour.
    ``recounting`` is how many closed days are being counted again and may be off meanwhile.
    """

    period: Period
    compared: Period | None
    numbers: Numbers
    before: Numbers | None
    revenue: tuple[Money, ...]
    revenue_before: tuple[Money, ...]
    series: tuple[Point, ...]
    breakdowns: dict[str, Breakdown]
    heatmap: tuple[tuple[int, ...], ...]
    cut: Cut | None = None
    recounting: int = 0


@dataclasses.dataclass(frozen=True, slots=True)
class HereNow:
    """A person who was active in the last five minutes, and their latest page."""

    person: uuidlib.UUID
    customer_id: str | None
    last_seen_at: dt.datetime
    path: str | None
    source: str | None
    country: str | None
    device_type: str | None
    pages: int
    site: str


@dataclasses.dataclass(frozen=True, slots=True)
class PersonRow:
    """A person in a list.

    ``customer_id`` is None for an anonymous one, ``name`` if no trait says it. ``last_seen_at`` is
    when the latest session began, or when the customer was last identified. ``found_by`` is what a
    search has found, and its name: ``("order", "2207")``. ``events`` is how many events of an
    action there are, in a list of who did it.
    """

    person: uuidlib.UUID
    customer_id: str | None
    name: str | None
    first_seen_at: dt.datetime | None
    last_seen_at: dt.datetime | None
    sessions: int = 0
    found_by: tuple[str, str] | None = None
    events: int | None = None
