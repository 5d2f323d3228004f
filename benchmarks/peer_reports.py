"""The same reports as plain queries over the events."""

from __future__ import annotations

import datetime as dt
import typing as t

import sqlalchemy as sa

from flask_eventtrack.store.types import UTCDateTime

_WITHIN = "e.time >= :lower AND e.time < :upper"
_JOINED = "eventtrack_event e JOIN eventtrack_session s ON s.id = e.session_id"
_OF_SESSIONS = "count(DISTINCT e.session_id), count(DISTINCT e.uuid)"
#: Totals, days, events, pages, sources, countries and devices.
QUERIES: t.Final = (
    f"SELECT count(*), {_OF_SESSIONS} FROM eventtrack_event e WHERE {_WITHIN}",
    f"SELECT date(e.time), count(*), {_OF_SESSIONS} FROM eventtrack_event e "
    f"WHERE {_WITHIN} GROUP BY date(e.time)",
    f"SELECT e.action, count(*) FROM eventtrack_event e WHERE {_WITHIN} GROUP BY e.action",
    f"SELECT e.url_rule, count(*) FROM eventtrack_event e WHERE {_WITHIN} "
    "AND e.action = 'page.visit' GROUP BY e.url_rule",
    *(
        f"SELECT s.{name}, {_OF_SESSIONS} FROM {_JOINED} WHERE {_WITHIN} GROUP BY s.{name}"
        for name in ("source", "country", "device_type")
    ),
)


def read(connection: sa.Connection, bounds: tuple[dt.datetime, dt.datetime]) -> None:
    """Read the reports of a time."""
    values = dict(zip(("lower", "upper"), bounds, strict=True))
    parameters = [sa.bindparam(name, type_=UTCDateTime()) for name in values]
    for query in QUERIES:
        connection.execute(sa.text(query).bindparams(*parameters), values).all()
