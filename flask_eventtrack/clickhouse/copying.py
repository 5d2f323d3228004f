"""A run of the copy: the tables once, then what the commit log tells.

A row carries the place of the transaction that changed it as its version, and a deleted one leaves
a row that says so. So rows may come twice and in any order, and a query with ``FINAL`` sees the
last version of each. What queries see so is right at once; earlier versions and deleted rows are
gone from the disk once :meth:`Copier.merge` has merged them away.

The tables are copied into new ones, which take the place of the old ones when they are whole: so
nothing is left in them of an earlier copy, and queries see the old rows meanwhile.
"""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import dataclasses
import typing as t
from concurrent import futures

import sqlalchemy as sa

from ..store.changes import (
    Changes,
    Kind,
    SnapshotNeeded,
    find_batch,
    newest_position,
    read_changes,
)
from ..store.engine import Database
from ..store.logged import MOVED, PRUNED
from .notes import Due, Note, Notes
from .problems import Away, CopyProblem
from .rows import id_of, marks_of, names_of, names_of_change, read_page, rows_of
from .server import Server
from .tables import (
    IS_DELETED,
    KINDS,
    LAYOUT,
    check,
    create,
    find_columns,
    name_of,
    types_of,
)

#: How many rows are copied at once, and how many transactions of the log.
ROWS = 50_000
TRANSACTIONS = 100
_READING_SECONDS = 3600.0
_MERGES = 3


@dataclasses.dataclass(frozen=True, slots=True)
class Wish:
    """What is asked for.

    :param anew: whether to copy all rows, whatever was copied before.
    :param has_moved: whether the database is the same one in another place.
    """

    anew: bool = False
    has_moved: bool = False


class Step(t.NamedTuple):
    """A part that was written: how many transactions, rows, and deletions."""

    transactions: int
    rows: int
    removed: int


@contextlib.contextmanager
def open_copy(
    database: Database, server: Server, notes: Notes, wish: Wish
) -> cabc.Iterator[Copier]:
    """Keep other processes out of a copy, and give what writes it.

    :raises CopyProblem: it cannot be written, for one of several reasons.
    """
    if database.tables.commit is None:
        raise CopyProblem(
            "The copy follows the commit log, which is off: set EVENTTRACK_COMMIT_LOG for all "
            "processes, and run 'flask eventtrack upgrade'."
        )
    notes.make()
    notes.take()
    try:
        with open_beside(database, server, notes, wish) as copier:
            yield copier
    finally:
        with contextlib.suppress(Away):  # it counts for a minute then
            notes.release()


@contextlib.contextmanager
def open_beside(
    database: Database, server: Server, notes: Notes, wish: Wish | None = None
) -> cabc.Iterator[Copier]:
    """Open a copy that another process writes, to read it alone."""
    engine = database.make_reading_engine(1, _READING_SECONDS)
    try:
        yield Copier(database, engine, server, notes, wish or Wish())
    finally:
        if engine is not None:
            engine.dispose()


@dataclasses.dataclass(slots=True)
class Copier:
    """Does a run: :meth:`plan`, :meth:`copy_tables` if it says so, :meth:`catch_up`,
    :meth:`merge`.

    :param reason: why all rows are copied, or "".
    """

    database: Database
    engine: sa.Engine | None
    server: Server
    notes: Notes
    wish: Wish
    reason: str = ""
    _copy: Note = dataclasses.field(default_factory=lambda: Note("copy"))
    _filling: Note = dataclasses.field(default_factory=lambda: Note("snapshot"))

    @property
    def position(self) -> int:
        """The place in the commit log up to which the copy has come."""
        return self._copy.position

    @property
    def is_filling(self) -> bool:
        """Whether the tables are to be copied."""
        return bool(self._filling.kind)

    def connect(self) -> contextlib.AbstractContextManager[sa.Connection]:
        """Open a connection whose queries all see the same moment."""
        return self.database.snapshot(self.engine)

    # Planning

    def plan(self) -> None:
        """Find out how to go on.

        :raises CopyProblem: there is something else, or a copy that cannot be gone on with.
        """
        self._copy, self._filling = self.notes.read("copy"), self.notes.read("snapshot")
        self._check_notes()
        if self.wish.anew:
            self.start_anew("")
        elif self.is_filling:
            self._go_on_filling()
        elif not self._copy.is_there:
            self.start_anew("")
        elif self._copy.kind:
            self.start_anew("A run was interrupted while it exchanged the tables.")
        else:
            self._drop_new()
            for kind in KINDS:
                check(self.server, kind, self.database.tables)

    def _check_notes(self) -> None:
        noted = [note for note in (self._copy, self._filling) if note.is_there]
        if not noted:
            self._refuse_foreign()
        if self.wish.anew:
            return
        for note in noted:
            if note.layout > LAYOUT:
                raise CopyProblem(
                    f"It was made by a later release: its layout is {note.layout}, and this "
                    f"release knows {LAYOUT}. Upgrade Flask-EventTrack."
                )
            if note.layout < LAYOUT:
                raise CopyProblem(
                    "It was made by an earlier release, with other tables. Run once with --anew: "
                    "it makes them anew, and replaces the old ones at the end."
                )
            if note.source != self.database.fingerprint:
                self._move(note)

    def _move(self, note: Note) -> None:
        if not self.wish.has_moved:
            raise CopyProblem(
                "It is the copy of another database. If that is the same one in another place, run "
                "once with --moved. If this one is to take its place, run once with --anew."
            )
        note.source = self.database.fingerprint
        self.notes.write(note)

    def _refuse_foreign(self) -> None:
        for kind in KINDS:
            if find_columns(self.server, name_of(kind)):
                raise CopyProblem(
                    f"It has a table {name_of(kind)} that no copy has made. Name another database, "
                    "or drop that table."
                )

    def _go_on_filling(self) -> None:
        """Go on with new tables that an earlier run has begun to fill, or begin again."""
        filling, tables = self._filling, self.database.tables
        for kind in KINDS:
            if find_columns(self.server, name_of(kind, is_new=True)) != types_of(kind, tables):
                self.start_anew("The tables of a run that was interrupted have other columns.")
                return
        try:
            self._read(filling, 1)
        except SnapshotNeeded as error:
            self.start_anew(str(error))

    # The tables

    def start_anew(self, reason: str) -> None:
        """Have all rows copied into new tables."""
        self.reason = reason
        filling, tables = self._filling, self.database.tables
        # First of all: a run that went on would lack what is dropped.
        filling.kind, filling.after = "", None
        filling.source, filling.layout = self.database.fingerprint, LAYOUT
        self.notes.write(filling)
        self._drop_new()
        for kind in KINDS:
            self.server.run(create(kind, tables, is_new=True))
        with self.connect() as connection:
            filling.position = newest_position(connection, tables)
            filling.batch = find_batch(connection, tables, filling.position) or 0
        filling.kind = KINDS[0]
        self.notes.write(filling)

    def count(self) -> int:
        """Return how many rows the tables have."""
        counted = (getattr(self.database.tables, kind) for kind in KINDS)
        queries = [sa.select(sa.func.count()).select_from(table) for table in counted]
        with self.connect() as connection:
            return sum(connection.scalar(query) or 0 for query in queries)

    def copy_tables(self) -> cabc.Iterator[int]:
        """Copy all rows, and yield how many were written each time."""
        filling = self._filling
        for kind in KINDS[KINDS.index(t.cast("Kind", filling.kind)) :]:
            if filling.kind != kind:
                filling.kind, filling.after = kind, None
            yield from self._copy_table(kind)
        self._exchange()

    def _copy_table(self, kind: Kind) -> cabc.Iterator[int]:
        filling, tables = self._filling, self.database.tables
        names, name = names_of(kind, tables), name_of(kind, is_new=True)
        after, number, inserting = filling.after, 0, None
        # The next rows are read while the server takes these.
        with futures.ThreadPoolExecutor(1) as thread:
            while True:
                with self.connect() as connection:
                    page = read_page(connection, tables, kind, after, ROWS, filling.position)
                if inserting is not None:
                    inserting.result()
                    filling.after = after
                    self.notes.write(filling)
                    yield number
                if not page:
                    return
                self.notes.hold()
                inserting = thread.submit(self.server.insert, name, names, page)
                after, number = id_of(page[-1]), len(page)

    def _exchange(self) -> None:
        """Have the new tables take the place of the old ones.

        Each is exchanged by itself. If that is interrupted, the next run begins again.
        """
        copy, filling = self._copy, self._filling
        copy.kind = "exchange"
        copy.source, copy.layout = filling.source, filling.layout
        self.notes.write(copy)
        filling.kind, filling.after = "", None
        self.notes.write(filling)
        for kind in KINDS:
            self.server.run(create(kind, self.database.tables))
            new = name_of(kind, is_new=True)
            self.server.run(f"EXCHANGE TABLES {name_of(kind)} AND {new}")
        copy.kind, copy.due = "", ""
        copy.position, copy.batch = filling.position, filling.batch
        self.notes.write(copy)
        self._drop_new()

    def _drop_new(self) -> None:
        for kind in KINDS:
            self.server.run(f"DROP TABLE IF EXISTS {name_of(kind, is_new=True)} SYNC")

    # The log

    def count_behind(self) -> int:
        """Return how many transactions the copy is behind."""
        with self.connect() as connection:
            return newest_position(connection, self.database.tables) - self._copy.position

    def catch_up(self, connection: sa.Connection | None = None) -> cabc.Iterator[Step]:
        """Write what has changed since, and yield each part of it.

        :param connection: to write what it sees of the log, and nothing later.
        :raises SnapshotNeeded: the log cannot tell it: :meth:`start_anew`.
        """
        copy = self._copy
        while True:
            found, batch = self._read(copy, TRANSACTIONS, connection)
            if not found:
                return
            self.notes.hold()
            step = self._write(found)
            copy.position, copy.batch = found[-1].position, batch
            copy.due = _add_due(copy.due, found)
            self.notes.write(copy)
            yield step
            if len(found) < TRANSACTIONS:
                return

    def _read(
        self, note: Note, limit: int, given: sa.Connection | None = None
    ) -> tuple[list[Changes], int]:
        """Return the next transactions, and the number of the last one."""
        tables = self.database.tables
        with self.connect() if given is None else contextlib.nullcontext(given) as connection:
            batch = find_batch(connection, tables, note.position)
            if batch is not None and batch != note.batch:
                raise SnapshotNeeded(
                    f"The commit log has another transaction at position {note.position} than "
                    "before: the database was restored from a backup, or is another one."
                )
            found = list(read_changes(connection, tables, note.position, limit))
            last = find_batch(connection, tables, found[-1].position) if found else None
            return found, last or 0

    def _write(self, found: cabc.Sequence[Changes]) -> Step:
        rows, removed, tables = 0, 0, self.database.tables
        for kind in KINDS:
            new = [row for changes in found for row in rows_of(kind, changes)]
            marks = [mark for changes in found for mark in marks_of(kind, tables, changes)]
            # In one insert: of a session that has moved, both are seen at once.
            self.server.insert(name_of(kind), names_of_change(kind, tables), [*new, *marks])
            rows, removed = rows + len(new), removed + len(marks)
        return Step(len(found), rows, removed)

    # What must leave the disk

    @property
    def is_due(self) -> bool:
        """Whether there is something to merge."""
        return bool(self._copy.due)

    def merge(self) -> None:
        """Merge deleted rows away, and after an erasure all earlier versions of rows.

        An earlier version of a row may name another person than the last one.
        """
        copy = self._copy
        if not copy.due:
            return
        for kind in KINDS:
            self._merge(name_of(kind), alone=copy.due == "deleted")
        copy.due = ""
        self.notes.write(copy)

    def _merge(self, name: str, *, alone: bool) -> None:
        """Merge the partitions of a table that have deleted rows, or more than one part.

        A part that is alone has no row twice.
        """
        condition = f"max({IS_DELETED}) = 1" + ("" if alone else " OR uniqExact(_part) > 1")
        query = f"SELECT _partition_id FROM {name} GROUP BY _partition_id HAVING {condition}"
        for _ in range(_MERGES):
            found = self.server.read(query)
            if not found:
                return
            for (partition,) in found:
                self.notes.hold()
                self.server.run(
                    f"OPTIMIZE TABLE {name} PARTITION ID '{partition}' FINAL CLEANUP",
                    optimize_throw_if_noop=1,
                )
        raise Away(f"ClickHouse has not merged all deleted rows of {name} away.")


def _add_due(due: Due, found: cabc.Iterable[Changes]) -> Due:
    """Return what is to be merged behind some transactions."""
    gone = [each.reason for changes in found for each in changes.gone]
    # Of an order without its person, the version before has them.
    stripped = any(row.uuid is None for changes in found for row in changes.transactions)
    if due == "all" or stripped or any(reason not in {PRUNED, MOVED} for reason in gone):
        return "all"
    return "deleted" if PRUNED in gone else due
