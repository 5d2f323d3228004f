"""What other processes, such as that of a live server, have written to the database."""

from __future__ import annotations

import collections
import collections.abc as cabc
import datetime as dt
import typing as t
import uuid as uuidlib

import sqlalchemy as sa

from ..errors import UndefinedEvent
from ..records import Event, Outcome, SessionRef
from ..state import State
from ..store.engine import Database
from .log import Mistake, is_mistake


class Source(t.NamedTuple):
    """An app whose events are captured, and since when.

    ``counted`` are the outcomes in the database that have been looked at, ``told`` the ids of
    undefined events there.
    """

    state: State
    since: dt.datetime
    counted: collections.Counter[Outcome]
    told: set[uuidlib.UUID]

    def find_mistakes(self, known: cabc.Container[uuidlib.UUID] = ()) -> list[Mistake]:
        """Return the mistakes that other processes have written since the last call.

        :param known: ids of events to leave out.
        :raises sqlalchemy.exc.SQLAlchemyError: there are no tables, or the database is away.
        """
        database, find = self.state.pipeline.database, self.state.catalogue.find
        now = count_outcomes(database)
        new = now - self.counted
        self.counted.update(new)
        mistakes = [self._explain(each, new) for each in new.elements() if is_mistake(each)]
        for event in read_stored(database, self.since)[0]:
            if event.id not in self.told and event.id not in known and find(event.action) is None:
                self.told.add(event.id)
                mistakes.append(Mistake.of_recorded(event))
        return mistakes

    def _explain(self, outcome: Outcome, new: cabc.Iterable[Outcome]) -> Mistake:
        """Return a mistake with what the counters and the catalogue tell of its reason."""
        wrong = [o.reason for o in new if (o.outcome, o.action) == ("invalid", outcome.action)]
        message = ""
        if outcome.reason == "undefined_event" and outcome.action:
            try:
                self.state.catalogue.get(outcome.action)
            except UndefinedEvent as error:
                message = error.message
        elif outcome.reason == "invalid_param" and wrong:
            message = f"wrong: {', '.join(sorted(wrong))}"
        return Mistake(outcome.action, outcome.reason, message)


def read_stored(
    database: Database, since: dt.datetime
) -> tuple[list[Event], dict[uuidlib.UUID, uuidlib.UUID]]:
    """Return the events that were received since a moment, oldest first, and whose customers'
    the anonymous profiles are.

    :raises sqlalchemy.exc.SQLAlchemyError: there are no tables, or the database is away.
    """
    if database.is_in_memory:  # no other process can reach it
        return [], {}
    event, session, alias = database.tables.event, database.tables.session, database.tables.alias
    query = (
        sa.select(event, session.c.device_id, session.c.started_at)
        .outerjoin(session, session.c.id == event.c.session_id)
        .where(event.c.received_at >= since)
        .order_by(event.c.time, event.c.id)
    )
    with database.read() as connection:
        events = [_event_of(row) for row in connection.execute(query)]
        people = {
            row.anonymous_uuid: row.customer_uuid for row in connection.execute(alias.select())
        }
    return events, people


def count_outcomes(database: Database) -> collections.Counter[Outcome]:
    """Return how many events were not recorded so far, and why.

    :raises sqlalchemy.exc.SQLAlchemyError: there are no tables, or the database is away.
    """
    if database.is_in_memory:
        return collections.Counter()
    table = database.tables.quality
    key = (table.c.outcome, table.c.action, table.c.reason)
    query = sa.select(*key, sa.func.sum(table.c["count"])).group_by(*key)
    with database.read() as connection:
        return collections.Counter(
            {Outcome(*names): int(count) for *names, count in connection.execute(query)}
        )


def _event_of(row: sa.Row[tuple[object, ...]]) -> Event:
    session = None
    if row.device_id is not None:
        session = SessionRef(row.session_id, row.device_id, row.started_at)
    return Event(
        id=row.id,
        action=row.action,
        time=row.time,
        received_at=row.received_at,
        uuid=row.uuid,
        params=row.params,
        label=row.label,
        source=row.source,
        site=row.site,
        url_rule=row.url_rule,
        undefined=tuple(row.undefined or ()),
        session=session,
    )
