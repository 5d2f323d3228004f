"""How far each of the host's functions on events has come, and which process runs it.

A row is a function's. The process that runs it is named in ``owner``, until ``leased_until`` by the
database's clock: clocks of two machines may differ. All changes of a row but the taking are made by
its owner, and change nothing once another process has taken it.
"""

from __future__ import annotations

import collections.abc as cabc
import datetime as dt
import typing as t
import uuid as uuidlib

import sqlalchemy as sa

from .changes import SnapshotNeeded, newest_position
from .clock import read_clock
from .tables import Tables


class FollowerRow(t.NamedTuple):
    """A row of ``eventtrack_follower``.

    ``position`` is the last transaction that was told, and ``newest`` the newest one that there was
    when it was read. ``told`` are the ids of the events of the transaction behind it that were told
    already. ``event_id``, ``tries`` and ``retry_at`` are of the event that the function
    fails with now. ``failed_at`` says when the one that it failed with last first failed, and
    ``error`` how. ``given_up`` counts events, and ``missed_at`` says when some could not be told,
    since the log did not have them any more.
    """

    name: str
    position: int
    newest: int
    told: list[str] | None
    owner: uuidlib.UUID | None
    leased_until: dt.datetime | None
    event_id: uuidlib.UUID | None
    tries: int
    error: str | None
    failed_at: dt.datetime | None
    retry_at: dt.datetime | None
    given_up: int
    missed_at: dt.datetime | None


#: The values of a row whose function does not fail.
SOUND: t.Final[dict[str, t.Any]] = {
    "event_id": None,
    "tries": 0,
    "retry_at": None,
}


def find_table(tables: Tables) -> sa.Table:
    """Return the table.

    :raises SnapshotNeeded: the commit log is off.
    """
    if tables.follower is None:
        raise SnapshotNeeded("EVENTTRACK_COMMIT_LOG is off, so that there are no positions.")
    return tables.follower


def list_followers(connection: sa.Connection, tables: Tables) -> list[FollowerRow]:
    """Return all rows, by name."""
    table = find_table(tables)
    query = sa.select(*(table.c[name] for name in FollowerRow._fields)).order_by(table.c.name)
    return [FollowerRow(*row) for row in connection.execute(query)]


def take_followers(
    connection: sa.Connection,
    tables: Tables,
    names: cabc.Collection[str],
    owner: uuidlib.UUID,
    lease: dt.timedelta,
    *,
    from_start: bool = False,
) -> list[FollowerRow]:
    """Take those of the names that no process has, and return them as they were.

    A name without a row gets one at the newest position: earlier events are not told.

    :param from_start: whether it gets one at the beginning of the log instead.
    :raises sqlalchemy.exc.IntegrityError: another process makes a row now; a retry finds it.
    """
    table, now = find_table(tables), read_clock(connection)
    known = {row.name for row in list_followers(connection, tables)}
    for name in sorted(set(names) - known):
        position = 0 if from_start else newest_position(connection, tables)
        values = {"name": name, "position": position, "newest": position}
        connection.execute(table.insert().values(values))
    taken = []
    for name in sorted(names):
        is_free = sa.or_(table.c.owner.is_(None), table.c.leased_until < now)
        take = table.update().where(table.c.name == name, is_free)
        values = {"owner": owner, "leased_until": now + lease}
        if connection.execute(take.values(values)).rowcount:
            taken.append(name)
    # Read again: another process may have moved on until this one took it.
    rows = {row.name: row for row in list_followers(connection, tables)} if taken else {}
    return [rows[name] for name in taken]


def renew_leases(
    connection: sa.Connection, tables: Tables, owner: uuidlib.UUID, lease: dt.timedelta
) -> int:
    """Renew all leases of a process; return how many it has."""
    table = find_table(tables)
    renew = table.update().where(table.c.owner == owner)
    return connection.execute(renew.values(leased_until=read_clock(connection) + lease)).rowcount


def release_leases(connection: sa.Connection, tables: Tables, owner: uuidlib.UUID) -> None:
    """Leave all rows of a process to others."""
    table = find_table(tables)
    connection.execute(
        table.update().where(table.c.owner == owner).values(owner=None, leased_until=None)
    )


def change_follower(
    connection: sa.Connection, tables: Tables, name: str, owner: uuidlib.UUID, **values: t.Any
) -> bool:
    """Change a row of the owner; False if another process has taken it, or it is gone."""
    table = find_table(tables)
    is_ours = table.c.name == name, table.c.owner == owner
    return connection.execute(table.update().where(*is_ours).values(values)).rowcount > 0
