"""What a report is limited to: conditions that are all to be met, from and to the URL."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses
import typing as t

from ..errors import ReportError
from ..store.session_counts import DIMENSIONS
from ..text import shorten

Operator = t.Literal["is", "is_not", "contains", "at_least", "at_most"]

_EQUAL: tuple[Operator, ...] = ("is", "is_not")
_TEXT: tuple[Operator, ...] = ("is", "is_not", "contains")
_NUMBER: tuple[Operator, ...] = ("at_least", "at_most")
#: The fields of sessions, and the operators of each. A field with a dot is the parameter of an
#: event: ``<action>.<parameter>``.
FIELDS: t.Final[dict[str, tuple[Operator, ...]]] = {
    **dict.fromkeys(DIMENSIONS, _TEXT),
    "hour": _EQUAL,
    "page": _EQUAL,
    "event": _EQUAL,
    "goal": _EQUAL,
    "duration": _NUMBER,
    "pages": _NUMBER,
    "customer": ("is",),
    "headless": ("is",),
}
_OF_PARAMETER: tuple[Operator, ...] = ("is", *_NUMBER)
#: The parameters that name a person or an order: only for those who may see people.
NAMING: t.Final = frozenset({"customer_id", "order_id"})
_MOST_CONDITIONS = 20
_MOST_VALUES = 50
_LONGEST = 1000
_HOURS = frozenset(f"{hour:02}" for hour in range(24))


@dataclasses.dataclass(frozen=True, slots=True)
class Condition:
    """A condition on a field; of several values, one is enough (for ``is_not``: none)."""

    field: str
    operator: Operator
    values: tuple[str, ...]

    @property
    def parameter(self) -> tuple[str, str] | None:
        """The action and its parameter, if the condition is on one."""
        action, dot, name = self.field.rpartition(".")
        return (action, name) if dot else None


@dataclasses.dataclass(frozen=True, slots=True)
class Filter:
    """Conditions that are all to be met. An empty one limits nothing."""

    conditions: tuple[Condition, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.conditions)

    @property
    def names(self) -> frozenset[str]:
        """The parameters that it has conditions on."""
        return frozenset(each.parameter[1] for each in self.conditions if each.parameter)

    def refuse_naming(self) -> None:
        """Refuse a filter that names a person or an order, where others will see its numbers.

        :raises ReportError: naming the parameter.
        """
        if naming := sorted(NAMING & self.names):
            raise ReportError(
                f"What is saved is seen by those who may see no people: it has no condition on "
                f"{' or '.join(naming)}."
            )

    @staticmethod
    def parse(texts: cabc.Iterable[str]) -> Filter:
        """Return the filter of conditions as they are in a URL: ``["is:country:DE", …]``.

        Several conditions with the same operator and field are one, and their values alternatives.

        :raises ReportError: one of them is not understood.
        """
        found = Filter()
        for text in texts:
            operator, _, rest = text.partition(":")
            field, colon, value = rest.partition(":")
            if not colon:
                raise ReportError(
                    f"A filter is <operator>:<field>:<value>, such as is:country:DE. "
                    f"It was {shorten(text)}."
                )
            found = found.add(field, operator, value)
        return found

    def to_query(self) -> list[tuple[str, str]]:
        """Return what :meth:`parse` reads, as pairs of a query string: ``("f", "is:…")``."""
        return [
            ("f", f"{each.operator}:{each.field}:{value}")
            for each in self.conditions
            for value in each.values
        ]

    def add(self, field: str, operator: str, value: str) -> Filter:
        """Return this filter with one more condition, or with one more value of a condition.

        :raises ReportError: there is no such field or operator, or the value does not fit it.
        """
        new = _check(field, operator, value)
        rest = list(self.conditions)
        for place, each in enumerate(rest):
            if (each.field, each.operator) == (new.field, new.operator):
                values = tuple(dict.fromkeys((*each.values, value)))
                rest[place] = dataclasses.replace(each, values=values)
                break
        else:
            rest.append(new)
        if len(rest) > _MOST_CONDITIONS or any(len(e.values) > _MOST_VALUES for e in rest):
            raise ReportError(
                f"A filter has at most {_MOST_CONDITIONS} conditions of {_MOST_VALUES} values each."
            )
        return Filter(tuple(rest))

    def remove(self, condition: Condition) -> Filter:
        """Return this filter without a condition."""
        return Filter(tuple(each for each in self.conditions if each != condition))


def _check(field: str, operator: str, value: str) -> Condition:
    operators = _OF_PARAMETER if "." in field else FIELDS.get(field)
    if operators is None:
        raise ReportError(
            f"There is no filter by {shorten(field)}. There are: {', '.join(FIELDS)}, and the "
            "parameters of events, such as product.view.sku."
        )
    if operator not in operators:
        known = " or ".join(map(repr, operators))
        raise ReportError(f"{field!r} is filtered by {known}, not {shorten(operator)}.")
    found = next(each for each in operators if each == operator)
    _check_value(field, found, value)
    return Condition(field, found, (value,))


def _check_value(field: str, operator: Operator, value: str) -> None:
    problem = ""
    if len(value) > _LONGEST:
        problem = f"is at most {_LONGEST} characters"
    elif operator in _NUMBER and parse_number(value) is None:
        problem = "is a number"
    elif field in {"customer", "headless"} and value not in {"yes", "no"}:
        problem = "is 'yes' or 'no'"
    elif field == "hour" and value not in _HOURS:
        problem = "is from '00' to '23'"
    elif operator == "contains" and not value:
        problem = "is not empty"
    if problem:
        raise ReportError(f"The value of {field!r} {problem}. It was {shorten(value)}.")


def parse_number(text: str) -> float | None:
    """Return a number of a filter, or None."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if abs(number) < 1e300 else None  # neither infinite nor NaN
