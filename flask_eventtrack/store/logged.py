"""Which tables the commit log tells the changes of, and the batch of the open transaction.

Each transaction of ours has a random number, its batch. Rows of these tables that it inserts or
updates carry the number: SQLAlchemy fills the column, unless a statement goes past it, as those of
:mod:`.fast_rows` do. Transactions of the host have no number, and neither have ours while
``EVENTTRACK_COMMIT_LOG`` is off.
"""

from __future__ import annotations

import collections.abc as cabc
import secrets
import typing as t

import sqlalchemy as sa

#: The tables, by their fields of :class:`.Tables`: what reports about many people read. Profiles
#: and aliases are not among them, since sessions and transactions name their person.
LOGGED: t.Final = ("event", "session", "transaction")
#: The column.
BATCH: t.Final = "batch"
#: A column of events: the batch of the transaction that stored the row. It never changes.
ADDED_IN: t.Final = "added_in"
#: The columns that rows in memory do not have.
INNER: t.Final = frozenset({BATCH, ADDED_IN})
#: The execution option of a deletion that says why its rows go.
REASON: t.Final = "eventtrack_reason"
#: The reason of retention.
PRUNED: t.Final = "pruned"
#: The reason of rows that are still there: under another id, or as sessions of an earlier day.
MOVED: t.Final = "moved"
#: By table, the moment by which a copy may sort rows.
_SORTED_BY: t.Final = {"event": "stored_at", "session": "started_at"}
# Among what belongs to a connection of ours while its transaction is open.
_OPEN = "eventtrack_batch"
_BITS = 62


class Batch:
    """The batch of an open transaction. It gets its ``number`` with its first change.

    :param gone: ``eventtrack_gone``.
    :param kinds: what the tables are called in it.
    """

    __slots__ = ("_gone", "_kinds", "number")

    def __init__(self, gone: sa.Table, kinds: cabc.Mapping[sa.Table, str]) -> None:
        self.number: int | None = None
        self._gone = gone
        self._kinds = kinds

    def take_number(self) -> int:
        if self.number is None:
            self.number = secrets.randbits(_BITS)
        return self.number

    def leave_gone(
        self,
        connection: sa.Connection,
        table: sa.Table,
        condition: sa.ColumnElement[bool],
        parameters: t.Any = None,
        reason: str | None = None,
    ) -> None:
        """Note that rows are about to be gone from a table, or from their place in a copy.

        :param parameters: those of the condition.
        """
        gone, kind = self._gone, self._kinds[table]
        moment = _SORTED_BY.get(kind)
        found: dict[sa.Column[t.Any], sa.ColumnElement[t.Any]] = {
            gone.c.batch: sa.literal(self.take_number(), sa.BigInteger()),
            gone.c.kind: sa.literal(kind, sa.String()),
            gone.c.id: table.c.id,
            gone.c.stored_at: sa.null() if moment is None else table.c[moment],
            gone.c.action: table.c.action if kind == "event" else sa.null(),
            gone.c.reason: sa.null() if reason is None else sa.literal(reason, sa.String()),
        }
        query = sa.select(*found.values()).where(condition)
        # A row may be deleted, made anew and deleted again.
        query = query.where(table.c.id.not_in(self.gone_from(table)))
        connection.execute(gone.insert().from_select(list(found), query), parameters)

    def gone_from(self, table: sa.Table) -> sa.Select[tuple[t.Any]]:
        """Return the query for the ids of a table that the transaction has noted as gone."""
        gone = self._gone.c
        theirs = gone.batch == self.take_number(), gone.kind == self._kinds[table]
        return sa.select(gone.id).where(*theirs)


def set_open(connection: sa.Connection, batch: Batch) -> None:
    """Have the statements on a connection belong to a batch, until :func:`set_closed`."""
    connection.info[_OPEN] = batch


def set_closed(info: dict[t.Any, t.Any]) -> None:
    """Have what follows on a connection belong to no batch.

    :param info: the connection's, which cannot be asked for once the connection is lost.
    """
    info.pop(_OPEN, None)


def find_open(connection: sa.Connection) -> Batch | None:
    """Return the batch of a connection's transaction, if it has one."""
    batch: Batch | None = connection.info.get(_OPEN)
    return batch


def number_of(connection: sa.Connection) -> int | None:
    """Return the number for the rows that a transaction changes, if it has one."""
    batch = find_open(connection)
    return None if batch is None else batch.take_number()


def leave_moved(
    connection: sa.Connection, table: sa.Table, condition: sa.ColumnElement[bool]
) -> None:
    """Note that rows are about to leave their place in a copy: to get another id, or to begin on
    another day."""
    batch = find_open(connection)
    if batch is not None:
        batch.leave_gone(connection, table, condition, reason=MOVED)


def added_now(connection: sa.Connection, event: sa.Table) -> dict[str, int | None]:
    """Return the value of ``added_in`` for rows that the log tells of only from now on."""
    return {ADDED_IN: number_of(connection)} if ADDED_IN in event.columns else {}


def add_columns(table: sa.Table, name: str) -> None:
    """Give a table the columns and the index, as migrations know them.

    :param name: one of ``LOGGED``.
    """
    _append(table, name, sa.Column(BATCH, sa.BigInteger()), sa.Column(ADDED_IN, sa.BigInteger()))


def add_filled_columns(table: sa.Table, name: str) -> None:
    """Do the same for our own statements, which fill the columns."""

    def fill(context: t.Any) -> int | None:
        return number_of(context.root_connection)

    batch = sa.Column(BATCH, sa.BigInteger(), default=fill, onupdate=fill)
    _append(table, name, batch, sa.Column(ADDED_IN, sa.BigInteger(), default=fill))


def _append(table: sa.Table, kind: str, column: sa.Column[int], added_in: sa.Column[int]) -> None:
    table.append_column(column)
    if kind == "event":
        table.append_column(added_in)
    # Without the rows from before the log was on: they are many, and nobody looks for them.
    has_one = sa.text(f"{BATCH} IS NOT NULL")
    name = f"ix_{table.name}_{BATCH}"
    sa.Index(name, column, postgresql_where=has_one, sqlite_where=has_one)


def own_columns(table: sa.Table) -> list[sa.Column[t.Any]]:
    """Return the columns of a table that its rows in memory have."""
    return [column for column in table.columns if column.name not in INNER]
