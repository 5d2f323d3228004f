"""The statement by which the copy answers retention.

All that people did, first or again, is grouped by person: who is new, and when they came back, is
found without joining people.
"""

from __future__ import annotations

from ..reports.elsewhere import Asked
from ..reports.explore.steps import Step
from .conditions import TABLES, render, write
from .queries import second_of
from .tables import name_of

_EVENT, _SESSION = name_of("event"), name_of("session")
_IS_BACK = "is_known AND is_within"


def cohorts_query(asked: Asked, first: Step | None, returning: Step | None) -> str:
    """Return the query for people by three things, and how many they are.

    These are the second since 1970 in which their span began; that of this or a later span in
    which they were here; and the value of the dimension.

    :param first: None for a session, and so is ``returning``.
    """
    spans = asked.period.spans(asked.question.bucket)
    starts = ", ".join(str(second_of(span.start)) for span in spans)
    done = [_done(asked, first, again=_IS_BACK if first == returning else "false")]
    if first != returning:
        done.append(_done(asked, returning, begins="false", ever="false", again=_IS_BACK))
    return (
        "SELECT span, later, name, count() FROM ("
        "SELECT minIf((at, value), begins) AS begun, begun.2 AS name, "
        f"roundDown(toUnixTimestamp(begun.1), [{starts}]) AS span, "
        f"groupUniqArrayIf(roundDown(toUnixTimestamp(at), [{starts}]), again) AS back, "
        "arrayPushFront(arrayFilter(each -> each > span, back), span) AS here "
        f"FROM ({' UNION ALL '.join(done)}) GROUP BY someone "
        "HAVING countIf(begins) > 0 AND begun.1 = minIf(at, ever)) "
        "ARRAY JOIN here AS later GROUP BY span, later, name"
    )


def _done(
    asked: Asked,
    step: Step | None,
    *,
    begins: str = "matches AND is_within",
    ever: str = "is_known",
    again: str,
) -> str:
    """Return the query for each time that something was done: by whom, when, and with which value.

    :param begins: whether they may be in a cohort by it.
    :param ever: whether it counts for what they did first of all.
    :param again: whether they come back by it.
    """
    rows = _sessions(asked) if step is None else _events(asked, step)
    lower, upper = map(write, asked.bounds)
    return (
        f"SELECT someone, at, value, {begins} AS begins, {ever} AS ever, {again} AS again "
        f"FROM (SELECT *, at >= {lower} AND at < {upper} AS is_within FROM ({rows}))"
    )


def _sessions(asked: Asked) -> str:
    """Return the query for all sessions, and whether they match the filter.

    What somebody did first of all goes by the person alone.
    """
    matches = render(*asked.conditions.of(*asked.bounds))
    return (
        f"SELECT coalesce(person, uuid) AS someone, started_at AS at, {_value(asked)} AS value, "
        f"coalesce({matches}, false) AS matches, person IS NOT NULL AS is_known "
        f"FROM {_SESSION} FINAL WHERE {_of_sites(asked, 'session')}"
    )


def _events(asked: Asked, step: Step) -> str:
    """Return the query for all events of a step, and whether their sessions match the filter."""
    event, conditions = TABLES.event.c, asked.conditions
    # Bots have no session.
    is_human = event.session_id.is_not(None) | (event.source != "bot")
    where = f"{render(conditions.of_step(step), is_human)} AND {_of_sites(asked, 'event')}"
    matches = render(*conditions.of(*asked.bounds, any_start=True)) if conditions else "true"
    begins = "coalesce(fits, false)" if conditions else "true"
    return (
        f"SELECT coalesce(person, uuid) AS someone, time AS at, coalesce(name, '') AS value, "
        f"{begins} AS matches, session_id IS NULL OR person IS NOT NULL AS is_known "
        f"FROM (SELECT uuid, session_id, time FROM {_EVENT} FINAL WHERE {where}) AS events "
        f"LEFT JOIN (SELECT id, person, {_value(asked)} AS name, {matches} AS fits "
        f"FROM {_SESSION} FINAL PREWHERE id IN (SELECT session_id FROM {_EVENT} WHERE {where})) "
        "AS sessions ON id = session_id"
    )


def _value(asked: Asked) -> str:
    """Return the value of the dimension of a session."""
    names = asked.question.dimensions
    return f"trimBoth(toString(coalesce({names[0]}, '')))" if names else "''"


def _of_sites(asked: Asked, kind: str) -> str:
    sites = asked.conditions.sites
    table = getattr(TABLES, kind)
    return render(*([] if sites is None else [table.c.site.in_(sorted(sites))]))
