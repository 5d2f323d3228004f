"""What the tables may hold: counters, visits, events without a definition, and refused records."""

from __future__ import annotations

import datetime as dt
import typing as t
import uuid as uuidlib

import sqlalchemy as sa

from flask_eventtrack.pipeline.refusal import describe_record
from flask_eventtrack.privacy.masking import Masker
from flask_eventtrack.records import Record

from ..dashboard.pages import add_sessions
from ..hosts import Host

Row = tuple[dt.datetime, str, str, str, int]


def add_counters(host: Host, *rows: Row) -> None:
    """Store counters: an hour, an outcome, an action, a reason and a number each."""
    table = host.state.pipeline.database.tables.quality
    names = ("hour", "outcome", "action", "reason", "count")
    with host.state.pipeline.database.begin() as connection:
        connection.execute(sa.insert(table), [dict(zip(names, row, strict=True)) for row in rows])


def add_visits(host: Host, *visits: tuple[str, str, bool], ago: float = 60, **more: object) -> None:
    """Store page visits of sessions: a URL rule, a browser, and whether the browser reported it."""
    tables = host.state.pipeline.database.tables
    for rule, browser, is_told in visits:
        session, event = uuidlib.uuid4(), uuidlib.uuid4()
        add_sessions(host, {"id": session, "browser": browser})
        time = host.clock.moment - dt.timedelta(minutes=ago)
        row = {
            "id": event,
            "action": "page.visit",
            "time": time,
            "received_at": time,
            "stored_at": time,
            "uuid": session,
            "session_id": session,
            "site": "localhost",
            "url_rule": rule,
            "source": "server",
            "params": {"status": 200},
            "claimed_by": uuidlib.uuid4() if is_told else None,
            **more,
        }
        with host.state.pipeline.database.begin() as connection:
            connection.execute(sa.insert(tables.event), [row])


def mask(fields: dict[str, t.Any]) -> dict[str, t.Any]:
    return Masker().mask_params(fields)


def add_refused(host: Host, *records: Record, payload: str | None = None) -> None:
    """Store records as refused ones."""
    host.flush()
    rows = [
        {
            "id": record.id,
            "rejected_at": host.clock.moment,
            "action": record.action,
            "reason": "DataError: no",
            "payload": payload or describe_record(record, mask),
        }
        for record in records
    ]
    with host.state.pipeline.database.begin() as connection:
        connection.execute(sa.insert(host.state.pipeline.database.tables.rejected), rows)


def add_events(host: Host, action: str, number: int = 3, **params: t.Any) -> None:
    """Store events of the last minutes, and count them."""
    tables, moment = host.state.pipeline.database.tables, host.clock.moment
    times = [moment - dt.timedelta(minutes=n + 1) for n in range(number)]
    rows = [
        {
            "id": uuidlib.uuid4(),
            "action": action,
            "time": time,
            "received_at": time,
            "stored_at": time,
            "uuid": uuidlib.uuid4(),
            "site": "localhost",
            "url_rule": "",
            "source": "browser",
            "params": params,
        }
        for time in times
    ]
    hour = {"hour": times[-1].replace(minute=0), "site": "localhost", "action": action}
    with host.state.pipeline.database.begin() as connection:
        connection.execute(sa.insert(tables.event), rows)
        connection.execute(sa.insert(tables.hourly).values(**hour, url_rule="", count=number))
