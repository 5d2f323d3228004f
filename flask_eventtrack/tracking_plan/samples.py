"""The stored events from which a definition is drafted."""

from __future__ import annotations

import datetime as dt
import json
import typing as t

import sqlalchemy as sa

from ..store.tables import Tables

#: So many events are read at most, the latest first.
MOST: t.Final = 1000
# Each hour is a query of its own: the index begins with the time.
_MOST_HOURS = 500
_MOST_REFUSED = 100
_HOUR = dt.timedelta(hours=1)


class Sample(t.NamedTuple):
    """An event as it arrived. ``person`` is the profile it belongs to."""

    params: dict[str, t.Any]
    source: str
    person: str
    time: dt.datetime


def read_samples(connection: sa.Connection, tables: Tables, action: str) -> list[Sample]:
    """Return the latest stored events of an action, those of bots excepted."""
    hourly, event = tables.hourly.c, tables.event.c
    hours = (
        sa.select(hourly.hour)
        .where(hourly.action == action, hourly.count > 0)
        .group_by(hourly.hour)
        .order_by(hourly.hour.desc())
        .limit(_MOST_HOURS)
    )
    samples: list[Sample] = []
    for hour in connection.scalars(hours).all():
        query = (
            sa.select(event.params, event.source, event.uuid, event.time)
            .where(event.time >= hour, event.time < hour + _HOUR)
            .where(event.action == action, event.source != "bot")
            .order_by(event.time.desc())
            .limit(MOST - len(samples))
        )
        rows = connection.execute(query)
        samples += [Sample(row.params, row.source, str(row.uuid), row.time) for row in rows]
        if len(samples) >= MOST:
            break
    return samples


def read_refused(connection: sa.Connection, tables: Tables, action: str) -> list[Sample]:
    """Return the latest events of an action that the database has refused."""
    rejected = tables.rejected.c
    query = (
        sa.select(rejected.payload, rejected.rejected_at)
        .where(rejected.action == action)
        .order_by(rejected.rejected_at.desc())
        .limit(_MOST_REFUSED)
    )
    found = (_read_payload(*row) for row in connection.execute(query))
    return [sample for sample in found if sample is not None]


def _read_payload(payload: str, rejected_at: dt.datetime) -> Sample | None:
    """Return the event of a payload; None if it was cut, or is of another kind."""
    try:
        record = json.loads(payload)
    except ValueError:
        return None
    if not isinstance(record, dict) or not isinstance(record.get("params"), dict):
        return None
    source, person = record.get("source"), record.get("uuid")
    return Sample(record["params"], str(source), str(person), rejected_at)
