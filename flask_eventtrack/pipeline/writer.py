"""Records in, committed transactions out."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses
import datetime as dt
import logging
import uuid as uuidlib

import msgspec
from sqlalchemy import exc

from ..event import (
    Clock,
    EndReason,
    Event,
    Identified,
    Outcome,
    PageView,
    Record,
    SessionEnd,
    from_ns,
    uuid7,
)
from ..store import Batch, Database, Written, end_silent_sessions, write_batch
from ..store.dialects import is_data_error

logger = logging.getLogger("flask_eventtrack")

# Another process may write the same event between our look-up and our insert: the next try sees it.
_TRIES = 5
_SWEEP_GRACE = dt.timedelta(minutes=5)
_PAYLOAD_MAX_LENGTH = 32 * 1024


@dataclasses.dataclass(frozen=True, slots=True)
class Hooks:
    """What the pipeline asks the rest of the extension.

    ``expand`` reads a page view's raw values, ``describe`` the session columns that an event
    tells, ``admits`` whether an action is recorded on a site; ``written`` is told of each commit.
    """

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

    def write(self, records: cabc.Sequence[Record], dropped: cabc.Mapping[str, int]) -> None:
        """Write records in one transaction, or in smaller ones around those that are refused.

        :param dropped: how many events of each action found no room, for the quality counters.

        :raises sqlalchemy.exc.SQLAlchemyError: the database is away, locked or without tables.
        """
        try:
            written = self._commit(records, dropped)
        except Exception as error:
            if not is_data_error(error):
                raise
            if len(records) == 1:
                self._set_aside(records[0], error)
                return
            middle = len(records) // 2
            self.write(records[:middle], dropped)
            self.write(records[middle:], {})
        else:
            self._hooks.written(written)

    def sweep(self) -> list[tuple[uuidlib.UUID, EndReason]]:
        """End up to 200 silent sessions."""
        now = from_ns(self._hooks.clock())
        silent_since = now - self._hooks.session_timeout - _SWEEP_GRACE
        with self.database.begin() as connection:
            ended = end_silent_sessions(
                connection, self.database.tables, silent_since, now, self._hooks.admits
            )
        self._hooks.written(Written(len(ended), [], ended))
        return ended

    def _commit(self, records: cabc.Sequence[Record], dropped: cabc.Mapping[str, int]) -> Written:
        for attempt in range(1, _TRIES + 1):
            try:
                with self.database.begin() as connection:
                    return write_batch(
                        connection,
                        self.database.tables,
                        self._sort(records, dropped),
                        from_ns(self._hooks.clock()),
                        self._hooks.describe,
                        self._hooks.admits,
                    )
            except exc.IntegrityError:
                if attempt == _TRIES:
                    raise
        raise AssertionError("unreachable")

    def _sort(self, records: cabc.Sequence[Record], dropped: cabc.Mapping[str, int]) -> Batch:
        batch = Batch(dropped=dropped)
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
                case Outcome():
                    batch.outcomes.append(record)
        return batch

    def _set_aside(self, record: Record, error: Exception) -> None:
        reason = f"{type(error).__name__}: {error}"
        logger.error("An event was refused by the database and set aside: %s", reason)
        now = self._hooks.clock()
        payload = msgspec.json.encode(record).decode()
        table = self.database.tables.rejected
        with self.database.begin() as connection:
            connection.execute(
                table.insert().values(
                    id=uuid7(now),
                    rejected_at=from_ns(now),
                    action=getattr(record, "action", "")[:32],
                    reason=reason.encode("ascii", "backslashreplace").decode()[:255],
                    payload=payload[:_PAYLOAD_MAX_LENGTH],
                )
            )
