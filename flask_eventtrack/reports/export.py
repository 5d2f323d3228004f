"""Everything stored about a person, as plain values."""

from __future__ import annotations

import collections.abc as cabc
import datetime as dt
import heapq
import operator
import typing as t
import uuid as uuidlib

import msgspec
import sqlalchemy as sa

from ..store.dialects import in_chunks
from ..store.engine import Database
from ..store.erasure import find_profiles
from ..store.logged import own_columns

Item = dict[str, t.Any]

_PAGE = 200

_Moment = sa.Column[dt.datetime]
_Uuids = list[uuidlib.UUID]


def iter_person(database: Database, roots: cabc.Iterable[uuidlib.UUID]) -> cabc.Iterator[Item]:
    """Yield a person's rows as values for JSON, each with its ``type``.

    First ``profile`` (with its traits) and ``alias``, then ``session``, ``event`` and
    ``transaction``, oldest first.
    Rows are read lazily, in pages.
    """
    tables = database.tables
    with database.read() as connection:
        profiles = find_profiles(connection, tables, roots)
    keys = {"profile": tables.profile.c.uuid, "alias": tables.alias.c.anonymous_uuid}
    for kind, key in keys.items():
        for uuids in in_chunks(profiles):
            for row in _read(database, sa.select(key.table).where(key.in_(uuids))):
                yield msgspec.to_builtins({"type": kind, **row})
    for kind, moment in (
        ("session", tables.session.c.started_at),
        ("event", tables.event.c.time),
        ("transaction", tables.transaction.c.time),
    ):
        streams = [
            _iter_rows(database, moment, first, uuids)
            for first, uuids in _group(database, moment, profiles)
        ]
        for _, item in heapq.merge(*streams, key=operator.itemgetter(0)):
            if item is not None:
                yield msgspec.to_builtins({"type": kind, **item})


def _group(
    database: Database, moment: _Moment, profiles: cabc.Iterable[uuidlib.UUID]
) -> list[tuple[dt.datetime, _Uuids]]:
    """Group profiles so that a group has at most a page of rows, or is a single profile.

    :returns: the groups, each with the moment of its first row.
    """
    uuid = moment.table.c.uuid
    query = sa.select(uuid, sa.func.min(moment).label("first"), sa.func.count().label("number"))
    spans = [
        span
        for uuids in in_chunks(profiles)
        for span in _read(database, query.where(uuid.in_(uuids)).group_by(uuid))
    ]
    groups: list[tuple[dt.datetime, _Uuids]] = []
    room = 0
    for span in sorted(spans, key=operator.itemgetter("first", "uuid")):
        if span["number"] > room:
            groups.append((span["first"], []))
            room = _PAGE
        groups[-1][1].append(span["uuid"])
        room -= span["number"]
    return groups


def _iter_rows(
    database: Database, moment: _Moment, first: dt.datetime, uuids: _Uuids
) -> cabc.Iterator[tuple[dt.datetime, Item | None]]:
    """Yield the rows of some profiles with their moments, oldest first.

    The moment ``first`` is yielded before them, without a row, so that the merge of all groups
    reads no page before its turn.
    """
    yield first, None
    row_id = moment.table.c.id
    query = sa.select(*own_columns(moment.table)).where(moment.table.c.uuid.in_(uuids))
    page_query = query = query.order_by(moment, row_id).limit(_PAGE)
    while True:
        page = _read(database, page_query)
        yield from ((row[moment.name], row) for row in page)
        if len(page) < _PAGE:
            return
        at, last = page[-1][moment.name], page[-1]["id"]
        goes_on = sa.or_(moment > at, sa.and_(moment == at, row_id > last))
        page_query = query.where(moment >= at, goes_on)


def _read(database: Database, query: sa.Select[t.Any]) -> list[Item]:
    with database.read() as connection:
        return [row._asdict() for row in connection.execute(query)]
