"""Who got to a step of a funnel, and no further."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses
import datetime as dt
import typing as t
import uuid as uuidlib

import sqlalchemy as sa

from ...errors import ReportError
from ...store.dialects import id_as_text, ids_parameter, is_among
from ..counting import Counter, Question
from ..elsewhere import Asked, Elsewhere
from ..filters import Filter
from ..people import describe_people
from ..period import Period
from ..rows import Cut, PersonRow
from ..scan import iter_ids
from .funnel import join_in_time, read_attempts
from .plan import Plan


@dataclasses.dataclass(frozen=True, slots=True)
class Lost:
    """People who got to a step of a funnel and no further, the latest first.

    ``total`` is the number of all of them, also of those that are not returned.
    """

    people: tuple[PersonRow, ...]
    total: int
    cut: Cut | None = None


def read_lost(
    counter: Counter,
    plan: Plan,
    after: int,
    period: Period,
    limits: Filter,
    sites: frozenset[str] | None,
    *,
    limit: int,
    offset: int,
) -> Lost:
    """Return the people who got to a step and no further.

    :param after: the number of the step, from 1 on.
    """
    if not 1 <= after < len(plan.steps):
        raise ReportError(
            f"People are lost after a step from 1 to {len(plan.steps) - 1}, not {after}."
        )
    plan.check(counter.catalogue)
    told = counter.ask_copy(
        period,
        Question(limits, sites),
        lambda copy, asked: _find_there(copy, asked, plan, after, offset + limit),
    )
    if told is None:
        told = _find_here(counter, plan, after, period, limits, sites)
    people, total, cut = told
    shown = [uuidlib.UUID(person) for person in people[offset : offset + limit]]
    described = describe_people(counter.connection, counter.tables, shown)
    return Lost(tuple(described), total, cut)


class _Found(t.NamedTuple):
    """The ids of people, the latest first; how many there are of them; and what the limit cut."""

    people: list[str]
    total: int
    cut: Cut | None = None


def _find_here(
    counter: Counter,
    plan: Plan,
    after: int,
    period: Period,
    limits: Filter,
    sites: frozenset[str] | None,
) -> _Found:
    attempts, begun, cut = read_attempts(counter, plan, period, limits, sites)
    found = [(each.times[-1], unit) for unit, each in attempts.items() if len(each.times) == after]
    if after == 1:
        found += zip(begun.times, begun.units, strict=True)
    units = [unit for _, unit in sorted(found, reverse=True)]
    if plan.per == "session":
        person_of = _read_people(counter, units)
        units = list(dict.fromkeys(person_of[unit] for unit in units if unit in person_of))
    return _Found(units, len(units), cut)


def _find_there(copy: Elsewhere, asked: Asked, plan: Plan, after: int, most: int) -> _Found:
    """Find people in the copy, as many of the latest as are wanted."""
    join, found, alike = join_in_time(plan), list[tuple[dt.datetime, str, str]](), 0
    known = set[str]()
    for person, number, units in copy.read_begun_by(asked, plan, max(1, most)):
        for unit, events in units:
            attempt = join(events)
            if attempt is not None and len(attempt.times) == after:
                found.append((attempt.times[-1], unit, person))
                if number:
                    alike = number
                else:
                    known.add(person)
    people = list(dict.fromkeys(person for *_, person in sorted(found, reverse=True)))
    return _Found(people, len(known) + alike)


def _read_people(counter: Counter, sessions: cabc.Iterable[str]) -> dict[str, str]:
    """Return the person of each session."""
    session, name = counter.tables.session.c, counter.connection.dialect.name
    ids = [id_as_text(name, column) for column in (session.id, session.person, session.uuid)]
    query = sa.select(ids[0], sa.func.coalesce(*ids[1:])).where(is_among(name, session.id))
    found: dict[str, str] = {}
    for chunk in iter_ids(sessions):
        rows = counter.connection.execute(query, ids_parameter(name, chunk))
        found.update((row[0], row[1]) for row in rows)
    return found
