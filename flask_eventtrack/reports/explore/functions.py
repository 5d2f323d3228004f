"""How the host's functions on events go: how far behind they are, and what they fail with."""

from __future__ import annotations

import dataclasses
import datetime as dt
import typing as t

import sqlalchemy as sa

from ...store.changes import newest_position
from ...store.followers import FollowerRow, list_followers
from ...store.tables import Tables

#: A function that is this far behind is late.
LATE: t.Final = dt.timedelta(minutes=5)


@dataclasses.dataclass(frozen=True, slots=True)
class FunctionState:
    """How a function of ``events.on()`` goes.

    ``behind`` is how many transactions it has not been told so far, and ``waits_since`` when the
    first of these was committed. While it fails with an event, ``tries`` says how often it was
    called with it, and ``failing_since`` since when. ``error`` and ``failed_at`` are of the last
    event that it failed with. ``given_up`` is how many events were given up. At ``missed_at``
    events were passed over, which the commit log did not have any more.
    """

    name: str
    behind: int
    waits_since: dt.datetime | None
    tries: int
    failing_since: dt.datetime | None
    error: str | None
    failed_at: dt.datetime | None
    given_up: int
    missed_at: dt.datetime | None

    def is_late(self, now: dt.datetime) -> bool:
        """Whether it is far behind."""
        return self.waits_since is not None and now - self.waits_since > LATE


def read_functions(connection: sa.Connection, tables: Tables) -> list[FunctionState]:
    """Return how each function with a position goes, by name; none without the commit log."""
    if tables.follower is None or tables.commit is None:
        return []
    rows = list_followers(connection, tables)
    newest = newest_position(connection, tables) if rows else 0
    return [_describe(connection, tables.commit, row, newest) for row in rows]


def _describe(
    connection: sa.Connection, commit: sa.Table, row: FollowerRow, newest: int
) -> FunctionState:
    behind, since = max(0, newest - row.position), None
    if behind:
        query = sa.select(commit.c.at).where(commit.c.seq > row.position)
        since = connection.scalar(query.order_by(commit.c.seq).limit(1))
    return FunctionState(
        row.name,
        behind,
        since,
        row.tries,
        row.failed_at if row.tries else None,
        row.error,
        row.failed_at,
        row.given_up,
        row.missed_at,
    )
