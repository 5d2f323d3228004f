"""What reports ask of another store that has a copy of the sessions, events and orders."""

from __future__ import annotations

import collections
import collections.abc as cabc
import dataclasses
import datetime as dt
import typing as t

import sqlalchemy as sa

if t.TYPE_CHECKING:
    from .conditions import Conditions
    from .counting import Question
    from .explore.attempts import Event
    from .explore.path_rows import Direction
    from .explore.plan import Plan
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


class Begun(t.NamedTuple):
    """Events of a funnel, and how many people or sessions got as far as these events say."""

    number: int
    events: list[Event]


class BegunBy(t.NamedTuple):
    """A person who has begun a funnel, by id, with the events of each thing that is counted: of the
    person, or of each session, by its id.

    Of those who got no further than the first step, ``alike`` is how many there are. It is 0 for a
    person who may have.
    """

    person: str
    alike: int
    units: list[tuple[str, list[Event]]]


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

    def read_begun(self, asked: Asked, plan: Plan, by: str | None) -> cabc.Iterable[Begun]:
        """Return who has begun a funnel, in any order.

        :param by: the dimension of sessions whose value each event has.
        """
        ...

    def read_begun_by(self, asked: Asked, plan: Plan, most: int) -> cabc.Iterable[BegunBy]:
        """Return the people who have begun a funnel, in any order; not those of sessions that are
        gone, if sessions are counted.

        :param most: how many of those are wanted who got no further than the first step, the latest
            of them.
        """
        ...

    def close(self) -> None:
        """Close the connections. They open again when they are needed."""
