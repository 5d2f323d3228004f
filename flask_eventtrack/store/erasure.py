"""The erasure of a person: every row that is theirs, in transactions that block nobody for long."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses
import datetime as dt
import functools
import re
import time
import uuid as uuidlib

import sqlalchemy as sa

from ..records import PAGE_VISIT
from .dialects import in_chunks
from .engine import Database
from .tables import Tables
from .tombstones import Tombstones
from .totals import hourly_columns, subtract

BATCH_SIZE = 500

_REJECTED_PAGE = 200
_PROFILES = re.compile(r'"(?:uuid|anonymous)": "([0-9a-f-]{36})"')

Profiles = set[uuidlib.UUID]


@dataclasses.dataclass(frozen=True, slots=True)
class Erased:
    """How many rows an erasure removed, or would remove."""

    events: int = 0
    sessions: int = 0
    aliases: int = 0
    rejected: int = 0


class Erasure:
    """Removes what a person did until ``at``, and leaves tombstones for what is still on its way.

    Where it is interrupted it can be run again: the aliases, which say whose the rest is, go last.

    :param roots: profiles of one person; the others are found by their aliases.
    :param max_age: how old what a browser has kept may be when it arrives.
    """

    def __init__(
        self,
        database: Database,
        tombstones: Tombstones,
        roots: cabc.Iterable[uuidlib.UUID],
        at: dt.datetime,
        max_age: dt.timedelta,
    ) -> None:
        self._database = database
        self._tables = database.tables
        self._tombstones = tombstones
        self._at = at
        self._max_age = max_age
        #: The profiles that are the person's, and their ids in the host app.
        self.profiles: Profiles = set(roots)
        self.customer_ids: set[str] = set()
        self._buried: set[uuidlib.UUID] = set()

    def run(self) -> cabc.Iterator[Erased]:
        """Erase, and yield now and then how much is removed so far.

        :raises sqlalchemy.exc.SQLAlchemyError: the database is away or locked; run another.
        """
        events = sessions = aliases = rejected = 0
        # A batch that could not know of the erasure may have written more meanwhile.
        while new := self._find_new():
            self._set_tombstones(new)
            sessions += self._database.retry(self._bury)
            yield Erased(events, sessions, aliases, rejected)
        for profiles in in_chunks(self.profiles):
            while (found := self._run_batch(profiles)) is not None:
                events += found[0]
                sessions += found[1]
                yield Erased(events, sessions, aliases, rejected)
        rejected = self._erase_rejected()
        aliases = self._database.retry(self._erase_aliases)
        self._database.shrink_log()
        yield Erased(events, sessions, aliases, rejected)

    def _find_new(self) -> set[uuidlib.UUID]:
        """Return the profiles, and the visits of theirs, that have no tombstone yet."""
        profile = self._tables.profile
        with self._database.read() as connection:
            self.profiles = find_profiles(connection, self._tables, self.profiles)
            for uuids in in_chunks(self.profiles):
                query = sa.select(profile.c.customer_id).where(profile.c.uuid.in_(uuids))
                self.customer_ids.update(connection.scalars(query))
            return (self.profiles | self._find_visits(connection)) - self._buried

    def _find_visits(self, connection: sa.Connection) -> set[uuidlib.UUID]:
        """Return the ids of visits that a browser may still send something of."""
        event = self._tables.event
        since = self._at - self._max_age
        query = sa.select(event.c.time, event.c.id, event.c.claimed_by)
        query = query.where(event.c.time > since, event.c.action == PAGE_VISIT)
        found = set[uuidlib.UUID]()
        for uuids in in_chunks(self.profiles):
            # Both ends of the time in the query would lure PostgreSQL to the index of times.
            for moment, *ids in connection.execute(query.where(event.c.uuid.in_(uuids))):
                if moment <= self._at:
                    found.update(filter(None, ids))
        return found

    def _set_tombstones(self, uuids: set[uuidlib.UUID]) -> None:
        """Set them ahead, so that little is left to the one transaction that all wait for."""
        for chunk in in_chunks(uuids):
            began = time.monotonic()
            add = functools.partial(self._tombstones.add, tables=self._tables, uuids=chunk)
            self._database.retry(functools.partial(add, at=self._at))
            pause_after(self._database, began)
        self._buried |= uuids

    def _bury(self, connection: sa.Connection) -> int:
        """Let the tombstones hold; the sessions go at once, before a later event continues one."""
        profile, session, at = self._tables.profile, self._tables.session, self._at
        self._tombstones.wait_for_batches(connection, self._tables, at)
        sessions = 0
        for uuids in in_chunks(self.profiles):
            are_theirs = sa.and_(profile.c.uuid.in_(uuids), profile.c.first_seen_at <= at)
            _delete(connection, profile, are_theirs)
            are_theirs = sa.and_(session.c.uuid.in_(uuids), session.c.started_at <= at)
            sessions += _delete(connection, session, are_theirs)
        return sessions

    def _run_batch(self, profiles: list[uuidlib.UUID]) -> tuple[int, int] | None:
        began = time.monotonic()
        found = self._database.retry(functools.partial(self._erase_events, profiles))
        pause_after(self._database, began)
        return found

    def _erase_events(
        self, profiles: list[uuidlib.UUID], connection: sa.Connection
    ) -> tuple[int, int] | None:
        """Erase a batch, and return how many events and sessions went; None at the end.

        Locks are taken in the writer's order: notes, events by id, totals last.
        """
        event, note = self._tables.event, self._tables.uncounted
        are_theirs = sa.and_(event.c.uuid.in_(profiles), event.c.time <= self._at)
        ids = connection.scalars(sa.select(event.c.id).where(are_theirs).limit(BATCH_SIZE)).all()
        if not ids:
            return None
        notes = sa.select(note.c.event_id).where(note.c.event_id.in_(ids)).order_by(note.c.event_id)
        uncounted = set(connection.scalars(notes.with_for_update()))
        columns = (event.c.id, event.c.uuid, event.c.session_id, *hourly_columns(event))
        query = sa.select(*columns).where(event.c.id.in_(ids)).order_by(event.c.id)
        locked = connection.execute(query.with_for_update())
        rows = [row for row in locked if row.uuid in self.profiles and row.time <= self._at]
        erased = [row.id for row in rows]
        connection.execute(event.delete().where(event.c.id.in_(erased)))
        if uncounted:
            connection.execute(note.delete().where(note.c.event_id.in_(uncounted)))
        sessions = self._erase_shared(connection, {row.session_id for row in rows})
        subtract(connection, self._tables, [row for row in rows if row.id not in uncounted])
        return len(rows), sessions

    def _erase_shared(
        self, connection: sa.Connection, session_ids: set[uuidlib.UUID | None]
    ) -> int:
        """Erase sessions that are another's by now, which also tell what the person did in them."""
        session = self._tables.session
        erase = session.delete().where(session.c.id.in_(session_ids - {None}))
        return connection.execute(erase.where(session.c.started_at <= self._at)).rowcount

    def _erase_rejected(self) -> int:
        table = self._tables.rejected
        texts = set(map(str, self.profiles))
        last, ids = uuidlib.UUID(int=0), []
        while True:
            query = sa.select(table.c.id, table.c.payload).where(table.c.id > last)
            with self._database.read() as connection:
                page = connection.execute(query.order_by(table.c.id).limit(_REJECTED_PAGE)).all()
            if not page:
                break
            last = page[-1].id
            ids += [row.id for row in page if not texts.isdisjoint(_PROFILES.findall(row.payload))]
        for chunk in in_chunks(ids):
            with self._database.begin() as connection:
                _delete(connection, table, table.c.id.in_(chunk))
        return len(ids)

    def _erase_aliases(self, connection: sa.Connection) -> int:
        alias = self._tables.alias
        aliases = 0
        for uuids in in_chunks(self.profiles):
            are_theirs = sa.and_(alias.c.anonymous_uuid.in_(uuids), alias.c.created_at <= self._at)
            aliases += _delete(connection, alias, are_theirs)
        return aliases


def count_rows(database: Database, roots: cabc.Iterable[uuidlib.UUID]) -> Erased:
    """Return how many rows are a person's; what was rejected of them is not looked for."""
    tables = database.tables
    with database.read() as connection:
        profiles = find_profiles(connection, tables, roots)
        return Erased(
            events=_count(connection, tables.event.c.uuid, profiles),
            sessions=_count(connection, tables.session.c.uuid, profiles),
            aliases=_count(connection, tables.alias.c.anonymous_uuid, profiles),
        )


def find_profiles(
    connection: sa.Connection, tables: Tables, roots: cabc.Iterable[uuidlib.UUID]
) -> Profiles:
    """Return all profiles of the people who have these, by the aliases between them."""
    alias, found, more = tables.alias, set[uuidlib.UUID](), set(roots)
    query = sa.select(alias.c.anonymous_uuid, alias.c.customer_uuid)
    while more:
        found |= more
        near = set[uuidlib.UUID]()
        for uuids in in_chunks(more):
            is_near = sa.or_(alias.c.anonymous_uuid.in_(uuids), alias.c.customer_uuid.in_(uuids))
            near.update(*connection.execute(query.where(is_near)))
        more = near - found
    return found


def pause_after(database: Database, began: float) -> None:
    """Let others write to a SQLite file for as long as we did since ``began``, up to 0.1 s."""
    if database.is_file:
        time.sleep(min(0.1, time.monotonic() - began))


def _count(connection: sa.Connection, column: sa.Column[uuidlib.UUID], profiles: Profiles) -> int:
    query = sa.select(sa.func.count(column))
    conditions = map(column.in_, in_chunks(profiles))
    return sum(connection.scalar(query.where(among)) or 0 for among in conditions)


def _delete(connection: sa.Connection, table: sa.Table, condition: sa.ColumnElement[bool]) -> int:
    return connection.execute(table.delete().where(condition)).rowcount
