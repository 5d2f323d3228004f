"""Which records several processes may write at the same time: those of different devices.

Devices are divided into partitions by their ids. Records of one partition share session and visit
rows, records of two do not, with few exceptions. So of one partition a single transaction at a time
is written, and no two writers meet in a row. That is for speed: the rows' own locks keep what is
written right, whoever writes it.
"""

from __future__ import annotations

import collections.abc as cabc
import typing as t
import uuid as uuidlib

from ..records import Event, Identified, PageView, Record, SessionEnd

#: The same in all processes that write to one database: it decides which lock they wait for.
PARTITIONS = 8

_Homes = dict[int, int]


class Part(t.NamedTuple):
    """Records for one transaction, and the partitions that they are of, in order."""

    records: cabc.Sequence[Record]
    partitions: list[int]


def split(records: cabc.Sequence[Record], size: int, first: int) -> list[Part]:
    """Return the parts of waiting records, each of one or more partitions and of about ``size``.

    Parts keep the order of the records, but for the ends of sessions: these are in the last part,
    since all other records of the session have to be written before.

    :param first: the partition to begin with, so that processes that begin together do not wait for
        the same ones.
    """
    count = min(PARTITIONS, max(1, round(len(records) / size)))
    parts = [Part([], []) for _ in range(count)]
    for record, partition in zip(records, find_partitions(records), strict=True):
        turn = (partition - first) % PARTITIONS
        at = -1 if isinstance(record, SessionEnd) else turn * count // PARTITIONS
        t.cast("list[Record]", parts[at].records).append(record)
        parts[at].partitions.append(partition)
    filled = [part for part in parts if part.records] or parts[:1]
    return [Part(part.records, sorted(set(part.partitions))) for part in filled]


def find_partitions(records: cabc.Sequence[Record]) -> list[int]:
    """Return the partition of each record.

    A browser without cookies has a device of its own, until the server's half of its visit names
    the real one. If that half is among the records, it decides for the browser's half too, and for
    the events that came with it.
    """
    homes: _Homes = {}
    for record in records:
        if isinstance(record, PageView) or (isinstance(record, Event) and record.half == "server"):
            homes[record.id.int] = _number_of(record)
    for record in records:
        if isinstance(record, Event) and record.half == "browser":
            homes[record.id.int] = _find_partition(record, homes)
    return [_find_partition(record, homes) for record in records]


def _find_partition(record: Record, homes: _Homes) -> int:
    if isinstance(record, Event) and record.claim is not None and record.claim.kind != "foreign":
        home = homes.get(record.claim.visit_id.int)
        if home is not None:
            return home
    return _number_of(record)


def _number_of(record: Record) -> int:
    return _decider_of(record).int % PARTITIONS


def _decider_of(record: Record) -> uuidlib.UUID:
    """Return the id that decides: the device's, or what stands for it where there is none."""
    match record:
        case PageView():
            return record.device_id
        case Event():
            if record.session is not None:
                return record.session.device_id
            # Without a session there is no row that events share, but the visit's.
            return record.claim.visit_id if record.claim is not None else record.id
        case Identified():
            return record.uuid
        case SessionEnd():
            return record.session_id
