"""Who is here now, and the events as they come in."""

from __future__ import annotations

import collections.abc as cabc
import datetime as dt
import typing as t

import sqlalchemy as sa

from ..store.tables import Tables, cached_on_table
from .feed import SLOWEST_COMMIT, Stored, read_since
from .rows import HereNow

#: Who was active within this time is here.
HERE: t.Final = dt.timedelta(minutes=5)
#: The most events of a look.
MOST: t.Final = 500
# A session that is older and still open is left out, so that the index gives few rows, even if
# nothing has ended sessions for long.
_LONGEST = dt.timedelta(hours=24)
_MOST_PEOPLE = 500


def read_here(
    connection: sa.Connection,
    tables: Tables,
    now: dt.datetime,
    sites: cabc.Collection[str] | None = None,
) -> list[HereNow]:
    """Return the people who were active in the last five minutes, the latest first.

    These are open sessions, by the index on ``ended_at`` and ``started_at``: a few hundred rows,
    however many events there are. To group the events of five minutes would read more of them.

    :param sites: only people on these sites.
    """
    found: dict[t.Any, HereNow] = {}
    query = _query_here(tables, sites)
    for person, *values, uuid in connection.execute(query, _times_of(now)):
        found.setdefault(person or uuid, HereNow(person or uuid, *values))
    return list(found.values())


def _query_here(tables: Tables, sites: cabc.Collection[str] | None = None) -> sa.Select[t.Any]:
    session, profile = tables.session.c, tables.profile.c
    columns = (
        *(session.person, profile.customer_id, session.last_seen_at, session.exit, session.source),
        *(session.country, session.device_type, session.pages, session.site, session.uuid),
    )
    query = (
        sa.select(*columns)
        .outerjoin(tables.profile, profile.uuid == session.person)
        .where(*_is_here(tables.session))
        .order_by(session.last_seen_at.desc())
        .limit(_MOST_PEOPLE)
    )
    return query if sites is None else query.where(session.site.in_(sites))


def count_here(connection: sa.Connection, tables: Tables, now: dt.datetime) -> int:
    """Return how many people :func:`read_here` finds."""
    query = _count_query(tables.session)
    return min(connection.scalar(query, _times_of(now)) or 0, _MOST_PEOPLE)


@cached_on_table
def _count_query(session: sa.Table) -> sa.Select[t.Any]:
    who = sa.func.coalesce(session.c.person, session.c.uuid)
    return sa.select(sa.func.count(who.distinct())).where(*_is_here(session))


def _is_here(session: sa.Table) -> tuple[sa.ColumnElement[bool], ...]:
    return (
        session.c.ended_at.is_(None),
        session.c.started_at >= sa.bindparam("begun_since"),
        session.c.last_seen_at >= sa.bindparam("seen_since"),
    )


def _times_of(now: dt.datetime) -> dict[str, dt.datetime]:
    return {"begun_since": now - _LONGEST, "seen_since": now - HERE}


def read_live(
    connection: sa.Connection,
    tables: Tables,
    after: dt.datetime | None = None,
    limit: int = MOST,
    action: str = "",
) -> list[Stored]:
    """Return the events stored last, newest first.

    :param after: the latest ``stored_at`` that the caller has seen. A row gets its time before its
        transaction commits, so this looks further back than that, by the longest transaction there
        is; the caller drops what it has, by the events' ids.
    :param limit: at most 500.
    """
    since = None if after is None else after - SLOWEST_COMMIT
    return read_since(connection, tables, since, min(limit, MOST), action)
