"""What reports ask of another store that has a copy of the sessions, events and orders."""

from __future__ import annotations

import collections
import dataclasses
import datetime as dt
import typing as t

import sqlalchemy as sa

if t.TYPE_CHECKING:
    from .conditions import Conditions
    from .counting import Question
    from .explore.path_rows import Direction
    from .explore.steps import Step
    from .explore.trails import Trail
    from .period import Period
    from .sums import Sums

#: Said of a report that only the host's database answers.
NOT_THERE = "This report is not counted in the copy."


class CopyUnusable(Exception):
    """The copy cannot answer. The message is a sentence for people, which names no server."""


@dataclasses.dataclass(frozen=True, slots=True)
class Asked:
    """What is asked: the sessions that started between the ``bounds``, without the second one.

    :param conditions: of the class that the store names.
    """

    period: Period
    bounds: tuple[dt.datetime, dt.datetime]
    question: Question
    conditions: Conditions


class Elsewhere(t.Protocol):
    """Another store. It has no limit of time that cuts a report.

    Each method raises :class:`CopyUnusable` where the store does not answer.
    """

    #: How it writes conditions.
    conditions: type[Conditions]

    def check(self, connection: sa.Connection) -> None:
        """Check that the copy is up to date.

        :param connection: to the database that it is a copy of.
        :raises CopyUnusable: it is not.
        """

    def count(self, asked: Asked) -> Sums:
        """Count sessions, the events of those that match a filter, and orders."""
        ...

    def count_people(self, asked: Asked, dimension: str) -> dict[str, int] | None:
        """Return how many people there were of each value of a dimension; None of hours."""
        ...

    def count_paths(self, asked: Asked, route: str) -> dict[str, int]:
        """Return how many page visits a route has had, by path."""
        ...

    def count_cohorts(
        self, asked: Asked, first: Step | None, returning: Step | None
    ) -> list[tuple[int, int, int, str]]:
        """Count people by when they first did something, and when they came back.

        :param first: what they did; None for a session, and so is ``returning``.
        :returns: the number of the span, how many spans later (0 for the first), how many people,
            and the value of the dimension; "" without one.
        """
        ...

    def count_trails(
        self, asked: Asked, start: Step, direction: Direction
    ) -> collections.Counter[Trail]:
        """Return how many sessions with the start have each trail, whenever they began."""
        ...

    def close(self) -> None:
        """Close the connections. They open again when they are needed."""
