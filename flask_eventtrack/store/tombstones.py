"""Tombstones of erased people, so that no record that comes later brings their data back.

A tombstone is a keyed hash of an erased uuid and the moment of the erasure. A writer drops records
of that uuid that are not later. Page visits have tombstones as well as profiles: an event from a
browser without cookies is known by the visit that it names. So have orders whose amounts are not
kept: if one is charged again, it is dropped, whenever that is.

One more row holds the moment of the latest erasure. Each batch locks it, shared, until its end; an
erasure changes it first. So the erasure waits for the batches that cannot know of it, and all that
begin later find its tombstones. (SQLite has one writer at a time anyway.)
"""

from __future__ import annotations

import collections.abc as cabc
import datetime as dt
import hashlib
import hmac
import typing as t
import uuid as uuidlib

import msgspec
import sqlalchemy as sa

from ..ids import is_customer
from ..records import Charge, Event, Identified, PageView, Record, from_ns
from .dialects import in_chunks, queue_for
from .tables import Tables

#: The key of the row that holds the moment of the latest erasure.
LATEST = ""

_BEGINNING = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)

Moments = dict[uuidlib.UUID, dt.datetime]


class Sifted(t.NamedTuple):
    """The records that may be written, those that were dropped, and ``kin``.

    ``kin`` are more profiles of erased people, which only the dropped records have shown, each with
    the moment of the person's erasure. ``some_object`` tells whether there are objections at all.
    """

    records: cabc.Sequence[Record]
    dropped: cabc.Sequence[Record] = ()
    kin: Moments = {}  # noqa: RUF012 - never changed
    some_object: bool = False


class Tombstones:
    """Knows who was erased, and when.

    :param salt: ``EVENTTRACK_PROFILE_SALT``, which never changes as long as profiles live.
    """

    def __init__(self, tables: Tables, salt: str) -> None:
        self._tables = tables
        self._key = hashlib.sha256(b"flask-eventtrack tombstone " + salt.encode()).digest()

    def hash_of(self, uuid: uuidlib.UUID) -> str:
        return hmac.digest(self._key, uuid.bytes, "sha256").hex()

    def wait_for_batches(self, connection: sa.Connection, at: dt.datetime = _BEGINNING) -> None:
        """Note an erasure; once this returns, every open batch knows of it.

        Without a moment nothing is noted. No batch is then open until the transaction ends.
        """
        table = self._tables.tombstone
        queue_for(connection, table)
        latest: dt.datetime | None = connection.scalar(_latest(table).with_for_update())
        if latest is None:
            connection.execute(table.insert().values(uuid_hash=LATEST, erased_at=at))
            return
        change = table.update().where(table.c.uuid_hash == LATEST)
        connection.execute(change.values(erased_at=max(latest, at)))

    def add(
        self, connection: sa.Connection, uuids: cabc.Iterable[uuidlib.UUID], at: dt.datetime
    ) -> None:
        """Set tombstones: everything of these profiles and visits up to ``at`` is erased."""
        self.add_hashes(connection, map(self.hash_of, uuids), at)

    def add_hashes(
        self, connection: sa.Connection, hashes: cabc.Iterable[str], at: dt.datetime
    ) -> None:
        """Set tombstones of profiles and visits that only their hashes name."""
        table = self._tables.tombstone
        for chunk in in_chunks(sorted(hashes)):
            among = table.c.uuid_hash.in_(chunk)
            known = set(connection.scalars(sa.select(table.c.uuid_hash).where(among)))
            older = table.update().where(among, table.c.erased_at < at)
            connection.execute(older.values(erased_at=at))
            new = [{"uuid_hash": each, "erased_at": at} for each in chunk if each not in known]
            if new:
                connection.execute(table.insert(), new)

    def sift(self, connection: sa.Connection, records: cabc.Sequence[Record]) -> Sifted:
        """Drop what people did before their erasure. Later erasures wait for this transaction.

        A session that began before an erasure begins anew with the first record after it.
        """
        if not records:
            return Sifted(records)
        latest, some_object = self._hold(connection)
        suspects = [record for record in records if record.begins_at <= latest]
        uuids = {uuid for record in suspects for uuid in record.profiles}
        if latest > _BEGINNING:
            uuids.update(record.id for record in records if _is_charge(record))
        erased = self._find(connection, uuids) if uuids else {}
        if not erased:
            return Sifted(records, some_object=some_object)
        judged = [(record, _judge(record, erased)) for record in records]
        dropped = [record for record, kept in judged if kept is None]
        kin = self._find_kin(connection, dropped, erased)
        kept = [kept for _, kept in judged if kept is not None]
        return Sifted(kept, dropped, kin, some_object)

    def _hold(self, connection: sa.Connection) -> tuple[dt.datetime, bool]:
        """Return the moment of the latest erasure, and make the next erasure wait.

        And whether anybody has ever objected, since each batch asks that too.
        """
        some_object = sa.exists(sa.select(self._tables.objection.c.uuid_hash))
        query = _latest(self._tables.tombstone).add_columns(some_object)
        found = connection.execute(query.with_for_update(read=True)).one_or_none()
        if found is not None:
            return found[0], bool(found[1])
        first = self._tables.tombstone.insert().values(uuid_hash=LATEST, erased_at=_BEGINNING)
        connection.execute(first)
        return _BEGINNING, True

    def _find(self, connection: sa.Connection, uuids: cabc.Iterable[uuidlib.UUID]) -> Moments:
        """Return the moments of erasure of those ids that are erased."""
        table = self._tables.tombstone
        by_hash = {self.hash_of(uuid): uuid for uuid in uuids}
        query = sa.select(table.c.uuid_hash, table.c.erased_at)
        rows = connection.execute(query.where(table.c.uuid_hash.in_(by_hash)))
        return {by_hash[row.uuid_hash]: row.erased_at for row in rows}

    def _find_kin(
        self, connection: sa.Connection, dropped: cabc.Iterable[Record], erased: Moments
    ) -> Moments:
        """Return the profiles that dropped records show to be an erased person's, too.

        A log-in names the earlier anonymous profile. The server's half of a visit names the visitor
        of a row that a browser without cookies has reported under a profile of its own.
        """
        kin: Moments = {}
        visits: Moments = {}
        for record in dropped:
            match record:
                case Identified():
                    at, owners = erased[record.uuid], {None, record.uuid}
                    others = record.others
                    kin |= {
                        each: at for each in others if self._owner_of(connection, each) in owners
                    }
                case PageView() | Event(half="server"):
                    visits[record.id] = erased[record.uuid]
        if visits:
            event = self._tables.event
            query = sa.select(event.c.id, event.c.uuid).where(event.c.id.in_(visits))
            for visit_id, uuid in connection.execute(query):
                # A profile of a customer, or one merged with a customer, was not made up.
                if not is_customer(uuid) and self._owner_of(connection, uuid) is None:
                    kin.setdefault(uuid, visits[visit_id])
        return {uuid: at for uuid, at in kin.items() if uuid not in erased}

    def _owner_of(self, connection: sa.Connection, anonymous: uuidlib.UUID) -> uuidlib.UUID | None:
        """Return the customer with whom an anonymous profile is merged."""
        alias = self._tables.alias
        query = sa.select(alias.c.customer_uuid).where(alias.c.anonymous_uuid == anonymous)
        return connection.scalar(query)


def _latest(table: sa.Table) -> sa.Select[t.Any]:
    return sa.select(table.c.erased_at).where(table.c.uuid_hash == LATEST)


def _is_charge(record: Record) -> bool:
    return isinstance(record, Event) and isinstance(record.order, Charge)


def _judge(record: Record, erased: Moments) -> Record | None:
    """Return a record as it may be written, or None if its content is erased."""
    if record.id in erased and _is_charge(record):
        return None
    moments = [erased[uuid] for uuid in record.profiles if uuid in erased]
    if not moments or record.begins_at > max(moments):
        return record
    match record:
        case Event():
            return _judge_event(record, max(moments))
        case PageView():
            is_after = from_ns(record.arrival) > max(moments)
            anew = msgspec.structs.replace(record, session_started=record.arrival)
            return anew if is_after else None
        case Identified():
            is_erased = record.time <= erased.get(record.uuid, _BEGINNING)
            return None if is_erased else _detach(record, erased)
    return record


def _detach(record: Identified, erased: Moments) -> Identified:
    """Return a record without profiles whose erasure is not earlier than the record."""
    anonymous, former = (
        uuid if uuid is not None and erased.get(uuid, _BEGINNING) < record.time else None
        for uuid in (record.anonymous, record.former)
    )
    return msgspec.structs.replace(record, anonymous=anonymous, former=former)


def _judge_event(event: Event, at: dt.datetime) -> Event | None:
    if event.time <= at:
        return None
    # Without a session, the event would have begun at its own time, and not be asked about here.
    session = event.session and msgspec.structs.replace(event.session, started_at=event.time)
    return msgspec.structs.replace(event, session=session)
