"""Records in, committed transactions out."""

from __future__ import annotations

import collections
import collections.abc as cabc
import contextlib
import dataclasses
import datetime as dt
import functools
import json
import logging
import typing as t
import uuid as uuidlib

import msgspec
import sqlalchemy as sa
from sqlalchemy import exc

from ..config import Config
from ..records import (
    Clock,
    EndReason,
    Event,
    Identified,
    Outcome,
    PageView,
    Record,
    SessionEnd,
    from_ns,
)
from ..store.batch import Batch, Written, write_batch
from ..store.dialects import is_data_error
from ..store.engine import Database
from ..store.erasure import Erasure
from ..store.host_transaction import remove_rows, take_uncounted
from ..store.rejected import add_rejected
from ..store.retention import Pruned, Retention, claim_day, count_old, prune
from ..store.salts import destroy_salts, name_anonymous
from ..store.sessions import Facts, Transaction, end_silent_sessions
from ..store.tombstones import Sifted, Tombstones
from ..text import clean_action

logger: logging.Logger = logging.getLogger("flask_eventtrack")

_TRIES = 5
_SWEEP_GRACE = dt.timedelta(minutes=5)
_PAYLOAD_MAX_LENGTH = 32 * 1024


@dataclasses.dataclass(frozen=True, slots=True)
class Hooks:
    """What the pipeline needs from the rest of the extension.

    ``context`` gives the app context that the host's listeners may need. ``expand`` turns the raw
    values of a page view into an event. ``facts`` tells which columns of a session its client and
    its origin fill, ``admits`` whether an action is recorded on a site. ``written`` is told of each
    commit. ``retention`` says how long events are kept.
    """

    context: cabc.Callable[[], contextlib.AbstractContextManager[object]]
    expand: cabc.Callable[[PageView], Event]
    facts: Facts
    admits: cabc.Callable[[str, str], bool]
    written: cabc.Callable[[Written], None]
    clock: Clock
    config: Config
    tombstones: Tombstones
    retention: cabc.Callable[[], Retention]


class Writer:
    """Commits records in transactions; sets aside those that the database will always refuse.

    From a batch down: :meth:`commit` runs :meth:`_commit_parts`, in which each part is one
    transaction of :meth:`_commit_once`, inside of which :func:`.write_batch` writes the rows.
    """

    def __init__(self, database: Database, hooks: Hooks) -> None:
        self.database = database
        self._hooks = hooks
        self._unexpected = 0
        self._is_replay = False

    def commit(
        self,
        records: cabc.Sequence[Record],
        outcomes: cabc.Mapping[Outcome, int],
        *,
        is_replay: bool = False,
    ) -> None:
        """Commit records in one transaction, or in smaller ones around those that are refused.

        :param outcomes: how many events were not stored, and why, for the quality counters.
        :param is_replay: whether some records may be in the database already, from a dead process
            or a failed attempt. These are not counted as duplicates.

        :raises sqlalchemy.exc.SQLAlchemyError: the database is away, locked or without tables.
        """
        self._is_replay = is_replay
        with self._hooks.context():
            self._commit_parts(records, outcomes)
        self._unexpected = 0

    def _commit_parts(
        self, records: cabc.Sequence[Record], outcomes: cabc.Mapping[Outcome, int]
    ) -> None:
        """Commit all at once; if the database refuses that, halve until the culprit is alone."""
        try:
            written = self._commit_once(records, outcomes)
        except Exception as error:
            if not self._is_permanent(error):
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
        now = self._now
        silent_since = now - self._hooks.config.session_timeout - _SWEEP_GRACE
        with self._hooks.context():
            with self.database.begin() as connection:
                ended = end_silent_sessions(self._transaction(connection), silent_since)
                destroy_salts(connection, self.database.tables, now)
            self._hooks.written(Written(len(ended), [], ended))
        return ended

    def count_uncounted(self) -> int:
        """Count up to 200 events that hosts committed in their own transactions."""
        with self._hooks.context():
            count, written = self.database.retry(self._count_some)
            if written is not None:
                self._hooks.written(written)
        return count

    def _count_some(self, connection: sa.Connection) -> tuple[int, Written | None]:
        tables = self.database.tables
        events = take_uncounted(connection, tables, self._now)
        if not events:
            return 0, None
        sifted = self._hooks.tombstones.sift(connection, events)
        erased = [record for record in sifted.dropped if isinstance(record, Event)]
        remove_rows(connection, tables, [event.id for event in erased])
        kept = [record for record in sifted.records if isinstance(record, Event)]
        batch = Batch(uncounted=kept, outcomes=_count_erased(erased))
        return len(events), write_batch(self._transaction(connection), batch)

    def erase(
        self, profiles: cabc.Iterable[uuidlib.UUID], at: dt.datetime | None = None
    ) -> Erasure:
        """Return the erasure of what a person did until ``at`` (now); it is still to be run."""
        max_age, tombstones = self._hooks.config.max_age, self._hooks.tombstones
        return Erasure(self.database, tombstones, set(profiles), at or self._now, max_age)

    def prune(self) -> cabc.Iterator[Pruned]:
        """Remove what is past its retention period; each ``next()`` removes a batch."""
        return prune(self.database, self._hooks.retention(), self._now)

    def count_old(self) -> Pruned:
        """Return how much :meth:`prune` would remove."""
        return count_old(self.database, self._hooks.retention(), self._now)

    def prune_daily(self) -> cabc.Iterator[Pruned] | None:
        """Return today's run of :meth:`prune`; None if it is off or was begun today already."""
        if not (self._hooks.config.prune and self._hooks.retention()):
            return None
        with self._hooks.context():
            return self.prune() if claim_day(self.database, self._now) else None

    def go_on_pruning(self, batches: cabc.Iterator[Pruned]) -> bool:
        """Remove another batch; False if there was none left."""
        with self._hooks.context():
            return next(batches, None) is not None

    @property
    def _now(self) -> dt.datetime:
        return from_ns(self._hooks.clock())

    def _commit_once(
        self, records: cabc.Sequence[Record], outcomes: cabc.Mapping[Outcome, int]
    ) -> Written:
        def work(connection: sa.Connection) -> tuple[Written, Sifted]:
            # Before sifting: the profile that a record gets here may be an erased one.
            named = name_anonymous(connection, self.database.tables, records, self._now)
            sifted = self._hooks.tombstones.sift(connection, named)
            dropped = _count_erased(sifted.dropped)
            batch = self._sort(sifted.records, collections.Counter(outcomes) + dropped)
            return write_batch(self._transaction(connection), batch), sifted

        written, sifted = self.database.retry(work)
        # Dropped records showed that these profiles belong to erased people too.
        for profile, at in sifted.kin.items():
            collections.deque(self.erase([profile], at).run(), maxlen=0)
        return written

    def _transaction(self, connection: sa.Connection) -> Transaction:
        hooks = self._hooks
        return Transaction(connection, self.database.tables, self._now, hooks.facts, hooks.admits)

    def _sort(self, records: cabc.Sequence[Record], outcomes: cabc.Mapping[Outcome, int]) -> Batch:
        batch = Batch(outcomes=outcomes, replayed=self._is_replay)
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
        reason = f"{type(cause).__name__}: {cause}"
        # Without the database's message, which may quote the row: that is for the table only.
        logger.error(
            "The database refused an event (%s). It is set aside in eventtrack_rejected.",
            type(cause).__name__,
        )
        row = {
            "id": record.id,
            "rejected_at": self._now,
            "action": clean_action(record.action),
            "reason": reason.encode("ascii", "backslashreplace").decode().replace("\0", "?")[:255],
        }
        self.database.retry(functools.partial(self._keep_rejected, record, row))

    def _keep_rejected(
        self, record: Record, row: dict[str, t.Any], connection: sa.Connection
    ) -> None:
        """Keep a record as it would have been written, unless its person was erased."""
        tables = self.database.tables
        [named] = name_anonymous(connection, tables, [record], self._now)
        if self._hooks.tombstones.sift(connection, [named]).dropped:
            return
        if named is not record and isinstance(named, Event):
            # Client data would identify the anonymous profile of a day, even after its salt is
            # destroyed.
            named = msgspec.structs.replace(named, client=None)
        # json.dumps escapes to ASCII, so the refused bytes cannot be refused again.
        payload = json.dumps(msgspec.to_builtins(_name_fields(named), str_keys=True))
        add_rejected(connection, tables, **row, payload=payload[:_PAYLOAD_MAX_LENGTH])


def _count_erased(dropped: cabc.Iterable[Record]) -> collections.Counter[Outcome]:
    return collections.Counter(
        Outcome("dropped", clean_action(record.action), "erased")
        for record in dropped
        if isinstance(record, Event | PageView)
    )


def _name_fields(value: object) -> object:
    """Return a record with the names of its fields, for people; as an array it has none."""
    if not isinstance(value, msgspec.Struct):
        return value
    fields = msgspec.structs.asdict(value)
    return {name: _name_fields(field) for name, field in fields.items() if field is not None}
