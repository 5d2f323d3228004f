"""A step: an event, or a visit of a route, with conditions on its parameters; from and to the URL.

Funnels and goals are made of steps.
"""

from __future__ import annotations

import collections.abc as cabc
import dataclasses
import re

from ...catalogue.definitions import Catalogue
from ...errors import ReportError
from ...records import PAGE_VISIT
from ...text import shorten
from ..filters import Filter
from .event_conditions import check_parameters, find_types

_PAGE = "page:"
_NO_CONDITION = Filter()
_NUMBER = re.compile(r"[1-9][0-9]?", re.ASCII)
_LONGEST = 1000
_FORM = "{} is no condition. Write <operator>:<parameter>:<value>, such as is:sku:mug."
_NUMBERED = (
    "{} is no condition on a step. Write <number of the step>:<operator>:<parameter>:<value>, such "
    "as 1:is:sku:mug."
)


@dataclasses.dataclass(frozen=True, slots=True)
class Step:
    """An event of an action, or a page visit of a route, that meets all conditions of ``where``.

    ``where`` is a filter on parameters of the action; those of a page are the parameters of
    ``page.visit``, such as ``scroll``.
    """

    action: str
    route: str | None = None
    where: Filter = _NO_CONDITION

    @staticmethod
    def parse(text: str, where: cabc.Iterable[str] = ()) -> Step:
        """Return the step of a text: an action such as ``product.view``, or ``page:/checkout``.

        :param where: conditions such as ``is:sku:mug``, ``at_least:price:20`` and
            ``at_most:quantity:3``. Several with the same operator and parameter are alternatives.
        :raises ReportError: one of them is not understood.
        """
        action, route = text, None
        if text.startswith(_PAGE):
            action, route = PAGE_VISIT, text.removeprefix(_PAGE)
        if not action or route == "" or len(text) > _LONGEST:
            raise ReportError(
                f"{shorten(text)} is no step. Give an event such as 'product.view', or a page such "
                "as 'page:/checkout'."
            )
        limits = Filter()
        for each in where:
            operator, _, rest = each.partition(":")
            name, colon, value = rest.partition(":")
            if not colon or not name or "." in name:
                raise ReportError(_FORM.format(shorten(each)))
            limits = limits.add(f"{action}.{name}", operator, value)
        return Step(action, route, limits)

    @property
    def text(self) -> str:
        """What :meth:`parse` reads, without the conditions."""
        return self.action if self.route is None else f"{_PAGE}{self.route}"

    @property
    def conditions(self) -> tuple[str, ...]:
        """The conditions, as :meth:`parse` reads them."""
        return tuple(
            f"{each.operator}:{each.field.removeprefix(f'{self.action}.')}:{value}"
            for each in self.where.conditions
            for value in each.values
        )

    def check(self, catalogue: Catalogue) -> None:
        """Refuse an event or a parameter that is not defined.

        :raises ReportError: naming what there is.
        """
        find_types(self.action, catalogue)
        check_parameters(self.where, catalogue)


def read_steps(steps: cabc.Sequence[str], where: cabc.Iterable[str] = ()) -> tuple[Step, ...]:
    """Return the steps of a URL: ``step=product.view&step=page:/cart&where=1:is:sku:mug``.

    :param where: each begins with the number of its step, counted from 1.
    :raises ReportError: something is not understood, or there is no such step.
    """
    conditions: list[list[str]] = [[] for _ in steps]
    for text in where:
        number, _, rest = text.partition(":")
        if not _NUMBER.fullmatch(number):
            raise ReportError(_NUMBERED.format(shorten(text)))
        if int(number) > len(conditions):
            raise ReportError(
                f"The condition {shorten(text)} is on step {number}. The last one is {len(steps)}."
            )
        conditions[int(number) - 1].append(rest)
    return tuple(Step.parse(*each) for each in zip(steps, conditions, strict=True))


def write_steps(steps: cabc.Sequence[Step]) -> list[tuple[str, str]]:
    """Return what :func:`read_steps` reads, as pairs of a query string."""
    pairs = [("step", each.text) for each in steps]
    for number, each in enumerate(steps, 1):
        pairs += [("where", f"{number}:{text}") for text in each.conditions]
    return pairs


def as_step(value: Step | str) -> Step:
    """Return a step, given as one or as its text."""
    return Step.parse(value) if isinstance(value, str) else value
