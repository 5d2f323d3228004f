"""Conditions on events as SQL, on each database: those of steps, and of filters by parameters."""

from __future__ import annotations

import collections.abc as cabc
import typing as t

import sqlalchemy as sa

from ...catalogue.definitions import Catalogue
from ...errors import ReportError
from ...store.visits import VISITS
from ...text import shorten
from ..filters import Condition, Filter, parse_number

if t.TYPE_CHECKING:
    from .steps import Step

_True = sa.ColumnElement[bool]
#: The columns of the table of events, under whatever name a query has it.
Events = t.Any
# Short enough for PostgreSQL, which refuses to cast what is beyond the range of a double.
_NUMBER = r"^-?[0-9]{1,100}(\.[0-9]{1,100})?([eE][-+]?[0-9]{1,2})?$"
_BEYOND = 1e200


class EventConditions:
    """Writes conditions on the columns of events, for one kind of database."""

    def __init__(self, dialect_name: str, catalogue: Catalogue) -> None:
        self._dialect = dialect_name
        self._catalogue = catalogue

    def of_step(self, step: Step, event: Events) -> _True:
        """Return the condition that an event is one of a step."""
        if step.route is None:
            is_it = event.action == step.action
        else:
            is_it = sa.and_(event.action.in_(sorted(VISITS)), event.url_rule == step.route)
        limits = (self.of_parameter(each, event) for each in step.where.conditions)
        return sa.and_(is_it, *limits)

    def of_parameter(self, condition: Condition, event: Events) -> _True:
        """Return the condition that a parameter has a value."""
        action, name = t.cast("tuple[str, str]", condition.parameter)
        kind = self._find_kind(action, name)
        text, number = self._read(kind, event.params[name])
        if condition.operator != "is":
            return compare(number, condition)
        is_bool = "bool" in kind
        values = {each.lower() for each in condition.values} if is_bool else set(condition.values)
        if is_bool and self._dialect == "sqlite":  # it extracts 1 and 0
            values = {{"true": "1", "false": "0"}.get(each, each) for each in values}
        found: list[_True] = [text.in_(sorted(values))]
        numbers = [known for each in values if (known := parse_number(each)) is not None]
        if numbers:
            found.append(number.in_(numbers))
        return sa.or_(*found)

    def value_of(self, action: str, name: str, event: Events) -> sa.ColumnElement[str]:
        """Return the value of a parameter as text; of money, its currency and amount."""
        return self._read(self._find_kind(action, name), event.params[name])[0]

    def _find_kind(self, action: str, name: str) -> str:
        return self._catalogue.get(action).types.get(name, "")

    def _read(
        self, kind: str, value: t.Any
    ) -> tuple[sa.ColumnElement[str], sa.ColumnElement[t.Any]]:
        """Return a value as text and as a number."""
        if "Money" in kind:
            amount = self._as_text(value["amount"])
            text = self._as_text(value["currency"]) + " " + amount
            return text, self._as_number(amount)
        text = self._as_text(value)
        return text, self._as_number(text)

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


def actions_of(step: Step) -> frozenset[str]:
    """Return the actions of a step's events."""
    return VISITS if step.route is not None else frozenset({step.action})


def compare(number: sa.ColumnElement[t.Any], condition: Condition) -> _True:
    """Return the condition that a number is at least, or at most, one of some values."""
    limits = [t.cast("float", parse_number(value)) for value in condition.values]
    if condition.operator == "at_least":
        return number >= min(limits)
    return number <= max(limits)


def check_parameters(limits: Filter, catalogue: Catalogue) -> None:
    """Refuse conditions on events and parameters that are not defined.

    :raises ReportError: naming what there is.
    """
    for each in limits.conditions:
        if each.parameter:
            check_parameter(*each.parameter, catalogue)


def check_parameter(action: str, name: str, catalogue: Catalogue) -> None:
    """Refuse a parameter that is not defined.

    :raises ReportError: naming those that are.
    """
    types = find_types(action, catalogue)
    if name not in types:
        raise ReportError(
            f"The event {action!r} has no parameter {shorten(name)}. It has: "
            f"{', '.join(types) or 'none'}."
        )


def find_types(action: str, catalogue: Catalogue) -> cabc.Mapping[str, str]:
    """Return the types of an action's parameters.

    :raises ReportError: the action is not defined.
    """
    definition = catalogue.find(action)
    if definition is None:
        hint = catalogue.suggest(action)
        raise ReportError(f"The event {shorten(action)} is not defined.{hint}")
    return definition.types
