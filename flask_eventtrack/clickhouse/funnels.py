"""The statements by which the copy answers funnels.

They only decide who cannot have got further than the first step: of these, one event stands for
all. Of all others they return the events, among which :mod:`..reports.explore.attempts` finds how
far each of them got.
"""

from __future__ import annotations

from ..reports.conditions import LONG
from ..reports.elsewhere import Asked
from ..reports.explore.plan import Plan
from ..reports.explore.step_events import StepColumns
from .conditions import TABLES, render, render_value
from .tables import name_of

_EVENT, _SESSION = name_of("event"), name_of("session")
# Whether an event fits the first and the second step.
_FIRST, _SECOND = "bitTest(fits, 0)", "bitTest(fits, 1)"
# What conditions on sessions name, all of which is unknown without a session.
_OF_SESSIONS = [each.name for each in TABLES.session.c if each.name not in {"id", "uuid"}]


def begun_query(asked: Asked, plan: Plan, by: str | None, *, has_gone: bool) -> str:
    """Return the query for those who have begun a funnel: rows of whether a session is gone, how
    many got as far as these events say, and events.

    :param has_gone: whether some sessions were removed before their events. If a row says so, the
        answer to the query without them is wrong.
    """
    return (
        "SELECT max(lacks) AS is_gone, count(), any(events) "
        f"FROM ({_units(asked, plan, by, has_gone=has_gone)}) "
        "GROUP BY if(alone, NULL, unit), begin.2 ORDER BY is_gone DESC"
    )


def lost_query(asked: Asked, plan: Plan, most: int, *, has_gone: bool) -> str:
    """Return the query for the people who have begun a funnel: rows of whether a session is gone, a
    person, the number of people of the same kind, and what they have begun: ids with events.

    People who cannot have got further than the first step are of one kind. Of all others the number
    is 0.

    :param most: how many of the former are returned, the latest first; at least 1.
    :param has_gone: as for :func:`begun_query`.
    """
    units = _units(asked, plan, None, has_gone=has_gone, with_people=True)
    return (
        "SELECT max(lacks) AS is_gone, who, if(min(alone), countIf(min(alone)) OVER (), 0) AS "
        f"number, groupArray((unit, events)) FROM ({units}) WHERE who IS NOT NULL GROUP BY who "
        f"ORDER BY is_gone DESC, max((begin.1, toString(unit))) DESC "
        f"LIMIT {most} BY if(number > 0, NULL, who)"
    )


def _units(
    asked: Asked, plan: Plan, by: str | None, *, has_gone: bool, with_people: bool = False
) -> str:
    """Return the query for people or sessions with an event of the first step. ``begin`` is when
    they had the first one, and its value.

    They are ``alone`` if they cannot have got further: no event is left for the second step.
    """
    return (
        f"SELECT unit, {'any(who) AS who, ' if with_people else ''}max(is_gone) AS lacks, "
        f"minIf((at, value), {_FIRST}) AS begin, "
        f"maxIf(at, {_SECOND}) < begin.1 OR countIf({_FIRST} OR {_SECOND}) < 2 AS alone, "
        "if(alone, [(begin.1, 1, begin.2, NULL)], groupArray((at, fits, value, same))) AS events "
        f"FROM ({_step_events(asked, plan, by, has_gone=has_gone, with_people=with_people)}) "
        f"GROUP BY unit HAVING countIf({_FIRST}) > 0 OR lacks"
    )


def _step_events(
    asked: Asked, plan: Plan, by: str | None, *, has_gone: bool, with_people: bool
) -> str:
    """Return the query for the events of all steps: whose they are, their time in microseconds, and
    the rest of :data:`.attempts.Event`."""
    event, conditions = TABLES.event.c, asked.conditions
    columns = StepColumns(plan, event, conditions.on_events)
    of_step = render(
        # Both are in the sort key, so that nothing else is merged. Late events were stored later.
        event.action.in_(sorted(columns.actions)),
        event.stored_at >= asked.bounds[0] - 2 * LONG,
        *columns.during(asked.bounds, conditions.sites),
    )
    found = (
        f"(SELECT session_id, uuid, toUnixTimestamp64Micro(time) AS at, "
        f"{render_value(columns.fits)} AS fitting, {render_value(columns.same)} AS same "
        f"FROM {_EVENT} FINAL WHERE {of_step}) AS {_EVENT}"
    )
    by_person = plan.per == "person"
    fits, is_gone, unit, who = "fitting", "false", "session_id", "NULL"
    if by_person or by or conditions or with_people:
        sessions = _sessions(of_step, has_gone=by_person and has_gone)
        found += f" LEFT JOIN ({sessions}) AS {_SESSION} ON {_SESSION}.id = session_id"
        who = "someone"
    if by_person:
        unit = who = f"coalesce(someone, {_EVENT}.uuid)"
        is_gone = "session_id IS NOT NULL AND someone IS NULL"
    if conditions:
        is_there = TABLES.session.c.started_at.is_not(None)
        begins = render(is_there, *conditions.of(*asked.bounds, any_start=True))
        fits = f"if({begins}, fitting, fitting - bitAnd(fitting, 1))"
    value = f"trimBoth(coalesce({by}, ''))" if by else "''"
    return (
        f"SELECT {unit} AS unit, {who} AS who, {is_gone} AS is_gone, at, toUInt16({fits}) AS fits, "
        f"{value} AS value, same FROM {found} WHERE fits > 0"
    )


def _sessions(of_step: str, *, has_gone: bool) -> str:
    """Return the query for the sessions of events, with the person whom each stands for.

    :param of_step: the condition on the events.
    :param has_gone: whether those are wanted, too, that were removed before their events. They
        stand for the first profile of their events.
    """
    ids = f"SELECT session_id FROM {_EVENT} WHERE {of_step}"
    there = f"FROM {_SESSION} FINAL PREWHERE id IN ({ids})"
    found = (
        "SELECT id, toNullable(coalesce(person, uuid)) AS someone, "
        f"{', '.join(f'toNullable({name}) AS {name}' for name in _OF_SESSIONS)} {there}"
    )
    if not has_gone:
        return found
    gone = f"session_id IN ({ids} AND session_id NOT IN (SELECT id {there}))"
    # An alias of a column would be what a condition names.
    return (
        f"{found} UNION ALL SELECT assumeNotNull(session_id), toUUID(min(toString(uuid))), "
        f"{', '.join('NULL' for _ in _OF_SESSIONS)} FROM {_EVENT} FINAL "
        f"PREWHERE id IN (SELECT id FROM {_EVENT} WHERE {gone}) WHERE {gone} GROUP BY session_id"
    )
