"""The erasure of a person: all of their rows, in short transactions, so that no one waits long."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses
import datetime as dt
import functools
import re
import typing as t
import uuid as uuidlib

import sqlalchemy as sa

from ..records import PAGE_VISIT, Cancellation, Event
from .closed_days import recount_now
from .dialects import by_index, in_chunks
from .engine import Database
from .marks import Marks
from .person import correct_people
from .revenue import erase_transactions
from .tables import Tables
from .tombstones import Tombstones
from .totals import hourly_columns, subtract
from .traits import erase_traits
from .waiting import list_waiting

BATCH_SIZE = 500

_REJECTED_PAGE = 200
#: Finds the profiles in the payload of a rejected record.
PROFILES: t.Final = re.compile(r'"(?:uuid|anonymous)": "([0-9a-f-]{36})"')

Profiles = set[uuidlib.UUID]


@dataclasses.dataclass(frozen=True, slots=True)
class Erased:
    """How many rows an erasure removed, or would remove.

    Of ``transactions``, the amounts may have stayed, without the person.
    """

    events: int = 0
    sessions: int = 0
    aliases: int = 0
    transactions: int = 0
    rejected: int = 0

    def __add__(self, other: Erased) -> Erased:
        pairs = zip(dataclasses.astuple(self), dataclasses.astuple(other), strict=True)
        return Erased(*map(sum, pairs))


@dataclasses.dataclass(slots=True)
class Erasure:
    """Removes what a person did up to ``at``, and leaves tombstones for what is still on its way.

    An interrupted erasure can be run again: the aliases, by which the rest is found, go last.

    :param profiles: some profiles of one person; :meth:`run` adds the others, found by their
        aliases, and the person's ``customer_ids`` in the host app.
    :param max_age: how old a browser's event may be when it arrives.
    :param note: is told of the profiles before they are erased.
    :param is_replay: whether this repeats an erasure in a restored database. Then all of the
        person's profiles are given: an alias may be younger than the erasure.
    :param keeps_revenue: whether the amounts of the person's orders stay.
    :param zone: the site's, whose closed days are to be counted again.
    """

    database: Database
    tombstones: Tombstones
    profiles: Profiles
    at: dt.datetime
    max_age: dt.timedelta
    note: cabc.Callable[[set[uuidlib.UUID]], None] = lambda _: None
    is_replay: bool = False
    keeps_revenue: bool = True
    zone: dt.tzinfo = dt.UTC
    clock: cabc.Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC)
    customer_ids: set[str] = dataclasses.field(default_factory=set)
    _buried: set[uuidlib.UUID] = dataclasses.field(default_factory=set)
    _orders: set[uuidlib.UUID] = dataclasses.field(default_factory=set)

    def run(self) -> cabc.Iterator[Erased]:
        """Erase, and yield after each transaction how much has been removed so far.

        :raises sqlalchemy.exc.SQLAlchemyError: the database is away or locked; run another.
        """
        events = sessions = transactions = 0
        # Again, until nothing is found: a batch that did not know of the erasure yet may have
        # written more.
        while new := self._find_new():
            self.note(new & self.profiles)
            self._set_tombstones(new)
            sessions += self.database.retry(self._bury)
            yield Erased(events, sessions)
        for profiles in in_chunks(self.profiles):
            erase = functools.partial(self._erase_events, profiles)
            while (found := self.database.take_turn(erase)) is not None:
                events += found[0]
                sessions += found[1]
                yield Erased(events, sessions)
        for profiles in in_chunks(self.profiles):
            strip = functools.partial(self._erase_transactions, profiles)
            while (number := self.database.take_turn(strip)) is not None:
                transactions += number
                yield Erased(events, sessions, transactions=transactions)
        self.database.retry(self._erase_waiting)
        self.database.retry(self._hash_subjects)
        self.database.retry(self._erase_errors)
        rejected = self._erase_rejected()
        aliases = self.database.retry(self._erase_aliases)
        self.database.shrink_log()
        yield Erased(events, sessions, aliases, transactions, rejected)

    def _find_new(self) -> set[uuidlib.UUID]:
        """Return what needs a tombstone and has none yet: profiles, visits, perhaps orders."""
        profile = self.database.tables.profile
        with self.database.look() as connection:
            if not self.is_replay:
                self.profiles = find_profiles(connection, self.database.tables, self.profiles)
            for uuids in in_chunks(self.profiles):
                query = sa.select(profile.c.customer_id).where(profile.c.uuid.in_(uuids))
                self.customer_ids.update(connection.scalars(query))
            visits, orders = self._find_visits(connection), self._find_orders(connection)
            self._orders |= orders
            again = set() if self.keeps_revenue else orders
            return (self.profiles | visits | again) - self._buried

    def _find_visits(self, connection: sa.Connection) -> set[uuidlib.UUID]:
        """Return the ids of page visits that events of a browser may still name."""
        event = self.database.tables.event
        since = self.at - self.max_age
        query = sa.select(event.c.time, event.c.id, event.c.claimed_by)
        query = query.where(event.c.time > since, event.c.action == PAGE_VISIT)
        found = set[uuidlib.UUID]()
        for uuids in in_chunks(self.profiles):
            # With both ends of the period in the query, PostgreSQL would take the index of times.
            for moment, *ids in connection.execute(query.where(event.c.uuid.in_(uuids))):
                if moment <= self.at:
                    found.update(filter(None, ids))
        return found

    def _find_orders(self, connection: sa.Connection) -> set[uuidlib.UUID]:
        """Return the ids of the person's charges, which may be sent again."""
        table = self.database.tables.transaction
        query = sa.select(table.c.id).where(table.c.charge_id.is_(None), table.c.time <= self.at)
        found = set[uuidlib.UUID]()
        for uuids in in_chunks(self.profiles):
            for profile in (table.c.uuid, table.c.person):
                found.update(connection.scalars(query.where(profile.in_(uuids))))
        return found

    def _set_tombstones(self, uuids: set[uuidlib.UUID]) -> None:
        """Set tombstones before :meth:`_bury`, to keep it short: all writers wait for it."""
        for chunk in in_chunks(uuids):
            add = functools.partial(self.tombstones.add, uuids=chunk, at=self.at)
            self.database.take_turn(add)
        self._buried |= uuids

    def _bury(self, connection: sa.Connection) -> int:
        """Put the tombstones into force; delete the sessions, and return their number.

        In one transaction, so that no later event continues one of these sessions.
        """
        profile, session = self.database.tables.profile, self.database.tables.session
        self.tombstones.wait_for_batches(connection, self.at)
        self._delete_theirs(connection, profile.c.uuid, profile.c.first_seen_at)
        erase_traits(connection, self.database.tables, self.profiles)
        marks = Marks(self.zone, self.clock())
        visits = sa.select(session.c.person, session.c.uuid, session.c.started_at)
        visits = visits.where(session.c.started_at <= self.at)
        for uuids in in_chunks(self.profiles):
            marks.note_gone(connection.execute(visits.where(session.c.uuid.in_(uuids))))
        number = self._delete_theirs(connection, session.c.uuid, session.c.started_at)
        marks.write(connection, self.database.tables)
        return number

    def _erase_events(
        self, profiles: list[uuidlib.UUID], connection: sa.Connection
    ) -> tuple[int, int] | None:
        """Erase a batch; return the numbers of events and sessions, or None at the end.

        Locks are taken in the writer's order: notes, events by id, totals last.
        """
        event, note = self.database.tables.event, self.database.tables.uncounted
        are_theirs = sa.and_(event.c.uuid.in_(profiles), event.c.time <= self.at)
        ids = connection.scalars(sa.select(event.c.id).where(are_theirs).limit(BATCH_SIZE)).all()
        if not ids:
            return None
        notes = sa.select(note.c.event_id).where(note.c.event_id.in_(ids)).order_by(note.c.event_id)
        uncounted = set(connection.scalars(notes.with_for_update()))
        columns = (event.c.id, event.c.uuid, event.c.session_id, *hourly_columns(event))
        query = sa.select(*columns).where(event.c.id.in_(ids)).order_by(event.c.id)
        locked = connection.execute(query.with_for_update())
        # Asked again: the writer may have given an event another profile before it was locked.
        rows = [row for row in locked if row.uuid in self.profiles and row.time <= self.at]
        connection.execute(event.delete().where(event.c.id.in_([row.id for row in rows])))
        if uncounted:
            connection.execute(note.delete().where(note.c.event_id.in_(uncounted)))
        marks, tables = Marks(self.zone, self.clock()), self.database.tables
        sessions = self._erase_shared(connection, {row.session_id for row in rows}, marks)
        subtract(connection, tables, [row for row in rows if row.id not in uncounted], marks)
        marks.write(connection, tables)
        return len(rows), sessions

    def _erase_shared(
        self, connection: sa.Connection, session_ids: set[uuidlib.UUID | None], marks: Marks
    ) -> int:
        """Erase sessions that another person has continued: they also tell what this one did."""
        session = self.database.tables.session
        are_it = session.c.id.in_(session_ids - {None}), session.c.started_at <= self.at
        visits = sa.select(session.c.id, session.c.person, session.c.uuid, session.c.started_at)
        visits = visits.where(*are_it).order_by(session.c.id)
        rows = connection.execute(visits.with_for_update()).all()
        if rows:
            marks.note_gone(rows)
            connection.execute(session.delete().where(*are_it))
        return len(rows)

    def _erase_transactions(
        self, profiles: list[uuidlib.UUID], connection: sa.Connection
    ) -> int | None:
        """Strip or delete a batch of the rows of orders; return how many, or None at the end."""
        table = self.database.tables.transaction
        for profile in (table.c.uuid, table.c.person):
            query = sa.select(table.c.id).where(profile.in_(profiles), table.c.time <= self.at)
            query = by_index(query, profile).limit(BATCH_SIZE)
            ids = connection.scalars(query.with_for_update()).all()
            if ids:
                tables, keeps = self.database.tables, self.keeps_revenue
                erase_transactions(connection, tables, ids, keeps=keeps)
                return len(ids)
        return None

    def _erase_waiting(self, connection: sa.Connection) -> None:
        """Erase what waits of the person, or for an erased visit or order."""
        note = self.database.tables.uncounted
        ids = [
            key
            for key, event in list_waiting(connection, self.database.tables)
            if (event.uuid in self.profiles and event.time <= self.at)
            or not self._buried.isdisjoint({key, *_awaited(event)})
        ]
        for chunk in in_chunks(ids):
            connection.execute(note.delete().where(note.c.event_id.in_(chunk)))

    def _hash_subjects(self, connection: sa.Connection) -> None:
        """Have the audit name the person by hashes only, as tombstones do."""
        subject = self.database.tables.audit.c.subject
        for chunk in in_chunks(self.profiles):
            hashes = {str(uuid): self.tombstones.hash_of(uuid) for uuid in chunk}
            change = subject.table.update().where(subject.in_(hashes))
            connection.execute(change.values(subject=sa.case(hashes, value=subject, else_=subject)))

    def _erase_errors(self, connection: sa.Connection) -> None:
        """Remove what functions on events have failed with: the text may name anybody."""
        follower = self.database.tables.follower
        if follower is not None:
            connection.execute(follower.update().values(error=None))

    def _erase_rejected(self) -> int:
        table = self.database.tables.rejected
        # A cancellation names no profile but the id of its charge.
        texts = set(map(str, self.profiles | self._orders))
        last, ids = uuidlib.UUID(int=0), []
        while True:
            query = sa.select(table.c.id, table.c.payload).where(table.c.id > last)
            if self.is_replay:
                query = query.where(table.c.rejected_at <= self.at)
            with self.database.look() as connection:
                page = connection.execute(query.order_by(table.c.id).limit(_REJECTED_PAGE)).all()
            if not page:
                break
            last = page[-1].id
            ids += [row.id for row in page if not texts.isdisjoint(PROFILES.findall(row.payload))]
        for chunk in in_chunks(ids):
            with self.database.begin() as connection:
                connection.execute(table.delete().where(table.c.id.in_(chunk)))
        return len(ids)

    def _erase_aliases(self, connection: sa.Connection) -> int:
        """Delete the aliases; what the person did meanwhile is resolved without them."""
        alias = self.database.tables.alias
        self.tombstones.wait_for_batches(connection, self.at)
        number = self._delete_theirs(connection, alias.c.anonymous_uuid, alias.c.created_at)
        marks, tables = Marks(self.zone, self.clock()), self.database.tables
        correct_people(connection, tables, self.profiles, marks)
        marks.write(connection, tables)
        # At once, since the rows of their days are the person's, too.
        recount_now(tables, self.zone, self.profiles, connection)
        return number

    def _delete_theirs(
        self, connection: sa.Connection, profile: sa.Column[t.Any], moment: sa.Column[t.Any]
    ) -> int:
        """Delete the person's rows of a table, up to the erasure's moment; return how many."""
        delete = profile.table.delete().where(moment <= self.at)
        chunks = in_chunks(self.profiles)
        return sum(
            connection.execute(delete.where(profile.in_(uuids))).rowcount for uuids in chunks
        )


def _awaited(event: Event) -> cabc.Sequence[uuidlib.UUID]:
    """Return the visit or charge for which a record waits."""
    return event.profiles if isinstance(event.order, Cancellation) else event.profiles[1:]


def count_rows(database: Database, roots: cabc.Iterable[uuidlib.UUID]) -> Erased:
    """Return how many rows a person has; rejected records are not searched."""
    tables = database.tables
    with database.read() as connection:
        profiles = find_profiles(connection, tables, roots)
        return Erased(
            events=_count(connection, tables.event.c.uuid, profiles),
            sessions=_count(connection, tables.session.c.uuid, profiles),
            aliases=_count(connection, tables.alias.c.anonymous_uuid, profiles),
            transactions=_count(connection, tables.transaction.c.uuid, profiles),
        )


def find_profiles(
    connection: sa.Connection, tables: Tables, roots: cabc.Iterable[uuidlib.UUID]
) -> Profiles:
    """Return these profiles and all others of the same people, found by aliases."""
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


def _count(connection: sa.Connection, column: sa.Column[uuidlib.UUID], profiles: Profiles) -> int:
    query = sa.select(sa.func.count(column))
    conditions = map(column.in_, in_chunks(profiles))
    return sum(connection.scalar(query.where(among)) or 0 for among in conditions)
