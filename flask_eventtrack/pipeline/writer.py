"""Records in, committed transactions out."""

from __future__ import annotations

import collections
import collections.abc as cabc
import contextlib
import dataclasses
import datetime as dt
import functools
import logging
import random
import typing as t
import uuid as uuidlib

import msgspec
import sqlalchemy as sa
from sqlalchemy import exc

from ..config import Config
from ..records import (
    AgentRead,
    Charge,
    Clock,
    Counted,
    EndReason,
    Event,
    Identified,
    Outcome,
    PageView,
    Record,
    SessionEnd,
    from_ns,
)
from ..store.agent_days import AgentDays
from ..store.backfill import FindChannel
from ..store.batch import Batch, Written, write_batch
from ..store.clock import Doubt, limit_by_database
from ..store.closed_days import DayCloser, DayStep, ask_for_recount
from ..store.dialects import analyze_new, in_chunks, is_data_error, lock_partitions
from ..store.engine import Database
from ..store.erasure import Erasure, find_profiles
from ..store.erasure_file import ErasureFile, Kind, Note
from ..store.host_transaction import remove_rows, take_uncounted
from ..store.marks import Marks
from ..store.notes import note_release
from ..store.objections import Objections
from ..store.person import apply_due, unmerge
from ..store.probe import Probe
from ..store.rejected import add_rejected
from ..store.replay import Found, find_noted, restore_notes
from ..store.retention import Pruned, Retention, claim_day, count_old, doubt_clock, prune
from ..store.revenue import strip
from ..store.salts import destroy_salts, name_anonymous
from ..store.saved import MOST
from ..store.sessions import Facts, Transaction, end_silent_sessions
from ..store.settling import settle
from ..store.tombstones import Sifted, Tombstones
from ..store.totals import Totals
from ..store.undefined import UndefinedNames
from ..store.waiting import take_due
from ..text import clean_action, escape
from .partitions import PARTITIONS, Part, find_partitions, split
from .queue import Progress
from .refusal import Mask, describe_reason, describe_record
from .schedule import BATCH_SIZE
from .sink import Sink

if t.TYPE_CHECKING:
    from .functions import Functions

logger: logging.Logger = logging.getLogger("flask_eventtrack")

_TRIES = 5
_SWEEP_GRACE = dt.timedelta(minutes=5)
# For how long after it is due a session may wait to be ended.
_CHORES = dt.timedelta(minutes=1)


@dataclasses.dataclass(frozen=True, slots=True)
class Hooks:
    """What the pipeline needs from the rest of the extension.

    ``context`` gives the app context that the host's listeners may need. ``expand`` turns the raw
    values of a page view into an event. ``facts`` tells which columns of a session its client and
    its origin fill, ``admits`` whether an action is recorded on a site, ``is_defined`` whether it
    has a definition, ``most_names`` up to how many undefined names the text of one is kept.
    ``written`` is told of each commit. ``mask`` masks what is set aside.
    ``retention`` says how long events are kept. ``functions`` are those that the host has run on
    events, if there are any, and ``is_testing`` says whether no thread may run them.
    ``erasures`` is the file that keeps erasures and objections outside the database, unless the
    database is in memory.
    """

    context: cabc.Callable[[], contextlib.AbstractContextManager[object]]
    expand: cabc.Callable[[PageView], Event]
    facts: Facts
    admits: cabc.Callable[[str, str], bool]
    is_defined: cabc.Callable[[str], bool]
    most_names: cabc.Callable[[str], int]
    written: cabc.Callable[[Written], None]
    mask: Mask
    clock: Clock
    config: Config
    tombstones: Tombstones
    objections: Objections
    erasures: ErasureFile | None
    retention: cabc.Callable[[], Retention]
    functions: cabc.Callable[[], Functions | None] = lambda: None
    is_testing: cabc.Callable[[], bool] = lambda: False


class Work(t.NamedTuple):
    """What :meth:`Writer.commit_taken` commits: as for :meth:`Writer.commit`, and the partitions of
    the records, in order."""

    records: cabc.Sequence[Record]
    counts: cabc.Mapping[Counted, int]
    partitions: cabc.Sequence[int]
    is_replay: bool = False


class Writer(Sink):
    """Commits records in transactions; sets aside those that the database will always refuse,
    unless it refuses all others of the table as well.

    From a batch down: :meth:`commit` runs :meth:`_commit_parts`, in which each part is one
    transaction of :meth:`_commit_once`, inside of which :func:`.write_batch` writes the rows.
    """

    def __init__(self, database: Database, hooks: Hooks) -> None:
        self.database = database
        self._hooks = hooks
        self._names = UndefinedNames(hooks.is_defined, hooks.most_names)
        self._agent_days = AgentDays()
        #: How many records of events were committed since the start, and when the last were.
        self.committed: int = 0
        self.last_commit: dt.datetime | None = None
        #: Whether sessions were stored since the start: their table then has all of its columns.
        self.has_stored_sessions: bool = False
        self._unexpected = 0
        self._is_replay = False
        self._probe: Probe = Probe(database, self.now)
        # A process before this one may have died between the two steps.
        self._owes_shrinking = True
        # The partitions that the transactions of the present part hold.
        self._partitions: cabc.Sequence[int] = ()
        self._first: int = random.randrange(PARTITIONS)  # noqa: S311 - to meet others less often
        self._is_analyzed: bool = not database.is_shared
        self._owes_release: bool = hooks.config.release is not None
        settles_after = hooks.config.session_timeout + _SWEEP_GRACE + _CHORES
        self._closer = DayCloser(database, hooks.config.timezone, settles_after)

    @property
    def claim_size(self) -> int:
        return BATCH_SIZE * PARTITIONS if self.database.is_shared else BATCH_SIZE

    def commit(
        self,
        records: cabc.Sequence[Record],
        outcomes: cabc.Mapping[Counted, int],
        *,
        is_replay: bool = False,
        progress: cabc.Sequence[Progress] = (),
    ) -> None:
        """Commit records in one transaction, or in smaller ones around those that are refused.

        Where other processes may write too, and many records wait, it is a transaction for some
        partitions of devices at a time. The outcomes go with the last one. ``progress`` is
        ignored.

        :raises sqlalchemy.exc.SQLAlchemyError: the database is away, locked or without tables, or
            a table refuses every row.
        """
        self._is_replay = is_replay
        self._probe = Probe(self.database, self.now)
        with self._hooks.context():
            *parts, last = self._split(records)
            for part in parts:
                self._commit_part(part, {})
            self._commit_part(last, outcomes)
            if records and not self._is_analyzed:
                self._analyze()
        self._unexpected = 0

    def commit_taken(self, take: cabc.Callable[[sa.Connection], Work | None]) -> bool:
        """Commit what ``take`` returns, in the transaction in which it is called; False if None.

        ``take`` may be called again, if another transaction was in the way.

        :raises Exception: as :meth:`commit`; and also if the database refuses one of the records,
            of which :meth:`is_refusal` then tells.
        """
        self._probe = Probe(self.database, self.now)

        def work(connection: sa.Connection) -> tuple[Work, Written, Sifted] | None:
            taken = take(connection)
            if taken is None:
                return None
            self._is_replay = taken.is_replay
            self._lock(connection, taken.partitions)
            return (taken, *self._write(connection, taken.records, taken.counts))

        with self._hooks.context():
            done = self.database.retry(work)
            if done is None:
                return False
            taken, written, sifted = done
            self._finish(taken.records, written, sifted)
            self._announce(written)
            if taken.records and not self._is_analyzed:
                self._analyze()
        self._unexpected = 0
        return True

    def commit_apart(self, records: cabc.Sequence[Record]) -> None:
        """Do as :meth:`commit` after failed tries: unexpected errors are not tried again."""
        self._unexpected = _TRIES
        self.commit(records, {}, is_replay=True)

    def is_refusal(self, error: Exception) -> bool:
        """Whether the database will always refuse one of the records, and not all others too."""
        return is_data_error(error) and not self._probe.is_tables_fault(error)

    def _split(self, records: cabc.Sequence[Record]) -> list[Part]:
        if not self.database.is_shared:
            return [Part(records, [])]
        return split(records, BATCH_SIZE, self._first)

    def _commit_part(self, part: Part, outcomes: cabc.Mapping[Counted, int]) -> None:
        self._partitions = part.partitions
        self._commit_parts(part.records, outcomes)

    def _lock(self, connection: sa.Connection, partitions: cabc.Sequence[int]) -> None:
        lock_partitions(connection, self.database.tables.tombstone, partitions)

    def _analyze(self) -> None:
        """Have the database look at new tables, after the first rows of this process."""
        self._is_analyzed = True
        try:
            for table in (self.database.tables.event, self.database.tables.session):
                with self.database.begin() as connection:
                    analyze_new(connection, table)
        except (exc.SQLAlchemyError, OSError) as error:
            logger.info("New tables have not been analysed: %s", error)

    def _commit_parts(
        self, records: cabc.Sequence[Record], outcomes: cabc.Mapping[Counted, int]
    ) -> None:
        """Commit all at once; if the database refuses that, halve until the culprit is alone.

        Where the table refuses every row, no record is at fault: all of them wait.
        """
        try:
            written = self._commit_once(records, outcomes)
        except Exception as error:
            if not self._is_permanent(error) or self._probe.is_tables_fault(error):
                raise
            if not records:
                logger.error("The database refused counters: %s", error)
                return
            # The outcomes come last: if a part fails, all parts are committed again, and unlike
            # records, which have ids, outcomes would be counted twice.
            if len(records) == 1 and outcomes:  # which may be what the database refuses
                self._commit_parts(records, {})
                self._commit_parts((), outcomes)
                return
            if len(records) == 1:
                self._set_aside(records[0], error)
                return
            middle = len(records) // 2
            self._commit_parts(records[:middle], {})
            self._commit_parts(records[middle:], outcomes)
        else:
            self._announce(written)

    def _announce(self, written: Written) -> None:
        for warning in written.warnings:
            logger.warning("%s", warning)
        self._hooks.written(written)

    def _is_permanent(self, error: Exception) -> bool:
        """Whether trying again is useless: after a few tries also for errors of our own code,
        which must not hold up all other records.
        """
        if is_data_error(error):
            return True
        if isinstance(error, exc.SQLAlchemyError | OSError):
            return False
        self._unexpected += 1
        return self._unexpected > _TRIES

    def sweep(self) -> list[tuple[uuidlib.UUID, EndReason]]:
        """End up to 200 silent sessions, and destroy the salts whose days are over."""
        now = self.now
        silent_since = now - self._hooks.config.session_timeout - _SWEEP_GRACE

        def work(connection: sa.Connection) -> tuple[list[tuple[uuidlib.UUID, EndReason]], bool]:
            limit = limit_by_database(connection, now)
            ended = end_silent_sessions(self._transaction(connection), silent_since, limit)
            return ended, destroy_salts(connection, self.database.tables, now, limit)

        with self._hooks.context():
            ended, has_destroyed = self.database.retry(work)
            if has_destroyed or self._owes_shrinking:
                self._owes_shrinking = not self.database.shrink_log(patient=False)
            self._hooks.written(Written(len(ended), [], ended))
        return ended

    def note_release(self) -> bool:
        """Note the app's release on its day, once in this process; False if that is done."""
        release = self._hooks.config.release
        if release is None or not self._owes_release:
            return False
        today = self.now.astimezone(self._hooks.config.timezone).date()
        note = functools.partial(
            note_release, tables=self.database.tables, release=release, day=today, now=self.now
        )
        if not self.database.retry(note):
            logger.warning(
                "The release %s is not noted on the chart: there are %d notes, the most.",
                escape(release),
                MOST["note"],
            )
        self._owes_release = False
        return True

    def clean_log(self) -> int:
        """Remove up to 500 places of the commit log that no reader needs; 0 if none is left."""
        return self.database.clean_log(self.now)

    def count_uncounted(self) -> int:
        """Count up to 200 events that hosts committed in their own transactions."""
        with self._hooks.context():
            count, written = self.database.retry(self._count_some)
            if written is not None:
                self._announce(written)
        return count

    def _count_some(self, connection: sa.Connection) -> tuple[int, Written | None]:
        tables = self.database.tables
        events = take_uncounted(connection, tables, self.now)
        if not events:
            return 0, None
        self._lock(connection, sorted(set(find_partitions(events))))
        sifted, dropped = self._sift(connection, events)
        kept = [record for record in sifted.records if isinstance(record, Event)]
        kept = remove_rows(connection, tables, events, kept)
        batch = Batch(uncounted=kept, outcomes=dropped)
        return len(events), write_batch(self._transaction(connection), batch)

    def look_for_visits(self) -> int:
        """Look again for the visits and charges of up to 200 records that wait for them."""
        with self._hooks.context():
            count, written = self.database.retry(self._look_for_some)
            if written is not None:
                self._announce(written)
        return count

    def _look_for_some(self, connection: sa.Connection) -> tuple[int, Written | None]:
        waited = take_due(connection, self.database.tables, self.now)
        if not waited:
            return 0, None
        self._lock(connection, sorted(set(find_partitions(waited))))
        sifted, dropped = self._sift(connection, waited)
        kept = [record for record in sifted.records if isinstance(record, Event)]
        batch = Batch(waited=kept, outcomes=dropped)
        return len(waited), write_batch(self._transaction(connection), batch)

    def settle_touches(self) -> int:
        """Attribute up to 200 transactions for the last time; 0 if nothing is left now."""
        lookback = self._hooks.config.lookback
        return self.database.retry(
            lambda connection: settle(connection, self.database.tables, self.now, lookback)
        )

    def close_days(self) -> cabc.Iterator[DayStep]:
        """Close days, and count again what is marked; each ``next()`` is a transaction."""
        now = self.now
        return self._closer.iter_steps(now, self._hooks.retention().latest(now))

    def recount_days(self, since: dt.date) -> None:
        """Have all closed days from ``since`` on counted anew, by :meth:`close_days`."""
        ask = functools.partial(ask_for_recount, self.database.tables, since)
        self.database.retry(ask)

    def apply_aliases(self) -> int:
        """Rewrite the person of up to 500 sessions and transactions; 0 if nothing is left now."""
        tables, zone = self.database.tables, self._hooks.config.timezone
        return self.database.retry(functools.partial(apply_due, tables, zone, self.now))

    def unmerge(self, anonymous: uuidlib.UUID) -> uuidlib.UUID | None:
        """Undo the merge of an anonymous profile with a customer; return the customer's profile."""
        zone = self._hooks.config.timezone
        return unmerge(self.database, self._hooks.tombstones, anonymous, zone, lambda: self.now)

    def erase(
        self,
        profiles: cabc.Iterable[uuidlib.UUID],
        at: dt.datetime | None = None,
        *,
        is_replay: bool = False,
    ) -> Erasure:
        """Return the erasure of what a person did until ``at`` (now); it is still to be run.

        :param is_replay: whether to repeat an erasure of exactly these profiles.
        """
        at, hooks = at or self.now, self._hooks

        def note(uuids: set[uuidlib.UUID]) -> None:
            if not is_replay:
                self._note("erased", at, uuids)

        config = hooks.config
        return Erasure(
            self.database,
            hooks.tombstones,
            set(profiles),
            at,
            config.max_age,
            note,
            is_replay,
            config.keep_revenue,
            config.timezone,
            lambda: self.now,
        )

    def opt_out(self, profiles: cabc.Iterable[uuidlib.UUID]) -> None:
        """Record nothing of a person from now on; their sessions end."""
        at, session = self.now, self.database.tables.session
        with self.database.read() as connection:
            people = find_profiles(connection, self.database.tables, profiles)
            query = sa.select(session.c.id).where(session.c.ended_at.is_(None))
            ids = [
                session_id
                for uuids in in_chunks(people)
                for session_id in connection.scalars(query.where(session.c.uuid.in_(uuids)))
            ]
        hashes = self._note("opted-out", at, people)
        self.commit([SessionEnd(session_id=each, reason="logout") for each in ids], {})
        add = functools.partial(self._hooks.objections.add, hashes=hashes, at=at)
        self.database.retry(add)

    def opt_in(self, profiles: cabc.Iterable[uuidlib.UUID]) -> bool:
        """Record a person again from now on; return whether they had objected."""
        at = self.now
        with self.database.read() as connection:
            people = find_profiles(connection, self.database.tables, profiles)
        hashes = self._note("opted-in", at, people)
        withdraw = functools.partial(self._hooks.objections.withdraw, hashes=hashes, at=at)
        return self.database.retry(withdraw) > 0

    def has_objected(
        self, connection: sa.Connection, profiles: cabc.Iterable[uuidlib.UUID]
    ) -> bool:
        """Whether an objection of one of these profiles is in force."""
        return self._hooks.objections.are_in_force(connection, map(self.hash_of, profiles))

    def hash_of(self, profile: uuidlib.UUID) -> str:
        """Return the keyed hash by which a profile is named after its erasure."""
        return self._hooks.tombstones.hash_of(profile)

    def _note(self, kind: Kind, at: dt.datetime, profiles: set[uuidlib.UUID]) -> list[str]:
        """Note a person's request outside the database; return the hashes of their profiles."""
        hashes = list(map(self._hooks.tombstones.hash_of, profiles))
        if self._hooks.erasures is not None and hashes:
            self._hooks.erasures.add(kind, at, hashes)
        return hashes

    def restore(self, notes: cabc.Sequence[Note]) -> None:
        """Put the tombstones and objections of the notes into a restored database."""
        restore_notes(self.database, self._hooks.tombstones, self._hooks.objections, notes)

    def find_noted(self, notes: cabc.Iterable[Note]) -> cabc.Iterator[Found]:
        """Yield, page by page, which stored profiles were erased according to the notes."""
        return find_noted(self.database, self._hooks.tombstones.hash_of, notes)

    def doubt_clock(self) -> Doubt | None:
        """Return why the clock may be ahead, so that not all that seems old is removed."""
        return doubt_clock(self.database, self._hooks.retention(), self.now)

    def prune(self, *, is_sure: bool = False) -> cabc.Iterator[Pruned]:
        """Remove what is past its retention period; each ``next()`` removes a batch.

        :param is_sure: whether the clock is right, whatever speaks against it.
        """
        now, doubt = self.now, None if is_sure else self.doubt_clock()
        if is_sure:
            claim_day(self.database, now)  # from here on, later runs believe the clock
        if doubt and doubt.reason:
            logger.warning(
                "The clock may be wrong: %s. What is old by this clock only is not pruned. If it "
                "is right, run 'flask eventtrack prune --yes'.",
                doubt.reason,
            )
        zone, limit = self._hooks.config.timezone, doubt and doubt.limit
        return prune(self.database, self._hooks.retention(), now, limit, zone)

    def count_old(self, *, is_sure: bool = False) -> Pruned:
        """Return how much :meth:`prune` would remove."""
        doubt = None if is_sure else self.doubt_clock()
        zone, limit = self._hooks.config.timezone, doubt and doubt.limit
        return count_old(self.database, self._hooks.retention(), self.now, limit, zone)

    def prune_daily(self) -> cabc.Iterator[Pruned] | None:
        """Return today's run of :meth:`prune`; None if it is off or was begun today already."""
        if not (self._hooks.config.prune and self._hooks.retention()):
            return None
        with self._hooks.context():
            doubt = self.doubt_clock()
            is_doubted = bool(doubt and doubt.reason)
            is_first = claim_day(self.database, self.now, is_doubted=is_doubted)
            return self.prune() if is_first else None

    def go_on_pruning(self, batches: cabc.Iterator[Pruned]) -> bool:
        """Remove another batch; False if there was none left."""
        with self._hooks.context():
            return next(batches, None) is not None

    @property
    def now(self) -> dt.datetime:
        """The moment, by the app's clock."""
        return from_ns(self._hooks.clock())

    @property
    def find_channel(self) -> FindChannel:
        """What tells the channel of a stored session."""
        return self._hooks.facts.find_channel

    def _commit_once(
        self, records: cabc.Sequence[Record], outcomes: cabc.Mapping[Counted, int]
    ) -> Written:
        def work(connection: sa.Connection) -> tuple[Written, Sifted]:
            self._lock(connection, self._partitions)
            return self._write(connection, records, outcomes)

        written, sifted = self.database.retry(work)
        self._finish(records, written, sifted)
        return written

    def _write(
        self,
        connection: sa.Connection,
        records: cabc.Sequence[Record],
        outcomes: cabc.Mapping[Counted, int],
    ) -> tuple[Written, Sifted]:
        # Before sifting: the profile that a record gets here may be an erased one.
        named = name_anonymous(connection, self.database.tables, records, self.now)
        sifted, dropped = self._sift(connection, named)
        counts = collections.Counter[Counted](outcomes)
        counts.update(dropped)
        batch = self._sort(sifted.records, counts)
        return write_batch(self._transaction(connection), batch), sifted

    def _finish(self, records: cabc.Sequence[Record], written: Written, sifted: Sifted) -> None:
        if records:
            self.committed, self.last_commit = self.committed + len(records), self.now
        self.has_stored_sessions |= bool(written.started)
        # Dropped records showed that these profiles belong to erased people too.
        for profile, at in sifted.kin.items():
            collections.deque(self.erase([profile], at).run(), maxlen=0)

    def _sift(
        self, connection: sa.Connection, records: cabc.Sequence[Record]
    ) -> tuple[Sifted, collections.Counter[Outcome]]:
        """Return the records without those of erased people and of people who object, counted."""
        sifted = self._hooks.tombstones.sift(connection, records)
        lost = [*sifted.dropped]
        dropped = _count(sifted.dropped, "erased")
        if sifted.some_object:
            kept, objected = self._hooks.objections.sift(connection, sifted.records)
            sifted, dropped = sifted._replace(records=kept), dropped + _count(objected, "opted out")
            lost += objected
        amounts = self._keep_amounts(connection, lost)
        return sifted._replace(records=[*sifted.records, *amounts]), dropped

    def _keep_amounts(
        self, connection: sa.Connection, dropped: cabc.Iterable[Record]
    ) -> list[Event]:
        """Return what stays of dropped charges: their amounts, if the host keeps its revenue.

        Otherwise nothing stays, and the same order is dropped again.
        """
        amounts = [
            strip(record, record.order)
            for record in dropped
            if isinstance(record, Event) and isinstance(record.order, Charge)
        ]
        if self._hooks.config.keep_revenue:
            return amounts
        if amounts:
            self._hooks.tombstones.add(connection, {each.id for each in amounts}, self.now)
        return []

    def _transaction(self, connection: sa.Connection) -> Transaction:
        hooks, now = self._hooks, self.now
        return Transaction(
            connection,
            self.database.tables,
            now,
            hooks.facts,
            hooks.admits,
            Totals(self._names, Marks(hooks.config.timezone, now), self._agent_days),
            hooks.config.session_timeout,
            hooks.config.lookback,
        )

    def _sort(self, records: cabc.Sequence[Record], counts: cabc.Mapping[Counted, int]) -> Batch:
        batch = Batch(
            outcomes={each: by for each, by in counts.items() if isinstance(each, Outcome)},
            reads={each: by for each, by in counts.items() if isinstance(each, AgentRead)},
            replayed=self._is_replay,
        )
        for record in records:
            match record:
                case PageView():
                    batch.events.append(self._hooks.expand(record))
                case Event():
                    batch.events.append(record)
                case SessionEnd():
                    batch.ends.append(record)
                case Identified():
                    batch.identified.append(record)
        return batch

    def _set_aside(self, record: Record, error: Exception) -> None:
        cause = (error.orig if isinstance(error, exc.DBAPIError) else None) or error
        # Without the database's message, which may quote the row: that is for the table only.
        logger.error(
            "The database refused an event (%s). It is set aside in eventtrack_rejected.",
            type(cause).__name__,
        )
        row = {
            "id": record.id,
            "rejected_at": self.now,
            "action": clean_action(record.action),
            "reason": describe_reason(error, record, self._hooks.mask),
        }
        self.database.retry(functools.partial(self._keep_rejected, record, row))

    def _keep_rejected(
        self, record: Record, row: dict[str, t.Any], connection: sa.Connection
    ) -> None:
        """Keep a record as it would have been written, unless its person was erased."""
        tables = self.database.tables
        [named] = name_anonymous(connection, tables, [record], self.now)
        sifted, _ = self._sift(connection, [named])
        if not sifted.records:
            return
        kept = sifted.records[0]
        if named is not record and isinstance(kept, Event):
            # Client data would identify the anonymous profile of a day, even after its salt is
            # destroyed.
            kept = msgspec.structs.replace(kept, client=None)
        payload = describe_record(kept, self._hooks.mask)
        add_rejected(connection, tables, **row, payload=payload)


def _count(dropped: cabc.Iterable[Record], reason: str) -> collections.Counter[Outcome]:
    return collections.Counter(
        Outcome("dropped", clean_action(record.action), reason)
        for record in dropped
        if isinstance(record, Event | PageView)
    )
