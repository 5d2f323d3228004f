"""Stories of a few people, told to the host's database and copied, with all that may mislead."""

from __future__ import annotations

import collections.abc as cabc
import datetime as dt
import typing as t

import sqlalchemy as sa

from ..conftest import MakeHost
from ..hosts import FakeClock, Host
from ..reports.explore.stories import Told, open_shop, person_of, session_id, tell
from ..store.copies import LOG
from .copies import ClickHouse, copy

BERLIN = "Europe/Berlin"
BLOG = "blog.test"
#: Values that would end a text, a statement or a parameter.
HOSTILE = ("'", "\\'", "' OR 1=1 --", "\\", "{x:String}", "\n", "a.b")
#: The numbers of people's sessions: of those with these, the row names no person, or is gone, and
#: the person's uuid is that of the profile.
UNNAMED, GONE = 4, 5
_STALE = {
    "session": "source = 'google' ? NULL : 'google' AS source, 'localhost' AS site, "
    "toDateTime64(toDate(started_at), 6, 'UTC') AS started_at, "
    "toUUID('00000000-0000-0000-0000-0000000003e8') AS person",
    "event": "time - INTERVAL 3 MINUTE AS time, '/' AS url_rule, 'browser' AS source, "
    '\'localhost\' AS site, \'{"sku": "a", "scroll": 80}\' AS params',
}

# Where sessions were before they began on another day.
_MOVED = "started_at - INTERVAL 8 DAY AS started_at"


def open_told(
    make: MakeHost, clock: FakeClock, clickhouse: ClickHouse, now: dt.datetime, **config: t.Any
) -> Host:
    """Return a shop of stories whose reports are counted in the copy."""
    given = {"EVENTTRACK_TIMEZONE": BERLIN, "EVENTTRACK_REPORTS_URL": clickhouse.url, **LOG}
    host = open_shop(make, clock, config={**given, **config})
    clock.now = int(now.timestamp()) * 1_000_000_000
    return host


def retell(host: Host, clickhouse: ClickHouse, story: cabc.Iterable[Told]) -> None:
    """Tell a story, instead of what there was, and copy it.

    Sessions of no known source are of the blog. The copy also has earlier versions of all rows, and
    rows that are gone, as it has them until they are merged.
    """
    tell(host, story)
    tables = host.state.pipeline.database.tables
    session = tables.session.c
    with host.state.pipeline.database.begin() as connection:
        for each in connection.scalars(sa.select(session.id)).all():
            who, number = divmod(each.int - session_id(0, 0).int, 100)
            if number in {UNNAMED, GONE}:
                own, of_it = session.id == each, tables.event.c.session_id == each
                names = {"uuid": person_of(who)}
                connection.execute(sa.update(tables.event).where(of_it).values(names))
                unnamed = sa.update(tables.session).where(own).values(person=None, **names)
                gone = sa.delete(tables.session).where(own)
                connection.execute(gone if number == GONE else unnamed)
        blog = sa.update(tables.session).where(session.source.is_(None))
        connection.execute(blog.values(site=BLOG))
    copy(host, clickhouse, "--anew")
    for kind, changes in _STALE.items():
        table = f"eventtrack_{kind}"
        for columns in (
            f"toUInt64(0) AS version, {changes}",
            "toUInt64(0) AS version, reinterpretAsUUID(sipHash128(id)) AS id",
            "toUInt8(1) AS is_deleted, reinterpretAsUUID(sipHash128(id)) AS id",
        ):
            _add(clickhouse, table, columns)
    _add(clickhouse, "eventtrack_session", f"toUInt8(1) AS is_deleted, {_MOVED}")
    _add(clickhouse, "eventtrack_session", f"toUInt64(0) AS version, {_MOVED}")


def _add(clickhouse: ClickHouse, table: str, columns: str) -> None:
    """Add all rows once more, with other values in some columns."""
    clickhouse.run(f"INSERT INTO {table} SELECT * REPLACE ({columns}) FROM {table} FINAL")
