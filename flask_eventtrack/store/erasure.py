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

from ..event import PAGE_VISIT
from .counts import hourly_columns, subtract
from .engine import Database
from .tables import Tables
from .tombstones import Tombstones

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
        self.customer_ids: list[str] = []
        self._visits: set[uuidlib.UUID] = set()

    def run(self) -> cabc.Iterator[Erased]:
        """Erase, and yield after each transaction how much is removed so far.

        :raises sqlalchemy.exc.SQLAlchemyError: the database is away or locked; run another.
        """
        events = aliases = rejected = 0
        self._prepare()
        sessions = self._database.retry(self._bury)
        yield Erased(events, sessions, aliases, rejected)
        while (found := self._run_batch()) is not None:
            events += found[0]
            sessions += found[1]
            yield Erased(events, sessions, aliases, rejected)
        rejected = self._erase_rejected()
        aliases = self._database.retry(self._erase_aliases)
        self._database.shrink_log()
        yield Erased(events, sessions, aliases, rejected)

    def _prepare(self) -> None:
        """Set most visits' tombstones, so that little is left to the one transaction that all wait
        for."""
        with self._database.read() as connection:
            self.profiles = find_profiles(connection, self._tables, self.profiles)
            visits = sorted(self._find_visits(connection))
        for start in range(0, len(visits), BATCH_SIZE):
            began = time.monotonic()
            chunk = visits[start : start + BATCH_SIZE]
            add = functools.partial(self._tombstones.add, tables=self._tables, uuids=chunk)
            self._database.retry(functools.partial(add, at=self._at))
            pause_after(self._database, began)
        self._visits = set(visits)

    def _bury(self, connection: sa.Connection) -> int:
        """Set the tombstones; the sessions go at once, before a later event could continue one."""
        tables, at = self._tables, self._at
        self._tombstones.wait_for_batches(connection, tables, at)
        self.profiles = find_profiles(connection, tables, self.profiles)
        buried = self.profiles | (self._find_visits(connection) - self._visits)
        self._tombstones.add(connection, tables, buried, at)
        profile, session = tables.profile, tables.session
        is_theirs = profile.c.uuid.in_(self.profiles)
        ids = connection.scalars(sa.select(profile.c.customer_id).where(is_theirs)).all()
        self.customer_ids = list(ids)
        connection.execute(profile.delete().where(is_theirs, profile.c.first_seen_at <= at))
        erase = session.delete().where(session.c.uuid.in_(self.profiles))
        return connection.execute(erase.where(session.c.started_at <= at)).rowcount

    def _find_visits(self, connection: sa.Connection) -> set[uuidlib.UUID]:
        """Return the ids of visits that a browser may still send something of."""
        event = self._tables.event
        query = sa.select(event.c.id, event.c.claimed_by).where(
            event.c.uuid.in_(self.profiles),
            event.c.time > self._at - self._max_age,
            event.c.action == PAGE_VISIT,
        )
        return {uuid for row in connection.execute(query) for uuid in row if uuid is not None}

    def _run_batch(self) -> tuple[int, int] | None:
        began = time.monotonic()
        found = self._database.retry(self._erase_events)
        pause_after(self._database, began)
        return found

    def _erase_events(self, connection: sa.Connection) -> tuple[int, int] | None:
        """Erase a batch of events, and return how many events and sessions went; None at the end.

        Locks are taken in the writer's order: notes, events by id, totals last.
        """
        event, note = self._tables.event, self._tables.uncounted
        are_theirs = sa.and_(event.c.uuid.in_(self.profiles), event.c.time <= self._at)
        ids = connection.scalars(sa.select(event.c.id).where(are_theirs).limit(BATCH_SIZE)).all()
        if not ids:
            return None
        notes = sa.select(note.c.event_id).where(note.c.event_id.in_(ids)).order_by(note.c.event_id)
        uncounted = set(connection.scalars(notes.with_for_update()))
        columns = (event.c.id, event.c.session_id, *hourly_columns(event))
        query = sa.select(*columns).where(event.c.id.in_(ids), are_theirs).order_by(event.c.id)
        rows = connection.execute(query.with_for_update()).all()
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
        for start in range(0, len(ids), BATCH_SIZE):
            with self._database.begin() as connection:
                _delete(connection, table, table.c.id.in_(ids[start : start + BATCH_SIZE]))
        return len(ids)

    def _erase_aliases(self, connection: sa.Connection) -> int:
        alias = self._tables.alias
        are_theirs = _is_alias_of(self._tables, self.profiles)
        return _delete(connection, alias, sa.and_(are_theirs, alias.c.created_at <= self._at))


def count_rows(database: Database, roots: cabc.Iterable[uuidlib.UUID]) -> Erased:
    """Return how many rows are a person's; what was rejected of them is not looked for."""
    tables = database.tables
    with database.read() as connection:
        profiles = find_profiles(connection, tables, roots)
        return Erased(
            events=_count(connection, tables.event, tables.event.c.uuid.in_(profiles)),
            sessions=_count(connection, tables.session, tables.session.c.uuid.in_(profiles)),
            aliases=_count(connection, tables.alias, _is_alias_of(tables, profiles)),
        )


def find_profiles(
    connection: sa.Connection, tables: Tables, roots: cabc.Iterable[uuidlib.UUID]
) -> Profiles:
    """Return all profiles of the people who have these, by the aliases between them."""
    alias, found, more = tables.alias, set[uuidlib.UUID](), set(roots)
    while more:
        found |= more
        query = sa.select(alias.c.anonymous_uuid, alias.c.customer_uuid)
        rows = connection.execute(query.where(_is_alias_of(tables, more)))
        more = {uuid for row in rows for uuid in row} - found
    return found


def pause_after(database: Database, began: float) -> None:
    """Let others write to a SQLite file for as long as we did since ``began``, up to 0.1 s."""
    if database.is_file:
        time.sleep(min(0.1, time.monotonic() - began))


def _is_alias_of(tables: Tables, profiles: Profiles) -> sa.ColumnElement[bool]:
    alias = tables.alias
    return sa.or_(alias.c.anonymous_uuid.in_(profiles), alias.c.customer_uuid.in_(profiles))


def _count(connection: sa.Connection, table: sa.Table, condition: sa.ColumnElement[bool]) -> int:
    query = sa.select(sa.func.count()).select_from(table).where(condition)
    return connection.scalar(query) or 0


def _delete(connection: sa.Connection, table: sa.Table, condition: sa.ColumnElement[bool]) -> int:
    return connection.execute(table.delete().where(condition)).rowcount
