"""``events.reports``: the numbers of the pages, for the host's own code."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import datetime as dt

from ..catalogue.definitions import Catalogue
from ..records import Clock
from .breakdown import Listing, read_action, read_breakdown
from .counting import Counter
from .filters import Filter
from .overview import PANELS, read_overview
from .people_reports import PeopleReports
from .period import Bucket, Comparison, Period, make_period
from .reader import Reader
from .revenue import Attribution, check_revenue, read_revenue
from .rows import Breakdown, Overview, Parameters, RevenueRow
from .start import Start, read_start

_NO_FILTER = Filter()


class Reports(PeopleReports):
    """The reports of one app. No method needs a request, and none asks for a permission.

    Each method may raise :class:`~.errors.ReportError` where it is asked for something that does
    not exist, and :class:`~.errors.ReportUnavailable` where the database does not answer.
    """

    def __init__(
        self, reader: Reader, zone: dt.tzinfo, clock: Clock, catalogue: Catalogue, salt: str
    ) -> None:
        super().__init__(reader, clock, salt)
        self.zone: dt.tzinfo = zone
        self.catalogue: Catalogue = catalogue

    def period(
        self,
        name: str,
        first: dt.date | None = None,
        last: dt.date | None = None,
        *,
        sites: cabc.Collection[str] | None = None,
    ) -> Period:
        """Return a period by its name: ``today``, ``yesterday``, ``7d`` (or another number of days,
        today among them), ``month``, ``last_month``, ``year``, ``12m``, ``all`` or ``custom``.

        :param first: the first day of ``custom``.
        :param last: its last day, which is included.
        :param sites: ``all`` begins with the first day of these sites.
        """
        if name == "all":
            with self._count() as counter:
                first = counter.find_first_day(sites)
        return make_period(name, self.zone, self.now, first=first, last=last)

    def overview(
        self,
        period: Period,
        filter: Filter = _NO_FILTER,  # noqa: A002 - what the pages call it
        *,
        comparison: Comparison = "previous",
        bucket: Bucket | None = None,
        sites: cabc.Collection[str] | None = None,
        panels: cabc.Sequence[str] = PANELS,
    ) -> Overview:
        """Return the numbers of a period, their series, and the ten largest rows of dimensions.

        :param bucket: what the series is by; the default depends on the period's length.
        :param sites: the only sites to count; None counts all of them together.
        :param panels: the dimensions.
        """
        with self._count() as counter:
            return read_overview(
                counter,
                period,
                filter,
                comparison=comparison,
                bucket=bucket,
                sites=_freeze(sites),
                panels=panels,
            )

    def breakdown(
        self,
        dimension: str,
        period: Period,
        filter: Filter = _NO_FILTER,  # noqa: A002
        *,
        comparison: Comparison = "none",
        search: str = "",
        sort: str = "count",
        descending: bool = True,
        limit: int = 100,
        offset: int = 0,
        with_people: bool = False,
        route: str | None = None,
        sites: cabc.Collection[str] | None = None,
    ) -> Breakdown:
        """Return what was counted of each value of a dimension.

        :param comparison: with which period each row is compared.
        :param search: a part of the values that are wanted.
        :param sort: the field or ratio of a row.
        :param with_people: whether to count the people of each row, which takes longer.
        :param route: the URL rule whose paths are wanted, for the dimension ``path``.
        :param sites: the only sites to count; None counts all of them together.
        """
        with self._count() as counter:
            return read_breakdown(
                counter,
                dimension,
                period,
                filter,
                Listing(search, sort, descending, limit, offset),
                comparison=comparison,
                with_people=with_people,
                route=route,
                sites=_freeze(sites),
            )

    def revenue(
        self,
        by: str,
        period: Period,
        filter: Filter = _NO_FILTER,  # noqa: A002
        *,
        attribution: Attribution = "last",
        sites: cabc.Collection[str] | None = None,
    ) -> tuple[RevenueRow, ...]:
        """Return orders and revenue by where the customers came from, the most orders first.

        :param by: ``source``, ``channel``, ``utm_campaign`` and so on.
        :param attribution: by the ``first`` touch, or by the ``last`` one before the order.
        """
        check_revenue(by, attribution)
        with self._count() as counter:
            return read_revenue(
                counter.connection,
                self.reader.tables,
                (period.start, period.end),
                counter.conditions(filter, _freeze(sites)),
                by=by,
                attribution=attribution,
            )

    def find_start(self) -> Start:
        """Return what a new site has recorded so far."""
        with self.reader.open() as connection:
            return read_start(connection, self.reader.tables)

    def parameters(
        self,
        action: str,
        period: Period,
        filter: Filter = _NO_FILTER,  # noqa: A002
        *,
        limit: int = 10,
        sites: cabc.Collection[str] | None = None,
    ) -> Parameters:
        """Return what the events of an action had in the parameters of its definition.

        :param limit: how many values of each parameter, the most frequent first.
        :param sites: the only sites to count; None counts all of them together.
        """
        with self._count() as counter:
            return read_action(counter, action, period, filter, limit=limit, sites=_freeze(sites))

    @contextlib.contextmanager
    def _count(self) -> cabc.Iterator[Counter]:
        with self.reader.open() as connection:
            yield Counter(self.reader, connection, self.catalogue, self.zone)


def _freeze(sites: cabc.Collection[str] | None) -> frozenset[str] | None:
    return None if sites is None else frozenset(sites)
