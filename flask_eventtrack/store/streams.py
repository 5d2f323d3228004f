"""Which frames of each stream are committed, and which worker works on it.

A worker locks the row of its partition in the transaction in which it commits frames, and keeps the
ids of the last ones in it. So one worker at a time works on a partition, and a frame that lies in
the stream twice, or still lies there since a worker was killed, is known. Frames in front of the
last entry that was committed are known to be old, too.
"""

from __future__ import annotations

import datetime as dt
import typing as t

import sqlalchemy as sa

from .tables import Tables

_MOST = 100
#: The two numbers of an entry's id in Redis, by which entries are in order.
EntryId = tuple[int, int]


class Place(t.NamedTuple):
    """What is committed of a stream: the ids of the last frames, and the last entry."""

    frames: t.Sequence[str]
    last: EntryId


def find_table(tables: Tables) -> sa.Table:
    """Return the table.

    :raises LookupError: the app has no stream.
    """
    if tables.stream is None:
        raise LookupError("EVENTTRACK_STREAM_URL is not set, so that there are no streams.")
    return tables.stream


def add_missing(connection: sa.Connection, tables: Tables, number: int, now: dt.datetime) -> None:
    """Add the rows of partitions that have none.

    :raises sqlalchemy.exc.IntegrityError: another process adds them at this moment.
    """
    table = find_table(tables)
    found = set(connection.scalars(sa.select(table.c.number)))
    if missing := [each for each in range(number) if each not in found]:
        rows = [{"number": each, "frames": [], "last": "0-0", "at": now} for each in missing]
        connection.execute(table.insert(), rows)


def hold(connection: sa.Connection, tables: Tables, number: int) -> Place | None:
    """Lock a partition until the transaction ends; return what is committed of it.

    None if another worker holds it.
    """
    table = find_table(tables)
    query = sa.select(table.c.frames, table.c.last).where(table.c.number == number)
    row = connection.execute(query.with_for_update(skip_locked=True)).first()
    if row is None:
        return None
    milliseconds, _, entry = row.last.partition("-")
    return Place(row.frames, (int(milliseconds), int(entry)))


def note(
    connection: sa.Connection, tables: Tables, number: int, place: Place, now: dt.datetime
) -> None:
    """Note what this transaction commits of a partition; the last 100 ids are kept.

    :param place: what :func:`hold` has returned, and the new frames.
    """
    table = find_table(tables)
    update = table.update().where(table.c.number == number)
    kept, (milliseconds, entry) = list(place.frames[-_MOST:]), place.last
    connection.execute(update.values(frames=kept, last=f"{milliseconds}-{entry}", at=now))
