"""What a filter says as conditions on sessions, on each database."""

from __future__ import annotations

import collections.abc as cabc
import datetime as dt
import typing as t

import sqlalchemy as sa

from ..catalogue.definitions import Catalogue
from ..errors import ReportError
from ..store.tables import Tables
from ..store.visits import VISITS
from ..text import shorten
from .filters import Condition, Filter, parse_number

_True = sa.ColumnElement[bool]
# How long a session may last until its events are looked for one by one.
_LONG = dt.timedelta(days=1)
_DAY_MINUTES = 1440
# Short enough for PostgreSQL, which refuses to cast what is beyond the range of a double.
_NUMBER = r"^-?[0-9]{1,100}(\.[0-9]{1,100})?([eE][-+]?[0-9]{1,2})?$"
_BEYOND = 1e200


class Conditions:
    """The conditions of a filter, and of the sites that a report is limited to.

    :raises ReportError: the filter names an event or parameter that is not defined.
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
    ) -> None:
        check_events(limits, catalogue)
        self._filter = limits
        self.sites = sites
        self._tables = tables
        # Under another name than in the query that has the conditions.
        self._event = sa.alias(tables.event, "during").c
        self._dialect = dialect_name
        self._catalogue = catalogue
        self._zone = zone

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
            found.append(self._has_event([action], window, map(self._of_parameter, conditions)))
        return found

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
            case "duration":
                return _compare(self._seconds(), condition)
            case "pages":
                return _compare(session.pages, condition)
            case "customer":
                profile = self._tables.profile.c
                is_customer = session.person.in_(sa.select(profile.uuid))
                known = {"yes": is_customer, "no": sa.not_(sa.func.coalesce(is_customer, False))}
                return sa.or_(*(known[value] for value in values))
        return _of_text(session[condition.field], condition)

    def _is_hour(self, condition: Condition, lower: dt.datetime, upper: dt.datetime) -> _True:
        at = self._tables.session.c.started_at
        offset: sa.ColumnElement[int] = sa.literal(_offset(lower - _LONG, self._zone))
        changes = list(_iter_changes(lower - _LONG, upper, self._zone))
        if changes:
            cases = [(at < change, sa.literal(before)) for change, before, _ in changes]
            offset = sa.case(*cases, else_=sa.literal(changes[-1][2]))
        minute = sa.extract("hour", at) * 60 + sa.extract("minute", at) + offset
        # Whole numbers: PostgreSQL extracts decimals.
        local = sa.cast(minute + _DAY_MINUTES, sa.Integer()) % _DAY_MINUTES
        hours = (local.between(int(hour) * 60, int(hour) * 60 + 59) for hour in condition.values)
        is_one = sa.or_(*hours)
        return sa.not_(is_one) if condition.operator == "is_not" else is_one

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
        lower, upper = window[0] - _LONG, window[1] + _LONG
        during = sa.select(event.session_id).where(
            event.time >= lower, event.time < upper, event.session_id.is_not(None), *is_it
        )
        is_long = session.last_seen_at >= upper
        return sa.or_(session.id.in_(during), sa.and_(is_long, has))

    def _of_parameter(self, condition: Condition) -> _True:
        action, name = t.cast("tuple[str, str]", condition.parameter)
        definition = self._catalogue.get(action)
        text = self._as_text(self._event.params[name])
        number = self._as_number(text)
        if condition.operator != "is":
            return _compare(number, condition)
        is_bool = "bool" in definition.types.get(name, "")
        values = {each.lower() for each in condition.values} if is_bool else set(condition.values)
        if is_bool and self._dialect == "sqlite":  # it extracts 1 and 0
            values = {{"true": "1", "false": "0"}.get(each, each) for each in values}
        found: list[_True] = [text.in_(sorted(values))]
        numbers = [known for each in values if (known := parse_number(each)) is not None]
        if numbers:
            found.append(number.in_(numbers))
        return sa.or_(*found)

    def _as_text(self, value: t.Any) -> sa.ColumnElement[str]:
        if self._dialect == "sqlite":
            return sa.cast(value.as_string(), sa.Text())
        text: sa.ColumnElement[str] = value.as_string()
        return text

    def _as_number(self, text: sa.ColumnElement[str]) -> sa.ColumnElement[t.Any]:
        if self._dialect == "sqlite":
            # SQLite casts anything to a number: what is none becomes 0.
            is_number = sa.func.json_valid(text) & text.op("GLOB")("[-0-9]*")
            number = sa.cast(text, sa.Float())
            return sa.case((is_number & (sa.func.abs(number) < _BEYOND), number))
        return sa.case((text.regexp_match(_NUMBER), sa.cast(text, sa.Double())))


def check_events(limits: Filter, catalogue: Catalogue) -> None:
    """Refuse events and parameters that are not defined.

    :raises ReportError: naming what there is.
    """
    for each in limits.conditions:
        if each.field == "event":
            for action in each.values:
                _get_types(action, catalogue)
        if each.parameter:
            action, name = each.parameter
            types = _get_types(action, catalogue)
            if name not in types:
                raise ReportError(
                    f"{action!r} has no parameter {shorten(name)} in its definition; it has: "
                    f"{', '.join(types) or 'none'}."
                )


def _get_types(action: str, catalogue: Catalogue) -> cabc.Mapping[str, str]:
    definition = catalogue.find(action)
    if definition is None:
        raise ReportError(f"The event {shorten(action)} is not defined.")
    return definition.types


def _of_text(column: sa.ColumnElement[t.Any], condition: Condition) -> _True:
    """Compare the column itself: an index cannot tell the value of an expression."""
    if condition.operator == "contains":
        return sa.or_(*(column.icontains(value, autoescape=True) for value in condition.values))
    is_unknown = column.is_(None)
    if condition.operator == "is":
        is_one = column.in_(condition.values)
        return sa.or_(is_one, is_unknown) if "" in condition.values else is_one
    is_other = column.not_in(condition.values)
    return is_other if "" in condition.values else sa.or_(is_other, is_unknown)


def _compare(number: sa.ColumnElement[t.Any], condition: Condition) -> _True:
    limits = [t.cast("float", parse_number(value)) for value in condition.values]
    if condition.operator == "at_least":
        return number >= min(limits)
    return number <= max(limits)


def _offset(moment: dt.datetime, zone: dt.tzinfo) -> int:
    offset = moment.astimezone(zone).utcoffset() or dt.timedelta()
    return offset // dt.timedelta(minutes=1)


def _iter_changes(
    lower: dt.datetime, upper: dt.datetime, zone: dt.tzinfo
) -> cabc.Iterator[tuple[dt.datetime, int, int]]:
    """Yield when a zone's offset changes, and the offsets before and after, in minutes."""
    while lower < upper:
        end = lower + _LONG
        before, after = _offset(lower, zone), _offset(end, zone)
        if before != after:
            first, last = lower, end
            while last - first > dt.timedelta(seconds=1):
                middle = first + (last - first) / 2
                first, last = (middle, last) if _offset(middle, zone) == before else (first, middle)
            yield last.replace(microsecond=0), before, after
        lower = end
