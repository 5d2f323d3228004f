"""Sessions and log-ins as release 0.1 wrote them, and a program that fills them.

``python -m tests.store.old_sessions URL`` fills a few at a time and says so after each transaction,
so that it can be killed between two, or within one.
"""

from __future__ import annotations

import sys
import typing as t
import uuid as uuidlib

import sqlalchemy as sa

from flask_eventtrack.store import backfill
from flask_eventtrack.store.engine import Database
from flask_eventtrack.store.tables import Tables
from flask_eventtrack.store.upgrade import upgrade_data

from ..hosts import START, Host
from .first_tables import FIRST
from .host_changes import changing
from .records import at

_COLUMNS = FIRST.tables["eventtrack_session"].columns


def an_old_session(uuid: uuidlib.UUID, seconds: float, **fields: t.Any) -> dict[str, t.Any]:
    """Return a session of a page as release 0.1 inserted it; its columns only."""
    moment = at(seconds).replace(tzinfo=None)
    row: dict[str, t.Any] = dict.fromkeys(_COLUMNS.keys())
    row |= {"id": uuidlib.uuid4(), "uuid": uuid, "device_id": uuid, "site": "localhost"}
    row |= {"started_at": moment, "last_seen_at": moment, "entry_at": moment, "entry": "/"}
    return {**row, "pages": 1, "events": 1, "source": "direct", **fields}


def insert_old(
    host: Host,
    sessions: t.Sequence[dict[str, t.Any]] = (),
    aliases: t.Mapping[uuidlib.UUID, uuidlib.UUID] | None = None,
    customers: t.Iterable[uuidlib.UUID] = (),
) -> None:
    """Insert rows as release 0.1 did."""
    now = START.replace(tzinfo=None)
    seen = {"first_seen_at": now, "last_seen_at": now, "traits": {}}
    rows: dict[str, list[dict[str, t.Any]]] = {
        "session": [*sessions],
        "alias": [
            {"anonymous_uuid": each, "customer_uuid": customer, "created_at": now}
            for each, customer in (aliases or {}).items()
        ],
        "profile": [{"uuid": each, "customer_id": str(each), **seen} for each in customers],
    }
    with changing(host) as connection:
        for name, these in rows.items():
            if these:
                connection.execute(FIRST.tables[f"eventtrack_{name}"].insert(), these)


def fill(host: Host, number: int) -> None:
    """Insert the sessions of so many visitors, four each; every second one logged in."""
    visitors = [uuidlib.UUID(int=n + 1, version=4) for n in range(number)]
    aliases = {each: uuidlib.uuid5(each, "c") for each in visitors[::2]}
    sources = ["direct", "a.example", "b.example", "direct"]
    rows = [
        an_old_session(each, 100 * n + m, source=source)
        for m, source in enumerate(sources)
        for n, each in enumerate(visitors)
    ]
    insert_old(host, rows, aliases, aliases.values())


def main(url: str) -> None:
    backfill._CHUNK, backfill._CHUNKS_A_SENTENCE = 5, 1
    engine = sa.create_engine(url)
    database = Database(engine, Tables.for_metadata(sa.MetaData()), {}, wal=True)
    for sentence in upgrade_data(database, START):
        print(sentence, flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
