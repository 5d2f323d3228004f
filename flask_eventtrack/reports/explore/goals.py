"""Goals: named steps that are worth something, in the host's code or made on the page."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import dataclasses
import re
import typing as t

import sqlalchemy as sa

from ...catalogue.definitions import Catalogue, at_place
from ...errors import InvalidDefinition, ReportError
from ...store.saved import Saved, list_saved
from ...store.tables import Tables
from ...text import shorten
from .steps import Step, read_steps, write_steps

_NAME = re.compile(r"[\w-][\w .-]{0,63}")


@dataclasses.dataclass(frozen=True, slots=True)
class Goal:
    """A named step. A session reaches it with an event of the step.

    ``place`` is the file and line of a goal in the host's code; ``made_by`` who has made one on the
    page.
    """

    name: str
    step: Step
    description: str = ""
    place: str = dataclasses.field(default="", compare=False)
    made_by: str = dataclasses.field(default="", compare=False)

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ReportError(
                "The name of a goal has 1 to 64 letters, digits, spaces, '.', '-' and '_'. It was "
                f"{shorten(self.name)}."
            )
        if self.name.endswith((".json", ".csv")):
            raise ReportError("The name of a goal cannot end with '.json' or '.csv'.")
        self.step.where.refuse_naming()


class Goals:
    """The goals of the host's code."""

    def __init__(self) -> None:
        self._by_name: dict[str, Goal] = {}

    def define(
        self, name: str, event: str, where: cabc.Sequence[str], description: str, place: str
    ) -> None:
        """Define a goal. The same one may be defined again.

        :raises InvalidDefinition: something is malformed, or there is another goal of this name.
        """
        with _at_place(place):
            goal = Goal(name, Step.parse(event, where), description, place)
            old = self._by_name.setdefault(name, goal)
            if old != goal:
                raise InvalidDefinition(
                    f"The goal {name!r} is defined already in {old.place}, in another way."
                )

    def check(self, catalogue: Catalogue) -> None:
        """Refuse goals of events and parameters that are not defined.

        :raises InvalidDefinition: naming what there is; it begins with the file and line.
        """
        for goal in self._by_name.values():
            with _at_place(goal.place):
                goal.step.check(catalogue)

    def read(self, connection: sa.Connection, tables: Tables) -> dict[str, Goal]:
        """Return all goals by name: those of the code, then those that are saved."""
        saved = (as_goal(row) for row in list_saved(connection, tables, "goal"))
        return {**self._by_name, **{g.name: g for g in saved if g.name not in self._by_name}}


@contextlib.contextmanager
def _at_place(place: str) -> cabc.Iterator[None]:
    """Make what a report would refuse an error of the definition, with its file and line."""
    with at_place(place):
        try:
            yield
        except ReportError as error:
            raise InvalidDefinition(str(error)) from None


def as_goal(row: Saved) -> Goal:
    """Return a goal that was saved."""
    pairs = row.definition["query"]
    values = {key: [v for name, v in pairs if name == key] for key in ("step", "where")}
    [step] = read_steps(values["step"], values["where"])
    return Goal(row.name, step, row.definition.get("description", ""), made_by=row.made_by)


def as_definition(goal: Goal) -> dict[str, t.Any]:
    """Return what is saved of a goal."""
    return {"query": write_steps([goal.step]), "description": goal.description}
