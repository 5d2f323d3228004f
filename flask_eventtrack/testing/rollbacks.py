"""Events that a host tracks in its own transaction, and takes back with it."""

from __future__ import annotations

import collections.abc as cabc
import typing as t

import sqlalchemy as sa
from sqlalchemy import orm


def watch_rollback(db_session: orm.Session, forget: cabc.Callable[[], None]) -> None:
    """Call ``forget`` if the present transaction or savepoint does not end in a commit.

    SQLAlchemy begins a transaction with the first statement. There may have been none.
    """
    if not db_session.in_transaction():
        db_session.begin()
    inner = db_session.get_nested_transaction() or db_session.get_transaction()
    _Watch(list(_iter_outwards(inner)), forget).listen(db_session)


def _iter_outwards(
    transaction: orm.SessionTransaction | None,
) -> cabc.Iterator[orm.SessionTransaction]:
    while transaction is not None:
        yield transaction
        transaction = transaction.parent


class _Watch:
    def __init__(
        self, transactions: list[orm.SessionTransaction], forget: cabc.Callable[[], None]
    ) -> None:
        self._transactions = transactions
        self._forget = forget
        self._is_committed = False

    def listen(self, db_session: orm.Session) -> None:
        sa.event.listen(db_session, "after_soft_rollback", self._note_rollback)
        sa.event.listen(db_session, "after_commit", self._note_commit)
        sa.event.listen(db_session, "after_transaction_end", self._note_end)

    def _note_rollback(self, _: t.Any, transaction: orm.SessionTransaction) -> None:
        if transaction in self._transactions:
            self._forget()

    def _note_commit(self, db_session: orm.Session) -> None:
        if db_session.get_nested_transaction() is None:  # a savepoint commits nothing
            self._is_committed = True

    def _note_end(self, _: t.Any, transaction: orm.SessionTransaction) -> None:
        # A session that is closed rolls back, and says so nowhere else.
        if transaction is self._transactions[-1] and not self._is_committed:
            self._forget()
