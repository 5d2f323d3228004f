"""What a filter says as conditions on sessions, on each database."""

from __future__ import annotations

import collections.abc as cabc
import datetime as dt
import typing as t

import sqlalchemy as sa

from ..catalogue.definitions import Catalogue
from ..errors import ReportError
from ..records import PAGE_VISIT
from ..store.tables import Tables
from ..store.visits import VISITS
from ..text import shorten
from .explore.event_conditions import (
    EventConditions,
    actions_of,
    check_parameters,
    compare,
    find_types,
)
from .explore.goals import Goal
from .explore.steps import Step
from .filters import Condition, Filter

_True = sa.ColumnElement[bool]
#: How long a session may last until its events are looked for one by one.
LONG = dt.timedelta(days=1)
_DAY_MINUTES = 1440


class Conditions:
    """The conditions of a filter, and of the sites that a report is limited to.

    :param goals: those that the filter may name.
    :raises ReportError: the filter names an event, parameter or goal that is not defined.
    """

    def __init__(
        self,
        limits: Filter,
        sites: frozenset[str] | None,
        *,
        tables: Tables,
        dialect_name: str,
        catalogue: Catalogue,
        zone: dt.tzinfo,
        goals: cabc.Mapping[str, Goal],
    ) -> None:
        check_events(limits, catalogue)
        check_goals(limits, goals, catalogue)
        self._filter = limits
        self.sites = sites
        self._tables = tables
        # Under another name than in the query that has the conditions.
        self._event = sa.alias(tables.event, "during").c
        self._dialect = dialect_name
        self.on_events: EventConditions = EventConditions(dialect_name, catalogue)
        self._zone = zone
        self._goals = goals

    def __bool__(self) -> bool:
        return bool(self._filter)

    def of(self, lower: dt.datetime, upper: dt.datetime, *, any_start: bool = False) -> list[_True]:
        """Return the conditions on sessions that started between two moments.

        :param any_start: they may have started earlier, too.
        """
        session, found = self._tables.session.c, list[_True]()
        if self.sites is not None:
            found.append(session.site.in_(sorted(self.sites)))
        window = None if any_start else (lower, upper)
        of_events: dict[str, list[Condition]] = {}
        for each in self._filter.conditions:
            if each.parameter:
                of_events.setdefault(each.parameter[0], []).append(each)
            elif each.field == "hour":
                found.append(self._is_hour(each, lower, upper))
            else:
                found.append(self._of_field(each, window))
        for action, conditions in of_events.items():
            limits = (self.on_events.of_parameter(each, self._event) for each in conditions)
            found.append(self._has_event([action], window, limits))
        return found

    def of_step(self, step: Step) -> _True:
        """Return the condition that an event is one of a step."""
        return self.on_events.of_step(step, self._tables.event.c)

    def _of_field(
        self, condition: Condition, window: tuple[dt.datetime, dt.datetime] | None
    ) -> _True:
        session, values = self._tables.session.c, condition.values
        match condition.field:
            case "page":
                has = self._has_event(VISITS, window, [self._event.url_rule.in_(values)])
                return ~has if condition.operator == "is_not" else has
            case "event":
                has = self._has_event(values, window)
                return ~has if condition.operator == "is_not" else has
            case "goal":
                has = sa.or_(*(self._has_step(self._goals[name].step, window) for name in values))
                return ~has if condition.operator == "is_not" else has
            case "duration":
                return compare(self._seconds(), condition)
            case "pages":
                return compare(session.pages, condition)
            case "customer":
                is_customer = self._is_customer()
                known = {"yes": is_customer, "no": sa.not_(sa.func.coalesce(is_customer, False))}
                return sa.or_(*(known[value] for value in values))
            case "headless":
                known = {"yes": self._is_headless(window), "no": ~self._is_headless(window)}
                return sa.or_(*(known[value] for value in values))
        return self._of_text(session[condition.field], condition)

    def _of_text(self, column: sa.ColumnElement[t.Any], condition: Condition) -> _True:
        """Compare the column itself: an index cannot tell the value of an expression."""
        if condition.operator == "contains":
            return sa.or_(*(self._contains(column, value) for value in condition.values))
        is_unknown = column.is_(None)
        if condition.operator == "is":
            is_one = column.in_(condition.values)
            return sa.or_(is_one, is_unknown) if "" in condition.values else is_one
        is_other = column.not_in(condition.values)
        return is_other if "" in condition.values else sa.or_(is_other, is_unknown)

    def _contains(self, column: sa.ColumnElement[t.Any], value: str) -> _True:
        return column.icontains(value, autoescape=True)

    def _is_customer(self) -> _True:
        return self._tables.session.c.person.in_(sa.select(self._tables.profile.c.uuid))

    def _is_headless(self, window: tuple[dt.datetime, dt.datetime] | None) -> _True:
        """Return the condition that a session is one page visit that no browser reported, and that
        no referrer led to: what a farm of programs with browsers' names leaves."""
        session, event = self._tables.session.c, self._event
        alone = [event.source == "server", event.claimed_by.is_(None)]
        return sa.and_(
            session.pages == 1,
            session.visible_ms == 0,
            session.referrer.is_(None),
            self._has_event([PAGE_VISIT], window, alone),
        )

    def _is_hour(self, condition: Condition, lower: dt.datetime, upper: dt.datetime) -> _True:
        at, offset = self._tables.session.c.started_at, self.offset(lower, upper)
        minute = sa.extract("hour", at) * 60 + sa.extract("minute", at) + offset
        # Whole numbers: PostgreSQL extracts decimals.
        local = sa.cast(minute + _DAY_MINUTES, sa.Integer()) % _DAY_MINUTES
        hours = (local.between(int(hour) * 60, int(hour) * 60 + 59) for hour in condition.values)
        is_one = sa.or_(*hours)
        return sa.not_(is_one) if condition.operator == "is_not" else is_one

    def offset(self, lower: dt.datetime, upper: dt.datetime) -> sa.ColumnElement[int]:
        """Return by how many minutes clocks were ahead of UTC when a session started.

        It did so between two moments, or up to a day earlier.
        """
        at = self._tables.session.c.started_at
        changes = list(_iter_changes(lower - LONG, upper, self._zone))
        if not changes:
            return sa.literal(_offset(lower - LONG, self._zone))
        cases = [(at < change, sa.literal(before)) for change, before, _ in changes]
        return sa.case(*cases, else_=sa.literal(changes[-1][2]))

    def _seconds(self) -> sa.ColumnElement[t.Any]:
        """Return the whole seconds that a session lasted."""
        session = self._tables.session.c
        start, end = session.started_at, session.last_seen_at
        match self._dialect:
            case "postgresql":
                return sa.func.floor(sa.extract("epoch", end - start))
            case "mysql" | "mariadb":
                return sa.func.timestampdiff(sa.text("SECOND"), start, end)
        whole = [sa.cast(sa.func.strftime("%s", each), sa.Integer()) for each in (end, start)]
        rest = [sa.func.substr(sa.type_coerce(each, sa.Text()), 21) for each in (end, start)]
        return whole[0] - whole[1] - sa.case((rest[0] < rest[1], 1), else_=0)

    def _has_step(self, step: Step, window: tuple[dt.datetime, dt.datetime] | None) -> _True:
        return self._has_event(
            actions_of(step), window, [self.on_events.of_step(step, self._event)]
        )

    def _has_event(
        self,
        actions: cabc.Collection[str],
        window: tuple[dt.datetime, dt.datetime] | None,
        conditions: cabc.Iterable[_True] = (),
    ) -> _True:
        """Return the condition that a session has an event.

        The events of the time are looked through by their index, and only those of sessions that
        last longer one session at a time.
        """
        session, event = self._tables.session.c, self._event
        is_it = [event.action.in_(sorted(actions)), event.source != "bot", *conditions]
        has = sa.exists().where(event.session_id == session.id, *is_it)
        if window is None:
            return has
        # A late event may be older than its session.
        lower, upper = window[0] - LONG, window[1] + LONG
        during = sa.select(event.session_id).where(
            event.time >= lower, event.time < upper, event.session_id.is_not(None), *is_it
        )
        is_long = session.last_seen_at >= upper
        return sa.or_(session.id.in_(during), sa.and_(is_long, has))


def check_events(limits: Filter, catalogue: Catalogue) -> None:
    """Refuse events and parameters that are not defined.

    :raises ReportError: naming what there is.
    """
    for each in limits.conditions:
        if each.field == "event":
            for action in each.values:
                find_types(action, catalogue)
    check_parameters(limits, catalogue)


def check_goals(limits: Filter, goals: cabc.Mapping[str, Goal], catalogue: Catalogue) -> None:
    """Refuse goals that there are not, and those of events that are not defined any more.

    :raises ReportError: naming what there is.
    """
    for each in limits.conditions:
        for name in each.values if each.field == "goal" else ():
            if name not in goals:
                known = ", ".join(goals) or "none yet"
                raise ReportError(f"There is no goal {shorten(name)}. The goals are: {known}.")
            goals[name].step.check(catalogue)


def _offset(moment: dt.datetime, zone: dt.tzinfo) -> int:
    offset = moment.astimezone(zone).utcoffset() or dt.timedelta()
    return offset // dt.timedelta(minutes=1)


def _iter_changes(
    lower: dt.datetime, upper: dt.datetime, zone: dt.tzinfo
) -> cabc.Iterator[tuple[dt.datetime, int, int]]:
    """Yield when a zone's offset changes, and the offsets before and after, in minutes."""
    while lower < upper:
        end = lower + LONG
        before, after = _offset(lower, zone), _offset(end, zone)
        if before != after:
            first, last = lower, end
            while last - first > dt.timedelta(seconds=1):
                middle = first + (last - first) / 2
                first, last = (middle, last) if _offset(middle, zone) == before else (first, middle)
            yield last.replace(microsecond=0), before, after
        lower = end
