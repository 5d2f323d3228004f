"""Records in, committed transactions out."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import dataclasses
import datetime as dt
import json
import logging
import uuid as uuidlib

import msgspec
from sqlalchemy import exc

from ..event import (
    PAGE_VISIT,
    Clock,
    EndReason,
    Event,
    Identified,
    Outcome,
    PageView,
    Record,
    SessionEnd,
    clean_action,
    from_ns,
)
from ..store import (
    Batch,
    Database,
    Written,
    add_rejected,
    end_silent_sessions,
    take_uncounted,
    write_batch,
)
from ..store.dialects import is_conflict, is_data_error

logger = logging.getLogger("flask_eventtrack")

# Another process may write the same event between our look-up and our insert, or deadlock with us:
# the next try finds it done.
_TRIES = 5
_SWEEP_GRACE = dt.timedelta(minutes=5)
_PAYLOAD_MAX_LENGTH = 32 * 1024


@dataclasses.dataclass(frozen=True, slots=True)
class Hooks:
    """What the pipeline asks the rest of the extension.

    ``context`` is what the host's own listeners may ask for: its app context. ``expand`` reads a
    page view's raw values, ``describe`` the session columns that an event tells, ``admits`` whether
    an action is recorded on a site; ``written`` is told of each commit.
    """

    context: cabc.Callable[[], contextlib.AbstractContextManager[object]]
    expand: cabc.Callable[[PageView], Event]
    describe: cabc.Callable[[Event], cabc.Mapping[str, str | None]]
    admits: cabc.Callable[[str, str], bool]
    written: cabc.Callable[[Written], None]
    clock: Clock
    session_timeout: dt.timedelta


class Writer:
    """Writes records in transactions; sets aside the ones that the database refuses for good."""

    def __init__(self, database: Database, hooks: Hooks) -> None:
        self.database = database
        self._hooks = hooks
        self._mysteries = 0
        self._is_replay = False

    def write(
        self,
        records: cabc.Sequence[Record],
        outcomes: cabc.Mapping[Outcome, int],
        *,
        is_replay: bool = False,
    ) -> None:
        """Write records in one transaction, or in smaller ones around those that are refused.

        :param outcomes: how many events came to nothing, for the quality counters.
        :param is_replay: whether some of the records may have been written already, by a dead
            process or by an attempt that failed: that is no duplicate.

        :raises sqlalchemy.exc.SQLAlchemyError: the database is away, locked or without tables.
        """
        self._is_replay = is_replay
        with self._hooks.context():
            self._write(records, outcomes)
        self._mysteries = 0

    def _write(self, records: cabc.Sequence[Record], outcomes: cabc.Mapping[Outcome, int]) -> None:
        try:
            written = self._commit(records, outcomes)
        except Exception as error:
            if not self._is_for_good(error):
                raise
            if not records:
                logger.error("Counters were refused by the database: %s", error)
                return
            # The outcomes last: where one of the parts fails, all of it is written again.
            if len(records) == 1:
                self._set_aside(records[0], error)
                self._write((), outcomes)
                return
            middle = len(records) // 2
            self._write(records[:middle], {})
            self._write(records[middle:], outcomes)
        else:
            self._hooks.written(written)

    def _is_for_good(self, error: Exception) -> bool:
        """Whether trying again is in vain. What nobody foresaw gets a few tries, then counts."""
        if is_data_error(error):
            return True
        if isinstance(error, exc.SQLAlchemyError | OSError):
            return False
        self._mysteries += 1
        return self._mysteries > _TRIES

    def sweep(self) -> list[tuple[uuidlib.UUID, EndReason]]:
        """End up to 200 silent sessions."""
        now = from_ns(self._hooks.clock())
        silent_since = now - self._hooks.session_timeout - _SWEEP_GRACE
        with self._hooks.context():
            with self.database.begin() as connection:
                ended = end_silent_sessions(
                    connection, self.database.tables, silent_since, now, self._hooks.admits
                )
            self._hooks.written(Written(len(ended), [], ended))
        return ended

    def count_uncounted(self) -> int:
        """Count up to 200 events that hosts have committed in their own transactions."""
        with self._hooks.context():
            now = from_ns(self._hooks.clock())
            with self.database.begin() as connection:
                events = take_uncounted(connection, self.database.tables, now)
                if not events:
                    return 0
                written = write_batch(
                    connection,
                    self.database.tables,
                    Batch(uncounted=events),
                    now,
                    self._hooks.describe,
                    self._hooks.admits,
                )
            self._hooks.written(written)
        return len(events)

    def _commit(
        self, records: cabc.Sequence[Record], outcomes: cabc.Mapping[Outcome, int]
    ) -> Written:
        for attempt in range(1, _TRIES + 1):
            try:
                with self.database.begin() as connection:
                    return write_batch(
                        connection,
                        self.database.tables,
                        self._sort(records, outcomes),
                        from_ns(self._hooks.clock()),
                        self._hooks.describe,
                        self._hooks.admits,
                    )
            except exc.DBAPIError as error:
                if attempt == _TRIES or not is_conflict(error):
                    raise
        raise AssertionError("unreachable")

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
        # Without the database's words, which may quote the row: they are in the table.
        logger.error(
            "An event was refused by the database (%s) and set aside in eventtrack_rejected.",
            type(cause).__name__,
        )
        # In ASCII, so that nothing of what was refused can be refused again.
        payload = json.dumps(msgspec.to_builtins(_name_fields(record), str_keys=True))
        with self.database.begin() as connection:
            add_rejected(
                connection,
                self.database.tables,
                id=_id_of(record),
                rejected_at=from_ns(self._hooks.clock()),
                action=clean_action(_action_of(record)),
                reason=reason.encode("ascii", "backslashreplace").decode().replace("\0", "?")[:255],
                payload=payload[:_PAYLOAD_MAX_LENGTH],
            )


def _id_of(record: Record) -> uuidlib.UUID:
    """Return an id for what is set aside: the same each time."""
    match record:
        case Event() | PageView():
            return record.id
        case SessionEnd():
            return record.session_id
        case Identified():
            return record.uuid


def _action_of(record: Record) -> str:
    return PAGE_VISIT if isinstance(record, PageView) else getattr(record, "action", "")


def _name_fields(value: object) -> object:
    """Return a record as a person reads it: in the journal its fields have no names."""
    if not isinstance(value, msgspec.Struct):
        return value
    fields = msgspec.structs.asdict(value)
    return {name: _name_fields(field) for name, field in fields.items() if field is not None}
