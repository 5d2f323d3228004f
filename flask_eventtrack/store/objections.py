"""People who object: from then on nothing is recorded of them, until they withdraw it.

An objection is a row with a keyed hash of a profile's uuid and two moments: since when, and until
when. The writer drops what it gets of such a profile, so that no request has to ask the database.
What counts is when the server received a record, since a client can give any time; and also when it
happened, so that a browser's events from before the withdrawal are not recorded after it.

The rows stay after the withdrawal and after an erasure.
"""

from __future__ import annotations

import collections.abc as cabc
import datetime as dt
import uuid as uuidlib

import msgspec
import sqlalchemy as sa

from ..records import Cancellation, Event, Identified, PageView, Record, from_ns
from .dialects import in_chunks
from .tables import Tables, cached_on_table

Hash = cabc.Callable[[uuidlib.UUID], str]

_Period = tuple[dt.datetime, dt.datetime | None]
_Periods = dict[uuidlib.UUID, list[_Period]]


class Objections:
    """Knows who has objected, and when.

    :param hash_of: :meth:`.Tombstones.hash_of`.
    """

    def __init__(self, tables: Tables, hash_of: Hash) -> None:
        self._tables = tables
        self._hash_of = hash_of

    def add(self, connection: sa.Connection, hashes: cabc.Iterable[str], at: dt.datetime) -> None:
        """Record nothing of these profiles from ``at`` on; an objection in force stays as it is."""
        table = self._tables.objection
        for chunk in in_chunks(sorted(hashes)):
            among, in_force = table.c.uuid_hash.in_(chunk), table.c.withdrawn_at.is_(None)
            again = table.update().where(among, table.c.objected_at == at)
            connection.execute(again.values(withdrawn_at=None))
            known = connection.scalars(sa.select(table.c.uuid_hash).where(among, in_force))
            new = [{"uuid_hash": each, "objected_at": at} for each in set(chunk) - set(known)]
            if new:
                connection.execute(table.insert(), new)

    def withdraw(
        self, connection: sa.Connection, hashes: cabc.Iterable[str], at: dt.datetime
    ) -> int:
        """End the objections in force of these profiles; return how many there were."""
        table = self._tables.objection
        found = 0
        for chunk in in_chunks(sorted(hashes)):
            among = table.c.uuid_hash.in_(chunk)
            in_force = sa.and_(table.c.withdrawn_at.is_(None), table.c.objected_at <= at)
            change = table.update().where(among, in_force).values(withdrawn_at=at)
            found += connection.execute(change).rowcount
        return found

    def are_in_force(self, connection: sa.Connection, hashes: cabc.Iterable[str]) -> bool:
        """Whether one of these profiles has objected, and not withdrawn it."""
        query = _in_force_query(self._tables.objection)
        return any(connection.scalar(query, {"hashes": chunk}) for chunk in in_chunks(hashes))

    def sift(
        self, connection: sa.Connection, records: cabc.Sequence[Record]
    ) -> tuple[cabc.Sequence[Record], list[Record]]:
        """Return the records that may be written, and those that were dropped."""
        owners = self._find_owners(connection, records)
        people = {uuid for record in records for uuid in record.profiles} | set(owners.values())
        periods = self._find(connection, people)
        if not periods:
            return records, []
        self._join(connection, records, periods)
        judged = [(record, _judge(record, owners, periods)) for record in records]
        dropped = [record for record, kept in judged if kept is None]
        return [kept for _, kept in judged if kept is not None], dropped

    def _join(
        self, connection: sa.Connection, records: cabc.Iterable[Record], periods: _Periods
    ) -> None:
        """Have a customer's objection hold for their other profiles too.

        The log-in may have waited in another process when the customer objected, so that the
        anonymous profile was not known to be theirs. Or they objected under their former id.
        """
        for record in records:
            if not isinstance(record, Identified):
                continue
            if record.former is not None:
                self._adopt(connection, record.uuid, record.former, periods)
            for since, until in tuple(periods.get(record.uuid, ())):
                if until is None and record.time < since:
                    for other in record.others:
                        self._extend(connection, other, since, periods)

    def _adopt(
        self,
        connection: sa.Connection,
        profile: uuidlib.UUID,
        former: uuidlib.UUID,
        periods: _Periods,
    ) -> None:
        """Apply an objection under the former id, if there never was one under this id."""
        if profile in periods:
            return
        for since, until in periods.get(former, ()):
            if until is None:
                self._extend(connection, profile, since, periods)

    def _extend(
        self,
        connection: sa.Connection,
        profile: uuidlib.UUID,
        since: dt.datetime,
        periods: _Periods,
    ) -> None:
        self.add(connection, [self._hash_of(profile)], since)
        periods.setdefault(profile, []).append((since, None))

    def _find(self, connection: sa.Connection, uuids: cabc.Iterable[uuidlib.UUID]) -> _Periods:
        table = self._tables.objection
        by_hash = {self._hash_of(uuid): uuid for uuid in uuids}
        query = sa.select(table.c.uuid_hash, table.c.objected_at, table.c.withdrawn_at)
        found: _Periods = {}
        for chunk in in_chunks(sorted(by_hash)):
            for row in connection.execute(query.where(table.c.uuid_hash.in_(chunk))):
                periods = found.setdefault(by_hash[row.uuid_hash], [])
                periods.append((row.objected_at, row.withdrawn_at))
        return found

    def _find_owners(
        self, connection: sa.Connection, records: cabc.Sequence[Record]
    ) -> dict[uuidlib.UUID, uuidlib.UUID]:
        """Return whose the visits are from which events without cookies take their profile.

        A visit is known by its id, and by the id of its browser's half.
        """
        claimed = {
            record.claim.visit_id
            for record in records
            if isinstance(record, Event) and record.takes_identity and record.claim
        }
        if not claimed:
            return {}
        event = self._tables.event.c
        owners: dict[uuidlib.UUID, uuidlib.UUID] = {}
        query = sa.select(event.id, event.claimed_by, event.uuid)
        for chunk in in_chunks(claimed):
            theirs = sa.or_(event.id.in_(chunk), event.claimed_by.in_(chunk))
            for visit_id, half_id, uuid in connection.execute(query.where(theirs)):
                owners[visit_id] = owners[half_id or visit_id] = uuid
        waiting = [record for record in records if isinstance(record, PageView)]
        owners |= {record.id: record.uuid for record in waiting}
        halves = [record for record in records if isinstance(record, Event) and record.half]
        for half in sorted(halves, key=lambda half: half.half == "browser"):
            joined = half.claim.visit_id if half.claim and half.takes_identity else None
            owners[half.id] = owners.get(joined, half.uuid) if joined else half.uuid
        return owners


@cached_on_table
def _in_force_query(table: sa.Table) -> sa.Select[tuple[str]]:
    is_one = table.c.uuid_hash.in_(sa.bindparam("hashes", expanding=True))
    return sa.select(table.c.uuid_hash).where(is_one, table.c.withdrawn_at.is_(None)).limit(1)


def _judge(
    record: Record, owners: cabc.Mapping[uuidlib.UUID, uuidlib.UUID], periods: _Periods
) -> Record | None:
    """Return a record as it may be written, or None if its person has objected."""
    match record:
        case PageView():
            is_dropped = _is_within([from_ns(record.arrival)], periods.get(record.uuid))
        case Event() if isinstance(record.order, Cancellation):
            return record  # which has no person but its charge's
        case Event():
            moments = [record.received_at, record.time]
            is_dropped = _is_within(moments, periods.get(record.uuid))
            if record.claim is not None and record.takes_identity:
                owner = owners.get(record.claim.visit_id, record.uuid)
                is_dropped = is_dropped or _is_within(moments, periods.get(owner))
        case Identified():
            is_dropped = _is_within([record.time], periods.get(record.uuid))
            anonymous = record.anonymous and periods.get(record.anonymous)
            if not is_dropped and anonymous and _is_within([record.time], anonymous):
                return msgspec.structs.replace(record, anonymous=None)
        case _:
            return record
    return None if is_dropped else record


def _is_within(moments: cabc.Iterable[dt.datetime], periods: cabc.Iterable[_Period] | None) -> bool:
    """Whether one of the moments lies in one of the periods."""
    return any(
        since <= moment and (until is None or moment < until)
        for since, until in periods or ()
        for moment in moments
        if moment.tzinfo  # without a zone, no database stores it
    )
