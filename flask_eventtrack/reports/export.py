"""All that is stored of a person, as plain values."""

from __future__ import annotations

import collections.abc as cabc
import heapq
import operator
import typing as t
import uuid as uuidlib

import msgspec
import sqlalchemy as sa

from ..store import Database, find_profiles

Item = dict[str, t.Any]

_PAGE = 200


def iter_person(database: Database, roots: cabc.Iterable[uuidlib.UUID]) -> cabc.Iterator[Item]:
    """Yield a person's rows as JSON has them, each with its ``type``.

    First ``profile`` (with its traits) and ``alias``, then ``session`` and ``event``, the oldest
    first. Rows are read in pages as they are asked for.
    """
    tables = database.tables
    profile, alias = tables.profile, tables.alias
    with database.read() as connection:
        profiles = find_profiles(connection, tables, roots)
        queries = (
            ("profile", sa.select(profile).where(profile.c.uuid.in_(profiles))),
            ("alias", sa.select(alias).where(alias.c.anonymous_uuid.in_(profiles))),
        )
        found = [(kind, row) for kind, query in queries for row in connection.execute(query)]
    for kind, row in found:
        yield _plain(kind, row._asdict())
    for kind, table, moment in (
        ("session", tables.session, tables.session.c.started_at),
        ("event", tables.event, tables.event.c.time),
    ):
        streams = [_iter_rows(database, table, moment, uuid) for uuid in sorted(profiles)]
        for item in heapq.merge(*streams, key=operator.itemgetter(moment.name)):
            yield _plain(kind, item)


def _iter_rows(
    database: Database, table: sa.Table, moment: sa.Column[t.Any], uuid: uuidlib.UUID
) -> cabc.Iterator[Item]:
    """Yield the rows of one profile in their order, a page at a time."""
    query = sa.select(table).where(table.c.uuid == uuid).order_by(moment, table.c.id).limit(_PAGE)
    page_query = query
    while True:
        with database.read() as connection:
            page = [row._asdict() for row in connection.execute(page_query)]
        yield from page
        if len(page) < _PAGE:
            return
        at, last = page[-1][moment.name], page[-1]["id"]
        goes_on = sa.or_(moment > at, sa.and_(moment == at, table.c.id > last))
        page_query = query.where(moment >= at, goes_on)


def _plain(kind: str, row: Item) -> Item:
    item: Item = msgspec.to_builtins({"type": kind, **row})
    return item
