"""Which records several processes may write at the same time: those of different devices.

Devices are divided into partitions by their ids. With few exceptions, records that share a session
or visit row are of one partition. Only one transaction at a time writes records of a partition, so
two writers do not wait for each other's rows. This is for speed only: the locks of the rows keep
the data right in any case.
"""

from __future__ import annotations

import collections.abc as cabc
import typing as t
import uuid as uuidlib

from ..records import Event, PageView, Record, SessionEnd

#: The same in all processes that write to one database: it decides which lock they wait for.
PARTITIONS = 8


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
    parts: list[tuple[list[Record], set[int]]] = [([], set()) for _ in range(count)]
    turns = [(each - first) % PARTITIONS * count // PARTITIONS for each in range(PARTITIONS)]
    for record, partition in zip(records, find_partitions(records), strict=True):
        taken, partitions = parts[-1 if isinstance(record, SessionEnd) else turns[partition]]
        taken.append(record)
        partitions.add(partition)
    filled = [part for part in parts if part[0]] or parts[:1]
    return [Part(taken, sorted(partitions)) for taken, partitions in filled]


def find_partitions(records: cabc.Sequence[Record], number: int = PARTITIONS) -> list[int]:
    """Return the partition of each record, of ``number``.

    A browser without cookies has a device of its own, until the server's half of its visit names
    the real one. If that half is among the records, it decides for the browser's half too, and for
    the events that came with it.
    """
    found = [_decider_of(record).int % number for record in records]
    homes = {
        record.id.int: each
        for record, each in zip(records, found, strict=True)
        if isinstance(record, PageView) or (isinstance(record, Event) and record.half == "server")
    }
    claiming = [
        (at, record.id.int, record.half == "browser", record.claim.visit_id.int)
        for at, record in enumerate(records)
        if isinstance(record, Event) and record.claim is not None and record.claim.kind != "foreign"
    ]
    for at, event_id, is_half, visit_id in sorted(claiming, key=_halves_first):
        found[at] = homes.get(visit_id, found[at])
        if is_half:
            homes[event_id] = found[at]
    return found


def _halves_first(claiming: tuple[int, int, bool, int]) -> bool:
    return not claiming[2]


def _decider_of(record: Record) -> uuidlib.UUID:
    """Return the id that decides: the device's, or what stands for it where there is none."""
    if isinstance(record, Event):
        if record.session is not None:
            return record.session.device_id
        # Without a session there is no row that events share, but the visit's.
        return record.claim.visit_id if record.claim is not None else record.id
    if isinstance(record, PageView):
        return record.device_id
    if isinstance(record, SessionEnd) and record.session is not None:
        return record.session.device_id
    return record.id  # the customer's, or the session's
