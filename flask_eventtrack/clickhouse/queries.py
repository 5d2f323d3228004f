"""The statements by which the copy answers reports.

``FINAL`` leaves out rows by their sort key alone; of all others it reads all columns before it
looks at conditions. So where the key does not say enough, the ids of the rows that may match are
looked up first, among all versions: all versions of a row have its id.
"""

from __future__ import annotations

import datetime as dt

import sqlalchemy as sa

from ..records import PAGE_VISIT
from ..reports.conditions import LONG
from ..reports.elsewhere import Asked
from ..reports.sums import Sums
from .conditions import SECONDS, TABLES, render, render_value, write
from .tables import name_of

_EVENT, _SESSION, _ORDER = (name_of(kind) for kind in ("event", "session", "transaction"))
_SOMEONE = "coalesce(person, uuid)"


def keys_of(asked: Asked, sums: Sums) -> dict[str, str]:
    """Return by what sessions are counted: the names of :func:`sums_query`, and what each is.

    ``bucket`` is the first second of the bucket since 1970. ``heat`` is the hour of the local week.
    """
    offset = render(asked.conditions.offset(*asked.bounds))
    local = f"intDiv(toUnixTimestamp(started_at) + 60 * {offset}, 3600)"
    keys = {"bucket": _bucket(sums, "started_at")}
    if asked.question.has_heat:
        keys["heat"] = f"({local} + 72) % 168"  # 1970 began on a Thursday
    for name in sums.of_sessions:
        keys[name] = f"{local} % 24" if name == "hour" else name
    return keys


def sums_query(asked: Asked, keys: dict[str, str]) -> str:
    """Return the query for rows of a key's place, the values of all keys, and six sums."""
    names = ", ".join(keys)
    values = ", ".join(f"{value} AS {name}" for name, value in keys.items() if value != name)
    columns = ", ".join(name for name, value in keys.items() if value == name)
    return (
        f"SELECT indexOf([{', '.join(f'grouping({name})' for name in keys)}], 0) - 1, {names}, "
        "count(), sum(pages), sum(events), countIf(pages = 1 AND events = 1), sum(seconds), "
        f"sum(visible_ms) FROM (SELECT {', '.join(filter(None, (values, columns)))}, "
        f"pages, events, {SECONDS} AS seconds, visible_ms {_from_sessions(asked)}) "
        f"GROUP BY GROUPING SETS ({', '.join(f'({name})' for name in keys)})"
    )


def people_query(asked: Asked, sums: Sums) -> str:
    """Return the query for the people of each bucket: all, those who were in none before, and
    those of them who never came before the period."""
    session = TABLES.session.c
    earlier = render(session.started_at < asked.period.start, *_of_sites(asked, session.site))
    return (
        "SELECT bucket, count(), countIf(bucket = first), countIf(bucket = first AND is_new) "
        f"FROM (SELECT {_SOMEONE} AS someone, "
        f"groupUniqArray({_bucket(sums, 'started_at')}) AS buckets, arrayMin(buckets) AS first, "
        f"someone NOT IN (SELECT person FROM {_SESSION} FINAL WHERE {earlier} AND person IN "
        f"(SELECT {_SOMEONE} FROM {_SESSION} WHERE {_where(asked)})) AS is_new "
        f"{_from_sessions(asked)} GROUP BY someone) "
        "ARRAY JOIN buckets AS bucket GROUP BY bucket"
    )


def events_query(asked: Asked) -> str:
    """Return the query for the events of the sessions, by action and URL rule."""
    return (
        f"SELECT action, url_rule, count() FROM {_EVENT} FINAL WHERE {_of_sessions(asked)} "
        "GROUP BY action, url_rule"
    )


def paths_query(asked: Asked, route: str) -> str:
    """Return the query for the page visits of a route, by path."""
    event, (lower, upper) = TABLES.event.c, asked.bounds
    where = [event.action == PAGE_VISIT, event.url_rule == route]
    if not asked.conditions:
        where += [event.time >= lower, event.time < upper, *_of_sites(asked, event.site)]
    among = _of_sessions(asked) if asked.conditions else _stored(asked)
    path = render_value(sa.func.coalesce(event.params["path"].as_string(), ""))
    where_sql = f"{render(*where)} AND {among}"
    return f"SELECT {path}, count() FROM {_EVENT} FINAL WHERE {where_sql} GROUP BY ALL"


def people_of_query(asked: Asked, dimension: str) -> str:
    """Return the query for the people of each value of a dimension of sessions."""
    value = f"trimBoth(coalesce({dimension}, ''))"
    return f"SELECT {value}, uniqExact({_SOMEONE}) {_from_sessions(asked)} GROUP BY ALL"


def people_of_events_query(asked: Asked, column: str) -> str:
    """Return the query for the people whose sessions have events, by a column of the events."""
    only = f"AND action = {write(PAGE_VISIT)} " if column == "url_rule" else ""
    return (
        f"SELECT value, uniqExact(someone) FROM (SELECT trimBoth({column}) AS value, session_id "
        f"FROM {_EVENT} FINAL WHERE {_of_sessions(asked)} {only}GROUP BY ALL) AS event "
        f"JOIN (SELECT id, {_SOMEONE} AS someone {_from_sessions(asked)}) AS session "
        "ON session.id = event.session_id GROUP BY ALL"
    )


def orders_query(asked: Asked, sums: Sums) -> str:
    """Return the query for orders and amounts by bucket and currency.

    A cancellation is that of its order, and has no session of its own.
    """
    order, (lower, upper) = TABLES.transaction.c, asked.bounds
    sites = [] if asked.conditions else _of_sites(asked, order.site)
    where = render(order.time >= lower, order.time < upper, *sites)
    charges = (
        f"SELECT toNullable(id) AS charge, session_id AS of_charge FROM {_ORDER} FINAL "
        f"PREWHERE id IN (SELECT charge_id FROM {_ORDER} WHERE {where})"
    )
    orders = (
        f"SELECT coalesce(session_id, of_charge) AS made_in, {_bucket(sums, 'time')} AS bucket, "
        f"currency, charge_id, amount FROM {_ORDER} FINAL "
        f"LEFT JOIN ({charges}) AS charges ON charge = charge_id WHERE {where}"
    )
    limit = ""
    if asked.conditions:
        matching = render(*asked.conditions.of(*asked.bounds, any_start=True))
        among = f"PREWHERE id IN (SELECT made_in FROM ({orders})) WHERE {matching}"
        limit = f"WHERE made_in IN (SELECT id FROM {_SESSION} FINAL {among})"
    return (
        "SELECT bucket, currency, countIf(charge_id IS NULL), sum(amount) "
        f"FROM ({orders}) {limit} GROUP BY bucket, currency"
    )


def _bucket(sums: Sums, column: str) -> str:
    starts = ", ".join(str(second_of(span.start)) for span in sums.spans)
    return f"roundDown(toUnixTimestamp({column}), [{starts}])"


def second_of(moment: dt.datetime) -> int:
    """Return the seconds since 1970."""
    return int(moment.timestamp())


def _where(asked: Asked) -> str:
    started_at, (lower, upper) = TABLES.session.c.started_at, asked.bounds
    return render(started_at >= lower, started_at < upper, *asked.conditions.of(lower, upper))


def _from_sessions(asked: Asked) -> str:
    return f"FROM {_SESSION} FINAL WHERE {_where(asked)}"


def _of_sessions(asked: Asked) -> str:
    """Return the condition on events of the sessions."""
    return f"{_stored(asked)} AND session_id IN (SELECT id {_from_sessions(asked)})"


def _stored(asked: Asked) -> str:
    """Return the condition that leaves out bots, and what was stored too early.

    A late event may be older than its session, but it was stored later.
    """
    event = TABLES.event.c
    return render(event.stored_at >= asked.bounds[0] - 2 * LONG, event.source != "bot")


def _of_sites(asked: Asked, site: sa.ColumnElement[str]) -> list[sa.ColumnElement[bool]]:
    sites = asked.conditions.sites
    return [] if sites is None else [site.in_(sorted(sites))]
