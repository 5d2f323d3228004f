"""The commit log: gives each transaction of ours its place in the order of the commits.

What a reader knows of a transaction, such as ``stored_at``, is set before the commit. So a reader
that goes by it passes over transactions that are committed later. The log has no such gaps: the
last thing that a transaction does is to count up row 0 of ``eventtrack_commit``. It holds the lock
of that row until its commit, so that the next one gets its number only after it.

The lock is taken last, so that nobody who holds it waits for another. A host's own transaction
never takes it: it may be open for long. What the host has written gets its place when the writer
counts it.
"""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import datetime as dt
import itertools
import typing as t

import sqlalchemy as sa
from sqlalchemy.sql.dml import Delete, ReturningInsert

from ..records import Clock, from_ns
from .clock import limit_by_database
from .logged import LOGGED, REASON, Batch, find_open, set_closed, set_open
from .tables import Tables, cached_on_table

#: For how long commits and deletions are kept. A reader that is further behind starts anew.
KEPT_FOR = dt.timedelta(days=14)
#: The counter's row.
COUNTER = 0
_REMOVED_AT_ONCE = 500
_AHEAD = dt.timedelta(days=1)


class CommitLog:
    """Notes the places of transactions, and what they delete or move.

    :param commit: ``eventtrack_commit``.
    :param gone: ``eventtrack_gone``.
    """

    def __init__(self, tables: Tables, commit: sa.Table, gone: sa.Table, clock: Clock) -> None:
        self._commit = commit
        self._gone = gone
        self._clock = clock
        self._kinds: dict[sa.Table, str] = {getattr(tables, name): name for name in LOGGED}

    def watch_deletions(self, engine: sa.Engine) -> None:
        """Note the id of each row that is deleted through the engine."""
        sa.event.listen(engine, "before_execute", self._before_execute, retval=True)

    @contextlib.contextmanager
    def follow(self, connection: sa.Connection) -> cabc.Iterator[None]:
        """Give the transaction its place at the end, if it has changed one of the tables."""
        info, batch = connection.info, Batch(self._gone, self._kinds)
        set_open(connection, batch)
        try:
            yield
            if batch.number is not None and connection.in_transaction():
                _take_place(connection, self._commit, batch.number, from_ns(self._clock()))
        finally:
            set_closed(info)

    def remove_old(self, connection: sa.Connection, now: dt.datetime) -> int:
        """Remove up to 500 old places with their deletions, and return how many."""
        before = min(now, limit_by_database(connection, now)) - KEPT_FOR
        commit, gone = self._commit, self._gone
        query = sa.select(commit).where(commit.c.seq > COUNTER).order_by(commit.c.seq)
        rows = connection.execute(query.limit(_REMOVED_AT_ONCE)).all()
        # No place is removed before those ahead of it. Of one by a clock that is ahead, the next
        # ones tell.
        ahead = now + _AHEAD
        old = list(itertools.takewhile(lambda row: row.at < before or row.at > ahead, rows))
        while old and old[-1].at > ahead:
            old.pop()
        if old:
            connection.execute(gone.delete().where(gone.c.batch.in_([row.batch for row in old])))
            are_old = commit.c.seq > COUNTER, commit.c.seq <= old[-1].seq
            connection.execute(commit.delete().where(*are_old))
        return len(old)

    def _before_execute(
        self,
        connection: sa.Connection,
        statement: sa.Executable,
        multiparams: t.Any,
        params: t.Any,
        execution_options: cabc.Mapping[str, t.Any],
    ) -> tuple[sa.Executable, t.Any, t.Any]:
        if isinstance(statement, Delete) and statement.table in self._kinds:
            batch = find_open(connection)
            if batch is not None:
                table = t.cast("sa.Table", statement.table)
                where = statement.whereclause
                condition = sa.true() if where is None else where
                parameters = multiparams or params or None
                reason = execution_options.get(REASON)
                batch.leave_gone(connection, table, condition, parameters, reason)
                # What was inserted meanwhile stays: it has left nothing.
                statement = statement.where(table.c.id.in_(batch.gone_from(table)))
        return statement, multiparams, params


def _take_place(connection: sa.Connection, commit: sa.Table, batch: int, now: dt.datetime) -> None:
    """Note the transaction as the latest one. Nothing may be locked after this.

    :raises sqlalchemy.exc.IntegrityError: another process makes the counter at this moment; the
        next attempt finds it.
    """
    parameters = {"log_batch": batch, "log_at": now}
    count_up, note = _place_statements(commit, connection.dialect.name)
    if count_up is None:
        is_first = connection.execute(note, parameters).first() is None
    else:
        is_first = connection.execute(count_up, parameters).rowcount == 0
        if not is_first:
            connection.execute(note, parameters)
    if is_first:
        rows = [{"seq": COUNTER, "batch": 1}, {"seq": 1, "batch": batch}]
        connection.execute(commit.insert(), [row | {"at": now} for row in rows])


@cached_on_table
def _place_statements(
    commit: sa.Table, dialect_name: str
) -> tuple[sa.Update | None, sa.Insert | ReturningInsert[t.Any]]:
    """Return what counts up, and what notes the new number. PostgreSQL does both in one."""
    batch = sa.bindparam("log_batch", type_=commit.c.batch.type)
    now = sa.bindparam("log_at", type_=commit.c.at.type)
    is_counter = commit.c.seq == COUNTER
    count_up = commit.update().where(is_counter).values(batch=commit.c.batch + 1, at=now)
    names = ["seq", "batch", "at"]
    if dialect_name == "postgresql":
        counted = count_up.returning(commit.c.batch).cte("counted")
        note = commit.insert().from_select(names, sa.select(counted.c.batch, batch, now))
        return None, note.returning(commit.c.seq)
    latest = sa.select(commit.c.batch, batch, now).where(is_counter)
    return count_up, commit.insert().from_select(names, latest)
