"""Rows of ``page.engage`` as release 0.1 wrote them, and a program that folds them.

``python -m tests.store.old_engagement URL`` folds a few at a time and says so after each
transaction, so that it can be killed between two, or within one.
"""

from __future__ import annotations

import sys
import typing as t
import uuid as uuidlib

import msgspec
import sqlalchemy as sa

from flask_eventtrack.records import Event
from flask_eventtrack.store import fold
from flask_eventtrack.store.engine import Database
from flask_eventtrack.store.rows import row_of
from flask_eventtrack.store.tables import Tables
from flask_eventtrack.store.totals import Totals
from flask_eventtrack.store.upgrade import upgrade_data

from ..hosts import START, Host
from .halves import browser_half, server_half
from .records import an_event, session_of, write


def insert_old(host: Host, *events: Event) -> None:
    """Insert events as release 0.1 did: each is a row, and counts in its session and the totals."""
    database = host.state.pipeline.database
    tables, totals = database.tables, Totals()
    rows = [row_of(event, event.received_at) for event in events]
    with database.begin() as connection:
        for row in rows:
            connection.execute(tables.event.insert().values(msgspec.structs.asdict(row)))
            more = tables.session.update().where(tables.session.c.id == row.session_id)
            connection.execute(more.values(events=tables.session.c.events + 1))
        totals.count_new(rows)
        totals.write(connection, tables, START)


def old_engagement(page: Event | None, seconds: float, **fields: t.Any) -> Event:
    """Return what release 0.1's script told when a page was left."""
    params = {"visible_s": 18.0, "scroll": 92, "url": "http://localhost/"}
    params |= {"visit": str(page.id)} if page else {}
    given = {"label": "Left the page", "source": "browser"}
    return an_event("page.engage", seconds, **{**given, "params": params, **fields})


def fill(host: Host, number: int) -> None:
    """Write the visits of so many visitors, each left twice as release 0.1 wrote it."""
    halves, left = [], []
    for n in range(number):
        device = uuidlib.UUID(int=n + 1, version=4)
        mine: dict[str, t.Any] = {"uuid": device, "session": session_of(device)}
        page = server_half("/", n / 1000, **mine)
        half = browser_half(page, 1 + n / 1000, **mine)
        halves += [page, half]
        left += [old_engagement(half, 20 + n / 1000, **mine) for _ in range(2)]
        left[-1] = msgspec.structs.replace(left[-1], id=uuidlib.uuid4())
    write(host, *halves)
    insert_old(host, *left)


def main(url: str) -> None:
    fold._CHUNK, fold._CHUNKS_A_SENTENCE = 5, 1
    engine = sa.create_engine(url)
    database = Database(engine, Tables.for_metadata(sa.MetaData()), {}, wal=True)
    for sentence in upgrade_data(database, START):
        print(sentence, flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
