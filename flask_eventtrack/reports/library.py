"""``events.reports``: the numbers of the pages, for the host's own code."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import datetime as dt
import uuid as uuidlib

from ..catalogue.definitions import Catalogue
from ..records import Clock
from ..store.saved import list_saved
from .between import read_events
from .breakdown import Listing, read_action, read_breakdown
from .counting import Counter
from .explore.agents import (
    AgentFilter,
    AgentReads,
    Agents,
    check_kind,
    read_agent_reads,
    read_agents,
)
from .explore.counters import Counters, read_all
from .explore.element_rows import Elements
from .explore.elements import read_elements
from .explore.funnel import read_funnel
from .explore.goal_numbers import read_goal, read_goals
from .explore.goals import Goal, Goals
from .explore.lost import Lost, read_lost
from .explore.path_rows import Direction, Paths
from .explore.paths import read_paths
from .explore.plan import Per, Plan
from .explore.retention import RetentionPlan, read_retention
from .explore.retention_rows import By, Retention
from .explore.rows import Funnel, GoalDetails, GoalRow
from .explore.steps import Step, as_step
from .feed import FeedEvent
from .filters import Filter
from .named_filters import NamedFilter, list_named
from .notes import Note, list_notes
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
        self,
        reader: Reader,
        zone: dt.tzinfo,
        clock: Clock,
        catalogue: Catalogue,
        salt: str,
        goals: Goals,
    ) -> None:
        super().__init__(reader, clock, salt)
        self.zone: dt.tzinfo = zone
        self.catalogue: Catalogue = catalogue
        self.defined_goals: Goals = goals

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
        bounds = (period.start, period.end)
        with self._count() as counter:
            conditions = counter.conditions(filter, _freeze(sites))
            return read_revenue(
                counter.connection,
                self.reader.tables,
                bounds,
                conditions,
                counter.find_sessions(period.now, bounds, conditions),
                by=by,
                attribution=attribution,
            )

    def agents(
        self,
        period: Period,
        *,
        agent: str | None = None,
        kind: str | None = None,
        sites: cabc.Collection[str] | None = None,
    ) -> Agents:
        """Return what agents have read: the programs of AI assistants, search engines and others.

        :param agent: the only agent to count, such as ``ChatGPT-User``.
        :param kind: the only kind to count: ``live``, ``search``, ``training``, ``monitor`` or
            ``other``.
        :param sites: the only sites to count; None counts all of them together.
        """
        check_kind(kind)
        with self.reader.open() as connection:
            limits = AgentFilter(agent, kind, _freeze(sites))
            return read_agents(connection, self.reader.tables, period, limits)

    def agent_reads(
        self,
        period: Period,
        *,
        agent: str | None = None,
        kind: str | None = None,
        sites: cabc.Collection[str] | None = None,
    ) -> tuple[AgentReads, ...]:
        """Return how often each agent has read each route, and which status it got.

        The parameters are those of :meth:`agents`.
        """
        check_kind(kind)
        with self.reader.open() as connection:
            limits = AgentFilter(agent, kind, _freeze(sites))
            return read_agent_reads(connection, self.reader.tables, period, limits)

    def funnel(
        self,
        steps: cabc.Sequence[Step | str],
        period: Period,
        filter: Filter = _NO_FILTER,  # noqa: A002
        *,
        within: dt.timedelta = dt.timedelta(days=7),
        per: Per = "person",
        same: str | None = None,
        excluded: cabc.Sequence[Step | str] = (),
        by: str | None = None,
        sites: cabc.Collection[str] | None = None,
    ) -> Funnel:
        """Return how many people or sessions went through 2 to 8 steps, one after the other.

        :param steps: events such as ``"product.view"``, pages such as ``"page:/checkout"``, or
            steps with conditions: ``Step.parse("product.view", ["is:category:mugs"])``.
        :param filter: limits the sessions in which attempts begin.
        :param within: how long an attempt may take.
        :param per: what is counted: each ``person``, or each ``session`` for itself.
        :param same: a parameter that has the same value in all events of an attempt.
        :param excluded: events and pages that end an attempt if they come between two steps.
        :param by: a dimension of sessions, such as ``source``, for rows by where attempts began.
        :param sites: the only sites to count; None counts all of them together.
        """
        barred = tuple(map(as_step, excluded))
        plan = Plan(tuple(map(as_step, steps)), within, per, same, barred)
        return self.funnel_of(plan, period, filter, by=by, sites=sites)

    def funnel_of(
        self,
        plan: Plan,
        period: Period,
        filter: Filter = _NO_FILTER,  # noqa: A002
        *,
        by: str | None = None,
        sites: cabc.Collection[str] | None = None,
    ) -> Funnel:
        """Return the numbers of a funnel, such as ``Plan.parse()`` reads it from a URL."""
        with self._count() as counter:
            return read_funnel(counter, plan, period, filter, _freeze(sites), by)

    def lost(
        self,
        plan: Plan,
        after: int,
        period: Period,
        filter: Filter = _NO_FILTER,  # noqa: A002
        *,
        sites: cabc.Collection[str] | None = None,
        limit: int = 50,
        offset: int = 0,
    ) -> Lost:
        """Return the people who got to a step of a funnel and no further, the latest first.

        :param after: the number of the step, from 1 on.
        """
        with self._count() as counter:
            return read_lost(
                counter, plan, after, period, filter, _freeze(sites), limit=limit, offset=offset
            )

    def goals(
        self,
        period: Period,
        filter: Filter = _NO_FILTER,  # noqa: A002
        *,
        sites: cabc.Collection[str] | None = None,
    ) -> tuple[GoalRow, ...]:
        """Return the goals, and how many sessions and people reached each."""
        with self._count() as counter:
            return read_goals(counter, period, filter, _freeze(sites))

    def list_goals(self) -> list[Goal]:
        """Return the goals of the code and those made on the page."""
        with self.reader.open() as connection:
            return list(self.defined_goals.read(connection, self.reader.tables).values())

    def goal(
        self,
        name: str,
        by: str,
        period: Period,
        filter: Filter = _NO_FILTER,  # noqa: A002
        *,
        sites: cabc.Collection[str] | None = None,
    ) -> GoalDetails:
        """Return how many sessions and people reached a goal, by a dimension of sessions."""
        with self._count() as counter:
            return read_goal(counter, name, by, period, filter, _freeze(sites))

    def retention(
        self,
        period: Period,
        filter: Filter = _NO_FILTER,  # noqa: A002
        *,
        by: By = "week",
        first: Step | str | None = None,
        returning: Step | str | None = None,
        dimension: str | None = None,
        sites: cabc.Collection[str] | None = None,
    ) -> Retention:
        """Return how many of those who first came in a day, week or month came back later.

        :param period: is widened to whole weeks or months.
        :param filter: limits the sessions in which people first came.
        :param first: the step whose first event counts, such as ``"transaction.charge"``; None for
            the first session.
        :param returning: the step by which people come back; None for any session.
        :param dimension: a dimension of sessions, such as ``source``, for rows by where people came
            first; None for cohorts.
        :param sites: the only sites to count; None counts all of them together.
        """
        plan = RetentionPlan(by, _as_step(first), _as_step(returning), dimension)
        with self._count() as counter:
            return read_retention(counter, plan, period, filter, _freeze(sites))

    def paths(
        self,
        start: Step | str,
        period: Period,
        filter: Filter = _NO_FILTER,  # noqa: A002
        *,
        direction: Direction = "next",
        sites: cabc.Collection[str] | None = None,
    ) -> Paths:
        """Return what sessions saw after an event or a page, three pages deep.

        :param start: an event such as ``"product.addToCart"``, or a page such as ``"page:/"``.
        :param filter: limits the sessions.
        :param direction: what they saw ``"next"``, or ``"before"``.
        :param sites: the only sites on which the start may be; None for all of them.
        """
        with self._count() as counter:
            return read_paths(counter, as_step(start), direction, period, filter, _freeze(sites))

    def elements(
        self,
        period: Period,
        filter: Filter = _NO_FILTER,  # noqa: A002
        *,
        sites: cabc.Collection[str] | None = None,
    ) -> Elements:
        """Return in how many sessions each element was seen, hovered over and clicked, and each
        form opened, begun, sent and abandoned.

        :param filter: limits the sessions.
        :param sites: the only sites to count; None counts all of them together.
        """
        with self._count() as counter:
            return read_elements(counter, period, filter, _freeze(sites))

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

    def events(
        self,
        period: Period,
        filter: Filter = _NO_FILTER,  # noqa: A002
        *,
        actions: cabc.Iterable[str] = (),
        profiles: cabc.Collection[uuidlib.UUID] | None = None,
        sites: cabc.Collection[str] | None = None,
        limit: int = 100,
    ) -> list[FeedEvent]:
        """Return the latest events of a period, newest first. Bots' have the source ``bot``.

        :param filter: which sessions the events are of. Events without a session have none of its
            values, so any filter leaves them out.
        :param actions: only events of these actions, or of patterns such as ``product.*``.
        :param profiles: only events of these people, also those from before they were identified.
        :param sites: only events of these sites.
        """
        with self._count() as counter:
            return read_events(
                counter,
                period,
                filter,
                actions=tuple(actions),
                profiles=profiles,
                sites=_freeze(sites),
                limit=limit,
            )

    def notes(self, period: Period) -> tuple[Note, ...]:
        """Return the notes on the days of a period: those of managers and of releases."""
        with self.reader.open() as connection:
            return list_notes(list_saved(connection, self.reader.tables, "note"), period)

    def list_filters(self) -> list[NamedFilter]:
        """Return the filters that managers have saved, by name."""
        with self.reader.open() as connection:
            return list_named(list_saved(connection, self.reader.tables, "filter"))

    def quality(self, period: Period) -> Counters:
        """Return how many events were stored, refused or lost, of which action and why.

        The counters know neither sites nor sessions, so there is no filter.
        """
        with self.reader.open() as connection:
            return read_all(connection, self.reader.tables, period)

    @contextlib.contextmanager
    def _count(self) -> cabc.Iterator[Counter]:
        with self.reader.open() as connection:
            yield Counter(self.reader, connection, self.catalogue, self.zone, self.defined_goals)


def _freeze(sites: cabc.Collection[str] | None) -> frozenset[str] | None:
    return None if sites is None else frozenset(sites)


def _as_step(value: Step | str | None) -> Step | None:
    return None if value is None else as_step(value)
