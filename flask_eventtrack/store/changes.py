"""Reads the commit log: what has changed since a position, in the order of the commits.

A new reader notes :func:`newest_position`, copies the tables with :func:`read_snapshot`, and goes
on with :func:`read_changes` from that position. For each transaction it first removes the ids that
are ``gone``, then inserts or replaces the rows, and then notes the position. It may be told the
same twice, if it was interrupted before that; doing it again changes nothing.

A row is told as it is now, with its last change. So a row that has changed again meanwhile is
told only with the later transaction.
"""

from __future__ import annotations

import collections.abc as cabc
import dataclasses
import datetime as dt
import typing as t
import uuid as uuidlib

import sqlalchemy as sa

from ..errors import EventTrackError
from .commit_log import COUNTER, KEPT_FOR
from .dialects import by_index
from .host_transaction import is_counted
from .logged import BATCH, LOGGED, own_columns
from .rows import EventRow, SessionRow, TransactionRow
from .tables import Tables, cached_on_table

_LATELY = 1000
Kind = t.Literal["event", "session", "transaction"]
LoggedRow = EventRow | SessionRow | TransactionRow

_ROWS: dict[str, type[LoggedRow]] = {
    "event": EventRow,
    "session": SessionRow,
    "transaction": TransactionRow,
}


class SnapshotNeeded(EventTrackError, LookupError):
    """The log cannot tell all changes since a position: a copy of the tables starts anew."""


class Gone(t.NamedTuple):
    """A row that was deleted, or whose sort key in a copy has changed.

    :param stored_at: when an event was stored; of a session, the ``started_at`` that it had.
    :param reason: :data:`.PRUNED` if it was past its retention period; :data:`.MOVED` if the row is
        told with this or a later transaction, under another id or with an earlier start.
    """

    kind: str
    id: uuidlib.UUID
    action: str | None
    stored_at: dt.datetime | None
    reason: str | None = None


@dataclasses.dataclass(slots=True)
class Changes:
    """What a transaction has changed. What is ``gone`` comes before the rows.

    :param position: the transaction's place, by which versions of a row can be ordered.
    :param at: when it was committed, by the clock of its process.
    """

    position: int
    at: dt.datetime
    gone: list[Gone] = dataclasses.field(default_factory=list)
    events: list[EventRow] = dataclasses.field(default_factory=list)
    sessions: list[SessionRow] = dataclasses.field(default_factory=list)
    transactions: list[TransactionRow] = dataclasses.field(default_factory=list)

    def rows_of(self, kind: Kind) -> list[t.Any]:
        """Return the rows of a table."""
        rows: dict[str, list[t.Any]] = {
            "event": self.events,
            "session": self.sessions,
            "transaction": self.transactions,
        }
        return rows[kind]


class Commit(t.NamedTuple):
    """A transaction: its place, the number that its rows carry, and when it was committed."""

    seq: int
    batch: int
    at: dt.datetime


def newest_position(connection: sa.Connection, tables: Tables) -> int:
    """Return the position of the last transaction so far; 0 if none is logged.

    :raises SnapshotNeeded: the commit log is off.
    """
    commit, _ = _find_log(tables)
    counter = connection.scalar(sa.select(commit.c.batch).where(commit.c.seq == COUNTER))
    return counter or 0


def find_batch(connection: sa.Connection, tables: Tables, position: int) -> int | None:
    """Return the number of the transaction at a position; None if the log does not have it.

    The number is random: a restored database has other ones behind the moment of its backup.

    :raises SnapshotNeeded: the commit log is off.
    """
    commit, _ = _find_log(tables)
    if position <= COUNTER:
        return None
    batch: int | None = connection.scalar(sa.select(commit.c.batch).where(commit.c.seq == position))
    return batch


def find_next(connection: sa.Connection, tables: Tables, position: int) -> dt.datetime | None:
    """Return when the transaction behind a position was committed; None if there is none yet.

    Of one that the log does not have any more, it is when the log begins, or the first moment there
    is.

    :raises SnapshotNeeded: the commit log is off.
    """
    if newest_position(connection, tables) <= position:
        return None
    commit, _ = _find_log(tables)
    query = sa.select(commit.c.at).where(commit.c.seq > position).order_by(commit.c.seq).limit(1)
    return connection.scalar(query) or dt.datetime.min.replace(tzinfo=dt.UTC)


def read_snapshot(
    connection: sa.Connection,
    tables: Tables,
    kind: Kind,
    after: uuidlib.UUID | None = None,
    limit: int = 1000,
) -> list[t.Any]:
    """Return the rows of a table behind an id, in the order of the ids; none at the end.

    :param after: the id of the last row that was read.
    """
    table: sa.Table = getattr(tables, kind)
    query = sa.select(*own_columns(table)).order_by(table.c.id).limit(limit)
    if after is not None:
        query = query.where(table.c.id > after)
    if kind == "event":
        # What a host has written itself still changes; its place in the log is yet to come.
        query = query.where(is_counted(tables))
    row = _ROWS[kind]
    return [row(*values) for values in connection.execute(query)]


def read_changes(
    connection: sa.Connection, tables: Tables, position: int, limit: int = 20
) -> cabc.Iterator[Changes]:
    """Yield what the next transactions behind a position have changed.

    :param limit: how many transactions; their rows are read at once.
    :raises SnapshotNeeded: the log is off, or was off for a while, or no longer reaches back to the
        position.
    """
    _, gone = _find_log(tables)
    commits = read_commits(connection, tables, position, limit)
    if not commits:
        return
    found = {each.batch: Changes(each.seq, each.at) for each in commits}
    batches = {"batches": list(found)}
    for batch, *values in connection.execute(_gone_query(gone), batches):
        found[batch].gone.append(Gone(*values))
    for kind in LOGGED:
        make = _ROWS[kind]
        for *values, batch in connection.execute(_rows_query(getattr(tables, kind)), batches):
            found[batch].rows_of(kind).append(make(*values))
    yield from found.values()


def _find_log(tables: Tables) -> tuple[sa.Table, sa.Table]:
    if tables.commit is None or tables.gone is None:
        raise SnapshotNeeded("EVENTTRACK_COMMIT_LOG is off, so that changes are not logged.")
    return tables.commit, tables.gone


def read_commits(
    connection: sa.Connection, tables: Tables, position: int, limit: int
) -> list[Commit]:
    """Return the next transactions behind a position, if the log can tell all of their changes.

    :raises SnapshotNeeded: it cannot.
    """
    commit, _ = _find_log(tables)
    counter, commits = _read_commits(connection, commit, position, limit)
    _check_reach(position, counter, commits)
    if commits:
        _check_all_logged(connection, tables, position, commits)
    return commits


def _read_commits(
    connection: sa.Connection, commit: sa.Table, position: int, limit: int
) -> tuple[Commit | None, list[Commit]]:
    """Return the counter, if anything is logged, and the next transactions.

    The counter is read first: it is at most as new as what is read after it.
    """
    query = sa.select(commit.c.seq, commit.c.batch, commit.c.at).order_by(commit.c.seq)
    counters = connection.execute(query.where(commit.c.seq == COUNTER))
    counter = next((Commit(*row) for row in counters), None)
    following = query.where(commit.c.seq > max(position, COUNTER)).limit(limit)
    return counter, [Commit(*row) for row in connection.execute(following)]


def _check_reach(position: int, counter: Commit | None, commits: cabc.Sequence[Commit]) -> None:
    newest = max(counter.batch if counter else 0, commits[-1].seq if commits else 0)
    first = commits[0].seq if commits else newest + 1
    if first > position + 1:
        raise SnapshotNeeded(
            f"The commit log no longer has what follows position {position}: it is kept for "
            f"{KEPT_FOR.days} days."
        )
    if position > newest:
        raise SnapshotNeeded(
            f"The commit log ends at {newest}, before position {position}: the database is another "
            "one, or was restored from a backup."
        )


def _check_all_logged(
    connection: sa.Connection, tables: Tables, position: int, commits: cabc.Sequence[Commit]
) -> None:
    """Check that no process has stored events without the log meanwhile."""
    since = _moment_of(connection, tables, position) or commits[0].at
    event = tables.event
    query = by_index(sa.select(event.c.id), event.c.stored_at)
    query = query.where(event.c.stored_at > since, event.c.stored_at <= commits[-1].at)
    query = query.where(event.c.batch.is_(None), is_counted(tables)).limit(1)
    if connection.scalar(query) is not None:
        raise SnapshotNeeded(
            "Events have been stored without the commit log: EVENTTRACK_COMMIT_LOG was off in some "
            "process. Set it in all of them."
        )


def _moment_of(connection: sa.Connection, tables: Tables, position: int) -> dt.datetime | None:
    commit, _ = _find_log(tables)
    if position <= COUNTER:
        return None
    # One clock may be behind: the latest of some tells.
    lately = commit.c.seq > max(COUNTER, position - _LATELY), commit.c.seq <= position
    moment: dt.datetime | None = connection.scalar(
        sa.select(sa.func.max(commit.c.at)).where(*lately)
    )
    return moment


@cached_on_table
def _gone_query(gone: sa.Table) -> sa.Select[t.Any]:
    names = (BATCH, "kind", "id", "action", "stored_at", "reason")
    query = sa.select(*(gone.c[name] for name in names))
    return query.where(gone.c.batch.in_(sa.bindparam("batches", expanding=True)))


@cached_on_table
def _rows_query(table: sa.Table) -> sa.Select[t.Any]:
    query = sa.select(*own_columns(table), table.c.batch)
    return query.where(table.c.batch.in_(sa.bindparam("batches", expanding=True)))
