"""A run of the archive: which days differ from the tables, and their files written anew.

With the commit log, a run reads what has changed since the last one. The day of a changed row is
known, but not always the one that it had before, nor that of a deleted row: so the ids are searched
in the files. Without the log, all days are written.

A day is read in one transaction, after the place in the log was noted. What is committed meanwhile
has a later place, and the next run finds it.
"""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import dataclasses
import datetime as dt
import functools
import pathlib
import typing as t
import uuid as uuidlib

import sqlalchemy as sa

from ..reports.bulk import What
from ..store.changes import Changes, Gone, SnapshotNeeded, newest_position, read_changes
from ..store.engine import Database
from ..store.logged import MOVED, PRUNED
from .folders import Folder, Now
from .manifest import (
    KINDS,
    NAME,
    ArchiveProblem,
    DayFile,
    Manifest,
    day_of_file,
    file_of,
    read_manifest,
    write_manifest,
)
from .parquet import Parquet
from .rows import LOGGED_AS, MOMENTS, iter_days, list_columns, read_day

# How many transactions of the log are read at once.
_TRANSACTIONS = 50
_READING_SECONDS = 3600.0
# The manifest names all files, so it is not written for each of them.
_FILES_A_MANIFEST = 20
_NO_LOG = "EVENTTRACK_COMMIT_LOG is off, so that nothing tells which days have changed."

Days = dict[What, set[dt.date]]


@dataclasses.dataclass(frozen=True, slots=True)
class Wish:
    """What is asked for.

    :param since: the first day; None for that of the earlier runs.
    :param keeps_pruned: whether rows stay that retention removes from the tables.
    :param anew: whether to write all days from the tables, whatever was archived before.
    :param has_moved: whether the database is the same one in another place.
    """

    since: dt.date | None = None
    keeps_pruned: bool = False
    anew: bool = False
    has_moved: bool = False


class Step(t.NamedTuple):
    """A day that was written, with its rows; none if its file was removed."""

    kind: What
    day: dt.date
    rows: int


@contextlib.contextmanager
def open_archive(
    database: Database,
    folder: Folder,
    wish: Wish,
    now: Now,
    hash_of: cabc.Callable[[uuidlib.UUID], str],
) -> cabc.Iterator[Archiver]:
    """Keep other runs out of an archive, and give what writes it.

    :param hash_of: names a profile as its tombstone does.
    :raises ArchiveProblem: it cannot be written, for one of several reasons.
    """
    engine = database.make_reading_engine(1, _READING_SECONDS)
    try:
        with folder.hold(now) as work:
            parquet = Parquet(work, folder.filesystem)
            try:
                yield Archiver(database, engine, folder, work, parquet, wish, now, hash_of)
            finally:
                parquet.close()
    finally:
        if engine is not None:
            engine.dispose()


@dataclasses.dataclass(slots=True)
class Archiver:
    """Does a run: first :meth:`plan`, then :meth:`write`.

    :param reason: why all days are written, or "".
    """

    database: Database
    engine: sa.Engine | None
    folder: Folder
    work: pathlib.Path
    parquet: Parquet
    wish: Wish
    now: Now
    hash_of: cabc.Callable[[uuidlib.UUID], str]
    reason: str = ""
    _manifest: Manifest = dataclasses.field(default_factory=lambda: Manifest(""))
    _stored: Days = dataclasses.field(default_factory=dict)
    _dirty: Days = dataclasses.field(default_factory=lambda: {kind: set() for kind in KINDS})
    _position: int | None = None
    _erasures: str = ""
    _has_pruned: bool = False

    def plan(self) -> int:
        """Find the days that are to be written, and return how many they are.

        :raises ArchiveProblem: there is something else, or an archive that cannot be gone on with.
        """
        self._open()
        manifest = self._manifest
        try:
            if manifest.position is None or self.wish.anew:
                self._plan_all("" if self.wish.anew or self._is_logged else _NO_LOG)
            else:
                self._plan_changes(manifest.position)
        except SnapshotNeeded as error:
            if self.wish.keeps_pruned:
                raise ArchiveProblem(
                    f"{error} What retention has removed cannot be told any more from what was "
                    "erased: --anew writes the archive from the tables, without these rows."
                ) from None
            self._plan_all(str(error))
        self._save()
        return sum(map(len, self._dirty.values()))

    def write(self) -> cabc.Iterator[Step]:
        """Write each day, and yield it once its file is in its place.

        Sessions come before events: what was erased of a shared session is known by its events.
        """
        dirty = [(kind, day) for kind in KINDS for day in sorted(self._dirty[kind])]
        for number, (kind, day) in enumerate(dirty, 1):
            rows = self._write_day(kind, day)
            if number % _FILES_A_MANIFEST == 0:
                self._save()
            yield Step(kind, day, rows)
        manifest = self._manifest
        manifest.position, manifest.erasures = self._position, self._erasures
        manifest.columns, manifest.unfinished = self._list_columns(), {}
        self._save()

    @property
    def days(self) -> dict[str, dict[dt.date, DayFile]]:
        """The files that there are."""
        return self._manifest.days

    def _connect(self) -> contextlib.AbstractContextManager[sa.Connection]:
        """Open a connection whose queries all see the same moment."""
        return self.database.snapshot(self.engine)

    @property
    def _is_logged(self) -> bool:
        return self.database.tables.commit is not None

    def _list_columns(self) -> dict[str, list[str]]:
        tables = self.database.tables
        return {kind: [each.name for each in list_columns(kind, tables)] for kind in KINDS}

    # Planning

    def _open(self) -> None:
        """Read the manifest, and the names of the files.

        Not the manifest's names: a run may have been killed before it noted a file.
        """
        stored, found = self.folder.read(NAME), self.folder.find()
        if stored is None and found:
            raise ArchiveProblem(f"It has files, and no {NAME}: name an empty folder.")
        here = self.database.fingerprint
        manifest = Manifest(here, self.wish.since, self.wish.keeps_pruned)
        if stored is not None:
            manifest = read_manifest(stored)
            self._check(manifest)
        manifest.database = here
        self._manifest = manifest
        self._stored = {
            kind: {day for name in found if (day := day_of_file(kind, name))} for kind in KINDS
        }

    def _check(self, manifest: Manifest) -> None:
        wish = self.wish
        is_other = manifest.database != self.database.fingerprint
        if is_other and not wish.anew and not wish.has_moved:
            raise ArchiveProblem(
                "It is the archive of another database. If that is the same one in another place, "
                "run once with --moved."
            )
        if manifest.keeps_pruned and not wish.keeps_pruned and not wish.anew:
            raise ArchiveProblem(
                "It keeps what retention has removed from the tables, and this run would not: add "
                "--keep-pruned. With --anew, it becomes an archive without these rows."
            )
        if wish.since and (manifest.since is None or wish.since > manifest.since):
            begin = f"on {manifest.since}" if manifest.since else "with the first day of all"
            raise ArchiveProblem(f"It begins {begin}, before --since. Name another folder.")

    def _plan_all(self, reason: str) -> None:
        """Have all days written from the tables. If it is interrupted, the next run goes on."""
        manifest = self._manifest
        self.reason = reason
        manifest.since = self.wish.since or manifest.since
        manifest.keeps_pruned = self.wish.keeps_pruned
        with self._connect() as connection:
            self._position = (
                newest_position(connection, self.database.tables) if self._is_logged else None
            )
        if manifest.keeps_pruned and not self._is_logged:
            raise ArchiveProblem(
                "--keep-pruned needs EVENTTRACK_COMMIT_LOG, which tells what retention has removed "
                "from what was erased."
            )
        self._add_all()
        self._erasures = self._describe_erasures()
        manifest.position, manifest.erasures = self._position, self._erasures
        manifest.columns = self._list_columns()
        manifest.unfinished = {kind: sorted(days) for kind, days in self._dirty.items()}

    def _add_all(self) -> None:
        for kind in KINDS:
            with self._connect() as connection:
                days = iter_days(connection, self.database.tables, kind, self._manifest.since)
                self._dirty[kind] |= {*days, *self._stored[kind]}

    def _plan_changes(self, position: int) -> None:
        """Have those days written of which rows have changed, come or gone."""
        manifest, wish = self._manifest, self.wish
        self._position = position
        with self._connect() as connection:
            newest = newest_position(connection, self.database.tables)
        while True:
            with self._connect() as connection:
                read = read_changes(connection, self.database.tables, self._position, _TRANSACTIONS)
                number = 0
                for changes in read:
                    self._note(changes)
                    self._position, number = changes.position, number + 1
            if not number or self._position >= newest:
                break
        if wish.since and manifest.since and wish.since < manifest.since:
            self._add_days_before(manifest.since, wish.since)
        manifest.keeps_pruned = wish.keeps_pruned
        for kind in KINDS:
            self._dirty[kind].update(manifest.unfinished.get(kind, ()))
            # Whoever has removed a file gets it again.
            self._dirty[kind] |= manifest.days.get(kind, {}).keys() - self._stored[kind]
            # The days in which changed and deleted rows were so far.
            self._add_found(kind, functools.partial(self.parquet.find_touched, kind))
        self._erasures = self._describe_erasures()
        # Retention may have been faster than an erasure that was under way in the last run.
        # And a process without the log may have erased somebody.
        if manifest.erasures != self._erasures or (manifest.keeps_pruned and self._has_pruned):
            self._add_erased()
        if manifest.columns != self._list_columns():
            self._add_all()
        self._leave_out_early()

    def _note(self, changes: Changes) -> None:
        """Note the rows that a transaction has changed: their days, and their ids."""
        for row in changes.events:
            self._dirty["events"].add(row.time.date())
        for session in changes.sessions:
            self._dirty["sessions"].add(session.started_at.date())
        touched = [
            *(("events", str(row.id)) for row in changes.events),
            *(("sessions", str(row.id)) for row in changes.sessions),
            *(
                (LOGGED_AS[gone.kind], str(gone.id))
                for gone in changes.gone
                if gone.kind in LOGGED_AS and not self._stays(gone)
            ),
        ]
        self.parquet.remember("touched", touched)
        self._has_pruned |= any(gone.reason == PRUNED for gone in changes.gone)

    def _stays(self, gone: Gone) -> bool:
        # A session that has moved is among the rows, unless it has been deleted since.
        has_moved = gone.kind == "session" and gone.reason == MOVED
        return has_moved or (self.wish.keeps_pruned and gone.reason == PRUNED)

    def _add_days_before(self, former: dt.date, since: dt.date) -> None:
        self._manifest.since = since
        for kind in KINDS:
            with self._connect() as connection:
                days = iter_days(connection, self.database.tables, kind, since)
                early = {day for day in days if day < former}
            unfinished = self._manifest.unfinished.get(kind, [])
            self._manifest.unfinished[kind] = sorted(early.union(unfinished))

    def _add_found(self, kind: What, find: cabc.Callable[[list[str]], cabc.Iterable[str]]) -> None:
        days = self._stored[kind] - self._dirty[kind]
        found = find([self.folder.address(file_of(kind, day)) for day in sorted(days)])
        # An address may come back in another spelling.
        names = {name.rpartition("/day=")[2][:10] for name in found}
        self._dirty[kind] |= {day for day in days if day.isoformat() in names}

    def _add_erased(self) -> None:
        """Add the days in whose files people are who were erased after they had been pruned.

        The log does not tell of these: the tables have no row of theirs.
        """
        table = self.database.tables.tombstone
        with self._connect() as connection:
            found = connection.execute(sa.select(table.c.uuid_hash, table.c.erased_at))
            moments = {row.uuid_hash: row.erased_at for row in found}
        files = {kind: self._files(kind) for kind in KINDS}
        for each in files.values():
            for profiles in self.parquet.iter_profiles(each):
                hashes = {uuid: self.hash_of(uuidlib.UUID(uuid)) for uuid in profiles}
                erased = [
                    (uuid, moments[hashed].isoformat())
                    for uuid, hashed in hashes.items()
                    if hashed in moments
                ]
                self.parquet.remember("erased", erased)
        self.parquet.note_erased_sessions(files["events"])
        for kind in KINDS:
            find = functools.partial(self.parquet.find_lost, kind, MOMENTS[kind])
            self._add_found(kind, find)

    def _files(self, kind: What) -> list[str]:
        return [self.folder.address(file_of(kind, day)) for day in sorted(self._stored[kind])]

    def _describe_erasures(self) -> str:
        table = self.database.tables.tombstone
        query = sa.select(sa.func.count(), sa.func.max(table.c.erased_at)).select_from(table)
        with self._connect() as connection:
            number, latest = connection.execute(query).one()
        return f"{number} until {latest}"

    def _leave_out_early(self) -> None:
        since = self._manifest.since
        if since is not None:
            for kind in KINDS:
                self._dirty[kind] = {day for day in self._dirty[kind] if day >= since}

    # Writing

    def _write_day(self, kind: What, day: dt.date) -> int:
        name, moment = file_of(kind, day), MOMENTS[kind]
        lines, made = self.work / "rows.jsonl", self.work / "day.parquet"
        unfinished = self._manifest.unfinished.get(kind, [])
        keeps = self._manifest.keeps_pruned and day in self._stored[kind] and day not in unfinished
        with self._connect() as connection, lines.open("wb") as file:
            read_day(connection, self.database.tables, kind, day, file)
        columns = list_columns(kind, self.database.tables)
        former = self.folder.address(name) if keeps else None
        rows = self.parquet.write(made, lines, columns, moment, former, kind)
        lines.unlink()
        self.folder.still_hold(self.now)
        days = self._manifest.days.setdefault(kind, {})
        if rows:
            size = made.stat().st_size
            self.folder.put(made, name)
            days[day] = DayFile(name, rows, size, self.now())
        else:
            self.folder.remove(name)
            days.pop(day, None)
        self._manifest.unfinished[kind] = [each for each in unfinished if each != day]
        return rows

    def _save(self) -> None:
        self.folder.still_hold(self.now)
        self._manifest.written_at = self.now()
        self.folder.write(NAME, write_manifest(self._manifest))
