"""A clock that may be wrong: something is removed for its age only if other clocks agree.

A process's clock that is years ahead would make everything old at once. So age is also measured by
the database's clock, and by the moments at which events were stored: if nothing was stored for a
long time, the clock may have jumped.
"""

from __future__ import annotations

import datetime as dt
import typing as t

import sqlalchemy as sa

from ..text import quantify
from .tables import Tables
from .types import UTCDateTime

_DAY = dt.timedelta(days=1)
# Clocks of two machines may differ by this much.
_SKEW = dt.timedelta(hours=1)
_CLOCKS = {
    "postgresql": "now() AT TIME ZONE 'UTC'",
    "sqlite": "strftime('%Y-%m-%d %H:%M:%f000', 'now')",
}


class Doubt(t.NamedTuple):
    """The latest moment that is believed, and why; "" if the difference is small."""

    limit: dt.datetime
    reason: str


def read_clock(connection: sa.Connection) -> dt.datetime:
    """Return the time by the database's own clock."""
    text = _CLOCKS.get(connection.dialect.name, "UTC_TIMESTAMP(6)")
    column = sa.literal_column(text, UTCDateTime())
    return t.cast("dt.datetime", connection.scalar(sa.select(column)))


def is_older(
    moment: sa.ColumnElement[t.Any], than: dt.datetime, now: dt.datetime, limit: dt.datetime
) -> sa.ColumnElement[bool]:
    """Return the condition that a row is older than ``than``, by the process's clock and by others.

    A row that is later than the other clocks allow was written by the process's: it is as old as
    that one says.

    :param now: the process's clock.
    :param limit: the latest moment that other clocks allow.
    """
    is_old = moment < than
    if limit >= now:
        return is_old
    try:
        sooner = than - (now - limit)
    except OverflowError:
        return sa.false()
    return sa.and_(is_old, sa.or_(moment < sooner, moment > limit + _DAY))


def limit_by_database(connection: sa.Connection, now: dt.datetime) -> dt.datetime:
    """Return the database's time if ``now`` is ahead of it, and otherwise ``now``."""
    theirs = read_clock(connection)
    return theirs if now > theirs + _SKEW else now


def find_doubt(
    connection: sa.Connection,
    tables: Tables,
    now: dt.datetime,
    since: dt.datetime | None,
    gap: dt.timedelta | None,
) -> Doubt | None:
    """Return why ``now`` should not be believed, or None.

    :param since: a moment up to which the clock was right; None if none is known.
    :param gap: for how long at most nothing may be stored; None for any time.
    """
    theirs = read_clock(connection)
    if now > theirs + _SKEW:
        return Doubt(
            theirs, f"this machine's clock says {_show(now)}, and the database's {_show(theirs)}"
        )
    stored_at = tables.event.c.stored_at
    silent_since = None if gap is None else _find_gap(connection, stored_at, now, since, gap)
    if gap is None or silent_since is None:
        return Doubt(theirs, "") if now > theirs else None
    return Doubt(
        silent_since,
        f"the clock says {_show(now)}, and after {_show(silent_since)} no event was stored for "
        f"{quantify(gap.days, 'day')}",
    )


def _find_gap(
    connection: sa.Connection,
    stored_at: sa.ColumnElement[t.Any],
    now: dt.datetime,
    since: dt.datetime | None,
    gap: dt.timedelta,
) -> dt.datetime | None:
    """Return the last moment before the first gap, or None if there is none.

    It goes from ``since`` to ``now`` by the latest row that each step reaches: each is one look
    into the index.
    """
    at = since or connection.scalar(sa.select(sa.func.min(stored_at)))
    while at is not None and at + gap < now:
        latest = sa.select(sa.func.max(stored_at)).where(stored_at > at, stored_at <= at + gap)
        reached: dt.datetime | None = connection.scalar(latest)
        if reached is None:
            return at
        at = reached
    return None


def _show(moment: dt.datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"
