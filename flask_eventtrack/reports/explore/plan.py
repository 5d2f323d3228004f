"""A funnel's steps and rules, from and to the URL."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses
import datetime as dt
import re
import typing as t

from ...catalogue.definitions import Catalogue
from ...errors import ReportError
from ...text import shorten
from .event_conditions import check_parameter
from .steps import Step, read_steps, write_steps

#: What a funnel counts.
Per = t.Literal["person", "session"]
#: The arguments of a URL that describe a funnel.
ARGUMENTS: t.Final = ("step", "where", "not", "within", "per", "same")
MOST_STEPS: t.Final = 8
_LEAST_STEPS = 2
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_DURATION = re.compile(r"([1-9][0-9]{0,4})([smhd])", re.ASCII)
_LONGEST = dt.timedelta(days=366)
_WEEK = dt.timedelta(days=7)


@dataclasses.dataclass(frozen=True, slots=True)
class Plan:
    """A funnel's steps and rules.

    An attempt may take as long as ``within``. All its events have the same value of the parameter
    ``same``. An event of ``excluded`` between two steps ends it.
    """

    steps: tuple[Step, ...]
    within: dt.timedelta = _WEEK
    per: Per = "person"
    same: str | None = None
    excluded: tuple[Step, ...] = ()

    def __post_init__(self) -> None:
        if not _LEAST_STEPS <= len(self.steps) <= MOST_STEPS:
            raise ReportError(
                f"A funnel has {_LEAST_STEPS} to {MOST_STEPS} steps, not {len(self.steps)}."
            )
        if len(self.excluded) > MOST_STEPS:
            raise ReportError(
                f"A funnel has at most {MOST_STEPS} excluded events, not {len(self.excluded)}."
            )
        if any(each.where for each in self.excluded):
            raise ReportError("An excluded event cannot have conditions. Remove them.")
        if self.per not in t.get_args(Per):
            raise ReportError(
                f"A funnel counts each 'person' or 'session', not {shorten(self.per)}."
            )
        if not dt.timedelta() < self.within <= _LONGEST:
            raise ReportError(
                f"Choose a time from 1 second to {_LONGEST.days} days for the whole funnel."
            )
        if self.same is not None and any(each.route for each in self.events):
            raise ReportError(
                "Pages have no parameters to join steps on. Leave out the pages or the parameter."
            )

    @property
    def events(self) -> tuple[Step, ...]:
        """The steps, and the excluded events."""
        return (*self.steps, *self.excluded)

    @staticmethod
    def parse(pairs: cabc.Iterable[tuple[str, str]]) -> Plan:
        """Return the funnel that the arguments of a URL describe. Other arguments are ignored.

        :raises ReportError: something is not understood.
        """
        found: dict[str, list[str]] = {name: [] for name in ARGUMENTS}
        for name, value in pairs:
            if name in found and value.strip():
                found[name].append(value.strip())
        last = {name: values[-1] for name, values in found.items() if values}
        return Plan(
            read_steps(found["step"], found["where"]),
            parse_duration(last["within"]) if "within" in last else _WEEK,
            t.cast("Per", last.get("per", "person")),
            last.get("same"),
            tuple(map(Step.parse, found["not"])),
        )

    def to_query(self) -> list[tuple[str, str]]:
        """Return what :meth:`parse` reads, without default values."""
        pairs = [*write_steps(self.steps), *(("not", each.text) for each in self.excluded)]
        if self.within != _WEEK:
            pairs.append(("within", write_duration(self.within)))
        if self.per != "person":
            pairs.append(("per", self.per))
        if self.same is not None:
            pairs.append(("same", self.same))
        return pairs

    def check(self, catalogue: Catalogue) -> None:
        """Refuse events and parameters that are not defined.

        :raises ReportError: naming what there is.
        """
        for each in self.events:
            each.check(catalogue)
            if self.same is not None:
                check_parameter(each.action, self.same, catalogue)


def parse_duration(text: str) -> dt.timedelta:
    """Return a duration of a URL: ``90s``, ``30m``, ``12h`` or ``7d``.

    :raises ReportError: it is no duration.
    """
    found = _DURATION.fullmatch(text)
    if found is None:
        raise ReportError(f"{shorten(text)} is no duration. Write one such as 30m, 12h or 7d.")
    return dt.timedelta(seconds=int(found[1]) * _UNITS[found[2]])


def write_duration(duration: dt.timedelta) -> str:
    """Return what :func:`parse_duration` reads."""
    seconds = max(1, round(duration.total_seconds()))
    unit = next(unit for unit in reversed(_UNITS) if seconds % _UNITS[unit] == 0)
    return f"{seconds // _UNITS[unit]}{unit}"
