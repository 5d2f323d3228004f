"""The statement by which the copy answers retention.

All that people did, first or again, is grouped by person: who is new, and when they came back, is
found without joining people. Sessions that name no person are left out, so the key of the groups
is never NULL: with a key that may be, ClickHouse takes three times as long.
"""

from __future__ import annotations

from ..reports.elsewhere import Asked
from ..reports.explore.steps import Step
from .conditions import TABLES, render, write
from .queries import second_of
from .tables import name_of

_EVENT, _SESSION = name_of("event"), name_of("session")


def cohorts_query(asked: Asked, first: Step | None, returning: Step | None) -> str:
    """Return the query for people by three things, and how many they are.

    These are the second since 1970 in which their span began; that of this or a later span in
    which they were here; and the value of the dimension.

    :param first: None for a session, and so is ``returning``.
    """
    spans = asked.period.spans(asked.question.bucket)
    starts = ", ".join(str(second_of(span.start)) for span in spans)
    done = [_done(asked, first, is_first=True, is_returning=first == returning)]
    if first != returning:
        done.append(_done(asked, returning, is_first=False, is_returning=True))
    return (
        "SELECT span, later, name, count() FROM ("
        "SELECT minIf((at, value), begins) AS begun, begun.2 AS name, "
        f"roundDown(toUnixTimestamp(begun.1), [{starts}]) AS span, "
        f"groupUniqArrayIf(roundDown(toUnixTimestamp(at), [{starts}]), again) AS back, "
        "arrayPushFront(arrayFilter(each -> each > span, back), span) AS here "
        f"FROM ({' UNION ALL '.join(done)}) GROUP BY someone "
        "HAVING countIf(begins) > 0 AND begun.1 = minIf(at, is_first)) "
        "ARRAY JOIN here AS later GROUP BY span, later, name"
    )


def _done(asked: Asked, step: Step | None, *, is_first: bool, is_returning: bool) -> str:
    """Return the query for each time that something was done: by whom, when, and with which value.

    ``begins`` is whether they may be in a cohort by it, and ``again`` whether they come back by it.

    :param is_first: whether it counts for what they did first of all.
    """
    rows = _sessions(asked) if step is None else _events(asked, step)
    is_within = " AND ".join(
        f"at {operator} {write(moment)}"
        for operator, moment in zip((">=", "<"), asked.bounds, strict=True)
    )
    return (
        f"SELECT someone, at, value, {write(is_first)} AS is_first, "
        f"is_first AND matches AND {is_within} AS begins, "
        f"{write(is_returning)} AND {is_within} AS again FROM ({rows})"
    )


def _sessions(asked: Asked) -> str:
    """Return the query for all sessions, and whether they match the filter."""
    matches = render(*asked.conditions.of(*asked.bounds))
    return (
        f"SELECT assumeNotNull(person) AS someone, started_at AS at, {_value(asked)} AS value, "
        f"coalesce({matches}, false) AS matches "
        f"FROM {_SESSION} FINAL WHERE person IS NOT NULL AND {_of_sites(asked, 'session')}"
    )


def _events(asked: Asked, step: Step) -> str:
    """Return the query for all events of a step, and whether their sessions match the filter."""
    event, conditions = TABLES.event.c, asked.conditions
    # Bots have no session.
    is_human = event.session_id.is_not(None) | (event.source != "bot")
    where = f"{render(conditions.of_step(step), is_human)} AND {_of_sites(asked, 'event')}"
    fits = render(*conditions.of(*asked.bounds, any_start=True)) if conditions else "true"
    # Without a session, it matches no filter.
    matches = "coalesce(fits, false)" if conditions else "true"
    return (
        "SELECT assumeNotNull(if(session_id IS NULL, uuid, person)) AS someone, time AS at, "
        f"coalesce(name, '') AS value, {matches} AS matches "
        f"FROM (SELECT uuid, session_id, time FROM {_EVENT} FINAL WHERE {where}) AS events "
        f"LEFT JOIN (SELECT id, person, {_value(asked)} AS name, {fits} AS fits "
        f"FROM {_SESSION} FINAL PREWHERE id IN (SELECT session_id FROM {_EVENT} WHERE {where})) "
        "AS sessions ON id = session_id WHERE session_id IS NULL OR person IS NOT NULL"
    )


def _value(asked: Asked) -> str:
    """Return the value of the dimension of a session."""
    names = asked.question.dimensions
    return f"trimBoth(toString(coalesce({names[0]}, '')))" if names else "''"


def _of_sites(asked: Asked, kind: str) -> str:
    sites = asked.conditions.sites
    table = getattr(TABLES, kind)
    return render(*([] if sites is None else [table.c.site.in_(sorted(sites))]))
